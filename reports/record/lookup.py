"""Looking things up in a task's results: which set the verdict is drawn on, who is level."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, TypeVar

from earmark.reports.record.schema import (
    Comparison,
    DatasetEntry,
    Group,
    Plain,
    Reference,
    RunRecord,
    Score,
    Table,
    TaskResult,
)

RANDOM_BASELINE = "random"
"""The model that uses no input: its scores must be those of chance."""
ALARM = 3.0
"""Standard errors above chance beyond which the baseline's score is an alarm."""

SIGNIFICANT = 0.05
"""Two models are significantly different where Holm's corrected p-value is below this."""
HALF_CREDIT = "pairwise_accuracy_half_credit"
OFFICIAL = "pairwise_accuracy"
"""Pairwise accuracy with half credit for predicted ties, by which models are ranked and compared,
and with ties dropped, as MusAV's paper has it."""

BETWEEN_RUNS = "comparison of runs"
"""Part of the protocol of a task that models of several runs share: how they were compared."""
MOST_DRAWN = 12
"""Models of a task that figures show, the best; tables have all."""
MANY, TOO_MANY = 60, 200
"""Models of all tasks together, above which figures show half as many, and none."""
MOST_PAIRS = 300
"""Comparisons of a task that are all shown; of more, the most telling."""

Dimension = str | None
Relation = Literal["better", "worse", "level", "unknown"]
Named = TypeVar("Named", Score, Group, Comparison, Reference)


def unique(names: Iterable[Dimension]) -> list[Dimension]:
    """Return each dimension once, in order of appearance."""
    return list(dict.fromkeys(names))


def headline(task: TaskResult) -> tuple[str, str] | None:
    """Return the metric and the subset that verdicts are drawn on; None without scores.

    A record of MusAV that names no metric was made when models were ranked by one accuracy and
    compared by another: its headline is the one that they were compared by.
    """
    for score in select(task.scores, metric=task.headline_metric, subset=task.headline_subset):
        if task.headline_metric is None and score.metric == OFFICIAL:
            halved = select(task.scores, metric=HALF_CREDIT, subset=score.subset)
            return (HALF_CREDIT if halved else OFFICIAL), score.subset
        return score.metric, score.subset
    return None


def score_row(task: TaskResult, score: Score) -> dict[str, Plain]:
    """Return a score with its interval and what it is of as one row of a table."""
    ends: dict[str, Plain] = dict.fromkeys(("low", "high", "level", "unit", "n_units", "method"))
    if score.interval is not None:
        ends = {name: getattr(score.interval, name) for name in ends}
    return {
        **score.model_dump(exclude={"interval"}),
        **ends,
        "task": task.id,
        "kind": task.kind,
        "dataset": task.dataset,
        "headline": headline(task) == (score.metric, score.subset),
    }


def dimensions(task: TaskResult) -> list[Dimension]:
    """Return the dimensions that were scored, ``[None]`` where a task has none."""
    return unique(score.dimension for score in task.scores)


def select(
    entries: Iterable[Named],
    *,
    metric: str | None = None,
    subset: str | None = None,
    dimension: Dimension | Literal["any"] = "any",
) -> list[Named]:
    """Return the entries of this metric, subset and dimension; None and ``any`` take all."""
    return [
        entry
        for entry in entries
        if metric in {None, entry.metric}
        and subset in {None, entry.subset}
        and (dimension == "any" or entry.dimension == dimension)
    ]


def best_first(scores: Iterable[Score]) -> list[Score]:
    """Return scores in order of their value, undefined ones last; what only rounds off is equal."""
    return sorted(
        scores,
        key=lambda s: (
            s.value is None,
            0.0 if s.value is None else round(-s.value if s.higher_is_better else s.value, 12),
        ),
    )


def values_of(scores: Sequence[Score]) -> dict[str, list[float]]:
    """Return value, low and high of scores as columns of a figure; NaN where there is none."""
    nan = math.nan
    bounds = [score.interval for score in scores]
    return {
        "value": [nan if score.value is None else score.value for score in scores],
        "low": [one.low if one else nan for one in bounds],
        "high": [one.high if one else nan for one in bounds],
    }


def level_of(scores: Iterable[Score]) -> float:
    """Return the level of the scores' intervals in per cent, 95 where there is none."""
    return next((100 * score.interval.level for score in scores if score.interval), 95)


