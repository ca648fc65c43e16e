"""Writing a run record whole or not at all, and reading it with every doubt spoken.

Conventions
-----------
A record is the folder ``<runs>/<id>/`` of :mod:`earmark.reports.record.schema`. It is built in a
folder ``.<id>.<random>.partial`` beside its place, every file is flushed to the disk, and the
folder is renamed: nobody ever sees half a record. ``run.json`` holds the sha256 of every other
file, and reading one of those verifies it, so files of two runs cannot be mixed up.

Reading ``run.json`` alone imports neither pandas nor pyarrow.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from earmark.reports.record.schema import SCHEMA_VERSION, RecordError, RunRecord

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

RUN_FILE = "run.json"


@dataclass(frozen=True, slots=True)
class Run:
    """A record with its per-item outcomes and its arrays, by task."""

    record: RunRecord
    items: Mapping[str, pd.DataFrame]
    arrays: Mapping[str, Mapping[str, NDArray[Any]]]


def load(run: str | Path) -> Run:
    """Return a record with its per-item outcomes and arrays, each held against its digest.

    Raises
    ------
    RecordError
        If there is no readable record, or a file is not the one that was written with it.
    """
    record = read(run)
    return Run(
        record=record,
        items={task.id: read_items(run, task.id, record=record) for task in record.tasks},
        arrays={
            task.id: read_arrays(run, task.id, record=record)
            for task in record.tasks
            if task.arrays
        },
    )


def items_file(task: str) -> str:
    """Return where the per-item outcomes of a task are, relative to the record's folder."""
    return f"items/{task}.parquet"


def arrays_file(task: str) -> str:
    """Return where the arrays of a task are, relative to the record's folder."""
    return f"arrays/{task}.npz"


def write(
    record: RunRecord,
    *,
    items: Mapping[str, pa.Table | pd.DataFrame],
    arrays: Mapping[str, Mapping[str, NDArray[Any]]],
    runs_folder: str | Path,
) -> Path:
    """Write the record to ``runs_folder/<record.id>/`` and return that folder.

    ``items`` holds one table a task of the record, ``arrays`` the arrays that a task names.

    Raises
    ------
    RecordError
        If a record of this id exists, items or arrays are not those of the record's tasks, or
        the disk refuses (full, read-only); nothing half-made is left behind.
    """
    _check_parts(record, items, arrays)
    place = Path(runs_folder) / record.id
    partial = place.with_name(f".{record.id}.{secrets.token_hex(4)}.partial")
    try:
        if place.exists():
            raise RecordError(
                f"{place} exists: records are never overwritten; give the run another id"
            )
        partial.mkdir(parents=True)
        files = _write_files(partial, items, arrays)
        complete = record.model_copy(update={"files": files})
        _save(partial / RUN_FILE, (_as_json(complete) + "\n").encode())
        _sync_folders(partial)
        partial.rename(place)
        _sync_folder(place.parent)
    except OSError as error:
        raise RecordError(
            f"record {place} could not be written: {error.strerror or error} "
            f"({error.filename or partial}); nothing was left there"
        ) from error
    finally:
        # Gone after the rename; here still after any failure, an interrupt included.
        shutil.rmtree(partial, ignore_errors=True)
    return place


def read(path: str | Path) -> RunRecord:
    """Return the record in this folder, validated; ``path`` may also be its ``run.json``.

    Raises
    ------
    RecordError
        If there is none, its JSON is damaged, its schema is of another version or violated, or
        a file that it names is missing.
    """
    folder = _folder(path)
    file = folder / RUN_FILE
    try:
        text = file.read_bytes()
    except OSError as error:
        raise RecordError(f"no run record at {file}: {error.strerror or error}") from error
    content = _parse(file, text)
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        raise RecordError(
            f"{file} has schema version {version!r}, this Earmark reads version {SCHEMA_VERSION}: "
            f"read it with the Earmark that wrote it ({content.get('earmark_version', 'unknown')})"
        )
    try:
        record = RunRecord.model_validate_json(text)
    except ValidationError as error:
        raise RecordError(f"{file} is not a run record: {_first_errors(error)}") from error
    _check_named_files(folder, record)
    return record


def read_items(path: str | Path, task: str, *, record: RunRecord | None = None) -> pd.DataFrame:
    """Return the per-item outcomes of a task, one row a model, item and dimension.

    ``record`` is what :func:`read` returned, where the caller has it: a large one takes a while.
    """
    import pandas as pd
    import pyarrow as pa

    file = _verified(path, items_file(task), record)
    try:
        return pd.read_parquet(file)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RecordError(f"{file} is not a readable Parquet file: {error}") from error


def read_arrays(
    path: str | Path, task: str, *, record: RunRecord | None = None
) -> dict[str, NDArray[Any]]:
    """Return the arrays of a task by name; empty where the task has none."""
    import numpy as np

    record = record or read(path)
    if any(entry.id == task and not entry.arrays for entry in record.tasks):
        return {}
    file = _verified(path, arrays_file(task), record)
    with np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _folder(path: str | Path) -> Path:
    path = Path(path)
    return path.parent if path.name == RUN_FILE else path


