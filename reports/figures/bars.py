"""Figures of bars: how far judges agreed, and at which ranks the right items stand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from earmark.reports.figures.parts import (
    check_any,
    check_lengths,
    checked,
    model_panels,
    short,
    unique,
)
from earmark.reports.figures.style import (
    BARS,
    INCHES,
    MUTED,
    PAPER,
    SERIES,
    TEXT,
    Width,
    new_figure,
    quiet_grid,
    style,
)
from earmark.reports.words import sentence


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
    """Draw how far judges agreed: one bar of 100 % a dimension and triplet type, from counts."""
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
    """Draw at which ranks right items stand: a panel per model and direction, a bar per range.

    A bar holds the ranks from ``low`` up to, not with, ``high``; bars are equally wide whatever
    their range. ``share`` of the queries, and ``chance``'s share, are in [0, 1]; a level of chance
    that is not known is NaN.
    """
    shares, lows, highs, levels = checked("rank", (model, direction), share, low, high, chance)
    name, side = np.asarray(model), np.asarray(direction)
    with style():
        figure, per_row, panels = model_panels(
            unique(model), unique(direction), width, panel=1.35, rest=0.4, sharex=False
        )
        for position, (axes, each, way) in enumerate(panels):
            here = (name == each) & (side == way)
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
        figure.supxlabel("Rank of the right item (line: an order drawn at random)", fontsize=7.5)
    return figure


def _name_ranks(axes: Axes, lows: NDArray[Any], highs: NDArray[Any], points: float) -> None:
    """Label as many bars with their ranges as ``points`` of width have room for."""
    names = [
        f"{low:,.0f}" if high - low <= 1 else f"{low:,.0f}–{math.ceil(high) - 1:,.0f}"
        for low, high in zip(lows, highs, strict=True)
    ]
    step = math.ceil(len(names) * 8 / points)
    axes.set_xticks(range(0, len(names), step), names[::step], rotation=90, fontsize=6)
    axes.set_xlim(-0.6, len(names) - 0.4)
