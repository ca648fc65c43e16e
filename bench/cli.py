"""The command line. Imports typer alone: what a command needs is imported when it runs.

Exit codes: 0 pass, 1 regression, 2 inconclusive, 3 invalid or uncomparable input, 64 usage,
70 internal error, 130 interrupted, 143 terminated (a training run was saved first).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

REGRESSION, INVALID, USAGE, INTERNAL = 1, 3, 64, 70
TERMINATED = 143  # 128 + SIGTERM, as shells say it

app = typer.Typer(
    name="earmark",
    help="Benchmark and evaluate models that listen to music.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

etude = typer.Typer(help="The built-in corpus of synthesised music.", no_args_is_help=True)
app.add_typer(etude, name="etude")

baseline = typer.Typer(help="What later runs are held against.", no_args_is_help=True)
app.add_typer(baseline, name="baseline")

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


class _ExitError(Exception):
    """Ends the program with a code of our own; typer's own 2 means usage."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("earmark"))
        raise typer.Exit()


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    if debug:
        os.environ["EARMARK_DEBUG"] = "1"


@app.command()
def run(
    suites: Annotated[
        list[Path] | None,
        typer.Argument(help="Suite files (TOML); without any: all suites that come with Earmark."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the run records.")] = Path("runs"),
    store: Annotated[
        Path, typer.Option(help="Folder of kept embeddings.", envvar="EARMARK_STORE")
    ] = Path("store"),
    available: Annotated[
        bool,
        typer.Option(
            "--available", help="Run what can be run, and name what cannot with its reason."
        ),
    ] = False,
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Download what a suite lists and is not found.")
    ] = False,
    replicates: Annotated[
        int | None, typer.Option(min=100, help="Bootstrap replicates, instead of the suite's.")
    ] = None,
    json: Json = False,
) -> None:
    """Evaluate what suites list; leave a record and reports."""
    from earmark.bench.run_command import run_suites

    done = run_suites(
        suites,
        out=out,
        store=store,
        available=available,
        fetch=fetch,
        replicates=replicates,
        json=json,
    )
    if not done:
        raise _ExitError(INVALID)


@app.command("bench")
def bench_all(
    suites: Annotated[
        list[Path] | None,
        typer.Argument(help="Suite files (TOML); without any: all suites that come with Earmark."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the run records.")] = Path("runs"),
    store: Annotated[
        Path, typer.Option(help="Folder of kept embeddings.", envvar="EARMARK_STORE")
    ] = Path("store"),
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Download what a suite lists and is not found.")
    ] = False,
    tracks: Annotated[int, typer.Option(min=30, help="Tracks of the Etude corpus.")] = 1500,
    seconds: Annotated[float, typer.Option(min=2, help="Length of a track in s.")] = 10.0,
    replicates: Annotated[
        int | None, typer.Option(min=100, help="Bootstrap replicates, instead of the suite's.")
    ] = None,
) -> None:
    """Build Etude, train tiny models on it, and run every suite whose data is found."""
    from earmark.bench import bench_command

    done = bench_command.bench_all(
        suites,
        out=out,
        store=store,
        fetch=fetch,
        tracks=tracks,
        seconds=seconds,
        replicates=replicates,
    )
    if not done:
        raise _ExitError(INVALID)


@app.command()
def embed(
    suites: Annotated[list[Path], typer.Argument(help="Suite files (TOML).")],
    store: Annotated[
        Path, typer.Option(help="Folder of kept embeddings.", envvar="EARMARK_STORE")
    ] = Path("store"),
) -> None:
    """Fill the store for suites, alone or under torchrun, without scoring anything."""
    from earmark.bench.embed_command import embed_suites

    embed_suites(suites, store=store)


@app.command()
def musav(
    files: Annotated[
        list[Path], typer.Argument(help="Predictions: JSONL (MusAV's format), CSV or Parquet.")
    ],
    data: Annotated[
        str, typer.Option(help="MusAV's repository, or its folder data/.")
    ] = "{data}/musav",
    allow_missing: Annotated[
        bool,
        typer.Option("--allow-missing", help="Score what is there, and show the coverage."),
    ] = False,
    scale: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Lowest and highest value that the predictions should have."),
    ] = None,
    replicates: Annotated[int, typer.Option(min=100, help="Bootstrap replicates.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 2022,
    json: Json = False,
) -> None:
    """Score arousal/valence predictions on MusAV's pairwise judgements."""
    from earmark.bench.musav_command import score_files

    score_files(
        files,
        data=data,
        allow_missing=allow_missing,
        scale=scale,
        replicates=replicates,
        seed=seed,
        json=json,
    )


@app.command()
def prepare(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="MANIFEST",
            help="dataset_<split>.json (MusCALL's), a CSV of captions, or a folder of audio.",
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the corpus.")],
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="An option of the loader, e.g. split=train, audio=wav."
        ),
    ] = None,
    sample_rate: Annotated[
        int,
        typer.Option(min=1, help="In Hz: 16000 for MusCALL, 44100 for DCASE's own front end."),
    ] = 16_000,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads that decode; one for each core.")
    ] = None,
    max_refused_share: Annotated[
        float,
        typer.Option("--max-refused", min=0, max=1, help="Share of clips that may be unusable."),
    ] = 0.01,
    json: Json = False,
) -> None:
    """Decode a corpus once for training; interrupted, the same command goes on."""
    from earmark.bench.prepare_command import prepare_corpus

    prepare_corpus(
        source,
        out,
        options=option or (),
        sample_rate=sample_rate,
        workers=workers,
        max_refused_share=max_refused_share,
        json=json,
    )


