"""What MusAV's pairs say of a model, one by one: surest hits and errors, and what loudness does.

Both are read from the per-item outcomes of a ``musav`` task, on its headline set. A pair's
difference is that of its first song minus its second; listeners said which of the two is higher.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from earmark.reports import words as formats
from earmark.reports.content import Block, Cell, Column, Paragraph, TableBlock, text
from earmark.reports.page.cells import plain_value
from earmark.reports.record.lookup import best_first, headline, select
from earmark.reports.record.schema import TaskResult

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
LOUDNESS = "loudness (baseline)"
"""The model of the task that orders songs by their loudness."""
EXTREMES = 5
"""Pairs of each kind in a table."""
REPLICATES = 1000
PAIRS = "Pairs most wrongly and most rightly ordered"
BIAS = "Loudness bias"
_ACCURACY = "pairwise_accuracy"
_NEEDED = ("model", "item", "unit", "dimension", "triplet_type", "truth", "difference", "outcome")


def tables(task: TaskResult, items: pd.DataFrame) -> list[Block]:
    """Return the tables of a ``musav`` task's pairs; none for a task of another kind."""
    chosen = headline(task)
    if task.kind != "musav" or chosen is None:
        return []
    needed = {*_NEEDED, chosen[1]}
    if missing := sorted(needed - set(items.columns)):
        said = f"No tables of single pairs: the items have no column {formats.listed(missing)}."
        return [Paragraph(text(said), "muted")]
    scored = items[items[chosen[1]].astype(bool) & items["outcome"].notna()]
    ranked = best_first(select(task.scores, metric=chosen[0], subset=chosen[1]))
    models = [m for m in dict.fromkeys(s.model for s in ranked) if m != LOUDNESS]
    bias = _loudness_bias(scored, models, seed=int(task.protocol.get("seed") or 0))
    blocks: list[Block] = [bias] if bias else []
    for place, model in enumerate(models):
        mine = scored[scored["model"] == model]
        if not mine.empty:
            blocks.append(_extremes(mine, model, folded=place > 0))
    return blocks


def _extremes(mine: pd.DataFrame, model: str, *, folded: bool) -> TableBlock:
    """Return the pairs on which the model was surest, wrong and right, of each dimension."""
    rows = []
    for side in mine["dimension"].unique():
        here = mine[mine["dimension"] == side].copy()
        size = here["difference"].abs()
        here["share"] = size.rank(pct=True)
        for outcome, named in ((-1, "wrong"), (1, "right")):
            kind = here[here["outcome"] == outcome]
            for row in kind.nlargest(EXTREMES, "share").to_dict("records"):
                rows.append(_pair(row, str(side), named))
    return TableBlock(
        caption=f"{PAIRS}: {model}",
        columns=[
            Column("Dimension"),
            Column("Ordered"),
            Column("Pair", code=True),
            Column("Listeners: higher"),
            Column("Predicted difference", numeric=True),
            Column("Surer than, % of pairs", numeric=True),
            Column("Triplet"),
        ],
        rows=rows,
        notes=[
            f"The {EXTREMES} pairs of each dimension that the model puts farthest apart among "
            "those it orders wrongly, and among those it orders rightly. Difference: first song "
            "minus second, in the model’s units."
        ],
        folded=folded,
    )


def _pair(row: dict[str, Any], side: str, outcome: str) -> list[Cell]:
    kind = str(row["triplet_type"])
    genre = kind.partition("--")[2]
    share = 100 * (row["share"])
    return [
        Cell(side),
        Cell(outcome, tone="strong" if outcome == "wrong" else "plain"),
        Cell(str(row["item"])),
        Cell({"a": "first", "b": "second"}.get(str(row["truth"]), str(row["truth"]))),
        Cell(formats.number(row["difference"], 3), sort=float(row["difference"])),
        Cell(formats.number(share, 1), sort=float(share)),
        Cell(f"genre: {genre}" if genre else kind.replace("_triplet", "").replace("_", " ")),
    ]


