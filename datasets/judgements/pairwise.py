"""Which of two clips is higher on a dimension: comparisons from any source, in one form.

What learns from comparisons takes :class:`PairwiseJudgements`; judged pairs become such by
:meth:`.judged.JudgedPairs.comparisons`, rankings by :mod:`.rankings`, quadrants by
:mod:`.mer_taffc`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.base import Clip, DataError, DatasetCard, Floats, fingerprint


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Which of two clips is higher on one dimension; arrays have shape ``(n_comparisons,)``."""

    higher: NDArray[np.int64]
    """Indices into the clips."""
    lower: NDArray[np.int64]
    tied: NDArray[np.bool_]
    """Where the two are held equal; which is called higher then means nothing."""
    votes: Floats
    """How many said so, more than 0."""
    annotators: tuple[str | None, ...]
    """Who said so; None: not known, or several."""

    def __len__(self) -> int:
        return len(self.higher)


@dataclass(frozen=True, slots=True)
class PairwiseJudgements:
    """Clips and the comparisons of them, whatever set they come from."""

    card: DatasetCard
    clips: tuple[Clip, ...]
    """What is resampled, and kept in one fold, together is their unit: clips that are joined by
    comparisons. None where all hang together, or the source says nothing: then each clip is one."""
    comparisons: Mapping[str, Comparisons]
    """By dimension."""
    rule: str
    """In words: where the comparisons come from."""
    fingerprint: str
    """Digest of clips, units and comparisons."""
    namespace: str = ""
    """As of :class:`earmark.datasets.base.RatedClips`."""

    def of(self, dimension: str) -> Comparisons:
        """Return the comparisons of one dimension.

        Raises
        ------
        DataError
            If there are none; the message lists the dimensions that there are.
        """
        if dimension not in self.comparisons:
            there = " and ".join(self.comparisons)
            raise DataError(f"{self.card.id} has no comparisons of {dimension!r}, only of {there}")
        return self.comparisons[dimension]


@dataclass(frozen=True, slots=True)
class Said:
    """One comparison, by the names of its clips."""

    dimension: str
    higher: str
    lower: str
    tied: bool = False
    votes: float = 1.0
    annotator: str | None = None


def assemble(
    said: Iterable[Said],
    clips: Sequence[Clip],
    card: DatasetCard,
    *,
    rule: str,
    namespace: str = "",
) -> PairwiseJudgements:
    """Return comparisons in a canonical order; the clips stay in theirs."""
    rows = sorted(map(_in_order, said), key=_key)
    index = {clip.id: i for i, clip in enumerate(clips)}
    comparisons = {}
    for dimension, found in groupby(rows, attrgetter("dimension")):
        of_it = list(found)
        comparisons[dimension] = Comparisons(
            higher=np.array([index[row.higher] for row in of_it], np.int64),
            lower=np.array([index[row.lower] for row in of_it], np.int64),
            tied=np.array([row.tied for row in of_it], bool),
            votes=np.array([row.votes for row in of_it], float),
            annotators=tuple(row.annotator for row in of_it),
        )
    return build(clips, comparisons, card, rule=rule, namespace=namespace)


def by_level(levels: Floats, *, gap: float = 0.0) -> Comparisons:
    """Return the comparison of every two clips that differ in a level, and so in order.

    Parameters
    ----------
    levels
        Shape ``(n_clips,)``; NaN: not compared with any.
    gap
        Pairs whose levels differ by this or less are left out, equal ones among them.
    """
    first, second = np.triu_indices(len(levels), k=1)
    difference = levels[first] - levels[second]
    apart = np.abs(difference) > gap
    first, second, up = first[apart], second[apart], difference[apart] > 0
    return Comparisons(
        higher=np.where(up, first, second).astype(np.int64),
        lower=np.where(up, second, first).astype(np.int64),
        tied=np.zeros(len(first), bool),
        votes=np.ones(len(first)),
        annotators=(None,) * len(first),
    )


def build(
    clips: Sequence[Clip],
    comparisons: Mapping[str, Comparisons],
    card: DatasetCard,
    *,
    rule: str,
    namespace: str = "",
) -> PairwiseJudgements:
    """Return comparisons that are arrays already, with their fingerprint."""
    return PairwiseJudgements(
        card=card,
        clips=tuple(clips),
        comparisons=comparisons,
        rule=rule,
        fingerprint=fingerprint(_content(clips, comparisons)),
        namespace=namespace,
    )


def joined(said: Iterable[Said]) -> dict[str, str | None]:
    """Return each clip's unit: the first name of those that comparisons join it to.

    None for all clips if all hang together.

    >>> joined([Said("arousal", "b", "a"), Said("valence", "c", "d"), Said("arousal", "d", "c")])
    {'b': 'a', 'a': 'a', 'c': 'c', 'd': 'c'}
    """
    parent: dict[str, str] = {}

    def root_of(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = name = parent[parent[name]]
        return name

    for each in said:
        one, other = sorted((root_of(each.higher), root_of(each.lower)))
        parent[other] = one
    roots = {name: root_of(name) for name in parent}
    if len(set(roots.values())) < 2:
        return dict.fromkeys(roots)
    return dict(roots)


def _in_order(row: Said) -> Said:
    if not row.tied or row.higher < row.lower:
        return row
    return Said(row.dimension, row.lower, row.higher, True, row.votes, row.annotator)


def _key(row: Said) -> tuple[object, ...]:
    pair = sorted((row.higher, row.lower))
    return (row.dimension, *pair, row.annotator or "", row.higher, row.tied, row.votes)


def _content(clips: Sequence[Clip], comparisons: Mapping[str, Comparisons]) -> Iterator[str]:
    for clip in clips:
        yield f"{clip.id}\t{clip.unit or ''}"
    for dimension, found in sorted(comparisons.items()):
        arrays = (found.higher, found.lower, found.tied.astype(np.int64))
        columns = zip(*(array.tolist() for array in arrays), strict=True)
        for row, votes, who in zip(columns, found.votes.tolist(), found.annotators, strict=True):
            yield f"{dimension}\t{row}\t{votes!r}\t{who or ''}"
