"""From rate to rate, in blocks and at once, at ordinary and at odd rates."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.datasets import resampling
from earmark.datasets.resampling import HANN, KAISER_BEST, resampled

ODD_RATES = [(44099, 16000), (22255, 16000), (11127, 16000), (16000, 44099), (767_999, 16000)]


def tone(rate, seconds=1.0, hertz=1000.0):
    return np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate).astype(np.float32)


def at_once(samples, from_hz, to_hz, by=HANN):
    return np.concatenate(list(resampled([samples], from_hz, to_hz, by=by)))


@pytest.mark.parametrize(("from_hz", "to_hz"), [*ODD_RATES, (44100, 16000)])
def test_a_tone_stays_the_same_tone(from_hz, to_hz):
    found = at_once(tone(from_hz), from_hz, to_hz)
    assert len(found) == math.ceil(len(tone(from_hz)) * to_hz / from_hz)
    np.testing.assert_allclose(
        found[200:-200], tone(to_hz, 1.01)[200 : len(found) - 200], atol=2e-3
    )


@pytest.mark.parametrize(("from_hz", "to_hz"), [(44099, 16000), (96001, 32000)])
def test_a_tone_above_the_lower_rates_half_is_removed(from_hz, to_hz):
    found = at_once(tone(from_hz, hertz=0.62 * to_hz), from_hz, to_hz)
    assert np.abs(found[200:-200]).max() < 0.03


@pytest.mark.parametrize("by", [HANN, KAISER_BEST], ids=["Hann", "Kaiser"])
@pytest.mark.parametrize(("from_hz", "to_hz"), [(44100, 16000), (16000, 22050), (48000, 44100)])
def test_phase_by_phase_gives_what_torchaudio_gives(from_hz, to_hz, by):
    pytest.importorskip("torchaudio")
    samples = np.random.default_rng(0).uniform(-1, 1, from_hz // 4).astype(np.float32)
    divisor = math.gcd(from_hz, to_hz)
    found = resampling._by_phases(samples, from_hz // divisor, to_hz // divisor, by)
    np.testing.assert_allclose(found, at_once(samples, from_hz, to_hz, by), atol=2e-6)


# resampy 0.2.2 (2019): resample(sweep, 22050, 16000, filter="kaiser_best"), of the sound below. It
# interpolates a table of the filter, so that its samples are exact to about a hundredth.
RESAMPY = {
    100: -0.4290631413459778,
    1000: 0.4906596541404724,
    3000: -0.49069997668266296,
    5000: -0.09780466556549072,
    6500: -0.3967913091182709,
    6700: 0.13519731163978577,
    6900: 0.025748779997229576,
    7000: 0.0011402140371501446,
}


def test_the_kaiser_filter_is_resampys():
    time = np.arange(11025) / 22050
    sweep = (0.5 * np.sin(2 * np.pi * (50 * time + 9000 * time**2))).astype(np.float32)
    found = at_once(sweep, 22050, 16000, KAISER_BEST)
    assert len(found) == 8000
    for place, value in RESAMPY.items():
        assert found[place] == pytest.approx(value, abs=0.01)


@pytest.mark.parametrize(("from_hz", "to_hz"), [(44099, 16000), (44100, 16000), (8000, 22050)])
@given(sizes=st.lists(st.integers(1, 9000), min_size=1, max_size=9))
@settings(max_examples=10, deadline=None)
def test_blocks_give_what_the_whole_clip_gives(from_hz, to_hz, sizes):
    rng = np.random.default_rng(sum(sizes))
    blocks = [rng.uniform(-1, 1, size).astype(np.float32) for size in sizes]
    whole = at_once(np.concatenate(blocks), from_hz, to_hz)
    np.testing.assert_array_equal(np.concatenate(list(resampled(blocks, from_hz, to_hz))), whole)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(resampling, "_WHOLE", 6000)
        patched.setattr(resampling, "_BLOCK", 3000)
        found = np.concatenate(list(resampled(blocks, from_hz, to_hz)))
    np.testing.assert_allclose(found, whole, atol=1e-6)
    assert len(found) == len(whole)


@pytest.mark.parametrize(("from_hz", "to_hz"), ODD_RATES)
def test_an_odd_rate_needs_little_memory(from_hz, to_hz):
    resampling._kernel.cache_clear()
    tracemalloc.start()
    at_once(tone(from_hz), from_hz, to_hz)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 500e6