def _loudness_bias(
    scored: pd.DataFrame, models: list[str], *, seed: int
) -> TableBlock | Paragraph | None:
    """Return how models fare where loudness points to the truth, and where it points away."""
    loud = scored[scored["model"] == LOUDNESS].set_index(["dimension", "item"])
    loud = loud[loud["outcome"] != 0]
    if loud.empty:
        said = "No table of loudness bias: the loudness of the songs is not in the record."
        return Paragraph(text(said), "muted")
    rows = []
    for side in scored["dimension"].unique():
        if side not in loud.index.get_level_values(0):
            continue
        helps = loud.loc[side, "outcome"] > 0
        gap = loud.loc[side, "difference"]
        rows.append(
            [
                Cell("listeners"),
                Cell(str(side)),
                plain_value(float(helps.mean()), _ACCURACY),
                *[Cell("")] * 4,
                Cell(formats.count(len(helps)), sort=len(helps)),
            ]
        )
        for model in models:
            mine = scored[(scored["model"] == model) & (scored["dimension"] == side)]
            mine = mine.set_index("item")
            mine = mine[mine.index.isin(helps.index)]
            if len(mine):
                rows.append(_bias_row(model, str(side), mine, helps, gap, seed=seed))
    return TableBlock(
        caption=BIAS,
        columns=[
            Column("Model"),
            Column("Dimension"),
            Column("Louder put higher (%)", numeric=True),
            Column("ρ with loudness", numeric=True),
            Column("Right, louder (%)", numeric=True),
            Column("Right, softer (%)", numeric=True),
            Column("Gap (points)", numeric=True),
            Column("n", numeric=True),
        ],
        rows=rows,
        notes=[
            "Pairs of the headline set whose songs differ in loudness (LUFS). Louder put higher: "
            "how often the louder song is called the higher one. ρ: Spearman, between predicted "
            "differences and differences of loudness. Right: the share of pairs ordered rightly, "
            "where the louder song is the higher one and where the softer is. Gap: the first "
            "share minus the second; a model that hears loudness alone has 100 points. Its "
            f"95\N{NO-BREAK SPACE}% interval is a percentile bootstrap over triplets, "
            f"{REPLICATES:,} replicates. Predicted ties count half."
        ],
    )


def _bias_row(
    model: str, side: str, mine: pd.DataFrame, helps: pd.Series, gap: pd.Series, *, seed: int
) -> list[Cell]:
    from scipy.stats import spearmanr

    along = helps.loc[mine.index].to_numpy(bool)
    credit = (1 + mine["outcome"].to_numpy(float)) / 2
    louder = np.where(along, credit, 1 - credit)
    difference, level = mine["difference"].to_numpy(float), gap.loc[mine.index].to_numpy(float)
    varied = np.ptp(difference) > 0 and np.ptp(level) > 0
    rho = float(spearmanr(difference, level).statistic) if varied else None
    with_it = float(credit[along].mean()) if along.any() else None
    against = float(credit[~along].mean()) if (~along).any() else None
    gap_cell = Cell(formats.NOTHING)
    if with_it is not None and against is not None:
        low, high = _interval(credit, along, mine["unit"].to_numpy(), seed=seed)
        bounds = f"[{formats.number(100 * low, 1)}, {formats.number(100 * high, 1)}]"
        value = 100 * (with_it - against)
        gap_cell = Cell(formats.number(value, 1), sub=bounds, sort=value)
    return [
        Cell(model),
        Cell(side),
        plain_value(float(louder.mean()), _ACCURACY),
        plain_value(rho, "spearman_rho"),
        plain_value(with_it, _ACCURACY),
        plain_value(against, _ACCURACY),
        gap_cell,
        Cell(formats.count(len(mine)), sort=len(mine)),
    ]


def _interval(
    credit: Floats, along: NDArray[np.bool_], units: NDArray[Any], *, seed: int
) -> tuple[float, float]:
    """Return the 95 % interval of the gap between two means, resampled over units."""
    _, unit = np.unique(units, return_inverse=True)
    columns = np.stack([credit * along, along, credit * ~along, ~along], axis=1)
    sums = np.zeros((unit.max() + 1, 4))
    np.add.at(sums, unit, columns)
    drawn = np.random.default_rng(seed).multinomial(
        len(sums), np.full(len(sums), 1 / len(sums)), size=REPLICATES
    )
    right, n_with, wrong, n_against = (drawn @ sums).T
    with np.errstate(invalid="ignore", divide="ignore"):
        gaps = right / n_with - wrong / n_against
    low, high = np.nanpercentile(gaps, [2.5, 97.5])
    return float(low), float(high)
