"""The pitched voices: one note of each, as long as it may be held.

Three ways of making a note are enough for all of them: a *tone* (wavetables that are bowed, blown,
sung or held), a *string* (plucked) and *bars* (struck). What makes the one voice differ from the
other is in :data:`SOUNDS`. A note's beginning does not depend on how long it is, so that one that
was made for a long note serves every shorter one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from earmark.datasets.base import DataError
from earmark.datasets.etude import synthesis as waves
from earmark.datasets.etude.score import VOICES
from earmark.datasets.etude.synthesis import Floats, Signal

LEVEL = 0.1
"""Root mean square of a note's beginning: of 0.5 s where it is held, of 0.15 s where it rings."""

Formant = tuple[float, float, float]
"""Of a resonance: its centre in Hz, its width in Hz, and its height in dB."""


@dataclass(frozen=True, slots=True)
class Tone:
    """A held sound: harmonics that fall off, resonances, players that are not quite in tune."""

    slope: float
    """dB per octave by which harmonics fall."""
    attack: float
    """In seconds."""
    release: float = 0.06
    """In seconds, after the key is released."""
    even: float = 1.0
    """Level of the even harmonics against the odd ones."""
    formants: tuple[Formant, ...] = ()
    floor: float = -40.0
    """dB of what lies between the formants."""
    ring: float = 0.0
    """Seconds in which it falls by 60 dB; 0: it is held."""
    bright: float = 0.0
    """Seconds in which its upper harmonics fade by 60 dB; 0: they are held."""
    swell: float = 0.0
    """Seconds in which its upper harmonics come in; 0: at once."""
    vibrato: float = 0.0
    """Depth in cents, at 5.6 Hz, from a third of a second on."""
    tremolo: float = 0.0
    """Depth, 0 to 1, at 6.2 Hz."""
    players: int = 1
    spread: float = 0.0
    """Cents between the players."""
    scoop: float = 0.0
    """Cents below the pitch at the start."""
    breath: float = 0.0
    """Level of noise, of bow or of breath, against the tone."""


@dataclass(frozen=True, slots=True)
class Pluck:
    """A plucked string; see :func:`earmark.datasets.etude.synthesis.string`."""

    ring: float
    softness: float
    pick: float
    dark: float = 0.0
    """Cut-off in Hz of a low-pass; 0: none."""
    body: float = 0.0
    """Cut-off in Hz of a high-pass: a small body; 0: none."""
    buzz: float = 0.0
    """Level of a second string that rings an octave higher, from 0 to 1."""
    release: float = 0.08


@dataclass(frozen=True, slots=True)
class Strike:
    """Partials that ring: ratio to the pitch, level, and seconds to fall by 60 dB."""

    partials: tuple[tuple[float, float, float], ...]
    knock: float = 0.0
    """Level of the mallet's noise."""
    tremolo: float = 0.0
    release: float = 0.25


_SUNG_LOW = ((600.0, 110.0, 0.0), (1040.0, 120.0, -7.0), (2450.0, 200.0, -10.0))
_SUNG_HIGH = ((850.0, 140.0, 0.0), (1250.0, 150.0, -6.0), (2900.0, 250.0, -9.0))
_CHOIR = ((450.0, 120.0, 0.0), (800.0, 130.0, -8.0), (2700.0, 300.0, -22.0))
_VIOLIN = ((480.0, 200.0, 0.0), (1100.0, 350.0, 0.0), (2800.0, 1200.0, 2.0))
_CELLO = ((240.0, 120.0, 0.0), (600.0, 250.0, 0.0), (1500.0, 700.0, -6.0))
_REED = ((550.0, 250.0, 0.0), (1400.0, 500.0, 3.0), (3000.0, 800.0, -3.0))
_HORN = ((1200.0, 600.0, 4.0), (2400.0, 900.0, 0.0))

