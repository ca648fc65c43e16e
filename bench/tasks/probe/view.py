"""How a reader sees a probe on frozen vectors: chance, its layers, then its classes or its tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from earmark.bench.tasks.labels import view as labels
from earmark.reports import words
from earmark.reports.content import Arrays, Gap, Plot
from earmark.reports.findings.layers import layer_curves
from earmark.reports.findings.task import about_chance
from earmark.reports.record.lookup import headline, select, table
from earmark.reports.record.schema import RunRecord, TaskResult
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
    curves = _layers(task, *chosen)
    if chosen[0] in labels.TAGGING:
        return [*curves, *labels.tags(task, *chosen)]
    return [*curves, *labels.confusions(task, arrays, *chosen)]


def _layers(task: TaskResult, metric: str, subset: str) -> list[Plot | Gap]:
    """Return how the score goes with the layer, of models that have several."""
    word = words.metric(metric)
    scores = select(task.scores, metric=metric, subset=subset)
    return layer_curves(
        table(task, LAYERS, "model", "layer", "value", "low", "high"),
        chosen={one.model: one.value for one in scores},
        chance={one.model: one.chance for one in scores},
        factor=word.factor,
        head=word.head,
    )


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
