"""Before anybody listens: how many triplets show a difference, and how long people listen.

What is simulated
-----------------
Songs are normal on a dimension, listeners err as MusAV's do [1]_: each hears the difference of two
songs plus Gaussian noise, and calls it equal where it is small
(:mod:`earmark.datasets.etude.judge`; :data:`NOISE`, in units of the root mean square difference of
two songs). Of these judgements follow agreement and ground truth by MusAV's rules
(:mod:`earmark.datasets.judgements.rules`), as of real ones.

A model says the song's place plus Gaussian noise of its own, of the size that gives the accuracy
that is asked for. The better of two models orders :data:`BETTER` of the pairs of the ground truth
right, as the best released heads do on MusAV; half of the variance of two models' errors is common
to both (:data:`IN_COMMON`; among the released heads .4 to .9). Their accuracies, and so the points
between them, are those on a ground truth of three judgements per pair, however many the study has.
A model and one listener are compared as in the task's table: on the pairs on which all others, at
least two, agree on a or b.

A difference is found where the studentised sum of the triplets' own differences exceeds what random
signs give in 95 % (:mod:`earmark.bench.metrics.comparisons`), without a correction for comparing
more than two models. Of MusAV's 699 triplets the simulation says that two models must be 3.1
points apart in arousal and 4.2 in valence; of the released heads on MusAV itself the tests' own
errors give 3.3 and 3.9.

What is not
-----------
Listeners who differ in care or tire, and songs of a catalogue that are more alike than MusAV's:
with either a study needs more. Full agreement is 2 points rarer than MusAV's, majority agreement 3
points more frequent, nominal alpha .04 lower. Of dimensions other than arousal and valence,
listeners and models are taken to be as on valence.

References
----------
.. [1] D. Bogdanov et al., "MusAV", ISMIR 2022; W. A. Glenn, H. A. David, "Ties in paired-comparison
       experiments using a modified Thurstone-Mosteller model", Biometrics 16(1), 1960.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from earmark.bench.judge.plan import SECONDS_PER_ANSWER
from earmark.bench.metrics.base import Floats
from earmark.datasets.etude.judge import Noise

NOISE: Final[Mapping[str, Noise]] = MappingProxyType(
    {
        "arousal": Noise(sd=0.77, equal_below=0.23, unanswered=0.005),
        "valence": Noise(sd=0.96, equal_below=0.29, unanswered=0.01),
    }
)
"""Of one listener, by dimension: maximum likelihood of MusAV's answers, as of Etude's."""
BETTER: Final[Mapping[str, float]] = MappingProxyType({"arousal": 0.857, "valence": 0.757})
"""Accuracy of emomusic-msd-musicnn-1 and -2 on MusAV's ground truth."""
OTHER: Final = "valence"
IN_COMMON: Final = 0.5
POINTS: Final = (2.0, 5.0, 10.0)
"""Differences of accuracy that are planned for, in percentage points."""
POWER: Final = 0.8
MODELS, LISTENER = "two models", "a model and one listener"

_POOL = 60_000
"""Simulated triplets from which studies are drawn."""
_STUDIES = 4_000
_CRITICAL = NormalDist().inv_cdf(0.975)
MOST_TRIPLETS: Final = 100_000
"""More are asked of nobody."""


@dataclass(frozen=True, slots=True)
class Need:
    """What finds one difference four times in five."""

    dimension: str
    between: str
    points: float
    """Of accuracy, in percentage points."""
    triplets: int | None
    """None: the models cannot be so far apart, or more than 100,000."""
    hours: float | None
    """Of all listeners together, for all dimensions of the study."""


@dataclass(frozen=True, slots=True)
class Reach:
    """The smallest difference that a number of triplets finds four times in five."""

    dimension: str
    between: str
    triplets: int
    points: float | None
    """None: not even that of a model and a random one."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How the simulated listeners agree: shares of all pairs."""

    dimension: str
    full: float
    majority: float
    decided: float
    """Pairs of the ground truth on which a or b is higher."""


@dataclass(frozen=True, slots=True)
class Power:
    """What a study can show."""

    needs: tuple[Need, ...]
    reaches: tuple[Reach, ...]
    agreement: tuple[Agreement, ...]
    notes: tuple[str, ...]


def hours(n_triplets: int, *, seconds: float, n_dimensions: int, annotators: int) -> float:
    """Return the hours that triplets cost all listeners together.

    Each song of a triplet once, its excerpt ``seconds`` long, and the time to answer.
    """
    per_triplet = 3 * seconds + 3 * n_dimensions * SECONDS_PER_ANSWER
    return n_triplets * per_triplet * annotators / 3600


