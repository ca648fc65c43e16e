"""What was found instead: top hits that are wrong, and how alike in words they are to the query.

As table 3 of MusCALL's paper [1]_, for every query whose relevant item is not first: the caption of
the top hit, and the cosine of the two captions' Sentence-BERT vectors. Near captions are near
misses. Ties at the top are broken against the model (:mod:`earmark.bench.metrics.ranks`).

References
----------
.. [1] I. Manco, E. Benetos, E. Quinton, G. Fazekas, "Contrastive audio-language learning for
       music", ISMIR 2022, sec. 6.1, table 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.bench.metrics import retrieval
from earmark.bench.metrics.base import Floats
from earmark.bench.metrics.ranks import Indices, dot_products, top_hits
from earmark.bench.tasks.retrieval.pools import (
    EvaluatedSet,
    Pool,
    PooledRanks,
    Vectors,
    relevance,
    with_captions,
)
from earmark.bench.tasks.retrieval.protocol import Direction
from earmark.bench.tasks.retrieval.view import failures_title
from earmark.bench.tasks.task import Context
from earmark.models.adapters.sentence_bert import MINILM, sentence_bert
from earmark.models.base import ModelError, TextEmbedder
from earmark.reports.record.schema import Plain, Table

MAX_ROWS = 12
_HUB_MINILM = "sentence-transformers/all-MiniLM-L6-v2"


@dataclass(frozen=True, slots=True)
class TopHits:
    """The top hit of each query in the first draw that it was in."""

    query: Indices
    """Captions or clips of the heard set that were queries, ascending."""
    item: Indices
    """The clip (text-to-audio) or caption (audio-to-text) that the model puts first."""
    right: NDArray[np.bool_]
    rank: Floats
    """Of the relevant item that ranks first, in that draw."""
    query_caption: Indices
    """The caption that is, or is the first of, the query."""
    item_caption: Indices
    """The caption that is, or is the first of, the top hit; -1 where it has none."""
    similarity: Floats
    """Of the two captions; NaN where the top hit is right, has no caption, or none is known."""


def find_top_hits(
    heard: EvaluatedSet,
    draws: Sequence[Pool],
    drawn: PooledRanks,
    audio: Vectors,
    text: Vectors,
    direction: Direction,
    *,
    sentences: Vectors | None,
) -> TopHits:
    """Return a model's top hits; ``sentences`` are the texts' Sentence-BERT vectors."""
    to_audio = direction == "text-to-audio"
    n_queries = len(heard.captions) if to_audio else len(heard.clips)
    texts = text[heard.text_row]
    of, among = (texts, audio) if to_audio else (audio, texts)
    item = np.full(n_queries, -1)
    for draw in draws:
        queries, items, belongs = draw.captions, draw.clips, relevance(heard, draw)
        if not to_audio:
            queries, items = draw.clips[with_captions(belongs)], draw.captions
            belongs = belongs.T.tocsr()[with_captions(belongs)]
        new = np.flatnonzero(item[queries] < 0)
        if new.size:
            hits = top_hits(of[queries[new]], among[items], belongs[new])
            item[queries[new]] = items[hits]
    query, first = np.unique(drawn.query, return_index=True)
    item, first_captions = item[query], heard.first_captions()
    query_caption = query if to_audio else first_captions[query]
    item_caption = first_captions[item] if to_audio else item
    pairs = heard.pairs[:, 0] * len(heard.clips) + heard.pairs[:, 1]
    caption, clip = (query, item) if to_audio else (item, query)
    right = np.isin(caption * len(heard.clips) + clip, pairs)
    return TopHits(
        query=query,
        item=item,
        right=right,
        rank=retrieval.rank(drawn.ranks)[first],
        query_caption=query_caption,
        item_caption=item_caption,
        similarity=_similarity(heard, sentences, query_caption, item_caption, right),
    )


def _similarity(
    heard: EvaluatedSet,
    sentences: Vectors | None,
    query_caption: Indices,
    item_caption: Indices,
    right: NDArray[np.bool_],
) -> Floats:
    found = np.full(len(right), np.nan)
    if sentences is not None:
        known = ~right & (item_caption >= 0)
        one, other = heard.text_row[query_caption[known]], heard.text_row[item_caption[known]]
        found[known] = dot_products(sentences, sentences, one, other)
    return found


def failures_table(
    heard: EvaluatedSet, model: str, direction: Direction, hits: TopHits, *, seed: int, drawn: bool
) -> Table | None:
    """Return at most `MAX_ROWS` failures drawn by the seed, nearest captions first; None: none."""
    failed = np.flatnonzero(~hits.right)
    if not failed.size:
        return None
    chosen = failed
    if len(failed) > MAX_ROWS:
        chosen = np.random.default_rng(seed).choice(failed, size=MAX_ROWS, replace=False)
    # NaN last; then the better rank.
    likeness = np.nan_to_num(hits.similarity[chosen], nan=-2.0)
    chosen = chosen[np.lexsort((chosen, hits.rank[chosen], -likeness))]
    to_audio = direction == "text-to-audio"
    rows: list[list[Plain]] = []
    for place in chosen:
        query, item = int(hits.query[place]), int(hits.item[place])
        caption, similarity = int(hits.item_caption[place]), float(hits.similarity[place])
        rows.append(
            [
                heard.captions[query] if to_audio else heard.clips[query].id,
                float(hits.rank[place]),
                heard.clips[item].id if to_audio else heard.caption_ids[item],
                heard.captions[caption] if caption >= 0 else None,
                similarity if np.isfinite(similarity) else None,
            ]
        )
    known = hits.similarity[failed]
    known = known[np.isfinite(known)]
    note = f"Of {len(hits.query)} queries, {len(failed)} have a wrong top hit"
    note += f"; {len(rows)} of them, drawn by the seed. " if len(rows) < len(failed) else ". "
    note += "A query of several draws: in its first. " if drawn else ""
    if known.size:
        note += f"Mean caption similarity of all wrong top hits: {known.mean():.3f}."
    return Table(
        title=failures_title(model, backward=not to_audio),
        columns=["query", "rank", "top hit", "caption of the top hit", "caption similarity"],
        rows=rows,
        note=note.strip(),
    )


def sentence_vectors(
    weights: str | None, texts: Sequence[str], context: Context
) -> tuple[Vectors | None, str | None]:
    """Return the texts' Sentence-BERT vectors, or None and why.

    ``weights`` is a folder, a name of the hub, ``"none"``, or None for all-MiniLM-L6-v2 where it is
    installed or in the hub's cache: by itself nothing is downloaded.

    Raises
    ------
    ModelError
        If weights that were asked for cannot be had, and the run is strict.
    """
    if weights == "none":
        return None, None
    try:
        model = _opened(weights)
    except ModelError as missing:
        if weights is not None and context.strict:
            raise
        return None, f"failures have no caption similarity: {missing}"
    return context.embeddings.text_vectors(model, texts).rows, None


def check_sentences(weights: str) -> None:
    """Open the Sentence-BERT model that was asked for, so that its lack is known early.

    Raises
    ------
    ModelError
        If it cannot be had.
    """
    if weights != "none":
        _opened(weights)


def _opened(weights: str | None) -> TextEmbedder:
    return _minilm() if weights in (None, MINILM) else sentence_bert(weights=str(weights))


def _minilm() -> TextEmbedder:
    try:
        return sentence_bert()
    except ModelError:
        if (folder := _cached_minilm()) is None:
            raise
    return sentence_bert(weights=folder)


def _cached_minilm() -> str | None:
    """Return the folder of all-MiniLM-L6-v2 in the hub's cache on this machine."""
    try:
        from huggingface_hub import snapshot_download

        return str(snapshot_download(_HUB_MINILM, local_files_only=True))
    except Exception:  # the client is not installed, or raises errors of several libraries
        return None
