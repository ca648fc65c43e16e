"""One thread for each test, and sounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from earmark.datasets.audio import Waveform


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Inputs here are so small that threads would mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def sound() -> Callable[..., Waveform]:
    """``sound(seconds, rate, seed=0)``: a tone in noise, another one for each seed."""

    def make(seconds: float, rate: int, *, seed: int = 0) -> Waveform:
        random = np.random.default_rng(seed)
        time = np.arange(round(seconds * rate)) / rate
        tone = 0.3 * np.sin(2 * np.pi * 110 * (seed + 1) * time)
        noise = 0.05 * random.standard_normal(len(time))
        return Waveform((tone + noise).astype(np.float32), rate)

    return make
