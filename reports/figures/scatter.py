"""Figures of the predictions themselves, by the conventions of
:mod:`earmark.reports.figures.parts`.

:func:`calibration` asks whether a model is right more often where it predicts a larger
difference, :func:`ratings` how its arousal and valence follow people's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from earmark.reports.figures.parts import (
    check_any,
    check_lengths,
    short,
    unique,
)
from earmark.reports.figures.style import (
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

Scale = tuple[float, float]
MOST_LABELS = 6
"""More labels than a reader can hold apart are not coloured."""
MOST_POINTS = 2000
"""More points than paper can hold apart are shown as density."""


def calibration(
    *,
    model: Sequence[str],
    dimension: Sequence[str],
    bin: Sequence[int],
    accuracy: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    width: Width = "full",
) -> Figure:
    """Draw pairwise accuracy by rank of the predicted difference: a panel a model and dimension.

    ``bin`` counts from 1, the smallest absolute differences; ``accuracy`` with ``low`` and
    ``high`` is in [0, 1], chance at 0.5. A model that knows what it knows rises to the right.

    Raises
    ------
    FigureError
        If there is no finite accuracy, or columns differ in length.
    """
    values, lows, highs = (np.asarray(c, float) for c in (accuracy, low, high))
    bins = np.asarray(bin, int)
    check_lengths(model, dimension, bins, values, lows, highs)
    check_any(values, "calibration")
    models, dimensions = unique(model), unique(dimension)
    # A model's dimensions stand side by side: one model a row in a column, two across the page.
    across = len(dimensions) * (1 if width == "column" else max(1, 4 // len(dimensions)))
    panels = [(name, side) for name in models for side in dimensions]
    with style():
        rows = math.ceil(len(panels) / across)
        # The names of models stand above the panels, where the layout does not see them.
        figure = new_figure(width, 0.45 + 1.35 * rows, headroom=0.14)
        grid = figure.subplots(rows, across, sharex=True, sharey=True, squeeze=False).ravel()
        bottom = min(45.0, 5 * math.floor(20 * float(np.nanmin([values, lows]))))
        there = [p for p, panel in enumerate(panels) if panel in zip(model, dimension, strict=True)]
        for position, (axes, (name, side)) in enumerate(zip(grid, panels, strict=False)):
            if side == dimensions[0]:
                _name_model(axes, name)
            if position not in there:
                axes.set_axis_off()
                continue
            chosen = [r for r in range(len(bins)) if (model[r], dimension[r]) == (name, side)]
            axes.axhline(50, color=MUTED.light, linewidth=0.8, linestyle=(0, (1, 2)))
            x, y = bins[chosen], 100 * values[chosen]
            axes.vlines(
                x, 100 * lows[chosen], 100 * highs[chosen], color=SERIES[0].light, linewidth=0.9
            )
            axes.plot(x, y, color=SERIES[0].light, marker="o", markersize=2.6, linewidth=0.9)
            axes.set_ylim(bottom, 101.5)
            axes.set_xlim(bins.min() - 0.6, bins.max() + 0.6)
            axes.set_xticks([bins.min(), (bins.min() + bins.max()) // 2, bins.max()])
            quiet_grid(axes, "y")
            axes.set_title(sentence(side), fontsize=7, fontweight="normal", pad=3)
            if position % across == 0:
                axes.set_ylabel("Accuracy, %")
            # The last panel of each column, which need not be in the last row.
            axes.tick_params(labelbottom=position + across not in there)
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        figure.supxlabel(
            f"Rank of |predicted difference| in {bins.max()} equal groups, 1 = smallest",
            fontsize=7.5,
        )
    return figure


def _name_model(axes: Axes, name: str) -> None:
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


def ratings(
    *,
    dimension: Sequence[str],
    rated: Sequence[float],
    predicted: Sequence[float],
    label: Sequence[str | None] | None = None,
    rated_scale: Scale | None = None,
    predicted_scale: Scale | None = None,
    notes: Mapping[str, str] | None = None,
    width: Width = "full",
) -> Figure:
    """Draw predicted against rated values of one model: a panel a dimension, a point a clip.

    Values are in the units of their scales, which the axes name. Where both scales are known the
    identity is drawn (of unlike scales: low on low and high on high), and beside it the
    least-squares line; where one is not known that line alone. ``notes`` says a few words
    (*r*, CCC) above the panel of a dimension.

    Raises
    ------
    FigureError
        If no point has both values, or columns differ in length.
    """
    truth, guess = np.asarray(rated, float), np.asarray(predicted, float)
    labels = list(label) if label is not None else [None] * len(truth)
    check_lengths(dimension, truth, guess, labels)
    both = np.isfinite(truth) & np.isfinite(guess)
    check_any(np.where(both, truth, np.nan), "rated and predicted value")
    sides = np.asarray(dimension)
    dimensions = [d for d in unique(dimension) if both[sides == d].any()]
    kinds = sorted({str(name) for name in labels if name is not None})
    coloured = 1 < len(kinds) <= MOST_LABELS and both.sum() <= MOST_POINTS * len(dimensions)
    with style():
        stacked = width == "column"
        rows = len(dimensions) if stacked else 1
        across = 1 if stacked else max(2, len(dimensions))
        columns = min(len(kinds), 2 if stacked else 4)
        legend = 0.1 + 0.15 * math.ceil(len(kinds) / columns) if coloured else 0.05
        figure = new_figure(width, 2.7 * rows + legend)
        grid = figure.subplots(rows, across, squeeze=False).ravel()
        for axes, side in zip(grid, dimensions, strict=False):
            here = both & (sides == side)
            names = np.asarray([str(name) for name in labels])[here]
            _points(axes, truth[here], guess[here], names, kinds if coloured else [])
            _line_of_agreement(axes, truth[here], guess[here], rated_scale, predicted_scale)
            axes.set_xlabel(f"Rated {side}{_units(rated_scale)}")
            axes.set_ylabel(f"Predicted {side}{_units(predicted_scale, own=True)}")
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.yaxis.set_major_locator(MaxNLocator(5))
            axes.set_title(sentence(side))
            axes.set_title(
                (notes or {}).get(side, ""), loc="right", fontsize=7, fontweight="normal"
            )
            quiet_grid(axes, "both")
        for axes in grid[len(dimensions) :]:
            axes.set_axis_off()
        if coloured:
            handles = [
                grid[0].plot([], [], linestyle="none", markersize=3.5, label=kind, **look)[0]
                for kind, look in ((kind, series_style(n)) for n, kind in enumerate(kinds))
            ]
            figure.legend(handles=handles, loc="outside upper left", ncols=columns)
    return figure


def _points(
    axes: Axes,
    truth: NDArray[np.float64],
    guess: NDArray[np.float64],
    names: NDArray[np.str_],
    kinds: Sequence[str],
) -> None:
    if truth.size > MOST_POINTS:
        opaque = to_rgba(SERIES[0].light)
        shades = LinearSegmentedColormap.from_list("ink", [(*opaque[:3], 0.08), opaque])
        axes.hexbin(truth, guess, gridsize=28, cmap=shades, mincnt=1, linewidths=0)
        return
    look: dict[str, Any] = {"linestyle": "none", "markersize": 2.6, "markeredgewidth": 0}
    if not kinds:
        axes.plot(truth, guess, "o", color=SERIES[0].light, alpha=0.55, **look)
    for number, kind in enumerate(kinds):
        chosen = names == kind
        mark = {k: v for k, v in series_style(number).items() if k != "markerfacecolor"}
        axes.plot(truth[chosen], guess[chosen], alpha=0.7, **mark, **look)


def _line_of_agreement(
    axes: Axes,
    truth: NDArray[np.float64],
    guess: NDArray[np.float64],
    rated_scale: Scale | None,
    predicted_scale: Scale | None,
) -> None:
    ink: dict[str, Any] = {"color": MUTED.light, "linewidth": 1.0, "scalex": False, "scaley": False}
    dashed = (0, (4, 2))
    drawn = []
    if rated_scale is not None and rated_scale == predicted_scale:
        low = min(rated_scale[0], truth.min(), guess.min())
        high = max(rated_scale[1], truth.max(), guess.max())
        air = 0.03 * (high - low)
        axes.set_xlim(low - air, high + air)
        axes.set_ylim(low - air, high + air)
        axes.set_box_aspect(1)
        axes.plot([low, high], [low, high], linestyle=dashed, **ink)
        drawn.append("dashed: identity")
    elif rated_scale is not None and predicted_scale is not None:
        axes.plot(rated_scale, predicted_scale, linestyle=dashed, **ink)
        drawn.append("dashed: identity, scales mapped")
    if np.ptp(truth) > 0:
        slope, height = np.polyfit(truth, guess, 1)
        ends = np.array([truth.min(), truth.max()])
        axes.plot(ends, slope * ends + height, linestyle="-", **ink)
        drawn.append("line: least squares")
    if drawn:
        _name_line(axes, "; ".join(drawn))


def residuals(
    *,
    model: Sequence[str],
    dimension: Sequence[str],
    rated: Sequence[float],
    residual: Sequence[float],
    scale: Scale | None = None,
    width: Width = "full",
) -> Figure:
    """Draw predicted minus rated against rated: a panel a model and dimension, a point a clip.

    Both are in units of the rating's ``scale``. The line joins the mean residuals of tenths of
    the clips: one that falls says that a model keeps to the middle of the scale.

    Raises
    ------
    FigureError
        If no clip has both values, or columns differ in length.
    """
    truth, rest = np.asarray(rated, float), np.asarray(residual, float)
    check_lengths(model, dimension, truth, rest)
    check_any(truth + rest, "residual")
    models, dimensions = unique(model), unique(dimension)
    across = len(dimensions) * (1 if width == "column" else max(1, 4 // len(dimensions)))
    panels = [(name, side) for name in models for side in dimensions]
    names, sides = np.asarray(model), np.asarray(dimension)
    with style():
        rows = math.ceil(len(panels) / across)
        figure = new_figure(width, 0.45 + 1.45 * rows, headroom=0.14)
        grid = figure.subplots(rows, across, sharex=True, sharey=True, squeeze=False).ravel()
        for position, (axes, (name, side)) in enumerate(zip(grid, panels, strict=False)):
            if side == dimensions[0]:
                _name_model(axes, name)
            here = (names == name) & (sides == side) & np.isfinite(truth) & np.isfinite(rest)
            axes.axhline(0, color=MUTED.light, linewidth=0.8, linestyle=(0, (1, 2)))
            _points(axes, truth[here], rest[here], names[here], [])
            axes.plot(
                *_means_of_tenths(truth[here], rest[here]), color=SERIES[1].light, linewidth=1.3
            )
            quiet_grid(axes, "both")
            axes.set_title(sentence(side), fontsize=7, fontweight="normal", pad=3)
            axes.xaxis.set_major_locator(MaxNLocator(5))
            if position % across == 0:
                axes.set_ylabel("Predicted − rated")
            axes.tick_params(labelbottom=position + across >= len(panels))
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        figure.supxlabel(f"Rated{_units(scale)}", fontsize=7.5)
    return figure


def _means_of_tenths(
    truth: NDArray[np.float64], rest: NDArray[np.float64]
) -> tuple[list[float], list[float]]:
    """Return mean rating and mean residual of each tenth of the clips by their rating."""
    order = np.argsort(truth, kind="stable")
    parts = [part for part in np.array_split(order, 10) if part.size]
    return [float(truth[p].mean()) for p in parts], [float(rest[p].mean()) for p in parts]


def _name_line(axes: Axes, name: str) -> None:
    """Say in the corner, where points of a positive relation are fewest, what the lines are."""
    axes.annotate(
        name,
        (1, 0),
        xycoords="axes fraction",
        xytext=(-3, 4),
        textcoords="offset points",
        ha="right",
        fontsize=6.5,
        color=MUTED.light,
    )


def _units(scale: Scale | None, *, own: bool = False) -> str:
    if scale is None:
        return " (model’s own units)" if own else ""
    return f" ({scale[0]:g} to {scale[1]:g})".replace("-", "−")
