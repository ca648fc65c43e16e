"""A whole report in a verdict and at most three sentences, computed from the record.

Who wins, by how much, and whether a test tells it; what is not to be believed; what the record
cannot say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from earmark.reports import words
from earmark.reports.content import Span, Text, named_models
from earmark.reports.findings.headlines import (
    MOST_NAMES,
    Headline,
    anywhere,
    every,
    few,
    headlines_of,
    is_at_chance,
    is_level,
    joined,
    listed,
    names_of_tasks,
    places,
    share,
)
from earmark.reports.findings.task import is_contaminated
from earmark.reports.record.lookup import (
    RANDOM_BASELINE,
    SIGNIFICANT,
    Relation,
    dataset_of,
    is_alarm,
    pairs_with,
    relation_to_chance,
)
from earmark.reports.record.schema import Comparison, RunRecord, Score
from earmark.reports.view import Views

MOST_LEADS = 2
"""Boards whose lead is told; the leaderboard has all."""


def verdict(record: RunRecord, views: Views) -> Text:
    """Return who is best, in one line."""
    headlines = headlines_of(record, views)
    if not headlines:
        return (Span("Nothing was scored." if record.tasks else "No task of this suite ran."),)
    models = dict.fromkeys(score.model for headline in headlines for score in headline.scores)
    if len(models) == 1:
        return _alone(headlines)
    if all(is_at_chance(headline) for headline in headlines):
        return (Span(f"No model is above chance{anywhere(headlines)}."),)
    if all(is_level(headline) for headline in headlines):
        if len(headlines) == 1:
            (headline,) = headlines
            said = Span(f" has the best value; no other model is {words.DIFFERENT} from it.")
            return (Span(headline.best.model, "name"), said)
        return (Span(f"No model is {words.DIFFERENT} from the best{anywhere(headlines)}."),)
    if len(headlines) <= MOST_LEADS:
        return joined([_told(record, headline) for headline in headlines])
    return _counted(record, headlines)


def sentences(record: RunRecord, views: Views) -> list[Text]:
    """Return at most three: the leads, what is not to be believed, what cannot be said."""
    headlines = headlines_of(record, views)
    found = [
        _leads(headlines),
        doubts(record, headlines),
        limits(record, headlines),
    ]
    return [text for text in found if text]


# The verdict


def _alone(headlines: Sequence[Headline]) -> Text:
    beside = (
        f" besides {RANDOM_BASELINE}" if any(headline.baseline for headline in headlines) else ""
    )
    head = (Span(headlines[0].best.model, "name"), Span(f", the only model here{beside}, is "))
    relations = [relation_to_chance(headline.best) for headline in headlines]
    if len(headlines) == 1:
        said: dict[Relation, str] = {
            "better": "above chance",
            "worse": "below chance",
            "level": f"{words.NOT_DIFFERENT} from chance",
            "unknown": "compared with nothing: there is no interval, or no level of chance",
        }
        return (*head, Span(f"{said[relations[0]]}."))
    above = relations.count("better")
    if not above:
        return (*head, Span(f"not above chance{anywhere(headlines)}."))
    return (*head, Span(f"above chance on {share(above, headlines)}."))


def _told(record: RunRecord, headline: Headline) -> Text:
    """Return how the best of one headline stands, as a clause."""
    where = Span(f"on {headline.place}, " if headline.place else "")
    name = Span(headline.best.model, "name")
    seen = _seen(record, headline)
    others = len(headline.scores) - 1
    if not others:
        return (where, name, Span(f" is the only model with a score{seen}"))
    if not headline.rivals.compared:
        return (where, name, Span(f" has the best value{seen}; no comparison was made"))
    if headline.rivals.ahead:
        verb = "is" if len(headline.rivals.ahead) == 1 else "are"
        found = Span(f" has the best value{seen}, though on the items that all share ")
        return (
            where,
            name,
            found,
            *few(headline.rivals.ahead),
            Span(f" {verb} significantly better"),
        )
    if not headline.level:
        return (where, name, Span(f" is best{seen} and {words.BEATS_ALL}"))
    if len(headline.level) == others and others > 1:
        return (where, name, Span(f" is best{seen} but {words.NOT_DIFFERENT} from any other model"))
    return (
        where,
        name,
        Span(f" is best{seen} but {words.NOT_DIFFERENT} from "),
        *few(headline.level),
    )


def _counted(record: RunRecord, headlines: Sequence[Headline]) -> Text:
    """Return on how many headlines the most successful model is best, and how sure that is."""
    wins: dict[str, list[Headline]] = {}
    for headline in headlines:
        wins.setdefault(headline.best.model, []).append(headline)
    most = max(len(won) for won in wins.values())
    leaders = [model for model, won in wins.items() if len(won) == most]
    on = share(most, headlines)
    if len(leaders) > 1:
        return _shared(headlines, wins, leaders)
    (leader,) = leaders
    won = wins[leader]
    head: Text = (Span(leader, "name"), Span(f" is best on {on}"))
    if seen := [headline for headline in won if _seen(record, headline)]:
        of = "each" if len(seen) == len(won) else f"{len(seen)} of them"
        head = (*head, Span(f", though trained on the dataset of {'it' if most == 1 else of}"))
    apart = [headline for headline in won if headline.won]
    tied = [headline for headline in won if headline.level]
    behind = [headline for headline in won if headline.rivals.ahead]
    rest: Text = ()
    if len(apart) == len(won):
        rest = (Span(f", {words.BEATS_ALL} {'there' if most == 1 else 'on each of them'}"),)
    elif behind:
        on_them = "there" if most == 1 else f"on {len(behind)} of them"
        said = f"; {on_them}, another model is significantly better on the items that all share"
        rest = (Span(said),)
    elif tied:
        rest = _level_with(tied, most)
    elif not apart:
        rest = (Span("; no comparison was made there"),)
    return (*head, *rest, *_runners_up(leader, wins), Span("."))


def _level_with(tied: Sequence[Headline], most: int) -> Text:
    """Return which models are not significantly worse than one on headlines where it is best."""
    if all(set(headline.level) == set(tied[0].level) for headline in tied):
        where = "there" if most == 1 else f"on {len(tied)} of them"
        said = f"; it is {words.NOT_DIFFERENT} from "
        return (
            Span(said),
            *few(tied[0].level),
            Span(f" {'on any' if len(tied) == most > 1 else where}"),
        )
    where = "each" if len(tied) == most else f"{len(tied)} of them"
    return (Span(f"; on {where}, other models are {words.NOT_DIFFERENT} from it"),)


def _shared(
    headlines: Sequence[Headline], wins: Mapping[str, list[Headline]], leaders: Sequence[str]
) -> Text:
    """Return which models are best on equally many headlines."""
    tied = sum(bool(headline.level) for headline in headlines)
    known = all(headline.won or len(headline.scores) == 1 for headline in headlines)
    some = share(tied, headlines)
    told = f"; on {some} the best is {words.NOT_DIFFERENT} from another model" if tied else ""
    told = told or (f", {words.BEATS_ALL}" if known else "")
    sides = {model: {headline.side for headline in wins[model]} for model in leaders}
    if len(wins) == len(leaders) == 2 and all(len(side) == 1 for side in sides.values()):
        spans: list[Span] = []
        for place, model in enumerate(leaders):
            spans += [Span(" and "), Span(model, "name")] if place else [Span(model, "name")]
            spans.append(Span(f"{'' if place else ' is best'} on {next(iter(sides[model]))}"))
        if None not in set.union(*sides.values()):
            return (*spans, Span(f" of every task{told}."))
    if len(wins[leaders[0]]) == 1 and len(leaders) > MOST_NAMES:
        return (Span(f"No model is best on more than one of {every(headlines)}{told}."),)
    return (
        *few(leaders),
        Span(f" are each best on {share(len(wins[leaders[0]]), headlines)}{told}."),
    )


def _runners_up(leader: str, wins: Mapping[str, list[Headline]]) -> Text:
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


def _leads(headlines: Sequence[Headline]) -> Text:
    """Return the values and leads of the best on the headlines of the most successful model."""
    if not headlines:
        return ()
    wins = Counter(headline.best.model for headline in headlines)
    ordered = sorted(headlines, key=lambda headline: -wins[headline.best.model])
    told = ordered[:MOST_LEADS]
    left = len(headlines) - len(told)
    more = f"; the leaderboard has the other{f' {left}' if left > 1 else ''}" if left else ""
    return (*joined([_lead(headline) for headline in told])[:-1], Span(f"{more}."))


def _lead(headline: Headline) -> Text:
    best = headline.best
    where = Span(f"on {headline.place}, " if headline.place else "")
    head: Text = (
        where,
        Span(best.model, "name"),
        Span(f" has {words.metric_in_text(best.metric)} "),
        Span(words.value_in_text(best), "strong"),
        Span(f" over {words.scored(best, headline.noun)}"),
    )
    if len(headline.scores) == 1:
        if best.chance is None:
            return head
        return (*head, Span(f", where chance is {words.with_unit(best.chance, best.metric)}"))
    second = headline.scores[1]
    pair = next((p for p in pairs_with(headline.task, best) if p.other == second.model), None)
    if pair is None:
        return (
            *head,
            Span(", the next is "),
            Span(second.model, "name"),
            Span(f" with {_with_unit(second)}"),
        )
    apart = "significant" if pair.p_holm < SIGNIFICANT else "not significant"
    shared = "" if pair.n >= best.n else f" on {words.plural(pair.n, headline.noun)} that all share"
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


def _seen(record: RunRecord, headline: Headline) -> str:
    seen = is_contaminated(record, headline.task, headline.best.model)
    return " (though trained on this dataset)" if seen else ""


def _with_unit(score: Score) -> str:
    return words.with_unit(score.value or 0.0, score.metric)


MOST_CLAUSES = 2
"""Boards of which a sentence says each by name."""
FEW_ITEMS = 100
"""Items below which a task is said to rest on few."""
MANY_GAPS = 0.05
"""Share of the items of other models that a model may lack without a word."""
MANY_TIES = 0.05
"""Share of pairs that a model leaves tied, above which its accuracy is to be doubted."""


def doubts(record: RunRecord, headlines: Sequence[Headline]) -> Text:
    """Return alarms, contamination, what is at chance, and warnings; or that there is none."""
    found = [
        *_alarms(headlines),
        *_lucky(headlines),
        *_trained_on(record, headlines),
        *_fewer(headlines),
        *_tied(headlines),
        *_chance(headlines),
        *_warned(record),
    ]
    if not headlines and not found:
        return ()
    if found:
        return joined(found)
    known = [headline for headline in headlines if headline.best.chance is not None]
    said = ["no model’s card names a dataset that it is scored on"]
    if known and all(relation_to_chance(score) == "better" for b in known for score in b.scores):
        said.append(f"every score is above chance {words.WHOLE_INTERVAL}")
    baselines = [headline.baseline for headline in headlines if headline.baseline is not None]
    if baselines and all(relation_to_chance(score) in ("level", "worse") for score in baselines):
        said.append(f"{RANDOM_BASELINE}, {words.NO_INPUT}, is never above chance")
    return joined([(Span(words.listed(said)),)])


def _above_chance(headlines: Sequence[Headline]) -> list[Headline]:
    """Return where the baseline scores above chance."""
    return [
        b
        for b in headlines
        if b.baseline is not None and relation_to_chance(b.baseline) == "better"
    ]


def _alarms(headlines: Sequence[Headline]) -> list[Text]:
    """Return where the baseline is further above chance than luck explains."""
    above = _above_chance(headlines)
    alarms = [b for b in above if b.baseline is not None and is_alarm(b.baseline)]
    if not alarms:
        return []
    return [
        (
            Span(f"do not trust {places(alarms, headlines)}", "strong"),
            Span(f": {RANDOM_BASELINE}, {words.NO_INPUT}, is far above chance there"),
        )
    ]


def _lucky(headlines: Sequence[Headline]) -> list[Text]:
    """Return where the baseline is above chance as luck explains."""
    above = _above_chance(headlines)
    lucky = [b for b in above if b.baseline is not None and not is_alarm(b.baseline)]
    if not lucky:
        return []
    return [
        (
            Span(
                f"{RANDOM_BASELINE}, {words.NO_INPUT}, is slightly above chance on "
                f"{places(lucky, headlines)}, {words.ONCE_IN_40}"
            ),
        )
    ]


def _trained_on(record: RunRecord, headlines: Sequence[Headline]) -> list[Text]:
    by_model: dict[str, dict[str, None]] = {}
    for task in record.tasks:
        dataset = dataset_of(record, task)
        for model in task.models:
            if is_contaminated(record, task, model):
                title = dataset.title if dataset else task.dataset
                by_model.setdefault(model, {})[title] = None
    if not by_model:
        return []
    was = "was" if len(by_model) == 1 else "were"
    titles = list(dict.fromkeys(title for seen in by_model.values() for title in seen))
    where = listed(titles, "dataset")
    scored = "it is" if len(by_model) == 1 else "they are"
    return [
        (
            *few(list(by_model)),
            Span(
                f" {was} trained on {where}, on which {scored} scored (†): fit, not generalisation"
            ),
        )
    ]


def _fewer(headlines: Sequence[Headline]) -> list[Text]:
    """Return which models were scored on clearly fewer items than others of the same headline."""
    least: dict[str, tuple[float, str]] = {}
    for headline in headlines:
        most = max(score.n for score in headline.scores)
        for score in headline.scores:
            share = score.n / most if most else 1.0
            if share < 1 - MANY_GAPS and share < least.get(score.model, (1.0, ""))[0]:
                least[score.model] = (
                    share,
                    f"{score.n:,} of the {words.plural(most, headline.noun)}",
                )
    if not least:
        return []
    verb = "was" if len(least) == 1 else "were"
    fewest = min(least.values())[1]
    atleast = "" if len(least) == 1 else "as few as "
    said = f" {verb} scored on {atleast}{fewest} of other models, so the values are not of one list"
    return [(*few(list(least)), Span(said))]


def _tied(headlines: Sequence[Headline]) -> list[Text]:
    """Return which models leave many pairs tied: what they do not order is counted half right."""
    shares: dict[str, list[float]] = {}
    for headline in headlines:
        for score in headline.scores:
            share = (score.ties or 0) / score.n_items if score.n_items else 0.0
            if share > MANY_TIES:
                shares.setdefault(score.model, []).append(share)
    if not shares:
        return []
    most = words.percent(max(share for found in shares.values() for share in found))
    upto = "" if sum(map(len, shares.values())) == 1 else "up to "
    verb = "gives" if len(shares) == 1 else "give"
    said = f" {verb} both songs of {upto}{most} of the pairs one value, which counts half right"
    return [(*few(list(shares)), Span(said))]


def _chance(headlines: Sequence[Headline]) -> list[Text]:
    """Return which models are level with or below chance, and where."""
    models = dict.fromkeys(score.model for headline in headlines for score in headline.scores)
    found: list[Text] = []
    kinds: tuple[tuple[Relation, str], ...] = (
        ("level", f"{words.NOT_DIFFERENT} from chance"),
        ("worse", "below chance"),
    )
    for kind, said in kinds:
        where: dict[str, list[Headline]] = {}
        for headline in headlines:
            for score in headline.scores:
                if relation_to_chance(score) == kind:
                    where.setdefault(score.model, []).append(headline)
        if where:
            found.append(_somewhere(where, headlines, said, of=len(models)))
    return found


def _somewhere(
    where: Mapping[str, Sequence[Headline]], headlines: Sequence[Headline], said: str, *, of: int
) -> Text:
    if len(where) == of > 1 and all(len(here) == len(headlines) for here in where.values()):
        none = said.startswith("not ")
        who = f"no model is {said.removeprefix('not ')}" if none else f"every model is {said}"
        where_all = "" if len(headlines) == 1 else " anywhere" if none else " everywhere"
        return (Span(f"{who}{where_all}"),)
    if len(where) > MOST_NAMES:
        many = f"{len(where)} of {words.plural(of, 'model')} are"
        who = "every model is" if len(where) == of else many
        return (Span(f"{who}{'' if len(headlines) == 1 else ' somewhere'} {said}"),)
    if len(where) > 1 and len(headlines) > MOST_CLAUSES:
        return (*named_models(where), Span(f" are {said} on one or more of {every(headlines)}"))
    if len(headlines) == 1 and not headlines[0].place:
        return (*named_models(where), Span(f" {'is' if len(where) == 1 else 'are'} {said}"))
    spans: list[Span] = []
    for place, (model, here) in enumerate(where.items()):
        link = "" if not place else " and " if place == len(where) - 1 else ", "
        verb = "" if place else f" is {said}"
        spans += [Span(link), Span(model, "name"), Span(f"{verb} on {places(here, headlines)}")]
    return tuple(spans)


def _warned(record: RunRecord) -> list[Text]:
    found: list[Text] = []
    if warned := [task for task in record.tasks if task.warnings]:
        number = sum(len(task.warnings) for task in warned)
        said = f"{words.plural(number, 'warning')} {'stands' if number == 1 else 'stand'} on the "
        if len(record.tasks) == 1:
            said += "task’s page"
        elif len(warned) == 1:
            said += f"page of {names_of_tasks(record)[warned[0].id]}"
        else:
            said += f"pages of {len(warned)} tasks"
        found.append((Span(said),))
    if record.environment.git_dirty:
        found.append((Span("the code that ran had uncommitted changes"),))
    return found


def limits(record: RunRecord, headlines: Sequence[Headline]) -> Text:
    """Return what the data cannot show: synthetic, few, not run; or that they are some of many."""
    found = _limits(record, headlines)
    return joined(found) if found else ()


def cautions(record: RunRecord, headlines: Sequence[Headline]) -> list[Text]:
    """Return what a reader must know before any number, the most severe first."""
    return [
        *_alarms(headlines),
        *_trained_on(record, headlines),
        *_limits(record, headlines),
    ]


def _limits(record: RunRecord, headlines: Sequence[Headline]) -> list[Text]:
    datasets = {headline.task.dataset for headline in headlines}
    entries = [entry for entry in record.datasets if entry.id in datasets]
    titles = list(dict.fromkeys(entry.title for entry in entries))
    made = list(dict.fromkeys(entry.title for entry in entries if entry.synthetic))
    found: list[Text] = []
    if made:
        verb = "is" if len(made) == 1 else "are"
        where = "there " if len(made) < len(titles) else ""
        said = (
            f": {listed(made, 'dataset')} {verb} made by a program, so the scores {where}show that "
            f"the measuring works and not how good a model is"
        )
        found.append((Span("synthetic data", "strong"), Span(said)))
    found += [*_small(headlines), *_gaps(record)]
    if not found and titles:
        only = listed(titles, "dataset")
        said = f"all of this holds for {only} alone: other music may give other scores"
        found.append((Span(said),))
    return found


def _small(headlines: Sequence[Headline]) -> list[Text]:
    small = [headline for headline in headlines if headline.best.n < FEW_ITEMS]
    if not small:
        return []
    least = min(small, key=lambda headline: headline.best.n)
    number = words.plural(least.best.n, least.noun)
    if len(headlines) == 1:
        return [(Span(f"it rests on only {number}"),)]
    if len(small) == 1:
        return [(Span(f"{least.place} rests on only {number}"),)]
    said = (
        f"{share(len(small), headlines)} rest on fewer than {FEW_ITEMS} items each, one on {number}"
    )
    return [(Span(said),)]


def _gaps(record: RunRecord) -> list[Text]:
    gaps = [part.what for part in record.not_run]
    gaps += [f"{part.what} in {task.id}" for task in record.tasks for part in task.not_run]
    if not gaps:
        return []
    named = f" ({words.listed(gaps)})" if len(gaps) <= MOST_NAMES else ""
    return [(Span(f"{words.plural(len(gaps), 'part')} of the suite could not run{named}"),)]
