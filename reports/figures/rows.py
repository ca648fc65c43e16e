"""Figures of values with their intervals, a row each: sets, prompts, tags, a leaderboard."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from earmark.reports import words
from earmark.reports.figures.parts import (
    LONGEST_NAME,
    FigureError,
    Line,
    beside,
    chance_line,
    check_any,
    check_lengths,
    checked,
    fitting_all,
    legend_columns,
    legend_height,
    legend_names,
    legend_of_models,
    mark,
    offset,
    rule_sets,
    short,
    unique,
)
from earmark.reports.figures.style import (
    GRID,
    INCHES,
    MUTED,
    SERIES,
    Width,
    new_figure,
    series_style,
    style,
    text_width,
)
from earmark.reports.words import sentence

MOST_NAMED = 9
"""More prompts than a reader can hold apart are drawn alike."""
ROW = 0.15
"""Inches of a model's row."""
_NAMES = 0.42
"""Share of the width that names may take."""


def accuracy(
    *,
    model: Sequence[str],
    subset: Sequence[str],
    dimension: Sequence[str],
    value: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    lines: Sequence[Line] = (),
    width: Width = "full",
) -> Figure:
    """Draw accuracy with its interval per set: one panel per dimension, one marker per model.

    ``value``, ``low`` and ``high`` are in [0, 1]; an interval that is not known is NaN twice.
    """
    values, lows, highs = checked("accuracy", (model, subset, dimension), value, low, high)
    models, subsets, dimensions = unique(model), unique(subset), unique(dimension)
    band = band_height(len(models))
    panel = 0.5 + band * len(subsets)
    with style():
        names = legend_names(models, width)
        figure, grid, stacked = beside(
            len(dimensions),
            width,
            panel=panel,
            rest=legend_height(names, width) + 0.2,
            stacked=width == "column" or len(dimensions) > 2,
            sharex=True,
            sharey=True,
        )
        limits = _accuracy_limits(np.concatenate([values, lows, highs]), lines)
        labels = [short(subset, 22 if width == "column" else LONGEST_NAME) for subset in subsets]
        aside = max(text_width(label, 7) for label in labels) / 72 + 0.25
        inches = (INCHES[width] - aside) / (1 if stacked else len(dimensions)) - 0.1
        for axes, name in zip(grid, dimensions, strict=True):
            here = [line for line in lines if line.dimension in {None, name}]
            rule_sets(axes, labels)
            axes.set_xlim(*limits)
            levels = _draw_lines(axes, here, subsets, limits=limits, inches=inches)
            axes.set_title(sentence(name), pad=4 + 9 * levels)
            for row in (r for r, d in enumerate(dimension) if d == name):
                number = models.index(model[row])
                y = subsets.index(subset[row]) + offset(number, len(models))
                mark(axes, y, 100 * values[row], 100 * lows[row], 100 * highs[row], number)
        for axes in grid if not stacked else grid[-1:]:
            axes.set_xlabel("Accuracy, %")
        if stacked:
            for axes in grid[:-1]:
                axes.tick_params(labelbottom=True)
        legend_of_models(figure, grid[0], names, width)
    return figure


def band_height(n_models: int) -> float:
    """Return the inches that a set takes in :func:`accuracy`."""
    return 0.12 + 0.075 * n_models


def _accuracy_limits(shares: np.ndarray, lines: Sequence[Line]) -> tuple[float, float]:
    """Return limits in per cent that hold all marks and lines, with air."""
    every = 100 * np.array([*shares[np.isfinite(shares)], *(line.value for line in lines)])
    low, high = float(every.min()), float(every.max())
    air = max(1.0, 0.03 * (high - low))
    return low - air, high + air


