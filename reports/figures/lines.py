"""Figures of lines: training, gain, layers, recall by cut-off, calibration, similarity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

from earmark.reports.figures.parts import (
    FigureError,
    Floats,
    beside,
    check_lengths,
    checked,
    fitting_all,
    legend_height,
    legend_names,
    legend_of_models,
    model_panels,
    name_panel,
    offset,
    small_panels,
    unique,
)
from earmark.reports.figures.style import (
    INCHES,
    MUTED,
    SERIES,
    Width,
    new_figure,
    quiet_grid,
    series_style,
    style,
    text_width,
)
from earmark.reports.words import sentence

OF_TRAINING = ("loss", "learning_rate", "temperature", "samples_per_second")
"""Quantities that are logged at steps of training; whatever else there is comes of validations."""
_ACROSS: dict[Width, int] = {"full": 3, "column": 2}
_PANEL = 1.42
"""Inches of a panel's height, with its title."""
_MARKS = 5
"""Marks on a line, by which it is told from others without its colour."""
_WIDE_RANGE = 10.0
"""Highest learning rates that are further apart than by this factor are drawn on a log scale."""
_TITLES = {
    "loss": "Training loss",
    "valid_loss": "Validation loss",
    "learning_rate": "Learning rate",
    "temperature": "Temperature",
    "samples_per_second": "Samples/s",
}
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
HEIGHT = 2.6
"""Inches of a panel."""
BAND = 2.0
"""Decibels over which the marks of one gain are spread, so that intervals stand apart."""
_PAIRS = {"aligned": (0, "-"), "random": (1, (0, (3, 1.5)))}


def training(
    *,
    model: Sequence[str],
    step: Sequence[float],
    quantities: Mapping[str, Sequence[float | None]],
    exported: Mapping[str, tuple[str, float]] | None = None,
    width: Width = "full",
) -> Figure:
    """Draw how each quantity went, with a ring where the weights were taken.

    Parameters
    ----------
    model, step
        Of each row; a model's rows are in the order of its steps.
    quantities
        A column each, of one entry a row: those of :data:`OF_TRAINING`, ``valid_loss``, and
        validation scores, of which ``R@k`` is a share in [0, 1] and shown in per cent. None: not
        logged, or not finite.
    exported
        By model, the quantity and the step at which the ring stands.
    """
    values = {
        name: np.array([math.nan if v is None else v for v in column], float)
        for name, column in quantities.items()
    }
    check_lengths(model, step, *values.values())
    shown = [name for name in in_order(values) if np.isfinite(values[name]).any()]
    if not shown:
        raise FigureError("no value of a training to draw: none is finite; leave the figure out")
    name_of, steps, models = np.asarray(model), np.asarray(step, float), unique(model)
    across = min(_ACROSS[width], len(shown))
    rows = math.ceil(len(shown) / across)
    with style():
        names = legend_names(models, width)
        figure = new_figure(width, _PANEL * rows + legend_height(names, width) + 0.3)
        grid = figure.subplots(rows, across, sharex=True, squeeze=False).ravel()
        for position, axes in enumerate(grid):
            if position >= len(shown):
                axes.set_axis_off()
                continue
            quantity = shown[position]
            scale = _scaled(axes, quantity, [values[quantity][name_of == m] for m in models])
            for number, each in enumerate(models):
                here = (name_of == each) & due(values, quantity)
                ring = (exported or {}).get(each, ("", math.nan))
                _line_of_training(
                    axes,
                    steps[here],
                    scale * values[quantity][here],
                    number,
                    of=len(models),
                    ring=ring[1] if ring[0] == quantity else math.nan,
                )
            quiet_grid(axes, "both")
            axes.margins(y=0.1)  # room for a ring at the end of the range
            axes.tick_params(labelbottom=position + across >= len(shown))
            axes.xaxis.set_major_locator(MaxNLocator(4 if width == "full" else 3, integer=True))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{at:,.0f}"))
        figure.supxlabel("Step", fontsize=7.5)
        legend_of_models(figure, grid[0], names, width)
    return figure


def in_order(quantities: Mapping[str, Any]) -> list[str]:
    """Return names of quantities as panels stand: losses, scores, then what led there."""
    losses = [name for name in ("loss", "valid_loss") if name in quantities]
    rest = [name for name in OF_TRAINING[1:] if name in quantities]
    scores = [name for name in quantities if name not in losses + rest]
    return [*losses, *scores, *rest]


