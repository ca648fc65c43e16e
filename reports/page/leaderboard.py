"""The leaderboard: every model on every task's headline, what it was trained on, what it cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from earmark.reports import words
from earmark.reports.content import (
    Block,
    Cell,
    Column,
    Paragraph,
    Plot,
    Plots,
    Section,
    TableBlock,
    part_of,
    text,
)
from earmark.reports.figures import leaderboard as figures_leaderboard
from earmark.reports.findings.headlines import boards_of
from earmark.reports.findings.task import is_contaminated
from earmark.reports.page import costs
from earmark.reports.page.cells import (
    Notes,
    about_coverage,
    about_intervals,
    common_chance,
    plain_value,
)
from earmark.reports.record.lookup import (
    Dimension,
    best_first,
    dimensions,
    groups_of,
    headline,
    letters,
    select,
)
from earmark.reports.record.schema import RunRecord, Score, TaskResult
from earmark.reports.view import Views

MOST_ROWS, FEWER_ROWS = 40, 20
"""Models of one figure, and of one of many; the table has all."""
MOST_COLUMNS = 6
"""Headline scores side by side in one table: more do not fit on paper."""
FEW = 15
"""Models whose figure of one dimension needs no more than a column."""
MANY_BOARDS = 4
"""Tasks above which every figure is that of a column: so many are compared, not read."""
SEEN = "trained on this dataset: read as fit, not as generalisation"


def leaderboard(
    record: RunRecord, views: Views, origin: Mapping[str, Sequence[int]] | None = None
) -> Section:
    """Return the section; ``origin`` has the runs of each model, where there are several."""
    boards = [(task, chosen) for task in record.tasks if (chosen := headline(task))]
    if not boards:
        blocks: list[Block] = [Paragraph(text("Nothing was scored."), "muted")]
        return Section("Leaderboard", "leaderboard", blocks)
    heads = [
        (task, metric, subset, side)
        for task, (metric, subset) in boards
        for side in dimensions(task)
    ]
    order = _order(heads)
    n_tables = math.ceil(len(heads) / MOST_COLUMNS)
    size = math.ceil(len(heads) / n_tables)
    starts = range(0, len(heads), size)
    blocks = [
        _table(record, heads[start : start + size], order, part_of(number, starts))
        for number, start in enumerate(starts, start=1)
    ]
    plots = [
        plot
        for task, (metric, subset) in boards
        if (plot := _plot(task, metric, subset, small=len(boards) > MANY_BOARDS)) is not None
    ]
    if plots:
        blocks.append(Plots(plots))
    blocks.append(costs.cost_table(record, order, origin))
    if (speeds := costs.speed_plot(record, boards_of(record, views))) is not None:
        blocks.append(Plots([speeds]))
    return Section("Leaderboard", "leaderboard", blocks)


Head = tuple[TaskResult, str, str, Dimension]


def _scores(head: Head) -> list[Score]:
    task, metric, subset, side = head
    return best_first(select(task.scores, metric=metric, subset=subset, dimension=side))


def _order(heads: Sequence[Head]) -> list[str]:
    """Return models by how many scores they have, then by their mean place there, best first."""
    places: dict[str, list[float]] = {}
    for head in heads:
        scores = _scores(head)
        for place, score in enumerate(scores):
            share = place / max(1, len(scores) - 1)
            places.setdefault(score.model, []).append(1.0 if score.value is None else share)
    return sorted(
        places, key=lambda model: (-len(places[model]), sum(places[model]) / len(places[model]))
    )


def _table(record: RunRecord, heads: Sequence[Head], order: Sequence[str], of: str) -> TableBlock:
    notes = Notes()
    cells: list[dict[str, Cell]] = []
    seen_any, unpaired = False, False
    for head in heads:
        task = head[0]
        marks = letters(groups_of(task, metric=head[1], subset=head[2], dimension=head[3]))
        unpaired |= bool(task.comparisons) and task.comparisons[0].interval is None
        column = {}
        for score in _scores(head):
            seen = is_contaminated(record, task, score.model)
            seen_any |= seen
            column[score.model] = _cell(notes.cell(score), marks.get(score.model, ""), seen=seen)
        cells.append(column)
    about = [
        about_intervals(score for head in heads for score in _scores(head)),
        about_coverage(score for head in heads for score in _scores(head)),
        "Letters: models that share one in a column cannot be told apart there (Holm’s "
        "correction over its pairs)."
        if any(task.groups for task, *_ in heads)
        else "",
        f"†: {SEEN}." if seen_any else "",
        "Order: models with more of the scores first, then by their mean place."
        if len(heads) > 1
        else "",
    ]
    chance = [plain_value(common_chance(_scores(head)), head[1]) for head in heads]
    several = len({task.id for task, *_ in heads}) > 1 or bool(of)
    return TableBlock(
        caption=f"Models by task{of}",
        columns=[
            Column("Model"),
            *(
                Column(_label(head), numeric=True, group=head[0].title if several else "")
                for head in heads
            ),
        ],
        rows=[
            [Cell(model), *(column.get(model, Cell(words.NOTHING)) for column in cells)]
            for model in order
            if any(model in column for column in cells)
        ],
        foot=[[Cell("chance"), *chance]],
        notes=[*(note for note in about if note), *notes.texts],
    )


def _label(head: Head) -> str:
    _, metric, subset, side = head
    where = words.subset(subset)
    return f"{words.metric(metric).head}, {f'{side}, ' if side else ''}{where}"


def _cell(cell: Cell, letter: str, *, seen: bool) -> Cell:
    sub = " ".join(part for part in (cell.sub, letter) if part)
    text_ = f"{cell.text}†" if seen and cell.sort is not None else cell.text
    return Cell(text_, sub=sub, sort=cell.sort, mark=cell.mark, tone=cell.tone)


def _plot(task: TaskResult, metric: str, subset: str, *, small: bool) -> Plot | None:
    sides = dimensions(task)
    first = _scores((task, metric, subset, sides[0]))
    models = [score.model for score in first if score.value is not None]
    others = select(task.scores, metric=metric, subset=subset)
    models += [s.model for s in others if s.value is not None and s.model not in models]
    models = list(dict.fromkeys(models))
    drawn = models[: FEWER_ROWS if small else MOST_ROWS]
    scores = [
        score
        for model in drawn
        for score in select(task.scores, metric=metric, subset=subset)
        if score.model == model
    ]
    if not scores:
        return None
    nan = math.nan
    columns: dict[str, Any] = {
        "model": [score.model for score in scores],
        "dimension": [score.dimension or "all" for score in scores],
        "value": [nan if score.value is None else score.value for score in scores],
        "low": [score.interval.low if score.interval else nan for score in scores],
        "high": [score.interval.high if score.interval else nan for score in scores],
        "chance": [nan if score.chance is None else score.chance for score in scores],
    }
    space = "\N{NO-BREAK SPACE}"
    level = next((100 * s.interval.level for s in scores if s.interval), 95)
    title = words.metric(metric).title
    left = (
        f" The best {len(drawn)} of {len(models)} models; the table has all."
        if len(models) > len(drawn)
        else ""
    )
    best = scores[0]
    return Plot(
        title=f"{task.title}: {title}, {words.subset(subset)}",
        caption=f"Best first, with {level:g}{space}% intervals. Dashed: chance. Intervals that "
        f"overlap are no test: the letters of the table are.{left}",
        description=f"A row a model, {len(drawn)} in all: a point with its interval beside the "
        f"level of chance. First: {best.model}, {words.with_unit(best.value or 0.0, metric)}. "
        f"The table above has all values.",
        draw=partial(figures_leaderboard.leaderboard, **columns, metric=metric),
        data=columns,
        small=small or (len(sides) == 1 and len(drawn) <= FEW),
    )
