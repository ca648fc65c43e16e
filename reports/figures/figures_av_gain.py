"""What level does to predictions, by the conventions of :mod:`earmark.reports.figures.parts`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from earmark.reports.figures.parts import (
    check_any,
    check_lengths,
    legend_columns,
    legend_names,
    legend_of_models,
    offset,
    unique,
)
from earmark.reports.figures.style import (
    MUTED,
    Width,
    new_figure,
    quiet_grid,
    series_style,
    style,
)
from earmark.reports.words import sentence

HEIGHT = 2.6
"""Inches of a panel."""
BAND = 2.0
"""Decibels over which the marks of one gain are spread, so that intervals stand apart."""


def gain(
    *,
    model: Sequence[str],
    dimension: Sequence[str],
    gain_db: Sequence[float],
    shift: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    width: Width = "full",
) -> Figure:
    """Draw the shift of predictions, in their deviations, against gain: a line a model.

    Without gain nothing shifts: every line goes through 0 at 0 dB.

    Raises
    ------
    FigureError
        If there is no finite shift, or columns differ in length.
    """
    gains, shifts, lows, highs = (np.asarray(c, float) for c in (gain_db, shift, low, high))
    check_lengths(model, dimension, gains, shifts, lows, highs)
    check_any(shifts, "shift")
    models, sides = unique(model), unique(dimension)
    names = legend_names(models, width)
    across = len(sides) if width == "full" else 1
    down = math.ceil(len(sides) / across)
    rows = math.ceil(len(names) / legend_columns(names, width))
    with style():
        figure = new_figure(width, HEIGHT * down + 0.15 * rows + 0.2)
        panels = figure.subplots(down, across, sharey=True, squeeze=False).ravel()
        for axes, side in zip(panels, sides, strict=False):
            axes.axhline(0, color=MUTED.light, linewidth=0.9)
            for number, name in enumerate(models):
                here = [(m, d) == (name, side) for m, d in zip(model, dimension, strict=True)]
                columns = (gains[here], shifts[here], lows[here], highs[here])
                _line(axes, *columns, number=number, of=len(models))
            axes.set_xticks(sorted({0.0, *gains.tolist()}))
            axes.xaxis.set_major_formatter(FuncFormatter(_signed))
            axes.yaxis.set_major_formatter(FuncFormatter(_signed))
            axes.set_title(sentence(side))
            axes.set_xlabel("Gain, dB")
            quiet_grid(axes, "y")
        for axes in panels[::across]:
            axes.set_ylabel("Shift, deviations")
        legend_of_models(figure, panels[0], names, width)
    return figure


def _line(
    axes: Axes,
    gains: np.ndarray,
    shifts: np.ndarray,
    lows: np.ndarray,
    highs: np.ndarray,
    *,
    number: int,
    of: int,
) -> None:
    look = series_style(number)
    at = gains + BAND * offset(number, of)
    order = np.argsort(np.append(at, 0.0))
    line = [np.append(column, 0.0)[order] for column in (at, shifts)]
    axes.plot(*line, color=look["color"], linewidth=0.9)
    axes.vlines(at, lows, highs, color=look["color"], linewidth=1.1)
    axes.plot(at, shifts, markersize=3.6, markeredgewidth=0.8, linestyle="none", **look)


def _signed(value: float, _: int) -> str:
    """Return a number with its sign, as a mathematician sets it."""
    return "0" if value == 0 else f"{value:+g}".replace("-", "\N{MINUS SIGN}")
