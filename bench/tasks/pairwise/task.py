"""Pairwise agreement of models with listeners: MusAV's, or those of any judged pairs.

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

from earmark.bench.metrics.base import Floats
from earmark.bench.metrics.pairs.pairwise import Outcome, Outcomes
from earmark.bench.scoring.items import DerivedSubsets, TaskItems, table_of
from earmark.bench.scoring.results import compared_items, groups_of, resampling
from earmark.bench.tasks.av_predictions import with_predictions
from earmark.bench.tasks.pairwise import certainty, listeners, tables
from earmark.bench.tasks.pairwise.checks import check_predictions, warnings_of
from earmark.bench.tasks.pairwise.scores import (
    DERIVED_SUBSETS,
    HALF_CREDIT,
    OUTCOMES,
    RULES,
    TRUTH,
    measure,
    score_dimension,
)
from earmark.bench.tasks.pairwise.sources import predict_judged
from earmark.bench.tasks.pairwise.tables import Values
from earmark.bench.tasks.pairwise.truth import People, Truth, read_all
from earmark.bench.tasks.pairwise.view import VIEW
from earmark.bench.tasks.task import Context, Need, Task, TaskOutput, TaskRun, Wanted
from earmark.datasets.base import DataError
from earmark.datasets.files.data_paths import resolve
from earmark.datasets.judgements.judged import JudgedPairs
from earmark.datasets.judgements.rules import ANNOTATORS_PER_PAIR, DIMENSIONS
from earmark.reports.record.lookup import select
from earmark.reports.record.schema import (
    Comparison,
    Group,
    NotRun,
    Plain,
    Reference,
    Score,
    Table,
    TaskResult,
)
from earmark.reports.view import View

BASELINES = ("loudness",)

Predictions = Mapping[str, Mapping[str, tuple[float, ...]]]


@dataclass(frozen=True)
class PairwiseAgreement(Task):
    """Score models on judged pairs: from audio where it is there, else kept embeddings or files.

    A model that predicts arousal and valence is scored on these where the pairs are judged by them;
    of other dimensions, predictions come from files, or from a model that names its ``dimensions``.
    On a model that only embeds audio, a pairwise head is fitted to the judgements, out of fold.

    Parameters
    ----------
    audio
        Folder of the previews, if not the dataset's own.
    embeddings
        npz of mean embeddings, for models that are exact on them.
    predictions
        Files of predictions; a model in them that the suite lists too is that model's.
    baselines
        What is scored besides: ``loudness``, where the set states it, or nothing.
    allow_missing
        Score the pairs of which both songs have predictions, and state the coverage.
    """

    audio: str | None = None
    embeddings: str | None = None
    predictions: Sequence[str] = ()
    baselines: Sequence[str] = BASELINES
    allow_missing: bool = False

    kind: ClassVar[str] = "pairwise"
    needs: ClassVar[frozenset[Need]] = frozenset({"audio or av"})
    truth: ClassVar[frozenset[str]] = TRUTH
    outcomes: ClassVar[frozenset[str]] = OUTCOMES
    derived_subsets: ClassVar[DerivedSubsets] = DERIVED_SUBSETS
    view: ClassVar[View] = VIEW
    measure = staticmethod(measure)

    def wanted(self, context: Context, dataset: Any, models: Mapping[str, Any]) -> Wanted:
        """Return the songs that have audio."""
        known = self._judged(dataset)
        clips = known.clips(audio=None if self.audio is None else resolve(self.audio))
        return Wanted([clip for clip in clips if clip.path])

    def run(self, context: Context, dataset: Any, models: Mapping[str, Any]) -> TaskRun:
        """Score what the models say of the judged songs."""
        known = self._judged(dataset)
        found = predict_judged(
            known,
            models,
            context,
            audio=self.audio,
            means={} if self.embeddings is None else dict.fromkeys(models, self.embeddings),
            predictions=self.predictions,
            heads=self.kind != "musav",
            some=self.kind != "musav",
        )
        output = evaluate(
            known,
            found.values,
            kind=self.kind,
            baselines=self.baselines,
            allow_missing=self.allow_missing,
            sources=found.sources,
            task_id=context.task_id,
            replicates=context.replicates,
            seed=context.seed,
        )
        return with_predictions(output, found)

    def _judged(self, dataset: Any) -> JudgedPairs:
        if not isinstance(dataset, JudgedPairs):
            raise DataError(
                f"the task {self.kind} needs a dataset of judged pairs (pairwise, musav), got "
                f"{type(dataset).__name__}"
            )
        return dataset


class MusAVAgreement(PairwiseAgreement):
    """Score arousal/valence models on MusAV, or on pairs that were judged as MusAV's were.

    As the task ``pairwise``, whose options it has.
    """

    kind: ClassVar[str] = "musav"
    needs: ClassVar[frozenset[Need]] = frozenset({"av"})

    def _judged(self, dataset: Any) -> JudgedPairs:
        known = super()._judged(dataset)
        if (set(known.dimensions), known.per_pair) != ({*DIMENSIONS}, ANNOTATORS_PER_PAIR):
            raise DataError(
                f"the task musav needs arousal and valence, judged by three a pair; "
                f"{known.card.id} has {', '.join(known.dimensions)}, judged by {known.per_pair}: "
                f"take the task pairwise"
            )
        return known


def evaluate(
    dataset: JudgedPairs,
    predictions: Predictions,
    *,
    kind: str | None = None,
    baselines: Sequence[str] = BASELINES,
    allow_missing: bool = False,
    scale: tuple[float, float] | None = None,
    sources: Mapping[str, str] | None = None,
    task_id: str | None = None,
    replicates: int = 10_000,
    seed: int = 2022,
) -> TaskOutput:
    """Score models on every ground-truth set of every dimension.

    Parameters
    ----------
    predictions
        Model to song id to a value for each of the dataset's dimensions, in any unit: only the
        order counts. Of a dimension that is NaN for all songs a model says nothing.
    kind
        Of the result: ``musav`` or ``pairwise``; by default the first where the set is MusAV.
    baselines
        ``loudness``: the louder song is the higher one on every dimension.
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
    kind = kind or ("musav" if dataset.is_musav else "pairwise")
    by_baseline, not_run = _baselines(dataset, baselines)
    if predictions or not by_baseline:
        check_predictions(dataset, predictions, allow_missing=allow_missing)
    own = {model: _table(dataset, by_song) for model, by_song in predictions.items()}
    if taken := own.keys() & by_baseline.keys():
        raise DataError(f"the model name {taken.pop()!r} is a baseline's; choose another")
    values = _by_dimension(dataset, own | by_baseline)
    truths, people = read_all(dataset)
    outcomes = [
        {model: truth.judge(column) for model, column in values[truth.dimension].items()}
        for truth in truths
    ]
    scores = [
        score
        for truth, judged in zip(truths, outcomes, strict=True)
        for score in score_dimension(truth, judged)
    ]
    items = _items(truths, values, outcomes, dataset.subsets)
    comparisons, groups = _compared(truths, scores, items, replicates=replicates, seed=seed)
    beside = tables.others(dataset)
    result = TaskResult(
        id=task_id or kind,
        kind=kind,
        dataset=dataset.card.id,
        title=_title(dataset, kind),
        protocol={
            **_protocol(dataset, kind),
            "missing predictions": "left-out" if allow_missing else "refused",
            **resampling("triplet", replicates=replicates, seed=seed),
            **{f"predictions of {model}": source for model, source in (sources or {}).items()},
        },
        models=[*own, *by_baseline],
        headline_metric=HALF_CREDIT.name,
        scores=scores,
        comparisons=comparisons,
        groups=groups,
        references=_references(truths, people, beside),
        tables=_all_tables(
            dataset, truths, people, values, beside, replicates=replicates, seed=seed
        ),
        not_run=not_run,
        warnings=warnings_of(own, truths, scale=scale),
    )
    return TaskOutput(result, items)


