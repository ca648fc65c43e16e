"""Batches of crops from a prepared corpus, read ahead in threads.

What an epoch consists of depends on the seed, the epoch and the corpus alone: its permutation, each
crop, the caption drawn and the seed for augmentation belong to a global position in the epoch.
The number of processes, of threads and of interruptions changes nothing.

All draws are raw output of PCG64 seeded by ``(seed, epoch, purpose)``, whose value at a position
NumPy guarantees for all its versions (NEP 19); those of its distributions it does not.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earmark.datasets.audio import map_ahead
from earmark.datasets.base import DataError, first_ten
from earmark.models.training.corpus import FULL_SCALE, Corpus

Crop = Literal["random", "centre"]
CaptionChoice = Literal["draw", "all", "none"]

_ORDER, _CROP, _CAPTION, _AUGMENTATION = range(4)


@dataclass(frozen=True, slots=True)
class Batch:
    """This process's share of one global batch: ``n`` items."""

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
        """Return the number of items, 0 where this process has no share of a last batch."""
        return len(self.ids)

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch with waveforms and caption groups on a device.

        The copy is asynchronous where memory is pinned. Indices, lengths and seeds stay on the CPU:
        what reads them there would otherwise wait for the device.
        """
        return replace(
            self,
            waveforms=self.waveforms.to(device, non_blocking=True),
            caption_groups=self.caption_groups.to(device, non_blocking=True),
        )


def scale(waveforms: Tensor) -> Tensor:
    """Return int16 samples as float32 in [-1, 1), on the same device.

    >>> scale(torch.tensor([[-32768, 8192]], dtype=torch.int16))
    tensor([[-1.0000,  0.2500]])
    """
    return waveforms.to(torch.float32) / FULL_SCALE


class Batches:
    """Iterates over what is left of the current epoch, then stands at the next one's start.

    Parameters
    ----------
    batch_size
        Of all processes together: process ``rank`` gets an equal slice of every global batch.
    crop_seconds
        Length of the crops; None takes whole clips, padded to the longest of this share.
    crop
        ``random`` for training, ``centre`` for validation (paper section 4); a shorter clip is
        padded at its end.
    captions
        ``draw``: an item is a clip, with one of its captions drawn anew each epoch; ``all``: an
        item is one caption of a clip; ``none``: an item is a clip.
    shuffle
        Whether an epoch is a random permutation of the items, or their order.
    drop_last
        Leave out an epoch's last batch where it is not full.
    workers
        Threads that read ahead; twice as many batches are held.
    pin_memory
        Default: where CUDA is there.

    Raises
    ------
    DataError
        If an option is not as stated, an item lacks a caption, or there is no whole batch; while
        iterating, if samples are not those that were written: one clip of each batch is verified.
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
        self.epoch, self.position, self.waited_seconds = epoch, 0, 0.0
        self._corpus = corpus
        self._settings: dict[str, Any] = {
            "corpus": corpus.fingerprint,
            "batch_size": batch_size,
            "crop_seconds": crop_seconds,
            "crop": crop,
            "captions": captions,
            "shuffle": shuffle,
            "drop_last": drop_last,
            "seed": seed,
        }
        self._check_options(rank, world_size, workers)
        self._batch_size, self._seed = batch_size, seed
        self._rank, self._world_size, self._workers = rank, world_size, workers
        self._crop: Crop = crop
        self._choice: CaptionChoice = captions
        self._shuffle, self._drop_last = shuffle, drop_last
        self._width = None if crop_seconds is None else round(crop_seconds * corpus.sample_rate)
        self._pin = torch.cuda.is_available() if pin_memory is None else pin_memory
        self._clip_of, self._caption_of = _items(corpus, captions)
        self._groups = _caption_groups(corpus) if captions != "none" else {}
        self._verified: set[int] = set()
        if self.batches_per_epoch == 0:
            raise DataError(
                f"{len(self._clip_of)} items make no whole batch of {batch_size}: give a smaller "
                f"batch_size or a larger corpus"
            )

    def _check_options(self, rank: int, world_size: int, workers: int) -> None:
        given = self._settings
        size, seconds = given["batch_size"], given["crop_seconds"]
        for name, fits, expected in (
            ("batch_size", size >= 1, "at least 1"),
            ("batch_size", size % world_size == 0, f"a multiple of the {world_size} processes"),
            ("crop_seconds", seconds is None or seconds > 0, "above 0, or None for whole clips"),
            ("crop", given["crop"] in get_args(Crop), "random or centre"),
            ("captions", given["captions"] in get_args(CaptionChoice), "draw, all or none"),
            ("seed", given["seed"] >= 0, "0 or above"),
        ):
            if not fits:
                raise DataError(f"{name} is {given[name]!r}, expected {expected}")
        if self.epoch < 0 or not 0 <= rank < world_size or workers < 1:
            raise DataError(
                f"epoch {self.epoch}, rank {rank} of {world_size}, {workers} workers: expected an "
                f"epoch from 0, a rank from 0 below the number of processes, at least 1 worker"
            )

    @property
    def batches_per_epoch(self) -> int:
        """The number of global batches of a whole epoch."""
        full, rest = divmod(len(self._clip_of), self._batch_size)
        return full if self._drop_last or rest == 0 else full + 1

    @property
    def items_per_epoch(self) -> int:
        """The number of clips, or of captions, in all processes' batches of an epoch."""
        return min(len(self._clip_of), self.batches_per_epoch * self._batch_size)

    def __len__(self) -> int:
        """Return how many batches are left in this epoch."""
        return self.batches_per_epoch - self.position

    def __iter__(self) -> Iterator[Batch]:
        """Yield what is left of the epoch, then count the epoch up; breaking off is allowed.

        After a break the next iteration goes on behind the batch that was handed out last.
        """
        read = partial(self._read, _Draws.of(self._seed, self.epoch, len(self._clip_of)))
        left = range(self.position, self.batches_per_epoch)
        with closing(map_ahead(read, left, workers=self._workers)) as ahead:
            while True:
                asked = time.perf_counter()
                found = next(ahead, None)
                self.waited_seconds += time.perf_counter() - asked
                if found is None:
                    break
                self.position = found[0] + 1
                yield found[1]
        self.epoch, self.position = self.epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """Return plain values from which the batch after the one handed out last follows."""
        return {**self._settings, "epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where a state was taken, also with another number of processes."""
        absent = [name for name in self.state_dict() if name not in state]
        if absent:
            raise DataError(f"the state of the batches lacks {', '.join(absent)}")
        for name, mine in self._settings.items():
            if state[name] != mine:
                raise DataError(
                    f"the state was taken with {name} {state[name]!r}, these batches have "
                    f"{mine!r}: give the same corpus and options"
                )
        self.epoch, self.position = state["epoch"], state["position"]

    def _read(self, draws: _Draws, number: int) -> Batch:
        """Return this process's share of a global batch of the epoch."""
        first = number * self._batch_size
        n_items = min(self._batch_size, self.items_per_epoch - first)
        begin, end = (first + n_items * r // self._world_size for r in (self._rank, self._rank + 1))
        positions = np.arange(begin, end)
        items = draws.order[begin:end] if self._shuffle else positions
        clips = self._clip_of[items]
        starts, lengths, width = self._crops(clips, draws.crop[begin:end])
        crops = np.stack([clips, starts, lengths], axis=1).tolist()
        for crop in crops:
            self._corpus.read_ahead(*crop)
        self._verify_one(clips.tolist())
        waveforms = torch.empty((len(clips), width), dtype=torch.int16, pin_memory=self._pin)
        for row, (clip, start, length) in zip(waveforms.numpy(), crops, strict=True):
            row[:length] = self._corpus.read(clip, start, length)
            row[length:] = 0
        captions = self._captions(clips, items, draws.caption[begin:end])
        groups = [self._groups[text] for text in captions] if captions else [-1] * len(clips)
        return Batch(
            indices=torch.from_numpy(clips),
            ids=tuple(self._corpus.ids[clip] for clip in clips),
            waveforms=waveforms,
            lengths=torch.from_numpy(lengths),
            captions=captions,
            caption_groups=torch.tensor(groups, dtype=torch.int64),
            seeds=torch.from_numpy(draws.augmentation[begin:end].copy()),
        )

    def _verify_one(self, clips: list[int]) -> None:
        """Hold a clip of the batch against its digest: over a run, another one in each batch."""
        new = next((clip for clip in clips if clip not in self._verified), None)
        if new is not None:
            self._corpus.verify([new])
            self._verified.add(new)

    def _crops(
        self, clips: NDArray[np.int64], uniform: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
        """Return the start and the length of each crop, and the length of a row."""
        available = self._corpus.n_samples[clips]
        width = int(available.max(initial=0)) if self._width is None else self._width
        lengths = np.minimum(available, width)
        spare = available - lengths
        if self._crop == "centre":
            return spare // 2, lengths, width
        return (uniform * (spare + 1)).astype(np.int64), lengths, width

    def _captions(
        self,
        clips: NDArray[np.int64],
        items: NDArray[np.int64],
        uniform: NDArray[np.float64],
    ) -> tuple[str, ...]:
        if self._choice == "none":
            return ()
        texts = [self._corpus.captions(clip) for clip in clips.tolist()]
        if self._choice == "draw":
            return tuple(of[int(u * len(of))] for of, u in zip(texts, uniform, strict=True))
        numbers = self._caption_of[items].tolist()
        return tuple(of[number] for of, number in zip(texts, numbers, strict=True))


@dataclass(frozen=True, slots=True)
class _Draws:
    """All that is random in an epoch, by global position."""

    order: NDArray[np.int64]
    crop: NDArray[np.float64]
    """Uniform in [0, 1), as is ``caption``."""
    caption: NDArray[np.float64]
    augmentation: NDArray[np.int64]

    @classmethod
    def of(cls, seed: int, epoch: int, n_items: int) -> _Draws:
        def raw(purpose: int) -> NDArray[np.uint64]:
            generator = np.random.PCG64(np.random.SeedSequence([seed, epoch, purpose]))
            return np.asarray(generator.random_raw(n_items), np.uint64)

        return cls(
            order=np.argsort(raw(_ORDER), kind="stable").astype(np.int64),
            crop=_uniform(raw(_CROP)),
            caption=_uniform(raw(_CAPTION)),
            augmentation=(raw(_AUGMENTATION) >> np.uint64(1)).astype(np.int64),
        )


def _uniform(raw: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return the upper 53 bits as numbers in [0, 1)."""
    return np.asarray((raw >> np.uint64(11)) * 2.0**-53, np.float64)


def _items(corpus: Corpus, choice: CaptionChoice) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the clip and the number of the caption of each item."""
    clips = np.arange(len(corpus), dtype=np.int64)
    if choice == "none":
        return clips, np.zeros_like(clips)
    counts = np.array([len(corpus.captions(clip)) for clip in range(len(corpus))], np.int64)
    if not counts.all():
        without = [corpus.ids[clip] for clip in np.flatnonzero(counts == 0)]
        raise DataError(f"clips without a caption: {first_ten(without)}; give captions='none'")
    if choice != "all":
        return clips, np.zeros_like(clips)
    ends = np.cumsum(counts)
    return np.repeat(clips, counts), np.arange(ends[-1]) - np.repeat(ends - counts, counts)


def _caption_groups(corpus: Corpus) -> dict[str, int]:
    """Return a number for each text among the captions."""
    texts = (text for clip in range(len(corpus)) for text in corpus.captions(clip))
    return {text: number for number, text in enumerate(dict.fromkeys(texts))}
