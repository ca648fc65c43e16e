"""The command line. Imports typer alone: what a command needs is imported when it runs.

Exit codes: 0 pass, 1 regression, 2 inconclusive, 3 invalid or uncomparable input, 64 usage,
70 internal error, 130 interrupted by Ctrl-C, 143 terminated (a training run was saved first).
"""

from __future__ import annotations

import os
import signal
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from earmark.bench.cli.cli_base import (
    INTERNAL,
    INTERRUPTED,
    INVALID,
    REGRESSION,
    USAGE,
    ExitError,
    Json,
    app,
    fail,
    if_interrupted,
    interrupted_message,
    note_interrupts,
    same_command,
)

Speed = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="F.json",
        help="Show the ratios that `pytest bench/speed --benchmark-json F.json` saved.",
    ),
]


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


def _found(suites: list[Path]) -> list[Path]:
    """Return the suites' files; a wrong one is named before anything slow is imported."""
    from earmark.bench.run.suite import find_suite, read_suite

    paths = [find_suite(suite) for suite in suites]
    for path in paths:
        read_suite(path)
    return paths


@app.command()
def run(
    suites: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Suite files (TOML), or names of suites that come with Earmark; without any: "
            "lists these."
        ),
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
        int | None, typer.Option(min=100, help="Replicates of tests, instead of the suite's.")
    ] = None,
    trust_card: Annotated[
        bool,
        typer.Option(
            "--trust-card",
            help="Read kept vectors of a model with the same card, whatever code made them.",
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print what would be listened to, and for about how long, and stop."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Evaluate what suites list; leave a record and reports."""
    if not suites:
        from earmark.bench.cli.catalogue import list_suites

        list_suites(json=json)
        return
    if_interrupted(f"what was heard is kept in {store}, records of finished suites in {out}")
    paths = _found(suites)
    from earmark.bench.cli.run import plan_suites, run_suites

    if dry_run:
        plan_suites(paths, store=store, available=available, trust_card=trust_card, json=json)
        return
    done = run_suites(
        paths,
        out=out,
        store=store,
        available=available,
        fetch=fetch,
        replicates=replicates,
        trust_card=trust_card,
        json=json,
    )
    if not done:
        raise ExitError(INVALID)


@app.command("bench")
def bench_all(
    suites: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Suite files (TOML), or names; without any: all suites that come with Earmark."
        ),
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
        int | None, typer.Option(min=100, help="Replicates of tests, instead of the suite's.")
    ] = None,
    gate: Annotated[
        bool, typer.Option("--gate/--no-gate", help="Hold suites against their baselines.")
    ] = True,
    baselines: Annotated[
        Path | None,
        typer.Option(help="Folder of <suite>/ and <suite>.toml, instead of Earmark's own."),
    ] = None,
    speed: Speed = None,
) -> None:
    """Build Etude, train tiny models on it, run every suite whose data is found, and gate.

    Exit codes are those of the worst verdict: 0 pass, 1 regression, 2 inconclusive, 3 invalid.
    """
    paths = _found(suites) if suites else None
    from earmark.bench.cli import bench as bench_command

    if_interrupted(
        f"what was built and trained is kept in the cache, what was heard in {store}, records of "
        f"finished suites in {out}"
    )
    code = bench_command.bench_all(
        paths,
        out=out,
        store=store,
        fetch=fetch,
        tracks=tracks,
        seconds=seconds,
        replicates=replicates,
        gate=gate,
        baselines=baselines,
        speed=speed or (),
    )
    if code:
        raise ExitError(code)


@app.command()
def embed(
    suites: Annotated[list[Path], typer.Argument(help="Suite files (TOML), or names.")],
    store: Annotated[
        Path, typer.Option(help="Folder of kept embeddings.", envvar="EARMARK_STORE")
    ] = Path("store"),
) -> None:
    """Fill the store for suites, alone or under torchrun, without scoring anything."""
    if_interrupted(f"what was heard is kept in {store}")
    paths = _found(suites)
    from earmark.bench.cli.embed_command import embed_suites

    embed_suites(paths, store=store)