SOUNDS: Mapping[str, Tone | Pluck | Strike] = MappingProxyType(
    {
        "acoustic guitar": Pluck(2.6, 0.32, 0.18, body=90.0),
        "banjo": Pluck(0.9, 0.12, 0.08, body=500.0, release=0.04),
        "harp": Pluck(3.0, 0.42, 0.42, dark=3000.0, release=0.4),
        "sitar": Pluck(3.2, 0.04, 0.06, body=250.0, buzz=0.5, release=0.3),
        "harpsichord": Pluck(2.2, 0.03, 0.1, body=200.0, buzz=0.8),
        "upright bass": Pluck(1.0, 0.48, 0.4, dark=500.0, release=0.05),
        "violin": Tone(-5, 0.07, 0.09, formants=_VIOLIN, floor=-12, vibrato=24, breath=0.03),
        "cello": Tone(-6, 0.09, 0.1, formants=_CELLO, floor=-14, vibrato=18, breath=0.03),
        "strings": Tone(
            -6, 0.14, 0.2, formants=_VIOLIN, floor=-10, vibrato=12, players=3, spread=11
        ),
        "flute": Tone(-17, 0.06, 0.07, vibrato=14, tremolo=0.15, breath=0.14),
        "clarinet": Tone(-8, 0.04, 0.06, even=0.06, breath=0.01),
        "saxophone": Tone(
            -5, 0.04, 0.07, formants=_REED, floor=-14, vibrato=16, scoop=60, breath=0.08
        ),
        "trumpet": Tone(-3, 0.03, 0.06, formants=_HORN, floor=-10, swell=0.09, vibrato=10),
        "brass": Tone(
            -4, 0.04, 0.09, formants=_HORN, floor=-9, swell=0.12, players=3, spread=9, scoop=30
        ),
        "harmonica": Tone(
            -3, 0.03, 0.05, formants=((1900.0, 900.0, 6.0),), floor=-9, tremolo=0.3, vibrato=8
        ),
        "piano": Tone(-7, 0.003, 0.12, ring=3.2, bright=0.9, players=2, spread=2),
        "vibraphone": Strike(((1, 1, 3.5), (4, 0.25, 1.2), (10, 0.06, 0.3)), 0.02, tremolo=0.35),
        "marimba": Strike(((1, 1, 0.9), (3.93, 0.3, 0.25), (9.2, 0.12, 0.1)), 0.08),
        "bells": Strike(((1, 1, 2.5), (2.76, 0.7, 1.6), (5.4, 0.5, 0.9), (8.93, 0.3, 0.4)), 0.03),
        "electric guitar": Pluck(2.2, 0.25, 0.12, dark=3200.0),
        "distorted guitar": Pluck(6.0, 0.12, 0.13, release=0.03),
        "electric bass": Pluck(2.2, 0.42, 0.22, dark=900.0, release=0.05),
        "electric piano": Strike(((1, 1, 2.6), (2, 0.2, 1.2), (7, 0.18, 0.25)), 0.0, tremolo=0.2),
        "organ": Tone(
            0,
            0.008,
            0.03,
            formants=((300.0, 500.0, 0.0), (1500.0, 700.0, -8.0)),
            floor=-34,
            tremolo=0.18,
            vibrato=6,
        ),
        "synth lead": Tone(-2.5, 0.008, 0.05, vibrato=9, players=2, spread=14),
        "synth pluck": Tone(-3, 0.003, 0.06, ring=0.9, bright=0.25),
        "synth pad": Tone(-7, 0.3, 0.4, swell=1.2, players=3, spread=17),
        "synth bass": Tone(-5, 0.004, 0.04, bright=0.5),
        "sub bass": Tone(-26, 0.006, 0.06, ring=3.0),
        "male voice": Tone(
            -7, 0.05, 0.08, formants=_SUNG_LOW, swell=0.16, vibrato=38, scoop=90, breath=0.04
        ),
        "female voice": Tone(
            -7, 0.05, 0.08, formants=_SUNG_HIGH, swell=0.16, vibrato=42, scoop=80, breath=0.05
        ),
        "choir": Tone(
            -8, 0.18, 0.25, formants=_CHOIR, vibrato=16, players=4, spread=13, breath=0.06
        ),
    }
)


def release_of(voice: str) -> float:
    """Return how long a voice sounds on after its key is released, in seconds."""
    return SOUNDS[voice].release


