"""A model that hears every clip louder or softer than it is, to see what level does to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from earmark.datasets.audio import Waveform
from earmark.models.base import (
    ArousalValenceModel,
    AudioEmbedder,
    Floats,
    ModelCard,
    ModelError,
    PatchEmbedder,
)


class _Gained:
    """What all have in common: samples times the gain in float32, which nothing clips."""

    def __init__(self, model: Any, gain_db: float) -> None:
        self.model = model
        self.gain_db = gain_db
        self.sample_rate: int | None = model.sample_rate
        self.card = _card(model.card, gain_db)

    def _louder(self, clip: Waveform) -> Waveform:
        return replace(clip, samples=clip.samples * np.float32(10 ** (self.gain_db / 20)))


class GainedPatchEmbedder(_Gained):
    """A :class:`~earmark.models.base.PatchEmbedder`."""

    def __init__(self, model: PatchEmbedder, gain_db: float) -> None:
        super().__init__(model, gain_db)
        self.dimension = model.dimension

    def embed_patches(self, clip: Waveform) -> Floats:
        """Return the patches of the clip with the gain; raises as the model."""
        found: Floats = self.model.embed_patches(self._louder(clip))
        return found


class GainedAudioEmbedder(_Gained):
    """An :class:`~earmark.models.base.AudioEmbedder`."""

    def __init__(self, model: AudioEmbedder, gain_db: float) -> None:
        super().__init__(model, gain_db)
        self.dimension = model.dimension

    def embed_audio(self, clips: Sequence[Waveform]) -> Floats:
        """Return the vectors of the clips with the gain; raises as the model."""
        found: Floats = self.model.embed_audio([self._louder(clip) for clip in clips])
        return found


class GainedAVModel(_Gained):
    """An :class:`~earmark.models.base.ArousalValenceModel`."""

    def __init__(self, model: ArousalValenceModel, gain_db: float) -> None:
        super().__init__(model, gain_db)

    def predict_av(self, clips: Sequence[Waveform]) -> Floats:
        """Return arousal, valence of the clips with the gain; raises as the model."""
        found: Floats = self.model.predict_av([self._louder(clip) for clip in clips])
        return found


def with_gain(model: Any, gain_db: float) -> Any:
    """Return an embedder, or else an AV model, that hears its clips with a gain in dB.

    Raises
    ------
    ModelError
        If the gain is not finite, or it is neither.
    """
    if not np.isfinite(gain_db):
        raise ModelError(f"a gain is {gain_db} dB, expected a finite number")
    if isinstance(model, PatchEmbedder):
        return GainedPatchEmbedder(model, gain_db)
    if isinstance(model, AudioEmbedder):
        return GainedAudioEmbedder(model, gain_db)
    if isinstance(model, ArousalValenceModel):
        return GainedAVModel(model, gain_db)
    raise ModelError(f"{type(model).__name__} neither embeds audio nor predicts arousal, valence")


def _card(card: ModelCard, gain_db: float) -> ModelCard:
    return replace(
        card,
        id=f"{card.id} {gain_db:+g} dB",
        preprocessing={**card.preprocessing, "gain_db": float(gain_db), "clipping": "none"},
    )
