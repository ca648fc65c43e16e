"""Ridge regression on embeddings: an affine head, its penalty chosen by folds of the training rows.

Conventions
-----------
Features are standardised with the mean and deviation of the rows that are fitted on, in every inner
fold anew. ``alpha`` is scikit-learn's: the sum of squared errors plus ``alpha`` times the squared
weights, the intercept unpenalised. Each dimension has its own, that of the least mean squared error
averaged over the inner folds; of equal ones the largest.

References
----------
.. [1] A. E. Hoerl, R. W. Kennard, "Ridge regression: biased estimation for nonorthogonal problems",
       Technometrics 12(1), 1970, eq. 2.1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from earmark.models.av_heads.folds import group_numbers, grouped_folds
from earmark.models.av_heads.head import (
    COLUMNS,
    Doubles,
    Fitted,
    Head,
    check_rated,
    standardisation,
)
from earmark.models.base import ModelError

ALPHAS = tuple(float(10**power) for power in np.arange(0, 5.1, 0.5))
INNER_FOLDS = 5


def fit_ridge(
    features: ArrayLike,
    targets: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    seed: int,
    alphas: Sequence[float] = ALPHAS,
    inner_folds: int = INNER_FOLDS,
) -> Fitted:
    """Fit a ridge head to ratings.

    Parameters
    ----------
    features
        Shape ``(n, dimension)``.
    targets
        Arousal, valence, shape ``(n, 2)``, on the scale that the head will predict on.
    groups
        A label a row; rows of one group are never on both sides of an inner fold.
    seed
        Of the inner folds.
    alphas
        Penalties to choose from; a single one is taken as it is.

    Raises
    ------
    ModelError
        If a penalty is not above 0.
    """
    rows, rated = check_rated(features, targets)
    grid = check_penalties(alphas, name="alphas")
    chosen, warnings = np.full(2, grid[0]), []
    if len(grid) > 1:
        errors = _validated(rows, rated, grid, group_numbers(groups, len(rows)), inner_folds, seed)
        chosen = np.array(
            [max(a for a, e in zip(grid, c, strict=True) if e == c.min()) for c in errors.T]
        )
        warnings = [
            f"alpha of {name} is {alpha:g}, an end of the grid: a better one may lie beyond"
            for name, alpha in zip(COLUMNS, chosen, strict=True)
            if alpha in (grid[0], grid[-1])
        ]
    mean, scale = standardisation(rows)
    weights = ridge_weights((rows - mean) / scale, rated - rated.mean(axis=0), chosen)
    head = Head(
        mean, scale, np.stack([weights[0][:, 0], weights[1][:, 1]], axis=1), rated.mean(axis=0)
    )
    facts = {f"alpha_{name}": float(a) for name, a in zip(COLUMNS, chosen, strict=True)}
    return Fitted(head, {"head": "ridge", "rows": len(rows), **facts}, tuple(warnings))


def ridge_weights(centred: Doubles, targets: Doubles, alphas: ArrayLike) -> Doubles:
    """Return weights ``(n_alphas, dimension, n_targets)`` of features and targets of mean 0.

    By the singular value decomposition, one for all penalties.
    """
    left, values, right = np.linalg.svd(centred, full_matrices=False)
    shrunk = values / (values**2 + np.asarray(alphas, np.float64)[:, None])
    return np.asarray(right.T @ (shrunk[..., None] * (left.T @ targets)))


def _validated(
    rows: Doubles, rated: Doubles, grid: Sequence[float], groups: ArrayLike, folds: int, seed: int
) -> Doubles:
    """Return the mean squared error of each penalty on held-out rows, ``(n_alphas, 2)``."""
    total = np.zeros((len(grid), 2))
    for fold in grouped_folds(groups, folds=folds, seed=seed):
        mean, scale = standardisation(rows[fold.train])
        centre = rated[fold.train].mean(axis=0)
        weights = ridge_weights((rows[fold.train] - mean) / scale, rated[fold.train] - centre, grid)
        predicted = (rows[fold.test] - mean) / scale @ weights + centre
        total += ((predicted - rated[fold.test]) ** 2).mean(axis=1) / folds
    return total


def check_penalties(values: Sequence[float], *, name: str) -> tuple[float, ...]:
    """Return penalties from the smallest to the largest.

    Raises
    ------
    ModelError
        If there is none, or one is no finite number above 0.
    """
    given = list(values) if isinstance(values, Sequence) and not isinstance(values, str) else []
    if not given or not all(isinstance(v, int | float) and 0 < v < np.inf for v in given):
        raise ModelError(f"{name} is {values!r}, expected numbers above 0")
    return tuple(sorted({float(value) for value in given}))
