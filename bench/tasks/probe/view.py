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
