"""Models that hear every clip at another level: by a gain, or brought to one loudness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from earmark.datasets.audio import Waveform
from earmark.datasets.loudness import SILENCE_LUFS, loudness
from earmark.models.base import (
    ArousalValenceModel,
    AudioEmbedder,
    ClipError,
    Floats,
    ModelCard,
    ModelError,
    PatchEmbedder,
    PatchHead,
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


class _AtLoudness:
    """A model of any kind that hears every clip at one integrated loudness in LUFS."""

    def __init__(self, model: Any, lufs: float) -> None:
        self.model = model
        self.lufs = lufs
        self.card = _card_at_loudness(model.card, lufs)
        if isinstance(model, PatchHead):
            self.embedder = at_loudness(model.embedder, lufs)
        for name in _AS_THEY_ARE:
            if hasattr(model, name):
                setattr(self, name, getattr(model, name))

    def _heard(self, clip: Waveform) -> Waveform:
        found = loudness_as_stereo(clip)
        if found <= SILENCE_LUFS:
            raise ClipError(f"no block is above {SILENCE_LUFS:g} LUFS: it cannot be normalised")
        return replace(clip, samples=clip.samples * np.float32(10 ** ((self.lufs - found) / 20)))


def _embed_audio(self: _AtLoudness, clips: Sequence[Waveform]) -> Floats:
    found: Floats = self.model.embed_audio([self._heard(clip) for clip in clips])
    return found


def _predict_av(self: _AtLoudness, clips: Sequence[Waveform]) -> Floats:
    found: Floats = self.model.predict_av([self._heard(clip) for clip in clips])
    return found


def _embed_patches(self: _AtLoudness, clip: Waveform) -> Floats:
    found: Floats = self.model.embed_patches(self._heard(clip))
    return found


_LISTENING = {
    "embed_audio": _embed_audio,
    "predict_av": _predict_av,
    "embed_patches": _embed_patches,
}
_AS_THEY_ARE = (
    "sample_rate",
    "dimension",
    "embed_text",
    "predict_av_from_patches",
    "predict_av_from_means",
    "predict_av_from_vectors",
)


def at_loudness(model: Any, lufs: float) -> Any:
    """Return a model of any kind that hears every clip at an integrated loudness in LUFS.

    A clip without a block above the gate of -70 LUFS is a :class:`ClipError`.

    Raises
    ------
    ModelError
        If the loudness is not above -70 and at most 0 LUFS.
    """
    if not SILENCE_LUFS < lufs <= 0:
        raise ModelError(
            f"loudness is {lufs} LUFS, expected a number above {SILENCE_LUFS:g} and at most 0"
        )
    # Only the methods that the model has: tasks go by them.
    methods = {name: method for name, method in _LISTENING.items() if hasattr(model, name)}
    kind = type("AtLoudness", (_AtLoudness,), {**methods, "__module__": __name__})
    return kind(model, lufs)


def loudness_as_stereo(clip: Waveform) -> float:
    """Return a clip's integrated loudness in LUFS as two equal channels, as a player plays it.

    A clip shorter than 0.5 s is repeated to it.
    """
    heard = np.resize(clip.samples, max(clip.samples.size, clip.sample_rate // 2))
    found = loudness(heard, clip.sample_rate)
    return found if found <= SILENCE_LUFS else found + 10 * float(np.log10(2))


def _card_at_loudness(card: ModelCard, lufs: float) -> ModelCard:
    return replace(
        card,
        id=f"{card.id}@{lufs:g}LUFS",
        preprocessing={**card.preprocessing, "heard_at_lufs": float(lufs)},
        notes=(
            *card.notes,
            f"Each clip is scaled to {lufs:g} LUFS (EBU R 128, integrated), measured at the rate "
            f"that it is heard at, on the mono downmix as two equal channels. Peaks above 1 are "
            f"not clipped.",
        ),
    )
