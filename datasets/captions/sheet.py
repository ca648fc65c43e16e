"""What all sets of captioned clips share: safe paths, assembly, and their faults.

The sets themselves are :mod:`.csv`, :mod:`.manifest`, :mod:`.musiccaps`, :mod:`.song_describer` and
:mod:`.clotho`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath
from typing import Literal, get_args

import numpy as np

from earmark.datasets.base import (
    Captioned,
    Clip,
    DataError,
    DatasetCard,
    Problem,
    audio_files,
    fingerprint,
    first_ten,
    refuse,
    with_origin,
)
from earmark.datasets.files.names import why_absent

Missing = Literal["error", "drop", "keep"]
"""What to do about clips without a file: an error; drop them and their captions; or keep them with
the path None, where only text is wanted. The card says how many there are."""


@dataclass(frozen=True, slots=True)
class Row:
    """One caption of one clip, as a table has it."""

    line: int
    clip: str
    caption: str
    path: Path | None
    """Where the clip's audio should be; None where no file of its name was found."""
    caption_id: str | None = None
    unit: str | None = None
    aspects: tuple[str, ...] = ()
    label: str | None = None
    """What the clip is, e.g. its genre: colours the map of vectors, and is scored by nothing."""


@dataclass(frozen=True)
class Sheet:
    """What a layout's reader found: the rows of the split that was asked for, and the faults."""

    of: str
    """The set and its place, for error messages."""
    table: Path
    audio: Path
    split: str
    rule: str
    rows: Sequence[Row]
    problems: Sequence[Problem]


def inside(root: Path, relative: str) -> Path:
    """Return ``root / relative`` if it stays below the root.

    Raises
    ------
    DataError
        If the path is empty or absolute, has a part ``..``, or leads out through a link.
    """
    windows = PureWindowsPath(relative)
    if not relative.strip() or "\0" in relative:
        raise DataError(f"the path of the audio is blank or not one: {relative!r}")
    if windows.drive or windows.root:
        raise DataError(f"the path {relative!r} is absolute: give it relative to {root}")
    if ".." in windows.parts:
        raise DataError(f"the path {relative!r} leaves {root} by '..': put the audio below it")
    path = root / relative
    if not path.resolve().is_relative_to(root.resolve()):
        raise DataError(f"the path {relative!r} leads out of {root} by a link: copy the audio")
    return path


def files_by_stem(folder: Path) -> dict[str, list[Path]]:
    """Return the audio files at any depth below a folder by name without suffix."""
    found: dict[str, list[Path]] = {}
    for path in audio_files(folder):
        found.setdefault(path.stem, []).append(path)
    return found


def one_file(found: dict[str, list[Path]], *names: str) -> Path | None:
    """Return the file of the first name that there is.

    Raises
    ------
    DataError
        If there are several files of that name.
    """
    for name in names:
        paths = found.get(name, [])
        if len(paths) > 1:
            shown = " and ".join(str(path) for path in paths[:3])
            raise DataError(f"{name} has {len(paths)} files, {shown}: keep one")
        if paths:
            return paths[0]
    return None


def check_missing(missing: str) -> None:
    """Raise :class:`DataError` if the option is not one of :data:`Missing`."""
    if missing not in get_args(Missing):
        known = ", ".join(get_args(Missing))
        raise DataError(f"no missing {missing!r}; expected one of {known}")


def faults(sheet: Sheet) -> list[Problem]:
    """Return all that is wrong with a sheet, missing audio included."""
    absent = _absent(sheet)
    problems = [*sheet.problems, *_wrong_rows(sheet)]
    if absent:
        problems.append(_absence(sheet, absent))
    if not sheet.rows and not problems:
        problems.append(_emptiness(sheet))
    return problems


def assemble(sheet: Sheet, card: DatasetCard, *, missing: Missing) -> Captioned:
    """Return the clips, sorted by id, and their captions, sorted by clip and caption id.

    Raises
    ------
    DataError
        If the option is unknown, or the sheet has faults, no rows, or no audio where it is needed.
    """
    check_missing(missing)
    problems = [*sheet.problems, *_wrong_rows(sheet)]
    absent = set(_absent(sheet))
    n_clips = len({row.clip for row in sheet.rows})
    rows = list(sheet.rows)
    if absent and missing == "error":
        problems.append(_absence(sheet, sorted(absent)))
    elif missing == "drop":
        rows = [row for row in rows if row.clip not in absent]
    if not rows and not problems:
        problems.append(_emptiness(sheet))
    refuse(sheet.of, problems)
    rows = _in_order(rows)
    first = {row.clip: row for row in reversed(rows)}
    names = sorted(first)
    index = {name: i for i, name in enumerate(names)}
    done = "left out with their captions" if missing == "drop" else "kept without audio"
    gone = [f"{len(absent)} of {n_clips} clips have no file: {done}"] if absent else []
    noted = replace(card, notes=(*card.notes, *gone, *_remarks(sheet, rows)))
    return Captioned(
        card=with_origin(noted, sheet.table.parent),
        clips=tuple(
            Clip(
                n,
                None if n in absent else first[n].path,
                label=first[n].label,
                unit=first[n].unit,
            )
            for n in names
        ),
        captions=tuple(row.caption.strip() for row in rows),
        caption_ids=tuple(row.caption_id or "" for row in rows),
        clip_of=np.array([index[row.clip] for row in rows], np.int64),
        split=sheet.split,
        rule=sheet.rule,
        fingerprint=fingerprint(_content(rows)),
        aspects=tuple(first[n].aspects for n in names) if any(r.aspects for r in rows) else (),
    )