def estimate(
    dimensions: Sequence[str],
    *,
    annotators: int = 3,
    seconds: float = 20.0,
    n_triplets: int | None = None,
    points: Sequence[float] = POINTS,
    seed: int = 0,
) -> Power:
    """Return how many triplets differences need, and what ``n_triplets`` can find.

    Parameters
    ----------
    annotators
        Judgements of each pair; with fewer than three nobody can be held against two others.
    seconds
        Length of an excerpt.
    """
    needs: list[Need] = []
    reaches: list[Reach] = []
    agreement: list[Agreement] = []
    for dimension in dimensions:
        world = _World(dimension, annotators, seed)
        agreement.append(world.agreement())
        for comparison in world.comparisons():
            for each in points:
                n = comparison.triplets_for(each / 100)
                costs = None
                if n is not None:
                    costs = hours(
                        n, seconds=seconds, n_dimensions=len(dimensions), annotators=annotators
                    )
                needs.append(Need(dimension, comparison.between, each, n, costs))
            if n_triplets is not None:
                found = comparison.least_found_by(n_triplets)
                smallest = None if found is None else 100 * found
                reaches.append(Reach(dimension, comparison.between, n_triplets, smallest))
    notes = [f"{one}: listeners and models as on {OTHER}" for one in dimensions if one not in NOISE]
    if annotators < 3:
        notes.append(
            f"a pair has {annotators} judgements: no listener is held against two others, so that "
            f"a model and one listener cannot be compared"
        )
    return Power(tuple(needs), tuple(reaches), tuple(agreement), tuple(notes))


def simulate(
    n_triplets: int, noise: Noise, *, annotators: int, rng: np.random.Generator
) -> tuple[Floats, NDArray[np.int8], NDArray[np.bool_]]:
    """Return songs ``(n_triplets, 3)``, what is said of their pairs, and what was answered.

    Both of the latter are ``(n_triplets, 3, annotators)``: 1 (a is higher), 0 (equal) or -1, and
    False where it is ``not_selected``. Pairs are (1, 2), (1, 3) and (2, 3).
    """
    songs = rng.standard_normal((n_triplets, 3)) / math.sqrt(2)  # differences have variance 1
    return songs, *judge(songs, noise, annotators=annotators, rng=rng)


def judge(
    songs: Floats, noise: Noise, *, annotators: int, rng: np.random.Generator
) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """Return what is said of the pairs of songs and what was answered, as :func:`simulate`."""
    heard = noise.sd * rng.standard_normal((len(songs), 3, annotators))
    heard += _differences(songs)[..., None]
    said = np.where(np.abs(heard) < noise.equal_below, 0, np.sign(heard)).astype(np.int8)
    return said, rng.random(said.shape) >= noise.unanswered


