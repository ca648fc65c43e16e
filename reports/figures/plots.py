"""The figures of a task, from its record and its per-item outcomes.

What is drawn depends on the task's kind; a kind that is not known here has no figures, and its
scores and tables are shown all the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from earmark.reports import words as formats
from earmark.reports.content import Gap, Plot
from earmark.reports.figures import parts as figures
from earmark.reports.figures import plots_av_matrix, plots_retrieval, plots_zero_shot
from earmark.reports.figures import scatter as figures_predictions
from earmark.reports.figures.layout import TALLEST, Arrays, even_parts, part_of
from earmark.reports.record.lookup import (
    AGREEMENT,
    CALIBRATION,
    best_first,
    dataset_of,
    dimensions,
    headline,
    references,
    select,
    table,
)
from earmark.reports.record.schema import DatasetEntry, ModelEntry, RunRecord, Score, TaskResult

if TYPE_CHECKING:
    import pandas as pd

MOST_CALIBRATED = 10
"""Models whose panels of calibration fit on a page."""


def plots_of(
    task: TaskResult, items: pd.DataFrame, arrays: Arrays, record: RunRecord
) -> list[Plot | Gap]:
    """Return the figures of a task, and a gap for one that its kind has and that lacks its data.

    ``items`` are the per-item outcomes of the task, one row a model, item and dimension or subset;
    ``arrays`` are by the names that the task gave them.
    """
    if task.kind == "musav":
        return [*_accuracies(task), *_agreement(task), *_calibration(task)]
    if task.kind == "av_cross_dataset":
        return list(plots_av_matrix.plots_of(task))
    if task.kind == "retrieval":
        return plots_retrieval.plots_of(task, items, arrays)
    if task.kind in {"zero_shot_classification", "zero_shot_tagging", "probe"}:
        return plots_zero_shot.plots_of(task, arrays)
    if task.kind == "av_regression":
        models = {model.id: model for model in record.models}
        dataset = dataset_of(record, task)
        return [
            *(
                plot
                for model in task.models
                for plot in _ratings(task, items, model, models.get(model), dataset)
            ),
            *_residuals(task, items, models, dataset),
        ]
    return []


def _accuracies(task: TaskResult) -> list[Plot | Gap]:
    """Accuracy on every set; on as many figures as the sets need pages."""
    chosen = headline(task)
    if chosen is None:
        return [Gap("No figure of accuracy: the task left no score.")]
    scores = select(task.scores, metric=chosen[0])
    models = list(dict.fromkeys(score.model for score in scores if score.value is not None))
    # A model keeps its colour on every figure, also where it has no value.
    scores = [score for score in scores if score.model in models]
    subsets = list(dict.fromkeys(score.subset for score in scores))
    if not models:
        return [Gap("No figure of accuracy: no score has a value.")]
    fitting = max(1, int((TALLEST - 1) / figures.band_height(len(models))))
    parts = even_parts(subsets, at_most=fitting)
    return [
        _accuracy(
            task,
            [score for score in scores if score.subset in part],
            part,
            chosen[0],
            part_of(number, parts),
        )
        for number, part in enumerate(parts, start=1)
    ]


def _accuracy(
    task: TaskResult, scores: list[Score], subsets: list[str], metric: str, of: str
) -> Plot:
    nan = math.nan
    columns: dict[str, Any] = {
        "model": [score.model for score in scores],
        "subset": [score.subset for score in scores],
        "dimension": [score.dimension or "all" for score in scores],
        "value": [nan if score.value is None else score.value for score in scores],
        "low": [score.interval.low if score.interval else nan for score in scores],
        "high": [score.interval.high if score.interval else nan for score in scores],
    }
    level = next((100 * s.interval.level for s in scores if s.interval), 95)
    n_models = len({score.model for score in scores})
    best = best_first(scores)[0]
    space = "\N{NO-BREAK SPACE}"
    return Plot(
        title=f"Accuracy per ground-truth set{of}",
        caption=f"Share of pairs that each model orders as the listeners do, with its {level:g}"
        f"{space}% interval. Lines: chance, and what people reach.",
        description=f"Points with interval bars for {formats.plural(n_models, 'model')} on "
        f"{formats.plural(len(subsets), 'set')}. Highest: {best.model} on {best.subset}, "
        f"{best.dimension or ''} {formats.with_unit(best.value or 0, metric)}. "
        f"The table of every score has all values.",
        draw=partial(figures.accuracy, **columns, lines=_lines(task, scores, subsets, metric)),
        data=columns,
    )


def _lines(
    task: TaskResult, scores: Sequence[Score], subsets: Sequence[str], metric: str
) -> list[figures.Line]:
    """Return chance and the references; one that is the same on every set is one line."""
    lines = [
        figures.Line("chance", chance)
        for chance in sorted({s.chance for s in scores if s.chance is not None})
    ]
    for side in dimensions(task):
        values: dict[str, dict[str, float]] = {}
        for subset in subsets:
            for line in references(task, metric=metric, subset=subset, dimension=side):
                values.setdefault(line.name, {})[subset] = line.value
        for name, of_set in values.items():
            if len(of_set) == len(subsets) and len(set(of_set.values())) == 1:
                lines.append(figures.Line(name, next(iter(of_set.values())), side or "all"))
            else:
                lines += [figures.Line(name, v, side or "all", s) for s, v in of_set.items()]
    return lines


def _agreement(task: TaskResult) -> list[Plot | Gap]:
    parts = ("full", "majority", "disagreement", "incomplete")
    rows = table(task, AGREEMENT, "dimension", "triplet type", *parts)
    if not any(row[part] for row in rows for part in parts):
        return [Gap("No figure of the judges’ agreement: the record counts no judged pair.")]
    columns: dict[str, Any] = {
        "dimension": [str(row["dimension"]) for row in rows],
        "triplet_type": [str(row["triplet type"]) for row in rows],
        **{part: [row[part] or 0 for row in rows] for part in parts},
    }
    return [
        Plot(
            title="Agreement of the judges",
            caption="Pairs by the agreement of their annotators. Full and majority agreement make "
            "the ground truth; songs of a genre triplet share a genre.",
            description="Stacked bars of full, majority and no agreement, a bar a dimension and "
            "kind of triplet. The table of the same title has the counts.",
            draw=partial(figures.agreement, **columns),
            data=columns,
        )
    ]


def _calibration(task: TaskResult) -> list[Plot | Gap]:
    rows = table(task, CALIBRATION, "dimension", "model", "decile", "accuracy", "n")
    rows = [row for row in rows if row["n"] and row["accuracy"] is not None]
    if not rows:
        return [Gap("No figure of calibration: the record has no accuracy by difference.")]
    models = list(dict.fromkeys(str(row["model"]) for row in rows))
    parts = even_parts(models, at_most=MOST_CALIBRATED)
    return [
        _calibration_of(
            [row for row in rows if row["model"] in part],
            part_of(number, parts),
        )
        for number, part in enumerate(parts, start=1)
    ]


def _calibration_of(rows: Sequence[Mapping[str, Any]], of: str) -> Plot:
    n = np.array([row["n"] for row in rows], float)
    right = np.array([row["accuracy"] for row in rows], float)
    low, high = _wilson(right, n)
    columns: dict[str, Any] = {
        "model": [str(row["model"]) for row in rows],
        "dimension": [str(row["dimension"]) for row in rows],
        "bin": [row["decile"] for row in rows],
        "accuracy": right.tolist(),
        "low": low.tolist(),
        "high": high.tolist(),
    }
    return Plot(
        title=f"{CALIBRATION}{of}",
        caption="Accuracy in tenths of the pairs, by how far apart the model puts the two songs "
        f"(n = {n.min():,.0f} to {n.max():,.0f} pairs a point). A model that knows what it knows "
        "rises to the right. Bars: Wilson’s 95\N{NO-BREAK SPACE}% interval, pairs of a point "
        "taken as independent.",
        description="A small panel a model and dimension: accuracy against the rank of the "
        "predicted difference. The table of the same title has all values.",
        draw=partial(figures_predictions.calibration, **columns),
        data=columns,
    )


def _wilson(share: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Wilson's score interval at 95 % of shares of ``n`` cases."""
    z = 1.959963984540054
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return centre - half, centre + half


