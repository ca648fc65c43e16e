"""The songs of a user's own folder: found, decoded, and cut into the parts that a model embeds.

Of each song the middle is taken and divided into a few parts of equal length. That the parts agree
is what the report's "how sure" rests on. A file that cannot be used is named with its reason and
does not end the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.audio import Waveform, as_mp3, decode_ahead, file_digest, middle
from earmark.datasets.base import DataError, Progress, audio_files, first_ten
from earmark.datasets.files.names import AUDIO_SUFFIXES, UNREAD_SUFFIXES, escaped
from earmark.datasets.loudness import loudness
from earmark.datasets.resampling import resampled

MOST_PARTS, PART_S = 5, 3.0
"""A song has at most so many parts, of at least so many seconds each where it is long enough."""
SHORTEST_S = 1.0
EXCERPT_S, EXCERPT_RATE = 10.0, 24_000
"""Of the players in the report, in s and Hz: up to 12 kHz, in half the bytes of all."""
_WORKERS = 2


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that was not processed, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """What lies in a folder."""

    songs: dict[str, Path]
    """By a name that no other song has, in the order of their paths; each recording once."""
    left_out: list[LeftOut]
    n_other: int
    """Files that are no audio: pictures, lists, ..."""


@dataclass(frozen=True, slots=True)
class Song:
    """A decoded song."""

    name: str
    seconds: float
    """Of the whole file."""
    loudness: float
    """Integrated, in LUFS, of the part of the song that is processed."""
    parts: tuple[Waveform, ...]
    excerpt: bytes
    """The middle :data:`EXCERPT_S` seconds as MP3."""


def find(folder: Path) -> Found:
    """Return the audio files at any depth below a folder.

    Raises
    ------
    DataError
        If it is no folder, or holds no audio file that can be read.
    """
    if not folder.is_dir():
        what = "is a file; give the folder that holds it" if folder.exists() else "does not exist"
        raise DataError(f"{folder} {what}")
    paths = audio_files(folder)
    rest = [
        p for p in folder.rglob("*") if p.is_file() and p.name[0] != "." and p not in set(paths)
    ]
    unread = sorted(path for path in rest if path.suffix.lower() in UNREAD_SUFFIXES)
    if not paths:
        raise DataError(_nothing(folder, unread))
    names = _names(folder, [*paths, *unread])
    first: dict[str, str] = {}
    songs: dict[str, Path] = {}
    left_out = [LeftOut(names[path], _not_read(path)) for path in unread]
    for path in paths:
        try:
            earlier = first.setdefault(file_digest(path), names[path])
        except (DataError, OSError):  # decoding it names the reason
            earlier = names[path]
        if earlier == names[path]:
            songs[names[path]] = path
        else:
            left_out.append(LeftOut(names[path], f"the same file as {earlier}, byte for byte"))
    return Found(songs, left_out, len(rest) - len(unread))


def _nothing(folder: Path, unread: Sequence[Path]) -> str:
    readable = ", ".join(sorted(AUDIO_SUFFIXES))
    if unread:
        named = first_ten([path.name for path in unread])
        return f"{folder}: no audio file that can be read; {named}: {_not_read(unread[0])}"
    return f"{folder}: no audio file at any depth below it; expected files {readable}"


def _not_read(path: Path) -> str:
    suffix = path.suffix.lower()
    return f"{suffix} is not read; convert it, e.g. ffmpeg -i {path.name} {path.stem}.flac"


def _names(folder: Path, paths: Sequence[Path]) -> dict[Path, str]:
    """Return the shortest name of each file that is its own: its stem, or its path."""
    stems = [path.stem for path in paths]
    below = [path.relative_to(folder) for path in paths]
    bare = [path.with_suffix("").as_posix() for path in below]
    for candidates in (stems, bare, [path.as_posix() for path in below]):
        if len(set(candidates)) == len(paths):
            break
    return {path: escaped(name) for path, name in zip(paths, candidates, strict=True)}


def read(
    songs: dict[str, Path], *, sample_rate: int | None, seconds: float, progress: Progress
) -> Iterator[Song | LeftOut]:
    """Yield each song with ``seconds`` from its middle, at ``sample_rate`` Hz (None: its own).

    A song that cannot be decoded, is silent or is shorter than :data:`SHORTEST_S` is yielded as
    what is left out.
    """
    names = list(songs)
    decoded = decode_ahead(songs.values(), sample_rate=sample_rate, workers=_WORKERS)
    for number, (name, (_, audio)) in enumerate(zip(names, decoded, strict=True)):
        progress(number, len(names), "songs")
        if not isinstance(audio, Waveform):
            yield LeftOut(name, audio.reason)
            continue
        length = len(audio.samples) / audio.sample_rate
        if length < SHORTEST_S:
            yield LeftOut(name, f"{length:.2f} s long, expected {SHORTEST_S:g} s at least")
            continue
        yield _song(name, audio, seconds)
    progress(len(names), len(names), "songs")


def _song(name: str, audio: Waveform, seconds: float) -> Song:
    rate = audio.sample_rate
    taken = middle(audio.samples, round(seconds * rate))
    played = [middle(taken, round(EXCERPT_S * rate))]
    return Song(
        name=name,
        seconds=len(audio.samples) / rate,
        loudness=loudness(taken, rate),
        parts=tuple(Waveform(part, rate) for part in parts(taken, rate)),
        excerpt=as_mp3(np.concatenate([*resampled(played, rate, EXCERPT_RATE)]), EXCERPT_RATE),
    )


def parts(samples: NDArray[np.float32], sample_rate: int) -> list[NDArray[np.float32]]:
    """Return samples in up to :data:`MOST_PARTS` equal parts of at least :data:`PART_S` seconds.

    >>> [len(part) for part in parts(np.zeros(10, np.float32), 1)]
    [4, 3, 3]
    """
    n_parts = int(len(samples) / sample_rate / PART_S)
    return np.array_split(samples, min(max(n_parts, 1), MOST_PARTS))
