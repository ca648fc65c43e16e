"""Etude's oracle as a model ranks as its table of shares does, and knows nothing else."""

import numpy as np
import pytest
from matrix_ranks import rank_scores

from earmark.bench.metrics import ranks
from earmark.datasets.audio import Waveform, load
from earmark.datasets.base import DataError
from earmark.datasets.captions import manifest as captions_manifest
from earmark.datasets.etude.build import build
from earmark.datasets.etude.layouts import oracle
from earmark.models.base import ModelError
from earmark.models.registry import MODELS


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("etude")
    build(folder, n_tracks=150, seconds=2.0, seed=3, layouts=("captions",), workers=1)
    return folder


def test_cosines_rank_and_tie_exactly_as_shares_of_true_attributes(root):
    model = MODELS.create("etude-oracle", {"root": str(root)})
    opened = captions_manifest.load(root / "captions", split="test")
    clips = model.embed_audio([load(clip.path) for clip in opened.clips])
    texts = model.embed_text(list(opened.captions))
    np.testing.assert_allclose(np.linalg.norm(clips, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-6)
    shares = oracle(root, split="test").ordered([clip.id for clip in opened.clips]).scores()
    found, expected = ranks.count_ranks(texts, clips), rank_scores(shares)
    np.testing.assert_array_equal(found.higher, expected.higher)
    np.testing.assert_array_equal(found.tied, expected.tied)
    assert expected.tied.max() > 1  # ties are what could go wrong
    assert not expected.higher.any()


def test_what_is_not_of_the_split_is_refused(root):
    model = MODELS.create("etude-oracle", {"root": str(root)})
    with pytest.raises(ModelError, match=r"captions of .* alone, not 'slow song'"):
        model.embed_text(["slow song"])
    with pytest.raises(ModelError, match="does not know number 0 of this batch"):
        model.embed_audio([Waveform(np.full(100, 0.1, np.float32), 22_050)])
    other = captions_manifest.load(root / "captions", split="val")
    with pytest.raises(ModelError, match="does not know"):
        model.embed_audio([load(other.clips[0].path)])


def test_another_split_is_another_model_and_an_unknown_one_is_refused(root, tmp_path):
    one, other = (
        MODELS.create("etude-oracle", {"root": str(root), "split": split}).card
        for split in ("val", "test")
    )
    assert one.weights_digest != other.weights_digest
    with pytest.raises(DataError, match="no split 'tset'; expected one of"):
        MODELS.create("etude-oracle", {"root": str(root), "split": "tset"})
    with pytest.raises(DataError, match="no Etude corpus"):
        MODELS.create("etude-oracle", {"root": str(tmp_path)})
