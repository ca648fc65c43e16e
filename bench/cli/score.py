"""``earmark score`` and ``earmark musav``: outputs in files; nobody needs model or audio."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earmark.bench.cli import Json, Replicates, Runs, if_interrupted
from earmark.bench.cli.console import add_row, new_console, new_table, print_table

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from earmark.bench.tasks.av_predictions import Predictions
    from earmark.reports.record.schema import Plain, Score, Table, TaskResult


def score(
    kind: Annotated[str, typer.Argument(help="One of retrieval, tags, classes, ratings, pairs.")],
    predictions: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="A model's outputs each; called as the file is."),
    ],
    truth: Annotated[Path, typer.Option(help="The table of what is true.")],
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing", help="Score the items that every file has, and state the coverage."
        ),
    ] = False,
    n_items: Annotated[
        int | None,
        typer.Option(min=1, help="Of retrieval: items that could be found; gives chance."),
    ] = None,
    scale: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Of ratings: the lowest and the highest rating of the truth."),
    ] = None,
    model_scale: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Of ratings: the lowest and the highest value of the predictions."),
    ] = None,
    title: Annotated[str | None, typer.Option(help="Of the report.")] = None,
    out: Runs = Path("runs"),
    replicates: Replicates = None,
    json: Json = False,
) -> None:
    """Score outputs in files: intervals, paired tests and reports without model or audio.

    Truth and outputs are CSV (outputs Parquet, too) with the same ids.

    retrieval: truth `query,item` or TREC's .qrels; outputs `query,item,rank`, a TREC .run, or
    similarities as .npy or .npz.

    tags: `item` and a column per tag, of 0 and 1 in the truth and of scores in outputs.

    classes: truth `item,label`; outputs the same, or `item` and a column of scores per class.

    ratings: truth `item,arousal,valence`; outputs `songid,arousal_mean,valence_mean`.

    pairs: truth a set of judged pairs, as a folder in MusAV's layout or a table
    `triplet,a,b,annotator,dimension,higher_value`; outputs `songid` and a column per dimension.
    """
    from earmark.bench.tasks.registry import FROM_FILES
    from earmark.datasets.base import DataError
    from earmark.datasets.files.names import suggest

    if kind not in FROM_FILES:
        raise DataError(f"score knows no {kind!r}. {suggest(kind, FROM_FILES)}")
    if_interrupted(f"records that were finished are in {out}")
    known = FROM_FILES[kind]
    given = {"n_items": ("--n-items", n_items), "scale": ("--model-scale", model_scale)}
    for option, (flag, value) in given.items():
        if value is not None and option not in known.options:
            of = ", ".join(name for name, one in FROM_FILES.items() if option in one.options)
            raise DataError(f"{flag} is of {of}, and does not go with {kind}")
    from earmark.bench.cli.run import report_on
    from earmark.bench.run.suite import suite_of
    from earmark.datasets.files.names import as_file_name

    names = ", ".join(path.stem for path in predictions)
    suite, _ = suite_of(
        {"name": as_file_name(f"score-{truth.stem}"), "title": title or f"{names} on {truth.name}"},
        datasets={truth.stem: {"loader": known.truth, **_truth(kind, truth, scale)}},
        models={},
        tasks=[
            {
                "task": known.task,
                "dataset": truth.stem,
                "predictions": predictions,
                "allow_missing": allow_missing,
                **{option: value for option, (_, value) in given.items()},
            }
        ],
        of="of earmark score",
    )
    report_on([suite], out=out, replicates=replicates, json=json)


def _truth(kind: str, path: Path, scale: tuple[float, float] | None) -> dict[str, Any]:
    """Return the options of the truth's loader."""
    from earmark.datasets.base import DataError

    if kind != "ratings":
        if scale is not None:
            raise DataError(f"--scale is of ratings, and does not go with {kind}")
        return {"root" if kind == "pairs" else "path": path}
    if scale is None:
        raise DataError("score ratings needs the scale of the truth: --scale LOW HIGH")
    from earmark.datasets.files.text_files import read_table

    header, _, _ = read_table(path)
    known = ("item", "track_id", "songid")
    return {
        "root": path.parent,
        "ratings": path.name,
        "id_column": next((name for name in known if name in header), known[0]),
        "scale": list(scale),
        "require_audio": False,
        "id": path.stem,
    }


def musav(
    files: Annotated[
        list[Path], typer.Argument(help="Predictions: JSONL (MusAV's format), CSV or Parquet.")
    ],
    data: Annotated[
        str, typer.Option(help="MusAV's repository, or any judged set: a folder, or a table.")
    ] = "{data}/musav",
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing", help="Score the songs that have predictions, and show the coverage."
        ),
    ] = False,
    scale: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Lowest and highest value that the predictions should have."),
    ] = None,
    replicates: Annotated[
        int, typer.Option(min=100, help="Replicates of bootstraps and randomisation tests.")
    ] = 10_000,
    seed: Annotated[int, typer.Option(help="Seed of bootstraps and randomisation tests.")] = 2022,
    json: Json = False,
) -> None:
    """Score predictions on MusAV's pairwise judgements, or on those of any judged set."""
    from earmark.bench.tasks.pairwise.task import evaluate
    from earmark.datasets.files.data_paths import resolve
    from earmark.datasets.judgements.musav import open_set

    dataset = open_set(resolve(data))
    predictions = _read_all(files, dataset.dimensions, some=not dataset.is_musav)
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


