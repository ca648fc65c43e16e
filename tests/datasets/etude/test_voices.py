"""Voices: each at its pitch, level and length; what they are made of; the drums."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.datasets.base import DataError
from earmark.datasets.etude import synthesis
from earmark.datasets.etude.score import PIECES, VOICES

RATE = 22_050
PITCHED = sorted(synthesis.SOUNDS)


def spectrum(signal, rate=RATE):
    size = 2**18
    power = np.abs(np.fft.rfft(signal * np.hanning(signal.size), size)) ** 2
    return np.fft.rfftfreq(size, 1 / rate), power


def power_between(signal, low, high):
    hertz, power = spectrum(signal)
    return power[(hertz >= low) & (hertz < high)].sum() / power.sum()


def test_every_pitched_voice_has_a_sound_and_every_drum_voice_a_kit():
    assert set(PITCHED) == {name for name, voice in VOICES.items() if voice.family != "drums"}
    assert set(synthesis.KITS) == set(VOICES) - set(PITCHED)


@pytest.mark.parametrize("voice", PITCHED)
def test_a_voice_sounds_at_its_pitch_over_its_whole_range(voice):
    low, high = VOICES[voice].low, VOICES[voice].high
    for pitch in (low, (low + high) // 2, high):
        sound = synthesis.note(voice, pitch, seconds=1.5, sample_rate=RATE)[RATE // 10 :]
        frequency = 440 * 2 ** ((pitch - 69) / 12)
        hertz, power = spectrum(sound)
        near = (hertz > frequency / 1.06) & (hertz < frequency * 1.06)
        # Vibrato and players that are not in tune spread a peak; their centre is the pitch.
        centre = np.sum(hertz[near] * power[near]) / power[near].sum()
        assert centre == pytest.approx(frequency, rel=0.01), pitch
        # It is no overtone: between it and the octave below there is nothing.
        below = (hertz > frequency * 0.3) & (hertz < frequency * 0.7)
        assert power[below].max(initial=0) < 0.02 * power[near].max(), pitch


@pytest.mark.parametrize("voice", PITCHED)
def test_notes_are_finite_as_loud_as_stated_and_as_long_as_asked(voice):
    sound = synthesis.note(voice, VOICES[voice].low + 6, seconds=2, sample_rate=RATE)
    assert sound.shape == (2 * RATE,)
    assert sound.dtype == np.float32
    assert np.isfinite(sound).all()
    levels = [np.sqrt(np.mean(sound[: round(s * RATE)] ** 2)) for s in (0.15, 0.5)]
    assert min(abs(level / synthesis.LEVEL - 1) for level in levels) < 1e-3


@pytest.mark.parametrize("voice", PITCHED)
def test_a_long_note_begins_as_a_short_one(voice):
    pitch = VOICES[voice].low + 9
    short = synthesis.note(voice, pitch, seconds=0.8, sample_rate=RATE)
    long = synthesis.note(voice, pitch, seconds=4.8, sample_rate=RATE)
    np.testing.assert_array_equal(long[: short.size], short)


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_voices_sound_at_other_sample_rates(rate):
    for voice in PITCHED:
        sound = synthesis.note(voice, VOICES[voice].high, seconds=0.5, sample_rate=rate)
        assert sound.shape == (rate // 2,)
        assert np.isfinite(sound).all()


def test_plucked_and_struck_voices_fade_and_held_ones_do_not():
    def fade(voice):
        sound = synthesis.note(voice, 60, seconds=2, sample_rate=RATE)
        return np.sqrt(np.mean(sound[-RATE // 4 :] ** 2) / np.mean(sound[: RATE // 4] ** 2))

    assert all(fade(voice) < 0.5 for voice in ("banjo", "harpsichord", "piano", "marimba"))
    assert all(fade(voice) > 0.7 for voice in ("organ", "violin", "flute", "male voice"))


def test_timbre_is_what_the_voice_is_known_for():
    clarinet = synthesis.note("clarinet", 60, seconds=1, sample_rate=RATE)
    c4 = 261.6
    assert power_between(clarinet, 1.9 * c4, 2.1 * c4) < 0.05 * power_between(
        clarinet, 2.9 * c4, 3.1 * c4
    )
    flute, trumpet = (
        synthesis.note(voice, 72, seconds=1, sample_rate=RATE) for voice in ("flute", "trumpet")
    )
    assert power_between(trumpet, 1000, 9000) > 5 * power_between(flute, 1000, 9000)
    # A singer's vowel is where it is, whatever the pitch: the formant at 600 Hz.
    for pitch in (48, 53, 57):
        sung = synthesis.note("male voice", pitch, seconds=1, sample_rate=RATE)
        assert power_between(sung, 480, 720) > 0.3


def test_a_voice_that_there_is_not_or_a_pitch_out_of_range_is_named():
    with pytest.raises(DataError, match=r"'kazoo' is no pitched voice of Etude; expected one of"):
        synthesis.note("kazoo", 60, seconds=1, sample_rate=RATE)
    with pytest.raises(DataError, match=r"'drum kit' is no pitched voice"):
        synthesis.note("drum kit", 60, seconds=1, sample_rate=RATE)
    with pytest.raises(DataError, match=r"the flute plays MIDI pitches 60 to 93, got 59"):
        synthesis.note("flute", 59, seconds=1, sample_rate=RATE)


@pytest.mark.parametrize("kit", sorted(synthesis.KITS))
def test_strokes_begin_at_once_end_in_silence_and_stay_below_the_kick(kit):
    for piece in range(len(PIECES)):
        sound = synthesis.stroke(kit, piece, sample_rate=RATE)
        assert np.isfinite(sound).all()
        assert np.abs(sound).max() <= synthesis.PEAK + 1e-4
        assert abs(sound[-1]) < 1e-3
        assert np.abs(sound).argmax() < 0.06 * RATE


def test_drums_lie_where_drums_lie():
    sounds = {
        name: synthesis.stroke("drum kit", i, sample_rate=RATE) for i, name in enumerate(PIECES)
    }
    assert power_between(sounds["kick"], 30, 200) > 0.8
    assert all(
        power_between(sounds[name], 3000, RATE / 2) > 0.8 for name in ("closed hat", "crash")
    )
    assert power_between(sounds["snare"], 100, 400) > 0.05
    assert power_between(sounds["snare"], 1000, RATE / 2) > 0.3
    assert sounds["open hat"].size > 3 * sounds["closed hat"].size


def test_a_kit_or_piece_that_there_is_not_is_named():
    with pytest.raises(DataError, match=r"'piano' is no drum voice of Etude"):
        synthesis.stroke("piano", 0, sample_rate=RATE)
    with pytest.raises(DataError, match=r"a kit has pieces 0 to 11, got 12"):
        synthesis.stroke("drum kit", 12, sample_rate=RATE)


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=30))
def test_a_wavetable_holds_its_harmonics_and_nothing_else(amplitudes):
    table = synthesis.wavetable(np.array(amplitudes))
    heard = np.abs(np.fft.rfft(table.astype(float)))
    wanted = np.array(amplitudes) / np.linalg.norm(amplitudes)
    np.testing.assert_allclose(
        heard[1 : len(amplitudes) + 1] / np.linalg.norm(heard), wanted, atol=1e-6
    )
    assert np.sqrt(np.mean(table.astype(float) ** 2)) == pytest.approx(1, abs=1e-6)


def test_oscillating_reads_the_table_within_its_resolution():
    cycles = np.arange(RATE) * (440 / RATE) + 0.25
    np.testing.assert_allclose(synthesis.sine(cycles), np.sin(2 * np.pi * cycles), atol=2e-3)


def test_decays_fall_by_sixty_decibels_in_their_time():
    fall = synthesis.decay(RATE + 1, RATE, 1.0)
    assert fall[0] == 1
    assert 20 * np.log10(fall[RATE]) == pytest.approx(-60, abs=0.01)
    rise = synthesis.ramp(RATE, RATE, 0.5)
    assert (rise[0], rise[-1]) == (0, 1)
    assert rise[RATE // 4] == pytest.approx(0.5, abs=1e-3)


def test_a_string_rings_for_its_time():
    sound = synthesis.string(220.0, 2 * RATE, RATE, ring=1.0, softness=0.3, pick=0.2)
    hertz = []
    for start in (0.25, 0.75):
        part = sound[round(start * RATE) :][: RATE // 4].astype(float)
        at = np.arange(part.size) / RATE
        hertz.append(abs(np.sum(part * np.exp(-2j * np.pi * 220 * at) * np.hanning(part.size))))
    # Half of 60 dB in half a second; the loop's filter takes a little more of the fundamental.
    assert 20 * np.log10(hertz[1] / hertz[0]) == pytest.approx(-30, abs=3)


def test_noise_is_the_same_each_time_and_too_much_of_it_is_refused():
    np.testing.assert_array_equal(
        synthesis.noise(100, RATE, start=5), synthesis.noise(105, RATE)[5:]
    )
    with pytest.raises(ValueError, match=r"noise lasts 5 s at most, got 6\.0 s"):
        synthesis.noise(6 * RATE, RATE)
