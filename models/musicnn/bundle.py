"""TensorFlow 1 checkpoints ("tensor bundles"), read without TensorFlow; bounds, checksums checked.

A bundle is an index, a table of LevelDB's format, and data, the tensors' bytes one after another.
The table ends with a footer of 48 bytes that says where its block of blocks is. A block is a list
of keys and values, in which a key leaves out what it shares with the one before it; its kind (0:
not compressed) and checksum follow. The value of the empty key is a ``BundleHeaderProto``, each
other one the ``BundleEntryProto`` of the tensor with that name: dtype, shape, offset and size in
the data, checksum. Checksums are CRC-32C, rotated and shifted.

No code is run and no pickle read. Sources: github.com/google/leveldb, doc/table_format.md;
tensorflow/core/protobuf/tensor_bundle.proto.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.models.base import ModelError
from earmark.models.support.protobuf import fields, message, number, varint

_FOOTER, _TRAILER = 48, 5
_MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
_NOT_COMPRESSED = 0
_N_SHARDS, _ENDIANNESS = 1, 2
_DTYPE, _SHAPE, _SHARD, _OFFSET, _SIZE, _CHECKSUM, _SLICES = 1, 2, 3, 4, 5, 6, 7
_DIM, _DIM_SIZE = 2, 1
_DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8"}
"""Numbers of tensorflow/core/framework/types.proto: the types that weights and counters have."""
_MOST_DIMENSIONS = 8
_MASK_DELTA, _32_BITS = 0xA282EAD8, 0xFFFFFFFF


class BundleError(ModelError):
    """A checkpoint is damaged, cut, or of a kind that is not read."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where one tensor lies in the data, and what it is."""

    dtype: str
    """As NumPy names it, e.g. ``<f4``."""
    shape: tuple[int, ...]
    offset: int
    size: int
    """In bytes."""
    checksum: int


def read_index(index: bytes) -> dict[str, Entry]:
    """Return the tensors of a bundle's index by name; those of text and the like are left out.

    Raises
    ------
    BundleError
        If the index is damaged or cut, compressed, or speaks of several data files.
    """
    try:
        return _read_index(memoryview(index))
    except BundleError:
        raise
    except ValueError as error:
        raise BundleError(f"the index of the checkpoint is damaged: {error}") from error


def read_tensors(
    index: bytes, data: bytes, names: Collection[str] | None = None
) -> dict[str, NDArray[np.generic]]:
    """Return tensors of a bundle by name.

    Parameters
    ----------
    index, data
        The contents of ``<prefix>.index`` and of ``<prefix>.data-00000-of-00001``.
    names
        Which tensors; None: all. An optimizer's moments are twice the weights.

    Raises
    ------
    BundleError
        If either is damaged or cut, or a name is not there.
    """
    entries = read_index(index)
    wanted = list(entries) if names is None else list(names)
    if missing := [name for name in wanted if name not in entries]:
        raise BundleError(f"the checkpoint has no tensor {missing[0]!r}; it has {len(entries)}")
    return {name: _tensor(name, entries[name], memoryview(data)) for name in wanted}


def _tensor(name: str, entry: Entry, data: memoryview) -> NDArray[np.generic]:
    end = entry.offset + entry.size
    if end > len(data):
        raise BundleError(
            f"the data of the checkpoint ends at byte {len(data)}, tensor {name!r} at {end}: it is "
            f"cut, or of another checkpoint"
        )
    content = data[entry.offset : end]
    if (found := masked_crc32c(content)) != entry.checksum:
        raise BundleError(
            f"tensor {name!r} has the checksum {found:08x}, its index says {entry.checksum:08x}: "
            f"the data is damaged, or of another checkpoint"
        )
    try:
        return np.frombuffer(content, entry.dtype).reshape(entry.shape).copy()
    except ValueError as error:  # no number at all, in sizes beyond any memory
        raise BundleError(f"tensor {name!r} has shape {entry.shape}: {error}") from error


