"""Runs for the gate: the real tasks on invented vectors, so that records hold what tasks write."""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
from captioned_sets import by_lot, captioned, constant, knowing, unit_rows, vectors_of
from invented_musav import write_musav

from earmark.bench.gate.evidence import Evidence, digests_of
from earmark.bench.tasks.av_regression import task as av_regression
from earmark.bench.tasks.pairwise import task as pairs
from earmark.bench.tasks.retrieval import task as retrieval
from earmark.bench.tasks.retrieval.protocol import resolve_protocol
from earmark.bench.tasks.vectors import JointVectors
from earmark.bench.tasks.zero_shot.task import ZeroShotClassification, ZeroShotTagging
from earmark.datasets.base import Clip, DatasetCard, RatedClips, Scale, Tagged, fingerprint
from earmark.datasets.judgements.musav import load
from earmark.reports.record import files as record_io
from earmark.reports.record.schema import (
    DatasetEntry,
    Environment,
    ModelEntry,
    RunRecord,
    Suite,
    TaskResult,
)

MODELS = ("one", "two")
N_CLIPS = 120
CLASSES = ("blues", "jazz", "metal", "pop")
TAGS = ("guitar", "piano", "slow", "vocals")
PROMPTS = ("{label}", "A {label} track")
TASKS = ("captions", "genres", "tags", "musav", "ratings")
FEW = {"replicates": 100, "seed": 1}


@dataclass
class Recording:
    """A run that is not yet written, to be changed at will."""

    record: dict[str, Any]
    items: dict[str, pd.DataFrame]
    arrays: dict[str, dict[str, np.ndarray]]

    def copy(self) -> Recording:
        return copy.deepcopy(self)

    def task(self, name: str) -> dict[str, Any]:
        return next(task for task in self.record["tasks"] if task["id"] == name)

    def scores(self, task: str, **wanted: object) -> list[dict[str, Any]]:
        return [s for s in self.task(task)["scores"] if all(s[k] == v for k, v in wanted.items())]

    def model(self, name: str) -> dict[str, Any]:
        return next(one for one in self.record["models"] if one["id"] == name)

    def evidence(self) -> Evidence:
        """What the gate reads of this run, without the files between."""
        record = RunRecord.model_validate(self.record)
        arrays = {name: self.arrays.get(name, {}) for name in self.items}
        truth = digests_of(record, self.items, arrays)
        return Evidence(Path(record.id), record, self.items, arrays, truth)

    def write(self, folder: Path) -> Path:
        return record_io.write(
            RunRecord.model_validate(self.record | {"files": {}}),
            items=self.items,
            arrays={name: group for name, group in self.arrays.items() if group},
            runs_folder=folder,
        )


def recording(
    *,
    noise: float = 1.0,
    weights: str = "first",
    tasks: tuple[str, ...] = TASKS,
    collapsed_text: bool = False,
    run: str = "run",
    seed: int = 0,
    n_clips: int = N_CLIPS,
    knows_nothing: bool = False,
) -> Recording:
    """A run of five tasks by two models and ``random``; more noise is a worse model.

    ``seed`` draws the models' noise, never the data; ``collapsed_text`` gives every text the same
    vector; ``knows_nothing`` puts random vectors in place of model one.
    """
    made = [_MAKERS[name](noise, seed, n_clips, collapsed_text, knows_nothing) for name in tasks]
    results = [result.model_copy(update={"id": name}) for name, (result, *_) in zip(
        tasks, made, strict=True)]  # fmt: skip
    record = RunRecord(
        id=run,
        created="2026-05-04T10:00:00+00:00",
        earmark_version="0.1.0",
        suite=Suite(name="invented", title="Invented", digest="5" * 64, toml="[suite]\n"),
        command=["earmark", "run", "invented.toml"],
        seed=1,
        replicates=100,
        environment=Environment(
            python="3.11.9",
            platform="Linux",
            processor="x86_64",
            cores=2,
            memory_gib=8.0,
            gpu=None,
            packages={"numpy": "2.4.0"},
            git_commit="0123456789abcdef0123456789abcdef01234567",
            git_dirty=False,
        ),
        models=[_entry(name, weights) for name in MODELS] + [_entry("random", "untrained")],
        datasets=[entry for _, _, _, entry in made],
        tasks=results,
        seconds=1.0,
    )
    return Recording(
        record.model_dump(),
        {name: items for name, (_, items, _, _) in zip(tasks, made, strict=True)},
        {name: arrays for name, (_, _, arrays, _) in zip(tasks, made, strict=True)},
    )


