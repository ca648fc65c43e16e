"""The figures of zero-shot classification and tagging, and of linear probes on frozen vectors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.reports import words as formats
from earmark.reports.content import Gap, Plot
from earmark.reports.figures import matrix as figures_zero_shot
from earmark.reports.figures.layout import TALLEST, Arrays, even_parts, part_of
from earmark.reports.record.lookup import (
    PER_TAG,
    SENTINEL,
    best_first,
    headline,
    select,
    table,
)
from earmark.reports.record.schema import Plain, Score, TaskResult

ENSEMBLE = "ensemble"
NOT_PROMPTS = (ENSEMBLE, "mean of prompts")
MOST_TAGS = 50
"""Tags of one figure."""
MOST_TAGGERS = 5
"""Models that a figure of the tags tells apart; the table has all."""
TAGGING = ("roc_auc", "average_precision")


def plots_of(task: TaskResult, arrays: Arrays) -> list[Plot | Gap]:
    """Return the figures of a task on labels or tags, and a gap for each that lacks its data."""
    chosen = headline(task)
    if chosen is None:
        return []
    tagging = task.kind == "zero_shot_tagging" or chosen[0] in TAGGING
    return [
        *(_prompts(task, TAGGING if tagging else (chosen[0],)) if task.kind != "probe" else []),
        *(_tags(task, *chosen) if tagging else _confusions(task, arrays, *chosen)),
    ]


def _prompts(task: TaskResult, metrics: Sequence[str]) -> list[Plot | Gap]:
    scores = [
        score
        for score in task.scores
        if score.metric in metrics and score.subset != "mean of prompts" and score.value is not None
    ]
    single = [name for name in dict.fromkeys(s.subset for s in scores) if name not in NOT_PROMPTS]
    if len(single) < 2:
        said = "no prompt was scored by itself" if not single else f"“{single[0]}” is the only one"
        return [Gap(f"No figure of the prompts: {said}, so what their choice does is not known.")]
    models = list(dict.fromkeys(score.model for score in best_first(scores)))
    height = figures_zero_shot.row_height(len(single) + 1)
    parts = even_parts(models, at_most=max(1, int((TALLEST - 1.6) / height)))
    return [
        _prompts_of(
            [score for model in part for score in scores if score.model == model],
            f"Scores by prompt{part_of(number, parts)}",
            len(single),
        )
        for number, part in enumerate(parts, start=1)
    ]


def _prompts_of(scores: Sequence[Score], title: str, n_prompts: int) -> Plot:
    nan = math.nan
    factors = [formats.metric(score.metric).factor for score in scores]
    scaled = list(zip(factors, scores, strict=True))
    columns: dict[str, Any] = {
        "model": [score.model for score in scores],
        "prompt": [score.subset for score in scores],
        "metric": [formats.metric(score.metric).head for score in scores],
        "value": [f * (s.value if s.value is not None else nan) for f, s in scaled],
        "low": [f * s.interval.low if s.interval else nan for f, s in scaled],
        "high": [f * s.interval.high if s.interval else nan for f, s in scaled],
    }
    chance = {
        head: f * score.chance
        for head, (f, score) in zip(columns["metric"], scaled, strict=True)
        if score.chance is not None
    }
    level = next((100 * s.interval.level for s in scores if s.interval), 95)
    alike = n_prompts > figures_zero_shot.MOST_NAMED
    return Plot(
        title=title,
        caption=f"The score of each of {n_prompts} prompts by itself, with its {level:g}"
        "\N{NO-BREAK SPACE}% interval, and of their ensemble (large diamond)."
        + (
            " Prompts are too many to tell apart here; the table of every score names them." * alike
        ),
        description="Points with interval bars, a row a model: the wider its prompts are spread, "
        f"the more a model depends on the words. {_spread(columns)} The table of prompts has the "
        "mean, lowest and highest of each model.",
        draw=partial(figures_zero_shot.prompts, **columns, ensemble=ENSEMBLE, chance=chance),
        data=columns,
    )


def _spread(columns: Mapping[str, Sequence[Any]]) -> str:
    first = columns["metric"][0]
    values: dict[str, list[float]] = {}
    for model, prompt, metric, value in zip(
        *(columns[name] for name in ("model", "prompt", "metric", "value")), strict=True
    ):
        if metric == first and prompt != ENSEMBLE:
            values.setdefault(model, []).append(value)
    model, widest = max(values.items(), key=lambda entry: max(entry[1]) - min(entry[1]))
    return f"Widest in {first}: {model}, {min(widest):.3g} to {max(widest):.3g}."


def _confusions(task: TaskResult, arrays: Arrays, metric: str, subset: str) -> list[Plot | Gap]:
    classes = [str(name) for name in arrays["classes"]] if "classes" in arrays else []
    shape = (len(classes), len(classes))
    matrices = {
        model: np.nan_to_num(np.asarray(arrays[f"confusion.{model}"], float))
        for model in _ranked(task, metric, subset)
        if f"confusion.{model}" in arrays and arrays[f"confusion.{model}"].shape == shape
    }
    matrices = {model: matrix for model, matrix in matrices.items() if matrix.sum() > 0}
    absent = formats.listed([model for model in task.models if model not in matrices])
    gaps: list[Plot | Gap] = []
    if absent:
        gaps.append(
            Gap(f"No confusion matrix of {absent}: the record has no clips counted in one.")
        )
    if not matrices:
        return gaps
    layout = figures_zero_shot.matrix_layout(classes, len(matrices), "full")
    rows = max(1, int((TALLEST - layout.foot) / layout.height))
    parts = even_parts(list(matrices), at_most=layout.across * rows)
    plots = [
        _confusion(
            {model: matrices[model] for model in part},
            classes,
            {s.model: s for s in select(task.scores, metric=metric, subset=subset)},
            part_of(number, parts),
        )
        for number, part in enumerate(parts, start=1)
    ]
    return [*plots, *gaps]


def _confusion(
    matrices: Mapping[str, NDArray[np.float64]],
    classes: list[str],
    scores: Mapping[str, Score],
    of: str,
) -> Plot:
    columns: dict[str, Any] = {"model": [], "truth": [], "predicted": [], "clips": []}
    worst = []
    for model, matrix in matrices.items():
        for row, column in np.ndindex(*matrix.shape):
            columns["model"].append(model)
            columns["truth"].append(classes[row])
            columns["predicted"].append(classes[column])
            columns["clips"].append(float(matrix[row, column]))
        wrong = matrix - np.diag(np.diag(matrix))
        row, column = np.unravel_index(int(wrong.argmax()), wrong.shape)
        if wrong[row, column] > 0:
            worst.append(
                f"{model} most often takes {classes[row]} for {classes[column]} "
                f"({formats.count(round(float(wrong[row, column]), 1))} clips)"
            )
    notes = {
        model: f"{formats.metric(scores[model].metric).title} "
        f"{formats.with_unit(scores[model].value or 0.0, scores[model].metric)}"
        for model in matrices
        if model in scores and scores[model].value is not None
    }
    return Plot(
        title=f"Confusion of classes{of}",
        caption="Numbers: clips of the true class (row) that were called each class (column); a "
        "clip with tied classes counts in part for each. Shades: shares of the row. Framed: right. "
        "Rows and columns are the same in all matrices.",
        description=f"A matrix a model, rows the true class. {'; '.join(worst)}.",
        draw=partial(figures_zero_shot.confusion, **columns, classes=classes, notes=notes),
        data=columns,
    )


def _tags(task: TaskResult, metric: str, subset: str) -> list[Plot | Gap]:
    names = ("tag", "clips", "model", "ROC-AUC", "PR-AUC")
    rows = table(task, PER_TAG, *names)
    if not rows:
        return [Gap("No figure of the tags: the record has no table of them.")]
    there = {
        str(row["model"])
        for row in rows
        if _number(row["ROC-AUC"]) == _number(row["ROC-AUC"]) or _number(row["PR-AUC"]) > 0
    }
    ranked = [model for model in _ranked(task, metric, subset) if model in there]
    # What the sentinel does on each tag is noise, and only shown where nothing else is.
    ranked = [model for model in ranked if model != SENTINEL] or ranked
    shown = ranked[:MOST_TAGGERS]
    if not shown:
        return [Gap("No figure of the tags: no tag has a score.")]
    plots: list[Plot | Gap] = [*_tags_of(rows, shown)]
    if len(ranked) > len(shown):
        left = formats.listed(ranked[MOST_TAGGERS:])
        plots.append(
            Gap(f"Tags of {left}: in the table “{PER_TAG}” alone, which has every model’s.")
        )
    return plots


def _tags_of(rows: Sequence[Mapping[str, Plain]], models: Sequence[str]) -> list[Plot]:
    """Return the figures of the tags, in order of what the first model makes of them."""
    by_place = {(str(row["tag"]), str(row["model"])): row for row in rows}
    best = [row for row in rows if row["model"] == models[0]]
    best.sort(key=lambda row: -_number(row["ROC-AUC"]) if row["ROC-AUC"] is not None else math.inf)
    ordered = [str(row["tag"]) for row in best]
    ordered += [name for name in dict.fromkeys(tag for tag, _ in by_place) if name not in ordered]
    parts = even_parts(ordered, at_most=MOST_TAGS)
    plots = []
    for number, part in enumerate(parts, start=1):
        here = [by_place[t, m] for m in models for t in part if (t, m) in by_place]
        columns: dict[str, Any] = {
            "tag": [str(row["tag"]) for row in here],
            "clips": [int(_number(row["clips"])) for row in here],
            "model": [str(row["model"]) for row in here],
            "roc_auc": [_number(row["ROC-AUC"]) for row in here],
            "roc_auc_low": [_number(row.get("ROC-AUC low")) for row in here],
            "roc_auc_high": [_number(row.get("ROC-AUC high")) for row in here],
            "pr_auc": [_number(row["PR-AUC"]) for row in here],
            "pr_auc_low": [_number(row.get("PR-AUC low")) for row in here],
            "pr_auc_high": [_number(row.get("PR-AUC high")) for row in here],
            "pr_auc_chance": [_number(row.get("chance PR-AUC")) for row in here],
        }
        mine = [row for row in here if row["model"] == here[0]["model"]]
        unscored = np.isnan(columns["roc_auc"]) & np.isnan(columns["pr_auc"])
        plots.append(
            Plot(
                title=f"Scores by tag{part_of(number, parts)}",
                caption="ROC-AUC and PR-AUC of each tag, those that the best model separates best "
                f"first, and how many clips have the tag. Bars: intervals, of {models[0]} alone; "
                "the data have all. Lines: chance, which in PR-AUC is each tag’s share of the "
                "clips." + " A tag without a mark has no score." * bool(unscored.any()),
                description="Two panels with a row a tag and a mark a model. Of "
                f"{mine[0]['model']}: best {mine[0]['tag']}, ROC-AUC "
                f"{formats.cell(mine[0]['ROC-AUC'])}; last {mine[-1]['tag']}, "
                f"{formats.cell(mine[-1]['ROC-AUC'])}. The table “{PER_TAG}” has all values.",
                draw=partial(figures_zero_shot.tags, **columns),
                data=columns,
            )
        )
    return plots


def _ranked(task: TaskResult, metric: str, subset: str) -> list[str]:
    """Return the task's models, best first."""
    scores = best_first(select(task.scores, metric=metric, subset=subset))
    return list(dict.fromkeys([*(score.model for score in scores), *task.models]))


def _number(value: Plain) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