def exceeds(value: float, line: float) -> bool:
    """Return whether a value is greater than a line by more than sums round off.

    >>> exceeds(0.10000000000000005, 0.1), exceeds(0.1001, 0.1)
    (False, True)
    """
    return value > line and not math.isclose(value, line, rel_tol=1e-9, abs_tol=1e-12)


def relation(score: Score, line: float) -> Relation:
    """Return on which side of a line the whole interval of a score lies."""
    if score.interval is None:
        return "unknown"
    found = relation_of(score.interval.low, score.interval.high, line)
    turned: dict[Relation, Relation] = {"better": "worse", "worse": "better"}
    return found if score.higher_is_better else turned.get(found, found)


def relation_of(low: float, high: float, line: float) -> Relation:
    """Return on which side of a line an interval lies, of what is better the higher it is."""
    if exceeds(low, line):
        return "better"
    return "worse" if exceeds(line, high) else "level"


def relation_to_chance(score: Score) -> Relation:
    """Return on which side of chance a score lies."""
    return "unknown" if score.chance is None else relation(score, score.chance)


def is_alarm(baseline: Score) -> bool:
    """Return whether a model that uses no input is further above chance than luck explains.

    Three standard errors, which luck reaches once in 740 times; an interval that merely lies above
    chance is reached once in 40 times, so that some task of a large suite always shows it.
    """
    chance = baseline.chance
    if baseline.value is None or baseline.interval is None or chance is None:
        return False
    level = baseline.interval.level
    low, high = baseline.interval.low, baseline.interval.high
    error = (high - low) / 2 / NormalDist().inv_cdf((1 + level) / 2)
    above = baseline.value - chance if baseline.higher_is_better else chance - baseline.value
    return relation_to_chance(baseline) == "better" and above > ALARM * error


def groups_of(task: TaskResult, *, metric: str, subset: str, dimension: Dimension) -> list[Group]:
    """Return the groups of a metric on a set; those drawn by another say nothing about it."""
    return select(task.groups, metric=metric, subset=subset, dimension=dimension)


@dataclass(frozen=True, slots=True)
class Rivals:
    """How a task's tests hold the other models against one, the best by its value."""

    compared: bool
    level: tuple[str, ...]
    """Not significantly different from it."""
    ahead: tuple[str, ...]
    """Significantly better where both were scored, though lower on all that each was scored on."""


def rivals_of(task: TaskResult, best: Score, others: Sequence[Score]) -> Rivals:
    """Return how the other models stand to the best, by the tests on its metric and set."""
    groups = groups_of(task, metric=best.metric, subset=best.subset, dimension=best.dimension)
    same = {model for group in groups if best.model in group.models for model in group.models}
    known = [score.model for score in others if score.value is not None]
    better = {
        pair.other
        for pair in pairs_with(task, best)
        if pair.p_holm < SIGNIFICANT
        and pair.difference != 0
        and (pair.difference < 0) == best.higher_is_better
    }
    return Rivals(
        compared=bool(groups),
        level=tuple(model for model in known if model in same),
        ahead=tuple(model for model in known if model in better),
    )


def pairs_with(task: TaskResult, score: Score) -> list[Comparison]:
    """Return the tested differences on a score's metric and set, its model minus each other."""
    metric, subset, model = score.metric, score.subset, score.model
    pairs = select(task.comparisons, metric=metric, subset=subset, dimension=score.dimension)
    found = [pair for pair in pairs if pair.model == model]
    return [*found, *(_reversed(pair) for pair in pairs if pair.other == model)]


def _reversed(pair: Comparison) -> Comparison:
    bounds = pair.interval
    if bounds is not None:
        bounds = bounds.model_copy(update={"low": -bounds.high, "high": -bounds.low})
    swapped = {"model": pair.other, "other": pair.model, "difference": -pair.difference}
    return pair.model_copy(update={**swapped, "interval": bounds})


def unpaired(task: TaskResult) -> bool:
    """Return whether models were compared by their intervals alone, not item by item."""
    return BETWEEN_RUNS in task.protocol and any(p.interval is None for p in task.comparisons)


