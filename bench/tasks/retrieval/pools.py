"""What is retrieved from what: the clips that were heard, pools drawn from them, and their ranks.

Conventions
-----------
A *pool* is a set of clips, drawn without replacement, with their captions. Queries and items of a
draw are those of its pool alone. Scores are means over the queries of all draws; a query that was
drawn several times counts as often, and always with its unit.

A *caption* is a text: what several clips share is one query, and one item to be found. Copies of it
would tie for every model, and take several places of the first k; no order drawn at random does so,
which is what chance is.

*Units* are what is resampled: a clip, or what its dataset says (track, artist). Clips that share a
caption are one unit: for that caption they answer one and the same query.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from earmark.bench.metrics.ranks import Indices, Ranks, count_ranks, count_ranks_both_ways
from earmark.bench.tasks.retrieval.protocol import DRAWS, Direction, RetrievalProtocol
from earmark.bench.tasks.vectors import JointVectors
from earmark.datasets.base import Captioned, Clip, DataError, first_ten

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Vectors = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class EvaluatedSet:
    """The clips that every model could hear, and the captions that are theirs."""

    clips: tuple[Clip, ...]
    captions: tuple[str, ...]
    """Each text once."""
    caption_ids: tuple[str, ...]
    """Of the first caption of these words."""
    text_row: Indices
    """The row of each caption among the vectors of texts."""
    pairs: Indices
    """Captions and clips that belong together, ``(n_pairs, 2)``, sorted."""
    units: NDArray[np.str_]
    """Of each clip."""
    fused: int
    """Clips that share a caption with a clip of another unit."""

    @property
    def captioned(self) -> Indices:
        """The clips that have a caption, ascending."""
        return np.unique(self.pairs[:, 1])

    def first_captions(self) -> Indices:
        """Return the first caption of each clip, shape ``(n_clips,)``; -1 where it has none."""
        first = np.full(len(self.clips), -1)
        first[self.pairs[::-1, 1]] = self.pairs[::-1, 0]
        return first

    def first_clips(self) -> Indices:
        """Return the first clip of each caption, shape ``(n_captions,)``."""
        starts = np.searchsorted(self.pairs[:, 0], np.arange(len(self.captions)))
        return np.asarray(self.pairs[starts, 1])


@dataclass(frozen=True, slots=True)
class Pool:
    """One pool: indices into the captions and the clips of a heard set, ascending."""

    captions: Indices
    clips: Indices


@dataclass(frozen=True, slots=True)
class PooledRanks:
    """The ranks of one model in one direction, the queries of all draws after each other."""

    ranks: Ranks
    """Their ``n_items`` is the largest of the draws'."""
    constant: Ranks
    """The ranks of a model that scores all items the same: chance."""
    query: Indices
    """Of each of the ranks' queries, its caption or clip in the heard set."""
    by_draw: tuple[Ranks, ...]


def evaluated_set(dataset: Captioned, vectors: JointVectors) -> EvaluatedSet:
    """Return what of a dataset can be retrieved.

    Raises
    ------
    DataError
        If two clips or captions have the same id, or fewer than two clips were heard, or none that
        has a caption.
    """
    for what, ids in (
        ("clip", [clip.id for clip in dataset.clips]),
        ("caption", dataset.caption_ids),
    ):
        if len(set(ids)) < len(ids):
            twice = sorted({name for name in ids if list(ids).count(name) > 1})
            raise DataError(f"{what} ids must be unique, given more than once: {first_ten(twice)}")
    place = {clip.id: index for index, clip in enumerate(vectors.clips)}
    now = np.array([place.get(clip.id, -1) for clip in dataset.clips], np.intp)
    n_clips = len(vectors.clips)
    if n_clips < 2:
        raise DataError(
            f"{dataset.card.id}: {n_clips} of {len(dataset.clips)} clips could be heard; with "
            f"fewer than two there is nothing to choose from"
        )
    text_of = {text: index for index, text in enumerate(dict.fromkeys(dataset.captions))}
    number = np.array([text_of[text] for text in dataset.captions], np.intp)
    pairs = dataset.relevant()
    pairs = np.stack([number[pairs[:, 0]], now[pairs[:, 1]]], axis=1)
    pairs = np.unique(pairs[pairs[:, 1] >= 0], axis=0)
    if not pairs.size:
        raise DataError(f"{dataset.card.id}: none of the {n_clips} clips has a caption")
    # Numbered anew: only captions of clips that were heard.
    kept, pairs[:, 0] = np.unique(pairs[:, 0], return_inverse=True)
    every = list(text_of)
    texts = [every[index] for index in kept.tolist()]
    row = {text: index for index, text in enumerate(vectors.texts)}
    first_id = dict(zip(reversed(dataset.captions), reversed(dataset.caption_ids), strict=True))
    units, fused = _units(vectors.clips, pairs)
    return EvaluatedSet(
        clips=vectors.clips,
        captions=tuple(texts),
        caption_ids=tuple(first_id[text] for text in texts),
        text_row=np.array([row[text] for text in texts], np.intp),
        pairs=pairs,
        units=units,
        fused=fused,
    )


