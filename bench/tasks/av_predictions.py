"""Where a task's predictions come from: audio, kept embeddings, or files of predictions."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from earmark.bench.embeddings.embeddings import Embeddings
from earmark.bench.tasks.task import TaskOutput, TaskRun
from earmark.datasets.base import Clip, DataError, first_ten
from earmark.datasets.captions.stored_pairs import read_means
from earmark.datasets.files.names import shown
from earmark.datasets.files.text_files import (
    UnreadableError,
    as_number,
    csv_rows,
    decode,
    header_hint,
    json_lines,
    parse_json,
)
from earmark.models.base import (
    AROUSAL_VALENCE,
    ArousalValenceModel,
    ModelError,
    PatchHead,
    dimensions_of,
    naming,
)
from earmark.reports.record.schema import ItemProblem, NotRun

ByItem = dict[str, tuple[float, ...]]


@dataclass(slots=True)
class AVPredictions:
    """Predictions of several models on one dataset, and how they came about."""

    values: dict[str, ByItem] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    """Model to what its predictions were computed from, in words."""
    problems: list[ItemProblem] = field(default_factory=list)
    not_run: list[NotRun] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    """Model to wall seconds spent in it (for a head: in its embedder)."""


def with_predictions(output: TaskOutput, found: AVPredictions) -> TaskRun:
    """Return a task's run: its output with what was noted while the models were asked."""
    result = output.result.model_copy(
        update={
            "problems": found.problems,
            "not_run": [*output.result.not_run, *found.not_run],
            "warnings": [*output.result.warnings, *found.warnings],
        }
    )
    return TaskRun(replace(output, result=result), found.seconds)


def predict_from_audio(
    models: Mapping[str, Any],
    clips: Sequence[Clip],
    embeddings: Embeddings,
    *,
    any_dimensions: bool = False,
) -> AVPredictions:
    """Return what models say of clips; heads that share an embedder listen once.

    Parameters
    ----------
    any_dimensions
        Whether a model may say something else than arousal and valence.

    Raises
    ------
    ModelError
        If a model is no AV model, or gives something else than finite numbers.
    """
    found = AVPredictions()
    for name, model in models.items():
        if not isinstance(model, PatchHead | ArousalValenceModel):
            raise ModelError(
                f"model {name!r} ({type(model).__name__}) predicts no arousal and valence: it has "
                f"neither predict_av nor predict_av_from_patches"
            )
        if not any_dimensions and (said := dimensions_of(model)) != AROUSAL_VALENCE:
            raise ModelError(
                f"model {name!r} predicts {', '.join(said)}, expected arousal and valence"
            )
        heard = embeddings.av_of(model, clips)
        rows = zip(heard.ids, heard.rows.tolist(), strict=True)
        found.values[name] = {clip_id: tuple(row) for clip_id, row in rows}
        found.sources[name] = "audio"
        found.problems += [one for one in heard.problems if one not in found.problems]
        found.warnings += [text for text in heard.warnings if text not in found.warnings]
        if heard.seconds is not None:
            found.seconds[name] = heard.seconds
    return found


def predict_from_means(name: str, model: Any, path: Path) -> ByItem:
    """Return what a head says of mean embeddings in an npz file with ``songids``, ``embeddings``.

    Raises
    ------
    DataError
        If the file is not as described.
    ModelError
        If the model reads no embeddings, or is not affine, so that its value at the mean embedding
        is not the mean of its values.
    """
    ids, means = read_means(path)
    if not isinstance(model, PatchHead):
        raise ModelError(f"{name} listens to audio itself and reads no embeddings")
    with naming(f"{name}: predict_av_from_means of {path.name}"):
        values = model.predict_av_from_means(means)
        by_item: ByItem = {i: (float(a), float(v)) for i, (a, v) in zip(ids, values, strict=True)}
    _check_finite(name, by_item)
    return by_item


def _check_finite(name: str, values: ByItem) -> None:
    bad = [item for item, pair in values.items() if not np.isfinite(pair).all()]
    if bad:
        raise ModelError(f"{name}: arousal or valence is not finite for {first_ten(bad)}")


@dataclass(frozen=True, slots=True)
class Predictions:
    """What one model says: ``values[song]`` has one of each dimension, in the model's own units."""

    model: str
    path: Path
    digest: str
    """sha256 of the file's bytes."""
    values: Mapping[str, tuple[float, ...]]
    """NaN where the file says nothing of a dimension."""


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns of a file: ``songid`` or ``id``, and one per dimension."""

    dimensions: Sequence[str]
    some: bool
    """Whether one of them is enough."""

    def __str__(self) -> str:
        names = ", ".join(f"{name}_mean" for name in self.dimensions)
        return f"songid and one or more of {names}" if self.some else f"songid, {names}"

    def missing(self, there: Collection[str]) -> list[str]:
        """Return the columns that are not there and must be."""
        own = [name for name in self.dimensions if not {name, f"{name}_mean"} & {*there}]
        if self.some and len(own) < len(self.dimensions):
            own = []
        return ["songid"] * (not {"songid", "id"} & {*there}) + [f"{name}_mean" for name in own]

    def given(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a row says of each dimension; a blank cell says nothing."""
        found = {name: row.get(f"{name}_mean", row.get(name)) for name in self.dimensions}
        return {name: value for name, value in found.items() if not _is_blank(value)}


