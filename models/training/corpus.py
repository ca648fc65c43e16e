"""Prepared corpora: audio decoded once, read by memory map as crops of int16.

A corpus is a folder that :func:`earmark.models.training.prepare.prepare` wrote: shards of mono
int16 at one sample rate, and an index with each clip's id, captions, place, length and digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.base import DataError, fingerprint, first_ten
from earmark.models.training.shards import (
    INDEX,
    PLAN,
    Index,
    MappedShard,
    Samples,
    shard_fault,
    shard_path,
)


class Corpus:
    """One prepared corpus or several of one sample rate, clips counted from 0."""

    sample_rate: int
    """In Hz."""
    ids: tuple[str, ...]
    """Of the clips; with several corpora each is ``<folder>/<id>``."""
    n_samples: NDArray[np.int64]
    """Of each clip, shape ``(n_clips,)``."""
    digests: tuple[bytes, ...]
    """Of each clip's samples when they were written: sha256."""
    fingerprint: str
    """Digest of rate, ids, captions, lengths and the samples' digests, 64 hexadecimal digits."""
    sources: tuple[str, ...]
    """The name of each corpus's source."""
    synthetic: bool
    """Whether any of it is synthesised."""

    def __init__(self, folders: tuple[Path, ...]) -> None:
        """Open folders; :meth:`open` is the way to call this."""
        if not folders:
            raise DataError("no corpus is given: give at least one folder that was prepared")
        self._folders = folders
        self._paths: list[Path] = []
        rates, fingerprints, sizes = [], [], []
        ids, captions, columns = list[str](), list[tuple[str, ...]](), list[tuple[int, int, int]]()
        digests = list[bytes]()
        self.sources, self.synthetic = (), False
        prefixes = [""] if len(folders) == 1 else _prefixes(folders)
        for folder, prefix in zip(folders, prefixes, strict=True):
            index = _read_index(folder)
            rates.append(index.plan.sample_rate)
            fingerprints.append(index.fingerprint)
            self.sources += (index.plan.source,)
            self.synthetic |= index.plan.synthetic
            first = len(self._paths)
            self._paths += [shard_path(folder, number) for number in range(len(index.shards))]
            sizes += index.shards
            ids += [prefix + entry.id for entry in index.entries]
            captions += [entry.captions for entry in index.entries]
            columns += [(first + e.shard, e.offset, e.n_samples) for e in index.entries]
            digests += [bytes.fromhex(entry.sha256) for entry in index.entries]
        self.sample_rate = _one_rate(folders, rates)
        self.fingerprint = fingerprints[0] if len(folders) == 1 else fingerprint(fingerprints)
        self.ids, self._captions, self.digests = tuple(ids), captions, tuple(digests)
        self._shard_of, self._offset, self.n_samples = np.array(columns, np.int64).T.copy()
        self._shards = _map_shards(self._paths, sizes)

    @classmethod
    def open(cls, *folders: Path | str) -> Corpus:
        """Open one corpus or join several, holding headers and sizes against the index.

        Raises
        ------
        DataError
            If a folder is no corpus or is not finished, the index or a shard is not as it was
            written (the shard is named), or the corpora differ in their sample rate.
        """
        return cls(tuple(Path(folder) for folder in folders))

    def __reduce__(self) -> tuple[object, ...]:
        # Another process maps the files itself.
        return type(self), (self._folders,)

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.ids)

    def captions(self, clip: int) -> tuple[str, ...]:
        """Return the captions of a clip; none where the corpus has none."""
        return self._captions[clip]

    def read(self, clip: int, start: int = 0, n_samples: int | None = None) -> Samples:
        """Return a read-only view of at most ``n_samples`` samples from ``start``.

        Fewer are returned where the clip ends; full scale is 32,768.

        Raises
        ------
        DataError
            If the start is not in the clip, or ``n_samples`` is negative.
        """
        shard, begin, end = self._place(clip, start, n_samples)
        return shard.samples[begin:end]

    def read_ahead(self, clip: int, start: int = 0, n_samples: int | None = None) -> None:
        """Have the system fetch from the disk what :meth:`read` will be asked for; do not wait."""
        shard, begin, end = self._place(clip, start, n_samples)
        shard.read_ahead(begin, end)

    def _place(self, clip: int, start: int, n_samples: int | None) -> tuple[MappedShard, int, int]:
        available = int(self.n_samples[clip])
        if not 0 <= start <= available or (n_samples is not None and n_samples < 0):
            raise DataError(
                f"clip {self.ids[clip]} has {available} samples; cannot read {n_samples} from "
                f"{start}"
            )
        left = available - start
        begin = int(self._offset[clip]) + start
        end = begin + (left if n_samples is None else min(n_samples, left))
        return self._shards[self._shard_of[clip]], begin, end

    def verify(self, clips: Iterable[int] | None = None) -> None:
        """Read every sample of clips, all of them by default, and hold it against its digest.

        Raises
        ------
        DataError
            If a clip's samples are not those that were written; clip and shard are named.
        """
        for clip in range(len(self)) if clips is None else clips:
            samples = np.ascontiguousarray(self.read(clip))
            if hashlib.sha256(samples.data).digest() != self.digests[clip]:
                raise DataError(
                    f"{self._paths[self._shard_of[clip]]}: the samples of {self.ids[clip]} are not "
                    f"those that were written; delete the folder and prepare it again"
                )


