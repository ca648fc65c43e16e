"""The oracle of Etude as a model: it ranks clips by the true attributes that a caption mentions.

No model can do better on Etude's captions but by luck: in a report it stands as the ceiling. It
recognises the corpus's own clips by their samples and its own captions by their words, and
refuses everything else.

A clip's score for a caption is the share of the caption's attributes that the clip has. As cosines:
a clip is its 0/1 vector over 16, filled up to unit norm in one more coordinate that captions leave
empty; a caption is its 0/1 vector at unit norm. Equal shares give exactly equal cosines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from earmark.datasets.audio import Waveform, decode_ahead
from earmark.datasets.base import DataError, first_ten
from earmark.datasets.captions import manifest as captions_manifest
from earmark.datasets.etude.corpus import SPLITS
from earmark.datasets.etude.loading import oracle
from earmark.datasets.etude.manifest import CITATION, read_corpus
from earmark.models.base import Floats, ModelCard, ModelError
from earmark.models.support.adapter import check_clips, check_texts

_SCALE = 16
"""A clip's vector stays within the unit sphere for up to 256 attributes, and 1/16 is exact."""


class EtudeOracle:
    """Embeds the clips and captions of one built corpus by their true attributes."""

    sample_rate: int | None = None

    def __init__(self, root: Path, split: str) -> None:
        corpus = read_corpus(root)
        self._truth = oracle(root, split=split)
        self._root, self._split = root, split
        self.dimension = len(self._truth.attributes) + 1
        if self.dimension > _SCALE**2:
            raise ModelError(f"etude-oracle: {self.dimension - 1} attributes, at most 255 fit")
        mentions = self._truth.caption_attributes
        self._captions = dict(zip(self._truth.captions, mentions, strict=True))
        self.card = ModelCard(
            id=f"etude-oracle-{split}",
            version="1",
            weights_digest=hashlib.sha256(f"{corpus.fingerprint} {split}".encode()).hexdigest(),
            licence="Apache-2.0",
            citation=CITATION,
            training_datasets=(),
            crop_policy="whole",
            preprocessing={"corpus": corpus.fingerprint or "", "split": split},
            notes=(
                "Knows the true attributes of every clip and caption: the ceiling of retrieval, "
                "no model that listens.",
            ),
        )

    @cached_property
    def _clips(self) -> dict[bytes, int]:
        """Digest of each clip's samples to its row."""
        opened = captions_manifest.load(self._root / "captions", split=self._split)
        row = {name: index for index, name in enumerate(self._truth.clip_ids)}
        paths = {clip.path: row[clip.id] for clip in opened.clips if clip.path is not None}
        found: dict[bytes, int] = {}
        for path, heard in decode_ahead(list(paths), sample_rate=None, workers=2):
            if not isinstance(heard, Waveform):
                raise DataError(f"Etude at {self._root}: {path}: {heard}; build the corpus again")
            found[_digest(heard)] = paths[path]
        return found

    def embed_audio(self, clips: Sequence[Waveform]) -> Floats:
        """Return unit vectors of shape ``(n_clips, dimension)``.

        Raises
        ------
        ModelError
            If a clip is none of the split's, as the manifests' files decode at their own rate.
        """
        check_clips(clips, None)
        rows = [self._clips.get(_digest(clip)) for clip in clips]
        strange = [f"number {i}" for i, row in enumerate(rows) if row is None]
        if strange:
            raise ModelError(
                f"etude-oracle knows the clips of {self._root} ({self._split}) alone, as WAV; it "
                f"does not know {first_ten(strange)} of this batch"
            )
        known = [row for row in rows if row is not None]
        vectors = np.zeros((len(rows), self.dimension), np.float64)
        vectors[:, :-1] = self._truth.clip_attributes[known] / _SCALE
        vectors[:, -1] = np.sqrt(1 - np.square(vectors[:, :-1]).sum(axis=1))
        return vectors.astype(np.float32)

    def embed_text(self, texts: Sequence[str]) -> Floats:
        """Return unit vectors of shape ``(n_texts, dimension)``.

        Raises
        ------
        ModelError
            If a text is no caption of the split.
        """
        strange = [text for text in check_texts(texts) if text not in self._captions]
        if strange:
            raise ModelError(
                f"etude-oracle knows the captions of {self._root} ({self._split}) alone, not "
                f"{first_ten([repr(text) for text in strange])}"
            )
        vectors = np.zeros((len(texts), self.dimension), np.float64)
        for vector, text in zip(vectors, texts, strict=True):
            mentioned = self._captions[text]
            vector[:-1] = mentioned / np.sqrt(mentioned.sum(dtype=np.float64))
        return vectors.astype(np.float32)


def _digest(clip: Waveform) -> bytes:
    samples = np.ascontiguousarray(clip.samples, "<f4")
    return hashlib.sha256(f"{clip.sample_rate} ".encode() + samples.tobytes()).digest()


def etude_oracle(*, root: str, split: str = "test") -> EtudeOracle:
    """Return the oracle of a split of a built corpus.

    Raises
    ------
    DataError
        If the folder holds no finished corpus, or has no such split.
    """
    if split not in SPLITS:
        raise DataError(f"Etude has no split {split!r}; expected one of {', '.join(SPLITS)}")
    return EtudeOracle(Path(root), split)