def due(values: Mapping[str, Floats], quantity: str) -> NDArray[np.bool_]:
    """Return which rows were to have a quantity: those that have some of its kind."""
    learned = quantity in OF_TRAINING
    kin = [np.isfinite(values[name]) for name in values if (name in OF_TRAINING) == learned]
    return np.asarray(np.logical_or.reduce(kin), bool)


def title(quantity: str, exponent: int = 0) -> str:
    """Return a quantity's name with its unit.

    >>> title("R@10"), title("learning_rate", -3), title("temperature")
    ('R@10 (%)', 'Learning rate (10⁻³)', 'Temperature')
    """
    name = _TITLES.get(quantity, quantity.replace("_", " "))
    if is_share(quantity):
        return f"{name} (%)"
    return f"{name} (10{str(exponent).translate(_SUPERSCRIPTS)})" if exponent else name


def is_share(quantity: str) -> bool:
    """Return whether a score is a share that is shown in per cent: recall at k."""
    return quantity.startswith("R@")


def _scaled(axes: Axes, quantity: str, by_model: Sequence[Floats]) -> float:
    """Name a panel and set its scale; return what its values are multiplied with."""
    if quantity != "learning_rate":
        axes.set_title(title(quantity), fontsize=7.5, pad=4)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        return 100.0 if is_share(quantity) else 1.0
    highest = [float(np.nanmax(one)) for one in by_model if np.isfinite(one).any()]
    positive = [rate for rate in highest if rate > 0]
    if positive and max(positive) > _WIDE_RANGE * min(positive):
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(_power))
        axes.set_title(title(quantity), fontsize=7.5, pad=4)
        return 1.0
    exponent = math.floor(math.log10(max(positive))) if positive else 0
    axes.set_title(title(quantity, exponent), fontsize=7.5, pad=4)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    return 10.0**-exponent


def _power(value: float, _: object) -> str:
    return f"10{str(round(math.log10(value))).translate(_SUPERSCRIPTS)}" if value > 0 else ""


def _line_of_training(
    axes: Axes, x: Floats, y: Floats, number: int, *, of: int, ring: float
) -> None:
    known = np.flatnonzero(np.isfinite(y))
    if not known.size:
        return
    look = series_style(number)
    axes.plot(x, y, color=look["color"], linewidth=1.1)
    # Each model's marks begin elsewhere, so that lines which lie on each other are told apart.
    first = (number + 0.5) / (of * min(_MARKS, known.size))
    spread = np.linspace(first, 1 + first, min(_MARKS, known.size), endpoint=False)
    marked = known[np.minimum((spread * known.size).astype(int), known.size - 1)]
    finite = np.pad(np.isfinite(y), 1)
    alone = np.flatnonzero(finite[1:-1] & ~finite[:-2] & ~finite[2:])
    marked = np.union1d(marked, alone)
    axes.plot(x[marked], y[marked], linestyle="none", markersize=3.4, **look)
    at = np.flatnonzero((x == ring) & np.isfinite(y))
    axes.plot(
        x[at],
        y[at],
        linestyle="none",
        marker="o",
        markersize=7.5,
        markerfacecolor="none",
        markeredgecolor=look["color"],
        markeredgewidth=0.9,
    )


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
    """Draw the shift of predictions, in their deviations, against gain: one line per model.

    Without gain nothing shifts: every line goes through 0 at 0 dB.
    """
    shifts, gains, lows, highs = checked("shift", (model, dimension), shift, gain_db, low, high)
    models, sides = unique(model), unique(dimension)
    names = legend_names(models, width)
    with style():
        rest = legend_height(names, width) + 0.2
        figure, panels, stacked = beside(len(sides), width, panel=HEIGHT, rest=rest, sharey=True)
        for axes, side in zip(panels, sides, strict=True):
            axes.axhline(0, color=MUTED.light, linewidth=0.9)
            for number, name in enumerate(models):
                here = [(m, d) == (name, side) for m, d in zip(model, dimension, strict=True)]
                columns = (gains[here], shifts[here], lows[here], highs[here])
                _line_of_gain(axes, *columns, number=number, of=len(models))
            axes.set_xticks(sorted({0.0, *gains.tolist()}))
            axes.xaxis.set_major_formatter(FuncFormatter(_signed))
            axes.yaxis.set_major_formatter(FuncFormatter(_signed))
            axes.set_title(sentence(side))
            axes.set_xlabel("Gain, dB")
            quiet_grid(axes, "y")
        for axes in panels if stacked else panels[:1]:
            axes.set_ylabel("Shift, deviations")
        legend_of_models(figure, panels[0], names, width)
    return figure


