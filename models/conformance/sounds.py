"""Sounds that a few lines can synthesise: unlike each other, seeded, at any sample rate.

They are no music. A trained model tells them apart without effort, which is all that is asked.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.audio import Waveform

Floats = NDArray[np.float64]
Instrument = Callable[[Floats, int, np.random.Generator], Floats]
"""From times in s, the sample rate in Hz and a random generator to samples."""

_HIGHEST = 0.45  # of the sample rate: nothing synthesised folds back


def drum_loop(t: Floats, rate: int, rng: np.random.Generator) -> Floats:
    """Kick on the beat, snare between, hats twice as fast; 90 to 150 beats a minute."""
    out = np.zeros_like(t)
    noise = rng.normal(size=t.size)
    beat = 60 / rng.uniform(90, 150)
    for number, start in enumerate(np.arange(0, t[-1], beat / 2)):
        first = int(np.ceil(start * rate))
        since = t[first:] - start
        out[first:] += 0.15 * noise[first:] * np.exp(-since * 60)
        if number % 4 == 0:
            falling = 2 * np.pi * (50 * since - 4 * np.exp(-since * 25))
            out[first:] += np.sin(falling) * np.exp(-since * 9)
        if number % 4 == 2:
            out[first:] += 0.5 * noise[first:] * np.exp(-since * 18)
    return out


def pad(t: Floats, rate: int, rng: np.random.Generator) -> Floats:
    """A minor or major chord of soft detuned tones that swells and stays."""
    root = 2 ** rng.uniform(7.2, 8.2)
    third = rng.choice([3, 4])
    detuned = (1.0, 1.004)
    chord = [root * 2 ** (step / 12) * d for step in (0, third, 7) for d in detuned]
    swell = np.minimum(t / 0.5, 1)
    return swell * sum((_tone(t, f, rate, fall=2.0, rng=rng) for f in chord), np.zeros_like(t))


def bass_line(t: Floats, rate: int, rng: np.random.Generator) -> Floats:
    """Plucked notes between 40 and 80 Hz."""
    return _notes(t, rate, rng, low=40, high=80, every=0.4, decay=4, fall=1.5)


def bells(t: Floats, rate: int, rng: np.random.Generator) -> Floats:
    """Struck notes between 1 and 2 kHz with little above the fundamental."""
    return _notes(t, rate, rng, low=1000, high=2000, every=0.3, decay=5, fall=3)


def hiss(t: Floats, rate: int, rng: np.random.Generator) -> Floats:
    """White noise."""
    return rng.normal(size=t.size)


def sweep(t: Floats, rate: int, rng: np.random.Generator) -> Floats:
    """A sine that rises by four octaves."""
    low = 2 ** rng.uniform(6, 7.5)
    octaves = 4 * t / (t[-1] or 1)
    return np.sin(2 * np.pi * np.cumsum(low * 2**octaves) / rate)


def clicks(t: Floats, rate: int, rng: np.random.Generator) -> Floats:
    """Single samples at irregular moments, about twelve a second."""
    return (rng.random(t.size) < 12 / rate) + 1e-4 * rng.normal(size=t.size)


def sawtooth(t: Floats, rate: int, rng: np.random.Generator) -> Floats:
    """One buzzing tone rich in harmonics."""
    return _tone(t, 2 ** rng.uniform(6.5, 7.5), rate, fall=1.0, rng=rng)


INSTRUMENTS: tuple[Instrument, ...] = (
    drum_loop,
    pad,
    bass_line,
    bells,
    hiss,
    sweep,
    clicks,
    sawtooth,
)


def play(
    instrument: Instrument, *, sample_rate: int, seconds: float, peak_db: float, seed: int
) -> Waveform:
    """Return mono float32 samples of an instrument with a peak of ``peak_db`` dBFS."""
    t = np.arange(max(1, round(seconds * sample_rate))) / sample_rate
    samples = instrument(t, sample_rate, np.random.default_rng(seed))
    samples = samples * 10 ** (peak_db / 20) / max(np.abs(samples).max(), 1e-12)
    return Waveform(samples.astype(np.float32), sample_rate)


def octaves(sample_rate: int, *, seconds: float, highest: float, n: int) -> list[Waveform]:
    """Return the same tone in ``n`` octaves from 110 Hz, each in noise, below ``highest`` Hz.

    All are Fourier series, so that one sound comes out exactly, whatever rate it is sampled at.
    Played at twice its rate, each sounds as the next one.
    """
    n_samples = round(seconds * sample_rate)
    bins = np.arange(round(highest * seconds) + 1)
    found = []
    for octave in range(n):
        rng = np.random.default_rng(octave)
        spectrum = np.zeros(n_samples // 2 + 1, complex)
        phases = np.exp(2j * np.pi * rng.random(bins.size))
        spectrum[bins[1:]] = 0.3 / np.sqrt(bins.size) * phases[1:]
        harmonics = round(110 * 2**octave * seconds) * np.arange(1, 9)
        harmonics = harmonics[harmonics < bins.size]
        spectrum[harmonics] += phases[: harmonics.size] / np.arange(1, harmonics.size + 1)
        samples = np.fft.irfft(spectrum, n_samples, norm="forward")
        found.append(Waveform((0.1 * samples).astype(np.float32), sample_rate))
    return found


def _tone(
    t: Floats, frequency: float, rate: int, *, fall: float, rng: np.random.Generator
) -> Floats:
    """Return up to 16 harmonics at random phases, the h-th of amplitude ``h ** -fall``."""
    harmonics = np.arange(1.0, 17.0)
    harmonics = harmonics[harmonics * frequency < _HIGHEST * rate]
    amplitudes = harmonics**-fall * np.exp(2j * np.pi * rng.random(harmonics.size))
    # Horner's scheme on one rotating phasor: a sine a sample, not sixteen.
    turning = np.exp(2j * np.pi * frequency * t)
    out = np.zeros(t.size, complex)
    for amplitude in amplitudes[::-1]:
        out += amplitude
        out *= turning
    return out.imag


def _notes(
    t: Floats,
    rate: int,
    rng: np.random.Generator,
    *,
    low: float,
    high: float,
    every: float,
    decay: float,
    fall: float,
) -> Floats:
    out = np.zeros_like(t)
    every *= rng.uniform(0.7, 1.3)
    for start in np.arange(0, t[-1], every):
        frequency = low * (high / low) ** rng.random()
        first = int(np.ceil(start * rate))
        since = t[first:] - start
        out[first:] += _tone(since, frequency, rate, fall=fall, rng=rng) * np.exp(-since * decay)
    return out
