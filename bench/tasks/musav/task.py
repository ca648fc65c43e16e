"""Pairwise agreement of AV models with MusAV's listeners.

Per dimension, ground-truth set and model: the accuracy with half credit for predicted ties and the
official one (ties dropped), each with an interval over triplets. Models are ranked and compared
with half credit, so that all are held to the same pairs. Beside them stand chance, a loudness
baseline and the human reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from earmark.bench.metrics.agreement import HumanReference, human_reference
from earmark.bench.metrics.base import Floats
from earmark.bench.metrics.pairwise import Outcome, Outcomes
from earmark.bench.scoring.items import DerivedSubsets, TaskItems, table_of
from earmark.bench.scoring.results import compared_items, groups_of, resampling
from earmark.bench.tasks.av_predictions import with_predictions
from earmark.bench.tasks.musav import tables
from earmark.bench.tasks.musav.checks import check_predictions, warnings_of
from earmark.bench.tasks.musav.scores import (
    DERIVED_SUBSETS,
    HALF_CREDIT,
    OUTCOMES,
    RULES,
    TRUTH,
    measure,
    score_dimension,
)
from earmark.bench.tasks.musav.sources import predict_musav
from earmark.bench.tasks.musav.truth import Humans, Truth, read_both
from earmark.bench.tasks.musav.view import VIEW
from earmark.bench.tasks.task import Context, Need, Task, TaskOutput, TaskRun, Wanted
from earmark.datasets.base import DataError
from earmark.datasets.files.data_paths import resolve
from earmark.datasets.judgements.musav import DIMENSIONS, SUBSETS, MusAV
from earmark.reports.record.lookup import select
from earmark.reports.record.schema import (
    Comparison,
    Group,
    Plain,
    Reference,
    Score,
    Table,
    TaskResult,
)
from earmark.reports.view import View

BASELINES = ("loudness",)

Predictions = Mapping[str, Mapping[str, tuple[float, float]]]


@dataclass(frozen=True)
class MusAVAgreement(Task):
    """Score models on MusAV, from audio where it is there, else from kept embeddings or files.

    Parameters
    ----------
    audio
        Folder of the previews, if not the dataset's own.
    embeddings
        npz of mean embeddings, for models that are exact on them.
    predictions
        Files of predictions; a model in them that the suite lists too is that model's.
    baselines
        What is scored besides: ``loudness``, or nothing.
    allow_missing
        Score the pairs of which both songs have predictions, and state the coverage.
    """

    audio: str | None = None
    embeddings: str | None = None
    predictions: Sequence[str] = ()
    baselines: Sequence[str] = BASELINES
    allow_missing: bool = False

    kind: ClassVar[str] = "musav"
    needs: ClassVar[frozenset[Need]] = frozenset({"av"})
    truth: ClassVar[frozenset[str]] = TRUTH
    outcomes: ClassVar[frozenset[str]] = OUTCOMES
    derived_subsets: ClassVar[DerivedSubsets] = DERIVED_SUBSETS
    view: ClassVar[View] = VIEW
    measure = staticmethod(measure)

    def wanted(self, context: Context, dataset: Any, models: Mapping[str, Any]) -> Wanted:
        """Return the songs that have audio."""
        known = _musav(dataset)
        clips = known.clips(audio=None if self.audio is None else resolve(self.audio))
        return Wanted([clip for clip in clips if clip.path])

    def run(self, context: Context, dataset: Any, models: Mapping[str, Any]) -> TaskRun:
        """Score what the models say of the judged songs."""
        known = _musav(dataset)
        found = predict_musav(
            known,
            models,
            context,
            audio=self.audio,
            means={} if self.embeddings is None else dict.fromkeys(models, self.embeddings),
            predictions=self.predictions,
        )
        output = evaluate(
            known,
            found.values,
            baselines=self.baselines,
            allow_missing=self.allow_missing,
            sources=found.sources,
            task_id=context.task_id,
            replicates=context.replicates,
            seed=context.seed,
        )
        return with_predictions(output, found)


def evaluate(
    dataset: MusAV,
    predictions: Predictions,
    *,
    baselines: Sequence[str] = BASELINES,
    allow_missing: bool = False,
    scale: tuple[float, float] | None = None,
    sources: Mapping[str, str] | None = None,
    task_id: str = "musav",
    replicates: int = 10_000,
    seed: int = 2022,
) -> TaskOutput:
    """Score models on every ground-truth set of both dimensions.

    Parameters
    ----------
    predictions
        Model to song id to (arousal, valence), in any unit: only the order counts.
    baselines
        ``loudness``: the louder song has the higher arousal and the higher valence.
    allow_missing
        Score the pairs of which both songs are predicted, instead of refusing.
    scale
        Lowest and highest value that predictions should have; guessed where not given.
    sources
        Model to where its predictions come from, for the protocol.

    Raises
    ------
    DataError
        If there is no model, a baseline is unknown, or (unless ``allow_missing``) songs are
        missing or unknown.
    """
    by_baseline = {f"{name} (baseline)": _baseline(dataset, name) for name in baselines}
    if predictions or not by_baseline:
        check_predictions(dataset, predictions, allow_missing=allow_missing)
    own = {model: _table(dataset, by_song) for model, by_song in predictions.items()}
    if taken := own.keys() & by_baseline.keys():
        raise DataError(f"the model name {taken.pop()!r} is a baseline's; choose another")
    values = own | by_baseline
    truths, humans = read_both(dataset)
    references = [
        human_reference(
            one.ratings,
            annotators=one.annotators,
            units=one.triplets,
        )
        for one in humans
    ]
    scores: list[Score] = []
    comparisons: list[Comparison] = []
    groups: list[Group] = []
    outcomes = [_judge_all(truth, values) for truth in truths]
    for truth, judged in zip(truths, outcomes, strict=True):
        scores += score_dimension(truth, judged)
    items = _items(truths, values, outcomes)
    by_pair = TaskItems(
        measure, table_of(items), {}, scores, derived_subsets=DERIVED_SUBSETS, as_given=True
    )
    for truth in truths:
        for subset in truth.members:
            ranked = [
                one
                for one in select(scores, metric=HALF_CREDIT.name, subset=subset)
                if one.dimension == truth.dimension
            ]
            paired = compared_items(
                by_pair, ranked, unit="triplet", replicates=replicates, seed=seed
            )
            comparisons += paired
            groups += groups_of(ranked, paired)
    result = TaskResult(
        id=task_id,
        kind="musav",
        dataset=dataset.card.id,
        title=_title(dataset),
        protocol=_protocol(allow_missing, sources or {}, replicates=replicates, seed=seed),
        models=list(values),
        headline_metric=HALF_CREDIT.name,
        scores=scores,
        comparisons=comparisons,
        groups=groups,
        references=_references(truths, humans, references),
        tables=_all_tables(
            dataset, truths, humans, references, values, replicates=replicates, seed=seed
        ),
        warnings=warnings_of(own, truths, scale=scale),
    )
    return TaskOutput(result, items)


def _musav(dataset: Any) -> MusAV:
    if not isinstance(dataset, MusAV):
        raise DataError(f"the task musav needs the dataset musav, got {type(dataset).__name__}")
    return dataset


def _title(dataset: MusAV) -> str:
    if dataset.card.synthetic:
        return f"Pairwise agreement with simulated listeners: {dataset.card.title}"
    return "Pairwise agreement with listeners on MusAV"


def _judge_all(truth: Truth, values: Mapping[str, Floats]) -> dict[str, Outcomes]:
    """Return each model's outcomes on all pairs of one dimension."""
    column = DIMENSIONS.index(truth.dimension)
    return {model: truth.judge(table[:, column]) for model, table in values.items()}