def corpus_doubts(corpus: Corpus, of: str, *, batch_size: int = 0) -> list[str]:
    """Return whether captions or clips repeat in every batch of a size.

    Captions are compared as tokenisers see them: without case and spacing.

    Raises
    ------
    DataError
        If all captions, or the samples of all clips, are the same: no pair differs from another.
    """
    texts = [text for clip in range(len(corpus)) for text in corpus.captions(clip)]
    distinct = {
        "captions": (len({" ".join(text.lower().split()) for text in texts}), len(texts)),
        "clips": (len(set(corpus.digests)), len(corpus)),
    }
    found = []
    for name, (different, n) in distinct.items():
        if different == 1 and n > 1:
            raise DataError(
                f"{of}: all {n} {name} are the same"
                f"{f' ({texts[0][:60]!r})' if name == 'captions' else ''}: no pair can be told "
                f"from another, so that nothing can be learned or measured; is it the right "
                f"{'column' if name == 'captions' else 'folder'}?"
            )
        if 1 < different < min(batch_size, n):
            found.append(
                f"{of} has {different} different {name}, fewer than a batch of {batch_size}: "
                f"every batch repeats some, and their pairs are wrong answers to each other unless "
                f"training.mask_duplicate_captions is true; a smaller batch_size repeats fewer"
            )
    return found


def _read_index(folder: Path) -> Index:
    if (folder / INDEX).is_file():
        return Index.read(folder / INDEX)
    if (folder / PLAN).is_file():
        raise DataError(f"{folder}: not finished; the same `earmark prepare` goes on with it")
    raise DataError(f"{folder}: no corpus (it has no {INDEX}); make one with `earmark prepare`")


def _one_rate(folders: tuple[Path, ...], rates: list[int]) -> int:
    if len(set(rates)) > 1:
        pairs = zip(folders, rates, strict=True)
        shown = ", ".join(f"{folder} {rate} Hz" for folder, rate in pairs)
        raise DataError(f"corpora of several sample rates cannot be joined: {shown}")
    return rates[0]


def _prefixes(folders: tuple[Path, ...]) -> list[str]:
    names = [folder.resolve().name for folder in folders]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(f"corpora are told apart by their folders' names; twice {repeated[0]!r}")
    return [f"{name}/" for name in names]


def _map_shards(paths: list[Path], sizes: list[int]) -> list[MappedShard]:
    pairs = list(zip(paths, sizes, strict=True))
    faults = [f"{path}: {fault}" for path, size in pairs if (fault := shard_fault(path, size))]
    if faults:
        raise DataError(
            f"{first_ten(faults)}; restore it from a copy, or delete the folder and prepare anew"
        )
    return [MappedShard(path, size) for path, size in pairs]
