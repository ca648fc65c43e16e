"""What a file of audio is by its bytes, whatever its name says, and how long it says that it is."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

Span = tuple[int, int]
"""First byte, and the byte after the last."""

_FOREIGN = (
    (4, b"ftyp", "MPEG-4 (M4A, MP4, MOV or 3GP)"),
    (4, b"moov", "QuickTime"),
    (4, b"mdat", "QuickTime"),
    (0, b"\x1a\x45\xdf\xa3", "Matroska or WebM"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "ASF (WMA or WMV)"),
    (0, b"FLV\x01", "Flash video"),
    (0, b"\0\0\x01\xba", "an MPEG program stream"),
    (0, b"#!AMR", "AMR speech"),
    (0, b"DSD ", "DSF (DSD)"),
    (0, b"FRM8", "DSDIFF (DSD)"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"wvpk", "WavPack"),
    (0, b"MPCK", "Musepack"),
    (0, b"MP+", "Musepack"),
    (0, b"TTA1", "True Audio"),
    (0, b"tBaK", "TAK"),
    (0, b"ajkg", "Shorten"),
    (0, b"OFR ", "OptimFROG"),
    (0, b".RMF", "RealMedia"),
    (0, b".ra\xfd", "RealAudio"),
    (0, b"MThd", "MIDI, which is a score and no sound"),
    (0, b"\x0b\x77", "AC-3 (Dolby Digital)"),
    (0, b"\x7f\xfe\x80\x01", "DTS"),
)
"""Position, bytes and name of what libsndfile does not read."""
_NO_AUDIO = (
    (b"version https://git-lfs", "a pointer of Git LFS: run git lfs pull"),
    (b"/annex/objects/", "a pointer of git-annex: run git annex get"),
    (b"PK\x03\x04", "a ZIP archive: unpack it"),
    (b"\x1f\x8b\x08", "a gzip archive: unpack it"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\0\x05\x16\x07", "a macOS resource file (AppleDouble), not the song that it belongs to"),
    (b"<!DOCTYPE", "a web page: download the file again"),
    (b"<!doctype", "a web page: download the file again"),
    (b"<html", "a web page: download the file again"),
)
_W64 = bytes.fromhex("2e91cf11a5d628db04c10000"), bytes.fromhex("f3acd3118cd100c04f8edb8a")
"""The ends of Wave64's names: that of ``riff``, and that of all others."""
_RIFF64 = (b"RF64", b"BW64")
_UNKNOWN_32, _UNKNOWN_64 = 0x7FFF0000, 1 << 62
"""Sizes from here on, in 32 and in 64 bits, are placeholders of a program that wrote to a pipe."""


def refusal(head: bytes) -> str | None:
    """Return why a file that begins so is not read; None where it may be audio that is."""
    for at, magic, name in _FOREIGN:
        if head[at : at + len(magic)] == magic:
            return _convert(name)
    for magic, what in _NO_AUDIO:
        if head.lstrip(b"\xef\xbb\xbf\t\r\n ").startswith(magic):
            return f"not audio that can be decoded: it is {what}"
    if head[:4] in (b"RIFF", b"RIFX") and len(head) >= 12 and head[8:12] != b"WAVE":
        kind = head[8:12].decode("latin-1").strip()
        return _convert("AVI video" if kind == "AVI" else f"RIFF of the type {kind!r}")
    if _is_adts(head):
        return _convert("AAC (ADTS)")
    if head[:1] == b"\x56" and head[1:2] >= b"\xe0":
        return _convert("AAC (LOAS)")
    if len(head) > 376 and all(head[at] == 0x47 for at in (0, 188, 376)):
        return _convert("an MPEG transport stream")
    return None


def _convert(name: str) -> str:
    return (
        f"not audio that can be decoded: by its bytes it is {name}; convert it to WAV or FLAC, "
        f"e.g. with ffmpeg"
    )


def _is_adts(head: bytes) -> bool:
    """Return whether two frames of AAC follow each other (ISO/IEC 13818-7, section 6.2)."""
    at = 0
    for _ in range(2):
        frame = head[at : at + 7]
        if len(frame) < 7 or frame[0] != 0xFF or frame[1] & 0xF6 != 0xF0:
            return False
        at += (frame[3] & 3) << 11 | frame[4] << 3 | frame[5] >> 5
    return at > 0


def data_bytes(path: Path) -> tuple[int, int] | None:
    """Return where the samples begin and how many bytes of them the header promises.

    Of WAV, RF64, Wave64, AIFF, 8SVX and AU; None of others, and where the length is left open.
    """
    with path.open("rb") as file:
        found = _stated_data(file)
    return found if found is not None and 0 <= found[1] < _UNKNOWN_64 else None


def _stated_data(file: BinaryIO) -> tuple[int, int] | None:
    magic = file.read(12)
    if magic[:4] == b".snd":
        start, size = struct.unpack(">II", magic[4:])
        return start, _open_ended(size)
    if magic == b"riff" + _W64[0][:8]:
        return _wave64_data(file)
    if magic[:4] in (b"RIFF", *_RIFF64):
        return _find_chunk(file, "<")
    if magic[:4] in (b"RIFX", b"FORM"):
        return _find_chunk(file, ">")
    return None


