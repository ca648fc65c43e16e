"""What the gate knows of a run: its record, its per-item outcomes, and digests of its truth.

Columns of the items are of two kinds. *Truth* comes from the dataset (labels, ratings, units,
membership of subsets) and must be the same in both runs. *Outcomes* come from the model. A baseline
that is kept in a repository holds outcomes and digests of the truth alone
(:mod:`earmark.bench.gate.baseline`): the candidate has the truth, and the digests prove that it is
the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from earmark.bench.scoring.items import TaskItems
from earmark.bench.tasks.registry import items_of, task_of
from earmark.reports.record import files as record_io
from earmark.reports.record.schema import RecordError, RunRecord, TaskResult

if TYPE_CHECKING:
    import pandas as pd

BASELINE_FILE: Final = "baseline.json"
BASELINE_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Evidence:
    """One run, read."""

    folder: Path
    record: RunRecord
    items: Mapping[str, pd.DataFrame]
    arrays: Mapping[str, Mapping[str, NDArray[Any]]]
    truth: Mapping[str, Mapping[str, str]]
    """Task to column (or ``arrays/<name>``) to digest."""
    reason: str | None = None
    """Why this was made the baseline, where it is one that was written as such."""
    _items: dict[str, TaskItems] = field(default_factory=dict)

    def task(self, name: str) -> TaskResult | None:
        return next((task for task in self.record.tasks if task.id == name), None)

    def items_of(self, task: TaskResult) -> TaskItems:
        """Return a task's per-item outcomes with what makes scores of them.

        ``task`` may be the other run's result: its headline is the one that both are held to.
        """
        if task.id not in self._items:
            self._items[task.id] = items_of(
                task,
                self.items[task.id],
                self.arrays[task.id],
                record=self.record,
                scores=(self.task(task.id) or task).scores,
            )
        return self._items[task.id]


def truth_of(kind: str) -> frozenset[str]:
    """Return the columns of items, and ``arrays/<name>``, that a kind of task has from datasets."""
    task = task_of(kind)
    return frozenset({"unit"}) if task is None else task.truth


def read_evidence(path: Path | str) -> Evidence:
    """Read a run record, or a baseline.

    Raises
    ------
    RecordError
        If it is not there, damaged, or of another schema version.
    """
    record = record_io.read(path)
    folder = Path(path).parent if Path(path).name == record_io.RUN_FILE else Path(path)
    items = {task.id: record_io.read_items(folder, task.id) for task in record.tasks}
    arrays = {task.id: record_io.read_arrays(folder, task.id) for task in record.tasks}
    note = folder / BASELINE_FILE
    if not note.exists():
        return Evidence(folder, record, items, arrays, digests_of(record, items, arrays))
    kept = _read_note(note)
    found = hashlib.sha256((folder / record_io.RUN_FILE).read_bytes()).hexdigest()
    if kept["run_sha256"] != found:
        raise RecordError(
            f"{folder / record_io.RUN_FILE} is not the file that {note} was written with: write "
            f"the baseline again with earmark baseline update"
        )
    return Evidence(folder, record, items, arrays, kept["truth"], str(kept["reason"]))


def _read_note(note: Path) -> dict[str, Any]:
    try:
        kept = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{note} cannot be read: {error}") from error
    version = kept.get("baseline_version") if isinstance(kept, dict) else None
    if version != BASELINE_VERSION:
        raise RecordError(
            f"{note} has baseline version {version!r}, this Earmark reads version "
            f"{BASELINE_VERSION}: use the Earmark that wrote it, or write the baseline again"
        )
    if missing := {"run_sha256", "truth", "reason"} - kept.keys():
        raise RecordError(f"{note} lacks {', '.join(sorted(missing))}")
    return dict(kept)


def digests_of(
    record: RunRecord,
    items: Mapping[str, pd.DataFrame],
    arrays: Mapping[str, Mapping[str, NDArray[Any]]],
) -> dict[str, dict[str, str]]:
    """Return the digests of each task's truth."""
    return {
        task.id: _truth_digests(items[task.id], arrays[task.id], truth_of(task.kind))
        for task in record.tasks
    }


def _truth_digests(
    items: pd.DataFrame, arrays: Mapping[str, NDArray[Any]], truth: frozenset[str]
) -> dict[str, str]:
    """Return the digest of each truth column over all items, whatever their order, and arrays."""
    keys = [name for name in ("item", "subset", "dimension") if name in items.columns]
    found = {}
    for column in (name for name in items.columns if name in truth):
        rows = items[[*keys, column]].drop_duplicates()
        lines = sorted("\x1f".join(map(_text, row)) for row in rows.itertuples(index=False))
        found[column] = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    for name in sorted(arrays):
        if f"arrays/{name}" in truth:
            values = np.ascontiguousarray(arrays[name])
            content = values.astype(str) if values.dtype.kind == "U" else values
            head = f"{values.dtype.kind} {values.shape} ".encode()
            body = (
                "\x1f".join(content.ravel().tolist()).encode()
                if (values.dtype.kind == "U")
                else content.tobytes()
            )
            found[f"arrays/{name}"] = hashlib.sha256(head + body).hexdigest()
    return found


def _text(value: object) -> str:
    return repr(float(value)) if isinstance(value, (float, np.floating)) else str(value)
