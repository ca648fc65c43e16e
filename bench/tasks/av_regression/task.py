"""Predicted against rated arousal and valence, clip by clip.

Pearson's r holds whatever scale a model predicts on. R2, RMSE, MAE and CCC compare values, so a
model's declared scale is first mapped onto the ratings' (end to end, one affine map for both
dimensions, stated in the protocol); without a declared scale they are undefined.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from earmark.bench.metrics import regression
from earmark.bench.metrics.base import Floats, Metric
from earmark.bench.metrics.regression import METRICS, PEARSON_R
from earmark.bench.metrics.statistics import Estimate
from earmark.bench.scoring.items import (
    About,
    Arrays,
    TaskItems,
    UnmeasurableError,
    finite,
    table_of,
    undetermined,
)
from earmark.bench.scoring.results import (
    compared_items,
    groups_of,
    resampling,
    score_of,
)
from earmark.bench.scoring.statistic import SumStatistic
from earmark.bench.tasks.av_predictions import (
    ByItem,
    predict_from_audio,
    read_predictions,
    with_predictions,
)
from earmark.bench.tasks.av_regression.view import VIEW
from earmark.bench.tasks.coverage import common_items
from earmark.bench.tasks.task import Context, Need, Task, TaskOutput, TaskRun, Wanted, item_digest
from earmark.datasets.base import Clip, DataError, RatedClips, Scale
from earmark.datasets.files.data_paths import resolve
from earmark.reports.record.lookup import SIGNIFICANT
from earmark.reports.record.schema import (
    Comparison,
    Group,
    ItemProblem,
    Plain,
    Reference,
    Score,
    TaskResult,
)
from earmark.reports.view import View

if TYPE_CHECKING:
    import pandas as pd

DIMENSIONS = ("arousal", "valence")
TRUTH = frozenset({"unit", "label", "group", "rated"})
OUTCOMES = frozenset({"predicted"})
_METRICS = {metric.name: metric for metric in METRICS}


def measure(score: Score, rows: pd.DataFrame, arrays: Arrays, about: About) -> SumStatistic:
    """Return the statistic of predictions and ratings that a score is of."""
    metric = _METRICS.get(score.metric)
    if metric is None or not {"rated", "predicted"} <= set(rows.columns):
        raise undetermined(score.metric)
    rated, predicted = finite(rows, "rated"), finite(rows, "predicted")
    if np.ptp(rated) == 0:
        raise UnmeasurableError(
            f"all {len(rated)} ratings are {rated[0]:g}: agreement is undefined"
        )
    if about.model_scale is not None and about.rating_scale is not None:
        predicted = on_scale(predicted, about.model_scale, Scale(*about.rating_scale))
    elif metric != PEARSON_R:
        raise UnmeasurableError(
            f"{metric.name} needs the model's scale and that of the ratings, and the record does "
            f"not have both"
        )
    return agreement(rated, predicted, metric)


@dataclass(frozen=True)
class AVRegression(Task):
    """Hold models' arousal and valence against ratings.

    Parameters
    ----------
    predictions
        Files of predictions (as those of the task musav), to score besides the suite's models.
    scale
        The lowest and the highest value that these predictions can have.
    allow_missing
        Score the clips that all have; otherwise files must have every rated clip.
    """

    predictions: Sequence[str] = ()
    scale: Sequence[float] | None = None
    allow_missing: bool = False

    kind: ClassVar[str] = "av_regression"
    needs: ClassVar[frozenset[Need]] = frozenset({"av"})
    truth: ClassVar[frozenset[str]] = TRUTH
    outcomes: ClassVar[frozenset[str]] = OUTCOMES
    view: ClassVar[View] = VIEW
    measure = staticmethod(measure)

    def wanted(self, context: Context, dataset: Any, models: Mapping[str, Any]) -> Wanted:
        """Return the rated clips that have audio."""
        rated = _rated(dataset)
        self._in_files(rated, models)
        return Wanted([clip for clip in rated.clips if clip.path] if models else ())

    def run(self, context: Context, dataset: Any, models: Mapping[str, Any]) -> TaskRun:
        """Ask the models for the clips' arousal and valence, and score them."""
        rated = _rated(dataset)
        in_files = self._in_files(rated, models)
        found = predict_from_audio(models, rated.clips, context.embeddings)
        scales = {name: models[name].card.av_scale for name in found.values}
        found.values |= in_files
        output = evaluate(
            rated,
            found.values,
            scales=scales | dict.fromkeys(in_files, self._scale()),
            problems=found.problems,
            task_id=context.task_id,
            replicates=context.replicates,
            seed=context.seed,
        )
        return with_predictions(output, found)

    def _in_files(self, rated: RatedClips, models: Mapping[str, Any]) -> Mapping[str, ByItem]:
        """Return what files say, by model.

        Raises
        ------
        DataError
            If a file is faulty or lacks a clip, or two models have one name.
        """
        self._scale()
        found: dict[str, ByItem] = {}
        for path in self.predictions:
            for one in read_predictions(resolve(path)):
                if one.model in found or one.model in models:
                    raise DataError(
                        f"{path}: there is a model {one.model!r} already; give one of them another "
                        f"name in the column model"
                    )
                found[one.model] = dict(one.values)
        if found:
            common_items(
                [clip.id for clip in rated.clips],
                {model: set(values) for model, values in found.items()},
                allow_missing=self.allow_missing,
                what="clip",
            )
        return found

    def _scale(self) -> tuple[float, float] | None:
        if self.scale is None:
            return None
        try:
            low, high = map(float, self.scale)
        except (TypeError, ValueError):
            raise DataError(
                f"scale is {self.scale!r}, expected two numbers, low and high"
            ) from None
        Scale(low, high)
        return low, high


