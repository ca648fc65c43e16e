"""Vectors and arousal/valence drawn by lot: what every task must put at chance.

The lot is decided by the sound or the text itself (and the seed), so that the same item always has
the same outcome, in any batch, on any machine and in any version of NumPy: SHAKE-256 of the content
gives the bits, Box and Muller's transform makes them normal, and the direction is uniform on the
sphere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from earmark.datasets.audio import Waveform
from earmark.models.base import UNTRAINED, Floats, ModelCard, ModelError
from earmark.models.support.adapter import check_clips, unit_vectors


class RandomModel:
    """A sentinel: audio and text embedder and AV model that knows nothing."""

    sample_rate: int | None = None

    def __init__(self, *, seed: int = 0, dimension: int = 512) -> None:
        if dimension < 2:
            raise ModelError(f"random: dimension is {dimension}, expected at least 2")
        self.seed = seed
        self.dimension = dimension
        self.card = ModelCard(
            id=f"random-{dimension}d-seed{seed}",
            version="1",
            weights_digest=UNTRAINED,
            licence="Apache-2.0",
            citation="unpublished",
            training_datasets=(),
            crop_policy="whole",
            preprocessing={"seed": seed, "generator": "SHAKE-256 of the content, Box-Muller"},
            notes=("Drawn by lot: every task must put it at chance.",),
        )

    def embed_audio(self, clips: Sequence[Waveform]) -> Floats:
        """Return unit vectors of shape ``(n_clips, dimension)``, decided by rate and samples.

        Raises
        ------
        ModelError
            If a clip is empty, not mono or not finite.
        """
        return self._unit([self._normal("audio", _content(c), self.dimension) for c in _ok(clips)])

    def embed_text(self, texts: Sequence[str]) -> Floats:
        """Return unit vectors of shape ``(n_texts, dimension)``, decided by the characters.

        Raises
        ------
        ModelError
            If ``texts`` is no list of strings.
        """
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise ModelError(f"expected a list of texts, got {texts!r:.60}")
        contents = (text.encode("utf-8", "surrogatepass") for text in texts)
        return self._unit([self._normal("text", one, self.dimension) for one in contents])

    def predict_av(self, clips: Sequence[Waveform]) -> Floats:
        """Return arousal, valence of each clip, shape ``(n_clips, 2)``: standard normal."""
        rows = [self._normal("av", _content(clip), 2) for clip in _ok(clips)]
        return np.asarray(rows, np.float32).reshape(-1, 2)

    def _unit(self, rows: list[Floats]) -> Floats:
        return unit_vectors(rows, dimension=self.dimension, of="item")

    def _normal(self, kind: str, content: bytes, number: int) -> Floats:
        pairs = (number + 1) // 2
        lot = hashlib.shake_256(f"{self.seed} {kind} ".encode() + content)
        bits = np.frombuffer(lot.digest(16 * pairs), "<u8").astype(np.float64).reshape(2, pairs)
        one, other = (bits + 0.5) / 2.0**64
        radius = np.sqrt(-2 * np.log(np.minimum(one, 1 - 2.0**-53)))
        drawn = np.concatenate(
            [radius * np.cos(2 * np.pi * other), radius * np.sin(2 * np.pi * other)]
        )
        return drawn[:number].astype(np.float32)


def _ok(clips: Sequence[Waveform]) -> Sequence[Waveform]:
    check_clips(clips, None)
    return clips


def _content(clip: Waveform) -> bytes:
    samples = np.ascontiguousarray(clip.samples, "<f4")
    return f"{clip.sample_rate} ".encode() + samples.tobytes()


def random_model(*, seed: int = 0, dimension: int = 512) -> RandomModel:
    """Return the sentinel: equal seeds give equal vectors, whatever the machine.

    Raises
    ------
    ModelError
        If the dimension is below 2.
    """
    return RandomModel(seed=seed, dimension=dimension)
