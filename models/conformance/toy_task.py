"""A toy task: are drums, pads, bass lines and bells told apart better than by chance?

Weak evidence, and meant as such: that weights are in place and the front end feeds them, not that
the model is good. Synthesised sounds are far from what any model was trained on, so that only
what every trained model can do is judged: to separate the sounds themselves. Whether the texts
find their sounds is reported beside it.

Conventions
-----------
Each class has ``N_EACH`` sounds. Separation is the accuracy of the nearest class mean (cosine),
each sound left out of its own mean. *p* is the share of ``N_PERMUTATIONS`` random labellings that
score at least as well, the true one counted among them [1]_.

References
----------
.. [1] B. Phipson, G. Smyth, "Permutation p-values should never be zero", 2010, section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.audio import Waveform
from earmark.models.conformance.sounds import Instrument, bass_line, bells, drum_loop, pad, play

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
