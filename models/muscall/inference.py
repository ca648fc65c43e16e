"""A faster model that computes the same function, for when nothing is learned any more."""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from earmark.models.muscall.audio import AttentionPool, AudioEncoder, Bottleneck


class MeanQueryPool(nn.Module):
    """Attention pooling with keys and values projected once a head, not once a place.

    With one query, ``q . (K x + b)`` is ``(K^T q) . x`` and a constant that softmax ignores, and
    the mean of ``V x`` is ``V`` of the mean: two products of the map's size less.
    """

    def __init__(self, pool: AttentionPool) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """Return shape ``(n, features)`` from ``(n, channels, n_bands, n_steps)``."""
        pool = self.pool
        tokens = pool.tokens(x)
        channels = tokens.shape[2]
        of_head = (pool.heads, channels // pool.heads)
        queries = pool.q_proj(tokens[:, 0]).view(-1, *of_head) * of_head[1] ** -0.5
        key_weights = pool.k_proj.weight.view(*of_head, channels)
        value_weights = pool.v_proj.weight.view(*of_head, channels)
        asked = torch.einsum("nhd,hdc->nhc", queries, key_weights)
        attended = torch.softmax(asked @ tokens.transpose(1, 2), dim=2) @ tokens
        values = torch.einsum("nhc,hdc->nhd", attended, value_weights).flatten(1)
        pooled: Tensor = pool.c_proj(values + pool.v_proj.bias)
        return pooled


def fold(encoder: AudioEncoder) -> AudioEncoder:
    """Return a frozen copy with each BatchNorm inside its convolution, channels last in memory.

    Raises
    ------
    ValueError
        If the encoder is in training mode: BatchNorm then has no fixed statistics.
    """
    if encoder.training:
        raise ValueError("BatchNorm folds in evaluation mode only; call .eval() first")
    folded = copy.deepcopy(encoder)
    folded.requires_grad_(False)
    for module in list(folded.modules()):
        if isinstance(module, AudioEncoder | Bottleneck):
            for number in (1, 2, 3):
                convolution, norm = getattr(module, f"conv{number}"), getattr(module, f"bn{number}")
                setattr(module, f"conv{number}", fuse_conv_bn_eval(convolution, norm))
                setattr(module, f"bn{number}", nn.Identity())
        if isinstance(module, Bottleneck) and module.downsample is not None:
            convolution, norm = cast(tuple[nn.Conv2d, nn.BatchNorm2d], tuple(module.downsample))
            module.downsample = nn.Sequential(fuse_conv_bn_eval(convolution, norm))
    if isinstance(folded.pool, AttentionPool):
        folded.pool = MeanQueryPool(folded.pool)
    for parameter in folded.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return folded
