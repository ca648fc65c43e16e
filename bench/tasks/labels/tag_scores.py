"""Any number of tags a clip, scored: what zero-shot tagging and a probe of tags put in a record.

A model gives one or several score matrices ``(n_clips, n_tags)``, each a *subset* of the record;
one is the headline, on which models are compared and of which the scores themselves are kept.
``mean of prompts`` is the mean of a macro metric over the prompts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from earmark.bench.metrics import tagging
from earmark.bench.metrics.base import Floats, Metric
from earmark.bench.metrics.intervals import LOGIT, studentised_interval
from earmark.bench.metrics.statistics import Estimate
from earmark.bench.metrics.tagging import AVERAGE_PRECISION, METRICS, ROC_AUC, TaggingScore
from earmark.bench.scoring.items import (
    About,
    Arrays,
    TaskItems,
    UnmeasurableError,
    table_of,
    undetermined,
)
from earmark.bench.scoring.results import (
    chance_references,
    compared_items,
    groups_of,
    score_of,
)
from earmark.bench.scoring.statistic import RankingStatistic
from earmark.bench.tasks.labels.class_scores import Scored
from earmark.bench.tasks.labels.dataset import MEAN, unit_word
from earmark.bench.tasks.labels.view import PER_TAG
from earmark.bench.tasks.task import item_digest
from earmark.datasets.base import Clip, DataError, Tagged, first_ten
from earmark.reports.record.lookup import select
from earmark.reports.record.schema import Plain, Reference, Score, Table

if TYPE_CHECKING:
    import pandas as pd

TRUTH = frozenset({"unit", "n_tags", "arrays/labels", "arrays/tags", "arrays/items"})


@dataclass(frozen=True, slots=True)
class TagTruth:
    """The clips that are scored, and which tags each has."""

    clips: tuple[Clip, ...]
    tags: tuple[str, ...]
    labels: NDArray[np.uint8]
    """``(n_clips, n_tags)``: 1 where the clip has the tag."""
    n_items: int
    """Clips that there are to score, heard or not."""

    def __post_init__(self) -> None:
        if not self.clips:
            raise DataError("there is no clip to score")
        if not ((self.labels.min(axis=0) == 0) & (self.labels.max(axis=0) == 1)).any():
            raise DataError(
                f"none of the {len(self.tags)} tags has both clips with it and clips without it "
                f"among the {len(self.clips)} that are scored: nothing can be ranked"
            )

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
        """Those that are reported, with the chance of a random order of these clips."""
        random = tagging.macro(tagging.random_average_precision(self.labels))
        return (ROC_AUC, replace(AVERAGE_PRECISION, chance=float(random)))


def tag_truth(dataset: Tagged, clips: Sequence[Clip], *, n_items: int) -> TagTruth:
    """Return the tags of some of a dataset's clips, in the order of ``clips``.

    Raises
    ------
    DataError
        If two clips have the same id, there is none, or no tag can be scored.
    """
    names = [clip.id for clip in dataset.clips]
    row = {name: index for index, name in enumerate(names)}
    if len(row) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise DataError(f"clip ids must be unique, given more than once: {first_ten(twice)}")
    rows = [row[clip.id] for clip in clips]
    return TagTruth(tuple(clips), dataset.tags, dataset.labels[rows], n_items)


def score_tags(
    truth: TagTruth,
    scores: Mapping[str, Mapping[str, Floats]],
    *,
    headline: str,
    averaged: Sequence[str] = (),
    replicates: int,
    seed: int,
) -> Scored:
    """Return what a record holds of models' scores, ``(n_clips, n_tags)`` by model and subset.

    Parameters
    ----------
    averaged
        The subsets of which ``mean of prompts`` is the mean; none: there is no such subset.
    replicates
        Of the paired tests.
    """
    found = Scored(items=_no_items())
    kept: dict[str, dict[str, TaggingScore]] = {}
    for model, by_subset in scores.items():
        of_prompts: list[dict[str, TaggingScore]] = []
        for subset, table in by_subset.items():
            one = tagging.evaluate(truth.labels, table, tags=truth.tags, units=truth.units)
            estimates = {name: score.macro for name, score in one.items()}
            found.scores += _scores(truth, estimates, model, subset)
            if subset in averaged:
                of_prompts.append(one)
            if subset == headline:
                kept[model] = one
                found.arrays[f"scores.{model}"] = table.astype(np.float32)
            _add_items(found.items, truth, model, subset)
            if not np.ptp(table, axis=0).any():
                found.warnings.append(f"{model}, {subset}: all clips have equal scores")
        if averaged:
            found.scores += _scores(truth, _mean_of_prompts(of_prompts), model, MEAN)
            _add_items(found.items, truth, model, MEAN)
    first = next(iter(kept.values()))
    found.arrays["tags"] = np.array(truth.tags)
    found.arrays["labels"] = truth.labels.astype(np.uint8)
    found.arrays["items"] = np.array([clip.id for clip in truth.clips])
    exact = {f"scores.{model}": by_subset[headline] for model, by_subset in scores.items()}
    by_clip = TaskItems(
        measure,
        table_of(found.items),
        found.arrays | exact,
        found.scores,
        headline_subset=headline,
        as_given=True,
    )
    own = select(found.scores, metric=ROC_AUC.name, subset=headline)
    found.comparisons = compared_items(
        by_clip, own, unit=truth.unit, replicates=replicates, seed=seed
    )
    found.groups = groups_of(own, found.comparisons)
    found.references = _references(truth, found.scores, first, headline)
    found.tables = _tables(truth, kept)
    found.warnings += _left_out(truth, first)
    return found


def _mean_of_prompts(of_prompts: Sequence[dict[str, TaggingScore]]) -> dict[str, Estimate]:
    """Return each macro metric's mean over prompts, with its interval over the clips' units."""
    estimates = {}
    for metric in METRICS:
        found = [one[metric.name] for one in of_prompts]
        value = float(np.mean([one.macro.value for one in found]))
        without = np.mean([one.without_each for one in found], axis=0)
        interval = studentised_interval(value, without, LOGIT)
        estimates[metric.name] = replace(found[0].macro, value=value, interval=interval)
    return estimates


def _scores(
    truth: TagTruth, estimates: Mapping[str, Estimate], model: str, subset: str
) -> list[Score]:
    digest = item_digest(clip.id for clip in truth.clips)
    return [
        score_of(
            metric,
            estimates[metric.name],
            unit=truth.unit,
            model=model,
            subset=subset,
            n_items=truth.n_items,
            item_digest=digest,
        )
        for metric in truth.metrics
    ]


def measure(score: Score, rows: pd.DataFrame, arrays: Arrays, about: About) -> RankingStatistic:
    """Return the statistic of tagged clips that a score is of."""
    metric = {one.name: one for one in METRICS}.get(score.metric)
    if metric is None:
        raise undetermined(score.metric)
    own = f"scores.{score.model}"
    if score.subset != about.headline_subset or not {own, "labels", "items"} <= arrays.keys():
        raise UnmeasurableError(
            f"no per-item scores of {score.subset!r}; those of the headline subset "
            f"{about.headline_subset!r} are kept"
        )
    place = {str(item): index for index, item in enumerate(arrays["items"])}
    if set(place) != set(rows["item"]):
        raise UnmeasurableError(
            "items and array 'items' name other items", cause="item sets differ"
        )
    order = [place[item] for item in rows["item"]]
    scores = np.asarray(arrays[own], np.float64)[order]
    if not np.isfinite(scores).all():
        raise UnmeasurableError(
            f"{int((~np.isfinite(scores)).sum())} scores of tags are not finite",
            cause="NaN or infinity",
        )
    return RankingStatistic(np.asarray(arrays["labels"], np.uint8)[order], scores, metric)


def _references(
    truth: TagTruth, scores: Sequence[Score], found: Mapping[str, TaggingScore], headline: str
) -> list[Reference]:
    constant = Reference(
        name="constant scores",
        subset=headline,
        metric=AVERAGE_PRECISION.name,
        value=found[AVERAGE_PRECISION.name].chance,
        note="the tags' mean share of clips",
    )
    own = select(scores, subset=headline)
    return [*chance_references(own, note="expected of a random order"), constant]


def _tables(truth: TagTruth, kept: Mapping[str, Mapping[str, TaggingScore]]) -> list[Table]:
    random = tagging.random_average_precision(truth.labels)
    first = next(iter(kept.values()))[ROC_AUC.name]
    rows: list[list[Plain]] = []
    for column, tag in enumerate(truth.tags):
        if tag in first.left_out:
            continue
        for model, by_metric in kept.items():
            cells: list[Plain] = []
            for metric in METRICS:
                one = by_metric[metric.name].per_tag[tag]
                low, high = (one.interval.low, one.interval.high) if one.interval else (None, None)
                cells += [one.value, _plain(low), _plain(high)]
            rows.append([tag, first.positives[tag], float(random[column]), model, *cells])
    names = ("ROC-AUC", "PR-AUC")
    measured = [f"{name}{end}" for name in names for end in ("", " low", " high")]
    tables = [
        Table(
            title=PER_TAG,
            columns=["tag", "clips", "chance PR-AUC", "model", *measured],
            rows=rows,
            note="Of the headline's scores; 95 % intervals. Chance is what a random order is "
            "expected to reach; that of ROC-AUC is 0.5.",
        )
    ]
    if first.left_out:
        tables.append(
            Table(
                title="Tags left out",
                columns=["tag", "reason"],
                rows=[[tag, reason] for tag, reason in first.left_out.items()],
                note="Of every score; macro means are over the other tags.",
            )
        )
    return tables


def _left_out(truth: TagTruth, found: Mapping[str, TaggingScore]) -> list[str]:
    names = list(found[ROC_AUC.name].left_out)
    if not names:
        return []
    return [
        f"{len(names)} of {len(truth.tags)} tags are left out of the macro means, since no clip or "
        f"every clip has them: {first_ten(names)}"
    ]


def _no_items() -> dict[str, list[Any]]:
    return {name: [] for name in ("model", "item", "unit", "subset", "n_tags")}


def _add_items(items: dict[str, list[Any]], truth: TagTruth, model: str, subset: str) -> None:
    n_clips = len(truth.clips)
    items["model"] += [model] * n_clips
    items["item"] += [clip.id for clip in truth.clips]
    items["unit"] += [clip.unit or clip.id for clip in truth.clips]
    items["subset"] += [subset] * n_clips
    items["n_tags"] += truth.labels.sum(axis=1).tolist()


def _plain(value: float | None) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None
