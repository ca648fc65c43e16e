"""Trained heads as files: safetensors that hold the head, its embedder's identity, and its card.

A head belongs to the embedder that it was trained on. The file names that embedder with the digest
of its weights, and a head is never put on another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from earmark.datasets.files.atomic import write_whole
from earmark.models.adapters.locked import Tower
from earmark.models.av_heads.head import Head, Hidden
from earmark.models.base import ModelCard, ModelError, Plain

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


def tower_of(card: ModelCard, *, loader: str, options: Mapping[str, Any]) -> Tower:
    """Return an embedder's identity, for :class:`TrainedHead`.

    Parameters
    ----------
    loader, options
        How the embedder is opened through the registry; ``{data}`` and ``{models}`` in options
        stand for places, as in a suite.
    """
    return Tower(loader, dict(options), card.id, card.version, card.weights_digest)


def save_head(trained: TrainedHead, path: Path | str) -> None:
    """Write a weights file; its bytes are decided by what was trained alone.

    Raises
    ------
    ModelError
        If the file cannot be written.
    """
    tensors = {k: np.array(v, np.float64, order="C") for k, v in trained.head.arrays().items()}
    parts = {each.name: getattr(trained, each.name) for each in fields(trained)}
    del parts["head"]
    parts["embedder"] = asdict(trained.embedder)
    parts["facts"] = dict(trained.facts)
    try:
        text = json.dumps(parts, sort_keys=True, allow_nan=False)
        write_whole(Path(path), save(tensors, metadata={_METADATA_KEY: text}))
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"head {trained.name} cannot be written to {path}: {error}") from error


def load_head(path: Path | str) -> TrainedHead:
    """Return what :func:`save_head` wrote.

    Raises
    ------
    ModelError
        If the file is absent, damaged, or holds no head.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise ModelError(f"av-head: {path} is no file; expected weights that save_head wrote")
    try:
        with safe_open(path, framework="np") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            text = (file.metadata() or {}).get(_METADATA_KEY)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"av-head: {path} cannot be read as safetensors: {error}") from error
    if text is None:
        raise ModelError(f"av-head: {path} holds no arousal/valence head, but other weights")
    try:
        parts = json.loads(text)
        scale = parts.pop("scale")
        return TrainedHead(
            head=_head(tensors),
            embedder=Tower(**parts.pop("embedder")),
            datasets=tuple(parts.pop("datasets")),
            scale=None if scale is None else (float(scale[0]), float(scale[1])),
            **parts,
        )
    except (KeyError, IndexError, TypeError, ValueError, RecursionError) as error:
        raise ModelError(
            f"av-head: {path} is not understood ({error}); it is damaged, or was written by "
            f"another version of earmark"
        ) from error


def _head(tensors: Mapping[str, NDArray[Any]]) -> Head:
    arrays = {name: np.asarray(value, np.float64) for name, value in tensors.items()}
    layer = {
        name.removeprefix("hidden."): arrays.pop(name)
        for name in list(arrays)
        if name.startswith("hidden.")
    }
    return Head(**arrays, hidden=Hidden(**layer) if layer else None)
