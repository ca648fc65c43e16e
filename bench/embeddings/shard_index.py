"""The index of one space of the store, and the mending of what killed writers and bad disks leave.

The index is JSON lines: a heading, then a line a shard with its size, the digest of its header
(which names keys, types and shapes) and the checksum of each row. A shard counts once its line has
ended. Lines are appended; only mending and merging write the index anew, with another
``generation`` in its heading, by which readers see that they must start over.
"""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Sequence
from pathlib import Path

from earmark.bench.embeddings.shards import (
    SHARD_NAME,
    Damage,
    Shard,
    StoreError,
    fault_of,
    recover,
)
from earmark.datasets.files.atomic import TEMPORARY, write_whole

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