def _find_chunk(file: BinaryIO, order: str) -> tuple[int, int] | None:
    """Return start and size of the chunk of samples; of RF64 the size is in the chunk ``ds64``."""
    long_size = 0
    while len(head := file.read(8)) == 8:
        name, size = struct.unpack(f"{order}4sI", head)
        if name in (b"data", b"SSND", b"BODY"):
            is_long = long_size > 0 and size == 0xFFFFFFFF
            return file.tell(), long_size if is_long else _open_ended(size)
        if name == b"ds64":
            fields = file.read(16)
            long_size = int.from_bytes(fields[8:], "little")
            size -= len(fields)
        file.seek(size + size % 2, 1)
    return None


def _open_ended(size: int) -> int:
    return size if size < _UNKNOWN_32 else _UNKNOWN_64


def _wave64_data(file: BinaryIO) -> tuple[int, int] | None:
    """Return start and size of Wave64's samples; its sizes count the 24 bytes before them."""
    file.seek(40)
    while len(head := file.read(24)) == 24:
        size = int.from_bytes(head[16:], "little")
        if head[:16] == b"data" + _W64[1]:
            return file.tell(), size - 24
        if size < 24:
            return None
        file.seek((size + 7) // 8 * 8 - 24, 1)
    return None


class FlacFile(io.RawIOBase):
    """A FLAC file, whose STREAMINFO is at ``at``, as if it did not say how many samples it has.

    libsndfile stops where the header says, though frames may go on; so it reads to their end.
    """

    def __init__(self, path: Path, at: int) -> None:
        self._file = path.open("rb")
        self._file.seek(at + 18)
        fields = int.from_bytes(self._file.read(8), "big")
        self.n_samples = fields & (1 << 36) - 1
        """Per channel, as its header says; 0: unknown."""
        self._patched = at + 18, (fields >> 36 << 36).to_bytes(8, "big")
        self._file.seek(0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from where reading stands."""
        start, wanted = self._file.tell(), memoryview(buffer).cast("B")
        n_read = self._file.readinto(wanted)
        at, patch = self._patched
        for place in range(max(at, start), min(at + len(patch), start + n_read)):
            wanted[place - start] = patch[place - at]
        return n_read

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        super().close()


class SpanFile(io.RawIOBase):
    """Spans of a file as a file of their own.

    libsndfile reads no more of an MP3 than the size of the file and of the first frame let it
    expect. An ``open_ended`` one therefore tells a size that is too great; it ends with its spans.
    """

    def __init__(self, path: Path, spans: Sequence[Span], *, open_ended: bool = False) -> None:
        self._file = path.open("rb")
        self._spans = tuple(spans)
        self._size = sum(stop - start for start, stop in self._spans)
        # The greatest bit rate of MPEG audio is 40 times the least.
        self._told = 64 * self._size + 4096 if open_ended else self._size
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from where reading stands; at the told end, where a tag may be, zeros."""
        wanted = memoryview(buffer).cast("B")
        if self._at >= self._size:
            at_told_end = self._told > self._size and self._at >= self._told - 128
            n_zeros = max(0, min(len(wanted), self._told - self._at)) if at_told_end else 0
            wanted[:n_zeros] = bytes(n_zeros)
            self._at += n_zeros
            return n_zeros
        n_read = passed = 0
        for start, stop in self._spans:
            room = min(len(wanted) - n_read, passed + stop - start - self._at)
            if room > 0:
                self._file.seek(start + self._at - passed)
                got = self._file.readinto(wanted[n_read : n_read + room])
                n_read += got
                self._at += got
            passed += stop - start
        return n_read

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._told)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        self._file.close()
        super().close()


class OggStream(NamedTuple):
    """One of the streams that follow each other in an Ogg file."""

    start: int
    stop: int
    ends: bool
    """Whether its last page is whole and marked as the end (RFC 3533, section 6)."""


def ogg_streams(path: Path) -> list[OggStream]:
    """Return the streams of an Ogg file, one after the other; several are called chained."""
    found: list[OggStream] = []
    start, begun, ends, stop = 0, False, False, 0
    for at, page_stop, flags, is_whole in _pages(path):
        if flags & 2 and begun:  # a first page behind others
            found.append(OggStream(start, at, ends))
            start, begun = at, False
        begun = begun or not flags & 2
        ends, stop = is_whole and bool(flags & 4), page_stop
    return [*found, OggStream(start, stop, ends)]


def _pages(path: Path) -> Iterator[tuple[int, int, int, bool]]:
    """Yield start, end and flags of each page, and whether the file holds all of it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        at = 0
        while at < size:
            file.seek(at)
            head = file.read(27)
            if head[:4] != b"OggS":
                near = head + file.read(1 << 16)
                following = near.find(b"OggS", 1)
                at += following if following > 0 else max(1, len(near) - 3)
                continue
            lengths = file.read(head[26]) if len(head) == 27 else b""
            stop = at + len(head) + len(lengths) + sum(lengths)
            is_whole = len(head) == 27 and len(lengths) == head[26] and stop <= size
            yield at, min(stop, size), head[5] if len(head) > 5 else 0, is_whole
            at = stop