def _draw_lines(
    axes: Axes,
    lines: Sequence[Line],
    subsets: list[str],
    *,
    limits: tuple[float, float],
    inches: float,
) -> int:
    """Draw and name the lines; return how many rows of names stand above the panel."""
    dashes = [(0, (1, 1.6)), (0, (4, 2)), (0, (6, 2, 1, 2)), (0, (2, 2))]
    names = unique(line.name for line in lines)
    ends: list[float] = []
    labelled: set[str] = set()
    for line in sorted(lines, key=lambda line: line.value):
        if line.subset is not None and line.subset not in subsets:
            raise FigureError(f"line {line.name!r} is of set {line.subset!r}, which is not drawn")
        spans = (-0.5, len(subsets) - 0.5)
        if line.subset is not None:
            middle = subsets.index(line.subset)
            spans = (middle - 0.5, middle + 0.5)
        x = 100 * line.value
        axes.vlines(
            x,
            *spans,
            color=MUTED.light,
            linewidth=1.0,
            linestyle=dashes[names.index(line.name) % len(dashes)],
        )
        if line.name not in labelled:
            labelled.add(line.name)
            _write_line_name(axes, short(line.name, 44), x, ends, limits=limits, inches=inches)
    return len(ends)


def _write_line_name(
    axes: Axes,
    name: str,
    x: float,
    ends: list[float],
    *,
    limits: tuple[float, float],
    inches: float,
) -> None:
    """Write the name above its line, in the first row where it does not meet its neighbour.

    ``ends`` holds, a row, where the last name ends, in points from the panel's left.
    """
    points = 72 * inches
    at = (x - limits[0]) / (limits[1] - limits[0]) * points
    length = text_width(name, 6.5)
    if at - length / 2 < 0:
        start, place, side = 0.0, (0.0, 1), "left"
    elif at + length / 2 > points:
        start, place, side = points - length, (1, 1), "right"
    else:
        start, place, side = at - length / 2, (x, 1), "center"
    level = next((n for n, end in enumerate(ends) if start > end + 6), len(ends))
    if level == len(ends):
        ends.append(0)
    ends[level] = start + length
    axes.annotate(
        name,
        place,
        xycoords=("data" if side == "center" else "axes fraction", "axes fraction"),
        xytext=(0, 2.5 + 9 * level),
        textcoords="offset points",
        ha=side,
        fontsize=6.5,
        color=MUTED.light,
    )


def prompts(
    *,
    model: Sequence[str],
    prompt: Sequence[str],
    metric: Sequence[str],
    value: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    ensemble: str | None = None,
    chance: Mapping[str, float] | None = None,
    width: Width = "full",
) -> Figure:
    """Draw each prompt's score with its interval: one row per model, one panel per metric.

    Values are in the units of the axis, which is ``metric``; an interval that is not known is NaN
    twice. The prompt ``ensemble`` is drawn larger. ``chance`` is by metric.
    """
    values, lows, highs = checked("score of a prompt", (model, prompt, metric), value, low, high)
    models, heads = unique(model), unique(metric)
    single = [name for name in unique(prompt) if name != ensemble]
    with style():
        shown = [*([ensemble] if ensemble in prompt and ensemble else []), *single]
        named = (
            shown if len(single) <= MOST_NAMED else [*shown[: len(shown) - len(single)], "a prompt"]
        )
        names = legend_names(named, width)
        figure, grid, stacked = beside(
            len(heads),
            width,
            panel=0.6 + row_height(len(shown)) * len(models),
            rest=legend_height(names, width) + 0.1,
            sharey=True,
        )
        labels = [short(name, 18 if stacked else 26) for name in models]
        for axes, head in zip(grid, heads, strict=True):
            rule_sets(axes, labels)
            for row in (r for r, name in enumerate(metric) if name == head):
                place = shown.index(prompt[row])
                y = models.index(model[row]) + offset(place, len(shown))
                _prompt_mark(axes, y, values[row], lows[row], highs[row], place, shown, ensemble)
            axes.set_xlabel(head)
            axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
            if chance and head in chance:
                chance_line(axes, chance[head])
        handles = [
            grid[0].plot([], [], linestyle="none", label=name, **_prompt_look(n, shown, ensemble))[
                0
            ]
            for n, name in enumerate(names)
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=legend_columns(names, width))
    return figure


def row_height(n_prompts: int) -> float:
    """Return the inches that a model takes in :func:`prompts`."""
    return 0.12 + 0.064 * min(n_prompts, 24)


