"""The tables beside the scores of pairs: how well people agree, and models against people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress

import numpy as np

from earmark.bench.metrics.base import Floats
from earmark.bench.metrics.comparisons import compare
from earmark.bench.metrics.pairs import agreement as humans_agree
from earmark.bench.metrics.pairs.pairwise import calibration
from earmark.bench.metrics.statistics import Estimate
from earmark.bench.tasks.pairwise.truth import People, Truth
from earmark.bench.tasks.pairwise.view import AGAINST_ANNOTATOR, AGREEMENT, CALIBRATION
from earmark.datasets.judgements.judged import JudgedPairs
from earmark.reports.record.schema import Plain, Table

Rows = list[list[Plain]]
Values = Mapping[str, Mapping[str, Floats]]
"""By dimension and model that says something of it: values of the songs, ``(n_songs,)``."""

RELIABILITY = "Reliability of the judgements"


def judges_table(dataset: JudgedPairs) -> Table:
    """Return how many pairs were judged with which agreement, by kind of triplet."""
    rows: Rows = []
    for dimension in dataset.dimensions:
        for kind in ("global", "genre"):
            levels = Counter(
                pair.agreement
                for pair in dataset.pairs(dimension)
                if (pair.triplet_type == "global_triplet") == (kind == "global")
            )
            names = ("full-agreement", "majority-agreement", "disagreement", "incomplete")
            rows.append([dimension, kind, *(levels[name] for name in names)])
    rows = [row for row in rows if any(row[2:])] or rows
    return Table(
        title=AGREEMENT,
        columns=["dimension", "triplet type", "full", "majority", "disagreement", "incomplete"],
        rows=rows,
        note=f"Pairs by the agreement of their {_annotators(dataset)}. Full and majority are "
        "the ground truth gt; songs of a genre triplet share a genre.",
    )


def _annotators(dataset: JudgedPairs) -> str:
    k = dataset.per_pair
    return "annotator" if k == 1 else f"{'three' if k == 3 else k} annotators"


def others(dataset: JudgedPairs) -> str:
    """Return what the annotators are called that one is held against."""
    return "the two others" if dataset.per_pair == 3 else "the others"


def reliability_table(people: Sequence[People], others: str) -> Table:
    """Return Krippendorff's alpha and the human reference, with intervals over triplets.

    What is undefined, of one annotator or where all say the same, has no row.
    """
    rows: Rows = []
    for one in people:
        for level in ("nominal", "ordinal"):
            with suppress(ValueError):
                alpha = humans_agree.evaluate_alpha(one.ratings, level=level, units=one.triplets)
                rows.append([one.dimension, f"Krippendorff's alpha, {level}", *_cells(alpha)])
        strict = np.where(one.ratings == 0, np.nan, one.ratings)
        for name, ratings in (("a, b or equal", one.ratings), ("a or b", strict)):
            name = f"two annotators say the same ({name})"
            with suppress(ValueError):
                found = humans_agree.observed_agreement(ratings)
                rows.append([one.dimension, name, found.value, None, None, found.pairs])
        if one.reference:
            name = f"one annotator against {others}"
            rows.append([one.dimension, name, *_cells(one.reference.estimate)])
    return Table(
        title=RELIABILITY,
        columns=["dimension", "statistic", "value", "low", "high", "n"],
        rows=rows,
        note="The last line of each dimension is the human reference: an annotator who chose a or "
        f"b, held against {others} where these chose the same of a and b.",
    )


def _cells(estimate: Estimate) -> list[Plain]:
    interval = estimate.interval
    low, high = (interval.low, interval.high) if interval else (None, None)
    return [estimate.value, low, high, estimate.n]


def annotators_table(people: Sequence[People], others: str) -> Table:
    """Return each annotator against the others."""
    by_name: dict[str, list[Plain]] = {}
    for position, of in enumerate(people):
        for one in of.reference.annotators if of.reference else ():
            empty: list[Plain] = [one.annotator, *[None] * 2 * len(people)]
            row = by_name.setdefault(one.annotator, empty)
            row[1 + 2 * position] = one.accuracy if one.n else None
            row[2 + 2 * position] = one.n
    columns = [
        text for one in people for text in (f"{one.dimension} accuracy", f"{one.dimension} n")
    ]
    return Table(
        title=f"Each annotator against {others}",
        columns=["annotator", *columns],
        rows=[by_name[name] for name in sorted(by_name)],
    )


def against_annotators_table(
    people: Sequence[People],
    values: Values,
    songs: Sequence[str],
    others: str,
    *,
    replicates: int,
    seed: int,
) -> Table:
    """Return each model and one annotator on the same cases, with the paired difference."""
    place = {song: index for index, song in enumerate(songs)}
    third = "the third" if others == "the two others" else "that"
    rows: Rows = []
    for one in (one for one in people if one.reference):
        for model, column in values[one.dimension].items():
            cases = _cases(one, column, place)
            if len(cases) == 0:
                continue
            person, machine, triplets = cases.T
            credit = np.stack([machine, person])[..., None]
            columns = np.concatenate([credit, np.ones_like(credit)], axis=2)
            units = triplets.astype(np.intp)
            if len(np.unique(units)) < 2:
                continue
            (found,) = compare(columns, units=units, replicates=replicates, seed=seed)
            rows.append(
                [
                    one.dimension,
                    model,
                    len(cases),
                    float(machine.mean()),
                    float(person.mean()),
                    found.difference,
                    found.interval.low,
                    found.interval.high,
                    found.p_value,
                ]
            )
    return Table(
        title=AGAINST_ANNOTATOR,
        columns=[
            "dimension",
            "model",
            "n",
            "right",
            "person",
            "diff",
            "low",
            "high",
            "p",
        ],
        rows=rows,
        note=f"Cases: one annotator chose a or b, and {others} chose the same of a and b. "
        f"Right: the share of cases in which the model says what {others} say; person: the "
        "share in which the annotator does. Unlike the ground truth, the cases hold "
        f"pairs on which {third} annotator disagrees: this is where a model can be compared "
        "with a person. Predicted ties count half; interval and p over triplets, not corrected.",
    )


def _cases(humans: People, values: Floats, place: Mapping[str, int]) -> Floats:
    """Return (annotator right, model's credit, triplet number) of each case, ``(n_cases, 3)``."""
    a = values[[place[pair.song_a] for pair in humans.pairs]]
    b = values[[place[pair.song_b] for pair in humans.pairs]]
    says = np.where(np.isnan(a) | np.isnan(b), np.nan, np.sign(b - a))
    triplet = np.unique(humans.triplets, return_inverse=True)[1]
    found = []
    for row, own in enumerate(humans.ratings):
        others = np.delete(humans.ratings, row, axis=0)
        judged = ~np.isnan(others)
        total = np.where(judged, others, 0).sum(axis=0)
        agreed = (judged.sum(axis=0) >= 2) & (np.abs(total) == judged.sum(axis=0))
        case = agreed & (np.abs(own) == 1) & ~np.isnan(says)
        truth = np.sign(total)
        credit = np.where(says == 0, 0.5, says == truth)
        found.append(np.stack([own == truth, credit, triplet], axis=1)[case])
    return np.concatenate(found)


def calibration_table(truths: Sequence[Truth], values: Values) -> Table:
    """Return accuracy on gt by decile of the absolute predicted difference."""
    rows: Rows = []
    for truth in truths:
        for model, column in values[truth.dimension].items():
            difference = column[truth.song_a] - column[truth.song_b]
            for number, one in enumerate(calibration(truth.judge(column), difference), start=1):
                if one.agreement.scored:
                    rows.append(
                        [
                            truth.dimension,
                            model,
                            number,
                            one.low,
                            one.high,
                            one.agreement.accuracy,
                            one.agreement.scored,
                        ]
                    )
    return Table(
        title=CALIBRATION,
        columns=["dimension", "model", "decile", "from", "to", "accuracy", "n"],
        rows=rows,
        note="On gt. A model that knows what it knows orders far-apart songs more surely.",
    )
