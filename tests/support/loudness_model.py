"""A patch embedder and AV model of one line, in a module of its own: its code is one everywhere."""

from __future__ import annotations

import numpy as np

from earmark.datasets.audio import Waveform
from earmark.models.base import ModelCard


class Loudness:
    """Counts the clips that it hears, may say so, and may be interrupted."""

    card = ModelCard("loudness", "1", "untrained", "MIT", "", (), "all")
    sample_rate = 8000
    dimension = 3

    def __init__(self, *, tells: bool = False, interrupted_at: int | None = None) -> None:
        self.heard = 0
        self.tells = tells
        self.interrupted_at = interrupted_at

    def embed_patches(self, clip: Waveform) -> np.ndarray:
        """Return shape ``(50, 3)``."""
        self.heard += 1
        return clip.samples[: 3 * 50].reshape(50, 3)

    def predict_av(self, clips: list[Waveform]) -> np.ndarray:
        """Return the first two samples of each clip, shape ``(n_clips, 2)``."""
        if self.heard == self.interrupted_at:
            raise KeyboardInterrupt
        self.heard += len(clips)
        if self.tells:
            print("heard", flush=True)
        return np.stack([clip.samples[:2] for clip in clips])
