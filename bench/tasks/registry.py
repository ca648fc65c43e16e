"""The tasks that a suite can name, each a function from models and a dataset to its output."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from earmark.bench.embeddings.embeddings import Embeddings
from earmark.bench.scoring.items import DerivedSubsets, Measure
from earmark.bench.tasks.av_cross_dataset import task as av_cross_dataset
from earmark.bench.tasks.av_cross_dataset.view import VIEW as AV_CROSS_DATASET
from earmark.bench.tasks.av_predictions import AVPredictions, predict_from_audio
from earmark.bench.tasks.av_regression import task as av_regression
from earmark.bench.tasks.av_regression.view import VIEW as AV_REGRESSION
from earmark.bench.tasks.labels import class_scores, tag_scores
from earmark.bench.tasks.musav import scores as musav_scores
from earmark.bench.tasks.musav import task as musav
from earmark.bench.tasks.musav.sources import predict_musav
from earmark.bench.tasks.musav.view import VIEW as MUSAV
from earmark.bench.tasks.probe import task as probe
from earmark.bench.tasks.probe.view import VIEW as PROBE
from earmark.bench.tasks.retrieval import scores as retrieval_scores
from earmark.bench.tasks.retrieval import task as retrieval
from earmark.bench.tasks.retrieval.failures import check_sentences
from earmark.bench.tasks.retrieval.view import VIEW as RETRIEVAL
from earmark.bench.tasks.task import Context, Ran, TaskOutput
from earmark.bench.tasks.vectors import collect
from earmark.bench.tasks.zero_shot import task as zero_shot_classification
from earmark.bench.tasks.zero_shot import zero_shot_tagging
from earmark.bench.tasks.zero_shot.view import CLASSIFICATION, TAGGING
from earmark.datasets.base import DataError, RatedClips
from earmark.datasets.files.places import resolve
from earmark.datasets.judgements.musav import MusAV
from earmark.reports.view import View


def run_musav(
    context: Context,
    dataset: Any,
    models: Mapping[str, Any],
    *,
    audio: str | None = None,
    embeddings: str | None = None,
    predictions: Sequence[str] = (),
    baselines: Sequence[str] = musav.BASELINES,
    allow_missing: bool = False,
) -> Ran:
    """Score models on MusAV, from audio where it is there, else from kept embeddings or files.

    Parameters
    ----------
    audio
        Folder of the previews, if not the dataset's own.
    embeddings
        npz of mean embeddings, for models that are exact on them.
    predictions
        Files of predictions; a model in them that the suite lists too is that model's.
    baselines, allow_missing
        As :func:`earmark.bench.tasks.musav.task.evaluate`.
    """
    _check_musav(dataset)
    found = predict_musav(
        dataset,
        models,
        context,
        audio=audio,
        means={} if embeddings is None else dict.fromkeys(models, embeddings),
        predictions=predictions,
    )
    output = musav.evaluate(
        dataset,
        found.values,
        baselines=baselines,
        allow_missing=allow_missing,
        sources=found.sources,
        task_id=context.task_id,
        replicates=context.replicates,
        seed=context.seed,
    )
    return Ran(_with(output, found), found.seconds)


def run_av_regression(context: Context, dataset: Any, models: Mapping[str, Any]) -> Ran:
    """Hold models' arousal and valence against ratings."""
    _check_rated(dataset)
    found = predict_from_audio(models, dataset.clips, context.embeddings)
    output = av_regression.evaluate(
        dataset,
        found.values,
        scales={name: models[name].card.av_scale for name in found.values},
        problems=found.problems,
        task_id=context.task_id,
        replicates=context.replicates,
        seed=context.seed,
    )
    return Ran(_with(output, found), found.seconds)


def _check_musav(dataset: Any) -> None:
    if not isinstance(dataset, MusAV):
        raise DataError(f"the task musav needs the dataset musav, got {type(dataset).__name__}")


def _check_rated(dataset: Any) -> None:
    if not isinstance(dataset, RatedClips):
        raise DataError(
            f"the task av_regression needs a set of rated clips, got {type(dataset).__name__}"
        )
    av_regression.refuse_constant(dataset.card.id, dataset.ratings)


def _with(output: TaskOutput, found: AVPredictions) -> TaskOutput:
    result = output.result.model_copy(
        update={
            "problems": found.problems,
            "not_run": [*output.result.not_run, *found.not_run],
            "warnings": [*output.result.warnings, *found.warnings],
        }
    )
    return TaskOutput(result, output.items, output.arrays)


