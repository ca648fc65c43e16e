"""What the voices are made of: wavetables, envelopes, noise, plucked strings, ringing bars.

Sound should be the same to the last bit on any machine. Sines, powers and exponentials may differ
in the last bit of a double between processors, so that their results are rounded to a coarser grid
(:func:`on_grid`), where this shows once in some thousand million samples. What then runs sample by
sample is addition, multiplication and table look-up, which IEEE 754 fixes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.base import DataError
from earmark.datasets.etude.score import PIECES, VOICES

Signal = NDArray[np.float32]
Floats = NDArray[np.float64]

_SIZE = 4096
"""Samples of a wavetable; read without interpolation its noise is below -65 dB."""
_NOISE_S = 7
_SILENT_S = 1e-9


def on_grid(values: Floats, *, bits: int) -> Signal:
    """Return the nearest multiples of ``2 ** -bits``; shape as the values."""
    return np.asarray(np.round(values * 2.0**bits) * 2.0**-bits, np.float32)


def frequency_of(pitch: float) -> float:
    """Return the frequency in Hz of a MIDI pitch.

    >>> frequency_of(69)
    440.0
    """
    return float(round(440.0 * 2 ** ((pitch - 69) / 12), 9))


def wavetable(amplitudes: Floats) -> Signal:
    """Return one period of harmonics of these amplitudes, at a root mean square of 1."""
    spectrum = np.zeros(_SIZE // 2 + 1, complex)
    spectrum[1 : amplitudes.size + 1] = -1j * amplitudes
    table = np.fft.irfft(spectrum)
    return on_grid(table / np.sqrt(np.mean(table**2)), bits=16)


def oscillate(table: Signal, cycles: Floats) -> Signal:
    """Return a wavetable read at these phases, in cycles from 0; shape as the phases."""
    index = (cycles * _SIZE).astype(np.int64)
    index &= _SIZE - 1
    return table[index]


_SINE = on_grid(np.sin(np.arange(_SIZE) * (2 * np.pi / _SIZE)), bits=16)


def sine(cycles: Floats) -> Signal:
    """Return sines of amplitude 1 at these phases, in cycles from 0."""
    return oscillate(_SINE, cycles)


@lru_cache(maxsize=64)
def decay(n_samples: int, sample_rate: int, seconds: float) -> Signal:
    """Return an exponential that starts at 1 and falls by 60 dB in this time; read-only."""
    fall = np.exp(np.arange(n_samples) * (-6.907755 / (sample_rate * max(seconds, _SILENT_S))))
    envelope = on_grid(fall, bits=20)
    envelope.flags.writeable = False
    return envelope


@lru_cache(maxsize=64)
def ramp(n_samples: int, sample_rate: int, seconds: float) -> Signal:
    """Return a rise from 0 to 1 in this time, then 1; read-only."""
    rise = np.arange(n_samples) / max(seconds * sample_rate, 1.0)
    envelope = np.asarray(np.minimum(rise, 1.0), np.float32)
    envelope.flags.writeable = False
    return envelope


@lru_cache(maxsize=4)
def _noise(sample_rate: int) -> Signal:
    generator = np.random.Generator(np.random.PCG64(20_220_905))
    return np.asarray(generator.random(_NOISE_S * sample_rate) * 2 - 1, np.float32)


def noise(n_samples: int, sample_rate: int, *, start: int = 0) -> Signal:
    """Return white noise in [-1, 1), always the same for the same start (in samples).

    Raises
    ------
    ValueError
        If more than 5 s are asked for.
    """
    if n_samples > 5 * sample_rate:
        raise ValueError(f"noise lasts 5 s at most, got {n_samples / sample_rate:.1f} s")
    start %= 2 * sample_rate
    return _noise(sample_rate)[start : start + n_samples]


def low_pass(signal: Signal, sample_rate: int, hertz: float) -> Signal:
    """Return a signal through a one-pole low-pass; shape as the signal."""
    from scipy.signal import sosfilt

    keep = _pole(sample_rate, hertz)
    return np.asarray(sosfilt([[1 - keep, 0, 0, 1.0, -keep, 0]], signal), np.float32)


def high_pass(signal: Signal, sample_rate: int, hertz: float) -> Signal:
    """Return a signal through a one-pole high-pass; shape as the signal."""
    return signal - low_pass(signal, sample_rate, hertz)


def _pole(sample_rate: int, hertz: float) -> float:
    return round(float(np.exp(-2 * np.pi * hertz / sample_rate)), 9)


def string(
    frequency: float,
    n_samples: int,
    sample_rate: int,
    *,
    ring: float,
    softness: float,
    pick: float,
) -> Signal:
    """Return a plucked string (Karplus and Strong, 1983, tuned as by Jaffe and Smith, 1983).

    Parameters
    ----------
    frequency
        In Hz.
    ring
        Seconds in which its fundamental falls by 60 dB.
    softness
        From 0 (all harmonics ring as long) to 0.5 (the upper ones die at once).
    pick
        Where it is plucked, as a part of its length, 0 to 0.5: harmonics with a node there lack.
    """
    period = sample_rate / frequency
    whole = int(period - softness)
    rest = period - softness - whole
    loss = 10 ** (-3 * period / (sample_rate * ring))
    # A two-point mean damps, linear interpolation adds the rest of a sample that tunes the string.
    loop = loss * np.convolve([1 - softness, softness], [1 - rest, rest])
    feedback = np.concatenate([[1.0], np.zeros(whole - 1), -np.round(loop, 9)])
    pluck = np.zeros(n_samples)
    length = min(whole, n_samples)
    burst = noise(length, sample_rate, start=int(frequency * 16))
    pluck[:length] = low_pass(burst, sample_rate, min(10 * frequency + 1500, 0.4 * sample_rate))
    pluck[:length] -= pluck[:length].mean().round(6)
    offset = max(1, int(pick * period))
    pluck[offset:] -= pluck[:-offset].copy()
    from scipy.signal import lfilter

    return np.asarray(lfilter([1.0], feedback, pluck), np.float32)


def bars(
    frequency: float,
    n_samples: int,
    sample_rate: int,
    partials: Sequence[tuple[float, float, float]],
) -> Signal:
    """Return ringing partials, each given by its ratio to the frequency, its level and its decay.

    The decay is the time in seconds to fall by 60 dB; partials above 0.45 of the rate are left out.
    """
    time = np.arange(n_samples, dtype=np.float64) * (frequency / sample_rate)
    out = np.zeros(n_samples, np.float32)
    for ratio, level, seconds in partials:
        if ratio * frequency < 0.45 * sample_rate:
            ringing = sine(time * ratio) * decay(n_samples, sample_rate, seconds)
            out += np.float32(level) * ringing
    return out


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
    frequency = frequency_of(pitch)
    amplitudes = _spectrum(sound, frequency, sample_rate)
    time = np.arange(n_samples) / sample_rate
    # Of the pitch's deviation in cycles: vibrato that sets in late, and a slide from below.
    bend = np.zeros(n_samples)
    if sound.vibrato:
        depth = frequency * sound.vibrato / 1200 * 0.6931 / (2 * 3.1416 * 5.6)
        late = np.minimum(time * 3, 1.0) ** 2
        bend = depth * late * sine(time * 5.6)
    if sound.scoop:
        depth = frequency * sound.scoop / 1200 * 0.6931 * 0.05
        bend = bend + depth * decay(n_samples, sample_rate, 0.05 * 6.9)
    moving = sound.bright > 0 or sound.swell > 0
    full = wavetable(amplitudes)
    dark = wavetable(amplitudes / np.arange(1, amplitudes.size + 1) ** 1.6)
    out = np.zeros(n_samples, np.float32)
    for player in range(sound.players):
        cents = (player - (sound.players - 1) / 2) * sound.spread
        cycles = time * round(frequency * 2 ** (cents / 1200), 9) + (bend + (0.37 * player + 2.0))
        wave = oscillate(full, cycles)
        if moving:
            upper = _upper(sound, n_samples, sample_rate)
            wave = wave * upper + oscillate(dark, cycles) * (1 - upper)
        out += wave
    if sound.breath:
        air = noise(n_samples, sample_rate, start=pitch * 97)
        air = low_pass(air, sample_rate, min(4 * frequency + 500, 0.4 * sample_rate))
        out += np.float32(sound.breath * 4) * air
    out *= ramp(n_samples, sample_rate, sound.attack)
    if sound.ring:
        # Short strings ring for a shorter time, as a piano's do.
        seconds = round(sound.ring * 2 ** ((60 - pitch) / 24), 2)
        out *= decay(n_samples, sample_rate, seconds)
    return _tremble(out, sound.tremolo, sample_rate)


def _upper(sound: Tone, n_samples: int, sample_rate: int) -> Signal:
    """Return the share of the upper harmonics over time, 0 to 1."""
    if sound.bright:
        return decay(n_samples, sample_rate, sound.bright)
    return ramp(n_samples, sample_rate, sound.swell)


def _pluck(sound: Pluck, pitch: int, n_samples: int, sample_rate: int) -> Signal:
    frequency = frequency_of(pitch)
    ring = round(sound.ring * 2 ** ((55 - pitch) / 36), 2)
    out = string(
        frequency, n_samples, sample_rate, ring=ring, softness=sound.softness, pick=sound.pick
    )
    if sound.buzz:
        octave = string(2 * frequency, n_samples, sample_rate, ring=ring, softness=0.02, pick=0.05)
        out += np.float32(sound.buzz) * octave
    if sound.dark:
        out = low_pass(out, sample_rate, sound.dark)
    if sound.body:
        out = high_pass(out, sample_rate, sound.body)
    return out


def _strike(sound: Strike, pitch: int, n_samples: int, sample_rate: int) -> Signal:
    frequency = frequency_of(pitch)
    out = bars(frequency, n_samples, sample_rate, sound.partials)
    if sound.knock:
        mallet = noise(n_samples, sample_rate, start=pitch * 89)
        out += np.float32(sound.knock) * mallet * decay(n_samples, sample_rate, 0.06)
    out *= ramp(n_samples, sample_rate, 0.002)
    return _tremble(out, sound.tremolo, sample_rate)


def _tremble(out: Signal, depth: float, sample_rate: int) -> Signal:
    if not depth:
        return out
    cycles = np.arange(out.size, dtype=np.float64) * (6.2 / sample_rate)
    return out * (np.float32(1 - depth / 2) + np.float32(depth / 2) * sine(cycles))


PEAK = 0.6
"""Of a stroke on the kick drum; the other pieces' peaks are below."""


