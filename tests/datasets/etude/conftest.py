"""Scores to label, and one small built corpus that tests of layouts only read."""

import pytest

from earmark.datasets.etude.build import build
from earmark.datasets.etude.compose import compose

N_TRACKS, SECONDS, SEED = 30, 2, 7


@pytest.fixture(scope="session")
def scores():
    """Three hundred tracks, thirty a genre, without their sound."""
    return [compose(number, seed=3, seconds=10.0) for number in range(300)]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """The root of a corpus of thirty tracks of two seconds in all layouts."""
    root = tmp_path_factory.mktemp("etude") / "corpus"
    build(root, n_tracks=N_TRACKS, seconds=SECONDS, seed=SEED, workers=1)
    return root
