"""Bradley and Terry's model of paired comparisons with Davidson's ties, of linear utilities.

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

References
----------
.. [1] R. A. Bradley, M. E. Terry, "Rank analysis of incomplete block designs I: the method of
       paired comparisons", Biometrika 39, 1952.
.. [2] R. R. Davidson, "On extending the Bradley-Terry model to accommodate ties in paired
       comparison experiments", Journal of the American Statistical Association 65(329), 1970.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from earmark.models.av_heads.head import Doubles
from earmark.models.base import ModelError

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
    """Of each annotator; empty where they were not told apart."""
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
        A number from 0 for whose votes each row has, shape ``(n,)``; None: they are not told apart.
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