def _ratings(
    task: TaskResult,
    items: pd.DataFrame,
    model: str,
    entry: ModelEntry | None,
    dataset: DatasetEntry | None,
) -> list[Plot | Gap]:
    rows = items[(items["model"] == model) & items["predicted"].notna() & items["rated"].notna()]
    if rows.empty:
        return [Gap(f"No scatter of {model}: no clip has both a rating and a prediction.")]
    columns: dict[str, Any] = {
        "dimension": [str(side) for side in rows["dimension"]],
        "rated": [float(value) for value in rows["rated"]],
        "predicted": [float(value) for value in rows["predicted"]],
        "label": [None if label != label else label for label in rows["label"]]
        if "label" in rows
        else [None] * len(rows),
    }
    notes = {side: _statistics(task, model, side) for side in set(columns["dimension"])}
    rated_scale = dataset.rating_scale if dataset else None
    predicted_scale = entry.av_scale if entry else None
    if rated_scale is None or predicted_scale is None:
        line = (
            "Line: least squares; the scales are not both known, so the identity means nothing "
            "here."
        )
    elif rated_scale == predicted_scale:
        line = "Dashed: the identity; line: least squares."
    else:
        line = (
            f"Dashed: the identity, {_range(predicted_scale)} mapped on {_range(rated_scale)}; "
            "line: least squares."
        )
    described = "; ".join(f"{side}: {notes[side]}" for side in sorted(notes) if notes[side])
    return [
        Plot(
            title=f"Predicted against rated: {model}",
            caption=f"{formats.plural(rows['item'].nunique(), 'clip')}, a point each. {line}",
            description=f"Scatter of predicted against rated values of {model}. {described}",
            small=True,
            data=columns,
            draw=partial(
                figures_predictions.ratings,
                **columns,
                rated_scale=rated_scale,
                predicted_scale=predicted_scale,
                notes=notes,
            ),
        )
    ]


