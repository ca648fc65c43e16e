"""The whole report as content: what is said, in which order, whatever sets it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from earmark.reports import words
from earmark.reports.content import (
    Arrays,
    Block,
    Bullets,
    Cell,
    Column,
    Facts,
    Gap,
    Page,
    Paragraph,
    Plots,
    Section,
    Span,
    TableBlock,
    Text,
    named_models,
    text,
)
from earmark.reports.findings import summary as findings_whole
from earmark.reports.findings.headlines import headlines_of
from earmark.reports.findings.task import contaminated, findings
from earmark.reports.page import tables
from earmark.reports.page import training as page_training
from earmark.reports.page.back_matter import bibtex, datasets, models, reproduced, reproducibility
from earmark.reports.page.leaderboard import leaderboard
from earmark.reports.page.opening import opening
from earmark.reports.page.side_by_side import SideBySide
from earmark.reports.record.lookup import (
    best_first,
    dataset_of,
    dimensions,
    headline,
    model_of,
    most_drawn,
    select,
    telling,
    unpaired,
)
from earmark.reports.record.schema import NotRun, RecordError, RunRecord, TaskResult
from earmark.reports.view import View, Views, view_of

if TYPE_CHECKING:
    import pandas as pd

MOST_PROBLEMS = 200
"""Bad items that are listed by name; the record holds all."""
DETAILS = {"comparisons", "tables", "protocol", "problems"}
"""Parts of a task that a short report leaves to the HTML."""
FEW_PAIRS = 6
"""Comparisons on other sets that are not folded away."""


def build(
    record: RunRecord,
    items: Mapping[str, pd.DataFrame],
    arrays: Mapping[str, Arrays],
    *,
    views: Views,
    gate: Section | None = None,
) -> Page:
    """Return the report of a record from the per-item outcomes and the arrays of its tasks.

    ``views`` are those of the kinds of task in the record: a kind that has none is shown by its
    scores, tables and protocol alone.
    ``gate`` is what a gate found (:func:`earmark.reports.gate.verdict.section`), shown first.

    Raises
    ------
    RecordError
        If a task of the record has no items.
    """
    _learn_words(record, views)
    record = with_own_titles(record)
    if missing := [task.id for task in record.tasks if task.id not in items]:
        raise RecordError(f"a report of {record.id} needs the items of {', '.join(missing)}")
    return Page(
        title=record.suite.title,
        subtitle=f"{words.moment(record.created)} · run {record.id} · "
        f"suite {record.suite.name} · Earmark {record.earmark_version}",
        verdict=verdict(record, views, gate),
        sections=[
            *([gate] if gate else []),
            with_opening(
                leaderboard(record, views), [*scope(record, items, views), *found(record, views)]
            ),
            *tasks(record, items, arrays, views),
            *page_training.sections(record),
            datasets(record),
            models(record),
            bibtex(record),
            reproducibility(record),
        ],
        colophon=f"Rendered from the run record {record.id} by Earmark {record.earmark_version}. "
        f"Every number stands in the record’s run.json.",
        run=f"{record.id} · Earmark {record.earmark_version}",
        created=record.created,
    )


def _learn_words(record: RunRecord, views: Views) -> None:
    for task in record.tasks:
        view = view_of(views, task)
        words.learn(view.metrics, view.subsets)


def with_opening(section: Section, blocks: Sequence[Block]) -> Section:
    """Return the section with these blocks first."""
    return dataclasses.replace(section, blocks=[*blocks, *section.blocks])


def with_own_titles(record: RunRecord) -> RunRecord:
    """Return the record with tasks of one title named by their datasets, or else by their ids."""
    titles = Counter(task.title for task in record.tasks)
    named = Counter((task.title, task.dataset) for task in record.tasks)
    if max(titles.values(), default=0) < 2:
        return record
    tasks = [
        task
        if titles[task.title] == 1
        else task.model_copy(
            update={
                "title": f"{task.title}, "
                f"{task.dataset if named[task.title, task.dataset] == 1 else task.id}"
            }
        )
        for task in record.tasks
    ]
    return record.model_copy(update={"tasks": tasks})


def tasks(
    record: RunRecord,
    items: Mapping[str, pd.DataFrame],
    arrays: Mapping[str, Arrays],
    views: Views,
) -> list[Section]:
    """Return one section per task."""
    return [
        _task(task, items[task.id], arrays.get(task.id, {}), record, view_of(views, task))
        for task in record.tasks
    ]


def verdict(record: RunRecord, views: Views, gate: Section | None = None) -> list[Block]:
    """Return the first screen: a gate's verdict where there is one, then what came out."""
    judged = gate.blocks[0] if gate and gate.blocks else None
    blocks: list[Block] = [judged] if isinstance(judged, Paragraph) else []
    shown = opening(record, views)
    if not shown:
        line = findings_whole.verdict(record, views)
        shown = [Paragraph(line, "plain" if blocks else "lead")]
        if said := findings_whole.sentences(record, views):
            shown.append(Bullets(said))
    return [*blocks, *shown]


