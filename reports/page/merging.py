"""Results of one task from several runs as one: models renamed, rows joined, each thing once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from earmark.reports import words
from earmark.reports.content import Arrays
from earmark.reports.record.lookup import BETWEEN_RUNS, model_of
from earmark.reports.record.schema import (
    Comparison,
    Group,
    NotRun,
    Plain,
    RunRecord,
    Score,
    Table,
    TaskResult,
)

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Run:
    """A record with its per-item outcomes and its arrays, by task."""

    record: RunRecord
    items: Mapping[str, pd.DataFrame]
    arrays: Mapping[str, Arrays]


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison of models of several runs found, and how it was made."""

    comparisons: list[Comparison] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    how: list[str] = field(default_factory=list)


Compare = Callable[[TaskResult, "pd.DataFrame"], Compared]


@dataclass(frozen=True, slots=True)
class Part:
    """One run's result of a task, its models under their names on the leaderboard."""

    run: int
    task: TaskResult
    items: pd.DataFrame
    arrays: Mapping[str, Any]


def renamed_part(number: int, run: Run, task: TaskResult, names: Mapping[str, str]) -> Part:
    """Return a run's result with its models under their names here."""

    said = {
        "warnings": [f"Run {number}: {warning}" for warning in task.warnings],
        "not_run": [
            NotRun(what=f"run {number}: {part.what}", reason=part.reason) for part in task.not_run
        ],
    }
    if all(names[model] == model for model in names):
        arrays = dict(run.arrays.get(task.id, {}))
        return Part(number, task.model_copy(update=said), run.items[task.id], arrays)

    def renamed(entry: Any, *fields: str) -> Any:
        return entry.model_copy(update={name: names[getattr(entry, name)] for name in fields})

    ends = {f".{model}": f".{name}" for model, name in names.items()}
    protocol = dict(task.protocol)
    for model in task.models:
        for key in [key for key in protocol if key.endswith(f" of {model}")]:
            protocol[key.removesuffix(model) + names[model]] = protocol.pop(key)
    changed = task.model_copy(
        update={
            "models": [names[model] for model in task.models],
            "out_of_fold": [names[model] for model in task.out_of_fold],
            "protocol": protocol,
            "scores": [renamed(score, "model") for score in task.scores],
            "comparisons": [renamed(pair, "model", "other") for pair in task.comparisons],
            "groups": [
                group.model_copy(update={"models": [names[m] for m in group.models]})
                for group in task.groups
            ],
            "tables": [_table_renamed(table, names) for table in task.tables],
        }
        | said
    )
    items = run.items[task.id]
    if "model" in items:
        items = items.assign(model=items["model"].map(lambda model: names.get(model, model)))
    arrays = {
        next((key.removesuffix(end) + ends[end] for end in ends if key.endswith(end)), key): value
        for key, value in run.arrays.get(task.id, {}).items()
    }
    return Part(number, changed, items, arrays)


def _table_renamed(table: Table, names: Mapping[str, str]) -> Table:
    title = table.title
    if (owner := model_of(title, names)) is not None:
        title = title.replace(f" of {owner}", f" of {names[owner]}")
    rows = table.rows
    if "model" in table.columns:
        place = table.columns.index("model")
        rows = [
            [names.get(str(cell), cell) if c == place else cell for c, cell in enumerate(row)]
            for row in rows
        ]
    return table.model_copy(update={"title": title, "rows": rows})


def merged_part(parts: Sequence[Part], compare: Compare) -> Part:
    """Return the results of one task as one; a model that is in several stands once."""
    import pandas as pd

    first = parts[0]
    if len(parts) == 1:
        return first
    models: list[str] = []
    scores: list[Score] = []
    items, warnings = [], []
    arrays = dict(first.arrays)
    for part in parts:
        new = [model for model in part.task.models if model not in models]
        models += new
        scores += [score for score in part.task.scores if score.model in new]
        kept = part.items
        items.append(kept[kept["model"].isin(new)] if "model" in kept else kept)
        if part is first:
            continue
        unlike = [k for k in arrays.keys() & part.arrays.keys() if not _same(arrays[k], part, k)]
        if unlike:
            warnings.append(
                f"No figures of arrays for {words.listed(new)} of run {part.run}: its "
                f"{', '.join(sorted(unlike))} are not those of run {first.run}."
            )
        else:
            arrays |= part.arrays
    task = first.task.model_copy(
        update={
            "models": models,
            "out_of_fold": _once([m for part in parts for m in part.task.out_of_fold]),
            "protocol": _union([part.task.protocol for part in parts]),
            "scores": scores,
            "references": _once([r for part in parts for r in part.task.references]),
            "tables": _tables(parts),
            "problems": _once([p for part in parts for p in part.task.problems]),
            "not_run": [n for part in parts for n in part.task.not_run],
            "warnings": [w for part in parts for w in part.task.warnings] + warnings,
            "arrays": sorted(arrays),
            "comparisons": [],
            "groups": [],
        }
    )
    table = pd.concat(items, ignore_index=True)
    if {model for model in models if model not in first.task.models}:
        found = compare(task, table)
        how = {BETWEEN_RUNS: " ".join(found.how)} if found.how else {}
        protocol = task.protocol | how
        comparisons, groups = found.comparisons, found.groups
    else:
        comparisons, groups = first.task.comparisons, first.task.groups
        protocol = task.protocol
    task = task.model_copy(
        update={"comparisons": comparisons, "groups": groups, "protocol": protocol}
    )
    return Part(first.run, task, table, arrays)


def _same(one: Any, part: Part, key: str) -> bool:
    # The arrays of one model that two runs share are from one set of weights: the first will do.
    if any(key.endswith(f".{model}") for model in part.task.models):
        return True
    other = part.arrays[key]
    return bool(one.shape == other.shape and np.array_equal(one, other))


def _union(protocols: Sequence[Mapping[str, Plain]]) -> dict[str, Plain]:
    """Return the parts of all; of a part that differs, all values."""
    found: dict[str, Plain] = {}
    for key in dict.fromkeys(key for protocol in protocols for key in protocol):
        values = _once([protocol[key] for protocol in protocols if key in protocol])
        found[key] = values[0] if len(values) == 1 else "; ".join(map(str, values))
    return found


def _once(entries: Sequence[Any]) -> list[Any]:
    kept: list[Any] = []
    for entry in entries:
        if entry not in kept:
            kept.append(entry)
    return kept


def _tables(parts: Sequence[Part]) -> list[Table]:
    """Return the tasks' own tables: rows of models joined, others once or named by their run."""
    found: dict[str, Table] = {}
    for part in parts:
        for table in part.task.tables:
            there = found.get(table.title)
            if there is None:
                found[table.title] = table
            elif "model" in table.columns and table.columns == there.columns:
                seen = {tuple(row) for row in there.rows}
                rows = there.rows + [row for row in table.rows if tuple(row) not in seen]
                found[table.title] = there.model_copy(update={"rows": rows})
            elif table != there and model_of(table.title, part.task.models) is None:
                title = f"{table.title} (run {part.run})"
                found[title] = table.model_copy(update={"title": title})
    return list(found.values())
