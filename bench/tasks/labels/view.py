"""How a reader sees classes and tags: what prompts do, confusions, scores by tag."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.reports import words
from earmark.reports.content import TALLEST, Arrays, Gap, Plot, Span, Text, even_parts, part_of
from earmark.reports.findings.task import row_of_best
from earmark.reports.record.lookup import (
    RANDOM_BASELINE,
    best_first,
    level_of,
    select,
    table,
    values_of,
)
from earmark.reports.record.schema import Plain, Score, TaskResult

PROMPTS = "Prompts"
PER_TAG = "Per tag"
"""Titles of tables that figures and findings read."""
ENSEMBLE = "ensemble"
NOT_PROMPTS = (ENSEMBLE, "mean of prompts")
MOST_TAGS = 50
"""Tags of one figure."""
MOST_TAGGERS = 5
"""Models that a figure of the tags tells apart; the table has all."""
TAGGING = ("roc_auc", "average_precision")


def prompts(task: TaskResult, metrics: Sequence[str]) -> list[Plot | Gap]:
    """Return how far scores move with the prompt, or the gap where one prompt alone was scored."""
    from earmark.reports.figures.rows import row_height

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
    height = row_height(len(single) + 1)
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
    from earmark.reports.figures.rows import MOST_NAMED
    from earmark.reports.figures.rows import prompts as rows_of_prompts

    factors = [words.metric(score.metric).factor for score in scores]
    columns: dict[str, Any] = {
        "model": [score.model for score in scores],
        "prompt": [score.subset for score in scores],
        "metric": [words.metric(score.metric).head for score in scores],
        **{
            name: [factor * value for factor, value in zip(factors, column, strict=True)]
            for name, column in values_of(scores).items()
        },
    }
    chance = {
        head: factor * score.chance
        for head, factor, score in zip(columns["metric"], factors, scores, strict=True)
        if score.chance is not None
    }
    level = level_of(scores)
    alike = n_prompts > MOST_NAMED
    return Plot(
        title=title,
        caption=f"The score of each of {n_prompts} prompts by itself, with its {level:g}"
        "\N{NO-BREAK SPACE}% interval, and of their ensemble (large diamond)."
        + (
            " There are too many prompts to label here; the table of every score names them."
            * alike
        ),
        description="Points with interval bars, one row per model: the wider its prompts are "
        f"spread, the more a model depends on the words. {_spread(columns)} The table of prompts "
        f"has the "
        "mean, lowest and highest of each model.",
        draw=partial(rows_of_prompts, **columns, ensemble=ENSEMBLE, chance=chance),
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


def confusions(task: TaskResult, arrays: Arrays, metric: str, subset: str) -> list[Plot | Gap]:
    """Return which classes are taken for which, and the gap of models without a count."""
    from earmark.reports.figures import matrix

    classes = [str(name) for name in arrays["classes"]] if "classes" in arrays else []
    shape = (len(classes), len(classes))
    matrices = {
        model: np.nan_to_num(np.asarray(arrays[f"confusion.{model}"], float))
        for model in _ranked(task, metric, subset)
        if f"confusion.{model}" in arrays and arrays[f"confusion.{model}"].shape == shape
    }
    matrices = {model: counts for model, counts in matrices.items() if counts.sum() > 0}
    absent = words.listed([model for model in task.models if model not in matrices])
    gaps: list[Plot | Gap] = []
    if absent:
        gaps.append(
            Gap(f"No confusion matrix of {absent}: the record has no clips counted in one.")
        )
    if not matrices:
        return gaps
    layout = matrix.matrix_layout(classes, len(matrices), "full")
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
    from earmark.reports.figures import matrix

    columns: dict[str, Any] = {"model": [], "truth": [], "predicted": [], "clips": []}
    worst = []
    for model, counts in matrices.items():
        for row, column in np.ndindex(*counts.shape):
            columns["model"].append(model)
            columns["truth"].append(classes[row])
            columns["predicted"].append(classes[column])
            columns["clips"].append(float(counts[row, column]))
        wrong = counts - np.diag(np.diag(counts))
        row, column = np.unravel_index(int(wrong.argmax()), wrong.shape)
        if wrong[row, column] > 0:
            worst.append(
                f"{model} most often takes {classes[row]} for {classes[column]} "
                f"({words.count(round(float(wrong[row, column]), 1))} clips)"
            )
    notes = {
        model: f"{words.metric(scores[model].metric).title} "
        f"{words.with_unit(scores[model].value or 0.0, scores[model].metric)}"
        for model in matrices
        if model in scores and scores[model].value is not None
    }
    return Plot(
        title=f"Confusion of classes{of}",
        caption="Numbers: clips of the true class (row) that were called each class (column); a "
        "clip with tied classes counts in part for each. Shades: shares of the row. Framed: right. "
        "Rows and columns are the same in all matrices.",
        description=f"One matrix per model, rows the true class. {'; '.join(worst)}.",
        draw=partial(matrix.confusion, **columns, classes=classes, notes=notes),
        data=columns,
    )


def tags(task: TaskResult, metric: str, subset: str) -> list[Plot | Gap]:
    """Return the scores of each tag of the best models."""
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
    # What the random baseline does on each tag is noise, and only shown where nothing else is.
    ranked = [model for model in ranked if model != RANDOM_BASELINE] or ranked
    shown = ranked[:MOST_TAGGERS]
    if not shown:
        return [Gap("No figure of the tags: no tag has a score.")]
    plots: list[Plot | Gap] = [*_tags_of(rows, shown)]
    if len(ranked) > len(shown):
        left = words.listed(ranked[MOST_TAGGERS:])
        plots.append(
            Gap(f"Tags of {left}: in the table “{PER_TAG}” alone, which has every model’s.")
        )
    return plots


def _tags_of(rows: Sequence[Mapping[str, Plain]], models: Sequence[str]) -> list[Plot]:
    """Return the figures of the tags, in order of what the first model makes of them."""
    from earmark.reports.figures.rows import tags as rows_of_tags

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
                description="Two panels with one row per tag and one mark per model. Of "
                f"{mine[0]['model']}: best {mine[0]['tag']}, ROC-AUC "
                f"{words.cell(mine[0]['ROC-AUC'])}; last {mine[-1]['tag']}, "
                f"{words.cell(mine[-1]['ROC-AUC'])}. The table “{PER_TAG}” has all values.",
                draw=partial(rows_of_tags, **columns),
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


def about_prompts(task: TaskResult, metric: str, subset: str) -> list[Text]:
    """Return how far the words of a prompt move the best model's score, and the widest other."""
    rows = table(task, PROMPTS, "model", "lowest", "highest", "best prompt")
    rows = [row for row in rows if row.get("metric", metric) in {metric, *_titles(metric)}]
    row = row_of_best(task, rows, metric, subset)
    if row is None:
        return []
    said = [_spread_of(row, metric)]
    others = [
        r for r in rows if r["model"] not in {row["model"], RANDOM_BASELINE} and _width(r) > 0
    ]
    widest = max(others, key=_width, default=None)
    if widest is not None and _width(widest) > _width(row):
        said.append(_spread_of(widest, metric, of=True))
    return [sentence for sentence in said if sentence]


def _titles(metric: str) -> tuple[str, str]:
    how = words.metric(metric)
    return how.title, how.head


def _spread_of(row: Mapping[str, Plain], metric: str, *, of: bool = False) -> Text:
    low, high = row["lowest"], row["highest"]
    if not isinstance(low, float | int) or not isinstance(high, float | int):
        return ()
    how = words.metric(metric)
    points = words.number(how.factor * (high - low), how.digits)
    unit = f"\N{NO-BREAK SPACE}{how.difference_unit}" if how.difference_unit else ""
    ends = f"{words.with_unit(float(low), metric)} to {words.with_unit(float(high), metric)}"
    return (
        Span("The words of the prompt move "),
        Span(str(row["model"]), "name"),
        Span(" most of all, " if of else "’s " + words.metric_in_text(metric) + " "),
        Span(f"by {points}{unit}", "strong"),
        Span(f" ({ends}; best: “{row['best prompt']}”)."),
    )


def _width(row: Mapping[str, Plain]) -> float:
    low, high = row["lowest"], row["highest"]
    if not isinstance(low, float | int) or not isinstance(high, float | int):
        return 0.0
    return float(high - low)
