"""The released implementation's outputs on weights and sounds that anyone can regenerate."""

from __future__ import annotations

import ast
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from earmark.models.dcase.checkpoint import load
from earmark.models.dcase.model import DCASE


def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
    values = np.asarray(np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape))
    if name.endswith("running_var"):
        return 1 + 0.1 * np.abs(values)
    if len(shape) >= 2:
        scale = 0.02 if "embedding" in name else np.sqrt(2 / np.prod(shape[1:]))
        return scale * values
    return 1 + 0.1 * values if name.endswith("weight") else 0.1 * values


def clip(index: int, n_samples: int, rate: int) -> Tensor:
    time = np.arange(n_samples) / rate
    noise = np.random.RandomState(index).standard_normal(n_samples)
    low = np.sin(2 * np.pi * 220 * (index + 1) * time)
    high = np.sin(2 * np.pi * 997 * (index + 1) * time) * np.sin(2 * np.pi * 2 * time)
    return torch.tensor((0.1 * noise + 0.3 * low + 0.2 * high).astype(np.float32))


def relative_error(found: Tensor, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found.numpy() - expected) / np.linalg.norm(expected))


@pytest.fixture(scope="module")
def released(shared_fixtures: Path) -> dict[str, np.ndarray]:
    return dict(np.load(shared_fixtures / "dcase_released_parity.npz"))


@pytest.fixture(scope="module")
def model(released, tmp_path_factory) -> DCASE:
    state = {}
    for name, shape in zip(released["keys"], released["shapes"], strict=True):
        values = draw(str(name), ast.literal_eval(str(shape)))
        counter = str(name).endswith("num_batches_tracked")
        state[str(name)] = torch.tensor(0) if counter else torch.tensor(values).float()
    path = tmp_path_factory.mktemp("released") / "checkpoint"
    torch.save((state, {"state": {}, "param_groups": []}), path)
    return load(path)


@pytest.fixture(scope="module")
def clips() -> list[Tensor]:
    return [clip(index, 264_600, 44_100) for index in range(2)]


def test_log_mels_are_those_of_the_released_code(released, model, clips):
    log_mels, n_frames = model.log_mel(clips)
    assert n_frames.tolist() == [301, 301]
    expected = released["log_mel_every_25_frames"]
    assert relative_error(log_mels[:, ::25], expected) < 1e-5
    assert np.abs(log_mels[:, ::25].numpy() - expected).max() < 1e-4


@torch.no_grad()
def test_audio_embeddings_are_those_of_the_released_code(released, model, clips):
    assert relative_error(model.encode_audio(clips), released["audio_embeddings"]) < 1e-5
    alone = torch.cat([model.encode_audio([each]) for each in clips])
    assert relative_error(alone, released["audio_embeddings"]) < 1e-5
    longer = model.encode_audio([*clips, clip(2, 400_000, 44_100)])[:2]
    assert relative_error(longer, released["audio_embeddings"]) < 1e-5


def test_text_embeddings_are_those_of_the_released_code(released, model):
    ids, lengths = torch.tensor(released["word_ids"]), torch.tensor(released["word_lengths"])
    assert relative_error(model.encode_words(ids, lengths), released["text_embeddings"]) < 1e-6
