"""The MusAV part of the sample record, by the conventions of the task that writes such records."""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

import numpy as np
import pandas as pd

from earmark.reports.record.schema import (
    Comparison,
    Group,
    Interval,
    ItemProblem,
    NotRun,
    Reference,
    Score,
    Table,
    TaskResult,
)

NASTY = '<script>alert("x")</script> #panic("typst") $x_1$ @label *bold* [a](b) \\'
DIMENSIONS = ("arousal", "valence")
SETS = tuple(
    f"{base}{filters}"
    for base in ("gt", "ismir2022.gt")
    for filters in ("", ".fa", ".ct", ".ct.fa")
)
NOISE = {
    "emomusic-msd-musicnn-2": (0.6, 1.2),
    "deam-msd-musicnn-2": (0.65, 0.9),
    "muse-audioset-vggish-2": (1.1, 1.6),
    "muscall-text-axis": (1.5, 9.0),
    "loudness": (1.3, None),
}
REPLICATES = 200
TRIPLETS = 240


def judged_pairs(random: np.random.Generator, names: dict[str, str]) -> pd.DataFrame:
    """One row a dimension and pair: the judgement, its sets, and each model's difference."""
    rows = []
    for triplet in range(TRIPLETS):
        hidden = random.normal(size=(3, 2))
        heard = {m: hear(random, hidden, noise) for m, noise in NOISE.items()}
        for (a, b), (d, dimension) in itertools.product(
            itertools.combinations(range(3), 2), enumerate(DIMENSIONS)
        ):
            gap = hidden[a, d] - hidden[b, d] + random.normal(scale=0.6)
            row: dict[str, Any] = {
                "item": f"s{triplet}{'abc'[a]}-s{triplet}{'abc'[b]}",
                "unit": f"t{triplet:03d}",
                "dimension": dimension,
                "triplet_type": "global" if triplet % 5 else "genre",
                "truth": "ab" if abs(gap) < 0.15 else "a" if gap > 0 else "b",
                "agreed": abs(gap) > 0.7,
            }
            for model, values in heard.items():
                tied = model == "loudness" and triplet % 17 == 0
                row[names[model]] = (values[a, d] - values[b, d]) * (0 if tied else 1)
            rows.append(row)
    table = pd.DataFrame(rows)
    consistent = table.groupby(["unit", "dimension"]).agreed.transform("sum") > 0
    muse = table.unit.str.endswith("7")
    for name in SETS:
        member = pd.Series(True, index=table.index)
        member &= table.agreed | ~pd.Series(name.endswith(".fa"), index=table.index)
        member &= consistent | (".ct" not in name)
        member &= ~muse | (not name.startswith("ismir2022"))
        table[name] = member
    return table


def hear(
    random: np.random.Generator, hidden: np.ndarray, noise: tuple[float | None, ...]
) -> np.ndarray:
    scales = np.array([np.nan if n is None else n for n in noise])
    return hidden + random.normal(size=hidden.shape) * scales


def _outcomes(pairs: pd.DataFrame, model: str) -> pd.Series:
    """1 right, 0 tied, -1 wrong, missing where nothing is scored."""
    return np.sign(pairs.truth.map({"a": 1.0, "b": -1.0, "ab": np.nan}) * pairs[model])


def items_of(pairs: pd.DataFrame) -> pd.DataFrame:
    base = ["item", "unit", "dimension", "triplet_type", "truth"]
    models = [c for c in pairs.columns if c not in {*base, *SETS, "agreed"}]
    parts = []
    for model in models:
        part = pairs[[*base, *SETS]].copy()
        part.insert(0, "model", model)
        part["difference"] = pairs[model]
        part["outcome"] = _outcomes(pairs, model)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _resampled(values: np.ndarray, units: pd.Series, *, seed: int) -> np.ndarray:
    """Means of 0/1 outcomes over resampled units, shape ``(REPLICATES,)``."""
    codes = units.astype("category").cat.codes.to_numpy()
    good = np.bincount(codes, values)
    size = np.bincount(codes)
    counts = np.random.default_rng(seed).multinomial(
        size.size, np.full(size.size, 1 / size.size), size=REPLICATES
    )
    return (counts @ good) / (counts @ size)


