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
    header, rows, problems = read_table(path)
    problems += lacking(path, header, (ITEM, LABEL)) if header else []
    _refuse(path, problems)
    problems += _repeated(path, rows) + _blank(path, rows, (ITEM, LABEL))
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
    header, rows, problems = read_table(path)
    problems += lacking(path, header, (ITEM,)) if header else []
    tags = tuple(name for name in header if name not in (ITEM, UNIT))
    if header and not tags:
        problems.append(Problem(path, "has no column of a tag beside item and unit", 1))
    _refuse(path, problems)
    problems += _repeated(path, rows) + _blank(path, rows, (ITEM,))
    labels = np.zeros((len(rows), len(tags)), np.uint8)
    for number, (line, row) in enumerate(rows):
        for column, tag in enumerate(tags):
            value = as_number(row[tag])
            if value not in (0, 1):
                found = f"{shown(tag)} of {shown(row[ITEM])} is {shown(row[tag])}"
                problems.append(Problem(path, f"{found}, expected 0 or 1", line))
            else:
                labels[number, column] = value
    _refuse(path, problems)
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
    rows, problems = _qrels(path) if path.suffix in (".qrels", ".trec") else _pairs(path)
    _refuse(path, problems)
    problems += _blank(path, rows, (QUERY, ITEM))
    relevant: dict[str, dict[str, None]] = {}
    for line, row in rows:
        found = relevant.setdefault(row[QUERY], {})
        if row[ITEM] in found:
            pair = f"{shown(row[QUERY])} with {shown(row[ITEM])}"
            problems.append(Problem(path, f"the pair {pair} is there twice", line))
        found[row[ITEM]] = None
    if not rows:
        problems.append(Problem(path, "holds no pair of a query and an item that it wants"))
    _refuse(path, problems)
    return Relevance(
        card=_card(path, title, id),
        clips=tuple(Clip(name, None) for name in relevant),
        relevant=tuple(frozenset(found) for found in relevant.values()),
        items=tuple(dict.fromkeys(row[ITEM] for _, row in rows)),
        fingerprint=fingerprint(f"{row[QUERY]}\t{row[ITEM]}" for _, row in rows),
    )


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
