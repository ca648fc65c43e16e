"""Figures: each a function of plain columns, drawn without pyplot's global state.

Conventions
-----------
A figure's keyword arguments are columns of equal length, one entry a mark: what :func:`figure_csv`
writes is what was drawn. Accuracies are shares in [0, 1] and shown in per cent. ``width`` is that
of a paper's column (3.3 in, panels below each other) or of its text block (7 in, side by side).
A figure with nothing to show raises: nobody is handed a blank panel.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from earmark.reports.figures.style import (
    BARS,
    GRID,
    INCHES,
    MUTED,
    PAPER,
    TEXT,
    Width,
    new_figure,
    printable,
    series_style,
    style,
    text_width,
)
from earmark.reports.words import sentence

Columns = Mapping[str, Sequence[object]]
_LEGEND_MARK = 30
"""Points that a legend takes beside a name: its mark, and the gap to the next column."""
LONGEST_NAME = 34
"""Longer names of models and sets are cut in the middle; tables have them whole."""


class FigureError(ValueError):
    """There is nothing to draw, or the columns do not belong together."""


@dataclass(frozen=True, slots=True)
class Line:
    """A value to hold marks against. ``subset`` None: it holds for every set of the panel."""

    name: str
    value: float
    dimension: str | None = None
    subset: str | None = None


def figure_csv(columns: Columns) -> str:
    """Return the columns of a figure as CSV with a header.

    >>> figure_csv({"model": ["a", "b, c"], "value": [0.5, None]})
    'model,value\\na,0.5\\n"b, c",\\n'
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return file.getvalue()


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
    """Draw accuracy with its interval per set: a panel a dimension, a marker a model.

    ``value``, ``low`` and ``high`` are in [0, 1]; an interval that is not known is NaN twice.

    Raises
    ------
    FigureError
        If there is no finite value, or columns differ in length.
    """
    values, lows, highs = (np.asarray(c, float) for c in (value, low, high))
    check_lengths(model, subset, dimension, values, lows, highs)
    check_any(values, "accuracy")
    models, subsets, dimensions = unique(model), unique(subset), unique(dimension)
    band = band_height(len(models))
    panel = 0.5 + band * len(subsets)
    with style():
        stacked = width == "column" or len(dimensions) > 2
        names = legend_names(models, width)
        legend_rows = math.ceil(len(names) / legend_columns(names, width))
        height = panel * (len(dimensions) if stacked else 1) + 0.15 * legend_rows + 0.2
        figure = new_figure(width, height)
        shape = (len(dimensions), 1) if stacked else (1, len(dimensions))
        grid = figure.subplots(*shape, sharex=True, sharey=True, squeeze=False).ravel()
        limits = _accuracy_limits(np.concatenate([values, lows, highs]), lines)
        labels = [short(subset, 22 if width == "column" else LONGEST_NAME) for subset in subsets]
        beside = max(text_width(label, 7) for label in labels) / 72 + 0.25
        inches = (INCHES[width] - beside) / (1 if stacked else len(dimensions)) - 0.1
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


