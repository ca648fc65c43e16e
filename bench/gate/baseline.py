"""Baselines in a repository: scores, per-item outcomes and digests, and nothing of third parties.

A baseline is a folder like a run record's, so that one reader serves both, with ``baseline.json``
beside ``run.json``: why it was written, and digests of the truth. Texts, labels and ratings are
left out; item ids, outcomes of models and names of models stay.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from earmark.bench.gate.evidence import (
    BASELINE_FILE,
    BASELINE_VERSION,
    Evidence,
    truth_of,
)
from earmark.bench.scoring.items import KEYS
from earmark.bench.tasks.registry import task_of
from earmark.reports.record import files as record_io
from earmark.reports.record.schema import RecordError, RunRecord, TaskResult

if TYPE_CHECKING:
    import pandas as pd
from dataclasses import dataclass
from importlib.resources import files

from earmark.bench.gate.policy import PolicyError


def write_baseline(run: Evidence, folder: Path | str, *, reason: str) -> Path:
    """Write a run as the baseline in ``folder``, in place of the one that is there.

    Raises
    ------
    RecordError
        If there is no reason, nothing to gate, the run or the working tree has uncommitted changes,
        the folder holds something else, or the disk refuses; what was there then stays as it was.
    """
    place = Path(folder)
    _check(run, reason)
    if place.exists() and not (place / BASELINE_FILE).is_file():
        raise RecordError(
            f"{place} is there and no baseline (it has no {BASELINE_FILE}), so it is not replaced: "
            f"give another folder with --out, or move it away"
        )
    record, items, arrays = _stripped(run)
    work = place.parent / f".{place.name}.{secrets.token_hex(4)}.partial"
    try:
        written = record_io.write(record, items=items, arrays=arrays, runs_folder=work)
        run_file = (written / record_io.RUN_FILE).read_bytes()
        note = {
            "baseline_version": BASELINE_VERSION,
            "reason": reason.strip(),
            "run": run.record.id,
            "git_commit": run.record.environment.git_commit,
            "run_sha256": hashlib.sha256(run_file).hexdigest(),
            "truth": run.truth,
        }
        _save(written / BASELINE_FILE, json.dumps(note, indent=1) + "\n")
        _exchange(written, place, work / "former")
    except OSError as error:
        raise RecordError(
            f"baseline {place} could not be written: {error.strerror or error}; the earlier one "
            f"was left as it was"
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return place


def _check(run: Evidence, reason: str) -> None:
    if not reason.strip():
        raise RecordError("a baseline needs a reason, for whoever finds it changed: --reason TEXT")
    if run.reason is not None:
        raise RecordError(f"{run.folder} is a baseline already; give the run it is to be made of")
    if not run.record.tasks:
        raise RecordError(f"{run.folder} has no task: there is nothing to hold a run against")
    if run.record.environment.git_dirty:
        raise RecordError(
            f"{run.folder} was made from a dirty tree ({run.record.environment.git_commit} with "
            f"uncommitted changes), so nobody could make it again: commit, run again, then update"
        )


def _exchange(new: Path, place: Path, former: Path) -> None:
    """Put a folder in another's place; if that fails, the former one is put back."""
    if not place.exists():
        new.rename(place)
        return
    place.rename(former)
    try:
        new.rename(place)
    except OSError:
        former.rename(place)
        raise


