"""Small models without a fault, for tests to plant faults in: NumPy alone, quick to make."""

from __future__ import annotations

import dataclasses
import zlib

import numpy as np

from earmark.models.base import ModelCard
from earmark.models.conformance import check

CARD = ModelCard("honest", "1", "0" * 64, "MIT", "unpublished", (), "the whole clip")


def bands(samples, *, rate=8000):
    """Return log energies in 15 bands of Hz, the mean over frames: a front end without a fault."""
    samples = np.resize(samples, max(len(samples), 512))
    frames = np.lib.stride_tricks.sliding_window_view(samples, 512)[::256]
    power = (np.abs(np.fft.rfft(frames * np.hanning(512))) ** 2).mean(axis=0)
    band = np.digitize(np.fft.rfftfreq(512, 1 / rate), np.geomspace(60, 3500, 14))
    return np.log1p(1e3 * np.bincount(band, power, minlength=15))


def unit(rows):
    rows = np.array([[*row, 0.1] for row in rows], np.float64)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


class Hears:
    card = CARD
    sample_rate: int | None = 8000
    dimension = 16

    def embed_audio(self, clips):
        return unit([bands(clip.samples) for clip in clips])


class Reads:
    card = CARD
    dimension = 16

    def embed_text(self, texts):
        return unit([self.counts(text) for text in texts])

    def counts(self, text):
        words = [zlib.crc32(word.encode()) % 15 for word in text.split()]
        return np.bincount(words, minlength=15)


class Feels:
    card = dataclasses.replace(CARD, av_scale=(1.0, 9.0))
    sample_rate: int | None = 8000

    def predict_av(self, clips):
        """Return arousal and valence, shape ``(n_clips, 2)``."""
        heard = [bands(clip.samples) for clip in clips]
        return np.array([[row.mean(), row.argmax()] for row in heard], np.float32)


class Patches:
    card = CARD
    sample_rate: int | None = 8000
    dimension = 15

    def embed_patches(self, clip):
        parts = np.array_split(clip.samples, 1 + len(clip.samples) // 8000)
        return np.array([bands(part) for part in parts], np.float32)


class Head(Feels):
    """An affine head; it gives arousal and valence."""

    def __init__(self):
        self.embedder = Patches()

    def predict_av(self, clips):
        return np.stack(
            [self.predict_av_from_patches(self.embedder.embed_patches(clip)) for clip in clips]
        )

    def predict_av_from_patches(self, patches):
        return self.predict_av_from_means(patches.mean(axis=0, keepdims=True))[0]

    def predict_av_from_means(self, means):
        return np.stack([means.mean(axis=1), means[:, 3] - means[:, 9]], axis=1)


def statuses(model, **options):
    return {result.name: result for result in check(model, **options)}


def failures(model, **options):
    return {one.name for one in check(model, **options) if one.status == "fail"}