def found(record: RunRecord, views: Views) -> list[Block]:
    """Return what came out in the words of statistics: who leads, doubts, limits."""
    if not headlines_of(record, views):  # the first screen has said so
        return []
    said = findings_whole.sentences(record, views)
    return [Paragraph(findings_whole.verdict(record, views), "lead"), Bullets(said)]


def scope(record: RunRecord, items: Mapping[str, pd.DataFrame], views: Views) -> list[Block]:
    """Return what was scored, and of the suite what could not run."""
    blocks: list[Block] = [Paragraph(_what_was_run(record, items, views))]
    if record.not_run:
        blocks.append(Bullets(_not_run(record.not_run), "warning"))
    return blocks


def _what_was_run(record: RunRecord, items: Mapping[str, pd.DataFrame], views: Views) -> Text:
    scored = dict.fromkeys(model for task in record.tasks for model in task.models)
    parts = []
    for task in record.tasks:
        rows, title = items[task.id], _dataset_title(record, task)
        if "item" in rows.columns:
            # Rows without an outcome are of items that a model did not predict.
            evaluated = rows[rows["outcome"].notna()] if "outcome" in rows.columns else rows
            number = words.plural(evaluated["item"].nunique(), view_of(views, task).noun)
            title = f"{number} of {title}"
        parts.append(title)
    if not parts:
        return text("No task of this suite ran.")
    failed = len(record.not_run) + sum(len(task.not_run) for task in record.tasks)
    complete = (
        " Everything that the suite asks for ran."
        if not failed
        else f" {words.plural(failed, 'part')} of the suite could not run."
    )
    return text(
        Span(words.plural(len(scored), "model"), "strong"),
        " scored on ",
        Span(words.listed(parts), "strong"),
        ".",
        complete,
    )


def _dataset_title(record: RunRecord, task: TaskResult) -> str:
    dataset = dataset_of(record, task)
    return dataset.title if dataset else task.dataset


def _not_run(parts: Sequence[NotRun]) -> list[Text]:
    return [
        text(Span("Could not run. ", "strong"), f"{part.what}: {part.reason}") for part in parts
    ]


def _found(task: TaskResult, record: RunRecord, view: View) -> list[Block]:
    """Return what the task found, and what a reader of it must beware of."""
    blocks: list[Block] = [Bullets(findings(task, view))]
    seen = contaminated(record.model_copy(update={"tasks": [task]}))
    warnings = [text(Span("Contamination. ", "strong"), *sentence) for sentence in seen]
    warnings += [text(Span("Warning. ", "strong"), warning) for warning in task.warnings]
    warnings += _not_run(task.not_run)
    return [*blocks, Bullets(warnings, "warning")] if warnings else blocks


def _task(
    task: TaskResult, items: pd.DataFrame, arrays: Arrays, record: RunRecord, view: View
) -> Section:
    chosen = headline(task)
    blocks = _found(task, record, view)
    parts: list[tuple[str, str, list[Block]]] = [
        ("Scores", "scores", _scores(task, *chosen) if chosen else []),
        ("Figures", "figures", _figures(task, items, arrays, record, view)),
        ("Comparisons", "comparisons", _comparisons(task)),
        ("Breakdowns", "tables", [*_breakdowns(task, chosen, view), *view.tables(task, items)]),
        ("Protocol", "protocol", _protocol(task, view)),
        ("Items that could not be used", "problems", _problems(task)),
    ]
    return Section(
        title=task.title,
        anchor=f"task-{task.id}",
        blocks=blocks,
        sections=[
            Section(title, f"task-{task.id}-{anchor}", content, detail=anchor in DETAILS)
            for title, anchor, content in parts
            if content
        ],
    )


def _scores(task: TaskResult, metric: str, subset: str) -> list[Block]:
    """Return the headline set first, then all sets, then all that the record has."""
    sides = dimensions(task)
    subsets = {score.subset for score in task.scores}
    metrics = {score.metric for score in task.scores if score.subset == subset}
    blocks: list[Block] = [
        tables.verdict(task, metric=metric, subset=subset, dimension=side) for side in sides
    ]
    if len(metrics) > 2:
        blocks.append(tables.every_metric(task, subset=subset))
    if len(subsets) > 1:
        blocks += [tables.every_set(task, metric=metric, dimension=side) for side in sides]
    if len(subsets) > 1 or len(metrics) > 1:
        blocks.append(tables.every_score(task))
    return blocks


def _breakdowns(task: TaskResult, chosen: tuple[str, str] | None, view: View) -> list[Block]:
    """Return the task's own tables; of those of one model each, the best model's stay open."""
    scores = select(task.scores, metric=chosen[0], subset=chosen[1]) if chosen else []
    best = best_first(scores)[0].model if scores else None
    return [
        tables.own(
            table,
            audible=view.audible(table.title),
            folded=model_of(table.title, task.models) not in {None, best},
        )
        for table in task.tables
    ]


