"""How a reader sees outputs that came as files: chance, confusions, scores by tag."""

from __future__ import annotations

from typing import TYPE_CHECKING

from earmark.bench.tasks.labels import view as labels
from earmark.reports.content import Arrays, Gap, Plot
from earmark.reports.findings.task import about_chance
from earmark.reports.record.lookup import headline
from earmark.reports.record.schema import RunRecord, TaskResult
from earmark.reports.view import View

if TYPE_CHECKING:
    import pandas as pd

_PROTOCOL = {"outputs": {"files": "in files, as their users made them; no model was run"}}


def _classes(
    task: TaskResult, items: pd.DataFrame, arrays: Arrays, record: RunRecord
) -> list[Plot | Gap]:
    chosen = headline(task)
    return [] if chosen is None else labels.confusions(task, arrays, *chosen)


def _tags(
    task: TaskResult, items: pd.DataFrame, arrays: Arrays, record: RunRecord
) -> list[Plot | Gap]:
    chosen = headline(task)
    return [] if chosen is None else labels.tags(task, *chosen)


CLASSES = View(
    noun="item",
    protocol=_PROTOCOL | {"ties": {"shared": "classes with equal scores share an item"}},
    findings=about_chance,
    figures=_classes,
)
TAGS = View(
    noun="item",
    protocol=_PROTOCOL | {"ties": {"shared": "equal scores share a threshold"}},
    findings=about_chance,
    figures=_tags,
)
RANKING = View(
    noun="query",
    protocol=_PROTOCOL
    | {
        "several relevant items": {"best-of-n": "best of n", "per-caption": "per caption"},
        "ties": {"expectation": "expectation over all orders of tied items"},
        "items to find": {"of-each-file": "as many as a matrix has; of lists, not known"},
    },
    findings=about_chance,
)
