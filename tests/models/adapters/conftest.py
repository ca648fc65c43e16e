"""Sounds and texts for adapters, and what each adapter must keep."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from earmark.datasets.audio import Waveform

TEXTS = [
    "slow piano",
    "",
    "Fast techno with a hard kick drum, a rolling bass line and no vocals at all.",
    "静かなピアノ 🎸",
    "soft\ud800 piano",  # a lone surrogate is no character
]


@pytest.fixture(scope="session")
def unlike(sound) -> Callable[..., list[Waveform]]:
    """``unlike(rate, seconds)``: sounds of those lengths, no two alike."""

    def make(rate: int, seconds: tuple[float, ...]) -> list[Waveform]:
        return [sound(length, rate, seed=seed) for seed, length in enumerate(seconds)]

    return make


@pytest.fixture(scope="session")
def assert_adapter() -> Callable[..., None]:
    """``assert_adapter(model, clips)``: vectors, batches and card are as the seams ask."""

    def check(model: Any, clips: list[Waveform]) -> None:
        assert_vectors(model.embed_audio, clips, model.dimension)
        assert_vectors(model.embed_text, TEXTS, model.dimension)
        assert_card(model.card)

    return check


def assert_vectors(embed: Callable[[list[Any]], Any], items: list[Any], dimension: int) -> None:
    rows = embed(items)
    assert isinstance(rows, np.ndarray) and rows.dtype == np.float32
    assert rows.shape == (len(items), dimension)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(embed(items), rows)
    assert np.abs(embed(items[::-1])[::-1] - rows).max() < 1e-5
    alone = np.concatenate([embed([item]) for item in items])
    assert np.abs(alone - rows).max() < 1e-5
    assert len(np.unique(rows.round(4), axis=0)) > 1
    empty = embed([])
    assert empty.shape == (0, dimension) and empty.dtype == np.float32


def assert_card(card: Any) -> None:
    assert card.id and card.id.isprintable() and " " not in card.id
    assert card.version
    assert card.weights_digest == "untrained" or len(card.weights_digest) == 64
    assert card.licence and card.citation and card.crop_policy
    assert "random" not in card.crop_policy
    assert isinstance(card.training_datasets, tuple)
    assert card.preprocessing
    assert json.loads(json.dumps(dict(card.preprocessing), allow_nan=False))
    words = json.dumps([card.id, card.notes, dict(card.preprocessing)])
    assert "/tmp" not in words and "pytest" not in words  # no path of this machine


@pytest.fixture(scope="session")
def card_is_complete() -> Callable[[Any], None]:
    return assert_card


@pytest.fixture(scope="session")
def assert_embeds() -> Callable[..., None]:
    return assert_vectors


@pytest.fixture(scope="session")
def frozen_graphs() -> ModuleType:
    """The writer of graphs that the tests of Essentia's models use."""
    path = Path(__file__).parent.parent / "essentia" / "frozen_graphs.py"
    spec = util.spec_from_file_location("frozen_graphs_for_adapters", path)
    assert spec is not None and spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
