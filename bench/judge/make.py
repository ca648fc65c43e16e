"""A listening study from a folder of audio: recordings, triplets, listeners, written whole."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from earmark.bench.judge import plan as plans
from earmark.bench.judge.draw import GLOBAL_SHARE, draw_listeners, draw_triplets
from earmark.bench.judge.plan import (
    DEFAULT,
    SECONDS_PER_ANSWER,
    TARGET_LUFS,
    Plan,
    Song,
    Triplet,
    dimensions_of,
)
from earmark.bench.judge.recordings import (
    LOUDNESS_BY,
    SHORTEST_S,
    LeftOut,
    Recording,
    genres_of_folders,
    read_genres,
    read_starts,
    scan,
    sources_of,
)
from earmark.datasets.base import DataError
from earmark.datasets.files.atomic_files import folder_whole, write_whole

FOLDERS = "folders"


@dataclass(frozen=True, slots=True)
class Made:
    """A plan and what is to be known of how it came about."""

    plan: Plan
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]

    @property
    def hours(self) -> float:
        """Of listening, in all: each song of a triplet once, and the time to answer."""
        return hours_of(self.plan.triplets, self.plan)


def hours_of(triplets: Sequence[Triplet], plan: Plan) -> float:
    """Return the hours of listening that triplets cost in all, by all their listeners."""
    seconds = {song.id: song.seconds for song in plan.songs}
    played = sum(seconds[song] for triplet in triplets for song in triplet.songs)
    answers = len(triplets) * 3 * len(plan.dimensions) * SECONDS_PER_ANSWER
    return (played + answers) * plan.annotators / 3600


def make(
    folder: Path | str,
    out: Path | str,
    *,
    genres: Path | str | None = None,
    n_triplets: int | None = None,
    global_share: float = GLOBAL_SHARE,
    annotators: int = 3,
    people: int | None = None,
    dimensions: str = DEFAULT,
    seconds: float = 20.0,
    starts: Path | str | None = None,
    seed: int = 0,
    title: str | None = None,
    licence: str = "not stated",
    citation: str = "",
    progress: Callable[[int, int, str], None] = lambda done, of, what: None,
) -> Made:
    """Write a study of the songs of a folder: its plan, its excerpts, and what was left out.

    Parameters
    ----------
    genres
        A CSV of ``file,genre``; ``folders``: the folder that holds a song; None: not known.
    n_triplets
        None: as many as there are songs for.
    global_share
        Share of triplets whose songs need not share a genre, 0 to 1.
    annotators
        How many different listeners judge each pair.
    people
        Number of listeners; None: as many as ``annotators``.
    dimensions
        Names, or a TOML file (``earmark.bench.judge.plan``).
    seconds
        Length of an excerpt.
    starts
        A CSV of ``file,start``: where the excerpt of a song begins, s; else it is the middle.

    Raises
    ------
    DataError
        If ``out`` holds a study, or the folder does not hold what was asked for.
    """
    folder, out = Path(folder), Path(out)
    refuse_changes(out)
    if not math.isfinite(seconds) or seconds < SHORTEST_S:
        raise DataError(f"an excerpt of {seconds:g} s: expected {SHORTEST_S:g} s at least")
    asked = dimensions_of(dimensions)
    n_people = annotators if people is None else people
    draw_listeners(0, n_listeners=n_people, annotators=annotators)
    sources = sources_of(folder)
    genre_of = {}
    if genres is not None:
        named = str(genres) == FOLDERS
        genre_of = genres_of_folders(sources) if named else read_genres(Path(genres), sources)
    start_of = {} if starts is None else read_starts(Path(starts), sources)
    with folder_whole(out) as partial:
        (partial / plans.EXCERPTS).mkdir()
        songs, left_out = [], []
        for one in scan(folder, seconds=seconds, starts=start_of, progress=progress):
            if isinstance(one, LeftOut):
                left_out.append(one)
                continue
            songs.append(_song(one, genre_of.get(one.source, ())))
            write_whole(partial / plans.EXCERPTS / songs[-1].excerpt, one.mp3)
        drawn, notes = draw_triplets(
            {song.id: song.genres for song in songs},
            n_triplets=n_triplets,
            global_share=global_share,
            seed=seed,
        )
        who = draw_listeners(len(drawn), n_listeners=n_people, annotators=annotators, seed=seed)
        triplets = tuple(
            Triplet(id=one.id, type=one.type, songs=one.songs, listeners=listeners)
            for one, listeners in zip(drawn, who, strict=True)
        )
        used = {song for triplet in triplets for song in triplet.songs}
        for song in songs:
            if song.id not in used:
                (partial / plans.EXCERPTS / song.excerpt).unlink()
        judged = tuple(sorted((s for s in songs if s.id in used), key=lambda song: song.id))
        plan = Plan(
            title=title or folder.resolve().name,
            licence=licence,
            citation=citation,
            created=datetime.now(UTC).date().isoformat(),
            seed=seed,
            dimensions=asked,
            annotators=annotators,
            listeners=tuple(f"listener-{number:03d}" for number in range(1, n_people + 1)),
            target_lufs=target_of(judged),
            loudness_by=LOUDNESS_BY,
            songs=judged,
            triplets=triplets,
        )
        write_whole(partial / plans.LEFT_OUT, _table(left_out))
        plans.write(plan, partial)
    return Made(plan, tuple(left_out), (*_noted(plan, songs), *notes))


def refuse_changes(out: Path) -> None:
    """Refuse to write a plan where one is, or where anything else lies.

    Raises
    ------
    DataError
        Naming what lies there.
    """
    if (out / plans.STORE).exists():
        raise DataError(f"{out}: judging has begun; a second plan is a new folder")
    if (out / plans.PLAN).exists():
        raise DataError(f"{out} holds a plan; a second plan is a new folder, or remove this one")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} is not empty; give a folder that is new or empty")


def target_of(songs: Sequence[Song]) -> float:
    """Return the level that every excerpt can be brought to without clipping, -20 LUFS at most."""
    highest = min(song.lufs - 20 * math.log10(song.peak) for song in songs)
    return min(TARGET_LUFS, math.floor(highest * 10) / 10)


def _song(one: Recording, genres: Sequence[str]) -> Song:
    return Song(
        id=one.id,
        source=one.source,
        excerpt=f"{one.id}.mp3",
        start=one.start,
        seconds=one.seconds,
        lufs=one.lufs,
        peak=one.peak,
        genres=tuple(genres),
    )


def _noted(plan: Plan, songs: Sequence[Song]) -> list[str]:
    notes = []
    if plan.target_lufs < TARGET_LUFS:
        loudest = min(plan.songs, key=lambda song: song.lufs - 20 * math.log10(song.peak))
        notes.append(
            f"players are set to {plan.target_lufs:g} LUFS instead of {TARGET_LUFS:g}: a gain to "
            f"that would clip {loudest.source}"
        )
    if len(songs) > len(plan.songs):
        n = len(songs) - len(plan.songs)
        notes.append(f"{n:,} {'song is' if n == 1 else 'songs are'} in no triplet")
    return notes


def _table(left_out: Sequence[LeftOut]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "reason"])
    writer.writerows([one.source, one.reason] for one in left_out)
    return text.getvalue().encode()
