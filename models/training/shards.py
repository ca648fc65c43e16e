"""The files of a prepared corpus: shards of int16 samples, and the index that says where clips lie.

Layout
------
::

    index.jsonl        a heading, a line a clip, a line a refused clip, the digest of all before
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

from earmark.datasets.base import DataError, fingerprint
from earmark.datasets.files.atomic import write_whole

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
        lines = [heading, *(each._asdict() for each in (*self.entries, *self.refused))]
        body = "".join(f"{_json(line)}\n" for line in lines).encode()
        last = _json({"sha256": hashlib.sha256(body).hexdigest()})
        write_whole(path, body + f"{last}\n".encode())

    @classmethod
    def read(cls, path: Path) -> Index:
        """Return the index of a corpus.

        Raises
        ------
        DataError
            If it is not as it was written, or another version of Earmark wrote it.
        """
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