def embed_for(
    task: str,
    dataset: Any,
    models: Mapping[str, Any],
    embeddings: Embeddings,
    options: Mapping[str, Any],
    *,
    datasets: Mapping[str, Any],
) -> set[str]:
    """Embed what a task needs and the store lacks; return the ids of the clips that were heard.

    ``datasets`` are those of the suite, for tasks that name further ones.

    Raises
    ------
    DataError, ModelError
        As the task itself.
    """
    if task in AUDIO_TEXT:
        clips, texts = AUDIO_TEXT[task].wanted(dataset, **options)
        return {clip.id for clip in collect(models, clips, texts, embeddings).clips}
    if task == "av_cross_dataset":
        return av_cross_dataset.embed(dataset, models, embeddings, datasets=datasets, **options)
    if task == "musav":
        audio = options.get("audio")
        clips = dataset.clips(audio=None if audio is None else resolve(audio))
    else:
        clips = dataset.clips
    found = predict_from_audio(models, [clip for clip in clips if clip.path], embeddings)
    return {clip for values in found.values.values() for clip in values}


def check_fit(
    task: str,
    context: Context,
    dataset: Any,
    models: Mapping[str, Any],
    options: Mapping[str, Any],
) -> None:
    """Hold a task's dataset and options against what it takes, before anything is listened to.

    Raises
    ------
    DataError, ModelError
        As the task itself.
    """
    if task in AUDIO_TEXT:
        AUDIO_TEXT[task].wanted(dataset, **options)
        if context.strict and (weights := options.get("sentence_bert")) is not None:
            check_sentences(weights)
    elif task == "av_cross_dataset":
        av_cross_dataset.check(context, dataset, models, **options)
    elif task == "musav":
        _check_musav(dataset)
        if options.get("audio") is not None:
            resolve(options["audio"])
    else:
        _check_rated(dataset)


AUDIO_TEXT: Mapping[str, ModuleType] = {
    "retrieval": retrieval,
    "zero_shot_classification": zero_shot_classification,
    "zero_shot_tagging": zero_shot_tagging,
    "probe": probe,
}
"""Tasks on vectors of clips and texts, which are held against the model ``random``."""

TASKS: Mapping[str, Callable[..., Ran]] = {
    "av_cross_dataset": av_cross_dataset.run,
    "av_regression": run_av_regression,
    "musav": run_musav,
    **{name: module.run for name, module in AUDIO_TEXT.items()},
}

VIEWS: Mapping[str, View] = {
    "av_cross_dataset": AV_CROSS_DATASET,
    "av_regression": AV_REGRESSION,
    "musav": MUSAV,
    "probe": PROBE,
    "retrieval": RETRIEVAL,
    "zero_shot_classification": CLASSIFICATION,
    "zero_shot_tagging": TAGGING,
}
"""How a reader sees the results of each task."""


@dataclass(frozen=True, slots=True)
class Scoring:
    """How a kind of task is measured again, from a record alone."""

    measure: Measure
    needs: frozenset[str]
    """What it asks of models: ``audio``, ``text``."""
    truth: frozenset[str]
    """Columns of items (and ``arrays/<name>``) that come from the dataset."""
    outcomes: frozenset[str]
    """Columns that come from the model and are measured, beside those called as a metric is."""
    derived_subsets: DerivedSubsets = field(default_factory=dict)
    seeded: bool = False
    """Whether the seed decides more than what is resampled, whatever the protocol says."""
    chance_varies: bool = False
    """Whether the level of chance follows from what a model predicts."""


_AUDIO, _BOTH = frozenset({"audio"}), frozenset({"audio", "text"})
_RATED = Scoring(av_regression.measure, _AUDIO, av_regression.TRUTH, av_regression.OUTCOMES)
_SCORING: Mapping[str, Scoring] = {
    "av_cross_dataset": _RATED,
    "av_regression": _RATED,
    "musav": Scoring(
        musav_scores.measure,
        _AUDIO,
        musav_scores.TRUTH,
        musav_scores.OUTCOMES,
        musav_scores.DERIVED_SUBSETS,
    ),
    "retrieval": Scoring(
        retrieval_scores.measure, _BOTH, retrieval_scores.TRUTH, retrieval_scores.OUTCOMES
    ),
    "zero_shot_classification": Scoring(
        class_scores.measure, _BOTH, class_scores.TRUTH, class_scores.OUTCOMES
    ),
    "zero_shot_tagging": Scoring(tag_scores.measure, _BOTH, tag_scores.TRUTH, frozenset()),
    "probe": Scoring(
        probe.measure,
        _AUDIO,
        probe.TRUTH,
        class_scores.OUTCOMES,
        seeded=True,
        chance_varies=True,
    ),
}


def task_of(kind: str) -> Scoring | None:
    """Return how records of a kind are measured; None where no such task is installed."""
    return _SCORING.get(kind)
