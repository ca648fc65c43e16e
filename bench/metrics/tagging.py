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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.bench.metrics.base import Floats, Metric, metric_named
from earmark.bench.metrics.comparisons import PairedComparison, compare_left_out
from earmark.bench.metrics.intervals import LEVEL, LOGIT, studentised_interval, too_few
from earmark.bench.metrics.statistics import REPLICATES, Estimate, draw_counts, unit_labels

if TYPE_CHECKING:
    from scipy.sparse import csr_array

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
        If :func:`~earmark.bench.metrics.tagging.validate` refuses the input, or if weights are not
        one number of 0 or more for each clip.
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
        If :func:`~earmark.bench.metrics.tagging.validate` refuses the input, if no model or no
        replicate is asked for, or if the units are not one label a clip.
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
        If :func:`~earmark.bench.metrics.tagging.validate` refuses the input, if the units are not
        one label a clip, or the tags are not one name a column, each once.
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
        :func:`~earmark.bench.metrics.tagging.validate`.
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


# Weights held at once (1 MiB of float64, which the processor's cache keeps), and their bounds.
_BLOCK, _FEWEST_ROWS, _MOST_ROWS = 2**17, 16, 128
# A share of the weight that is rounding; whole counts have none.
_NOTHING = 1e-13


def validate(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    """Return labels and scores, each of shape ``(n_clips, n_tags)``.

    Raises
    ------
    ValueError
        If shapes differ, there is no clip or no tag, a label is neither 0 nor 1, or a score is
        not finite; the message names the first such clip and tag.
    """
    truth, guess = np.asarray(labels), np.asarray(scores, np.float64)
    if truth.ndim != 2 or truth.shape != guess.shape:
        raise ValueError(
            f"labels and scores must both be (n_clips, n_tags), got shapes {truth.shape} and "
            f"{guess.shape}"
        )
    if not truth.size:
        raise ValueError(f"tagging needs at least one clip and one tag, got shape {truth.shape}")
    strange = ~np.isin(truth, [0, 1])
    if strange.any():
        clip, tag = np.argwhere(strange)[0]
        raise ValueError(f"label of clip {clip}, tag {tag} is {truth[clip, tag]}, expected 0 or 1")
    if not np.isfinite(guess).all():
        clip, tag = np.argwhere(~np.isfinite(guess))[0]
        raise ValueError(
            f"score of clip {clip}, tag {tag} is {guess[clip, tag]}, expected a finite number"
        )
    return truth.astype(bool), guess


class PresortedScores:
    """Clips sorted once by each tag's scores, to be scored under many weightings."""

    def __init__(self, labels: ArrayLike, scores: ArrayLike) -> None:
        self.labels, guess = validate(labels, scores)
        columns = zip(self.labels.T, guess.T, strict=True)
        self._thresholds = [_thresholds(truth, column) for truth, column in columns]

    def score(self, weights: Floats) -> Floats:
        """Return ROC-AUC and average precision of weighted clips, ``(2, n_weightings, n_tags)``.

        ``weights`` (n_clips, n_weightings) are 0 or more: counts, for the bootstrap. The result
        is NaN where no positive or no negative clip has weight.
        """
        weights = np.ascontiguousarray(weights)
        total = weights.sum(axis=0)
        result = np.empty((2, weights.shape[1], len(self._thresholds)))
        for tag, (spans, hits, ties) in enumerate(self._thresholds):
            found = hits @ weights
            positive = found.sum(axis=0)
            negative = total - positive
            # Sums of fractions differ in the last digits, so that nothing may seem to be left.
            defined = (positive > 0) & (negative > _NOTHING * total)
            true, seen = np.cumsum(found, axis=0), np.cumsum(spans @ weights, axis=0)
            below = negative - seen + true
            if ties.nnz:
                below += (ties @ weights) / 2
            outranked = np.einsum("ij,ij->j", found, below)
            result[0, :, tag] = outranked / np.where(defined, positive * negative, np.nan)
            precision = np.divide(true, seen, out=true, where=seen > 0)
            precise = np.einsum("ij,ij->j", found, precision)
            result[1, :, tag] = precise / np.where(defined, positive, np.nan)
        return result

    def without_each(self, units: ArrayLike | None = None) -> Floats:
        """Return ROC-AUC and average precision without each unit, ``(2, n_units, n_tags)``.

        Units in label order; None: the clips. NaN where no positive or no negative clip is left.
        """
        n_clips = len(self.labels)
        unit = unit_labels(units, n_clips)
        n_units = int(unit.max()) + 1
        if n_units == n_clips:
            found = np.empty((2, n_clips, self.labels.shape[1]))
            for tag, (spans, hits, ties) in enumerate(self._thresholds):
                found[:, unit, tag] = _without_each_clip(self.labels[:, tag], spans, hits, ties)
            return found
        rows = rows_of_weights(n_clips)
        blocks = [
            self.score((unit[:, None] != np.arange(start, min(start + rows, n_units))) * 1.0)
            for start in range(0, n_units, rows)
        ]
        return np.concatenate(blocks, axis=1)


def _without_each_clip(
    truth: NDArray[np.bool_], spans: csr_array, hits: csr_array, ties: csr_array
) -> Floats:
    """Return both scores of one tag without each clip, ``(2, n_clips)``, from its thresholds."""
    n_clips = len(truth)
    clips = np.ones(n_clips)
    found, seen = hits @ clips, np.cumsum(spans @ clips)
    true, level = np.cumsum(found), ties @ clips
    positive = float(found.sum())
    negative = n_clips - positive
    # The threshold at which each clip is counted; a negative below all of them is at none.
    place = np.full(n_clips, len(found))
    place[spans.indices] = np.repeat(np.arange(len(found)), np.diff(spans.indptr))
    tied = np.zeros(n_clips, dtype=bool)
    tied[ties.indices] = True
    below = negative - (seen - true) + level / 2  # negatives under a threshold, ties half
    outranked = float(found @ below)
    over = np.append(np.cumsum(found[::-1])[::-1], 0.0)  # positives at or below a threshold
    # What a clip's own pairs add: of a positive those below, of a negative the positives above.
    at = np.append(found, 0.0)[place]
    own = np.where(truth, np.append(below, 0.0)[place], positive - over[place] + at * tied / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        area = np.where(
            truth,
            (outranked - own) / ((positive - 1) * negative),
            (outranked - own) / (positive * (negative - 1)),
        )
        kept = found * true / seen
        fewer = np.where(seen > 1, found * true / (seen - 1), 0.0)  # a negative less above
        lower = np.where(seen > 1, found * (true - 1) / (seen - 1), 0.0)  # a positive less
        here = np.where(seen > 1, (found - 1) * (true - 1) / (seen - 1), 0.0)
        before = np.concatenate([[0.0], np.cumsum(kept)])[place]
        from_here = np.append(np.cumsum(fewer[::-1])[::-1], 0.0)[place]
        after = np.append(np.cumsum(lower[::-1])[::-1], [0.0, 0.0])[place + 1]
        precision = np.where(
            truth,
            (before + np.append(here, 0.0)[place] + after) / (positive - 1),
            (before + from_here) / positive,
        )
    left = np.where(truth, (positive > 1) & (negative > 0), (negative > 1) & (positive > 0))
    return np.where(left, [area, precision], np.nan)


def _thresholds(truth: NDArray[np.bool_], scores: Floats) -> tuple[csr_array, csr_array, csr_array]:
    """Return which clips lie where, by the distinct scores of positive clips, best first.

    A row is a threshold. Its clips are, in the first matrix, those at it and above it, down from
    the one before; in the second the positive ones at it; in the third the negative ones at it.
    """
    from scipy.sparse import csr_array

    order = np.argsort(-scores, kind="stable")
    ranked, positive = scores[order], truth[order]
    tie = np.cumsum(np.concatenate([[True], ranked[1:] != ranked[:-1]])) - 1
    has_positive = np.bincount(tie, positive) > 0
    # At a tie without positives, this is the next threshold.
    threshold: NDArray[np.intp] = (np.cumsum(has_positive) - has_positive)[tie]
    shape = int(has_positive.sum()), len(scores)

    def members(kept: NDArray[np.bool_]) -> csr_array:
        ends = np.searchsorted(threshold[kept], np.arange(shape[0] + 1))
        return csr_array((np.ones(ends[-1]), order[kept][: ends[-1]], ends), shape=shape)

    everything = np.ones(len(order), dtype=bool)
    return members(everything), members(positive), members(has_positive[tie] & ~positive)


def rows_of_weights(n_clips: int) -> int:
    """Return how many weightings of clips to hold at once."""
    return min(_MOST_ROWS, max(_FEWEST_ROWS, _BLOCK // n_clips))


def draw_weights(
    units: ArrayLike | None, n_clips: int, *, replicates: int, seed: int
) -> Iterator[tuple[slice, Floats]]:
    """Yield some bootstrap replicates at a time: which, and ``(n_clips, n_replicates)`` counts.

    Units (None: clips) are drawn with replacement, as many as there are. The counts depend on
    the units and the seed alone, so that models scored with them are paired.

    Raises
    ------
    ValueError
        If ``replicates`` is less than 1, or the units are not one label a clip.
    """
    if replicates < 1:
        raise ValueError(f"replicates must be at least 1, got {replicates}")
    unit = unit_labels(units, n_clips)
    n_units = int(unit.max()) + 1
    rng = np.random.default_rng(seed)
    at_once = rows_of_weights(n_clips)
    for start in range(0, replicates, at_once):
        rows = slice(start, min(start + at_once, replicates))
        counts = draw_counts(n_units, replicates=rows.stop - start, rng=rng)
        yield rows, np.ascontiguousarray(counts.T)[unit]