def _range(scale: tuple[float, float]) -> str:
    return f"{scale[0]:g} to {scale[1]:g}".replace("-", "−")


def _residuals(
    task: TaskResult,
    items: pd.DataFrame,
    models: Mapping[str, ModelEntry],
    dataset: DatasetEntry | None,
) -> list[Plot | Gap]:
    """Return the residuals of the models whose predictions can be put on the ratings' scale."""
    if missing := {"model", "dimension", "rated", "predicted"} - set(items.columns):
        said = formats.listed(sorted(missing))
        return [Gap(f"No figure of residuals: the items have no column {said}.")]
    scale = dataset.rating_scale if dataset else None
    columns: dict[str, Any] = {"model": [], "dimension": [], "rated": [], "residual": []}
    left = []
    for model in task.models:
        entry = models.get(model)
        own = entry.av_scale if entry else None
        mine = items[(items["model"] == model)].dropna(subset=["rated", "predicted"])
        if scale is None or own is None or mine.empty:
            left.append(model)
            continue
        rated = mine["rated"].to_numpy(float)
        stretch = (scale[1] - scale[0]) / (own[1] - own[0])
        mapped = scale[0] + (mine["predicted"].to_numpy(float) - own[0]) * stretch
        columns["model"] += [model] * len(mine)
        columns["dimension"] += [str(side) for side in mine["dimension"]]
        columns["rated"] += rated.tolist()
        columns["residual"] += (mapped - rated).tolist()
    gaps = [
        Gap(
            f"No residuals of {formats.listed(left)}: predictions and ratings are on scales that "
            "are not both known, or there are none."
        )
    ] * bool(left)
    there = list(dict.fromkeys(columns["model"]))
    parts = even_parts(there, at_most=MOST_CALIBRATED) if there else []
    plots = [
        _residuals_of(
            {n: [v for v, m in zip(c, columns["model"], strict=True) if m in part]
             for n, c in columns.items()},
            scale,
            part_of(number, parts),
        )
        for number, part in enumerate(parts, start=1)
    ]  # fmt: skip
    return [*plots, *gaps]


def _residuals_of(columns: Mapping[str, Any], scale: tuple[float, float] | None, of: str) -> Plot:
    mean = {
        model: np.mean(
            [r for r, m in zip(columns["residual"], columns["model"], strict=True) if m == model]
        )
        for model in dict.fromkeys(columns["model"])
    }
    said = "; ".join(f"{model} {formats.number(float(m), 2)}" for model, m in mean.items())
    return Plot(
        title=f"Residuals{of}",
        caption="Predicted minus rated in units of the rating, against the rating, a point a clip. "
        "Orange: means of tenths of the clips. A line that falls from left to right: the model "
        "keeps to the middle of the scale.",
        description="A small panel of points a model and dimension. Mean residual of both "
        f"dimensions: {said}.",
        draw=partial(figures_predictions.residuals, **columns, scale=scale),
        data=columns,
    )


def _statistics(task: TaskResult, model: str, side: str) -> str:
    """Return r and CCC of a model on the headline set, as the record has them."""
    chosen = headline(task)
    said = []
    for score in task.scores:
        if (score.model, score.dimension) != (model, side) or score.value is None:
            continue
        if chosen is not None and score.subset != chosen[1]:
            continue
        if score.metric == "pearson_r":
            said.append(
                f"r {formats.score_value(score)} "
                f"{formats.interval(score.interval, score.metric)}".strip()
            )
        if score.metric in {"ccc", "concordance"}:
            said.append(f"CCC {formats.score_value(score)}")
    return " · ".join(said)
