"""The sentinel: decided by the content alone, and at chance."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest

from earmark.datasets.audio import Waveform
from earmark.models.adapters.references import RandomModel
from earmark.models.base import ArousalValenceModel, AudioEmbedder, ModelError, TextEmbedder
from earmark.models.registry import MODELS


def test_is_all_that_a_task_can_ask_for(sound, unlike, assert_adapter):
    model = MODELS.create("random", {"seed": 3, "dimension": 16})
    assert isinstance(model, AudioEmbedder)
    assert isinstance(model, TextEmbedder)
    assert isinstance(model, ArousalValenceModel)
    assert_adapter(model, unlike(8000, (0.5, 0.2, 0.01)))
    av = model.predict_av(unlike(8000, (0.5, 0.2)))
    assert av.shape == (2, 2) and av.dtype == np.float32
    assert np.array_equal(model.predict_av([sound(0.2, 8000, seed=1)])[0], av[1])
    assert model.predict_av([]).shape == (0, 2)


def test_its_numbers_are_those_of_box_and_muller_from_shake_256():
    bits = hashlib.shake_256(b"0 text slow piano").digest(32)
    first, second, third, fourth = (
        (int.from_bytes(bits[at : at + 8], "little") + 0.5) / 2**64 for at in (0, 8, 16, 24)
    )
    drawn = [
        math.sqrt(-2 * math.log(first)) * math.cos(2 * math.pi * third),
        math.sqrt(-2 * math.log(second)) * math.cos(2 * math.pi * fourth),
        math.sqrt(-2 * math.log(first)) * math.sin(2 * math.pi * third),
        math.sqrt(-2 * math.log(second)) * math.sin(2 * math.pi * fourth),
    ]
    expected = np.array(drawn) / np.linalg.norm(drawn)
    found = RandomModel(seed=0, dimension=4).embed_text(["slow piano"])[0]
    assert found == pytest.approx(expected, abs=1e-6)


def test_content_rate_kind_and_seed_each_make_another_vector(sound):
    model = RandomModel(dimension=8)
    clip = sound(0.1, 8000)
    changed = clip.samples.copy()
    changed[3] += 1e-6
    rows = [
        model.embed_audio([clip])[0],
        model.embed_audio([Waveform(changed, 8000)])[0],
        model.embed_audio([Waveform(clip.samples, 8001)])[0],
        model.embed_text(["slow"])[0],
        model.embed_text(["slow "])[0],
        RandomModel(seed=1, dimension=8).embed_text(["slow"])[0],
    ]
    assert np.abs(np.corrcoef(rows) - np.eye(len(rows))).max() < 0.99


def test_directions_are_uniform():
    rows = RandomModel(dimension=32).embed_text([str(n) for n in range(4000)])
    # The mean of n uniform unit vectors has a squared length of 1 / n on average.
    assert np.linalg.norm(rows.mean(axis=0)) < 3 / math.sqrt(len(rows))
    covariance = rows.T @ rows / len(rows)
    assert np.abs(covariance * 32 - np.eye(32)).max() < 0.15


def test_equal_seeds_have_equal_cards():
    assert RandomModel(seed=4).card == RandomModel(seed=4).card != RandomModel(seed=5).card


def test_refuses_what_is_no_clip_and_no_list_of_texts(sound):
    model = RandomModel(dimension=4)
    with pytest.raises(ModelError, match="expected a list of texts, got 'slow'"):
        model.embed_text("slow")
    with pytest.raises(ModelError, match="clip 0 has samples that are not finite"):
        model.embed_audio([Waveform(np.array([np.nan], np.float32), 8000)])
    with pytest.raises(ModelError, match="dimension is 1, expected at least 2"):
        RandomModel(dimension=1)