def _units(clips: Sequence[Clip], pairs: Indices) -> tuple[NDArray[np.str_], int]:
    """Return the unit of each clip, and how many clips share a caption across units."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names = [clip.unit or clip.id for clip in clips]
    first: dict[str, int] = {}
    own = np.array([first.setdefault(name, len(first)) for name in names], np.intp)
    # A caption's clips are linked to its first.
    _, starts, caption = np.unique(pairs[:, 0], return_index=True, return_inverse=True)
    one, other = own[pairs[starts[caption], 1]], own[pairs[:, 1]]
    links = coo_array((np.ones(len(one)), (one, other)), shape=(len(first), len(first)))
    _, component = connected_components(links, directed=False)
    # Named after the first of its units.
    leader = np.full(int(component.max()) + 1, len(first))
    np.minimum.at(leader, component, np.arange(len(first)))
    labels = np.array(list(first), dtype=str)
    shared = np.unique(caption[one != other])
    fused = np.unique(pairs[np.isin(caption, shared), 1]).size
    return labels[leader[component[own]]], fused


def draw_pools(heard: EvaluatedSet, setting: RetrievalProtocol, *, seed: int) -> list[Pool]:
    """Return the pools of a setting; one, of everything, where nothing is drawn.

    Raises
    ------
    DataError
        If the pool is larger than the set, or draws are asked for where nothing is drawn.
    """
    captioned = heard.captioned
    pool = None if setting.pool == "all" else int(setting.pool)
    if pool is not None and pool > len(captioned):
        raise DataError(
            f"a pool of {pool} clips cannot be drawn from {len(captioned)} clips with captions: "
            f"give pool = 'all' for the whole set, or at most {len(captioned)}"
        )
    one_caption = setting.captions == "one" and len(heard.pairs) > len(captioned)
    if not one_caption and (pool is None or pool == len(captioned)):
        if setting.draws not in (None, 1):
            raise DataError(
                f"draws is {setting.draws}, but nothing is drawn: the pool is the whole set of "
                f"{len(captioned)} clips with all their captions; leave draws out"
            )
        clips = captioned if pool else np.arange(len(heard.clips))
        return [Pool(np.arange(len(heard.captions)), clips)]
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(setting.draws or DRAWS):
        if pool is None:
            clips = np.arange(len(heard.clips))
        else:
            clips = np.sort(rng.choice(captioned, size=pool, replace=False))
        pairs = heard.pairs[np.isin(heard.pairs[:, 1], clips)]
        if one_caption:
            pairs = rng.permutation(pairs)
            pairs = pairs[np.unique(pairs[:, 1], return_index=True)[1]]
        draws.append(Pool(np.unique(pairs[:, 0]), clips))
    return draws


def rank_draws(
    heard: EvaluatedSet,
    draws: Sequence[Pool],
    audio: Vectors,
    text: Vectors,
    directions: Sequence[Direction],
) -> dict[Direction, PooledRanks]:
    """Return a model's ranks in each direction.

    ``audio`` is ``(n_clips, dimension)`` and ``text`` ``(n_texts, dimension)``, unit vectors.
    """
    found: dict[Direction, list[tuple[Ranks, Indices]]] = {way: [] for way in directions}
    for draw in draws:
        ranks = _rank(heard, draw, audio, text, directions)
        for way in directions:
            found[way].append(ranks[way])
    return {
        way: PooledRanks(
            ranks=joined([ranks for ranks, _ in each]),
            constant=joined([_constant(ranks) for ranks, _ in each]),
            query=np.concatenate([query for _, query in each]),
            by_draw=tuple(ranks for ranks, _ in each),
        )
        for way, each in found.items()
    }


def relevance(heard: EvaluatedSet, draw: Pool) -> csr_array:
    """Return which captions (rows) and clips (columns) of a draw belong together."""
    from scipy.sparse import csr_array

    caption_place = np.full(len(heard.captions), -1)
    caption_place[draw.captions] = np.arange(len(draw.captions))
    clip_place = np.full(len(heard.clips), -1)
    clip_place[draw.clips] = np.arange(len(draw.clips))
    rows, columns = caption_place[heard.pairs[:, 0]], clip_place[heard.pairs[:, 1]]
    inside = (rows >= 0) & (columns >= 0)
    shape = (len(draw.captions), len(draw.clips))
    entries = (np.ones(int(inside.sum()), np.bool_), (rows[inside], columns[inside]))
    return csr_array(entries, shape=shape)


def with_captions(belongs: csr_array) -> Indices:
    """Return the columns of a relevance that have a row: the clips that can be queries."""
    return np.flatnonzero(np.bincount(belongs.tocoo().col, minlength=belongs.shape[1]))


def _rank(
    heard: EvaluatedSet,
    draw: Pool,
    audio: Vectors,
    text: Vectors,
    directions: Sequence[Direction],
) -> dict[Direction, tuple[Ranks, Indices]]:
    belongs = relevance(heard, draw)
    queried = with_captions(belongs)
    texts, clips = text[heard.text_row[draw.captions]], audio[draw.clips]
    if len(directions) == 2 and len(queried) == len(draw.clips):
        there, back = count_ranks_both_ways(texts, clips, belongs)
        return {
            "text-to-audio": (there, draw.captions),
            "audio-to-text": (back, draw.clips),
        }
    found: dict[Direction, tuple[Ranks, Indices]] = {}
    if "text-to-audio" in directions:
        found["text-to-audio"] = count_ranks(texts, clips, belongs), draw.captions
    if "audio-to-text" in directions:
        back = count_ranks(clips[queried], texts, belongs.T.tocsr()[queried])
        found["audio-to-text"] = back, draw.clips[queried]
    return found


def _constant(ranks: Ranks) -> Ranks:
    everything = np.full_like(ranks.tied, ranks.n_items)
    return replace(ranks, higher=np.zeros_like(ranks.higher), tied=everything)


def joined(parts: Sequence[Ranks]) -> Ranks:
    """Return the ranks of several draws as if they were one, queries after each other."""
    offsets = np.cumsum([0, *(part.n_queries for part in parts)])
    return Ranks(
        n_queries=int(offsets[-1]),
        n_items=max(part.n_items for part in parts),
        query=np.concatenate([p.query + o for p, o in zip(parts, offsets[:-1], strict=True)]),
        item=np.concatenate([part.item for part in parts]),
        higher=np.concatenate([part.higher for part in parts]),
        tied=np.concatenate([part.tied for part in parts]),
    )


def ids_of(heard: EvaluatedSet, direction: Direction) -> Sequence[str]:
    """Return the ids of all that can be queries of a direction."""
    if direction == "text-to-audio":
        return heard.caption_ids
    return [clip.id for clip in heard.clips]


def units_of(heard: EvaluatedSet, direction: Direction, query: Indices) -> NDArray[np.str_]:
    """Return the unit of each query."""
    clips = heard.first_clips()[query] if direction == "text-to-audio" else query
    return np.asarray(heard.units[clips])


Outcomes = Mapping[str, Mapping[Direction, PooledRanks]]
"""Model to direction to ranks."""
