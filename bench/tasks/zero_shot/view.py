"""How a reader sees zero-shot classification and tagging: chance, prompts, classes or tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from earmark.bench.tasks.labels import view as labels
from earmark.reports.content import Arrays, Gap, Plot, Text
from earmark.reports.findings.task import about_chance
from earmark.reports.record.lookup import headline
from earmark.reports.record.schema import RunRecord, TaskResult
from earmark.reports.view import View

if TYPE_CHECKING:
    import pandas as pd


def _findings(task: TaskResult, metric: str, subset: str) -> list[Text]:
    return [
        *about_chance(task, metric, subset),
        *labels.about_prompts(task, metric, subset),
    ]


def _classes(
    task: TaskResult, items: pd.DataFrame, arrays: Arrays, record: RunRecord
) -> list[Plot | Gap]:
    chosen = headline(task)
    if chosen is None:
        return []
    return [*labels.prompts(task, chosen[:1]), *labels.confusions(task, arrays, *chosen)]


def _tags(
    task: TaskResult, items: pd.DataFrame, arrays: Arrays, record: RunRecord
) -> list[Plot | Gap]:
    chosen = headline(task)
    if chosen is None:
        return []
    return [*labels.prompts(task, labels.TAGGING), *labels.tags(task, *chosen)]


CLASSIFICATION = View(noun="clip", findings=_findings, figures=_classes)
TAGGING = View(noun="clip", findings=_findings, figures=_tags)
