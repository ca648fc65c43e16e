"""The toy task's arithmetic against plain code, and its sounds against what they claim."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.models.conformance import listening

LABELS = np.tile(np.arange(4), 8)


def one_by_one(vectors, labels):
    """Count right nearest class means as one would by hand."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    correct = 0
    for held_out in range(len(unit)):
        kept = np.arange(len(unit)) != held_out
        means = [unit[kept & (labels == label)].mean(axis=0) for label in range(4)]
        cosines = [mean @ unit[held_out] / np.linalg.norm(mean) for mean in means]
        correct += int(np.argmax(cosines)) == labels[held_out]
    return correct


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 2))
def test_separation_counts_as_one_would_by_hand(seed, spread):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(4, 6))[LABELS] + (0.1 + spread) * rng.normal(size=(32, 6))
    found = listening.separation(vectors, LABELS, seed=0)
    assert (found.correct, found.n, found.chance) == (one_by_one(vectors, LABELS), 32, 0.25)


def test_classes_far_apart_are_told_apart_with_the_smallest_p():
    rng = np.random.default_rng(0)
    vectors = np.eye(4)[LABELS] + 0.05 * rng.normal(size=(32, 4))
    found = listening.separation(vectors, LABELS, seed=0)
    assert (found.correct, found.p) == (32, 1 / 1000)


def test_p_values_of_noise_are_uniform():
    rng = np.random.default_rng(0)
    p = [listening.separation(rng.normal(size=(32, 8)), LABELS, seed=s).p for s in range(40)]
    # Of 40 uniform values about 20 lie below a half (sd 3.2) and 0.4 below a hundredth.
    assert 10 <= sum(one < 0.5 for one in p) <= 30
    assert sum(one < listening.SIGNIFICANT for one in p) <= 3


def test_a_constant_model_is_not_better_than_chance():
    found = listening.separation(np.ones((32, 5)), LABELS, seed=0)
    assert found.p > listening.SIGNIFICANT


def test_zero_shot_follows_the_texts():
    texts = np.eye(4)
    right = listening.zero_shot(texts[LABELS], texts, LABELS, seed=0)
    swapped = listening.zero_shot(texts[LABELS], np.roll(texts, 1, axis=0), LABELS, seed=0)
    assert (right.correct, right.p) == (32, 1 / 1000)
    assert (swapped.correct, swapped.p) == (0, 1)
    assert str(right) == "32 of 32, chance 25%, p = 0.001"


def test_toy_clips_are_of_every_class_and_follow_the_seed():
    clips, labels = listening.toy_clips(8000, seed=3)
    again, _ = listening.toy_clips.__wrapped__(8000, seed=3)
    other, _ = listening.toy_clips.__wrapped__(8000, seed=4)
    assert np.bincount(labels).tolist() == [listening.N_EACH] * len(listening.CLASSES)
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(clips, again, strict=True))
    assert not np.array_equal(clips[0].samples, other[0].samples)


@pytest.mark.parametrize("instrument", listening.INSTRUMENTS)
@pytest.mark.parametrize("rate", [8000, 48_000])
def test_an_instrument_plays_at_the_level_asked_for(instrument, rate):
    clip = listening.play(instrument, sample_rate=rate, seconds=1.5, peak_db=-20, seed=0)
    assert clip.samples.dtype == np.float32
    assert clip.samples.shape == (1.5 * rate,)
    assert np.abs(clip.samples).max() == pytest.approx(0.1, rel=1e-6)


@pytest.mark.parametrize(
    "instrument", [listening.pad, listening.bass_line, listening.bells, listening.sawtooth]
)
def test_tones_stay_below_the_nyquist_rate(instrument):
    clip = listening.play(instrument, sample_rate=8000, seconds=2, peak_db=0, seed=1)
    power = np.abs(np.fft.rfft(clip.samples * np.hanning(16_000))) ** 2
    assert power[7800:].sum() < 1e-4 * power.sum()  # above 3.9 kHz


def test_octaves_are_one_sound_at_any_rate():
    slow = listening.octaves(8000, seconds=2, highest=3000, n=3)
    fast = listening.octaves(16_000, seconds=2, highest=3000, n=3)
    for one, other in zip(slow, fast, strict=True):
        np.testing.assert_allclose(other.samples[::2], one.samples, atol=1e-6)


def test_each_octave_is_twice_as_high_as_the_one_before():
    for number, clip in enumerate(listening.octaves(16_000, seconds=2, highest=6000, n=4)):
        loudest = np.argmax(np.abs(np.fft.rfft(clip.samples))) / 2
        assert loudest == 110 * 2**number
