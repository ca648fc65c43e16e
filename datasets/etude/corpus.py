"""A track of the Etude corpus with all its labels, its split, and its names in each layout.

Splits
------
Of every fifteen tracks of a genre twelve are ``train``, one is ``val`` and two are ``test``. A
track's split depends on its number alone, so that a bigger corpus of the same seed holds the
smaller one. Every layout keeps to it: GTZAN's ``fault-filtered`` lists, MagnaTagATune's folders,
emoMusic's sets and the manifests name the same tracks; MusAV's songs are of ``test``.

Names
-----
``100000 + number`` is the id of a track in MagnaTagATune's layout, emoMusic's and the manifests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Literal

from earmark.datasets.etude.affect import Affect, Rating, affect, rate
from earmark.datasets.etude.attributes import attributes
from earmark.datasets.etude.describe import Caption, caption
from earmark.datasets.etude.score import VERSION as MUSIC_VERSION
from earmark.datasets.etude.score import Score
from earmark.datasets.etude.tags import tags
from earmark.datasets.gtzan import GENRES, UNREADABLE, fault_filtered

LABELS_VERSION = "1"
"""Of attributes, tags, captions, ratings, judgements, splits and names."""

VERSION = f"{MUSIC_VERSION}.{LABELS_VERSION}"
"""Of the corpus: the same seed, length and version give the same bytes."""

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

_CYCLE: tuple[Split, ...] = (
    *("train", "test", "val", "train", "train", "train", "train", "train"),
    *("test", "train", "train", "train", "train", "train", "train"),
)
MIN_TRACKS = 3 * len(GENRES)
"""With fewer, a split would be empty."""

_FIRST_ID = 100_000
"""Above the three clip ids of MagnaTagATune that are known to hold no audio."""

_GTZAN_PARTITIONS: Mapping[str, str] = MappingProxyType(
    {"train": "train", "valid": "val", "test": "test"}
)
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Track:
    """What is known of a track without listening."""

    number: int
    genre: str
    split: Split
    loudness: float
    """LUFS."""
    attributes: tuple[str, ...]
    tags: tuple[str, ...]
    caption: Caption
    truth: Affect
    arousal: Rating
    valence: Rating

    @property
    def id(self) -> int:
        """In all layouts whose ids are numbers."""
        return track_id(self.number)


def label(score: Score) -> Track:
    """Return the track of a score with all its labels."""
    number, seed = score.number, score.seed
    true, felt = attributes(score), affect(score)
    arousal, valence = rate(felt, seed=seed, number=number)
    return Track(
        number=number,
        genre=score.genre,
        split=split_of(number),
        loudness=score.loudness,
        attributes=true,
        tags=tags(true),
        caption=caption(true, seed=seed, number=number),
        truth=felt,
        arousal=arousal,
        valence=valence,
    )


def split_of(number: int) -> Split:
    """Return the split of a track.

    >>> [split_of(number) for number in (0, 10, 20, 30)]
    ['train', 'test', 'val', 'train']
    """
    return _CYCLE[number // len(GENRES) % len(_CYCLE)]


def track_id(number: int) -> int:
    """Return the id of a track in the layouts whose ids are numbers."""
    return _FIRST_ID + number


def gtzan_name(number: int) -> str:
    """Return a track's name in GTZAN's layout, ``<genre>.NNNNN``.

    The fault-filtered lists of GTZAN hold 443 numbers for training, 197 for validation and 290 for
    testing. The first tracks of each split get these, so that the loader's partitions are the
    corpus's splits; what is left over gets a number from 1000, which is in no list.
    """
    genre, place = GENRES[number % len(GENRES)], number // len(GENRES)
    split = split_of(number)
    cycles, rest = divmod(place, len(_CYCLE))
    before = cycles * _CYCLE.count(split) + _CYCLE[:rest].count(split)
    listed = _gtzan_numbers()[genre, split]
    return f"{genre}.{listed[before] if before < len(listed) else 1000 + place:05d}"


def mtat_path(number: int, seconds: float) -> str:
    """Return a track's path in MagnaTagATune's layout, whose first character is its partition."""
    folders = {"train": "0123456789ab", "val": "c", "test": "def"}[split_of(number)]
    folder = folders[number // len(GENRES) % len(folders)]
    return f"{folder}/etude-{number:05d}-0-{seconds:.0f}.mp3"


def musav_id(number: int) -> str:
    """Return a track's song id in MusAV's layout: 22 letters and digits, as Spotify's are."""
    digest = int.from_bytes(hashlib.sha256(f"etude {number}".encode()).digest(), "big")
    letters = []
    for _ in range(22):
        digest, rest = divmod(digest, len(_BASE62))
        letters.append(_BASE62[rest])
    return "".join(letters)


@cache
def _gtzan_numbers() -> Mapping[tuple[str, str], tuple[int, ...]]:
    """Return the listed numbers of each genre and split, ascending."""
    numbers: dict[tuple[str, str], list[int]] = {}
    for name, partition in sorted(fault_filtered().items()):
        genre, _, digits = name.partition(".")
        if name not in UNREADABLE:
            numbers.setdefault((genre, _GTZAN_PARTITIONS[partition]), []).append(int(digits))
    return MappingProxyType({key: tuple(found) for key, found in numbers.items()})
