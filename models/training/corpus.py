"""Prepared corpora: audio decoded once, read by memory map as crops of int16.

A corpus is a folder that :func:`earmark.models.training.prepare.prepare` wrote: shards of mono
int16 at one sample rate, and an index with each clip's id, captions, place, length and digest.

Layout
------
::

    index.jsonl        a heading, a line per clip, a line per refused clip, the digest of all before
    shard-00000.npy    NumPy's format, one dimension, little-endian int16: clips one after another
    ...

Until the index is there the corpus is unfinished, and these files stand in its place::

    plan.json          what is being prepared
    shard-00000.json   the lines of a shard's clips; without it the shard does not count

Clips stand in the order of their source and a shard ends behind the clip with which it reaches the
plan's size, so that the bytes of all files follow from the source alone. Lines are JSON. A clip's
place is counted in samples; its ``sha256`` is that of its bytes in the shard, ``source_sha256``
that of the file it was decoded from.
"""

from __future__ import annotations

import hashlib
import io
import json
import mmap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.base import DataError, fingerprint, first_ten
from earmark.datasets.files.atomic_files import write_whole


class Corpus:
    """One prepared corpus or several of one sample rate, clips counted from 0."""

    sample_rate: int
    """In Hz."""
    ids: tuple[str, ...]
    """Of the clips; with several corpora each is ``<folder>/<id>``."""
    n_samples: NDArray[np.int64]
    """Of each clip, shape ``(n_clips,)``."""
    digests: tuple[bytes, ...]
    """Of each clip's samples when they were written: sha256."""
    fingerprint: str
    """Digest of rate, ids, captions, lengths and the samples' digests, 64 hexadecimal digits."""
    sources: tuple[str, ...]
    """The name of each corpus's source."""
    synthetic: bool
    """Whether any of it is synthesised."""

    def __init__(self, folders: tuple[Path, ...]) -> None:
        """Open folders; :meth:`open` is the way to call this."""
        if not folders:
            raise DataError("no corpus is given: give at least one folder that was prepared")
        self._paths: list[Path] = []
        rates, fingerprints, sizes = list[int](), list[str](), list[int]()
        ids, captions, columns = list[str](), list[tuple[str, ...]](), list[tuple[int, int, int]]()
        digests = list[bytes]()
        self.sources, self.synthetic = (), False
        prefixes = [""] if len(folders) == 1 else _prefixes(folders)
        for folder, prefix in zip(folders, prefixes, strict=True):
            index = _read_index(folder)
            rates.append(index.plan.sample_rate)
            fingerprints.append(index.fingerprint)
            self.sources += (index.plan.source,)
            self.synthetic |= index.plan.synthetic
            first = len(self._paths)
            self._paths += [shard_path(folder, number) for number in range(len(index.shards))]
            sizes += index.shards
            ids += [prefix + entry.id for entry in index.entries]
            captions += [entry.captions for entry in index.entries]
            columns += [(first + e.shard, e.offset, e.n_samples) for e in index.entries]
            digests += [bytes.fromhex(entry.sha256) for entry in index.entries]
        self.sample_rate = _one_rate(folders, rates)
        self.fingerprint = fingerprints[0] if len(folders) == 1 else fingerprint(fingerprints)
        self.ids, self._captions, self.digests = tuple(ids), captions, tuple(digests)
        self._shard_of, self._offset, self.n_samples = np.array(columns, np.int64).T.copy()
        self._shards = _map_shards(self._paths, sizes)

    @classmethod
    def open(cls, *folders: Path | str) -> Corpus:
        """Open one corpus or join several, holding headers and sizes against the index.

        Raises
        ------
        DataError
            If a folder is no corpus or is not finished, the index or a shard is not as it was
            written (the shard is named), or the corpora differ in their sample rate.
        """
        return cls(tuple(Path(folder) for folder in folders))

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.ids)

    def captions(self, clip: int) -> tuple[str, ...]:
        """Return the captions of a clip; none where the corpus has none."""
        return self._captions[clip]

    def read(self, clip: int, start: int = 0, n_samples: int | None = None) -> Samples:
        """Return a read-only view of at most ``n_samples`` samples from ``start``.

        Fewer are returned where the clip ends; full scale is 32,768.
        """
        shard, begin, end = self._place(clip, start, n_samples)
        return shard.samples[begin:end]

    def read_ahead(self, clip: int, start: int = 0, n_samples: int | None = None) -> None:
        """Have the system fetch from the disk what :meth:`read` will be asked for; do not wait."""
        shard, begin, end = self._place(clip, start, n_samples)
        shard.read_ahead(begin, end)

    def _place(self, clip: int, start: int, n_samples: int | None) -> tuple[MappedShard, int, int]:
        available = int(self.n_samples[clip])
        if not 0 <= start <= available or (n_samples is not None and n_samples < 0):
            raise DataError(
                f"clip {self.ids[clip]} has {available} samples; cannot read {n_samples} from "
                f"{start}"
            )
        left = available - start
        begin = int(self._offset[clip]) + start
        end = begin + (left if n_samples is None else min(n_samples, left))
        return self._shards[self._shard_of[clip]], begin, end

    def verify(self, clips: Iterable[int] | None = None) -> None:
        """Read every sample of clips, all of them by default, and hold it against its digest.

        Raises
        ------
        DataError
            If a clip's samples are not those that were written; clip and shard are named.
        """
        for clip in range(len(self)) if clips is None else clips:
            samples = np.ascontiguousarray(self.read(clip))
            if hashlib.sha256(samples.data).digest() != self.digests[clip]:
                raise DataError(
                    f"{self._paths[self._shard_of[clip]]}: the samples of {self.ids[clip]} are not "
                    f"those that were written; delete the folder and prepare it again"
                )


