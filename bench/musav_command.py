"""``earmark musav``: score predictions on MusAV and print what came out."""

from __future__ import annotations

import string
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from earmark.bench.places import resolve
from earmark.bench.predictions import Predictions, read_predictions
from earmark.bench.tasks.musav import DIMENSIONS, evaluate
from earmark.datasets.base import DataError
from earmark.datasets.musav import load

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from earmark.reports.record import Score, TaskResult


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
    from rich.console import Console

    console = Console(highlight=False)
    for one in predictions:
        console.print(f"{one.model}: {len(one.values):,} songs from {one.path}", markup=False)
    for warning in result.warnings:
        console.print(f"warning: {warning}", style="bold yellow", markup=False)
    for dimension in DIMENSIONS:
        console.print(_accuracy_table(result, dimension))
    for table in result.tables:
        console.print(_plain_table(table.title, table.columns, table.rows, table.note))
    console.print(_note(result), markup=False)


def _accuracy_table(result: TaskResult, dimension: str) -> RichTable:
    from rich import box
    from rich.table import Table

    table = Table(title=dimension.capitalize(), box=box.SIMPLE_HEAD, title_justify="left")
    for name in ("set", "model"):
        table.add_column(name, overflow="fold")
    for name in ("accuracy", "95 % interval", "correct/scored", "ties", "coverage"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("group", no_wrap=True)
    scores = [s for s in result.scores if s.dimension == dimension]
    for subset in dict.fromkeys(score.subset for score in scores):
        letters = _letters(result, dimension, subset)
        of_subset = [
            s for s in scores if s.subset == subset and s.metric == "pairwise_accuracy"
        ]
        for position, score in enumerate(of_subset):
            name = subset if position == 0 else ""
            table.add_row(name, *_cells(score), letters.get(score.model, ""))
        for reference in result.references:
            if reference.dimension == dimension and reference.subset == subset:
                table.add_row("", reference.name, _percent(reference.value), style="dim")
        table.add_section()
    return table


def _cells(score: Score) -> list[str]:
    interval = score.interval
    between = f"{100 * interval.low:.1f} to {100 * interval.high:.1f}" if interval else ""
    return [
        score.model,
        _percent(score.value) if score.value is not None else score.reason or "undefined",
        between,
        f"{score.correct or 0:.0f}/{score.n}",
        f"{score.ties or 0}",
        f"{score.n / score.n_items:.1%}" if score.n_items else "",
    ]


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _letters(result: TaskResult, dimension: str, subset: str) -> dict[str, str]:
    """Return the letters of each model's groups: models that share one cannot be told apart."""
    letters: dict[str, str] = {}
    groups = [g for g in result.groups if g.dimension == dimension and g.subset == subset]
    for number, group in enumerate(groups):
        letter = string.ascii_lowercase[number] if number < 26 else f"g{number + 1}"
        for model in group.models:
            letters[model] = letters.get(model, "") + letter
    return letters


def _plain_table(
    title: str, columns: list[str], rows: list[list[str | int | float | bool | None]], note: str
) -> RichTable:
    from rich import box
    from rich.table import Table

    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", caption=note or None)
    table.caption_justify = "left"
    for position, column in enumerate(columns):
        numeric = bool(rows) and isinstance(rows[0][position], int | float)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*("" if v is None else f"{v:.3f}" if isinstance(v, float) else str(v) for v in row))
    return table


def _note(result: TaskResult) -> str:
    protocol = result.protocol
    return (
        f"Intervals: {protocol['replicates']:,} bootstrap replicates of triplets, seed "
        f"{protocol['seed']}. Pairs that the annotators call equal are left out; pairs that a model "
        f"ties are dropped from its denominator (MusAV's convention) and counted. Models with a "
        f"letter in common cannot be told apart (paired randomisation test, Holm's correction, "
        f"5 %)."
    )