@dataclass(frozen=True, slots=True)
class Kit:
    """How the pieces of one drum voice differ from another's."""

    kick: float
    """Hz at which the kick drum settles."""
    boom: float
    """Seconds in which the kick drum falls by 60 dB."""
    snap: float
    """Level of the snare's noise against its skin."""
    ring: float
    """By how much longer cymbals and skins ring."""
    soft: float
    """Cut-off in Hz of a low-pass over all pieces but the kick drum; 0: none."""


KITS: Mapping[str, Kit] = MappingProxyType(
    {
        "drum kit": Kit(58.0, 0.28, 1.0, 1.0, 0.0),
        "brushed drums": Kit(62.0, 0.2, 2.2, 1.3, 5500.0),
        "drum machine": Kit(47.0, 0.6, 1.4, 0.7, 0.0),
        "hand percussion": Kit(80.0, 0.25, 0.4, 1.0, 6000.0),
    }
)

_LEVELS = {
    "kick": 1.0,
    "snare": 0.8,
    "rim": 0.5,
    "clap": 0.65,
    "closed hat": 0.32,
    "open hat": 0.36,
    "ride": 0.34,
    "crash": 0.55,
    "low tom": 0.75,
    "high tom": 0.7,
    "shaker": 0.28,
    "conga": 0.6,
}


