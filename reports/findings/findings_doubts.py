"""What a reader of a report should doubt, and what the record cannot say: a sentence each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from earmark.reports import words
from earmark.reports.content import Span, Text, named_models
from earmark.reports.findings.headlines import (
    MOST_NAMES,
    Board,
    every,
    few,
    joined,
    listed,
    names_of_tasks,
    places,
    share,
    standing,
)
from earmark.reports.findings.task import is_contaminated
from earmark.reports.record.lookup import SENTINEL, Standing, dataset_of, is_alarm
from earmark.reports.record.schema import RunRecord

MOST_CLAUSES = 2
"""Boards of which a sentence says each by name."""
FEW_ITEMS = 100
"""Items below which a task is said to rest on few."""
MANY_GAPS = 0.05
"""Share of the items of other models that a model may lack without a word."""
MANY_TIES = 0.05
"""Share of pairs that a model leaves tied, above which its accuracy is to be doubted."""


def doubts(record: RunRecord, boards: Sequence[Board]) -> Text:
    """Return alarms, contamination, what is at chance, and warnings; or that there is none."""
    found = [
        *_broken(boards),
        *_trained_on(record, boards),
        *_fewer(boards),
        *_tied(boards),
        *_chance(boards),
        *_warned(record),
    ]
    if not boards and not found:
        return ()
    if found:
        return joined(found)
    known = [board for board in boards if board.best.chance is not None]
    said = ["no model’s card names a dataset that it is scored on"]
    if known and all(standing(score) == "better" for b in known for score in b.scores):
        said.append("every score is above chance, interval and all")
    heard = [board.sentinel for board in boards if board.sentinel is not None]
    if heard and all(standing(score) in ("level", "worse") for score in heard):
        said.append(f"{SENTINEL}, which hears nothing, is nowhere above chance")
    return joined([(Span(words.listed(said)),)])


def _broken(boards: Sequence[Board]) -> list[Text]:
    """Return where the sentinel scores above chance: an alarm, or a caution."""
    found: list[Text] = []
    above = [b for b in boards if b.sentinel is not None and standing(b.sentinel) == "better"]
    alarms = [b for b in above if b.sentinel is not None and is_alarm(b.sentinel)]
    if alarms:
        found.append(
            (
                Span(f"do not trust {places(alarms, boards)}", "strong"),
                Span(f": {SENTINEL}, which hears nothing, is far above chance there"),
            )
        )
    if lucky := [board for board in above if board not in alarms]:
        found.append(
            (
                Span(
                    f"{SENTINEL}, which hears nothing, is a little above chance on "
                    f"{places(lucky, boards)}, as luck has it one time in 40"
                ),
            )
        )
    return found


def _trained_on(record: RunRecord, boards: Sequence[Board]) -> list[Text]:
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


def _fewer(boards: Sequence[Board]) -> list[Text]:
    """Return which models were scored on clearly fewer items than others of the same board."""
    least: dict[str, tuple[float, str]] = {}
    for board in boards:
        most = max(score.n for score in board.scores)
        for score in board.scores:
            share = score.n / most if most else 1.0
            if share < 1 - MANY_GAPS and share < least.get(score.model, (1.0, ""))[0]:
                least[score.model] = share, f"{score.n:,} of the {words.plural(most, board.noun)}"
    if not least:
        return []
    verb = "was" if len(least) == 1 else "were"
    fewest = min(least.values())[1]
    atleast = "" if len(least) == 1 else "as few as "
    said = f" {verb} scored on {atleast}{fewest} of other models, so the values are not of one list"
    return [(*few(list(least)), Span(said))]


def _tied(boards: Sequence[Board]) -> list[Text]:
    """Return which models leave many pairs tied: what they do not order is counted half right."""
    shares: dict[str, list[float]] = {}
    for board in boards:
        for score in board.scores:
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


def _chance(boards: Sequence[Board]) -> list[Text]:
    """Return which models are level with or below chance, and where."""
    models = dict.fromkeys(score.model for board in boards for score in board.scores)
    found: list[Text] = []
    kinds: tuple[tuple[Standing, str], ...] = (
        ("level", "not told apart from chance"),
        ("worse", "below chance"),
    )
    for kind, said in kinds:
        where: dict[str, list[Board]] = {}
        for board in boards:
            for score in board.scores:
                if standing(score) == kind:
                    where.setdefault(score.model, []).append(board)
        if where:
            found.append(_somewhere(where, boards, said, of=len(models)))
    return found


def _somewhere(
    where: Mapping[str, Sequence[Board]], boards: Sequence[Board], said: str, *, of: int
) -> Text:
    if len(where) == of > 1 and all(len(here) == len(boards) for here in where.values()):
        none = said.startswith("not ")
        who = f"no model is {said.removeprefix('not ')}" if none else f"every model is {said}"
        where_all = "" if len(boards) == 1 else " anywhere" if none else " everywhere"
        return (Span(f"{who}{where_all}"),)
    if len(where) > MOST_NAMES:
        many = f"{len(where)} of {words.plural(of, 'model')} are"
        who = "every model is" if len(where) == of else many
        return (Span(f"{who}{'' if len(boards) == 1 else ' somewhere'} {said}"),)
    if len(where) > 1 and len(boards) > MOST_CLAUSES:
        return (*named_models(where), Span(f" are {said} on one or more of {every(boards)}"))
    if len(boards) == 1 and not boards[0].place:
        return (*named_models(where), Span(f" {'is' if len(where) == 1 else 'are'} {said}"))
    spans: list[Span] = []
    for place, (model, here) in enumerate(where.items()):
        link = "" if not place else " and " if place == len(where) - 1 else ", "
        verb = "" if place else f" is {said}"
        spans += [Span(link), Span(model, "name"), Span(f"{verb} on {places(here, boards)}")]
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


def limits(record: RunRecord, boards: Sequence[Board]) -> Text:
    """Return what the data cannot show: synthetic, few, not run; or that they are some of many."""
    datasets = {board.task.dataset for board in boards}
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
    found += [*_small(boards), *_gaps(record)]
    if not found and titles:
        only = listed(titles, "dataset")
        said = f"all of this holds for {only} alone: other music may give other scores"
        found.append((Span(said),))
    return joined(found) if found else ()


def _small(boards: Sequence[Board]) -> list[Text]:
    small = [board for board in boards if board.best.n < FEW_ITEMS]
    if not small:
        return []
    least = min(small, key=lambda board: board.best.n)
    number = words.plural(least.best.n, least.noun)
    if len(boards) == 1:
        return [(Span(f"it rests on only {number}"),)]
    if len(small) == 1:
        return [(Span(f"{least.place} rests on only {number}"),)]
    said = f"{share(len(small), boards)} rest on fewer than {FEW_ITEMS} items each, one on {number}"
    return [(Span(said),)]


def _gaps(record: RunRecord) -> list[Text]:
    gaps = [part.what for part in record.not_run]
    gaps += [f"{part.what} in {task.id}" for task in record.tasks for part in task.not_run]
    if not gaps:
        return []
    named = f" ({words.listed(gaps)})" if len(gaps) <= MOST_NAMES else ""
    return [(Span(f"{words.plural(len(gaps), 'part')} of the suite could not run{named}"),)]
