"""Binary rankings scored under many weightings at once: what the bootstrap of a ranking needs.

A replicate is a vector of counts, how often each clip was drawn, and its score a weighted score
[1]_. Clips are sorted once a tag; then only the thresholds at which a positive clip lies matter,
and the weight between two of them is a sparse product for many replicates. Equal scores share a
threshold.

Functions
---------
* :func:`validate`: labels and scores, checked.
* :class:`PresortedScores`: ROC-AUC and average precision of any weighting of the clips.
* :func:`draw_weights`: the weightings of the bootstrap.

References
----------
.. [1] B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, sec. 20.2
       (resampling vectors).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.bench.metrics.base import Floats
from earmark.bench.metrics.statistics import draw_counts, unit_labels

if TYPE_CHECKING:
    from scipy.sparse import csr_array

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
    """Clips sorted once by each tag's scores, to be scored under many weightings.

    Raises
    ------
    ValueError
        As :func:`validate`.
    """

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