def corpus_doubts(corpus: Corpus, of: str, *, batch_size: int = 0) -> list[str]:
    """Return whether captions or clips repeat in every batch of a size.

    Captions are compared as tokenisers see them: without case and spacing.
    """
    texts = [text for clip in range(len(corpus)) for text in corpus.captions(clip)]
    distinct = {
        "captions": (len({" ".join(text.lower().split()) for text in texts}), len(texts)),
        "clips": (len(set(corpus.digests)), len(corpus)),
    }
    found = []
    for name, (different, n) in distinct.items():
        if different == 1 and n > 1:
            raise DataError(
                f"{of}: all {n} {name} are the same"
                f"{f' ({texts[0][:60]!r})' if name == 'captions' else ''}: no pair can be told "
                f"from another, so that nothing can be learned or measured; is it the right "
                f"{'column' if name == 'captions' else 'folder'}?"
            )
        if 1 < different < min(batch_size, n):
            found.append(
                f"{of} has {different} different {name}, fewer than a batch of {batch_size}: "
                f"every batch repeats some, and their pairs are wrong answers to each other unless "
                f"training.mask_duplicate_captions is true; a smaller batch_size repeats fewer"
            )
    return found


def _read_index(folder: Path) -> Index:
    if (folder / INDEX).is_file():
        return Index.read(folder / INDEX)
    if (folder / PLAN).is_file():
        raise DataError(f"{folder}: not finished; the same `earmark prepare` goes on with it")
    raise DataError(f"{folder}: no corpus (it has no {INDEX}); make one with `earmark prepare`")


def _one_rate(folders: tuple[Path, ...], rates: list[int]) -> int:
    if len(set(rates)) > 1:
        pairs = zip(folders, rates, strict=True)
        shown = ", ".join(f"{folder} {rate} Hz" for folder, rate in pairs)
        raise DataError(f"corpora of several sample rates cannot be joined: {shown}")
    return rates[0]


def _prefixes(folders: tuple[Path, ...]) -> list[str]:
    names = [folder.resolve().name for folder in folders]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(f"corpora are named by their folders; twice {repeated[0]!r}")
    return [f"{name}/" for name in names]