def agreement(
    *,
    dimension: Sequence[str],
    triplet_type: Sequence[str],
    full: Sequence[float],
    majority: Sequence[float],
    disagreement: Sequence[float],
    incomplete: Sequence[float],
    width: Width = "full",
) -> Figure:
    """Draw how far judges agreed: one bar of 100 % a dimension and triplet type, from counts.

    Raises
    ------
    FigureError
        If no pair was counted, or columns differ in length.
    """
    parts = {
        "full": full,
        "majority": majority,
        "disagreement": disagreement,
        "incomplete": incomplete,
    }
    counts = np.array([np.asarray(part, float) for part in parts.values()])
    check_lengths(dimension, triplet_type, *counts)
    totals = counts.sum(axis=0)
    check_any(np.where(totals > 0, totals, np.nan), "agreement")
    with style():
        figure = new_figure(width, 0.62 + 0.27 * len(dimension))
        axes = figure.subplots()
        left = np.zeros(len(dimension))
        for (name, ink), part in zip(zip(parts, BARS, strict=True), counts, strict=True):
            if not part.any():
                continue
            share = 100 * part / np.where(totals > 0, totals, 1)
            axes.barh(
                range(len(share)),
                share,
                left=left,
                height=0.68,
                color=ink.light,
                label=name,
                hatch="//////" if name == "incomplete" else None,
                edgecolor=PAPER.light,
                linewidth=0.6,
            )
            for row, (start, length) in enumerate(zip(left, share, strict=True)):
                if length >= (6 if width == "full" else 11) and name != "incomplete":
                    _write_share(axes, start + length / 2, row, length, dark=name == "full")
            left += share
        names = [f"{sentence(d)}, {t}" for d, t in zip(dimension, triplet_type, strict=True)]
        axes.set_yticks(range(len(names)), [short(name) for name in names])
        for row, total in enumerate(totals):
            axes.text(101.5, row, f"n = {total:,.0f}", va="center", fontsize=7, color=MUTED.light)
        axes.invert_yaxis()
        axes.set_xlim(0, 100)
        axes.set_xlabel("Share of pairs, %")
        axes.spines[["left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        figure.legend(loc="outside upper left", ncols=4 if width == "full" else 2)
    return figure


def check_lengths(*columns: Sequence[object] | np.ndarray) -> None:
    lengths = [len(column) for column in columns]
    if len(set(lengths)) > 1:
        raise FigureError(f"columns of a figure need one length, got {lengths}")


def check_any(values: np.ndarray, what: str) -> None:
    if not np.isfinite(values).any():
        raise FigureError(
            f"no {what} to draw: {values.size} values, none finite; leave the figure out"
        )


def unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def name_panel(axes: Axes, name: str, note: str = "", *, room: float) -> None:
    """Write a name above a panel ``room`` points wide, and a few words on it below the name."""
    # Bold type is up to an eighth wider.
    axes.set_title(fitting(name, room / 1.125), fontsize=7, pad=12 if note else 4)
    label = axes.annotate(
        note,
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 3),
        textcoords="offset points",
        fontsize=6.5,
        color=MUTED.light,
    )
    # Long words would otherwise make their own panel narrower than the others.
    label.set_in_layout(False)


def short(name: str, longest: int = LONGEST_NAME) -> str:
    """Return the name, with its middle left out if it is long.

    >>> short("a-very-long-name", 9)
    'a-ve…name'
    """
    name = " ".join(printable(name).split())
    if len(name) <= longest:
        return name
    head = longest // 2
    return f"{name[:head]}…{name[len(name) - (longest - head - 1) :]}"


def _accuracy_limits(shares: np.ndarray, lines: Sequence[Line]) -> tuple[float, float]:
    """Return limits in per cent that hold all marks and lines, with air."""
    every = 100 * np.array([*shares[np.isfinite(shares)], *(line.value for line in lines)])
    low, high = float(every.min()), float(every.max())
    air = max(1.0, 0.03 * (high - low))
    return low - air, high + air


def rule_sets(axes: Axes, labels: Sequence[str]) -> None:
    """Make the vertical axis one of named rows, the first on top, with a rule between them."""
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_yticks(range(len(labels)), labels)
    for edge in range(1, len(labels)):
        axes.axhline(edge - 0.5, color=GRID.light, linewidth=0.6)
    axes.grid(True, axis="x")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


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


def offset(number: int, of: int) -> float:
    """Return where the mark of model ``number`` is within its band, in bands from the middle."""
    return (number - (of - 1) / 2) * 0.78 / max(of, 4)


def mark(axes: Axes, y: float, value: float, low: float, high: float, number: int) -> None:
    """Draw a value with its interval in the look of series ``number``; NaN is not drawn."""
    if not math.isfinite(value):
        return
    look = series_style(number)
    if math.isfinite(low) and math.isfinite(high):
        axes.hlines(y, low, high, color=look["color"], linewidth=1.1)
    axes.plot(value, y, markersize=3.6, markeredgewidth=0.8, linestyle="none", **look)


def legend_names(models: Sequence[str], width: Width) -> list[str]:
    """Return the names as a legend of one column has room for them."""
    return [fitting(name, 72 * INCHES[width] - _LEGEND_MARK) for name in models]


def fitting(name: str, room: float, size: float = 7) -> str:
    """Return the name, with its middle left out until it is at most ``room`` points wide."""
    longest = LONGEST_NAME
    while longest > 3 and text_width(short(name, longest), size) > room:
        longest -= 1
    return short(name, longest)


def legend_columns(names: Sequence[str], width: Width) -> int:
    """Return the most columns whose names fit side by side."""
    lengths = [text_width(name, 7) + _LEGEND_MARK for name in names]
    for columns in range(len(names), 1, -1):
        widest = [part.max() for part in np.array_split(lengths, columns)]
        if sum(widest) <= 72 * INCHES[width]:
            return columns
    return 1


def legend_of_models(figure: Figure, axes: Axes, names: Sequence[str], width: Width) -> None:
    """Put a legend of one entry a series above the panels."""
    handles = [
        axes.plot([], [], markersize=3.6, linewidth=1.1, label=name, **series_style(number))[0]
        for number, name in enumerate(names)
    ]
    columns = legend_columns(names, width)
    figure.legend(handles=handles, loc="outside upper left", ncols=columns)


def _write_share(axes: Axes, x: float, y: float, share: float, *, dark: bool) -> None:
    axes.text(
        x,
        y,
        f"{share:.0f} %",
        ha="center",
        va="center",
        fontsize=7,
        color=PAPER.light if dark else TEXT.light,
    )
