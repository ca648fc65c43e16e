"""The figures of trained arousal/valence heads: the matrix of what was trained and tested on."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from earmark.reports import figures_av_matrix, formats
from earmark.reports.content import Plot
from earmark.reports.layout import TALLEST, even_parts, part_of
from earmark.reports.record import TaskResult
from earmark.reports.scores import table

TITLE = "Trained on, tested on"
"""Of the table of the task ``av_cross_dataset`` that the figure is drawn from."""


def plots_of(task: TaskResult) -> list[Plot]:
    """Return the matrix on as many figures as its models need; none where a task has no matrix."""
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
