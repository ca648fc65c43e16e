"""The multilayer perceptron of the second generation of released heads: 100 hidden units.

One hidden layer of rectified linear units and a linear output, trained by Adam on the mean squared
error of standardised ratings, the rate halved after epochs without improvement, and the epoch of
the least error on held-out groups kept. Rates, batch and decay are those of the published code for
training [1]_; the patience is that of its configuration [2]_. Where it differs: the rows are clips'
mean embeddings, not one random patch a clip and epoch, and the head is to be applied to means.

References
----------
.. [1] https://github.com/palonso/essentia-models-classifiers
.. [2] https://github.com/xaviliz/musicnn-training
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from earmark.models.av_heads.folds import group_numbers, held_out
from earmark.models.av_heads.head import (
    Doubles,
    Fitted,
    Head,
    Hidden,
    check_rated,
    standardisation,
)
from earmark.models.base import ModelError

if TYPE_CHECKING:
    import torch
    from torch import nn

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
