"""``earmark demo``: a first look at a folder of one's own songs."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.bench.cli import Json
from earmark.bench.cli.console import add_row, new_console, new_table, print_table, progress_bar

if TYPE_CHECKING:
    from rich.console import Console

    from earmark.bench.demo.run import Findings

MOST_PRINTED = 40


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
        _print(findings, place, console)


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


def _print(findings: Findings, place: Path, console: Console) -> None:
    from earmark.bench.demo.page import NEXT

    table = new_table(
        f"{len(findings.rows)} songs, {findings.wall_s:.0f} s",
        ("song", "genre", "how sure", "mood", "nearest song"),
    )
    for row in findings.rows[:MOST_PRINTED]:
        genre, near = row.genre, row.nearest[0].name if row.nearest else ""
        sure = f"{genre.sureness}, {genre.agreement} of {genre.votes} agree"
        add_row(table, row.name, genre.label, sure, row.mood.label, near)
    print_table(console, table)
    if (more := len(findings.rows) - MOST_PRINTED) > 0:
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