def note(voice: str, pitch: int, *, seconds: float, sample_rate: int) -> Signal:
    """Return a note held for a time: float32, shape ``(n_samples,)``, at :data:`LEVEL`.

    Raises
    ------
    DataError
        If the voice is unknown or no pitched one, or the pitch is outside its range.
    """
    if voice not in SOUNDS:
        raise DataError(f"{voice!r} is no pitched voice of Etude; expected one of {list(SOUNDS)}")
    low, high = VOICES[voice].low, VOICES[voice].high
    if not low <= pitch <= high:
        raise DataError(f"the {voice} plays MIDI pitches {low} to {high}, got {pitch}")
    sound = SOUNDS[voice]
    n_samples = max(round(seconds * sample_rate), sample_rate // 2)
    if isinstance(sound, Tone):
        out = _tone(sound, pitch, n_samples, sample_rate)
    elif isinstance(sound, Pluck):
        out = _pluck(sound, pitch, n_samples, sample_rate)
    else:
        out = _strike(sound, pitch, n_samples, sample_rate)
    held = isinstance(sound, Tone) and not sound.ring
    beginning = out[: round((0.5 if held else 0.15) * sample_rate)]
    power = np.mean(beginning**2, dtype=np.float64)
    gain = round(LEVEL / float(np.sqrt(power)), 4)
    return out * np.float32(gain)


def _spectrum(sound: Tone, frequency: float, sample_rate: int) -> Floats:
    """Return the amplitudes of the harmonics below 0.45 of the sample rate."""
    harmonic = np.arange(1, int(0.45 * sample_rate / frequency) + 1)
    level = sound.slope * np.log2(harmonic)
    if sound.formants:
        hertz = harmonic * frequency
        heights = [
            height - 3 * ((hertz - centre) / width) ** 2 for centre, width, height in sound.formants
        ]
        level = level + np.maximum(np.max(heights, axis=0), sound.floor)
    amplitudes = 10 ** (level / 20)
    amplitudes[1::2] *= sound.even
    return np.asarray(amplitudes, float)


def _tone(sound: Tone, pitch: int, n_samples: int, sample_rate: int) -> Signal:
    frequency = waves.frequency_of(pitch)
    amplitudes = _spectrum(sound, frequency, sample_rate)
    time = np.arange(n_samples) / sample_rate
    # Of the pitch's deviation in cycles: vibrato that sets in late, and a slide from below.
    bend = np.zeros(n_samples)
    if sound.vibrato:
        depth = frequency * sound.vibrato / 1200 * 0.6931 / (2 * 3.1416 * 5.6)
        late = np.minimum(time * 3, 1.0) ** 2
        bend = depth * late * waves.sine(time * 5.6)
    if sound.scoop:
        depth = frequency * sound.scoop / 1200 * 0.6931 * 0.05
        bend = bend + depth * waves.decay(n_samples, sample_rate, 0.05 * 6.9)
    moving = sound.bright > 0 or sound.swell > 0
    full = waves.wavetable(amplitudes)
    dark = waves.wavetable(amplitudes / np.arange(1, amplitudes.size + 1) ** 1.6)
    out = np.zeros(n_samples, np.float32)
    for player in range(sound.players):
        cents = (player - (sound.players - 1) / 2) * sound.spread
        cycles = time * round(frequency * 2 ** (cents / 1200), 9) + (bend + (0.37 * player + 2.0))
        wave = waves.oscillate(full, cycles)
        if moving:
            upper = _upper(sound, n_samples, sample_rate)
            wave = wave * upper + waves.oscillate(dark, cycles) * (1 - upper)
        out += wave
    if sound.breath:
        air = waves.noise(n_samples, sample_rate, start=pitch * 97)
        air = waves.low_pass(air, sample_rate, min(4 * frequency + 500, 0.4 * sample_rate))
        out += np.float32(sound.breath * 4) * air
    out *= waves.ramp(n_samples, sample_rate, sound.attack)
    if sound.ring:
        # Short strings ring for a shorter time, as a piano's do.
        seconds = round(sound.ring * 2 ** ((60 - pitch) / 24), 2)
        out *= waves.decay(n_samples, sample_rate, seconds)
    return _tremble(out, sound.tremolo, sample_rate)


def _upper(sound: Tone, n_samples: int, sample_rate: int) -> Signal:
    """Return the share of the upper harmonics over time, 0 to 1."""
    if sound.bright:
        return waves.decay(n_samples, sample_rate, sound.bright)
    return waves.ramp(n_samples, sample_rate, sound.swell)


def _pluck(sound: Pluck, pitch: int, n_samples: int, sample_rate: int) -> Signal:
    frequency = waves.frequency_of(pitch)
    ring = round(sound.ring * 2 ** ((55 - pitch) / 36), 2)
    out = waves.string(
        frequency, n_samples, sample_rate, ring=ring, softness=sound.softness, pick=sound.pick
    )
    if sound.buzz:
        octave = waves.string(
            2 * frequency, n_samples, sample_rate, ring=ring, softness=0.02, pick=0.05
        )
        out += np.float32(sound.buzz) * octave
    if sound.dark:
        out = waves.low_pass(out, sample_rate, sound.dark)
    if sound.body:
        out = waves.high_pass(out, sample_rate, sound.body)
    return out


def _strike(sound: Strike, pitch: int, n_samples: int, sample_rate: int) -> Signal:
    frequency = waves.frequency_of(pitch)
    out = waves.bars(frequency, n_samples, sample_rate, sound.partials)
    if sound.knock:
        mallet = waves.noise(n_samples, sample_rate, start=pitch * 89)
        out += np.float32(sound.knock) * mallet * waves.decay(n_samples, sample_rate, 0.06)
    out *= waves.ramp(n_samples, sample_rate, 0.002)
    return _tremble(out, sound.tremolo, sample_rate)


def _tremble(out: Signal, depth: float, sample_rate: int) -> Signal:
    if not depth:
        return out
    cycles = np.arange(out.size, dtype=np.float64) * (6.2 / sample_rate)
    return out * (np.float32(1 - depth / 2) + np.float32(depth / 2) * waves.sine(cycles))
