"""What listening cost, under the leaderboard: a table of all models, and scores against speed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from earmark.reports import words
from earmark.reports.content import Block, Cell, Column, Paragraph, Plot, TableBlock, text
from earmark.reports.figures import leaderboard as figures_leaderboard
from earmark.reports.findings.headlines import Board
from earmark.reports.record.schema import Cost, RunRecord

FEWEST_POINTS = 3
"""Models below which a figure of speed says no more than the table."""
MOST_POINTS = 12
LEAST_SPREAD = 2.0
"""Of the fastest to the slowest: models of about one speed say nothing of its price."""


def cost_table(
    record: RunRecord, order: Sequence[str], origin: Mapping[str, Sequence[int]] | None
) -> Block:
    """Return a row a model, in this order; ``origin`` has their runs, where there are several."""
    costs = {model.id: model.cost for model in record.models}
    known = [cost for model in order if (cost := costs.get(model)) is not None]
    if not known:
        said = "What listening cost is not known: the record holds no measurement of any model."
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
        caption="Cost of listening",
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
        f"Peak memory while listening: {', '.join(memory)}.",
        "Figures of different machines, and of different days on a shared one, are not comparable.",
    ]
    if missing:
        notes.append(
            f"{words.NOTHING}: nothing was timed (predictions from a file, a baseline, a model "
            f"that hears nothing, or a store filled before costs were kept)."
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


def speed_plot(record: RunRecord, boards: Sequence[Board]) -> Plot | None:
    """Return scores against clips a second on the first board where that says something.

    That is where enough models of unlike speed were timed on one device: others are not comparable.
    """
    costs = {model.id: model.cost for model in record.models if model.cost is not None}
    for board in boards:
        timed = [score for score in board.scores if score.model in costs]
        devices = Counter(costs[score.model].device for score in timed)
        device = devices.most_common(1)[0][0] if devices else ""
        models = [s.model for s in timed if costs[s.model].device == device][:MOST_POINTS]
        speeds = [costs[model].clips_per_second for model in models]
        if len(models) >= FEWEST_POINTS and max(speeds) >= LEAST_SPREAD * min(speeds):
            return _speed_plot(board, costs, models, device)
    return None


def _speed_plot(board: Board, costs: Mapping[str, Cost], models: Sequence[str], device: str) -> Plot:
    scores = [score for score in board.scores if score.model in models]
    nan = math.nan
    columns: dict[str, Any] = {
        "model": [score.model for score in scores],
        "clips_per_second": [costs[score.model].clips_per_second for score in scores],
        "value": [nan if score.value is None else score.value for score in scores],
        "low": [score.interval.low if score.interval else nan for score in scores],
        "high": [score.interval.high if score.interval else nan for score in scores],
    }
    metric = board.best.metric
    title = words.metric(metric).title
    side = f", {board.side}" if board.side else ""
    left = len(board.scores) - len(scores)
    space = "\N{NO-BREAK SPACE}"
    level = next((100 * s.interval.level for s in scores if s.interval), 95)
    more = f" Not shown: {words.plural(left, 'model')} without a time on it." if left else ""
    fastest = max(scores, key=lambda score: costs[score.model].clips_per_second)
    return Plot(
        title=f"{board.task.title}: {title}{side} against speed",
        caption=f"Score with its {level:g}{space}% interval against clips a second, both better "
        f"upwards and to the right, of the models that were timed on one device ({device}).{more}"
        if board.best.higher_is_better
        else f"Score with its {level:g}{space}% interval (lower is better) against clips a second "
        f"of the models that were timed on one device ({device}).{more}",
        description=f"A point a model, {len(scores)} in all. Best: {scores[0].model}; fastest: "
        f"{fastest.model}, {three_digits(costs[fastest.model].clips_per_second)} clips a second. "
        f"The tables above have all values.",
        draw=partial(figures_leaderboard.score_against_speed, **columns, metric=metric),
        data=columns,
        small=True,
    )
