"""Mixing: loudness by the standard, limiting, the room, tone and saturation."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from earmark.datasets import loudness
from earmark.datasets.etude import render
from earmark.datasets.etude.score import Room

RATE = 22_050


def sine(hertz, decibels, seconds, rate=RATE):
    time = np.arange(round(seconds * rate)) / rate
    return np.float32(10 ** (decibels / 20) * np.sin(2 * np.pi * hertz * time))


def test_the_weighting_is_the_standards():
    # ITU-R BS.1770-4, tables 1 and 2, which are given for 48 kHz.
    shelf, high_pass = loudness._weighting(48_000)
    assert shelf == pytest.approx(
        [
            1.53512485958697,
            -2.69169618940638,
            1.19839281085285,
            1,
            -1.69065929318241,
            0.73248077421585,
        ],
        abs=1e-7,
    )
    assert high_pass == pytest.approx([1, -2, 1, 1, -1.99004745483398, 0.99007225036621], abs=1e-7)


@pytest.mark.parametrize("rate", [16_000, 22_050, 48_000])
def test_a_full_scale_sine_of_one_kilohertz_has_minus_three_lufs(rate):
    # BS.1770-4: 0 dBFS at 997 Hz in one channel indicates -3.01 LKFS.
    assert render.loudness(sine(997, 0, 3, rate), rate) == pytest.approx(-3.01, abs=0.05)


def test_quiet_passages_are_gated():
    # EBU Tech 3341, test case 3 (1 kHz at -36, -23 and -36 dBFS: -23 LUFS in stereo, 3 less in
    # one channel), shortened by the same factor in all its parts.
    signal = np.concatenate([sine(1000, level, s) for level, s in ((-36, 5), (-23, 30), (-36, 5))])
    assert render.loudness(signal, RATE) == pytest.approx(-26.01, abs=0.1)
    with_silence = np.concatenate([signal, np.zeros(20 * RATE, np.float32)])
    assert render.loudness(with_silence, RATE) == pytest.approx(-26.01, abs=0.1)


def test_silence_has_the_lowest_loudness_and_too_short_a_signal_none():
    assert render.loudness(np.zeros(RATE, np.float32), RATE) == -70
    with pytest.raises(ValueError, match=r"loudness needs 0\.4 s at least, got 0\.30 s"):
        render.loudness(np.ones(round(0.3 * RATE), np.float32), RATE)


@pytest.mark.parametrize("seed", range(4))
def test_loudness_is_that_of_essentia(seed):
    es = pytest.importorskip("essentia.standard", reason="Essentia is not installed")
    generator = np.random.default_rng(seed)
    steps = np.repeat(generator.uniform(0.001, 1, 40), RATE // 4)
    signal = np.float32(generator.standard_normal(steps.size).cumsum() % 1 - 0.5) * np.float32(
        steps
    )
    stereo = np.stack([signal, np.zeros_like(signal)], axis=1)
    integrated = es.LoudnessEBUR128(sampleRate=RATE)(stereo)[2]
    assert render.loudness(signal, RATE) == pytest.approx(integrated, abs=0.1)


@given(
    arrays(np.float32, st.integers(1, 50), elements=st.floats(-1000, 1000, width=32)),
    st.floats(0.1, 0.9),
)
@example(np.float32([513]), 0.8999999999999999)  # a difference of float32 passed the ceiling
def test_clipping_leaves_small_samples_alone_and_keeps_order_and_sign(signal, knee):
    out = render.soft_clip(signal, knee=knee, ceiling=1.0)
    small = np.abs(signal) <= np.float32(knee)
    np.testing.assert_array_equal(out[small], signal[small])
    assert np.abs(out).max() <= 1
    assert (np.sign(out) == np.sign(signal)).all()
    assert (np.diff(out[np.argsort(signal)]) >= 0).all()
    np.testing.assert_array_equal(render.soft_clip(-signal, knee=knee, ceiling=1.0), -out)


@given(st.floats(-20, -5), st.integers(0, 50), st.floats(0.05, 0.9))
def test_a_master_has_its_loudness_and_does_not_clip(lufs, seed, share):
    generator = np.random.default_rng(seed)
    signal = np.float32(generator.standard_normal(4 * RATE) * 0.01)
    # Bursts, so that peaks stand far above the mean.
    signal *= np.repeat(generator.random(40) < share, RATE // 10) + np.float32(0.05)
    out = render.master(signal, lufs, sample_rate=RATE)
    assert render.loudness(out, RATE) == pytest.approx(lufs, abs=render.TOLERANCE_LU + 1e-6)
    assert np.abs(out).max() <= render.CEILING
    assert out.dtype == np.float32


def test_a_signal_without_high_peaks_is_scaled_and_nothing_else():
    signal = sine(500, -30, 2)
    out = render.master(signal, -20, sample_rate=RATE)
    scale = out[100] / signal[100]
    np.testing.assert_array_equal(out, signal * scale)


def test_what_cannot_be_mastered_is_refused():
    with pytest.raises(ValueError, match="a silent signal"):
        render.master(np.zeros(RATE, np.float32), -10, sample_rate=RATE)
    clicks = np.zeros(RATE, np.float32)
    clicks[::4000] = 1
    with pytest.raises(ValueError, match=r"no gain brings the signal to -5 LUFS; reached"):
        render.master(clicks, -5, sample_rate=RATE)


def test_a_room_rings_after_the_sound_and_for_its_time():
    dry = np.zeros(3 * RATE, np.float32)
    dry[0] = 1
    out = render.in_room(dry, dry, Room(1.0, 0.4), tilt=0, sample_rate=RATE)
    assert out.shape == dry.shape
    assert out[0] == pytest.approx(0.8, abs=1e-6)
    assert np.abs(out[10 : round(0.011 * RATE)]).max() < 1e-6
    early, late = (np.mean(out[round(a * RATE) : round((a + 0.1) * RATE)] ** 2) for a in (0.1, 0.6))
    assert -36 < 10 * np.log10(late / early) < -24
    assert np.abs(out[round(1.02 * RATE) :]).max() < 1e-3
    np.testing.assert_allclose(
        render.in_room(dry, dry, Room(1.0, 0.0), tilt=0, sample_rate=RATE), dry, atol=1e-6
    )


@pytest.mark.parametrize("tilt", [-2.0, 1.5])
def test_tilt_is_in_decibels_an_octave_around_one_kilohertz(tilt):
    nothing = np.zeros(RATE, np.float32)
    for hertz, octaves in ((500, -1), (1000, 0), (4000, 2)):
        signal = sine(hertz, -20, 1)
        out = render.in_room(signal, nothing, Room(0.3, 0.0), tilt=tilt, sample_rate=RATE)
        middle = slice(RATE // 4, 3 * RATE // 4)
        gain = 10 * np.log10(np.mean(out[middle] ** 2) / np.mean(signal[middle] ** 2))
        assert gain == pytest.approx(tilt * octaves, abs=0.05)


def test_saturation_adds_harmonics_and_none_of_it_changes_nothing():
    signal = sine(500, -12, 1)
    assert render.saturate(signal, 0.0) is signal

    def third(x):
        power = np.abs(np.fft.rfft(x.astype(float))) ** 2
        return power[1500] / power[500]

    heavy, light = (third(render.saturate(signal, amount)) for amount in (1.0, 0.4))
    assert heavy > 1e-3
    assert heavy > 5 * light


def test_an_overdriven_tone_is_rich_and_a_chord_makes_new_tones():
    chord = sine(220, -20, 1) + sine(330, -20, 1)
    out = render.overdrive(chord, gain=25, sample_rate=RATE)
    power = np.abs(np.fft.rfft(out.astype(float) * np.hanning(out.size))) ** 2
    assert power[109:112].max() > 1e-3 * power.max()
    assert power[770] > 1e-4 * power.max()
