"""The text encoder: a causal Transformer over CLIP's tokens, 4 layers deep (section 3.4)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from earmark.models.muscall.config import TextConfig


class CausalSelfAttention(nn.Module):
    """Multi-head attention in which a token sees itself and what stands before it."""

    def __init__(self, width: int, *, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, length, width = x.shape
        queries, keys, values = (
            part.view(n, length, self.heads, width // self.heads).transpose(1, 2)
            for part in self.qkv(x).chunk(3, dim=2)
        )
        attended = F.scaled_dot_product_attention(
            queries,
            keys,
            values,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=True,
        )
        mixed: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return mixed


class Block(nn.Module):
    """Attention and a feed-forward layer, each normalised before and added to its input."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        width = config.width
        self.attention_norm = nn.LayerNorm(width)
        self.attention = CausalSelfAttention(width, heads=config.heads, dropout=config.dropout)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(4 * width, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x))
        transformed: Tensor = x + self.feed_forward(self.feed_forward_norm(x))
        return transformed


class TextEncoder(nn.Module):
    """From token ids to one vector a text: the hidden state of its first end token.

    There is no padding mask and none is needed: attention is causal, so nothing behind the end
    token reaches it.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.end_token = config.end_token
        self.token_embedding = nn.Embedding(config.vocabulary, config.width)
        self.position_embedding = nn.Embedding(config.max_tokens, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.final_norm = nn.LayerNorm(config.width)
        if config.unused_norm:
            # No gradient ever reaches it, which distributed training must be told.
            self.unused_norm = nn.LayerNorm(config.width).requires_grad_(False)

    def forward(self, token_ids: Tensor) -> Tensor:
        """Return shape ``(n, width)`` from ids ``(n, n_tokens)``."""
        self._validate(token_ids)
        ends = (token_ids == self.end_token).int().argmax(dim=1)
        if not self.training:
            # What stands behind the last end token is seen by nobody.
            token_ids = token_ids[:, : int(ends.max()) + 1]
        positions = torch.arange(token_ids.shape[1], device=token_ids.device)
        x = self.token_embedding(token_ids) + self.position_embedding(positions)
        for block in self.blocks:
            x = block(x)
        # The norm acts on each token alone, so only the end tokens need it.
        states: Tensor = self.final_norm(x[torch.arange(len(x), device=x.device), ends])
        return states

    def _validate(self, token_ids: Tensor) -> None:
        longest = self.position_embedding.num_embeddings
        if token_ids.ndim != 2 or not 1 <= token_ids.shape[1] <= longest or not len(token_ids):
            raise ValueError(
                f"token ids have shape {tuple(token_ids.shape)}, expected (n_texts, n_tokens) with "
                f"1 to {longest} tokens"
            )
        words = self.token_embedding.num_embeddings
        if token_ids.is_floating_point() or token_ids.min() < 0 or token_ids.max() >= words:
            raise ValueError(
                f"token ids are {token_ids.dtype} from {token_ids.min()} to {token_ids.max()}, "
                f"expected integers from 0 to {words - 1}"
            )
        has_end = (token_ids == self.end_token).any(dim=1)
        if not has_end.all():
            row = int(has_end.int().argmin())
            raise ValueError(
                f"text {row} has no end token {self.end_token}: tokenize with CLIP's tokenizer, "
                f"which keeps it when it truncates"
            )
