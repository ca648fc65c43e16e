"""The figure of training: a small panel a logged quantity, a line a model, over steps.

Conventions
-----------
A row is a logged step. Steps of training and validations are logged apart: a row that has nothing
of a panel's kind was never to have it, and the line goes on over it. A row that has some of the
kind, but not this quantity (the loss was not finite), is a gap in the line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

from earmark.reports.figures.parts import (
    FigureError,
    check_lengths,
    legend_columns,
    legend_names,
    legend_of_models,
    unique,
)
from earmark.reports.figures.style import (
    Width,
    new_figure,
    quiet_grid,
    series_style,
    style,
)

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

Floats = NDArray[np.float64]


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

    Raises
    ------
    FigureError
        If there is no finite value, or columns differ in length.
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
        legend = 0.15 * math.ceil(len(names) / legend_columns(names, width))
        figure = new_figure(width, _PANEL * rows + legend + 0.3)
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
                _line(
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


def _line(axes: Axes, x: Floats, y: Floats, number: int, *, of: int, ring: float) -> None:
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