def tags(
    *,
    tag: Sequence[str],
    clips: Sequence[int],
    model: Sequence[str],
    roc_auc: Sequence[float],
    roc_auc_low: Sequence[float],
    roc_auc_high: Sequence[float],
    pr_auc: Sequence[float],
    pr_auc_low: Sequence[float],
    pr_auc_high: Sequence[float],
    pr_auc_chance: Sequence[float],
    width: Width = "full",
) -> Figure:
    """Draw ROC-AUC and PR-AUC of each tag: one row per tag, one mark per model, in the order given.

    The first model's marks are larger and have their intervals. ``clips`` is a tag's support.
    Chance is 0.5 in ROC-AUC, and in PR-AUC each tag's own share of the clips; what is not known
    is NaN.
    """
    roc = np.array([roc_auc, roc_auc_low, roc_auc_high], float)
    pr = np.array([pr_auc, pr_auc_low, pr_auc_high], float)
    levels = np.asarray(pr_auc_chance, float)
    check_lengths(tag, clips, model, *roc, *pr, levels)
    check_any(np.concatenate([roc[0], pr[0]]), "score of a tag")
    rows, models = unique(tag), unique(model)
    y = np.array([rows.index(name) for name in tag])
    of = np.asarray(model)
    with style():
        names = legend_names(models, width)
        figure = new_figure(width, 0.62 + legend_height(names, width) + 0.13 * len(rows))
        left, right = figure.subplots(1, 2, sharey=True)
        for axes, values, head in ((left, roc, "ROC-AUC"), (right, pr, "PR-AUC")):
            # The first model's marks lie above those of the others.
            for number, name in reversed(list(enumerate(models))):
                _tag_marks(axes, y[of == name], values[:, of == name], number)
            axes.set_xlabel(head)
            n_ticks = 4 if width == "column" else 6
            axes.xaxis.set_major_locator(MaxNLocator(n_ticks, steps=[1, 2, 2.5, 5, 10]))
            axes.grid(True, axis="x")
            axes.tick_params(axis="y", length=0, labelsize=6.5)
            axes.spines["left"].set_visible(False)
            for line in range(5, len(rows), 5):
                axes.axhline(line - 0.5, color=GRID.light, linewidth=0.6)
        left.set_yticks(range(len(rows)), [short(n, 15 if width == "column" else 28) for n in rows])
        left.set_ylim(len(rows) - 0.4, -0.6)
        chance_line(left, 0.5)
        right.vlines(levels, y - 0.36, y + 0.36, color=MUTED.light, linewidth=1.1)
        support = dict(zip(tag, clips, strict=True))
        edge = right.get_xlim()[1]
        aside = 2 + max(text_width(f"{max(clips):,}", 6.5), text_width("clips", 6.5))
        _support(right, "clips", -1, aside)
        for row, name in enumerate(rows):
            _support(right, f"{support[name]:,}", row, aside)
        right.set_xlim(right=edge)
        legend_of_models(figure, left, names, width)
    return figure


def _tag_marks(axes: Axes, y: NDArray[Any], values: NDArray[Any], number: int) -> None:
    """Draw the scores of one model; ``values`` are rows of value, low and high."""
    look = series_style(number)
    if number == 0:
        axes.hlines(y, values[1], values[2], color=look["color"], linewidth=1.1)
    size = 3.6 if number == 0 else 2.6
    axes.plot(values[0], y, linestyle="none", markersize=size, markeredgewidth=0.6, **look)


def _support(axes: Axes, words: str, row: float, aside: float) -> None:
    """Write beside the panel, right-aligned ``aside`` points from it; the head has a row of -1."""
    label = axes.annotate(
        words,
        (1, row) if row >= 0 else (1, 1),
        xycoords=("axes fraction", "data" if row >= 0 else "axes fraction"),
        xytext=(aside, 0 if row >= 0 else 4.5),
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize=6.5,
        color=MUTED.light,
    )
    # The head is as far right as any number, and measuring them all takes long.
    label.set_in_layout(row < 0)


