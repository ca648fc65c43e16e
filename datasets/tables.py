"""What is true of items, as one table without audio: labels, tags, or which items a query wants.

For people who have a model's outputs in files and neither the model nor the audio: a challenge's
submissions, the supplement of a paper. Tables are comma-separated with a header.

Labels
    ``item,label``, and ``unit`` where items are resampled together (an artist, a song).
Tags
    ``item``, perhaps ``unit``, and a column of 0 and 1 for each tag.
Relevance
    ``query,item``, a row for each pair that belongs together; or the qrels of TREC
    (``query 0 item grade``, without a header), of which grades above 0 count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from earmark.datasets.base import (
    Clip,
    DataError,
    DatasetCard,
    Problem,
    Tagged,
    card_of_folder,
    fingerprint,
    refuse,
)
from earmark.datasets.files.names import shown
from earmark.datasets.files.text_files import (
    UnreadableError,
    as_number,
    lacking,
    read_table,
    read_text,
)

ITEM, UNIT, LABEL, QUERY = "item", "unit", "label", "query"
SPLIT = "all"
_TREC = (".qrels", ".trec")

Rows = list[tuple[int, dict[str, str]]]


@dataclass(frozen=True, slots=True)
class Labelled:
    """Items with one label each."""

    card: DatasetCard
    clips: Sequence[Clip]
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Relevance:
    """Queries, and the items that each of them wants."""

    card: DatasetCard
    clips: Sequence[Clip]
    """The queries, as what is scored."""
    relevant: tuple[frozenset[str], ...]
    """Of each query, ids of items."""
    items: tuple[str, ...]
    """All items that some query wants, in their order in the file."""
    fingerprint: str


def load_labels(path: Path | str, *, title: str | None = None, id: str | None = None) -> Labelled:
    """Open a table of labels.

    Raises
    ------
    DataError
        If it cannot be read, lacks a column, or has an item twice or without a label.
    """
    path = Path(path)
    rows, problems = _labels(path)
    _refuse(path, problems)
    clips = tuple(
        Clip(row[ITEM], None, label=row[LABEL], unit=row.get(UNIT) or None) for _, row in rows
    )
    content = (f"{clip.id}\t{clip.unit}\t{clip.label}" for clip in clips)
    return Labelled(_card(path, title, id), clips, fingerprint(content))


def load_tags(path: Path | str, *, title: str | None = None, id: str | None = None) -> Tagged:
    """Open a table of tags.

    Raises
    ------
    DataError
        If it cannot be read, has no tag, an item twice, or a cell other than 0 and 1.
    """
    path = Path(path)
    rows, tags, problems = _tags(path)
    _refuse(path, problems)
    labels = np.array([[as_number(row[tag]) for tag in tags] for _, row in rows], np.uint8)
    labels = labels.reshape(len(rows), len(tags))
    clips = tuple(Clip(row[ITEM], None, unit=row.get(UNIT) or None) for _, row in rows)
    content = (
        f"{clip.id}\t{clip.unit}\t{''.join(map(str, row))}"
        for clip, row in zip(clips, labels, strict=True)
    )
    return Tagged(
        card=_card(path, title, id),
        clips=clips,
        tags=tags,
        labels=labels,
        split=SPLIT,
        partitions=(SPLIT,) * len(clips),
        rule="every row of the table",
        fingerprint=fingerprint(["\t".join(tags), *content]),
    )


def load_relevance(
    path: Path | str, *, title: str | None = None, id: str | None = None
) -> Relevance:
    """Open a table of queries and the items that they want, or TREC's qrels.

    Raises
    ------
    DataError
        If it cannot be read, lacks a column, has a blank cell, or says a pair twice.
    """
    path = Path(path)
    rows, problems = _relevance(path)
    _refuse(path, problems)
    relevant: dict[str, list[str]] = {}
    for _, row in rows:
        relevant.setdefault(row[QUERY], []).append(row[ITEM])
    return Relevance(
        card=_card(path, title, id),
        clips=tuple(Clip(name, None) for name in relevant),
        relevant=tuple(frozenset(found) for found in relevant.values()),
        items=tuple(dict.fromkeys(row[ITEM] for _, row in rows)),
        fingerprint=fingerprint(f"{row[QUERY]}\t{row[ITEM]}" for _, row in rows),
    )


def validate(path: Path | str) -> list[Problem]:
    """Return all that is wrong with a table; its columns say what it is a table of."""
    path = Path(path)
    header, _, _ = read_table(path)
    if path.suffix in _TREC or QUERY in header:
        return _relevance(path)[1]
    return _labels(path)[1] if LABEL in header else _tags(path)[2]


def _labels(path: Path) -> tuple[Rows, list[Problem]]:
    header, rows, problems = read_table(path)
    problems += lacking(path, header, (ITEM, LABEL)) if header else []
    if not problems:
        problems += _repeated(path, rows) + _blank(path, rows, (ITEM, LABEL))
    return rows, problems


def _tags(path: Path) -> tuple[Rows, tuple[str, ...], list[Problem]]:
    header, rows, problems = read_table(path)
    problems += lacking(path, header, (ITEM,)) if header else []
    tags = tuple(name for name in header if name not in (ITEM, UNIT))
    if header and not tags:
        problems.append(Problem(path, "has no column of a tag beside item and unit", 1))
    if not problems:
        problems += _repeated(path, rows) + _blank(path, rows, (ITEM,))
        for line, row in rows:
            strange = [tag for tag in tags if as_number(row[tag]) not in (0, 1)]
            for tag in strange:
                found = f"{shown(tag)} of {shown(row[ITEM])} is {shown(row[tag])}"
                problems.append(Problem(path, f"{found}, expected 0 or 1", line))
    return rows, tags, problems


def _relevance(path: Path) -> tuple[Rows, list[Problem]]:
    rows, problems = _qrels(path) if path.suffix in _TREC else _pairs(path)
    if problems:
        return rows, problems
    problems = _blank(path, rows, (QUERY, ITEM))
    seen: set[tuple[str, str]] = set()
    for line, row in rows:
        pair = row[QUERY], row[ITEM]
        if pair in seen:
            twice = f"the pair {shown(pair[0])} with {shown(pair[1])} is there twice"
            problems.append(Problem(path, twice, line))
        seen.add(pair)
    if not rows:
        problems.append(Problem(path, "holds no pair of a query and an item that it wants"))
    return rows, problems


def _pairs(path: Path) -> tuple[Rows, list[Problem]]:
    header, rows, problems = read_table(path)
    return rows, problems + (lacking(path, header, (QUERY, ITEM)) if header else [])


def _qrels(path: Path) -> tuple[Rows, list[Problem]]:
    try:
        lines = read_text(path).splitlines()
    except UnreadableError as error:
        return [], [error.of(path)]
    except OSError as error:
        return [], [Problem(path, error.strerror or str(error))]
    rows: Rows = []
    problems = []
    for number, line in enumerate(lines, start=1):
        parts = line.split()
        if parts and (len(parts) != 4 or np.isnan(as_number(parts[3]))):
            problems.append(Problem(path, "expected: query 0 item grade", number))
        elif parts and as_number(parts[3]) > 0:
            rows.append((number, {QUERY: parts[0], ITEM: parts[2]}))
    return rows, problems


def _repeated(path: Path, rows: Rows) -> list[Problem]:
    first: dict[str, int] = {}
    problems = []
    for line, row in rows:
        if row[ITEM] in first:
            before = f"the item {shown(row[ITEM])} stands in line {first[row[ITEM]]} already"
            problems.append(Problem(path, before, line))
        first.setdefault(row[ITEM], line)
    return problems


def _blank(path: Path, rows: Rows, columns: Sequence[str]) -> list[Problem]:
    return [
        Problem(path, f"has no {column}", line)
        for line, row in rows
        for column in columns
        if not row[column]
    ]


def _refuse(path: Path, problems: Sequence[Problem]) -> None:
    refuse(f"the table {path.name}", problems)


def _card(path: Path, title: str | None, id: str | None) -> DatasetCard:
    if not path.is_file():
        raise DataError(f"no file {path}")
    return card_of_folder(
        path.with_suffix(""),
        id=id,
        title=title,
        licence="not stated",
        citation="",
        source=f"the table {path.name}, which its user gave",
    )
