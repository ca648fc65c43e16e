"""Folders of exported weights: what stands beside them, card and log.

Layout
------
``earmark export`` writes::

    model.safetensors       weights; MusCALL's with their config in the file's metadata
    tokenizer/              MusCALL: vocab.json, merges.txt, tokenizer_config.json
    config.json             DCASE: sizes and front end
    vocabulary.json         DCASE: the words of the vectors' rows
    card.json               name, licence, training datasets, and how the weights came to be
    training.json           the training's ``metrics.csv``, thinned (:class:`TrainingLog`)
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from earmark.models.base import UNKNOWN_TRAINING, ModelCard, ModelError, Plain

CARD, WEIGHTS, TOKENIZER = "card.json", "model.safetensors", "tokenizer"
_FORMAT = "earmark-export-1"


@dataclass(frozen=True, slots=True)
class ExportCard:
    """What an export says of its weights."""

    name: str
    licence: str | None = None
    training_datasets: tuple[str, ...] = ()
    training: Mapping[str, Plain] = field(default_factory=dict)
    """Preset-independent facts of the run: steps, the score it was chosen by, fingerprints."""

    @property
    def note(self) -> str:
        """How the weights came to be, as one sentence for a model's card."""
        facts = ", ".join(f"{name} {value}" for name, value in self.training.items())
        return f"Trained by earmark: {facts}."


def write_card(card: ExportCard, folder: Path) -> None:
    """Write a folder's card, which :func:`read_card` reads."""
    content = {"format": _FORMAT, **asdict(card)}
    (folder / CARD).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_card(folder: Path) -> ExportCard | None:
    """Return a folder's card, or None where it has none.

    Raises
    ------
    ModelError
        If there is a file of that name which is no such card.
    """
    path = folder / CARD
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format", None) != _FORMAT:
            raise ModelError(f"{path}: not a card of {_FORMAT}; export the checkpoint again")
        datasets = tuple(content.pop("training_datasets"))
        return ExportCard(**content, training_datasets=datasets)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{path}: damaged card: {error!r}; export the checkpoint again") from error


def with_origin(
    card: ModelCard,
    exported: ExportCard | None,
    *,
    licence: str | None,
    training_datasets: Sequence[str],
) -> ModelCard:
    """Return a model's card with licence, training datasets and notes of where it comes from.

    What the user states counts more than what an export says.
    """
    datasets = tuple(training_datasets) or (exported.training_datasets if exported else ())
    notes: tuple[str, ...] = () if datasets else (UNKNOWN_TRAINING,)
    if exported is not None:
        notes += (exported.note,)
    return replace(
        card,
        licence=licence or (exported.licence if exported else None) or "not stated",
        training_datasets=datasets,
        notes=(*notes, *card.notes),
    )


METRICS, LOG = "metrics.csv", "training.json"
MOST_ROWS = 500
"""Of a log beside weights; validations and both ends are kept even if they are more."""
_OF_TRAINING = frozenset(
    {"step", "epoch", "loss", "learning_rate", "temperature", "samples_per_second"}
    | {"data_wait", "mfu"}
)
"""Columns that the steps of training fill; whatever else there is comes from a validation."""
_LOG_FORMAT = "earmark-training-log-1"
_DIGITS = 7
"""Significant digits that are kept: those of single precision, in which models are trained."""

Row = tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class TrainingLog:
    """What was logged, one row a step; None where nothing was, or no finite number."""

    columns: tuple[str, ...]
    """``step`` first."""
    rows: tuple[Row, ...]
    best_by: str | None = None
    """The column by which the best step was chosen; the lowest is the best of a loss."""
    exported_step: int | None = None
    """The step whose weights these are."""
    note: str = ""


def read_metrics(path: Path) -> TrainingLog | None:
    """Return the log that a run wrote, or None where there is none or it counts no steps.

    Raises
    ------
    ModelError
        If a line is damaged; the message names it.
    """
    if not path.is_file():
        return None
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.reader(file)
        columns = tuple(next(lines, ()))
        # Frozen towers trained by an older version have a loss an epoch and no steps.
        if columns[:1] != ("step",):
            return None
        rows = [_row(cells, columns, f"{path}:{lines.line_num}") for cells in lines]
    return TrainingLog(columns, tuple(rows)) if rows else None


def _row(cells: Sequence[str], columns: Sequence[str], place: str) -> Row:
    try:
        values = [float(cell) if cell else None for cell in cells]
    except ValueError as error:
        raise ModelError(f"{place}: {error}; fix the line, or remove the file") from error
    if len(values) != len(columns) or values[0] is None:
        raise ModelError(
            f"{place}: {len(values)} values, the first {values[:1]}; expected a step and "
            f"{len(columns) - 1} more: fix the line, or remove the file"
        )
    return tuple(_kept(value) for value in values)


def _kept(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{_DIGITS}g}")


def thinned(log: TrainingLog, *, most: int = MOST_ROWS) -> TrainingLog:
    """Return the log with about ``most`` rows, and a note of it where rows were left out.

    Every validation, the first and the last row and that of the exported step stay, however many
    they are; of the rest, every so many rows one.
    """
    if len(log.rows) <= most:
        return log
    scored = [i for i, name in enumerate(log.columns) if name not in _OF_TRAINING]
    held = {0, len(log.rows) - 1}
    for place, row in enumerate(log.rows):
        if any(row[i] is not None for i in scored) or row[0] == log.exported_step:
            held.add(place)
    free = [place for place in range(len(log.rows)) if place not in held]
    room = max(0, most - len(held))
    chosen = {free[int((n + 0.5) * len(free) / room)] for n in range(min(room, len(free)))}
    rows = tuple(log.rows[place] for place in sorted(held | chosen))
    said = f"{len(rows):,} of {len(log.rows):,} logged rows: every validation, "
    said += f"and one in {len(free) / len(chosen):.0f} of the others." if chosen else "no others."
    return replace(log, rows=rows, note=f"{log.note} {said}".strip())


def write_log(log: TrainingLog, folder: Path) -> None:
    """Write a log beside weights, which :func:`read_log` reads."""
    content = json.dumps({"format": _LOG_FORMAT, **asdict(log)}, separators=(",", ":"))
    # A row a line, so that people can read it.
    (folder / LOG).write_text(content.replace("],[", "],\n[") + "\n", encoding="utf-8")


def read_log(folder: Path) -> TrainingLog | None:
    """Return the log beside a folder's weights, or None where it has none.

    Raises
    ------
    ModelError
        If there is a file of that name which is no such log.
    """
    path = folder / LOG
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = content.pop("format", None)
        if found != _LOG_FORMAT:
            raise ValueError(f"its format is {found!r}, expected {_LOG_FORMAT!r}")
        columns = tuple(str(name) for name in content.pop("columns"))
        rows = tuple(_checked_row(row, columns) for row in content.pop("rows"))
        if columns[:1] != ("step",):
            raise ValueError(f"its first column is {columns[:1]}, expected 'step'")
        return TrainingLog(columns, rows, **content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{path}: damaged log of the training: {error}; export the checkpoint again, or remove "
            f"the file"
        ) from error


def _checked_row(row: Sequence[Any], columns: Sequence[str]) -> Row:
    if len(row) != len(columns):
        raise ValueError(f"a row of {len(row)} values, expected {len(columns)}")
    return tuple(None if value is None else float(value) for value in row)
