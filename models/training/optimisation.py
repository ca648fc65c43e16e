"""Optimisers, learning-rate schedules, and gradients of batches that do not fit into memory.

The learning rate of step *s* (from 0) of a run of *S* steps:

* ``cosine``: ``lr / 2 * (1 + cos(pi * (s - w) / (h * (S - w))))`` behind the warm-up of *w* steps,
  in which it is ``lr * (s + 1) / w``; *h* is ``half_period``. The cosine goes on behind its first
  zero where *h* is below 1, as PyTorch's ``CosineAnnealingLR`` does.
* ``plateau``: ``lr``, times ``factor`` each time the validation loss has not fallen by
  ``threshold`` for more than ``patience`` validations.

Accumulation
------------
A contrastive loss is of the whole batch, so that the mean of micro-batches' losses is another
loss: each pair would meet fewer negatives. :func:`backward` is exact instead [1]_:

1. every micro-batch is encoded without a graph, and the state of the random numbers kept;
2. the loss of all features gives the gradient of each feature;
3. every micro-batch is encoded again, with its random numbers of before (so that dropout drops the
   same units), and its features' gradients go back through the graph.

Memory is that of one micro-batch and all features; the price is one more forward pass. A batch of
one micro-batch is encoded once.

What is *not* as in one large batch is BatchNorm: its statistics are those of a micro-batch, as
they are those of a process where there are several. Its running statistics move once per
micro-batch.

References
----------
.. [1] L. Gao, Y. Zhang, J. Han, J. Callan, "Scaling Deep Contrastive Learning Batch Size under
       Memory Limited Setup", RepL4NLP 2021 (GradCache).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
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


Features = dict[str, Tensor]
"""What a module returns of a micro-batch: named rows ``(n, dimension)``, and scalars of the model.

A scalar, such as a learned temperature, is the same for every micro-batch: the first is taken.
"""


def backward(
    module: nn.Module,
    micro_batches: Sequence[Mapping[str, Tensor]],
    loss_of: Callable[[Features], Tensor],
    *,
    fabric: Fabric,
    check: Callable[[Tensor], None] | None = None,
) -> Tensor:
    """Add the gradients of ``loss_of(features of the whole batch)`` to the module's parameters.

    Parameters
    ----------
    module
        From :meth:`Fabric.setup`, or a plain one on a single process; maps a micro-batch to
        :data:`Features`.
    loss_of
        Maps the features of all micro-batches, concatenated, to a scalar.
    check
        Called with the loss before anything goes backwards; may raise.

    Returns
    -------
    loss
        Detached.
    """
    devices = _cuda_devices(module)
    at_once = len(micro_batches) == 1
    found: list[Features] = []
    states = []
    with torch.set_grad_enabled(at_once), running_statistics(module, moved=at_once):
        for inputs in micro_batches:
            states.append(_RandomState(devices))
            found.append(module(inputs))
    leaves = _leaves(found)
    with torch.enable_grad():
        loss = loss_of(leaves)
    if check is not None:
        check(loss.detach())
    # Not scaled, even in half precision: features and loss are single precision. The scaler acts
    # below, where gradients enter the network.
    loss.backward()  # type: ignore[no-untyped-call]
    starts = _starts(found)
    for number, inputs in enumerate(micro_batches):
        last = number == len(micro_batches) - 1
        with _unsynchronised(fabric, module, wanted=not last):
            if at_once:
                features = found[0]
            else:
                with states[number].restored():
                    features = module(inputs)
            _send_back(fabric, features, leaves, start=starts[number], scalars=last)
    return loss.detach()


def _leaves(found: Sequence[Features]) -> Features:
    """Return all micro-batches' features in one, cut from their graphs; those learned need grad."""
    joined = {
        name: first if first.ndim == 0 else torch.cat([features[name] for features in found])
        for name, first in found[0].items()
    }
    return {
        name: value.detach().requires_grad_(value.is_floating_point())
        for name, value in joined.items()
    }


def _starts(found: Sequence[Features]) -> list[int]:
    starts = [0]
    for features in found:
        starts.append(starts[-1] + next(len(rows) for rows in features.values() if rows.ndim))
    return starts[:-1]


def _send_back(
    fabric: Fabric, features: Features, leaves: Features, *, start: int, scalars: bool
) -> None:
    """Let the gradients of a micro-batch's features into the network."""
    terms = []
    for name, value in features.items():
        gradient = leaves[name].grad
        if gradient is None or not value.requires_grad:
            continue
        if value.ndim == 0:
            # A scalar's gradient is of the whole batch: it goes back once.
            if scalars:
                terms.append(value * gradient)
        else:
            terms.append((value * gradient[start : start + len(value)]).sum())
    fabric.backward(torch.stack(terms).sum())


@contextmanager
def _unsynchronised(fabric: Fabric, module: nn.Module, *, wanted: bool) -> Iterator[None]:
    """Leave the gradients of this process alone until the last micro-batch has added to them."""
    if wanted and fabric.world_size > 1 and isinstance(module, _FabricModule):
        with fabric.no_backward_sync(module):
            yield
    else:
        yield


@contextmanager
def running_statistics(module: nn.Module, *, moved: bool) -> Iterator[None]:
    """Keep BatchNorm's running statistics from moving in a pass that will be repeated."""
    norms = [part for part in module.modules() if isinstance(part, _BatchNorm)]
    before = [norm.track_running_stats for norm in norms]
    try:
        for norm, tracked in zip(norms, before, strict=True):
            norm.track_running_stats = tracked and moved
        yield
    finally:
        for norm, tracked in zip(norms, before, strict=True):
            norm.track_running_stats = tracked


def _cuda_devices(module: nn.Module) -> list[int]:
    devices = {parameter.device for parameter in module.parameters()}
    return sorted(device.index or 0 for device in devices if device.type == "cuda")


class _RandomState:
    """Where torch's random numbers stand, on the CPU and on the devices."""

    def __init__(self, devices: Sequence[int]) -> None:
        self._devices = list(devices)
        self._cpu = torch.get_rng_state()
        self._cuda = [torch.cuda.get_rng_state(device) for device in self._devices]

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Stand there again inside the block, and where one stood before behind it."""
        with torch.random.fork_rng(devices=self._devices):
            torch.set_rng_state(self._cpu)
            for device, state in zip(self._devices, self._cuda, strict=True):
                torch.cuda.set_rng_state(state, device)
            yield
