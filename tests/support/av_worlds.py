"""Invented embeddings with ratings or judgements of known making, and a small embedder."""

from __future__ import annotations

import numpy as np

from earmark.datasets.audio import Waveform
from earmark.models.av_heads.pairwise import ComparedPairs
from earmark.models.base import ModelCard

BANDS = 16


def rated_world(n=120, dimension=8, *, noise=0.3, seed=0):
    """Return features ``(n, dimension)`` on unlike scales and noisy linear ratings ``(n, 2)``."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, dimension)) * rng.uniform(0.1, 10, dimension) + 3
    weights = rng.normal(size=(dimension, 2))
    z = (features - features.mean(axis=0)) / features.std(axis=0)
    return features, 5 + z @ weights + noise * rng.normal(size=(n, 2))


def judged_world(n_triplets=400, dimension=5, *, log_nu=-0.5, voters=3, seed=0):
    """Return features, weights ``(dimension, 2)`` and votes drawn from Davidson's model.

    Three tracks a triplet, in all three pairs; columns of features have mean 0 and deviation 1.
    """
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(3 * n_triplets, dimension))
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    weights = rng.normal(size=(dimension, 2))
    place = 3 * np.repeat(np.arange(n_triplets), 3)
    first, second = place + np.tile([0, 0, 1], n_triplets), place + np.tile([1, 2, 2], n_triplets)
    compared = {}
    for column, name in enumerate(("arousal", "valence")):
        lead = (features[first] - features[second]) @ weights[:, column]
        odds = np.exp(np.stack([lead / 2, np.full_like(lead, log_nu), -lead / 2], axis=1))
        chances = odds / odds.sum(axis=1, keepdims=True)
        votes = np.array([rng.multinomial(voters, chance) for chance in chances], float)
        triplets = np.array([f"t{index // 3}" for index in range(len(first))])
        compared[name] = ComparedPairs(first, second, votes, triplets)
    return features, weights, compared


class BandPatches:
    """A PatchEmbedder without weights: log energies of bands, one patch every half second."""

    sample_rate: int | None = 16_000
    dimension = BANDS

    def __init__(self, *, name: str = "bands") -> None:
        self.card = ModelCard(
            id=name,
            version="1",
            weights_digest="b" * 64,
            licence="Apache-2.0",
            citation="unpublished",
            training_datasets=("msd",),
            crop_policy="windows(0.5 s, 0.5 s)",
            preprocessing={"features": "log band energies"},
        )

    def embed_patches(self, clip: Waveform):
        """Return shape ``(n_patches, 16)``."""
        size = 8_000
        samples = np.resize(clip.samples, max(len(clip.samples) // size, 1) * size)
        power = np.abs(np.fft.rfft(samples.reshape(-1, size), axis=1)[:, 1:]) ** 2
        bands = np.array_split(power, BANDS, axis=1)
        means = np.stack([band.mean(axis=1) for band in bands], axis=1)
        return np.log10(means + 1e-6).astype(np.float32)


class BandVectors:
    """An AudioEmbedder of the same: unit vectors of whole clips."""

    sample_rate: int | None = 16_000
    dimension = BANDS

    def __init__(self) -> None:
        self._patches = BandPatches(name="band-vectors")
        self.card = self._patches.card

    def embed_audio(self, clips):
        """Return shape ``(n_clips, 16)``."""
        rows = [self._patches.embed_patches(clip).mean(axis=0) for clip in clips]
        return np.array([row / np.linalg.norm(row) for row in rows], np.float32).reshape(-1, BANDS)
