"""The headline scores of a record as headlines, and how sentences speak of several of them.

A headline is the headline score of one task and dimension. The random baseline is no
competitor on it: it only shows whether chance is where it should be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from earmark.reports import words
from earmark.reports.content import Span, Text, named_models
from earmark.reports.record.lookup import (
    RANDOM_BASELINE,
    Dimension,
    Rivals,
    best_first,
    dimensions,
    headline,
    relation_to_chance,
    rivals_of,
    select,
)
from earmark.reports.record.schema import RunRecord, Score, TaskResult
from earmark.reports.view import Views, view_of

MOST_NAMES = 3
"""Models, tasks and datasets that a sentence names; of more it gives the number."""


@dataclass(frozen=True, slots=True)
class Headline:
    """One headline: the scores with a value, best first, without the random baseline."""

    task: TaskResult
    side: Dimension
    scores: tuple[Score, ...]
    baseline: Score | None
    rivals: Rivals
    """How the tests hold the other models against the best."""
    noun: str
    """What the task calls one of its items."""
    place: str
    """As a sentence has it: ``arousal``, ``“Caption retrieval: GTZAN”``; empty for the only one."""
    name: str
    """Of its task, the shortest that no other has."""

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


def headlines_of(record: RunRecord, views: Views) -> list[Headline]:
    """Return the headlines on which some model has a value, in the order of the tasks."""
    found: list[Headline] = []
    names = names_of_tasks(record)
    several = len(record.tasks) > 1
    for task in record.tasks:
        chosen = headline(task)
        if chosen is None:
            continue
        metric, subset = chosen
        for side in dimensions(task):
            scores = best_first(select(task.scores, metric=metric, subset=subset, dimension=side))
            rivals = tuple(s for s in scores if s.value is not None and s.model != RANDOM_BASELINE)
            if not rivals:
                continue
            found.append(
                Headline(
                    task=task,
                    side=side,
                    scores=rivals,
                    baseline=next((s for s in scores if s.model == RANDOM_BASELINE), None),
                    noun=view_of(views, task).noun,
                    rivals=rivals_of(task, rivals[0], rivals[1:]),
                    place=" of ".join(
                        part for part in (side, names[task.id] if several else "") if part
                    ),
                    name=names[task.id].strip("“”"),
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


def is_at_chance(headline: Headline) -> bool:
    """Return whether no model is above chance."""
    return all(relation_to_chance(score) in ("level", "worse") for score in headline.scores)


def is_level(headline: Headline) -> bool:
    """Return whether no model is significantly different from the best."""
    return headline.rivals.compared and len(headline.level) == len(headline.scores) - 1 > 0


def _noun(headlines: Sequence[Headline]) -> str:
    return "headline score" if any(headline.side for headline in headlines) else "task"


def share(number: int, headlines: Sequence[Headline]) -> str:
    """Return a number of headlines: ``all 3 tasks``, ``2 of 4 headline scores``."""
    total = len(headlines)
    name = f"{_noun(headlines)}{'s' if total != 1 else ''}"
    if number == total:
        return {1: f"the {name}", 2: f"both {name}"}.get(total, f"all {total} {name}")
    return f"{number} of {total} {name}"


def every(headlines: Sequence[Headline]) -> str:
    """Return what the headlines are, with their number: ``the 8 headline scores``."""
    return f"the {len(headlines)} {_noun(headlines)}s"


def anywhere(headlines: Sequence[Headline]) -> str:
    """Return the end of a sentence that denies something of all headlines."""
    if len(headlines) == 1:
        return f" on {headlines[0].side}" if headlines[0].side else ""
    return f" on any of {every(headlines)}"


def places(some: Sequence[Headline], headlines: Sequence[Headline]) -> str:
    """Return one headline, or the dimensions of one task, by name, and how many others are."""
    if (len(some) == 1 or len(headlines) == 2) and all(headline.place for headline in some):
        return words.listed([headline.place for headline in some])
    return share(len(some), headlines)


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
