"""What came out of one task, in sentences that a record can answer for.

A difference is named only where a test in the record finds one: models in one group are not
ranked, and a score whose interval holds chance is not called better than it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from earmark.reports import words
from earmark.reports.content import Span, Text, named_models
from earmark.reports.record.lookup import (
    RANDOM_BASELINE,
    Dimension,
    Relation,
    bare,
    best_first,
    dataset_of,
    dimensions,
    headline,
    is_alarm,
    references,
    relation,
    relation_to_chance,
    rivals_of,
    select,
)
from earmark.reports.record.schema import (
    DatasetEntry,
    ModelEntry,
    Plain,
    RunRecord,
    Score,
    TaskResult,
)
from earmark.reports.view import View


def findings(task: TaskResult, view: View) -> list[Text]:
    """Return what the task found on its headline set: per dimension, on people, on chance."""
    chosen = headline(task)
    if chosen is None:
        return [(Span("No score was computed."),)]
    metric, subset = chosen
    found: list[Text] = []
    for name in dict.fromkeys([subset, *view.directions(task)]):
        for side in dimensions(task):
            scores = best_first(select(task.scores, metric=metric, subset=name, dimension=side))
            if scores:
                found.append(_best(task, scores, side, view.noun))
    baseline = _baseline(task, metric, subset)
    return [
        *([_broken(baseline)] if baseline and is_alarm(baseline) else []),
        *found,
        *(view.people(task) or _against_references(task, metric, subset)),
        *view.findings(task, metric, subset),
        *_at_chance(task, metric, subset),
        *([_sound(baseline)] if baseline and not is_alarm(baseline) else []),
    ]


def _baseline(task: TaskResult, metric: str, subset: str) -> Score | None:
    """Return the headline score of the model that knows nothing, where it can be held to chance."""
    scores = select(task.scores, metric=metric, subset=subset)
    known = [score for score in scores if score.value is not None and score.chance is not None]
    return next((score for score in known if score.model == RANDOM_BASELINE), None)


def _broken(score: Score) -> Text:
    """Return the alarm: random vectors score far above chance, so the scores mean nothing."""
    chance = words.with_unit(score.chance or 0.0, score.metric)
    return (
        Span("Do not trust this task. ", "strong"),
        Span(RANDOM_BASELINE, "name"),
        Span(f", {words.NO_INPUT}, scores "),
        Span("far above chance", "strong"),
        Span(
            f" ({words.value_in_text(score)}, chance {chance}). Either labels leak into "
            "the items, or the level of chance is wrong; chance alone does this once in 740 times. "
            "Run it again with another seed before you use any number below."
        ),
    )


def _sound(score: Score) -> Text:
    """Return that random vectors score no better than chance, as they should, but for chance."""
    said = {
        "level": " is at chance, as it should be",
        "better": (f" scores slightly above chance, {words.ONCE_IN_40}; another seed will tell"),
        "worse": f" scores below chance, {words.ONCE_IN_40}",
        "unknown": " has no interval, so whether it is at chance is not known",
    }[relation_to_chance(score)]
    return (
        Span("Sanity check: "),
        Span(RANDOM_BASELINE, "name"),
        Span(f", {words.NO_INPUT},{said} ({words.value_in_text(score)})."),
    )


def about_chance(task: TaskResult, metric: str, subset: str) -> list[Text]:
    """Return the level of chance, and how many models are above it beyond doubt."""
    scores = [
        score
        for score in select(task.scores, metric=metric, subset=subset)
        if score.value is not None and score.chance is not None and score.model != RANDOM_BASELINE
    ]
    if not scores:
        return []
    levels = sorted({words.with_unit(score.chance or 0.0, metric) for score in scores})
    above = [score for score in scores if relation_to_chance(score) == "better"]
    level = Span(f"Chance is {words.listed(levels)}. ")
    if len(scores) == 1:
        verb = "is" if above else "is not"
        return [
            (
                level,
                *named_models([scores[0].model]),
                Span(f" {verb} above it {words.WHOLE_INTERVAL}."),
            )
        ]
    many = words.plural(len(scores), "model")
    there = {score.model for score in select(task.scores, metric=metric, subset=subset)}
    every = f"Every model but {RANDOM_BASELINE}" if RANDOM_BASELINE in there else "Every model"
    who = f"{every} is" if len(above) == len(scores) else f"{len(above)} of {many} are"
    return [(level, Span(f"{who} above it {words.WHOLE_INTERVAL}."))]


def row_of_best(
    task: TaskResult, rows: Sequence[Mapping[str, Plain]], metric: str, subset: str
) -> Mapping[str, Any] | None:
    """Return the row of the model that is best on the headline; None if the table has none."""
    by_model = {str(row["model"]): row for row in rows}
    for score in best_first(select(task.scores, metric=metric, subset=subset)):
        if score.model in by_model and score.value is not None:
            return by_model[score.model]
    return None


def _best(task: TaskResult, scores: Sequence[Score], side: Dimension, noun: str) -> Text:
    first = scores[0]
    place = f"On {side}" if side else "Overall"
    set_ = words.in_subset(first.subset)
    if first.value is None:
        whole = Span(f"{place} ({set_}, {words.plural(first.n_items, noun)}), ")
        return (whole, Span(f"no model has a score: {first.reason}."))
    where = Span(f"{place} ({set_}, {words.scored(first, noun)}), ")
    rivals = rivals_of(task, first, scores[1:])
    known = [score.model for score in scores if score.value is not None]
    title = words.metric_in_text(first.metric)
    most = "highest" if first.higher_is_better else "lowest"
    head = (where, Span(first.model, "name"), Span(f" has the {most} {title}, "))
    number = Span(words.value_in_text(first), "strong")
    if len(known) == 1:
        return (
            where,
            Span(first.model, "name"),
            Span(f" has {title} "),
            number,
            Span("."),
        )
    if not rivals.compared:
        return (*head, number, Span("; no comparison was made."))
    if rivals.ahead:
        verb = "is" if len(rivals.ahead) == 1 else "are"
        better = (*named_models(rivals.ahead), Span(f" {verb} significantly better"))
        return (*head, number, Span(", though on the items that all share "), *better, Span("."))
    if not rivals.level:
        return (*head, number, Span(f", {words.BEATS_ALL}."))
    every = len(rivals.level) == len(known) - 1 > 1
    names = (Span("any other model"),) if every else named_models(rivals.level)
    return (*head, number, Span(f", and is {words.NOT_DIFFERENT} from "), *names, Span("."))


def _against_references(task: TaskResult, metric: str, subset: str) -> list[Text]:
    found: list[Text] = []
    for side in dimensions(task):
        scores = best_first(select(task.scores, metric=metric, subset=subset, dimension=side))
        for line in references(task, metric=metric, subset=subset, dimension=side):
            relations = [(score.model, relation(score, line.value)) for score in scores]
            said = relations_in_words(relations, "it")
            value = words.with_unit(line.value, metric)
            about = f"Compared with “{line.name}” ({value}{f' on {side}' if side else ''}), "
            found.append((Span(about), *said, Span(".")))
    return found


def relations_in_words(relations: Sequence[tuple[str, Relation]], line: str) -> Text:
    """Return which models are above a line, not different from it, and below it."""
    ahead, level, behind = (
        [model for model, found in relations if found == kind]
        for kind in ("better", "level", "worse")
    )
    parts: list[Text] = []
    if ahead:
        parts.append((*named_models(ahead), Span(f" {_are(ahead)} above")))
    if level:
        parts.append(
            (*named_models(level), Span(f" {_are(level)} {words.NOT_DIFFERENT} from {line}"))
        )
    if behind:
        every = "every other model" if ahead or level else "every model"
        if len(behind) > (3 if ahead or level else 1):
            parts.append((Span(f"{every} is below"),))
        else:
            parts.append((*named_models(behind), Span(f" {_are(behind)} below")))
    if not parts:
        return (Span("no model has an interval"),)
    joined: list[Span] = list(parts[0])
    for part in parts[1:]:
        joined += [Span("; "), *part]
    return tuple(joined)


def _at_chance(task: TaskResult, metric: str, subset: str) -> list[Text]:
    """Return which models a score cannot tell from chance, and which are worse than it."""
    found: list[Text] = []
    for kind, said in (
        ("level", f"{words.sentence(words.NOT_DIFFERENT)} from chance: "),
        ("worse", "Worse than chance: "),
    ):
        names: list[Span] = []
        for side in dimensions(task):
            scores = select(task.scores, metric=metric, subset=subset, dimension=side)
            models = [
                s.model
                for s in scores
                if s.value is not None
                and s.model != RANDOM_BASELINE
                and relation_to_chance(s) == kind
            ]
            if models:
                names += [Span("; ")] if names else []
                names += [*named_models(models), Span(f" on {side}" if side else "")]
        if names:
            found.append((Span(said), *names, Span(".")))
    return found


def contaminated(record: RunRecord) -> list[Text]:
    """Return which models were trained on a dataset that this record scores them on."""
    found: list[Text] = []
    for task in record.tasks:
        if seen := [model for model in task.models if is_contaminated(record, task, model)]:
            found.append(
                (
                    *named_models(seen),
                    Span(f" {'was' if len(seen) == 1 else 'were'} trained on "),
                    Span(task.dataset, "name"),
                    Span(", on which this report scores "),
                    Span("it" if len(seen) == 1 else "them"),
                    Span(": read those scores as fit, not as generalisation."),
                )
            )
    return found


def is_contaminated(record: RunRecord, task: TaskResult, model: str) -> bool:
    """Return whether a model's card names the task's dataset, by any of its names."""
    card = next((entry for entry in record.models if entry.id == model), None)
    if card is None or model in task.out_of_fold:
        return False
    dataset = dataset_of(record, task)
    return has_seen(card, *([task.dataset] if dataset is None else names_of(dataset)))


def names_of(dataset: DatasetEntry) -> list[str]:
    """Return what a dataset is called: by the suite, and by its card."""
    return [name for name in (dataset.id, dataset.known_as) if name]


def has_seen(model: ModelEntry, *names: str) -> bool:
    """Return whether a model's card lists a dataset of these names as trained on."""
    return not {bare(name) for name in names}.isdisjoint(map(bare, model.training_datasets))


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
