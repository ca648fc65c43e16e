"""The figure of a leaderboard: every model's score with its interval, best first."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from earmark.reports import formats
from earmark.reports.figure_style import (
    INCHES,
    MUTED,
    SERIES,
    Width,
    new_figure,
    style,
)
from earmark.reports.figures import check_any, check_lengths, fitting, rule_sets, unique

ROW = 0.15
"""Inches of a model's row."""
_NAMES = 0.42
"""Share of the width that names may take."""


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
    """Draw a row a model: a point with its interval, and the level of chance, a panel a dimension.

    Values are as the metric has them; an interval or chance that is not known is NaN. The first
    model stands on top.

    Raises
    ------
    FigureError
        If there is no finite value, or columns differ in length.
    """
    columns = [np.asarray(c, float) for c in (value, low, high, chance)]
    check_lengths(model, dimension, *columns)
    check_any(columns[0], metric)
    how = formats.metric(metric)
    values, lows, highs, chances = (how.factor * column for column in columns)
    models, sides = unique(model), unique(dimension)
    with style():
        stacked = width == "column" and len(sides) > 1
        panel = 0.55 + ROW * len(models)
        figure = new_figure(width, panel * (len(sides) if stacked else 1) + 0.1)
        shape = (len(sides), 1) if stacked else (1, len(sides))
        grid = figure.subplots(*shape, sharex=True, sharey=True, squeeze=False).ravel()
        room = 72 * INCHES[width] * (_NAMES if stacked or len(sides) == 1 else 0.3)
        labels = [fitting(name, room) for name in models]
        for axes, side in zip(grid, sides, strict=True):
            rule_sets(axes, labels)
            here = [row for row, name in enumerate(dimension) if name == side]
            for row in here:
                y = models.index(model[row])
                _draw_row(axes, y, values[row], lows[row], highs[row], chances[row])
            if len(sides) > 1:
                # Room for the word above the line of chance.
                axes.set_title(formats.sentence(side), pad=13 if side == sides[0] else 4)
            if stacked:
                axes.tick_params(labelbottom=True)
            axes.set_xlabel(how.head)
        _name_chance(grid[0], chances)
    return figure


def _draw_row(axes: Axes, y: int, value: float, low: float, high: float, chance: float) -> None:
    if math.isfinite(chance):
        axes.vlines(chance, y - 0.5, y + 0.5, color=MUTED.light, linewidth=1, linestyle="dashed")
    if not math.isfinite(value):
        return
    ink = SERIES[0].light
    if math.isfinite(low) and math.isfinite(high):
        axes.hlines(y, low, high, color=ink, linewidth=1.3)
    axes.plot([value], [y], marker="o", markersize=3.6, color=ink, linestyle="none")


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
