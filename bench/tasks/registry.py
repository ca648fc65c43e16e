"""The tasks that a suite can name; each is a class that implements `Task`.

As models and datasets: by a registered name, by an entry point of the group ``earmark.tasks``, or
as ``module:attribute`` or ``path/to/file.py:attribute``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from earmark.bench.scoring.items import Arrays, Measure, TaskItems, UnmeasurableError
from earmark.bench.scoring.statistic import Statistic
from earmark.bench.tasks.task import Task
from earmark.datasets.base import DataError
from earmark.datasets.registry import Registry
from earmark.reports.record.schema import RunRecord, Score, TaskResult
from earmark.reports.view import View

if TYPE_CHECKING:
    import pandas as pd

TASKS = Registry(
    "task",
    "earmark.tasks",
    {
        "av_cross_dataset": "earmark.bench.tasks.av_cross_dataset.task:AVCrossDataset",
        "av_regression": "earmark.bench.tasks.av_regression.task:AVRegression",
        "musav": "earmark.bench.tasks.pairwise.task:MusAVAgreement",
        "pairwise": "earmark.bench.tasks.pairwise.task:PairwiseAgreement",
        "probe": "earmark.bench.tasks.probe.task:Probe",
        "classification": "earmark.bench.tasks.outputs.task:Classification",
        "tagging": "earmark.bench.tasks.outputs.task:Tagging",
        "ranking": "earmark.bench.tasks.outputs.task:Ranking",
        "retrieval": "earmark.bench.tasks.retrieval.task:Retrieval",
        "zero_shot_classification": "earmark.bench.tasks.zero_shot.task:ZeroShotClassification",
        "zero_shot_tagging": "earmark.bench.tasks.zero_shot.task:ZeroShotTagging",
    },
)


@dataclass(frozen=True, slots=True)
class FromFiles:
    """How outputs in files are scored: the task, what opens the truth, and what it can be told."""

    task: str
    truth: str
    options: tuple[str, ...] = ()


FROM_FILES: Mapping[str, FromFiles] = {
    "retrieval": FromFiles("ranking", "relevance-table", ("n_items",)),
    "tags": FromFiles("tagging", "tag-table"),
    "classes": FromFiles("classification", "label-table"),
    "ratings": FromFiles("av_regression", "rated-folder", ("scale",)),
    "pairs": FromFiles("pairwise", "pairwise"),
}
"""By the word that ``earmark score`` calls it."""

_NAMED: dict[str, type[Task]] = {}
"""Tasks by kind that are not registered, and that the user named in this process."""


def load_task(name: str) -> type[Task]:
    """Return the class of a task by its name.

    Raises
    ------
    DataError
        If there is none, it is no task, or its kind is that of another one.
    """
    found: Any = TASKS.factory(name)
    parts = ("kind", "needs", "view", "wanted", "run")
    lacking = [part for part in parts if not hasattr(found, part)]
    if lacking:
        raise DataError(
            f"task {name!r} ({found.__name__}) has no {' and no '.join(lacking)}: a task is a "
            f"class as earmark.bench.tasks.task.Task"
        )
    registered = TASKS.targets()
    if name in registered:
        if found.kind != name:
            raise DataError(f"task {name!r} calls its kind {found.kind!r}: give both one name")
    elif found.kind in registered:
        raise DataError(
            f"task {name!r} calls its kind {found.kind!r}, which is that of "
            f"{registered[found.kind]}: give it a kind of its own"
        )
    else:
        _NAMED[found.kind] = found
    return found  # type: ignore[no-any-return]


def load_tasks(names: Iterable[str] | None) -> None:
    """Make known the tasks that a user names and no package registers; raises as `load_task`."""
    for name in names or ():
        load_task(name)


def open_task(name: str, options: Mapping[str, Any], *, of: str | None = None) -> Task:
    """Return a task with a suite's options; errors call it ``of``."""
    load_task(name)
    made: Task = TASKS.create(name, options, of=of)
    return made


def task_of(kind: str) -> type[Task] | None:
    """Return the task of a record's kind: a registered one, or one named in this process."""
    return load_task(kind) if kind in TASKS.targets() else _NAMED.get(kind)


def items_of(
    result: TaskResult,
    items: pd.DataFrame,
    arrays: Arrays,
    *,
    record: RunRecord | None = None,
    scores: Sequence[Score] | None = None,
) -> TaskItems:
    """Return a result's per-item outcomes with what makes scores of them.

    Parameters
    ----------
    record
        Whose cards say on which scales models predict and sets are rated.
    scores
        Those that the items are of, where the result is another run's.
    """
    task = task_of(result.kind)
    models = [] if record is None else record.models
    datasets = [] if record is None else record.datasets
    return TaskItems(
        _not_installed(result.kind) if task is None else task.measure,
        items,
        arrays,
        result.scores if scores is None else scores,
        derived_subsets={} if task is None else task.derived_subsets,
        headline_subset=result.headline_subset,
        model_scales={one.id: one.av_scale for one in models},
        rating_scale=next((d.rating_scale for d in datasets if d.id == result.dataset), None),
    )


def _not_installed(kind: str) -> Measure:
    def measure(score: Score, rows: Any, arrays: Any, about: Any) -> Statistic:
        raise UnmeasurableError(
            f"no task {kind!r} is installed, which knows how it is scored: install it, or name it "
            f"by --custom-task"
        )

    return measure


class _Views(Mapping[str, View]):
    """The view of each kind; a task is imported when it is asked for."""

    def __getitem__(self, kind: str) -> View:
        if (task := task_of(kind)) is None:
            raise KeyError(kind)
        return task.view

    def __iter__(self) -> Iterator[str]:
        return iter({**TASKS.targets(), **_NAMED})

    def __len__(self) -> int:
        return sum(1 for _ in self)


VIEWS: Mapping[str, View] = _Views()
"""How a reader sees the results of each task."""
