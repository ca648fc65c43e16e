"""One class a clip, scored: what zero-shot classification and a probe of classes put in a record.

A model gives one or several score matrices ``(n_clips, n_classes)``, each a *subset* of the record
(a prompt, the ensemble, a test partition). One of them is the headline, on which models are
compared and of which confusion matrices are kept. ``mean of prompts`` is the mean of a metric over
the prompts, with the prompts resampled together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from earmark.bench.metrics import classification
from earmark.bench.metrics.base import Floats, Metric
from earmark.bench.metrics.classification import ACCURACY, METRICS, Classification
from earmark.bench.metrics.intervals import LOGIT
from earmark.bench.metrics.statistics import Estimate, estimate_statistic, unit_sums
from earmark.bench.scoring.items import (
    About,
    Arrays,
    TaskItems,
    UnmeasurableError,
    mean_of,
    table_of,
    undetermined,
)
from earmark.bench.scoring.results import compared_items, groups_of, score_of
from earmark.bench.scoring.statistic import SumStatistic
from earmark.bench.tasks.labels.dataset import ENSEMBLE, MEAN, unit_word
from earmark.bench.tasks.task import item_digest
from earmark.datasets.base import Clip, DataError, first_ten
from earmark.reports.record.lookup import select
from earmark.reports.record.schema import Comparison, Group, Plain, Reference, Score, Table

if TYPE_CHECKING:
    import pandas as pd

TOP_K = 3
"""Of the second accuracy, where there are more classes than that."""
TRUTH = frozenset({"unit", "label", "arrays/classes"})
OUTCOMES = frozenset({"predicted", "margin"})


@dataclass(frozen=True, slots=True)
class ClassTruth:
    """The clips that are scored, each with its class."""

    clips: tuple[Clip, ...]
    classes: tuple[str, ...]
    n_items: int
    """Clips that there are to score, heard or not."""

    def __post_init__(self) -> None:
        names = [clip.id for clip in self.clips]
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise DataError(f"clip ids must be unique, given more than once: {first_ten(twice)}")
        if not names:
            raise DataError("there is no clip to score")

    @property
    def truth(self) -> NDArray[np.intp]:
        """Index of each clip's class, ``(n_clips,)``."""
        return classification.encode([clip.label or "" for clip in self.clips], self.classes)

    @property
    def units(self) -> NDArray[Any]:
        """What each clip is resampled with, ``(n_clips,)``."""
        return np.array([clip.unit or clip.id for clip in self.clips])

    @property
    def unit(self) -> str:
        """The word for what is resampled."""
        return unit_word(self.clips)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Those that are reported; what chance is depends on the clips."""
        if len(self.classes) <= TOP_K:
            return METRICS
        return (*METRICS, replace(ACCURACY, name=f"top_{TOP_K}_accuracy"))


@dataclass(slots=True)
class Scored:
    """Parts of a task's result."""

    scores: list[Score] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    items: dict[str, list[Any]] = field(default_factory=dict)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)


def score_classes(
    truth: ClassTruth,
    scores: Mapping[str, Mapping[str, Floats]],
    *,
    headline: str,
    averaged: Sequence[str] = (),
    learned: bool = False,
    replicates: int,
    seed: int,
) -> Scored:
    """Return what a record holds of models' scores, ``(n_clips, n_classes)`` by model and subset.

    Parameters
    ----------
    averaged
        The subsets of which ``mean of prompts`` is the mean; none: there is no such subset.
    learned
        Whether the scores were learned from labels. Chance is then :func:`independent_chance`,
        else what a constant scorer reaches.
    """
    found = Scored(items=_no_items(truth))
    kept: dict[str, Classification] = {}
    for model, by_subset in scores.items():
        of_prompts: list[Classification] = []
        for subset, table in by_subset.items():
            one = classification.evaluate(
                truth.truth,
                table,
                classes=truth.classes,
                top_k=(TOP_K,) if len(truth.metrics) > len(METRICS) else (),
                units=truth.units,
            )
            chance = independent_chance(truth, table) if learned else one.chance
            found.scores += _scores(truth, one.metrics, chance, model, subset)
            if subset in averaged:
                of_prompts.append(one)
            if subset == headline:
                kept[model] = one
            _add_items(found.items, truth, model, subset, [table])
            if not np.ptp(table, axis=1).any():
                found.warnings.append(f"{model}, {subset}: all classes have equal scores")
        if averaged:
            tables = [by_subset[name] for name in averaged]
            means = mean_of_prompts(truth, tables)
            found.scores += _scores(truth, means, of_prompts[0].chance, model, MEAN)
            _add_items(found.items, truth, model, MEAN, tables)
    first = next(iter(kept.values()))
    if first.absent:
        found.warnings.append(
            f"classes without a clip, over which no mean is taken: {', '.join(first.absent)}"
        )
    own = select(found.scores, metric=ACCURACY.name, subset=headline)
    by_clip = TaskItems(measure, table_of(found.items), {}, found.scores, as_given=True)
    found.comparisons = compared_items(
        by_clip, own, unit=truth.unit, replicates=replicates, seed=seed
    )
    found.groups = groups_of(own, found.comparisons)
    found.references = _references(first, headline)
    found.tables = [per_class_table(kept)]
    found.arrays["classes"] = np.array(truth.classes)
    found.arrays |= {f"confusion.{model}": one.confusion for model, one in kept.items()}
    return found