def _read_index(index: memoryview) -> dict[str, Entry]:
    if len(index) < _FOOTER or index[-8:] != _MAGIC:
        raise BundleError(
            f"{len(index)} bytes that do not end as the index of a TensorFlow checkpoint does: "
            f"damaged, cut, or another file"
        )
    footer = index[-_FOOTER:]
    _, at = _handle(footer, 0)  # of a block of statistics that TensorFlow leaves empty
    blocks, _ = _handle(footer, at)
    found: dict[bytes, memoryview] = {}
    for _, where in _items(_block(index, blocks)):
        handle, _ = _handle(where, 0)
        for key, value in _items(_block(index, handle)):
            if key in found:
                raise ValueError(f"the key {key!r} stands twice")
            found[key] = value
    if b"" not in found:
        raise ValueError("it has no header")
    _check_header(found.pop(b""))
    entries = ((key.decode(), _entry(value)) for key, value in found.items())
    return {name: entry for name, entry in entries if entry is not None}


def _check_header(header: memoryview) -> None:
    said = {field: number(value) for field, value in fields(header) if field <= _ENDIANNESS}
    if said.get(_N_SHARDS, 0) != 1:
        raise BundleError(f"a checkpoint of {said.get(_N_SHARDS, 0)} data files, expected one")
    if said.get(_ENDIANNESS, 0):
        raise BundleError("a checkpoint of big-endian numbers, expected little-endian ones")


def _entry(value: memoryview) -> Entry | None:
    found = dict(fields(value))
    dtype = _DTYPES.get(number(found.get(_DTYPE, 0)))
    if dtype is None:  # e.g. text
        return None
    if _SLICES in found or number(found.get(_SHARD, 0)):
        raise BundleError("a checkpoint whose tensors are in several parts, expected whole ones")
    shape = tuple(_sizes(message(found.get(_SHAPE, b""))))
    offset, size = number(found.get(_OFFSET, 0)), number(found.get(_SIZE, 0))
    if math.prod(shape) * np.dtype(dtype).itemsize != size:
        raise ValueError(f"a tensor of shape {shape} and type {dtype} has {size} bytes")
    return Entry(dtype, shape, offset, size, number(found.get(_CHECKSUM, 0)))


def _sizes(shape: memoryview) -> Iterator[int]:
    dimensions = [message(value) for field, value in fields(shape) if field == _DIM]
    if len(dimensions) > _MOST_DIMENSIONS:
        raise ValueError(f"a tensor of {len(dimensions)} dimensions")
    for dimension in dimensions:
        yield number(dict(fields(dimension)).get(_DIM_SIZE, 0))


def _handle(data: memoryview, at: int) -> tuple[tuple[int, int], int]:
    """Return offset and size of a block, and where what follows the two numbers begins."""
    offset, at = varint(data, at)
    size, at = varint(data, at)
    return (offset, size), at


def _block(index: memoryview, handle: tuple[int, int]) -> memoryview:
    offset, size = handle
    end = offset + size
    if end + _TRAILER > len(index) - _FOOTER:
        raise ValueError(f"a block ends at byte {end} of {len(index)}")
    if index[end] != _NOT_COMPRESSED:
        raise BundleError(
            f"its index is compressed (kind {index[end]}), which TensorFlow does not do by default "
            f"and which is not read"
        )
    said = number(index[end + 1 : end + _TRAILER])
    if (found := masked_crc32c(index[offset : end + 1])) != said:
        raise ValueError(f"a block has the checksum {found:08x}, it says {said:08x}")
    return index[offset:end]


def _items(block: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield keys and values of a block; the list of whole keys at its end is not used."""
    if len(block) < 4:
        raise ValueError(f"a block of {len(block)} bytes")
    end = len(block) - 4 - 4 * number(block[-4:])
    if end < 0:
        raise ValueError("a block is shorter than its own list of restarts")
    entries, at, key = block[:end], 0, b""
    while at < end:
        shared, at = varint(entries, at)
        rest, at = varint(entries, at)
        size, at = varint(entries, at)
        if shared > len(key) or at + rest + size > end:
            raise ValueError(f"an entry goes beyond its block of {end} bytes")
        key = key[:shared] + bytes(entries[at : at + rest])
        at += rest
        yield key, entries[at : at + size]
        at += size


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_TABLE = _crc_table()


def crc32c(data: bytes | memoryview) -> int:
    """Return the CRC-32C (Castagnoli) of bytes; RFC 3720, appendix B.4.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    table, crc = _TABLE, _32_BITS
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ _32_BITS


def masked_crc32c(data: bytes | memoryview) -> int:
    """Return a CRC-32C as LevelDB and TensorFlow store it: rotated by 15 bits, plus a constant."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & _32_BITS
