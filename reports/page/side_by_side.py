"""Several records as one: models of different runs on the same task stand on one leaderboard.

Results are the same task only where kind, dataset, protocol, metrics and the digests of the items
are all the same; anything else is shown apart, with what differs. What the runs do not hold,
comparisons between their models, comes from a callable of the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from earmark.reports import words
from earmark.reports.record.files import Run
from earmark.reports.record.lookup import headline
from earmark.reports.record.schema import (
    DatasetEntry,
    ModelEntry,
    NotRun,
    Plain,
    RecordError,
    RunRecord,
    TaskResult,
)

if TYPE_CHECKING:
    import pandas as pd

import numpy as np

from earmark.reports.content import Arrays
from earmark.reports.record.lookup import BETWEEN_RUNS, model_of
from earmark.reports.record.schema import (
    Comparison,
    Group,
    Score,
    Table,
)

FREE = {"replicates", "seed"}
"""Parts of a protocol that move an interval's last digit, and no score."""


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Runs as one: ``record`` holds every task and model under its name on the leaderboard."""

    runs: list[Run]
    record: RunRecord
    items: dict[str, pd.DataFrame]
    arrays: dict[str, dict[str, Any]]
    apart: list[str]
    """Why results of one dataset stand on several leaderboards, a sentence each."""
    notes: list[str]
    """What a reader must know of models that are in several runs."""
    origin: dict[str, list[int]]
    """The runs of each model, counted from 1."""


def side_by_side(runs: Sequence[Run], compare: Compare) -> SideBySide:
    """Return the runs as one; ``compare`` is called for each task that several runs share.

    Raises
    ------
    RecordError
        If fewer than two runs are given, or one is given twice.
    """
    ids = [run.record.id for run in runs]
    if len(ids) < 2:
        raise RecordError(f"a leaderboard needs at least two records, got {len(ids)}")
    if twice := sorted({name for name in ids if ids.count(name) > 1}):
        raise RecordError(f"record {', '.join(twice)} is given more than once: give each once")
    names, notes = _names(runs)
    boards: dict[tuple[Any, ...], list[Part]] = {}
    for number, run in enumerate(runs, start=1):
        met: list[tuple[Any, ...]] = []
        for task in run.record.tasks:
            part = renamed_part(number, run, task, names[number - 1])
            identity = _identity(task, run.record)
            # A run that holds one task twice has a board for each.
            boards.setdefault((*identity, met.count(identity)), []).append(part)
            met.append(identity)
    merged = [merged_part(parts, compare) for parts in boards.values()]
    tasks: list[TaskResult] = []
    items: dict[str, Any] = {}
    arrays: dict[str, dict[str, Any]] = {}
    for part, parts in zip(merged, boards.values(), strict=True):
        task = _with_own_name(part.task, [p.run for p in parts], merged, {t.id for t in tasks})
        tasks.append(task)
        items[task.id], arrays[task.id] = part.items, dict(part.arrays)
    origin: dict[str, list[int]] = {}
    for number, of_run in enumerate(names, start=1):
        for name in of_run.values():
            origin.setdefault(name, []).append(number)
    return SideBySide(
        runs=list(runs),
        record=_one_record(runs, tasks, names),
        items=items,
        arrays=arrays,
        apart=_apart(list(boards), list(boards.values())),
        notes=notes,
        origin=origin,
    )


def _names(runs: Sequence[Run]) -> tuple[list[dict[str, str]], list[str]]:
    """Return each run's models by their names here: one name for what is one model."""
    names: list[dict[str, str]] = [{} for _ in runs]
    notes = []
    everywhere = dict.fromkeys(
        model for run in runs for task in run.record.tasks for model in task.models
    )
    for model in everywhere:
        here = [
            number
            for number, run in enumerate(runs)
            if any(model in task.models for task in run.record.tasks)
        ]
        cards = [_card(runs[number].record, model) for number in here]
        listed = words.listed([str(number + 1) for number in here])
        if len(here) == 1:
            names[here[0]][model] = model
        elif all(card == cards[0] for card in cards) and _same_scores(runs, here, model):
            notes.append(f"{model} is in the runs {listed}, with the same weights and scores.")
            for number in here:
                names[number][model] = model
        else:
            why = "cards" if any(card != cards[0] for card in cards) else "scores"
            notes.append(f"{model} has different {why} in the runs {listed}: shown once for each.")
            for number in here:
                names[number][model] = f"{model} (run {number + 1})"
    return names, notes


def _card(record: RunRecord, model: str) -> ModelEntry | None:
    card = next((entry for entry in record.models if entry.id == model), None)
    aside = {"seconds": None, "cost": None, "training": None}
    return card.model_copy(update=aside) if card else None


def _same_scores(runs: Sequence[Run], here: Sequence[int], model: str) -> bool:
    """Return whether a model has one value on every task that its runs share."""
    values: dict[tuple[Any, ...], float | None] = {}
    for number in here:
        record = runs[number].record
        for task in record.tasks:
            board = _identity(task, record)
            for score in task.scores:
                if score.model == model:
                    place = (board, score.metric, score.subset, score.dimension)
                    if values.setdefault(place, score.value) != score.value:
                        return False
    return True


def _shared_protocol(task: TaskResult) -> dict[str, Plain]:
    """Return the protocol without what it says of single models, as ``crop of <model>``."""
    own = tuple(f" of {model}" for model in task.models)
    return {k: v for k, v in task.protocol.items() if k not in FREE and not k.endswith(own)}


