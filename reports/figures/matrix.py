"""Figures of prompts, classes and tags, by the conventions of ``parts``.

:func:`prompts` shows how far a score depends on the words of the prompt, :func:`confusion` which
classes are taken for which, :func:`tags` how each tag of a tagger does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from earmark.reports.figures.parts import (
    check_any,
    check_lengths,
    legend_columns,
    legend_names,
    legend_of_models,
    name_panel,
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

MOST_NAMED = 9
"""More prompts than a reader can hold apart are drawn alike."""
DARKEST = 0.62
"""Opacity of a cell that holds all of its row: dark type on it keeps a contrast of 4.5."""
MOST_COUNTED = 24
"""Classes whose cells are large enough for a number."""
SMALLEST_NUMBER = 3.5
"""Points of the smallest type that is drawn in a cell."""


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
    """Draw each prompt's score with its interval: a row a model, a panel a metric.

    Values are in the units of the axis, which is ``metric``; an interval that is not known is NaN
    twice. The prompt ``ensemble`` is drawn larger. ``chance`` is by metric.

    Raises
    ------
    FigureError
        If there is no finite value, or columns differ in length.
    """
    values, lows, highs = (np.asarray(c, float) for c in (value, low, high))
    check_lengths(model, prompt, metric, values, lows, highs)
    check_any(values, "score of a prompt")
    models, heads = unique(model), unique(metric)
    single = [name for name in unique(prompt) if name != ensemble]
    with style():
        shown = [*([ensemble] if ensemble in prompt and ensemble else []), *single]
        named = (
            shown if len(single) <= MOST_NAMED else [*shown[: len(shown) - len(single)], "a prompt"]
        )
        names = legend_names(named, width)
        columns = legend_columns(names, width)
        stacked = width == "column"
        panel = 0.6 + row_height(len(shown)) * len(models)
        rows = len(heads) if stacked else 1
        legend = 0.15 * math.ceil(len(names) / columns)
        figure = new_figure(width, panel * rows + legend + 0.1)
        shape = (len(heads), 1) if stacked else (1, len(heads))
        grid = figure.subplots(*shape, sharey=True, squeeze=False).ravel()
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
                _chance_line(axes, chance[head])
        handles = [
            grid[0].plot([], [], linestyle="none", label=name, **_prompt_look(n, shown, ensemble))[
                0
            ]
            for n, name in enumerate(names)
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=columns)
    return figure


def row_height(n_prompts: int) -> float:
    """Return the inches that a model takes in :func:`prompts`."""
    return 0.12 + 0.064 * min(n_prompts, 24)


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
    """Draw which class is taken for which: a panel a model, rows the truth, shades shares of a row.

    ``clips`` is how many of ``truth`` were called ``predicted``; parts of clips are where several
    classes tied. Where there is room each cell has its number.

    Raises
    ------
    FigureError
        If no clip was counted, or columns differ in length.
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
    """Draw ROC-AUC and PR-AUC of each tag: a row a tag, a mark a model, in the order given.

    The first model's marks are larger and have their intervals. ``clips`` is a tag's support.
    Chance is 0.5 in ROC-AUC, and in PR-AUC each tag's own share of the clips; what is not known
    is NaN.

    Raises
    ------
    FigureError
        If there is no finite value, or columns differ in length.
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
        legend = 0.15 * math.ceil(len(names) / legend_columns(names, width))
        figure = new_figure(width, 0.62 + legend + 0.13 * len(rows))
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
        _chance_line(left, 0.5)
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


def _chance_line(axes: Axes, level: float) -> None:
    axes.axvline(level, color=MUTED.light, linewidth=1.0, linestyle=(0, (1, 1.6)))
    low, high = axes.get_xlim()
    edge = (level - low) / (high - low)
    axes.annotate(
        "chance",
        (level, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 2.5),
        textcoords="offset points",
        ha="left" if edge < 0.1 else "right" if edge > 0.9 else "center",
        fontsize=6.5,
        color=MUTED.light,
    )


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
