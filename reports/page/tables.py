"""Tables of a task's scores: the verdict on the headline set, every set, every score."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from earmark.reports import words
from earmark.reports.content import Cell, Column, TableBlock
from earmark.reports.page.cells import (
    LONG,
    Notes,
    Part,
    about_coverage,
    about_intervals,
    common_chance,
    plain_value,
    standing,
    value_columns,
)
from earmark.reports.record.lookup import (
    HALF_CREDIT,
    OFFICIAL,
    Dimension,
    best_first,
    groups_of,
    letters,
    references,
    select,
    unpaired,
)
from earmark.reports.record.schema import Score, TaskResult


def verdict(task: TaskResult, *, metric: str, subset: str, dimension: Dimension) -> TableBlock:
    """Return the models on one set, best first, beside chance and the references."""
    scores = best_first(select(task.scores, metric=metric, subset=subset, dimension=dimension))
    how = words.metric(metric)
    lines = references(task, metric=metric, subset=subset, dimension=dimension)
    groups = groups_of(task, metric=metric, subset=subset, dimension=dimension)
    notes = Notes()
    parts: list[Part] = [
        (Column("Model"), lambda s: Cell(s.model)),
        *value_columns(how.head, scores, notes),
        *(_official(task, subset, dimension, notes) if metric == HALF_CREDIT else ()),
    ]
    shared = common_chance(scores)
    if any(score.chance is not None for score in scores):
        if shared is None:
            parts.append((Column("Chance", numeric=True), lambda s: plain_value(s.chance, metric)))
        parts.append((Column("Relative to chance"), lambda s: standing(s, s.chance)))
    for line in lines:
        parts.append((Column(f"Relative to {line.name}"), partial(standing, line=line.value)))
    if groups:
        marks = letters(groups)
        parts.append((Column("Group"), lambda s: Cell(marks.get(s.model, words.NOTHING))))
    rows = [[make(score) for _, make in parts] for score in scores]
    bare: list[tuple[str, float, int | None]] = [
        *((line.name, line.value, line.n) for line in lines),
        *([("chance", shared, None)] if shared is not None else []),
    ]
    about = [about_intervals(scores)]
    about += [f"{words.sentence(line.name)}: {line.note}." for line in lines if line.note]
    if groups:
        by = words.metric(groups[0].metric).title
        about.append(
            f"Group: models that share a letter cannot be told apart "
            f"({'unpaired' if unpaired(task) else 'paired'} test on “{by}”, Holm’s correction)."
        )
    return TableBlock(
        caption=words.sentence(
            f"{dimension}, {words.in_subset(subset)}" if dimension else words.in_subset(subset)
        ),
        columns=[column for column, _ in parts],
        rows=rows,
        foot=[_foot_row(*line, metric, len(parts)) for line in bare],
        notes=[*(note for note in about if note), *notes.texts],
    )


def _official(
    task: TaskResult, subset: str, dimension: Dimension, notes: Notes
) -> tuple[Part, Part]:
    """Return the accuracy with predicted ties dropped, and the pairs that are left for it."""
    found = select(task.scores, metric=OFFICIAL, subset=subset, dimension=dimension)
    by_model = {score.model: score for score in found}

    def value(score: Score) -> Cell:
        return notes.cell(by_model.get(score.model))

    def pairs(score: Score) -> Cell:
        official = by_model.get(score.model)
        return Cell(words.count(official.n) if official else words.NOTHING)

    return (
        (Column(words.metric(OFFICIAL).head, numeric=True), value),
        (Column("n, official", numeric=True), pairs),
    )


def _foot_row(name: str, value: float, n: int | None, metric: str, width: int) -> list[Cell]:
    row = [Cell(name), plain_value(value, metric), Cell("")]
    row.append(Cell(f"n = {words.count(n)}" if n is not None else ""))
    return (row + [Cell("")] * width)[:width]


def every_set(task: TaskResult, *, metric: str, dimension: Dimension) -> TableBlock:
    """Return models by sets: each value above its interval."""
    scores = select(task.scores, metric=metric, dimension=dimension)
    how = words.metric(metric)
    subsets = list(dict.fromkeys(score.subset for score in scores))
    by_place = {(score.model, score.subset): score for score in scores}
    notes = Notes()
    rows = []
    for model in _ranked(scores):
        row = [Cell(model)]
        for subset in subsets:
            row.append(notes.cell(by_place.get((model, subset))))
        rows.append(row)
    foot = []
    names = dict.fromkeys(
        line.name
        for subset in subsets
        for line in references(task, metric=metric, subset=subset, dimension=dimension)
    )
    for name in names:
        lines = {
            subset: line.value
            for subset in subsets
            for line in references(task, metric=metric, subset=subset, dimension=dimension)
            if line.name == name
        }
        foot.append([Cell(name), *(plain_value(lines.get(s), metric) for s in subsets)])
    foot.append(
        [
            Cell("chance"),
            *(
                plain_value(common_chance(select(scores, subset=subset)), metric)
                for subset in subsets
            ),
        ]
    )
    foot.append(
        [
            Cell("items of the set"),
            *(
                Cell(words.count(max(s.n_items for s in scores if s.subset == subset)))
                for subset in subsets
            ),
        ]
    )
    return TableBlock(
        caption=f"{_sentence(dimension)}{how.head} on every set",
        columns=[
            Column("Model"),
            *(Column(words.subset(subset), numeric=True) for subset in subsets),
        ],
        rows=rows,
        foot=foot,
        notes=[
            note for note in (about_intervals(scores), about_coverage(scores), *notes.texts) if note
        ],
    )


def every_metric(task: TaskResult, *, subset: str) -> TableBlock:
    """Return models by metrics on one set, under a head a dimension."""
    scores = select(task.scores, subset=subset)
    heads = list(dict.fromkeys((score.dimension, score.metric) for score in scores))
    by_place = {(score.model, score.dimension, score.metric): score for score in scores}
    notes = Notes()
    rows = [
        [Cell(model), *(notes.cell(by_place.get((model, d, m))) for d, m in heads)]
        for model in _ranked(scores)
    ]
    shared = [common_chance(select(scores, metric=m, dimension=d)) for d, m in heads]
    pairs = zip(shared, heads, strict=True)
    foot = [[Cell("chance"), *(plain_value(level, m) for level, (_, m) in pairs)]]
    for name in dict.fromkeys(r.name for r in task.references if r.name.casefold() != "chance"):
        lines = {
            (d, m): line.value
            for d, m in heads
            for line in references(task, metric=m, subset=subset, dimension=d)
            if line.name == name
        }
        if lines:
            foot.insert(0, [Cell(name), *(plain_value(lines.get(h), h[1]) for h in heads)])
    return TableBlock(
        caption=f"{words.sentence(words.in_subset(subset))}: every metric",
        columns=[
            Column("Model"),
            *(Column(words.metric(m).head, True, group=_sentence(d, "")) for d, m in heads),
        ],
        rows=rows,
        foot=foot,
        notes=[note for note in (about_intervals(scores), *notes.texts) if note],
    )


def every_score(task: TaskResult) -> TableBlock:
    """Return all scores of a task with all that the record says of them."""
    scores = task.scores
    several = len({score.metric for score in scores}) > 1
    sided = any(score.dimension for score in scores)
    notes = Notes()
    parts: list[Part] = [
        (Column("Model"), lambda s: Cell(s.model)),
        (Column("Set"), lambda s: Cell(words.subset(s.subset))),
    ]
    if sided:
        parts.append((Column("Dimension"), lambda s: Cell(s.dimension or words.NOTHING)))
    if several:
        parts.append((Column("Metric"), lambda s: Cell(words.metric(s.metric).head)))
    head = "Value" if several else words.metric(scores[0].metric).head
    parts += value_columns(head, scores, notes)
    parts.append(
        (Column("Chance", numeric=True), lambda s: plain_value(s.chance, s.metric)),
    )
    rows = [[make(score) for _, make in parts] for score in scores]
    return TableBlock(
        caption="Every score",
        columns=[column for column, _ in parts],
        rows=rows,
        notes=[note for note in (about_intervals(scores), *notes.texts) if note],
        folded=len(rows) > LONG // 2,
    )


def _ranked(scores: Sequence[Score]) -> list[str]:
    """Return models in order of their first set and metric, best first."""
    first = scores[0]
    ranking = best_first(
        s
        for s in scores
        if (s.subset, s.metric, s.dimension) == (first.subset, first.metric, first.dimension)
    )
    return list(dict.fromkeys([*(s.model for s in ranking), *(s.model for s in scores)]))


def _sentence(dimension: Dimension, end: str = ". ") -> str:
    return f"{dimension.capitalize()}{end}" if dimension else ""