@etude.command("build")
def etude_build(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the corpus.")],
    tracks: Annotated[int, typer.Option(metavar="N", help="How many, at least 30.")] = 1500,
    seconds: Annotated[float, typer.Option(metavar="S", help="Length of each.")] = 10.0,
    seed: Annotated[int, typer.Option(metavar="K", help="Another seed is another corpus.")] = 0,
    layouts: Annotated[
        str, typer.Option(help="Some of captions,gtzan,mtat,musav,emomusic, or all.")
    ] = "all",
    workers: Annotated[
        int | None, typer.Option(help="Processes; one for each core by default.")
    ] = None,
    json: Json = False,
) -> None:
    """Make the corpus of synthesised music; interrupted, the same command goes on."""
    from earmark.bench.etude_command import build_corpus

    build_corpus(
        out,
        tracks=tracks,
        seconds=seconds,
        seed=seed,
        layouts=layouts,
        workers=workers,
        json=json,
    )


@etude.command("draw")
def etude_draw(
    picture: Annotated[Path, typer.Argument(help="Where to write it, e.g. etude.jpg.")],
    seconds: Annotated[float, typer.Option(metavar="S", help="Length of each track.")] = 10.0,
    seed: Annotated[int, typer.Option(metavar="K", help="Of the corpus.")] = 0,
) -> None:
    """Draw the spectrogram of one track of each genre."""
    from earmark.bench.etude_command import draw_corpus

    draw_corpus(picture, seconds=seconds, seed=seed)


@app.command()
def report(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run records: runs/<id>; several: a leaderboard."),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the report; of one record, its own.")
    ] = None,
    formats: Annotated[str, typer.Option("--format", help="Some of html,pdf,md.")] = "html,pdf",
    figures: Annotated[
        bool,
        typer.Option("--figures", help="Export each figure: SVG, PDF, PNG, and its data as CSV."),
    ] = False,
) -> None:
    """Render a record, or a leaderboard of several, as one HTML file, a PDF, Markdown."""
    from earmark.bench.report_command import report as render

    for path in render(runs, out=out, formats=[formats], figures=figures):
        typer.echo(path)


@app.command()
def gate(
    run: Annotated[Path, typer.Argument(help="A run record: runs/<id>.")],
    against: Annotated[
        Path,
        typer.Option("--baseline", help="Another record, or bench/baselines/<suite>."),
    ],
    policy: Annotated[Path, typer.Option(help="What is gated, and by how much (TOML).")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for verdict.json, junit.xml, summary.md and comment.md."),
    ] = None,
    report: Annotated[
        bool, typer.Option("--report", help="Render HTML and PDF with the verdict into OUT.")
    ] = False,
    json: Json = False,
) -> None:
    """May this run take its baseline's place? Exit 0 yes, 1 no, 2 undecided, 3 uncomparable."""
    from earmark.bench.gate_command import gate_run

    code = gate_run(run, baseline=against, policy=policy, out=out, report=report, json=json)
    if code:
        raise _ExitError(code)


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A run record, or a baseline.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another.")],
    task: Annotated[str | None, typer.Option(help="This task alone.")] = None,
    metric: Annotated[str | None, typer.Option(help="Instead of each task's headline.")] = None,
    json: Json = False,
) -> None:
    """Show which items flipped from A to B, with paired tests and effect sizes."""
    from earmark.bench.compare_command import compare_records

    if not compare_records(first, second, task=task, metric=metric, json=json):
        raise _ExitError(INVALID)