def _identity(task: TaskResult, record: RunRecord) -> tuple[Any, ...]:
    dataset = next((entry for entry in record.datasets if entry.id == task.dataset), None)
    sets = {(s.metric, s.subset, s.dimension, s.item_digest) for s in task.scores}
    metrics = {(s.metric, s.higher_is_better, s.lower_bound, s.upper_bound) for s in task.scores}
    return (
        (task.kind, task.dataset),
        dataset.fingerprint if dataset else None,
        frozenset(_shared_protocol(task).items()),
        (headline(task), frozenset(metrics)),
        frozenset(sets),
    )


def _apart(identities: Sequence[tuple[Any, ...]], boards: Sequence[list[Part]]) -> list[str]:
    """Return why boards of one kind and dataset are several."""
    said = []
    for place, identity in enumerate(identities):
        for other in range(place):
            if identities[other][0] != identity[0] or identities[other][:-1] == identity[:-1]:
                continue
            here, there = _runs(boards[place]), _runs(boards[other])
            what = _differences(identities[other], identity)
            said.append(
                f"{boards[place][0].task.title}: {here} and {there} differ in "
                f"{words.listed(what)}, so their models are not ranked together."
            )
    return said


def _runs(parts: Sequence[Part]) -> str:
    numbers = [str(part.run) for part in parts]
    return f"run{'s' if len(numbers) > 1 else ''} {words.listed(numbers)}"


def _differences(one: tuple[Any, ...], other: tuple[Any, ...]) -> list[str]:
    found = []
    if one[1] != other[1]:
        found.append("the files of the dataset (fingerprint)")
    if one[2] != other[2]:
        keys = sorted({str(key) for key, _ in one[2] ^ other[2]})
        found.append(f"protocol ({', '.join(keys)})")
    if one[3] != other[3]:
        found.append("the metrics or the headline")
    if one[4] != other[4]:
        sets = sorted({str(subset) for _, subset, _, _ in one[4] ^ other[4]})
        found.append(f"items (of {', '.join(sets)})")
    return found or ["nothing that the records name"]


def _with_own_name(
    task: TaskResult, runs: Sequence[int], merged: Sequence[Part], taken: set[str]
) -> TaskResult:
    """Return the task under an id and a title that no other has."""
    name, number = task.id, 1
    while name in taken:
        number += 1
        name = f"{task.id[:110]}-{number}"
    title = task.title
    if [part.task.title for part in merged].count(title) > 1:
        listed = words.listed([str(run) for run in runs])
        title = f"{title} (run{'s' if len(runs) > 1 else ''} {listed})"
    return task.model_copy(update={"id": name, "title": title})


def _dated(card: ModelEntry, record: RunRecord) -> ModelEntry:
    """Return the card with the moment of its run on what was measured in it."""
    if card.cost is None or card.cost.measured is not None:
        return card
    return card.model_copy(
        update={"cost": card.cost.model_copy(update={"measured": record.created})}
    )


def _one_card(there: ModelEntry | None, card: ModelEntry, name: str) -> ModelEntry:
    """Return one card for a model of several runs: the first, with the cost of most clips."""
    if there is None:
        return card.model_copy(update={"id": name})
    costs = [cost for cost in (there.cost, card.cost) if cost is not None]
    return there.model_copy(
        update={
            "cost": max(costs, key=lambda cost: cost.clips, default=None),
            "training": there.training or card.training,
        }
    )


def _one_record(
    runs: Sequence[Run], tasks: list[TaskResult], names: Sequence[Mapping[str, str]]
) -> RunRecord:
    """Return a record that holds the tasks and all cards; it is shown and never written."""
    models: dict[str, ModelEntry] = {}
    datasets: dict[str, DatasetEntry] = {}
    not_run: list[NotRun] = []
    for number, (run, of_run) in enumerate(zip(runs, names, strict=True), start=1):
        for card in run.record.models:
            name = of_run.get(card.id, card.id)
            models[name] = _one_card(models.get(name), _dated(card, run.record), name)
        for dataset in run.record.datasets:
            there = datasets.setdefault(dataset.id, dataset)
            if there.fingerprint != dataset.fingerprint:
                name = f"{dataset.id} (run {number})"
                datasets[name] = dataset.model_copy(update={"id": name})
        not_run += [
            NotRun(what=f"run {number}: {part.what}", reason=part.reason)
            for part in run.record.not_run
        ]
    records = [run.record for run in runs]
    newest = max(records, key=lambda record: record.created)
    dirty = any(record.environment.git_dirty for record in records)
    suites = list(dict.fromkeys(record.suite.title for record in records))
    title = suites[0] if len(suites) == 1 else f"Leaderboard of {len(records)} runs"
    return newest.model_copy(
        update={
            "id": f"leaderboard-of-{len(records)}-runs",
            "suite": newest.suite.model_copy(update={"title": title}),
            "environment": newest.environment.model_copy(update={"git_dirty": dirty}),
            "models": list(models.values()),
            "datasets": list(datasets.values()),
            "tasks": tasks,
            "not_run": not_run,
        }
    )


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison of models of several runs found, and how it was made."""

    comparisons: list[Comparison] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    how: list[str] = field(default_factory=list)


Compare = Callable[[TaskResult, "pd.DataFrame", Arrays], Compared]


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
        found = compare(task, table, arrays)
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
