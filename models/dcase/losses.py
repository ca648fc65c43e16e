"""The loss of the DCASE baseline: triplets with random impostors.

DCASE + CL learns from MusCALL's losses (:mod:`earmark.models.muscall.losses`).

Conventions
-----------
``audio`` and ``text`` have shape ``(n, dimension)`` and unit norm; row *i* of both is a pair.
``clip_ids`` names the clip of each pair: a batch may hold several captions of one clip, which are
never each other's impostors.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from earmark.models.base import ModelError


def sample_impostors(
    clip_ids: Sequence[Hashable], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw for each pair another clip's audio and another clip's text, uniformly from the batch.

    The two come from different pairs where the batch allows it, as in the released code; where
    only one pair is of another clip, it lends both.

    Returns
    -------
    audio, text
        Indices into the batch, shape ``(n,)`` each, int64, on the generator's device.
    """
    others = _other_clips(clip_ids).to(generator.device)
    rows = torch.arange(len(others), device=others.device)
    audio = torch.multinomial(others.double(), 1, generator=generator).squeeze(1)
    choices = others.clone()
    choices[rows, audio] = False
    without_choice = ~choices.any(dim=1)
    choices[without_choice] = others[without_choice]
    text = torch.multinomial(choices.double(), 1, generator=generator).squeeze(1)
    return audio, text


def triplet_ranking_loss(
    audio: Tensor,
    text: Tensor,
    *,
    impostor_audio: Tensor,
    impostor_text: Tensor,
    margin: float = 1.0,
) -> Tensor:
    """Return the mean over pairs of both hinge terms, with S the dot product.

    ``max(0, S(a, i) - S(i, i) + margin) + max(0, S(i, t) - S(i, i) + margin)`` for pair *i* with
    impostor audio *a* and impostor text *t*, indices of shape ``(n,)``.
    """
    pair = (audio * text).sum(dim=1)
    other_audio = (audio[impostor_audio] * text).sum(dim=1)
    other_text = (audio * text[impostor_text]).sum(dim=1)
    hinges = torch.relu(other_audio - pair + margin) + torch.relu(other_text - pair + margin)
    return hinges.mean()


def _other_clips(clip_ids: Sequence[Hashable]) -> Tensor:
    """Return the mask ``(n, n)``: whether pair *j* is of another clip than pair *i*."""
    if isinstance(clip_ids, Tensor):
        clip_ids = clip_ids.tolist()  # two tensors of one value are different keys
    numbers: dict[Hashable, int] = {}
    codes = torch.tensor([numbers.setdefault(clip, len(numbers)) for clip in clip_ids])
    if len(numbers) < 2:
        raise ModelError(
            f"a batch of {len(codes)} pairs holds {len(numbers)} clip: no impostor can be drawn; "
            "use batches of at least two clips, and drop the last one if it is smaller"
        )
    return codes.unsqueeze(1) != codes.unsqueeze(0)
