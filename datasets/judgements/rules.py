"""From judgements of pairs to ground truth: agreement, outcome, consistency, and sets.

Rules
-----
Listeners say which of two songs is higher on a dimension. A judgement is one of :data:`LABELS`:
song ``a`` is higher, song ``b`` is, ``ab`` (equal), or ``not_selected``. Songs are compared within
a triplet, so that a triplet has at most three pairs; triplets are the independent units.

MusAV asks three annotators a pair [1]_. Its rules, stated for any number ``n`` of judgements of
which a complete pair has at least ``k``, are these:

* ``incomplete``: ``n < k``; never ground truth.
* ``full-agreement``: all say the same of ``a``, ``b`` and ``ab``.
* ``majority-agreement``: more than half say the same, and fewer than a third of the judgements
  contradict. Those that do are ``not_selected``, and each ``a`` for which there is a ``b``.
* ``disagreement``: all else.
* The outcome is what more than half of ``max(n, k)`` judgements say, else ``undefined``.

With ``k = n = 3`` nothing may contradict, which is MusAV's: ``a a ab`` is a majority, ``a a b`` and
``a a not_selected`` are disagreements. With one judgement a pair, it is the truth; of two, both
must say the same; of four, three may outvote one.

The rules at three are those of the official ``annotations_agreement.py`` and
``annotations_triplet_consistency.py`` [2]_, but for one case that the release does not hold: a pair
with fewer than three judgements is never ground truth here.

References
----------
.. [1] D. Bogdanov, X. Lizarraga-Seijas, P. Alonso-Jiménez, X. Serra, "MusAV: a dataset of relative
       arousal-valence annotations for validation of audio models", ISMIR 2022.
.. [2] https://github.com/MTG/musav-dataset, folder ``scripts``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from earmark.datasets.base import DataError

DIMENSIONS = ("arousal", "valence")
"""MusAV's; those of another set can be any words."""

LABELS = ("a", "b", "ab", "not_selected")

SWAPPED = {"a": "b", "b": "a", "ab": "ab", "not_selected": "not_selected"}
"""What a judgement is where the songs are named in the other order."""

SUBSETS = (
    "gt",
    "gt.fa",
    "gt.ct",
    "gt.ct.fa",
    "ismir2022.gt",
    "ismir2022.gt.fa",
    "ismir2022.gt.ct",
    "ismir2022.gt.ct.fa",
)
"""``fa``: fully agreed pairs; ``ct``: pairs of consistent triplets; ``ismir2022``: without every
pair that touches a song of MuSe, on which some models of the paper were trained."""

ANNOTATORS_PER_PAIR = 3
"""MusAV's."""


@dataclass(frozen=True, slots=True)
class Triplet:
    """Songs that were compared with each other: three, where a set was made as MusAV was."""

    id: str
    songs: tuple[str, ...]
    type: str
    """``global_triplet`` or ``genre_triplet--<genre>``."""

    @property
    def genre(self) -> str | None:
        """The genre that all songs share; None for a global triplet."""
        kind, _, genre = self.type.partition("--")
        return genre if kind == "genre_triplet" else None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one annotator answered on one pair of songs."""

    triplet: str
    song_a: str
    song_b: str
    annotator: str
    """Blank where it is not known who said so."""
    dimension: str
    higher_value: str
    """One of :data:`LABELS`."""
    votes: float = 1.0
    """How many said so."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What the annotators of one pair of songs say together."""

    triplet: str
    triplet_type: str
    song_a: str
    song_b: str
    agreement: str
    """``full-agreement``, ``majority-agreement``, ``disagreement`` or ``incomplete``."""
    higher_value: str
    """``a``, ``b``, ``ab`` or ``undefined``. A disagreement can carry ``a`` or ``b``, too."""
    consistency: str
    """Of the triplet: ``consistent``, ``inconsistent`` or ``incomplete``."""

    @property
    def id(self) -> str:
        """The release's ``pairid``: both song ids joined by ``-``, or by ``|`` if they have one."""
        between = " | " if "-" in self.song_a + self.song_b else "-"
        return f"{self.song_a}{between}{self.song_b}"

    @property
    def in_ground_truth(self) -> bool:
        """Whether the annotators agree, fully or by majority."""
        return self.agreement in ("full-agreement", "majority-agreement")


def agreement(
    labels: Sequence[str],
    votes: Sequence[float] | None = None,
    *,
    per_pair: int = ANNOTATORS_PER_PAIR,
) -> str:
    """Return how far the judgements of one pair agree; their order does not matter.

    Parameters
    ----------
    votes
        How many said each of the labels; None: one each.
    per_pair
        Judgements of a complete pair, at least 1.

    >>> agreement(["a", "ab", "a"]), agreement(["a", "b", "a"])
    ('majority-agreement', 'disagreement')
    >>> agreement(["a", "b", "a", "a"], per_pair=4), agreement(["b"], per_pair=1)
    ('majority-agreement', 'full-agreement')

    Raises
    ------
    ValueError
        If a label is unknown.
    """
    count = _count(labels, votes)
    n = sum(count.values())
    if n < per_pair:
        return "incomplete"
    said = {label for label in LABELS if count[label]}
    if len(said) == 1 and "not_selected" not in said:
        return "full-agreement"
    contradicting = min(count["a"], count["b"]) + count["not_selected"]
    agreed = 2 * max(count["a"], count["b"], count["ab"]) > n
    return "majority-agreement" if agreed and 3 * contradicting < n else "disagreement"


