"""Rendering: the sound of a score.

A note is made once for each voice and pitch and added wherever it is played; notes are kept from
one track to the next, up to :data:`BANK_BYTES` a process. Nothing of a track depends on which were
rendered before it.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from functools import lru_cache
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.base import DataError
from earmark.datasets.etude import synthesis
from earmark.datasets.etude.score import Part, Room, Score
from earmark.datasets.etude.synthesis import Floats, Signal
from earmark.datasets.loudness import SILENCE_LUFS, loudness

BANK_BYTES = 96 * 2**20
"""How much memory the notes that are kept may take in a process."""

RATES = (8_000, 48_000)
"""Lowest and highest sample rate in Hz."""

_LENGTHS_S = (0.8, 1.6, 3.0, 4.8)
"""How long notes are made: the longest one is held for 4 s."""
_STEP = 128
"""Notes end on a multiple of this many samples, so that notes of a rhythm are the same."""
_VELOCITY = {1: 0.45, 2: 0.72, 3: 1.0}
_SEND = {"drums": 0.3, "bass": 0.15}
"""How much of a role goes into the room, if not all."""
_DRIVEN = {"distorted guitar": 25.0}
"""Voices that play through a distorting amplifier, and its gain."""


class _Bank:
    """Notes and strokes that were made, the longest-unused dropped first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._used = 0
        self._kept: OrderedDict[tuple[str, int, int], Signal] = OrderedDict()
        self._lock = Lock()

    def note(self, voice: str, pitch: int, n_samples: int, sample_rate: int) -> Signal:
        """Return a note that lasts at least this many samples."""
        key = (voice, pitch, sample_rate)
        with self._lock:
            found = self._kept.get(key)
            if found is not None and found.size >= n_samples:
                self._kept.move_to_end(key)
                return found
        length = next(s for s in _LENGTHS_S if round(s * sample_rate) >= n_samples)
        made = synthesis.note(voice, pitch, seconds=length, sample_rate=sample_rate)
        self._keep(key, made)
        return made

    def stroke(self, kit: str, piece: int, sample_rate: int) -> Signal:
        """Return a stroke on a piece of a kit."""
        key = (kit, piece, sample_rate)
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
        made = synthesis.stroke(kit, piece, sample_rate=sample_rate)
        self._keep(key, made)
        return made

    def _keep(self, key: tuple[str, int, int], made: Signal) -> None:
        with self._lock:
            before = self._kept.pop(key, None)
            self._used += made.nbytes - (before.nbytes if before is not None else 0)
            self._kept[key] = made
            while self._used > self._size:
                self._used -= self._kept.popitem(last=False)[1].nbytes


_BANK = _Bank(BANK_BYTES)


def render(score: Score, *, sample_rate: int = 22_050) -> NDArray[np.float32]:
    """Return a score's sound: mono, float32, shape ``(round(seconds * sample_rate),)``.

    Samples are in [-0.985, 0.985] and the integrated loudness is the score's to within 0.1 LU. The
    same score gives the same samples whichever vector instructions a processor has (tested); what
    another release of SciPy or another build for another architecture may change is a last bit.

    Raises
    ------
    DataError
        If the sample rate is not 8,000 to 48,000 Hz.
    """
    if not RATES[0] <= sample_rate <= RATES[1]:
        raise DataError(f"Etude renders at {RATES[0]} to {RATES[1]} Hz, got {sample_rate!r}")
    n_samples = round(score.seconds * sample_rate)
    dry, send = np.zeros(n_samples, np.float32), np.zeros(n_samples, np.float32)
    for part in score.parts:
        played = _played(part, n_samples, sample_rate)
        dry += played
        played *= np.float32(_SEND.get(part.role, 1.0))
        send += played
    mixed = in_room(dry, send, score.room, tilt=score.tilt, sample_rate=sample_rate)
    mixed = saturate(mixed, score.saturation)
    return master(mixed, score.loudness, sample_rate=sample_rate)


def _played(part: Part, n_samples: int, sample_rate: int) -> Signal:
    """Return what a part plays, at its level."""
    out = np.zeros(n_samples, np.float32)
    shaped: dict[tuple[int, int, int], Signal] = {}
    level = 10 ** (part.level / 20)
    for note in part.notes:
        start = round(note.start * sample_rate)
        length = -int(-note.duration * sample_rate // _STEP) * _STEP
        key = (note.pitch, length, note.velocity)
        sound = shaped.get(key)
        if sound is None:
            gain = np.float32(round(level * _VELOCITY[note.velocity], 6))
            if part.role == "drums":
                sound = _BANK.stroke(part.voice, note.pitch, sample_rate) * gain
            else:
                sound = _held(part.voice, note.pitch, length, sample_rate) * gain
            shaped[key] = sound
        end = min(start + sound.size, n_samples)
        out[start:end] += sound[: end - start]
    if part.voice in _DRIVEN:
        drive = _DRIVEN[part.voice] / level
        out = overdrive(out, gain=drive, sample_rate=sample_rate)
        out *= np.float32(level * synthesis.LEVEL * 2)
    return out


def _held(voice: str, pitch: int, length: int, sample_rate: int) -> Signal:
    """Return a note that is released after ``length`` samples."""
    release = round(synthesis.release_of(voice) * sample_rate)
    note = _BANK.note(voice, pitch, length + release, sample_rate)[: length + release].copy()
    note[length:] *= synthesis.ramp(release, sample_rate, synthesis.release_of(voice))[::-1]
    return note


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
    cabinet = synthesis.low_pass(driven, sample_rate, min(4200.0, 0.4 * sample_rate))
    return synthesis.high_pass(cabinet, sample_rate, 90.0)


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
    return synthesis.on_grid(irfft(mixed, size)[: dry.size], bits=18)


def _transform_size(n_samples: int) -> int:
    """Return the next power of two or three times one: other sizes take longer to transform."""
    power = 1 << (n_samples - 1).bit_length()
    return power * 3 // 4 if power * 3 // 4 >= n_samples else power


@lru_cache(maxsize=6)
def _room(seconds: float, size: int, sample_rate: int) -> NDArray[np.complex128]:
    """Return the spectrum of a room's response: noise that dies away, upper frequencies first."""
    from scipy.fft import rfft

    length = round(seconds * sample_rate)
    response = synthesis.noise(length, sample_rate, start=sample_rate)
    response = response * synthesis.decay(length, sample_rate, seconds)
    dark = synthesis.low_pass(response, sample_rate, 1800.0)
    fading = synthesis.decay(length, sample_rate, 0.5 * seconds)
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