def _map_shards(paths: list[Path], sizes: list[int]) -> list[MappedShard]:
    pairs = list(zip(paths, sizes, strict=True))
    faults = [f"{path}: {fault}" for path, size in pairs if (fault := shard_fault(path, size))]
    if faults:
        raise DataError(
            f"{first_ten(faults)}; restore it from a copy, or delete the folder and prepare anew"
        )
    return [MappedShard(path, size) for path, size in pairs]


Samples = NDArray[np.int16]
Line = dict[str, Any]

FORMAT = 1
INDEX = "index.jsonl"
PLAN = "plan.json"
FULL_SCALE = 32_768
"""The int16 value of 1.0."""
HEADER_BYTES = 128
"""Of a shard: NumPy pads the header so that a growing array keeps its length."""
_DTYPE = np.dtype("<i2")


class Plan(NamedTuple):
    """What a corpus is prepared from, and how; another plan needs another folder."""

    source: str
    source_fingerprint: str
    synthetic: bool
    n_clips: int
    """Of the source, refused ones included."""
    sample_rate: int
    """In Hz."""
    shard_bytes: int
    format: int = FORMAT


class Entry(NamedTuple):
    """A clip of the corpus."""

    id: str
    captions: tuple[str, ...]
    shard: int
    offset: int
    n_samples: int
    clipped: int
    """How many samples lay outside the range of int16."""
    sha256: str
    source_bytes: int
    source_sha256: str

    @classmethod
    def of(cls, line: Line) -> Entry:
        """Return the entry of a line of the index."""
        return cls(**{**line, "captions": tuple(line["captions"])})


class Refused(NamedTuple):
    """A clip of the source that cannot be used, and why."""

    id: str
    reason: str
    source_bytes: int | None
    """None where there was no file."""


@dataclass(frozen=True, slots=True)
class Part:
    """A finished shard of an unfinished corpus."""

    n_samples: int
    entries: tuple[Entry, ...]
    refused: tuple[Refused, ...]
    """Met while the shard was written."""

    @property
    def n_clips(self) -> int:
        """Of the source that are settled by this shard."""
        return len(self.entries) + len(self.refused)

    def write(self, path: Path) -> None:
        """Write the part under its name, whole."""
        content = {
            "n_samples": self.n_samples,
            "entries": [entry._asdict() for entry in self.entries],
            "refused": [one._asdict() for one in self.refused],
        }
        write_whole(path, (_json(content) + "\n").encode())

    @classmethod
    def read(cls, path: Path) -> Part | None:
        """Return the part, or None where there is none that can be read."""
        try:
            found = json.loads(path.read_bytes())
            entries = tuple(Entry.of(line) for line in found["entries"])
            refused = tuple(Refused(**one) for one in found["refused"])
            return cls(int(found["n_samples"]), entries, refused)
        except (OSError, ValueError, TypeError, KeyError):
            return None


@dataclass(frozen=True)
class Index:
    """All that is known of a finished corpus."""

    plan: Plan
    shards: tuple[int, ...]
    """Samples of each."""
    entries: Sequence[Entry]
    refused: Sequence[Refused]
    fingerprint: str = ""
    """Of rate, ids, captions, lengths and samples; not of the cut into shards."""

    def write(self, path: Path) -> None:
        """Write the index under its name, whole; the fingerprint is computed."""
        heading = {
            **self.plan._asdict(),
            "shards": self.shards,
            "n_entries": len(self.entries),
            "n_refused": len(self.refused),
            "fingerprint": content_fingerprint(self.plan.sample_rate, self.entries),
        }
        lines = [heading, *(entry._asdict() for entry in self.entries)]
        lines += [one._asdict() for one in self.refused]
        body = "".join(f"{_json(line)}\n" for line in lines).encode()
        last = _json({"sha256": hashlib.sha256(body).hexdigest()})
        write_whole(path, body + f"{last}\n".encode())

    @classmethod
    def read(cls, path: Path) -> Index:
        """Return the index of a corpus."""
        heading, *lines = _read_lines(path)
        n_entries = heading["n_entries"]
        return cls(
            plan=Plan(**{name: heading[name] for name in Plan._fields}),
            shards=tuple(heading["shards"]),
            entries=tuple(Entry.of(line) for line in lines[:n_entries]),
            refused=tuple(Refused(**line) for line in lines[n_entries:]),
            fingerprint=heading["fingerprint"],
        )


