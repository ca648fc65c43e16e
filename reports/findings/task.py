"""What came out, in sentences that a record can answer for.

A difference is named only where a test in the record finds one: models in one group are not
ranked, and a score whose interval holds chance is not called better than it.
"""

from __future__ import annotations

from collections.abc import Sequence

from earmark.reports import words as formats
from earmark.reports.content import Span, Text, named_models
from earmark.reports.findings import findings_av, findings_joint
from earmark.reports.record.lookup import (
    AGAINST_ANNOTATOR,
    SENTINEL,
    Dimension,
    against,
    bare,
    best_first,
    dataset_of,
    dimensions,
    exceeds,
    headline,
    references,
    rivals_of,
    select,
    table,
)
from earmark.reports.record.schema import DatasetEntry, ModelEntry, RunRecord, Score, TaskResult

NOUNS = {
    "musav": "pair",
    "av_regression": "clip",
    "av_cross_dataset": "clip",
    "retrieval": "query",
    "zero_shot_classification": "clip",
    "zero_shot_tagging": "clip",
    "probe": "clip",
}
"""What a kind of task calls its items."""


def findings(task: TaskResult) -> list[Text]:
    """Return what the task found on its headline set: a text a dimension, one on people, chance."""
    chosen = headline(task)
    if chosen is None:
        return [(Span("No score was computed."),)]
    metric, subset = chosen
    found: list[Text] = []
    for name in (subset, *findings_joint.other_directions(task, subset)):
        for side in dimensions(task):
            scores = best_first(select(task.scores, metric=metric, subset=name, dimension=side))
            if scores:
                found.append(_best(task, scores, metric, name, side))
    people = _on_same_judgements(task) or _against_references(task, metric, subset)
    return [
        *findings_joint.broken_sentinel(task, metric, subset),
        *found,
        *people,
        *findings_joint.beside(task, metric, subset),
        *findings_av.under_gain(task),
        *_at_chance(task, metric, subset),
        *findings_joint.sound_sentinel(task, metric, subset),
    ]


def _best(
    task: TaskResult, scores: Sequence[Score], metric: str, subset: str, side: Dimension
) -> Text:
    first = scores[0]
    place = f"On {side}" if side else "Overall"
    noun = NOUNS.get(task.kind, "item")
    set_ = formats.in_subset(subset)
    if first.value is None:
        whole = Span(f"{place} ({set_}, {formats.plural(first.n_items, noun)}), ")
        return (whole, Span(f"no model has a score: {first.reason}."))
    where = Span(f"{place} ({set_}, {formats.scored(first, noun)}), ")
    rivals = rivals_of(task, first, scores[1:])
    known = [score.model for score in scores if score.value is not None]
    title = formats.metric_in_text(metric)
    most = "highest" if first.higher_is_better else "lowest"
    head = (where, Span(first.model, "name"), Span(f" has the {most} {title}, "))
    number = Span(formats.value_in_text(first), "strong")
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
        return (*head, number, Span(", told apart from every other model."))
    every = len(rivals.level) == len(known) - 1 > 1
    names = (Span("any other model"),) if every else named_models(rivals.level)
    return (*head, number, Span(", and cannot be told apart from "), *names, Span("."))


def _on_same_judgements(task: TaskResult) -> list[Text]:
    """Return how models stand to one annotator where both were held to the same judgements."""
    rows = table(task, AGAINST_ANNOTATOR, "dimension", "model", "n", "low", "high")
    found: list[Text] = []
    for side in dict.fromkeys(str(row["dimension"]) for row in rows):
        ahead: list[str] = []
        level: list[str] = []
        behind: list[str] = []
        here = [row for row in rows if row["dimension"] == side]
        for row in here:
            low, high = row["low"], row["high"]
            if low is None or high is None:
                continue
            place = (
                ahead if exceeds(float(low), 0) else behind if exceeds(0, float(high)) else level
            )
            place.append(str(row["model"]))
        cases = f"Held to the same {here[0]['n']:,} judgements of {side} as one annotator, "
        found.append((Span(cases), *_standings(ahead, level, behind, "that annotator"), Span(".")))
    return found


def _against_references(task: TaskResult, metric: str, subset: str) -> list[Text]:
    found: list[Text] = []
    for side in dimensions(task):
        scores = best_first(select(task.scores, metric=metric, subset=subset, dimension=side))
        for line in references(task, metric=metric, subset=subset, dimension=side):
            sides = [(score.model, against(score, line.value)) for score in scores]
            standings = _standings(
                [model for model, standing in sides if standing == "better"],
                [model for model, standing in sides if standing == "level"],
                [model for model, standing in sides if standing == "worse"],
                "it",
            )
            value = formats.with_unit(line.value, metric)
            about = f"Held against “{line.name}” ({value}{f' on {side}' if side else ''}), "
            found.append((Span(about), *standings, Span(".")))
    return found


def _standings(ahead: list[str], level: list[str], behind: list[str], line: str) -> Text:
    """Return which models are above, level with and below a line."""
    parts: list[Text] = []
    if ahead:
        parts.append((*named_models(ahead), Span(f" {_are(ahead)} above")))
    if level:
        parts.append((*named_models(level), Span(f" cannot be told apart from {line}")))
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
    for standing, said in (
        ("level", "Not distinguishable from chance: "),
        ("worse", "Worse than chance: "),
    ):
        names: list[Span] = []
        for side in dimensions(task):
            scores = select(task.scores, metric=metric, subset=subset, dimension=side)
            models = [
                s.model
                for s in scores
                if s.value is not None
                and s.chance is not None
                and s.model != SENTINEL
                and against(s, s.chance) == standing
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
