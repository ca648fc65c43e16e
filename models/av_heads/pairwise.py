"""Pairwise heads: utilities of arousal and valence learned from which of two tracks is higher.

Conventions
-----------
Features are standardised over the tracks of the comparisons that are fitted on. The utility of a
track is linear in them, its weights fitted to the votes by :mod:`earmark.models.av_heads.davidson`;
each annotator's answer is one vote, so that a pair on which annotators disagree says so. Where the
comparisons say whose votes they are, annotators are told apart by their sensitivity. A utility has
no scale and no zero: values can be ranked, not held against ratings. The penalty is chosen, for
each dimension, by the log likelihood of the votes of held-out folds, of all annotators together.

Folds
-----
A triplet goes to one fold. Where tracks are in several triplets, either all that is linked by
shared tracks goes to one fold (``linked``), or comparisons that share a track with the test fold
are left out of its training (``dropped``) and counted. In both no track of a test comparison is
fitted on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.models.av_heads.comparisons import ComparedPairs, check_compared
from earmark.models.av_heads.cross_validation import FOLDS
from earmark.models.av_heads.davidson import Davidson, fit_davidson, log_likelihood
from earmark.models.av_heads.folds import grouped_folds, linked_groups
from earmark.models.av_heads.head import COLUMNS, Doubles, Fitted, Head, standardisation
from earmark.models.av_heads.rated import INNER_FOLDS, check_penalties
from earmark.models.base import ModelError, Plain

PENALTIES = tuple(float(10**power) for power in np.arange(0, 3.6, 0.5))
Sharing = Literal["linked", "dropped"]


class PairwiseFit(Protocol):
    """Fits a head to comparisons, such as :func:`fit_pairwise`."""

    def __call__(
        self, features: ArrayLike, comparisons: Mapping[str, ComparedPairs], *, seed: int
    ) -> Fitted:
        """Return a head fitted to the comparisons of ``arousal`` and ``valence``."""
        ...


def fit_pairwise(
    features: ArrayLike,
    comparisons: Mapping[str, ComparedPairs],
    *,
    seed: int,
    penalties: Sequence[float] = PENALTIES,
    inner_folds: int = INNER_FOLDS,
    sharing: Sharing = "linked",
) -> Fitted:
    """Fit linear utilities to comparisons.

    Parameters
    ----------
    features
        Shape ``(n_tracks, dimension)``. Tracks that no comparison names play no part.
    comparisons
        Of ``arousal`` and of ``valence``.
    penalties
        To choose from, as :func:`fit_davidson`; a single one is taken as it is.
    seed
        Of the inner folds.
    sharing
        What becomes in them of comparisons that share a track, see the module.

    Raises
    ------
    ModelError
        If a penalty is not above 0.
    """
    _check_sharing(sharing)
    rows, both = check_compared(features, comparisons)
    grid = check_penalties(penalties, name="penalties")
    mean, scale = standardisation(rows[np.union1d(both[0].tracks, both[1].tracks)])
    z = (rows - mean) / scale
    linear = np.empty((rows.shape[1], 2))
    facts: dict[str, Plain] = {"head": "pairwise"}
    warnings = []
    for column, (name, compared) in enumerate(zip(COLUMNS, both, strict=True)):
        penalty = grid[0]
        if len(grid) > 1:
            penalty = _choose(rows, compared.pooled(), grid, inner_folds, sharing, seed)
        if len(grid) > 1 and penalty in (grid[0], grid[-1]):
            warnings.append(
                f"penalty of {name} is {penalty:g}, an end of the grid: a better one may lie beyond"
            )
        names, numbers = None, None
        if compared.annotators is not None:
            names, numbers = np.unique(compared.annotators, return_inverse=True)
        fitted = fit_davidson(
            _differences(z, compared), compared.votes, penalty=penalty, annotators=numbers
        )
        linear[:, column] = fitted.weights
        facts |= {
            f"comparisons_{name}": len(compared),
            f"votes_{name}": float(compared.votes.sum()),
            f"penalty_{name}": penalty,
            f"nu_{name}": float(np.exp(fitted.log_nu)),
        }
        if names is not None:
            spread = np.exp(fitted.log_sensitivity)
            facts |= {
                f"annotators_{name}": len(names),
                f"least_sensitivity_{name}": float(spread.min()),
                f"greatest_sensitivity_{name}": float(spread.max()),
            }
    return Fitted(Head(mean, scale, linear, np.zeros(2)), facts, tuple(warnings))


def _choose(
    rows: Doubles,
    compared: ComparedPairs,
    grid: Sequence[float],
    folds: int,
    sharing: Sharing,
    seed: int,
) -> float:
    """Return the penalty of the greatest likelihood of votes held out."""
    total = np.zeros(len(grid))
    for fold in grouped_folds(_groups((compared,), len(rows), sharing), folds=folds, seed=seed):
        test = compared.take(fold.test)
        train = compared.take(np.flatnonzero(_free(compared, test.tracks)))
        mean, scale = standardisation(rows[train.tracks])
        z = (rows - mean) / scale
        near, far = _differences(z, train), _differences(z, test)
        fitted: Davidson | None = None
        for index in reversed(range(len(grid))):  # from the smallest weights on
            fitted = fit_davidson(near, train.votes, penalty=grid[index], start=fitted)
            total[index] += log_likelihood(test.votes, fitted.log_probabilities(far))
    return float(grid[int(np.argmax(total))])


def _differences(z: Doubles, compared: ComparedPairs) -> Doubles:
    return np.asarray(z[compared.first] - z[compared.second])


@dataclass(frozen=True, slots=True)
class PairwiseFold:
    """What was fitted in one fold of one run."""

    run: int
    fold: str
    train_tracks: NDArray[np.intp]
    test_tracks: NDArray[np.intp]
    dropped: Mapping[str, int]
    """Comparisons of each dimension left out of the training for a track of the test fold."""
    facts: Mapping[str, Plain]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PairwiseCrossValidated:
    """Utilities out of fold."""

    differences: Mapping[str, Doubles]
    """First less second of each comparison, by dimension: shape ``(n_runs, n_comparisons)``."""
    values: Doubles | None
    """Of the tracks, shape ``(n_runs, n_tracks, 2)``: arousal, valence; NaN for tracks that are in
    no comparison. Those of one triplet are of one head and can be compared; others are of another.
    None where comparisons were dropped: a track then has a value in each fold that tests it."""
    fits: tuple[PairwiseFold, ...]


def cross_validate_pairwise(
    features: ArrayLike,
    comparisons: Mapping[str, ComparedPairs],
    fit: PairwiseFit = fit_pairwise,
    *,
    folds: int = FOLDS,
    runs: int = 1,
    sharing: Sharing = "linked",
    seed: int,
) -> PairwiseCrossValidated:
    """Predict each comparison by a head that was fitted without its tracks.

    A triplet goes to the same fold for arousal and for valence.

    Parameters
    ----------
    runs
        Each divides and fits anew, with the seeds ``seed``, ``seed + 1`` and so on.
    sharing
        What becomes of comparisons that share a track, see the module.

    Raises
    ------
    ModelError
        If nothing is left to fit on.
    """
    _check_sharing(sharing)
    if runs < 1:
        raise ModelError(f"runs is {runs}, expected at least 1")
    rows, both = check_compared(features, comparisons)
    groups = _groups(both, len(rows), sharing)
    named = dict(zip(COLUMNS, both, strict=True))
    differences = {name: np.full((runs, len(one)), np.nan) for name, one in named.items()}
    values = np.full((runs, len(rows), 2), np.nan)
    fits = []
    bounds = len(both[0])
    for run in range(runs):
        for fold in grouped_folds(groups, folds=folds, seed=seed + run):
            parts = [fold.test[fold.test < bounds], fold.test[fold.test >= bounds] - bounds]
            tests = [one.take(part) for one, part in zip(both, parts, strict=True)]
            tested = np.union1d(tests[0].tracks, tests[1].tracks)
            free = [_free(one, tested) for one in both]
            train = {
                name: one.take(np.flatnonzero(kept))
                for (name, one), kept in zip(named.items(), free, strict=True)
            }
            fitted = fit(rows, train, seed=seed + run)
            predicted = fitted.head(rows[tested])
            values[run, tested] = predicted
            place = np.full(len(rows), -1)
            place[tested] = np.arange(len(tested))
            for column, (name, test, part) in enumerate(zip(COLUMNS, tests, parts, strict=True)):
                utility = predicted[:, column]
                gap = utility[place[test.first]] - utility[place[test.second]]
                differences[name][run, part] = gap
            dropped = {
                name: int(len(one) - kept.sum() - len(part))
                for (name, one), kept, part in zip(named.items(), free, parts, strict=True)
            }
            seen = np.union1d(train["arousal"].tracks, train["valence"].tracks)
            fits.append(
                PairwiseFold(run, fold.name, seen, tested, dropped, fitted.facts, fitted.warnings)
            )
    return PairwiseCrossValidated(differences, values if sharing == "linked" else None, tuple(fits))


def _check_sharing(sharing: Sharing) -> None:
    if sharing not in ("linked", "dropped"):
        raise ModelError(f"sharing is {sharing!r}, expected 'linked' or 'dropped'")


def _free(compared: ComparedPairs, tracks: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return which comparisons have none of the tracks."""
    return ~(np.isin(compared.first, tracks) | np.isin(compared.second, tracks))


def _groups(both: Sequence[ComparedPairs], n: int, sharing: Sharing) -> NDArray[np.intp]:
    """Return a group number for each comparison, of one dimension after the other."""
    first, second, triplets = (
        np.concatenate([getattr(one, name) for one in both])
        for name in ("first", "second", "triplets")
    )
    if sharing == "linked":
        groups = linked_groups(first, second, triplets, n=n)
        if groups.max() == 0:
            raise ModelError(
                f"all {len(groups)} comparisons are linked by shared tracks, so that none can be "
                f"tested without its tracks: give sharing='dropped'"
            )
        return groups
    return np.asarray(np.unique(triplets, return_inverse=True)[1], np.intp)
