"""A small DCASE baseline with made-up words, and sounds to feed it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from earmark.models.dcase.config import DCASEConfig
from earmark.models.dcase.model import DCASE
from earmark.models.dcase.text import Vocabulary

RATE = 44_100
WORDS = ["<pad>", "slow", "piano", "English", "guitar", "rock", "not", "fast", "<UNK>"]


@pytest.fixture
def words() -> list[str]:
    return list(WORDS)


@pytest.fixture
def make_model() -> Callable[..., DCASE]:
    """Return a function that builds a seeded model, with batch norms that have seen data."""

    def build(**options: object) -> DCASE:
        torch.manual_seed(0)
        table = torch.randn(len(WORDS), 300)
        table[0] = 0
        model = DCASE(table, Vocabulary(WORDS), DCASEConfig(**options))  # type: ignore[arg-type]
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.data.uniform_(0.5, 1.5)
                module.bias.data.uniform_(-0.5, 0.5)
                module.running_mean.uniform_(-1, 1)
                module.running_var.uniform_(0.5, 2)
        return model.eval()

    return build


@pytest.fixture
def sound() -> Callable[..., Tensor]:
    """Return a function that gives a tone in noise, shape ``(n_samples,)``."""

    def tone(seed: int, seconds: float, frequency: float = 440.0) -> Tensor:
        random = np.random.default_rng(seed)
        time = np.arange(round(seconds * RATE)) / RATE
        noise = 0.05 * random.standard_normal(len(time))
        return torch.tensor(noise + 0.3 * np.sin(2 * np.pi * frequency * time)).float()

    return tone
