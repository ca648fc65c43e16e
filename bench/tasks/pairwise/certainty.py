"""Tables on how sure a model is: of the surest pairs, and as a probability."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from earmark.bench.metrics.pairs import pairwise
from earmark.bench.tasks.pairwise.tables import Rows, Values
from earmark.bench.tasks.pairwise.truth import Truth
from earmark.bench.tasks.pairwise.view import SELECTIVE
from earmark.reports.record.schema import Table

SHARES = tuple(share / 10 for share in range(1, 11))
FEWEST = 10
"""Pairs in a share, below which its accuracy says nothing."""


def selective_table(truths: Sequence[Truth], values: Values) -> Table:
    """Return accuracy on the pairs of gt that a model puts farthest apart, by their share.

    Pairs that are as far apart as the last one of a share count, too.
    """
    rows: Rows = []
    for truth in truths:
        for model, column in values[truth.dimension].items():
            codes = truth.judge(column)
            judged = pairwise.credit(codes, ties="half")[:, 1] > 0
            size = np.abs(column[truth.song_a] - column[truth.song_b])[judged]
            codes, units = codes[judged], truth.triplets[judged]
            for share in SHARES:
                if round(share * len(size)) < FEWEST:
                    continue
                edge = np.sort(size)[-round(share * len(size))]
                here = size >= edge
                found = pairwise.estimate(codes[here], units=units[here], ties="half")
                low, high = (
                    (found.interval.low, found.interval.high) if found.interval else (None, None)
                )
                rows.append([truth.dimension, model, share, found.value, low, high, found.n])
    return Table(
        title=SELECTIVE,
        columns=["dimension", "model", "share", "accuracy", "low", "high", "n"],
        rows=rows,
        note="On gt, predicted ties half. A share of the pairs: those that the model puts farthest "
        "apart. Intervals over triplets.",
    )
