"""Arousal and valence from a joint audio-text model: where a clip lies between two prompts.

The difference of the vectors of two prompts is an axis; a clip's arousal is its vector's projection
on the axis from a low to a high prompt, and likewise its valence. No rating is ever seen, so the
numbers have no scale: they can be ranked and correlated, as in MusAV's pairs.

References
----------
.. [1] J. A. Russell, "A circumplex model of affect", Journal of Personality and Social Psychology
       39(6), 1980: the words that stand at the ends of the two axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from earmark.datasets.audio import Waveform
from earmark.models.base import AudioEmbedder, Floats, ModelCard, ModelError, TextEmbedder, naming

AROUSAL = ("energetic, exciting music", "calm, relaxing music")
VALENCE = ("happy, cheerful music", "sad, gloomy music")
"""High and low."""
_SAME = 1e-4


class JointModel(AudioEmbedder, TextEmbedder, Protocol):
    """Maps audio and text into one space."""


class TextAxisAV:
    """An AV model made of a joint audio-text model and two pairs of prompts."""

    def __init__(
        self,
        embedder: JointModel,
        *,
        arousal: Sequence[str] = AROUSAL,
        valence: Sequence[str] = VALENCE,
    ) -> None:
        self.embedder = embedder
        self.prompts = {"arousal": _pair("arousal", arousal), "valence": _pair("valence", valence)}
        self.sample_rate = embedder.sample_rate
        self.card = self._card()

    def predict_av(self, clips: Sequence[Waveform]) -> Floats:
        """Return arousal, valence of each clip, shape ``(n_clips, 2)``, each in [-1, 1].

        Raises
        ------
        ModelError
            If it gives the two prompts of an axis one vector.
        """
        return self.predict_av_from_vectors(self.embedder.embed_audio(clips))

    def predict_av_from_vectors(self, vectors: Floats) -> Floats:
        """Return arousal, valence from the embedder's vectors, ``(n_clips, dimension)``.

        Raises
        ------
        ModelError
            If the shape is another, or as :meth:`predict_av`.
        """
        vectors = np.asarray(vectors, np.float32)
        if vectors.ndim != 2 or vectors.shape[1] != self.embedder.dimension:
            raise ModelError(
                f"{self.card.id}: vectors have shape {vectors.shape}, expected (n_clips, "
                f"{self.embedder.dimension})"
            )
        # Rows are multiplied one by one: a product's rounding may depend on the batch.
        return np.stack([self.axes @ row for row in vectors]) if len(vectors) else _NOTHING.copy()

    @cached_property
    def axes(self) -> Floats:
        """Unit vectors from low to high arousal and valence, shape ``(2, dimension)``."""
        with naming(f"{self.embedder.card.id}: embed_text of the prompts of arousal and valence"):
            high, low = (
                self.embedder.embed_text([pair[end] for pair in self.prompts.values()])
                for end in (0, 1)
            )
        axes = high.astype(np.float64) - low
        lengths = np.linalg.norm(axes, axis=1, keepdims=True)
        for name, length in zip(self.prompts, lengths[:, 0], strict=True):
            if not length > _SAME:
                raise ModelError(
                    f"{self.embedder.card.id} gives the {name} prompts "
                    f"{' and '.join(map(repr, self.prompts[name]))} one vector: there is no axis"
                )
        return np.asarray(axes / lengths, np.float32)

    def _card(self) -> ModelCard:
        card = self.embedder.card
        stated = {
            f"{name}_{end}": prompt
            for name, pair in self.prompts.items()
            for end, prompt in zip(("high", "low"), pair, strict=True)
        }
        return replace(
            card,
            id=f"{card.id}+text-axis",
            version=f"{card.version}+1",
            preprocessing={**card.preprocessing, **stated},
            notes=(
                *card.notes,
                "Arousal, valence: the projection on the difference of two prompts' vectors. It "
                "has seen no ratings and has no scale.",
            ),
            av_scale=None,
        )


_NOTHING = np.empty((0, 2), np.float32)


def _pair(name: str, prompts: Sequence[str]) -> tuple[str, str]:
    if (
        isinstance(prompts, str)
        or len(prompts) != 2
        or not all(isinstance(p, str) for p in prompts)
    ):
        raise ModelError(f"{name} needs two prompts, high and low, got {prompts!r}")
    if prompts[0] == prompts[1]:
        raise ModelError(f"{name}: both prompts are {prompts[0]!r}")
    return prompts[0], prompts[1]


def text_axis(
    *,
    model: str,
    arousal: Sequence[str] = AROUSAL,
    valence: Sequence[str] = VALENCE,
    **options: Any,
) -> TextAxisAV:
    """Return a joint model as an AV model.

    Parameters
    ----------
    model
        A registered name, or ``module:attribute``, of a joint audio-text model.
    arousal, valence
        Prompts, high and low.
    options
        Of the joint model.

    Raises
    ------
    ModelError
        If the model embeds not both audio and text, or prompts are not two.
    DataError
        If the model or one of its options is unknown.
    """
    from earmark.models.registry import MODELS

    embedder = MODELS.create(model, options)
    if not (isinstance(embedder, AudioEmbedder) and isinstance(embedder, TextEmbedder)):
        raise ModelError(f"text-axis: {model} does not embed both audio and text")
    return TextAxisAV(embedder, arousal=arousal, valence=valence)
