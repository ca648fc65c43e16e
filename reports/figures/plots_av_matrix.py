"""The figures of trained arousal/valence heads: who learned from what, and what level does."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from earmark.reports import words as formats
from earmark.reports.content import Plot, plain
from earmark.reports.figures import figures_av_gain, figures_av_matrix
from earmark.reports.figures.layout import TALLEST, even_parts, part_of
from earmark.reports.findings.findings_av import GAIN, shifts, under_gain
from earmark.reports.record.lookup import table
from earmark.reports.record.schema import Plain, TaskResult

TITLE = "Trained on, tested on"
"""Of the table of the task ``av_cross_dataset`` that the figure is drawn from."""


def plots_of(task: TaskResult) -> list[Plot]:
    """Return the matrix on as many figures as its models need, and what level does.

    None where a task has neither table.
    """
    return [*_matrices(task), *_gains(task)]


def _matrices(task: TaskResult) -> list[Plot]:
    names = ("model", "tested on", "dimension", "metric", "value", "how")
    rows = table(task, TITLE, *names)
    if not any(row["value"] is not None for row in rows):
        return []
    models = list(dict.fromkeys(str(row["model"]) for row in rows))
    fitting = int((TALLEST - 1.6) / figures_av_matrix.ROW)
    parts = even_parts(models, at_most=fitting)
    plots = []
    for number, part in enumerate(parts, start=1):
        here = [row for row in rows if row["model"] in part]
        if not any(row["value"] is not None for row in here):
            continue
        columns: dict[str, Any] = {
            name.replace(" ", "_"): [r[name] for r in here] for name in names
        }
        columns["value"] = [math.nan if v is None else v for v in columns["value"]]
        n_sets = len(set(columns["tested_on"]))
        plots.append(
            Plot(
                title=f"{TITLE}{part_of(number, parts)}",
                caption="Pearson’s r on rated sets; on MusAV the share of gt’s pairs that are "
                "ordered as the listeners do, in per cent. Darker: farther from chance, at which "
                "and below which a cell is blank. Framed: trained and tested on one set, in "
                "folds; a name is head(training set)@embedding.",
                description=f"A grid of {formats.plural(len(part), 'model')} by "
                f"{formats.plural(n_sets, 'tested set')} for each dimension, a number a cell. The "
                f"table of the same title has all values with their intervals.",
                draw=partial(figures_av_matrix.matrix, **columns),
                data=columns,
            )
        )
    return plots


def _gains(task: TaskResult) -> list[Plot]:
    rows = [row for row in shifts(task) if row["shift (deviations)"] is not None]
    if not rows:
        return []
    columns: dict[str, Any] = {
        "model": [str(row["model"]) for row in rows],
        "dimension": [str(row["dimension"]) for row in rows],
        "gain_db": [row["gain (dB)"] for row in rows],
        "shift": [row["shift (deviations)"] for row in rows],
        "low": [_or_nan(row["shift low"]) for row in rows],
        "high": [_or_nan(row["shift high"]) for row in rows],
    }
    n_models = len(set(columns["model"]))
    told = " ".join(plain(said) for said in under_gain(task))
    return [
        Plot(
            title=GAIN,
            caption="How far predictions move when the same clips are made louder or softer, in "
            "deviations of the model’s predictions without gain, "
            "with 95 % intervals. A model that does not hear level stays at 0.",
            description=f"Lines of {formats.plural(n_models, 'model')} against gain in decibels, a "
            f"panel a dimension, through 0 at 0 dB. {told} The table of the same title has "
            f"all values.",
            draw=partial(figures_av_gain.gain, **columns),
            data=columns,
        )
    ]


def _or_nan(value: Plain) -> float:
    return math.nan if value is None else float(value)
