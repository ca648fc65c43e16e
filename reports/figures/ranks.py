"""Figures of ranks and similarities, by the conventions of :mod:`earmark.reports.figures.parts`.

:func:`similarities` and :func:`joint_map` are the two halves of figure 4 of Manco et al.,
"Contrastive audio-language learning for music", ISMIR 2022; :func:`recall_curve` and
:func:`rank_histogram` show where the right item stands in the order that a query gives.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from earmark.reports.figures.parts import (
    FigureError,
    check_any,
    check_lengths,
    legend_columns,
    legend_names,
    legend_of_models,
    name_panel,
    short,
    unique,
)
from earmark.reports.figures.style import (
    GRID,
    INCHES,
    MUTED,
    SERIES,
    TEXT,
    Width,
    new_figure,
    quiet_grid,
    series_style,
    style,
)
from earmark.reports.words import sentence

ACROSS: dict[Width, int] = {"column": 2, "full": 4}
"""Small panels side by side."""
_PAIRS = {"aligned": (0, "-"), "random": (1, (0, (3, 1.5)))}


def panels_across(n_panels: int, width: Width) -> int:
    """Return how many small panels stand side by side; the last row is not nearly empty.

    >>> panels_across(1, "full"), panels_across(5, "full"), panels_across(8, "full")
    (2, 3, 4)
    """
    most = ACROSS[width]
    return min(most, max(2, math.ceil(n_panels / math.ceil(n_panels / most))))


def similarities(
    *,
    model: Sequence[str],
    pairs: Sequence[str],
    similarity: Sequence[float],
    density: Sequence[float],
    notes: Mapping[str, str] | None = None,
    width: Width = "full",
) -> Figure:
    """Draw the density of cosine similarity of ``aligned`` and ``random`` pairs: a panel a model.

    ``density`` is at ``similarity``, which ascends within each model's pairs; ``notes`` says a
    few words below the name of a model.

    Raises
    ------
    FigureError
        If there is no finite density, ``pairs`` is something else, or columns differ in length.
    """
    x, y = np.asarray(similarity, float), np.asarray(density, float)
    check_lengths(model, pairs, x, y)
    check_any(y, "density")
    if strange := set(pairs) - set(_PAIRS):
        raise FigureError(f"pairs are {', '.join(_PAIRS)}, got {', '.join(sorted(strange))}")
    models = unique(model)
    name, kind = np.asarray(model), np.asarray(pairs)
    with style():
        figure, grid = _small_panels(models, width, height=1.3, sharex=True)
        room = 72 * INCHES[width] / grid[0].get_gridspec().ncols - 16
        for axes, of_model in zip(grid, models, strict=False):
            for pair, (number, line) in _PAIRS.items():
                here = (name == of_model) & (kind == pair)
                ink = SERIES[number].light
                axes.fill_between(x[here], y[here], color=ink, alpha=0.18, linewidth=0)
                axes.plot(x[here], y[here], color=ink, linestyle=line, linewidth=1.1)
            name_panel(axes, of_model, (notes or {}).get(of_model, ""), room=room)
            axes.set_ylim(0)
            axes.yaxis.set_major_locator(NullLocator())
            axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
            axes.spines["left"].set_visible(False)
            quiet_grid(axes, "x")
        _label_below(figure, grid, len(models), "Cosine similarity")
        figure.supylabel("Density", fontsize=7.5)
        handles = [
            grid[0].plot([], [], color=SERIES[number].light, linestyle=line, label=f"{pair} pairs")[
                0
            ]
            for pair, (number, line) in _PAIRS.items()
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=2)
    return figure


def joint_map(
    *,
    model: Sequence[str],
    kind: Sequence[str],
    x: Sequence[float],
    y: Sequence[float],
    rest: str | None = None,
    notes: Mapping[str, str] | None = None,
    width: Width = "full",
) -> Figure:
    """Draw vectors mapped to the plane: a panel a model, coloured by ``kind`` (modality, label).

    The kind ``rest`` is drawn muted and behind the others. Directions and distances of a t-SNE
    map have no unit, so the axes have no ticks.

    Raises
    ------
    FigureError
        If no point is finite, or columns differ in length.
    """
    across, up = np.asarray(x, float), np.asarray(y, float)
    check_lengths(model, kind, across, up)
    check_any(across + up, "point of the map")
    models = unique(model)
    kinds = [name for name in unique(kind) if name != rest]
    name, of = np.asarray(model), np.asarray(kind)
    with style():
        names = legend_names([*kinds, *([rest] if rest in of and rest else [])], width)
        columns = legend_columns(names, width)
        rows = math.ceil(len(names) / columns)
        figure, grid = _small_panels(models, width, height=1.65, legend=0.15 * rows)
        looks = {kind: _dots(number) for number, kind in enumerate(kinds)}
        if rest:
            looks = {rest: {"color": MUTED.light, "marker": ".", "alpha": 0.35, "mew": 0}, **looks}
        room = 72 * INCHES[width] / grid[0].get_gridspec().ncols - 16
        for axes, of_model in zip(grid, models, strict=False):
            for each, look in looks.items():
                here = (name == of_model) & (of == each)
                axes.plot(
                    across[here],
                    up[here],
                    linestyle="none",
                    markersize=2.3,
                    **look,
                )
            name_panel(axes, of_model, (notes or {}).get(of_model, ""), room=room)
            axes.xaxis.set_major_locator(NullLocator())
            axes.yaxis.set_major_locator(NullLocator())
            axes.spines[["top", "right"]].set_visible(True)
            for spine in axes.spines.values():
                spine.set_color(GRID.light)
            axes.margins(0.04)
        _legend_of_dots(figure, grid[0], names, [*kinds, *([rest] if rest else [])], looks, columns)
    return figure


def recall_curve(
    *,
    model: Sequence[str],
    direction: Sequence[str],
    k: Sequence[int],
    recall: Sequence[float],
    chance: Mapping[str, Mapping[int, float]] | None = None,
    pool: Mapping[str, int] | None = None,
    width: Width = "full",
) -> Figure:
    """Draw R@k against k: a panel a direction, a line a model.

    ``recall`` is in [0, 1]; ``chance`` has that of an order drawn at random, by direction and k;
    ``pool`` has how many items are ranked, by direction, where that is known.

    Raises
    ------
    FigureError
        If there is no finite recall, or columns differ in length.
    """
    at, values = np.asarray(k, float), np.asarray(recall, float)
    check_lengths(model, direction, at, values)
    check_any(values, "recall")
    models, directions = unique(model), unique(direction)
    name, side = np.asarray(model), np.asarray(direction)
    with style():
        names = legend_names(models, width)
        columns = legend_columns(names, width)
        stacked = width == "column"
        legend = 0.15 * math.ceil(len(names) / columns)
        figure = new_figure(width, legend + 0.15 + 2.1 * (len(directions) if stacked else 1))
        shape = (len(directions), 1) if stacked else (1, len(directions))
        grid = figure.subplots(*shape, sharey=True, squeeze=False).ravel()
        for axes, way in zip(grid, directions, strict=True):
            last = at[side == way].max()
            axes.set_xscale("log")
            ticks = [tick for tick in _log_ticks(last) if tick <= last]
            axes.xaxis.set_major_locator(FixedLocator(ticks))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
            axes.set_xlim(0.93, max(last, 2) * 1.08)
            axes.set_ylim(0, 102)
            for number, each in enumerate(models):
                here = (name == each) & (side == way)
                _recall_line(axes, at[here], 100 * values[here], number)
            if level := (chance or {}).get(way):
                _draw_chance(axes, list(level), [100 * value for value in level.values()])
            axes.set_title(sentence(way))
            of = f" (of {pool[way]:,})" if pool and way in pool else ""
            axes.set_xlabel(f"k, first items looked at{of}")
            quiet_grid(axes, "both")
        for axes in grid if stacked else grid[:1]:
            axes.set_ylabel("R@k, %")
        legend_of_models(figure, grid[0], names, width)
    return figure


def rank_histogram(
    *,
    model: Sequence[str],
    direction: Sequence[str],
    low: Sequence[float],
    high: Sequence[float],
    share: Sequence[float],
    chance: Sequence[float],
    width: Width = "full",
) -> Figure:
    """Draw where the right item ranks: a panel a model and direction, a bar a range of ranks.

    A bar holds the ranks from ``low`` up to, not with, ``high``; bars are equally wide whatever
    their range. ``share`` of the queries, and ``chance``'s share, are in [0, 1]; a level of chance
    that is not known is NaN.

    Raises
    ------
    FigureError
        If there is no finite share, or columns differ in length.
    """
    lows, highs, shares, levels = (np.asarray(c, float) for c in (low, high, share, chance))
    check_lengths(model, direction, lows, highs, shares, levels)
    check_any(shares, "rank")
    models, directions = unique(model), unique(direction)
    name, side = np.asarray(model), np.asarray(direction)
    per_row = len(directions) * (1 if width == "column" else max(1, 4 // len(directions)))
    panels = [(each, way) for each in models for way in directions]
    rows = math.ceil(len(panels) / per_row)
    with style():
        figure = new_figure(width, 0.4 + 1.35 * rows, headroom=0.14)
        grid = figure.subplots(rows, per_row, sharey=True, squeeze=False).ravel()
        for position, (axes, (each, way)) in enumerate(zip(grid, panels, strict=False)):
            here = (name == each) & (side == way)
            if way == directions[0]:
                _name_above(axes, each, width)
            axes.set_title(sentence(way), fontsize=7, fontweight="normal", pad=3)
            places = np.arange(int(here.sum()))
            axes.bar(places, 100 * shares[here], width=0.86, color=SERIES[0].light, linewidth=0)
            for place, level in zip(places, 100 * levels[here], strict=True):
                if math.isfinite(level):
                    axes.hlines(level, place - 0.43, place + 0.43, color=TEXT.light, linewidth=1.1)
            _name_ranks(axes, lows[here], highs[here], 72 * INCHES[width] / per_row - 30)
            axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
            quiet_grid(axes, "y")
            if position % per_row == 0:
                axes.set_ylabel("Queries, %")
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        figure.supxlabel("Rank of the right item (line: an order drawn at random)", fontsize=7.5)
    return figure


def _small_panels(
    models: Sequence[str],
    width: Width,
    *,
    height: float,
    legend: float = 0.15,
    sharex: bool = False,
) -> tuple[Figure, NDArray[Any]]:
    across = panels_across(len(models), width)
    rows = math.ceil(len(models) / across)
    figure = new_figure(width, legend + 0.25 + height * rows)
    grid = figure.subplots(rows, across, sharex=sharex, squeeze=False).ravel()
    for axes in grid[len(models) :]:
        axes.set_axis_off()
    return figure, grid


def _name_above(axes: Axes, name: str, width: Width) -> None:
    label = axes.annotate(
        short(name, 40 if width == "column" else 44),
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 13),
        textcoords="offset points",
        fontsize=7,
        fontweight="bold",
        color=TEXT.light,
    )
    label.set_in_layout(False)


def _label_below(figure: Figure, grid: NDArray[Any], n_panels: int, label: str) -> None:
    """Name the horizontal axis once, and number it below the last panel of each column."""
    across = grid[0].get_gridspec().ncols
    for position, axes in enumerate(grid[:n_panels]):
        axes.tick_params(labelbottom=position + across >= n_panels)
    figure.supxlabel(label, fontsize=7.5)


def _dots(number: int) -> dict[str, Any]:
    """Return a dot that may lie on others; from the ninth on it is hollow."""
    hollow = number >= len(SERIES)
    return series_style(number) | {"alpha": 0.6, "mew": 0.5 if hollow else 0}


def _legend_of_dots(
    figure: Figure,
    axes: Axes,
    names: Sequence[str],
    kinds: Sequence[str],
    looks: Mapping[str, dict[str, Any]],
    columns: int,
) -> None:
    handles = [
        axes.plot([], [], linestyle="none", markersize=4, label=name, **looks[kind])[0]
        for name, kind in zip(names, kinds, strict=False)
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=columns)


def _recall_line(axes: Axes, k: NDArray[Any], recall: NDArray[Any], number: int) -> None:
    look = series_style(number)
    axes.plot(k, recall, color=look["color"], linewidth=1.1, drawstyle="steps-post")
    marked = np.isin(k, [1, 5, 10])
    axes.plot(k[marked], recall[marked], linestyle="none", markersize=3.6, **look)


def _draw_chance(axes: Axes, k: Sequence[int], level: Sequence[float]) -> None:
    axes.plot(k, level, color=MUTED.light, linewidth=1.0, linestyle=(0, (1, 1.6)))
    middle = int(np.searchsorted(level, 22))
    if middle < len(k):
        axes.annotate(
            "chance",
            (k[middle], level[middle]),
            xytext=(5, -7),
            textcoords="offset points",
            fontsize=6.5,
            color=MUTED.light,
        )


def _log_ticks(last: float) -> list[int]:
    decades = range(math.floor(math.log10(max(last, 1))) + 1)
    fives = (1, 5) if last <= 2000 else (1,)
    return [step * 10**decade for decade in decades for step in fives]


def _name_ranks(axes: Axes, lows: NDArray[Any], highs: NDArray[Any], points: float) -> None:
    """Label as many bars with their ranges as ``points`` of width have room for."""
    names = [
        f"{low:,.0f}" if high - low <= 1 else f"{low:,.0f}–{math.ceil(high) - 1:,.0f}"
        for low, high in zip(lows, highs, strict=True)
    ]
    step = math.ceil(len(names) * 8 / points)
    axes.set_xticks(range(0, len(names), step), names[::step], rotation=90, fontsize=6)
    axes.set_xlim(-0.6, len(names) - 0.4)
