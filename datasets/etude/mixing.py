"""Mixing: the room, the tone, saturation, and a master of the loudness that the score asks for.

Loudness is that of a mono file by EBU R128: gated, and of one channel, so that a full-scale sine of
1 kHz has -3 LUFS (a player that doubles the channel adds 3 LU).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.etude import synthesis as waves
from earmark.datasets.etude.score import Room
from earmark.datasets.etude.synthesis import Floats, Signal
from earmark.datasets.loudness import SILENCE_LUFS, loudness

CEILING = 0.985
"""No sample is beyond it."""
TOLERANCE_LU = 0.1
"""How far from its target the limiter may leave a track."""

_KNEE = 0.6
"""Amplitude from which the limiter bends."""
_ROUNDS = 16
_KEPT = 2**20
"""Up to this many samples the spectra of rooms and tones are kept for the next track."""
_STRIDE_DB = 12.0


def soft_clip(signal: Signal, *, knee: float, ceiling: float) -> Signal:
    """Return a signal that is left alone up to the knee and never passes the ceiling.

    Of additions, a product and a quotient alone, so that it is the same on any machine.
    """
    size = np.abs(signal)
    excess = np.maximum(size - np.float32(knee), np.float32(0))
    room = np.float32(ceiling - knee)
    # Not less the excess: of a large sample, too few digits would be left.
    bent = np.minimum(size, np.float32(knee)) + room * excess / (excess + room)
    return np.copysign(np.minimum(bent, np.float32(ceiling)), signal)


def overdrive(signal: Signal, *, gain: float, sample_rate: int) -> Signal:
    """Return a part through a distorting amplifier and its loudspeaker; the level stays."""
    driven = soft_clip(signal * np.float32(gain), knee=0.1, ceiling=1.0)
    cabinet = waves.low_pass(driven, sample_rate, min(4200.0, 0.4 * sample_rate))
    return waves.high_pass(cabinet, sample_rate, 90.0)


def in_room(dry: Signal, send: Signal, room: Room, *, tilt: float, sample_rate: int) -> Signal:
    """Return the mix with its reverberation and tone; shape as ``dry``.

    Parameters
    ----------
    send
        What goes into the room; shape as ``dry``.
    tilt
        dB per octave around 1 kHz.
    """
    from scipy.fft import irfft, rfft

    length = round(room.seconds * sample_rate)
    size = _transform_size(dry.size + length)
    response = _room if size <= _KEPT else _room.__wrapped__
    wet = rfft(send.astype(np.float64), size) * response(room.seconds, size, sample_rate)
    mixed = (1 - room.wet / 2) * rfft(dry.astype(np.float64), size) + room.wet * wet
    if tilt:
        tone = _tone if size <= _KEPT else _tone.__wrapped__
        mixed *= tone(tilt, size, sample_rate)
    return waves.on_grid(irfft(mixed, size)[: dry.size], bits=18)


def _transform_size(n_samples: int) -> int:
    """Return the next power of two or three times one: other sizes take longer to transform."""
    power = 1 << (n_samples - 1).bit_length()
    return power * 3 // 4 if power * 3 // 4 >= n_samples else power


@lru_cache(maxsize=6)
def _room(seconds: float, size: int, sample_rate: int) -> NDArray[np.complex128]:
    """Return the spectrum of a room's response: noise that dies away, upper frequencies first."""
    from scipy.fft import rfft

    length = round(seconds * sample_rate)
    response = waves.noise(length, sample_rate, start=sample_rate)
    response = response * waves.decay(length, sample_rate, seconds)
    dark = waves.low_pass(response, sample_rate, 1800.0)
    fading = waves.decay(length, sample_rate, 0.5 * seconds)
    response = fading * response + (1 - fading) * dark
    # The first echo comes after 12 ms; the response as a whole neither adds nor takes power.
    echo = round(0.012 * sample_rate)
    response[echo:] = response[:-echo].copy()
    response[:echo] = 0
    power = float(np.sqrt(np.sum(response.astype(np.float64) ** 2)))
    return np.asarray(rfft(response.astype(np.float64) / round(power, 6), size))


@lru_cache(maxsize=16)
def _tone(tilt: float, size: int, sample_rate: int) -> Floats:
    octaves = np.log2(np.maximum(np.arange(size // 2 + 1) * (sample_rate / size), 60.0) / 1000)
    return np.asarray(10 ** (tilt / 20 * octaves), float)


def saturate(signal: Signal, amount: float) -> Signal:
    """Return a signal through a soft distortion of 0 (none) to 1 (heavy); the level stays."""
    power = float(np.sqrt(np.mean(signal.astype(np.float64) ** 2)))
    if amount < 0.02 or power == 0:
        return signal
    # At its heaviest, samples beyond the root mean square are bent.
    scale = round(power * (4 - 3 * amount), 6)
    return soft_clip(signal, knee=0.3 * scale, ceiling=1.6 * scale)


def master(signal: Signal, lufs: float, *, sample_rate: int) -> Signal:
    """Return a signal at a loudness, its peaks bent so that none passes the ceiling.

    Raises
    ------
    ValueError
        If it is silent, or so sparse that no gain reaches the loudness.
    """
    now = loudness(signal, sample_rate)
    if now <= SILENCE_LUFS:
        raise ValueError("a silent signal cannot be brought to a loudness")
    gain, slope = lufs - now, 1.0
    scaled = signal * _factor(gain)
    if float(np.abs(scaled).max()) <= _KNEE:
        return scaled
    # The secant method, kept between a gain that is too little and one that is too much: loudness
    # need not rise with gain where bent peaks no longer gate the passages between them.
    too_little, too_much = gain - _STRIDE_DB, math.inf
    before: tuple[float, float] | None = None
    for _ in range(_ROUNDS):
        out = soft_clip(signal * _factor(gain), knee=_KNEE, ceiling=CEILING)
        reached = loudness(out, sample_rate)
        if abs(lufs - reached) <= TOLERANCE_LU:
            return out
        if reached < lufs:
            too_little = gain
        else:
            too_much = gain
        if before is not None and gain != before[0]:
            # The harder the peaks are bent, the less a decibel of gain adds.
            slope = min(1.0, max(0.1, (reached - before[1]) / (gain - before[0])))
        before = gain, reached
        gain = min(gain + (lufs - reached) / slope, gain + _STRIDE_DB)
        if not too_little < gain < too_much:
            gain = (too_little + too_much) / 2
    raise ValueError(f"no gain brings the signal to {lufs} LUFS; reached {reached:.2f}")


def _factor(decibels: float) -> np.float32:
    return np.float32(round(10 ** (decibels / 20), 6))
