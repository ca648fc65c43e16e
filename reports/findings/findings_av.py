"""What the gain does to trained heads and AV models, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping

from earmark.reports import words as formats
from earmark.reports.content import Span, Text
from earmark.reports.record.lookup import table
from earmark.reports.record.schema import Plain, TaskResult

GAIN = "Sensitivity to gain"
"""Of the table of the task ``av_cross_dataset`` that is read."""
LARGE = 0.5
"""Deviations: a shift beyond this, with all of its interval, is told of."""
MOST_NAMED = 4
"""Shifts that are told one by one, the greatest."""


def shifts(task: TaskResult) -> list[Mapping[str, Plain]]:
    """Return the rows of the table by column; none where no gain was tested."""
    names = ("model", "dimension", "gain (dB)", "shift (deviations)", "shift low", "shift high")
    return table(task, GAIN, *names)


def under_gain(task: TaskResult) -> list[Text]:
    """Return what the greatest gain does: whose predictions shift beyond doubt, and how far."""
    rows = [row for row in shifts(task) if row["shift low"] is not None]
    if not rows:
        return []
    most = max((_number(row, "gain (dB)") for row in rows), key=lambda gain: (abs(gain), gain))
    moved = [
        row
        for row in rows
        if _number(row, "gain (dB)") == most
        and (_number(row, "shift low") > LARGE or _number(row, "shift high") < -LARGE)
    ]
    moved.sort(key=lambda row: -abs(_number(row, "shift (deviations)")))
    louder = f"{abs(most):g} dB {'louder' if most > 0 else 'softer'}, the same clips shift "
    if not moved:
        return [(Span(f"{louder}no predictions by {LARGE:g} deviations beyond doubt."),)]
    spans = [Span(f"{louder}predictions, in deviations of those without gain: ")]
    for number, row in enumerate(moved[:MOST_NAMED]):
        spans += [
            Span(f"{', ' if number else ''}{row['dimension']} of "),
            Span(str(row["model"]), "name"),
            Span(f" by {_signed(row)}"),
        ]
    more = len(moved) - MOST_NAMED
    rest = f", and {formats.count(more)} more by over {LARGE:g}" if more > 0 else ""
    return [(*spans, Span(f"{rest}."))]


def _number(row: Mapping[str, Plain], column: str) -> float:
    return float(row[column] or 0)


def _signed(row: Mapping[str, Plain]) -> str:
    return f"{_number(row, 'shift (deviations)'):+.1f}".replace("-", "\N{MINUS SIGN}")
