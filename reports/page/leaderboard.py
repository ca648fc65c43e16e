"""The leaderboard: every model on every task's headline, what it was trained on, what it cost."""

from __future__ import annotations

import math
from collections import Counter
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
from earmark.reports.figures import rows as figures_of_rows
from earmark.reports.figures.scatter import score_against_speed
from earmark.reports.findings.headlines import Headline, headlines_of
from earmark.reports.findings.task import is_contaminated
from earmark.reports.page.tables import (
    Notes,
    about_coverage,
    about_intervals,
    common_chance,
    plain_value,
)
from earmark.reports.record.lookup import (
    Dimension,
    best_first,
    compact_letter_display,
    dimensions,
    groups_of,
    headline,
    level_of,
    select,
    values_of,
)
from earmark.reports.record.schema import Cost, RunRecord, Score, TaskResult
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
    order = ranked([_scores(head) for head in heads])
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
        blocks.append(Plots(plots, detail=True))  # the first figure has the best of them
    blocks.append(cost_table(record, order, origin))
    if (speeds := speed_plot(record, headlines_of(record, views))) is not None:
        blocks.append(Plots([speeds], detail=True))
    return Section("Leaderboard", "leaderboard", blocks)


Head = tuple[TaskResult, str, str, Dimension]


def _scores(head: Head) -> list[Score]:
    task, metric, subset, side = head
    return best_first(select(task.scores, metric=metric, subset=subset, dimension=side))


def ranked(boards: Sequence[Sequence[Score]]) -> list[str]:
    """Return models by how many scores they have, then by their mean place there, best first."""
    places: dict[str, list[float]] = {}
    for scores in boards:
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
        marks = compact_letter_display(
            groups_of(task, metric=head[1], subset=head[2], dimension=head[3])
        )
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
        f"Letters: models that share one in a column are {words.NOT_DIFFERENT} there (Holm’s "
        f"correction over its pairs)."
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
        **values_of(scores),
        "chance": [nan if score.chance is None else score.chance for score in scores],
    }
    space = "\N{NO-BREAK SPACE}"
    level = level_of(scores)
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
        description=f"One row per model, {len(drawn)} in all: a point with its interval beside the "
        f"level of chance. First: {best.model}, {words.with_unit(best.value or 0.0, metric)}. "
        f"The table above has all values.",
        draw=partial(figures_of_rows.leaderboard, **columns, metric=metric),
        data=columns,
        small=small or (len(sides) == 1 and len(drawn) <= FEW),
    )


FEWEST_POINTS = 3
"""Models below which a figure of speed says no more than the table."""
MOST_POINTS = 12
LEAST_SPREAD = 2.0
"""Of the fastest to the slowest: models of about one speed say nothing of its price."""


def cost_table(
    record: RunRecord, order: Sequence[str], origin: Mapping[str, Sequence[int]] | None
) -> Block:
    """Return one row per model, in this order; ``origin`` has the runs of each, if several."""
    costs = {model.id: model.cost for model in record.models}
    known = [cost for model in order if (cost := costs.get(model)) is not None]
    if not known:
        said = "The inference cost is not known: the record holds no measurement of any model."
        return Paragraph(text(said), "muted")
    rows = [
        [
            Cell(model),
            *([Cell(", ".join(map(str, origin.get(model, ()))))] if origin else []),
            *_cost_cells(costs.get(model)),
        ]
        for model in order
    ]
    return TableBlock(
        caption="Inference cost",
        columns=[
            Column("Model"),
            *([Column("Run")] if origin else []),
            Column("Clips/s", numeric=True),
            Column("Clips timed", numeric=True),
            Column("Parameters (millions)", numeric=True),
            Column("Peak memory (MiB)", numeric=True),
            Column("Device"),
            Column("dtype"),
            Column("Measured"),
        ],
        rows=rows,
        notes=_cost_notes(known, missing=len(known) < len(order)),
    )