@dataclass(slots=True)
class _Faults:
    """Everything wrong with a file, so that one error can tell all of it."""

    path: Path
    columns: _Columns
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
            f"{self.columns} (finite numbers):\n  {shown}{tail}"
        )


def read_predictions(
    path: Path | str, dimensions: Sequence[str] = ("arousal", "valence"), *, some: bool = False
) -> list[Predictions]:
    """Read one file of predictions, one entry a model in it.

    Parameters
    ----------
    dimensions
        Each has a column of its name, or ``<dimension>_mean``.
    some
        Whether a file may have only some of them; the others are NaN.

    Raises
    ------
    DataError
        If the file is absent, of an unknown kind, empty, or any row is unreadable, lacks a column,
        is not finite or is there twice: the first ten are listed, and how many there are.
    """
    path = Path(path)
    readers = {".jsonl": _json, ".json": _json, ".csv": _csv, ".parquet": _parquet}
    if path.suffix.lower() not in readers:
        raise DataError(
            f"{path}: predictions are read from {', '.join(readers)}, got {path.suffix!r}"
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"predictions {path}: {error.strerror or error}") from error
    faults = _Faults(path, _Columns(dimensions, some))
    by_model: dict[str, ByItem] = {}
    try:
        for place, row in readers[path.suffix.lower()](content, faults):
            _take(row, place, default_model=path.stem, into=by_model, faults=faults)
    except UnreadableError as error:
        raise DataError(f"predictions {error.of(path)}") from error
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
    into: dict[str, ByItem],
    faults: _Faults,
) -> None:
    columns = faults.columns
    missing = columns.missing([name for name, value in row.items() if not _is_blank(value)])
    if missing:
        faults.add(place, f"no {', '.join(missing)}")
        return
    song_id = next(name for name in ("songid", "id") if not _is_blank(row.get(name)))
    name, model = row[song_id], row.get("model")
    for what, value in ((song_id, name), ("model", model)):
        if isinstance(value, bool) or not isinstance(value, str | int | None):
            faults.add(place, f"{what} is {_short(value)}, expected text or a whole number")
            return
    song = str(name).strip()
    given = columns.given(row)
    numbers = {name: as_number(value) for name, value in given.items()}
    if any(map(math.isnan, numbers.values())):
        said = ", ".join(f"{name} {_short(value)}" for name, value in given.items())
        faults.add(place, f"song {shown(song)}: {said}, expected finite numbers")
        return
    name_of_model = default_model if _is_blank(model) else str(model).strip()
    values = into.setdefault(name_of_model, {})
    if song in values:
        faults.add(place, f"song {shown(song)}: there twice for this model")
        return
    values[song] = tuple(numbers.get(name, math.nan) for name in columns.dimensions)


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text)} characters)"


Rows = Iterator[tuple[str, Mapping[str, Any]]]


def _json(content: bytes, faults: _Faults) -> Rows:
    """Yield the objects of JSON lines, or of one array."""
    text = decode(content)
    of_array = text.lstrip().startswith("[")
    rows = enumerate(parse_json(text), start=1) if of_array else json_lines(text)
    for number, row in rows:
        place = f"{'item' if of_array else 'line'} {number}"
        if isinstance(row, UnreadableError):
            faults.add(place, row.reason)
        elif isinstance(row, dict):
            yield place, row
        else:
            faults.add(place, f"expected an object, got {_short(row)}")


def _csv(content: bytes, faults: _Faults) -> Rows:
    rows = csv_rows(decode(content))
    header = [name.strip() for name in rows[0][1]] if rows else []
    _check_columns(header, faults.columns)
    for line, fields in rows[1:]:
        if len(fields) == len(header):
            yield f"line {line}", dict(zip(header, fields, strict=True))
        else:
            faults.add(f"line {line}", f"expected {len(header)} fields, found {len(fields)}")


def _parquet(content: bytes, faults: _Faults) -> Rows:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(content))
        _check_columns(file.schema_arrow.names, faults.columns)
        rows = file.read().to_pylist()
    except pyarrow.ArrowException as error:
        raise UnreadableError(f"is not Parquet: {error}") from error
    for number, row in enumerate(rows):
        yield f"row {number}", row


def _check_columns(found: Sequence[str], columns: _Columns) -> None:
    twice = [name for name in dict.fromkeys(found) if found.count(name) > 1]
    if twice:
        raise UnreadableError(f"names a column twice: {', '.join(map(shown, twice))}", 1)
    missing = columns.missing(found)
    if missing:
        raise UnreadableError(
            f"no column {', '.join(missing)}; expected {columns} and optionally model, "
            f"found {', '.join(map(shown, found)) or 'none'}{header_hint(found, missing)}"
        )