def _line_of_gain(
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


def layers(
    *,
    model: Sequence[str],
    layer: Sequence[str],
    value: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    chosen: Mapping[str, float] | None = None,
    chance: Mapping[str, float] | None = None,
    head: str = "Score",
    width: Width = "full",
) -> Figure:
    """Draw the score of each layer with its interval: one panel per model.

    Parameters
    ----------
    layer
        Of each row; a model's rows are in the order of its layers.
    value, low, high
        In the units of the axis, which is ``head``; an interval that is not known is NaN twice.
    chosen
        By model, the score of the layers that were chosen without the scored clips.
    chance
        By model.
    """
    values, lows, highs = checked("score of a layer", (model, layer), value, low, high)
    models = unique(model)
    with style():
        figure, grid = small_panels(models, width, height=2.0, legend=0.3, sharey=True)
        room = 72 * INCHES[width] / grid[0].get_gridspec().ncols - 24
        for axes, name in zip(grid, models, strict=False):
            here = np.array([each == name for each in model])
            names = [each for each, own in zip(layer, here, strict=True) if own]
            at = np.arange(len(names))
            ink = SERIES[0].light
            axes.vlines(at, lows[here], highs[here], color=ink, linewidth=1.1)
            axes.plot(at, values[here], color=ink, marker="o", markersize=3.2, linewidth=0.9)
            for lines, look in ((chosen, SERIES[1].light), (chance, MUTED.light)):
                if lines and name in lines:
                    dashes = (0, (3, 1.5)) if lines is chosen else (0, (1, 1.6))
                    axes.axhline(lines[name], color=look, linewidth=1.0, linestyle=dashes)
            _name_layers(axes, names, room=room)
            name_panel(axes, name, room=room)
            quiet_grid(axes, "y")
        across = grid[0].get_gridspec().ncols
        for axes in grid[: len(models) : across]:
            axes.set_ylabel(head)
        figure.supxlabel("Layer", fontsize=7.5)
        _legend_of_layers(figure, grid[0], chosen=bool(chosen), chance=bool(chance))
    return figure


def _name_layers(axes: Axes, names: Sequence[str], *, room: float) -> None:
    """Write the names below the axis, upright or on their side, and leave out what has no room."""
    per_name = room / max(1, len(names))
    shown = fitting_all(names, 60)
    upright = all(text_width(name, 7) + 4 <= per_name for name in shown)
    step = 1 if upright else math.ceil(9 / per_name)
    places = range(0, len(shown), step)
    axes.set_xticks(list(places), [shown[place] for place in places], rotation=0 if upright else 90)
    axes.set_xlim(-0.6, len(names) - 0.4)


def _legend_of_layers(figure: Figure, axes: Axes, *, chosen: bool, chance: bool) -> None:
    looks: list[dict[str, Any]] = [
        {"color": SERIES[0].light, "marker": "o", "markersize": 3.2, "label": "layer by itself"}
    ]
    if chosen:
        looks.append(
            {
                "color": SERIES[1].light,
                "linestyle": (0, (3, 1.5)),
                "label": "chosen in folds",
            }
        )
    if chance:
        looks.append({"color": MUTED.light, "linestyle": (0, (1, 1.6)), "label": "chance"})
    handles = [axes.plot([], [], linewidth=1.0, **look)[0] for look in looks]
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles))


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
    """Draw R@k against k: one panel per direction, one line per model.

    ``recall`` is in [0, 1]; ``chance`` has that of an order drawn at random, by direction and k;
    ``pool`` has how many items are ranked, by direction, where that is known.
    """
    values, at = checked("recall", (model, direction), recall, k)
    models, directions = unique(model), unique(direction)
    name, side = np.asarray(model), np.asarray(direction)
    with style():
        names = legend_names(models, width)
        rest = legend_height(names, width) + 0.15
        figure, grid, stacked = beside(len(directions), width, panel=2.1, rest=rest, sharey=True)
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
    """Draw pairwise accuracy by rank of the predicted difference, per model and dimension.

    ``bin`` counts from 1, the smallest absolute differences; ``accuracy`` with ``low`` and
    ``high`` is in [0, 1], chance at 0.5. A model that knows what it knows rises to the right.
    """
    values, lows, highs = checked("calibration", (model, dimension, bin), accuracy, low, high)
    bins = np.asarray(bin, int)
    with style():
        figure, across, panels = model_panels(
            unique(model), unique(dimension), width, panel=1.35, rest=0.45
        )
        bottom = min(45.0, 5 * math.floor(20 * float(np.nanmin([values, lows]))))
        drawn = set(zip(model, dimension, strict=True))
        there = [p for p, (_, *place) in enumerate(panels) if tuple(place) in drawn]
        for position, (axes, name, side) in enumerate(panels):
            if position not in there:
                axes.set_title("")
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
            if position % across == 0:
                axes.set_ylabel("Accuracy, %")
            # The last panel of each column, which need not be in the last row.
            axes.tick_params(labelbottom=position + across not in there)
        figure.supxlabel(
            f"Rank of |predicted difference| in {bins.max()} equal groups, 1 = smallest",
            fontsize=7.5,
        )
    return figure


