"""Each clip's and each text's output of a model, once: from the store, or else from the model.

Conventions
-----------
* A model's outputs are kept by its card and its code (:mod:`earmark.bench.embeddings.model_code`).
* Files are distinguished by their bytes and texts by their characters: what is identical is
embedded
  once, whatever it is called, and what the store has is neither decoded nor embedded.
* Results are read back from the store, so that a first run and a later one give the same numbers.
* A file that cannot be used is a *problem*, named in the result; the run goes on. A model's error
  ends it, and names the clips; what was made until then is kept.
* A model of several layers is asked for all of them at once (kind ``layers``, one row a clip); its
  own vector, the last layer's, is read from the same rows.
* Batches only bound the memory: no key and no number may depend on their size.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from earmark.bench.embeddings.cost import Clock, Meter, kept, supersedes, through_patches
from earmark.bench.embeddings.layers import joined, layers_in
from earmark.bench.embeddings.model_code import CODE, Code, code_of
from earmark.bench.embeddings.store import (
    DType,
    Kind,
    Space,
    Store,
    StoreError,
    audio_key,
    space_of,
    text_key,
)
from earmark.datasets.audio import AudioError, Waveform, decode_ahead, file_digest
from earmark.datasets.base import Clip, DataError, Progress, first_ten
from earmark.models.base import (
    ArousalValenceModel,
    AudioEmbedder,
    ClipError,
    KeptEmbedder,
    LayerEmbedder,
    ModelCard,
    ModelError,
    PatchEmbedder,
    PatchHead,
    TextEmbedder,
    dimensions_of,
    in_words,
    layers_of,
)
from earmark.reports.record.schema import Cost, ItemProblem

Floats = NDArray[np.float32]
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
    layers: Mapping[str, int] = field(default_factory=dict)
    """Of rows of several layers: their names and dimensions, in the order of a row."""

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
        for name, vector in self._units(row):
            norm = float(np.linalg.norm(vector.astype(np.float64)))
            if abs(norm - 1) > NORM_TOLERANCE:
                place = f" in layer {name!r}" if name else ""
                found = f"a vector of L2 norm {norm:.6g}{place}"
                raise self._bad(key, found, "unit norm within 0.001")
        return kept

    def _units(self, row: Floats) -> list[tuple[str, Floats]]:
        """Return the vectors of a row that must be of unit norm, each with its layer's name."""
        if self.kind == "layers":
            return list(layers_in(row, self.layers).items())
        return [("", row)] if self.kind in ("audio_vectors", "text_vectors") else []

    def _bad(self, key: str, found: str, expected: str) -> ModelError:
        return ModelError(
            f"{self.card.id}: {self.kind} of {self.names[key]}: expected {expected}, got {found}; "
            f"the adapter must be fixed, nothing of this item is kept"
        )


@dataclass(frozen=True, slots=True)
class Embedded:
    """One row an item that could be embedded, in the order they were given in."""

    ids: tuple[str, ...]
    """Clip ids, or the texts themselves."""
    rows: Floats
    """Shape ``(n_ids, dimension)``."""
    problems: tuple[ItemProblem, ...]
    """The clips that are not among ``ids``, and why."""
    warnings: tuple[str, ...]
    """Damage that was found in the store, and repaired by embedding again."""
    seconds: float | None
    """Wall time spent in the model; None where everything came from the store."""
    layers: Mapping[str, Floats] = field(default_factory=dict)
    """Of a model of several layers, the rows of each, ``(n_ids, its dimension)``; ``rows`` are
    those of the last."""