def _save(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _stripped(
    run: Evidence,
) -> tuple[RunRecord, dict[str, pd.DataFrame], dict[str, dict[str, NDArray[Any]]]]:
    """Return the record, items and arrays without texts, labels and what figures alone need."""
    arrays = {task.id: _own_arrays(run.arrays[task.id]) for task in run.record.tasks}
    tasks = [_bare(task, list(arrays[task.id])) for task in run.record.tasks]
    items = {task.id: _own_columns(task, run.items[task.id]) for task in run.record.tasks}
    models = [one.model_copy(update={"training": None}) for one in run.record.models]
    record = run.record.model_copy(
        update={
            "command": [_without_folders(word) for word in run.record.command],
            "models": models,
            "tasks": tasks,
            "files": {},
        }
    )
    return record, items, {name: group for name, group in arrays.items() if group}


def _without_folders(word: str) -> str:
    """Return an argument without the folders of whoever made the run; ``--out=/a/b`` as well."""
    head, equals, path = word.rpartition("=")
    return head + equals + Path(path).name if Path(path).is_absolute() else word


def _bare(task: TaskResult, arrays: list[str]) -> TaskResult:
    """Return a task with its scores; tables and problems may quote captions and tags.

    How its models compare with each other is the run's matter, and makes a third of the record.
    """
    left_out = ("comparisons", "groups", "tables", "problems", "warnings")
    return task.model_copy(update={"arrays": arrays} | {name: [] for name in left_out})


def _own_columns(task: TaskResult, items: pd.DataFrame) -> pd.DataFrame:
    kind = task_of(task.kind)
    if kind is None:
        raise RecordError(
            f"{task.id}: no task {task.kind!r} is installed, which knows what of its items is the "
            f"models' own: install it, then write the baseline"
        )
    own = {*KEYS, *kind.outcomes, *(score.metric for score in task.scores)} - kind.truth
    return items[[column for column in items.columns if column in own]]


def _own_arrays(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the scores of tags; of what is truth only the items' order, by digest and id."""
    scores = {name: values for name, values in arrays.items() if name.startswith("scores.")}
    order = {"items": np.asarray(arrays["items"])} if scores and "items" in arrays else {}
    return scores | order


def completed(baseline: Evidence, candidate: Evidence) -> Evidence:
    """Return a baseline with the truth that it left out, from a candidate that has the same.

    Only to be used after the digests of the truth were compared, and the item sets.
    """
    items, arrays = {}, {}
    for task in baseline.record.tasks:
        name, table = task.id, baseline.items[task.id]
        if name not in candidate.items:
            items[name], arrays[name] = table, baseline.arrays[name]
            continue
        truth_columns = truth_of(task.kind)
        full = candidate.items[name]
        keys = [key for key in KEYS if key != "model" and key in full.columns]
        lacking = [c for c in full.columns if c in truth_columns and c not in table.columns]
        if lacking and set(keys) <= set(table.columns):
            truth = full[[*keys, *lacking]].drop_duplicates(keys)
            table = table.merge(truth, on=keys, how="left", validate="many_to_one")
        items[name] = table
        borrowed = {
            k: v for k, v in candidate.arrays[name].items() if f"arrays/{k}" in truth_columns
        }
        arrays[name] = borrowed | dict(baseline.arrays[name])
    return Evidence(
        baseline.folder, baseline.record, items, arrays, baseline.truth, baseline.reason
    )


@dataclass(frozen=True, slots=True)
class Baseline:
    """A suite's baseline and what is asked of a run beside it."""

    suite: str
    baseline: Path
    policy: Path


def shipped_baselines() -> Path:
    """Return the folder of the baselines that come with Earmark."""
    return Path(str(files("earmark.bench.baselines")))


def baseline_for(suite: str, folder: Path) -> Baseline | None:
    """Return what a suite's run is held against; None where no baseline of it is kept.

    Raises
    ------
    RecordError
        If there is no such folder.
    PolicyError
        If there is a baseline without a policy.
    """
    if not folder.is_dir():
        raise RecordError(f"no folder of baselines at {folder}: see earmark baseline update --out")
    kept = Baseline(suite, folder / suite, folder / f"{suite}.toml")
    if not kept.baseline.exists():
        return None
    if not kept.policy.exists():
        raise PolicyError(
            f"the baseline {kept.baseline} has no policy: write {kept.policy}, or go on without "
            f"the gate (--no-gate)"
        )
    return kept
