"""A whole report in a verdict and at most three sentences, computed from the record.

Who wins, by how much, and whether a test tells it; what is not to be believed; what the record
cannot say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from earmark.reports import words
from earmark.reports.content import Span, Text
from earmark.reports.findings import findings_doubts
from earmark.reports.findings.headlines import (
    MOST_NAMES,
    Board,
    anywhere,
    boards_of,
    every,
    few,
    is_at_chance,
    is_level,
    joined,
    share,
    standing,
)
from earmark.reports.findings.task import is_contaminated
from earmark.reports.record.lookup import SENTINEL, SIGNIFICANT, Standing, pairs_with
from earmark.reports.record.schema import Comparison, RunRecord, Score
from earmark.reports.view import Views

MOST_LEADS = 2
"""Boards whose lead is told; the leaderboard has all."""


def verdict(record: RunRecord, views: Views) -> Text:
    """Return who is best, in one line."""
    boards = boards_of(record, views)
    if not boards:
        return (Span("Nothing was scored." if record.tasks else "No task of this suite ran."),)
    models = dict.fromkeys(score.model for board in boards for score in board.scores)
    if len(models) == 1:
        return _alone(boards)
    if all(is_at_chance(board) for board in boards):
        return (Span(f"No model is above chance{anywhere(boards)}."),)
    if all(is_level(board) for board in boards):
        if len(boards) == 1:
            (board,) = boards
            said = Span(" has the best value, and no other model can be told apart from it.")
            return (Span(board.best.model, "name"), said)
        return (Span(f"No model can be told apart from the best{anywhere(boards)}."),)
    if len(boards) <= MOST_LEADS:
        return joined([_told(record, board) for board in boards])
    return _counted(record, boards)


def sentences(record: RunRecord, views: Views) -> list[Text]:
    """Return at most three: the leads, what is not to be believed, what cannot be said."""
    boards = boards_of(record, views)
    found = [
        _leads(boards),
        findings_doubts.doubts(record, boards),
        findings_doubts.limits(record, boards),
    ]
    return [text for text in found if text]


# The verdict


def _alone(boards: Sequence[Board]) -> Text:
    beside = f" besides {SENTINEL}" if any(board.sentinel for board in boards) else ""
    head = (Span(boards[0].best.model, "name"), Span(f", the only model here{beside}, is "))
    standings = [standing(board.best) for board in boards]
    if len(boards) == 1:
        said: dict[Standing, str] = {
            "better": "above chance",
            "worse": "below chance",
            "level": "not told apart from chance",
            "unknown": "held against nothing: there is no interval, or no level of chance",
        }
        return (*head, Span(f"{said[standings[0]]}."))
    above = standings.count("better")
    if not above:
        return (*head, Span(f"not above chance{anywhere(boards)}."))
    return (*head, Span(f"above chance on {share(above, boards)}."))


def _told(record: RunRecord, board: Board) -> Text:
    """Return how the best of one board stands, as a clause."""
    where = Span(f"on {board.place}, " if board.place else "")
    name = Span(board.best.model, "name")
    seen = _seen(record, board)
    others = len(board.scores) - 1
    if not others:
        return (where, name, Span(f" is the only model with a score{seen}"))
    if not board.rivals.compared:
        return (where, name, Span(f" has the best value{seen}; no comparison was made"))
    if board.rivals.ahead:
        verb = "is" if len(board.rivals.ahead) == 1 else "are"
        found = Span(f" has the best value{seen}, though on the items that all share ")
        return (where, name, found, *few(board.rivals.ahead), Span(f" {verb} significantly better"))
    if not board.level:
        return (where, name, Span(f" is best{seen} and told apart from every other model"))
    if len(board.level) == others and others > 1:
        return (where, name, Span(f" is best{seen} but cannot be told apart from any other model"))
    return (where, name, Span(f" is best{seen} but cannot be told apart from "), *few(board.level))


def _counted(record: RunRecord, boards: Sequence[Board]) -> Text:
    """Return on how many boards the most successful model is best, and how sure that is."""
    wins: dict[str, list[Board]] = {}
    for board in boards:
        wins.setdefault(board.best.model, []).append(board)
    most = max(len(won) for won in wins.values())
    leaders = [model for model, won in wins.items() if len(won) == most]
    on = share(most, boards)
    if len(leaders) > 1:
        return _shared(boards, wins, leaders)
    (leader,) = leaders
    won = wins[leader]
    head: Text = (Span(leader, "name"), Span(f" is best on {on}"))
    if seen := [board for board in won if _seen(record, board)]:
        of = "each" if len(seen) == len(won) else f"{len(seen)} of them"
        head = (*head, Span(f", though trained on the dataset of {'it' if most == 1 else of}"))
    apart = [board for board in won if board.won]
    tied = [board for board in won if board.level]
    behind = [board for board in won if board.rivals.ahead]
    rest: Text = ()
    if len(apart) == len(won):
        rest = (
            Span(
                f", told apart from every other model {'there' if most == 1 else 'on each of them'}"
            ),
        )
    elif behind:
        on_them = "there" if most == 1 else f"on {len(behind)} of them"
        said = f"; {on_them}, another model is significantly better on the items that all share"
        rest = (Span(said),)
    elif tied:
        rest = _level_with(tied, most)
    elif not apart:
        rest = (Span("; no comparison was made there"),)
    return (*head, *rest, *_runners_up(leader, wins), Span("."))


def _level_with(tied: Sequence[Board], most: int) -> Text:
    """Return from whom a model cannot be told apart on some of the boards where it is best."""
    if all(set(board.level) == set(tied[0].level) for board in tied):
        where = "there" if most == 1 else f"on {len(tied)} of them"
        said = "; it cannot be told apart from "
        return (
            Span(said),
            *few(tied[0].level),
            Span(f" {'on any' if len(tied) == most > 1 else where}"),
        )
    where = "each" if len(tied) == most else f"{len(tied)} of them"
    return (Span(f"; on {where}, other models cannot be told apart from it"),)


def _shared(
    boards: Sequence[Board], wins: Mapping[str, list[Board]], leaders: Sequence[str]
) -> Text:
    """Return which models are best on equally many boards."""
    tied = sum(bool(board.level) for board in boards)
    known = all(board.won or len(board.scores) == 1 for board in boards)
    some = share(tied, boards)
    told = f"; on {some} the best cannot be told apart from another model" if tied else ""
    told = told or (", told apart from every other model" if known else "")
    sides = {model: {board.side for board in wins[model]} for model in leaders}
    if len(wins) == len(leaders) == 2 and all(len(side) == 1 for side in sides.values()):
        spans: list[Span] = []
        for place, model in enumerate(leaders):
            spans += [Span(" and "), Span(model, "name")] if place else [Span(model, "name")]
            spans.append(Span(f"{'' if place else ' is best'} on {next(iter(sides[model]))}"))
        if None not in set.union(*sides.values()):
            return (*spans, Span(f" of every task{told}."))
    if len(wins[leaders[0]]) == 1 and len(leaders) > MOST_NAMES:
        return (Span(f"No model is best on more than one of {every(boards)}{told}."),)
    return (*few(leaders), Span(f" are each best on {share(len(wins[leaders[0]]), boards)}{told}."))


def _runners_up(leader: str, wins: Mapping[str, list[Board]]) -> Text:
    others = [(model, len(won)) for model, won in wins.items() if model != leader]
    others.sort(key=lambda other: -other[1])
    if not others or len(others) > MOST_NAMES:
        return ()
    spans: list[Span] = [Span("; ")]
    for place, (model, number) in enumerate(others):
        link = "" if not place else " and " if place == len(others) - 1 else ", "
        verb = " is best" if not place else ""
        spans += [Span(link), Span(model, "name"), Span(f"{verb} on {number}")]
    return tuple(spans)


# By how much


def _leads(boards: Sequence[Board]) -> Text:
    """Return the values and leads of the best on the boards of the most successful model."""
    if not boards:
        return ()
    wins = Counter(board.best.model for board in boards)
    ordered = sorted(boards, key=lambda board: -wins[board.best.model])
    told = ordered[:MOST_LEADS]
    left = len(boards) - len(told)
    more = f"; the leaderboard has the other{f' {left}' if left > 1 else ''}" if left else ""
    return (*joined([_lead(board) for board in told])[:-1], Span(f"{more}."))


def _lead(board: Board) -> Text:
    best = board.best
    where = Span(f"on {board.place}, " if board.place else "")
    head: Text = (
        where,
        Span(best.model, "name"),
        Span(f" has {words.metric_in_text(best.metric)} "),
        Span(words.value_in_text(best), "strong"),
        Span(f" over {words.scored(best, board.noun)}"),
    )
    if len(board.scores) == 1:
        if best.chance is None:
            return head
        return (*head, Span(f", where chance is {words.with_unit(best.chance, best.metric)}"))
    second = board.scores[1]
    pair = next((p for p in pairs_with(board.task, best) if p.other == second.model), None)
    if pair is None:
        return (
            *head,
            Span(", the next is "),
            Span(second.model, "name"),
            Span(f" with {_with_unit(second)}"),
        )
    apart = "told apart" if pair.p_holm < SIGNIFICANT else "not told apart"
    shared = "" if pair.n >= best.n else f" on {words.plural(pair.n, board.noun)} that all share"
    return (
        *head,
        Span(f", {_difference(pair)} "),
        Span(second.model, "name"),
        Span(f"{shared} ({apart})"),
    )


def _difference(pair: Comparison) -> str:
    """Return by how much a model's value is above or below another's, as it was tested."""
    sign = -1 if pair.difference < 0 else 1
    how = words.metric(pair.metric)
    unit = f"\N{NO-BREAK SPACE}{how.difference_unit}" if how.difference_unit else ""
    size = f"{words.number(how.factor * abs(pair.difference), how.digits)}{unit}"
    if pair.interval is not None:
        ends = sorted(sign * how.factor * end for end in (pair.interval.low, pair.interval.high))
        low, high = (words.number(end, how.digits) for end in ends)
        size += f" [{low}, {high}]"
    word = "above" if pair.difference > 0 else "below" if pair.difference < 0 else "from"
    return f"{size} {word}"


def _seen(record: RunRecord, board: Board) -> str:
    seen = is_contaminated(record, board.task, board.best.model)
    return " (though trained on this dataset)" if seen else ""


def _with_unit(score: Score) -> str:
    return words.with_unit(score.value or 0.0, score.metric)
