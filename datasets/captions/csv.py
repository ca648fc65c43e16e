"""Captions of one's own: a comma-separated table beside audio.

Layout
------
::

    captions.csv         path,caption or path,caption,split, with this header
    <path>               the audio, relative to the folder, or to that which ``audio`` names

A clip with several captions has several rows. Columns of other names are named by options. Where
there is no column of paths, ``id_column`` names the clips, and the audio of each is the one file
``<id>.<suffix>`` at any depth. Otherwise a clip's id is its path, or what ``id_column`` has.

A path must stay below its folder: one that is absolute, has a part ``..`` or leads out through a
link is refused. One clip in two splits is refused too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

from earmark.datasets.base import Captioned, CardOptions, DataError, Problem, card_of_folder
from earmark.datasets.captions.sheet import (
    Missing,
    Row,
    Sheet,
    assemble,
    faults,
    files_by_stem,
    inside,
    one_file,
)
from earmark.datasets.files.names import escaped, look_alikes, shown
from earmark.datasets.files.text_files import lacking, read_table

FOLDER = "folder"
"""In place of a column of labels: a clip's label is the name of the folder that it is in."""


def load(
    root: Path | str,
    *,
    split: str | None = None,
    table: str = "captions.csv",
    audio: str = ".",
    caption_column: str = "caption",
    path_column: str | None = None,
    id_column: str | None = None,
    split_column: str | None = None,
    unit_column: str | None = None,
    labels: str | None = None,
    missing: Missing = "error",
    **card: Unpack[CardOptions],
) -> Captioned:
    """Open a table of captions, laid out as the module's text says; nothing is decoded.

    Parameters
    ----------
    split
        The rows to take, by the column of splits. None takes all.
    caption_column, id_column
        The columns of captions and of clips' ids; None: a clip's id is its file's name.
    path_column, split_column
        Default: ``path`` and ``split`` where the table has them.
    unit_column
        What is resampled together, e.g. an artist. Default: each clip by itself.
    labels
        A column of labels, or ``folder``: the name of the folder that a clip's audio is in. They
        colour the map of audio and text; nothing is scored by them.

    Raises
    ------
    DataError
        If an option is unknown, a column or split is absent, or :func:`validate` finds a problem.
    """
    columns = _Columns(caption_column, path_column, id_column, split_column, unit_column, labels)
    sheet = _read(Path(root), split, table, audio, columns)
    return assemble(sheet, card_of_folder(root, **card), missing=missing)


def validate(
    root: Path | str,
    *,
    split: str | None = None,
    table: str = "captions.csv",
    audio: str = ".",
    caption_column: str = "caption",
    path_column: str | None = None,
    id_column: str | None = None,
    split_column: str | None = None,
    unit_column: str | None = None,
    labels: str | None = None,
) -> list[Problem]:
    """Return all that is wrong with the table and its audio; the options are those of ``load``.

    Raises
    ------
    DataError
        If the split is not in the table.
    """
    columns = _Columns(caption_column, path_column, id_column, split_column, unit_column, labels)
    sheet = _read(Path(root), split, table, audio, columns)
    return faults(sheet)


@dataclass(frozen=True)
class _Columns:
    """The names of a table's columns; None where there is none."""

    caption: str
    path: str | None
    id: str | None
    split: str | None
    unit: str | None
    label: str | None

    def found_in(self, header: list[str]) -> _Columns:
        """Fill in the columns that are known by their names."""
        others = (self.path, self.id, self.split, self.unit, self.label)
        given = _Columns(self.caption.strip(), *(name and name.strip() for name in others))
        path = given.path or ("path" if "path" in header else None)
        split = given.split or ("split" if "split" in header else None)
        return replace(given, path=path, split=split)

    @property
    def clip(self) -> str:
        """The one that names the clips."""
        return self.id or self.path or "path"

    def needed(self) -> list[str]:
        label = None if self.label == FOLDER else self.label
        names = (self.path or self.clip, self.caption, self.id, self.split, self.unit, label)
        return list(dict.fromkeys(name for name in names if name))


def _read(root: Path, split: str | None, table: str, audio: str, columns: _Columns) -> Sheet:
    place, folder = root / table, root / audio
    header, lines, problems = read_table(place)
    columns = columns.found_in(header)
    if header:
        problems += lacking(place, header, columns.needed())
    of = f"captions of {root}"
    rule = f"rows of {table}{f' with the split {split}' if split else ''}; resampled by "
    rule += columns.unit or "clip"
    rows: list[Row] = []
    if not problems:
        if columns.split is not None:
            problems += _wrong_splits(place, lines, columns.split, columns.clip)
        lines = _of_split(of, lines, split, columns.split)
        found = {} if columns.path else files_by_stem(folder)
        for line, row in lines:
            name = row[columns.clip]
            try:
                path = inside(folder, row[columns.path]) if columns.path else one_file(found, name)
            except DataError as error:
                problems.append(Problem(place, str(error), line))
                continue
            unit = row[columns.unit] or None if columns.unit else None
            label = _label(columns.label, row, path)
            rows.append(Row(line, name, row[columns.caption], path, unit=unit, label=label))
    return Sheet(of, place, folder, split or "all", rule, rows, problems)


def _label(how: str | None, row: dict[str, str], path: Path | None) -> str | None:
    if how == FOLDER:
        return escaped(path.parent.name) if path else None
    return row[how] or None if how else None


def _of_split(
    of: str, lines: list[tuple[int, dict[str, str]]], split: str | None, column: str | None
) -> list[tuple[int, dict[str, str]]]:
    if split is None:
        return lines
    if column is None:
        raise DataError(f"{of}: no column of splits, got split={split!r}; name it by split_column")
    known = sorted({row[column] for _, row in lines} - {""})
    if split.strip() not in known:
        there = ", ".join(map(shown, known))
        raise DataError(f"{of}: no split {split!r}; the column {column} has {there}")
    return [(line, row) for line, row in lines if row[column] == split.strip()]


def _wrong_splits(
    place: Path, lines: list[tuple[int, dict[str, str]]], column: str, clip_column: str
) -> list[Problem]:
    """Return the rows without a split, clips that are in two, and splits that look the same."""
    alike = look_alikes(row[column] for _, row in lines)
    problems = [Problem(place, f"the splits {pair}: write them alike") for pair in alike]
    split_of: dict[str, str] = {}
    for line, row in lines:
        clip, split = row[clip_column], row[column]
        if not split:
            problems.append(Problem(place, f"the split of {clip} is blank", line))
        elif split_of.setdefault(clip, split) != split:
            message = f"{clip} is in the splits {split_of[clip]} and {split}: put it in one"
            problems.append(Problem(place, message, line))
    return problems