def _in_order(rows: Sequence[Row]) -> list[Row]:
    """Sort the rows; captions without an id get one from their place among the clip's captions."""
    count: Counter[str] = Counter()
    named = []
    for row in sorted(rows, key=lambda row: (row.clip, row.caption_id or "", row.caption)):
        count[row.clip] += 1
        named.append(replace(row, caption_id=row.caption_id or f"{row.clip}#{count[row.clip]}"))
    return named


def _content(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        yield json.dumps([row.clip, row.caption_id, row.unit, row.caption.strip(), row.aspects])


def _remarks(sheet: Sheet, rows: Sequence[Row]) -> Iterator[str]:
    clips_of: dict[str, list[str]] = {}
    for row in rows:
        clips_of.setdefault(row.caption.strip(), []).append(row.clip)
    n_clips = len({row.clip for row in rows})
    yield f"split {sheet.split}: {n_clips} clips, {len(rows)} captions"
    shared = [set(clips) for clips in clips_of.values() if len(set(clips)) > 1]
    if shared:
        n_shared = len(set().union(*shared))
        yield (
            f"{len(shared)} caption texts are shared by several clips ({n_shared} clips): "
            f"each of these clips is a right answer"
        )
    repeated = sum(len(clips) - len(set(clips)) for clips in clips_of.values())
    if repeated:
        yield f"{repeated} captions repeat one of the same clip"


def _absent(sheet: Sheet) -> list[str]:
    path_of = {row.clip: row.path for row in sheet.rows}
    return sorted(n for n, path in path_of.items() if path is None or not path.is_file())


def _absence(sheet: Sheet, absent: Sequence[str]) -> Problem:
    n_clips = len({row.clip for row in sheet.rows})
    there = [row.path for row in sheet.rows if row.path and row.clip not in set(absent)]
    message = (
        f"{len(absent)} of {n_clips} clips have no file here: {first_ten(absent)}"
        f"{why_absent(absent, sheet.audio, found=there)}; point audio at their folder, or give "
        f"missing='drop' or, for text alone, 'keep'"
    )
    return Problem(sheet.audio, message)


def _emptiness(sheet: Sheet) -> Problem:
    n_clips = len({row.clip for row in sheet.rows})
    what = f"none of its {n_clips} clips has audio in {sheet.audio}" if n_clips else "is empty"
    return Problem(sheet.table, f"the split {sheet.split!r}: {what}")


def _wrong_rows(sheet: Sheet) -> Iterator[Problem]:
    """Yield blank ids and captions, and ids that do not name one thing."""
    seen: dict[str, Row] = {}
    clip_at: dict[Path, Row] = {}
    captions: dict[str, int] = {}
    for row in sheet.rows:
        if not row.clip.strip():
            yield Problem(sheet.table, "the clip's id is blank", row.line)
        if not row.caption.strip():
            yield Problem(sheet.table, f"the caption of {row.clip} is blank", row.line)
        other = seen.setdefault(row.clip, row)
        for what, mine, its in (
            ("file", row.path, other.path),
            ("unit", row.unit, other.unit),
            ("aspects", row.aspects, other.aspects),
        ):
            if mine != its:
                message = f"{row.clip} has the {what} {mine}, and {its} in line {other.line}"
                yield Problem(sheet.table, message, row.line)
        other = row if row.path is None else clip_at.setdefault(row.path, row)
        if other.clip != row.clip:
            message = f"{row.clip} and {other.clip} (line {other.line}) are the same file"
            yield Problem(sheet.table, f"{message} {row.path}: give them one id", row.line)
        if row.caption_id is not None:
            line = captions.setdefault(row.caption_id, row.line)
            if line != row.line:
                message = f"caption id {row.caption_id} is there twice, also in line {line}"
                yield Problem(sheet.table, message, row.line)
