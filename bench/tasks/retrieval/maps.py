"""How audio and text lie in a joint space: similarities of pairs, the modality gap, a map.

References
----------
.. [1] V. W. Liang, Y. Zhang, Y. Kwon, S. Yeung, J. Zou, "Mind the gap: understanding the modality
       gap in multi-modal contrastive representation learning", NeurIPS 2022, sec. 2.1 and 4.2.
.. [2] I. Manco, E. Benetos, E. Quinton, G. Fazekas, "Contrastive audio-language learning for
       music", ISMIR 2022, sec. 6.1, figure 4.
.. [3] L. van der Maaten, G. Hinton, "Visualizing data using t-SNE", JMLR 9, 2008.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.bench.metrics.ranks import Indices, dot_products
from earmark.bench.tasks.retrieval.pools import EvaluatedSet
from earmark.bench.tasks.retrieval.view import ABOVE_RANDOM, GAP
from earmark.reports.record.schema import Plain, Table

MAX_PAIRS = 20_000
MAX_MAPPED = 500
"""Pairs of a clip and a caption on the map, two points each: t-SNE takes seconds for these."""
MIN_MAPPED = 5
PERPLEXITY = 30.0
RANK_BINS = 24

Vectors = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class PairSample:
    """Pairs of a caption and a clip, each ``(n_pairs, 2)``."""

    aligned: Indices
    random: Indices
    """Pairs that do not belong together, each at most once."""


def sample_pairs(heard: EvaluatedSet, *, seed: int, limit: int = MAX_PAIRS) -> PairSample:
    """Return all aligned and all other pairs, or ``limit`` of either drawn without replacement."""
    rng = np.random.default_rng(seed)
    aligned = heard.pairs
    if len(aligned) > limit:
        aligned = aligned[np.sort(rng.choice(len(aligned), size=limit, replace=False))]
    n_clips = len(heard.clips)
    together = heard.pairs[:, 0] * n_clips + heard.pairs[:, 1]
    n_all = len(heard.captions) * n_clips
    # Of enough drawn ones, as many are left when those that belong together are taken out.
    wanted = min(n_all, limit + len(together))
    drawn = rng.choice(n_all, size=wanted, replace=False, shuffle=False) if wanted < n_all else None
    keys = np.arange(n_all) if drawn is None else rng.permutation(drawn)
    keys = keys[~np.isin(keys, together)]
    if len(keys) > limit:
        keys = keys[:limit] if drawn is not None else rng.choice(keys, size=limit, replace=False)
    keys = np.sort(keys)
    return PairSample(aligned, np.stack(np.divmod(keys, n_clips), axis=1))


def cosines(
    heard: EvaluatedSet, audio: Vectors, text: Vectors, pairs: Indices
) -> NDArray[np.float32]:
    """Return the cosine of each pair, shape ``(n_pairs,)``, of unit vectors."""
    rows = heard.text_row[pairs[:, 0]]
    return dot_products(text, audio, rows, pairs[:, 1]).astype(np.float32)


def share_above(aligned: ArrayLike, random: ArrayLike) -> float | None:
    """Return how often an aligned pair scores above a random one (the ROC-AUC); ties count half."""
    first, second = np.asarray(aligned), np.asarray(random)
    if not first.size or not second.size:
        return None
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([first, second]))[: len(first)]
    above = ranks.sum() - len(first) * (len(first) + 1) / 2
    return float(above / (len(first) * len(second)))


def modality_gap(audio: ArrayLike, text: ArrayLike) -> tuple[float, float | None]:
    """Return the modality gap and the share of variance between the modalities.

    The gap is the distance of the two centroids of unit vectors [1]_, in [0, 2]. The share is the
    sum of squares between the two groups over the total, in [0, 1]: 0 where the centroids are one,
    1 where each modality is a single point. None where all vectors are the same.

    >>> modality_gap([[1.0, 0.0]], [[0.0, 1.0]])
    (1.4142135623730951, 1.0)
    """
    groups = [np.asarray(each, np.float64) for each in (audio, text)]
    centres = [each.mean(axis=0) for each in groups]
    within = sum(
        float(np.square(each - centre).sum()) for each, centre in zip(groups, centres, strict=True)
    )
    distance = float(np.linalg.norm(centres[0] - centres[1]))
    n_audio, n_text = (len(each) for each in groups)
    between = n_audio * n_text / (n_audio + n_text) * distance**2
    total = within + between
    # What is left of equal single-precision vectors by rounding of their mean.
    if total <= 1e-20 * (n_audio + n_text):
        return distance, None
    return distance, between / total


def gap_table(
    heard: EvaluatedSet,
    vectors: Mapping[str, tuple[Vectors, Vectors]],
    similarities: Mapping[str, tuple[ArrayLike, ArrayLike]],
) -> Table:
    """Return the table of each model's (audio, text) vectors and (aligned, random) cosines."""
    rows: list[list[Plain]] = []
    for model, (audio, text) in vectors.items():
        gap, share = modality_gap(audio, text[heard.text_row])
        aligned, random = (np.asarray(each, np.float64) for each in similarities[model])
        means = [float(each.mean()) if each.size else None for each in (aligned, random)]
        above = share_above(aligned, random)
        rows.append([model, gap, share, *means, above, len(audio), len(heard.captions)])
    return Table(
        title=GAP,
        columns=[
            "model",
            "gap",
            "between-modality share of variance",
            "aligned similarity",
            "random similarity",
            ABOVE_RANDOM,
            "audio vectors",
            "texts",
        ],
        rows=rows,
        note="Gap: distance of the centroids of audio and of text vectors, both at unit norm "
        "(Liang et al. 2022). Share: sum of squares between the two modalities over the total. "
        "Similarities: mean cosine of pairs that belong together and of pairs that do not, of at "
        f"most {MAX_PAIRS:,} pairs each, drawn by the seed.",
    )