def _entry(name: str, weights: str) -> ModelEntry:
    return ModelEntry(
        id=name,
        version="1",
        weights_digest=weights,
        licence="MIT",
        citation="",
        training_datasets=[],
        crop_policy="whole",
        preprocessing={},
        av_scale=(1, 9),
    )


def _dataset(name: str, n_items: int, **changes: Any) -> DatasetEntry:
    return DatasetEntry(
        id=name,
        title=name,
        version="1",
        licence="CC0",
        citation="",
        source="",
        synthetic=True,
        fingerprint=fingerprint([name]),
        n_items=n_items,
        **changes,
    )


Made = tuple[TaskResult, pd.DataFrame, dict[str, np.ndarray], DatasetEntry]


def _made(output: Any, name: str, entry: DatasetEntry) -> Made:
    result = output.result.model_copy(update={"dataset": name})
    return result, pd.DataFrame(dict(output.items)), dict(output.arrays), entry


def _captions(noise: float, seed: int, n_clips: int, collapsed: bool, nothing: bool) -> Made:
    rng = np.random.default_rng(5)
    sets = [[f"{i} {j}" for j in range(rng.integers(1, 3))] for i in range(n_clips)]
    dataset = captioned(sets)
    models = {
        name: knowing(dataset, noise=noise * (2.0 + 0.2 * k), seed=10 * seed + k, dimension=32)
        for k, name in enumerate(MODELS)
    } | {"random": by_lot(99)}
    if collapsed:
        models["one"] = models["one"][0], constant(32)[1]
    if nothing:
        models["one"] = models["random"]
    vectors = vectors_of(dataset, models)
    # The t-SNE takes most of the time, and the gate looks at no picture.
    with mock.patch.object(retrieval, "draw_map", lambda *_, **__: "left out by the tests"):
        output = retrieval.evaluate(dataset, vectors, resolve_protocol(), **FEW)
    return _made(output, "captioned", _dataset("captioned", n_clips))


def _joint(
    truth: np.ndarray,
    names: tuple[str, ...],
    clips: list[Clip],
    noise: float,
    seed: int,
    collapsed: bool,
    nothing: bool,
) -> JointVectors:
    """Clips near the prompts of what they are, of weights ``truth`` (n_clips, n_names)."""
    texts = tuple(p.replace("{label}", name) for p in PROMPTS for name in names)
    audio, text = {}, {}
    for k, model in enumerate((*MODELS, "random")):
        rng = np.random.default_rng((seed + 100, k) if model != "random" else 4)
        anchors = unit_rows(rng.normal(size=(len(names), 32)))
        heard = truth @ anchors if model != "random" else 0
        spread = 0.4 * (1 + 0.2 * k) * (noise if model != "random" else 1)
        audio[model] = unit_rows(heard + spread * rng.normal(size=(len(clips), 32)))
        written = np.tile(anchors, (len(PROMPTS), 1))
        if collapsed and model == "one":
            written = np.ones_like(written)
        text[model] = unit_rows(written)
    if nothing:
        audio["one"], text["one"] = audio["random"], text["random"]
    return JointVectors(tuple(clips), audio, texts, text)


def _card(name: str) -> DatasetCard:
    return DatasetCard(name, name, "1", "CC0", "", "")


def _genres(noise: float, seed: int, n_clips: int, collapsed: bool, nothing: bool) -> Made:
    label = np.random.default_rng(6).integers(len(CLASSES), size=n_clips)
    clips = [Clip(f"g{i:03}", None, label=CLASSES[k]) for i, k in enumerate(label)]
    dataset = RatedClips(_card("genres"), clips, np.zeros((n_clips, 2)), Scale(0, 1), "0")
    vectors = _joint(np.eye(len(CLASSES))[label], CLASSES, clips, noise, seed, collapsed, nothing)
    output = ZeroShotClassification(prompts=PROMPTS).evaluate(dataset, vectors, **FEW)
    return _made(output, "genres", _dataset("genres", n_clips))


