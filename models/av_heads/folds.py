"""Folds in which nothing that belongs together stands on both sides.

Groups are an artist's tracks, the excerpts of one recording, or triplets of compared tracks and all
that share a track with them. A group goes as a whole to one fold.

A *run* is one division into folds with one seed, and several runs tell how much a figure owes to
them. What a fit chooses (a penalty, when to stop) it chooses within the rows it is given: the
validation is nested.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.models.av_heads.head import Doubles, Fitted, check_rated
from earmark.models.base import ModelError, Plain

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Fold:
    """Which rows are fitted on and which are predicted."""

    name: str
    train: Rows
    test: Rows


def group_numbers(groups: ArrayLike | None, n: int) -> Rows:
    """Return a number from 0 for each row's group; without groups each row is its own.

    Raises
    ------
    ModelError
        If there is not one group a row.
    """
    if groups is None:
        return np.arange(n)
    labels = np.asarray(groups)
    if labels.shape != (n,):
        raise ModelError(f"groups have shape {labels.shape}, expected one label a row: ({n},)")
    return np.asarray(np.unique(labels, return_inverse=True)[1], np.intp)


def grouped_folds(groups: ArrayLike, *, folds: int, seed: int) -> list[Fold]:
    """Return folds of about equal size; the order of groups is drawn by ``seed``.

    Each group goes to the fold that has the fewest rows so far.

    Raises
    ------
    ModelError
        If there are fewer than two folds, or fewer groups than folds.
    """
    if not isinstance(folds, int) or folds < 2:
        raise ModelError(f"folds is {folds!r}, expected a whole number of at least 2")
    labels = np.asarray(groups)
    group = group_numbers(labels, len(labels))
    sizes = np.bincount(group)
    if len(sizes) < folds:
        raise ModelError(
            f"{len(group)} rows of {len(sizes)} group{'s' if len(sizes) != 1 else ''} cannot be "
            f"divided into {folds} folds: no group may stand on both sides; give fewer folds or "
            f"more groups"
        )
    fold_of, filled = np.empty(len(sizes), np.intp), np.zeros(folds)
    for index in np.random.default_rng(seed).permutation(len(sizes)):
        fold_of[index] = filled.argmin()
        filled[fold_of[index]] += sizes[index]
    own = fold_of[group]
    return [
        Fold(
            f"{number + 1} of {folds}", np.flatnonzero(own != number), np.flatnonzero(own == number)
        )
        for number in range(folds)
    ]


def held_out(groups: ArrayLike, *, share: float, seed: int) -> Fold:
    """Return one fold whose test rows are at least ``share`` of all rows, in whole groups.

    Raises
    ------
    ModelError
        If ``share`` is not between 0 and 1, or no group is left on one side.
    """
    if not 0 < share < 1:
        raise ModelError(f"a held-out share is {share!r}, expected a number between 0 and 1")
    labels = np.asarray(groups)
    group = group_numbers(labels, len(labels))
    sizes = np.bincount(group, minlength=1)
    order = np.random.default_rng(seed).permutation(len(sizes))
    before = np.concatenate([[0], np.cumsum(sizes[order])[:-1]])
    chosen = np.zeros(len(sizes), bool)
    chosen[order] = before < share * len(group)
    test = chosen[group]
    if test.all() or not test.any():
        raise ModelError(
            f"{len(group)} rows of {len(sizes)} group{'s' if len(sizes) != 1 else ''}: no share of "
            f"{share:g} can be held out in whole groups; give more groups"
        )
    return Fold(f"{share:g} held out", np.flatnonzero(~test), np.flatnonzero(test))


def linked_groups(first: ArrayLike, second: ArrayLike, labels: ArrayLike, *, n: int) -> Rows:
    """Return a number for each comparison, equal for all that are linked by tracks or labels.

    Comparisons of one triplet (label) belong together, and so do any two that share a track; what
    is linked to one is linked to the other. ``n`` is the number of tracks.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    one, other = np.asarray(first, np.intp), np.asarray(second, np.intp)
    triplet = n + group_numbers(labels, len(one))
    size = n + len(one)
    ends = np.concatenate([one, other]), np.concatenate([triplet, triplet])
    graph = coo_array((np.ones(2 * len(one)), ends), shape=(size, size))
    component = connected_components(graph, directed=False)[1]
    return np.asarray(np.unique(component[one], return_inverse=True)[1], np.intp)


FOLDS = 10


class Fit(Protocol):
    """Fits a head to rated rows, such as :func:`earmark.models.av_heads.rated.fit_ridge`."""

    def __call__(
        self, features: ArrayLike, targets: ArrayLike, *, groups: ArrayLike | None, seed: int
    ) -> Fitted:
        """Return a head fitted to ``(n, dimension)`` and ``(n, 2)``."""
        ...


@dataclass(frozen=True, slots=True)
class FoldFit:
    """What was fitted in one fold of one run."""

    run: int
    fold: str
    train: NDArray[np.intp]
    """Rows that were fitted on."""
    test: NDArray[np.intp]
    facts: Mapping[str, Plain]
    """What was chosen."""
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CrossValidated:
    """Predictions out of fold, and what was chosen on the way."""

    predictions: Doubles
    """Shape ``(n_runs, n, 2)``: arousal, valence."""
    fits: tuple[FoldFit, ...]


def cross_validate(
    features: ArrayLike,
    targets: ArrayLike,
    fit: Fit,
    *,
    groups: ArrayLike | None = None,
    folds: int = FOLDS,
    runs: int = 1,
    seed: int,
) -> CrossValidated:
    """Predict each row by a head fitted without its group.

    Parameters
    ----------
    features, targets
        Shapes ``(n, dimension)`` and ``(n, 2)``: arousal, valence.
    fit
        Called once a fold and run with the fold's training rows alone.
    runs
        Each divides and fits anew, with the seeds ``seed``, ``seed + 1`` and so on.

    Raises
    ------
    ModelError
        If there is no run.
    """
    rows, rated = check_rated(features, targets)
    if runs < 1:
        raise ModelError(f"runs is {runs}, expected at least 1")
    group = group_numbers(groups, len(rows))
    predictions = np.full((runs, len(rows), 2), np.nan)
    fits = []
    for run in range(runs):
        for fold in grouped_folds(group, folds=folds, seed=seed + run):
            train = fold.train
            fitted = fit(rows[train], rated[train], groups=group[train], seed=seed + run)
            predictions[run, fold.test] = fitted.head(rows[fold.test])
            fits.append(FoldFit(run, fold.name, train, fold.test, fitted.facts, fitted.warnings))
    return CrossValidated(predictions, tuple(fits))
