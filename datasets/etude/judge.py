"""MusAV-style triplets of Etude tracks, judged by three simulated annotators.

Triplets
--------
Of the tracks held out for testing, three make a triplet, and no track is in two. As in MusAV's
annotation chunks, one triplet in five is of one genre where the genre has three tracks left, and
the others are drawn from all that is left.

Annotators
----------
Each pair is judged by the same three, independently, as in Thurstone's model of paired comparison
(case V) with ties [1]_: an annotator hears the difference of the true arousal (or valence) of the
two songs, in points of the scale from 1 to 9, plus Gaussian noise of standard deviation ``sd``, and
answers ``ab`` (equal) where what is heard is smaller than ``equal_below``, else ``a`` or ``b`` by
its sign. With probability ``unanswered`` the answer is ``not_selected``.

The numbers in :data:`NOISE` are those that fit MusAV's own 2,085 pairs best (maximum likelihood
over how often each combination of three answers occurs, differences taken as Gaussian): ``sd`` .77
and ``equal_below`` .23 of the root mean square difference for arousal, .96 and .29 for valence.

References
----------
.. [1] W. A. Glenn, H. A. David, "Ties in paired-comparison experiments using a modified
       Thurstone-Mosteller model", Biometrics 16(1), 1960.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from types import MappingProxyType

from earmark.datasets.base import DataError
from earmark.datasets.etude.describe import Affect
from earmark.datasets.etude.score import Draws
from earmark.datasets.judgements.rules import (
    ANNOTATORS_PER_PAIR,
    DIMENSIONS,
    LABELS,
    Judgement,
    Triplet,
)

TRIPLET_STREAM = 103
JUDGEMENT_STREAMS: Mapping[str, int] = MappingProxyType({"arousal": 104, "valence": 105})
"""Of the draws (:class:`.draws.Draws`)."""

ANNOTATORS = tuple(f"etude-annotator{number:03d}" for number in range(ANNOTATORS_PER_PAIR))

GENRE_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Noise:
    """How an annotator errs on one dimension; the module's text explains each."""

    sd: float
    equal_below: float
    unanswered: float


NOISE: Mapping[str, Noise] = MappingProxyType(
    {
        "arousal": Noise(sd=1.32, equal_below=0.39, unanswered=0.005),
        "valence": Noise(sd=1.52, equal_below=0.45, unanswered=0.01),
    }
)
"""By dimension."""


def triplets(songs: Mapping[str, str], *, seed: int) -> tuple[Triplet, ...]:
    """Return the triplets that songs, given with their genres, are put into; sorted by id.

    One or two songs may be left over.
    """
    draws = Draws(seed, 0, TRIPLET_STREAM)
    left = draws.shuffled(sorted(songs))
    n_triplets = len(left) // 3
    found: list[tuple[str, tuple[str, ...]]] = []
    genres = draws.shuffled(sorted(set(songs.values())))
    for genre in itertools.islice(itertools.cycle(genres or [""]), round(GENRE_SHARE * n_triplets)):
        same = tuple(song for song in left if songs[song] == genre)[:3]
        if len(same) == 3:
            found.append((f"genre_triplet--{genre}", same))
            left = [song for song in left if song not in same]
    found += [("global_triplet", tuple(left[i : i + 3])) for i in range(0, len(left) - 2, 3)]
    made = (Triplet(_digest(chosen), (chosen[0], chosen[1], chosen[2]), t) for t, chosen in found)
    return tuple(sorted(made, key=lambda triplet: triplet.id))


def judge(
    given: Iterable[Triplet], truth: Mapping[str, Affect], dimension: str, *, seed: int
) -> tuple[Judgement, ...]:
    """Return what the three annotators say of the three pairs of each triplet.

    Which song of a pair is ``a`` is drawn, too.

    Raises
    ------
    DataError
        If the dimension is not arousal or valence.
    """
    if dimension not in DIMENSIONS:
        expected = " or ".join(DIMENSIONS)
        raise DataError(f"annotators judge {expected}, not {dimension!r}")
    noise, draws = NOISE[dimension], Draws(seed, 0, JUDGEMENT_STREAMS[dimension])
    # Both dimensions name a pair in the same order, as one question had both.
    orders = Draws(seed, 1, TRIPLET_STREAM)
    found = []
    for triplet in given:
        for pair in itertools.combinations(triplet.songs, 2):
            a, b = pair if orders.chance(0.5) else pair[::-1]
            difference = getattr(truth[a], dimension) - getattr(truth[b], dimension)
            for annotator in ANNOTATORS:
                label = _answer(difference, noise, draws)
                found.append(Judgement(triplet.id, a, b, annotator, dimension, label))
    return tuple(found)


def probabilities(difference: float, noise: Noise) -> dict[str, float]:
    """Return the probability of each answer of one annotator, given the true difference of a to b.

    >>> answers = probabilities(0.0, Noise(sd=1.0, equal_below=0.5, unanswered=0.0))
    >>> answers["a"] == answers["b"], round(answers["ab"], 4)
    (True, 0.3829)
    """
    heard = NormalDist(difference, noise.sd)
    a, b = 1 - heard.cdf(noise.equal_below), heard.cdf(-noise.equal_below)
    answered = 1 - noise.unanswered
    shares = (a * answered, b * answered, (1 - a - b) * answered, noise.unanswered)
    return dict(zip(LABELS, shares, strict=True))


def _answer(difference: float, noise: Noise, draws: Draws) -> str:
    heard = difference + noise.sd * draws.normal()
    if draws.chance(noise.unanswered):
        return "not_selected"
    if abs(heard) < noise.equal_below:
        return "ab"
    return "a" if heard > 0 else "b"


def _digest(songs: Sequence[str]) -> str:
    return hashlib.sha256("-".join(songs).encode()).hexdigest()[:32]
