"""The released graphs on real music."""

import csv
import json

import numpy as np
import pytest

from earmark.datasets.audio import load
from earmark.models.essentia.av import essentia_av

pytestmark = pytest.mark.usefixtures("essentia_installed")


@pytest.fixture(scope="module")
def released(shared_models):
    folder = str(shared_models / "essentia")
    names = ("emomusic-msd-musicnn-1", "emomusic-msd-musicnn-2", "deam-msd-musicnn-1")
    return {name: essentia_av(head=name, weights=folder) for name in names}


def test_released_heads_are_of_the_generations_they_are_said_to_be(released):
    assert {n: (m.generation.number, m.affine) for n, m in released.items()} == {
        "emomusic-msd-musicnn-1": (1, True),
        "emomusic-msd-musicnn-2": (2, False),
        "deam-msd-musicnn-1": (1, True),
    }


def test_released_affine_heads_give_at_the_mean_the_mean_of_their_values(released, shared_data):
    means = np.load(shared_data / "musav_embeddings" / "msd-musicnn-1.npz")["embeddings"][:64]
    for name in ("emomusic-msd-musicnn-1", "deam-msd-musicnn-1"):
        model = released[name]
        at_mean = model.predict_av_from_means(means.mean(axis=0, keepdims=True))[0]
        np.testing.assert_allclose(at_mean, model.predict_av_from_patches(means), atol=2e-5)


def test_columns_of_the_released_head_are_those_of_published_predictions(released, shared_data):
    # The head is not affine, so its value at a mean embedding is near the clip's, not equal to it.
    kept = np.load(shared_data / "musav_embeddings" / "msd-musicnn-1.npz")
    rows = {}
    with (shared_data / "musav_predictions" / "emomusic-msd-musicnn-2.jsonl").open() as lines:
        for row in map(json.loads, lines):
            rows[row["songid"]] = (row["arousal_mean"], row["valence_mean"])
    published = np.array([rows[songid] for songid in kept["songids"]])
    near = np.array(
        [
            released["emomusic-msd-musicnn-2"].predict_av_from_patches(mean[None])
            for mean in kept["embeddings"][::7]
        ]
    )
    for own, other in ((0, 1), (1, 0)):
        assert np.corrcoef(near[:, own], published[::7, own])[0, 1] > 0.98
        assert np.corrcoef(near[:, own], published[::7, other])[0, 1] < 0.6


def test_arousal_of_real_music_is_heard(released, shared_data):
    folder = shared_data / "gtzan_excerpts"
    with (folder / "av_annotations.csv").open() as file:
        rows = list(csv.DictReader(file))[::16]
    clips = [load(folder / "genres" / r["genre"] / f"{r['track_id']}.flac") for r in rows]
    rated = np.array([[float(r["arousal"]), float(r["valence"])] for r in rows])
    patches = [released["emomusic-msd-musicnn-1"].embedder.embed_patches(clip) for clip in clips]
    for name in ("emomusic-msd-musicnn-1", "emomusic-msd-musicnn-2"):
        found = np.array([released[name].predict_av_from_patches(p) for p in patches])
        assert ((found > 1) & (found < 9)).all()
        assert np.corrcoef(found[:, 0], rated[:, 0])[0, 1] > 0.6
