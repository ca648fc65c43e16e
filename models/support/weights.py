"""Files of weights, read without running code that they may hold, and held against a model."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from earmark.datasets.base import first_ten
from earmark.datasets.files.atomic_files import write_whole
from earmark.datasets.files.data_paths import placed
from earmark.datasets.registry import named_by
from earmark.models.base import ModelCard, ModelError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def read_torch(path: Path, *, mapped: bool = False) -> Any:
    """Return what ``torch.save`` wrote into a file, on the CPU.

    ``mapped`` leaves on the disk what is not used, e.g. an optimizer's state.

    Raises
    ------
    ModelError
        If the file is missing, truncated, or holds anything but tensors and plain containers.
    """
    if not path.is_file():
        raise ModelError(f"no checkpoint {path}: expected a file")
    import torch

    zipped = zipfile.is_zipfile(path)
    with path.open("rb") as file:
        if not zipped and file.read(2) == b"PK":
            raise ModelError(f"{path} is truncated: its archive has no end; fetch it again")
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped and zipped)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path}: no checkpoint, or one with more than tensors and plain containers: pickled "
            f"code, which is never run. Keep only its state dict, in a place where you trust it: "
            f"{_first_line(error)}"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise ModelError(f"{path}: truncated, or no checkpoint: {_first_line(error)}") from error


def read_safetensors(
    path: Path, *, framework: Literal["pt", "np"] = "pt"
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a safetensors file's tensors and its metadata.

    Raises
    ------
    ModelError
        If the file is missing or damaged.
    """
    if not path.is_file():
        raise ModelError(f"no weights {path}: expected a file")
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework=framework) as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} cannot be read as safetensors: {_first_line(error)}") from error


def write_described(
    path: Path | str,
    tensors: Mapping[str, Any],
    description: Mapping[str, Any],
    *,
    key: str,
    of: str,
) -> None:
    """Write NumPy arrays as safetensors of float64, described by JSON under a key of the metadata.

    The bytes are decided by the content alone. ``of`` begins the message where it cannot be
    written.
    """
    import numpy as np
    from safetensors.numpy import save

    arrays = {name: np.array(value, np.float64, order="C") for name, value in tensors.items()}
    try:
        text = json.dumps(description, sort_keys=True, allow_nan=False)
        write_whole(Path(path), save(arrays, metadata={key: text}))
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{of} cannot be written to {path}: {error}") from error


def read_described(
    path: Path, *, key: str, of: str, kind: str, expected: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arrays and the description that :func:`write_described` wrote.

    Parameters
    ----------
    of
        The loader, which begins every message.
    kind
        What the file should hold, e.g. ``arousal/valence head``.
    expected
        What to say where there is no file.
    """
    if not path.is_file():
        raise ModelError(f"{of}: {path} is no file; expected {expected}")
    try:
        tensors, metadata = read_safetensors(path, framework="np")
    except ModelError as error:
        raise ModelError(f"{of}: {error}") from error
    if key not in metadata:
        raise ModelError(f"{of}: {path} holds no {kind}, but other weights")
    try:
        return tensors, dict(json.loads(metadata[key]))
    except (TypeError, ValueError, RecursionError) as error:
        raise not_understood(path, error, of=of) from error


def not_understood(path: Path, error: Exception, *, of: str) -> ModelError:
    """Return the error of a file whose description lacks something."""
    return ModelError(
        f"{of}: {path} is not understood ({error!r}); it is damaged, or was written by another "
        f"version of earmark"
    )


@dataclass(frozen=True, slots=True)
class Tower:
    """A frozen embedder that something was trained on: how it is opened, and which one it was."""

    loader: str
    options: Mapping[str, Any]
    """``{data}`` and ``{models}`` in them stand for places, as in a suite."""
    id: str
    version: str
    weights_digest: str

    def __post_init__(self) -> None:
        if not isinstance(self.options, Mapping):
            raise TypeError(f"options of a tower are {self.options!r}, expected a table")
        for name in ("loader", "id", "version", "weights_digest"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"{name} of a tower is {getattr(self, name)!r}, expected text")

    def check(self, model: Any, *, dimension: int, of: str, noun: str) -> None:
        """Refuse an embedder that is not this one, or gives other vectors than were trained on.

        ``of`` is what was trained, e.g. ``locked: the projections were``.
        """
        card: ModelCard = model.card
        found = (card.id, card.version, card.weights_digest)
        if found != (self.id, self.version, self.weights_digest):
            raise ModelError(
                f"{of} trained on {self.id}, version {self.version}, weights "
                f"{self.weights_digest[:12]}; given is {card.id}, version {card.version}, weights "
                f"{card.weights_digest[:12]}. Use the {noun} of the training, or train again"
            )
        if model.dimension != dimension:
            raise ModelError(
                f"{of} trained on vectors of {dimension} values, {card.id} gives {model.dimension}"
            )


def tower_of(card: ModelCard, *, loader: str, options: Mapping[str, Any]) -> Tower:
    """Return the identity of an embedder that is opened by this loader with these options."""
    return Tower(loader, dict(options), card.id, card.version, card.weights_digest)


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


def open_given(given: object, *, of: str) -> Any:
    """Return the model that a table ``{loader = "...", ...}`` with the loader's options names."""
    from earmark.models.registry import MODELS

    if not isinstance(given, Mapping) or "loader" not in given:
        raise ModelError(f"{of} is {given!r}, expected a table with a key 'loader'")
    options = {key: placed(value) for key, value in given.items() if key != "loader"}
    return MODELS.create(str(given["loader"]), options)


def tensors_of(state: Mapping[Any, Any], path: Path) -> dict[str, Tensor]:
    """Return a state dict of ``path``, in which nothing but tensors may be."""
    import torch

    others = [str(name) for name, value in state.items() if not isinstance(value, torch.Tensor)]
    if others:
        raise ModelError(
            f"{path}: entries of its state dict that are no tensors: {first_ten(others)}"
        )
    return {str(name): value for name, value in state.items()}


def check_weights(
    state: Mapping[str, Tensor],
    expected: Mapping[str, torch.Size],
    *,
    path: Path,
    of: str,
    fix: str,
) -> None:
    """Refuse weights of other names or shapes than expected, or that are not finite.

    Parameters
    ----------
    of
        What the weights should be of.
    fix
        What may help where shapes differ.
    """
    missing, extra = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    if missing or extra:
        raise ModelError(
            f"{path} is no checkpoint of {of} ({len(expected)} tensors). "
            f"Missing {len(missing)}: {first_ten(missing) or 'none'}. "
            f"Not expected {len(extra)}: {first_ten(extra) or 'none'}"
        )
    wrong = [
        f"{name} {tuple(state[name].shape)} for {tuple(shape)}"
        for name, shape in expected.items()
        if state[name].shape != shape
    ]
    if wrong:
        raise ModelError(f"{path}: wrong shapes: {first_ten(wrong)}. {fix}")
    broken = [name for name in expected if not state[name].isfinite().all()]
    if broken:
        raise ModelError(f"{path}: weights that are not finite: {first_ten(broken)}")


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0]