def higher_value(
    labels: Sequence[str],
    votes: Sequence[float] | None = None,
    *,
    per_pair: int = ANNOTATORS_PER_PAIR,
) -> str:
    """Return the answer of more than half the annotators, else ``undefined``; as `agreement`.

    >>> higher_value(["ab", "b", "b"]), higher_value(["a", "ab", "b"])
    ('b', 'undefined')
    """
    count = _count(labels, votes)
    of = max(sum(count.values()), per_pair)
    return next((label for label in ("a", "b", "ab") if 2 * count[label] > of), "undefined")


def triplet_consistency(outcomes: Sequence[tuple[str, str, str]]) -> str:
    """Return whether the outcomes of a triplet's pairs fit one ranking, ties allowed.

    Walking round the triplet, the differences from song to song add up to zero in every ranking.
    So their signs are either all zero or include a rise and a fall; and whatever signs do so can
    be given sizes that add up to zero.

    Parameters
    ----------
    outcomes
        ``(song_a, song_b, higher_value)`` of each pair that is ground truth.

    Returns
    -------
    str
        ``consistent``, ``inconsistent``, or ``incomplete`` for fewer than three pairs.

    Raises
    ------
    ValueError
        If there are more than three pairs, or three that do not join three songs.

    >>> triplet_consistency([("x", "y", "a"), ("y", "z", "ab"), ("x", "z", "a")])
    'consistent'
    >>> triplet_consistency([("x", "y", "a"), ("y", "z", "a"), ("z", "x", "a")])
    'inconsistent'
    """
    if len(outcomes) < 3:
        return "incomplete"
    signs = {}
    for song_a, song_b, higher in outcomes:
        sign = {"a": 1, "b": -1, "ab": 0}[higher]
        signs[song_a, song_b] = sign
        signs[song_b, song_a] = -sign
    songs = sorted({song for pair in signs for song in pair})
    if len(outcomes) != 3 or len(songs) != 3 or len(signs) != 6:
        raise ValueError(f"a triplet is three pairs of three songs, got {list(outcomes)}")
    x, y, z = songs
    steps = {signs[x, y], signs[y, z], signs[z, x]}
    return "consistent" if steps == {0} or steps >= {-1, 1} else "inconsistent"


def derive_pairs(
    judgements: Iterable[Judgement],
    triplets: Mapping[str, Triplet],
    *,
    per_pair: int = ANNOTATORS_PER_PAIR,
) -> tuple[Pair, ...]:
    """Return every judged pair of one dimension, ordered by triplet and songs.

    ``judgements`` are of one dimension and name the two songs of a pair in one order, as every
    loader makes sure. Consistency is known of three songs only: of others it is ``incomplete``.
    """
    said: dict[str, dict[tuple[str, str], list[Judgement]]] = defaultdict(lambda: defaultdict(list))
    for judgement in judgements:
        said[judgement.triplet][judgement.song_a, judgement.song_b].append(judgement)
    pairs = []
    for triplet, judged in sorted(said.items()):
        rows = []
        for songs, given in judged.items():
            labels, votes = [j.higher_value for j in given], [j.votes for j in given]
            level = agreement(labels, votes, per_pair=per_pair)
            rows.append((*songs, level, higher_value(labels, votes, per_pair=per_pair)))
        kind, of_three = triplets[triplet].type, len(triplets[triplet].songs) == 3
        agreed = [(a, b, higher) for a, b, level, higher in rows if level in _AGREED]
        consistency = triplet_consistency(agreed) if of_three else "incomplete"
        for song_a, song_b, level, higher in sorted(rows):
            pairs.append(Pair(triplet, kind, song_a, song_b, level, higher, consistency))
    return tuple(pairs)


def select(
    pairs: Iterable[Pair], subset: str, *, muse: Collection[str], of: Sequence[str] = SUBSETS
) -> tuple[Pair, ...]:
    """Return the pairs of a ground-truth subset.

    Consistency is the whole triplet's: of a consistent triplet, ``gt.ct.fa`` may hold one pair and
    ``ismir2022.gt.ct`` may lack the pairs that touch a song in ``muse``.

    Raises
    ------
    DataError
        If ``subset`` is not one of those that the set has, ``of``.
    """
    if subset not in of:
        raise DataError(f"there is no ground truth {subset!r}, expected {', '.join(of)}")
    conditions = subset.split(".")
    left_out = frozenset(muse if "ismir2022" in conditions else ())
    return tuple(
        pair
        for pair in pairs
        if pair.in_ground_truth
        and ("fa" not in conditions or pair.agreement == "full-agreement")
        and ("ct" not in conditions or pair.consistency == "consistent")
        and left_out.isdisjoint((pair.song_a, pair.song_b))
    )


_AGREED = frozenset({"full-agreement", "majority-agreement"})


def _count(labels: Sequence[str], votes: Sequence[float] | None) -> dict[str, float]:
    count = dict.fromkeys(LABELS, 0.0)
    for label, n in zip(labels, votes or [1.0] * len(labels), strict=True):
        if label not in count:
            raise ValueError(f"unknown judgement {label!r}, expected {', '.join(LABELS)}")
        count[label] += n
    return count