def _baseline(dataset: MusAV, name: str) -> Floats:
    if name not in BASELINES:
        raise DataError(f"unknown baseline {name!r} for MusAV; known: {', '.join(BASELINES)}")
    loudness = np.array([dataset.loudness.get(song, np.nan) for song in dataset.song_ids])
    return np.stack([loudness, loudness], axis=1)


def _table(dataset: MusAV, by_song: Mapping[str, tuple[float, float]]) -> Floats:
    """Return predictions in the dataset's order of songs, ``(n_songs, 2)``, NaN where missing."""
    missing = (np.nan, np.nan)
    return np.array([by_song.get(song, missing) for song in dataset.song_ids], dtype=np.float64)


def _references(
    truths: Sequence[Truth], humans: Sequence[Humans], references: Sequence[HumanReference]
) -> list[Reference]:
    lines = []
    for truth, reference in zip(truths, references, strict=True):
        for subset in truth.members:
            if np.isfinite(reference.estimate.value):
                lines += [
                    Reference(
                        name="one annotator against the two others",
                        subset=subset,
                        dimension=truth.dimension,
                        metric=metric.name,
                        value=reference.estimate.value,
                        n=reference.estimate.n,
                        note="over all judged pairs that the annotator calls a or b and on which "
                        "the two others agree",
                    )
                    for metric, _ in RULES
                ]
            lines += [
                Reference(
                    name="chance",
                    subset=subset,
                    dimension=truth.dimension,
                    metric=metric.name,
                    value=0.5,
                )
                for metric, _ in RULES
            ]
    return lines


