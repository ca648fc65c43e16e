"""``earmark report``: render one record, or several side by side."""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from earmark.bench.cli import CustomTask, Json, Speed, if_interrupted, same_command
from earmark.bench.cli.console import progress_bar

if TYPE_CHECKING:
    from earmark.reports.content import Page
    from earmark.reports.record.files import Run
    from earmark.reports.record.schema import RunRecord

FORMATS: Final = ("html", "pdf", "md")


class ReportError(ValueError):
    """What was asked of a report cannot be done; the message says what can."""


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run records: runs/<id>; several: a leaderboard."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the report; by default, for one record, the record's own."),
    ] = None,
    formats: Annotated[str, typer.Option("--format", help="Some of html,pdf,md.")] = "html,pdf",
    brief: Annotated[
        bool,
        typer.Option(
            "--brief",
            help="Only the first page: one figure, one table, three sentences; brief.html and so "
            "on, beside a whole report.",
        ),
    ] = False,
    figures: Annotated[
        bool,
        typer.Option("--figures", help="Export each figure: SVG, PDF, PNG, and its data as CSV."),
    ] = False,
    audio: Annotated[
        bool,
        typer.Option(
            "--audio",
            help="Add players to the HTML's tables of failures and pairs, each with an excerpt of "
            "the clip. Before you pass such a page on, check that the licences allow it.",
        ),
    ] = False,
    audio_mib: Annotated[
        float, typer.Option(min=0.1, help="The most that --audio may add to the page, in MiB.")
    ] = 8.0,
    speed: Speed = None,
    custom_task: CustomTask = None,
    json: Json = False,
) -> list[Path]:
    """Render a run record, or a leaderboard of several, as HTML, PDF or Markdown."""
    from earmark.reports.record.files import RUN_FILE, load

    if_interrupted(
        lambda: (
            f"reports that were finished are whole, no other was begun; `{same_command()}` "
            f"renders them again"
        )
    )
    wanted = parsed_formats(formats)
    if audio and "html" not in wanted:
        raise ReportError("only the HTML report has players: add html to --format")
    if audio and brief:
        raise ReportError("a brief report has no tables of clips to play: leave out --audio")
    if out is None and len(runs) != 1:
        raise ReportError(f"a report of {len(runs)} records needs a folder: give --out DIR")
    loaded = [load(run) for run in runs]  # a wrong path is named before figures are imported
    from earmark.bench.gate.leaderboard import compare_models
    from earmark.bench.tasks.registry import VIEWS, load_tasks
    from earmark.reports.page import page
    from earmark.reports.page.side_by_side import side_by_side
    from earmark.reports.page.speed import read_benchmarks, with_speed

    load_tasks(custom_task)
    timed = [read_benchmarks(path) for path in speed or ()]
    if len(loaded) == 1:
        shown = loaded[0].record
        built = page.build(shown, loaded[0].items, loaded[0].arrays, views=VIEWS)
    else:
        side = side_by_side(loaded, compare_models)
        shown, built = side.record, page.build_side_by_side(side, views=VIEWS)
    built = with_speed(built, timed)
    if brief:
        from earmark.reports.render.short import brief as first_page

        names = [run.name if run.name != RUN_FILE else run.resolve().parent.name for run in runs]
        built = first_page(built, whole=f"earmark report {' '.join(names)}")
    played = players_in(built, shown, loaded, mib=audio_mib) if audio else built
    folder = runs[0] if out is None else out
    folder = folder.parent if folder.name == RUN_FILE else folder
    stem = "brief" if brief else "report"
    written = write_page(built, folder, wanted, html=played, figures=figures, stem=stem)
    if json:
        typer.echo(json_module.dumps({"files": [str(path) for path in written]}, indent=2))
    for path in () if json else written:
        typer.echo(path)
    return written


