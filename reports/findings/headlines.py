"""The headline scores of a record as boards, and how sentences speak of several of them.

A board is the headline score of one task and dimension. The model that hears nothing is no
competitor on it: it only shows whether chance is where it should be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from earmark.reports import words
from earmark.reports.content import Span, Text, named_models
from earmark.reports.record.lookup import (
    SENTINEL,
    Dimension,
    Rivals,
    Standing,
    against,
    best_first,
    dimensions,
    headline,
    rivals_of,
    select,
)
from earmark.reports.record.schema import RunRecord, Score, TaskResult
from earmark.reports.view import Views, view_of

MOST_NAMES = 3
"""Models, tasks and datasets that a sentence names; of more it gives the number."""


@dataclass(frozen=True, slots=True)
class Board:
    """One headline: the scores with a value, best first, without the model that hears nothing."""

    task: TaskResult
    side: Dimension
    scores: tuple[Score, ...]
    sentinel: Score | None
    rivals: Rivals
    """How the tests hold the other models against the best."""
    noun: str
    """What the task calls one of its items."""
    place: str
    """As a sentence has it: ``arousal``, ``“Caption retrieval: GTZAN”``; empty for the only one."""

    @property
    def best(self) -> Score:
        """The best score."""
        return self.scores[0]

    @property
    def level(self) -> tuple[str, ...]:
        """Models that are not significantly different from the best."""
        return self.rivals.level

    @property
    def won(self) -> bool:
        """Whether the best is significantly better than every other model."""
        return self.rivals.compared and not self.rivals.level and not self.rivals.ahead


def boards_of(record: RunRecord, views: Views) -> list[Board]:
    """Return the boards on which some model has a value, in the order of the tasks."""
    found: list[Board] = []
    names = names_of_tasks(record)
    several = len(record.tasks) > 1
    for task in record.tasks:
        chosen = headline(task)
        if chosen is None:
            continue
        metric, subset = chosen
        for side in dimensions(task):
            scores = best_first(select(task.scores, metric=metric, subset=subset, dimension=side))
            rivals = tuple(s for s in scores if s.value is not None and s.model != SENTINEL)
            if not rivals:
                continue
            found.append(
                Board(
                    task=task,
                    side=side,
                    scores=rivals,
                    sentinel=next((s for s in scores if s.model == SENTINEL), None),
                    noun=view_of(views, task).noun,
                    rivals=rivals_of(task, rivals[0], rivals[1:]),
                    place=" of ".join(
                        part for part in (side, names[task.id] if several else "") if part
                    ),
                )
            )
    return found


def names_of_tasks(record: RunRecord) -> dict[str, str]:
    """Return what sentences call each task: the shortest of its names that no other has."""
    found = {}
    short = Counter(task.title.partition(": ")[0] for task in record.tasks)
    whole = Counter(task.title for task in record.tasks)
    for task in record.tasks:
        kind = task.title.partition(": ")[0]
        if short[kind] == 1:
            found[task.id] = f"“{kind}”"
        else:
            found[task.id] = f"“{task.title}”" if whole[task.title] == 1 else task.id
    return found


def standing(score: Score) -> Standing:
    """Return on which side of chance a score lies."""
    return "unknown" if score.chance is None else against(score, score.chance)


def is_at_chance(board: Board) -> bool:
    """Return whether no model is above chance."""
    return all(standing(score) in ("level", "worse") for score in board.scores)


def is_level(board: Board) -> bool:
    """Return whether no model can be told apart from the best."""
    return board.rivals.compared and len(board.level) == len(board.scores) - 1 > 0


def _noun(boards: Sequence[Board]) -> str:
    return "headline score" if any(board.side for board in boards) else "task"


def share(number: int, boards: Sequence[Board]) -> str:
    """Return a number of boards: ``all 3 tasks``, ``2 of 4 headline scores``."""
    total = len(boards)
    name = f"{_noun(boards)}{'s' if total != 1 else ''}"
    if number == total:
        return {1: f"the {name}", 2: f"both {name}"}.get(total, f"all {total} {name}")
    return f"{number} of {total} {name}"


def every(boards: Sequence[Board]) -> str:
    """Return what the boards are, with their number: ``the 8 headline scores``."""
    return f"the {len(boards)} {_noun(boards)}s"


def anywhere(boards: Sequence[Board]) -> str:
    """Return the end of a sentence that denies something of all boards."""
    if len(boards) == 1:
        return f" on {boards[0].side}" if boards[0].side else ""
    return f" on any of {every(boards)}"


def places(some: Sequence[Board], boards: Sequence[Board]) -> str:
    """Return one board, or the dimensions of one task, by name, and how many others are."""
    if (len(some) == 1 or len(boards) == 2) and all(board.place for board in some):
        return words.listed([board.place for board in some])
    return share(len(some), boards)


def few(models: Sequence[str]) -> Text:
    """Return models by name, or of many how many they are."""
    if len(models) <= MOST_NAMES:
        return named_models(models)
    return (Span(words.plural(len(models), "model")),)


def listed(names: Sequence[str], noun: str) -> str:
    """Return names as a sentence has them, or of many how many they are."""
    return words.listed(names) if len(names) <= MOST_NAMES else words.plural(len(names), noun)


def joined(clauses: Sequence[Text]) -> Text:
    """Return clauses as one sentence."""
    spans: list[Span] = []
    for place, clause in enumerate(clauses):
        spans += [Span("; ")] if place else []
        spans += [part for part in clause if part.text]
    if spans:
        # Only the project's own words get a capital: the name of a model stays as it is.
        first = spans[0]
        if first.style != "name":
            spans[0] = Span(words.sentence(first.text), first.style)
    return (*spans, Span("."))
