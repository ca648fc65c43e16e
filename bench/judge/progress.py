"""How far a study is: per listener, per dimension, and how long it still takes."""

from __future__ import annotations

import datetime
import itertools
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from earmark.bench.judge.plan import SECONDS_PER_ANSWER, Plan
from earmark.bench.judge.screens import Screen
from earmark.bench.judge.store import Check, Finish, Store
from earmark.bench.metrics.pairs.agreement import evaluate_alpha, rating_matrix
from earmark.bench.metrics.statistics import Estimate
from earmark.datasets.judgements.rules import Judgement

LONGEST_BREAK: Final = 600.0
"""Between the ends of two screens, s; a longer one is no listening."""


@dataclass(frozen=True, slots=True)
class ListenerProgress:
    """What one listener has done."""

    name: str
    n_triplets: int
    n_finished: int
    """Triplets; checks and practice are not counted."""
    repeats: tuple[int, int]
    """Repeated pairs answered as before, of how many."""
    same: tuple[int, int]
    """Songs against themselves called equal, of how many."""
    last: str
    """When the last screen was ended: date and time (UTC), or nothing."""
    seconds_left: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well listeners agree on one dimension so far."""

    dimension: str
    alpha: Estimate | None
    """Krippendorff's alpha (nominal) over triplets, None where it is not defined yet."""
    n_pairs: int
    """Judged by two listeners or more."""
    full: int
    """Pairs that all listeners of the plan have judged."""
    unanimous: int
    """Of these, judged alike by all."""
    n_all: int
    """Pairs of the plan."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The organiser's figures."""

    listeners: tuple[ListenerProgress, ...]
    agreement: tuple[Agreement, ...]

    @property
    def seconds_left(self) -> float:
        """Listening time still to be given, of all listeners together, s."""
        return sum(one.seconds_left for one in self.listeners)


def measure(store: Store, screens: Sequence[Sequence[Screen]]) -> Progress:
    """Return the figures of a study; ``screens`` are those of each listener."""
    judgements = store.judgements()
    finishes = defaultdict(list)
    for finish in store.finished():
        finishes[finish.listener].append(finish)
    checks = defaultdict(list)
    for check in store.checks():
        checks[check.listener].append(check)
    answered = {_question(row.annotator, row): row.higher_value for row in judgements}
    people = tuple(
        _person(store.plan, name, own, finishes[name], checks[name], answered)
        for name, own in zip(store.plan.listeners, screens, strict=True)
    )
    names = [dimension.name for dimension in store.plan.dimensions]
    return Progress(people, tuple(_agreement(store.plan, name, judgements) for name in names))


def seconds_left(plan: Plan, screens: Sequence[Screen], finishes: Sequence[Finish]) -> float:
    """Return how long a listener still needs, s: screens left times the median pace so far."""
    done = {finish.screen for finish in finishes}
    n_left = sum(screen.id not in done for screen in screens)
    times = [datetime.datetime.fromisoformat(finish.at).timestamp() for finish in finishes]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    gaps = [gap for gap in gaps if gap < LONGEST_BREAK]
    if len(gaps) >= 3:
        return n_left * statistics.median(gaps)
    seconds = statistics.mean(song.seconds for song in plan.songs)
    return n_left * 3 * (seconds + SECONDS_PER_ANSWER * len(plan.dimensions))


def in_words(seconds: float) -> str:
    """Return a length of time as it is said.

    >>> in_words(50), in_words(1500), in_words(9000)
    ('1 minute', '25 minutes', '2.5 hours')
    """
    minutes = max(1, round(seconds / 60))
    if minutes < 90:
        return f"{minutes} minute{'s' if minutes > 1 else ''}"
    return f"{minutes / 60:.1f} hours"


def _question(listener: str, row: Judgement | Check) -> tuple[str, ...]:
    return listener, row.triplet, row.song_a, row.song_b, row.dimension


def _person(
    plan: Plan,
    name: str,
    screens: Sequence[Screen],
    finishes: Sequence[Finish],
    checks: Sequence[Check],
    answered: dict[tuple[str, ...], str],
) -> ListenerProgress:
    done = {finish.screen for finish in finishes}
    own = [screen for screen in screens if screen.kind == "triplet"]
    repeats = [
        (check.higher_value, answered.get(_question(name, check)))
        for check in checks
        if check.kind == "repeat"
    ]
    same = [check.higher_value == "ab" for check in checks if check.kind == "same"]
    return ListenerProgress(
        name,
        n_triplets=len(own),
        n_finished=sum(screen.id in done for screen in own),
        repeats=(sum(again == before for again, before in repeats), len(repeats)),
        same=(sum(same), len(same)),
        last=finishes[-1].at[:16].replace("T", " ") if finishes else "",
        seconds_left=seconds_left(plan, screens, finishes),
    )


def _agreement(plan: Plan, dimension: str, judgements: Sequence[Judgement]) -> Agreement:
    rows = [row for row in judgements if row.dimension == dimension]
    items = [f"{row.triplet} {row.song_a} {row.song_b}" for row in rows]
    matrix, _, columns = rating_matrix(
        [row.annotator for row in rows], items, [row.higher_value for row in rows]
    )
    try:
        alpha = evaluate_alpha(matrix, units=[column.split()[0] for column in columns])
    except ValueError:  # nothing judged twice yet, or all answers are the same
        alpha = None
    values: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for item, row in zip(items, rows, strict=True):
        if row.higher_value != "not_selected":
            values[item][row.higher_value] += 1
    full = [counts for counts in values.values() if counts.total() >= plan.annotators]
    return Agreement(
        dimension,
        alpha,
        n_pairs=sum(counts.total() >= 2 for counts in values.values()),
        full=len(full),
        unanimous=sum(len(counts) == 1 for counts in full),
        n_all=3 * len(plan.triplets),
    )
