"""A model's outputs as its user has them in a file: scores per item, ranked lists, similarities.

The model is called as the file is, without its suffix.

Scores
    CSV or Parquet: ``item``, and a column of numbers for each class or tag, by name; or, of
    classes, ``item,label``: the one that was predicted.
Ranked lists
    CSV: ``query,item``, and ``rank`` (1 is best) or ``score`` (higher is better); or the run of
    TREC, ``query Q0 item rank score name`` without a header (``.run``, ``.trec``), of which
    the score decides, and of equal ones the item's name, backwards, as trec_eval does it.
Similarities
    ``.npy``: ``(n_queries, n_items)``, rows and columns as queries and items first come in the
    table of relevance; or ``.npz`` with ``similarity``, ``queries`` and ``items``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.audio import file_digest
from earmark.datasets.base import DataError, Problem, first_ten, refuse
from earmark.datasets.files.names import shown
from earmark.datasets.files.text_files import (
    UnreadableError,
    as_number,
    lacking,
    read_table,
    read_text,
    repeated,
)
from earmark.datasets.tables import ITEM, LABEL, QUERY

Doubles = NDArray[np.float64]
Rows = list[tuple[int, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class ScoresFile:
    """A model's numbers by item."""

    model: str
    path: Path
    values: Mapping[str, Doubles]
    """Of each item, a number per column asked for."""
    unknown: tuple[str, ...]
    """Columns that nobody asked for."""

    def table(self, items: Sequence[str]) -> Doubles:
        """Return the rows of items, ``(n_items, n_columns)``."""
        return np.stack([self.values[item] for item in items])


def by_model(paths: Iterable[str | Path], *, option: str = "predictions") -> dict[str, Path]:
    """Return files by the model that each is of.

    Raises
    ------
    DataError
        If there is none, one is absent, or two are of one model.
    """
    if isinstance(paths, str | Path):
        raise DataError(f"{option} is {str(paths)!r}, expected a list of files")
    found: dict[str, Path] = {}
    for path in map(Path, paths):
        if not path.is_file():
            raise DataError(f"{option}: no file {path}")
        if path.stem in found:
            raise DataError(
                f"{option}: {found[path.stem]} and {path} are both of a model {path.stem!r}; a "
                f"model is called as its file: rename one"
            )
        found[path.stem] = path
    if not found:
        raise DataError(f"{option}: no file of a model's outputs is given")
    return found


def digests(files: Mapping[str, Path]) -> dict[str, str]:
    """Return the sha256 of each model's file."""
    return {model: file_digest(path) for model, path in files.items()}


def read_scores(
    model: str, path: Path, columns: Sequence[str], *, labels: bool = False
) -> ScoresFile:
    """Read a number per item and column.

    Parameters
    ----------
    labels
        Whether the file may have ``label`` instead, the predicted one of the columns.

    Raises
    ------
    DataError
        If the file cannot be read, lacks a column, has an item twice, or a cell that is no finite
        number; the first ten are listed.
    """
    header, rows, problems = _rows(path)
    hard = labels and LABEL in header and not set(columns) & set(header)
    if header:
        problems += lacking(path, header, (ITEM, *([LABEL] if hard else columns)))
    refuse(f"the file {path.name}", problems)
    values: dict[str, Doubles] = {}
    place = {name: number for number, name in enumerate(columns)}
    for line, row in rows:
        item = str(row[ITEM]).strip()
        if not item or item in values:
            what = f"the item {shown(item)} is there twice" if item else "has no item"
            problems.append(Problem(path, what, line))
            continue
        if hard:
            label = str(row[LABEL]).strip()
            if label not in place:
                known = first_ten(list(columns))
                found = f"predicts {shown(label)} for {shown(item)}, expected one of {known}"
                problems.append(Problem(path, found, line))
                continue
            values[item] = np.eye(len(columns))[place[label]]
            continue
        numbers = np.array([as_number(row[name]) for name in columns])
        if bad := np.flatnonzero(~np.isfinite(numbers)).tolist():
            name = columns[bad[0]]
            found = f"{shown(name)} of {shown(item)} is {row[name]!r:.60}, expected a finite number"
            problems.append(Problem(path, found, line))
            continue
        values[item] = numbers
    refuse(f"the file {path.name}", problems)
    own = {ITEM, LABEL, *columns}
    return ScoresFile(model, path, values, tuple(name for name in header if name not in own))


