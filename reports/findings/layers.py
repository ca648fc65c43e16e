"""The figure of how a score goes with the layer of an encoder, of every task that chooses one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from earmark.reports.content import Gap, Plot, even_parts, part_of
from earmark.reports.record.schema import Plain

MOST = 6
"""Panels of one figure."""


def layer_curves(
    rows: Sequence[Mapping[str, Plain]],
    *,
    chosen: Mapping[str, float | None],
    chance: Mapping[str, float | None],
    head: str,
    factor: float = 1.0,
) -> list[Plot | Gap]:
    """Return one panel per model; nothing where no model has several layers.

    Parameters
    ----------
    rows
        With ``model``, ``layer``, ``value``, ``low`` and ``high``, layers in their order.
    chosen
        By model, the score of the layers that were chosen without the scored items; models are
        drawn in this order.
    chance
        By model.
    head
        Of the axis, in whose units are all numbers times ``factor``.
    """
    from earmark.reports.figures.lines import layers

    models = [name for name in chosen if any(row["model"] == name for row in rows)]
    parts = even_parts(models, at_most=MOST)
    plots: list[Plot | Gap] = []
    for number, part in enumerate(parts, start=1):
        own = [row for row in rows if row["model"] in part]
        columns: dict[str, Any] = {
            "model": [str(row["model"]) for row in own],
            "layer": [str(row["layer"]) for row in own],
            **{
                name: [_times(factor, row[name]) for row in own]
                for name in ("value", "low", "high")
            },
        }
        lines = [
            {name: factor * value for name in part if (value := values.get(name)) is not None}
            for values in (chosen, chance)
        ]
        plots.append(
            Plot(
                title=f"Scores by layer{part_of(number, parts)}",
                caption="Each layer by itself with its 95\N{NO-BREAK SPACE}% interval, from the "
                "audio to the output; line: the model’s own score, whose layers are chosen in "
                "every fold on items that are not scored.",
                description="Points with interval bars, one panel per model. "
                f"{_told(columns, lines[0])}",
                draw=partial(layers, **columns, chosen=lines[0], chance=lines[1], head=head),
                data=columns,
            )
        )
    return plots


def _times(factor: float, value: Plain) -> float:
    return factor * float(value) if isinstance(value, int | float) else math.nan


def _told(columns: Mapping[str, Sequence[Any]], chosen: Mapping[str, float]) -> str:
    """Return each model's lowest and highest layer in words, beside its own score."""
    said = []
    for model, own in chosen.items():
        found = [
            (value, layer)
            for name, layer, value in zip(
                columns["model"], columns["layer"], columns["value"], strict=True
            )
            if name == model and math.isfinite(value)
        ]
        if found:
            (low, worst), (high, best) = min(found), max(found)
            said.append(
                f"{model}: from {low:.3g} (layer {worst}) to {high:.3g} (layer {best}), its own "
                f"score {own:.3g}."
            )
    return " ".join(said)
