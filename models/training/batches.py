"""Batches of crops from a prepared corpus, read ahead in threads.

What an epoch consists of depends on the seed, the epoch and the corpus alone: its permutation, each
crop, the caption drawn and the seed for augmentation belong to a global position in the epoch.
The number of processes, of threads and of interruptions changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from earmark.models.training.corpus import Corpus

Crop = Literal["random", "centre"]
CaptionChoice = Literal["draw", "all", "first", "none"]


@dataclass(frozen=True, slots=True)
class Batch:
    """This process's share of one global batch of ``n`` clips."""

    indices: Tensor
    """Of the clips in the corpus, int64, shape ``(n,)``."""
    ids: tuple[str, ...]
    waveforms: Tensor
    """int16, shape ``(n, n_samples)``, zeros behind a clip's end; see :func:`scale`."""
    lengths: Tensor
    """Samples of each row that are audio, int64, shape ``(n,)``."""
    captions: tuple[str, ...]
    """One each; empty where the batches are without captions."""
    caption_groups: Tensor
    """int64, shape ``(n,)``: the same number where captions are the same text, in all processes;
    -1 where the batches are without captions."""
    seeds: Tensor
    """For augmentation, int64 from 0, shape ``(n,)``: one an item and epoch."""

    def __len__(self) -> int:
        """Return the number of clips, 0 where this process has no share of a last batch."""
        return len(self.ids)

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch with its tensors on a device, copied asynchronously where pinned."""
        raise NotImplementedError


def scale(waveforms: Tensor) -> Tensor:
    """Return int16 samples as float32 in [-1, 1), on the same device."""
    raise NotImplementedError


class Batches:
    """Iterates over what is left of the current epoch, then stands at the next one's start.

    Parameters
    ----------
    batch_size
        Of all processes together: process ``rank`` gets an equal slice of every global batch.
    crop_seconds
        Length of the crops; None takes whole clips, padded to the longest of this share.
    crop
        ``random`` for training, ``centre`` for validation; a shorter clip is padded at its end.
    captions
        ``draw``: an item is a clip, with one of its captions drawn anew each epoch; ``first``: its
        first one; ``all``: an item is one caption of a clip; ``none``: an item is a clip.
    shuffle
        Whether an epoch is a random permutation of the items, or their order.
    drop_last
        Leave out an epoch's last batch where it is not full.
    workers
        Threads that read ahead.
    pin_memory
        Default: where CUDA is there.

    Raises
    ------
    DataError
        If an option is not as stated, an item lacks a caption, or there is no whole batch.
    """

    epoch: int
    """The current one, from 0."""
    position: int
    """Global batches of the epoch that were handed out."""
    waited_seconds: float
    """That the consumer has waited for data so far; it may be set back to 0."""

    def __init__(
        self,
        corpus: Corpus,
        *,
        batch_size: int,
        crop_seconds: float | None,
        crop: Crop = "random",
        captions: CaptionChoice = "draw",
        shuffle: bool = True,
        drop_last: bool = True,
        seed: int = 0,
        epoch: int = 0,
        rank: int = 0,
        world_size: int = 1,
        workers: int = 2,
        pin_memory: bool | None = None,
    ) -> None:
        raise NotImplementedError

    @property
    def batches_per_epoch(self) -> int:
        """The number of global batches of a whole epoch."""
        raise NotImplementedError

    @property
    def items_per_epoch(self) -> int:
        """The number of clips, or of captions, in all processes' batches of an epoch."""
        raise NotImplementedError

    def __len__(self) -> int:
        """Return how many batches are left in this epoch."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Batch]:
        """Yield what is left of the epoch, then count the epoch up; breaking off is allowed.

        After a break the next iteration goes on behind the batch that was handed out last.
        """
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Return plain values from which the batch after the one handed out last follows."""
        raise NotImplementedError

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where a state was taken, also with another number of processes.

        Raises
        ------
        DataError
            If the state is of another corpus or of other options; which one is named.
        """
        raise NotImplementedError
