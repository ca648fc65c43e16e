"""How a reader sees rated arousal and valence: predictions against ratings, and their residuals."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from earmark.reports import words
from earmark.reports.content import Arrays, Gap, Plot, even_parts, part_of
from earmark.reports.record.lookup import dataset_of, headline
from earmark.reports.record.schema import DatasetEntry, ModelEntry, RunRecord, TaskResult
from earmark.reports.view import View

if TYPE_CHECKING:
    import pandas as pd

MOST_PANELS = 10
"""Models whose panels of residuals fit on a page."""


def _figures(
    task: TaskResult, items: pd.DataFrame, arrays: Arrays, record: RunRecord
) -> list[Plot | Gap]:
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


def _ratings(
    task: TaskResult,
    items: pd.DataFrame,
    model: str,
    entry: ModelEntry | None,
    dataset: DatasetEntry | None,
) -> list[Plot | Gap]:
    from earmark.reports.figures import scatter

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
            caption=f"{words.plural(rows['item'].nunique(), 'clip')}, a point each. {line}",
            description=f"Scatter of predicted against rated values of {model}. {described}",
            small=True,
            data=columns,
            draw=partial(
                scatter.ratings,
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
        said = words.listed(sorted(missing))
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
            f"No residuals of {words.listed(left)}: predictions and ratings are on scales that "
            "are not both known, or there are none."
        )
    ] * bool(left)
    there = list(dict.fromkeys(columns["model"]))
    parts = even_parts(there, at_most=MOST_PANELS)
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
    from earmark.reports.figures import scatter

    mean = {
        model: np.mean(
            [r for r, m in zip(columns["residual"], columns["model"], strict=True) if m == model]
        )
        for model in dict.fromkeys(columns["model"])
    }
    said = "; ".join(f"{model} {words.number(float(m), 2)}" for model, m in mean.items())
    return Plot(
        title=f"Residuals{of}",
        caption="Predicted minus rated in units of the rating, against the rating, one point per "
        "clip. Orange: means of tenths of the clips. A line that falls from left to right: the "
        "model "
        "keeps to the middle of the scale.",
        description="One small panel of points per model and dimension. Mean residual of both "
        f"dimensions: {said}.",
        draw=partial(scatter.residuals, **columns, scale=scale),
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
                f"r {words.score_value(score)} "
                f"{words.interval(score.interval, score.metric)}".strip()
            )
        if score.metric in {"ccc", "concordance"}:
            said.append(f"CCC {words.score_value(score)}")
    return " · ".join(said)


VIEW = View(noun="clip", figures=_figures)
