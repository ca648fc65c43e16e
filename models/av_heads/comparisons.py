"""Which of two tracks is the higher in arousal or valence, as arrays for pairwise heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.datasets.judgements.pairwise import PairwiseJudgements
from earmark.models.av_heads.head import COLUMNS, Doubles, check_features
from earmark.models.base import ModelError

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class ComparedPairs:
    """Compared pairs of one dimension; raises :class:`ModelError` if the arrays do not fit."""

    first: Rows
    """Row of the first track in the features, shape ``(n,)``."""
    second: Rows
    votes: Doubles
    """Votes for first higher, equal, second higher: shape ``(n, 3)``, at least one a pair."""
    triplets: NDArray[np.str_]
    """What is compared together and goes to one fold, shape ``(n,)``."""
    annotators: NDArray[np.str_] | None = None
    """Whose votes each row has, shape ``(n,)``; None: everybody's together."""

    def __post_init__(self) -> None:
        n = len(self.first)
        if self.second.shape != (n,) or self.votes.shape != (n, 3) or self.triplets.shape != (n,):
            raise ModelError(
                f"{n} comparisons have second tracks of shape {self.second.shape}, votes of "
                f"{self.votes.shape} and triplets of {self.triplets.shape}; expected ({n},), "
                f"({n}, 3) and ({n},)"
            )
        if self.annotators is not None and self.annotators.shape != (n,):
            raise ModelError(
                f"{n} comparisons have annotators of shape {self.annotators.shape}, expected ({n},)"
            )
        bad = np.flatnonzero(
            ~np.isfinite(self.votes).all(axis=1)
            | (self.votes < 0).any(axis=1)
            | (self.votes.sum(axis=1) <= 0)
        )
        if bad.size:
            raise ModelError(
                f"comparison {bad[0]} has the votes {self.votes[bad[0]].tolist()}, expected "
                f"numbers of at least 0, one of them above"
            )
        same = np.flatnonzero(self.first == self.second)
        if same.size:
            raise ModelError(f"comparison {same[0]} is of a track with itself")

    def __len__(self) -> int:
        return len(self.first)

    def take(self, rows: Rows) -> ComparedPairs:
        """Return some of the comparisons."""
        own = None if self.annotators is None else self.annotators[rows]
        return ComparedPairs(
            self.first[rows], self.second[rows], self.votes[rows], self.triplets[rows], own
        )

    def pooled(self) -> ComparedPairs:
        """Return the same votes with those of all annotators on a pair and triplet in one row."""
        if self.annotators is None:
            return self
        triplet = np.unique(self.triplets, return_inverse=True)[1]
        keys = np.stack([triplet, self.first, self.second], axis=1)
        _, rows, place = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        votes = np.zeros((len(rows), 3))
        np.add.at(votes, place.ravel(), self.votes)
        return ComparedPairs(self.first[rows], self.second[rows], votes, self.triplets[rows])

    @property
    def tracks(self) -> Rows:
        """Rows of the features that are compared, sorted."""
        return np.unique(np.concatenate([self.first, self.second]))


@dataclass(frozen=True, slots=True)
class Collected:
    """Compared pairs of arousal and valence whose tracks have an embedding."""

    compared: Mapping[str, ComparedPairs]
    without_embedding: Mapping[str, float]
    """Votes of each dimension on pairs of which a track has none: left out."""


def collect(
    judgements: PairwiseJudgements, ids: Sequence[str], *, by_annotator: bool = False
) -> Collected:
    """Return judgements as arrays.

    A pair's triplet is the unit of its clips; where clips have none, each pair is its own.

    Parameters
    ----------
    ids
        Of the features' rows. Comparisons of other clips are left out and counted.
    by_annotator
        Whether a pair has a row for each annotator, so that a head can tell them apart; those that
        are not known count as one. If not, its row has the votes of all.

    Raises
    ------
    DataError
        If the judgements have no comparisons of a dimension.
    ModelError
        If an id stands twice, or no comparison of a dimension is left.
    """
    place = {one: row for row, one in enumerate(ids)}
    if len(place) < len(ids):
        raise ModelError(f"{len(ids) - len(place)} of {len(ids)} ids of embeddings stand twice")
    rows = np.array([place.get(clip.id, -1) for clip in judgements.clips], np.intp)
    units = [clip.unit for clip in judgements.clips]
    found, without = {}, {}
    for name in COLUMNS:
        said = judgements.of(name)
        votes: dict[tuple[str, int, int, str], Doubles] = {}
        without[name] = 0.0
        people = said.annotators if by_annotator else [None] * len(said)
        for high, low, tied, weight, who in zip(
            said.higher.tolist(), said.lower.tolist(), said.tied, said.votes, people, strict=True
        ):
            a, b = int(rows[high]), int(rows[low])
            if min(a, b) < 0:
                without[name] += float(weight)
                continue
            first, second = sorted((a, b))
            column = 1 if tied else 0 if a < b else 2
            unit = units[high] or units[low] or f"{first} and {second}"
            votes.setdefault((unit, first, second, who or ""), np.zeros(3))[column] += weight
        if not votes:
            raise ModelError(
                f"{judgements.card.id}: no comparison of {name} to learn from, {without[name]:g} "
                f"votes are on tracks without an embedding"
            )
        keys = sorted(votes)
        found[name] = ComparedPairs(
            first=np.array([key[1] for key in keys], np.intp),
            second=np.array([key[2] for key in keys], np.intp),
            votes=np.array([votes[key] for key in keys]),
            triplets=np.array([key[0] for key in keys], np.str_),
            annotators=np.array([key[3] for key in keys], np.str_) if by_annotator else None,
        )
    return Collected(found, without)


def check_compared(
    features: ArrayLike, comparisons: Mapping[str, ComparedPairs]
) -> tuple[Doubles, tuple[ComparedPairs, ComparedPairs]]:
    """Return features and the comparisons of arousal and of valence.

    Raises
    ------
    ModelError
        If a dimension lacks, has no comparison, no pair of it has a higher track, or a track has no
        row of features.
    """
    rows = check_features(features)
    if set(comparisons) != set(COLUMNS):
        raise ModelError(
            f"comparisons are of {', '.join(comparisons) or 'nothing'}, expected of arousal and of "
            f"valence"
        )
    for name, one in comparisons.items():
        if not len(one) or not one.votes[:, [0, 2]].any():
            raise ModelError(
                f"{len(one)} comparisons of {name} hold no track higher than another: there is "
                f"nothing to learn from"
            )
        if one.tracks[0] < 0 or one.tracks[-1] >= len(rows):
            raise ModelError(
                f"comparisons of {name} name row {one.tracks[-1]} of {len(rows)} rows of features"
            )
    return rows, (comparisons["arousal"], comparisons["valence"])
