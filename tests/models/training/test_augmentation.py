"""Augmentation: what is stated is what is done, by an example's seed alone."""

from __future__ import annotations

import math
import random
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.datasets.files.config_files import validated
from earmark.models.base import ModelError
from earmark.models.training.augmentation import Augmentation
from earmark.models.training.config import NONE, SSL, TRAINING, AugmentationConfig

pytest.importorskip("torch_audiomentations", reason="needs the extra train")

RATE = 16_000
NOISE = AugmentationConfig(p_noise=1.0, p_pitch_shift=0.0)
PITCH = AugmentationConfig(p_noise=0.0, p_pitch_shift=1.0)


def music(n: int, n_samples: int = RATE // 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(n)
    return (3_000 * torch.randn(n, n_samples, generator=generator)).to(torch.int16)


def seeds(n: int, first: int = 0) -> torch.Tensor:
    return torch.arange(first, first + n) * 7_919


def decibels(signal: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    return 10 * torch.log10(signal.double().square().mean(-1) / noise.double().square().mean(-1))


# Nothing


def test_without_any_probability_the_samples_are_the_scaled_ones():
    waveforms = music(4)
    out = Augmentation(NONE, sample_rate=RATE)(waveforms, seeds(4))
    assert out.dtype == torch.float32
    assert torch.equal(out, waveforms.to(torch.float32) / 2**15)


@pytest.mark.parametrize("config", [NONE, TRAINING, SSL], ids=["none", "training", "ssl"])
def test_the_waveforms_that_are_given_are_not_changed(config):
    for waveforms in (music(6), music(6).float() / 2**15):
        before = waveforms.clone()
        Augmentation(config, sample_rate=RATE)(waveforms, seeds(6))
        assert torch.equal(waveforms, before)


@pytest.mark.parametrize("config", [NONE, SSL], ids=["none", "ssl"])
def test_a_batch_of_nothing_stays_one(config):
    out = Augmentation(config, sample_rate=RATE)(torch.empty(0, RATE, dtype=torch.int16), seeds(0))
    assert out.shape == (0, RATE)
    assert out.dtype == torch.float32


# Noise


def test_noise_has_the_ratio_that_was_drawn():
    waveforms = music(24, RATE)  # whole seconds: the library normalises noise over one second
    augmentation = Augmentation(NOISE, sample_rate=RATE)
    clean = waveforms / 2**15
    ratio = decibels(clean, augmentation(waveforms, seeds(24)) - clean)
    drawn = [augmentation.draw(seed).snr_db for seed in seeds(24).tolist()]
    torch.testing.assert_close(ratio, torch.tensor(drawn).double(), atol=1e-3, rtol=0)
    assert ratio.min() >= 3 - 1e-3
    assert ratio.max() <= 30 + 1e-3
    assert ratio.max() - ratio.min() > 15


def test_the_colour_of_noise_follows_the_exponent():
    def share_below_1_khz(decay: float) -> float:
        config = AugmentationConfig(p_noise=1, p_pitch_shift=0, noise_decay=(decay, decay))
        waveforms = music(4, RATE)
        noise = Augmentation(config, sample_rate=RATE)(waveforms, seeds(4)) - waveforms / 2**15
        power = torch.fft.rfft(noise.double()).abs().square().sum(0)
        return float(power[:1_000].sum() / power.sum())

    blue, white, brown = map(share_below_1_khz, (-2.0, 0.0, 2.0))
    assert white == pytest.approx(1 / 8, abs=0.02)
    assert blue < 0.05 < white < 0.8 < brown


def test_no_two_examples_get_the_same_noise():
    waveforms = music(1, RATE).expand(6, -1)
    noise = Augmentation(NOISE, sample_rate=RATE)(waveforms, seeds(6)) - waveforms / 2**15
    correlation = torch.corrcoef(noise) - torch.eye(6)
    assert correlation.abs().max() < 0.3


def test_silence_stays_silent():
    out = Augmentation(NOISE, sample_rate=RATE)(torch.zeros(3, RATE, dtype=torch.int16), seeds(3))
    assert not out.any()


# Polarity and gain


def test_polarity_turns_the_sign_and_nothing_else():
    config = AugmentationConfig(p_polarity=1, p_noise=0, p_pitch_shift=0)
    out = Augmentation(config, sample_rate=RATE)(music(3), seeds(3))
    assert torch.equal(out, -music(3) / 2**15)


@given(st.integers(0, 2**40))
@settings(max_examples=50)
def test_gain_stays_in_its_range(first):
    config = AugmentationConfig(p_gain=1, p_noise=0, p_pitch_shift=0)
    augmentation = Augmentation(config, sample_rate=RATE)
    factor = augmentation.draw(first).factor
    assert -18 <= 20 * math.log10(factor) <= 6
    out = augmentation(music(1), torch.tensor([first]))
    torch.testing.assert_close(out, factor * music(1) / 2**15)


def test_the_order_is_polarity_noise_gain():
    config = AugmentationConfig(p_polarity=1, p_noise=1, p_gain=1, p_pitch_shift=0)
    augmentation = Augmentation(config, sample_rate=RATE)
    waveforms = music(8, RATE)
    out = augmentation(waveforms, seeds(8))
    for row, clean, seed in zip(out, waveforms / 2**15, seeds(8).tolist(), strict=True):
        drawn = augmentation.draw(seed)
        noise = row / abs(drawn.factor) + clean
        assert float(decibels(clean, noise)) == pytest.approx(drawn.snr_db, abs=1e-3)


# Pitch


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_a_sine_moves_by_the_semitones_that_were_drawn(rate):
    augmentation = Augmentation(PITCH, sample_rate=rate)
    time = torch.arange(2 * rate) / rate
    sine = (0.5 * torch.sin(2 * math.pi * 1_000 * time)).expand(8, -1)
    out = augmentation(sine, seeds(8))
    window = torch.hann_window(2 * rate - 2_000)
    moved = []
    for row, seed in zip(out, seeds(8).tolist(), strict=True):
        drawn = augmentation.draw(seed)
        inner = row[1_000:-1_000] * window
        peak = int(torch.fft.rfft(inner).abs().argmax()) * rate / len(inner)
        semitones = 12 * math.log2(peak / 1_000)
        assert semitones == pytest.approx(12 * math.log2(drawn.pitch_ratio), abs=0.05)
        assert abs(semitones) <= 4.05
        moved.append(round(semitones, 1))
    assert min(moved) < 0 < max(moved)


def test_the_ratios_are_those_that_resample_quickly():
    semitones = [12 * math.log2(r) for r in Augmentation(PITCH, sample_rate=RATE).pitch_ratios]
    assert [round(s, 2) for s in semitones] == [-3.86, -0.41, 0.41, 3.86]
    assert len(Augmentation(PITCH, sample_rate=44_100).pitch_ratios) == 26


def test_the_pitch_shift_is_that_of_the_library():
    from torch_audiomentations import PitchShift

    augmentation = Augmentation(PITCH, sample_rate=RATE)
    transform = PitchShift(mode="per_example", p=1.0, sample_rate=RATE, output_type="dict")
    transform.transform_parameters = {
        "transpositions": [augmentation.draw(seed).pitch_ratio for seed in seeds(6).tolist()]
    }
    expected = transform.apply_transform((music(6) / 2**15).unsqueeze(1), RATE).samples.squeeze(1)
    torch.testing.assert_close(augmentation(music(6), seeds(6)), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("pitch_overlap", [8, 32])
def test_a_shifted_tone_stands_out_of_what_the_shift_adds(pitch_overlap):
    config = AugmentationConfig(p_noise=0, p_pitch_shift=1, pitch_overlap=pitch_overlap)
    augmentation = Augmentation(config, sample_rate=RATE)
    time = torch.arange(3 * RATE) / RATE
    tone = (0.3 * torch.sin(2 * math.pi * 440 * time)).expand(8, -1)
    for row, seed in zip(augmentation(tone, seeds(8)), seeds(8).tolist(), strict=True):
        inner = row[RATE : 2 * RATE].double()
        power = torch.fft.rfft(inner * torch.hann_window(RATE).double()).abs().square()
        pitch = 440 * augmentation.draw(seed).pitch_ratio
        near = (torch.arange(len(power)) - float(pitch)).abs() < 4
        assert 10 * torch.log10(power[near].sum() / power[~near].sum()) > 20
        assert inner.square().mean().sqrt() == pytest.approx(0.3 / math.sqrt(2), rel=0.1)


def test_shifting_together_is_shifting_one_by_one():
    waveforms = music(20, 4_000)
    augmentation = Augmentation(PITCH, sample_rate=RATE)
    together = augmentation(waveforms, seeds(20))
    for row, waveform, seed in zip(together, waveforms, seeds(20), strict=True):
        alone = augmentation(waveform[None], seed[None])[0]
        torch.testing.assert_close(row, alone, atol=1e-5, rtol=0)


# Seeds


@pytest.mark.parametrize("config", [TRAINING, SSL], ids=["training", "ssl"])
def test_an_example_is_augmented_alike_in_any_batch(config):
    waveforms = music(12, 4_000)
    augmentation = Augmentation(config, sample_rate=RATE)
    whole = augmentation(waveforms, seeds(12))
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        augmentation(waveforms[order], seeds(12)[order]), whole[order], atol=1e-5, rtol=0
    )
    halves = [augmentation(waveforms[part], seeds(12)[part]) for part in (slice(5), slice(5, 12))]
    torch.testing.assert_close(torch.cat(halves), whole, atol=1e-5, rtol=0)


def test_the_same_seeds_give_the_same_bits_and_others_do_not():
    waveforms = music(8, 4_000)
    first = Augmentation(SSL, sample_rate=RATE)(waveforms, seeds(8))
    assert torch.equal(first, Augmentation(SSL, sample_rate=RATE)(waveforms, seeds(8)))
    assert not torch.equal(first, Augmentation(SSL, sample_rate=RATE)(waveforms, seeds(8, 100)))


def test_global_random_states_are_neither_read_nor_changed():
    waveforms = music(8, 4_000)
    augmentation = Augmentation(SSL, sample_rate=RATE)
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    first = augmentation(waveforms, seeds(8))
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]
    assert torch.equal(torch.get_rng_state(), before[2])
    random.seed(2)
    torch.manual_seed(2)
    assert torch.equal(augmentation(waveforms, seeds(8)), first)


def test_the_global_state_is_put_back_after_an_error(monkeypatch):
    augmentation = Augmentation(NOISE, sample_rate=RATE)
    before = torch.get_rng_state()

    def fail(*_):
        torch.rand(1)
        raise RuntimeError("out of memory")

    monkeypatch.setattr(augmentation._noise, "apply_transform", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        augmentation(music(2), seeds(2))
    assert torch.equal(torch.get_rng_state(), before)


def test_two_streams_draw_independently():
    config = AugmentationConfig(p_polarity=0.5, p_noise=0.5, p_gain=0.5, p_pitch_shift=0.5)
    chains = [Augmentation(config, sample_rate=RATE, stream=stream) for stream in (0, 1)]
    drawn = [[chain.draw(seed) for seed in range(2_000)] for chain in chains]
    noise = np.array([[one.snr_db is not None for one in row] for row in drawn])
    assert abs(np.corrcoef(noise)[0, 1]) < 0.1
    assert len({one.noise_seed for row in drawn for one in row}) == 4_000


@pytest.mark.parametrize("config", [TRAINING, SSL], ids=["training", "ssl"])
def test_each_transformation_has_its_own_independent_probability(config):
    augmentation = Augmentation(config, sample_rate=RATE)
    drawn = [augmentation.draw(seed) for seed in range(4_000)]
    happened = np.array(
        [
            (d.factor < 0, d.snr_db is not None, abs(d.factor) != 1, d.pitch_ratio is not None)
            for d in drawn
        ]
    )
    stated = [config.p_polarity, config.p_noise, config.p_gain, config.p_pitch_shift]
    # Five standard errors of a share of 4,000 are at most 0.04.
    np.testing.assert_allclose(happened.mean(0), stated, atol=0.04)
    varying = happened[:, [0 < p < 1 for p in stated]].astype(float)
    assert np.abs(np.corrcoef(varying.T) - np.eye(varying.shape[1])).max() < 0.08


def test_a_probability_changes_nothing_but_its_own_transformation():
    with_gain = Augmentation(AugmentationConfig(p_gain=1.0), sample_rate=RATE)
    without = Augmentation(AugmentationConfig(), sample_rate=RATE)
    for seed in range(50):
        one, other = with_gain.draw(seed), without.draw(seed)
        assert (one.snr_db, one.pitch_ratio) == (other.snr_db, other.pitch_ratio)


# Padding and precision


@pytest.mark.parametrize("config", [NOISE, PITCH, SSL], ids=["noise", "pitch", "ssl"])
def test_what_lies_behind_a_clips_end_stays_zero(config):
    waveforms, lengths = music(10, RATE), torch.arange(10) * 1_000 + 500
    for row, end in zip(waveforms, lengths, strict=True):
        row[end:] = 0
    out = Augmentation(config, sample_rate=RATE)(waveforms, seeds(10), lengths=lengths)
    for row, end in zip(out, lengths, strict=True):
        assert not row[end:].any()
        assert row[:end].any()


def test_noise_is_measured_against_the_audio_and_not_its_padding():
    waveforms = music(4, 2 * RATE)
    waveforms[:, RATE:] = 0
    augmentation = Augmentation(NOISE, sample_rate=RATE)
    out = augmentation(waveforms, seeds(4), lengths=torch.full((4,), RATE))
    clean = waveforms[:, :RATE] / 2**15
    drawn = torch.tensor([augmentation.draw(seed).snr_db for seed in seeds(4).tolist()])
    torch.testing.assert_close(
        decibels(clean, out[:, :RATE] - clean), drawn.double(), atol=1e-3, rtol=0
    )


def test_everything_is_float32_under_autocast_and_from_half_precision():
    waveforms = music(6, 4_000)
    augmentation = Augmentation(SSL, sample_rate=RATE)
    expected = augmentation(waveforms, seeds(6))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = augmentation(waveforms, seeds(6))
    assert inside.dtype == torch.float32
    assert torch.equal(inside, expected)
    half = augmentation((waveforms / 2**15).to(torch.bfloat16), seeds(6))
    assert half.dtype == torch.float32


def test_no_gradient_is_kept():
    waveforms = (music(4, 4_000) / 2**15).requires_grad_()
    assert not Augmentation(SSL, sample_rate=RATE)(waveforms, seeds(4)).requires_grad


# Bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"p_noise": 1.2}, "p_noise is 1.2, expected at most 1"),
        ({"p_gain": -0.1}, "p_gain is -0.1"),
        ({"snr_db": (30.0, 3.0)}, "snr_db is 30.0 to 3.0"),
        ({"pitch_overlap": 1}, "pitch_overlap is 1, expected 2 or more"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ModelError, match=message):
        validated(AugmentationConfig, options, of="augmentation", error=ModelError)


def test_ranges_may_come_as_lists():
    assert AugmentationConfig(snr_db=[5.0, 10.0]) == AugmentationConfig(snr_db=(5.0, 10.0))


def test_a_range_without_a_quick_shift_is_refused():
    with pytest.raises(
        ModelError, match=r"no quick pitch shift from 0.1 to 0.2 semitones at 16000"
    ):
        Augmentation(AugmentationConfig(semitones=(0.1, 0.2)), sample_rate=RATE)


def test_shapes_that_do_not_fit_are_refused():
    augmentation = Augmentation(TRAINING, sample_rate=RATE)
    with pytest.raises(ModelError, match=r"shape \(n, n_samples\), got torch\.int16 of shape"):
        augmentation(music(1)[0], seeds(1))
    with pytest.raises(ModelError, match=r"got torch\.int64"):
        augmentation(music(1).long(), seeds(1))
    with pytest.raises(ModelError, match=r"2 waveforms needs as many seeds, got shape \(3,\)"):
        augmentation(music(2), seeds(3))
    with pytest.raises(ModelError, match="needs as many lengths"):
        augmentation(music(2), seeds(2), lengths=torch.tensor([5]))
    with pytest.raises(ModelError, match="200 samples are too few to shift the pitch"):
        Augmentation(PITCH, sample_rate=RATE)(music(2, 200), seeds(2))


def test_the_extra_is_named_where_the_package_is_absent(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_audiomentations", None)
    with pytest.raises(ModelError, match=r"pip install .*'torch-audiomentations>="):
        Augmentation(TRAINING, sample_rate=RATE)
    monkeypatch.setitem(sys.modules, "torch_pitch_shift", None)
    with pytest.raises(ModelError, match=r"torch_pitch_shift.*pip install .*'torch-audio"):
        Augmentation(PITCH, sample_rate=RATE)
    config = AugmentationConfig(p_polarity=1, p_noise=0, p_gain=1, p_pitch_shift=0)
    Augmentation(config, sample_rate=RATE)(music(2), seeds(2))  # these two need no package


def test_another_kind_of_device_is_refused():
    with pytest.raises(ModelError, match="runs on cpu and cuda, got meta"):
        Augmentation(NOISE, sample_rate=RATE)(
            torch.empty(1, RATE, device="meta"), torch.zeros(1, dtype=torch.int64)
        )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_it_is_reproducible_and_leaves_the_generators_alone():
    waveforms = music(8, RATE).cuda()
    augmentation = Augmentation(SSL, sample_rate=RATE)
    before = torch.get_rng_state(), torch.cuda.get_rng_state()
    first = augmentation(waveforms, seeds(8))
    assert first.device == waveforms.device
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.equal(torch.cuda.get_rng_state(), before[1])
    torch.testing.assert_close(augmentation(waveforms, seeds(8)), first)
