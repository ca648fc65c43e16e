"""The audio side of adapters whose model hears crops of one length at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from earmark.datasets.audio import Waveform
from earmark.models.base import Floats
from earmark.models.support.adapter import check_clips, inference, unit_vectors
from earmark.models.support.crops import CropPolicy, embed_crops


class CroppedAudio(ABC):
    """Makes an :class:`~earmark.models.base.AudioEmbedder` of what hears crops."""

    crop: CropPolicy
    sample_rate: int | None
    dimension: int
    crops_at_once: ClassVar[int] = 8
    """Bounds the memory; no vector depends on it."""

    def embed_audio(self, clips: Sequence[Waveform]) -> Floats:
        """Return unit vectors of shape ``(n_clips, dimension)``.

        Raises
        ------
        ModelError
            If a clip is empty, not mono, not finite or at another rate.
        """
        check_clips(clips, self.sample_rate)
        with inference():
            rows = embed_crops(
                clips, self.crop, self._hear, dimension=self.dimension, at_once=self.crops_at_once
            )
        return unit_vectors(rows, dimension=self.dimension, of="clip")

    @abstractmethod
    def _hear(self, crops: Floats) -> Floats:
        """Return a vector a crop, shape ``(n_crops, dimension)``."""
