"""The store: embeddings and predictions on disk, so that audio is heard once a model.

Conventions
-----------
* A *space* holds the rows of one model, one kind of output and one type. Its identity is a JSON
  text of everything that decides the numbers, the digest of the code among it; the sha256 of the
  text names the folder, and the text lies in it as ``space.json``. Batch sizes, devices and paths
  are no part of it, and neither is what listening cost, which lies beside the rows as
  ``cost.json``, nor where the code was (``code.json``).
* A *row* is one vector, or one a patch, under a key: the sha256 of the audio file's bytes or of
  the text. Nothing needs decoding to find it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import filelock
import numpy as np

from earmark.bench.embeddings.shards import (
    Damage,
    Index,
    Layout,
    Row,
    Shard,
    StoreError,
    fault_of,
    mend,
    read_layout,
    read_rows,
    write_shard,
)
from earmark.datasets.files.atomic_files import room_left, write_whole
from earmark.models.base import ModelCard, ModelError

__all__ = [
    "DType",
    "Damage",
    "Kind",
    "Space",
    "Store",
    "StoreError",
    "audio_key",
    "space_of",
    "text_key",
]

Kind = Literal["audio_vectors", "text_vectors", "patches", "av", "layers"]
"""``layers``: one row a clip, the vectors of a model's layers one after the other."""
DType = Literal["float32", "float16"]


def text_key(text: str) -> str:
    """Return the key of a text; it meets no key of a file.

    >>> text_key("calm piano")[:13]
    'text:7bd1d9ad'
    """
    return f"text:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def audio_key(file_digest: str) -> str:
    """Return the key of an audio file with this sha256 of its bytes."""
    return f"audio:{file_digest}"


