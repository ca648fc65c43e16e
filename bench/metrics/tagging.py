"""How well a model's scores separate the clips that have a tag from those that have not.

Conventions
-----------
Labels and scores are ``(n_clips, n_tags)``: 0 or 1, and a finite number of any scale, higher
where the model hears the tag. Each tag ranks all clips by itself; equal scores are exactly
equal ones, and share a threshold. A tag without a positive (or without a negative) clip ranks
nothing: its scores are NaN, it is named, and the macro mean is over the other tags.

Intervals are studentised on the logit scale, from the scores without each unit. A tag that loses
all its positives with a unit is left out of the macro mean without that unit. Average precision
lies above that of a larger sample, by about its standard error at 30 clips and a third of it at
300; its interval still holds its level (``docs/statistics.md``).

Metrics
-------
* :func:`roc_auc`: the chance that a positive clip outranks a negative one; ties count half [1]_.
* :func:`average_precision`: mean precision at the positive clips (PR-AUC, "mAP" over tags).
* :func:`macro`: the mean over the tags that are defined.
* :func:`evaluate`: both with intervals, a tag and macro; :func:`compare`: models paired.
* :func:`prevalence`, :func:`random_average_precision`: what average precision reaches by chance.

References
----------
.. [1] J. A. Hanley and B. J. McNeil, "The meaning and use of the area under a receiver operating
       characteristic (ROC) curve", Radiology 143(1), 1982.
.. [2] Y. Bestgen, "Exact expected average precision of the random baseline for system
       evaluation", Prague Bull. Math. Linguistics 103, 2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from earmark.bench.metrics.base import Floats, Metric, metric_named
from earmark.bench.metrics.comparisons import PairedComparison, compare_left_out
from earmark.bench.metrics.intervals import LEVEL, LOGIT, studentised_interval, too_few
from earmark.bench.metrics.presorted import PresortedScores, draw_weights, validate
from earmark.bench.metrics.statistics import REPLICATES, Estimate

ROC_AUC = Metric("roc_auc", higher_is_better=True, lower=0.0, upper=1.0, chance=0.5)
AVERAGE_PRECISION = Metric(
    "average_precision", higher_is_better=True, lower=0.0, upper=1.0, chance=None
)
METRICS = (ROC_AUC, AVERAGE_PRECISION)


def roc_auc(
    labels: ArrayLike, scores: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> Floats:
    """Return the area under each tag's ROC curve, in [0, 1], shape ``(n_tags,)``.

    The Mann-Whitney statistic [1]_: over all pairs of a positive and a negative clip, how often
    the positive has the higher score, an equal one counting half. NaN for a tag without either.

    >>> roc_auc([[1], [0], [0], [1]], [[0.9], [0.9], [0.1], [0.4]])
    array([0.625])

    Raises
    ------
    ValueError
        As :func:`~earmark.bench.metrics.presorted.validate`, or if weights are not one number
        of 0 or more for each clip.
    """
    return np.asarray(_scores(labels, scores, sample_weight)[0])


def average_precision(
    labels: ArrayLike, scores: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> Floats:
    """Return the average precision of each tag, in [0, 1], shape ``(n_tags,)``.

    The sum over distinct scores, best first, of the gain in recall times the precision at that
    score (no interpolation). NaN for a tag without a positive or without a negative.

    >>> average_precision([[1], [0], [0], [1]], [[0.9], [0.8], [0.1], [0.4]])
    array([0.83333333])

    Raises
    ------
    ValueError
        As :func:`roc_auc`.
    """
    return np.asarray(_scores(labels, scores, sample_weight)[1])


def _scores(labels: ArrayLike, scores: ArrayLike, sample_weight: ArrayLike | None) -> Floats:
    ranking = PresortedScores(labels, scores)
    n_clips = len(ranking.labels)
    weights = np.ones(n_clips) if sample_weight is None else np.asarray(sample_weight, np.float64)
    if weights.shape != (n_clips,) or not ((weights >= 0) & np.isfinite(weights)).all():
        raise ValueError(
            f"sample_weight must be a finite number of 0 or more for each of the {n_clips} clips, "
            f"got shape {weights.shape}"
        )
    return np.asarray(ranking.score(weights[:, None])[:, 0])


def macro(per_tag: ArrayLike) -> Floats:
    """Return the mean over defined tags of scores ``(..., n_tags)``; NaN where none is.

    >>> macro([0.5, np.nan, 0.7])
    array(0.6)
    """
    values = np.asarray(per_tag, np.float64)
    defined = ~np.isnan(values)
    total = np.sum(np.where(defined, values, 0), axis=-1)
    n_defined = np.count_nonzero(defined, axis=-1)
    return np.asarray(np.where(n_defined > 0, total / np.maximum(n_defined, 1), np.nan))


def prevalence(labels: ArrayLike) -> Floats:
    """Return the share of positive clips of each tag: a constant scorer's average precision.

    NaN for a tag that is not scored.
    """
    truth, _ = validate(labels, np.zeros_like(np.asarray(labels), dtype=np.float64))
    share = truth.mean(axis=0)
    return np.where((share > 0) & (share < 1), share, np.nan)


def random_average_precision(labels: ArrayLike) -> Floats:
    """Return the average precision expected of a random order without ties [2]_, ``(n_tags,)``.

    Above the prevalence, and clearly so for a rare tag: 0.0134 for 50 of 4,332 clips, whose
    share is 0.0115. The scores of a random model land here.

    >>> random_average_precision([[1], [0]])
    array([0.75])
    """
    share = prevalence(labels)
    n_clips = len(np.asarray(labels))
    harmonic = float(np.sum(1 / np.arange(1, n_clips + 1)))
    others = (share * n_clips - 1) / max(n_clips - 1, 1)  # positives among the other clips
    return np.asarray((harmonic + others * (n_clips - harmonic)) / n_clips)


def resample_scores(
    labels: ArrayLike,
    scores: Sequence[ArrayLike],
    *,
    units: ArrayLike | None = None,
    replicates: int = REPLICATES,
    seed: int,
) -> Floats:
    """Return both metrics of each model and tag in each bootstrap replicate.

    ``scores`` are ``(n_models, n_clips, n_tags)``, the result ``(n_models, 2, replicates,
    n_tags)`` in the order of :data:`METRICS`. Units (artists, files; None: clips) are drawn with
    replacement, the same for all models and tags, which keeps their comparison paired.

    Raises
    ------
    ValueError
        As :func:`~earmark.bench.metrics.presorted.validate`, if no model or no replicate is
        asked for, or if the units are not one label a clip.
    """
    rankings = [PresortedScores(labels, one) for one in scores]
    if not rankings:
        raise ValueError("expected the scores of at least one model, got none")
    n_clips, n_tags = rankings[0].labels.shape
    result = np.empty((len(rankings), 2, max(replicates, 0), n_tags))
    for rows, weights in draw_weights(units, n_clips, replicates=replicates, seed=seed):
        for model, ranking in enumerate(rankings):
            result[model, :, rows] = ranking.score(weights)
    return result


@dataclass(frozen=True, slots=True)
class TaggingScore:
    """A metric's macro mean and its value of each tag, beside what chance would reach."""

    macro: Estimate
    """The mean over the tags that are not left out."""
    per_tag: dict[str, Estimate]
    chance: float
    """What a constant scorer reaches: 0.5, and for average precision the mean prevalence."""
    chance_per_tag: dict[str, float]
    positives: dict[str, int]
    left_out: dict[str, str]
    """Tags of which no score is defined, and why; their number is the length."""
    without_each: Floats
    """The macro mean without each unit, ``(n_units,)``, in label order."""


