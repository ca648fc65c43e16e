"""``earmark judge``: from a folder of audio to pairwise judgements by listeners."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.bench.cli import ExitError, Fetch, Json, Replicates, Store, if_interrupted
from earmark.bench.cli.console import add_row, new_console, new_table, print_table, progress_bar

if TYPE_CHECKING:
    from rich.console import Console

    from earmark.bench.judge.make import Made
    from earmark.reports.content import Page
    from earmark.reports.record.files import Run

judge = typer.Typer(
    help="Plan a listening study of your own songs, serve its page, report on its judgements.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_MOST_PRINTED = 10

Study = Annotated[Path, typer.Argument(metavar="STUDY", help="Folder of the study.")]


@judge.command()
def plan(
    folder: Annotated[Path, typer.Argument(help="Folder of audio files, at any depth.")],
    out: Annotated[Path, typer.Argument(metavar="STUDY", help="Folder to write the study to.")],
    genres: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.csv|folders",
            help="Genres of the songs: a CSV with the columns file and genre; `folders`: the "
            "folder that holds a song.",
        ),
    ] = None,
    triplets: Annotated[
        int | None,
        typer.Option(min=1, help="Number of triplets; without: as many as there are songs for."),
    ] = None,
    global_share: Annotated[
        float,
        typer.Option(
            "--global", min=0, max=1, help="Share of triplets whose songs need not share a genre."
        ),
    ] = 0.8,
    annotators: Annotated[
        int, typer.Option(min=1, help="How many different listeners judge each pair.")
    ] = 3,
    people: Annotated[
        int | None, typer.Option(min=1, help="Number of listeners; without: as --annotators.")
    ] = None,
    dimensions: Annotated[
        str,
        typer.Option(
            metavar="A,B,...|FILE.toml",
            help="What songs are compared by: arousal, valence, preference, similarity, or your "
            "own in a TOML file.",
        ),
    ] = "arousal,valence",
    excerpt: Annotated[float, typer.Option(min=3, help="Length of an excerpt, in s.")] = 20.0,
    crop: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Where excerpts begin: columns file and start, in s; else the middle is taken.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn.")] = 0,
    title: Annotated[
        str | None, typer.Option(help="Title of the set; without: the folder's name.")
    ] = None,
    licence: Annotated[str, typer.Option(help="Licence of the judgements.")] = "not stated",
    citation: Annotated[
        Path | None, typer.Option(metavar="FILE.bib", help="BibTeX of the set.")
    ] = None,
    power: Annotated[
        bool,
        typer.Option(
            "--power",
            help="Write nothing; say how many triplets show which difference, and what they cost.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Write a study of the songs of a folder: triplets, excerpts, who judges what.

    Recordings that cannot be read, are silent, too short, or the same as another are left out by
    name. Nothing of the folder itself is changed.

    With --power listeners are simulated who agree as MusAV's did: how many triplets show that two
    models, or a model and one listener, are so many points of accuracy apart, in 80 % of studies.
    """
    if power:
        _print_power(folder, triplets, dimensions, annotators, excerpt, seed, json=json)
        return
    from earmark.bench.judge.make import make
    from earmark.datasets.files.text_files import read_text

    console = new_console(stderr=json)
    with progress_bar() as progress:
        made = make(
            folder,
            out,
            genres=genres,
            n_triplets=triplets,
            global_share=global_share,
            annotators=annotators,
            people=people,
            dimensions=dimensions,
            seconds=excerpt,
            starts=crop,
            seed=seed,
            title=title,
            licence=licence,
            citation="" if citation is None else read_text(citation),
            progress=progress,
        )
    _print_plan(made, out, console)
    if json:
        typer.echo(json_module.dumps(_plain(made, out), indent=2))


def _print_power(
    folder: Path,
    triplets: int | None,
    dimensions: str,
    annotators: int,
    seconds: float,
    seed: int,
    *,
    json: bool,
) -> None:
    from dataclasses import asdict

    from earmark.bench.judge import power
    from earmark.bench.judge.plan import dimensions_of
    from earmark.datasets.base import DataError, audio_files

    names = [one.name for one in dimensions_of(dimensions)]
    n_songs = len(audio_files(folder))
    if not n_songs and triplets is None:
        raise DataError(
            f"{folder} holds no audio file: give the folder of the songs, or --triplets"
        )
    n_triplets = n_songs // 3 if triplets is None else triplets
    found = power.estimate(
        names,
        annotators=annotators,
        seconds=seconds,
        n_triplets=n_triplets or None,
        seed=seed,
    )
    if json:
        typer.echo(json_module.dumps({"recordings": n_songs, **asdict(found)}, indent=2))
        return
    console = new_console()
    table = new_table(
        f"Found in {power.POWER:.0%} of studies, {annotators} judgements per pair",
        ("dimension", "between"),
        ("points", "triplets", "songs", "hours"),
    )
    for need in found.needs:
        n, costs = need.triplets, need.hours
        last = (
            ("-",) * 3 if n is None or costs is None else (f"{n:,}", f"{3 * n:,}", f"{costs:,.0f}")
        )
        add_row(table, need.dimension, need.between, f"{need.points:g}", *last)
    print_table(console, table)
    lines = [
        f"{one.triplets:,} triplets, {one.dimension}, {one.between}: "
        + ("no difference" if one.points is None else f"from {one.points:.1f} points on")
        for one in found.reaches
    ]
    lines += [
        f"simulated {one.dimension}: full agreement on {one.full:.0%} of the pairs, that of a "
        f"majority on {one.majority:.0%}"
        for one in found.agreement
    ]
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
    for note in found.notes:
        console.print(note, style="yellow", markup=False, soft_wrap=True)
    console.print(
        f"hours: of all listeners together, for {len(names)} "
        f"dimension{'s' if len(names) > 1 else ''}; {n_songs:,} recordings in {folder}",
        markup=False,
        soft_wrap=True,
    )


