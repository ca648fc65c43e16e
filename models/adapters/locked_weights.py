"""The weights file of frozen towers: two projections, and which towers and pairs they are of.

One safetensors file: the projections as tensors, and in the metadata, as JSON, the names of the
towers with the digests of their weights, and what was learned from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from earmark.datasets.files.atomic import write_whole
from earmark.datasets.registry import named_by
from earmark.models.base import ModelError

_METADATA_KEY = "earmark.locked"

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Projection:
    """An affine map of one tower's vectors: ``(v - mean) / scale @ matrix``."""

    mean: Doubles
    """Shape ``(dimension of the tower,)``."""
    scale: float
    matrix: Doubles
    """Shape ``(dimension of the tower, dimension)``."""

    def __call__(self, vectors: Doubles) -> Doubles:
        """Return shape ``(n, dimension)``, not yet of unit norm."""
        rows = (vectors - self.mean) / self.scale
        # Rows are multiplied one by one: a product's rounding may depend on the batch.
        return np.stack([row @ self.matrix for row in rows])


@dataclass(frozen=True, slots=True)
class Tower:
    """A frozen embedder: how it is opened, and which one it was."""

    loader: str
    options: Mapping[str, Any]
    id: str
    version: str
    weights_digest: str

    def __post_init__(self) -> None:
        if not isinstance(self.options, Mapping):
            raise TypeError(f"options of a tower are {self.options!r}, expected a table")
        for name in ("loader", "id", "version", "weights_digest"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"{name} of a tower is {getattr(self, name)!r}, expected text")


def towers_of(
    file: Path | str, *, towers: str, option: str, of: str
) -> AbstractContextManager[None]:
    """Return the context in which the towers that a weights file names are opened.

    Parameters
    ----------
    towers
        ``registered``: a file may name registered loaders alone; ``trust``: any loader, also
        ``module:attribute`` and ``path/to/file.py:attribute``, whose code then runs.
    option
        With which the user names a tower in place of the file.

    Raises
    ------
    ModelError
        If ``towers`` is neither.
    """
    if towers == "trust":
        return nullcontext()
    if towers != "registered":
        raise ModelError(f"{of}: towers = {towers!r}, expected 'registered' or 'trust'")
    return named_by(
        f"{of}: the weights file {file}",
        fix=f'If you know that code, give {option} = {{loader = "..."}}, or towers = "trust" to '
        f"open whatever this file names",
    )


@dataclass(frozen=True, slots=True)
class Learned:
    """Two projections and all that a card says of them."""

    audio: Projection
    text: Projection
    temperature: float
    audio_tower: Tower
    text_tower: Tower
    datasets: tuple[str, ...]
    """Ids of the datasets of the pairs."""
    licence: str
    """Of what was learned from; the weights are derived from it."""
    facts: Mapping[str, str | int | float | bool]
    """Of the training: fingerprint of the pairs, their number, config, seed."""

    @property
    def n_parameters(self) -> int:
        """Numbers of both projections; those of the towers are theirs."""
        return sum(one.mean.size + 1 + one.matrix.size for one in (self.audio, self.text))


def save_learned(learned: Learned, path: Path | str) -> None:
    """Write a weights file; its bytes are decided by what was learned alone.

    Raises
    ------
    ModelError
        If the file cannot be written, or a value is not finite.
    """
    tensors = {
        f"{side}.{name}": np.array(value, np.float64, order="C")
        for side in ("audio", "text")
        for name, value in asdict(getattr(learned, side)).items()
    }
    for name, value in tensors.items():
        if not np.isfinite(value).all():
            raise ModelError(f"{path} is not written: {name} has values that are not finite")
    parts = {
        each.name: getattr(learned, each.name)
        for each in fields(learned)
        if each.name not in ("audio", "text")
    }
    parts |= {name: asdict(parts[name]) for name in ("audio_tower", "text_tower")}
    metadata = {_METADATA_KEY: json.dumps(parts, sort_keys=True)}
    try:
        write_whole(Path(path), save(tensors, metadata=metadata))
    except OSError as error:
        raise ModelError(f"weights {path} cannot be written: {error}") from error


def load_learned(path: Path | str) -> Learned:
    """Return what :func:`save_learned` wrote.

    Raises
    ------
    ModelError
        If the file is absent, damaged, or no weights file of frozen towers.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise ModelError(
            f"locked: {path} is no file; expected weights, which `earmark train` makes from a "
            f'config with preset = "locked"'
        )
    try:
        with safe_open(path, framework="np") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            text = (file.metadata() or {}).get(_METADATA_KEY)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"locked: {path} cannot be read as safetensors: {error}") from error
    if text is None:
        raise ModelError(f"locked: {path} holds no projections of frozen towers, but other weights")
    try:
        parts = json.loads(text)
        learned = Learned(
            audio=_projection(tensors, "audio"),
            text=_projection(tensors, "text"),
            temperature=float(parts["temperature"]),
            audio_tower=Tower(**parts["audio_tower"]),
            text_tower=Tower(**parts["text_tower"]),
            datasets=tuple(parts["datasets"]),
            licence=str(parts["licence"]),
            facts=dict(parts["facts"]),
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelError(
            f"locked: {path} is not understood ({error!r}); it was written by another version of "
            f"earmark"
        ) from error
    _check_finite(learned, path)
    return learned


def _projection(tensors: Mapping[str, NDArray[Any]], side: str) -> Projection:
    mean, scale, matrix = (tensors[f"{side}.{name}"] for name in ("mean", "scale", "matrix"))
    if matrix.ndim != 2 or mean.shape != matrix.shape[:1]:
        raise ValueError(f"{side}: mean {mean.shape} and matrix {matrix.shape}")
    return Projection(mean, scale.item(), matrix)


def _check_finite(learned: Learned, path: Path) -> None:
    for side in (learned.audio, learned.text):
        if not all(np.isfinite(value).all() for value in (side.mean, side.scale, side.matrix)):
            raise ModelError(f"locked: {path} has values that are not finite; train it again")
    if learned.audio.matrix.shape[1] != learned.text.matrix.shape[1]:
        raise ModelError(f"locked: the two projections of {path} lead to spaces of different size")


def content_digest(learned: Learned) -> str:
    """Return the sha256 of the projections' values, in hexadecimal."""
    values = [
        np.ascontiguousarray(value, "<f8").tobytes()
        for one in (learned.audio, learned.text)
        for value in (one.mean, one.scale, one.matrix)
    ]
    return sha256(b"".join(values)).hexdigest()