def _read_lines(path: Path) -> list[Line]:
    """Return an index's heading and lines, all of the format that this version writes."""
    body, _, last = path.read_bytes().rstrip(b"\n").rpartition(b"\n")
    body += b"\n"
    try:
        whole = json.loads(last) == {"sha256": hashlib.sha256(body).hexdigest()}
    except ValueError:
        whole = False
    if not whole:
        raise DataError(
            f"{path}: cut or changed after it was written; restore it from a copy, or delete the "
            f"folder and prepare it again"
        )
    # One text for the parser: a call for each of a quarter of a million lines takes far longer.
    lines: list[Line] = json.loads(b"[%b]" % body.rstrip(b"\n").replace(b"\n", b","))
    if (found := lines[0]["format"]) != FORMAT:
        raise DataError(
            f"{path}: format {found!r}, expected {FORMAT}; another version of "
            f"Earmark wrote it, so use that one or prepare the corpus again"
        )
    return lines


def content_fingerprint(sample_rate: int, entries: Iterable[Entry]) -> str:
    """Return the digest of what a model trained on these clips has seen."""
    lines = (_json([e.id, e.captions, e.n_samples, e.sha256]) for e in entries)
    return fingerprint(chain([str(sample_rate)], lines))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def shard_path(folder: Path, number: int) -> Path:
    """Return the path of a shard."""
    return folder / f"shard-{number:05d}.npy"


def part_path(folder: Path, number: int) -> Path:
    """Return the path of an unfinished corpus's lines of a shard."""
    return folder / f"shard-{number:05d}.json"


_AT_ONCE = 1 << 20
"""Samples that are quantised at once."""


def quantise(samples: NDArray[np.float32]) -> tuple[Samples, int]:
    """Return the nearest int16 samples, and how many lay outside the range and were clipped.

    >>> quantise(np.array([0.25, -1, 1], np.float32))
    (array([  8192, -32768,  32767], dtype=int16), 1)
    """
    low, high = -FULL_SCALE, FULL_SCALE - 1
    found, clipped = np.empty(samples.shape, _DTYPE), 0
    for start in range(0, len(samples), _AT_ONCE):  # of two hours, every copy is half a gigabyte
        block = slice(start, start + _AT_ONCE)
        scaled = np.rint(samples[block] * np.float32(FULL_SCALE))
        clipped += int(np.count_nonzero((scaled < low) | (scaled > high)))
        found[block] = np.clip(scaled, low, high)
    return found, clipped


def write_header(file: BinaryIO, n_samples: int) -> None:
    """Write a shard's header at the file's start."""
    file.seek(0)
    file.write(_header(n_samples))


def _header(n_samples: int) -> bytes:
    stream = io.BytesIO()
    layout = {"descr": _DTYPE.str, "fortran_order": False, "shape": (n_samples,)}
    np.lib.format.write_array_header_1_0(stream, layout)
    return stream.getvalue()


def shard_fault(path: Path, n_samples: int) -> str | None:
    """Return what is wrong with a shard's header or size, or None."""
    expected = HEADER_BYTES + n_samples * _DTYPE.itemsize
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
    except FileNotFoundError:
        return "no such file"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if size != expected:
        return f"{size:,} bytes, expected {expected:,}: cut or changed"
    if header != _header(n_samples):
        return "its header is not the one that was written: changed"
    return None


class MappedShard:
    """A shard's samples by memory map, read-only."""

    def __init__(self, path: Path, n_samples: int) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.samples: Samples = np.frombuffer(self._map, _DTYPE, n_samples, HEADER_BYTES)

    def read_ahead(self, begin: int, end: int) -> None:
        """Have the system read samples from the disk while the caller does something else."""
        if hasattr(mmap, "MADV_WILLNEED"):
            first, last = (HEADER_BYTES + _DTYPE.itemsize * at for at in (begin, end))
            first -= first % mmap.PAGESIZE
            self._map.madvise(mmap.MADV_WILLNEED, first, last - first)
