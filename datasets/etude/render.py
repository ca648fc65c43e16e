"""Rendering: the sound of a score.

A note is made once for each voice and pitch and added wherever it is played; notes are kept from
one track to the next, up to :data:`BANK_BYTES` a process. Nothing of a track depends on which were
rendered before it.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.base import DataError
from earmark.datasets.etude import drums, mixing, voices
from earmark.datasets.etude import synthesis as waves
from earmark.datasets.etude.score import Part, Score
from earmark.datasets.etude.synthesis import Signal

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
        made = voices.note(voice, pitch, seconds=length, sample_rate=sample_rate)
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
        made = drums.stroke(kit, piece, sample_rate=sample_rate)
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
    mixed = mixing.in_room(dry, send, score.room, tilt=score.tilt, sample_rate=sample_rate)
    mixed = mixing.saturate(mixed, score.saturation)
    return mixing.master(mixed, score.loudness, sample_rate=sample_rate)


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
        out = mixing.overdrive(out, gain=drive, sample_rate=sample_rate)
        out *= np.float32(level * voices.LEVEL * 2)
    return out


def _held(voice: str, pitch: int, length: int, sample_rate: int) -> Signal:
    """Return a note that is released after ``length`` samples."""
    release = round(voices.release_of(voice) * sample_rate)
    note = _BANK.note(voice, pitch, length + release, sample_rate)[: length + release].copy()
    note[length:] *= waves.ramp(release, sample_rate, voices.release_of(voice))[::-1]
    return note
