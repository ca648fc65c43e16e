"""What the sets rated for arousal and valence share: columns, numbers, audio, assembly.

The sets are :mod:`.emomusic`, :mod:`.deam`, :mod:`.muse`, :mod:`.pmemo` and, for one's own,
:mod:`.folder`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.base import (
    Clip,
    DataError,
    DatasetCard,
    Floats,
    Problem,
    RatedClips,
    Scale,
    fingerprint,
    first_ten,
    with_origin,
)
from earmark.datasets.captions.sheet import files_by_stem, one_file
from earmark.datasets.files.names import AUDIO_SUFFIXES, shown
from earmark.datasets.files.text_files import as_number, header_hint, is_whole_number, read_table

DIMENSIONS = ("arousal", "valence")


@dataclass(frozen=True, slots=True)
class Rating:
    """One rated clip, as a table has it."""

    id: str
    arousal: float
    valence: float
    deviations: tuple[float, float] | None = None
    label: str | None = None
    unit: str | None = None
    partition: str | None = None


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table that give the id, arousal and valence of each row."""

    id: str
    arousal: str
    valence: str
    deviations: tuple[str, str] | None = None
    """Those of the standard deviation of arousal and of valence."""

    def names(self) -> list[str]:
        """Return all their names."""
        return [self.id, self.arousal, self.valence, *(self.deviations or ())]


Rows = list[tuple[int, dict[str, str]]]
"""Lines of a table and their cells by column."""


def read_columns(path: Path, columns: Sequence[str]) -> tuple[Rows, list[Problem]]:
    """Return the named columns of a CSV file, row by row, without white space around cells.

    White space in the header is not looked at: ``" valence_ max_mean"`` is ``valence_max_mean``.
    """
    header, lines, problems = read_table(path)
    if not header:
        return [], problems
    stands_as: dict[str, list[str]] = {}
    for name in header:
        stands_as.setdefault(_squeezed(name), []).append(name)
    found = {name: stands_as.get(_squeezed(name), []) for name in columns}
    absent = [name for name, names in found.items() if not names]
    if absent:
        columns_there = ", ".join(map(repr, header))
        message = f"has no column {' or '.join(map(repr, absent))}, found columns {columns_there}"
        message += header_hint(header, absent)
        return [], [*problems, Problem(path, message, 1)]
    twice = [names for names in found.values() if len(names) > 1]
    if twice:
        message = f"the columns {' and '.join(map(repr, twice[0]))} differ by white space alone"
        return [], [*problems, Problem(path, message, 1)]
    if not lines and not problems:
        problems.append(Problem(path, "holds a header and no row"))
    names = {name: stands[0] for name, stands in found.items()}
    return [
        (line, {name: row[stands] for name, stands in names.items()}) for line, row in lines
    ], problems


def value_fault(text: str, scale: Scale, *, of: str) -> str | None:
    """Return what is wrong with a rating, e.g. ``arousal of 12``, as a table has it.

    >>> value_fault("9.5", Scale(1, 9), of="arousal of 12")
    'arousal of 12 is 9.5, expected 1 to 9'
    """
    value = as_number(text)
    if math.isnan(value):
        comma = as_number(text.replace(",", ".", 1))
        fix = "" if math.isnan(comma) else f", {comma:g} with a point"
        return f"{of} is {text!r}, expected a number{fix}"
    if not scale.low <= value <= scale.high:
        return f"{of} is {value}, expected {scale.low:g} to {scale.high:g}"
    return None


def ratings_of(
    path: Path, rows: Rows, columns: Columns, scale: Scale
) -> Iterator[Rating | Problem]:
    """Yield a rating or the problems of each row; an id there twice is one."""
    line_of: dict[str, int] = {}
    for line, row in rows:
        name = row[columns.id]
        texts = (row[columns.arousal], row[columns.valence])
        found = [
            value_fault(text, scale, of=f"{kind} of {shown(name)}")
            for kind, text in zip(DIMENSIONS, texts, strict=True)
        ]
        found += [
            f"standard deviation of {shown(name)} is {row[column]!r}, expected a number from 0"
            for column in columns.deviations or ()
            if not as_number(row[column]) >= 0
        ]
        if not name:
            found = ["has no id"]
        elif name in line_of:
            found.append(f"id {shown(name)} is already on line {line_of[name]}")
        line_of.setdefault(name, line)
        messages = [message for message in found if message is not None]
        yield from (Problem(path, message, line) for message in messages)
        if not messages:
            arousal, valence = map(float, texts)
            spread = [as_number(row[column]) for column in columns.deviations or ()]
            deviations = (spread[0], spread[1]) if spread else None
            yield Rating(name, arousal, valence, deviations)


def sort_out(found: Iterable[Rating | Problem], problems: list[Problem]) -> list[Rating]:
    """Return the ratings among what was found; problems go where the others are."""
    ratings = []
    for each in found:
        if isinstance(each, Problem):
            problems.append(each)
        else:
            ratings.append(each)
    return ratings


def artist_unit(name: str) -> str | None:
    """Return what an artist's clips are resampled by, or None for a blank name.

    >>> artist_unit(" Kevin  MACLEOD")
    'kevin macleod'
    """
    return " ".join(name.casefold().split()) or None


