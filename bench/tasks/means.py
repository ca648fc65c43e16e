"""The result of a task whose scores are means of its items' outcomes: what a small task needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from earmark.bench.metrics.base import Metric
from earmark.bench.scoring.items import TaskItems, mean_of, table_of
from earmark.bench.scoring.results import (
    chance_references,
    compared_items,
    groups_of,
    resampling,
    score_of,
)
from earmark.bench.tasks.task import Context, Task, TaskOutput, item_digest
from earmark.reports.record.schema import Comparison, Group, Plain, Score, TaskResult

SUBSET = "all"


def output_of_means(
    task: Task,
    context: Context,
    dataset: Any,
    columns: Mapping[str, list[Any]],
    metrics: Sequence[Metric],
    *,
    title: str,
    protocol: Mapping[str, Plain],
    unit: str = "clip",
    **parts: Any,
) -> TaskOutput:
    """Return scores with intervals, paired comparisons of every two models, and groups of them.

    Parameters
    ----------
    columns
        One row per model and item: ``model``, ``item``, ``unit`` (what is resampled together), and
        a column of outcomes per metric, called as the metric is. All models have the same items.
    metrics
        The first is the headline.
    unit
        The word for what is resampled.
    parts
        Further fields of the record's result, e.g. ``problems``.
    """
    items = table_of(columns)
    by_model = dict(list(items.groupby("model", sort=False)))
    scores: list[Score] = []
    comparisons: list[Comparison] = []
    groups: list[Group] = []
    for metric in metrics:
        found = [
            score_of(
                metric,
                mean_of(own, metric.name).estimate(own["unit"].to_numpy()),
                unit=unit,
                model=str(model),
                subset=SUBSET,
                n_items=len(dataset.clips),
                item_digest=item_digest(own["item"]),
            )
            for model, own in by_model.items()
        ]
        pairs = compared_items(
            TaskItems(task.measure, items, {}, found, as_given=True),
            found,
            unit=unit,
            replicates=context.replicates,
            seed=context.seed,
        )
        scores += found
        comparisons += pairs
        groups += groups_of(found, pairs)
    result = TaskResult(
        id=context.task_id,
        kind=task.kind,
        dataset=dataset.card.id,
        title=f"{title}: {dataset.card.title}",
        protocol={
            **protocol,
            **resampling(unit, replicates=context.replicates, seed=context.seed),
        },
        models=[str(model) for model in by_model],
        headline_metric=metrics[0].name,
        headline_subset=SUBSET,
        scores=scores,
        comparisons=comparisons,
        groups=groups,
        references=chance_references(scores),
        **parts,
    )
    return TaskOutput(result, columns)
