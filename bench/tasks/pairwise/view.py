"""How a reader sees MusAV: accuracy per set, judges, calibration, single pairs, and loudness.

Tables of single pairs are read from the per-item outcomes on the headline set. A pair's difference
is that of its first song minus its second; listeners said which of the two is higher.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from earmark.reports import words
from earmark.reports.content import (
    TALLEST,
    Arrays,
    Block,
    Cell,
    Column,
    Gap,
    Paragraph,
    Plot,
    Span,
    TableBlock,
    Text,
    even_parts,
    part_of,
    text,
)
from earmark.reports.findings.task import relations_in_words
from earmark.reports.page.tables import plain_value
from earmark.reports.record.lookup import (
    best_first,
    dimensions,
    headline,
    level_of,
    references,
    relation_of,
    select,
    table,
    values_of,
)
from earmark.reports.record.schema import RunRecord, Score, TaskResult
from earmark.reports.view import View

if TYPE_CHECKING:
    import pandas as pd

    from earmark.reports.figures.parts import Line

AGREEMENT = "Agreement of the judges"
CALIBRATION = "Accuracy by predicted difference"
AGAINST_ANNOTATOR = "Models against one annotator, on the same judgements"
SELECTIVE = "Accuracy of the surest pairs"
PROBABILITY = "Probability that a song is higher"
CROSSED = "Agreement with single judgements"
STRENGTHS = "Correlation with the songs’ strengths"
LISTENERS = "Each annotator against the majority of the others"
WITHOUT = "Without the unreliable annotators"
"""Titles of tables that figures and findings read."""
MOST_LINES = 8
"""Models whose lines can be told from each other."""
MOST_CALIBRATED = 10
"""Models whose panels of calibration fit on a page."""
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


def people(task: TaskResult) -> list[Text]:
    """Return how models stand to one annotator where both were held to the same judgements."""
    rows = table(task, AGAINST_ANNOTATOR, "dimension", "model", "n", "low", "high")
    found: list[Text] = []
    for side in dict.fromkeys(str(row["dimension"]) for row in rows):
        here = [row for row in rows if row["dimension"] == side]
        relations = [
            (str(row["model"]), relation_of(float(row["low"]), float(row["high"]), 0))
            for row in here
            if row["low"] is not None and row["high"] is not None
        ]
        cases = f"On the same {here[0]['n']:,} judgements of {side} as one annotator, "
        found.append((Span(cases), *relations_in_words(relations, "that annotator"), Span(".")))
    return found


def _figures(
    task: TaskResult, items: pd.DataFrame, arrays: Arrays, record: RunRecord
) -> list[Plot | Gap]:
    return [*_accuracies(task), *_agreement(task), *_calibration(task), *_selective(task)]


def _accuracies(task: TaskResult) -> list[Plot | Gap]:
    """Accuracy on every set; on as many figures as the sets need pages."""
    from earmark.reports.figures.rows import band_height

    chosen = headline(task)
    if chosen is None:
        return [Gap("No figure of accuracy: the task left no score.")]
    scores = select(task.scores, metric=chosen[0])
    models = list(dict.fromkeys(score.model for score in scores if score.value is not None))
    # A model keeps its colour on every figure, also where it has no value.
    scores = [score for score in scores if score.model in models]
    subsets = list(dict.fromkeys(score.subset for score in scores))
    if not models:
        return [Gap("No figure of accuracy: no score has a value.")]
    fitting = max(1, int((TALLEST - 1) / band_height(len(models))))
    parts = even_parts(subsets, at_most=fitting)
    return [
        _accuracy(
            task,
            [score for score in scores if score.subset in part],
            part,
            chosen[0],
            part_of(number, parts),
        )
        for number, part in enumerate(parts, start=1)
    ]


def _accuracy(
    task: TaskResult, scores: list[Score], subsets: list[str], metric: str, of: str
) -> Plot:
    from earmark.reports.figures.rows import accuracy

    columns: dict[str, Any] = {
        "model": [score.model for score in scores],
        "subset": [score.subset for score in scores],
        "dimension": [score.dimension or "all" for score in scores],
        **values_of(scores),
    }
    level = level_of(scores)
    n_models = len({score.model for score in scores})
    best = best_first(scores)[0]
    space = "\N{NO-BREAK SPACE}"
    return Plot(
        title=f"Accuracy per ground-truth set{of}",
        caption=f"Share of pairs that each model orders as the listeners do, with its {level:g}"
        f"{space}% interval. Lines: chance, and what people reach.",
        description=f"Points with interval bars for {words.plural(n_models, 'model')} on "
        f"{words.plural(len(subsets), 'set')}. Highest: {best.model} on {best.subset}, "
        f"{best.dimension or ''} {words.with_unit(best.value or 0, metric)}. "
        f"The table of every score has all values.",
        draw=partial(accuracy, **columns, lines=_lines(task, scores, subsets, metric)),
        data=columns,
    )


def _lines(
    task: TaskResult, scores: Sequence[Score], subsets: Sequence[str], metric: str
) -> list[Line]:
    """Return chance and the references; one that is the same on every set is one line."""
    from earmark.reports.figures.parts import Line

    lines = [
        Line("chance", chance)
        for chance in sorted({s.chance for s in scores if s.chance is not None})
    ]
    for side in dimensions(task):
        values: dict[str, dict[str, float]] = {}
        for subset in subsets:
            for line in references(task, metric=metric, subset=subset, dimension=side):
                values.setdefault(line.name, {})[subset] = line.value
        for name, of_set in values.items():
            if len(of_set) == len(subsets) and len(set(of_set.values())) == 1:
                lines.append(Line(name, next(iter(of_set.values())), side or "all"))
            else:
                lines += [Line(name, v, side or "all", s) for s, v in of_set.items()]
    return lines


def _agreement(task: TaskResult) -> list[Plot | Gap]:
    from earmark.reports.figures.bars import agreement

    parts = ("full", "majority", "disagreement", "incomplete")
    rows = table(task, AGREEMENT, "dimension", "triplet type", *parts)
    if not any(row[part] for row in rows for part in parts):
        return [Gap("No figure of the judges’ agreement: the record counts no judged pair.")]
    columns: dict[str, Any] = {
        "dimension": [str(row["dimension"]) for row in rows],
        "triplet_type": [str(row["triplet type"]) for row in rows],
        **{part: [row[part] or 0 for row in rows] for part in parts},
    }
    return [
        Plot(
            title="Agreement of the judges",
            caption="Pairs by the agreement of their annotators. Full and majority agreement make "
            "the ground truth; songs of a genre triplet share a genre.",
            description="Stacked bars of full, majority and no agreement, one bar per dimension "
            "and kind of triplet. The table of the same title has the counts.",
            draw=partial(agreement, **columns),
            data=columns,
        )
    ]


def _calibration(task: TaskResult) -> list[Plot | Gap]:
    rows = table(task, CALIBRATION, "dimension", "model", "decile", "accuracy", "n")
    rows = [row for row in rows if row["n"] and row["accuracy"] is not None]
    if not rows:
        return [Gap("No figure of calibration: the record has no accuracy by difference.")]
    models = list(dict.fromkeys(str(row["model"]) for row in rows))
    parts = even_parts(models, at_most=MOST_CALIBRATED)
    return [
        _calibration_of(
            [row for row in rows if row["model"] in part],
            part_of(number, parts),
        )
        for number, part in enumerate(parts, start=1)
    ]


def _calibration_of(rows: Sequence[Mapping[str, Any]], of: str) -> Plot:
    from earmark.reports.figures.lines import calibration

    n = np.array([row["n"] for row in rows], float)
    right = np.array([row["accuracy"] for row in rows], float)
    low, high = _wilson(right, n)
    columns: dict[str, Any] = {
        "model": [str(row["model"]) for row in rows],
        "dimension": [str(row["dimension"]) for row in rows],
        "bin": [row["decile"] for row in rows],
        "accuracy": right.tolist(),
        "low": low.tolist(),
        "high": high.tolist(),
    }
    return Plot(
        title=f"{CALIBRATION}{of}",
        caption="Accuracy in tenths of the pairs, by how far apart the model puts the two songs "
        f"(n = {n.min():,.0f} to {n.max():,.0f} pairs per point). A model that knows what it knows "
        "rises to the right. Bars: Wilson’s 95\N{NO-BREAK SPACE}% interval, pairs of a point "
        "taken as independent.",
        description="One small panel per model and dimension: accuracy against the rank of the "
        "predicted difference. The table of the same title has all values.",
        draw=partial(calibration, **columns),
        data=columns,
    )


def _selective(task: TaskResult) -> list[Plot | Gap]:
    rows = table(task, SELECTIVE, "dimension", "model", "share", "accuracy", "low", "high")
    rows = [row for row in rows if row["accuracy"] is not None]
    if not rows:
        return []  # the record is older than this table, or no model is sure of anything
    models = list(dict.fromkeys(str(row["model"]) for row in rows))
    parts = even_parts(models, at_most=MOST_LINES)
    return [
        _selective_of([row for row in rows if row["model"] in part], part_of(number, parts))
        for number, part in enumerate(parts, start=1)
    ]


def _selective_of(rows: Sequence[Mapping[str, Any]], of: str) -> Plot:
    from earmark.reports.figures.lines import selective

    columns: dict[str, Any] = {
        name: [str(row[name]) for row in rows] for name in ("model", "dimension")
    }
    for name in ("share", "accuracy", "low", "high"):
        columns[name] = [np.nan if row[name] is None else row[name] for row in rows]
    return Plot(
        title=f"{SELECTIVE}{of}",
        caption="Accuracy on gt where only the pairs count that a model puts farthest apart, by "
        "their share. A model that knows what it knows rises to the left. Bars: "
        "95\N{NO-BREAK SPACE}% interval over triplets.",
        description="One panel per dimension, one line per model: accuracy against the share of "
        "pairs, surest first. The table of the same title has all values.",
        draw=partial(selective, **columns),
        data=columns,
    )


def _wilson(share: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Wilson's score interval at 95 % of shares of ``n`` cases."""
    z = 1.959963984540054
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return centre - half, centre + half