@dataclass(frozen=True, slots=True)
class MapPoints:
    """What is on the map: pairs of a clip and its first caption."""

    clips: Indices
    captions: Indices

    def arrays(self, heard: EvaluatedSet) -> dict[str, NDArray[Any]]:
        """Return what each point is: the clips first, then the captions in the same order."""
        clips = [heard.clips[index] for index in self.clips]
        labels = [clip.label or "" for clip in clips]
        items = [clip.id for clip in clips] + [heard.caption_ids[i] for i in self.captions]
        return {
            "map.modality": np.repeat(np.array([0, 1], np.uint8), len(clips)),
            "map.label": np.array(labels * 2, dtype=str),
            "map.item": np.array(items, dtype=str),
        }


def map_points(heard: EvaluatedSet, *, seed: int, limit: int = MAX_MAPPED) -> MapPoints:
    """Return the clips with captions, or ``limit`` of them, drawn by the seed."""
    clips = heard.captioned
    if len(clips) > limit:
        rng = np.random.default_rng(seed)
        clips = np.sort(rng.choice(clips, size=limit, replace=False))
    return MapPoints(clips, heard.first_captions()[clips])


def draw_map(
    heard: EvaluatedSet, audio: Vectors, text: Vectors, points: MapPoints, *, seed: int
) -> NDArray[np.float32] | str:
    """Return a model's t-SNE [3]_, shape ``(n_points, 2)``, or why there is none.

    On one thread, so that the same vectors give the same map. The metric is the Euclidean distance
    of unit vectors, which orders pairs as the cosine does.
    """
    if len(points.clips) < MIN_MAPPED:
        return f"{len(points.clips)} clips with captions are too few, at least {MIN_MAPPED}"
    rows = np.concatenate([audio[points.clips], text[heard.text_row[points.captions]]])
    rows = rows.astype(np.float64)
    if float(np.ptp(rows, axis=0).max()) < 1e-6:
        return "all its vectors are the same"
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=1):
        placed = TSNE(
            n_components=2,
            perplexity=min(PERPLEXITY, (len(rows) - 1) / 3),
            init="pca",
            learning_rate="auto",
            metric="euclidean",
            random_state=seed,
        ).fit_transform(rows)
    return np.asarray(placed, np.float32)


def rank_edges(n_items: int) -> NDArray[np.float64]:
    """Return the edges of bins of ranks from 1 to ``n_items``, spaced evenly on a log scale.

    Edges are whole numbers, so that no bin of the low ranks is empty by rounding.

    >>> rank_edges(10)
    array([ 1.,  2.,  3.,  4.,  5.,  6.,  7.,  8.,  9., 10., 11.])
    """
    return np.unique(np.rint(np.geomspace(1, n_items + 1, RANK_BINS + 1)))


def rank_histogram(ranks: ArrayLike, edges: Sequence[float] | NDArray[np.float64]) -> Indices:
    """Return how many ranks lie in each bin ``[low, high)``, shape ``(n_bins,)``."""
    counts, _ = np.histogram(np.asarray(ranks), bins=np.asarray(edges))
    return counts.astype(np.int64)