def _plain(made: Made, out: Path) -> dict[str, object]:
    kinds = [triplet.type for triplet in made.plan.triplets]
    return {
        "study": str(out),
        "digest": made.plan.digest,
        "songs": len(made.plan.songs),
        "triplets": len(kinds),
        "genre_triplets": sum(kind.startswith("genre") for kind in kinds),
        "listeners": len(made.plan.listeners),
        "annotators": made.plan.annotators,
        "dimensions": [one.name for one in made.plan.dimensions],
        "target_lufs": made.plan.target_lufs,
        "hours": round(made.hours, 2),
        "left_out": [{"path": one.source, "reason": one.reason} for one in made.left_out],
        "notes": list(made.notes),
    }


def _print_plan(made: Made, out: Path, console: Console) -> None:
    found, each = made.plan, made.hours / len(made.plan.listeners)
    n_genre = sum(triplet.type.startswith("genre") for triplet in found.triplets)
    table = new_table(found.title, ("what",), ("number",))
    add_row(table, "songs in triplets", f"{len(found.songs):,}")
    add_row(table, "recordings left out", f"{len(made.left_out):,}")
    add_row(table, "triplets", f"{len(found.triplets):,}")
    add_row(table, "of these within a genre", f"{n_genre:,}")
    add_row(table, "judgements per dimension", f"{3 * len(found.triplets) * found.annotators:,}")
    add_row(table, "listeners", f"{len(found.listeners):,}")
    add_row(table, "hours of listening per listener", f"{each:.1f}")
    add_row(table, "playback level, LUFS", f"{found.target_lufs:g}")
    print_table(console, table)
    for one in made.left_out[:_MOST_PRINTED]:
        console.print(
            f"left out: {one.source}: {one.reason}", style="yellow", markup=False, soft_wrap=True
        )
    if (more := len(made.left_out) - _MOST_PRINTED) > 0:
        console.print(f"and {more} more, in {out / 'left_out.csv'}", style="yellow", markup=False)
    for note in made.notes:
        console.print(note, style="yellow", markup=False, soft_wrap=True)
    console.print(f"loudness by {found.loudness_by}", markup=False, soft_wrap=True)
    console.print(f"\nnext: earmark judge serve {out}", markup=False, soft_wrap=True)


@judge.command()
def serve(
    study: Study,
    host: Annotated[
        str, typer.Option(help="Address to listen on; another than loopback is open to a network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8700,
) -> None:
    """Serve the listening page of a study; print a personal link for each listener.

    Every answer is on the disk before it is confirmed. Needs the extra `judge`.
    """
    from earmark.models.support.adapter import require

    for package in ("starlette", "uvicorn"):
        require(package, extra="judge", of="earmark judge serve")
    from earmark.bench.judge.server import run

    if_interrupted("all answers are kept")
    run(study, host=host, port=port)


@judge.command("import")
def import_(
    study: Study,
    file: Annotated[Path, typer.Argument(help="Judgements that were collected elsewhere.")],
    form: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="csv|label-studio|webmushra",
            help="What wrote the file; csv: triplet,a,b,annotator,dimension,higher_value.",
        ),
    ] = "csv",
    dimension: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What was asked, where the file does not say."),
    ] = None,
    json: Json = False,
) -> None:
    """Take judgements from a file into a study; importing it again changes nothing.

    A folder without a plan becomes a set of judged pairs, as a table.
    """
    from earmark.bench.judge.exchange import import_judgements

    found = import_judgements(study, file, form, dimension=dimension)
    if json:
        plain = {"judgements": found.rows, "new": found.new, "to": str(found.to)}
        typer.echo(json_module.dumps(plain, indent=2))
    else:
        typer.echo(f"{found.new:,} of {found.rows:,} judgements are new, in {found.to}")


