"""A run record as a real run would leave it, made from seeded noise: no third-party data.

Pairs are judged on a hidden arousal and valence; models see it through more or less noise, so
intervals overlap, groups form and one baseline stays at chance, as in a real run.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from earmark.reports.record import (
    Comparison,
    DatasetEntry,
    Environment,
    Group,
    Interval,
    ItemProblem,
    ModelEntry,
    NotRun,
    Reference,
    RunRecord,
    Score,
    Suite,
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


@dataclass(frozen=True)
class Sample:
    """What a writer of records is given."""

    record: RunRecord
    items: dict[str, pd.DataFrame]
    arrays: dict[str, dict[str, Any]]


def sample(*, rename: dict[str, str] | None = None) -> Sample:
    """Return the sample; ``rename`` gives models other ids."""
    names = {model: (rename or {}).get(model, model) for model in NOISE}
    pairs = _pairs(np.random.default_rng(1), names)
    clips = _clips(np.random.default_rng(2), names)
    record = RunRecord(
        id="2026-05-04T10-00-00Z-sample",
        created="2026-05-04T10:00:00+00:00",
        earmark_version="0.1.0",
        suite=Suite(
            name="sample",
            title="Arousal and valence: MusAV pairs and GTZAN excerpts",
            digest=_digest("suite"),
            toml='[suite]\nname = "sample"\n\n[[tasks]]\nkind = "musav"  # <b>not bold</b>\n',
        ),
        command=["earmark", "run", "sample", "--seed", "7", "--set", "title=a 'b' c"],
        seed=7,
        replicates=REPLICATES,
        environment=Environment(
            python="3.11.9",
            platform="Linux-6.1-x86_64",
            processor="x86_64",
            cores=2,
            memory_gib=7.8,
            gpu=None,
            packages={"numpy": "2.4.6", "torch": "2.11.0", "essentia-tensorflow": "2.1b6.dev1389"},
            git_commit="0123456789abcdef0123456789abcdef01234567",
            git_dirty=True,
        ),
        models=[_model(names[model], model) for model in NOISE],
        datasets=_datasets(),
        tasks=[_musav(pairs, names), _ratings(clips, names)],
        not_run=[
            NotRun(what="model clap-htsat", reason="its extra is not installed: pip install ..."),
            NotRun(what="dataset pmemo", reason=f"no folder named {NASTY}"),
        ],
        seconds=754.2,
        timings={"open datasets": 1.2, "embed": 700.5, "score": 52.5},
    )
    arrays = {"gtzan-av": {"rated": clips[["arousal", "valence"]].to_numpy()}}
    return Sample(record, {"musav": _musav_items(pairs), "gtzan-av": _rating_items(clips)}, arrays)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _pairs(random: np.random.Generator, names: dict[str, str]) -> pd.DataFrame:
    """One row a dimension and pair: the judgement, its sets, and each model's difference."""
    rows = []
    for triplet in range(TRIPLETS):
        hidden = random.normal(size=(3, 2))
        heard = {m: _hear(random, hidden, noise) for m, noise in NOISE.items()}
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


def _hear(
    random: np.random.Generator, hidden: np.ndarray, noise: tuple[float | None, ...]
) -> np.ndarray:
    scales = np.array([np.nan if n is None else n for n in noise])
    return hidden + random.normal(size=hidden.shape) * scales


def _outcomes(pairs: pd.DataFrame, model: str) -> pd.Series:
    sign = pairs.truth.map({"a": 1.0, "b": -1.0, "ab": np.nan}) * pairs[model]
    return np.sign(sign).map({1.0: 1.0, -1.0: 0.0, 0.0: -1.0})


def _musav_items(pairs: pd.DataFrame) -> pd.DataFrame:
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


def _interval(draws: np.ndarray, *, unit: str, n_units: int) -> Interval:
    low, high = np.quantile(draws, [0.025, 0.975])
    return Interval(
        low=low,
        high=high,
        method="percentile bootstrap",
        unit=unit,
        n_units=n_units,
        replicates=REPLICATES,
    )


