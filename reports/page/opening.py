"""The first screen of a report: one figure, one short table, three plain sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from earmark.reports import words
from earmark.reports.content import Block, Bullets, Cell, Column, Plot, Plots, TableBlock
from earmark.reports.figures.overview import Standing, overview
from earmark.reports.findings import plain
from earmark.reports.findings.headlines import Headline, headlines_of
from earmark.reports.findings.task import is_contaminated
from earmark.reports.page.leaderboard import SEEN, ranked
from earmark.reports.page.tables import plain_value
from earmark.reports.record.lookup import level_of, references, values_of
from earmark.reports.record.schema import Reference, RunRecord, Score
from earmark.reports.view import Views

MOST = 10
"""Panels and rows of the figure, and rows of the table; the leaderboard has all."""


def opening(record: RunRecord, views: Views) -> list[Block]:
    """Return the figure, the table and the sentences; nothing where nothing was scored."""
    headlines = headlines_of(record, views)
    if not headlines:
        return []
    return [
        Plots([figure(headlines)]),
        table(record, headlines),
        Bullets(plain.sentences(record, views)),
    ]


def figure(headlines: Sequence[Headline]) -> Plot:
    """Return every model on every headline score: rows are models, panels are scores."""
    shown = headlines[:MOST]
    names = _names(shown)
    ranking = ranked([_scores(headline) for headline in shown])
    drawn = _most(ranking, shown)
    pairs = [
        (name, headline, score)
        for name, headline in zip(names, shown, strict=True)
        for score in _scores(headline)
        if score.model in drawn
    ]
    scores = [score for *_, score in pairs]
    columns: dict[str, Any] = {
        "panel": [name for name, *_ in pairs],
        "model": [score.model for score in scores],
        **values_of(scores),
        "chance": [math.nan if score.chance is None else score.chance for score in scores],
        "standing": [_standing(headline, score.model) for _, headline, score in pairs],
    }
    lines = {
        name: {line.name: line.value for line in _references(headline)}
        for name, headline in zip(names, shown, strict=True)
    }
    space = "\N{NO-BREAK SPACE}"
    left = [
        *([words.plural(len(ranking) - len(drawn), "model")] if len(drawn) < len(ranking) else []),
        *([words.plural(len(headlines) - MOST, "score")] if len(headlines) > MOST else []),
    ]
    more = f" Not drawn: {words.listed(left)}; the leaderboard has all." if left else ""
    lower = [n for n, one in zip(names, shown, strict=True) if not one.best.higher_is_better]
    turned = f" Lower is better: {words.listed(lower)}." if lower else ""
    best = "; ".join(f"{n}: {one.best.model}" for n, one in zip(names, shown, strict=True))
    return Plot(
        title="Every model on every task",
        caption=f"Point: the score. Bar: where the true score lies, with {level_of(scores):g}"
        f"{space}% confidence.{turned}{more}",
        description=f"One panel per score, {len(shown)} in all, and one row per model, "
        f"{len(drawn)} in all, beside the level of chance. Best on each: {best}. The table below "
        f"has the values of the best.",
        draw=partial(
            overview,
            **columns,
            metrics={n: one.best.metric for n, one in zip(names, shown, strict=True)},
            references=lines,
            order=drawn,
        ),
        data=columns,
    )


def table(record: RunRecord, headlines: Sequence[Headline]) -> TableBlock:
    """Return one row a headline score: the best model, how sure that is, its score, and chance."""
    shown = headlines[:MOST]
    rivals = any(len(headline.scores) > 1 for headline in shown)
    against = dict.fromkeys(line.name for headline in shown for line in _references(headline))
    seen = [is_contaminated(record, one.task, one.best.model) for one in shown]
    rows = [
        [
            Cell(name, sub=words.metric(headline.best.metric).head),
            Cell(f"{headline.best.model}{'†' if fit else ''}", tone="strong"),
            *([_clear(headline)] if rivals else []),
            Cell(
                words.score_value(headline.best),
                sub=words.interval(headline.best.interval, headline.best.metric),
                sort=headline.best.value,
            ),
            plain_value(headline.best.chance, headline.best.metric),
            *([_held_against(headline, named=len(against) > 1)] if against else []),
        ]
        for name, headline, fit in zip(_names(shown), shown, seen, strict=True)
    ]
    level = level_of(one.best for one in shown)
    notes = [f"†: {SEEN}."] if any(seen) else []
    if len(headlines) > MOST:
        notes.append(f"The first {MOST} of {len(headlines)} scores; the leaderboard has all.")
    head = words.sentence(next(iter(against))) if len(against) == 1 else "Reference"
    return TableBlock(
        caption="Who is best, and how sure that is" if rivals else "The scores",
        columns=[
            Column("Task"),
            Column("Best model" if rivals else "Model"),
            *([Column("Clearly best?")] if rivals else []),
            Column(f"Score [{level:g}\N{NO-BREAK SPACE}%]", numeric=True),
            Column("Guessing", numeric=True),
            *([Column(head, numeric=len(against) == 1)] if against else []),
        ],
        rows=rows,
        notes=notes,
    )


def _names(headlines: Sequence[Headline]) -> list[str]:
    """Return what each score is called in the figure and the table: its task, and its side."""
    return [
        f"{headline.name}: {headline.side}" if headline.side else headline.name
        for headline in headlines
    ]


def _scores(headline: Headline) -> list[Score]:
    baseline = [] if headline.baseline is None else [headline.baseline]
    return [*headline.scores, *(one for one in baseline if one.value is not None)]


def _most(ranking: Sequence[str], headlines: Sequence[Headline]) -> list[str]:
    """Return the models that are drawn, in their order: the best of each score are among them."""
    best = list(dict.fromkeys(headline.best.model for headline in headlines))
    kept = list(dict.fromkeys([*best, *ranking]))[:MOST]
    return [model for model in ranking if model in kept]


def _standing(headline: Headline, model: str) -> Standing:
    if model == headline.best.model:
        return "best"
    if not headline.rivals.compared:
        return "untested"
    return "level" if model in headline.level + headline.rivals.ahead else "behind"


def _references(headline: Headline) -> list[Reference]:
    """Return what the best is held against besides chance; what equals chance says no more."""
    best = headline.best
    found = references(
        headline.task, metric=best.metric, subset=best.subset, dimension=headline.side
    )
    chance = math.inf if best.chance is None else best.chance
    return [line for line in found if not math.isclose(line.value, chance, abs_tol=1e-12)]


def _held_against(headline: Headline, *, named: bool) -> Cell:
    """Return the references of a score, with their names where these differ between scores."""
    lines = _references(headline)
    metric = headline.best.metric
    if not lines or not named:
        return plain_value(lines[0].value if lines else None, metric)
    return Cell("; ".join(f"{plain_value(one.value, metric).text} {one.name}" for one in lines))


def _clear(headline: Headline) -> Cell:
    """Return whether the best is significantly better than all others, and who comes next."""
    if len(headline.scores) == 1:
        return Cell("no other model", tone="muted")
    second = headline.scores[1]
    after = f"{second.model}, {words.score_value(second)}"
    if not headline.rivals.compared:
        return Cell("not tested", sub=f"next: {after}", tone="muted")
    if headline.won:
        return Cell("yes", sub=f"next: {after}")
    near = list(dict.fromkeys([*headline.rivals.ahead, *headline.level]))
    said = words.plural(len(near), "other") if len(near) > 1 else ""
    if near == [second.model]:
        return Cell("no", sub=f"as good: {after}")
    return Cell("no", sub=f"as good: {said or near[0]}; next: {after}")
