"""Working models with one thing broken on purpose: what a gate must name.

Each stands in a suite in place of the model that it breaks, under the same id:

    [models.muscall]
    loader = "tests/support/broken_models.py:unnormalised"
    model = "muscall"
    weights = "{models}/etude/tiny"
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from earmark.datasets.audio import Waveform
from earmark.models.base import Floats
from earmark.models.registry import MODELS
from earmark.models.text_axis_av import TextAxisAV, text_axis


class Unchanged:
    """A joint model, handed on as it is."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.card = model.card
        self.sample_rate = model.sample_rate
        self.dimension = model.dimension

    def embed_audio(self, clips: Sequence[Waveform]) -> Floats:
        return np.asarray(self.model.embed_audio(clips))

    def embed_text(self, texts: Sequence[str]) -> Floats:
        return np.asarray(self.model.embed_text(texts))


class Unnormalised(Unchanged):
    """The last step of the audio tower, the division by the norm, is left out."""

    def embed_audio(self, clips: Sequence[Waveform]) -> Floats:
        loudness = [1 + float(np.abs(clip.samples).mean()) for clip in clips]
        return super().embed_audio(clips) * np.asarray(loudness, np.float32)[:, None]


class UnknownWords(Unchanged):
    """The tokeniser finds no word in its vocabulary: each becomes the same unknown token."""

    def embed_text(self, texts: Sequence[str]) -> Floats:
        return super().embed_text([" ".join("☃" for _ in text.split()) for text in texts])


class SwappedAxes(TextAxisAV):
    """Valence stands where arousal belongs."""

    def predict_av_from_vectors(self, vectors: Floats) -> Floats:
        return np.ascontiguousarray(super().predict_av_from_vectors(vectors)[:, ::-1])


def unnormalised(*, model: str, **options: Any) -> Unnormalised:
    return Unnormalised(MODELS.create(model, options))


def unknown_words(*, model: str, **options: Any) -> UnknownWords:
    return UnknownWords(MODELS.create(model, options))


def swapped_axes(*, model: str, **options: Any) -> SwappedAxes:
    return SwappedAxes(text_axis(model=model, **options).embedder)
