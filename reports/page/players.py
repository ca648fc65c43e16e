"""Players in a web page's tables: what may be heard, and excerpts set where they were asked for.

A report reads no audio. It says what its tables name (:func:`wishes`), somebody who has the
datasets hands it excerpts, and :func:`with_players` sets them into the content of a web page. Paper
and Markdown are made from the content without them.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from earmark.reports import words
from earmark.reports.content import (
    MOST_ROWS,
    Audible,
    Block,
    Bullets,
    Cell,
    Page,
    Paragraph,
    Player,
    Section,
    Span,
    TableBlock,
    Text,
    named_models,
    text,
)
from earmark.reports.record.schema import ItemProblem, RunRecord, TaskResult

MIB = 1 << 20
MOST_REASONS, MOST_NAMED = 20, 5
"""Why clips cannot be played, and how many are named of each."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Something that a table names and a reader may want to hear."""

    dataset: str
    """As the suite calls it."""
    task: str
    """Its kind."""
    what: Audible
    """What ``name`` is: of a clip, of a pair of clips, or a caption's words or id."""
    name: str


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A piece of a clip as MP3."""

    dataset: str
    item: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Excerpts:
    """What there is to hear, and what there is not."""

    of: Mapping[Wish, Sequence[Excerpt]]
    """A pair's two in their order; of anything else one."""
    how: str
    """How they were cut and encoded, as a sentence goes on after “excerpts”."""
    mib: float
    """The most that they may add to the page, in MiB."""
    left_out: int = 0
    """Clips that are not embedded because of that."""
    unplayable: Sequence[ItemProblem] = ()
    warnings: Sequence[str] = ()
    """What whoever passes the page on must know."""


def size(excerpt: Excerpt) -> int:
    """Return the bytes that an excerpt adds to a page."""
    return 4 * ((len(excerpt.data) + 2) // 3)


def wishes(page: Page, record: RunRecord) -> list[Wish]:
    """Return what the tables of the record's report name, each once; of open tables first."""
    tables = list(_tables(page, record))
    tables.sort(key=lambda found: found[1].folded)
    named = [
        wish
        for task, table in tables
        for row in table.rows
        for place, cell in enumerate(row)
        if (wish := _wish(task, table, place, cell))
    ]
    return list(dict.fromkeys(named))


def _tables(page: Page, record: RunRecord) -> Iterator[tuple[TaskResult, TableBlock]]:
    tasks = {f"task-{task.id}": task for task in record.tasks}

    def inside(section: Section) -> Iterator[TableBlock]:
        yield from (block for block in section.blocks if isinstance(block, TableBlock))
        for part in section.sections:
            yield from inside(part)

    for section in page.sections:
        if task := tasks.get(section.anchor):
            yield from ((task, table) for table in inside(section))


def _wish(task: TaskResult, table: TableBlock, place: int, cell: Cell) -> Wish | None:
    """Return what a cell names that may be heard."""
    if len(table.rows) > MOST_ROWS and table.folded:
        return None  # Built by the page's script, which builds no players.
    kind = table.columns[place].audible
    return Wish(task.dataset, task.kind, kind, cell.text) if kind else None


def with_players(page: Page, record: RunRecord, excerpts: Excerpts) -> Page:
    """Return the page with a player in every cell of which there is an excerpt.

    A part on what is embedded, and what is not, stands before the datasets. A clip that several
    cells name is embedded once.
    """
    names: dict[tuple[str, str], str] = {}
    tasks = {f"task-{task.id}": task for task in record.tasks}
    sections = [
        _played(section, tasks[section.anchor], excerpts, names)
        if section.anchor in tasks
        else section
        for section in page.sections
    ]
    place = next(
        (n for n, section in enumerate(sections) if section.anchor == "datasets"), len(sections)
    )
    sections.insert(place, _about(excerpts))
    return replace(page, sections=sections)


def _played(
    section: Section, task: TaskResult, excerpts: Excerpts, names: dict[tuple[str, str], str]
) -> Section:
    blocks: list[Block] = []
    for block in section.blocks:
        if isinstance(block, TableBlock):
            rows = [
                [
                    replace(cell, players=_players(wish, excerpts, names))
                    if (wish := _wish(task, block, place, cell)) in excerpts.of
                    else cell
                    for place, cell in enumerate(row)
                ]
                for row in block.rows
            ]
            block = replace(block, rows=rows)
        blocks.append(block)
    parts = [_played(part, task, excerpts, names) for part in section.sections]
    return replace(section, blocks=blocks, sections=parts)


def _players(
    wish: Wish | None, excerpts: Excerpts, names: dict[tuple[str, str], str]
) -> tuple[Player, ...]:
    if wish is None:
        return ()
    players = []
    for number, excerpt in enumerate(excerpts.of[wish]):
        label, shown = f"Play {excerpt.item}", ""
        if wish.what == "pair":
            shown = ("first", "second")[number]
            label = f"Play the {shown} song, {excerpt.item}"
        elif wish.what != "clip":
            label, shown = f"{label}, the clip of this caption", f"its clip: {excerpt.item}"
        clip = (excerpt.dataset, excerpt.item)
        again = clip in names
        players.append(
            Player(
                name=names.setdefault(clip, f"clip-{len(names) + 1}"),
                label=label,
                shown=shown,
                source="" if again else _address(excerpt.data),
            )
        )
    return tuple(players)


def _address(data: bytes) -> str:
    return f"data:audio/mpeg;base64,{base64.b64encode(data).decode()}"


def _about(excerpts: Excerpts) -> Section:
    clips = {(one.dataset, one.item): one for found in excerpts.of.values() for one in found}
    blocks: list[Block] = []
    if clips:
        total = sum(map(size, clips.values())) / MIB
        said = (
            f"The players in the tables of failures and of pairs hold excerpts of "
            f"{words.plural(len(clips), 'clip')} ({total:.1f} MiB), {excerpts.how}."
        )
    elif excerpts.left_out or excerpts.unplayable:
        said = "No clip that the tables of failures and of pairs name is embedded."
    else:
        said = "No table of this report names clips that can be played."
    if excerpts.left_out:
        said += (
            f" {words.plural(excerpts.left_out, 'further clip')} would have passed the cap of "
            f"{excerpts.mib:g} MiB and {'is' if excerpts.left_out == 1 else 'are'} left out."
        )
    blocks.append(Paragraph(text(said)))
    if excerpts.warnings:
        licences: list[Text] = [text(Span("Licence. ", "strong"), one) for one in excerpts.warnings]
        blocks.append(Bullets(licences, "warning"))
    if lost := excerpts.unplayable:
        blocks.append(Bullets(list(_lost(lost)), "warning"))
    return Section("Audio", "audio", blocks)


def _lost(lost: Sequence[ItemProblem]) -> Iterator[Text]:
    """Yield one sentence per reason, with the first clips that it holds for."""
    by_reason: dict[str, list[str]] = {}
    for one in lost:
        by_reason.setdefault(one.reason, []).append(one.item)
    for reason, items in list(by_reason.items())[:MOST_REASONS]:
        more = len(items) - MOST_NAMED
        named = named_models(items[:MOST_NAMED])
        after = f" and {more} more" if more > 0 else ""
        yield text(Span("Cannot be played. ", "strong"), *named, f"{after}: {reason}")
    if rest := list(by_reason.values())[MOST_REASONS:]:
        yield text(f"And {sum(map(len, rest))} more, for other reasons.")
