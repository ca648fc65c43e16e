"""What every model that listens must stand: silence, short, long, stereo, other rates, a toy task.

The sounds are synthesised by a few lines: unlike each other, seeded, at any sample rate. They are
no music. A trained model tells them apart without effort, which is all that is asked.

Toy task
--------
Are drums, pads, bass lines and bells told apart better than by chance?

Weak evidence, and meant as such: that weights are in place and the front end feeds them, not that
the model is good. Synthesised sounds are far from what any model was trained on, so that only
what every trained model can do is judged: to separate the sounds themselves. Whether the texts
find their sounds is reported beside it.

Each class has ``N_EACH`` sounds. Separation is the accuracy of the nearest class mean (cosine),
each sound left out of its own mean. *p* is the share of ``N_PERMUTATIONS`` random labellings that
score at least as well, the true one counted among them [1]_.

References
----------
.. [1] B. Phipson, G. Smyth, "Permutation p-values should never be zero", 2010, section 3.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from earmark.datasets.audio import Waveform, load
from earmark.models.conformance.outputs import Check, CheckFailed, NotApplicable, Output, Rows

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


CLASSES: tuple[tuple[Instrument, str], ...] = (
    (drum_loop, "a drum loop"),
    (pad, "a soft sustained synthesizer pad"),
    (bass_line, "a low bass line"),
    (bells, "a melody of high bells"),
)
N_EACH = 6
N_PERMUTATIONS = 999
SIGNIFICANT = 0.01


@dataclass(frozen=True, slots=True)
class ToyScore:
    """How many of ``n`` sounds found their class; ``chance`` is the share that luck finds."""

    correct: int
    n: int
    p: float
    chance: float

    def __str__(self) -> str:
        return f"{self.correct} of {self.n}, chance {self.chance:.0%}, p = {self.p:.3f}"


@lru_cache(maxsize=1)
def toy_clips(sample_rate: int, *, seed: int) -> tuple[list[Waveform], NDArray[np.int64]]:
    """Return sounds of random pitch, tempo and level, and the number of the class of each."""
    rng = np.random.default_rng(seed)
    labels = np.tile(np.arange(len(CLASSES)), N_EACH)
    clips = [
        play(
            CLASSES[label][0],
            sample_rate=sample_rate,
            seconds=SECONDS,
            peak_db=float(rng.uniform(-20, -1)),
            seed=int(rng.integers(2**31)),
        )
        for label in labels
    ]
    return clips, labels


def separation(vectors: Floats, labels: NDArray[np.int64], *, seed: int) -> ToyScore:
    """Return how well the nearest class mean finds the class of vectors ``(n, dimension)``."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    gram = unit @ unit.T
    return _permuted(lambda given: _nearest_mean(gram, given), labels, seed=seed)


def zero_shot(vectors: Floats, texts: Floats, labels: NDArray[np.int64], *, seed: int) -> ToyScore:
    """Return how many vectors ``(n, dimension)`` are nearest to the text of their class.

    ``texts`` has shape ``(n_classes, dimension)``.
    """
    nearest = np.argmax(vectors @ texts.T, axis=1)
    return _permuted(lambda given: int((nearest == given).sum()), labels, seed=seed)


def _nearest_mean(gram: Floats, labels: NDArray[np.int64]) -> int:
    """Count the items whose own class has the nearest mean, the item itself left out of it."""
    members = np.eye(labels.max() + 1)[labels]
    with_sums = gram @ members
    squared = np.einsum("ic,ic->c", members, with_sums)
    own = labels, np.arange(len(labels))
    towards = with_sums.T.copy()
    lengths = np.repeat(squared[:, None], len(labels), axis=1)
    lengths[own] += np.diag(gram) - 2 * towards[own]
    towards[own] -= np.diag(gram)
    cosines = towards / np.sqrt(np.maximum(lengths, 1e-12))
    return int((cosines.argmax(axis=0) == labels).sum())


def _permuted(
    correct: Callable[[NDArray[np.int64]], int], labels: NDArray[np.int64], *, seed: int
) -> ToyScore:
    rng = np.random.default_rng(seed)
    found = correct(labels)
    as_good = sum(correct(rng.permutation(labels)) >= found for _ in range(N_PERMUTATIONS))
    chance = float(np.square(np.bincount(labels) / len(labels)).sum())
    return ToyScore(found, len(labels), (1 + as_good) / (1 + N_PERMUTATIONS), chance)


def class_texts() -> Sequence[str]:
    """Return the text of each class."""
    return [text for _, text in CLASSES]
