"""The ground truth of judged pairs and their annotators as arrays, ready for the metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.bench.metrics.base import Floats
from earmark.bench.metrics.pairs import pairwise
from earmark.bench.metrics.pairs.agreement import HumanReference, human_reference, rating_matrix
from earmark.bench.metrics.pairs.pairwise import Outcomes
from earmark.datasets.judgements.judged import JudgedPairs
from earmark.datasets.judgements.rules import Pair

BREAKDOWNS = ("gt, genre triplets", "gt, global triplets")
"""The two kinds of triplets within ``gt``: songs that share a genre, and songs of any."""


@dataclass(frozen=True)
class Truth:
    """The ground-truth pairs of one dimension; arrays have shape ``(n_pairs,)``."""

    dimension: str
    pairs: Sequence[Pair]
    ids: NDArray[np.str_]
    song_a: NDArray[np.intp]
    """Index into the dataset's ``song_ids``."""
    song_b: NDArray[np.intp]
    labels: NDArray[np.str_]
    triplets: NDArray[np.str_]
    members: Mapping[str, NDArray[np.bool_]]
    """Which pairs belong to each subset and breakdown."""

    def judge(self, values: Floats) -> Outcomes:
        """Return the outcome of each pair for values ``(n_songs,)``; NaN is a missing one."""
        return pairwise.judge(
            self.labels, values[self.song_a], values[self.song_b], allow_missing=True
        )


@dataclass(frozen=True)
class People:
    """What known annotators say on one dimension, and how one of them fares against the others."""

    dimension: str
    pairs: Sequence[Pair]
    """Every judged pair, ground truth or not, in the order of the columns of ``ratings``."""
    ratings: Floats
    """Shape ``(n_annotators, n_pairs)``: -1 (a), 0 (equal), 1 (b) or NaN."""
    annotators: Sequence[str]
    reference: HumanReference | None
    """None: no annotator chose a or b where two others agree."""

    @property
    def triplets(self) -> NDArray[np.str_]:
        """The triplet of each pair."""
        return np.array([pair.triplet for pair in self.pairs])


def read_truth(dataset: JudgedPairs, dimension: str) -> Truth:
    """Return the ground truth of one dimension; every subset is a part of ``gt``."""
    pairs = dataset.ground_truth(dimension, "gt")
    place = {song: index for index, song in enumerate(dataset.song_ids)}
    ids = [pair.id for pair in pairs]
    members = {
        subset: np.isin(ids, [pair.id for pair in dataset.ground_truth(dimension, subset)])
        for subset in dataset.subsets
    }
    of_genre = np.array([pair.triplet_type != "global_triplet" for pair in pairs], dtype=bool)
    if of_genre.any() and not of_genre.all():
        members |= {BREAKDOWNS[0]: of_genre, BREAKDOWNS[1]: ~of_genre}
    return Truth(
        dimension=dimension,
        pairs=pairs,
        ids=np.array(ids, dtype=np.str_),
        song_a=np.array([place[pair.song_a] for pair in pairs], dtype=np.intp),
        song_b=np.array([place[pair.song_b] for pair in pairs], dtype=np.intp),
        labels=np.array([pair.higher_value for pair in pairs], dtype=np.str_),
        triplets=np.array([pair.triplet for pair in pairs], dtype=np.str_),
        members=members,
    )


def read_people(dataset: JudgedPairs, dimension: str) -> People:
    """Return the raw judgements of one dimension; those of unknown annotators are left out."""
    judgements = [one for one in dataset.judgements(dimension) if one.annotator]
    ratings, annotators, items = rating_matrix(
        [one.annotator for one in judgements],
        [f"{one.triplet} {one.song_a}\t{one.song_b}" for one in judgements],
        [one.higher_value for one in judgements],
    )
    by_item = {
        f"{pair.triplet} {pair.song_a}\t{pair.song_b}": pair for pair in dataset.pairs(dimension)
    }
    pairs = [by_item[item] for item in items]
    reference = None
    with suppress(ValueError):  # it has no case
        units = [pair.triplet for pair in pairs]
        reference = human_reference(ratings, annotators=annotators, units=units)
    return People(dimension, pairs, ratings, annotators, reference)


def read_all(dataset: JudgedPairs) -> tuple[list[Truth], list[People]]:
    """Return the ground truth and the judgements of every dimension."""
    return (
        [read_truth(dataset, dimension) for dimension in dataset.dimensions],
        [read_people(dataset, dimension) for dimension in dataset.dimensions],
    )