def _check_parts(
    record: RunRecord,
    items: Mapping[str, pa.Table | pd.DataFrame],
    arrays: Mapping[str, Mapping[str, NDArray[Any]]],
) -> None:
    tasks = {task.id: task for task in record.tasks}
    if set(items) != set(tasks):
        raise RecordError(
            f"record {record.id} has the tasks {_listed(tasks)} and was given items of "
            f"{_listed(items)}: give each task one table, with no rows if it has none"
        )
    named = {name: set(task.arrays) for name, task in tasks.items() if task.arrays}
    given = {name: set(group) for name, group in arrays.items() if group}
    if named != given:
        raise RecordError(
            f"record {record.id} names the arrays {_listed_arrays(named)} and was given "
            f"{_listed_arrays(given)}"
        )
    for task, group in arrays.items():
        for name, array in group.items():
            if array.dtype.hasobject:
                raise RecordError(
                    f"array {name} of task {task} holds Python objects: convert it to numbers "
                    f"or fixed-length text"
                )


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(sorted(names)) or "none"


def _listed_arrays(names: Mapping[str, set[str]]) -> str:
    return ", ".join(f"{t}: {' '.join(sorted(group))}" for t, group in sorted(names.items())) or (
        "none"
    )


def _write_files(
    folder: Path,
    items: Mapping[str, pa.Table | pd.DataFrame],
    arrays: Mapping[str, Mapping[str, NDArray[Any]]],
) -> dict[str, str]:
    """Write items and arrays below ``folder``; return the sha256 of each file by its path."""
    import numpy as np
    import pyarrow.parquet as pq

    written = []
    for task, rows in items.items():
        table = _as_table(task, rows)
        with _new_file(folder / items_file(task)) as file:
            pq.write_table(table, file, compression="zstd")
        written.append(items_file(task))
    for task, group in arrays.items():
        if group:
            with _new_file(folder / arrays_file(task)) as file:
                np.savez_compressed(file, allow_pickle=False, **group)
            written.append(arrays_file(task))
    return {name: _sha256(folder / name) for name in sorted(written)}


def _as_json(record: RunRecord) -> str:
    try:
        return record.model_dump_json(indent=1)
    except PydanticSerializationError:
        return RunRecord.model_validate(_escaped(record.model_dump())).model_dump_json(indent=1)


def _escaped(value: Any) -> Any:
    """Return a value whose texts UTF-8 can hold: odd bytes of file names as ``\\udcNN``.

    Backslashes are doubled where something is escaped, so that it can be undone.
    """
    if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
        return value.replace("\\", "\\\\").encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {_escaped(key): _escaped(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(each) for each in value]
    return value


def _as_table(task: str, rows: pa.Table | pd.DataFrame) -> pa.Table:
    import pyarrow as pa

    if isinstance(rows, pa.Table):
        return rows
    try:
        return pa.Table.from_pandas(rows, preserve_index=False)
    except pa.ArrowException as error:
        raise RecordError(
            f"items of task {task} do not fit a table with one type a column: {error}"
        ) from error


@contextmanager
def _new_file(path: Path) -> Iterator[Any]:
    """Open a new binary file, and flush it to the disk when done: a full disk speaks up here."""
    path.parent.mkdir(exist_ok=True)
    with path.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _save(path: Path, content: bytes) -> None:
    with _new_file(path) as file:
        file.write(content)


def _sync_folders(folder: Path) -> None:
    for child in folder.iterdir():
        if child.is_dir():
            _sync_folder(child)
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # pragma: no cover - Windows cannot open a folder, and need not
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parse(file: Path, text: bytes) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except UnicodeDecodeError as error:
        raise RecordError(f"{file} is not UTF-8 at byte {error.start} of {len(text)}") from error
    except RecursionError as error:
        raise RecordError(f"{file} is nested too deep to be a run record") from error
    except json.JSONDecodeError as error:
        ended = error.pos >= len(text.decode().rstrip()) or error.msg.startswith("Unterminated")
        cut = "; the file ends too early" if ended else ""
        raise RecordError(
            f"{file} is not valid JSON at line {error.lineno}, column {error.colno}: "
            f"{error.msg}{cut}; restore it from a copy or run again"
        ) from error
    if not isinstance(content, dict):
        raise RecordError(f"{file} holds a {type(content).__name__}, expected a JSON object")
    return content


def _first_errors(error: ValidationError) -> str:
    faults = error.errors(include_url=False)
    shown = [f"{_place(fault['loc'])}: {fault['msg']}" for fault in faults[:3]]
    more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
    return "; ".join(shown) + more


def _place(location: tuple[int | str, ...]) -> str:
    """Return ``tasks[0].scores[3].value`` from pydantic's tuple.

    >>> _place(("tasks", 0, "scores", 3, "value"))
    'tasks[0].scores[3].value'
    """
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return "".join(parts).removeprefix(".") or "the record"


def _check_named_files(folder: Path, record: RunRecord) -> None:
    expected = {items_file(task.id) for task in record.tasks}
    expected |= {arrays_file(task.id) for task in record.tasks if task.arrays}
    if unlisted := sorted(expected - set(record.files)):
        raise RecordError(f"{folder / RUN_FILE} has no sha256 of {', '.join(unlisted)}")
    if missing := sorted(name for name in record.files if not (folder / name).is_file()):
        raise RecordError(
            f"record {folder} lacks {', '.join(missing)}: restore the files or run again"
        )


def _verified(path: str | Path, name: str, record: RunRecord | None = None) -> Path:
    """Return the file of that name in the record, after comparing its sha256."""
    record, folder = record or read(path), _folder(path)
    if name not in record.files:
        tasks = ", ".join(task.id for task in record.tasks) or "none"
        raise RecordError(f"record {folder} has no {name}; its tasks are {tasks}")
    file = folder / name
    found = _sha256(file)
    if found != record.files[name]:
        raise RecordError(
            f"{file} is not the file written with this record: sha256 {found}, "
            f"expected {record.files[name]}; restore it from a copy or run again"
        )
    return file
