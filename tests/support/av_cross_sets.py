"""Sets whose ratings are linear in invented vectors, and the cross-dataset task run on them."""

import numpy as np

from earmark.bench.embeddings.embeddings import Embeddings
from earmark.bench.embeddings.store import Store
from earmark.bench.tasks.av_cross_dataset.task import AVCrossDataset
from earmark.bench.tasks.task import Context, Unavailable
from earmark.datasets.base import Clip, DatasetCard, RatedClips, Scale
from earmark.models.base import ModelCard

SEED = 3
D = 4
WEIGHTS = np.random.default_rng(9).normal(size=(D, 2))


class Stored:
    """An embedder of patches that is never asked: its vectors are in files."""

    sample_rate = None
    dimension = D
    card = ModelCard("stored", "1", "untrained", "Apache-2.0", "", (), "whole")

    def embed_patches(self, clip):
        raise AssertionError("vectors are in files")


def rated(name, ids, *, units=None, seed=0, paths=None, namespace="", noise=0.5, **more):
    """Ratings that are linear in the vectors of :func:`vectors`, with noise."""
    rng = np.random.default_rng(seed)
    values = 5 + vectors(ids) @ WEIGHTS + rng.normal(0, noise, (len(ids), 2))
    clips = tuple(
        Clip(one, None if paths is None else paths[i], unit=None if units is None else units[i])
        for i, one in enumerate(ids)
    )
    card = DatasetCard(name, name, "1", "", "", "")
    return RatedClips(
        card, clips, np.clip(values, -20, 30), Scale(-20, 30), f"{name}{seed}", namespace=namespace,
        **more,
    )  # fmt: skip


def vectors(ids):
    """The vector of an id is the same wherever it is asked for."""
    return np.array(
        [np.random.default_rng(list(one.encode())).normal(size=D) for one in ids]
    ).astype(np.float32)


def names(prefix, n):
    return [f"{prefix}{number:03d}" for number in range(n)]


def cross_world(tmp_path):
    """Return what runs the task on sets whose vectors are in files, and gives their results."""

    def call(datasets, first, *, models=None, write=True, **options):
        context = Context(
            "cross", Embeddings(Store(tmp_path / "store")), 200, SEED, datasets=datasets
        )
        stored = {}
        for name, one in datasets.items() if write else ():
            if isinstance(one, Unavailable):
                continue
            ids = list(one.song_ids) if hasattr(one, "song_ids") else [c.id for c in one.clips]
            np.savez(tmp_path / f"{name}.npz", songids=ids, embeddings=vectors(ids))
            stored[name] = {"e": str(tmp_path / f"{name}.npz")}
        options = {"heads": ["ridge"], "stored": stored} | options
        ran = AVCrossDataset(**options).run(context, datasets[first], models or {"e": Stored()})
        call.ran = ran
        return {one.result.dataset: one for one in (ran.output, *ran.further)}

    return call


def predicted(output, model):
    items = output.items
    rows = {}
    for i, name in enumerate(items["model"]):
        if name == model:
            rows.setdefault(items["item"][i], {})[items["dimension"][i]] = items["predicted"][i]
    return {clip: (row["arousal"], row["valence"]) for clip, row in rows.items()}


def rows_of(ids):
    return {tuple(row) for row in vectors(ids).astype(np.float64).tolist()}
