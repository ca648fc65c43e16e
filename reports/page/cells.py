"""Cells that several tables share: values with their intervals, and the reasons for dashes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from earmark.reports import words
from earmark.reports.content import Cell, Column
from earmark.reports.record.lookup import Standing, against
from earmark.reports.record.schema import Interval, Score

MOST_NAMES = 3
"""Models that a note names; of more it gives the number."""
LONG = 24
"""Tables of more rows are folded away on a page that can fold."""

Part = tuple[Column, Callable[[Score], Cell]]
"""A column, and how a score fills it."""

_STANDING: dict[Standing, str] = {
    "better": "above",
    "worse": "below",
    "level": "not told apart",
    "unknown": words.NOTHING,
}


class Notes:
    """Reasons why values are missing, each once, numbered in order of appearance."""

    def __init__(self) -> None:
        self._marks: dict[str, str] = {}

    @property
    def texts(self) -> list[str]:
        return [f"({mark}) {reason}" for reason, mark in self._marks.items()]

    def mark(self, score: Score) -> str:
        reason = score.reason or ""
        return self._marks.setdefault(reason, str(len(self._marks) + 1))

    def cell(self, score: Score | None) -> Cell:
        """Return the value above its interval, or a dash with the mark of the reason."""
        if score is None:
            return Cell(words.NOTHING)
        if score.value is None:
            return Cell(words.NOTHING, mark=self.mark(score))
        return Cell(
            words.score_value(score),
            sub=words.interval(score.interval, score.metric),
            sort=score.value,
            mark=self.mark(score) if score.reason else "",
        )

    def value(self, score: Score) -> Cell:
        """Return the value alone, set strong, or a dash with the mark of the reason."""
        if score.value is None:
            return Cell(words.NOTHING, mark=self.mark(score))
        mark = self.mark(score) if score.reason else ""
        return Cell(words.score_value(score), sort=score.value, mark=mark, tone="strong")


def value_columns(head: str, scores: Sequence[Score], notes: Notes) -> list[Part]:
    """Return the columns that say what a score is and what it rests on."""
    parts: list[Part] = [
        (Column(head, numeric=True), notes.value),
        (
            Column(f"{level(first_interval(scores))} interval", numeric=True),
            lambda s: interval_cell(s.interval, s.metric),
        ),
    ]
    if any(score.correct is not None for score in scores):
        parts.append((Column("Correct / scored", numeric=True), _correct))
    else:
        parts.append((Column("n", numeric=True), lambda s: Cell(words.count(s.n), sort=s.n)))
    parts.append((Column("Coverage", numeric=True), _coverage))
    if any(score.ties is not None for score in scores):
        parts.append(
            (
                Column("Ties", numeric=True),
                lambda s: Cell(_ties(s), sort=s.ties),
            )
        )
    return parts


def first_interval(scores: Iterable[Score]) -> Interval | None:
    """Return the interval that names the level of a column."""
    return next((score.interval for score in scores if score.interval), None)


def level(bounds: Interval | None) -> str:
    """Return the level of intervals in per cent, 95 where there is none."""
    return f"{100 * (bounds.level if bounds else 0.95):g}\N{NO-BREAK SPACE}%"


def interval_cell(bounds: Interval | None, metric: str) -> Cell:
    """Return both ends of an interval, sorted by its lower end."""
    return Cell(
        words.interval(bounds, metric) or words.NOTHING, sort=bounds.low if bounds else None
    )


def _correct(score: Score) -> Cell:
    correct = words.NOTHING if score.correct is None else words.count(score.correct)
    return Cell(f"{correct} / {words.count(score.n)}", sort=score.correct)


def _ties(score: Score) -> str:
    if not score.ties:
        return words.cell(score.ties)
    return f"{words.cell(score.ties)} ({words.percent(score.ties / score.n_items)})"


def _coverage(score: Score) -> Cell:
    if score.n_items == 0:
        return Cell(words.NOTHING)
    share = score.n / score.n_items
    return Cell(words.percent(share), sort=share)


def standing(score: Score, line: float | None) -> Cell:
    """Return on which side of a line a score lies, in words."""
    if line is None or score.value is None:
        return Cell(words.NOTHING)
    standing = against(score, line)
    return Cell(_STANDING[standing], tone="muted" if standing == "level" else "plain")


def common_chance(scores: Sequence[Score]) -> float | None:
    """Return the level of chance that scores share; None where models have each their own."""
    levels = {None if score.chance is None else round(score.chance, 12) for score in scores}
    return levels.pop() if len(levels) == 1 else None


def plain_value(value: float | None, metric: str) -> Cell:
    """Return a bare value as its metric is written."""
    if value is None:
        return Cell(words.NOTHING)
    how = words.metric(metric)
    return Cell(words.number(how.factor * value, how.digits), sort=value)


def about_coverage(scores: Iterable[Score]) -> str:
    """Return whose values rest on a part of the items, and on the least part each; else nothing."""
    least: dict[str, Score] = {}
    for score in scores:
        if score.value is None or score.n == score.n_items:
            continue
        known = least.get(score.model)
        if known is None or score.n * known.n_items < known.n * score.n_items:
            least[score.model] = score
    parts = [f"{s.model} on {s.n:,} of {s.n_items:,}" for s in least.values()]
    if len(parts) > MOST_NAMES:
        fewest = min(least.values(), key=lambda s: s.n / s.n_items)
        parts = [f"{len(parts):,} models, {fewest.model} on {fewest.n:,} of {fewest.n_items:,}"]
    return f"Scored on a part of the items: {words.listed(parts)}." if parts else ""


def about_intervals(scores: Iterable[Score]) -> str:
    """Return how the intervals of these scores were made, in a sentence."""
    kinds = dict.fromkeys(
        (s.interval.level, s.interval.method, s.interval.unit, s.interval.replicates)
        for s in scores
        if s.interval
    )
    return " ".join(
        f"Intervals: {100 * level:g}\N{NO-BREAK SPACE}%, {method} over {unit}s"
        + (f", {replicates:,} replicates." if replicates else ".")
        for level, method, unit, replicates in kinds
    )