class Patches(Mapping[str, Floats]):
    """Patches by clip id, shape ``(n_patches, dimension)``, read from the store when asked for."""

    def __init__(
        self, output: Output[Waveform], keys: Mapping[str, str], problems: tuple[ItemProblem, ...]
    ) -> None:
        self._output = output
        self._keys = keys
        self.problems = problems
        """The clips that are not among the keys, and why."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Damage that was found in the store until now, and repaired by embedding again."""
        return self._output.warnings()

    @property
    def seconds(self) -> float | None:
        """Wall time spent in the model; None where everything came from the store."""
        return self._output.seconds

    def __getitem__(self, clip_id: str) -> Floats:
        key = self._keys[clip_id]
        rows = self._output.rows([key])
        if key not in rows:  # damaged since, and now its file is unreadable too
            raise DataError(f"clip {clip_id}: {self._output.refused[key]}")
        return rows[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


class Embeddings:
    """The outputs of models on clips and texts, kept in a store.

    Parameters
    ----------
    progress
        Called as work is done.
    workers
        Threads that read and decode ahead of the model.
    dtype
        Type in which rows are kept; ``float16`` halves the disk space at 3 significant digits.
    share
        Rank and number of the processes that share the work. Each embeds its own items and
        returns no others; when all are done, one with ``(0, 1)`` finds everything in the store.
    clock
        Gives seconds, for what listening costs.
    trust_card
        Read what other code made for a model of the same card, too; what is new is kept by code.
    """

    def __init__(
        self,
        store: Store,
        *,
        progress: Progress | None = None,
        workers: int = 4,
        dtype: DType = "float32",
        share: tuple[int, int] = (0, 1),
        clock: Clock = time.perf_counter,
        trust_card: bool = False,
    ) -> None:
        rank, size = share
        if not 0 <= rank < size:
            raise ValueError(f"share must be (rank, size) with 0 <= rank < size, got {share}")
        if workers < 1:
            raise ValueError(f"workers must be at least 1, got {workers}")
        self.store = store
        self._progress = progress
        self._workers = workers
        self._dtype: DType = dtype
        self._share = share
        self._clock = clock
        self.trust_card = trust_card
        self._codes: dict[tuple[int, ...], tuple[Sequence[Any], Code]] = {}
        self._meters: dict[str, Meter] = {}
        """By the identity of the space."""

    def audio_vectors(
        self, embedder: AudioEmbedder, clips: Sequence[Clip], *, batch_size: int = 8
    ) -> Embedded:
        """Return one vector a clip, shape ``(n_clips, dimension)``, and that of each layer.

        A model of several layers is asked for all at once.

        Raises
        ------
        ModelError
            If a vector is not finite, not of the declared dimension or not of unit norm.
        StoreError
            If the store cannot be read or written.
        DataError
            If two clips have the same id.
        """
        if isinstance(embedder, KeptEmbedder):
            return _by_id(embedder, clips)
        files = self._files(clips)
        if isinstance(embedder, LayerEmbedder) and layers_of(embedder):
            return self._layer_vectors(embedder, files, batch_size)
        output = self._listening(
            embedder,
            files,
            kind="audio_vectors",
            dimension=embedder.dimension,
            batch_size=batch_size,
            embed=embedder.embed_audio,
        )
        return _embedded(output, files.keys, files)

    def _layer_vectors(self, embedder: LayerEmbedder, files: _Files, batch_size: int) -> Embedded:
        layers = layers_of(embedder)
        if (last := list(layers)[-1]) and layers[last] != embedder.dimension:
            raise ModelError(
                f"{embedder.card.id}: its last layer {last!r} has {layers[last]} dimensions, "
                f"expected as many as the model has, {embedder.dimension}: what embed_audio gives "
                f"is the last layer's"
            )
        output = self._listening(
            embedder,
            files,
            kind="layers",
            dimension=sum(layers.values()),
            batch_size=batch_size,
            embed=lambda clips: joined(embedder.embed_layers(clips), layers, len(clips)),
        )
        output.layers = layers
        found = _embedded(output, files.keys, files)
        parts = layers_in(found.rows, layers)
        return replace(found, rows=parts[last], layers=parts)

    def text_vectors(
        self, embedder: TextEmbedder, texts: Sequence[str], *, batch_size: int = 32
    ) -> Embedded:
        """Return one vector a text, shape ``(n_texts, dimension)``; raises as `audio_vectors`."""
        keys = [(text, key) for text in texts if self._is_mine(key := text_key(text))]
        by_key = {key: text for text, key in keys}
        space = self._open([embedder], embedder.card, "text_vectors")
        output: Output[str] = Output(
            card=embedder.card,
            kind="text_vectors",
            space=space,
            trusted=self._trusted(space),
            dtype=self._dtype,
            dimension=embedder.dimension,
            batch_size=_positive(batch_size),
            load=lambda wanted: ((key, by_key[key]) for key in wanted),
            embed=embedder.embed_text,
            call=_CALLS["text_vectors"],
            first_lot=_first_lot(embedder, batch_size),
            names={key: repr(text[:60]) for key, text in by_key.items()},
            progress=self._progress,
            clock=self._clock,
        )
        return _embedded(output, keys, None)

    def av(
        self, model: ArousalValenceModel, clips: Sequence[Clip], *, batch_size: int = 1
    ) -> Embedded:
        """Return arousal and valence, shape ``(n_clips, 2)``; raises as `audio_vectors`."""
        files = self._files(clips)
        output = self._listening(
            model,
            files,
            kind="av",
            dimension=len(dimensions_of(model)),
            batch_size=batch_size,
            embed=model.predict_av,
        )
        return _embedded(output, files.keys, files)

    def av_from_patches(self, head: PatchHead, clips: Sequence[Clip]) -> Embedded:
        """Return arousal and valence, shape ``(n_clips, 2)``, of a head on kept patches.

        Clips are listened to only where the store lacks both the head's values and the patches;
        ``seconds`` counts both. Raises as `patches`.
        """
        files = self._files(clips)
        first = {key: name for name, key in reversed(files.keys)}
        listened: list[Patches] = []

        def load(wanted: Sequence[str]) -> Generator[tuple[str, Floats | Refusal]]:
            needed = [Clip(first[key], files.paths[key]) for key in wanted]
            found = self.patches(head.embedder, needed)
            listened.append(found)
            refused = {one.item: Refusal(one.reason) for one in found.problems}
            for key in wanted:
                yield key, refused[first[key]] if first[key] in refused else found[first[key]]

        card = self._card_on_patches(head)
        space = self._open([head, head.embedder], card, "av")
        output: Output[Floats] = Output(
            card=head.card,
            kind="av",
            space=space,
            trusted=self._trusted(space),
            dtype=self._dtype,
            dimension=2,
            batch_size=1,
            load=load,
            embed=lambda batch: [head.predict_av_from_patches(patches) for patches in batch],
            call="predict_av_from_patches",
            names=files.names(),
            progress=self._progress,
            meter=self._meter([head, head.embedder], card, "av"),
            clock=self._clock,
        )
        embedded = _embedded(output, files.keys, files)
        heard = [patches.seconds for patches in listened if patches.seconds is not None]
        own = [] if output.seconds is None else [output.seconds]
        return replace(
            embedded,
            seconds=sum(heard + own) if heard + own else None,
            warnings=tuple(
                dict.fromkeys(
                    [*embedded.warnings, *(text for p in listened for text in p.warnings)]
                )
            ),
        )

    def av_of(self, model: PatchHead | ArousalValenceModel, clips: Sequence[Clip]) -> Embedded:
        """Return arousal and valence, shape ``(n_clips, 2)``, of a head or of a whole model."""
        if isinstance(model, PatchHead):
            return self.av_from_patches(model, clips)
        return self.av(model, clips)

    def _parts(self, model: Any) -> tuple[list[Any], ModelCard]:
        """Return who works together for a model's numbers, and the card that decides them."""
        if isinstance(model, PatchHead):
            return [model, model.embedder], self._card_on_patches(model)
        return [model], model.card

    def _card_on_patches(self, head: PatchHead) -> ModelCard:
        """Return the head's card with the space it reads from: that decides its values too."""
        patches = space_of(head.embedder.card, kind="patches", dtype=self._dtype)
        read = {"patches_space": hashlib.sha256(patches.encode()).hexdigest()}
        return replace(head.card, preprocessing={**head.card.preprocessing, **read})

    def patches(self, embedder: PatchEmbedder, clips: Sequence[Clip]) -> Patches:
        """Return the patches of each clip, ``(n_patches, dimension)``, by clip id.

        All are embedded and kept before this returns; they are read one clip at a time after.

        Raises
        ------
        ModelError
            If a patch is not finite or not of the declared dimension, or a clip has none.
        """
        files = self._files(clips)
        output = self._listening(
            embedder,
            files,
            kind="patches",
            dimension=embedder.dimension,
            batch_size=1,
            embed=lambda heard: [embedder.embed_patches(clip) for clip in heard],
        )
        output.fill(list(dict.fromkeys(key for _, key in files.keys)))
        keys = {name: key for name, key in files.keys if key not in output.refused}
        return Patches(output, keys, files.problems(output.refused))

    def cost(self, model: Any) -> Cost | None:
        """Return what listening with a model costs; None where nobody has measured it.

        Measured in this run, or else by whoever filled the store: then ``measured`` says when. A
        head on patches is given with the network that makes them. Where a model has several kinds
        of output, the one that was measured on most clips counts.
        """
        models, card = self._parts(model)
        if isinstance(model, PatchHead):
            head = self._cost(models, card, "av")
            heard = self._cost([model.embedder], model.embedder.card, "patches")
            return through_patches(head, heard) if head and heard else None
        vectors: Kind = "layers" if layers_of(model) else "audio_vectors"
        kinds: tuple[Kind, ...] = (vectors, "patches", "av")
        found = [cost for kind in kinds if (cost := self._cost(models, card, kind))]
        return max(found, key=lambda cost: cost.clips, default=None)

    def code(self, model: Any, *, hears: bool = True) -> Code:
        """Return the code that makes a model's numbers, as it is when first asked for."""
        return self._code(self._parts(model)[0], hears)

    def _code(self, models: Sequence[Any], hears: bool) -> Code:
        key = (*map(id, models), hears)
        if key not in self._codes:
            self._codes[key] = (models, code_of(models, hears=hears))  # holds them: ids stay theirs
        return self._codes[key][1]

    def identity(self, models: Sequence[Any], card: ModelCard, kind: Kind) -> str:
        """Return the identity of what models that work together put out: a head and its
        embedder."""
        hears = kind != "text_vectors"
        rate = getattr(models[-1], "sample_rate", None) if hears else None
        return space_of(
            card,
            kind=kind,
            dtype=self._dtype,
            code=self._code(models, hears).digest,
            sample_rate=None if rate is None else int(rate),
            layers=layers_of(models[-1]) if kind == "layers" else None,
        )

    def space_name(self, model: Any) -> str:
        """Return what tells a model's outputs apart: equal for two that would share kept rows."""
        both, card = self._parts(model)
        if self.trust_card:
            return space_of(card, kind="av", dtype=self._dtype)
        return self.identity(both, card, "av")

    def _open(self, models: Sequence[Any], card: ModelCard, kind: Kind) -> Space:
        space = self.store.open(self.identity(models, card, kind))
        if not (space.folder / CODE).exists():
            self._code(models, kind != "text_vectors").keep(space)
        return space

    def _trusted(self, space: Space) -> tuple[Space, ...]:
        """Return the spaces of other code that a user who trusts the card reads, too."""
        return tuple(self.store.alike(space.identity)) if self.trust_card else ()

    def _cost(self, models: Sequence[Any], card: ModelCard, kind: Kind) -> Cost | None:
        space = self.identity(models, card, kind)
        meter = self._meters.get(space)
        new = None if meter is None else meter.cost()
        old = kept(self.store.folder(space))
        if old is None and self.trust_card:
            costs = (kept(other.folder) for other in self.store.alike(space))
            old = next((cost for cost in costs if cost is not None), None)
        return new if new is not None and supersedes(new, old) else old

    def _meter(self, models: Sequence[Any], card: ModelCard, kind: Kind) -> Meter:
        space = self.identity(models, card, kind)
        if space not in self._meters:
            self._meters[space] = Meter(models[0])
        return self._meters[space]

    def _is_mine(self, key: str) -> bool:
        rank, size = self._share
        return int(key[-16:], 16) % size == rank

    def _files(self, clips: Sequence[Clip]) -> _Files:
        """Find the key of each clip's file; a file is read once, whatever clips share it."""
        _check_unique(clips)
        paths = list(dict.fromkeys(clip.path for clip in clips if clip.path is not None))
        with ThreadPoolExecutor(self._workers) as readers:
            keys = dict(zip(paths, readers.map(_key_of, paths), strict=True))
        files = _Files([clip.id for clip in clips])
        for clip in clips:
            if clip.path is None:
                files.unread[clip.id] = "the dataset has no audio of this clip"
                continue
            key = keys[clip.path]
            if isinstance(key, Exception):
                files.unread[clip.id] = str(key)
            elif self._is_mine(key):
                files.keys.append((clip.id, key))
                files.paths.setdefault(key, clip.path)
        return files

    def _listening(
        self,
        model: AudioEmbedder | ArousalValenceModel | PatchEmbedder | LayerEmbedder,
        files: _Files,
        *,
        kind: Kind,
        dimension: int,
        batch_size: int,
        embed: Callable[[list[Waveform]], Iterable[Floats]],
    ) -> Output[Waveform]:
        def load(wanted: Sequence[str]) -> Generator[tuple[str, Waveform | AudioError]]:
            by_path = {files.paths[key]: key for key in wanted}
            for path, heard in decode_ahead(
                list(by_path), sample_rate=model.sample_rate, workers=self._workers
            ):
                yield by_path[path], heard

        space = self._open([model], model.card, kind)
        return Output(
            card=model.card,
            kind=kind,
            space=space,
            trusted=self._trusted(space),
            dtype=self._dtype,
            dimension=dimension,
            batch_size=_positive(batch_size),
            load=load,
            embed=embed,
            call=_CALLS[kind],
            first_lot=_first_lot(model, batch_size),
            names=files.names(),
            progress=self._progress,
            meter=self._meter([model], model.card, kind),
            clock=self._clock,
        )


@dataclass(slots=True)
class _Files:
    """The clips' files by key, and the clips that have none."""

    ids: list[str]
    keys: list[tuple[str, str]] = field(default_factory=list)
    """Clip id and key, in the order of the clips."""
    paths: dict[str, Path] = field(default_factory=dict)
    """The first path of each key."""
    unread: dict[str, str] = field(default_factory=dict)
    """Why a clip's file has no key."""

    def names(self) -> dict[str, str]:
        """Return what to call each key in messages: the first clip that has it."""
        return {key: f"clip {name}" for name, key in reversed(self.keys)}

    def problems(self, refused: Mapping[str, str]) -> tuple[ItemProblem, ...]:
        """Return the clips without a result, in order, given the keys without one."""
        reasons = dict(self.unread)
        reasons.update({name: refused[key] for name, key in self.keys if key in refused})
        return tuple(ItemProblem(item=n, reason=reasons[n]) for n in self.ids if n in reasons)


def _key_of(path: Path) -> str | Exception:
    try:
        return audio_key(file_digest(path))
    except (AudioError, OSError) as error:
        return error


_CALLS: Mapping[Kind, str] = {
    "audio_vectors": "embed_audio",
    "text_vectors": "embed_text",
    "patches": "embed_patches",
    "av": "predict_av",
    "layers": "embed_layers",
}


def _first_lot(model: Any, batch_size: int) -> int:
    """Return how many items to ask for first: of a model that may be slow, one.

    Earmark's own begin with a whole batch, so that their numbers are the same bits as ever.
    """
    return batch_size if type(model).__module__.startswith("earmark.") else 1


def _positive(batch_size: int) -> int:
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    return batch_size


def _embedded(
    output: Output[Item], keys: Sequence[tuple[str, str]], files: _Files | None
) -> Embedded:
    unique = list(dict.fromkeys(key for _, key in keys))
    output.fill(unique)
    rows = output.rows(unique)
    found = [(name, key) for name, key in keys if key in rows]
    return Embedded(
        ids=tuple(name for name, _ in found),
        rows=np.stack([rows[key] for _, key in found])
        if found
        else np.empty((0, output.dimension), np.float32),
        problems=files.problems(output.refused) if files is not None else (),
        warnings=output.warnings(),
        seconds=output.seconds,
    )


def _check_unique(clips: Sequence[Clip]) -> None:
    ids = Counter(clip.id for clip in clips)
    if twice := [name for name, times in ids.items() if times > 1]:
        raise DataError(f"clip ids must be unique, given more than once: {first_ten(twice)}")


def _by_id(embedder: KeptEmbedder, clips: Sequence[Clip]) -> Embedded:
    _check_unique(clips)
    rows = embedder.rows_of([clip.id for clip in clips])
    table = [np.asarray(rows[clip.id], np.float32) for clip in clips if clip.id in rows]
    problems = tuple(
        ItemProblem(item=clip.id, reason=f"{embedder.card.id} has no embedding of it")
        for clip in clips
        if clip.id not in rows
    )
    ids = tuple(clip.id for clip in clips if clip.id in rows)
    return Embedded(ids, np.stack(table), problems, (), None)
