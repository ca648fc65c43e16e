"""The demo from a folder to what was found in it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from earmark.bench.demo.analysis import (
    GENRE_WORDINGS,
    GENRES,
    MOOD_WORDINGS,
    MOODS,
    Answer,
    Hit,
    Neighbour,
    Plane,
    Vectors,
    answers,
    hits,
    nearest,
    plane,
)
from earmark.bench.demo.model import DemoModel
from earmark.bench.demo.songs import Found, LeftOut, Song, read
from earmark.datasets.base import DataError, Progress
from earmark.datasets.files.names import escaped
from earmark.models.base import ClipError, ModelCard, naming

QUERIES = (
    "loud electric guitars and a hard beat",
    "quiet acoustic music to relax to",
    "music to dance to at a party",
)
"""Shown where the user asks nothing."""


@dataclass(frozen=True, slots=True)
class Row:
    """What was found out about one song."""

    name: str
    seconds: float
    loudness: float
    """In LUFS."""
    excerpt: bytes
    """MP3."""
    genre: Answer
    mood: Answer
    nearest: list[Neighbour]


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found out about a folder."""

    folder: Path
    rows: list[Row]
    plane: Plane
    queries: dict[str, list[Hit]]
    asked: bool
    """Whether the queries are the user's."""
    labels: tuple[str, ...]
    left_out: list[LeftOut]
    n_other: int
    seconds: float
    """Taken from the middle of each song."""
    wall_s: float
    card: ModelCard
    tags: tuple[str, ...]

    @property
    def own_labels(self) -> bool:
        """Whether the genres are the user's own."""
        return self.labels != GENRES

    def plain(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        values = self.plane.values.tolist()
        return {
            "folder": escaped(str(self.folder)),
            "model": self.card.id,
            "seconds_of_each_song": self.seconds,
            "wall_seconds": round(self.wall_s, 3),
            "songs": [
                {
                    "song": row.name,
                    "seconds": round(row.seconds, 3),
                    "loudness_lufs": round(row.loudness, 2),
                    "genre": {**asdict(row.genre), "sureness": row.genre.sureness},
                    "mood": asdict(row.mood),
                    "arousal": round(av[0], 4),
                    "valence": round(av[1], 4),
                    "nearest": [asdict(one) for one in row.nearest],
                }
                for row, av in zip(self.rows, values, strict=True)
            ],
            "queries": {
                text: [asdict(hit) for hit in found] for text, found in self.queries.items()
            },
            "left_out": [asdict(one) for one in self.left_out],
        }


def process(
    folder: Path,
    found: Found,
    model: DemoModel,
    *,
    labels: Sequence[str] = GENRES,
    queries: Sequence[str] = (),
    seconds: float,
    progress: Progress,
) -> Findings:
    """Return what the model makes of the songs of a folder.

    Parameters
    ----------
    labels
        Genres, at least two.
    queries
        Captions to search the songs by.
    seconds
        Taken from the middle of each song.

    Raises
    ------
    DataError
        If no song can be used; the first ten are named.
    """
    started = time.perf_counter()
    songs, parts, left_out = _embedded(found, model, seconds=seconds, progress=progress)
    if not songs:
        ten = "\n".join(f"  {one.name}: {one.reason}" for one in left_out[:10])
        raise DataError(f"{folder}: none of its audio files can be used:\n{ten}")
    joint, vectors = model.joint, Vectors(tuple(song.name for song in songs), tuple(parts))
    columns = zip(
        songs,
        answers(joint, vectors, labels, GENRE_WORDINGS),
        answers(joint, vectors, MOODS, MOOD_WORDINGS),
        nearest(vectors),
        strict=True,
    )
    return Findings(
        folder=folder,
        rows=[
            Row(song.name, song.seconds, song.loudness, song.excerpt, genre, mood, near)
            for song, genre, mood, near in columns
        ],
        plane=plane(joint, vectors, [song.loudness for song in songs]),
        queries={text: hits(joint, vectors, text) for text in queries or QUERIES},
        asked=bool(queries),
        labels=tuple(labels),
        left_out=[*found.left_out, *left_out],
        n_other=found.n_other,
        seconds=seconds,
        wall_s=time.perf_counter() - started,
        card=joint.card,
        tags=model.tags,
    )


def _embedded(
    found: Found, model: DemoModel, *, seconds: float, progress: Progress
) -> tuple[list[Song], list[np.ndarray[Any, Any]], list[LeftOut]]:
    """Return the songs, the unit vectors of each one's parts, and what could not be used."""
    songs, parts, left_out = [], [], []
    rate = model.joint.sample_rate
    for song in read(found.songs, sample_rate=rate, seconds=seconds, progress=progress):
        if isinstance(song, LeftOut):
            left_out.append(song)
            continue
        try:
            with naming(f"{model.joint.card.id}: embed_audio of {song.name}"):
                vectors = model.joint.embed_audio(song.parts)
        except ClipError as error:
            left_out.append(LeftOut(song.name, str(error)))
            continue
        parts.append(np.asarray(vectors, np.float64))
        songs.append(song)
    return songs, parts, left_out