def read_lists(path: Path) -> dict[str, list[str]]:
    """Read ranked lists: items by query, best first.

    Raises
    ------
    DataError
        If the file cannot be read, or an item is in a list twice.
    """
    rows, problems = _trec(path) if path.suffix in (".run", ".trec") else _ranked(path)
    refuse(f"the file {path.name}", problems)
    order: dict[str, list[tuple[Any, str]]] = {}
    seen: set[tuple[str, str]] = set()
    for line, query, item, key in rows:
        if (query, item) in seen:
            found = f"the list of {shown(query)} has {shown(item)} twice"
            problems.append(Problem(path, found, line))
        seen.add((query, item))
        order.setdefault(query, []).append((key, item))
    refuse(f"the file {path.name}", problems)
    lists = {}
    for query, found_items in order.items():
        # trec_eval breaks ties by the item's name, backwards.
        backwards = sorted(found_items, key=lambda one: one[1], reverse=True)
        lists[query] = [item for _, item in sorted(backwards, key=lambda one: one[0])]
    return lists


def read_similarity(path: Path, queries: Sequence[str], items: Sequence[str]) -> Doubles:
    """Read a matrix and return its rows for these queries, ``(n_queries, n_all_items)``.

    The columns of ``items`` come first, then those of other items.

    Raises
    ------
    DataError
        If the file is no matrix of that size, or does not name a query or an item.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} is not a .npy or .npz file of numbers: {error}") from error
    if isinstance(loaded, np.ndarray):
        expected = (len(queries), len(items))
        if loaded.shape != expected:
            raise DataError(
                f"{path} has shape {loaded.shape}, expected {expected}: a row per query and a "
                f"column per item, as they first come in the table of relevance; or a .npz with "
                f"similarity, queries and items"
            )
        return np.asarray(loaded, np.float64)
    absent = [name for name in ("similarity", "queries", "items") if name not in loaded.files]
    if absent:
        raise DataError(f"{path} has no array {absent[0]!r}, found {', '.join(loaded.files)}")
    names = {side: [str(one) for one in loaded[side]] for side in ("queries", "items")}
    table = np.asarray(loaded["similarity"], np.float64)
    if table.shape != (len(names["queries"]), len(names["items"])):
        raise DataError(
            f"{path}: similarity has shape {table.shape}, but there are {len(names['queries'])} "
            f"queries and {len(names['items'])} items"
        )
    rows = _places(path, names["queries"], queries, "query")
    columns = _places(path, names["items"], items, "item")
    others = np.setdiff1d(np.arange(table.shape[1]), columns)
    return table[np.ix_(rows, [*columns, *others])]


def _places(path: Path, names: Sequence[str], wanted: Sequence[str], what: str) -> list[int]:
    place = {name: number for number, name in enumerate(names)}
    absent = [name for name in wanted if name not in place]
    if absent or len(place) < len(names):
        raise DataError(
            f"{path} has no {what} {first_ten(absent)}"
            if absent
            else f"{path} names a {what} twice"
        )
    return [place[name] for name in wanted]


def _rows(path: Path) -> tuple[list[str], Rows, list[Problem]]:
    if path.suffix != ".parquet":
        header, rows, problems = read_table(path)
        return header, [(line, row) for line, row in rows], problems
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        return [], [], [Problem(path, f"is not Parquet: {error}")]
    header = list(table.column_names)
    if twice := repeated(path, header):
        return [], [], twice
    return header, list(enumerate(table.to_pylist(), start=1)), []


Ranked = list[tuple[int, str, str, float]]
"""Line, query, item, and what lists are sorted by, ascending."""


def _ranked(path: Path) -> tuple[Ranked, list[Problem]]:
    header, rows, problems = _rows(path)
    by = next((name for name in ("rank", "score") if name in header), "rank")
    problems += lacking(path, header, (QUERY, ITEM, by)) if header else []
    if problems:
        return [], problems
    found: Ranked = []
    for line, row in rows:
        number = as_number(row[by])
        if np.isnan(number):
            problems.append(Problem(path, f"{by} is {row[by]!r:.60}, expected a number", line))
        query, item = str(row[QUERY]).strip(), str(row[ITEM]).strip()
        found.append((line, query, item, -number if by == "score" else number))
    return found, problems


def _trec(path: Path) -> tuple[Ranked, list[Problem]]:
    try:
        lines = read_text(path).splitlines()
    except UnreadableError as error:
        return [], [error.of(path)]
    found: Ranked = []
    problems = []
    for number, line in enumerate(lines, start=1):
        parts = line.split()
        if not parts:
            continue
        score = as_number(parts[4]) if len(parts) == 6 else np.nan
        if np.isnan(score):
            problems.append(Problem(path, "expected: query Q0 item rank score name", number))
        else:
            found.append((number, parts[0], parts[2], -score))
    return found, problems