def audio_paths(
    ids: Iterable[str], *, of: str, root: Path, usual: Sequence[str], audio: Path | str | None
) -> dict[str, Path]:
    """Return the audio of clips by id: files ``<id>.<suffix>`` at any depth of one folder.

    An id may be a file name itself.

    Parameters
    ----------
    of
        The set, for error messages.
    usual
        The folders that the set's layout has; the first that is there is taken.
    audio
        The folder, if it is another one.

    Raises
    ------
    DataError
        If the folder ``audio`` is absent, or a clip has two files.
    """
    if audio is not None and not Path(audio).is_dir():
        raise DataError(f"{of}: no folder {audio}, expected one with <id>.mp3 in it")
    folders = [Path(audio)] if audio is not None else [root / name for name in usual]
    folder = next((folder for folder in folders if folder.is_dir()), None)
    if folder is None:
        return {}
    found = files_by_stem(folder)
    paths = {name: one_file(found, name, _stem(name)) for name in ids}
    return {name: path for name, path in paths.items() if path is not None}


def assemble(
    ratings: Iterable[Rating],
    card: DatasetCard,
    *,
    root: Path,
    scale: Scale,
    paths: Mapping[str, Path],
    namespace: str = "",
) -> RatedClips:
    """Return the rated clips, sorted by id (numbers as numbers); clips without audio are noted."""
    rows = sorted(ratings, key=lambda row: _place(row.id))
    clips = tuple(Clip(row.id, paths.get(row.id), row.label, row.unit) for row in rows)
    values = np.array([(row.arousal, row.valence) for row in rows], float).reshape(-1, 2)
    partitions = tuple(row.partition for row in rows)
    if not any(partitions):
        partitions = ()
    spread = [row.deviations for row in rows if row.deviations is not None]
    silent = [clip.id for clip in clips if clip.path is None]
    notes = card.notes
    if silent:
        which = "no clip has" if len(silent) == len(clips) else f"{first_ten(silent)} have no"
        notes = (*notes, f"{len(silent)} of {len(clips)} clips without audio: {which} a file here")
    card = with_origin(replace(card, notes=notes), root)
    return RatedClips(
        card=card,
        clips=clips,
        ratings=values,
        scale=scale,
        fingerprint=fingerprint(content(clips, values, scale, partitions)),
        partitions=partitions,
        # Ids that a program gave are nobody else's.
        namespace="" if card.synthetic else namespace,
        deviations=np.array(spread, float) if spread and len(spread) == len(rows) else None,
    )


def content(
    clips: Sequence[Clip],
    ratings: Floats,
    scale: Scale,
    partitions: Sequence[str | None] = (),
) -> Iterator[str]:
    """Yield what the fingerprint of rated clips is taken of."""
    yield f"scale {float(scale.low)!r} {float(scale.high)!r}"
    parts = partitions or [None] * len(clips)
    for clip, (arousal, valence), part in zip(clips, ratings.tolist(), parts, strict=True):
        ending = f"\t{part}" if part else ""
        yield f"{clip.id}\t{arousal!r}\t{valence!r}\t{clip.unit or ''}{ending}"


def subset(rated: RatedClips, keep: NDArray[np.bool_], *, note: str) -> RatedClips:
    """Return some of the clips, in the same order, with a note on the card and a new fingerprint.

    Parameters
    ----------
    keep
        Shape ``(n_clips,)``.

    Raises
    ------
    DataError
        If none would be left.
    """
    if not keep.any():
        raise DataError(f"{rated.card.id}: no clip is left ({note})")
    chosen = np.flatnonzero(keep).tolist()
    clips = tuple(rated.clips[i] for i in chosen)
    partitions = tuple(rated.partitions[i] for i in chosen) if rated.partitions else ()
    ratings = rated.ratings[chosen]
    return replace(
        rated,
        card=replace(rated.card, notes=(*rated.card.notes, note)),
        clips=clips,
        ratings=ratings,
        partitions=partitions,
        deviations=None if rated.deviations is None else rated.deviations[chosen],
        fingerprint=fingerprint(content(clips, ratings, rated.scale, partitions)),
    )


def partition(rated: RatedClips, name: str) -> RatedClips:
    """Return the clips of one partition.

    Raises
    ------
    DataError
        If there is none of that name; the message lists those that there are.
    """
    known = sorted({part for part in rated.partitions if part is not None})
    if name not in known:
        there = f"expected {' or '.join(known)}" if known else "it has no partitions"
        raise DataError(f"{rated.card.id} has no partition {name!r}, {there}")
    keep = np.array([part == name for part in rated.partitions])
    return subset(rated, keep, note=f"partition {name}: {keep.sum()} of {len(keep)} clips")


def values_digest(ratings: Iterable[Rating]) -> str:
    """Return the digest of ids, arousal and valence, whatever else is known of the clips."""
    rows = sorted(ratings, key=lambda row: _place(row.id))
    return fingerprint(f"{row.id}\t{row.arousal!r}\t{row.valence!r}" for row in rows)


def _place(name: str) -> tuple[bool, int, str]:
    return (False, int(name), name) if is_whole_number(name) else (True, 0, name)


def _stem(name: str) -> str:
    path = Path(name)
    return path.stem if path.suffix.lower() in AUDIO_SUFFIXES else name


def _squeezed(name: str) -> str:
    return "".join(name.split())
