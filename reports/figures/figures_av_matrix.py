"""The matrix of trained heads by tested sets, by the conventions of
:mod:`earmark.reports.figures.parts`.

Shades say how far a score is from chance to perfect, one hue from light to dark, so that they are
told apart by all readers and in print; the number stands in every cell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from earmark.reports.figures.parts import check_any, check_lengths, short, unique
from earmark.reports.figures.style import (
    GRID,
    INCHES,
    MUTED,
    SERIES,
    Width,
    new_figure,
    style,
    text_width,
)
from earmark.reports.words import sentence

DARKEST = 0.62
"""Opacity of a perfect score: text on it still has its contrast."""
ROW = 0.19
"""Inches of a model's row."""


def matrix(
    *,
    model: Sequence[str],
    tested_on: Sequence[str],
    dimension: Sequence[str],
    metric: Sequence[str],
    value: Sequence[float],
    how: Sequence[str],
    width: Width = "full",
) -> Figure:
    """Draw scores of models (rows) on sets (columns): a panel a dimension.

    ``value`` is a correlation, chance at 0, or a share in [0, 1] of a metric whose name begins with
    ``pairwise_accuracy``, chance at 0.5. Cells whose ``how`` is ``in folds`` have a frame.

    Raises
    ------
    FigureError
        If there is no finite value, or columns differ in length.
    """
    values = np.asarray(value, float)
    check_lengths(model, tested_on, dimension, metric, values, how)
    check_any(values, "score")
    models, sets, sides = unique(model), unique(tested_on), unique(dimension)
    labels = [short(name, 48 if width == "full" else 30) for name in models]
    heads = [short(name, 22) for name in sets]
    across = len(sides) if width == "full" else 1
    beside = max(text_width(name, 7) for name in labels) / 72 + 0.1
    above = max(text_width(name, 7) for name in heads) / 72 * math.sin(math.radians(40)) + 0.2
    with style():
        down = math.ceil(len(sides) / across)
        figure = new_figure(width, (ROW * len(models) + above + 0.45) * down)
        grid = figure.subplots(down, across, squeeze=False).ravel()
        cell = (INCHES[width] - beside) / across / len(sets)
        for number, (axes, side) in enumerate(zip(grid, sides, strict=False)):
            for row in (r for r, d in enumerate(dimension) if d == side):
                place = sets.index(tested_on[row]), models.index(model[row])
                _cell(axes, place, values[row], metric[row], how[row] == "in folds", cell)
            _dress(axes, labels if number % across == 0 else [], heads, len(models))
            axes.set_title(sentence(side))
        for axes in grid[len(sides) :]:
            axes.set_axis_off()
    return figure


def _cell(
    axes: Axes, place: tuple[int, int], value: float, metric: str, framed: bool, width: float
) -> None:
    column, row = place
    accuracy = metric.startswith("pairwise_accuracy")
    written = "—"
    if np.isfinite(value):
        strength = float(np.clip(2 * value - 1 if accuracy else value, 0, 1))
        axes.add_patch(
            Rectangle(
                (column - 0.5, row - 0.5), 1, 1, facecolor=SERIES[0].light,
                alpha=DARKEST * strength, linewidth=0,
            )
        )  # fmt: skip
        written = f"{100 * value:.1f}" if accuracy else f"{value:.2f}".replace("-", "−")
    if framed:
        axes.add_patch(
            Rectangle(
                (column - 0.46, row - 0.44), 0.92, 0.88, facecolor="none",
                edgecolor=MUTED.light, linewidth=0.9,
            )
        )  # fmt: skip
    size = 6.5 if text_width(written, 6.5) / 72 < width else 5.0
    number = axes.text(column, row, written, ha="center", va="center", fontsize=size)
    # It is inside its panel, and measuring hundreds of numbers takes long.
    number.set_in_layout(False)


def _dress(axes: Axes, labels: Sequence[str], heads: Sequence[str], n_models: int) -> None:
    axes.set_xlim(-0.5, len(heads) - 0.5)
    axes.set_ylim(n_models - 0.5, -0.5)
    axes.set_xticks(range(len(heads)), list(heads), rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(n_models) if labels else [], list(labels))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for edge in range(n_models + 1):
        axes.axhline(edge - 0.5, color=GRID.light, linewidth=0.4)
    for edge in range(len(heads) + 1):
        axes.axvline(edge - 0.5, color=GRID.light, linewidth=0.4)
