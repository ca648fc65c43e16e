"""A head: arousal and valence from a clip's embedding, in arithmetic that can be stated.

``z = (embedding - mean) / scale``, then ``z @ linear + bias``, and with a hidden layer
``+ relu(z @ weights + bias) @ out``. Ridge and pairwise heads have no hidden layer and are affine:
the value at a clip's mean embedding is the mean of the values at its patches.

A head belongs to the embedder that it was trained on: its weights file names that embedder with the
digest of its weights, and a head is never put on another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.models.base import ModelError, Plain
from earmark.models.support.weights import Tower, not_understood, read_described, write_described

Doubles = NDArray[np.float64]

COLUMNS = ("arousal", "valence")
"""Of targets and of what a head gives."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """A layer of rectified linear units."""

    weights: Doubles
    """Shape ``(dimension, n_units)``."""
    bias: Doubles
    """Shape ``(n_units,)``."""
    out: Doubles
    """Shape ``(n_units, n_values)``."""


@dataclass(frozen=True, slots=True)
class Head:
    """A trained head; raises :class:`ModelError` if its arrays do not fit or are not finite."""

    mean: Doubles
    """Shape ``(dimension,)``, of the rows that were fitted on."""
    scale: Doubles
    """Shape ``(dimension,)``: their deviation, 1 where they are constant."""
    linear: Doubles
    """Shape ``(dimension, n_values)``: two, arousal and valence, but for judged dimensions."""
    bias: Doubles
    """Shape ``(n_values,)``."""
    hidden: Hidden | None = None

    def __post_init__(self) -> None:
        (d, *rest), units = self.mean.shape or (0,), _units(self.hidden)
        n = self.n_values
        expected = {"scale": (d,), "linear": (d, n), "bias": (n,)}
        if self.hidden is not None:
            expected |= {
                "hidden.weights": (d, units),
                "hidden.bias": (units,),
                "hidden.out": (units, n),
            }
        arrays = self.arrays()
        for name, shape in expected.items():
            if rest or arrays[name].shape != shape:
                raise ModelError(
                    f"a head's {name} has shape {arrays[name].shape}, expected {shape} beside a "
                    f"mean of shape {self.mean.shape}"
                )
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise ModelError(f"a head's {name} has values that are not finite")
        if not (self.scale > 0).all():
            raise ModelError("a head's scale has values that are not above 0")

    @property
    def dimension(self) -> int:
        """Of the embeddings that it takes."""
        return len(self.mean)

    @property
    def n_values(self) -> int:
        """Values that it gives of a clip."""
        return self.linear.shape[-1] if self.linear.ndim else 0

    @property
    def affine(self) -> bool:
        """Whether its value at a mean of embeddings is the mean of its values."""
        return self.hidden is None

    def arrays(self) -> dict[str, Doubles]:
        """Return its arrays by name, those of the hidden layer as ``hidden.<name>``."""
        own = {name: getattr(self, name) for name in ("mean", "scale", "linear", "bias")}
        if self.hidden is None:
            return own
        layer = fields(self.hidden)
        return own | {f"hidden.{each.name}": getattr(self.hidden, each.name) for each in layer}

    def __call__(self, features: ArrayLike) -> Doubles:
        """Return arousal, valence, shape ``(n, n_values)``, of features ``(n, dimension)``."""
        rows = check_features(features)
        if rows.shape[1] != self.dimension:
            raise ModelError(
                f"features have {rows.shape[1]} dimensions, this head takes {self.dimension}: "
                f"choose the embedder that it was trained on"
            )
        z = (rows - self.mean) / self.scale
        values = z @ self.linear + self.bias
        if self.hidden is not None:
            values += np.maximum(z @ self.hidden.weights + self.hidden.bias, 0) @ self.hidden.out
        return np.asarray(values)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A head and how it came to be."""

    head: Head
    facts: Mapping[str, Plain] = field(default_factory=dict)
    """What was chosen, by which rule, on how many rows."""
    warnings: tuple[str, ...] = ()
    error: float = float("nan")
    """Mean squared error on held-out rows over the variance, the mean of both dimensions; NaN where
    nothing was chosen by it."""
    layers: Mapping[str, Head] = field(default_factory=dict)
    """The head of each layer, where one of several was chosen."""


def _units(hidden: Hidden | None) -> int:
    return 0 if hidden is None else len(hidden.bias)


def standardisation(rows: Doubles) -> tuple[Doubles, Doubles]:
    """Return mean and population deviation of each column; 1 where a column is constant.

    Constant means that the values differ by no more than rounding, so that the deviation of equal
    numbers, which need not be exactly 0, blows nothing up.
    """
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    constant = deviation <= 1e-12 * np.abs(rows).max(axis=0, initial=0)
    return mean, np.where(constant, 1.0, deviation)


def check_features(features: ArrayLike) -> Doubles:
    """Return features as float64 of shape ``(n, dimension)``.

    Raises
    ------
    ModelError
        If they have another number of axes, no column, or a value that is not finite.
    """
    rows = np.asarray(features, np.float64)
    if rows.ndim != 2 or not rows.shape[1]:
        raise ModelError(f"features have shape {rows.shape}, expected (n, dimension)")
    if not np.isfinite(rows).all():
        row = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
        raise ModelError(f"features of row {row} are not finite; embed the clip again")
    return rows