def _prompt_look(place: int, shown: Sequence[str], ensemble: str | None) -> dict[str, Any]:
    if shown[place] == ensemble:
        return series_style(3) | {"marker": "D", "markersize": 5.2, "markeredgewidth": 0.8}
    first = 1 if ensemble in shown else 0
    if len(shown) - first > MOST_NAMED:
        return {"color": SERIES[0].light, "marker": "o", "markersize": 2.8, "markeredgewidth": 0}
    number = place - first
    # The fourth colour is that of the ensemble.
    number += number >= 3
    return series_style(number) | {"markersize": 3.6, "markeredgewidth": 0.8}


def _prompt_mark(
    axes: Axes,
    y: float,
    value: float,
    low: float,
    high: float,
    place: int,
    shown: Sequence[str],
    ensemble: str | None,
) -> None:
    if not math.isfinite(value):
        return
    look = _prompt_look(place, shown, ensemble)
    if math.isfinite(low) and math.isfinite(high):
        strong = shown[place] == ensemble
        axes.hlines(y, low, high, color=look["color"], linewidth=1.6 if strong else 0.9)
    axes.plot(value, y, linestyle="none", **look)


def leaderboard(
    *,
    model: Sequence[str],
    dimension: Sequence[str],
    value: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    chance: Sequence[float],
    metric: str,
    width: Width = "full",
) -> Figure:
    """Draw one row per model, a point with its interval and chance, one panel per dimension.

    Values are as the metric has them; an interval or chance that is not known is NaN. The first
    model stands on top.
    """
    columns = checked(metric, (model, dimension), value, low, high, chance)
    how = words.metric(metric)
    values, lows, highs, chances = (how.factor * column for column in columns)
    models, sides = unique(model), unique(dimension)
    with style():
        figure, grid, stacked = beside(
            len(sides),
            width,
            panel=0.55 + ROW * len(models),
            rest=0.1,
            stacked=len(sides) > (1 if width == "column" else 3),
            sharex=True,
            sharey=True,
        )
        room = 72 * INCHES[width] * (_NAMES if stacked or len(sides) == 1 else 0.3)
        labels = fitting_all(models, room)
        for axes, side in zip(grid, sides, strict=True):
            rule_sets(axes, labels)
            here = np.array([name == side for name in dimension])
            y = np.array([models.index(name) for name in model], float)
            _draw_rows(axes, *(column[here] for column in (y, values, lows, highs, chances)))
            if len(sides) > 1:
                # Room for the word above the line of chance.
                axes.set_title(words.sentence(side), pad=13 if side == sides[0] else 4)
            if stacked:
                axes.tick_params(labelbottom=True)
            axes.set_xlabel(how.head)
        _name_chance(grid[0], chances)
    return figure


def _draw_rows(
    axes: Axes,
    y: np.ndarray,
    values: np.ndarray,
    lows: np.ndarray,
    highs: np.ndarray,
    chances: np.ndarray,
) -> None:
    """Draw all rows at once: few artists are quick to lay out, and small."""
    known = np.isfinite(chances)
    if known.any():
        low, high = y[known] - 0.5, y[known] + 0.5
        axes.vlines(chances[known], low, high, color=MUTED.light, linewidth=1, linestyle="dashed")
    there = np.isfinite(values)
    ink = SERIES[0].light
    bounded = there & np.isfinite(lows) & np.isfinite(highs)
    if bounded.any():
        axes.hlines(y[bounded], lows[bounded], highs[bounded], color=ink, linewidth=1.3)
    axes.plot(values[there], y[there], marker="o", markersize=3.6, color=ink, linestyle="none")


def _name_chance(axes: Axes, chances: np.ndarray) -> None:
    known = chances[np.isfinite(chances)]
    if not known.size:
        return
    low, high = axes.get_xlim()
    share = (float(known[0]) - low) / (high - low)
    side = "left" if share < 0.5 else "right"
    axes.annotate(
        "chance",
        (float(known[0]), 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 1),
        textcoords="offset points",
        ha=side,
        va="bottom",
        fontsize=6.5,
        color=MUTED.light,
    )
