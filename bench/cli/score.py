"""``earmark score``: score outputs in files; nobody needs the model or the audio."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from earmark.bench.cli import Json, Replicates, Runs, if_interrupted
from earmark.bench.tasks.registry import FROM_FILES
from earmark.datasets.base import DataError
from earmark.datasets.files.names import suggest
from earmark.datasets.files.text_files import read_table


def score(
    kind: Annotated[str, typer.Argument(help=f"One of {', '.join(FROM_FILES)}.")],
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

    Truth is a CSV: `query,item` (or TREC's .qrels), `item` and a column of 0 and 1 per tag,
    `item,label`, or `item,arousal,valence`. Outputs are CSV or Parquet with the same ids: ranked
    lists as `query,item,rank` (or a TREC .run, or a matrix of similarities as .npy or .npz), `item`
    and a column of scores per tag or class, `item,label`, or `songid,arousal_mean,valence_mean`.
    """
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

    names = ", ".join(path.stem for path in predictions)
    suite, _ = suite_of(
        {"name": _file_name(f"score-{truth.stem}"), "title": title or f"{names} on {truth.name}"},
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
    if kind != "ratings":
        if scale is not None:
            raise DataError(f"--scale is of ratings, and does not go with {kind}")
        return {"path": path}
    if scale is None:
        raise DataError("score ratings needs the scale of the truth: --scale LOW HIGH")
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


def _file_name(words: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in words)
