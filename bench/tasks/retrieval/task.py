"""Caption retrieval: which clip a caption is of, and which caption a clip has.

Conventions
-----------
Queries are all captions (text-to-audio) and all clips with captions (audio-to-text) that every
model could hear. A caption that several clips share is one text that belongs to each of them; what
counts with several relevant items says the rule (:mod:`earmark.bench.metrics.retrieval`). A clip
without a caption is no query, but a wrong answer like others.

Pools and units are those of :mod:`earmark.bench.tasks.retrieval.pools`, protocols those of
:mod:`earmark.bench.tasks.retrieval.protocol`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from earmark.bench.metrics import retrieval
from earmark.bench.metrics.ranks import UNIT_TOLERANCE, validate
from earmark.bench.scoring.items import TaskItems, table_of
from earmark.bench.scoring.results import (
    chance_references,
    compared_items,
    groups_of,
    resampling,
)
from earmark.bench.tasks.retrieval.failures import (
    TopHits,
    check_sentences,
    failures_table,
    find_top_hits,
    sentence_vectors,
)
from earmark.bench.tasks.retrieval.maps import (
    cosines,
    draw_map,
    gap_table,
    map_points,
    rank_edges,
    rank_histogram,
    sample_pairs,
)
from earmark.bench.tasks.retrieval.pools import (
    EvaluatedSet,
    Outcomes,
    Pool,
    draw_pools,
    evaluated_set,
    rank_draws,
)
from earmark.bench.tasks.retrieval.protocol import Direction, RetrievalProtocol, resolve_protocol
from earmark.bench.tasks.retrieval.scores import (
    HEADLINE,
    OUTCOMES,
    TRUTH,
    Items,
    draws_table,
    item_rows,
    measure,
    score_models,
    unit_name,
    usable_ks,
)
from earmark.bench.tasks.retrieval.view import VIEW
from earmark.bench.tasks.task import Context, Need, Task, TaskOutput, TaskRun, Wanted
from earmark.bench.tasks.vectors import JointVectors, embed_pairs, other_crops
from earmark.datasets.base import Captioned, DataError, first_ten
from earmark.models.base import UNTRAINED
from earmark.reports.record.lookup import select
from earmark.reports.record.schema import (
    Comparison,
    Group,
    Plain,
    Reference,
    Score,
    Table,
    TaskResult,
)
from earmark.reports.view import View

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Retrieval(Task):
    """Retrieve clips by captions and captions by clips.

    Parameters
    ----------
    protocol
        ``earmark`` or ``muscall-paper``; the other options change it where they are given.
    pool
        Clips in a pool, or ``all``.
    draws
        How many pools are drawn.
    captions
        Of a clip with several: ``all``, or ``one`` that each draw takes at random.
    directions
        ``text-to-audio``, ``audio-to-text``.
    rule
        ``best of n`` or ``per caption``: what counts with several relevant items.
    sentence_bert
        Weights for the similarity of captions, a folder or a name of the hub, or ``none``; where
        not given, all-MiniLM-L6-v2 if it is installed or in the hub's cache.
    """

    protocol: str = "earmark"
    pool: int | str | None = None
    draws: int | None = None
    captions: str | None = None
    directions: Sequence[str] | None = None
    rule: str | None = None
    sentence_bert: str | None = None

    kind: ClassVar[str] = "retrieval"
    needs: ClassVar[frozenset[Need]] = frozenset({"audio", "text"})
    truth: ClassVar[frozenset[str]] = TRUTH
    outcomes: ClassVar[frozenset[str]] = OUTCOMES
    view: ClassVar[View] = VIEW
    measure = staticmethod(measure)

    @property
    def setting(self) -> RetrievalProtocol:
        """The protocol with what the options change."""
        return resolve_protocol(
            self.protocol,
            pool=self.pool,
            draws=self.draws,
            captions=self.captions,
            directions=self.directions,
            rule=self.rule,
        )

    def wanted(self, context: Context, dataset: Any, models: Mapping[str, Any]) -> Wanted:
        """Return clips and captions; pools are drawn of those that were heard."""
        _ = self.setting
        known = _captioned(dataset)
        if context.strict and self.sentence_bert is not None:
            check_sentences(self.sentence_bert)
        return Wanted(known.clips, list(dict.fromkeys(known.captions)))

    def run(self, context: Context, dataset: Any, models: Mapping[str, Any]) -> TaskRun:
        """Embed clips and captions, rank each among the others, and score."""
        setting = self.setting
        known = _captioned(dataset)
        vectors = embed_pairs(models, known.clips, known.captions, context.embeddings)
        sentences, lacking = sentence_vectors(self.sentence_bert, vectors.texts, context)
        output = evaluate(
            known,
            vectors,
            setting,
            sentences=sentences,
            crops={
                name: model.card.crop_policy
                for name, model in models.items()
                if model.card.weights_digest != UNTRAINED
            },
            warnings=[
                *([lacking] if lacking else []),
                *other_crops(setting.protocol, setting.crop, models),
            ],
            task_id=context.task_id,
            replicates=context.replicates,
            seed=context.seed,
        )
        return TaskRun(output, vectors.seconds)


def evaluate(
    dataset: Captioned,
    vectors: JointVectors,
    setting: RetrievalProtocol,
    *,
    sentences: NDArray[Any] | None = None,
    crops: Mapping[str, str] | None = None,
    warnings: Sequence[str] = (),
    task_id: str = "retrieval",
    replicates: int = 10_000,
    seed: int = 2022,
) -> TaskOutput:
    """Score models on the clips that every one of them could hear.

    Parameters
    ----------
    sentences
        Sentence-BERT vectors of ``vectors.texts``, for the failures.
    crops
        Model to the crop policy on its card, for the record.
    warnings
        What was found before, for the record.

    Raises
    ------
    DataError
        If vectors are not finite unit vectors of one dimension, or as
        :func:`~earmark.bench.tasks.retrieval.pools.evaluated_set` and `draw_pools`.
    """
    for model in vectors.audio:
        _check(model, vectors)
    heard = evaluated_set(dataset, vectors)
    draws = draw_pools(heard, setting, seed=seed)
    outcomes: Outcomes = {
        model: rank_draws(heard, draws, vectors.audio[model], text, setting.directions)
        for model, text in vectors.text.items()
    }
    hits = _top_hits(heard, draws, outcomes, vectors, setting, sentences)
    arrays, gaps, unmapped = _diagnostics(heard, vectors, outcomes, seed=seed)
    scores: list[Score] = []
    references: list[Reference] = []
    comparisons: list[Comparison] = []
    groups: list[Group] = []
    items = Items()
    for way in setting.directions:
        found = score_models(
            dataset, heard, outcomes, way, setting, replicates=replicates, seed=seed
        )
        scores += found
        references += chance_references(found, with_n=True)
        for model in outcomes:
            item_rows(items, heard, model, way, outcomes[model][way], hits[model, way], setting)
    by_query = TaskItems(measure, table_of(items.columns), arrays, scores, as_given=True)
    for way in setting.directions:
        own = select(scores, metric=HEADLINE, subset=way)
        paired = compared_items(
            by_query, own, unit=unit_name(heard), replicates=replicates, seed=seed
        )
        comparisons += paired
        groups += groups_of(own, paired)
    result = TaskResult(
        id=task_id,
        kind="retrieval",
        dataset=dataset.card.id,
        title=f"Caption retrieval: {dataset.card.title}",
        protocol=protocol_of(
            dataset, heard, draws, setting, crops or {}, replicates=replicates, seed=seed
        ),
        models=list(outcomes),
        headline_metric=HEADLINE,
        headline_subset=setting.directions[0],
        scores=scores,
        comparisons=comparisons,
        groups=groups,
        references=references,
        tables=[
            gaps,
            *draws_table(outcomes, draws, setting),
            *_failures(heard, hits, seed=seed, drawn=len(draws) > 1),
        ],
        problems=vectors.problems,
        warnings=[
            *vectors.warnings,
            *warnings,
            *warnings_of(dataset, heard, outcomes, setting),
            *same_sound(vectors),
            *unmapped,
        ],
        arrays=list(arrays),
    )
    return TaskOutput(result, items.columns, arrays)


def _captioned(dataset: Any) -> Captioned:
    if not isinstance(dataset, Captioned):
        raise DataError(
            f"the task retrieval needs a set of captioned clips, got {type(dataset).__name__}"
        )
    if not dataset.captions:
        raise DataError(f"{dataset.card.id}: the split {dataset.split!r} has no captions")
    return dataset


def _check(model: str, vectors: JointVectors) -> None:
    audio, text = vectors.audio[model], vectors.text[model]
    try:
        sides = validate(text, audio)
    except ValueError as error:
        raise DataError(f"model {model!r}: {error} (queries are texts, items are clips)") from error
    for side, what, ids in (
        (sides[0], "texts", vectors.texts),
        (sides[1], "clips", [clip.id for clip in vectors.clips]),
    ):
        if len(side.norms) != len(ids):
            raise DataError(
                f"model {model!r} has {len(side.norms)} vectors of {what}, expected {len(ids)}"
            )
        wrong = np.flatnonzero(np.abs(side.norms - 1) > UNIT_TOLERANCE)
        if wrong.size:
            raise DataError(
                f"model {model!r}: the vector of {ids[int(wrong[0])]!r:.60} among {what} has the "
                f"norm {side.norms[wrong[0]]:.4g}, expected 1"
            )


def _top_hits(
    heard: EvaluatedSet,
    draws: Sequence[Pool],
    outcomes: Outcomes,
    vectors: JointVectors,
    setting: RetrievalProtocol,
    sentences: NDArray[Any] | None,
) -> dict[tuple[str, Direction], TopHits]:
    return {
        (model, way): find_top_hits(
            heard,
            draws,
            outcomes[model][way],
            vectors.audio[model],
            vectors.text[model],
            way,
            sentences=sentences,
        )
        for model in outcomes
        for way in setting.directions
    }


def _failures(
    heard: EvaluatedSet, hits: Mapping[tuple[str, Direction], TopHits], *, seed: int, drawn: bool
) -> list[Table]:
    tables = [
        failures_table(heard, model, way, found, seed=seed, drawn=drawn)
        for (model, way), found in hits.items()
    ]
    return [table for table in tables if table is not None]


def _diagnostics(
    heard: EvaluatedSet, vectors: JointVectors, outcomes: Outcomes, *, seed: int
) -> tuple[Arrays, Table, list[str]]:
    """Return the arrays of the figures, the table of the modality gap, and what has no map."""
    pairs = sample_pairs(heard, seed=seed)
    points = map_points(heard, seed=seed)
    arrays: Arrays = {}
    similarities = {}
    unmapped = []
    most = max(drawn.ranks.n_items for ways in outcomes.values() for drawn in ways.values())
    arrays["rank_edges"] = rank_edges(most)
    for model, audio in vectors.audio.items():
        text = vectors.text[model]
        aligned = cosines(heard, audio, text, pairs.aligned)
        random = cosines(heard, audio, text, pairs.random)
        similarities[model] = aligned, random
        arrays |= {f"aligned.{model}": aligned, f"random.{model}": random}
        placed = draw_map(heard, audio, text, points, seed=seed)
        if isinstance(placed, str):
            unmapped.append(f"no map of {model}: {placed}")
        else:
            arrays |= points.arrays(heard) | {f"map.{model}": placed}
        for way, drawn in outcomes[model].items():
            name = f"rank_histogram.{way}.{model}"
            arrays[name] = rank_histogram(retrieval.rank(drawn.ranks), arrays["rank_edges"])
    sides = {model: (vectors.audio[model], vectors.text[model]) for model in vectors.audio}
    return arrays, gap_table(heard, sides, similarities), unmapped


def protocol_of(
    dataset: Captioned,
    heard: EvaluatedSet,
    draws: Sequence[Pool],
    setting: RetrievalProtocol,
    crops: Mapping[str, str],
    *,
    replicates: int,
    seed: int,
) -> dict[str, Plain]:
    """Return how the scores came about, in tokens and numbers."""
    n_clips = len(draws[0].clips)
    whole = setting.pool == "all" or n_clips == len(heard.captioned)
    several = len(heard.pairs) > len(heard.captioned)
    of_heard = {clip.id for clip in heard.clips}
    n_captions = sum(dataset.clips[index].id in of_heard for index in dataset.clip_of.tolist())
    stated: dict[str, Plain] = {
        "protocol": setting.protocol,
        "changed from the protocol": ", ".join(setting.changed) or "nothing",
        "split": dataset.split,
        "pool": "all" if whole else "drawn",
        "clips in the pool": n_clips,
        "draws": len(draws) if len(draws) > 1 or not whole else "none",
        "captions": f"{setting.captions}-of-several" if several else "one",
        "directions": ", ".join(setting.directions),
        "similarity": "cosine",
        "ties": "expectation",
        "several relevant items": setting.rule.replace(" ", "-"),
        **{f"crop of {model}": crop for model, crop in crops.items()},
        **resampling(unit_name(heard), replicates=replicates, seed=seed),
        "units": len(np.unique(heard.units)),
    }
    if n_captions > len(heard.captions):
        stated |= {"captions in the data": n_captions, "different texts": len(heard.captions)}
    if heard.fused:
        stated["clips that share a caption across units"] = heard.fused
    return stated


def warnings_of(
    dataset: Captioned,
    heard: EvaluatedSet,
    outcomes: Outcomes,
    setting: RetrievalProtocol,
) -> list[str]:
    """Return what a reader must know before believing the scores."""
    found = []
    unheard = len(dataset.clips) - len(heard.clips)
    if unheard:
        found.append(
            f"{unheard} of {len(dataset.clips)} clips could not be heard: they and their captions "
            f"are left out for all models, see the problems"
        )
    bare = [heard.clips[i].id for i in np.setdiff1d(np.arange(len(heard.clips)), heard.captioned)]
    if bare:
        role = "only wrong answers to captions" if setting.pool == "all" else "not in the pools"
        found.append(f"{len(bare)} clips have no caption and are {role}: {first_ten(bare)}")
    some = next(iter(outcomes.values()))
    for way, drawn in some.items():
        if 10 not in usable_ks(drawn):
            fewest = min(ranks.n_items for ranks in drawn.by_draw)
            found.append(f"{way}: {fewest} items are too few for R@10, which is left undefined")
    if len(np.unique(heard.units)) < 2:
        found.append("all clips are one unit: there are no intervals and no paired tests")
    return found


def same_sound(vectors: JointVectors) -> list[str]:
    """Return a warning if clips have the same vector as another one from every model."""
    first: dict[bytes, str] = {}
    same = []
    for index, clip in enumerate(vectors.clips):
        rows = b"".join(each[index].tobytes() for each in vectors.audio.values())
        other = first.setdefault(hashlib.sha256(rows).digest(), clip.id)
        if other != clip.id:
            same.append(f"{clip.id} as {other}")
    if not same:
        return []
    return [
        f"{len(same)} clips sound the same as another to every model, and each is a wrong answer "
        f"to the other's own captions: {first_ten(same)}"
    ]