def independent_chance(truth: ClassTruth, table: Floats) -> dict[str, float]:
    """Return what each metric would be if predictions had nothing to do with the clips' classes.

    Each class is predicted as often as it is here, but of clips at random: an accuracy of
    ``sum_c p_c q_c``, with the shares of a class among clips and among predictions. Whoever has
    learned which classes are frequent names these more often, and is above 1 / n_classes by that.
    """
    sums = _columns(truth, table).sum(axis=0)
    n_clips, n_classes = len(truth.clips), len(truth.classes)
    _, actual, assigned = np.split(sums[: 3 * n_classes], 3)
    by_lot = np.concatenate([actual * assigned / n_clips, actual, assigned])
    found = {metric.name: float(classification.from_sums(by_lot, metric)) for metric in METRICS}
    if len(truth.metrics) > len(METRICS):
        near = [
            classification.top_k_credit(np.full(n_clips, one), table, k=TOP_K).mean()
            for one in range(n_classes)
        ]
        found[f"top_{TOP_K}_accuracy"] = float(actual @ near / n_clips)
    return found


def mean_of_prompts(truth: ClassTruth, tables: Sequence[Floats]) -> dict[str, Estimate]:
    """Return each metric's mean over prompts, with its interval over the clips' units."""
    sums = unit_sums(np.hstack([_columns(truth, table) for table in tables]), truth.units)
    width = sums.shape[1] // len(tables)

    def mean(whole: Floats, metric: Metric) -> Floats:
        return np.asarray(np.mean([_value(part, metric) for part in _split(whole, width)], axis=0))

    return {
        metric.name: estimate_statistic(
            sums, partial(mean, metric=metric), LOGIT, n=len(truth.clips)
        )
        for metric in truth.metrics
    }


def _columns(truth: ClassTruth, table: Floats) -> Floats:
    """Return the columns whose sums give every metric: counts, and top-k credit at the end."""
    columns = [classification.counts(truth.truth, table)]
    if len(truth.metrics) > len(METRICS):
        columns.append(classification.top_k_credit(truth.truth, table, k=TOP_K)[:, None])
    return np.hstack(columns)


def _split(whole: Floats, width: int) -> list[Floats]:
    return [whole[..., start : start + width] for start in range(0, whole.shape[-1], width)]


