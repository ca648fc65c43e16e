"""Audio from files: decoding, downmix, resampling, loudness and the faults of broken files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Waveform:
    """Mono audio: ``samples`` of shape ``(n_samples,)``, float32 in [-1, 1], at ``sample_rate`` Hz."""

    samples: NDArray[np.float32]
    sample_rate: int
