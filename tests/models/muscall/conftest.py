"""A MusCALL small enough to be made anew in every test."""

from __future__ import annotations

import pytest
import torch

from earmark.models.muscall import MusCALL, MusCALLConfig
from earmark.models.muscall.config import AudioConfig, SelfSupervisionConfig, TextConfig

TINY = MusCALLConfig(
    audio=AudioConfig(
        n_mels=64, clip_seconds=2.0, width=4, layers=(1, 2, 1, 1), heads=4, features=12
    ),
    text=TextConfig(
        vocabulary=50, max_tokens=10, end_token=49, width=16, layers=2, heads=2, unused_norm=True
    ),
    self_supervision=SelfSupervisionConfig(projection=8),
    dimension=6,
)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def tiny_config() -> MusCALLConfig:
    return TINY


@pytest.fixture
def tiny(clips: torch.Tensor) -> MusCALL:
    """In evaluation mode, with BatchNorm's statistics those of the clips, so that they differ."""
    model = MusCALL(TINY)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.weight, mean=1.0, std=0.2)
            torch.nn.init.normal_(module.bias, std=0.2)
            module.momentum = 1.0
    with torch.no_grad():
        model.audio_features(clips)
    return model.eval()


@pytest.fixture
def clips() -> torch.Tensor:
    """Five clips of two seconds, no two alike."""
    time = torch.arange(32_000) / 16_000
    pitches = torch.tensor([110.0, 220.0, 440.0, 880.0, 1760.0])
    return 0.3 * torch.sin(2 * torch.pi * pitches[:, None] * time) + 0.05 * torch.randn(5, 32_000)


@pytest.fixture
def token_ids() -> torch.Tensor:
    """Three texts of 1, 4 and 8 words between start and end token, padded with 0."""
    ids = torch.zeros(3, 10, dtype=torch.long)
    for row, n_words in enumerate((1, 4, 8)):
        ids[row, 0] = 48
        ids[row, 1 : 1 + n_words] = torch.randint(1, 48, (n_words,))
        ids[row, 1 + n_words] = 49
    return ids
