"""One kind of output of one model: what the store lacks is asked of the model, checked and kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from earmark.bench.embeddings.cost import Clock, Meter
from earmark.bench.embeddings.store import DType, Kind, Space, StoreError
from earmark.datasets.audio import AudioError
from earmark.datasets.base import first_ten
from earmark.models.base import ClipError, ModelCard, ModelError, in_words

Floats = NDArray[np.float32]
Progress = Callable[[int, int, str], None]
"""Called with how many items are done, how many there are, and of what."""
Item = TypeVar("Item")


class Refusal(str):
    """Why an item cannot be had, where what it is made from could not be had either."""

    __slots__ = ()


NORM_TOLERANCE = 1e-3
LOT_SECONDS = 10.0
"""The most work that may wait to be kept: what an interrupt loses, if no item takes longer."""


@dataclass(slots=True)
class Output(Generic[Item]):
    """Where one kind of output of a model is kept, and how the model is asked for it."""

    card: ModelCard
    kind: Kind
    space: Space
    dtype: DType
    dimension: int
    batch_size: int
    load: Callable[[Sequence[str]], Generator[tuple[str, Item | AudioError | Refusal]]]
    """Gives the items of keys, or why one cannot be had."""
    embed: Callable[[list[Item]], Iterable[Floats]]
    """Gives a row an item."""
    names: Mapping[str, str]
    """What to call the item of a key in messages."""
    progress: Progress | None
    refused: dict[str, str] = field(default_factory=dict)
    """Why the item of a key could not be had."""
    seconds: float | None = None
    meter: Meter | None = None
    """Of a model that listens: what its clips cost."""
    clock: Clock = time.perf_counter
    first_lot: int | None = None
    """Items in the first call, whose cost nobody knows yet; None: ``batch_size``."""
    trusted: Sequence[Space] = ()
    """Spaces of other code to read from, never to write to."""
    others: int = 0
    """How many rows came from them."""
    call: str = ""
    """The model's method, for messages."""

    def fill(self, keys: Sequence[str]) -> None:
        """Embed what the store lacks, and keep it."""
        missing = self.space.missing(keys)
        for other in self.trusted:
            missing = other.missing(missing)
        done = len(keys) - len(missing)
        self._report(done, len(keys))
        if not missing:
            return
        batch: dict[str, Item] = {}
        lot = self.first_lot or self.batch_size
        unkept = 0.0  # seconds of work since the last flush
        metered = self.meter.listening(self.space) if self.meter else nullcontext()
        with self.space, metered, closing(self.load(missing)) as loaded:
            for key, item in loaded:
                if isinstance(item, AudioError | Refusal):
                    self.refused[key] = str(item)
                    done += 1
                    self._report(done, len(keys))
                    continue
                batch[key] = item
                if len(batch) >= lot:
                    took = self._embed(batch)
                    done += len(batch)
                    self._report(done, len(keys))
                    unkept += took
                    lot = self._next_lot(len(batch), took)
                    if unkept + lot * took / len(batch) > LOT_SECONDS:
                        self.space.flush()
                        unkept = 0.0
                    batch = {}
            if batch:
                self._embed(batch)
                self._report(done + len(batch), len(keys))

    def _next_lot(self, items: int, seconds: float) -> int:
        """Return how many items to ask for at once: the batch, or fewer of a slow model's."""
        if seconds * self.batch_size <= LOT_SECONDS * items:
            return self.batch_size
        return max(1, int(items * LOT_SECONDS / seconds))

    def rows(self, keys: Sequence[str]) -> dict[str, Floats]:
        """Return the rows of all keys that are not refused, embedding anew what is damaged."""
        rows = self._kept(keys)
        lost = [key for key in keys if key not in rows and key not in self.refused]
        if lost:
            self.fill(lost)
            rows.update(self._kept(lost))
        for key in keys:
            if key in self.refused:
                continue
            if key not in rows:
                raise StoreError(
                    f"{self.space.folder}: the row of {self.names[key]} was written and cannot be "
                    f"read back; check the disk, or give another folder for the store"
                )
            if rows[key].shape[-1] != self.dimension:
                raise ModelError(
                    f"{self.card.id}: the store has {self.kind} of {rows[key].shape[-1]} numbers, "
                    f"the model now gives {self.dimension}; an adapter whose numbers change needs "
                    f"a new version on its card"
                )
        return {key: row.astype(np.float32, copy=False) for key, row in rows.items()}

    def _kept(self, keys: Sequence[str]) -> dict[str, Floats]:
        rows = self.space.get(keys)
        for other in self.trusted:
            found = other.get(key for key in keys if key not in rows)
            self.others += len(found)
            rows.update(found)
        return rows

    def warnings(self) -> tuple[str, ...]:
        """Return what of other code was read, and the damage that was found in the store."""
        told = [str(damage) for space in (self.space, *self.trusted) for damage in space.damage]
        if self.others:
            told.append(
                f"{self.card.id}: {self.others} {self.kind} were made by other code than there is "
                f"now, and trusted by the card (--trust-card)"
            )
        return tuple(told)

    def _report(self, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(done, total, f"{self.card.id}: {self.kind}")

    def _embed(self, batch: Mapping[str, Item]) -> float:
        """Ask the model, put what it gives, and return the seconds that it took."""
        try:
            rows, seconds = self._ask(batch)
        except ClipError as error:
            return self._refuse(batch, error)
        if len(rows) != len(batch):
            raise ModelError(
                f"{self.card.id}: gave {len(rows)} {self.kind} for {len(batch)} items "
                f"({self._called(batch)}), expected one each"
            )
        for key, row in zip(batch, rows, strict=True):
            self.space.put({key: self._checked(key, row)})
        return seconds

    def _refuse(self, batch: Mapping[str, Item], error: ClipError) -> float:
        """Note the item that the model cannot hear; of several, find it one by one."""
        if len(batch) > 1:
            return sum(self._embed({key: item}) for key, item in batch.items())
        for key in batch:
            self.refused[key] = f"{self.card.id} cannot hear it: {error}"
        return 0.0

    def _ask(self, batch: Mapping[str, Item]) -> tuple[list[Floats], float]:
        """Ask the model, and say in its errors what it was asked."""
        started = self.clock()
        try:
            rows = list(self.embed(list(batch.values())))
        except ClipError:
            raise
        except (Exception, SystemExit) as error:
            raise self._failed(batch, error) from error
        finally:
            seconds = self.clock() - started
            self.seconds = (self.seconds or 0.0) + seconds
        if self.meter is not None:
            self.meter.add(clips=len(batch), seconds=seconds)
        return rows, seconds

    def _failed(self, batch: Mapping[str, Item], error: BaseException) -> ModelError:
        """Return the error of a call; of several items, find the one that it fails on alone."""
        blamed: Mapping[str, Item] = batch
        for key, item in batch.items() if len(batch) > 1 else ():
            try:
                list(self.embed([item]))
            except ClipError:
                continue
            except (Exception, SystemExit) as own:
                blamed, error = {key: item}, own
                break
        where = f"{self.card.id}: {self.call or self.kind} of {self._called(blamed)}"
        return ModelError(f"{where}: {in_words(error)}")

    def _called(self, keys: Iterable[str]) -> str:
        return first_ten([self.names[key] for key in keys])

    def _checked(self, key: str, row: Floats) -> NDArray[np.floating[Any]]:
        """Return the row in the type it is kept in, if it is what the protocol promises."""
        axes = ("n_patches", self.dimension) if self.kind == "patches" else (self.dimension,)
        if (
            not isinstance(row, np.ndarray)
            or row.dtype != np.float32
            or row.ndim != len(axes)
            or row.shape[-1] != self.dimension
            or row.size == 0
        ):
            found = f"{getattr(row, 'dtype', type(row))} of shape {getattr(row, 'shape', '?')}"
            raise self._bad(key, found, f"NumPy float32 of shape {axes}")
        with np.errstate(over="ignore"):
            kept = row.astype(self.dtype)
        if not np.isfinite(kept).all():
            number = int(np.argmin(np.isfinite(kept)))
            raise self._bad(key, f"{row.flat[number]}", f"numbers that are finite in {self.dtype}")
        if self.kind in ("audio_vectors", "text_vectors"):
            norm = float(np.linalg.norm(row.astype(np.float64)))
            if abs(norm - 1) > NORM_TOLERANCE:
                raise self._bad(key, f"a vector of L2 norm {norm:.6g}", "unit norm within 0.001")
        return kept

    def _bad(self, key: str, found: str, expected: str) -> ModelError:
        return ModelError(
            f"{self.card.id}: {self.kind} of {self.names[key]}: expected {expected}, got {found}; "
            f"the adapter must be mended, nothing of this item is kept"
        )
