"""A whole report in three sentences that need no statistics to be read.

Who is best and by how much above guessing; whether that may be luck; what is to be kept in mind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from earmark.reports import words
from earmark.reports.content import Span, Text
from earmark.reports.findings.headlines import MOST_NAMES, Headline, few, headlines_of, joined
from earmark.reports.findings.summary import cautions
from earmark.reports.record.lookup import Relation, references, relation_to_chance
from earmark.reports.record.schema import RunRecord, Score
from earmark.reports.view import Views

MOST_CAUTIONS = 2


def sentences(record: RunRecord, views: Views) -> list[Text]:
    """Return at most three sentences: who is best, how sure that is, what to keep in mind."""
    headlines = headlines_of(record, views)
    if not headlines:
        return []
    if len(headlines) == 1:
        found = [_best(headlines[0]), _certainty(headlines[0])]
    else:
        found = [_winners(headlines), _certainties(headlines)]
    if kept := cautions(record, headlines):
        mind = joined(kept[:MOST_CAUTIONS])
        found.append((Span("Keep in mind: ", "strong"), _lowered(mind[0]), *mind[1:]))
    return [text for text in found if text]


def _lowered(first: Span) -> Span:
    """Return the first words of a sentence as they stand inside one; names stay as they are."""
    keep = first.style == "name" or first.text[:2].isupper()
    return first if keep else Span(first.text[:1].lower() + first.text[1:], first.style)


# Of one score


def _with_unit(score: Score) -> str:
    return words.with_unit(score.value or 0.0, score.metric)


def _best(headline: Headline) -> Text:
    best = headline.best
    alone = len(headline.scores) == 1
    verb = " reaches " if alone else " is best: it reaches "
    against = [] if best.chance is None else [f"guessing gives {_unit(best.chance, best)}"]
    lines = references(
        headline.task, metric=best.metric, subset=best.subset, dimension=headline.side
    )
    against += [
        f"{line.name} gives {_unit(line.value, best)}"
        for line in lines[:1]
        if _unit(line.value, best) != (best.chance is not None and _unit(best.chance, best))
    ]
    said = f"{words.metric_in_text(best.metric)} {_with_unit(best)}"
    tail = f", where {words.listed(against)}." if against else "."
    return (Span(best.model, "name"), Span(f"{verb}{said}{tail}"))


def _unit(value: float, score: Score) -> str:
    return words.with_unit(value, score.metric)


_ABOVE: dict[Relation, str] = {
    "better": "clearly better than guessing",
    "level": "not clearly better than guessing",
    "worse": "worse than guessing",
    "unknown": "",
}


def _certainty(headline: Headline) -> Text:
    best = headline.best
    others = headline.scores[1:]
    if not others:
        said = _ABOVE[relation_to_chance(best)]
        if best.interval is None:
            return (Span("How far luck moves this score is not known: it has no interval."),)
        low, high = (_unit(end, best) for end in (best.interval.low, best.interval.high))
        sure = f"{100 * best.interval.level:g}\N{NO-BREAK SPACE}% confidence"
        what = f"The true value lies between {low} and {high} with {sure}"
        return (Span(f"{what}{f': {said}' if said else ''}."),)
    second = others[0]
    if not headline.rivals.compared:
        return (
            Span("Whether that is luck was not tested; next is "),
            Span(second.model, "name"),
            Span(f" with {_with_unit(second)}."),
        )
    if headline.won:
        return (
            Span("Luck does not explain its lead over "),
            Span(second.model, "name"),
            Span(f" ({_with_unit(second)}) or over any other model."),
        )
    return (
        Span("Its lead may be luck: "),
        *_near(headline),
        Span(" may be as good, or better."),
    )


def _near(headline: Headline) -> Text:
    near = headline.level + tuple(m for m in headline.rivals.ahead if m not in headline.level)
    if len(near) == len(headline.scores) - 1 > MOST_NAMES:
        return (Span("every other model"),)
    return few(near)


# Of several


def _winners(headlines: Sequence[Headline]) -> Text:
    wins = Counter(headline.best.model for headline in headlines).most_common()
    total = len(headlines)
    if len(wins) == 1:
        every = "both scores" if total == 2 else f"all {total} scores"
        if all(len(headline.scores) == 1 for headline in headlines):
            head: list[Span] = [Span(wins[0][0], "name"), Span(f" is the only model on {every}")]
        else:
            head = [Span(wins[0][0], "name"), Span(f" is best on {every}")]
    elif wins[0][1] == 1 and len(wins) > MOST_NAMES:
        head = [Span(f"No model is best on more than one of the {total} scores")]
    else:
        head = []
        for place, (model, number) in enumerate(wins[:MOST_NAMES]):
            last = place == min(len(wins), MOST_NAMES) - 1 and len(wins) <= MOST_NAMES
            head += [Span(" and " if last else ", ")] if place else []
            of = f" is best on {number} of {total} scores" if not place else f" on {number}"
            head += [Span(model, "name"), Span(of)]
        if left := sum(count for _, count in wins[MOST_NAMES:]):
            head.append(Span(f", and others on the remaining {left}"))
    alone = len(wins) == 1
    known = [relation_to_chance(h.best) for h in headlines if h.best.chance is not None]
    known = [relation for relation in known if relation != "unknown"]
    above = known.count("better")
    if not known:
        tail = ""
    elif alone and above == len(known) == total:
        tail = ", and clearly better than guessing on each"
    elif alone and above:
        tail = f"; it is clearly better than guessing on {above} of them"
    elif above == len(known) == total:
        tail = "; each of these best scores is clearly better than guessing"
    elif not above:
        tail = "; none of these best scores is clearly better than guessing"
    else:
        verb = "is" if above == 1 else "are"
        tail = f"; {above} of these {total} best scores {verb} clearly better than guessing"
    return (*head, Span(f"{tail}."))


def _certainties(headlines: Sequence[Headline]) -> Text:
    several = [headline for headline in headlines if len(headline.scores) > 1]
    if not several:
        return (Span("There is no second model on any of them, so nothing is ranked."),)
    won = [headline for headline in several if headline.won]
    open_ = [headline for headline in several if headline.rivals.compared and headline not in won]
    rest = f"the other {len(open_)}" if len(won) + len(open_) == len(headlines) else ""
    untested = len(several) - len(won) - len(open_)
    clauses: list[str] = []
    if won:
        clauses.append(f"luck does not explain the lead on {_places(won, headlines)}")
    if open_:
        lead = "it" if won else "the lead"
        where = rest if won and rest and len(open_) > 1 else _places(open_, headlines)
        clauses.append(f"on {where}, {lead} may be luck: another model may be as good")
    if untested:
        clauses.append(f"on {untested} no test was made")
    return (Span(f"{words.sentence('; '.join(clauses))}."),)


def _places(some: Sequence[Headline], headlines: Sequence[Headline]) -> str:
    """Return headlines by name, or of many how many they are."""
    if len(some) == len(headlines):
        return "both" if len(some) == 2 else f"all {len(some)}"
    if len(some) == 1 and some[0].place:
        return some[0].place
    return f"{len(some)} of the {len(headlines)}"