@app.command("store")
def store_(
    store: Annotated[
        Path, typer.Option(help="Folder of kept embeddings.", envvar="EARMARK_STORE")
    ] = Path("store"),
    remove: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPACE|stale",
            help="Remove a space, or all whose code is no longer there or not known.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
    json: Json = False,
) -> None:
    """List what is kept of which model, and whether its code is still there; remove it."""
    from earmark.bench.cli.store import store_command

    store_command(store, remove=remove or (), yes=yes, json=json)


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
    replicates: Annotated[int, typer.Option(min=100, help="Replicates of tests.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Seed of tests.")] = 2022,
    json: Json = False,
) -> None:
    """Score arousal/valence predictions on MusAV's pairwise judgements."""
    from earmark.bench.cli.musav import score_files

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
    audio: Annotated[
        bool,
        typer.Option(
            "--audio",
            help="Put players into the HTML's tables of failures and pairs, each with an excerpt "
            "of the clip. To pass such a page on is on you: see to it that the licences allow it.",
        ),
    ] = False,
    audio_mib: Annotated[
        float, typer.Option(min=0.1, help="The most that --audio may add to the page, in MiB.")
    ] = 8.0,
    speed: Speed = None,
) -> None:
    """Render a record, or a leaderboard of several, as one HTML file, a PDF, Markdown."""
    if_interrupted(
        lambda: (
            f"reports that were finished are whole, no other was begun; `{same_command()}` "
            f"renders them again"
        )
    )
    from earmark.bench.cli.console import progress_bar
    from earmark.bench.cli.report import report as render

    with progress_bar() as progress:
        paths = render(
            runs,
            out=out,
            formats=[formats],
            figures=figures,
            speed=speed or (),
            audio_mib=audio_mib if audio else None,
            progress=progress,
            tell=lambda line: typer.echo(line, err=True),
        )
    for path in paths:
        typer.echo(path)


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
    if_interrupted("what arrived is kept in the cache")
    from earmark.bench.cli.fetch_command import fetch_names, list_names

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
    from earmark.bench.cli.catalogue import list_known

    list_known(what, json=json)


@app.command("check-data")
def check_data(
    name: Annotated[str, typer.Argument(help="A dataset, e.g. musav.")],
    root: Annotated[Path, typer.Argument(help="Its folder.")],
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="An option of the dataset, e.g. split=test, audio=wav."
        ),
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Decode the audio, too; otherwise its headers are read.")
    ] = False,
    json: Json = False,
) -> None:
    """Name everything wrong with a dataset's files, by file and line."""
    from earmark.bench.cli.check_data import check_dataset

    if not check_dataset(name, root, options=option or (), deep=deep, json=json):
        raise ExitError(INVALID)


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
    from earmark.bench.cli.check_command import check_model as run_checks

    if not run_checks(model, options=option or (), json=json):
        raise ExitError(REGRESSION)


@app.command()
def doctor(
    out: Annotated[Path, typer.Option(readable=False, help="Folder of records.")] = Path("runs"),
    store: Annotated[
        Path,
        typer.Option(readable=False, help="Folder of kept embeddings.", envvar="EARMARK_STORE"),
    ] = Path("store"),
    imports: Annotated[
        bool, typer.Option("--imports", help="Import each package, too: finds broken ones, slow.")
    ] = False,
    json: Json = False,
) -> None:
    """Say what is installed, found and missing, and what for; exit 3 if `bench` cannot run."""
    from earmark.bench.cli.doctor import doctor as examine

    if not examine(store=store, out=out, imports=imports, json=json):
        raise ExitError(INVALID)


# Their commands come last in the help.
from earmark.bench.cli import cli_gate, cli_making  # noqa: E402, F401


def main() -> NoReturn:
    """Run the command line; a user's mistake never shows a traceback unless ``--debug``."""
    if "--debug" in sys.argv:  # anywhere: messages ask for it when the command is typed already
        sys.argv.remove("--debug")
        os.environ["EARMARK_DEBUG"] = "1"
    came = note_interrupts()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # so that a file name of any bytes can be printed
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
        done: int | str | None = 0
    except SystemExit as ended:
        done = USAGE if ended.code == 2 else ended.code
    except ExitError as ended:
        done = ended.code
    except KeyboardInterrupt:
        done = INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe went away (`| head`): nobody is left to be told.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        done = 0
    except Exception as error:
        if os.environ.get("EARMARK_DEBUG"):
            raise
        if not came:
            # DataError, ModelError, SuiteError and RecordError are ValueErrors with a fix in them.
            if isinstance(error, ValueError) and type(error).__module__.startswith("earmark."):
                fail(str(error), INVALID)
            fail(f"internal error: {type(error).__name__}: {error} (--debug shows where)", INTERNAL)
        done = INTERRUPTED
    if came or done == INTERRUPTED:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        fail(interrupted_message(), INTERRUPTED)
    sys.exit(done)
