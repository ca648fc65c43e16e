"""What embedders make of a dataset's clips, for heads: from audio or from kept vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.bench.embeddings.embeddings import Embeddings
from earmark.datasets.audio import AudioError, file_digest
from earmark.datasets.base import Clip, DataError, RatedClips
from earmark.datasets.captions.stored_pairs import read_means
from earmark.datasets.files.data_paths import resolve
from earmark.datasets.judgements.judged import JudgedPairs
from earmark.datasets.judgements.pairwise import PairwiseJudgements
from earmark.models.base import PatchEmbedder, layers_of
from earmark.reports.record.schema import ItemProblem

Floats = NDArray[np.float32]
LearnedFrom = RatedClips | PairwiseJudgements
TestedOn = RatedClips | JudgedPairs


@dataclass(frozen=True, slots=True)
class Heard:
    """An embedder's vectors of one dataset."""

    vectors: Mapping[str, Floats]
    """By clip id; of clips that could not be heard there is none."""
    source: str
    """``audio``, or the name of the file."""
    problems: Sequence[ItemProblem] = ()
    warnings: Sequence[str] = ()
    seconds: float | None = None
    layers: Mapping[str, int] = field(default_factory=dict)
    """Of an embedder with several layers, which stand one after the other in a vector: their names
    and dimensions."""

    def rows(self, ids: Sequence[str]) -> Floats:
        """Return the vectors of clips, shape ``(n, dimension)``."""
        return np.stack([self.vectors[one] for one in ids])

    def own_rows(self, ids: Sequence[str]) -> Floats:
        """Return the embedder's own vectors, of several layers the last one's."""
        rows = self.rows(ids)
        return rows[:, -list(self.layers.values())[-1] :] if self.layers else rows


def hear(model: Any, clips: Sequence[Clip], embeddings: Embeddings, *, stored: str | None) -> Heard:
    """Return one vector a clip: the mean of its patches, or its vector of unit norm.

    Of an embedder with several layers a vector is that of each, one after the other.

    Parameters
    ----------
    stored
        npz with ``songids`` and ``embeddings``, read where no clip has audio.

    Raises
    ------
    DataError
        If there is neither audio nor a file, or the file holds none of the clips, or vectors of
        another dimension than the embedder's.
    """
    if any(clip.path for clip in clips):
        return _from_audio(model, clips, embeddings)
    if stored is None:
        raise DataError("no clip has audio here, and no file of embeddings is named for it")
    path = resolve(stored)
    ids, rows = read_means(path)
    layers = layers_read(model)
    expected = sum(layers.values()) if layers else model.dimension
    if rows.shape[1] != expected:
        raise DataError(
            f"embeddings {path} have {rows.shape[1]} dimensions, {model.card.id} gives "
            f"{expected}{' in all its layers' * bool(layers)}: they are of another embedder"
        )
    known = dict(zip(ids, rows, strict=True))
    found = {clip.id: known[clip.id] for clip in clips if clip.id in known}
    if not found:
        raise DataError(f"embeddings {path} hold none of the {len(clips)} clips")
    missing = [
        ItemProblem(item=clip.id, reason=f"no row in {path.name}")
        for clip in clips
        if clip.id not in found
    ]
    source = f"embeddings, {path.name}, sha256 {file_digest(path)[:12]}"
    return Heard(found, source, missing, layers=layers)


def _from_audio(model: Any, clips: Sequence[Clip], embeddings: Embeddings) -> Heard:
    if isinstance(model, PatchEmbedder):
        patches = embeddings.patches(model, clips)
        # As precise as means that are kept in files, so that both are the same to a head.
        means = {
            name: rows.mean(axis=0, dtype=np.float64).astype(np.float32)
            for name, rows in patches.items()
        }
        return Heard(means, "audio", patches.problems, patches.warnings, patches.seconds)
    found = embeddings.audio_vectors(model, clips)
    layers = layers_read(model)
    rows = np.concatenate([found.layers[name] for name in layers], axis=1) if layers else found.rows
    vectors = dict(zip(found.ids, rows, strict=True))
    return Heard(vectors, "audio", found.problems, found.warnings, found.seconds, layers)


def layers_read(model: Any) -> dict[str, int]:
    """Return the layers that heads choose from; none of a network that is read patch by patch."""
    return {} if isinstance(model, PatchEmbedder) else layers_of(model)


def clips_of(dataset: LearnedFrom | TestedOn) -> Sequence[Clip]:
    """Return the clips of any dataset that heads learn from or are tested on."""
    return dataset.clips() if isinstance(dataset, JudgedPairs) else dataset.clips


def as_learned(name: str, dataset: Any) -> LearnedFrom:
    """Return a dataset as what heads learn from; MusAV as its judgements.

    Raises
    ------
    DataError
        If heads cannot learn from it.
    """
    if isinstance(dataset, JudgedPairs):
        return dataset.comparisons()
    if isinstance(dataset, RatedClips | PairwiseJudgements):
        return dataset
    raise DataError(
        f"train names {name!r}, which is {type(dataset).__name__}: heads learn from rated clips, "
        f"from pairwise judgements or from judged pairs"
    )


def as_tested(name: str, dataset: Any) -> TestedOn:
    """Return a dataset that heads can be tested on.

    Raises
    ------
    DataError
        If they cannot.
    """
    if isinstance(dataset, JudgedPairs | RatedClips):
        return dataset
    raise DataError(
        f"test names {name!r}, which is {type(dataset).__name__}: heads are tested on rated clips "
        f"or on judged pairs"
    )


@dataclass(slots=True)
class Recordings:
    """Tells clips that are the same file under two ids."""

    _digests: dict[Path, str | None] = field(default_factory=dict)

    def shared(self, train: Sequence[Clip], test: Sequence[Clip]) -> set[str]:
        """Return the ids of the training clips whose file is, byte for byte, a tested one."""
        tested = {self._digest(clip) for clip in test} - {None}
        return {clip.id for clip in train if self._digest(clip) in tested} if tested else set()

    def _digest(self, clip: Clip) -> str | None:
        if clip.path is None:
            return None
        if clip.path not in self._digests:
            try:
                self._digests[clip.path] = file_digest(clip.path)
            except (AudioError, OSError):  # what cannot be read cannot be learned from either
                self._digests[clip.path] = None
        return self._digests[clip.path]