@judge.command()
def export(
    study: Annotated[
        Path, typer.Argument(metavar="STUDY", help="Folder of a study, or any set of judged pairs.")
    ],
    to: Annotated[Path, typer.Argument(help="Folder to write to, new or empty.")],
    table: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE.csv", help="The judgements as one table besides."),
    ] = None,
    json: Json = False,
) -> None:
    """Write judgements and excerpts in MusAV's layout, which suites open as `pairwise`."""
    from earmark.bench.judge.exchange import export as write

    found = write(study, to, table=table)
    if json:
        plain = {
            "to": str(to),
            "judgements": found.judgements,
            "triplets": found.triplets,
            "songs": found.songs,
            "audio": found.audio,
        }
        typer.echo(json_module.dumps(plain, indent=2))
    else:
        typer.echo(
            f"{found.judgements:,} judgements of {found.triplets:,} triplets, {found.audio:,} "
            f"excerpts of {found.songs:,} songs, in {to}"
        )


@judge.command()
def report(
    study: Annotated[
        Path, typer.Argument(metavar="STUDY", help="Folder of a study, or any set of judged pairs.")
    ],
    models: Annotated[
        Path | None,
        typer.Option(
            metavar="SUITE",
            help="Score the models of a suite: its file, or the name of one that comes with "
            "Earmark, such as judged_pairs.",
        ),
    ] = None,
    predictions: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Score a model's outputs: songid and a column per dimension; may be repeated.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the report; by default report/ in the study's, or here for other sets."
        ),
    ] = None,
    available: Annotated[
        bool,
        typer.Option("--available", help="Leave out models that are not available, and name them."),
    ] = False,
    fetch: Fetch = False,
    formats: Annotated[str, typer.Option("--format", help="Some of html,pdf,md.")] = "html,pdf",
    audio_mib: Annotated[
        float, typer.Option(min=0.1, help="The most that excerpts may add to the page, in MiB.")
    ] = 16.0,
    store: Store = Path("store"),
    replicates: Replicates = None,
    json: Json = False,
) -> None:
    """Report how listeners agree, which songs divide them, and how models fare beside them.

    Writes the judgements in MusAV's layout (set/), the run's record (runs/), report.html with
    players of the excerpts, and report.pdf. The excerpts are your own: pass the page on only if
    the songs' licences allow it.
    """
    from earmark.bench.cli.report import parsed_formats, write_page
    from earmark.bench.cli.run import LeftOut, fetch_for, print_record
    from earmark.bench.judge import plan as plans
    from earmark.bench.judge.report import suite_for
    from earmark.bench.run.runner import run_suite
    from earmark.datasets.base import DataError
    from earmark.reports.record.files import load

    wanted = parsed_formats(formats)
    planned = (study / plans.PLAN).exists()
    folder = (study if planned else Path()) / "report" if out is None else out
    if_interrupted(f"finished embeddings are kept in {store}")
    console = new_console(stderr=json)
    root = _renewed(study, folder / "set") if planned else study
    suite, left = suite_for(root, models, predictions or ()), LeftOut()
    if fetch:
        fetch_for(suite.suite.fetch, left)
    with progress_bar() as progress:
        record, not_run = run_suite(
            suite,
            out=folder / "runs",
            store=store,
            available=available,
            replicates=replicates,
            progress=progress,
        )
    left.add(suite.suite.name, not_run)
    if record is None:
        raise DataError("; ".join(f"{one.what}: {one.reason}" for one in not_run))
    found = load(record)
    left.add(suite.suite.name, found.record.tasks[0].not_run)
    page, played = _pages(found, root, study if planned else None, audio_mib)
    paths = [record / "run.json", *write_page(page, folder, wanted, html=played)]
    print_record(console, found.record)
    left.print(console)
    if json:
        typer.echo(json_module.dumps({"files": [str(path) for path in paths]}, indent=2))
    for path in () if json else paths:
        typer.echo(path)
    if left.exit_code:
        raise ExitError(left.exit_code)


def _pages(found: Run, root: Path, study: Path | None, mib: float) -> tuple[Page, Page]:
    """Return the report of a set, and of a study where it is of one, without and with players."""
    from earmark.bench.cli.report import players_in
    from earmark.bench.judge.report import people, with_part, with_sources
    from earmark.bench.judge.store import open_store
    from earmark.bench.tasks.registry import VIEWS
    from earmark.datasets.judgements import judged
    from earmark.reports.page.page import build

    known, store = judged.load(root), None if study is None else open_store(study)
    try:
        page = build(found.record, found.items, found.arrays, views=VIEWS)
        page = with_part(page, found.record.tasks[0].id, people(known, store))
    finally:
        if store is not None:
            store.close()
    heard = any(clip.path for clip in known.clips())
    played = players_in(page, found.record, [found], mib=mib) if heard else page
    if store is None:
        return page, played
    return with_sources(page, store.plan), with_sources(played, store.plan)


def _renewed(study: Path, to: Path) -> Path:
    """Write a study's judgements as a set, in the place of the one that a report left before."""
    import shutil

    from earmark.bench.judge.exchange import export as write

    if (to / "data" / "judged.toml").is_file():
        shutil.rmtree(to)
    write(study, to)
    return to
