"""Figures of points: predictions against ratings, residuals, maps, scores against speed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from earmark.reports import words
from earmark.reports.figures.parts import (
    check_any,
    check_lengths,
    fitting_all,
    legend_columns,
    legend_names,
    model_panels,
    name_panel,
    small_panels,
    unique,
)
from earmark.reports.figures.style import (
    GRID,
    INCHES,
    MUTED,
    SERIES,
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
    """Draw predicted against rated values of one model: a panel per dimension, a point per clip.

    Values are in the units of their scales, which the axes name. Where both scales are known the
    identity is drawn (of unlike scales: low on low and high on high), and beside it the
    least-squares line; where one is not known that line alone. ``notes`` says a few words
    (*r*, CCC) above the panel of a dimension.
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
    """Draw predicted minus rated against rated: a panel per model and dimension, a point per clip.

    Both are in units of the rating's ``scale``. The line joins the mean residuals of tenths of
    the clips: one that falls says that a model keeps to the middle of the scale.
    """
    truth, rest = np.asarray(rated, float), np.asarray(residual, float)
    check_lengths(model, dimension, truth, rest)
    check_any(truth + rest, "residual")
    names, sides = np.asarray(model), np.asarray(dimension)
    with style():
        figure, across, panels = model_panels(
            unique(model), unique(dimension), width, panel=1.45, rest=0.45
        )
        for position, (axes, name, side) in enumerate(panels):
            here = (names == name) & (sides == side) & np.isfinite(truth) & np.isfinite(rest)
            axes.axhline(0, color=MUTED.light, linewidth=0.8, linestyle=(0, (1, 2)))
            _points(axes, truth[here], rest[here], names[here], [])
            axes.plot(
                *_means_of_tenths(truth[here], rest[here]), color=SERIES[1].light, linewidth=1.3
            )
            quiet_grid(axes, "both")
            axes.xaxis.set_major_locator(MaxNLocator(5))
            if position % across == 0:
                axes.set_ylabel("Predicted − rated")
            axes.tick_params(labelbottom=position + across >= len(panels))
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
    """Draw vectors mapped to the plane, per model, coloured by ``kind`` (modality, label).

    The kind ``rest`` is drawn muted and behind the others. Directions and distances of a t-SNE
    map have no unit, so the axes have no ticks.
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
        figure, grid = small_panels(models, width, height=1.65, legend=0.15 * rows)
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


MOST_NUMBERED = 60
"""More songs than that would hide each other's numbers."""


def song_plane(
    *,
    number: Sequence[int],
    kind: Sequence[str],
    arousal: Sequence[float],
    valence: Sequence[float],
    arousal_error: Sequence[float],
    valence_error: Sequence[float],
    loudness: Sequence[float],
    ends: Mapping[str, tuple[str, str]],
    width: Width = "full",
) -> Figure:
    """Draw songs on the arousal-valence plane, and beside it arousal against loudness in LUFS.

    Arousal and valence have no scale: ``ends`` names what is high and what is low on each axis.
    Bars are one standard error over a song's parts; an error that is not known is NaN.
    """
    up, across, level = (np.asarray(c, float) for c in (arousal, valence, loudness))
    errors = [np.asarray(c, float) for c in (arousal_error, valence_error)]
    check_lengths(number, kind, up, across, level, *errors)
    check_any(up + across, "song")
    kinds = unique(kind)
    stacked = width == "column"
    with style():
        columns = legend_columns(kinds, width)
        legend = 0.15 * math.ceil(len(kinds) / columns)
        figure = new_figure(width, (5.4 if stacked else 3.4) + legend)
        shape: dict[str, Any] = {"height_ratios": [3, 2]} if stacked else {"width_ratios": [3, 2]}
        first, second = figure.subplots(*((2, 1) if stacked else (1, 2)), gridspec_kw=shape)
        of = np.asarray(kind)
        for axes, x, x_error in ((first, across, errors[1]), (second, level, None)):
            for place, name in enumerate(kinds):
                here = of == name
                mark = series_style(place)
                axes.errorbar(
                    x[here],
                    up[here],
                    xerr=None if x_error is None else np.nan_to_num(x_error[here]),
                    yerr=np.nan_to_num(errors[0][here]),
                    fmt="none",
                    ecolor=GRID.light,
                    elinewidth=0.8,
                )
                axes.plot(x[here], up[here], linestyle="none", markersize=4, label=name, **mark)
            if len(number) <= MOST_NUMBERED:
                _write_numbers(axes, number, x, up)
            axes.margins(0.08)
        for axes in (first, second):
            axes.axhline(float(np.median(up)), color=GRID.light, linewidth=0.8, zorder=0)
            axes.yaxis.set_major_locator(NullLocator())
        first.axvline(float(np.median(across)), color=GRID.light, linewidth=0.8, zorder=0)
        first.xaxis.set_major_locator(NullLocator())
        first.set_xlabel(_from_to(*ends["valence"]))
        for axes in (first,) if not stacked else (first, second):
            label = _from_to(*ends["arousal"])
            axes.set_ylabel(label.replace(" · ", "\n") if stacked else label)
        second.set_xlabel("Loudness (LUFS)")
        first.set_title("Arousal and valence from words")
        second.set_title("Arousal beside loudness alone")
        handles, labels = first.get_legend_handles_labels()
        names = legend_names(labels, width)
        figure.legend(handles, names, loc="outside upper left", ncols=columns)
    return figure


def _write_numbers(
    axes: Axes, number: Sequence[int], x: NDArray[np.float64], y: NDArray[np.float64]
) -> None:
    for each, across, up in zip(number, x, y, strict=True):
        axes.annotate(
            str(each),
            (across, up),
            xytext=(3, 2.5),
            textcoords="offset points",
            fontsize=6,
            color=MUTED.light,
        )


def _from_to(high: str, low: str) -> str:
    return f"← {low} · {high} →"


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
    """Draw one point per model with its interval, its name in the margin, speed on a log axis."""
    columns = [np.asarray(c, float) for c in (clips_per_second, value, low, high)]
    check_lengths(model, *columns)
    speeds = columns[0]
    check_any(np.where(speeds > 0, columns[1], np.nan), metric)
    how = words.metric(metric)
    values, lows, highs = (how.factor * column for column in columns[1:])
    with style():
        figure = new_figure(width, max(2.1, 0.5 + 0.15 * len(model)))
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
        room = 72 * INCHES[width] * 0.36
        handles = [
            Line2D([], [], linestyle="none", markersize=4.5, **series_style(row))
            for row in range(len(model))
        ]
        names = fitting_all(model, room)
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
