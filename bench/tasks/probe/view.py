"""How a reader sees a probe on frozen vectors: chance, its layers, then its classes or its tags."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from earmark.bench.tasks.labels import view as labels
from earmark.reports import words
from earmark.reports.content import Arrays, Gap, Plot, even_parts, part_of
from earmark.reports.findings.task import about_chance
from earmark.reports.record.lookup import headline, select, table
from earmark.reports.record.schema import Plain, RunRecord, TaskResult
from earmark.reports.view import View

if TYPE_CHECKING:
    import pandas as pd


LAYERS = "Layers"
"""Title of the table that the figure reads."""


def _figures(
    task: TaskResult, items: pd.DataFrame, arrays: Arrays, record: RunRecord
) -> list[Plot | Gap]:
    chosen = headline(task)
    if chosen is None:
        return []
    curves = layer_curves(task, *chosen)
    if chosen[0] in labels.TAGGING:
        return [*curves, *labels.tags(task, *chosen)]
    return [*curves, *labels.confusions(task, arrays, *chosen)]


def layer_curves(task: TaskResult, metric: str, subset: str) -> list[Plot | Gap]:
    """Return how the score goes with the layer, of models that have several."""
    from earmark.reports.figures.lines import LAYERS_PER_FIGURE, layers

    rows = table(task, LAYERS, "model", "layer", "value", "low", "high")
    word = words.metric(metric)
    headlines = {score.model: score for score in select(task.scores, metric=metric, subset=subset)}
    models = [name for name in headlines if any(row["model"] == name for row in rows)]
    parts = even_parts(models, at_most=LAYERS_PER_FIGURE)
    plots: list[Plot | Gap] = []
    for number, part in enumerate(parts, start=1):
        own = [row for row in rows if row["model"] in part]
        columns: dict[str, Any] = {
            "model": [str(row["model"]) for row in own],
            "layer": [str(row["layer"]) for row in own],
            **{
                name: [_times(word.factor, row[name]) for row in own]
                for name in ("value", "low", "high")
            },
        }
        chosen = {
            name: word.factor * found.value
            for name in part
            if (found := headlines[name]).value is not None
        }
        chance = {
            name: word.factor * found.chance
            for name in part
            if (found := headlines[name]).chance is not None
        }
        plots.append(
            Plot(
                title=f"Scores by layer{part_of(number, parts)}",
                caption="Each layer by itself with its 95\N{NO-BREAK SPACE}% interval, from the "
                "audio to the output; line: the headline, whose layers are chosen in every fold "
                "on clips that are not scored.",
                description="Points with interval bars, one panel per model. "
                f"{_told(columns, chosen)}",
                draw=partial(layers, **columns, chosen=chosen, chance=chance, head=word.head),
                data=columns,
            )
        )
    return plots


def _times(factor: float, value: Plain) -> float:
    return factor * float(value) if isinstance(value, int | float) else math.nan


def _told(columns: Mapping[str, Sequence[Any]], chosen: Mapping[str, float]) -> str:
    """Return each model's lowest and highest layer in words, beside its headline."""
    said = []
    for model, headline_value in chosen.items():
        found = [
            (value, layer)
            for name, layer, value in zip(
                columns["model"], columns["layer"], columns["value"], strict=True
            )
            if name == model and math.isfinite(value)
        ]
        if found:
            (low, worst), (high, best) = min(found), max(found)
            said.append(
                f"{model}: from {low:.3g} (layer {worst}) to {high:.3g} (layer {best}), headline "
                f"{headline_value:.3g}."
            )
    return " ".join(said)


VIEW = View(
    noun="clip",
    protocol={
        "probe": {
            "logistic-per-tag": "one logistic regression per tag",
            "multinomial-logistic": "multinomial logistic regression, classes weighted by the "
            "inverse of their frequency",
        },
        "features": {
            "standardised-unit-vectors": "unit vectors, each feature standardised on the clips "
            "fitted on"
        },
        "folds are": {"grouped-and-stratified": "grouped and stratified"},
        "C chosen by": {
            "roc_auc": "macro ROC-AUC",
            "balanced_accuracy": "balanced accuracy",
        },
        "C chosen on": {"inner-folds": "folds within the clips fitted on"},
        "layer": {
            "inner-folds": "in every fold that which is best, with its C, in folds within the "
            "clips fitted on",
            "valid": "that which is best, with its C, on the partition valid",
        },
        "solver": {"lbfgs": "L-BFGS, float64"},
        "chance": {
            "random-order": "what a random order is expected to reach",
            "random-clips": "of as many predictions of each class, of clips at random",
        },
        "scores": {"ranks-within-folds": "ranks within a fold, from 0 to 1, pooled over folds"},
        "interval": {
            "wilson-or-jackknife": "95 %: Wilson score with the design effect of units for means "
            "in [0, 1], otherwise studentised jackknife over units; of the scored clips, the probe "
            "as it was fitted"
        },
    },
    findings=about_chance,
    figures=_figures,
)
