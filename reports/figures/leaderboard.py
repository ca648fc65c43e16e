"""Figures of a leaderboard: every model's score with its interval, and scores against speed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from earmark.reports import words
from earmark.reports.figures.parts import check_any, check_lengths, fitting, rule_sets, unique
from earmark.reports.figures.style import (
    INCHES,
    MUTED,
    SERIES,
    Width,
    new_figure,
    quiet_grid,
    series_style,
    style,
)

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
    how = words.metric(metric)
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


def score_against_speed(
    *,
    model: Sequence[str],
    clips_per_second: Sequence[float],
    value: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    metric: str,
    width: Width = "column",
) -> Figure:
    """Draw a point a model with its interval, its name in the margin, speed on a log axis.

    Raises
    ------
    FigureError
        If there is no finite value, a speed is not positive, or columns differ in length.
    """
    columns = [np.asarray(c, float) for c in (clips_per_second, value, low, high)]
    check_lengths(model, *columns)
    speeds = columns[0]
    check_any(np.where(speeds > 0, columns[1], np.nan), metric)
    how = words.metric(metric)
    values, lows, highs = (how.factor * column for column in columns[1:])
    with style():
        figure = new_figure(width, max(2.1, 0.5 + ROW * len(model)))
        (axes,) = figure.subplots(1, 1, squeeze=False).ravel()
        axes.set_xscale("log")
        quiet_grid(axes, "both")
        for row in range(len(model)):
            marks = series_style(row)
            if math.isfinite(lows[row]) and math.isfinite(highs[row]):
                axes.vlines(speeds[row], lows[row], highs[row], color=marks["color"], linewidth=1)
            axes.plot([speeds[row]], [values[row]], markersize=4.5, linestyle="none", **marks)
        _spread(axes, speeds)
        axes.set_xlabel("Clips per second")
        axes.set_ylabel(how.head)
        room = 72 * INCHES[width] * (_NAMES - 0.06)
        handles = [
            Line2D([], [], linestyle="none", markersize=4.5, **series_style(row))
            for row in range(len(model))
        ]
        names = [fitting(name, room) for name in model]
        axes.legend(handles, names, loc="center left", bbox_to_anchor=(1.02, 0.5), handlelength=1)
    return figure


def _spread(axes: Axes, speeds: np.ndarray) -> None:
    """Give a log axis of speeds round ticks and at least half a decade."""
    low, high = float(speeds.min()), float(speeds.max())
    pad = max(1.25, math.sqrt(10**0.5 / (high / low))) if high / low < 10**0.5 else 1.25
    axes.set_xlim(low / pad, high * pad)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