def interval(draws: np.ndarray, *, unit: str, n_units: int) -> Interval:
    low, high = np.quantile(draws, [0.025, 0.975])
    return Interval(
        low=low,
        high=high,
        method="percentile bootstrap",
        unit=unit,
        n_units=n_units,
        replicates=REPLICATES,
    )


def result_of(pairs: pd.DataFrame, names: dict[str, str]) -> TaskResult:
    """Return the task's result: official scores, and comparisons with half credit for ties."""
    scores, comparisons, groups = [], [], []
    for dimension, name in itertools.product(DIMENSIONS, SETS):
        part = pairs[(pairs.dimension == dimension) & pairs[name]]
        strict = part[part.truth != "ab"]
        credit, scored = {}, {}
        for model in names.values():
            official = _accuracy(strict, model, "official", dimension=dimension, subset=name)
            half = _accuracy(strict, model, "half", dimension=dimension, subset=name)
            scores += [official, half]
            if half.value is not None:
                scored[model] = half
                points = _outcomes(strict, model).to_numpy() / 2 + 0.5
                credit[model] = _resampled(points, strict.unit, seed=3)
        found = [
            _comparison(scored[model], scored[other], credit[model] - credit[other])
            for model, other in itertools.combinations(scored, 2)
        ]
        comparisons += found
        groups += _groups(scored, found)
    return TaskResult(
        id="musav",
        kind="musav",
        dataset="musav",
        title="Pairwise agreement with listeners on MusAV",
        protocol={
            "protocol": "musav-official",
            "ground-truth ties": "left out",
            "predicted ties": "dropped from the denominator (official)",
            "strict": True,
            "threshold": None,
        },
        models=list(names.values()),
        scores=scores,
        comparisons=comparisons,
        groups=groups,
        references=_references(),
        tables=_tables(pairs, names),
        problems=[
            ItemProblem(item=NASTY, reason="audio/3k/3kzw.mp3: not found"),
            ItemProblem(item="1b02f828d27049dfbae3caed2011ed46", reason="duplicate"),
        ],
        not_run=[NotRun(what="model <b>clap</b>", reason="weights not found")],
        warnings=["loudness is constant on 15 triplets: their pairs are ties, not scored"],
    )


def _references() -> list[Reference]:
    human = {"arousal": (0.856, 3271), "valence": (0.815, 2810)}
    found = []
    metrics = ("pairwise_accuracy_half_credit", "pairwise_accuracy")
    for (dimension, (value, n)), subset, metric in itertools.product(human.items(), SETS, metrics):
        shared: dict[str, Any] = {"subset": subset, "dimension": dimension, "metric": metric}
        found.append(
            Reference(
                name="one annotator against the two others",
                value=value,
                n=n,
                note="over all judged pairs on which the two others agree, whatever the set",
                **shared,
            )
        )
        found.append(Reference(name="chance", value=0.5, **shared))
    return found


def _accuracy(strict: pd.DataFrame, model: str, ties: str, *, dimension: str, subset: str) -> Score:
    outcome = _outcomes(strict, model)
    kept = outcome.notna() if ties == "half" else outcome.isin([1, -1])
    points = outcome[kept].to_numpy() / 2 + 0.5
    shared: dict[str, Any] = {
        "model": model,
        "metric": "pairwise_accuracy" + ("_half_credit" if ties == "half" else ""),
        "subset": subset,
        "dimension": dimension,
        "n": int(kept.sum()),
        "n_items": len(strict),
        "ties": int((outcome == 0).sum()),
        "chance": 0.5,
        "higher_is_better": True,
        "lower_bound": 0.0,
        "upper_bound": 1.0,
        "item_digest": digest("".join(sorted(strict.item))),
    }
    if not kept.any():
        return Score(value=None, reason=f"the model predicts no {dimension}", **shared)
    units = strict.unit[kept]
    return Score(
        value=points.mean(),
        interval=interval(
            _resampled(points, units, seed=5), unit="triplet", n_units=units.nunique()
        ),
        correct=points.sum(),
        **shared,
    )