def _title(dataset: JudgedPairs, kind: str) -> str:
    if dataset.card.synthetic:
        return f"Pairwise agreement with simulated listeners: {dataset.card.title}"
    if kind == "musav" and dataset.is_musav:
        return "Pairwise agreement with listeners on MusAV"
    return f"Pairwise agreement with listeners: {dataset.card.title}"


def _baselines(
    dataset: JudgedPairs, names: Sequence[str]
) -> tuple[dict[str, Floats], list[NotRun]]:
    """Return what baselines say, ``(n_songs, n_dimensions)`` each, and which there are not."""
    found: dict[str, Floats] = {}
    not_run = []
    for name in names:
        if name not in BASELINES:
            known = ", ".join(BASELINES)
            raise DataError(f"unknown baseline {name!r} of judged pairs; known: {known}")
        loudness = np.array([dataset.loudness.get(song, np.nan) for song in dataset.song_ids])
        if np.isnan(loudness).all():
            reason = f"{dataset.card.id} states no loudness (audio.ebur128)"
            not_run.append(NotRun(what=f"{name} (baseline)", reason=reason))
        else:
            found[f"{name} (baseline)"] = np.repeat(loudness[:, None], len(dataset.dimensions), 1)
    return found, not_run


def _by_dimension(dataset: JudgedPairs, tables: Mapping[str, Floats]) -> Values:
    """Return the values of the songs by dimension, and by model that says something of it."""
    return {
        dimension: {
            model: table[:, column]
            for model, table in tables.items()
            if not np.isnan(table[:, column]).all()
        }
        for column, dimension in enumerate(dataset.dimensions)
    }


