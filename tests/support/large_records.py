"""Records of many models on many tasks, as tasks leave them, from seeded noise."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from earmark.bench.gate.leaderboard import compare_models
from earmark.reports.record.files import Run
from earmark.reports.record.schema import (
    Cost,
    DatasetEntry,
    Environment,
    Interval,
    ModelEntry,
    RunRecord,
    Score,
    Suite,
    TaskResult,
)

METRICS = ("accuracy", "macro_f1", "balanced_accuracy")
ENVIRONMENT = Environment(
    python="3.12",
    platform="Linux",
    processor="a processor",
    cores=2,
    memory_gib=8,
    gpu=None,
    packages={},
    git_commit="0" * 40,
    git_dirty=False,
)


def runs_of(*, n_runs: int, n_models: int, n_tasks: int, n_items: int = 200) -> list[Run]:
    """Return runs of ``n_models`` models in all, each on every task."""
    parts = np.array_split(
        [f"model-{number:02d}-of-a-laboratory" for number in range(n_models)], n_runs
    )
    return [
        _run(f"run-{at:02d}", list(map(str, part)), n_tasks, n_items)
        for at, part in enumerate(parts)
    ]


def compared(run: Run) -> Run:
    """Return the run with its models compared on every task, as a task does it."""
    tasks = []
    for task in run.record.tasks:
        found = compare_models(task, run.items[task.id], {})
        changes = {"comparisons": found.comparisons, "groups": found.groups}
        tasks.append(task.model_copy(update=changes))
    return Run(run.record.model_copy(update={"tasks": tasks}), run.items, run.arrays)


def _run(name: str, models: list[str], n_tasks: int, n_items: int) -> Run:
    tasks = [_task(number, models, n_items) for number in range(n_tasks)]
    record = RunRecord(
        id=name,
        created="2026-05-04T10:00:00+00:00",
        earmark_version="0.1.0",
        suite=Suite(name="many", title="Many models on many tasks", digest="0" * 64, toml=""),
        command=["earmark", "run", "many.toml"],
        seed=0,
        replicates=1000,
        environment=ENVIRONMENT,
        models=[_model(model) for model in models],
        datasets=[_dataset(number, n_items) for number in range(n_tasks)],
        tasks=[task for task, _ in tasks],
        seconds=1,
    )
    return Run(record, {task.id: items for task, items in tasks}, {})


def _dataset(number: int, n_items: int) -> DatasetEntry:
    return DatasetEntry(
        id=f"set-{number}",
        title=f"Set {number}",
        version="1",
        licence="CC0",
        citation="",
        source="made",
        synthetic=False,
        fingerprint="0" * 64,
        n_items=n_items,
    )


def _model(model: str) -> ModelEntry:
    number = int(model[6:8])
    return ModelEntry(
        id=model,
        version="1",
        weights_digest=hashlib.sha256(model.encode()).hexdigest(),
        licence="MIT",
        citation=f"@misc{{{model}, title = {{Model}}}}",
        training_datasets=[f"set-{number}"],
        crop_policy="centre",
        preprocessing={"sample_rate": 16000},
        cost=Cost(
            clips=200,
            seconds=2 + number,
            device="cpu",
            dtype="float32",
            parameters=10**6 * (1 + number),
            peak_memory_mib=500,
        ),
    )


def _task(number: int, models: list[str], n_items: int) -> tuple[TaskResult, pd.DataFrame]:
    scores, tables = [], []
    for model in models:
        place = int(model[6:8])
        drawn = np.random.default_rng([number, place]).random(n_items)
        right = (drawn < 0.3 + 0.012 * place).astype(float)
        scores += [_score(model, metric, float(right.mean()), n_items) for metric in METRICS]
        item = [f"clip-{place:04d}" for place in range(n_items)]
        columns = {"model": model, "item": item, "unit": item, "subset": "test", "accuracy": right}
        tables.append(pd.DataFrame(columns))
    task = TaskResult(
        id=f"task-{number:02d}",
        kind="probe",
        dataset=f"set-{number}",
        title=f"Linear probe: set {number}",
        protocol={"folds": 5, "seed": 0},
        models=models,
        headline_subset="test",
        headline_metric="accuracy",
        scores=scores,
    )
    return task, pd.concat(tables, ignore_index=True)


def _score(model: str, metric: str, value: float, n: int) -> Score:
    half = 1.96 * (value * (1 - value) / n) ** 0.5
    return Score(
        model=model,
        metric=metric,
        value=value,
        interval=Interval(
            low=value - half,
            high=value + half,
            method="percentile bootstrap",
            unit="clip",
            n_units=n,
            replicates=1000,
        ),
        subset="test",
        n=n,
        n_items=n,
        chance=0.1,
        higher_is_better=True,
        lower_bound=0.0,
        upper_bound=1.0,
        item_digest="0" * 64,
    )