def most_drawn(task: TaskResult, *, of: int) -> TaskResult:
    """Return the task with as many of its best models as figures of all tasks have room for.

    ``of`` is the number of models of all tasks: where they are many, each has fewer figures.
    """
    chosen = headline(task)
    most = MOST_DRAWN if of <= MANY else MOST_DRAWN // 2 if of <= TOO_MANY else 0
    if chosen is None or len(task.models) <= most:
        return task
    scores = best_first(select(task.scores, metric=chosen[0], subset=chosen[1]))
    kept = list(dict.fromkeys(score.model for score in scores))[:most]
    return task.model_copy(
        update={
            "models": kept,
            "scores": [score for score in task.scores if score.model in kept],
            "tables": [_of_models(entry, kept) for entry in task.tables],
        }
    )


def telling(task: TaskResult, pairs: Sequence[Comparison]) -> list[Comparison]:
    """Return all pairs, or of too many those with the best model and those of neighbours."""
    if len(pairs) <= MOST_PAIRS:
        return list(pairs)
    kept: list[Comparison] = []
    for metric, subset, side in dict.fromkeys((p.metric, p.subset, p.dimension) for p in pairs):
        here = select(pairs, metric=metric, subset=subset, dimension=side)
        scores = select(task.scores, metric=metric, subset=subset, dimension=side)
        place = {score.model: rank for rank, score in enumerate(best_first(scores))}
        for pair in here:
            ends = sorted(place.get(model, -1) for model in (pair.model, pair.other))
            if ends[0] == 0 or ends[1] - ends[0] == 1:
                kept.append(pair)
    return kept


def _of_models(entry: Table, models: Sequence[str]) -> Table:
    if "model" not in entry.columns:
        return entry
    place = entry.columns.index("model")
    return entry.model_copy(update={"rows": [r for r in entry.rows if r[place] in models]})


def compact_letter_display(groups: Iterable[Group]) -> dict[str, str]:
    """Return each model's letters: models that share one are not significantly different.

    >>> from earmark.reports.record.schema import Group
    >>> groups = [Group(subset="s", metric="m", models=m) for m in (["x", "y"], ["y", "z"])]
    >>> compact_letter_display(groups)
    {'x': 'a', 'y': 'a b', 'z': 'b'}
    """
    marks: dict[str, list[str]] = {}
    for number, group in enumerate(groups):
        letter = string.ascii_lowercase[number] if number < 26 else f"g{number + 1}"
        for model in group.models:
            marks.setdefault(model, []).append(letter)
    return {model: " ".join(own) for model, own in marks.items()}


def references(
    task: TaskResult, *, metric: str, subset: str, dimension: Dimension
) -> list[Reference]:
    """Return what a score on this set is held against, chance apart.

    A reference on a set that the task does not score holds for all of its sets.
    """
    scored = {score.subset for score in task.scores}
    return [
        reference
        for reference in select(task.references, metric=metric)
        if reference.dimension in {None, dimension}
        and (reference.subset == subset or reference.subset not in scored)
        and reference.name.casefold() != "chance"
    ]


def bare(name: str) -> str:
    """Return an id as it is compared: ``GTZAN-Excerpts`` is ``gtzan_excerpts``.

    >>> bare("GTZAN-Excerpts") == bare("gtzan_excerpts")
    True
    """
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def dataset_of(record: RunRecord, task: TaskResult) -> DatasetEntry | None:
    """Return the dataset of a task; None if the record does not list it."""
    return next((entry for entry in record.datasets if entry.id == task.dataset), None)


def table(task: TaskResult, title: str, *columns: str) -> list[Mapping[str, Plain]]:
    """Return the rows of a task's own table by column; none if it is not there as expected."""
    for entry in task.tables:
        if entry.title == title and set(columns) <= set(entry.columns):
            return rows_of(entry)
    return []


def model_of(title: str, models: Iterable[str]) -> str | None:
    """Return of which model alone a table is, by the end of its title; None where of none.

    >>> model_of("Failures of clap, audio to text", ["clap", "muscall"])
    'clap'
    """
    _, of, rest = title.partition(" of ")
    ends = {rest, rest.rpartition(", ")[0]} if of else set()
    return next((model for model in models if model in ends), None)


def rows_of(entry: Table) -> list[Mapping[str, Plain]]:
    """Return the rows of a table, each by the names of its columns."""
    return [dict(zip(entry.columns, row, strict=True)) for row in entry.rows]
