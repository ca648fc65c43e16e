"""Pairwise heads: utilities learned from which of two tracks is higher, one per dimension.

Conventions
-----------
Features are standardised over the tracks of the comparisons that are fitted on. The utility of a
track is linear in them, its weights fitted to the votes by :func:`fit_davidson`; each annotator's
answer is one vote, so that a pair on which annotators disagree says so. A utility has no scale and
no zero: values can be ranked, not held against ratings. The penalty is chosen, for each dimension,
by the log likelihood of the votes of held-out folds, of all annotators together.

Bradley and Terry with Davidson's ties
--------------------------------------
Of two tracks with the utilities ``u`` and ``v``, the first is higher with a probability in
proportion to ``exp(u)``, the second to ``exp(v)``, and both are equal to ``nu * exp((u + v) / 2)``
[2]_; without ties (``nu`` = 0) this is Bradley and Terry's model [1]_. Utilities are linear in the
tracks' features, so that their difference is linear in the differences of features, and the log of
the likelihood is concave in the weights and ``log(nu)``: Newton's method finds its one maximum.

Annotators differ: one hears differences that another does not, and some say "equal" more often.
Where it is known who said what, each has a sensitivity, by which the utilities are multiplied, and
a ``log(nu)`` of his own. Both are drawn to the common ones by normal priors: the log of the
sensitivity has mean 0 and deviation 0.5, the difference of ``log(nu)`` 0 and 0.7. The mean of the
log sensitivities is held at 0: the scale is the weights' own, on which the penalty is. The maximum
is then found by Fisher's scoring, which is Newton's method where there are no annotators.

Folds
-----
A triplet goes to one fold. Where tracks are in several triplets, either all that is linked by
shared tracks goes to one fold (``linked``), or comparisons that share a track with the test fold
are left out of its training (``dropped``) and counted. In both no track of a test comparison is
fitted on.

References
----------
.. [1] R. A. Bradley, M. E. Terry, "Rank analysis of incomplete block designs I: the method of
       paired comparisons", Biometrika 39, 1952.
.. [2] R. R. Davidson, "On extending the Bradley-Terry model to accommodate ties in paired
       comparison experiments", Journal of the American Statistical Association 65(329), 1970.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.datasets.judgements.pairwise import PairwiseJudgements
from earmark.models.av_heads.folds import FOLDS, grouped_folds, linked_groups
from earmark.models.av_heads.head import (
    COLUMNS,
    Doubles,
    Fitted,
    Head,
    check_features,
    standardisation,
)
from earmark.models.av_heads.rated import INNER_FOLDS, check_penalties
from earmark.models.base import ModelError, Plain

PENALTIES = tuple(float(10**power) for power in np.arange(0, 3.6, 0.5))
Sharing = Literal["linked", "dropped"]


class PairwiseFit(Protocol):
    """Fits a head to comparisons, such as :func:`fit_pairwise`."""

    def __call__(
        self, features: ArrayLike, comparisons: Mapping[str, ComparedPairs], *, seed: int
    ) -> Fitted:
        """Return a head fitted to the comparisons of each dimension, one value each, in order."""
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
        By dimension: what the head gives, in this order.
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
    rows = check_compared(features, comparisons)
    grid = check_penalties(penalties, name="penalties")
    mean, scale = standardisation(rows[_tracks(comparisons.values())])
    z = (rows - mean) / scale
    linear = np.empty((rows.shape[1], len(comparisons)))
    facts: dict[str, Plain] = {"head": "pairwise"}
    warnings = []
    for column, (name, compared) in enumerate(comparisons.items()):
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
    return Fitted(Head(mean, scale, linear, np.zeros(len(comparisons))), facts, tuple(warnings))


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
    """Of the tracks, shape ``(n_runs, n_tracks, n_dimensions)``; NaN for tracks that are in no
    comparison. Those of one triplet are of one head and can be compared; others are of another.
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

    A triplet goes to the same fold for every dimension.

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
    rows = check_compared(features, comparisons)
    groups = _groups([*comparisons.values()], len(rows), sharing)
    differences = {name: np.full((runs, len(one)), np.nan) for name, one in comparisons.items()}
    values = np.full((runs, len(rows), len(comparisons)), np.nan)
    fits = []
    bounds = np.cumsum([0, *map(len, comparisons.values())])
    for run in range(runs):
        for fold in grouped_folds(groups, folds=folds, seed=seed + run):
            parts = {
                name: fold.test[(fold.test >= low) & (fold.test < low + len(one))] - low
                for (name, one), low in zip(comparisons.items(), bounds.tolist(), strict=False)
            }
            tests = {name: one.take(parts[name]) for name, one in comparisons.items()}
            tested = _tracks(tests.values())
            free = {name: _free(one, tested) for name, one in comparisons.items()}
            train = {
                name: one.take(np.flatnonzero(free[name])) for name, one in comparisons.items()
            }
            fitted = fit(rows, train, seed=seed + run)
            predicted = fitted.head(rows[tested])
            values[run, tested] = predicted
            place = np.full(len(rows), -1)
            place[tested] = np.arange(len(tested))
            for column, (name, test) in enumerate(tests.items()):
                utility = predicted[:, column]
                gap = utility[place[test.first]] - utility[place[test.second]]
                differences[name][run, parts[name]] = gap
            dropped = {
                name: int(len(one) - free[name].sum() - len(parts[name]))
                for name, one in comparisons.items()
            }
            seen = _tracks(train.values())
            fits.append(
                PairwiseFold(run, fold.name, seen, tested, dropped, fitted.facts, fitted.warnings)
            )
    return PairwiseCrossValidated(differences, values if sharing == "linked" else None, tuple(fits))


