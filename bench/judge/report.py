"""What a report on one's own songs says besides that of any judged pairs: of people, and by name.

A record knows songs by their ids. Here whoever made the study reads which files they are, which
songs people hear differently, and how far each listener came and kept to what they had said.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from earmark.bench.judge.plan import Plan
from earmark.bench.judge.progress import ListenerProgress, measure
from earmark.bench.judge.screens import screens
from earmark.bench.judge.store import Store
from earmark.bench.run.suite import Suite, find_suite, read_suite, suite_of
from earmark.datasets.judgements import judged
from earmark.datasets.judgements.judged import JudgedPairs
from earmark.reports import words
from earmark.reports.content import Block, Cell, Column, Page, Section, TableBlock

MOST_SONGS: Final = 10
"""Songs that are named per dimension."""
VALUES: Final[Mapping[str, int]] = {"a": 1, "ab": 0, "b": -1}
DIVIDING = "Songs that divide people"
LISTENERS = "Listeners and their checks"


def suite_for(root: Path, models: Path | None, predictions: Sequence[Path]) -> Suite:
    """Return the suite of a report on a set: the task pairwise, with the models of another suite.

    Parameters
    ----------
    models
        A suite's file, or the name of one that comes with Earmark; None: no models.
    predictions
        Files of models' outputs.
    """
    other = None if models is None else read_suite(find_suite(models))
    known = {} if other is None else other.models
    suite, _ = suite_of(
        {
            "name": "judged",
            "title": judged.load(root).card.title,
            "fetch": [] if other is None else other.suite.fetch,
        },
        datasets={"judged": {"loader": "pairwise", "root": root}},
        models={name: {"loader": one.loader, **one.options} for name, one in known.items()},
        tasks=[{"task": "pairwise", "dataset": "judged", "predictions": list(predictions)}],
        of="of earmark judge report",
    )
    return suite


@dataclass(frozen=True, slots=True)
class Divided:
    """How unlike people hear a song's place beside others."""

    song: str
    difference: float
    """Mean distance of two answers on one pair with the song: 0 alike, 1 opposite."""
    opposite: int
    """Of ``n``, one says a and the other b."""
    n: int
    """Pairs of answers."""


def divided_songs(found: JudgedPairs, dimension: str) -> list[Divided]:
    """Return the songs of which two answers were given, the most divided first.

    An answer *equal* is halfway between a and b; ``not_selected`` is none.
    """
    said: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for one in found.judgements(dimension):
        if one.higher_value in VALUES:
            said[one.song_a, one.song_b] += [one.higher_value] * round(one.votes)
    apart: defaultdict[str, list[int]] = defaultdict(list)
    for songs, answers in said.items():
        steps = [abs(VALUES[one] - VALUES[two]) for one, two in itertools.combinations(answers, 2)]
        for song in songs:
            apart[song] += steps
    divided = [
        Divided(song, sum(steps) / (2 * len(steps)), steps.count(2), len(steps))
        for song, steps in apart.items()
        if steps
    ]
    return sorted(divided, key=lambda one: (-one.difference, -one.opposite, -one.n, one.song))


def people(found: JudgedPairs, store: Store | None) -> list[Block]:
    """Return the tables of songs that divide people, and of the listeners of a study."""
    blocks: list[Block] = []
    rows = [
        [
            Cell(dimension),
            Cell(one.song),
            Cell(words.number(100 * one.difference, 0), sort=one.difference),
            Cell(words.count(one.opposite), sort=one.opposite),
            Cell(words.count(one.n), sort=one.n),
        ]
        for dimension in found.dimensions
        for one in divided_songs(found, dimension)[:MOST_SONGS]
        if one.difference > 0
    ]
    if rows:
        blocks.append(
            TableBlock(
                caption=DIVIDING,
                columns=[
                    Column("Dimension"),
                    Column("Song", code=True, audible="clip"),
                    Column("Apart (%)", numeric=True),
                    Column("Opposite", numeric=True),
                    Column("n", numeric=True),
                ],
                rows=rows,
                notes=[
                    f"The {MOST_SONGS} of each dimension. Apart: the mean distance of two answers "
                    "on one pair with the song, 0 where both say the same, 100 where one says a "
                    "and the other b; equal is halfway. Opposite: how many of the n pairs of "
                    "answers are a and b. Few answers: the order of close rows is chance."
                ],
            )
        )
    if store is not None:
        plan = store.plan
        of_each = [screens(plan, index) for index in range(len(plan.listeners))]
        blocks.append(_listeners(measure(store, of_each).listeners))
    return blocks


def _listeners(found: tuple[ListenerProgress, ...]) -> TableBlock:
    return TableBlock(
        caption=LISTENERS,
        columns=[
            Column("Listener"),
            Column("Triplets"),
            Column("Repeated pairs answered as before"),
            Column("Songs equal to themselves"),
        ],
        rows=[
            [
                Cell(one.name),
                Cell(_of(one.n_finished, one.n_triplets)),
                Cell(_of(*one.repeats)),
                Cell(_of(*one.same)),
            ]
            for one in found
        ],
        notes=[
            "Checks are no judgements. A careful listener changes an answer on songs that are "
            "close; one who passes few checks is to be looked at beside the agreement with others."
        ],
    )


def _of(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,}" if whole else words.NOTHING


def with_part(page: Page, task: str, blocks: list[Block]) -> Page:
    """Return the page with blocks as a part of a task's section, before its protocol."""
    anchor = f"task-{task}"
    part = Section("People and songs", f"{anchor}-people", blocks)

    def widened(section: Section) -> Section:
        parts = section.sections
        place = next(
            (n for n, one in enumerate(parts) if one.anchor == f"{anchor}-protocol"), len(parts)
        )
        return replace(section, sections=[*parts[:place], part, *parts[place:]])

    sections = [widened(one) if one.anchor == anchor else one for one in page.sections]
    return replace(page, sections=sections)


def with_sources(page: Page, plan: Plan) -> Page:
    """Return the page with the files of songs in the place of their ids, for the study's makers."""
    sources = {song.id: song.source for song in plan.songs}

    def named(cell: Cell) -> Cell:
        known = [sources.get(part) for part in cell.text.split("-")]
        files = [one for one in known if one is not None]
        if not files or len(files) < len(known):
            return cell
        return replace(cell, text=" / ".join(files), sub=cell.text if len(files) == 1 else "")

    def of(section: Section) -> Section:
        blocks: list[Block] = [
            replace(block, rows=[[named(cell) for cell in row] for row in block.rows])
            if isinstance(block, TableBlock)
            else block
            for block in section.blocks
        ]
        return replace(section, blocks=blocks, sections=[of(one) for one in section.sections])

    return replace(page, sections=[of(one) for one in page.sections])
