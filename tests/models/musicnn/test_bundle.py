"""Checkpoints that the tests write are read as written; anything else is a BundleError."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensor_bundles import block, bundle, entry, field, header, table

from earmark.models.musicnn.bundle import (
    BundleError,
    crc32c,
    masked_crc32c,
    read_index,
    read_tensors,
)

RANDOM = np.random.default_rng(0)
TENSORS = {
    "conv/kernel": RANDOM.normal(size=(3, 2, 4)).astype(np.float32),
    "conv/kernel/Adam": RANDOM.normal(size=(3, 2, 4)).astype(np.float32),
    "conv/bias": RANDOM.normal(size=4),
    "step": np.array(7, np.int64),
    "empty": np.zeros((0, 3), np.int32),
    "ünïcode": np.arange(5, dtype=np.int32),
}


@pytest.mark.parametrize(
    ("content", "checksum"),
    [
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_checksums_are_those_of_rfc_3720(content, checksum):
    assert crc32c(content) == crc32c(memoryview(content)) == checksum


@pytest.mark.parametrize("per_block", [1, 2, 100])
def test_tensors_are_read_as_they_were_written(per_block):
    index, data = bundle(TENSORS, per_block=per_block)
    found = read_tensors(index, data)
    assert found.keys() == TENSORS.keys() == read_index(index).keys()
    for name, value in TENSORS.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value)
    assert list(read_tensors(index, data, ["step"])) == ["step"]


def test_a_variable_of_text_is_left_out():
    index = table([(b"b", block([(b"", header()), (b"b", entry(7, (2,), 0, 9, 0))]))])
    assert read_index(index) == {}


def test_a_name_that_is_not_there_is_named():
    with pytest.raises(BundleError, match="has no tensor 'absent'; it has 6"):
        read_tensors(*bundle(TENSORS), names=["absent"])


def indexed(value, *, first=None, kind=0):
    """An index of one tensor ``a`` with this entry."""
    items = [(b"", header() if first is None else first), (b"a", value)]
    return table([(b"a", block(items))], kind=kind)


GOOD = entry(1, (2,), 0, 8, masked_crc32c(bytes(8)))


@pytest.mark.parametrize(
    ("index", "said"),
    [
        (b"", "0 bytes that do not end as the index"),
        (bytes(100), "100 bytes that do not end as the index"),
        (indexed(GOOD, kind=1), "compressed"),
        (indexed(GOOD, first=header(n_shards=2)), "2 data files, expected one"),
        (indexed(GOOD, first=header(endianness=1)), "big-endian"),
        (table([(b"a", block([(b"a", GOOD)]))]), "no header"),
        (table([(b"a", block([(b"", header()), (b"a", GOOD), (b"a", GOOD)]))]), "twice"),
        (indexed(entry(1, (3,), 0, 8, 0)), r"shape \(3,\) and type <f4 has 8 bytes"),
        (indexed(entry(1, (2,), 0, 8, 0, extra=field(3, 1))), "several parts"),
        (indexed(entry(1, (2,), 0, 8, 0, extra=field(7, b""))), "several parts"),
        (indexed(entry(1, (1,) * 9, 0, 4, 0)), "9 dimensions"),
        (indexed(GOOD[:-1]), "before the end"),
    ],
)
def test_an_index_that_is_not_read_is_refused_with_the_reason(index, said):
    with pytest.raises(BundleError, match=said):
        read_index(index)


def test_data_of_another_checkpoint_are_refused_by_name():
    index, data = bundle(TENSORS)
    with pytest.raises(BundleError, match=r"ends at byte \d+, tensor .* at \d+: it is cut"):
        read_tensors(index, data[:-1])
    other = bytes([data[0] ^ 1]) + data[1:]
    with pytest.raises(BundleError, match=r"tensor 'conv/bias' has the checksum"):
        read_tensors(index, other)


INDEX, DATA = bundle(TENSORS)


@given(st.integers(0, len(INDEX) - 1))
def test_no_cut_index_is_read(end):
    with pytest.raises(BundleError):
        read_index(INDEX[:end])


@given(st.data())
def test_changed_bytes_are_found_or_change_nothing(data):
    changed = bytearray(INDEX)
    for place in data.draw(st.lists(st.integers(0, len(INDEX) - 1), min_size=1, max_size=3)):
        changed[place] = data.draw(st.integers(0, 255))
    try:
        found = read_index(bytes(changed))
    except BundleError:
        return
    assert found == read_index(INDEX)  # a byte that the format does not use, or the same one


@given(st.binary(max_size=200), st.booleans())
def test_any_block_with_a_right_checksum_is_read_or_refused(content, listed):
    blocks = [(b"z", content)]
    index = table(blocks) if listed else content + table([])[-48:]
    with pytest.raises(BundleError):
        read_tensors(index, DATA)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_any_entry_is_read_or_refused(first, value):
    for given_first in (header(), first):
        try:
            read_tensors(indexed(value, first=given_first), DATA)
        except BundleError:
            continue


def test_no_number_at_all_in_sizes_beyond_any_memory_is_refused():
    empty = entry(1, (0, 2**40, 2**40), 0, 0, masked_crc32c(b""))
    with pytest.raises(BundleError, match="has shape"):
        read_tensors(indexed(empty), b"")


@given(
    st.integers(0, 12),
    st.lists(st.integers(0, 2**64 - 1), max_size=9),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
)
def test_any_sizes_are_read_or_refused_without_reserving_memory(dtype, shape, offset, size):
    with pytest.raises(BundleError):
        read_tensors(indexed(entry(dtype, shape, offset, size, 1)), DATA, ["a"])
