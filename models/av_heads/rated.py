"""Heads that learn from ratings: ridge regression, and a perceptron with one hidden layer.

Ridge
-----
Features are standardised with the mean and deviation of the rows that are fitted on, in every inner
fold anew. ``alpha`` is scikit-learn's: the sum of squared errors plus ``alpha`` times the squared
weights, the intercept unpenalised. Each dimension has its own, that of the least mean squared error
averaged over the inner folds; of equal ones the largest. [1]_

Perceptron
----------
That of the second generation of released heads, 100 hidden units.
One hidden layer of rectified linear units and a linear output, trained by Adam on the mean squared
error of standardised ratings, the rate halved after epochs without improvement, and the epoch of
the least error on held-out groups kept. Rates, batch and decay are those of the published code for
training [2]_; the patience is that of its configuration [3]_. Where it differs: the rows are clips'
mean embeddings, not one random patch a clip and epoch, and the head is to be applied to means.

References
----------
.. [1] A. E. Hoerl, R. W. Kennard, "Ridge regression: biased estimation for nonorthogonal problems",
       Technometrics 12(1), 1970, eq. 2.1.
.. [2] https://github.com/palonso/essentia-models-classifiers
.. [3] https://github.com/xaviliz/musicnn-training
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from earmark.models.av_heads.folds import group_numbers, grouped_folds, held_out
from earmark.models.av_heads.head import (
    COLUMNS,
    Doubles,
    Fitted,
    Head,
    Hidden,
    check_rated,
    standardisation,
    within,
)
from earmark.models.base import ModelError

if TYPE_CHECKING:
    import torch
    from torch import nn

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
    chosen, warnings, error = np.full(2, grid[0]), [], float("nan")
    if len(grid) > 1:
        errors = _validated(rows, rated, grid, group_numbers(groups, len(rows)), inner_folds, seed)
        chosen = np.array(
            [max(a for a, e in zip(grid, c, strict=True) if e == c.min()) for c in errors.T]
        )
        error = float((errors.min(axis=0) / rated.var(axis=0)).mean())
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
    return Fitted(head, {"head": "ridge", "rows": len(rows), **facts}, tuple(warnings), error)


def fit_ridge_of_layers(
    features: ArrayLike, targets: ArrayLike, *, layers: Mapping[str, int], **options: Any
) -> Fitted:
    """Fit a ridge head to each of several layers and keep the best, as one that reads it alone.

    The best has the least error on the held-out rows that choose ``alpha``; of equal ones the
    first. Raises as :func:`fit_ridge`.

    Parameters
    ----------
    features
        Shape ``(n, sum of dimensions)``: the layers one after the other.
    layers
        Their names and dimensions.
    options
        Of :func:`fit_ridge`.
    """
    ends = np.cumsum(list(layers.values()))[:-1]
    parts = np.split(np.asarray(features, np.float64), ends, axis=1)
    found = {
        name: fit_ridge(part, targets, **options) for name, part in zip(layers, parts, strict=True)
    }
    best = min(found, key=lambda name: found[name].error)
    own = found[best]
    heads = {name: within(one.head, layers, name) for name, one in found.items()}
    facts = {**own.facts, "layer": best}
    return replace(own, head=heads[best], facts=facts, layers=heads)


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


_TOO_SMALL = 1e-6
"""An improvement below this share of the error is none."""


@dataclass(frozen=True, slots=True)
class MLPConfig:
    """How a perceptron is trained."""

    hidden_units: int = 100
    learning_rate: float = 1e-3
    weight_decay: float = 1e-5
    batch_size: int = 32
    most_epochs: int = 200
    halve_after: int = 5
    """Epochs without improvement, after which the rate is halved."""
    patience: int = 75
    """Epochs without improvement, after which training ends."""
    validation_share: float = 0.15
    """Of the rows, held out in whole groups to decide which epoch is kept."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if name == "weight_decay":
                expected, good = "a number of at least 0", _is_number(value) and value >= 0
            elif name in ("learning_rate", "validation_share"):
                expected, good = "a number above 0", _is_number(value) and value > 0
            else:
                expected, good = "a whole number above 0", isinstance(value, int) and value > 0
            if not good:
                raise ModelError(f"{name} is {value!r}, expected {expected}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and value < np.inf


def fit_mlp(
    features: ArrayLike,
    targets: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    seed: int,
    config: MLPConfig | None = None,
) -> Fitted:
    """Fit a perceptron to ratings; equal seeds give equal heads on one machine.

    Parameters
    ----------
    features, targets
        Shapes ``(n, dimension)`` and ``(n, 2)``: arousal, valence.
    groups
        A label a row; the rows held out to decide when to stop are whole groups.
    seed
        Of what is held out, the first weights and the order of batches.

    Raises
    ------
    ModelError
        If the ratings left to fit on are constant.
    """
    import torch

    config = config or MLPConfig()
    rows, rated = check_rated(features, targets)
    groups = group_numbers(groups, len(rows))
    fold = held_out(groups, share=config.validation_share, seed=seed)
    _, fitted = check_rated(rows[fold.train], rated[fold.train])
    mean, scale = standardisation(rows[fold.train])
    centre, spread = standardisation(fitted)
    z, y = (rows - mean) / scale, (rated - centre) / spread
    generator = torch.Generator().manual_seed(seed)
    network = new_network(rows.shape[1], config.hidden_units, generator=generator)
    train, valid = (
        tuple(map(torch.from_numpy, (z[part], y[part]))) for part in (fold.train, fold.test)
    )
    epoch, error = train_network(network, train, valid, config=config, generator=generator)
    head = _as_head(network, mean, scale, centre, spread)
    facts = {
        "head": "mlp",
        "rows": len(rows),
        "rows_held_out": len(fold.test),
        "epoch_kept": epoch,
        "validation_error": error,
        **asdict(config),
    }
    return Fitted(head, facts)


def new_network(dimension: int, hidden_units: int, *, generator: torch.Generator) -> nn.Sequential:
    """Return a perceptron in float64 with Glorot's uniform weights and biases of 0, as Keras'."""
    import torch
    from torch import nn

    network = nn.Sequential(
        nn.Linear(dimension, hidden_units), nn.ReLU(), nn.Linear(hidden_units, 2)
    )
    network.double()
    with torch.no_grad():
        for name, value in network.named_parameters():
            if name.endswith("weight"):
                nn.init.xavier_uniform_(value, generator=generator)
            else:
                value.zero_()
    return network


def train_network(
    network: nn.Sequential,
    train: tuple[torch.Tensor, ...],
    valid: tuple[torch.Tensor, ...],
    *,
    config: MLPConfig,
    generator: torch.Generator,
) -> tuple[int, float]:
    """Train in place and return the epoch that was kept, from 1, and its validation error.

    ``train`` and ``valid`` are features ``(n, dimension)`` and targets ``(n, n_outputs)``.
    """
    import torch
    from torch import nn

    optimiser = torch.optim.Adam(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    halving = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, factor=0.5, patience=config.halve_after - 1, threshold=_TOO_SMALL
    )
    best, kept, state = float("inf"), 0, copy.deepcopy(network.state_dict())
    for epoch in range(1, config.most_epochs + 1):
        order = torch.randperm(len(train[0]), generator=generator)
        for batch in torch.split(order, config.batch_size):
            optimiser.zero_grad()
            loss = nn.functional.mse_loss(network(train[0][batch]), train[1][batch])
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        with torch.no_grad():
            error = float(nn.functional.mse_loss(network(valid[0]), valid[1]))
        halving.step(error)
        if error < best * (1 - _TOO_SMALL):
            best, kept, state = error, epoch, copy.deepcopy(network.state_dict())
        elif epoch - kept >= config.patience:
            break
    network.load_state_dict(state)
    return kept, best


def _as_head(
    network: nn.Sequential, mean: Doubles, scale: Doubles, centre: Doubles, spread: Doubles
) -> Head:
    """Return the perceptron as a head on embeddings and ratings as they are."""
    weights = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    hidden = Hidden(
        weights["0.weight"].T.copy(), weights["0.bias"].copy(), weights["2.weight"].T * spread
    )
    linear = np.zeros((len(mean), 2))
    return Head(mean, scale, linear, weights["2.bias"] * spread + centre, hidden)