def _check_sharing(sharing: Sharing) -> None:
    if sharing not in ("linked", "dropped"):
        raise ModelError(f"sharing is {sharing!r}, expected 'linked' or 'dropped'")


def _tracks(comparisons: Iterable[ComparedPairs]) -> NDArray[np.intp]:
    """Return the rows of all compared tracks, sorted."""
    return np.unique(np.concatenate([one.tracks for one in comparisons]))


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


MOST_STEPS = 200
SENSITIVITY_PRECISION, TIE_PRECISION = 4.0, 2.0
"""Of the priors on an annotator's log sensitivity and his log(nu) less the common one."""
_MEAN_PRECISION = 1e5
_CONVERGED = 1e-12
_HALVINGS = 40
_NONE = np.empty(0)

Numbers = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Davidson:
    """A fitted model of comparisons."""

    weights: Doubles
    """Of the differences of features, shape ``(dimension,)``."""
    log_nu: float
    """Of ties: ``-inf`` where none was seen."""
    covariance: Doubles
    """Inverse of the information at the maximum, priors and penalty included: of the weights, then
    ``log_nu`` where ties were seen, then what belongs to annotators."""
    log_sensitivity: Doubles = field(default_factory=_NONE.copy)
    """Of each annotator; empty where they were not distinguished."""
    log_nu_offsets: Doubles = field(default_factory=_NONE.copy)
    """Of each annotator, from the common ``log_nu``; empty likewise, and without ties."""

    def log_probabilities(self, differences: Doubles) -> Doubles:
        """Return log probabilities of first higher, equal, second higher: shape ``(n, 3)``.

        Of an annotator of whom nothing is known.
        """
        return _log_probabilities(
            differences @ self.weights, np.full(len(differences), self.log_nu)
        )


def log_likelihood(votes: Doubles, log_probabilities: Doubles) -> float:
    """Return the log likelihood of votes; what nobody voted for counts nothing, also at -inf."""
    return float((votes * np.where(votes > 0, log_probabilities, 0)).sum())