@baseline.command("update")
def baseline_update(
    run: Annotated[Path, typer.Argument(help="A run record: runs/<id>.")],
    reason: Annotated[str, typer.Option(help="Why, for whoever finds the baseline changed.")],
    out: Annotated[Path, typer.Option(help="Folder of the baselines.")] = Path("bench/baselines"),
    json: Json = False,
) -> None:
    """Write a run to OUT/<suite>: scores and per-item outcomes, no texts, labels or ratings."""
    from earmark.bench.baseline_command import update_baseline

    update_baseline(run, reason=reason, out=out, json=json)


@app.command()
def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(help="What to download; without any: what there is.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder to keep it in (EARMARK_CACHE).")
    ] = None,
) -> None:
    """Download released weights and annotations, each file held against its digest."""
    from earmark.bench.fetch_command import fetch_names, list_names

    if names:
        fetch_names(names, cache=cache)
    else:
        list_names(cache=cache)


@app.command("list")
def list_(
    what: Annotated[str, typer.Argument(help="models, datasets or suites.")],
    json: Json = False,
) -> None:
    """List the models, datasets and suites that are known."""
    from earmark.bench.list_command import list_known

    list_known(what, json=json)


@app.command("check-data")
def check_data(
    name: Annotated[str, typer.Argument(help="A dataset, e.g. musav.")],
    root: Annotated[Path, typer.Argument(help="Its folder.")],
    json: Json = False,
) -> None:
    """Name everything wrong with a dataset's files, by file and line."""
    from earmark.bench.list_command import check_dataset

    if not check_dataset(name, root, json=json):
        raise _ExitError(INVALID)


@app.command("check-model")
def check_model(
    model: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="A name, or your own: module:attribute, path/to/file.py:attribute."
        ),
    ],
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="An option of the model; its value as in TOML."),
    ] = None,
    json: Json = False,
) -> None:
    """Hold a model against what the benchmark relies on; exit 1 if it fails a check."""
    from earmark.bench.check_command import check_model as run_checks

    if not run_checks(model, options=option or (), json=json):
        raise _ExitError(REGRESSION)


@app.command()
def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A run's TOML file.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of checkpoints and metrics; trained/<config>.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the folder's last checkpoint.")
    ] = False,
    json: Json = False,
) -> None:
    """Train a model on a prepared corpus; SIGTERM saves and exits with 143."""
    from earmark.bench.train_command import train_model
    from earmark.models.training.termination import Stopped

    try:
        train_model(config, out=out, resume=resume, json=json)
    except Stopped as stopped:
        _fail(str(stopped), TERMINATED)


@app.command()
def export(
    checkpoint: Annotated[
        Path,
        typer.Argument(metavar="CKPT", help="A checkpoint, or a run's folder: its best one."),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder.")],
    name: Annotated[str | None, typer.Option(help="Of the model; the folder's.")] = None,
    licence: Annotated[str | None, typer.Option(help="Of the weights, for the card.")] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="It learned from, for the card; data.datasets."),
    ] = None,
) -> None:
    """Write a checkpoint's weights and card for the adapters muscall and dcase."""
    from earmark.bench.train_command import export_checkpoint

    export_checkpoint(checkpoint, out, name=name, licence=licence, training_datasets=dataset)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"earmark: {message}", err=True)
    sys.exit(code)


def main() -> NoReturn:
    """Run the command line; a user's mistake never shows a traceback unless ``--debug``."""
    try:
        app()
        sys.exit(0)
    except SystemExit as done:
        sys.exit(USAGE if done.code == 2 else done.code)
    except _ExitError as done:
        sys.exit(done.code)
    except KeyboardInterrupt:
        _fail("interrupted; what was stored is kept, the same command goes on from there", 130)
    except BrokenPipeError:
        # The reader of a pipe went away (`| head`): nobody is left to be told.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except ValueError as error:
        # DataError, ModelError, SuiteError and RecordError are ValueErrors with a mend in them.
        if os.environ.get("EARMARK_DEBUG"):
            raise
        if type(error).__module__.startswith("earmark."):
            _fail(str(error), INVALID)
        _fail(f"internal error: {type(error).__name__}: {error} (--debug shows where)", INTERNAL)
    except Exception as error:
        if os.environ.get("EARMARK_DEBUG"):
            raise
        _fail(f"internal error: {type(error).__name__}: {error} (--debug shows where)", INTERNAL)


if __name__ == "__main__":
    main()
