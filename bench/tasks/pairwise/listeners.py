"""Tables on the listeners behind a score: who they are, and what is without some of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from earmark.bench.metrics.pairs import pairwise
from earmark.bench.metrics.pairs.crossed import crossed_mean
from earmark.bench.metrics.pairs.reliability import Reliability, reliability
from earmark.bench.metrics.pairs.strengths import bradley_terry, correlation
from earmark.bench.metrics.statistics import estimate_ratio
from earmark.bench.tasks.pairwise.certainty import bounds
from earmark.bench.tasks.pairwise.tables import Rows, Values
from earmark.bench.tasks.pairwise.truth import People, Truth, read_truth
from earmark.bench.tasks.pairwise.view import CROSSED, LISTENERS, STRENGTHS, WITHOUT
from earmark.datasets.base import DataError
from earmark.datasets.judgements.judged import JudgedPairs
from earmark.reports.record.schema import Table


def listeners_tables(
    dataset: JudgedPairs, truths: Sequence[Truth], people: Sequence[People], values: Values
) -> list[Table]:
    """Return the tables that this module makes, those that have rows."""
    relied = {one.dimension: _reliability(one) for one in people}
    found = [
        crossed_table(dataset, people, values),
        strengths_table(dataset, values),
        reliability_table(relied),
        without_table(dataset, relied, truths, values),
    ]
    return [table for table in found if table is not None and table.rows]


def _reliability(people: People) -> list[Reliability]:
    with suppress(ValueError):  # no pair has two listeners
        return reliability(people.ratings, annotators=people.annotators, units=people.triplets)
    return []


def crossed_table(dataset: JudgedPairs, people: Sequence[People], values: Values) -> Table:
    """Return agreement with single judgements, over triplets alone and over listeners, too."""
    place = {song: index for index, song in enumerate(dataset.song_ids)}
    rows: Rows = []
    for one in people:
        rater, pair = np.nonzero(np.isin(one.ratings, (-1, 1)))
        if not len(rater):
            continue
        said = one.ratings[rater, pair]
        triplets, listeners = one.triplets[pair], np.array(one.annotators)[rater]
        a, b = (
            np.array([place[getattr(each, side)] for each in one.pairs])[pair]
            for side in ("song_a", "song_b")
        )
        for model, column in values[one.dimension].items():
            order = np.sign(column[b] - column[a])
            right = np.where(order == 0, 0.5, order == said)
            right = np.where(np.isnan(order), np.nan, right)
            kept = ~np.isnan(right)
            both = crossed_mean(right, triplets, listeners)
            alone = estimate_ratio(
                np.stack([np.where(kept, right, 0), kept], axis=1), units=triplets
            )
            ends = [*bounds(alone.interval), *bounds(both.interval)]
            rows.append([one.dimension, model, both.value, *ends, both.n, len(one.annotators)])
    ends = [f"{over} {end}" for over in ("triplets", "triplets and listeners") for end in _ENDS]
    return Table(
        title=CROSSED,
        columns=["dimension", "model", "agreement", *ends, "n", "listeners"],
        rows=rows,
        note="The share of single judgements of a or b that a model orders so, on all judged "
        "pairs, predicted ties half. Over triplets alone the listeners are taken as given; over "
        "both, the interval is what another study with other listeners would find.",
    )


_ENDS = ("low", "high")


def strengths_table(dataset: JudgedPairs, values: Values) -> Table:
    """Return how models' values go with the songs' strengths by all judgements."""
    place = {song: index for index, song in enumerate(dataset.song_ids)}
    rows: Rows = []
    for dimension in dataset.dimensions:
        said = dataset.judgements(dimension)
        strengths = bradley_terry(
            [place[one.song_a] for one in said],
            [place[one.song_b] for one in said],
            [one.higher_value for one in said],
            n_songs=len(place),
            votes=[one.votes for one in said],
        )
        for model, column in values[dimension].items():
            found = correlation(column, strengths)
            if np.isfinite(found.value):
                rows.append([dimension, model, found.value, *bounds(found.interval), found.n])
    return Table(
        title=STRENGTHS,
        columns=["dimension", "model", "r", "low", "high", "n"],
        rows=rows,
        note="Pearson’s r of a model’s values with the strengths of Bradley and Terry that all "
        "judgements give the songs (equal: half a win for each). Both are centred within what "
        "comparisons join, as a rule a triplet, which is what is resampled.",
    )


def reliability_table(relied: dict[str, list[Reliability]]) -> Table:
    """Return how far each listener goes with the others, and who is marked as unreliable."""
    rows: Rows = [
        [
            *(one.annotator, dimension, one.agreement.value, *bounds(one.agreement.interval)),
            *(one.chance, _or_none(one.with_each), _or_none(one.alpha_without)),
            *("unreliable" if one.unreliable else None, one.agreement.n),
        ]
        for dimension, found in relied.items()
        for one in sorted(found, key=lambda one: one.annotator)
        if np.isfinite(one.agreement.value)
    ]
    return Table(
        title=LISTENERS,
        columns=[
            *("annotator", "dimension", "agreement", "low", "high", "chance", "with each"),
            *("alpha without", "marked", "n"),
        ],
        rows=rows,
        note="Agreement with what more than half of the others say of a pair (two others at "
        "least); chance: guessing with the same shares of a, b and equal. With each: the share of "
        "the same answers, over all others. Alpha without: Krippendorff’s alpha (nominal) of the "
        "others. Unreliable: the whole interval lies nearer to chance than to the median of the "
        "others.",
    )


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def without_table(
    dataset: JudgedPairs,
    relied: dict[str, list[Reliability]],
    truths: Sequence[Truth],
    values: Values,
) -> Table | None:
    """Return accuracy on gt with and without the judgements of those marked, None: nobody is."""
    marked = {one.annotator for found in relied.values() for one in found if one.unreliable}
    if not marked:
        return None
    try:
        fewer = dataset.without(marked)
    except DataError:  # nobody is left
        return None
    place = {song: index for index, song in enumerate(dataset.song_ids)}
    songs = [place[song] for song in fewer.song_ids]
    rows: Rows = []
    for truth in truths:
        other = read_truth(fewer, truth.dimension)
        for model, column in values[truth.dimension].items():
            cells: Rows = []
            for of, said in ((truth, column), (other, column[songs])):
                found = pairwise.estimate(of.judge(said), units=of.triplets, ties="half")
                cells.append([_or_none(found.value), *bounds(found.interval), found.n])
            rows.append([truth.dimension, model, *cells[0], *cells[1]])
    ends = [f"{which}{end}" for which in ("all", "without") for end in ("", " low", " high", " n")]
    names = ", ".join(sorted(marked))
    return Table(
        title=WITHOUT,
        columns=["dimension", "model", *ends],
        rows=rows,
        note=f"Accuracy on gt, predicted ties half, of all judgements and without {names}. A pair "
        "is then complete with one judgement less. Intervals over triplets.",
    )
