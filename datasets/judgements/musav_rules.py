"""From MusAV's judgements to its ground truth: agreement, outcome, consistency, subsets.

Goal
----
MusAV asks three annotators which of two songs has the higher arousal (or valence). This module
derives from those judgements what the release ships as ``.agreement`` and ``.gt*`` files.

Conventions
-----------
A judgement is one of :data:`LABELS`: song ``a`` is higher, song ``b`` is, ``ab`` (equal), or
``not_selected``. Three songs form a triplet, so that a triplet has at most three pairs. A song
belongs to one triplet only: triplets are the independent units.

The rules are those of the official ``annotations_agreement.py`` and
``annotations_triplet_consistency.py``, but for one case that the release does not hold: a pair
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

LABELS = ("a", "b", "ab", "not_selected")

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


@dataclass(frozen=True, slots=True)
class Triplet:
    """Three songs that were compared with each other."""

    id: str
    songs: tuple[str, str, str]
    type: str
    """``global_triplet`` or ``genre_triplet--<genre>``."""

    @property
    def genre(self) -> str | None:
        """The genre that all three songs share; None for a global triplet."""
        kind, _, genre = self.type.partition("--")
        return genre if kind == "genre_triplet" else None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one annotator answered on one pair of songs."""

    triplet: str
    song_a: str
    song_b: str
    annotator: str
    dimension: str
    higher_value: str
    """One of :data:`LABELS`."""


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
        """The release's ``pairid``: both song ids, joined by ``-``."""
        return f"{self.song_a}-{self.song_b}"

    @property
    def in_ground_truth(self) -> bool:
        """Whether the annotators agree, fully or by majority."""
        return self.agreement in ("full-agreement", "majority-agreement")


def agreement(labels: Sequence[str]) -> str:
    """Return how far the judgements of one pair agree; their order does not matter.

    Two equal answers are a majority only if the third does not contradict them: ``a a ab`` is one,
    ``a a b`` and ``a a not_selected`` are disagreements.

    >>> agreement(["a", "ab", "a"]), agreement(["a", "b", "a"])
    ('majority-agreement', 'disagreement')

    Raises
    ------
    ValueError
        If a label is unknown, or there are more than three.
    """
    _check_labels(labels)
    if len(labels) < ANNOTATORS_PER_PAIR:
        return "incomplete"
    answers = set(labels)
    if "not_selected" in answers or answers >= {"a", "b"}:
        return "disagreement"
    return "full-agreement" if len(answers) == 1 else "majority-agreement"


def higher_value(labels: Sequence[str]) -> str:
    """Return the answer that at least two annotators gave, else ``undefined``.

    >>> higher_value(["ab", "b", "b"]), higher_value(["a", "ab", "b"])
    ('b', 'undefined')

    Raises
    ------
    ValueError
        As :func:`agreement`.
    """
    _check_labels(labels)
    for label in ("a", "b", "ab"):
        if labels.count(label) >= 2:
            return label
    return "undefined"


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
    judgements: Iterable[Judgement], triplets: Mapping[str, Triplet]
) -> tuple[Pair, ...]:
    """Return every judged pair of one dimension, ordered by triplet and songs.

    ``judgements`` are of one dimension, at most three a pair, and name the two songs of a pair in
    one order, as :func:`earmark.datasets.judgements.musav.load` makes sure.
    """
    labels: dict[str, dict[tuple[str, str], list[str]]] = defaultdict(lambda: defaultdict(list))
    for judgement in judgements:
        songs = (judgement.song_a, judgement.song_b)
        labels[judgement.triplet][songs].append(judgement.higher_value)
    pairs = []
    for triplet, judged in sorted(labels.items()):
        rows = [(*songs, agreement(said), higher_value(said)) for songs, said in judged.items()]
        agreed = [(a, b, higher) for a, b, level, higher in rows if level in _AGREED]
        consistency = triplet_consistency(agreed)
        for song_a, song_b, level, higher in sorted(rows):
            kind = triplets[triplet].type
            pairs.append(Pair(triplet, kind, song_a, song_b, level, higher, consistency))
    return tuple(pairs)


def select(pairs: Iterable[Pair], subset: str, *, muse: Collection[str]) -> tuple[Pair, ...]:
    """Return the pairs of a ground-truth subset.

    Consistency is the whole triplet's: of a consistent triplet, ``gt.ct.fa`` may hold one pair and
    ``ismir2022.gt.ct`` may lack the pairs that touch a song in ``muse``.

    Raises
    ------
    DataError
        If ``subset`` is not one of :data:`SUBSETS`.
    """
    if subset not in SUBSETS:
        raise DataError(f"MusAV has no ground truth {subset!r}, expected {', '.join(SUBSETS)}")
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


def _check_labels(labels: Sequence[str]) -> None:
    if len(labels) > ANNOTATORS_PER_PAIR:
        raise ValueError(f"a pair has at most three judgements, got {len(labels)}: {list(labels)}")
    for label in labels:
        if label not in LABELS:
            raise ValueError(f"unknown judgement {label!r}, expected {', '.join(LABELS)}")