def check_rated(features: ArrayLike, targets: ArrayLike) -> tuple[Doubles, Doubles]:
    """Return features ``(n, dimension)`` and ratings ``(n, 2)`` that a head can be fitted to.

    Raises
    ------
    ModelError
        If the targets are not two finite numbers a row of features, or one column is constant:
        there is nothing to learn.
    """
    rows, rated = check_features(features), np.asarray(targets, np.float64)
    if rated.shape != (len(rows), len(COLUMNS)):
        raise ModelError(
            f"targets have shape {rated.shape}, expected ({len(rows)}, 2): arousal, valence of "
            f"each row of features"
        )
    if not np.isfinite(rated).all():
        row = int(np.flatnonzero(~np.isfinite(rated).all(axis=1))[0])
        raise ModelError(f"targets of row {row} are {rated[row].tolist()}, expected finite numbers")
    for name, column in zip(COLUMNS, rated.T, strict=True):
        if not len(column) or np.ptp(column) == 0:
            value = f"{column[0]:g} for all {len(column)} rows" if len(column) else "no row's"
            raise ModelError(f"{name} is {value}: there is nothing to learn from")
    return rows, rated


def within(head: Head, layers: Mapping[str, int], name: str) -> Head:
    """Return a head on one layer as one on all, one after the other, that reads this one alone."""
    ends = np.cumsum([0, *layers.values()])
    place = list(layers).index(name)
    columns = slice(int(ends[place]), int(ends[place + 1]))

    def spread(values: Doubles, empty: float) -> Doubles:
        wide = np.full((int(ends[-1]), *values.shape[1:]), empty, np.float64)
        wide[columns] = values
        return wide

    hidden = head.hidden and Hidden(
        spread(head.hidden.weights, 0), head.hidden.bias, head.hidden.out
    )
    return Head(
        spread(head.mean, 0), spread(head.scale, 1), spread(head.linear, 0), head.bias, hidden
    )


_METADATA_KEY = "earmark.av-head"


@dataclass(frozen=True, slots=True)
class TrainedHead:
    """A head and all that a card says of it."""

    name: str
    head: Head
    embedder: Tower
    """How the embedder is opened, and which one it was."""
    datasets: tuple[str, ...]
    """Ids of the datasets that were learned from."""
    licence: str
    """Of what was learned from; the weights are derived from it."""
    scale: tuple[float, float] | None = None
    """Lowest and highest rating of the training set; None for utilities, which have no scale."""
    citation: str = ""
    """BibTeX of what was learned from."""
    facts: Mapping[str, Plain] = field(default_factory=dict)
    """Of the training: what was chosen, on how many rows, seed, fingerprints."""

    @property
    def n_parameters(self) -> int:
        """Numbers of the head, those of the standardisation among them."""
        return sum(array.size for array in self.head.arrays().values())

    @property
    def digest(self) -> str:
        """sha256 of the head's numbers."""
        content = sha256()
        for name, array in self.head.arrays().items():
            content.update(f"{name} {array.shape}\n".encode())
            content.update(np.ascontiguousarray(array, "<f8").tobytes())
        return content.hexdigest()


def save_head(trained: TrainedHead, path: Path | str) -> None:
    """Write a weights file; its bytes are decided by what was trained alone.

    Raises
    ------
    ModelError
        If the file cannot be written.
    """
    parts = {each.name: getattr(trained, each.name) for each in fields(trained)}
    del parts["head"]
    parts |= {"embedder": asdict(trained.embedder), "facts": dict(trained.facts)}
    of = f"head {trained.name}"
    write_described(path, trained.head.arrays(), parts, key=_METADATA_KEY, of=of)


def load_head(path: Path | str) -> TrainedHead:
    """Return what :func:`save_head` wrote.

    Raises
    ------
    ModelError
        If the file is absent, damaged, or holds no head.
    """
    path = Path(path).expanduser()
    tensors, parts = read_described(
        path,
        key=_METADATA_KEY,
        of="av-head",
        kind="arousal/valence head",
        expected="weights that `earmark export` wrote of a head",
    )
    try:
        scale = parts.pop("scale")
        return TrainedHead(
            head=_head(tensors),
            embedder=Tower(**parts.pop("embedder")),
            datasets=tuple(parts.pop("datasets")),
            scale=None if scale is None else (float(scale[0]), float(scale[1])),
            **parts,
        )
    except (KeyError, IndexError, TypeError, ValueError, RecursionError) as error:
        raise not_understood(path, error, of="av-head") from error


def _head(tensors: Mapping[str, NDArray[Any]]) -> Head:
    arrays = {name: np.asarray(value, np.float64) for name, value in tensors.items()}
    layer = {
        name.removeprefix("hidden."): arrays.pop(name)
        for name in list(arrays)
        if name.startswith("hidden.")
    }
    return Head(**arrays, hidden=Hidden(**layer) if layer else None)