def _tags(noise: float, seed: int, n_clips: int, collapsed: bool, nothing: bool) -> Made:
    labels = (np.random.default_rng(7).random((n_clips, len(TAGS))) < 0.4).astype(np.uint8)
    clips = [Clip(f"t{i:03}", None, unit=f"artist {i // 2}") for i in range(n_clips)]
    parts = ("test",) * n_clips
    dataset = Tagged(_card("tagged"), clips, TAGS, labels, "all", parts, "rule", "0")
    vectors = _joint(labels, TAGS, clips, noise, seed, collapsed, nothing)
    output = ZeroShotTagging(prompts=PROMPTS).evaluate(dataset, vectors, **FEW)
    return _made(output, "tagged", _dataset("tagged", n_clips))


@functools.cache
def _musav_set() -> Any:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        dataset = load(write_musav(Path(folder), n_triplets=60))
        _ = dataset.loudness
        return dataset


def _musav(noise: float, seed: int, n_clips: int, collapsed: bool, nothing: bool) -> Made:
    dataset = _musav_set()
    wins = {song: [0.0, 0.0] for song in dataset.song_ids}
    for column, dimension in enumerate(("arousal", "valence")):
        for pair in dataset.ground_truth(dimension, "gt"):
            step = {"a": 1.0, "b": -1.0, "ab": 0.0}[pair.higher_value]
            wins[pair.song_a][column] += step
            wins[pair.song_b][column] -= step
    heard = np.array(list(wins.values()))
    predictions = {}
    for k, name in enumerate((*MODELS, "random")):
        off = np.random.default_rng((seed + 200, k) if name != "random" else 4)
        spread = 1.5 * (noise if name != "random" else 1)
        values = heard * (name != "random") + spread * off.normal(size=heard.shape)
        predictions[name] = dict(zip(wins, map(tuple, values), strict=True))
    if nothing:
        predictions["one"] = predictions["random"]
    if collapsed:
        predictions["one"] = dict.fromkeys(wins, (0.5, 0.5))
    output = pairs.evaluate(dataset, predictions, **FEW)
    return _made(output, "musav", _dataset("musav", len(wins)))


def _ratings(noise: float, seed: int, n_clips: int, collapsed: bool, nothing: bool) -> Made:
    ratings = np.random.default_rng(8).uniform(1, 9, size=(n_clips, 2))
    clips = [Clip(f"r{i:03}", None, label="x") for i in range(n_clips)]
    dataset = RatedClips(_card("rated"), clips, ratings, Scale(1, 9), "0")
    predictions = {}
    for k, name in enumerate((*MODELS, "random")):
        off = np.random.default_rng((seed + 300, k) if name != "random" else 4)
        spread = 1.5 * (noise if name != "random" else 1)
        values = 5 + (ratings - 5) * (name != "random") + spread * off.normal(size=(n_clips, 2))
        rows = map(tuple, np.clip(values, 1, 9))
        predictions[name] = dict(zip((clip.id for clip in clips), rows, strict=True))
    if nothing:
        predictions["one"] = predictions["random"]
    if collapsed:
        predictions["one"] = {clip.id: (5.0, 5.0) for clip in clips}
    scales = dict.fromkeys(predictions, (1.0, 9.0))
    output = av_regression.evaluate(dataset, predictions, scales=scales, **FEW)
    return _made(output, "rated", _dataset("rated", n_clips, rating_scale=(1, 9)))


_MAKERS = {
    "captions": _captions,
    "genres": _genres,
    "tags": _tags,
    "musav": _musav,
    "ratings": _ratings,
}


def all_scores(record: RunRecord) -> dict[tuple[str, ...], tuple[float | None, ...]]:
    """Every score with the ends of its interval, by what it is of."""
    return {
        (task.id, one.model, one.metric, one.subset, one.dimension or ""): (
            one.value,
            *((one.interval.low, one.interval.high) if one.interval else (None, None)),
        )
        for task in record.tasks
        for one in task.scores
    }
