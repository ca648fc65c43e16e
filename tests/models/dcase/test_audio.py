"""The CRNN: equal to a plain one on equal lengths, and blind to padding.

Equalities are tested in double precision, in which other orders of summation do not show.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from earmark.models.dcase.audio import CRNN, PowerPool, _step_weights
from earmark.models.dcase.config import DCASEConfig


def plain_crnn(encoder: CRNN, log_mels: Tensor) -> Tensor:
    """The encoder with PyTorch's own pooling and interpolation, for clips of one length."""
    layers = [
        nn.LPPool2d(4, module.kernel) if isinstance(module, PowerPool) else module
        for module in encoder.cnn.features
    ]
    features = nn.Sequential(*layers)(log_mels.unsqueeze(1))
    states, _ = encoder.gru(features.transpose(1, 2).flatten(2))
    frames = F.interpolate(states.transpose(1, 2), log_mels.shape[1], mode="linear")
    return frames.mean(dim=2)


def log_mels_of(lengths: list[int], seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(length, 64, generator=generator, dtype=torch.float64) * 3 - 5
        for length in lengths
    ]


def padded(clips: list[Tensor], filler: float = 0.0) -> tuple[Tensor, Tensor]:
    batch = nn.utils.rnn.pad_sequence(clips, batch_first=True, padding_value=filler)
    return batch, torch.tensor([len(clip) for clip in clips])


@pytest.mark.parametrize("n_frames", [4, 5, 31, 200])
def test_equals_a_plain_network_on_clips_of_one_length(make_model, n_frames):
    encoder = make_model().audio_enc.double()
    log_mels = torch.stack(log_mels_of([n_frames] * 3))
    found = encoder(log_mels, torch.full((3,), n_frames))
    assert torch.allclose(found, plain_crnn(encoder, log_mels), atol=1e-10)


def test_equals_a_plain_network_in_training_too(make_model):
    found, expected = (make_model(dropout=0.0).double().train() for _ in range(2))
    log_mels = torch.stack(log_mels_of([40] * 4))
    out = found.audio_enc(log_mels, torch.full((4,), 40))
    reference = plain_crnn(expected.audio_enc, log_mels)
    assert torch.allclose(out, reference, atol=1e-10)
    out.square().sum().backward()
    reference.square().sum().backward()
    for (name, own), other in zip(
        found.audio_enc.named_parameters(), expected.audio_enc.parameters(), strict=True
    ):
        assert torch.allclose(own.grad, other.grad, rtol=1e-8, atol=1e-8), name
    for own, other in zip(found.buffers(), expected.buffers(), strict=True):
        assert torch.allclose(own, other)


@settings(max_examples=10, deadline=None)
@given(lengths=st.lists(st.integers(4, 30), min_size=1, max_size=5))
def test_a_clip_does_not_depend_on_its_batch(lengths):
    clips = log_mels_of(lengths)
    together = ENCODER(*padded(clips))
    for clip, vector in zip(clips, together, strict=True):
        assert torch.allclose(ENCODER(*padded([clip]))[0], vector, atol=1e-10)


def test_what_stands_behind_the_end_of_a_clip_is_never_seen(make_model):
    for training in (False, True):
        model = make_model(dropout=0.0).double().train(training)
        clips = log_mels_of([9, 30, 21])
        zeros, loud = (model.audio_enc(*padded(clips, filler)) for filler in (0.0, 1e6))
        assert torch.equal(zeros, loud)


def test_the_gradient_of_a_padded_batch_is_the_sum_of_its_clips(make_model):
    together, alone = (make_model().double() for _ in range(2))
    clips = log_mels_of([9, 30, 21])
    together.audio_enc(*padded(clips)).square().sum().backward()
    for clip in clips:
        alone.audio_enc(*padded([clip])).square().sum().backward()
    for (name, own), other in zip(
        together.audio_enc.named_parameters(), alone.audio_enc.parameters(), strict=True
    ):
        assert torch.allclose(own.grad, other.grad, rtol=1e-8, atol=1e-8), name


def test_batch_norm_learns_from_frames_inside_clips_only(make_model):
    model = make_model().double().train()
    norm = model.audio_enc.cnn.features[0]
    norm.momentum = 1.0
    clips = log_mels_of([9, 30, 21])
    model.audio_enc(*padded(clips))
    inside = torch.cat(clips)
    assert norm.running_mean.item() == pytest.approx(inside.mean().item(), rel=1e-10)
    assert norm.running_var.item() == pytest.approx(inside.var().item(), rel=1e-10)


@pytest.mark.parametrize("kernel", [(2, 4), (1, 4)])
def test_pooling_is_that_of_pytorch(kernel):
    x = torch.randn(2, 3, 9, 8, dtype=torch.float64)
    assert torch.allclose(PowerPool(kernel)(x), nn.LPPool2d(4, kernel)(x), rtol=1e-12)


def test_pooling_has_the_right_slope():
    x = torch.randn(1, 2, 4, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(PowerPool((2, 4)), x)


def test_silence_has_a_gradient_that_is_finite(make_model):
    zeros = torch.zeros(1, 1, 2, 4, requires_grad=True)
    PowerPool((2, 4))(zeros).sum().backward()
    assert torch.equal(zeros.grad, torch.zeros_like(zeros))
    # Silence alone has no variance: batch norm gives 0 everywhere but for its bias.
    model = make_model().train()
    with torch.no_grad():
        model.audio_enc.cnn.features[0].bias.zero_()
    silence = torch.full((2, 12, 64), -36.0)
    model.audio_enc(silence, torch.tensor([12, 12])).sum().backward()
    assert all(p.grad.isfinite().all() for p in model.audio_enc.parameters())


@given(n_steps=st.integers(1, 40), rest=st.integers(0, 3))
def test_the_weight_of_a_step_is_that_of_linear_interpolation(n_steps, rest):
    n_frames = 4 * n_steps + rest
    each = torch.eye(n_steps, dtype=torch.float64).unsqueeze(0)
    expected = F.interpolate(each, n_frames, mode="linear").mean(dim=2)[0]
    assert torch.allclose(_step_weights(n_steps, n_frames), expected, atol=1e-12)


def test_half_precision_is_close_and_finite(make_model, sound):
    model = make_model()
    clips = [sound(0, 0.5), sound(1, 0.3)]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = model.encode_audio(clips)
    with torch.no_grad():
        full = model.encode_audio(clips)
    assert (F.cosine_similarity(half.float(), full) > 0.99).all()


def _encoder() -> CRNN:
    torch.manual_seed(0)
    encoder = CRNN(DCASEConfig()).double().eval()
    encoder.cnn.features[0].bias.data.fill_(0.7)  # so that padding of 0 is not 0 behind it
    return encoder


ENCODER = _encoder()