def _value(sums: Floats, metric: Metric) -> Floats:
    n_counts = sums.shape[-1] // 3 * 3
    if metric in METRICS:
        return classification.from_sums(sums[..., :n_counts], metric)
    n_items = sums[..., n_counts // 3 : 2 * n_counts // 3].sum(axis=-1)
    return np.asarray(sums[..., -1] / n_items)


def _scores(
    truth: ClassTruth,
    estimates: Mapping[str, Estimate],
    chance: Mapping[str, float],
    model: str,
    subset: str,
) -> list[Score]:
    scores = []
    for metric in truth.metrics:
        estimate = estimates[metric.name]
        is_share = "accuracy" in metric.name and metric.name != "balanced_accuracy"
        scores.append(
            score_of(
                replace(metric, chance=chance[metric.name]),
                estimate,
                unit=truth.unit,
                model=model,
                subset=subset,
                n_items=truth.n_items,
                correct=round(estimate.value * estimate.n, 6) if is_share else None,
                item_digest=item_digest(clip.id for clip in truth.clips),
            )
        )
    return scores


def measure(score: Score, rows: pd.DataFrame, arrays: Arrays, about: About) -> SumStatistic:
    """Return the statistic of classified clips that a score is of."""
    if score.metric in rows.columns:
        return mean_of(rows, score.metric)
    metric = {one.name: one for one in METRICS}.get(score.metric)
    if metric is None or not {"label", "predicted"} <= set(rows.columns):
        raise undetermined(score.metric)
    if score.subset != MEAN:
        return _of_classes(metric, rows, arrays)
    parts = [
        _of_classes(metric, prompt(), arrays)
        for name, prompt in about.subsets.items()
        if name not in (MEAN, ENSEMBLE)
    ]
    width = parts[0].columns.shape[1]

    def mean(sums: Floats) -> Floats:
        values = [part.statistic(one) for part, one in zip(parts, _split(sums, width), strict=True)]
        return np.asarray(np.mean(values, axis=0))

    return SumStatistic(np.hstack([part.columns for part in parts]), mean, scale=LOGIT)


def _of_classes(metric: Metric, rows: pd.DataFrame, arrays: Arrays) -> SumStatistic:
    if "classes" not in arrays:
        raise UnmeasurableError(f"{metric.name} needs the array of classes")
    classes = [str(one) for one in arrays["classes"]]
    assigned = np.zeros((len(rows), len(classes)))
    for row, text in enumerate(rows["predicted"]):
        assigned[row, _named(str(text), classes)] = 1
    truth = classification.encode(list(rows["label"]), classes)
    columns = classification.counts(truth, assigned)
    return SumStatistic(columns, partial(classification.from_sums, metric=metric), scale=LOGIT)


def _named(text: str, classes: Sequence[str]) -> list[int]:
    """Return the classes that a prediction names: one, or several that tie."""
    if text in classes:
        return [classes.index(text)]
    parts = text.split(" or ") if text else []
    if not parts or not set(parts) <= set(classes):
        raise UnmeasurableError(
            f"the items name no class for an item (predicted {text!r}), as for means over prompts",
            instead="the accuracy, or another subset",
        )
    return [classes.index(part) for part in parts]


def _references(found: Classification, headline: str) -> list[Reference]:
    lines = [
        Reference(
            name="chance", subset=headline, metric=metric, value=value, note="of equal scores"
        )
        for metric, value in found.chance.items()
    ]
    majority = Reference(
        name=f"always {found.majority_class!r}",
        subset=headline,
        metric=ACCURACY.name,
        value=found.majority_share,
        note="the most frequent class",
    )
    return [*lines, majority]


def per_class_table(found: Mapping[str, Classification]) -> Table:
    """Return recall, precision and F1 of each class and model."""
    rows: list[list[Plain]] = []
    for name in next(iter(found.values())).per_class:
        for model, one in found.items():
            score = one.per_class[name]
            values = (score.recall.value, score.precision.value, score.f1.value)
            rows.append([name, score.support, model, *map(_plain, values)])
    return Table(
        title="Per class",
        columns=["class", "clips", "model", "recall", "precision", "f1"],
        rows=rows,
        note="Of the headline's scores. Empty where a class has no clip or is never predicted.",
    )


def _no_items(truth: ClassTruth) -> dict[str, list[Any]]:
    names = ["model", "item", "unit", "subset", "label", "predicted", "margin"]
    names += [metric.name for metric in truth.metrics if _is_item_wise(metric)]
    return {name: [] for name in names}


def _is_item_wise(metric: Metric) -> bool:
    return metric not in METRICS or metric == ACCURACY


def _add_items(
    items: dict[str, list[Any]],
    truth: ClassTruth,
    model: str,
    subset: str,
    tables: Sequence[Floats],
) -> None:
    """Add a row for each clip; of several tables the mean, which predicts no class."""
    n_clips, given = len(truth.clips), truth.truth
    items["model"] += [model] * n_clips
    items["item"] += [clip.id for clip in truth.clips]
    items["unit"] += [clip.unit or clip.id for clip in truth.clips]
    items["subset"] += [subset] * n_clips
    items["label"] += [clip.label for clip in truth.clips]
    predicted = [""] * n_clips if subset == MEAN else _predicted(tables[0], truth.classes)
    items["predicted"] += predicted
    items["margin"] += np.mean([_margin(given, table) for table in tables], axis=0).tolist()
    for k, metric in ((1, ACCURACY.name), (TOP_K, f"top_{TOP_K}_accuracy")):
        if metric in items:
            credits = [classification.top_k_credit(given, table, k=k) for table in tables]
            items[metric] += np.mean(credits, axis=0).tolist()


def _predicted(table: Floats, classes: Sequence[str]) -> list[str]:
    """Return the class with the highest score; several that tie are all named."""
    best = table == table.max(axis=1, keepdims=True)
    return [" or ".join(np.array(classes)[row]) for row in best]


def _margin(truth: NDArray[np.intp], table: Floats) -> Floats:
    """Return how far the own class is above the best other one; below 0 where it is not first."""
    rows = np.arange(len(truth))
    others = table.copy()
    others[rows, truth] = -np.inf
    return np.asarray(table[rows, truth] - others.max(axis=1))


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
