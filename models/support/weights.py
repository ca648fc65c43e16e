"""Files of weights, read without running code that they may hold, and held against a model."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from earmark.datasets.base import first_ten
from earmark.models.base import ModelError

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
