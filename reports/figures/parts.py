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
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from earmark.reports.figures.style import (
    GRID,
    INCHES,
    MUTED,
    TEXT,
    Width,
    new_figure,
    printable,
    series_style,
    text_width,
)
from earmark.reports.words import sentence

Columns = Mapping[str, Sequence[object]]
Floats = NDArray[np.float64]
_LEGEND_MARK = 30
"""Points that a legend takes beside a name: its mark, and the gap to the next column."""
LONGEST_NAME = 34
"""Longer names of models and sets are cut in the middle; tables have them whole."""
ACROSS: dict[Width, int] = {"column": 2, "full": 4}
"""Small panels side by side."""


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


def checked(
    what: str, names: Sequence[Sequence[object]], *columns: Sequence[float]
) -> list[Floats]:
    """Return columns of numbers as arrays, of the names' length; the first has a finite value."""
    arrays = [np.asarray(column, float) for column in columns]
    check_lengths(*names, *arrays)
    check_any(arrays[0], what)
    return arrays


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


def rule_sets(axes: Axes, labels: Sequence[str]) -> None:
    """Make the vertical axis one of named rows, the first on top, with a rule between them."""
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_yticks(range(len(labels)), labels)
    for edge in range(1, len(labels)):
        axes.axhline(edge - 0.5, color=GRID.light, linewidth=0.6)
    axes.grid(True, axis="x")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


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
    return fitting_all(models, 72 * INCHES[width] - _LEGEND_MARK)


def fitting(name: str, room: float, size: float = 7) -> str:
    """Return the name, with its middle left out until it is at most ``room`` points wide."""
    longest = LONGEST_NAME
    while longest > 3 and text_width(short(name, longest), size) > room:
        longest -= 1
    return short(name, longest)


def fitting_all(names: Sequence[str], room: float, size: float = 7) -> list[str]:
    """Return names of at most ``room`` points each; those that were cut to the same are told apart.

    These show the part in which they differ, as far as there is room for it.
    """
    shown = [fitting(name, room, size) for name in names]
    for label in set(shown):
        alike = [name for name, one in zip(names, shown, strict=True) if one == label]
        if len(set(alike)) < 2:
            continue
        start = _same(alike)
        end = _same([name[start:][::-1] for name in alike])
        for place, name in enumerate(names):
            if shown[place] == label:
                shown[place] = _around(name, start, len(name) - end, room, size)
    return shown


def _same(names: Sequence[str]) -> int:
    """Return how many letters all names begin with."""
    letters = enumerate(zip(*names, strict=False))
    return next((n for n, one in letters if len(set(one)) > 1), min(map(len, names)))


def _around(name: str, start: int, stop: int, room: float, size: float) -> str:
    """Return a part of a name, with as much of both ends as there is room for."""
    name = printable(name)
    for kept in range(LONGEST_NAME, -1, -1):
        head = name[:start] if start <= kept + 1 else f"{name[:kept]}…"
        left = len(name) - stop
        tail = name[stop:] if left <= kept + 1 else f"…{name[len(name) - kept :]}"
        found = f"{head}{name[start:stop]}{tail}"
        if text_width(found, size) <= room:
            return found
    return fitting(name[start:stop], room, size)


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


def panels_across(n_panels: int, width: Width) -> int:
    """Return how many small panels stand side by side; the last row is not nearly empty.

    >>> panels_across(1, "full"), panels_across(5, "full"), panels_across(8, "full")
    (2, 3, 4)
    """
    most = ACROSS[width]
    return min(most, max(2, math.ceil(n_panels / math.ceil(n_panels / most))))


def small_panels(
    models: Sequence[str],
    width: Width,
    *,
    height: float,
    legend: float = 0.15,
    sharex: bool = False,
    sharey: bool = False,
) -> tuple[Figure, NDArray[Any]]:
    across = panels_across(len(models), width)
    rows = math.ceil(len(models) / across)
    figure = new_figure(width, legend + 0.25 + height * rows)
    grid = figure.subplots(rows, across, sharex=sharex, sharey=sharey, squeeze=False).ravel()
    for axes in grid[len(models) :]:
        axes.set_axis_off()
    return figure, grid


def chance_line(axes: Axes, level: float) -> None:
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


def name_model(axes: Axes, name: str) -> None:
    """Write the model above the first of its panels."""
    label = axes.annotate(
        short(name, 40),
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 13),
        textcoords="offset points",
        fontsize=7,
        fontweight="bold",
        color=TEXT.light,
    )
    # A long name would otherwise make its own panel narrower than the others.
    label.set_in_layout(False)


def legend_height(names: Sequence[str], width: Width) -> float:
    """Return the inches of a legend of these names."""
    return 0.15 * math.ceil(len(names) / legend_columns(names, width))


def beside(
    n_panels: int,
    width: Width,
    *,
    panel: float,
    rest: float,
    stacked: bool | None = None,
    sharex: bool = False,
    sharey: bool = False,
) -> tuple[Figure, list[Axes], bool]:
    """Return a figure with its panels side by side, or below each other, and which it is.

    ``panel`` is the height of one in inches, ``rest`` that of what stands around them. Panels are
    stacked in a column of a paper, or as told.
    """
    stacked = width == "column" if stacked is None else stacked
    figure = new_figure(width, panel * (n_panels if stacked else 1) + rest)
    shape = (n_panels, 1) if stacked else (1, n_panels)
    return (
        figure,
        list(figure.subplots(*shape, sharex=sharex, sharey=sharey, squeeze=False).ravel()),
        stacked,
    )


def model_panels(
    models: Sequence[str],
    sides: Sequence[str],
    width: Width,
    *,
    panel: float,
    rest: float,
    sharex: bool = True,
) -> tuple[Figure, int, list[tuple[Axes, str, str]]]:
    """Return a figure of one small panel per model and side, how many stand side by side, and each.

    A model's sides are neighbours, under its name: one model a row in a column, two across a page.
    """
    across = len(sides) * (1 if width == "column" else max(1, 4 // len(sides)))
    places = [(model, side) for model in models for side in sides]
    rows = math.ceil(len(places) / across)
    # The names of models stand above the panels, where the layout does not see them.
    figure = new_figure(width, rest + panel * rows, headroom=0.14)
    grid = figure.subplots(rows, across, sharex=sharex, sharey=True, squeeze=False).ravel()
    for axes, (model, side) in zip(grid, places, strict=False):
        if side == sides[0]:
            name_model(axes, model)
        axes.set_title(sentence(side), fontsize=7, fontweight="normal", pad=3)
    for axes in grid[len(places) :]:
        axes.set_axis_off()
    return figure, across, [(axes, *place) for axes, place in zip(grid, places, strict=False)]
