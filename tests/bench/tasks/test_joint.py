"""Vectors for audio-text tasks: what every model could hear, each text once, and who is refused."""

import numpy as np
import pytest
import soundfile

from earmark.bench.embeddings.embeddings import Embeddings
from earmark.bench.embeddings.store import Store
from earmark.bench.tasks.vectors import embed_pairs
from earmark.datasets.base import Clip, DataError
from earmark.models.adapters.references import random_model
from earmark.models.base import ModelError


class AudioOnly:
    """Embeds audio as the random model does, and reads nothing."""

    def __init__(self):
        model = random_model(seed=5)
        self.card, self.sample_rate, self.dimension = model.card, model.sample_rate, model.dimension
        self.embed_audio = model.embed_audio


@pytest.fixture
def embeddings(tmp_path):
    return Embeddings(Store(tmp_path / "store"))


@pytest.fixture
def clips(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(4):
        soundfile.write(tmp_path / f"{number}.wav", rng.uniform(-0.5, 0.5, 800), 8000)
    (tmp_path / "2.wav").write_bytes(b"no audio")
    return [Clip(f"clip{number}", tmp_path / f"{number}.wav") for number in range(4)]


def test_rows_of_clips_and_texts_are_the_models_own_in_the_order_given(embeddings, clips):
    models = {"a": random_model(seed=1, dimension=8), "b": random_model(seed=2, dimension=16)}
    found = embed_pairs(models, clips, ["slow", "fast", "slow"], embeddings)
    assert [clip.id for clip in found.clips] == ["clip0", "clip1", "clip3"]
    assert found.texts == ("slow", "fast")
    assert found.audio["a"].shape == (3, 8)
    assert found.audio["b"].shape == (3, 16)
    expected = models["b"].embed_text(["fast", "slow", "fast"])
    np.testing.assert_array_equal(found.of("b", ["fast", "slow", "fast"]), expected)
    assert [problem.item for problem in found.problems] == ["clip2"]
    assert found.seconds.keys() == {"a", "b"}


def test_a_second_time_no_model_is_asked(embeddings, clips):
    models = {"a": random_model(dimension=8)}
    first = embed_pairs(models, clips, ["slow"], embeddings)
    second = embed_pairs(models, clips, ["slow"], embeddings)
    np.testing.assert_array_equal(first.audio["a"], second.audio["a"])
    assert second.seconds == {}


def test_a_model_that_reads_no_text_serves_where_there_is_none(embeddings, clips):
    assert embed_pairs({"deaf": AudioOnly()}, clips, [], embeddings).text == {}
    with pytest.raises(ModelError, match=r"'deaf'.*has no embed_text"):
        embed_pairs({"deaf": AudioOnly()}, clips, ["slow"], embeddings)
    with pytest.raises(ModelError, match="has no embed_audio"):
        embed_pairs({"nothing": object()}, clips, [], embeddings)


def test_nothing_to_score_is_an_error_that_says_why(embeddings, clips):
    models = {"a": random_model(dimension=8)}
    with pytest.raises(DataError, match="no model"):
        embed_pairs({}, clips, [], embeddings)
    with pytest.raises(DataError, match="split is empty"):
        embed_pairs(models, [], [], embeddings)
    with pytest.raises(DataError, match=r"none of the 1 clips .*clip9.*no audio"):
        embed_pairs(models, [Clip("clip9", None)], [], embeddings)
    with pytest.raises(DataError, match="clip0"):
        embed_pairs(models, [clips[0], clips[0]], [], embeddings)
