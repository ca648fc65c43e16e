"""Reading MagnaTagATune's two tables: the tags, fast where the file is plain, and the artists."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.base import Problem
from earmark.datasets.files.names import shown
from earmark.datasets.files.text_files import (
    UnreadableError,
    csv_rows,
    header_hint,
    is_whole_number,
    lacking,
    read_rows,
    read_text,
    repeated,
    rows_of,
    with_line_feeds,
)

_PATH = re.compile(r"[0-9a-f]/[^/\\]+\.mp3")


@dataclass(frozen=True)
class Table:
    """``annotations_final.csv`` in the file's order of rows and columns."""

    ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    labels: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))
    """Shape ``(n_clips, n_tags)``."""
    paths: tuple[str, ...] = ()


def read_annotations(path: Path) -> tuple[Table, list[Problem]]:
    """Return the table of tags and all that is wrong with it; the table is empty if anything is."""
    text, problems = _text(path)
    if problems:
        return Table(), problems
    first = text.partition("\n")[0]
    try:
        rows = csv_rows(first, delimiter="\t")
    except UnreadableError:  # quoted, but not separated by tabs
        rows = [(1, first.split("\t"))]
    header = [name.strip() for name in rows[0][1]] if rows else []
    problem = _wrong_header(path, header)
    if problem:
        return Table(), [problem]
    table = _read_plain(text, header)
    if table is None:
        table, problems = _read_any(path, text)
    problems += _wrong_rows(path, table)
    return (Table() if problems else table), problems


def read_artists(path: Path) -> tuple[dict[str, str], list[Problem]]:
    """Return the artist of each clip id; none where the file is absent."""
    if not path.is_file():
        return {}, []
    header, rows, problems = read_rows(path, delimiter="\t")
    if header:
        problems += lacking(path, header, ("clip_id", "artist"))
    if problems:
        return {}, problems
    id_column, artist_column = header.index("clip_id"), header.index("artist")
    return {row[id_column]: row[artist_column] for _, row in rows}, []


def _text(path: Path) -> tuple[str, list[Problem]]:
    if not path.is_file():
        return "", [Problem(path, "no such file; expected MagnaTagATune's own, tab-separated")]
    try:
        return with_line_feeds(read_text(path)), []
    except UnreadableError as error:
        return "", [error.of(path)]


def _wrong_header(path: Path, header: Sequence[str]) -> Problem | None:
    for name in ("clip_id", "mp3_path"):
        if name not in header:
            found = ", ".join(shown(one[:60]) for one in header[:5])
            hint = header_hint(header, [name])
            return Problem(path, f"has no tab-separated column {name}, found {found}, ...{hint}", 1)
    return next(iter(repeated(path, header)), None)


def _read_plain(text: str, header: Sequence[str]) -> Table | None:
    """Read the published form: the block of 0 and 1 as bytes, instead of 4.9 million fields.

    None where the file is of another form, quoted in part, or has a value that is neither: then
    :func:`_read_any` reads it and says what is wrong.
    """
    n_tags = len(header) - 2
    if header[0] != "clip_id" or header[-1] != "mp3_path" or n_tags < 1:
        return None
    lines = text.removesuffix("\n").split("\n")[1:]
    if not lines or "\r" in text:
        return None
    quote = '"' if lines[0][:1] == '"' else ""
    between = f"{quote}\t{quote}"
    # A field is its digit and what stands between two fields.
    width = n_tags * (1 + len(between))
    ids, paths, blocks = [], [], []
    for line in lines:
        start = line.find("\t") + 1 + len(quote)
        end = start + width
        name, block = line[len(quote) : start - len(between)], line[start:end]
        place = line[end : len(line) - len(quote)]
        if line != f"{quote}{name}{between}{block}{place}{quote}" or len(block) != width:
            return None
        ids.append(name)
        paths.append(place)
        blocks.append(block)
    joined = "".join(blocks)
    if not joined.isascii():
        return None
    cells = np.frombuffer(joined.encode(), np.uint8).reshape(len(lines), n_tags, -1)
    labels = cells[:, :, 0] - ord("0")
    plain = (labels <= 1).all() and (cells[:, :, 1:] == list(between.encode())).all()
    odd = re.compile(r'[\t"]|^\s|\s$')
    if not plain or any(map(odd.search, (*ids, *paths))):
        return None
    return Table(tuple(ids), tuple(header[1:-1]), np.ascontiguousarray(labels), tuple(paths))


def _read_any(path: Path, text: str) -> tuple[Table, list[Problem]]:
    header, rows, problems = rows_of(path, text, delimiter="\t")
    if not header:
        return Table(), problems
    id_column, path_column = header.index("clip_id"), header.index("mp3_path")
    columns = [i for i in range(len(header)) if i not in (id_column, path_column)]
    ids, paths, labels = [], [], []
    for line, row in rows:
        wrong = next((i for i in columns if row[i] not in ("0", "1")), None)
        if wrong is not None:
            message = f"{header[wrong]!r} must be 0 or 1, got {row[wrong]!r}"
            problems.append(Problem(path, message, line))
            continue
        ids.append(row[id_column])
        paths.append(row[path_column])
        labels.append([row[i] == "1" for i in columns])
    table = Table(
        tuple(ids),
        tuple(header[i] for i in columns),
        np.array(labels, np.uint8).reshape(len(ids), len(columns)),
        tuple(paths),
    )
    return table, problems


def _wrong_rows(path: Path, table: Table) -> list[Problem]:
    """Return the rows whose id or path is not one, or is there twice."""
    problems = []
    seen: dict[str, int] = {}
    for line, (name, place) in enumerate(zip(table.ids, table.paths, strict=True), start=2):
        if not is_whole_number(name):
            most = " of at most 18 digits" if name.isdigit() else ""
            message = f"clip_id must be a whole number{most}, got {name!r}"
            problems.append(Problem(path, message, line))
        if not _PATH.fullmatch(place):
            message = f"mp3_path must be like 0/name-30-59.mp3 (folders 0 to f), got {place!r}"
            problems.append(Problem(path, message, line))
        for key in (f"clip_id {name}", f"mp3_path {place}"):
            if key in seen:
                problems.append(Problem(path, f"{key} is there twice, also in {seen[key]}", line))
            seen.setdefault(key, line)
    if not table.ids and not problems:
        problems.append(Problem(path, "has a header and no rows"))
    return problems
