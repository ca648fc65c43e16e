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

from earmark.bench.tasks.musav.truth import BREAKDOWNS
from earmark.bench.tasks.zero_shot.prompts import ENSEMBLE, MEAN
from earmark.reports.record import files as record_io
from earmark.reports.record.schema import RecordError, RunRecord, Score, TaskResult

if TYPE_CHECKING:
    import pandas as pd

BASELINE_FILE: Final = "baseline.json"
BASELINE_VERSION: Final = 1

KEYS: Final = ("model", "item", "subset", "dimension")
TRUTH: Final = (
    "unit",
    "label",
    "group",
    "rated",
    "truth",
    "triplet_type",
    "n_tags",
    "n_relevant",
    "draws",
)
OUTCOMES: Final = (
    "rank",
    "top_item",
    "reciprocal_rank",
    "predicted",
    "margin",
    "difference",
    "outcome",
)
"""Outcomes beside the columns that are called as a metric is."""
TRUTH_ARRAYS: Final = ("labels", "tags", "classes", "items")


def is_truth(column: str) -> bool:
    """Return whether a column of items comes from the dataset.

    >>> is_truth("gt.ct"), is_truth("recall_at_10")
    (True, False)
    """
    return column in TRUTH or column.split(".")[0] == "gt"


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
    _rows: dict[tuple[str | None, ...], pd.DataFrame] = field(default_factory=dict)

    def task(self, name: str) -> TaskResult | None:
        return next((task for task in self.record.tasks if task.id == name), None)

    def prompts(self, task: str, score: Score) -> list[pd.DataFrame]:
        """Return the items of each prompt, where a score is the mean of a metric over prompts."""
        found = self.task(task)
        if found is None or score.subset != MEAN:
            return []
        subsets = dict.fromkeys(one.subset for one in found.scores if one.model == score.model)
        return [
            self.rows(task, score.model_copy(update={"subset": name}))
            for name in subsets
            if name not in (MEAN, ENSEMBLE)
        ]

    def rows(self, task: str, score: Score) -> pd.DataFrame:
        """Return the items that a score rests on, in the order of their ids."""
        key = (task, score.model, score.subset, score.dimension)
        if key not in self._rows:
            self._rows[key] = rows_of(self.items[task], score)
        return self._rows[key]


def rows_of(items: pd.DataFrame, score: Score) -> pd.DataFrame:
    """Return a table's rows of one model, subset and dimension, in the order of item ids."""
    if not {"model", "item"} <= set(items.columns):
        return items.iloc[:0]
    mask = (items["model"] == score.model).to_numpy()
    if "dimension" in items.columns and score.dimension is not None:
        mask = mask & (items["dimension"] == score.dimension).to_numpy()
    if "subset" in items.columns:
        mask = mask & (items["subset"] == score.subset).to_numpy()
    elif score.subset in items.columns and items[score.subset].dtype == bool:
        mask = mask & items[score.subset].to_numpy()
    elif score.subset in BREAKDOWNS and {"gt", "triplet_type"} <= set(items.columns):
        of_any = (items["triplet_type"] == "global_triplet").to_numpy()
        wanted = of_any if score.subset == BREAKDOWNS[1] else ~of_any
        mask = mask & wanted & items["gt"].to_numpy(bool)
    elif score.subset != "all":
        mask = np.zeros_like(mask)
    return items[mask].sort_values("item", kind="stable").reset_index(drop=True)


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
        truth = {name: truth_digests(items[name], arrays[name]) for name in items}
        return Evidence(folder, record, items, arrays, truth)
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


def truth_digests(items: pd.DataFrame, arrays: Mapping[str, NDArray[Any]]) -> dict[str, str]:
    """Return the digest of each truth column over all items, whatever their order, and arrays."""
    keys = [name for name in ("item", "subset", "dimension") if name in items.columns]
    found = {}
    for column in filter(is_truth, items.columns):
        rows = items[[*keys, column]].drop_duplicates()
        lines = sorted("\x1f".join(map(_text, row)) for row in rows.itertuples(index=False))
        found[column] = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    for name in TRUTH_ARRAYS:
        if name in arrays:
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
