"""What the store keeps is found again, for the same model only, whoever wrote it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import load_file

from earmark.bench.embeddings import shards
from earmark.bench.embeddings.store import Space, Store, StoreError, audio_key, space_of, text_key
from earmark.models.base import ModelCard, ModelError

CARD = ModelCard(
    id="model",
    version="1",
    weights_digest="ab" * 32,
    licence="MIT",
    citation="",
    training_datasets=(),
    crop_policy="centre",
    preprocessing={"sample_rate": 16000, "mono": True, "resampler": "sinc"},
)

shapes = st.one_of(st.tuples(st.integers(0, 9)), st.tuples(st.integers(0, 5), st.integers(0, 9)))
rows_of = {
    "float32": arrays(np.float32, shapes, elements=st.floats(width=32)),
    "float16": arrays(np.float16, shapes, elements=st.floats(width=16)),
}


def row(number: int, *, dimension: int = 8) -> np.ndarray:
    return np.random.default_rng(number).standard_normal(dimension).astype(np.float32)


def key(number: int) -> str:
    return text_key(str(number))


def fill(store: Store, numbers: range) -> Space:
    with store.space(CARD, kind="audio_vectors") as space:
        space.put({key(number): row(number) for number in numbers})
    return space


def shard_files(space: Space) -> list[Path]:
    return sorted(space.folder.glob("shard-*.safetensors"))


# Round trips


@given(data=st.data(), dtype=st.sampled_from(["float32", "float16"]), strided=st.booleans())
def test_every_shape_and_type_comes_back_bit_by_bit(tmp_path_factory, data, dtype, strided):
    rows = data.draw(st.dictionaries(st.text(max_size=5), rows_of[dtype], max_size=6))
    rows = {text_key(text): r[..., ::-1] if strided else r for text, r in rows.items()}
    store = Store(tmp_path_factory.mktemp("store"), shard_rows=4)
    with store.space(CARD, kind="patches", dtype=dtype) as space:
        space.put(rows)
        unflushed = space.get(rows)
    flushed = store.space(CARD, kind="patches", dtype=dtype).get(rows)
    for found in (unflushed, flushed):
        assert list(found) == list(rows)
        for name, expected in rows.items():
            assert found[name].dtype == expected.dtype
            assert found[name].shape == expected.shape
            assert found[name].tobytes() == expected.tobytes()  # NaN and -0.0 too


def test_a_strided_row_is_written_as_it_reads(tmp_path):
    strided = np.arange(6, dtype=np.float32).reshape(2, 3).T
    shard = shards.write_shard(tmp_path, "space", {"key": strided})
    np.testing.assert_array_equal(load_file(tmp_path / shard.name)["key"], strided)
    layout = shards.read_layout(tmp_path, shard)
    rows, faults = shards.read_rows(tmp_path, "space", shard, layout, ["key", "other"])
    np.testing.assert_array_equal(rows["key"], strided)
    assert faults == {"other": "the shard does not hold it"}


def test_a_row_can_neither_be_changed_by_its_giver_nor_by_its_taker(tmp_path):
    space = Store(tmp_path).space(CARD, kind="audio_vectors")
    given_row = row(1)
    space.put({key(1): given_row})
    given_row[:] = 0
    space.get([key(1)])[key(1)][:] = 0
    np.testing.assert_array_equal(space.get([key(1)])[key(1)], row(1))


def test_a_row_once_kept_is_never_changed(tmp_path):
    store = Store(tmp_path)
    fill(store, range(3))
    with store.space(CARD, kind="audio_vectors") as space:
        space.put({key(1): row(99)})
        np.testing.assert_array_equal(space.get([key(1)])[key(1)], row(1))


def test_missing_names_each_absent_key_once_in_order(tmp_path):
    space = fill(Store(tmp_path), range(3))
    space.put({key(7): row(7)})
    assert space.missing([key(9), key(1), key(8), key(9), key(7)]) == [key(9), key(8)]
    assert len(space) == 4


def test_shards_hold_no_more_than_their_bounds(tmp_path):
    by_rows = fill(Store(tmp_path / "rows", shard_rows=10), range(95))
    assert [len(load_file(path)) <= 10 for path in shard_files(by_rows)] == [True] * 10
    by_bytes = fill(Store(tmp_path / "bytes", shard_bytes=5 * row(0).nbytes), range(95))
    assert [len(load_file(path)) for path in shard_files(by_bytes)] == [5] * 19


def test_a_row_larger_than_a_shard_has_one_of_its_own(tmp_path):
    store = Store(tmp_path, shard_bytes=100)
    large = np.ones((50, 8), np.float32)
    with store.space(CARD, kind="patches") as space:
        space.put({key(1): large})
    np.testing.assert_array_equal(store.space(CARD, kind="patches").get([key(1)])[key(1)], large)


def test_rows_wait_no_longer_than_they_may(tmp_path):
    store = Store(tmp_path, flush_seconds=0)
    store.space(CARD, kind="audio_vectors").put({key(1): row(1)})  # neither flushed nor closed
    assert store.space(CARD, kind="audio_vectors").missing([key(1)]) == []


@pytest.mark.parametrize(
    "bad", [np.zeros(3), np.zeros(3, np.float16), np.float32(1), np.zeros((1, 2, 3), np.float32)]
)
def test_a_row_of_another_type_or_shape_is_refused(tmp_path, bad):
    space = Store(tmp_path).space(CARD, kind="audio_vectors")
    with pytest.raises(StoreError, match=r"expected float32 of shape \(dimension,\)"):
        space.put({key(1): np.asarray(bad)})


# Whose rows


def other_spaces() -> Iterator[tuple[ModelCard, str, str]]:
    for change in (
        {"id": "model2"},
        {"version": "2"},
        {"weights_digest": "ab" * 31 + "ac"},
        {"crop_policy": "first"},
        {"preprocessing": {**CARD.preprocessing, "sample_rate": 16001}},
        {"preprocessing": {**CARD.preprocessing, "mono": 1}},  # equal to True for Python
        {"preprocessing": {}},
    ):
        yield dataclasses.replace(CARD, **change), "audio_vectors", "float32"
    yield CARD, "audio_vectors", "float16"
    for kind in ("text_vectors", "patches", "av"):
        yield CARD, kind, "float32"


@pytest.mark.parametrize(("card", "kind", "dtype"), list(other_spaces()))
def test_no_other_model_kind_or_type_sees_a_models_rows(tmp_path, card, kind, dtype):
    store = Store(tmp_path)
    fill(store, range(5))
    keys = [key(number) for number in range(5)]
    other = store.space(card, kind=kind, dtype=dtype)
    assert other.get(keys) == {}
    assert other.missing(keys) == keys
    with other:
        other.put({k: np.full(8, 7, dtype) for k in keys})
    kept = store.space(CARD, kind="audio_vectors").get(keys)
    for number, k in enumerate(keys):
        np.testing.assert_array_equal(kept[k], row(number))


def test_what_does_not_change_the_numbers_does_not_change_the_space():
    other = dataclasses.replace(
        CARD,
        licence="GPL",
        notes=("seen",),
        training_datasets=("gtzan",),
        preprocessing=dict(reversed(CARD.preprocessing.items())),
    )
    assert space_of(other, kind="av") == space_of(CARD, kind="av")


def test_the_folder_is_named_by_the_sha256_of_its_identity(tmp_path):
    space = fill(Store(tmp_path), range(1))
    identity = (space.folder / "space.json").read_bytes()
    assert space.folder.name == hashlib.sha256(identity).hexdigest()
    assert json.loads(identity) == {
        "adapter": "model",
        "adapter_version": "1",
        "weights": "ab" * 32,
        "preprocessing": {"sample_rate": 16000, "mono": True, "resampler": "sinc"},
        "crop_policy": "centre",
        "dtype": "float32",
        "output": "audio_vectors",
    }


def test_a_folder_of_another_identity_is_refused(tmp_path):
    store = Store(tmp_path)
    space = fill(store, range(3))
    identity = space.folder / "space.json"
    identity.write_text(identity.read_text().replace("16000", "22050"))
    with pytest.raises(StoreError, match=r"(?s)space\.json: this folder is kept for.*22050"):
        store.space(CARD, kind="audio_vectors")
    with pytest.raises(StoreError, match=r"its sha256 is not the folder's name"):
        list(store.spaces())


def test_files_copied_from_another_models_folder_give_no_row(tmp_path):
    store = Store(tmp_path)
    theirs = fill(store, range(5))
    mine = store.space(dataclasses.replace(CARD, version="2"), kind="audio_vectors")
    for path in [*shard_files(theirs), theirs.folder / "index.jsonl"]:
        (mine.folder / path.name).write_bytes(path.read_bytes())
    mine = store.space(dataclasses.replace(CARD, version="2"), kind="audio_vectors")
    assert mine.get([key(number) for number in range(5)]) == {}
    assert {damage.row for damage in mine.damage} == {key(number) for number in range(5)}
    # without the index, which would claim them, the shard itself says whose it is
    (mine.folder / "index.jsonl").unlink()
    mine = store.space(dataclasses.replace(CARD, version="2"), kind="audio_vectors")
    assert len(mine) == 0
    assert "belongs to the space" in str(mine.damage[0])


@pytest.mark.parametrize("value", [[1, 2], None, np.float32(1), {"a": 1}, float("nan")])
def test_preprocessing_that_cannot_be_written_down_exactly_is_refused(value):
    card = dataclasses.replace(CARD, preprocessing={"mel": value})
    with pytest.raises(ModelError, match=r"model: preprocessing"):
        space_of(card, kind="av")


def test_a_text_and_a_file_of_the_same_bytes_have_different_keys(tmp_path):
    assert text_key("calm") != audio_key(hashlib.sha256(b"calm").hexdigest())
    assert text_key("\udc80") != text_key("?")


def test_all_spaces_can_be_opened_without_their_cards(tmp_path):
    store = Store(tmp_path)
    fill(store, range(3))
    with store.space(CARD, kind="av") as av:
        av.put({key(1): row(1, dimension=2)})
    assert sorted(json.loads(s.identity)["output"] for s in store.spaces()) == [
        "audio_vectors",
        "av",
    ]
    assert [s.verify() for s in store.spaces()] == [[], []]
    assert list(Store(tmp_path / "nothing here").spaces()) == []


# Merging


def test_merging_keeps_every_row_in_fewer_files(tmp_path):
    store = Store(tmp_path, flush_seconds=0)
    space = store.space(CARD, kind="audio_vectors")
    space.put({key(number): row(number) for number in range(40)})
    assert len(shard_files(space)) == 40
    reader = store.space(CARD, kind="audio_vectors")
    space.compact()
    assert len(shard_files(space)) == 1
    # the index becomes longer than the one that the reader knows, as if nothing had gone from it
    space.put({key(number): row(number) for number in range(40, 100)})
    keys = [key(number) for number in range(40)]
    for whoever in (space, reader, store.space(CARD, kind="audio_vectors")):
        found = whoever.get(keys)
        assert [found[k].tolist() for k in keys] == [row(n).tolist() for n in range(40)]
        assert whoever.verify() == []
        assert whoever.damage == []


def test_closing_merges_many_small_shards_but_not_few(tmp_path):
    store = Store(tmp_path, flush_seconds=0)
    assert len(shard_files(fill(store, range(5)))) == 5
    assert len(shard_files(fill(store, range(40)))) == 1
    assert len(store.space(CARD, kind="audio_vectors")) == 40


def test_merging_leaves_full_shards_and_a_lone_one_alone(tmp_path):
    store = Store(tmp_path, shard_rows=4)
    space = fill(store, range(9))
    before = shard_files(space)
    space.compact()
    assert shard_files(space) == before


# Several processes

WRITER = """
import sys
import numpy as np
from earmark.bench.embeddings.store import Store, text_key
from earmark.models.base import ModelCard
root, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
card = ModelCard("model", "1", "ab" * 32, "MIT", "", (), "centre",
                 {"sample_rate": 16000, "mono": True, "resampler": "sinc"})