def _comparison(first: Score, second: Score, draws: np.ndarray) -> Comparison:
    p = min(1.0, 2 * min((draws <= 0).mean(), (draws >= 0).mean()) + 1 / REPLICATES)
    assert first.value is not None and second.value is not None
    return Comparison(
        model=first.model,
        other=second.model,
        metric=first.metric,
        subset=first.subset,
        dimension=first.dimension,
        difference=first.value - second.value,
        interval=interval(draws, unit="triplet", n_units=TRIPLETS),
        p_value=p,
        p_holm=min(1.0, 6 * p),
        minimum_detectable_difference=2.8 * float(draws.std()),
        n=min(first.n, second.n),
    )


def _groups(scored: dict[str, Score], comparisons: list[Comparison]) -> list[Group]:
    """Runs of neighbours in the order of scores that no test tells apart."""
    apart = {frozenset((c.model, c.other)) for c in comparisons if c.p_holm < 0.05}
    order = sorted(scored, key=lambda model: -(scored[model].value or 0))
    runs: list[list[str]] = []
    for start in range(len(order)):
        stop = start + 1
        while stop < len(order) and frozenset((order[start], order[stop])) not in apart:
            stop += 1
        run = order[start:stop]
        if not any(set(run) <= set(other) for other in runs):
            runs.append(run)
    any_score = next(iter(scored.values()))
    return [
        Group(
            subset=any_score.subset,
            metric=any_score.metric,
            dimension=any_score.dimension,
            models=r,
        )
        for r in runs
    ]


def _tables(pairs: pd.DataFrame, names: dict[str, str]) -> list[Table]:
    agreement = Table(
        title="Agreement of the judges",
        columns=["dimension", "triplet type", "full", "majority", "disagreement", "incomplete"],
        rows=[
            ["arousal", "global", 817, 314, 539, 0],
            ["arousal", "genre", 158, 159, 98, 0],
            ["valence", "global", 684, 345, 641, 12],
            ["valence", "genre", 126, 186, 103, 3],
        ],
        note="Counts of pairs; three judgements a pair.",
    )
    people: list[list[Any]] = []
    steps: list[list[Any]] = []
    for dimension, model in itertools.product(DIMENSIONS, names.values()):
        part = pairs[pairs.dimension == dimension]
        outcome = _outcomes(part, model)
        points = outcome.dropna() / 2 + 0.5
        if points.empty:
            continue
        human, n, mean = 0.8, len(points), points.mean()
        gap = mean - human
        low, high = gap - 0.03, gap + 0.03
        people.append([dimension, model, n, mean, human, gap, low, high, 0.02])
        order = part[model].abs()[outcome.isin([1, -1])].sort_values().index
        for number, chunk in enumerate(np.array_split(np.asarray(order), 10), start=1):
            sizes, right = part[model].abs()[chunk], (outcome[chunk] == 1).mean()
            steps.append([dimension, model, number, sizes.min(), sizes.max(), right, len(chunk)])
    return [
        agreement,
        Table(
            title="Models against one annotator, on the same judgements",
            columns=[
                *("dimension", "model", "n", "right", "person", "diff", "low", "high", "p"),
            ],
            rows=people,
        ),
        Table(
            title="Accuracy by predicted difference",
            columns=["dimension", "model", "decile", "from", "to", "accuracy", "n"],
            rows=steps,
            note="On gt. A model that knows what it knows orders far-apart songs more surely.",
        ),
    ]


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
