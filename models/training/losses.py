"""Each process's share of a loss whose negatives are the whole batch.

Conventions
-----------
The batch of N pairs lies on several processes, n pairs on each. A process holds its own rows of
every matrix (``own``) and has gathered everybody's (``everyone``), its own at
``first:first + n``. A *local* loss is the mean over the process's own rows; the mean of the local
losses over processes is the loss of the whole batch, and so are their gradients if gathering
passes them back [1]_. With one process ``own`` and ``everyone`` are the same.

Nothing here is a new loss: :mod:`earmark.models.muscall.losses` and
:mod:`earmark.models.dcase.losses` define them, on one process. What differs is the memory, n times
N and not N times N on every process, and ``same``: pairs that are no mismatch are left out of the
denominators.

References
----------
.. [1] G. Ilharco et al., "OpenCLIP", 2021: ``local_loss`` with ``gather_with_grad``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from earmark.models.muscall.config import Combination


@dataclass(frozen=True, slots=True)
class Rows:
    """One side of a batch: this process's rows, and those of all processes in order."""

    own: Tensor
    """Shape ``(n, dimension)``."""
    everyone: Tensor
    """Shape ``(n_all, dimension)``."""
    first: int
    """Where the own rows stand among everyone's."""

    @property
    def places(self) -> Tensor:
        """The index of each own row among everyone's, shape ``(n,)``."""
        return torch.arange(self.first, self.first + len(self.own), device=self.own.device)


def unit(rows: Rows) -> Rows:
    """Return the rows at unit L2 norm, in single precision or better."""
    own, everyone = (F.normalize(_widened(part), dim=1) for part in (rows.own, rows.everyone))
    return Rows(own, everyone, rows.first)


def same_group(groups: Rows) -> Tensor:
    """Return the mask ``(n, n_all)`` of *other* pairs that belong to the own pair's group.

    ``groups`` holds whole numbers of shape ``(n,)`` and ``(n_all,)``: equal for pairs that are no
    mismatch of each other.
    """
    equal = groups.own[:, None] == groups.everyone[None, :]
    equal[torch.arange(len(groups.own), device=equal.device), groups.places] = False
    return equal


def local_info_nce(
    audio: Rows,
    text: Rows,
    *,
    scale: Tensor,
    combination: Combination,
    same: Tensor | None = None,
    weights: Tensor | None = None,
) -> Tensor:
    """Return InfoNCE of the own pairs (MusCALL eqs. 1 and 2, eq. 4 with weights).

    Parameters
    ----------
    audio, text
        Of unit norm.
    scale
        What similarities are multiplied with: one over the temperature.
    combination
        ``"sum"`` or ``"mean"`` of the two directions.
    same
        Mask ``(n, n_all)`` of other pairs that are no mismatch; they leave the denominators.
    weights
        Of the own pairs, shape ``(n,)``; of mean 1 over *all* pairs.
    """
    to_text = scale * (audio.own @ text.everyone.T)
    to_audio = scale * (text.own @ audio.everyone.T)
    if same is not None:
        to_text = to_text.masked_fill(same, -torch.inf)
        to_audio = to_audio.masked_fill(same, -torch.inf)
    both = F.cross_entropy(to_text, audio.places, reduction="none") + F.cross_entropy(
        to_audio, text.places, reduction="none"
    )
    if weights is not None:
        both = weights * both
    return both.mean() if combination == "sum" else both.mean() / 2


def local_nt_xent(views: Rows, other_views: Rows, *, temperature: float) -> Tensor:
    """Return SimCLR's NT-Xent of the own clips' views, both of unit norm."""
    n_all = len(views.everyone)
    candidates = torch.cat([views.everyone, other_views.everyone])
    terms = []
    for anchors, itself, partner in (
        (views, views.places, n_all + views.places),
        (other_views, n_all + views.places, views.places),
    ):
        logits = anchors.own @ candidates.T / temperature
        rows = torch.arange(len(logits), device=logits.device)
        hidden = torch.zeros_like(logits, dtype=torch.bool)
        hidden[rows, itself] = True
        terms.append(F.cross_entropy(logits.masked_fill(hidden, -torch.inf), partner))
    return torch.stack(terms).mean()


@torch.no_grad()
def spread(embeddings: Tensor) -> Tensor:
    """Return the variance of a batch's unit vectors around their mean, a scalar in [0, 1].

    >>> spread(torch.tensor([[3.0, 0.0], [0.0, 1.0]])), spread(torch.ones(5, 2))
    (tensor(0.5000), tensor(0.))
    """
    unit = F.normalize(_widened(embeddings), dim=1)
    return (unit - unit.mean(dim=0)).square().sum(dim=1).mean()


def _widened(values: Tensor) -> Tensor:
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