def selective(
    *,
    model: Sequence[str],
    dimension: Sequence[str],
    share: Sequence[float],
    accuracy: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    width: Width = "full",
) -> Figure:
    """Draw accuracy on the surest pairs by their share: a panel per dimension, a line per model.

    All are in [0, 1]; an interval that is not known is NaN twice. A model that knows what it knows
    rises to the left.
    """
    values, shares, lows, highs = checked(
        "accuracy", (model, dimension), accuracy, share, low, high
    )
    models, sides = unique(model), unique(dimension)
    names = legend_names(models, width)
    with style():
        rest = legend_height(names, width) + 0.2
        stacked = width == "column" or len(sides) > 3
        figure, panels, stacked = beside(
            len(sides), width, panel=HEIGHT, rest=rest, sharey=True, stacked=stacked
        )
        for axes, side in zip(panels, sides, strict=True):
            axes.axhline(50, color=MUTED.light, linewidth=0.8, linestyle=(0, (1, 2)))
            for number, name in enumerate(models):
                here = [(m, d) == (name, side) for m, d in zip(model, dimension, strict=True)]
                x = 100 * shares[here] + offset(number, len(models)) * 4
                look = series_style(number)
                axes.vlines(
                    x, 100 * lows[here], 100 * highs[here], color=look["color"], linewidth=0.8
                )
                axes.plot(
                    x,
                    100 * values[here],
                    markersize=3.2,
                    markeredgewidth=0.8,
                    linewidth=0.9,
                    **look,
                )
            axes.set_title(sentence(side))
            axes.set_xlabel("Surest pairs, %")
            quiet_grid(axes, "y")
        for axes in panels if stacked else panels[:1]:
            axes.set_ylabel("Accuracy, %")
        legend_of_models(figure, panels[0], names, width)
    return figure


def similarities(
    *,
    model: Sequence[str],
    pairs: Sequence[str],
    similarity: Sequence[float],
    density: Sequence[float],
    notes: Mapping[str, str] | None = None,
    width: Width = "full",
) -> Figure:
    """Draw densities of the cosine similarity of ``aligned`` and ``random`` pairs, per model.

    ``density`` is at ``similarity``, which ascends within each model's pairs; ``notes`` says a
    few words below the name of a model.
    """
    y, x = checked("density", (model, pairs), density, similarity)
    if strange := set(pairs) - set(_PAIRS):
        raise FigureError(f"pairs are {', '.join(_PAIRS)}, got {', '.join(sorted(strange))}")
    models = unique(model)
    name, kind = np.asarray(model), np.asarray(pairs)
    with style():
        figure, grid = small_panels(models, width, height=1.3, sharex=True)
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


def _label_below(figure: Figure, grid: NDArray[Any], n_panels: int, label: str) -> None:
    """Name the horizontal axis once, and number it below the last panel of each column."""
    across = grid[0].get_gridspec().ncols
    for position, axes in enumerate(grid[:n_panels]):
        axes.tick_params(labelbottom=position + across >= n_panels)
    figure.supxlabel(label, fontsize=7.5)