def stroke(kit: str, piece: int, *, sample_rate: int) -> Signal:
    """Return one stroke: float32, shape ``(n_samples,)``.

    Raises
    ------
    DataError
        If the kit is unknown, or the piece is no index into ``PIECES``.
    """
    if kit not in KITS:
        raise DataError(f"{kit!r} is no drum voice of Etude; expected one of {list(KITS)}")
    if not 0 <= piece < len(PIECES):
        raise DataError(f"a kit has pieces 0 to {len(PIECES) - 1}, got {piece}")
    name, spec = PIECES[piece], KITS[kit]
    out = _piece(name, spec, sample_rate)
    if spec.soft and name != "kick":
        out = low_pass(out, sample_rate, min(spec.soft, 0.45 * sample_rate))
    # A struck skin or plate starts with its loudest sample; a fade at the end avoids a click.
    out = out * ramp(out.size, sample_rate, 0.05)[::-1]
    gain = round(PEAK * _LEVELS[name] / float(np.abs(out).max()), 5)
    return out * np.float32(gain)


def _piece(name: str, kit: Kit, rate: int) -> Signal:
    if name == "kick":
        return _sum(
            _skin(kit.kick, kit.boom, rate, fall=2.2), _hiss(0.02, rate, 1500) * np.float32(0.3)
        )
    if name == "snare":
        hiss = _hiss(0.18 * kit.ring, rate, 1200) * np.float32(kit.snap)
        return _sum(_skin(185.0, 0.12 * kit.ring, rate, fall=0.3), hiss)
    if name == "rim":
        return bars(
            1700.0, round(0.1 * rate), rate, ((1, 1, 0.05), (1.53, 0.7, 0.04), (0.3, 0.5, 0.06))
        )
    if name == "clap":
        return _clap(rate)
    if name in ("low tom", "high tom"):
        hertz = 95.0 if name == "low tom" else 150.0
        return _skin(hertz, 0.45 * kit.ring, rate, fall=0.5)
    if name == "conga":
        return _skin(260.0, 0.22 * kit.ring, rate, fall=0.15)
    if name == "shaker":
        hiss = _hiss(0.09, rate, 5000)
        return hiss * ramp(hiss.size, rate, 0.025)
    seconds = {"closed hat": 0.06, "open hat": 0.4, "ride": 0.5, "crash": 1.4}[name] * kit.ring
    plate = _hiss(seconds, rate, 5500 if "hat" in name else 3500)
    if name == "ride":
        ping = bars(3100.0, plate.size, rate, ((1, 0.5, 0.35), (1.37, 0.3, 0.3)))
        return plate * np.float32(0.5) + ping
    return plate


