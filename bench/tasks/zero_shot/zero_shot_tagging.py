"""Which tags a clip has, told from the tags' names alone.

Each tag ranks all clips by how near they are to its prompt. Prompts, ensemble and centring are
:mod:`earmark.bench.tasks.zero_shot.prompts`', presets
:mod:`earmark.bench.tasks.zero_shot.protocol`', and ties and tags without a clip
:mod:`earmark.bench.metrics.tagging`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from earmark.bench.scoring.results import INTERVALS, PAIRED_TEST
from earmark.bench.tasks.labels.dataset import ENSEMBLE
from earmark.bench.tasks.labels.tag_scores import score_tags, tag_truth
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
from earmark.bench.tasks.zero_shot.task import unheard
from earmark.datasets.base import Clip, DataError, Tagged
from earmark.reports.record.schema import TaskResult


def run(
    context: Context,
    dataset: Any,
    models: Mapping[str, Any],
    *,
    protocol: str = "earmark",
    prompts: Sequence[str] | None = None,
    texts: Mapping[str, str] | None = None,
    centring: str | None = None,
) -> Ran:
    """Embed a dataset's clips and its tags' prompts, and score them.

    Parameters
    ----------
    protocol
        A preset of :mod:`earmark.bench.tasks.zero_shot.protocol`; the options below go before it.
    prompts
        Templates with ``{label}`` in the tag's place.
    texts
        Tag to how it is written in a prompt, where that is not the tag itself.
    centring
        ``none``, ``audio``, ``text`` or ``both``.

    Raises
    ------
    DataError
        If an option is not as expected, the dataset has no tags, or no clip could be heard.
    ModelError
        If a model does not embed both audio and text.
    """
    options: dict[str, Any] = {
        "protocol": protocol,
        "prompts": prompts,
        "texts": texts,
        "centring": centring,
    }
    settings, _ = _question(dataset, **options)
    clips, wanted_texts = wanted(dataset, **options)
    vectors = gather(models, clips, wanted_texts, context.embeddings)
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
    settings, words = _question(dataset, **options)
    return dataset.clips, prompt_texts(settings.templates, words)


def evaluate(
    dataset: Tagged,
    vectors: JointVectors,
    *,
    protocol: str = "earmark",
    prompts: Sequence[str] | None = None,
    texts: Mapping[str, str] | None = None,
    centring: str | None = None,
    warnings: Sequence[str] = (),
    task_id: str = "zero_shot_tagging",
    replicates: int = 10_000,
    seed: int = 2022,
) -> TaskOutput:
    """Score models on the clips that every one of them could hear; options as :func:`run`.

    Raises
    ------
    DataError, ModelError
        As :func:`run`, or if vectors are not one finite vector a clip and text, in one space.
    """
    settings, words = _question(
        dataset, protocol=protocol, prompts=prompts, texts=texts, centring=centring
    )
    if not vectors.audio:
        raise DataError(f"{dataset.card.id}: no model to score")
    truth = tag_truth(dataset, vectors.clips, n_items=len(dataset.clips))
    scores = {
        model: similarities(model, vectors, settings.templates, words, centring=settings.centring)
        for model in vectors.audio
    }
    found = score_tags(
        truth,
        scores,
        headline=ENSEMBLE,
        averaged=settings.templates,
        replicates=replicates,
        seed=seed,
    )
    metrics = [metric.name for metric in truth.metrics]
    result = TaskResult(
        id=task_id,
        kind="zero_shot_tagging",
        dataset=dataset.card.id,
        title=f"Zero-shot tagging: {dataset.card.title}",
        protocol={
            **settings.stated(),
            **settings_in_words(settings.templates, words, settings.centring),
            "split": dataset.split,
            "macro mean": "over the tags that some of the scored clips have and some have not",
            "ties": "equal scores share a threshold",
            "unit of resampling": truth.unit,
            "interval": INTERVALS,
            "paired test": PAIRED_TEST,
            "replicates": replicates,
            "seed": seed,
        },
        models=list(scores),
        headline_metric=metrics[0],
        headline_subset=ENSEMBLE,
        scores=found.scores,
        comparisons=found.comparisons,
        groups=found.groups,
        references=[
            *found.references,
            *protocols.published(settings, dataset, words.labels),
        ],
        tables=[
            prompts_table(found.scores, metrics, settings.templates, named=True),
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
    texts: Mapping[str, str] | None = None,
    centring: str | None = None,
) -> tuple[protocols.Settings, Vocabulary]:
    """Return what is asked of models: prompts and centring, and the tags."""
    if not isinstance(dataset, Tagged):
        raise DataError(
            f"zero_shot_tagging needs a set of tagged clips, got {type(dataset).__name__}"
        )
    if not dataset.clips:
        raise DataError(f"{dataset.card.id}, {dataset.split}: the split is empty")
    settings = protocols.settle(
        dataset,
        kind="tagging",
        protocol=protocol,
        prompts=prompts,
        texts=texts,
        centring=centring,
    )
    return settings, vocabulary(dataset.tags, settings.texts)
