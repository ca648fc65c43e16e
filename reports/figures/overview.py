"""The first figure of a report: every model on the headline score of every task."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from earmark.reports import words
from earmark.reports.figures.parts import (
    checked,
    fitting,
    fitting_all,
    legend_columns,
    rule_sets,
    unique,
)
from earmark.reports.figures.style import (
    INCHES,
    MUTED,
    PAPER,
    SERIES,
    Width,
    new_figure,
    style,
    text_width,
)

Standing = Literal["best", "level", "behind", "untested"]
"""How a model stands to the best: the best, not significantly different, worse, never compared."""
ROW, LEAST = 0.165, 0.5
"""Inches of a model's row, and of the rows of a panel together, however few they are."""
ACROSS: dict[Width, int] = {"column": 2, "full": 6}
"""The most panels side by side."""
NAMES = 1.2
"""Inches that the names of models may take."""
MOST_LINES = 4
"""Lines of each part of a panel's name, and of its axis."""
_INK = SERIES[0].light
_LOOKS: dict[Standing, dict[str, Any]] = {
    "best": {"color": _INK, "marker": "o", "markersize": 5.2, "markerfacecolor": _INK},
    "level": {"color": _INK, "marker": "o", "markersize": 4.4, "markerfacecolor": PAPER.light},
    "behind": {"color": MUTED.light, "marker": "o", "markersize": 2.8},
    "untested": {"color": MUTED.light, "marker": "o", "markersize": 2.8},
}
SAID: dict[Standing, str] = {
    "best": "best",
    "level": "may be as good",
    "behind": "significantly worse",
    "untested": "other models",
}
_CHANCE: dict[str, Any] = {"color": MUTED.light, "linewidth": 1.0, "linestyle": "dashed"}
_REFERENCE: dict[str, Any] = {"color": SERIES[1].light, "linewidth": 1.3, "linestyle": (0, (1, 1))}


def overview(
    *,
    panel: Sequence[str],
    model: Sequence[str],
    value: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    chance: Sequence[float],
    standing: Sequence[Standing],
    metrics: Mapping[str, str],
    references: Mapping[str, Mapping[str, float]],
    order: Sequence[str],
    width: Width = "full",
) -> Figure:
    """Draw one panel a score, one row a model in this order: a point, its interval, and chance.

    ``metrics`` has the metric of each panel, ``references`` what its scores are held against
    besides chance, by name. Values are as the metric has them; what is not known is NaN.
    """
    columns = checked("headline score", (panel, model, standing), value, low, high, chance)
    panels = unique(panel)
    rows = math.ceil(len(panels) / ACROSS[width])
    across = math.ceil(len(panels) / rows)
    # Each row of panels has the models that were scored in it.
    scored = set(zip(panel, model, strict=True))
    shown = [
        [one for one in order if any((name, one) in scored for name in panels[at : at + across])]
        for at in range(0, len(panels), across)
    ]
    tall = [max(LEAST, ROW * len(models)) for models in shown]
    room = 72 * (INCHES[width] - NAMES) / across - 8
    with style():
        titles = {
            name: [line for part in name.rsplit(": ", 1) for line in wrapped(part, room / 1.12, 7)]
            for name in panels
        }
        heads = {name: wrapped(words.metric(metrics[name]).head, room, 6.5) for name in panels}
        handles = _legend(standing, references, chance)
        names = [str(handle.get_label()) for handle in handles]
        n_columns = legend_columns(names, width)
        lines = max(map(len, titles.values())) + max(map(len, heads.values()))
        height = rows * (0.3 + 0.11 * lines) + sum(tall)
        figure = new_figure(width, height + 0.15 * math.ceil(len(names) / n_columns) + 0.05)
        made = figure.subplots(rows, across, sharey="row", squeeze=False, height_ratios=tall)
        grid = made.ravel()
        labels = dict(zip(order, fitting_all(order, 72 * NAMES), strict=True))
        for number, (axes, name) in enumerate(zip(grid, panels, strict=False)):
            models = shown[number // across]
            rule_sets(axes, [labels[one] for one in models])
            here = np.array([one == name for one in panel])
            how = words.metric(metrics[name])
            part = [how.factor * column[here] for column in columns]
            kept = [int(place) for place in np.flatnonzero(here)]
            y = [models.index(model[place]) for place in kept]
            _draw(axes, y, part, [standing[place] for place in kept])
            for _, line in references[name].items():
                axes.axvline(how.factor * line, zorder=0.9, **_REFERENCE)
            axes.set_title("\n".join(titles[name]), fontsize=7, pad=4)
            axes.set_xlabel("\n".join(heads[name]), fontsize=6.5)
            axes.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 2.5, 5, 10]))
            axes.margins(x=0.08)
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        figure.legend(handles=handles, loc="outside upper left", ncols=n_columns)
    return figure


def _draw(
    axes: Axes, y: Sequence[int], part: Sequence[np.ndarray], standing: Sequence[Standing]
) -> None:
    for row, value, low, high, chance, how in zip(y, *part, standing, strict=True):
        look = _LOOKS[how]
        if math.isfinite(chance):
            axes.vlines(chance, row - 0.5, row + 0.5, **_CHANCE)
        if not math.isfinite(value):
            continue
        if math.isfinite(low) and math.isfinite(high):
            wide = 1.9 if how in {"best", "level"} else 1.1
            axes.hlines(row, low, high, color=look["color"], linewidth=wide)
        axes.plot(value, row, linestyle="none", markeredgewidth=1.1, clip_on=False, **look)


def _legend(
    standing: Sequence[Standing],
    references: Mapping[str, Mapping[str, float]],
    chance: Sequence[float],
) -> list[Line2D]:
    """Return an entry for each look that is drawn."""
    alone = set(standing) == {"best"}
    handles = [
        Line2D([], [], label="the score" if alone else said, linewidth=1.4, **_LOOKS[how])
        for how, said in SAID.items()
        if how in standing
    ]
    if np.isfinite(np.asarray(chance, float)).any():
        handles.append(Line2D([], [], label="guessing (chance)", **_CHANCE))
    if named := unique(name for lines in references.values() for name in lines):
        said = named[0] if len(named) == 1 else "other references, see the table"
        handles.append(Line2D([], [], label=said, **_REFERENCE))
    return handles


def wrapped(said: str, room: float, size: float) -> list[str]:
    """Return words as lines of at most ``room`` points; the last is cut where they do not fit.

    >>> wrapped("Caption retrieval", 200, 7), wrapped("Caption retrieval", 40, 7)
    (['Caption retrieval'], ['Caption', 'retrieval'])
    """
    lines: list[str] = []
    for word in said.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 1], " ".join(lines[MOST_LINES - 1 :])]
    return [fitting(line, room, size) for line in lines]
