"""What the voices are made of: wavetables, envelopes, noise, plucked strings, ringing bars.

Sound should be the same to the last bit on any machine. Sines, powers and exponentials may differ
in the last bit of a double between processors, so that their results are rounded to a coarser grid
(:func:`on_grid`), where this shows once in some thousand million samples. What then runs sample by
sample is addition, multiplication and table look-up, which IEEE 754 fixes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

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
