"""The whole model: what it encodes, what it must not depend on, and that it learns."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from earmark.datasets.files.config_files import validated
from earmark.models.base import ModelError
from earmark.models.muscall import PAPER, RELEASED, MusCALL, model
from earmark.models.muscall.config import (
    PAPER_SSL,
    RELEASED_SSL,
    AudioConfig,
    LossConfig,
    SelfSupervisionConfig,
    TextConfig,
    preset,
)
from earmark.models.muscall.losses import (
    Rows,
    info_nce,
    nt_xent,
    pair_weights,
    unit,
    with_self_supervision,
)


def same(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=2e-6)


def test_the_released_preset_has_the_released_numbers_of_parameters():
    model = MusCALL.from_preset("released")
    counts = {
        name: sum(parameter.numel() for parameter in part.parameters())
        for name, part in model.named_children()
    }
    assert counts == {
        "log_mel": 0,
        "audio_encoder": 2_439_176,
        "text_encoder": 37_941_760,
        "audio_projection": 131_072,
        "text_projection": 262_144,
    }
    assert model.logit_scale.numel() == 1


def test_presets_differ_where_their_table_says_and_nowhere_else():
    assert preset("paper") is PAPER
    assert preset("released") is RELEASED
    assert replace(PAPER.audio, f_max=11_025.0) == RELEASED.audio
    assert replace(PAPER.text, unused_norm=True) == RELEASED.text
    assert PAPER.loss == LossConfig(combination="sum", weighting="released", kappa=0.01)
    assert RELEASED.loss == LossConfig(combination="mean", weighting=None, kappa=0.01)
    assert SelfSupervisionConfig(projection=256, temperature=0.5, weight=0.3) == PAPER_SSL
    assert replace(PAPER_SSL, projection=128) == RELEASED_SSL
    with pytest.raises(ModelError, match=r"no preset 'Paper', expected one of paper, released"):
        preset("Paper")


def test_vectors_have_unit_norm_and_no_two_are_alike(tiny, clips, token_ids):
    for vectors in (tiny.encode_audio(clips), tiny.encode_text(token_ids)):
        same(vectors.norm(dim=1), torch.ones(len(vectors)))
        cosines = vectors @ vectors.T
        assert cosines.fill_diagonal_(0).max() < 0.99


def test_a_clip_or_text_alone_is_the_same_as_in_a_batch_and_in_any_order(tiny, clips, token_ids):
    together, text_together = tiny.encode_audio(clips), tiny.encode_text(token_ids)
    same(torch.cat([tiny.encode_audio(clip[None]) for clip in clips]), together)
    same(torch.cat([tiny.encode_text(ids[None]) for ids in token_ids]), text_together)
    order = [3, 0, 4, 1, 2]
    same(tiny.encode_audio(clips[order]), together[order])
    same(tiny.encode_text(token_ids[[2, 0, 1]]), text_together[[2, 0, 1]])


def test_a_batch_too_large_for_the_caches_is_encoded_in_parts(tiny, clips, monkeypatch):
    at_once = tiny.encode_audio(clips)
    sizes = []
    tiny.audio_encoder.register_forward_hook(lambda module, x, y: sizes.append(len(y)))
    monkeypatch.setattr(model, "_CPU_SECONDS", 4)
    same(tiny.encode_audio(clips), at_once)
    monkeypatch.setattr(model, "_CPU_SECONDS", 1)
    same(tiny.encode_audio(clips), at_once)
    assert sizes == [2, 2, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("n_samples", [1, 600, 15_360, 31_999, 32_000, 48_000, 320_000])
@pytest.mark.parametrize("pooling", ["attention", "average"])
def test_any_length_is_encoded(n_samples, pooling, tiny_config):
    config = replace(tiny_config, audio=replace(tiny_config.audio, pooling=pooling))
    vectors = MusCALL(config).eval().encode_audio(torch.randn(2, n_samples))
    assert vectors.shape == (2, 6)
    same(vectors.norm(dim=1), torch.ones(2))


def test_audio_below_the_minimum_is_as_if_silence_followed(tiny):
    short = torch.randn(2, 9000)
    padded = torch.cat([short, torch.zeros(2, 15_360 - 9000)], dim=1)
    same(tiny.encode_audio(short), tiny.encode_audio(padded))


def test_says_when_positions_are_interpolated(tiny, tiny_config):
    # The grid of 2 s has 2 steps; it stays so from 63 frames to 94.
    said = {n: tiny.interpolates_positions(n) for n in (1, 15_360, 31_743, 31_744, 32_000, 48_127)}
    assert said == {
        1: True,
        15_360: True,
        31_743: True,
        31_744: False,
        32_000: False,
        48_127: False,
    }
    assert tiny.interpolates_positions(48_128)
    averaged = replace(tiny_config, audio=replace(tiny_config.audio, pooling="average"))
    assert not MusCALL(averaged).interpolates_positions(1)


def test_what_it_says_of_interpolation_is_what_happens(tiny):
    pool = tiny.audio_encoder.pool
    for n_samples in (1, 16_000, 31_743, 31_744, 32_000, 48_127, 48_128, 64_000):
        grids = []
        hook = tiny.audio_encoder.layer4.register_forward_hook(
            lambda module, x, y, grids=grids: grids.append(tuple(y.shape[2:]))
        )
        tiny.encode_audio(torch.randn(1, n_samples))
        hook.remove()
        assert (grids != [pool.grid]) == tiny.interpolates_positions(n_samples)


def test_silence_has_a_vector_of_its_own(tiny):
    silence = tiny.encode_audio(torch.zeros(1, 32_000))
    assert silence.isfinite().all()
    same(silence.norm(dim=1), torch.ones(1))


@pytest.mark.parametrize(
    ("waveforms", "message"),
    [
        (torch.zeros(100), r"float32 of shape \(100,\)"),
        (torch.zeros(0, 100), r"shape \(0, 100\)"),
        (torch.zeros(2, 0), r"shape \(2, 0\)"),
        (torch.zeros(1, 2, 100), r"shape \(1, 2, 100\)"),
        (torch.zeros(1, 100, dtype=torch.int16), r"int16 of shape \(1, 100\)"),
        (torch.tensor([[0.0, 0.1], [0.2, math.nan]]), "clip 1 has samples that are not finite"),
        (torch.tensor([[math.inf, 0.1]]), "clip 0 has samples that are not finite"),
    ],
)
def test_bad_waveforms_are_named(waveforms, message, tiny):
    with pytest.raises(ValueError, match=message):
        tiny.encode_audio(waveforms)


def test_refuses_to_encode_in_training_mode(tiny, clips, token_ids):
    tiny.train()
    for encode in (
        lambda: tiny.encode_audio(clips),
        lambda: tiny.encode_text(token_ids),
        tiny.for_inference,
    ):
        with pytest.raises(ValueError, match=r"call \.eval\(\) first"):
            encode()


def test_logits_are_cosines_over_the_temperature(tiny, clips, token_ids):
    cosines = tiny.encode_audio(clips) @ tiny.encode_text(token_ids).T
    torch.testing.assert_close(tiny(clips, token_ids), cosines / 0.07, rtol=1e-4, atol=1e-4)


def test_the_temperature_starts_at_0_07_and_stops_at_0_01(tiny):
    assert tiny.logit_scale.item() == pytest.approx(math.log(1 / 0.07))
    with torch.no_grad():
        tiny.logit_scale.fill_(9.0)
    tiny.clamp_temperature()
    assert tiny.logit_scale.exp().item() == pytest.approx(100)
    with torch.no_grad():
        tiny.logit_scale.fill_(-3.0)
    tiny.clamp_temperature()
    assert tiny.logit_scale.item() == -3


def test_five_clips_are_learned_and_every_parameter_learns(tiny, clips, tiny_config):
    texts = torch.tensor([[48, word, 49] for word in (3, 9, 14, 20, 41)])
    similarity = torch.eye(5) * 0.6 + 0.4
    ssl = tiny_config.self_supervision
    tiny.train()
    optimiser = torch.optim.AdamW(tiny.parameters(), lr=1e-3)
    losses = []
    for _ in range(60):
        contrastive = info_nce(
            unit(Rows.alone(tiny.audio_features(clips))),
            unit(Rows.alone(tiny.text_features(texts))),
            scale=tiny.logit_scale.exp(),
            combination=tiny_config.loss.combination,
            weights=pair_weights(similarity, tiny_config.loss),
        )
        encoded = (tiny.audio_encoder(tiny.log_mel(x)) for x in (clips, clips.roll(100, dims=1)))
        views = (unit(Rows.alone(tiny.projector(each))) for each in encoded)
        loss = with_self_supervision(
            contrastive, nt_xent(*views, temperature=ssl.temperature), weight=ssl.weight
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        tiny.clamp_temperature()
        losses.append(contrastive.item())
    assert sum(losses[-5:]) / 5 < losses[0] / 2
    idle = [name for name, p in tiny.named_parameters() if p.grad is None or not p.grad.any()]
    # A key's bias adds the same to every score of a query, and softmax ignores that.
    assert [name for name in idle if "k_proj.bias" not in name] == [
        "text_encoder.unused_norm.weight",
        "text_encoder.unused_norm.bias",
    ]


def test_a_model_without_ssl_has_no_head_for_it(tiny_config):
    assert MusCALL(replace(tiny_config, self_supervision=None)).projector is None


def test_autocast_gives_finite_vectors_near_those_of_single_precision(tiny, clips, token_ids):
    with torch.autocast("cpu", torch.bfloat16):
        audio, text = tiny.encode_audio(clips), tiny.encode_text(token_ids)
    for half, single in ((audio, tiny.encode_audio(clips)), (text, tiny.encode_text(token_ids))):
        assert (half.float() * single).sum(dim=1).min() > 0.99


@pytest.mark.parametrize("pooling", ["attention", "average"])
@pytest.mark.parametrize("n_samples", [5000, 32_000, 70_000])
def test_the_model_for_inference_computes_the_same(pooling, n_samples, tiny, tiny_config):
    config = replace(tiny_config, audio=replace(tiny_config.audio, pooling=pooling))
    plain = MusCALL(config).eval()
    state = {k: v for k, v in tiny.audio_encoder.state_dict().items() if not k.startswith("pool")}
    plain.audio_encoder.load_state_dict(state, strict=False)
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    fast = plain.for_inference()
    waveforms = torch.randn(3, n_samples)
    same(fast.encode_audio(waveforms), plain.encode_audio(waveforms))
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in fast.modules())
    assert not any(parameter.requires_grad for parameter in fast.parameters())
    assert fast.for_inference() is fast
    for name, value in plain.state_dict().items():
        assert torch.equal(value, before[name]), f"for_inference changed {name} of the original"


def test_pooling_for_inference_equals_full_attention_in_double_precision(tiny):
    pool = tiny.audio_encoder.pool.double()
    fast = model.MeanQueryPool(pool)
    for grid in ((2, 2), (2, 5)):
        x = torch.randn(3, 128, *grid, dtype=torch.float64)
        torch.testing.assert_close(fast(x), pool(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        (AudioConfig, {"width": 15}, "width is 15, expected a multiple of 2"),
        (AudioConfig, {"n_mels": 16}, "n_mels is 16"),
        (AudioConfig, {"heads": 7}, "7 heads do not divide the 512 channels"),
        (AudioConfig, {"pooling": "max"}, "pooling is 'max'"),
        (AudioConfig, {"f_min": 9000}, "f_min is 9000.0 Hz"),
        (AudioConfig, {"clip_seconds": 0.5}, r"at least 0\.96 s"),
        (TextConfig, {"layers": 0}, "layers is 0"),
        (TextConfig, {"heads": 7}, "7 heads do not divide width 512"),
        (TextConfig, {"end_token": 49_408}, "an id below 49408"),
        (TextConfig, {"dropout": 1.0}, "dropout is 1.0"),
        (LossConfig, {"kappa": 0}, "kappa is 0"),
        (LossConfig, {"temperature": -1}, "temperature is -1"),
        (SelfSupervisionConfig, {"weight": 1.5}, "weight is 1.5"),
        (SelfSupervisionConfig, {"temperature": 0}, "temperature is 0"),
    ],
)
def test_a_config_that_makes_no_model_is_refused(kind, content, message):
    with pytest.raises(ModelError, match=message):
        validated(kind, content, of="MusCALL", error=ModelError)
    with pytest.raises(ValueError):
        kind(**content)