def _read_all(files: Sequence[Path], dimensions: Sequence[str], *, some: bool) -> list[Predictions]:
    from earmark.bench.tasks.av_predictions import read_predictions
    from earmark.datasets.base import DataError

    found: dict[str, Predictions] = {}
    for path in files:
        for one in read_predictions(path, dimensions, some=some):
            if one.model in found:
                raise DataError(
                    f"model {one.model!r} is in {found[one.model].path} and in {path}; give one of "
                    f"them another name in the column model"
                )
            found[one.model] = one
    return list(found.values())


def _print(result: TaskResult, predictions: Sequence[Predictions]) -> None:
    from earmark.bench.tasks.pairwise.tables import RELIABILITY
    from earmark.bench.tasks.pairwise.view import AGAINST_ANNOTATOR

    console = new_console()
    for one in predictions:
        console.print(f"{one.model}: {len(one.values):,} songs, {one.path.name}", markup=False)
    for warning in result.warnings:
        console.print(f"warning: {warning}", style="bold yellow", markup=False)
    for gap in result.not_run:
        console.print(f"not scored: {gap.what}: {gap.reason}", markup=False)
    for dimension in dict.fromkeys(one.dimension for one in result.scores if one.dimension):
        print_table(console, _accuracy_table(result, dimension))
    for table in result.tables:
        if table.title in (RELIABILITY, AGAINST_ANNOTATOR):
            print_table(console, _plain_table(table))
    console.print(_note(result), markup=False)


def _accuracy_table(result: TaskResult, dimension: str) -> RichTable:
    """Return one row per model, under the name of each ground-truth set."""
    from earmark.reports.record.lookup import (
        HALF_CREDIT,
        OFFICIAL,
        best_first,
        compact_letter_display,
    )

    lines = [one for one in result.references if one.dimension == dimension]
    beside = {one.name: f"{one.name} {_percent(one.value)}" for one in lines}
    by_place = {
        (one.metric, one.subset, one.model): one
        for one in result.scores
        if one.dimension == dimension
    }
    table = new_table(f"{dimension.capitalize()}: {', '.join(beside.values())}", ("",))
    for name in ("accuracy", "95 % interval", "", "n", "ties", "official", "n"):
        table.add_column(name, justify="right" if name else "left")
    for subset in dict.fromkeys(subset for _, subset, _ in by_place):
        own = [g for g in result.groups if g.dimension == dimension and g.subset == subset]
        shared = compact_letter_display(own)
        add_row(table, subset, style="bold")
        for score in best_first(s for s in by_place.values() if s.subset == subset):
            if score.metric == HALF_CREDIT:
                official = by_place[OFFICIAL, subset, score.model]
                add_row(table, *_cells(score, official, shared.get(score.model, "")))
    return table


def _cells(score: Score, official: Score, shared: str) -> list[str]:
    from earmark.reports import words

    interval = score.interval
    between = f"{100 * interval.low:.1f} to {100 * interval.high:.1f}" if interval else ""
    ties = (score.ties or 0) / score.n_items if score.n_items else 0.0
    return [
        f" {score.model}",
        "undefined" if score.value is None else _percent(score.value),
        between or score.reason or "",
        shared.replace(" ", ""),
        f"{score.n}",
        words.percent(ties),
        "undefined" if official.value is None else _percent(official.value),
        f"{official.n}",
    ]


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _plain_table(table: Table) -> RichTable:
    from rich.markup import escape

    printed = new_table(table.title)
    for position, column in enumerate(table.columns):
        numeric = any(isinstance(row[position], int | float) for row in table.rows)
        printed.add_column(escape(column), justify="right" if numeric else "left")
    for row in table.rows:
        add_row(printed, *map(_text, row))
    printed.caption = escape(table.note) if table.note else None
    return printed


def _text(value: Plain) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}" if value == 0 or abs(value) >= 0.001 else "<0.001"
    return str(value)


def _note(result: TaskResult) -> str:
    from earmark.reports import words

    protocol = result.protocol
    return (
        f"Intervals: {protocol['replicates']:,} bootstrap replicates of triplets, seed "
        f"{protocol['seed']}. Pairs that the annotators call equal are left out. Accuracy counts "
        f"a pair that a model ties as half right, and models are ranked and tested by it; the "
        f"official one drops such pairs and rests on the n beside it. Models with a letter in "
        f"common are {words.NOT_DIFFERENT} (paired randomisation test, Holm's correction, "
        f"5 %). More tables: --json."
    )
