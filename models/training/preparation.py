"""``prepare``: decode a corpus once into shards and an index, resumable after a kill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from earmark.datasets.base import Captioned

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Refused:
    """A clip that cannot be used, and why."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a preparation did."""

    folder: Path
    n_clips: int
    n_captions: int
    seconds: float
    """Of audio in the corpus."""
    refused: tuple[Refused, ...]
    clipped_samples: int
    """How many samples lay outside the range of int16 and were brought to its end."""
    clips_decoded: int
    """In this run; 0 where the corpus was there already."""


def prepare(
    source: Path | str | Captioned,
    out: Path | str,
    *,
    sample_rate: int = 16_000,
    split: str | None = None,
    audio: str | None = None,
    workers: int = 2,
    max_refused_share: float = 0.01,
    progress: Progress | None = None,
) -> Prepared:
    """Decode a corpus into mono int16 shards at ``sample_rate`` Hz below ``out``.

    The bytes written do not depend on the number of workers or on how often the work was
    interrupted.

    Parameters
    ----------
    source
        ``dataset_<split>.json`` (MusCALL's manifest), a CSV file of captions, a folder of audio
        (without captions), or captioned clips that a dataset's loader returned.
    max_refused_share
        Of the clips; with more that cannot be used, the preparation stops.

    Raises
    ------
    DataError
        If the source has a fault or no clips, too many clips cannot be used, or the folder holds
        another corpus.
    """
    raise NotImplementedError
