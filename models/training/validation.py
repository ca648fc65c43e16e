"""What a run is judged by while it trains: embeddings of a corpus it does not learn from.

How embeddings are scored is the caller's affair: training hands them to a :data:`Score`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from earmark.models.base import Floats
from earmark.models.training.batches import Batch, Batches, scale
from earmark.models.training.config import RunConfig
from earmark.models.training.corpus import Corpus
from earmark.models.training.distributed import everyone
from earmark.models.training.task import Audio, CrossProcess, TrainingTask


@dataclass(frozen=True, slots=True)
class Embedded:
    """Captions and the clips that they belong to, as a model has them."""

    audio: Floats
    """Unit vectors, shape ``(n_clips, dimension)``."""
    text: Floats
    """Unit vectors, shape ``(n_captions, dimension)``."""
    captions: tuple[str, ...]
    clip_of: NDArray[np.int64]
    """The index into ``audio`` of each caption's clip, shape ``(n_captions,)``."""


class Score(Protocol):
    """Maps embeddings to scores by name, higher being better."""

    names: tuple[str, ...]

    def __call__(self, embedded: Embedded) -> Mapping[str, float]: ...


@dataclass(frozen=True)
class _Found:
    """One batch's vectors and pair_ids, off the device."""

    audio: Tensor
    text: Tensor
    pair_ids: Mapping[str, Tensor]
    captions: tuple[str, ...]


def validation_batches(corpus: Corpus, config: RunConfig, fabric: Fabric) -> Batches:
    """Return every caption with its clip, in order: MusCALL's centre, the whole clip for DCASE.

    Both as the adapters hear clips by default.
    """
    return Batches(
        corpus,
        batch_size=config.training.batch_size,
        crop_seconds=config.data.crop_seconds if config.model == "muscall" else None,
        crop="centre",
        captions="all",
        shuffle=False,
        drop_last=False,
        rank=fabric.global_rank,
        world_size=fabric.world_size,
        workers=config.data.workers,
    )


@torch.no_grad()
def embed(
    module: nn.Module, task: TrainingTask, batches: Batches, *, fabric: Fabric, batch_size: int
) -> tuple[Embedded, float]:
    """Return the embeddings of a validation corpus and the loss over whole batches of it.

    Each process embeds its share, and all of them return everything.
    """
    task.eval()
    own = [_embed_batch(module, task, batch) for batch in batches if len(batch)]
    task.train()
    shares = everyone(fabric, own)
    # A global batch is the processes' slices in order.
    longest = max(map(len, shares))
    found = [share[number] for number in range(longest) for share in shares if number < len(share)]
    audio, text = (torch.cat([getattr(each, side) for each in found]) for side in ("audio", "text"))
    pair_ids = {
        name: torch.cat([each.pair_ids[name] for each in found]) for name in found[0].pair_ids
    }
    captions = tuple(caption for each in found for caption in each.captions)
    _, first, clip_of = np.unique(pair_ids["clips"].numpy(), return_index=True, return_inverse=True)
    embedded = Embedded(audio.numpy()[first], text.numpy(), captions, clip_of.astype(np.int64))
    return embedded, _loss(task, audio, text, pair_ids, size=batch_size)


def _embed_batch(module: nn.Module, task: TrainingTask, batch: Batch) -> _Found:
    sound = Audio(scale(batch.to(task.device).waveforms), batch.lengths)
    features = module(task.inputs(sound, batch.captions))
    audio, text = (F.normalize(features[side].float(), dim=1).cpu() for side in ("audio", "text"))
    pair_ids = {name: values.cpu() for name, values in task.pair_ids(batch).items()}
    return _Found(audio, text, pair_ids, batch.captions)


def _loss(
    task: TrainingTask, audio: Tensor, text: Tensor, pair_ids: Mapping[str, Tensor], *, size: int
) -> float:
    """Return the mean loss of whole batches; of all pairs where there is no whole batch.

    Impostors are drawn anew by the same seed each time, so that losses can be compared.
    """
    across = CrossProcess(gather=lambda rows: rows, rank=0, draws=torch.Generator().manual_seed(0))
    losses = []
    starts: Sequence[int] = range(0, len(text) - size + 1, size) or [0]
    for start in starts:
        rows = slice(start, start + size)
        features = {"audio": audio[rows].to(task.device), "text": text[rows].to(task.device)}
        own = {name: values[rows].to(task.device) for name, values in pair_ids.items()}
        losses.append(float(task.loss(features, own, across)))
    return float(np.mean(losses))
