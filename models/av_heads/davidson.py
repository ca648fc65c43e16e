"""Bradley and Terry's model of paired comparisons with Davidson's ties, of linear utilities.

Of two tracks with the utilities ``u`` and ``v``, the first is higher with a probability in
proportion to ``exp(u)``, the second to ``exp(v)``, and both are equal to ``nu * exp((u + v) / 2)``
[2]_; without ties (``nu`` = 0) this is Bradley and Terry's model [1]_. Utilities are linear in the
tracks' features, so that their difference is linear in the differences of features, and the log of
the likelihood is concave in the weights and ``log(nu)``: Newton's method finds its one maximum.

References
----------
.. [1] R. A. Bradley, M. E. Terry, "Rank analysis of incomplete block designs I: the method of
       paired comparisons", Biometrika 39, 1952.
.. [2] R. R. Davidson, "On extending the Bradley-Terry model to accommodate ties in paired
       comparison experiments", Journal of the American Statistical Association 65(329), 1970.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import log_softmax

from earmark.models.av_heads.head import Doubles
from earmark.models.base import ModelError

MOST_STEPS = 100
_CONVERGED = 1e-12
_HALVINGS = 40


@dataclass(frozen=True, slots=True)
class Davidson:
    """A fitted model of comparisons."""

    weights: Doubles
    """Of the differences of features, shape ``(dimension,)``."""
    log_nu: float
    """Of ties: ``-inf`` where none was seen."""
    covariance: Doubles
    """Inverse of the negative Hessian at the maximum, of the weights and, last, ``log_nu`` where
    ties were seen; the penalty is part of it."""

    def log_probabilities(self, differences: Doubles) -> Doubles:
        """Return log probabilities of first higher, equal, second higher: shape ``(n, 3)``."""
        return _log_probabilities(differences @ self.weights, self.log_nu)


def log_likelihood(votes: Doubles, log_probabilities: Doubles) -> float:
    """Return the log likelihood of votes; what nobody voted for counts nothing, also at -inf."""
    return float((votes * np.where(votes > 0, log_probabilities, 0)).sum())


def fit_davidson(
    differences: Doubles, votes: Doubles, *, penalty: float, start: Davidson | None = None
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
    start
        A fit to the same votes with another penalty, from which the maximum is found sooner.

    Raises
    ------
    ModelError
        If the penalty is not above 0, no vote is decided, or the maximum is not found.
    """
    if not 0 < penalty < np.inf:
        raise ModelError(f"penalty is {penalty}, expected a number above 0")
    if not votes[:, [0, 2]].any():
        raise ModelError(f"{len(votes)} comparisons hold no track higher than another")
    ties = bool(votes[:, 1].any())
    d = differences.shape[1]
    at = np.zeros(d + ties)
    if start is not None:
        at[:d], at[d:] = start.weights, start.log_nu if ties else []
    elif ties:
        share = votes.sum(axis=0)
        at[d] = np.log(2 * share[1] / (share[0] + share[2]))
    value = _objective(differences, votes, at, penalty, ties)
    for _ in range(MOST_STEPS):
        gradient, curvature = _derivatives(differences, votes, at, penalty, ties)
        try:
            factor = cho_factor(curvature, lower=True)
        except np.linalg.LinAlgError:
            break
        step = cho_solve(factor, gradient)
        decrement = float(gradient @ step)
        if decrement <= _CONVERGED * (1 + abs(value)):
            at = at - step  # the last digits
            covariance = cho_solve(factor, np.eye(len(at)))
            return Davidson(at[:d], float(at[d]) if ties else -np.inf, covariance)
        for halving in range(_HALVINGS):
            tried = at - step / 2**halving
            found = _objective(differences, votes, tried, penalty, ties)
            if found <= value - decrement / 2**halving / 4:
                break
        else:
            break
        at, value = tried, found
    raise ModelError(
        f"{len(votes)} comparisons of {d} features have no maximum of likelihood that is found "
        f"with a penalty of {penalty:g}; give a larger one"
    )


def _log_probabilities(utility: Doubles, log_nu: float) -> Doubles:
    half = utility / 2
    return np.asarray(
        log_softmax(np.stack([half, np.full_like(half, log_nu), -half], axis=1), axis=1)
    )


def _objective(
    differences: Doubles, votes: Doubles, at: Doubles, penalty: float, ties: bool
) -> float:
    weights, log_nu = _parts(differences, at, ties)
    logs = _log_probabilities(differences @ weights, log_nu)
    return penalty / 2 * float(weights @ weights) - log_likelihood(votes, logs)


def _derivatives(
    differences: Doubles, votes: Doubles, at: Doubles, penalty: float, ties: bool
) -> tuple[Doubles, Doubles]:
    """Return gradient and Hessian of the objective."""
    weights, log_nu = _parts(differences, at, ties)
    chances = np.exp(_log_probabilities(differences @ weights, log_nu))
    total = votes.sum(axis=1)
    # By half of the utilities' difference: score and information are those of a softmax.
    lead = chances[:, 0] - chances[:, 2]
    slope = (total * lead - (votes[:, 0] - votes[:, 2])) / 2
    bend = total * (chances[:, 0] + chances[:, 2] - lead**2) / 4
    gradient = differences.T @ slope + penalty * weights
    curvature = differences.T @ (differences * bend[:, None])
    curvature[np.diag_indices_from(curvature)] += penalty
    if not ties:
        return gradient, curvature
    equal = chances[:, 1]
    mixed = differences.T @ (-total * equal * lead / 2)
    own = float((total * equal * (1 - equal)).sum())
    gradient = np.append(gradient, (total * equal - votes[:, 1]).sum())
    return gradient, np.block([[curvature, mixed[:, None]], [mixed[None], np.array([[own]])]])


def _parts(differences: Doubles, at: Doubles, ties: bool) -> tuple[Doubles, float]:
    d = differences.shape[1]
    return at[:d], float(at[d]) if ties else -np.inf