def _figures(
    task: TaskResult, items: pd.DataFrame, arrays: Arrays, record: RunRecord, view: View
) -> list[Block]:
    """Return the figures in their order; those of one size stand together."""
    drawn = most_drawn(task, of=sum(len(one.models) for one in record.tasks))
    blocks: list[Block] = []
    if not drawn.models and task.models:
        said = (
            f"With {words.plural(len(task.models), 'model')} here and as many on other tasks, "
            f"only the leaderboard’s figures are drawn: render fewer runs for those of this task."
        )
        return [Paragraph(text(said), "muted")]
    if left := len(task.models) - len(drawn.models):
        said = (
            f"The figures show the best {len(drawn.models)} of {len(task.models)} models; the "
            f"other {left} are in the tables."
        )
        blocks.append(Paragraph(text(said), "muted"))
    for part in view.figures(drawn, items, arrays, record):
        last = blocks[-1] if blocks else None
        if isinstance(part, Gap):
            blocks.append(Paragraph(text(part.reason), "muted"))
        elif isinstance(last, Plots) and last.plots[-1].small == part.small:
            last.plots.append(part)
        else:
            blocks.append(Plots([part]))
    return blocks


def _comparisons(task: TaskResult) -> list[Block]:
    if not task.comparisons:
        return []
    chosen = headline(task)
    subset = chosen[1] if chosen else task.comparisons[0].subset
    kind = "Unpaired differences" if unpaired(task) else "Paired differences"
    pairs = telling(task, task.comparisons)
    first = [pair for pair in pairs if pair.subset == subset]
    rest = [pair for pair in pairs if pair.subset != subset]
    blocks: list[Block] = []
    if len(pairs) < len(task.comparisons):
        said = (
            f"Of {words.count(len(task.comparisons))} comparisons, those with the best model "
            f"and those of neighbours; all of them made the groups, and all but those between "
            f"runs are in the record’s run.json."
        )
        blocks.append(Paragraph(text(said), "muted"))
    if first:
        blocks.append(tables.comparisons(first, caption=f"{kind}, {words.in_subset(subset)}"))
    if rest:
        caption = f"{kind}, the other sets" if first else kind
        folded = bool(first) and len(rest) > FEW_PAIRS
        blocks.append(tables.comparisons(rest, caption=caption, folded=folded))
    if task.groups:
        blocks.append(tables.group_table(task))
    return blocks


def _protocol(task: TaskResult, view: View) -> list[Block]:
    """Return what was done; what holds for several models alike is said once."""
    said: dict[tuple[str, str, bool], list[str]] = {}
    for name, value in task.protocol.items():
        what, of, model = name.partition(" of ")
        shown = str(value) if name == "seed" else words.cell(view.sentence(name, value))
        if of and model in task.models:
            said.setdefault((what, shown, True), []).append(model)
        else:
            said[name, shown, False] = []
    rows = []
    for (what, shown, by_model), ids in said.items():
        if not by_model:
            rows.append((what, text(shown)))
        elif set(ids) == set(task.models):
            rows.append((f"{what}, every model", text(shown)))
        else:
            rows.append((what, (*named_models(ids), Span(f": {shown}"))))
    return [
        Facts([("dataset", text(task.dataset)), ("task", text(f"{task.id} ({task.kind})")), *rows])
    ]


def _problems(task: TaskResult) -> list[Block]:
    if not task.problems:
        return []
    shown = task.problems[:MOST_PROBLEMS]
    more = len(task.problems) - len(shown)
    left = f"And {words.count(more)} more, all in the record’s run.json."
    return [
        TableBlock(
            caption=words.plural(len(task.problems), "item"),
            columns=[Column("Item", code=True), Column("Reason")],
            rows=[[Cell(problem.item), Cell(problem.reason)] for problem in shown],
            notes=[left] if more else [],
            folded=len(shown) > 12,
        )
    ]


def build_side_by_side(side: SideBySide, *, views: Views) -> Page:
    """Return the report of several records."""
    record, runs = side.record, [run.record for run in side.runs]
    _learn_words(record, views)
    board = leaderboard(record, views, side.origin)
    board_opening: list[Block] = [*scope(record, side.items, views), _runs(side)]
    if side.apart:
        board_opening.append(
            Bullets(
                [text(Span("Shown apart. ", "strong"), reason) for reason in side.apart], "warning"
            )
        )
    if len({one.earmark_version for one in runs}) > 1:
        said = "The runs were made by different versions of Earmark: read its changelog."
        board_opening.append(Paragraph(text(said), "warning"))
    if side.notes:
        board_opening.append(Bullets([text(note) for note in side.notes]))
    return Page(
        title=record.suite.title,
        subtitle=f"{words.plural(len(runs), 'run')} side by side · latest of "
        f"{words.moment(record.created)} · Earmark {record.earmark_version}",
        verdict=verdict(record, views),
        sections=[
            with_opening(board, [*board_opening, *found(record, views)]),
            *tasks(record, side.items, side.arrays, views),
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
    said = [Paragraph(text("Common to every run:"))] if same else []
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