def _skin(hertz: float, seconds: float, rate: int, *, fall: float) -> Signal:
    """Return a sine whose pitch falls to ``hertz`` from ``1 + fall`` times that."""
    n_samples = round((seconds + 0.05) * rate)
    time = np.arange(n_samples) / rate
    # The integral of the falling part, with a time constant of 20 ms.
    slide = fall * 0.02 * (1 - decay(n_samples, rate, 0.02 * 6.9))
    return sine((time + slide) * hertz) * decay(n_samples, rate, seconds)


def _hiss(seconds: float, rate: int, hertz: float) -> Signal:
    n_samples = round(min(seconds + 0.05, 2.0) * rate)
    hiss = noise(n_samples, rate, start=int(hertz))
    hiss = high_pass(hiss, rate, min(hertz, 0.4 * rate))
    return hiss * decay(n_samples, rate, round(seconds, 3))


def _clap(rate: int) -> Signal:
    hiss = _hiss(0.2, rate, 900)
    hiss = low_pass(hiss, rate, min(3500, 0.4 * rate))
    out = np.zeros(hiss.size + round(0.03 * rate), np.float32)
    for hand, gain in enumerate((0.7, 0.8, 1.0)):
        start = round(0.012 * hand * rate)
        out[start : start + hiss.size] += np.float32(gain) * hiss
    return out


def _sum(first: Signal, second: Signal) -> Signal:
    out = np.zeros(max(first.size, second.size), np.float32)
    out[: first.size] += first
    out[: second.size] += second
    return out