def _protocol(
    allow_missing: bool, sources: Mapping[str, str], *, replicates: int, seed: int
) -> dict[str, Plain]:
    return {
        "protocol": "musav-official",
        "ground-truth ties": "left-out",
        "predicted ties": "half-credit",
        "missing predictions": "left-out" if allow_missing else "refused",
        **resampling("triplet", replicates=replicates, seed=seed),
        **{f"predictions of {model}": source for model, source in sources.items()},
    }


def _all_tables(
    dataset: MusAV,
    truths: Sequence[Truth],
    humans: Sequence[Humans],
    references: Sequence[HumanReference],
    values: Mapping[str, Floats],
    *,
    replicates: int,
    seed: int,
) -> list[Table]:
    return [
        tables.judges_table(humans),
        tables.reliability_table(humans, references),
        tables.against_annotators_table(
            humans, values, dataset.song_ids, replicates=replicates, seed=seed
        ),
        tables.annotators_table(humans, references),
        tables.calibration_table(truths, values),
    ]


def _items(
    truths: Sequence[Truth],
    values: Mapping[str, Floats],
    outcomes: Sequence[Mapping[str, Outcomes]],
) -> dict[str, list[Any]]:
    names = ("model", "item", "unit", "dimension", "triplet_type", "truth", "difference", "outcome")
    columns: dict[str, list[Any]] = {name: [] for name in (*names, *SUBSETS)}
    scored = {Outcome.CORRECT: 1, Outcome.TIED: 0, Outcome.WRONG: -1}
    for truth, judged in zip(truths, outcomes, strict=True):
        column = DIMENSIONS.index(truth.dimension)
        for model, codes in judged.items():
            value = values[model][:, column]
            difference = value[truth.song_a] - value[truth.song_b]
            columns["model"] += [model] * len(truth.pairs)
            columns["item"] += [pair.id for pair in truth.pairs]
            columns["unit"] += truth.triplets.tolist()
            columns["dimension"] += [truth.dimension] * len(truth.pairs)
            columns["triplet_type"] += [pair.triplet_type for pair in truth.pairs]
            columns["truth"] += truth.labels.tolist()
            columns["difference"] += [None if np.isnan(d) else float(d) for d in difference]
            columns["outcome"] += [scored.get(Outcome(code)) for code in codes]
            for subset in SUBSETS:
                columns[subset] += truth.members[subset].tolist()
    return columns