def space_of(
    card: ModelCard,
    *,
    kind: Kind,
    dtype: DType = "float32",
    code: str | None = None,
    sample_rate: int | None = None,
    layers: Mapping[str, int] | None = None,
) -> str:
    """Return the identity of a model's outputs of one kind: JSON with sorted keys.

    Parameters
    ----------
    code
        Digest of the code that makes them (:mod:`earmark.bench.embeddings.model_code`); None: by
        the card alone, as Earmark 0.1 did.
    sample_rate
        In Hz, at which the model hears; counts where there is ``code``.
    layers
        Names and dimensions in the order in which a row of kind ``layers`` has them.

    Raises
    ------
    ModelError
        If the card's preprocessing holds something else than strings, numbers and booleans.
    """
    for name, value in card.preprocessing.items():
        if not isinstance(name, str) or not isinstance(value, str | int | float):
            raise ModelError(
                f"{card.id}: preprocessing {name!r} is {value!r}, expected a string that names a "
                f"string, a number or a boolean, so that it can tell models apart"
            )
    identity: dict[str, Any] = {
        "adapter": card.id,
        "adapter_version": card.version,
        "weights": card.weights_digest,
        "preprocessing": dict(card.preprocessing),
        "crop_policy": card.crop_policy,
        "dtype": dtype,
        "output": kind,
    }
    if code is not None:
        identity |= {"code": code, "sample_rate": sample_rate}
    if layers:
        identity["layers"] = [[name, size] for name, size in layers.items()]
    try:
        return json.dumps(identity, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise ModelError(f"{card.id}: preprocessing must be finite numbers ({error})") from error


class Store:
    """A folder of spaces, one for each model, kind of output and type.

    Parameters
    ----------
    root
        Made when first written to.
    shard_rows, shard_bytes
        The most that one file may hold.
    flush_seconds
        How long a row may wait in memory, where a killed process would lose it.
    """

    def __init__(
        self,
        root: Path | str,
        *,
        shard_rows: int = 4096,
        shard_bytes: int = 64 * 2**20,
        flush_seconds: float = 10.0,
    ) -> None:
        self.root = Path(root)
        self._shard_rows, self._shard_bytes = shard_rows, shard_bytes
        self._flush_seconds = flush_seconds

    def space(self, card: ModelCard, *, kind: Kind, dtype: DType = "float32") -> Space:
        """Open, and if need be make, the space of a model's outputs of one kind.

        Raises
        ------
        StoreError
            If the folder cannot be opened, is another space's, or was written by another version.
        """
        return self.open(space_of(card, kind=kind, dtype=dtype))

    def alike(self, identity: str) -> Iterator[Space]:
        """Open the spaces of the same card and rate that other code filled, the newest first."""
        own = json.loads(identity)
        found = []
        for path in self.root.glob(f"*/{IDENTITY}"):
            other = _identity_in(path)
            if other is None or other == own:
                continue
            if {**own, "code": 0} == {"sample_rate": own["sample_rate"], **other, "code": 0}:
                found.append(path)
        for path in sorted(found, key=_last_written, reverse=True):
            yield self.open(path.read_text(encoding="utf-8"))

    def folder(self, identity: str) -> Path:
        """Return where the space of this identity is kept, whether it is there or not."""
        return self.root / hashlib.sha256(identity.encode()).hexdigest()

    def spaces(self) -> Iterator[Space]:
        """Open every space that is kept here, e.g. to verify it."""
        for path in sorted(self.root.glob(f"*/{IDENTITY}")):
            identity = path.read_text(encoding="utf-8", errors="replace")
            if hashlib.sha256(identity.encode()).hexdigest() != path.parent.name:
                raise StoreError(
                    f"{path}: its sha256 is not the folder's name; move the folder away, its rows "
                    f"may be another model's"
                )
            yield self.open(identity)

    def open(self, identity: str) -> Space:
        """Open, and if need be make, the space of an identity; raises `StoreError` as `space`."""
        return Space(
            self.folder(identity),
            identity,
            shard_rows=self._shard_rows,
            shard_bytes=self._shard_bytes,
            flush_seconds=self._flush_seconds,
        )


def _identity_in(path: Path) -> dict[str, Any] | None:
    """Return a space's identity, None where the file holds none or another folder's."""
    try:
        text = path.read_bytes()
        found = json.loads(text)
    except (OSError, ValueError):
        return None
    whole = hashlib.sha256(text).hexdigest() == path.parent.name
    return found if whole and isinstance(found, dict) else None


def _last_written(path: Path) -> float:
    return max(one.stat().st_mtime for one in path.parent.iterdir())


IDENTITY = "space.json"
LOCK = ".lock"
LOCK_SECONDS = 600.0
"""How long to wait for another process; merging shards may take a while on a slow disk."""
SMALL_SHARDS = 16
"""So many shards that are less than half full are merged when a space is closed."""

_log = logging.getLogger(__name__)


class Space:
    """The rows of one model, kind and type; a context manager that flushes at its end.

    Not for use by two threads at once; two processes open a space each.
    """

    def __init__(
        self,
        folder: Path,
        identity: str,
        *,
        shard_rows: int,
        shard_bytes: int,
        flush_seconds: float,
    ) -> None:
        self.folder = folder
        self.identity = identity
        self.digest = hashlib.sha256(identity.encode()).hexdigest()
        self.damage: list[Damage] = []
        """Everything found damaged since this space was opened."""
        self._dtype = np.dtype(json.loads(identity)["dtype"])
        self._shard_rows, self._shard_bytes = shard_rows, shard_bytes
        self._flush_seconds = flush_seconds
        self._buffer: dict[str, Row] = {}
        self._buffer_bytes = 0
        self._buffered_since = 0.0
        self._wrote = False
        self._index = Index(folder)
        self._layouts: dict[str, Layout] = {}
        self._lock = filelock.FileLock(folder / LOCK, timeout=LOCK_SECONDS)
        self._open()

    def __len__(self) -> int:
        return len(self._index.where.keys() | self._buffer.keys())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Rows made before any other error are good; a store that failed would only fail again.
        if not isinstance(error, StoreError):
            self.close()

    # Reading

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Return the keys that have no row yet, each once, in order."""
        self._refresh()
        held = self._index.where
        return [key for key in dict.fromkeys(keys) if key not in held and key not in self._buffer]

    def get(self, keys: Iterable[str]) -> dict[str, Row]:
        """Return the rows that are there and whole, by key, in the order of the keys."""
        keys = list(dict.fromkeys(keys))
        rows = {key: self._buffer[key].copy() for key in keys if key in self._buffer}
        rows.update(self._read(key for key in keys if key not in rows))
        return {key: rows[key] for key in keys if key in rows}

    def _read(self, keys: Iterable[str]) -> dict[str, Row]:
        rows: dict[str, Row] = {}
        keys = list(keys)
        by_shard: dict[str, list[str]] = {}
        for key in keys:
            if key in self._index.where:
                by_shard.setdefault(self._index.where[key], []).append(key)
        for name, wanted in by_shard.items():
            try:
                found, faults = self._read_from(self._index.shards[name], wanted)
            except FileNotFoundError:
                if self._refresh():  # another process has merged shards: look again
                    return rows | self._read(key for key in keys if key not in rows)
                found, faults = {}, dict.fromkeys(wanted, "the shard is gone")
            except OSError as error:
                raise self._error("read", error, name) from error
            rows.update(found)
            for key, reason in faults.items():
                self._report(Damage(self.folder / name, reason, key))
                self._index.reject(key)
        return rows

    def _read_from(
        self, shard: Shard, keys: Sequence[str]
    ) -> tuple[dict[str, Row], dict[str, str]]:
        if shard.name not in self._layouts:
            try:
                self._layouts[shard.name] = read_layout(self.folder, shard)
            except ValueError as error:
                return {}, dict.fromkeys(keys, str(error))
        return read_rows(self.folder, self.digest, shard, self._layouts[shard.name], keys)

    def verify(self) -> list[Damage]:
        """Check every shard and the checksum of every row, and return what is damaged now."""
        already = len(self.damage)
        self._refresh()
        self._check_shards()
        for keys in list(self._index.live_rows().values()):
            for start in range(0, len(keys), 256):  # bounds the memory
                self._read(keys[start : start + 256])
        return self.damage[already:]

    def _check_shards(self) -> None:
        """Count the rows of shards of the wrong size or header as absent."""
        for name, keys in self._index.live_rows().items():
            fault = fault_of(self.folder, self._index.shards[name])
            if fault is None:
                continue
            if self._refresh():  # another process has merged shards: look again
                self._check_shards()
                return
            self._report(Damage(self.folder / name, f"{fault}; its {len(keys)} rows are lost"))
            for key in keys:
                self._index.reject(key)

    # Writing

    def put(self, rows: Mapping[str, Row]) -> None:
        """Keep rows; one that is there already stays as it is.

        They are written by :meth:`flush`, which this calls when a shard is full or the oldest row
        has waited for the store's ``flush_seconds``.

        Raises
        ------
        StoreError
            If a row is not of the space's type or has not one or two axes, or on writing.
        """
        for key, row in rows.items():
            if row.dtype != self._dtype or row.ndim not in (1, 2):
                raise StoreError(
                    f"{self.folder}: row {key} is {row.dtype} of shape {row.shape}, expected "
                    f"{self._dtype} of shape (dimension,) or (n_patches, dimension)"
                )
            if key in self._index.where or key in self._buffer:
                continue
            if not self._buffer:
                self._buffered_since = time.monotonic()
            self._buffer[key] = np.array(row, order="C")
            self._buffer_bytes += row.nbytes
            if (
                len(self._buffer) >= self._shard_rows
                or self._buffer_bytes >= self._shard_bytes
                or time.monotonic() - self._buffered_since >= self._flush_seconds
            ):
                self.flush()

    def flush(self) -> None:
        """Write what was put; when this returns, it survives a killed process.

        Raises
        ------
        StoreError
            If it cannot be written. Rows written before are intact, and the others stay in
            memory, so that it may be tried again.
        """
        if not self._buffer:
            return
        try:
            with self.locked():
                self._refresh()
                new = {k: row for k, row in self._buffer.items() if k not in self._index.where}
                for part in self._parts(new.items()):
                    self._add(part)
                    self._wrote = True
        except OSError as error:
            raise self._error("write", error) from error
        self._buffer = {}
        self._buffer_bytes = 0

    def close(self) -> None:
        """Flush, and merge small shards where there are many."""
        self.flush()
        if self._wrote and len(self._small_shards()) >= SMALL_SHARDS:
            try:
                self.compact()
            except StoreError as error:  # every row is written; only the tidying failed
                _log.warning("%s", error)

    def compact(self) -> None:
        """Merge shards that are less than half full or hold rows that no longer count.

        Raises
        ------
        StoreError
            If it cannot be written; nothing is lost.
        """
        self.flush()
        try:
            with self.locked():
                self._refresh()
                old = self._small_shards()
                if not old:
                    return
                live = self._index.live_rows()
                rows = (
                    (k, row) for name in old for k, row in self._read(live.get(name, ())).items()
                )
                self._replace(old, self._parts(rows))
        except OSError as error:
            raise self._error("merge the shards of", error) from error

    def _replace(self, old: Sequence[str], parts: Iterable[Mapping[str, Row]]) -> None:
        shards = [shard for name, shard in self._index.shards.items() if name not in old]
        new: list[Shard] = []
        try:
            for part in parts:
                new.append(write_shard(self.folder, self.digest, part))
            self._index.rewrite([*shards, *new])
        except OSError:
            for shard in new:
                (self.folder / shard.name).unlink(missing_ok=True)
            raise
        for name in old:
            (self.folder / name).unlink(missing_ok=True)

    def _small_shards(self) -> list[str]:
        """Return the shards that merging would make fewer or fuller."""
        live = self._index.live_rows()
        dead, small = [], []
        for name, shard in self._index.shards.items():
            if len(live.get(name, ())) < len(shard.rows):
                dead.append(name)
            elif len(shard.rows) < self._shard_rows / 2 and shard.size < self._shard_bytes / 2:
                small.append(name)
        return dead + small if dead or len(small) > 1 else []

    def _parts(self, rows: Iterable[tuple[str, Row]]) -> Iterator[dict[str, Row]]:
        """Cut rows into shards of at most so many rows and, unless one row is more, bytes."""
        part: dict[str, Row] = {}
        size = 0
        for key, row in rows:
            if part and (len(part) >= self._shard_rows or size + row.nbytes > self._shard_bytes):
                yield part
                part, size = {}, 0
            part[key] = row
            size += row.nbytes
        if part:
            yield part

    def _add(self, rows: Mapping[str, Row]) -> None:
        shard = write_shard(self.folder, self.digest, rows)
        try:
            self._index.append(shard)
        except OSError:
            (self.folder / shard.name).unlink(missing_ok=True)
            raise

    # Opening, locking, reporting

    def _open(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self.locked():
                self._claim()
                for damage in mend(self.folder, self.digest, self._index):
                    self._report(damage)
        except OSError as error:
            if not (self.folder / IDENTITY).exists():
                raise self._error("open", error) from error
            # A read-only or full disk: what is there can be read, and writing will say why not.
            _log.warning("%s: opened for reading only (%s)", self.folder, error)
            self._claim()
            self._refresh()
            self._check_shards()
        if self._index.where:  # the newest row is the one that a failing machine loses
            self._read([next(reversed(self._index.where))])

    def _claim(self) -> None:
        """Make sure that the folder is this space's."""
        path = self.folder / IDENTITY
        expected = self.identity.encode()
        try:
            found = path.read_bytes()
        except FileNotFoundError:
            write_whole(path, expected)
            return
        if found != expected:
            raise StoreError(
                f"{path}: this folder is kept for\n{self.identity}\nbut the file says\n"
                f"{found.decode(errors='replace')}\nMove the folder away; its rows may be another "
                f"model's"
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other writers out; raises `StoreError` if one stays in for too long."""
        try:
            self._lock.acquire()
        except filelock.Timeout as error:
            raise StoreError(
                f"{self.folder / LOCK}: another process has held it for {LOCK_SECONDS:.0f} s; end "
                f"that process or wait for it"
            ) from error
        try:
            yield
        finally:
            self._lock.release()

    def _refresh(self) -> bool:
        anew = self._index.refresh()
        while self._index.faults:
            self._report(Damage(self._index.path, self._index.faults.pop(0)))
        return anew

    def _report(self, damage: Damage) -> None:
        if damage not in self.damage:
            self.damage.append(damage)
            _log.warning("%s", damage)

    def _error(self, what: str, error: OSError, name: str = "") -> StoreError:
        return StoreError(
            f"cannot {what} {self.folder / name}: {error.strerror or error}"
            f"{room_left(error, self.folder)}; what was kept before is intact. Make room, "
            f"see to the permissions, or give another folder for the store"
        )
