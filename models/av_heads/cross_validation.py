"""Heads by cross-validation: each row is predicted by a head that has not seen its group.

A *run* is one division into folds with one seed, and several runs tell how much a figure owes to
them. What a fit chooses (a penalty, when to stop) it chooses within the rows it is given: the
validation is nested.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.models.av_heads.folds import group_numbers, grouped_folds
from earmark.models.av_heads.head import Doubles, Fitted, check_rated
from earmark.models.base import ModelError, Plain

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

    def scores(self, targets: ArrayLike, metric: Callable[[Doubles, Doubles], float]) -> Doubles:
        """Return ``metric(rated, predicted)`` of each run and dimension, shape ``(n_runs, 2)``."""
        rated = np.asarray(targets, np.float64)
        return np.array(
            [[metric(rated[:, c], run[:, c]) for c in (0, 1)] for run in self.predictions]
        )

    def spread(
        self, targets: ArrayLike, metric: Callable[[Doubles, Doubles], float]
    ) -> tuple[Doubles, Doubles]:
        """Return mean and deviation over runs of a metric, each of shape ``(2,)``.

        The deviation divides by one less than the number of runs, and is NaN for a single one.
        """
        scores = self.scores(targets, metric)
        deviation = scores.std(axis=0, ddof=1) if len(scores) > 1 else np.full(2, np.nan)
        return scores.mean(axis=0), deviation


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
