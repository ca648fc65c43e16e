"""Prepared corpora: audio decoded once, read by memory map as crops of int16.

A corpus is a folder that :func:`earmark.models.training.preparation.prepare` wrote: shards of mono
int16 at one sample rate, and an index with each clip's id, captions, place, length and digest.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class Corpus:
    """One prepared corpus or several of one sample rate, clips counted from 0."""

    sample_rate: int
    """In Hz."""
    ids: tuple[str, ...]
    """Of the clips; with several corpora each is ``<folder>/<id>``."""
    n_samples: NDArray[np.int64]
    """Of each clip, shape ``(n_clips,)``."""
    fingerprint: str
    """Digest of rate, ids, captions, lengths and the samples' digests, 64 hexadecimal digits."""

    @classmethod
    def open(cls, *folders: Path | str) -> Corpus:
        """Open one corpus or join several, holding headers and sizes against the index.

        Raises
        ------
        DataError
            If a folder is no corpus or is not finished, the index or a shard is not as it was
            written (the shard is named), or the corpora differ in their sample rate.
        """
        raise NotImplementedError

    def __len__(self) -> int:
        """Return the number of clips."""
        raise NotImplementedError

    def captions(self, clip: int) -> tuple[str, ...]:
        """Return the captions of a clip; none where the corpus has none."""
        raise NotImplementedError

    def read(self, clip: int, start: int = 0, n_samples: int | None = None) -> NDArray[np.int16]:
        """Return a read-only view of at most ``n_samples`` samples from ``start``.

        Fewer are returned where the clip ends; full scale is 32,768.
        """
        raise NotImplementedError

    def verify(self) -> None:
        """Read every sample and hold it against its digest.

        Raises
        ------
        DataError
            If a clip's samples are not those that were written; clip and shard are named.
        """
        raise NotImplementedError
