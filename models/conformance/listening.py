"""What every model that listens must stand: silence, short, long, stereo, and another rate."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from earmark.datasets.audio import Waveform, load
from earmark.models.conformance.outputs import Check, CheckFailed, NotApplicable, Output, Rows
from earmark.models.conformance.sounds import INSTRUMENTS, octaves, play, sawtooth

SECONDS = 3.0
MIXED_SECONDS = (3.0, 0.5, 11.0, 1.7, 0.9)
LEVELS_DB = (-1.0, -20.0, -6.0, -40.0, -12.0, -60.0, -3.0, -30.0)
"""Peaks: a maximum taken over the batch shows on the quiet clips."""
OWN_RATES = (44_100, 22_050)
"""In Hz, for a model that takes clips at their own rate."""
VERY_SHORT_SECONDS, VERY_LONG_SECONDS, SILENT_SECONDS = 0.1, 120.0, 5.0
_OCTAVES = 5


def unlike_clips(sample_rate: int, *, seed: int) -> list[Waveform]:
    """Return eight sounds of one length, each unlike the others and of another level."""
    return [
        play(one, sample_rate=sample_rate, seconds=SECONDS, peak_db=level, seed=seed + index)
        for index, (one, level) in enumerate(zip(INSTRUMENTS, LEVELS_DB, strict=True))
    ]


def mixed_clips(sample_rate: int, *, seed: int) -> list[Waveform]:
    """Return sounds from 0.5 to 11 s long."""
    return [
        play(one, sample_rate=sample_rate, seconds=seconds, peak_db=-6, seed=seed + index)
        for index, (one, seconds) in enumerate(zip(INSTRUMENTS, MIXED_SECONDS, strict=False))
    ]


def very_long_clip(sample_rate: int, *, seed: int) -> Waveform:
    """Return 120 s in which one sound follows the other."""
    sounds = [clip.samples for clip in unlike_clips(sample_rate, seed=seed)]
    samples = np.resize(np.concatenate(sounds), round(VERY_LONG_SECONDS * sample_rate))
    return Waveform(samples, sample_rate)


def listening_checks(output: Output[Waveform], sample_rate: object, *, seed: int) -> list[Check]:
    """Return the checks of one output of a model that hears at ``sample_rate`` (None: at any)."""
    rate = rate_of(sample_rate)

    def waveform(seconds: float) -> Waveform:
        return play(sawtooth, sample_rate=rate, seconds=seconds, peak_db=-6, seed=seed)

    silence = Waveform(np.zeros(round(SILENT_SECONDS * rate), np.float32), rate)
    same = tuple(f"{output.name}.{name}" for name in ("shape", "finite", "deterministic"))
    kept = tuple(f"{output.name}.{name}" for name in ("shape", "finite", "unit_norm"))
    return [
        Check(
            f"{output.name}.sample_rate",
            partial(_sample_rate, output, sample_rate),
            (*same, f"{output.name}.not_collapsed"),
        ),
        Check(f"{output.name}.stereo", partial(_stereo, output, sample_rate), same),
        Check(f"{output.name}.silence", partial(output.survives, silence), kept),
        Check(
            f"{output.name}.very_short",
            partial(output.survives, waveform(VERY_SHORT_SECONDS)),
            kept,
        ),
        Check(f"{output.name}.very_long", output.survives_very_long, kept),
    ]


def rate_of(sample_rate: object) -> int:
    """Return the rate in Hz to synthesise at for a model that declares this."""
    return sample_rate if _is_rate(sample_rate) else OWN_RATES[0]  # type: ignore[return-value]


def _is_rate(sample_rate: object) -> bool:
    return isinstance(sample_rate, int) and not isinstance(sample_rate, bool) and sample_rate > 0


def _sample_rate(output: Output[Waveform], sample_rate: object) -> str:
    """Find each of five octaves again after it came in at another rate.

    Nearness is relative, so that no threshold must fit every model: a model that takes one rate
    for another hears the next octave, which is here to be confused with.
    """
    if not (sample_rate is None or _is_rate(sample_rate)):
        raise CheckFailed(f"the rate declared is {sample_rate!r}, expected an int in Hz, or None")
    rate = rate_of(sample_rate)
    other = OWN_RATES[1] if sample_rate is None else 2 * rate
    highest = 0.4 * min(rate, other)
    heard = octaves(rate, seconds=SECONDS, highest=highest, n=_OCTAVES)
    elsewhere = octaves(other, seconds=SECONDS, highest=highest, n=_OCTAVES)
    if sample_rate is not None:
        elsewhere = [_through_a_file([clip.samples], other, rate) for clip in elsewhere]
    own, again = output.rows(heard), output.rows(elsewhere)
    if _is_decided_by_lot(output, heard, own):
        raise NotApplicable("a change of level by 0.001 dB moves the output as another sound does")
    confused = [
        index
        for index, row in enumerate(again)
        if np.argmin([_distance(row, known) for known in own]) != index
    ]
    route = f"at {other} Hz" if sample_rate is None else f"resampled to it from {other} Hz"
    if 2 * len(confused) >= _OCTAVES:
        raise CheckFailed(
            f"{len(confused)} of {_OCTAVES} tones at {rate} Hz are nearer to another octave than "
            f"to themselves {route}: the rate of a clip is not heard"
        )
    return f"{_OCTAVES - len(confused)} of {_OCTAVES} tones at {rate} Hz are found again {route}"


def _is_decided_by_lot(output: Output[Waveform], heard: Sequence[Waveform], own: Rows) -> bool:
    """Return whether a change of level by 0.001 dB moves the output as another octave does."""
    softer = [Waveform(np.float32(0.9999) * clip.samples, clip.sample_rate) for clip in heard]
    moved = [_distance(one, was) for one, was in zip(output.rows(softer), own, strict=True)]
    apart = [_distance(one, own[(index + 1) % len(own)]) for index, one in enumerate(own)]
    return bool(np.median(moved) > 0.5 * np.median(apart))


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    # Patches may differ in number by one; their mean does not depend on it.
    means = [row if row.ndim == 1 else row.mean(axis=0) for row in (one, other)]
    return float(np.linalg.norm(means[0] - means[1]))


def _stereo(output: Output[Waveform], sample_rate: object) -> str:
    clip = output.unlike[0]
    rate = clip.sample_rate
    mono = _through_a_file([clip.samples], rate, rate)
    stereo = _through_a_file([clip.samples, clip.samples], rate, rate)
    found, expected = output.rows([stereo]), output.rows([mono])
    return output.agree(found, expected, when="when a mono file becomes one of two equal channels")


def _through_a_file(channels: Sequence[np.ndarray], rate: int, wanted: int) -> Waveform:
    """Return what the loader, which every evaluation uses, makes of a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.wav"
        soundfile.write(path, np.stack(channels, axis=1), rate, subtype="FLOAT")
        return load(path, sample_rate=wanted)
