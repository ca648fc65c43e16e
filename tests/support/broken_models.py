"""Working models with one thing broken on purpose: what a gate must name.

Each stands in a suite in place of the model that it breaks, under the same id:

    [models.muscall]
    loader = "tests/support/broken_models.py:unnormalised"
    model = "muscall"
    weights = "{models}/etude/tiny"
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from earmark.datasets.audio import Waveform
from earmark.models.adapters.text_axis import TextAxisAV, text_axis
from earmark.models.base import Floats, ModelCard
from earmark.models.registry import MODELS


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


class ToneListener:
    """Hears the frequency of a sine and reads it in a text: the nearer, the more alike."""

    sample_rate = 8000
    dimension = 33

    def __init__(self, version: str = "1") -> None:
        self.card = ModelCard(
            id="tone-listener",
            version=version,
            weights_digest="0" * 64,
            licence="Apache-2.0",
            citation="",
            training_datasets=(),
            crop_policy="whole",
        )

    def embed_audio(self, clips: Sequence[Waveform]) -> Floats:
        spectra = [np.abs(np.fft.rfft(clip.samples, 8000)) for clip in clips]
        return self._vectors([float(np.argmax(spectrum)) for spectrum in spectra])

    def embed_text(self, texts: Sequence[str]) -> Floats:
        numbers = [re.findall(r"\d+", text) for text in texts]
        return self._vectors([float(found[0]) if found else 0.0 for found in numbers])

    def _vectors(self, hertz: Sequence[float]) -> Floats:
        angles = np.outer(np.asarray(hertz) / 1000, np.arange(1, self.dimension))
        rows = np.hstack([np.ones((len(angles), 1)), np.cos(angles)])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def tone_listener(*, version: str = "1") -> ToneListener:
    return ToneListener(version)
