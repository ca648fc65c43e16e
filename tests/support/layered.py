"""An encoder with three layers, of which the middle one alone knows what a clip's pitch is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from earmark.datasets.audio import Waveform
from earmark.datasets.base import Clip
from earmark.models.base import ModelCard

RATE = 8000
LAYERS = {"front": 5, "middle": 16, "top": 7}


class Layered:
    """Bands of the spectrum in the middle; projections of what is below the last digits around."""

    sample_rate: int | None = RATE

    def __init__(self, *, layers: Sequence[str] = tuple(LAYERS), seed: int = 0) -> None:
        self.layer_dimensions = {name: LAYERS[name] for name in layers}
        self.dimension = list(self.layer_dimensions.values())[-1]
        self.card = ModelCard(
            "layered",
            "1",
            "untrained",
            "MIT",
            "",
            (),
            "whole clip",
            preprocessing={"layers": ", ".join(layers), "seed": seed},
        )
        self._projections = {
            name: np.random.default_rng([seed, size]).standard_normal((64, size))
            for name, size in LAYERS.items()
        }
        self.passes: list[int] = []
        """How many clips each forward pass had."""

    def embed_audio(self, clips: Sequence[Waveform]) -> np.ndarray:
        return self.embed_layers(clips)[list(self.layer_dimensions)[-1]]

    def embed_layers(self, clips: Sequence[Waveform]) -> dict[str, np.ndarray]:
        self.passes.append(len(clips))
        found = [self._pass(clip.samples.astype(np.float64)) for clip in clips]
        return {
            name: np.array([one[name] for one in found], np.float32).reshape(len(clips), size)
            for name, size in self.layer_dimensions.items()
        }

    def _pass(self, samples: np.ndarray) -> dict[str, np.ndarray]:
        power = np.abs(np.fft.rfft(samples, 2048)[:1024]) ** 2
        bands = np.log(power.reshape(64, 16).sum(axis=1) + 1e-6)
        digits = np.resize(samples * 1e4 % 1, 64) - 0.5
        rows = {name: digits @ self._projections[name] + 1e-3 for name in LAYERS}
        rows["middle"] = (bands - bands.mean()) @ self._projections["middle"] + 1e-3
        return {name: row / np.linalg.norm(row) for name, row in rows.items()}


def tones(folder: Path, n: int, *, classes: int = 3) -> list[Clip]:
    """Write noisy tones; a clip's label is how high its tone is."""
    clips = []
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(n):
        rng = np.random.default_rng(number)
        pitch = 300 * (1 + number % classes) * rng.uniform(0.9, 1.1)
        samples = 0.3 * np.sin(2 * np.pi * pitch / RATE * np.arange(2048))
        samples += 0.05 * rng.standard_normal(2048)
        path = folder / f"{number:03}.wav"
        soundfile.write(path, samples, RATE, subtype="FLOAT")
        clips.append(Clip(f"c{number:03}", path, label=f"pitch {number % classes}"))
    return clips