def _musav(pairs: pd.DataFrame, names: dict[str, str]) -> TaskResult:
    scores, comparisons, groups = [], [], []
    for dimension, name in itertools.product(DIMENSIONS, SETS):
        part = pairs[(pairs.dimension == dimension) & pairs[name]]
        strict = part[part.truth != "ab"]
        scored = {}
        for model in names.values():
            score = _accuracy(strict, model, dimension=dimension, subset=name)
            scores.append(score)
            if score.value is not None:
                scored[model] = score
        draws = {
            m: _resampled((_outcomes(strict, m) == 1).to_numpy(float), strict.unit, seed=3)
            for m in scored
        }
        for model, other in itertools.combinations(scored, 2):
            comparisons.append(
                _comparison(scored[model], scored[other], draws[model] - draws[other])
            )
        groups += _groups(scored, comparisons[-len(scored) * (len(scored) - 1) // 2 :])
    return TaskResult(
        id="musav",
        kind="musav",
        dataset="musav",
        title="Pairwise arousal and valence (MusAV)",
        protocol={
            "ground truth": "full or majority agreement of three annotators",
            "equal judgements": "skipped",
            "equal predictions": "skipped, counted as ties",
            "strict": True,
            "threshold": None,
        },
        models=list(names.values()),
        headline_subset="ismir2022.gt",
        headline_metric="pairwise_accuracy",
        scores=scores,
        comparisons=comparisons,
        groups=groups,
        references=[
            Reference(
                name="human annotator",
                subset="all judgements",
                dimension=dimension,
                metric="pairwise_accuracy",
                value=value,
                n=n,
                note="one annotator against the other two where those agree",
            )
            for dimension, value, n in (("arousal", 0.856, 3271), ("valence", 0.815, 2810))
        ],
        tables=_musav_tables(pairs, names),
        problems=[
            ItemProblem(item=NASTY, reason="audio/3k/3kzw.mp3: not found"),
            ItemProblem(item="1b02f828d27049dfbae3caed2011ed46", reason="duplicate"),
        ],
        not_run=[NotRun(what="model <b>clap</b>", reason="weights not found")],
        warnings=[
            "loudness is constant on 15 triplets: those pairs are ties and count as unscored"
        ],
    )


def _accuracy(strict: pd.DataFrame, model: str, *, dimension: str, subset: str) -> Score:
    outcome = _outcomes(strict, model)
    scored = outcome.isin([0, 1])
    shared: dict[str, Any] = {
        "model": model,
        "metric": "pairwise_accuracy",
        "subset": subset,
        "dimension": dimension,
        "n": int(scored.sum()),
        "n_items": len(strict),
        "ties": int((outcome == -1).sum()),
        "chance": 0.5,
        "higher_is_better": True,
        "lower_bound": 0.0,
        "upper_bound": 1.0,
        "item_digest": _digest("".join(sorted(strict.item))),
    }
    if not scored.any():
        return Score(value=None, reason=f"the model predicts no {dimension}", **shared)
    good = outcome[scored].to_numpy(float)
    units = strict.unit[scored]
    draws = _resampled(good, units, seed=5)
    return Score(
        value=good.mean(),
        interval=_interval(draws, unit="triplet", n_units=units.nunique()),
        correct=good.sum(),
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
        interval=_interval(draws, unit="triplet", n_units=TRIPLETS),
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


def _musav_tables(pairs: pd.DataFrame, names: dict[str, str]) -> list[Table]:
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
    rows: list[list[Any]] = []
    for model, kind in itertools.product(names.values(), ("global", "genre")):
        outcome = _outcomes(pairs[pairs.triplet_type == kind], model)
        scored = outcome[outcome.isin([0, 1])]
        rows.append([model, kind, len(scored), scored.mean() if len(scored) else None])
    breakdown = Table(
        title="Accuracy by triplet type", columns=["model", "type", "n", "accuracy"], rows=rows
    )
    return [agreement, breakdown]


def _clips(random: np.random.Generator, names: dict[str, str]) -> pd.DataFrame:
    hidden = np.clip(random.normal(scale=4.5, size=(321, 2)), -9.8, 9.3)
    table = pd.DataFrame({"arousal": hidden[:, 0], "valence": hidden[:, 1]})
    table["item"] = [f"genre.{i:05d}" for i in range(len(table))]
    table["label"] = [
        ("e1" if v > 0 else "e2") if a > 0 else ("e4" if v > 0 else "e3") for a, v in hidden
    ]
    for model, noise in NOISE.items():
        heard = 5 + 0.3 * _hear(random, hidden, tuple(n and 3 * n for n in noise))
        for d, dimension in enumerate(DIMENSIONS):
            table[f"{dimension}/{names[model]}"] = heard[:, d]
    return table


def _rating_items(clips: pd.DataFrame) -> pd.DataFrame:
    parts = []
    for column in clips.columns:
        dimension, _, model = column.partition("/")
        if model and clips[column].notna().any():
            part = clips[["item", "label"]].copy()
            part.insert(0, "model", model)
            part["unit"] = part["item"]
            part["dimension"] = dimension
            part["rated"] = clips[dimension]
            part["predicted"] = clips[column]
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _ratings(clips: pd.DataFrame, names: dict[str, str]) -> TaskResult:
    scores = []
    for model, dimension in itertools.product(names.values(), DIMENSIONS):
        predicted, rated = clips[f"{dimension}/{model}"].to_numpy(), clips[dimension].to_numpy()
        for metric in ("pearson_r", "concordance", "rmse"):
            scores.append(_rating_score(predicted, rated, model, dimension, metric))
    return TaskResult(
        id="gtzan-av",
        kind="av_regression",
        dataset="gtzan_excerpts",
        title="Rated arousal and valence (GTZAN excerpts)",
        protocol={"rescaling": "none", "quadrants": "e1 to e4"},
        models=list(names.values()),
        scores=scores,
        arrays=["rated"],
    )


def _rating_score(
    predicted: np.ndarray, rated: np.ndarray, model: str, dimension: Any, metric: str
) -> Score:
    shared: dict[str, Any] = {
        "model": model,
        "metric": metric,
        "subset": "all",
        "dimension": dimension,
        "n_items": 321,
        "chance": None if metric == "rmse" else 0.0,
        "higher_is_better": metric != "rmse",
        "lower_bound": 0.0 if metric == "rmse" else -1.0,
        "upper_bound": None if metric == "rmse" else 1.0,
        "item_digest": _digest("clips"),
    }
    if np.isnan(predicted).all():
        return Score(value=None, n=0, reason=f"the model predicts no {dimension}", **shared)
    if metric == "rmse":
        return Score(value=None, n=0, reason="predicted and rated scales differ", **shared)
    rows = np.random.default_rng(9).integers(0, 321, size=(REPLICATES, 321))
    value, *draws = (_agreement(predicted[r], rated[r], metric) for r in [np.arange(321), *rows])
    interval = _interval(np.array(draws), unit="clip", n_units=321)
    return Score(value=value, interval=interval, n=321, **shared)


def _agreement(predicted: np.ndarray, rated: np.ndarray, metric: str) -> float:
    covariance = np.cov(predicted, rated, bias=True)
    scale = np.sqrt(covariance[0, 0] * covariance[1, 1])
    if metric == "concordance":
        gap = predicted.mean() - rated.mean()
        return float(2 * covariance[0, 1] / (covariance.trace() + gap**2))
    return float(covariance[0, 1] / scale)


def _model(name: str, base: str) -> ModelEntry:
    loudness = base == "loudness"
    return ModelEntry(
        id=name,
        version="1",
        weights_digest="untrained" if loudness else _digest(base),
        licence="Apache-2.0" if loudness else "CC BY-NC-SA 4.0",
        citation=f"@misc{{{base},\n  title = {{A model & its <weights>}}\n}}",
        training_datasets=[base.split("-")[0]] if not loudness else [],
        crop_policy="all patches, mean",
        preprocessing={"sample_rate": 16000, "resampler": "essentia quality 1", "mono": True},
        av_scale=None if base in {"loudness", "muscall-text-axis"} else (1.0, 9.0),
        notes=["Integrated loudness, EBU R128."] if loudness else [],
        seconds=None if loudness else 120.4,
    )


def _datasets() -> list[DatasetEntry]:
    return [
        DatasetEntry(
            id="musav",
            title="MusAV (pairs made from noise)",
            version="1.0",
            licence="CC BY-NC-SA 4.0",
            citation="@inproceedings{musav2022,\n  title = {{MusAV}: {#x} $y$},\n  year = 2022\n}",
            source="https://github.com/MTG/musav-dataset",
            synthetic=True,
            fingerprint=_digest("musav"),
            n_items=TRIPLETS * 3,
            notes=["Made from seeded noise for the tests of the reports."],
        ),
        DatasetEntry(
            id="gtzan_excerpts",
            title="GTZAN excerpts with arousal and valence",
            version="1",
            licence="not stated",
            citation="@misc{gtzan}",
            source="a folder given by the user",
            synthetic=False,
            fingerprint=_digest("gtzan"),
            n_items=321,
            rating_scale=(-10.0, 10.0),
        ),
    ]
