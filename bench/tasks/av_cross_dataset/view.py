"""How a reader sees trained arousal/valence heads: who learned from what, and what gain does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from earmark.bench.tasks.pairwise.view import people
from earmark.reports import words
from earmark.reports.content import (
    TALLEST,
    Arrays,
    Gap,
    Plot,
    Span,
    Text,
    even_parts,
    part_of,
    plain,
)
from earmark.reports.findings.layers import layer_curves
from earmark.reports.record.lookup import select, table
from earmark.reports.record.schema import Plain, RunRecord, TaskResult
from earmark.reports.view import View

if TYPE_CHECKING:
    import pandas as pd

LAYERS = "Layers"
MATRIX = "Trained on, tested on"
GAIN = "Sensitivity to gain"
"""Titles of tables that figures and findings read."""
LARGE = 0.5
"""Deviations: a shift beyond this, with all of its interval, is told of."""
MOST_NAMED = 4
"""Shifts that are told one by one, the greatest."""


def _layers(task: TaskResult) -> list[Plot | Gap]:
    """Return how r goes with the layer, a panel per head and dimension."""
    rows = [
        {**row, "model": f"{row['model']}, {row['dimension']}", "value": row["r"]}
        for row in table(task, LAYERS, "model", "dimension", "layer", "r", "low", "high")
    ]
    word = words.metric("pearson_r")
    return layer_curves(
        rows,
        chosen={
            f"{one.model}, {one.dimension}": one.value
            for one in select(task.scores, metric="pearson_r", subset="all")
        },
        chance={},
        factor=word.factor,
        head=word.head,
    )


def _shifts(task: TaskResult) -> list[Mapping[str, Plain]]:
    """Return the rows of the table by column; none where no gain was tested."""
    names = ("model", "dimension", "gain (dB)", "shift (deviations)", "shift low", "shift high")
    return table(task, GAIN, *names)


def _findings(task: TaskResult, metric: str, subset: str) -> list[Text]:
    """Return what the greatest gain does: whose predictions shift beyond doubt, and how far."""
    rows = [row for row in _shifts(task) if row["shift low"] is not None]
    if not rows:
        return []
    most = max((_number(row, "gain (dB)") for row in rows), key=lambda gain: (abs(gain), gain))
    moved = [
        row
        for row in rows
        if _number(row, "gain (dB)") == most
        and (_number(row, "shift low") > LARGE or _number(row, "shift high") < -LARGE)
    ]
    moved.sort(key=lambda row: -abs(_number(row, "shift (deviations)")))
    gained = f"With a gain of {_signed(most, 'g')} dB, "
    if not moved:
        said = f"no predictions shift by {LARGE:g} deviations {words.WHOLE_INTERVAL}."
        return [(Span(f"{gained}{said}"),)]
    spans = [Span(f"{gained}predictions shift, in deviations of those without gain: ")]
    for number, row in enumerate(moved[:MOST_NAMED]):
        spans += [
            Span(f"{', ' if number else ''}{row['dimension']} of "),
            Span(str(row["model"]), "name"),
            Span(f" by {_signed(_number(row, 'shift (deviations)'), '.1f')}"),
        ]
    more = len(moved) - MOST_NAMED
    rest = f", and {words.count(more)} more by over {LARGE:g}" if more > 0 else ""
    return [(*spans, Span(f"{rest}."))]


def _number(row: Mapping[str, Plain], column: str) -> float:
    return float(row[column] or 0)


def _signed(value: float, digits: str) -> str:
    return f"{value:+{digits}}".replace("-", "\N{MINUS SIGN}")


def _figures(
    task: TaskResult, items: pd.DataFrame, arrays: Arrays, record: RunRecord
) -> list[Plot | Gap]:
    return [*_matrices(task), *_layers(task), *_gains(task)]


def _matrices(task: TaskResult) -> list[Plot]:
    from earmark.reports.figures import matrix

    names = ("model", "tested on", "dimension", "metric", "value", "how")
    rows = table(task, MATRIX, *names)
    if not any(row["value"] is not None for row in rows):
        return []
    models = list(dict.fromkeys(str(row["model"]) for row in rows))
    fitting = int((TALLEST - 1.6) / matrix.ROW)
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
                title=f"{MATRIX}{part_of(number, parts)}",
                caption="Pearson’s r on rated sets; on MusAV the share of gt’s pairs that are "
                "ordered as the listeners do, in per cent. Darker: farther from chance, at which "
                "and below which a cell is blank. Framed: trained and tested on one set, in "
                "folds; a name is head(training set)@embedding.",
                description=f"A grid of {words.plural(len(part), 'model')} by "
                f"{words.plural(n_sets, 'tested set')} for each dimension, one number per cell. "
                f"The table of the same title has all values with their intervals.",
                draw=partial(matrix.matrix, **columns),
                data=columns,
            )
        )
    return plots


def _gains(task: TaskResult) -> list[Plot]:
    from earmark.reports.figures.lines import gain

    rows = [row for row in _shifts(task) if row["shift (deviations)"] is not None]
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
    told = " ".join(plain(said) for said in _findings(task, "", ""))
    return [
        Plot(
            title=GAIN,
            caption="How far predictions move when the same clips are made louder or softer, in "
            "deviations of the model’s predictions without gain, "
            "with 95 % intervals. A model that ignores level stays at 0.",
            description=f"Lines of {words.plural(n_models, 'model')} against gain in decibels, a "
            f"panel a dimension, through 0 at 0 dB. {told} The table of the same title has "
            f"all values.",
            draw=partial(gain, **columns),
            data=columns,
        )
    ]


def _or_nan(value: Plain) -> float:
    return math.nan if value is None else float(value)


VIEW = View(
    noun="clip",
    protocol={
        "layer": {
            "inner-folds": "of a ridge head that with the least error in the inner folds that "
            "choose its penalty; other heads read the last"
        }
    },
    people=people,
    findings=_findings,
    figures=_figures,
)
