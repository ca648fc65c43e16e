"""Predictions of arousal and valence by song, read from MusAV's JSONL format, CSV or Parquet.

One row a song and model: ``songid``, ``arousal_mean``, ``valence_mean`` and, where a file holds
more than one model or its name is not the model's, ``model``.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from earmark.datasets.base import DataError

COLUMNS = ("songid", "arousal_mean", "valence_mean")


@dataclass(frozen=True, slots=True)
class Predictions:
    """What one model says: ``values[song] == (arousal, valence)``, in the model's own units."""

    model: str
    path: Path
    digest: str
    """sha256 of the file's bytes."""
    values: Mapping[str, tuple[float, float]]


@dataclass(slots=True)
class _Faults:
    """Everything wrong with a file, so that one error can tell all of it."""

    path: Path
    found: list[str] = field(default_factory=list)

    def add(self, place: str, what: str) -> None:
        self.found.append(f"{place}: {what}")

    def raise_if_any(self) -> None:
        if not self.found:
            return
        shown = "\n  ".join(self.found[:10])
        more = len(self.found) - 10
        tail = f"\n  and {more} more" if more > 0 else ""
        raise DataError(
            f"{self.path}: {len(self.found)} faulty rows, expected one row a song and model with "
            f"{', '.join(COLUMNS)} (finite numbers):\n  {shown}{tail}"
        )


def read_predictions(path: Path | str) -> list[Predictions]:
    """Read one file of predictions, one entry a model in it.

    Raises
    ------
    DataError
        If the file is absent, of an unknown kind, empty, or any row is unreadable, lacks a column,
        is not finite or is there twice: the first ten are listed, and how many there are.
    """
    path = Path(path)
    readers = {".jsonl": _jsonl, ".json": _jsonl, ".csv": _csv, ".parquet": _parquet}
    if path.suffix.lower() not in readers:
        raise DataError(
            f"{path}: predictions are read from {', '.join(readers)}, got {path.suffix!r}"
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"predictions {path}: {error.strerror or error}") from error
    faults = _Faults(path)
    by_model: dict[str, dict[str, tuple[float, float]]] = {}
    for place, row in readers[path.suffix.lower()](path, content, faults):
        _take(row, place, default_model=path.stem, into=by_model, faults=faults)
    faults.raise_if_any()
    if not by_model:
        raise DataError(f"{path}: no predictions in it")
    digest = hashlib.sha256(content).hexdigest()
    return [Predictions(model, path, digest, values) for model, values in by_model.items()]


def _take(
    row: Mapping[str, Any],
    place: str,
    *,
    default_model: str,
    into: dict[str, dict[str, tuple[float, float]]],
    faults: _Faults,
) -> None:
    missing = [column for column in COLUMNS if row.get(column) in (None, "")]
    if missing:
        faults.add(place, f"no {', '.join(missing)}")
        return
    song = str(row["songid"])
    try:
        arousal, valence = float(row["arousal_mean"]), float(row["valence_mean"])
    except (TypeError, ValueError):
        faults.add(
            place,
            f"song {song}: arousal_mean {row['arousal_mean']!r}, valence_mean "
            f"{row['valence_mean']!r} are not numbers",
        )
        return
    if not (math.isfinite(arousal) and math.isfinite(valence)):
        faults.add(place, f"song {song}: arousal {arousal}, valence {valence} is not finite")
        return
    values = into.setdefault(str(row.get("model") or default_model), {})
    if song in values:
        faults.add(place, f"song {song}: there twice for this model")
        return
    values[song] = (arousal, valence)


def _jsonl(path: Path, content: bytes, faults: _Faults) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        place = f"line {number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            faults.add(place, f"not JSON ({error}): {line[:60].decode(errors='replace')}")
            continue
        if isinstance(row, dict):
            yield place, row
        else:
            faults.add(place, f"expected an object, got {line[:60].decode(errors='replace')}")


def _csv(path: Path, content: bytes, faults: _Faults) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error}") from error
    reader = csv.DictReader(text.splitlines())
    _check_columns(path, reader.fieldnames or [])
    for row in reader:
        place = f"line {reader.line_num}"
        if None in row:
            faults.add(place, f"{len(row[None])} more fields than the header has")
        else:
            yield place, row


def _parquet(
    path: Path, content: bytes, faults: _Faults
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(content))
    except pyarrow.ArrowException as error:
        raise DataError(f"{path} is not Parquet: {error}") from error
    _check_columns(path, table.column_names)
    for number, row in enumerate(table.to_pylist()):
        yield f"row {number}", row


def _check_columns(path: Path, found: Any) -> None:
    missing = [column for column in COLUMNS if column not in found]
    if missing:
        raise DataError(
            f"{path}: no column {', '.join(missing)}; expected {', '.join(COLUMNS)} and optionally "
            f"model, found {', '.join(found) or 'none'}"
        )
