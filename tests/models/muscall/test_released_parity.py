"""The released preset against outputs of the released code, on weights that anyone can make.

The fixtures' README states how weights and waveforms follow from names and seeds.
"""

from __future__ import annotations

import ast
import zlib

import numpy as np
import pytest
import torch
from torch import Tensor

from earmark.models.muscall import RELEASED, MusCALL
from earmark.models.muscall.audio import mel_filter_bank
from earmark.models.muscall.checkpoint import load_released
from earmark.models.muscall.losses import Rows, info_nce, released_weights


def made_weight(name: str, shape: tuple[int, ...]) -> Tensor:
    if name == "logit_scale":
        return torch.tensor(np.log(1 / 0.07), dtype=torch.float32)
    if name.endswith("num_batches_tracked"):
        return torch.tensor(0)
    if name.endswith("spectrogram.window"):
        return torch.hann_window(1024)
    if name.endswith("mel_scale.fb"):
        return mel_filter_bank(RELEASED.audio)
    z = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    if name.endswith("running_var"):
        z = 1 + 0.1 * np.abs(z)
    elif len(shape) >= 2:
        z = 0.02 * z if "embedding" in name else z * np.sqrt(2 / np.prod(shape[1:]))
    else:
        z = 1 + 0.1 * z if name.endswith("weight") else 0.1 * z
    return torch.tensor(z, dtype=torch.float32)


def made_clip(i: int, n: int = 320_000, rate: int = 16_000) -> np.ndarray:
    t = np.arange(n) / rate
    tone = 0.3 * np.sin(2 * np.pi * 220 * (i + 1) * t)
    beating = 0.2 * np.sin(2 * np.pi * 997 * (i + 1) * t) * np.sin(2 * np.pi * 2 * t)
    return 0.1 * np.random.RandomState(i).standard_normal(n) + tone + beating


@pytest.fixture(scope="module")
def fixture(shared_fixtures):
    return np.load(shared_fixtures / "muscall_released_parity.npz")


@pytest.fixture(scope="module")
def clips() -> Tensor:
    return torch.tensor(np.stack([made_clip(i) for i in range(3)]), dtype=torch.float32)


@pytest.fixture(scope="module")
def state(fixture) -> dict[str, Tensor]:
    shapes = zip(fixture["keys"], fixture["shapes"], strict=True)
    return {str(name): made_weight(str(name), ast.literal_eval(str(s))) for name, s in shapes}


@pytest.fixture(scope="module")
def attention(state, tmp_path_factory) -> MusCALL:
    path = tmp_path_factory.mktemp("released") / "best_model.pth.tar"
    torch.save({"epoch": 99, "state_dict": state, "optimizer": {}}, path)
    return load_released(path)


@pytest.fixture(scope="module")
def average(state, fixture, tmp_path_factory) -> MusCALL:
    names = {str(name) for name in fixture["average_keys"]}
    made = {name: value for name, value in state.items() if name in names}
    for name, shape in (("weight", (256, 512)), ("bias", (256,))):
        name = f"audio_backbone.final_linear.{name}"
        made[name] = made_weight(name, shape)
    assert made.keys() == names
    path = tmp_path_factory.mktemp("released") / "average.pth.tar"
    torch.save({"epoch": 99, "state_dict": made, "optimizer": {}}, path)
    return load_released(path)


def assert_within_1e4(ours: Tensor, released: np.ndarray) -> None:
    difference = np.abs(ours.detach().numpy() - released).max()
    assert difference <= 1e-4 * np.abs(released).max()


def test_the_checkpoint_has_394_tensors_and_40774153_parameters(state, attention):
    assert len(state) == 394
    assert sum(parameter.numel() for parameter in attention.parameters()) == 40_774_153
    assert attention.config == RELEASED


def test_mel_in_decibels(fixture, attention, clips):
    assert_within_1e4(attention.log_mel(clips)[:, :, ::25], fixture["mel_db_every_25_frames"])


@pytest.mark.parametrize("pooling", ["attention", "average"])
def test_features_and_logits(pooling, fixture, clips, request):
    model = request.getfixturevalue(pooling)
    assert model.config.audio.pooling == pooling
    with torch.no_grad():
        audio = model.audio_features(clips)
        text = model.text_features(torch.tensor(fixture["tokens"]))
        assert_within_1e4(audio, fixture[f"audio_features_{pooling}"])
        assert_within_1e4(text, fixture["text_features"])
        assert_within_1e4(model.logits(audio, text), fixture[f"logits_per_audio_{pooling}"])


@pytest.mark.parametrize("pooling", ["attention", "average"])
def test_the_model_for_inference_gives_the_released_vectors(pooling, fixture, clips, request):
    fast = request.getfixturevalue(pooling).for_inference()
    released = torch.tensor(fixture[f"audio_features_{pooling}"])
    expected = torch.nn.functional.normalize(released, dim=1)
    assert_within_1e4(fast.encode_audio(clips), expected.numpy())


def test_losses(fixture):
    logits = torch.tensor(fixture["loss_logits_per_text"]).T
    weights = released_weights(torch.tensor(fixture["loss_sentence_similarity"]), k=0.01)
    rows = Rows.alone(logits), Rows.alone(torch.eye(len(logits)))
    plain = info_nce(*rows, scale=1.0, combination="mean")
    weighted = info_nce(*rows, scale=1.0, combination="mean", weights=weights)
    assert plain.item() == pytest.approx(float(fixture["loss_clip"]), rel=1e-5)
    assert weighted.item() == pytest.approx(float(fixture["loss_weighted_clip"]), rel=1e-5)
    assert weighted.item() != pytest.approx(plain.item(), rel=0.1)