def _tables(task: TaskResult, items: pd.DataFrame) -> list[Block]:
    """Return what loudness does, and the pairs of each model that are surest right and wrong."""
    chosen = headline(task)
    if chosen is None:
        return []
    needed = {*_NEEDED, chosen[1]}
    if missing := sorted(needed - set(items.columns)):
        said = f"No tables of single pairs: the items have no column {words.listed(missing)}."
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
            Column("Pair", code=True, audible="pair"),
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
        Cell(words.number(row["difference"], 3), sort=float(row["difference"])),
        Cell(words.number(share, 1), sort=float(share)),
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
                Cell(words.count(len(helps)), sort=len(helps)),
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
            "share minus the second; a model that follows loudness alone has 100 points. Its "
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
    gap_cell = Cell(words.NOTHING)
    if with_it is not None and against is not None:
        low, high = _interval(credit, along, mine["unit"].to_numpy(), seed=seed)
        bounds = f"[{words.number(100 * low, 1)}, {words.number(100 * high, 1)}]"
        value = 100 * (with_it - against)
        gap_cell = Cell(words.number(value, 1), sub=bounds, sort=value)
    return [
        Cell(model),
        Cell(side),
        plain_value(float(louder.mean()), _ACCURACY),
        plain_value(rho, "spearman_rho"),
        plain_value(with_it, _ACCURACY),
        plain_value(against, _ACCURACY),
        gap_cell,
        Cell(words.count(len(mine)), sort=len(mine)),
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


VIEW = View(
    noun="pair",
    protocol={
        "ground-truth ties": {"left-out": "left out"},
        "predicted ties": {
            "half-credit": "half credit; dropped from the denominator in the official accuracy"
        },
        "missing predictions": {"left-out": "left out, with their coverage"},
    },
    people=people,
    figures=_figures,
    tables=_tables,
)
