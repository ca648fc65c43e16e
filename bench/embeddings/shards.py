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
import logging
import os
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from earmark.datasets.files.atomic_files import TEMPORARY, write_whole

Row = NDArray[np.floating[Any]]

SHARD_NAME = re.compile(r"shard-[0-9a-f]{16}\.safetensors")
DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2")}
"""Of safetensors."""
LARGEST_HEADER = 100_000_000
"""Bytes; the limit of the safetensors format."""


class StoreError(ValueError):
    """The store cannot be read or written; the message names the path and the fix."""


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


FORMAT = 1
INDEX = "index.jsonl"

_log = logging.getLogger(__name__)


class Index:
    """The index of one space, as far as it has been read; later lines win over earlier ones."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / INDEX
        self.faults: list[str] = []
        """Lines that cannot be read."""
        self.torn = False
        """Whether a writer died in the middle of a line."""
        self._rejected: set[tuple[str, str]] = set()
        self._forget()

    def _forget(self) -> None:
        self._heading = b""
        self.shards: dict[str, Shard] = {}
        self.where: dict[str, str] = {}
        """Name of the shard that holds a row, by key."""
        self._offset = 0

    def refresh(self) -> bool:
        """Read what other processes have added; True if the index was written anew meanwhile.

        Raises
        ------
        StoreError
            If another version of Earmark wrote it.
        """
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            anew = bool(self._heading)
            self._forget()
            return anew
        with file:
            heading = file.readline()
            anew = heading != self._heading or self.path.stat().st_size < self._offset
            if anew:
                self._forget()
                self._heading, self._offset = heading, len(heading)
                self._check(heading)
            file.seek(self._offset)
            added = file.read()
        whole = added[: added.rfind(b"\n") + 1]
        # Without its newline the last line is one that is being written, or whose writer died.
        self.torn = len(whole) < len(added)
        self._offset += len(whole)
        for line in whole.splitlines():
            try:
                self._take(Shard.from_line(line.decode()))
            except ValueError as error:
                self.faults.append(f"a line cannot be used, {error}: {line[:60]!r}")
        return anew

    def _check(self, heading: bytes) -> None:
        try:
            version = json.loads(heading)["format"]
        except (ValueError, KeyError, TypeError, RecursionError):
            self.faults.append(f"the heading cannot be read: {heading[:60]!r}")
            return
        if version != FORMAT:
            raise StoreError(
                f"{self.path}: format {version!r}, expected {FORMAT}; another version of Earmark "
                f"wrote it, so use that one or give another folder for the store"
            )

    def _take(self, shard: Shard) -> None:
        self.shards[shard.name] = shard
        for key in shard.rows:
            if (shard.name, key) not in self._rejected:
                self.where[key] = shard.name

    def reject(self, key: str) -> None:
        """Count a row as absent where it lies now; a later shard may bring it again."""
        self._rejected.add((self.where.pop(key), key))

    def live_rows(self) -> dict[str, list[str]]:
        """Return the keys that are to be read from each shard; shards with none are left out."""
        by_shard: dict[str, list[str]] = {}
        for key, name in self.where.items():
            by_shard.setdefault(name, []).append(key)
        return by_shard

    def append(self, shard: Shard) -> None:
        """Add a shard's line; the caller holds the lock and has refreshed.

        Raises
        ------
        OSError
            If it cannot be written. Half a line may be left, which counts for nothing.
        """
        if not self._heading:
            self.rewrite([*self.shards.values(), shard])
            return
        line = shard.line().encode() + b"\n"
        with self.path.open("r+b", buffering=0) as file:
            file.truncate(self._offset)  # what a writer that failed has left of its line
            file.seek(self._offset)
            written = 0
            while written < len(line):
                written += file.write(line[written:])
            os.fsync(file.fileno())
        self._offset += len(line)
        self._take(shard)

    def rewrite(self, shards: Sequence[Shard]) -> None:
        """Write the index anew with these shards, earliest first; the caller holds the lock.

        Raises
        ------
        OSError
            If it cannot be written; the index is then as before.
        """
        heading = json.dumps({"format": FORMAT, "generation": uuid.uuid4().hex})
        write_whole(self.path, "\n".join([heading, *(s.line() for s in shards), ""]).encode())
        self._forget()
        self.refresh()


def mend(folder: Path, space: str, index: Index) -> list[Damage]:
    """Put a space's folder in order, read its index, and return what was found damaged.

    Leftovers of killed writers go, shards that the index lacks are taken into it, and damaged ones
    are renamed to ``*.damaged``. The caller holds the lock, so no file can be in the making.

    Raises
    ------
    OSError
        If the folder cannot be written, e.g. on a read-only disk.
    """
    for leftover in folder.glob(f"{TEMPORARY}*"):
        _log.info("%s: removed, a writer was killed before it had finished", leftover)
        leftover.unlink(missing_ok=True)
    index.refresh()
    damage = [Damage(index.path, fault) for fault in index.faults]
    index.faults.clear()
    shards = dict(index.shards)
    live = index.live_rows()
    for name in index.shards:
        fault = fault_of(folder, shards[name])
        if fault is None:
            continue
        del shards[name]
        _set_aside(folder / name)
        if name in live:  # otherwise its rows have been made again since
            lost = f"{fault}; its {len(live[name])} rows are lost"
            damage.append(Damage(folder / name, lost))
    orphans, more = _orphans(folder, space, index)
    if damage or more or orphans or index.torn or shards.keys() != index.shards.keys():
        # Found shards come first: a row that the index knows by a later line wins over theirs.
        index.rewrite([*orphans, *shards.values()])
    return damage + more


def _orphans(folder: Path, space: str, index: Index) -> tuple[list[Shard], list[Damage]]:
    """Return whole shards that the index lacks, and those that cannot be used."""
    shards: list[Shard] = []
    damage: list[Damage] = []
    for path in sorted(folder.glob("shard-*")):
        if SHARD_NAME.fullmatch(path.name) is None or path.name in index.shards:
            continue
        try:
            shard = recover(path, space)
        except ValueError as error:
            _set_aside(path)
            damage.append(Damage(path, f"the index lacks it and {error}; set aside as *.damaged"))
            continue
        if shard.rows.keys() <= index.where.keys():
            _log.info("%s: removed, its %d rows are kept elsewhere", path, len(shard.rows))
            path.unlink()
        else:
            _log.info("%s: taken into the index, which lacked its line", path)
            shards.append(shard)
    return shards, damage


def _set_aside(path: Path) -> None:
    if path.exists():
        path.rename(path.with_name(f"{path.name}.damaged"))
