"""Why a run ends before its last step: SIGTERM, a loss that is not finite, collapsed embeddings.

Schedulers send SIGTERM before they take a machine away.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

import torch
from torch import Tensor

from earmark.models.base import ModelError
from earmark.models.muscall.losses import Rows, unit

COLLAPSED_SPREAD = 1e-5
"""Below it all embeddings of a batch are one vector, but for rounding (that of bf16: some 1e-6).
Models that learn were seen to fall to 3e-4 at their start."""
COLLAPSED_STEPS = 100
"""For how many steps in a row, before a run is stopped."""


class Stopped(Exception):  # noqa: N818 - not an error: the run was asked to stop, and saved
    """SIGTERM arrived; the message names the checkpoint that ``--resume`` goes on from."""


class NotFiniteError(ModelError):
    """The loss is NaN or infinite; the message names the batch's clips."""


class CollapsedError(ModelError):
    """All clips, or all captions, have had one embedding for :data:`COLLAPSED_STEPS` steps."""


class CollapseWatch:
    """Counts the steps in a row whose embeddings do not differ."""

    def __init__(self) -> None:
        self._steps = dict.fromkeys(("audio", "text"), 0)

    def after_step(self, spreads: Mapping[str, float]) -> str | None:
        """Return what has just collapsed as a sentence, or None.

        ``spreads`` are those of ``audio`` and ``text`` (:func:`spread`).
        """
        for side in self._steps:
            same = spreads[side] < COLLAPSED_SPREAD
            self._steps[side] = self._steps[side] + 1 if same else 0
            if self._steps[side] == COLLAPSED_STEPS:
                of = {"audio": "clips", "text": "captions"}[side]
                return (
                    f"for {COLLAPSED_STEPS} steps all {of} of a batch have had one embedding "
                    f"(spread below {COLLAPSED_SPREAD:g}), so that the loss is at chance and stays "
                    f"there"
                )
        return None


@torch.no_grad()
def spread(embeddings: Tensor) -> Tensor:
    """Return the variance of a batch's unit vectors around their mean, a scalar in [0, 1].

    >>> spread(torch.tensor([[3.0, 0.0], [0.0, 1.0]])), spread(torch.ones(5, 2))
    (tensor(0.5000), tensor(0.))
    """
    vectors = unit(Rows.alone(embeddings)).own
    return (vectors - vectors.mean(dim=0)).square().sum(dim=1).mean()


@contextmanager
def termination() -> Iterator[threading.Event]:
    """Note the first SIGTERM instead of dying by it; the second one kills as usual."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked  # only the main thread receives signals
        return
    before = signal.getsignal(signal.SIGTERM)

    def note(number: int, frame: FrameType | None) -> None:
        asked.set()
        signal.signal(signal.SIGTERM, before)

    signal.signal(signal.SIGTERM, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)
