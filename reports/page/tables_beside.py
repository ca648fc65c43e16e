"""Tables beside the scores: comparisons of models, groups, and a task's own tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from earmark.reports import words
from earmark.reports.content import Audible, Cell, Column, TableBlock
from earmark.reports.page.cells import LONG, interval_cell, level, plain_value
from earmark.reports.record.lookup import SIGNIFICANT, select
from earmark.reports.record.schema import Comparison, Plain, Table, TaskResult

MOST_NAMES = 1500
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
            f"Bold: told apart at {SIGNIFICANT:g} after Holm’s correction. Detectable: the "
            f"smallest difference that a test on these items would find four times in five."
        ],
        folded=folded or len(rows) > LONG,
    )


def group_table(task: TaskResult) -> TableBlock:
    """Return on every set which models cannot be told apart."""
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
        caption="Models that cannot be told apart, on every set",
        columns=[
            Column("Set"),
            *([Column("Dimension")] if sided else []),
            Column("Metric"),
            Column("Group"),
            Column("Models, best first"),
        ],
        rows=rows,
        folded=len(rows) > LONG or sum(len(row[-1].text) for row in rows) > MOST_NAMES,
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
