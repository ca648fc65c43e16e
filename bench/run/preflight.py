"""What a suite asks for that cannot be had, found before any model listens, and all at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from earmark.bench.embeddings.embeddings import Embeddings
from earmark.bench.run.suite import Source, Suite, TaskEntry
from earmark.bench.tasks.task import Context, Need, Task, Unavailable
from earmark.datasets.base import DataError
from earmark.datasets.files.data_paths import placed, resolve
from earmark.models.base import ModelCard, in_words
from earmark.models.conformance.outputs import CheckFailed
from earmark.models.conformance.reading import card_checks

METHODS: Mapping[str, tuple[str, ...]] = {
    "embed_audio": ("card", "sample_rate", "dimension"),
    "embed_text": ("card", "dimension"),
    "embed_patches": ("card", "sample_rate", "dimension"),
    "predict_av": ("card", "sample_rate"),
    "predict_av_from_patches": ("card", "embedder", "predict_av_from_means"),
}
"""What a model can do, with the attributes that belong to it (:mod:`earmark.models.base`)."""
_AV = ("predict_av", "predict_av_from_patches")
NEEDS: Mapping[Need, tuple[str, ...]] = {
    "audio": ("embed_audio",),
    "text": ("embed_text",),
    "av": _AV,
    "audio or av": ("embed_audio", "embed_patches", *_AV),
}
"""Of each need: one of these methods."""


def lacking(model: Any, task: Task) -> str | None:
    """Return what a model lacks for a task, None where it can do it."""
    for need in sorted(task.needs):
        faults = {name: _fault(model, name) for name in NEEDS[need]}
        if None in faults.values():
            continue
        # Of several ways, what is wrong with the one that was begun says more than all names.
        begun = next((text for name, text in faults.items() if hasattr(model, name)), None)
        return begun or f"has no {' or '.join(faults)}, which the task {task.kind} needs"
    return None


def _fault(model: Any, method: str) -> str | None:
    if not callable(getattr(model, method, None)):
        return f"has no {method}"
    missing = [name for name in METHODS[method] if not hasattr(model, name)]
    if not missing and (fault := _card_fault(model.card)):
        return fault
    return f"has {method}, and no {' and no '.join(missing)} beside it" if missing else None


def _card_fault(card: object) -> str | None:
    """Return what of a card no record or store could hold; `earmark check-model` asks for more."""
    if not isinstance(card, ModelCard):
        return f"has a card that is {type(card).__name__}, expected a ModelCard"
    for name in ("id", "version", "weights_digest", "licence", "citation", "crop_policy"):
        if not isinstance(value := getattr(card, name), str):
            return f"has a card whose {name} is {value!r}, expected a string"
    for check in card_checks(card):
        if check.name in ("card.training_datasets", "card.preprocessing"):
            try:
                check.run()
            except CheckFailed as fault:
                return f"has a card whose {check.name.removeprefix('card.')} {fault}"
    return None


def misfits(
    suite: Suite, tasks: Mapping[str, Task], models: Mapping[str, Any]
) -> Iterator[tuple[str, str, str]]:
    """Yield the id of each task and the model of a suite that do not fit, and why."""
    for entry in suite.tasks:
        task_id = suite.id_of(entry)
        for name in suite.models_of(entry):
            model = models[name]
            if not isinstance(model, Unavailable) and (why := lacking(model, tasks[task_id])):
                yield task_id, name, f"{task_id}: model {name!r} ({type(model).__name__}) {why}"


def unfit(
    entry: TaskEntry, task: Task, context: Context, dataset: Any, models: Mapping[str, Any]
) -> Iterator[str]:
    """Yield what is wrong with a task's dataset, options and files."""
    try:
        task.wanted(context, dataset, models)
    except Exception as error:
        what = in_words(error)
        own = "" if what == str(error) else f"dataset {entry.dataset!r}: "
        yield f"{context.task_id}: {own}{what}"
    for path in _files(entry.options.get("predictions")):
        try:
            resolve(path)
        except DataError as error:
            yield f"{context.task_id}: {error}"


def _files(given: Any) -> Iterator[str]:
    if isinstance(given, str):
        yield given
    elif isinstance(given, Mapping | Sequence):
        for one in given.values() if isinstance(given, Mapping) else given:
            yield from _files(one)


def not_told_apart(
    sources: Mapping[str, Source], models: Mapping[str, Any], embeddings: Embeddings
) -> Iterator[str]:
    """Yield pairs of models whose vectors the store would mistake for each other."""
    first: dict[str, str] = {}
    for name, model in models.items():
        if isinstance(model, Unavailable) or _card_fault(getattr(model, "card", None)):
            continue
        space = embeddings.space_name(model)
        other = first.setdefault(space, name)
        ours, theirs = (_settings(sources[one]) for one in (name, other))
        if ours != theirs:
            changed = sorted(k for k in ours | theirs if ours.get(k) != theirs.get(k))
            yield (
                f"models {other!r} and {name!r} differ in {', '.join(changed)}, and their cards "
                f"are equal ({model.card.id}), so that one would be given the other's numbers: "
                f"put what differs into the card's preprocessing, version or weights_digest"
            )


def _settings(source: Source) -> dict[str, Any]:
    options: dict[str, Any] = placed(source.options)
    return {"loader": source.loader, **options}