def fit_davidson(
    differences: Doubles,
    votes: Doubles,
    *,
    penalty: float,
    annotators: Numbers | None = None,
    start: Davidson | None = None,
) -> Davidson:
    """Fit weights and ties by maximum penalised likelihood.

    Parameters
    ----------
    differences
        Features of the first less those of the second track, shape ``(n, dimension)``.
    votes
        For first higher, equal, second higher, shape ``(n, 3)``.
    penalty
        Above 0: half of it times the squared weights is taken off the log likelihood, so that there
        is a maximum also where comparisons are separable; ``log_nu`` is free.
    annotators
        A number from 0 for whose votes each row has, shape ``(n,)``; None: they are not
        distinguished.
    start
        A fit to the same votes, without annotators, from which the maximum is found sooner.

    Raises
    ------
    ModelError
        If the penalty is not above 0, no vote is decided, or the maximum is not found.
    """
    from scipy.linalg import cho_factor, cho_solve

    if not 0 < penalty < np.inf:
        raise ModelError(f"penalty is {penalty}, expected a number above 0")
    if not votes[:, [0, 2]].any():
        raise ModelError(f"{len(votes)} comparisons hold no track higher than another")
    problem = _Problem(differences, votes, penalty, annotators)
    at = problem.start(start)
    value = problem.objective(at)
    for _ in range(MOST_STEPS):
        gradient, information = problem.derivatives(at)
        try:
            factor = cho_factor(information, lower=True)
        except np.linalg.LinAlgError:
            break
        step = cho_solve(factor, gradient)
        decrement = float(gradient @ step)
        if decrement <= _CONVERGED * (1 + abs(value)):
            at = at - step  # the last digits
            return problem.solution(at, cho_solve(factor, np.eye(len(at))))
        for halving in range(_HALVINGS):
            tried = at - step / 2**halving
            found = problem.objective(tried)
            if found <= value - decrement / 2**halving / 4:
                break
        else:
            break
        at, value = tried, found
    raise ModelError(
        f"{len(votes)} comparisons of {differences.shape[1]} features have no maximum of "
        f"likelihood that is found with a penalty of {penalty:g}; give a larger one"
    )


def _log_probabilities(utility: Doubles, log_nu: Doubles) -> Doubles:
    from scipy.special import log_softmax

    logits = np.stack([utility / 2, log_nu, -utility / 2], axis=1)
    return np.asarray(log_softmax(logits, axis=1))


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parameters by what they are; annotators' as they apply to each row."""

    weights: Doubles
    log_nu: float
    log_sensitivity: Doubles
    log_nu_offsets: Doubles


