"""The report of several records: one leaderboard, and what cannot stand on it said so."""

from __future__ import annotations

from collections.abc import Sequence

from earmark.reports import words
from earmark.reports.content import (
    Block,
    Bullets,
    Cell,
    Column,
    Page,
    Paragraph,
    Section,
    Span,
    TableBlock,
    text,
)
from earmark.reports.page import page
from earmark.reports.page import training as page_training
from earmark.reports.page.back_matter import bibtex, datasets, models, reproduced
from earmark.reports.page.leaderboard import leaderboard
from earmark.reports.page.side_by_side import SideBySide
from earmark.reports.record.schema import RunRecord
from earmark.reports.view import Views


def build_side_by_side(side: SideBySide, *, views: Views) -> Page:
    """Return the report of several records."""
    record, runs = side.record, [run.record for run in side.runs]
    board = leaderboard(record, views, side.origin)
    opening: list[Block] = [*page.scope(record, side.items, views), _runs(side)]
    if side.apart:
        opening.append(
            Bullets(
                [text(Span("Shown apart. ", "strong"), reason) for reason in side.apart], "warning"
            )
        )
    if len({one.earmark_version for one in runs}) > 1:
        said = "The runs were made by unlike versions of Earmark: read its changelog."
        opening.append(Paragraph(text(said), "warning"))
    if side.notes:
        opening.append(Bullets([text(note) for note in side.notes]))
    return Page(
        title=record.suite.title,
        subtitle=f"{words.plural(len(runs), 'run')} side by side · latest of "
        f"{words.moment(record.created)} · Earmark {record.earmark_version}",
        verdict=page.verdict(record, views),
        sections=[
            page.with_opening(board, opening),
            *page.tasks(record, side.items, side.arrays, views),
            *page_training.sections(record),
            datasets(record),
            models(record),
            bibtex(record),
            _reproducibility(runs),
        ],
        colophon=f"Rendered from {words.plural(len(runs), 'run record')} by Earmark "
        f"{record.earmark_version}. Every score stands in a record’s run.json; comparisons between "
        f"runs were made for this page from the records’ outcomes by item.",
        run=f"{words.plural(len(runs), 'run')} · Earmark {record.earmark_version}",
        created=record.created,
    )


def _reproducibility(runs: Sequence[RunRecord]) -> Section:
    """Return what it takes to run all of them again; what is the same of all stands once."""
    blocks = [reproduced(one) for one in runs]
    same = [block for block in blocks[0] if all(block in other for other in blocks[1:])]
    said = [Paragraph(text("Of every run alike:"))] if same else []
    parts = [
        Section(f"Run {number}: {one.id}", f"run-{number}", [b for b in own if b not in same])
        for number, (one, own) in enumerate(zip(runs, blocks, strict=True), start=1)
    ]
    return Section("Reproducibility", "reproducibility", [*said, *same], parts)


def _runs(side: SideBySide) -> TableBlock:
    rows = []
    for number, run in enumerate(side.runs, start=1):
        record = run.record
        scored = {model for task in record.tasks for model in task.models}
        where = record.environment
        commit = (where.git_commit or words.NOTHING)[:10]
        rows.append(
            [
                Cell(str(number), sort=number),
                Cell(record.id),
                Cell(record.suite.name),
                Cell(words.moment(record.created)),
                Cell(record.earmark_version),
                Cell(f"{commit}{' with changes' if where.git_dirty else ''}"),
                Cell(where.gpu or where.processor),
                Cell(str(len(scored)), sort=len(scored)),
                Cell(str(len(record.tasks)), sort=len(record.tasks)),
            ]
        )
    return TableBlock(
        caption="Runs",
        columns=[
            Column("Run", numeric=True),
            Column("Record"),
            Column("Suite"),
            Column("Made"),
            Column("Earmark"),
            Column("Commit", code=True),
            Column("Device"),
            Column("Models", numeric=True),
            Column("Tasks", numeric=True),
        ],
        rows=rows,
        notes=[
            "Models of different runs are ranked together only where task, dataset, items, "
            "protocol and metrics are the same."
        ],
    )
