"""Damaged, lost and foreign files are named, and never in the way of what is whole."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest
from stored_rows import (
    KEYS,
    N_ROWS,
    assert_whole,
    open_space,
    put_missing,
    row,
    shard_files,
    shard_of,
)

from earmark.bench.embeddings.store import StoreError, text_key


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 0x10
    path.write_bytes(content)


# Damage


def test_a_flipped_byte_is_caught_named_and_made_again(twelve_rows, caplog):
    path = shard_of(twelve_rows, 5)
    flip(path, path.read_bytes().index(row(5).tobytes()) + 3)
    space = open_space(twelve_rows)
    with caplog.at_level(logging.WARNING):
        found = space.get(KEYS)
    assert list(found) == [k for k in KEYS if k != KEYS[5]]
    expected = f"{path}: row {KEYS[5]}: its bytes do not match its checksum"
    assert [str(damage) for damage in space.damage] == [expected]
    assert expected in caplog.text
    assert space.missing(KEYS) == [KEYS[5]]
    put_missing(space)
    assert_whole(twelve_rows)
    space.compact()  # drops the bytes that no longer count
    assert_whole(twelve_rows)
    assert path not in shard_files(twelve_rows)


def test_damage_stays_known_when_another_process_writes_the_index_anew(twelve_rows):
    reader = open_space(twelve_rows)
    path = shard_of(twelve_rows, 5)
    flip(path, path.read_bytes().index(row(5).tobytes()))
    assert KEYS[5] not in reader.get(KEYS)
    other = open_space(twelve_rows)
    for text in ("small", "shards"):
        other.put({text_key(text): row(0)})
        other.flush()
    other.compact()  # of full shards it reads nothing, so the damage is not known to it
    other.put({text_key(str(number)): row(0) for number in range(100, 120)})
    assert reader.missing([*KEYS, text_key("100")]) == [KEYS[5]]
    put_missing(reader)
    assert_whole(twelve_rows)


def test_verify_finds_a_flipped_byte_wherever_it_is(twelve_rows, tmp_path_factory):
    pristine = tmp_path_factory.mktemp("pristine")
    shutil.copytree(twelve_rows, pristine, dirs_exist_ok=True)
    shard = shard_of(twelve_rows, 2)
    size = shard.stat().st_size
    for offset in [*range(0, size, 97), size - 1]:
        flip(shard, offset)
        space = open_space(twelve_rows)
        named = [*space.damage, *space.verify()]
        assert [damage.path for damage in named] == [shard], f"byte {offset}"
        assert set(space.missing(KEYS)) <= {KEYS[n] for n in range(4)}
        put_missing(space)
        assert_whole(twelve_rows)
        shutil.rmtree(twelve_rows)
        shutil.copytree(pristine, twelve_rows)


def test_the_newest_row_is_checked_when_a_space_is_opened(twelve_rows):
    path = shard_of(twelve_rows, N_ROWS - 1)
    flip(path, path.read_bytes().index(row(N_ROWS - 1).tobytes()))
    assert [damage.row for damage in open_space(twelve_rows).damage] == [KEYS[-1]]


@pytest.mark.parametrize("keep", [0, 5, 400, -1])
def test_a_truncated_shard_is_named_and_its_rows_made_again(twelve_rows, keep):
    path = shard_of(twelve_rows, 6)
    path.write_bytes(path.read_bytes()[:keep])
    space = open_space(twelve_rows)
    assert len(space.damage) == 1
    assert str(space.damage[0]).startswith(f"{path}: expected ")
    assert str(space.damage[0]).endswith("; its 4 rows are lost")
    assert space.missing(KEYS) == KEYS[4:8]
    put_missing(space)
    assert_whole(twelve_rows)


def test_a_shard_that_is_deleted_is_named_and_its_rows_made_again(twelve_rows):
    path = shard_of(twelve_rows, 6)
    path.unlink()
    space = open_space(twelve_rows)
    assert [str(d) for d in space.damage] == [f"{path}: the file is gone; its 4 rows are lost"]
    put_missing(space)
    assert_whole(twelve_rows)


def test_a_shard_that_is_deleted_or_cut_under_an_open_space_is_named(twelve_rows):
    space = open_space(twelve_rows)
    shard_of(twelve_rows, 1).unlink()
    cut = shard_of(twelve_rows, 5)
    cut.write_bytes(cut.read_bytes()[:-1])
    lost = set(KEYS) - space.get(KEYS).keys()
    assert lost == {damage.row for damage in space.damage}
    assert lost > set(KEYS[:4])  # of the cut shard, only the last row in the file
    assert len(lost) == 5
    put_missing(space)
    again = open_space(
        twelve_rows
    )  # by its size, the cut shard is now known to be damaged as a whole
    assert [damage.path for damage in again.damage] == [cut]
    put_missing(again)
    assert_whole(twelve_rows)


@pytest.mark.parametrize(
    "garbage",
    [
        b"garbage",
        b"\xff\xfe\x00",
        b"{}",
        b"[1, 2]",
        b'{"shard": "../x", "size": 1, "header": "", "rows": {}}',
        b'{"shard": "shard-0123456789abcdef.safetensors", "size": "1", "header": "", "rows": {}}',
        b"[" * 100_000,
    ],
)
def test_a_garbage_line_of_the_index_is_named_and_no_row_is_lost(twelve_rows, garbage):
    (index,) = twelve_rows.glob("*/index.jsonl")
    for number in range(4):  # instead of the heading, and of each line
        lines = index.read_bytes().splitlines()
        index.write_bytes(b"\n".join([*lines[:number], garbage, *lines[number + 1 :], b""]))
        space = open_space(twelve_rows)
        assert [damage.path for damage in space.damage] == [index]
        assert space.missing(KEYS) == []
        assert_whole(twelve_rows)  # the shards tell what the index lacks, and the index is mended


@pytest.mark.parametrize("content", [None, b"", b"garbage", b'{"format": 1, "generation": "0"}\n'])
def test_an_index_that_is_lost_is_made_again_from_the_shards(twelve_rows, content):
    (index,) = twelve_rows.glob("*/index.jsonl")
    if content is None:
        index.unlink()
    else:
        index.write_bytes(content)
    assert open_space(twelve_rows).missing(KEYS) == []
    assert_whole(twelve_rows)


def test_an_index_of_another_version_is_refused_and_left_alone(twelve_rows):
    (index,) = twelve_rows.glob("*/index.jsonl")
    index.write_bytes(index.read_bytes().replace(b'"format": 1', b'"format": 2'))
    before = index.read_bytes()
    with pytest.raises(StoreError, match=r"index\.jsonl: format 2, expected 1; another version"):
        open_space(twelve_rows)
    assert index.read_bytes() == before


def test_foreign_files_are_left_alone(twelve_rows):
    (folder,) = twelve_rows.iterdir()
    names = ["notes.txt", "shard-mine.safetensors", "model.safetensors", "sub"]
    for name in names[:-1]:
        (folder / name).write_bytes(b"mine")
    (folder / "sub").mkdir()
    (twelve_rows / "README").write_text("mine")
    assert_whole(twelve_rows)
    assert {name for name in names if (folder / name).exists()} == set(names)


def test_a_foreign_file_with_a_shards_name_is_named_and_set_aside(twelve_rows):
    (folder,) = twelve_rows.iterdir()
    foreign = folder / "shard-0123456789abcdef.safetensors"
    foreign.write_bytes(b"not a shard at all")
    (damage,) = open_space(twelve_rows).damage
    assert str(damage).startswith(f"{foreign}: the index lacks it and ")
    assert (folder / f"{foreign.name}.damaged").read_bytes() == b"not a shard at all"
    assert_whole(twelve_rows)
