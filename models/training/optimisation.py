"""Optimisers and learning-rate schedules.

The learning rate of step *s* (from 0) of a run of *S* steps:

* ``cosine``: ``lr / 2 * (1 + cos(pi * (s - w) / (h * (S - w))))`` behind the warm-up of *w* steps,
  in which it is ``lr * (s + 1) / w``; *h* is ``half_period``. The cosine goes on behind its first
  zero where *h* is below 1, as PyTorch's ``CosineAnnealingLR`` does.
* ``plateau``: ``lr``, times ``factor`` each time the validation loss has not fallen by
  ``threshold`` for more than ``patience`` validations.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from earmark.models.training.config import OptimiserConfig, ScheduleConfig


def build_optimiser(
    parameters: Iterable[nn.Parameter], config: OptimiserConfig, *, fused: bool = False
) -> Optimizer:
    """Return Adam or AdamW over the parameters that learn."""
    kind = torch.optim.AdamW if config.name == "adamw" else torch.optim.Adam
    return kind(
        [parameter for parameter in parameters if parameter.requires_grad],
        lr=config.learning_rate,
        betas=config.betas,
        eps=config.eps,
        weight_decay=config.weight_decay,
        fused=fused,
    )


def cosine_factor(
    step: int, *, n_steps: int, warmup_steps: int = 0, half_period: float = 1.0
) -> float:
    """Return what a step's learning rate is multiplied with, in [0, 1].

    >>> [round(cosine_factor(step, n_steps=4), 3) for step in range(5)]
    [1.0, 0.854, 0.5, 0.146, 0.0]
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    length = half_period * max(n_steps - warmup_steps, 1)
    return (1 + math.cos(math.pi * (step - warmup_steps) / length)) / 2


_STATE = ("last_epoch", "_step_count", "_last_lr", "best", "num_bad_epochs", "cooldown_counter")


class Schedule:
    """Moves an optimiser's learning rate after each step and after each validation."""

    def __init__(self, optimiser: Optimizer, config: ScheduleConfig, *, n_steps: int) -> None:
        self._by_step: LambdaLR | None = None
        self._by_loss: ReduceLROnPlateau | None = None
        if config.name == "cosine":
            self._by_step = LambdaLR(
                optimiser,
                lambda step: cosine_factor(
                    step,
                    n_steps=n_steps,
                    warmup_steps=config.warmup_steps,
                    half_period=config.half_period,
                ),
            )
        elif config.name == "plateau":
            self._by_loss = ReduceLROnPlateau(
                optimiser,
                mode="min",
                factor=config.factor,
                patience=config.patience,
                threshold=config.threshold,
                threshold_mode="abs",
            )

    def after_step(self) -> None:
        """Count a step of the optimiser."""
        if self._by_step is not None:
            self._by_step.step()

    def after_validation(self, loss: float) -> None:
        """Take the validation's loss into account."""
        if self._by_loss is not None:
            self._by_loss.step(loss)

    def state_dict(self) -> dict[str, Any]:
        """Return plain values that :meth:`load_state_dict` goes on from."""
        inner = self._by_step or self._by_loss
        if inner is None:
            return {}
        # The lambda and what describes the config are not state.
        state = inner.state_dict()
        return {name: state[name] for name in _STATE if name in state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state_dict`; the optimiser's own state holds its learning rate."""
        inner = self._by_step or self._by_loss
        if inner is not None:
            inner.load_state_dict({**inner.state_dict(), **state})


def learning_rate(optimiser: Optimizer) -> float:
    """Return the learning rate of the next step."""
    return float(optimiser.param_groups[0]["lr"])
