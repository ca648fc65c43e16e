"""Tables of a task's scores: the verdict on the headline set, every set, every score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from earmark.reports import words
from earmark.reports.content import Audible, Cell, Column, TableBlock
from earmark.reports.record.lookup import (
    HALF_CREDIT,
    OFFICIAL,
    SIGNIFICANT,
    Dimension,
    Relation,
    best_first,
    compact_letter_display,
    groups_of,
    references,
    relation,
    select,
    unpaired,
)
from earmark.reports.record.schema import Comparison, Interval, Plain, Score, Table, TaskResult


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
        parts.append((Column("Relative to chance"), lambda s: relation_cell(s, s.chance)))
    for line in lines:
        parts.append((Column(f"Relative to {line.name}"), partial(relation_cell, line=line.value)))
    if groups:
        marks = compact_letter_display(groups)
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
            f"Group: models that share a letter are {words.NOT_DIFFERENT} "
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
        detail=True,
        notes=[
            note for note in (about_intervals(scores), about_coverage(scores), *notes.texts) if note
        ],
    )


def every_metric(task: TaskResult, *, subset: str) -> TableBlock:
    """Return models by metrics on one set, under one head per dimension."""
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
        detail=True,
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


MOST_LETTERS = 1500
"""Letters of models' names in a table of groups that is not folded away: half a page."""


def comparisons(pairs: Sequence[Comparison], *, caption: str, folded: bool = False) -> TableBlock:
    """Return paired differences as they come; a long table is folded away, another where asked."""
    sided = any(pair.dimension for pair in pairs)
    subsets = len({pair.subset for pair in pairs}) > 1
    metrics = list(dict.fromkeys(pair.metric for pair in pairs))
    how = words.metric(metrics[0])
    by = words.listed([words.metric(name).title for name in metrics])
    unit = f" ({how.difference_unit})" if how.difference_unit and len(metrics) == 1 else ""
    columns = [
        *([Column("Dimension")] if sided else []),
        *([Column("Set")] if subsets else []),
        *([Column("Metric")] if len(metrics) > 1 else []),
        Column("Model"),
        Column("Other"),
        Column(f"Difference{unit}", numeric=True),
        Column(f"{level(pairs[0].interval)} interval", numeric=True),
        Column("p", numeric=True),
        Column("p, Holm", numeric=True),
        Column("Detectable", numeric=True),
        Column("n", numeric=True),
    ]
    basis = (
        "on the same items"
        if any(pair.interval for pair in pairs)
        else "from the intervals of the two scores, as if their items were others"
    )
    rows = []
    for pair in pairs:
        apart = pair.p_holm < SIGNIFICANT
        scale = words.metric(pair.metric)
        rows.append(
            [
                *([Cell(pair.dimension or words.NOTHING)] if sided else []),
                *([Cell(words.subset(pair.subset))] if subsets else []),
                *([Cell(scale.title)] if len(metrics) > 1 else []),
                Cell(pair.model),
                Cell(pair.other),
                Cell(
                    words.difference(pair),
                    sort=pair.difference,
                    tone="strong" if apart else "plain",
                ),
                interval_cell(pair.interval, pair.metric),
                Cell(words.p_value(pair.p_value), sort=pair.p_value),
                Cell(
                    words.p_value(pair.p_holm),
                    sort=pair.p_holm,
                    tone="strong" if apart else "plain",
                ),
                plain_value(pair.minimum_detectable_difference, pair.metric),
                Cell(words.count(pair.n), sort=pair.n),
            ]
        )
    return TableBlock(
        caption=caption,
        columns=columns,
        rows=rows,
        notes=[
            f"Model minus other {basis} ({by}). "
            f"Bold: {words.DIFFERENT} at {SIGNIFICANT:g} after Holm’s correction. Detectable: the "
            f"smallest difference that a test on these items would find four times in five."
        ],
        folded=folded or len(rows) > LONG,
    )


def group_table(task: TaskResult) -> TableBlock:
    """Return on every set which models are not significantly different."""
    sided = any(group.dimension for group in task.groups)
    rows = []
    for metric, subset, side in dict.fromkeys(
        (group.metric, group.subset, group.dimension) for group in task.groups
    ):
        here = select(task.groups, metric=metric, subset=subset, dimension=side)
        for number, group in enumerate(here):
            rows.append(
                [
                    Cell(words.subset(subset)),
                    *([Cell(side or words.NOTHING)] if sided else []),
                    Cell(words.metric(metric).title),
                    Cell("abcdefghijklmnopqrstuvwxyz"[number % 26]),
                    Cell(", ".join(group.models)),
                ]
            )
    return TableBlock(
        caption=f"Models that are {words.NOT_DIFFERENT}, on every set",
        columns=[
            Column("Set"),
            *([Column("Dimension")] if sided else []),
            Column("Metric"),
            Column("Group"),
            Column("Models, best first"),
        ],
        rows=rows,
        folded=len(rows) > LONG or sum(len(row[-1].text) for row in rows) > MOST_LETTERS,
    )


def own(
    table: Table, *, audible: Mapping[str, Audible] | None = None, folded: bool = False
) -> TableBlock:
    """Return a task's own table as it is; a long one is folded away, another where asked."""
    numeric = [
        _is_numeric([row[place] for row in table.rows]) for place in range(len(table.columns))
    ]
    rows = [
        [
            Cell(_written(name, value), sort=_sort_key(value) if is_number else None)
            for name, value, is_number in zip(table.columns, row, numeric, strict=True)
        ]
        for row in table.rows
    ]
    return TableBlock(
        caption=table.title,
        columns=[
            Column(_head(name), numeric=is_number, audible=(audible or {}).get(name))
            for name, is_number in zip(table.columns, numeric, strict=True)
        ],
        rows=rows,
        notes=[table.note] if table.note else [],
        folded=folded or len(rows) > LONG,
    )


def _head(name: str) -> str:
    """Return a column's name as a head has it; a statistic's letter stays small."""
    return words.sentence(name) if len(name.split(",")[0]) > 1 else name


def _written(column: str, value: Plain) -> str:
    """Return a value of a task's own table; ranks are counts, with halves where items tied."""
    if column == "metric" and isinstance(value, str):
        return words.metric(value).title
    if column == "rank" and isinstance(value, int | float):
        return words.count(value)
    return words.cell(value)


def _is_numeric(values: Sequence[Plain]) -> bool:
    there = [value for value in values if value is not None]
    return bool(there) and all(_sort_key(value) is not None for value in there)


def _sort_key(value: Plain) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


MOST_NAMES = 3
"""Models that a note names; of more it gives the number."""
LONG = 24
"""Tables of more rows are folded away on a page that can fold."""

Part = tuple[Column, Callable[[Score], Cell]]
"""A column, and how a score fills it."""

_RELATIONS: dict[Relation, str] = {
    "better": "above",
    "worse": "below",
    "level": words.NOT_DIFFERENT,
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


def relation_cell(score: Score, line: float | None) -> Cell:
    """Return on which side of a line a score lies, in words."""
    if line is None or score.value is None:
        return Cell(words.NOTHING)
    found = relation(score, line)
    return Cell(_RELATIONS[found], tone="muted" if found == "level" else "plain")


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
