"""A run record as a real run would leave it, made from seeded noise: no third-party data.

Pairs are judged on a hidden arousal and valence; models see it through more or less noise, so
intervals overlap, groups form and one baseline stays at chance, as in a real run.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from report_sample_musav import (
    DIMENSIONS,
    NASTY,
    NOISE,
    REPLICATES,
    TRIPLETS,
    digest,
    hear,
    interval,
    items_of,
    judged_pairs,
    result_of,
)

from earmark.reports.record.schema import (
    DatasetEntry,
    Environment,
    ModelEntry,
    NotRun,
    RunRecord,
    Score,
    Suite,
    TaskResult,
)

TRAINED_ON = {
    "emomusic-msd-musicnn-2": ["emomusic"],
    "deam-msd-musicnn-2": ["deam", "GTZAN-excerpts"],
    "muse-audioset-vggish-2": ["muse"],
}


@dataclass(frozen=True)
class Sample:
    """What a writer of records is given."""

    record: RunRecord
    items: dict[str, pd.DataFrame]
    arrays: dict[str, dict[str, Any]]


def sample(*, rename: dict[str, str] | None = None) -> Sample:
    """Return the sample; ``rename`` gives models other ids."""
    names = {model: (rename or {}).get(model, model) for model in NOISE}
    pairs = judged_pairs(np.random.default_rng(1), names)
    clips = _clips(np.random.default_rng(2), names)
    record = RunRecord(
        id="2026-05-04T10-00-00Z-sample",
        created="2026-05-04T10:00:00+00:00",
        earmark_version="0.1.0",
        suite=Suite(
            name="sample",
            title="Arousal and valence: MusAV pairs and GTZAN excerpts",
            digest=digest("suite"),
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
        tasks=[result_of(pairs, names), _ratings(clips, names)],
        not_run=[
            NotRun(what="model clap-htsat", reason="its extra is not installed: pip install ..."),
            NotRun(what="dataset pmemo", reason=f"no folder named {NASTY}"),
        ],
        seconds=754.2,
        timings={"open datasets": 1.2, "embed": 700.5, "score": 52.5},
    )
    arrays = {"gtzan-av": {"rated": clips[["arousal", "valence"]].to_numpy()}}
    return Sample(record, {"musav": items_of(pairs), "gtzan-av": _rating_items(clips)}, arrays)


def _clips(random: np.random.Generator, names: dict[str, str]) -> pd.DataFrame:
    hidden = np.clip(random.normal(scale=4.5, size=(321, 2)), -9.8, 9.3)
    table = pd.DataFrame({"arousal": hidden[:, 0], "valence": hidden[:, 1]})
    table["item"] = [f"genre.{i:05d}" for i in range(len(table))]
    table["label"] = [
        ("e1" if v > 0 else "e2") if a > 0 else ("e4" if v > 0 else "e3") for a, v in hidden
    ]
    for model, noise in NOISE.items():
        heard = 5 + 0.3 * hear(random, hidden, tuple(n and 3 * n for n in noise))
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
        for metric in ("pearson_r", "ccc", "rmse"):
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
        "item_digest": digest("clips"),
    }
    if np.isnan(predicted).all():
        return Score(value=None, n=0, reason=f"the model predicts no {dimension}", **shared)
    if metric == "rmse":
        return Score(value=None, n=0, reason="predicted and rated scales differ", **shared)
    rows = np.random.default_rng(9).integers(0, 321, size=(REPLICATES, 321))
    value, *draws = (_agreement(predicted[r], rated[r], metric) for r in [np.arange(321), *rows])
    bounds = interval(np.array(draws), unit="clip", n_units=321)
    return Score(value=value, interval=bounds, n=321, **shared)


def _agreement(predicted: np.ndarray, rated: np.ndarray, metric: str) -> float:
    covariance = np.cov(predicted, rated, bias=True)
    scale = np.sqrt(covariance[0, 0] * covariance[1, 1])
    if metric == "ccc":
        gap = predicted.mean() - rated.mean()
        return float(2 * covariance[0, 1] / (covariance.trace() + gap**2))
    return float(covariance[0, 1] / scale)


def _model(name: str, base: str) -> ModelEntry:
    loudness = base == "loudness"
    return ModelEntry(
        id=name,
        version="1",
        weights_digest="untrained" if loudness else digest(base),
        licence="Apache-2.0" if loudness else "CC BY-NC-SA 4.0",
        citation=f"@misc{{{base},\n  title = {{A model & its <weights>}}\n}}",
        training_datasets=[base.split("-")[0], *(["GTZAN-excerpts"] if base[:2] == "de" else [])]
        if not loudness
        else [],
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
            fingerprint=digest("musav"),
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
            fingerprint=digest("gtzan"),
            n_items=321,
            rating_scale=(-10.0, 10.0),
        ),
    ]


def cut_down(whole: Sample) -> Sample:
    """Return the sample with the ratings of its first two models alone."""
    task = whole.record.tasks[1]
    models = task.models[:2]
    scores = [score for score in task.scores if score.model in models]
    record = whole.record.model_copy(
        update={
            "tasks": [task.model_copy(update={"models": models, "scores": scores})],
            "models": whole.record.models[:2],
        }
    )
    items = whole.items[task.id]
    kept = items[items.model.isin(models)].reset_index(drop=True)
    return Sample(record, {task.id: kept}, whole.arrays)
