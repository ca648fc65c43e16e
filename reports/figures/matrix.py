"""Figures of matrices: classes by classes, models by tested sets; shades say how much."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from earmark.reports.figures.parts import (
    beside,
    check_any,
    check_lengths,
    checked,
    name_panel,
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
    style,
    text_width,
)
from earmark.reports.words import sentence

DARKEST = 0.62
"""Opacity of a cell that holds all of its row: dark type on it keeps a contrast of 4.5."""
MOST_COUNTED = 24
"""Classes whose cells are large enough for a number."""
SMALLEST_NUMBER = 3.5
"""Points of the smallest type that is drawn in a cell."""
ROW = 0.19
"""Inches of a model's row."""


def confusion(
    *,
    model: Sequence[str],
    truth: Sequence[str],
    predicted: Sequence[str],
    clips: Sequence[float],
    classes: Sequence[str] | None = None,
    notes: Mapping[str, str] | None = None,
    width: Width = "full",
) -> Figure:
    """Draw which class is taken for which, per model: rows the truth, shades shares of a row.

    ``clips`` is how many of ``truth`` were called ``predicted``; parts of clips are where several
    classes tied. Where there is room each cell has its number.
    """
    counts = np.asarray(clips, float)
    check_lengths(model, truth, predicted, counts)
    check_any(np.where(counts > 0, counts, np.nan), "confusion")
    models = unique(model)
    names = list(classes) if classes is not None else unique([*truth, *predicted])
    place = {name: number for number, name in enumerate(names)}
    layout = matrix_layout(names, len(models), width)
    rows = math.ceil(len(models) / layout.across)
    with style():
        figure = new_figure(width, layout.height * rows + layout.foot)
        grid = figure.subplots(rows, layout.across, squeeze=False).ravel()
        for position, (axes, of_model) in enumerate(zip(grid, models, strict=False)):
            matrix = np.zeros((len(names), len(names)))
            for row in (r for r, name in enumerate(model) if name == of_model):
                matrix[place[truth[row]], place[predicted[row]]] += np.nan_to_num(counts[row])
            _matrix(
                axes,
                matrix,
                layout.labels,
                cell=72 * layout.side / len(names),
                left=position % layout.across == 0,
                below=position + layout.across >= len(models),
            )
            note = (notes or {}).get(of_model, "")
            name_panel(axes, of_model, note, room=72 * layout.side)
        for axes in grid[len(models) :]:
            axes.set_axis_off()
    return figure


@dataclass(frozen=True, slots=True)
class MatrixLayout:
    """How matrices stand on a figure; lengths in inches."""

    across: int
    side: float
    height: float
    """Of a matrix with its model's name."""
    foot: float
    """Of the labels below the last row."""
    labels: tuple[str, ...]


def matrix_layout(classes: Sequence[str], n_models: int, width: Width) -> MatrixLayout:
    """Return how the matrices of so many models stand on a figure of this width."""
    few = len(classes) <= 16
    across = 1
    if width == "full" and few:
        across = min(n_models, 3 if len(classes) <= 12 else 2)
    whole = across == 1 and width == "full"
    labels = tuple(short(name, 24 if whole else 14) for name in classes)
    longest = max((text_width(name, 7) for name in labels), default=0) / 72
    # Only the first matrix of a row has its classes named.
    beside = longest + text_width(" (00,000)", 7) / 72 + 0.4
    widest = {1: 3.2 if few else 5.2, 2: 3.0, 3: 1.65}[across]
    side = min((INCHES[width] - beside) / across - 0.12, widest)
    return MatrixLayout(across, side, side + 0.46, longest + 0.4, labels)


def _matrix(
    axes: Axes,
    matrix: NDArray[np.float64],
    labels: Sequence[str],
    *,
    cell: float,
    left: bool,
    below: bool,
) -> None:
    """Draw one matrix, its classes named at the ``left`` and ``below``; a cell has ``cell`` points.

    The numbers of clips beside the classes are those of this matrix.
    """
    n = len(labels)
    totals = matrix.sum(axis=1, keepdims=True)
    shares = matrix / np.where(totals > 0, totals, 1)
    written = {
        (row, column): f"{matrix[row, column]:.0f}" if matrix[row, column] >= 0.5 else "<1"
        for row, column in zip(*np.nonzero(matrix), strict=True)
    }
    widest = max((text_width(words, 1) for words in written.values()), default=1.0)
    size = min(6.5, 0.6 * cell, 0.92 * cell / widest)
    for (row, column), words in written.items():
        axes.add_patch(
            Rectangle(
                (column - 0.5, row - 0.5),
                1,
                1,
                facecolor=SERIES[0].light,
                alpha=DARKEST * shares[row, column],
                linewidth=0,
            )
        )
        if n <= MOST_COUNTED and size >= SMALLEST_NUMBER:
            number = axes.text(column, row, words, ha="center", va="center", fontsize=size)
            # It is inside its panel, and measuring hundreds of numbers takes long.
            number.set_in_layout(False)
    for edge in range(n + 1):
        axes.axhline(edge - 0.5, color=GRID.light, linewidth=0.4)
        axes.axvline(edge - 0.5, color=GRID.light, linewidth=0.4)
    for place in range(n):
        axes.add_patch(
            Rectangle(
                (place - 0.5, place - 0.5),
                1,
                1,
                facecolor="none",
                edgecolor=MUTED.light,
                linewidth=0.7,
                zorder=3,
                clip_on=False,
            )
        )
    axes.set_xlim(-0.5, n - 0.5)
    axes.set_ylim(n - 0.5, -0.5)
    axes.set_aspect("equal", anchor="NW")
    small = min(7.0, max(3.5, 0.75 * cell))
    axes.set_xticks(range(n), labels if below else [""] * n, rotation=90, fontsize=small)
    named = [f"{name} ({total:,.0f})" for name, total in zip(labels, totals[:, 0], strict=True)]
    axes.set_yticks(range(n), named if left else [""] * n, fontsize=small)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if below:
        axes.set_xlabel("Predicted class", fontsize=7)
    if left:
        axes.set_ylabel("True class (clips)", fontsize=7)


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
    """Draw scores of models (rows) on sets (columns): one panel per dimension.

    ``value`` is a correlation, chance at 0, or a share in [0, 1] of a metric whose name begins with
    ``pairwise_accuracy``, chance at 0.5. Cells whose ``how`` is ``in folds`` have a frame.
    """
    (values,) = checked("score", (model, tested_on, dimension, metric, how), value)
    models, sets, sides = unique(model), unique(tested_on), unique(dimension)
    labels = [short(name, 48 if width == "full" else 30) for name in models]
    heads = [short(name, 22) for name in sets]
    room = max(text_width(name, 7) for name in labels) / 72 + 0.1
    above = max(text_width(name, 7) for name in heads) / 72 * math.sin(math.radians(40)) + 0.2
    with style():
        figure, grid, stacked = beside(
            len(sides), width, panel=ROW * len(models) + above + 0.45, rest=0
        )
        cell = (INCHES[width] - room) / (1 if stacked else len(sides)) / len(sets)
        for number, (axes, side) in enumerate(zip(grid, sides, strict=True)):
            for row in (r for r, d in enumerate(dimension) if d == side):
                place = sets.index(tested_on[row]), models.index(model[row])
                _cell(axes, place, values[row], metric[row], how[row] == "in folds", cell)
            _dress(axes, labels if stacked or not number else [], heads, len(models))
            axes.set_title(sentence(side))
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