print("ready", flush=True)
sys.stdin.readline()
with Store(root, shard_rows=7).space(card, kind="audio_vectors") as space:
    for number in range(first, last):
        row = np.random.default_rng(number).standard_normal(8).astype(np.float32)
        space.put({text_key(str(number)): row})
assert space.damage == [], space.damage
"""


def test_processes_that_write_at_once_leave_what_one_would(tmp_path):
    ranges = [(0, 120), (60, 180), (100, 200)]  # overlapping: some rows are made twice
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(first), str(last)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for first, last in ranges
    ]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    space = Store(tmp_path).space(CARD, kind="audio_vectors")
    assert space.verify() == []
    found = space.get(key(number) for number in range(200))
    assert [found[key(n)].tolist() for n in range(200)] == [row(n).tolist() for n in range(200)]
    kept = [name for path in shard_files(space) for name in load_file(path)]
    assert sorted(kept) == sorted(key(number) for number in range(200))  # none is there twice


def test_a_reader_sees_what_another_writes_meanwhile(tmp_path):
    store = Store(tmp_path)
    reader = store.space(CARD, kind="audio_vectors")
    fill(store, range(3))
    assert reader.missing([key(2), key(3)]) == [key(3)]
    np.testing.assert_array_equal(reader.get([key(2)])[key(2)], row(2))


@pytest.mark.parametrize("module", ["embeddings.store", "embeddings.embeddings"])
def test_importing_loads_no_torch(module):
    code = f"import sys, earmark.bench.{module}; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_a_checksum_is_bound_to_space_key_type_shape_and_bytes():
    ones = np.ones((2, 3), np.float32)
    variants = [
        ("s", "k", ones),
        ("t", "k", ones),
        ("s", "l", ones),
        ("s", "k", ones.reshape(3, 2)),
        ("s", "k", ones.view(np.int32).view(np.float32) * 2),
        ("s", "k", np.ones((2, 6), np.float16)),
    ]
    assert len({shards.row_checksum(*variant) for variant in variants}) == len(variants)