def _rated(dataset: Any) -> RatedClips:
    if not isinstance(dataset, RatedClips):
        raise DataError(
            f"the task av_regression needs a set of rated clips, got {type(dataset).__name__}"
        )
    refuse_constant(dataset.card.id, dataset.ratings)
    return dataset


def evaluate(
    dataset: RatedClips,
    predictions: Mapping[str, Mapping[str, tuple[float, ...]]],
    *,
    scales: Mapping[str, tuple[float, float] | None],
    problems: Sequence[ItemProblem] = (),
    task_id: str = "av_regression",
    replicates: int = 10_000,
    seed: int = 2022,
) -> TaskOutput:
    """Score models on the clips that every one of them could hear.

    Parameters
    ----------
    predictions
        Model to clip id to (arousal, valence).
    scales
        Model to the ends of the scale it predicts on, or None where it declares none.
    problems
        Clips that could not be heard, for the record.

    Raises
    ------
    DataError
        If there is no model, fewer than three clips are predicted by all models, or the ratings of
        these are all the same in both dimensions.
    """
    if not predictions:
        raise DataError(f"{dataset.card.id}: no predictions to score")
    chosen = [
        index
        for index, clip in enumerate(dataset.clips)
        if all(clip.id in values for values in predictions.values())
    ]
    if len(chosen) < 3:
        raise DataError(
            f"{dataset.card.id}: {len(chosen)} of {len(dataset.clips)} clips are predicted by "
            f"every model, at least 3 are needed"
        )
    clips = [dataset.clips[index] for index in chosen]
    rated = dataset.ratings[chosen]
    refuse_constant(dataset.card.id, rated)
    raw = {m: np.array([v[clip.id] for clip in clips]) for m, v in predictions.items()}
    values = {m: on_scale(raw[m], scales.get(m), dataset.scale) for m in raw}
    units = np.array([clip.unit or clip.id for clip in clips])
    unit = "clip" if all(clip.unit is None for clip in clips) else "unit"
    digest = item_digest(clip.id for clip in clips)
    scores: list[Score] = []
    comparisons: list[Comparison] = []
    groups: list[Group] = []
    for column, dimension in enumerate(DIMENSIONS):
        constant = constant_ratings(rated[:, column], dimension)
        for model, table in values.items():
            if constant:
                found = _undefined(constant, n=len(clips), n_units=len(np.unique(units)))
            else:
                found = regression.evaluate(rated[:, column], table[:, column], units=units)
            comparable = constant is not None or scales.get(model) is not None
            scores += _scores(
                found,
                comparable=comparable,
                model=model,
                subset="all",
                dimension=dimension,
                n_items=len(dataset.clips),
                item_digest=digest,
                unit=unit,
            )
    items = _items(clips, rated, raw, dataset.scale)
    outcomes = TaskItems(
        measure,
        table_of(items),
        {},
        scores,
        model_scales=scales,
        rating_scale=(dataset.scale.low, dataset.scale.high),
        as_given=True,
    )
    for dimension in DIMENSIONS:
        own = [s for s in scores if s.dimension == dimension and s.metric == PEARSON_R.name]
        paired = compared_items(outcomes, own, unit=unit, replicates=replicates, seed=seed)
        comparisons += paired
        groups += groups_of(own, paired)
    result = TaskResult(
        id=task_id,
        kind="av_regression",
        dataset=dataset.card.id,
        title=f"Arousal and valence against ratings: {dataset.card.title}",
        protocol=_protocol(dataset, scales, unit, replicates=replicates, seed=seed),
        models=list(predictions),
        scores=scores,
        comparisons=comparisons,
        groups=groups,
        references=[
            Reference(
                name="chance", subset="all", dimension=dimension, metric=PEARSON_R.name, value=0.0
            )
            for dimension, column in zip(DIMENSIONS, rated.T, strict=True)
            if not constant_ratings(column, dimension)
        ],
        problems=list(problems),
        warnings=[
            *_warnings(dataset, clips, rated),
            *_too_few(replicates, len(predictions)),
        ],
    )
    return TaskOutput(result, items)


def agreement(rated: Floats, predicted: Floats, metric: Metric = PEARSON_R) -> SumStatistic:
    """Return a metric of ratings and predictions, ``(n_clips,)``, as a statistic of sums."""
    return SumStatistic(
        regression.moments(rated, predicted),
        partial(regression.from_sums, metric=metric),
        scale=regression.PAIRED_SCALES[metric.name],
    )


