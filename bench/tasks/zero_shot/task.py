"""Which class a clip is of, told from the classes' names alone.

Each clip goes to the class whose prompt is nearest to it. Prompts, ensemble and centring are
:mod:`earmark.bench.tasks.zero_shot.prompts`', presets
:mod:`earmark.bench.tasks.zero_shot.protocol`', and ties
:mod:`earmark.bench.metrics.classification`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from earmark.bench.scoring.results import INTERVALS, PAIRED_TEST
from earmark.bench.tasks.labels.class_scores import ClassTruth, score_classes
from earmark.bench.tasks.labels.dataset import ENSEMBLE, classes_of
from earmark.bench.tasks.task import Context, Ran, TaskOutput
from earmark.bench.tasks.vectors import JointVectors, gather
from earmark.bench.tasks.zero_shot import protocol as protocols
from earmark.bench.tasks.zero_shot.prompts import (
    Vocabulary,
    prompt_texts,
    prompts_table,
    settings_in_words,
    similarities,
    vocabulary,
)
from earmark.datasets.base import Clip, DataError
from earmark.reports.record.schema import TaskResult


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked of models: classes, prompts and centring."""

    settings: protocols.Settings
    words: Vocabulary

    @property
    def texts(self) -> list[str]:
        return prompt_texts(self.settings.templates, self.words)


def run(
    context: Context,
    dataset: Any,
    models: Mapping[str, Any],
    *,
    protocol: str = "earmark",
    prompts: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    texts: Mapping[str, str] | None = None,
    centring: str | None = None,
) -> Ran:
    """Embed a dataset's clips and its classes' prompts, and score them.

    Parameters
    ----------
    protocol
        A preset of :mod:`earmark.bench.tasks.zero_shot.protocol`; the options below go before it.
    prompts
        Templates with ``{label}`` in the class's place.
    classes
        What to tell apart, in this order; default: GTZAN's genres, or the labels that occur.
    texts
        Class to how it is written in a prompt, where that is not its label.
    centring
        ``none``, ``audio``, ``text`` or ``both``.

    Raises
    ------
    DataError
        If an option or a label is not as expected, or no clip could be heard.
    ModelError
        If a model does not embed both audio and text.
    """
    options: dict[str, Any] = {
        "protocol": protocol,
        "prompts": prompts,
        "classes": classes,
        "texts": texts,
        "centring": centring,
    }
    clips, wanted_texts = wanted(dataset, **options)
    vectors = gather(models, clips, wanted_texts, context.embeddings)
    settings = _question(dataset, **options).settings
    output = evaluate(
        dataset,
        vectors,
        **options,
        warnings=protocols.other_crops(settings, models),
        task_id=context.task_id,
        replicates=context.replicates,
        seed=context.seed,
    )
    return Ran(output, vectors.seconds)


def wanted(dataset: Any, **options: Any) -> tuple[Sequence[Clip], Sequence[str]]:
    """Return the clips and texts that :func:`run` embeds with the same options.

    Raises
    ------
    DataError
        As :func:`run`.
    """
    question = _question(dataset, **options)
    return dataset.clips, question.texts


def evaluate(
    dataset: Any,
    vectors: JointVectors,
    *,
    protocol: str = "earmark",
    prompts: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    texts: Mapping[str, str] | None = None,
    centring: str | None = None,
    warnings: Sequence[str] = (),
    task_id: str = "zero_shot_classification",
    replicates: int = 10_000,
    seed: int = 2022,
) -> TaskOutput:
    """Score models on the clips that every one of them could hear; options as :func:`run`.

    Raises
    ------
    DataError, ModelError
        As :func:`run`, or if vectors are not one finite vector a clip and text, in one space.
    """
    question = _question(
        dataset,
        protocol=protocol,
        prompts=prompts,
        classes=classes,
        texts=texts,
        centring=centring,
    )
    settings, words = question.settings, question.words
    if not vectors.audio:
        raise DataError(f"{dataset.card.id}: no model to score")
    truth = ClassTruth(tuple(vectors.clips), words.labels, len(dataset.clips))
    scores = {
        model: similarities(model, vectors, settings.templates, words, centring=settings.centring)
        for model in vectors.audio
    }
    found = score_classes(
        truth,
        scores,
        headline=ENSEMBLE,
        averaged=settings.templates,
        replicates=replicates,
        seed=seed,
    )
    result = TaskResult(
        id=task_id,
        kind="zero_shot_classification",
        dataset=dataset.card.id,
        title=f"Zero-shot classification: {dataset.card.title}",
        protocol={
            **settings.stated(),
            **settings_in_words(settings.templates, words, settings.centring),
            "ties": "classes with equal scores share a clip",
            "unit of resampling": truth.unit,
            "interval": INTERVALS,
            "paired test": PAIRED_TEST,
            "replicates": replicates,
            "seed": seed,
        },
        models=list(scores),
        headline_metric="accuracy",
        headline_subset=ENSEMBLE,
        scores=found.scores,
        comparisons=found.comparisons,
        groups=found.groups,
        references=[
            *found.references,
            *protocols.published(settings, dataset, words.labels),
        ],
        tables=[
            prompts_table(found.scores, ["accuracy"], settings.templates, named=False),
            *found.tables,
        ],
        problems=vectors.problems,
        warnings=[
            *protocols.other_split(settings, dataset, words.labels),
            *warnings,
            *unheard(len(vectors.clips), len(dataset.clips)),
            *found.warnings,
            *vectors.warnings,
        ],
        arrays=list(found.arrays),
    )
    return TaskOutput(result, found.items, found.arrays)


def _question(
    dataset: Any,
    *,
    protocol: str = "earmark",
    prompts: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    texts: Mapping[str, str] | None = None,
    centring: str | None = None,
) -> _Question:
    labels = classes_of(dataset, classes)
    settings = protocols.settle(
        dataset,
        kind="classification",
        protocol=protocol,
        prompts=prompts,
        texts=texts,
        centring=centring,
    )
    known = {k: v for k, v in settings.texts.items() if texts is not None or k in labels}
    return _Question(settings, vocabulary(labels, known, at_least=2))


def unheard(n_scored: int, n_clips: int) -> list[str]:
    """Return a warning where clips could not be scored."""
    left = n_clips - n_scored
    return [f"{left} of {n_clips} clips could not be scored, see the problems"] if left else []
