"""How a reader sees a probe on frozen vectors: chance, then its classes or its tags."""

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


def _figures(
    task: TaskResult, items: pd.DataFrame, arrays: Arrays, record: RunRecord
) -> list[Plot | Gap]:
    chosen = headline(task)
    if chosen is None:
        return []
    if chosen[0] in labels.TAGGING:
        return labels.tags(task, *chosen)
    return labels.confusions(task, arrays, *chosen)


VIEW = View(noun="clip", findings=about_chance, figures=_figures)