def players_in(built: Page, shown: RunRecord, runs: Sequence[Run], *, mib: float) -> Page:
    """Add players of at most so many MiB; say what licences ask for, and what cannot be played."""
    from earmark.bench.run.excerpts import excerpts_of
    from earmark.datasets.base import first_ten
    from earmark.reports.page.players import wishes, with_players

    with progress_bar() as progress:
        excerpts = excerpts_of(
            wishes(built, shown), [run.record for run in runs], mib=mib, progress=progress
        )
    for warning in excerpts.warnings:
        typer.echo(f"warning: {warning}", err=True)
    if lost := excerpts.unplayable:
        typer.echo(f"warning: no player for {first_ten([one.item for one in lost])}", err=True)
    return with_players(built, shown, excerpts)


def render_reports(
    run: Path,
    out: Path,
    *,
    formats: Sequence[str] = ("html", "pdf"),
    gate: Mapping[str, Any] | None = None,
    speed: Sequence[Path] = (),
) -> list[Path]:
    """Render a record into ``out/report.html``, ``out/report.pdf``; return the paths.

    ``gate`` is a gate's verdict on the run as plain data, to be shown with it; ``speed`` are files
    of pytest-benchmark (:mod:`earmark.reports.page.speed`).
    """
    from earmark.bench.tasks.registry import VIEWS
    from earmark.reports.gate.verdict import section
    from earmark.reports.page.page import build
    from earmark.reports.page.speed import read_benchmarks, with_speed
    from earmark.reports.record.files import load

    timed = [read_benchmarks(path) for path in speed]
    found = load(run)
    part = None if gate is None else section(gate)
    built = build(found.record, found.items, found.arrays, views=VIEWS, gate=part)
    page = with_speed(built, timed)
    return write_page(page, out, parsed_formats(",".join(formats)))


def write_page(
    page: Page,
    folder: Path,
    formats: Sequence[str],
    *,
    html: Page | None = None,
    figures: bool = False,
    stem: str = "report",
) -> list[Path]:
    """Write a page in some formats (``html``: the page with players) and perhaps its figures."""
    from earmark.datasets.files.atomic_files import room_left, write_whole
    from earmark.reports.record.schema import RecordError
    from earmark.reports.render.html import page_html
    from earmark.reports.render.markdown import page_markdown
    from earmark.reports.render.pdf import pdf_bytes

    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in formats:
            path = folder / f"{stem}.{name}"
            if name == "html":
                content = page_html(html or page).encode()
            elif name == "md":
                content = page_markdown(page).encode()
            else:
                content = pdf_bytes(page)
            write_whole(path, content)
            written.append(path)
        if figures:
            from earmark.reports.render.data_files import write_figures

            written += write_figures(page, folder / "figures", write=write_whole)
    except OSError as error:
        raise RecordError(
            f"the reports could not be written to {folder}: {error.strerror or error}"
            f"{room_left(error, folder)}; the records are whole, and `earmark report` renders them "
            f"again"
        ) from error
    return written


def parsed_formats(words: str) -> list[str]:
    """Return the formats once each.

    >>> parsed_formats("html, pdf,html")
    ['html', 'pdf']
    """
    wanted = [name for name in words.replace(" ", "").split(",") if name]
    unknown = [repr(name) for name in wanted if name not in FORMATS]
    if unknown or not wanted:
        named = unknown[0] if unknown else "none"
        raise ReportError(f"format {named} of a report: expected some of {', '.join(FORMATS)}")
    return list(dict.fromkeys(wanted))


def export_record(
    run: Annotated[Path, typer.Argument(help="A run record: runs/<id>.")],
    out: Annotated[Path, typer.Argument(help="A folder for the files.")],
    to: Annotated[
        str,
        typer.Option(help="csv, eee (Every Eval Ever), hf (a model's repository), mlflow, wandb."),
    ],
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="An option of the format; its value as in TOML."),
    ] = None,
    json: Json = False,
) -> None:
    """Write a run's scores in the format of another place, and say what it cannot hold."""
    from earmark.bench.cli.check import parse_options
    from earmark.bench.run.record_exports import export_record as write
    from earmark.reports.record.files import read

    done = write(to, read(run), out, parse_options(option or ()))
    if json:
        found = {"files": [str(path) for path in done.files], "left_out": list(done.left_out)}
        typer.echo(json_module.dumps(found, indent=2))
        return
    for path in done.files:
        typer.echo(path)
    for left in done.left_out:
        typer.echo(f"not in it: {left}")
