"""A store of twelve rows in shards of four, for the tests of damage and of killed writers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from earmark.bench.embeddings.store import Space, Store, text_key
from earmark.models.base import ModelCard

CARD = ModelCard("model", "1", "untrained", "MIT", "", (), "centre")
N_ROWS = 12
KEYS = [text_key(str(number)) for number in range(N_ROWS)]


def row(number: int) -> np.ndarray:
    return np.random.default_rng(number).standard_normal(64).astype(np.float32)


def open_space(root: Path, **options: float) -> Space:
    return Store(root, **{"shard_rows": 4, **options}).space(CARD, kind="audio_vectors")


def put_missing(space: Space, keys: list[str] = KEYS) -> None:
    with space:
        space.put({k: row(KEYS.index(k)) for k in space.missing(keys)})


def shard_files(root: Path) -> list[Path]:
    return sorted(root.glob("*/shard-*.safetensors"))


def shard_of(root: Path, number: int) -> Path:
    needle = row(number).tobytes()
    (found,) = (path for path in shard_files(root) if needle in path.read_bytes())
    return found


def assert_whole(root: Path, numbers: range = range(N_ROWS)) -> None:
    """All rows are there, as they were made, and nothing is damaged."""
    space = open_space(root)
    assert space.damage == []
    assert space.verify() == []
    found = space.get(KEYS[number] for number in numbers)
    assert [found[KEYS[n]].tolist() for n in numbers] == [row(n).tolist() for n in numbers]