def evaluate(
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    tags: Sequence[str] | None = None,
    units: ArrayLike | None = None,
    level: float = LEVEL,
) -> dict[str, TaggingScore]:
    """Return each metric of :data:`METRICS` by name, with intervals over ``units``.

    Units are what was sampled together (artists, files), one label a clip; None: the clips.
    ``tags`` are the names of the columns; None: their numbers.

    >>> found = evaluate([[1, 1], [0, 1], [0, 1]], [[3, 3], [2, 2], [1, 1]])
    >>> found["roc_auc"].macro.value, found["roc_auc"].left_out
    (1.0, {'1': 'all 3 clips are positive'})

    Raises
    ------
    ValueError
        As :func:`~earmark.bench.metrics.presorted.validate`, if the units are not one label a
        clip, or the tags are not one name a column, each once.
    """
    ranking = PresortedScores(labels, scores)
    truth = ranking.labels
    n_clips, n_tags = truth.shape
    names = [str(tag) for tag in range(n_tags)] if tags is None else list(tags)
    if len(names) != n_tags or len(set(names)) != n_tags:
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(
            f"expected {n_tags} different tags, one for each column, got {len(names)}"
            + (f" with {twice[0]!r} more than once" if twice else "")
        )
    values = ranking.score(np.ones((n_clips, 1)))[:, 0]
    without = ranking.without_each(units)
    counts = truth.sum(axis=0)
    rarer = np.minimum(counts, n_clips - counts)
    positives = dict(zip(names, counts.tolist(), strict=True))
    left_out = {
        name: "no clip is positive" if not count else f"all {n_clips} clips are positive"
        for name, count in positives.items()
        if count in (0, n_clips)
    }

    def estimate(value: float, without_unit: Floats, n_effective: float, reason: str) -> Estimate:
        if np.isnan(value):
            return Estimate(np.nan, None, n_clips, len(without_unit), reason)
        interval = studentised_interval(
            float(value), without_unit, LOGIT, level=level, n_effective=n_effective
        )
        few = None if interval else too_few(len(without_unit))
        return Estimate(float(value), interval, n_clips, len(without_unit), few)

    found = {}
    share = prevalence(labels)
    nothing = f"none of the {n_tags} tags has both positive and negative clips"
    for metric, of_tags, left in zip(METRICS, values, without, strict=True):
        chance = share if metric == AVERAGE_PRECISION else np.where(np.isnan(share), np.nan, 0.5)
        mean_left = macro(left)
        rests_on = float(rarer[rarer > 0].mean()) if rarer.any() else 0.0
        found[metric.name] = TaggingScore(
            macro=estimate(float(macro(of_tags)), mean_left, rests_on, nothing),
            per_tag={
                name: estimate(of_tags[tag], left[:, tag], rarer[tag], left_out.get(name, ""))
                for tag, name in enumerate(names)
            },
            chance=float(macro(chance)),
            chance_per_tag=dict(zip(names, chance.tolist(), strict=True)),
            positives=positives,
            left_out=left_out,
            without_each=mean_left,
        )
    return found


def compare(
    labels: ArrayLike,
    scores: Sequence[ArrayLike],
    *,
    metric: Metric | str,
    units: ArrayLike | None = None,
    level: float = LEVEL,
    replicates: int = REPLICATES,
    seed: int,
) -> list[PairedComparison]:
    """Compare the macro means of every two models on the same clips, ``(n_models, ...)``.

    Raises
    ------
    ValueError
        If there are fewer than two models, no tag is defined, the metric is unknown, or as
        :func:`~earmark.bench.metrics.presorted.validate`.
    """
    index = METRICS.index(metric_named(metric, METRICS))
    rankings = [PresortedScores(labels, one) for one in scores]
    if len(rankings) < 2:
        raise ValueError(f"expected the scores of at least 2 models, got {len(rankings)}")
    everything = np.ones((len(rankings[0].labels), 1))
    values = [float(macro(ranking.score(everything)[index])[0]) for ranking in rankings]
    if np.isnan(values).any():
        raise ValueError("no tag has both positive and negative clips: nothing to compare")
    return compare_left_out(
        values,
        np.stack([macro(ranking.without_each(units)[index]) for ranking in rankings]),
        scale=LOGIT,
        level=level,
        replicates=replicates,
        seed=seed,
    )
