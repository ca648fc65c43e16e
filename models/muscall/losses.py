"""The losses that MusCALL learns from: InfoNCE, content-aware weights, NT-Xent (sections 3.2, 3.3).

Conventions
-----------
The batch of N pairs lies on several processes, n pairs on each. A process holds its own rows of
every matrix (``own``) and has gathered everyone's (``everyone``), its own at ``first:first + n``.
A loss is the mean over the process's own rows; the mean of these losses over processes is the loss
of the whole batch, and so are their gradients if gathering passes them back [3]_. With one process
``own`` and ``everyone`` are the same (:meth:`Rows.alone`). Memory is n times N and not N times N
on every process.

``similarity`` has shape ``(N, N)``: the cosine similarity of caption *i* and caption *j*, from a
sentence encoder; no gradient flows into it.

Paper and released code
-----------------------
* The paper sums the two directions of InfoNCE (eq. 2), the released code takes their mean: the
  ``combination``. Gradients differ by the factor 2 alone.
* The paper's weight is ``exp(mean_j sim(i, j) / kappa)`` with kappa 0.005 (eq. 3). A mean
  similarity of 0.06 already overflows half precision there, one of 0.45 single precision. So the
  weights are computed in log space and scaled to mean 1: eqs. 3 and 4 times a constant of the
  batch, which leaves the relation of the items' weights as written and the learning rate its
  meaning.
* The released code leaves the caption itself out, divides by the sum over the batch before the
  temperature (k = 0.01), and divides the loss by the sum of weights: also weights of mean 1.

References
----------
.. [1] I. Manco et al., "Contrastive Audio-Language Learning for Music", ISMIR 2022.
.. [2] T. Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations",
       ICML 2020, eq. 1.
.. [3] G. Ilharco et al., "OpenCLIP", 2021: ``local_loss`` with ``gather_with_grad``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from earmark.models.muscall.config import Combination, LossConfig


@dataclass(frozen=True, slots=True)
class Rows:
    """One side of a batch: this process's rows, and those of all processes in order."""

    own: Tensor
    """Shape ``(n, dimension)``."""
    everyone: Tensor
    """Shape ``(n_all, dimension)``."""
    first: int
    """Where the own rows stand among everyone's."""

    @classmethod
    def alone(cls, rows: Tensor) -> Rows:
        """Return the rows of a single process."""
        return cls(rows, rows, 0)

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


def info_nce(
    audio: Rows,
    text: Rows,
    *,
    scale: Tensor | float,
    combination: Combination = "sum",
    same: Tensor | None = None,
    weights: Tensor | None = None,
) -> Tensor:
    """Return InfoNCE of the own pairs: eqs. 1 and 2, or eq. 4 with weights.

    Parameters
    ----------
    audio, text
        Of unit norm.
    scale
        What similarities are multiplied with: one over the temperature.
    combination
        ``"sum"`` of the two directions in the paper, ``"mean"`` in the released code.
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


def pair_weights(similarity: Tensor, config: LossConfig) -> Tensor | None:
    """Return the weights of mean 1 that a config gives to pairs, shape ``(n,)``; None for none."""
    if config.weighting is None:
        return None
    if config.weighting == "paper":
        return paper_weights(similarity, kappa=config.kappa)
    return released_weights(similarity, k=config.kappa)


@torch.no_grad()
def paper_weights(similarity: Tensor, *, kappa: float = 0.005) -> Tensor:
    """Return eq. 3's weights scaled to mean 1, shape ``(n,)``, in single precision or better.

    >>> paper_weights(torch.tensor([[1.0, 0.5], [0.5, 1.0]]))
    tensor([1., 1.])
    """
    similarity = _validate_square("similarity", similarity, at_least=1)
    return _mean_one_exp(similarity.mean(dim=1) / kappa)


@torch.no_grad()
def released_weights(similarity: Tensor, *, k: float = 0.01) -> Tensor:
    """Return the released code's weights scaled to mean 1, shape ``(n,)``."""
    similarity = _validate_square("similarity", similarity, at_least=2)
    to_others = (similarity.sum(dim=1) - similarity.diagonal()) / len(similarity)
    total = to_others.sum()
    if total == 0:
        raise ValueError(
            f"the similarities between the {len(similarity)} captions sum to 0, and the released "
            f"weighting divides by that sum; use the paper's weighting"
        )
    return _mean_one_exp(to_others / total / k)


def nt_xent(views: Rows, other_views: Rows, *, temperature: float = 0.5) -> Tensor:
    """Return SimCLR's NT-Xent of the own clips' views, both of unit norm [2]_.

    Each of the 2N vectors looks for its other view among the 2N - 1 vectors that are not itself.
    """
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


def with_self_supervision(contrastive: Tensor, self_supervised: Tensor, *, weight: float) -> Tensor:
    """Return ``weight * self_supervised + (1 - weight) * contrastive`` (eq. 5)."""
    return weight * self_supervised + (1 - weight) * contrastive


def _mean_one_exp(log_weights: Tensor) -> Tensor:
    return len(log_weights) * torch.softmax(log_weights, dim=0)


def _validate_square(name: str, matrix: Tensor, *, at_least: int) -> Tensor:
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) < at_least:
        raise ValueError(
            f"{name} has shape {tuple(matrix.shape)}, expected a square matrix of {at_least} "
            f"items or more"
        )
    return _widened(matrix)


def _widened(values: Tensor) -> Tensor:
    # A mean over a small kappa, and a sum of exponentials, need more digits than half has.
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