def constant_ratings(rated: Floats, dimension: str) -> str | None:
    """Return why nothing can be said of ratings ``(n_clips,)`` that are all the same, or None.

    >>> constant_ratings(np.array([5.0, 5.0]), "arousal")
    'all 2 ratings of arousal are 5: agreement with them is undefined'
    """
    if len(rated) == 0 or np.ptp(rated) > 0:
        return None
    same = f"all {len(rated)} ratings of {dimension} are {rated[0]:g}"
    return f"{same}: agreement with them is undefined"


def refuse_constant(name: str, ratings: Floats) -> None:
    """Raise :class:`DataError` if ratings ``(n_clips, 2)`` are the same in both dimensions."""
    reasons = list(filter(None, map(constant_ratings, ratings.T, DIMENSIONS)))
    if len(reasons) == len(DIMENSIONS):
        raise DataError(f"{name}: {'; '.join(reasons)}; nothing can be scored")


def _undefined(reason: str, *, n: int, n_units: int) -> dict[str, Estimate]:
    return {metric.name: Estimate(np.nan, None, n, n_units, reason) for metric in METRICS}


def on_scale(values: Floats, scale: tuple[float, float] | None, onto: Scale) -> Floats:
    """Map a scale's ends onto another's; ratings on 1 to 9 become ratings on -10 to 10.

    Values without a scale stay as they are.
    """
    if scale is None:
        return values
    share = (values - scale[0]) / (scale[1] - scale[0])
    return np.asarray(onto.low + share * (onto.high - onto.low))


def _scores(
    found: Mapping[str, Estimate], *, comparable: bool, unit: str, **details: Any
) -> list[Score]:
    scores = []
    for metric in METRICS:
        estimate = found[metric.name]
        if metric is not PEARSON_R and not comparable:
            reason = "the model declares no scale, so its values cannot be held against ratings"
            estimate = Estimate(np.nan, None, estimate.n, estimate.n_units, reason)
        scores.append(score_of(metric, estimate, unit=unit, **details))
    return scores


def _protocol(
    dataset: RatedClips,
    scales: Mapping[str, tuple[float, float] | None],
    unit: str,
    *,
    replicates: int,
    seed: int,
) -> dict[str, Plain]:
    low, high = dataset.scale.low, dataset.scale.high
    mapped = {
        f"scale of {model}": f"{scale[0]:g} to {scale[1]:g}, mapped onto {low:g} to {high:g}"
        if scale
        else "none declared: Pearson's r alone"
        for model, scale in scales.items()
    }
    return {
        "protocol": "earmark",
        "ratings": f"{low:g} to {high:g}",
        **mapped,
        **resampling(unit, replicates=replicates, seed=seed),
    }


def _warnings(dataset: RatedClips, clips: Sequence[Clip], rated: Floats) -> list[str]:
    constant = map(constant_ratings, rated.T, DIMENSIONS)
    found = [f"{reason}; its scores are undefined" for reason in constant if reason]
    left = len(dataset.clips) - len(clips)
    if left:
        found.append(
            f"{left} of {len(dataset.clips)} rated clips could not be scored, see the problems"
        )
    return found


def _too_few(replicates: int, n_models: int) -> list[str]:
    """Return a warning where not even the least p-value survives the correction."""
    n_pairs = n_models * (n_models - 1) // 2
    least = n_pairs / (1 + replicates)
    if least < SIGNIFICANT:
        return []
    return [
        f"{replicates} replicates tell no two of {n_models} models apart: the least p-value that "
        f"they can give is {least:.2g} after Holm's correction over {n_pairs} pairs; take "
        f"{math.ceil(n_pairs / SIGNIFICANT)} or more"
    ]


def _items(
    clips: Sequence[Clip], rated: Floats, values: Mapping[str, Floats], scale: Scale
) -> dict[str, list[Any]]:
    names = ("model", "item", "unit", "dimension", "label", "group", "rated", "predicted")
    columns: dict[str, list[Any]] = {name: [] for name in names}
    quadrants = _quadrants(rated, scale)
    for model, table in values.items():
        for column, dimension in enumerate(DIMENSIONS):
            columns["model"] += [model] * len(clips)
            columns["item"] += [clip.id for clip in clips]
            columns["unit"] += [clip.unit or clip.id for clip in clips]
            columns["dimension"] += [dimension] * len(clips)
            columns["label"] += quadrants
            columns["group"] += [clip.label for clip in clips]
            columns["rated"] += rated[:, column].tolist()
            columns["predicted"] += table[:, column].tolist()
    return columns


def _quadrants(rated: Floats, scale: Scale) -> list[str]:
    """Return the quadrant of each clip's ratings about the middle of their scale."""
    high = rated >= (scale.low + scale.high) / 2
    word = {True: "high", False: "low"}
    return [f"{word[bool(a)]} arousal, {word[bool(v)]} valence" for a, v in high]
