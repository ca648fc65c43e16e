"""The losses that MusCALL learns from: InfoNCE, content-aware weights, NT-Xent (sections 3.2, 3.3).

Conventions
-----------
``logits`` has shape ``(n, n)``: row *i* holds audio clip *i* against every text, divided by the
temperature; the pairs are on the diagonal. ``similarity`` has shape ``(n, n)``: the cosine
similarity of caption *i* and caption *j*, from a sentence encoder; no gradient flows into it.

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
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from earmark.models.muscall.config import Combination, LossConfig


def info_nce_of_items(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return each pair's audio-to-text and text-to-audio term of eq. 1, each of shape ``(n,)``."""
    logits = _validate_square("logits", logits, at_least=1)
    pairs = torch.arange(len(logits), device=logits.device)
    audio_to_text = F.cross_entropy(logits, pairs, reduction="none")
    text_to_audio = F.cross_entropy(logits.T, pairs, reduction="none")
    return audio_to_text, text_to_audio


def info_nce(
    logits: Tensor, *, combination: Combination = "sum", weights: Tensor | None = None
) -> Tensor:
    """Return InfoNCE over both directions: eqs. 1 and 2, or eq. 4 with ``weights`` of mean 1.

    ``combination`` is ``"sum"`` in the paper and ``"mean"`` in the released code.

    Raises
    ------
    ValueError
        If ``logits`` is not a square matrix, ``weights`` is not of shape ``(n,)``, or
        ``combination`` is another word.
    """
    audio_to_text, text_to_audio = info_nce_of_items(logits)
    both = audio_to_text + text_to_audio
    if weights is not None:
        if weights.shape != both.shape:
            raise ValueError(
                f"weights have shape {tuple(weights.shape)}, expected one a pair: "
                f"{tuple(both.shape)}"
            )
        both = weights * both
    if combination == "sum":
        return both.mean()
    if combination == "mean":
        return both.mean() / 2
    raise ValueError(f"combination is {combination!r}, expected 'sum' or 'mean'")


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
    """Return the released code's weights scaled to mean 1, shape ``(n,)``.

    Raises
    ------
    ValueError
        If there is but one caption, or the similarities to the others sum to 0: the released code
        divides by that sum.
    """
    similarity = _validate_square("similarity", similarity, at_least=2)
    to_others = (similarity.sum(dim=1) - similarity.diagonal()) / len(similarity)
    total = to_others.sum()
    if total == 0:
        raise ValueError(
            f"the similarities between the {len(similarity)} captions sum to 0, and the released "
            f"weighting divides by that sum; use the paper's weighting"
        )
    return _mean_one_exp(to_others / total / k)


def contrastive_loss(
    logits: Tensor, config: LossConfig, *, similarity: Tensor | None = None
) -> Tensor:
    """Return the loss that a config asks for; ``similarity`` is needed if it weights.

    Raises
    ------
    ValueError
        If the config weights by content and ``similarity`` is missing or of another size.
    """
    if config.weighting is None:
        return info_nce(logits, combination=config.combination)
    if similarity is None:
        raise ValueError(
            f"loss weighting {config.weighting!r} needs the captions' similarity matrix; pass "
            f"similarity, or a config with weighting None"
        )
    if config.weighting == "paper":
        weights = paper_weights(similarity, kappa=config.kappa)
    else:
        weights = released_weights(similarity, k=config.kappa)
    return info_nce(logits, combination=config.combination, weights=weights)


def nt_xent(views: Tensor, other_views: Tensor, *, temperature: float = 0.5) -> Tensor:
    """Return SimCLR's NT-Xent of two views of each clip, both of shape ``(n, dimension)`` [2]_.

    Each of the 2n vectors looks for its other view among the 2n - 1 vectors that are not itself.
    The vectors need not be of unit norm.

    Raises
    ------
    ValueError
        If the two differ in shape.
    """
    if views.ndim != 2 or views.shape != other_views.shape:
        raise ValueError(
            f"both views must be of one shape (n, dimension), got {tuple(views.shape)} and "
            f"{tuple(other_views.shape)}"
        )
    n = len(views)
    embeddings = F.normalize(_widened(torch.cat([views, other_views])), dim=1)
    logits = embeddings @ embeddings.T / temperature
    itself = torch.eye(2 * n, dtype=torch.bool, device=logits.device)
    partners = torch.arange(2 * n, device=logits.device).roll(n)
    return F.cross_entropy(logits.masked_fill(itself, -torch.inf), partners)


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
