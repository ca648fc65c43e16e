"""Shards: the safetensors files in which a space of the store keeps its rows.

Conventions
-----------
* A shard is written whole under a temporary name, synced, renamed, and never changed. Its header
  carries the checksum of every row, so that it can be taken up where the index lacks it.
* A checksum covers the space, the key, the type and shape, and the bytes: a row that strayed from
  another model's folder fails as surely as a damaged one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from earmark.datasets.files.atomic import write_whole

Row = NDArray[np.floating[Any]]

SHARD_NAME = re.compile(r"shard-[0-9a-f]{16}\.safetensors")
DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2")}
"""Of safetensors."""
LARGEST_HEADER = 100_000_000
"""Bytes; the limit of the safetensors format."""


class StoreError(ValueError):
    """The store cannot be read or written; the message names the path and the mend."""


class Place(NamedTuple):
    """Where a row lies in its shard."""

    start: int
    length: int
    """Both in bytes."""
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


Layout = dict[str, Place]


def _json(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("it is not JSON") from error


@dataclass(frozen=True, slots=True)
class Damage:
    """Something in the store that is not as it was written; what it held counts as absent."""

    path: Path
    reason: str
    row: str | None = None
    """Key of the row; None where a whole file or a line of the index is meant."""

    def __str__(self) -> str:
        place = f"{self.path}: row {self.row}" if self.row is not None else str(self.path)
        return f"{place}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Shard:
    """What the index knows of one shard."""

    name: str
    size: int
    """Bytes of the file."""
    header: str
    """sha256 of the safetensors header."""
    rows: Mapping[str, str]
    """Checksum of each row, by key."""

    def line(self) -> str:
        """Return this shard's line of the index."""
        return json.dumps(
            {"shard": self.name, "size": self.size, "header": self.header, "rows": self.rows}
        )

    @classmethod
    def from_line(cls, line: str) -> Shard:
        """Return the shard of one line of the index.

        Raises
        ------
        ValueError
            If the line is not one that :meth:`line` writes.
        """
        entry = _json(line)
        if not isinstance(entry, dict) or set(entry) != {"shard", "size", "header", "rows"}:
            raise ValueError("it lacks the keys shard, size, header and rows")
        name, size, header, rows = entry["shard"], entry["size"], entry["header"], entry["rows"]
        if not isinstance(name, str) or SHARD_NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r} is not a shard's name")
        if not isinstance(size, int) or not isinstance(header, str) or not isinstance(rows, dict):
            raise ValueError("its size, header or rows are of another type")
        if not all(isinstance(checksum, str) for checksum in rows.values()):
            raise ValueError("a checksum is not a string")
        return cls(name, size, header, rows)


def row_checksum(space: str, key: str, row: Row) -> str:
    """Return the checksum of a row of the space with this digest, 32 hexadecimal digits."""
    digest = hashlib.sha256(f"{space}\n{key}\n{row.dtype.char}\n{row.shape}\n".encode())
    digest.update(np.ascontiguousarray(row).data)
    return digest.hexdigest()[:32]


def write_shard(folder: Path, space: str, rows: Mapping[str, Row]) -> Shard:
    """Write rows as a new shard of the space with this digest.

    Raises
    ------
    OSError
        If it cannot be written; nothing is left behind.
    """
    checksums = {key: row_checksum(space, key, row) for key, row in rows.items()}
    about = json.dumps({"space": space, "checksums": checksums})
    # safetensors writes the memory behind a strided view as it lies, so rows must be contiguous.
    content = save(
        {key: np.ascontiguousarray(row) for key, row in rows.items()}, metadata={"earmark": about}
    )
    name = f"shard-{uuid.uuid4().hex[:16]}.safetensors"
    write_whole(folder / name, content)
    end = 8 + int.from_bytes(content[:8], "little")
    return Shard(name, len(content), hashlib.sha256(content[8:end]).hexdigest(), checksums)


def _read_header(path: Path) -> bytes:
    """Return the header of a safetensors file: 8 bytes of length, little-endian, then JSON."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return file.read(min(length, LARGEST_HEADER))


def fault_of(folder: Path, shard: Shard) -> str | None:
    """Return what is wrong with a shard's size or header, or None; rows are not read."""
    path = folder / shard.name
    try:
        size = path.stat().st_size
        header = _read_header(path)
    except FileNotFoundError:
        return "the file is gone"
    if size != shard.size:
        return f"expected {shard.size} bytes, found {size}"
    if hashlib.sha256(header).hexdigest() != shard.header:
        return "the header is not the one that was written"
    return None


def recover(path: Path, space: str) -> Shard:
    """Return what a shard that the index lacks says of itself.

    Raises
    ------
    ValueError
        If the file is not a whole shard of this space.
    """
    header = _read_header(path)
    size = path.stat().st_size
    try:
        entries = _json(header)
        about = _json(entries.pop("__metadata__")["earmark"])
        if about["space"] != space:
            raise ValueError(f"it belongs to the space {about['space']}")
        checksums = {str(key): str(checksum) for key, checksum in about["checksums"].items()}
        ends = [int(entry["data_offsets"][1]) for entry in entries.values()]
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError("its header is not one that Earmark wrote") from error
    if set(entries) != set(checksums) or size != 8 + len(header) + max(ends, default=0):
        raise ValueError("it is not whole")
    return Shard(path.name, size, hashlib.sha256(header).hexdigest(), checksums)


def read_layout(folder: Path, shard: Shard) -> Layout:
    """Read where each row of a shard lies in its file.

    Raises
    ------
    FileNotFoundError
        If the shard is gone: another process may have merged it into another.
    ValueError
        If the header is not the one that was written.
    """
    header = _read_header(folder / shard.name)
    if hashlib.sha256(header).hexdigest() != shard.header:
        raise ValueError("the header is not the one that was written")
    entries = json.loads(header)
    layout: Layout = {}
    for key in shard.rows.keys() & entries.keys():
        start, end = entries[key]["data_offsets"]
        first = 8 + len(header)
        dtype = DTYPES[entries[key]["dtype"]]
        layout[key] = Place(first + start, end - start, dtype, tuple(entries[key]["shape"]))
    return layout


def read_rows(
    folder: Path, space: str, shard: Shard, layout: Layout, keys: Iterable[str]
) -> tuple[dict[str, Row], dict[str, str]]:
    """Read rows of one shard: those whose checksum holds, and why the others cannot be used.

    The file is read, not mapped: one that is cut meanwhile gives a short read, not a dead process.

    Raises
    ------
    FileNotFoundError
        As :func:`read_layout`.
    """
    rows: dict[str, Row] = {}
    faults: dict[str, str] = {}
    with (folder / shard.name).open("rb", buffering=0) as file:
        for key in keys:
            if key not in layout:
                faults[key] = "the shard does not hold it"
                continue
            start, length, dtype, shape = layout[key]
            content = bytearray(os.pread(file.fileno(), length, start))
            if len(content) < length:
                faults[key] = f"the file ends before byte {start + length}"
                continue
            row = np.frombuffer(content, dtype).reshape(shape)
            if row_checksum(space, key, row) == shard.rows[key]:
                rows[key] = row
            else:
                faults[key] = "its bytes do not match its checksum"
    return rows, faults