def _compared(
    truths: Sequence[Truth],
    scores: list[Score],
    items: Mapping[str, list[Any]],
    *,
    replicates: int,
    seed: int,
) -> tuple[list[Comparison], list[Group]]:
    """Compare models with half credit on every set of every dimension."""
    by_pair = TaskItems(
        measure, table_of(items), {}, scores, derived_subsets=DERIVED_SUBSETS, as_given=True
    )
    comparisons: list[Comparison] = []
    groups: list[Group] = []
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
    return comparisons, groups


def _table(dataset: JudgedPairs, by_song: Mapping[str, tuple[float, ...]]) -> Floats:
    """Return predictions as ``(n_songs, n_dimensions)`` in the dataset's order, NaN: missing."""
    missing = (np.nan,) * len(dataset.dimensions)
    return np.array([by_song.get(song, missing) for song in dataset.song_ids], dtype=np.float64)


def _references(truths: Sequence[Truth], people: Sequence[People], others: str) -> list[Reference]:
    lines = []
    for truth, of in zip(truths, people, strict=True):
        human = of.reference
        for subset in truth.members:
            if human is not None and np.isfinite(human.estimate.value):
                lines += [
                    Reference(
                        name=f"one annotator against {others}",
                        subset=subset,
                        dimension=truth.dimension,
                        metric=metric.name,
                        value=human.estimate.value,
                        n=human.estimate.n,
                        note="over all judged pairs that the annotator calls a or b and on which "
                        f"{others} agree",
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


def _protocol(dataset: JudgedPairs, kind: str) -> dict[str, Plain]:
    found: dict[str, Plain] = {
        "protocol": "musav-official" if kind == "musav" else "judged-pairs",
        "ground-truth ties": "left-out",
        "predicted ties": "half-credit",
    }
    return found if kind == "musav" else found | {"annotators per pair": dataset.per_pair}


def _all_tables(
    dataset: JudgedPairs,
    truths: Sequence[Truth],
    people: Sequence[People],
    values: Values,
    others: str,
    *,
    replicates: int,
    seed: int,
) -> list[Table]:
    songs = dataset.song_ids
    found = [
        tables.judges_table(dataset),
        tables.reliability_table(people, others),
        tables.against_annotators_table(
            people, values, songs, others, replicates=replicates, seed=seed
        ),
        tables.annotators_table(people, others),
        tables.calibration_table(truths, values),
        certainty.selective_table(truths, values),
        certainty.probability_table(truths, values, seed=seed),
        *listeners.listeners_tables(dataset, truths, people, values),
    ]
    return [table for table in found if table.rows]


def _items(
    truths: Sequence[Truth],
    values: Values,
    outcomes: Sequence[Mapping[str, Outcomes]],
    subsets: Sequence[str],
) -> dict[str, list[Any]]:
    names = ("model", "item", "unit", "dimension", "triplet_type", "truth", "difference", "outcome")
    columns: dict[str, list[Any]] = {name: [] for name in (*names, *subsets)}
    scored = {Outcome.CORRECT: 1, Outcome.TIED: 0, Outcome.WRONG: -1}
    for truth, judged in zip(truths, outcomes, strict=True):
        for model, codes in judged.items():
            value = values[truth.dimension][model]
            difference = value[truth.song_a] - value[truth.song_b]
            columns["model"] += [model] * len(truth.pairs)
            columns["item"] += [pair.id for pair in truth.pairs]
            columns["unit"] += truth.triplets.tolist()
            columns["dimension"] += [truth.dimension] * len(truth.pairs)
            columns["triplet_type"] += [pair.triplet_type for pair in truth.pairs]
            columns["truth"] += truth.labels.tolist()
            columns["difference"] += [None if np.isnan(d) else float(d) for d in difference]
            columns["outcome"] += [scored.get(Outcome(code)) for code in codes]
            for subset in subsets:
                columns[subset] += truth.members[subset].tolist()
    return columns
