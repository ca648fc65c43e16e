"""``earmark musav``: score predictions on MusAV and print what came out."""

from __future__ import annotations

import string
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from earmark.bench.cli.console import new_console, new_table, print_table
from earmark.bench.tasks.av_predictions import Predictions, read_predictions
from earmark.bench.tasks.musav.tables import RELIABILITY
from earmark.bench.tasks.musav.task import evaluate
from earmark.bench.tasks.musav.view import AGAINST_ANNOTATOR
from earmark.datasets.base import DataError
from earmark.datasets.files.places import resolve
from earmark.datasets.judgements.musav import DIMENSIONS, load
from earmark.reports import words as formats
from earmark.reports.record.lookup import HALF_CREDIT, OFFICIAL, best_first

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from earmark.reports.record.schema import Plain, Score, Table, TaskResult


def score_files(
    files: list[Path],
    *,
    data: str,
    allow_missing: bool,
    scale: tuple[float, float] | None,
    replicates: int,
    seed: int,
    json: bool,
) -> None:
    """Read the files, score all models in them together, print tables or JSON.

    Raises
    ------
    DataError
        If a file or MusAV is not as expected, or predictions and judged songs do not match.
    """
    predictions = _read_all(files)
    dataset = load(resolve(data))
    output = evaluate(
        dataset,
        {one.model: one.values for one in predictions},
        baselines=("loudness",),
        allow_missing=allow_missing,
        scale=scale,
        replicates=replicates,
        seed=seed,
    )
    if json:
        typer.echo(output.result.model_dump_json(indent=2))
    else:
        _print(output.result, predictions)


def _read_all(files: list[Path]) -> list[Predictions]:
    found: dict[str, Predictions] = {}
    for path in files:
        for one in read_predictions(path):
            if one.model in found:
                raise DataError(
                    f"model {one.model!r} is in {found[one.model].path} and in {path}; give one of "
                    f"them another name in the column model"
                )
            found[one.model] = one
    return list(found.values())


def _print(result: TaskResult, predictions: list[Predictions]) -> None:
    console = new_console()
    for one in predictions:
        console.print(f"{one.model}: {len(one.values):,} songs, {one.path.name}", markup=False)
    for warning in result.warnings:
        console.print(f"warning: {warning}", style="bold yellow", markup=False)
    for dimension in DIMENSIONS:
        print_table(console, _accuracy_table(result, dimension))
    for title in (RELIABILITY, AGAINST_ANNOTATOR):
        (table,) = (one for one in result.tables if one.title == title)
        print_table(console, _plain_table(table))
    console.print(_note(result), markup=False)


def _accuracy_table(result: TaskResult, dimension: str) -> RichTable:
    """Return one row a model, under the name of each ground-truth set."""
    from rich.markup import escape

    lines = [one for one in result.references if one.dimension == dimension]
    beside = {one.name: f"{one.name} {_percent(one.value)}" for one in lines}
    by_place = {
        (one.metric, one.subset, one.model): one
        for one in result.scores
        if one.dimension == dimension
    }
    table = new_table(escape(f"{dimension.capitalize()}: {', '.join(beside.values())}"))
    table.add_column("")
    for name in ("accuracy", "95 % interval", "", "n", "ties", "official", "n"):
        table.add_column(name, justify="right" if name else "left")
    for subset in dict.fromkeys(subset for _, subset, _ in by_place):
        letters = _letters(result, dimension, subset)
        table.add_row(escape(subset), style="bold")
        for score in best_first(s for s in by_place.values() if s.subset == subset):
            if score.metric == HALF_CREDIT:
                official = by_place[OFFICIAL, subset, score.model]
                cells = _cells(score, official, letters.get(score.model, ""))
                table.add_row(*map(escape, cells))
    return table


def _cells(score: Score, official: Score, letters: str) -> list[str]:
    interval = score.interval
    between = f"{100 * interval.low:.1f} to {100 * interval.high:.1f}" if interval else ""
    ties = (score.ties or 0) / score.n_items if score.n_items else 0.0
    return [
        f" {score.model}",
        "undefined" if score.value is None else _percent(score.value),
        between or score.reason or "",
        letters,
        f"{score.n}",
        formats.percent(ties),
        "undefined" if official.value is None else _percent(official.value),
        f"{official.n}",
    ]


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _letters(result: TaskResult, dimension: str, subset: str) -> dict[str, str]:
    """Return the letters of each model's groups: models that share one cannot be told apart."""
    letters: dict[str, str] = {}
    groups = [g for g in result.groups if g.dimension == dimension and g.subset == subset]
    for number, group in enumerate(groups):
        letter = string.ascii_lowercase[number] if number < 26 else f"({number + 1})"
        for model in group.models:
            letters[model] = letters.get(model, "") + letter
    return letters


def _plain_table(table: Table) -> RichTable:
    from rich.markup import escape

    printed = new_table(escape(table.title))
    for position, column in enumerate(table.columns):
        numeric = any(isinstance(row[position], int | float) for row in table.rows)
        printed.add_column(escape(column), justify="right" if numeric else "left")
    for row in table.rows:
        printed.add_row(*(escape(_text(value)) for value in row))
    printed.caption = escape(table.note) if table.note else None
    return printed


def _text(value: Plain) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}" if value == 0 or abs(value) >= 0.001 else "<0.001"
    return str(value)


def _note(result: TaskResult) -> str:
    protocol = result.protocol
    return (
        f"Intervals: {protocol['replicates']:,} bootstrap replicates of triplets, seed "
        f"{protocol['seed']}. Pairs that the annotators call equal are left out. Accuracy counts "
        f"a pair that a model ties as half right, and models are ranked and tested by it; the "
        f"official one drops such pairs and rests on the n beside it. Models with a letter in "
        f"common are not significantly different (paired randomisation test, Holm's correction, "
        f"5 %). More tables: --json."
    )