def ground_truth(
    said: NDArray[np.int8], answered: NDArray[np.bool_]
) -> tuple[NDArray[np.int8], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the outcome of each pair by MusAV's rules, and whether it is full or any agreement.

    As :func:`earmark.datasets.judgements.rules.agreement`, of all pairs at once; the outcome is 1,
    0 or -1, and means nothing where there is no agreement.
    """
    n = said.shape[-1]
    a, equal, b = (np.count_nonzero(answered & (said == each), axis=-1) for each in (1, 0, -1))
    most = np.maximum(np.maximum(a, b), equal)
    contradicting = np.minimum(a, b) + (n - a - b - equal)
    full = most == n
    agreed = full | ((2 * most > n) & (3 * contradicting < n))
    return np.where(a == most, 1, np.where(b == most, -1, 0)).astype(np.int8), full, agreed


class _World:
    """Many triplets and what listeners say of them on one dimension."""

    def __init__(self, dimension: str, annotators: int, seed: int) -> None:
        known = dimension if dimension in NOISE else OTHER
        rng = np.random.default_rng([seed, sorted(NOISE).index(known), annotators])
        songs, said, answered = simulate(_POOL, NOISE[known], annotators=annotators, rng=rng)
        self.dimension, self.songs, self.said, self.answered = dimension, songs, said, answered
        self.outcome, self.full, self.agreed = ground_truth(said, answered)
        three = judge(songs, NOISE[known], annotators=3, rng=rng)
        self.outcome_of_three, _, agreed = ground_truth(*three)
        self.decided_by_three = agreed & (self.outcome_of_three != 0)
        common, *own = rng.standard_normal((3, *songs.shape))
        shared, apart = math.sqrt(IN_COMMON), math.sqrt(1 - IN_COMMON)
        self.errors = tuple(shared * common + apart * each for each in own)
        self.better = _size_for(lambda size: self.accuracy(0, size), BETTER[known])

    def agreement(self) -> Agreement:
        decided = self.agreed & (self.outcome != 0)
        shares = (self.full, self.agreed & ~self.full, decided)
        return Agreement(self.dimension, *(float(share.mean()) for share in shares))

    def ordered(self, model: int, size: float) -> NDArray[np.int8]:
        """Which song of each pair a model puts higher: 1 (a) or -1."""
        return np.sign(_differences(self.songs + size * self.errors[model])).astype(np.int8)

    def accuracy(self, model: int, size: float) -> float:
        """On a ground truth of three judgements per pair."""
        right = self.ordered(model, size) == self.outcome_of_three
        return float(right[self.decided_by_three].mean())

    def comparisons(self) -> Iterator[_Comparison]:
        """Yield what can be compared."""
        decided = self.agreed & (self.outcome != 0)
        for_a, for_b = decided & (self.outcome > 0), decided & (self.outcome < 0)
        a_first = self.ordered(0, self.better) > 0
        right = np.where(a_first, for_a, for_b)
        best = self.accuracy(0, self.better)
        yield _Comparison(self, MODELS, for_a, for_b, right, lambda n: best - self.accuracy(1, n))
        for_a, for_b, right = _cases(self.said, self.answered)
        if right.any():
            yield _Comparison(self, LISTENER, for_a, for_b, right)


@dataclass
class _Comparison:
    """Something that orders pairs well, and a model that does so less well."""

    world: _World
    between: str
    for_a: NDArray[np.integer[Any] | np.bool_]
    """Of each pair, how many cases there are in which a is higher."""
    for_b: NDArray[np.integer[Any] | np.bool_]
    right: NDArray[np.integer[Any] | np.bool_]
    """Cases that the better one has right, of each pair."""
    gap_of: Callable[[float], float] | None = None
    """The difference of accuracies, by the size of the model's error; None: that of the cases."""

    def differences(self, size: float) -> NDArray[np.int64]:
        """Return how many more cases of each triplet the better one has right."""
        model = np.where(self.world.ordered(1, size) > 0, self.for_a, self.for_b)
        return np.asarray(self.right.sum(axis=1) - model.sum(axis=1))

    def gap(self, size: float) -> float:
        """Return the difference of accuracies."""
        if self.gap_of is not None:
            return self.gap_of(size)
        return float(self.differences(size).sum() / (self.for_a.sum() + self.for_b.sum()))

    def triplets_for(self, gap: float) -> int | None:
        """Return the number of triplets that find a difference of accuracies ``gap``."""
        size = _size_for(lambda size: -self.gap(size), -gap)
        found = self.differences(size)
        low, high = 1, MOST_TRIPLETS
        if abs(self.gap(size) - gap) > 0.002 or power(found, high) < POWER:
            return None
        while high - low > max(1, low // 500):
            middle = (low + high) // 2
            low, high = (low, middle) if power(found, middle) >= POWER else (middle, high)
        return high

    def least_found_by(self, n_triplets: int) -> float | None:
        """Return the smallest difference of accuracies that so many triplets find."""
        size = _size_for(lambda size: -power(self.differences(size), n_triplets), -POWER, steps=14)
        enough = power(self.differences(size), n_triplets) > POWER - 0.02
        return self.gap(size) if enough else None


def power(differences: NDArray[np.int64], n_triplets: int) -> float:
    """Return the share of studies of so many triplets in which the test finds a difference.

    ``differences`` are those of many triplets, from which the studies' are drawn.
    """
    values, counts = np.unique(differences, return_counts=True)
    rng = np.random.default_rng(n_triplets)
    drawn = rng.multinomial(n_triplets, counts / counts.sum(), size=_STUDIES)
    return float(np.mean(drawn @ values > _CRITICAL * np.sqrt(drawn @ values**2)))


def _cases(
    said: NDArray[np.int8], answered: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return for each pair the cases of one listener against all others, by what the others say.

    As :func:`~earmark.bench.metrics.pairs.agreement.human_reference`: those for a, for b, and in
    how many the listener is right.
    """
    chosen = answered & (said != 0)
    others = answered.sum(-1, keepdims=True) - chosen
    cases, right = [], []
    for side in (1, -1):
        own = answered & (said == side)
        unanimous = chosen & (others >= 2) & (own.sum(-1, keepdims=True) - own == others)
        cases.append(unanimous.sum(-1))
        right.append((unanimous & own).sum(-1))
    return cases[0], cases[1], right[0] + right[1]


def _differences(songs: Floats) -> Floats:
    return np.asarray(songs[:, [0, 0, 1]] - songs[:, [1, 2, 2]])


def _size_for(decreasing: Callable[[float], float], value: float, steps: int = 20) -> float:
    """Return the size of a model's error at which a decreasing function has a value."""
    low, high = -6.0, 6.0  # of the logarithm: from perfect to random
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if decreasing(math.exp(middle)) > value else (low, middle)
    return math.exp((low + high) / 2)
