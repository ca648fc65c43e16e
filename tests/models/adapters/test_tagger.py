"""The tagger: sigmoids of a graph written here, and no tags but those that are known."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from earmark.models.adapters.conse import musicnn_tagger
from earmark.models.base import ModelError
from earmark.models.essentia.backbones import EssentiaBackbone
from earmark.models.essentia.library import read_graph
from earmark.models.musicnn.checkpoints import MSD_TAGS

TAGS = ["rock", "jazz", "sad"]
LAST = np.random.default_rng(5).normal(0, 0.02, (200, len(TAGS)))
BIAS = np.array([-1.0, 0.0, 1.0])


@pytest.fixture(scope="module")
def graph(frozen_graphs, tmp_path_factory) -> Path:
    """A MusiCNN backbone with three sigmoids behind it."""
    if importlib.util.find_spec("essentia") is None:
        pytest.skip("essentia-tensorflow is not installed")
    path = tmp_path_factory.mktemp("graphs") / "tagger.pb"
    frozen_graphs.write_backbone(path, frozen_graphs.MUSICNN)
    logits = frozen_graphs.dense("logits", "projected", LAST, BIAS)
    sigmoid = frozen_graphs.node("model/Sigmoid", "Sigmoid", ("logits",), frozen_graphs.OF_FLOATS)
    path.write_bytes(path.read_bytes() + logits + sigmoid)
    return path


def test_gives_the_mean_of_its_sigmoids_over_patches(graph, frozen_graphs):
    clip = frozen_graphs.music(6.0)
    patches = EssentiaBackbone(read_graph(graph)).embed_patches(clip).astype(float)
    expected = (1 / (1 + np.exp(-(patches @ LAST + BIAS)))).mean(axis=0)
    tagger = musicnn_tagger(str(graph), tags=TAGS)
    assert len(patches) > 1 and tagger.tags == tuple(TAGS)
    assert tagger.probabilities(clip) == pytest.approx(expected, abs=1e-5)
    assert tagger.card.preprocessing["output"] == "model/Sigmoid"
    assert tagger.probabilities(frozen_graphs.music(0.4)).shape == (3,)


def test_tags_that_are_not_known_must_be_given(graph):
    # mtt-musicnn-1 has the same nodes and other tags, so that a name or a shape proves nothing.
    with pytest.raises(ModelError, match="the order of its tags is not known; give them as tags"):
        musicnn_tagger(str(graph))


def test_another_number_of_tags_is_refused(graph, frozen_graphs):
    tagger = musicnn_tagger(str(graph), tags=[*TAGS, "happy"])
    with pytest.raises(ModelError, match=r"has shape \(\d+, 3\), expected \(n_patches, 4\)"):
        tagger.probabilities(frozen_graphs.music(6.0))


def test_names_weights_that_are_no_tagger(graph, frozen_graphs, tmp_path):
    backbone = frozen_graphs.write_backbone(tmp_path / "backbone.pb", frozen_graphs.MUSICNN)
    with pytest.raises(ModelError, match="is no MusiCNN tagger: it has no node model/Sigmoid"):
        musicnn_tagger(str(backbone), tags=TAGS)
    with pytest.raises(ModelError, match=r"no such file"):
        musicnn_tagger(str(tmp_path / "absent.pb"))


def test_there_are_fifty_tags_and_no_two_alike():
    assert len(MSD_TAGS) == len(set(MSD_TAGS)) == 50
    assert (MSD_TAGS[0], MSD_TAGS[33], MSD_TAGS[49]) == ("rock", "Hip-Hop", "happy")