class _Problem:
    """The penalised likelihood as a function of one vector of parameters."""

    def __init__(
        self, differences: Doubles, votes: Doubles, penalty: float, annotators: Numbers | None
    ) -> None:
        self.differences = differences
        self.votes = votes
        self.total = votes.sum(axis=1)
        self.penalty = penalty
        self.ties = bool(votes[:, 1].any())
        self.annotators = annotators
        n_annotators = 0 if annotators is None else int(annotators.max()) + 1
        self.own = np.eye(n_annotators)[annotators] if n_annotators else np.empty((len(votes), 0))
        # Where the weights, log_nu, sensitivities and offsets end in the vector.
        sizes = [differences.shape[1], int(self.ties), n_annotators, n_annotators * self.ties]
        self.ends = np.cumsum(sizes)
        self.precision = self._precision()

    def _precision(self) -> Doubles:
        """Return the precision of the priors on all parameters, penalty included."""
        diagonal = np.zeros(self.ends[-1])
        diagonal[: self.ends[0]] = self.penalty
        diagonal[self.ends[1] : self.ends[2]] = SENSITIVITY_PRECISION
        diagonal[self.ends[2] :] = TIE_PRECISION
        prior = np.diag(diagonal)
        own = slice(self.ends[1], self.ends[2])
        n_annotators = self.ends[2] - self.ends[1]
        prior[own, own] += _MEAN_PRECISION / max(n_annotators, 1) ** 2
        return prior

    def start(self, given: Davidson | None) -> Doubles:
        at = np.zeros(self.ends[-1])
        if given is not None:
            at[: self.ends[0]], at[self.ends[0] : self.ends[1]] = given.weights, given.log_nu
        elif self.ties:
            share = self.votes.sum(axis=0)
            at[self.ends[0]] = np.log(2 * share[1] / (share[0] + share[2]))
        return at

    def parts(self, at: Doubles) -> _Parts:
        weights, log_nu, sensitivity, offsets = np.split(at, self.ends[:-1])
        return _Parts(weights, float(log_nu[0]) if self.ties else -np.inf, sensitivity, offsets)

    def solution(self, at: Doubles, covariance: Doubles) -> Davidson:
        found = self.parts(at)
        return Davidson(
            found.weights, found.log_nu, covariance, found.log_sensitivity, found.log_nu_offsets
        )

    def objective(self, at: Doubles) -> float:
        found = self.parts(at)
        logs = _log_probabilities(*self._predictors(found)[:2])
        return float(at @ self.precision @ at) / 2 - log_likelihood(self.votes, logs)

    def _predictors(self, found: _Parts) -> tuple[Doubles, Doubles, Doubles]:
        """Return each row's difference of utilities, its log(nu), and its sensitivity."""
        sensitivity = np.exp(self.own @ found.log_sensitivity)
        log_nu = np.full(len(self.votes), found.log_nu)
        if self.ties:
            log_nu += self.own @ found.log_nu_offsets
        return self.differences @ found.weights * sensitivity, log_nu, sensitivity

    def derivatives(self, at: Doubles) -> tuple[Doubles, Doubles]:
        """Return the gradient of the objective and the information that is expected of it."""
        found = self.parts(at)
        utility, log_nu, sensitivity = self._predictors(found)
        chances = np.exp(_log_probabilities(utility, log_nu))
        lead = chances[:, 0] - chances[:, 2]
        # Of each row, by its difference of utilities and by its log(nu): slopes and information.
        slope = (self.total * lead - (self.votes[:, 0] - self.votes[:, 2])) / 2
        bend = self.total * (chances[:, 0] + chances[:, 2] - lead**2) / 4
        tie_slope = self.total * chances[:, 1] - self.votes[:, 1]
        tie_bend = self.total * chances[:, 1] * (1 - chances[:, 1])
        mixed = -self.total * chances[:, 1] * lead / 2
        by_utility = [self.differences * sensitivity[:, None], self.own * utility[:, None]]
        by_tie = [np.ones((len(utility), 1)), self.own] if self.ties else []
        blocks = [by_utility[0], *by_tie[:1], by_utility[1], *by_tie[1:]]
        of_tie = [False, *[True] * len(by_tie[:1]), False, *[True] * len(by_tie[1:])]
        gradient = [b.T @ (tie_slope if t else slope) for b, t in zip(blocks, of_tie, strict=True)]
        rows = []
        for one, tie in zip(blocks, of_tie, strict=True):
            kinds = [
                (tie_bend if other else mixed) if tie else (mixed if other else bend)
                for other in of_tie
            ]
            rows.append([one.T @ (two * k[:, None]) for two, k in zip(blocks, kinds, strict=True)])
        return np.concatenate(gradient) + self.precision @ at, np.block(rows) + self.precision


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
    """Compared pairs of each dimension whose tracks have an embedding."""

    compared: Mapping[str, ComparedPairs]
    without_embedding: Mapping[str, float]
    """Votes of each dimension on pairs of which a track has none: left out."""


def collect(
    judgements: PairwiseJudgements,
    ids: Sequence[str],
    *,
    dimensions: Iterable[str] = COLUMNS,
    by_annotator: bool = False,
) -> Collected:
    """Return judgements as arrays.

    A pair's triplet is the unit of its clips; where clips have none, each pair is its own.

    Parameters
    ----------
    ids
        Of the features' rows. Comparisons of other clips are left out and counted.
    dimensions
        Those to collect, e.g. all of ``judgements.comparisons``.
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
    for name in dimensions:
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


def check_compared(features: ArrayLike, comparisons: Mapping[str, ComparedPairs]) -> Doubles:
    """Return the features of comparisons that can be learned from.

    Raises
    ------
    ModelError
        If there is no dimension, one has no comparison or no pair of a higher track, or a track
        has no row of features.
    """
    rows = check_features(features)
    if not comparisons:
        raise ModelError("comparisons are of nothing, expected of one dimension or more")
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
    return rows
