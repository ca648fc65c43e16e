"""The part on how models were trained, from the logs that came with their weights."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

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
    even_parts,
    named_models,
    part_of,
    text,
)
from earmark.reports.figures import lines as figures_training
from earmark.reports.figures.lines import OF_TRAINING, due, is_share, title
from earmark.reports.record.schema import RunRecord, TrainingLog

LINES = 8
"""Models of one figure: as many as there are colours."""
MOST_DRAWN = 16
"""Models in figures; the table has all."""
MOST_NAMED = 12
"""Models without a log that are named."""

Logs = dict[str, TrainingLog]


def sections(record: RunRecord) -> list[Section]:
    """Return the part on training, or nothing where no model brings a log."""
    logs = {model.id: model.training for model in record.models if model.training is not None}
    if not logs:
        return []
    blocks: list[Block] = [
        Paragraph(
            text(
                "As logged while training. Losses of different objectives, and speeds of different "
                "machines, are not to be compared."
            ),
            "muted",
        )
    ]
    if without := [model.id for model in record.models if model.training is None]:
        more = len(without) - MOST_NAMED
        named = named_models(without[:MOST_NAMED])
        after = f" and {words.plural(more, 'other')}" if more > 0 else ""
        said = text("No log of a training came with ", *named, f"{after}.")
        blocks.append(Paragraph(said, "muted"))
    blocks += [*_figures(logs), _table(logs)]
    return [Section("Training", "training", blocks)]


def _figures(logs: Logs) -> list[Block]:
    drawable = [model for model, log in logs.items() if _quantities([log])]
    drawn = drawable[:MOST_DRAWN]
    if not drawn:
        return []
    parts = even_parts(drawn, at_most=LINES)
    plots: list[Block] = [
        Plots(
            [
                _plot({model: logs[model] for model in part}, part_of(number, parts))
                for number, part in enumerate(parts, start=1)
            ]
        )
    ]
    if left := len(drawable) - len(drawn):
        said = f"The figures show the first {len(drawn)} models; {left} more are in the table."
        plots.insert(0, Paragraph(text(said), "muted"))
    return plots


def _quantities(logs: Sequence[TrainingLog]) -> list[str]:
    """Return what is drawn: of scores those that a best step was chosen by, else all."""
    there = dict.fromkeys(
        name
        for log in logs
        for place, name in enumerate(log.columns)
        if any(row[place] is not None for row in log.rows)
    )
    known = [name for name in (*OF_TRAINING, "valid_loss") if name in there]
    quiet = {"step", "epoch", "data_wait", "mfu", *known}
    scores = [name for name in there if name not in quiet]
    chosen = [name for name in scores if name in {log.best_by for log in logs}]
    return [*known, *(chosen or scores)]


def _plot(logs: Logs, of: str) -> Plot:
    quantities = _quantities(list(logs.values()))
    models: list[str] = []
    steps: list[float] = []
    columns: dict[str, list[float | None]] = {name: [] for name in quantities}
    for model, log in logs.items():
        places = [log.columns.index(name) if name in log.columns else None for name in quantities]
        for row in log.rows:
            values = [None if place is None else row[place] for place in places]
            if all(value is None for value in values):
                continue
            models.append(model)
            steps.append(row[0] or 0.0)
            for name, value in zip(quantities, values, strict=True):
                columns[name].append(value)
    exported = {
        model: (log.best_by, float(log.exported_step))
        for model, log in logs.items()
        if log.best_by is not None and log.exported_step is not None
    }
    ring = " Ring: the step whose weights are measured here." if exported else ""
    panels = words.listed([title(name) for name in figures_training.in_order(columns)])
    data: dict[str, Sequence[Any]] = {
        "model": models,
        "step": [int(step) for step in steps],
        **columns,
    }
    return Plot(
        title=f"Training{of}",
        caption="One line per model over steps; where a line breaks, nothing finite was logged."
        f"{ring}",
        description=f"Small panels of {words.plural(len(logs), 'model')}: {panels}. The table "
        f"below has the best and the last values.",
        draw=partial(
            figures_training.training,
            model=models,
            step=steps,
            quantities=columns,
            exported=exported,
        ),
        data=data,
    )


def _table(logs: Logs) -> TableBlock:
    chosen_by = {log.best_by for log in logs.values()} - {None}
    same = title(chosen_by.pop() or "") if len(chosen_by) == 1 else None
    notes: dict[str, list[str]] = {}
    rows = []
    for model, log in logs.items():
        for note in (log.note, _gaps(log)):
            if note:
                notes.setdefault(note, []).append(model)
        step = _last(log, "step")
        best_at, best = _best(log)
        rows.append(
            [
                Cell(model),
                _number(step, 0),
                _number(_last(log, "epoch"), 0),
                _best_cell(log, best, named=same is None),
                _number(best_at, 0),
                _number(log.exported_step, 0),
                _number(_last(log, "loss"), 3),
                _number(_last(log, "valid_loss"), 3),
                _number(_last(log, "temperature"), 4),
                _number(_median(log, "samples_per_second"), 1),
            ]
        )
    heads = (
        "Steps",
        "Epochs",
        f"Best {same}" if same else "Best on validation",
        "At step",
        "Weights of step",
        "Loss, last",
        "Validation loss, last",
        "Temperature, last",
        "Samples/s, median",
    )
    return TableBlock(
        caption="Training of each model",
        columns=[Column("Model"), *(Column(head, numeric=True) for head in heads)],
        rows=rows,
        notes=[f"{words.listed(models)}: {note}" for note, models in notes.items()],
    )


def _values(log: TrainingLog, name: str) -> list[tuple[float, float]]:
    """Return the steps and values of a column where it has some."""
    if name not in log.columns:
        return []
    place = log.columns.index(name)
    return [(row[0] or 0.0, value) for row in log.rows if (value := row[place]) is not None]


def _last(log: TrainingLog, name: str) -> float | None:
    values = _values(log, name)
    return values[-1][1] if values else None


def _median(log: TrainingLog, name: str) -> float | None:
    values = [value for _, value in _values(log, name)]
    return float(np.median(values)) if values else None


def _best(log: TrainingLog) -> tuple[float | None, float | None]:
    """Return the first step with the best value of what the best was chosen by, and the value."""
    values = _values(log, log.best_by or "")
    if not values:
        return None, None
    lowest = (log.best_by or "").endswith("loss")
    pick = min if lowest else max
    return pick(values, key=lambda pair: pair[1])


def _best_cell(log: TrainingLog, best: float | None, *, named: bool) -> Cell:
    if best is None or log.best_by is None:
        return Cell(words.NOTHING)
    share = is_share(log.best_by)
    shown = words.number(100 * best, 1) if share else words.number(best, 3)
    return Cell(shown, sub=title(log.best_by) if named else "", sort=best)


def _number(value: float | None, digits: int) -> Cell:
    if value is None:
        return Cell(words.NOTHING)
    return Cell(words.number(value, digits), sort=value)


def _gaps(log: TrainingLog) -> str:
    """Return how many rows that were to have a loss have no finite one, in a sentence."""
    if "loss" not in log.columns:
        return ""
    kin = {
        name: np.array([np.nan if v is None else v for v in column], float)
        for name, column in zip(log.columns, zip(*log.rows, strict=True), strict=True)
        if name in OF_TRAINING
    }
    missing = int((due(kin, "loss") & np.isnan(kin["loss"])).sum())
    return f"{words.plural(missing, 'logged step')} without a finite loss." if missing else ""