def _cost_cells(cost: Cost | None) -> list[Cell]:
    if cost is None:
        return [Cell(words.NOTHING)] * 7
    parameters, memory = cost.parameters, cost.peak_memory_mib
    return [
        Cell(three_digits(cost.clips_per_second), sort=cost.clips_per_second),
        Cell(words.count(cost.clips), sort=cost.clips),
        Cell(words.NOTHING if parameters is None else millions(parameters), sort=parameters),
        Cell(words.NOTHING if memory is None else words.count(round(memory)), sort=memory),
        Cell(cost.device),
        Cell(cost.dtype),
        Cell(f"on {_day(cost.measured)}" if cost.measured else "in this run"),
    ]


def _cost_notes(known: Sequence[Cost], *, missing: bool) -> list[str]:
    devices = dict.fromkeys(cost.device for cost in known)
    memory = [
        *(["on a CPU that of the whole process"] if any("cpu" in one for one in devices) else []),
        *(["on a GPU what was allocated"] if any(one != "cpu" for one in devices) else []),
    ]
    notes = [
        "Clips/s: decoded clips that the model itself was given, by the wall time of its calls "
        "after the first, which warms it up (of all, where the first took longer than the rest); "
        "clips of other lengths take other times. "
        f"Peak memory during inference: {', '.join(memory)}.",
        "Figures of different machines, and of different days on a shared one, are not comparable.",
    ]
    if missing:
        notes.append(
            f"{words.NOTHING}: nothing was timed (predictions from a file, a baseline, a model "
            f"that uses no input, or a store filled before costs were kept)."
        )
    return notes


def _day(moment: str) -> str:
    return words.moment(moment).partition(",")[0]


def three_digits(value: float) -> str:
    """Return a positive number with three significant digits, or more where it is large.

    >>> three_digits(1234.5), three_digits(12.345), three_digits(0.012345)
    ('1,234', '12.3', '0.0123')
    """
    if value <= 0:
        return "0"
    return words.number(value, max(0, 2 - math.floor(math.log10(value))))


def millions(parameters: int) -> str:
    """Return a number of parameters in millions.

    >>> millions(792_079), millions(1_210_000_000), millions(0)
    ('0.792', '1,210', '0')
    """
    return three_digits(parameters / 1e6)


def speed_plot(record: RunRecord, headlines: Sequence[Headline]) -> Plot | None:
    """Return scores against clips per second on the first headline where that says something.

    That is where enough models of different speeds were timed on one device.
    """
    costs = {model.id: model.cost for model in record.models if model.cost is not None}
    for first in headlines:
        timed = [score for score in first.scores if score.model in costs]
        devices = Counter(costs[score.model].device for score in timed)
        device = devices.most_common(1)[0][0] if devices else ""
        models = [s.model for s in timed if costs[s.model].device == device][:MOST_POINTS]
        speeds = [costs[model].clips_per_second for model in models]
        if len(models) >= FEWEST_POINTS and max(speeds) >= LEAST_SPREAD * min(speeds):
            return _speed_plot(first, costs, models, device)
    return None


def _speed_plot(
    first: Headline, costs: Mapping[str, Cost], models: Sequence[str], device: str
) -> Plot:
    scores = [score for score in first.scores if score.model in models]
    columns: dict[str, Any] = {
        "model": [score.model for score in scores],
        "clips_per_second": [costs[score.model].clips_per_second for score in scores],
        **values_of(scores),
    }
    metric = first.best.metric
    title = words.metric(metric).title
    side = f", {first.side}" if first.side else ""
    left = len(first.scores) - len(scores)
    space = "\N{NO-BREAK SPACE}"
    level = level_of(scores)
    more = f" Not shown: {words.plural(left, 'model')} without a time on it." if left else ""
    fastest = max(scores, key=lambda score: costs[score.model].clips_per_second)
    return Plot(
        title=f"{first.task.title}: {title}{side} against speed",
        caption=f"Score with its {level:g}{space}% interval against clips per second, both better "
        f"upwards and to the right, of the models that were timed on one device ({device}).{more}"
        if first.best.higher_is_better
        else f"Score with its {level:g}{space}% interval (lower is better) against clips per "
        f"second of the models that were timed on one device ({device}).{more}",
        description=f"One point per model, {len(scores)} in all. Best: {scores[0].model}; fastest: "
        f"{fastest.model}, {three_digits(costs[fastest.model].clips_per_second)} clips per second. "
        f"The tables above have all values.",
        draw=partial(score_against_speed, **columns, metric=metric),
        data=columns,
        small=True,
    )
