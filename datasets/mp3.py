"""Where the frames of MPEG audio are in a file, and how much sound they hold.

libsndfile takes the length of an MP3 without a Xing or Info header from the size of its first
frame, reads one stream of several that were joined, and takes whatever stands before a frame for
one. The frame headers (ISO/IEC 11172-3, section 2.4.1.3) tell where the streams are, and their true
length.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Lock
from typing import NamedTuple

from earmark.datasets.containers import Span

_RATES_HZ = (44100, 48000, 32000)
"""Of MPEG 1; MPEG 2 has the half and MPEG 2.5 the quarter."""
_KBPS_MPEG1 = {
    1: (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
"""By layer."""
_KBPS_MPEG2 = {
    1: (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    3: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_DIVISOR = {3: 1, 2: 2, 0: 4}
"""Of the sampling rate, by the header's two version bits; 1 is reserved."""
_SAME_STREAM = 0xFFFE0C00
"""The bits of a header that do not change in a stream: version, layer, sampling rate."""
_IN_A_ROW = 3
"""Frames one after the other that prove a stream; fewer where the file or a tag ends them."""
_FURTHEST = 1 << 24
"""Bytes after which no first frame is looked for any more."""
_JUNK_SHARE = 0.2
"""Of a stream's bytes: as many may stand around one that does not tell its own length."""


@dataclass(slots=True)
class Mp3Stream:
    """Frames of one version, layer and sampling rate, without what stands between them."""

    kind: int
    """The bits of their headers that all have in common."""
    sample_rate: int
    """In Hz."""
    samples_per_frame: int
    stated: int = 0
    """Frames that its Xing or Info header counts; 0 where there is no count."""
    header_bytes: int = 0
    """Of that header, which is a frame without sound."""
    n_frames: int = 0
    """That were found, the header's own not counted."""
    spans: list[Span] = field(default_factory=list)
    """Where they are, the header's own among them."""
    lost: int = 0
    """Bytes between frames that are neither frames nor a tag."""

    @property
    def is_counted(self) -> bool:
        """Whether its header tells how long it is: a decoder then cuts what an encoder added."""
        return self.stated > 0 and self.n_frames <= self.stated + 2

    @property
    def sounding(self) -> list[Span]:
        """The spans that are decoded: all, or without the header where that counts wrongly."""
        (start, stop), *others = self.spans
        return [(start if self.is_counted else start + self.header_bytes, stop), *others]

    @property
    def n_samples(self) -> int:
        """Per channel, in all frames that were found."""
        return self.n_frames * self.samples_per_frame

    @property
    def n_bytes(self) -> int:
        """In all frames."""
        return sum(stop - start for start, stop in self.spans)

    @property
    def lost_seconds(self) -> float:
        """Of sound, as much as frames of the mean size hold in the place of the lost bytes."""
        return self.lost / self.n_bytes * self.n_samples / self.sample_rate


@dataclass(slots=True)
class Mp3:
    """The streams of a file, one after the other, and the bytes around them."""

    streams: list[Mp3Stream] = field(default_factory=list)
    before: int = 0
    """Bytes before the first frame that are no tag."""
    after: int = 0
    """Bytes after the last frame that are neither a tag nor text."""
    is_plain: bool = False
    """Whether it is one counted stream, with nothing around it but an ID3 tag at either end."""

    def fault(self, tolerance_s: float) -> str | None:
        """Return what is wrong with it, beyond ``tolerance_s`` seconds of sound; None: nothing."""
        first, last = self.streams[0], self.streams[-1]
        for stream in self.streams:
            if stream.lost_seconds > tolerance_s:
                return f"damaged: {stream.lost} bytes in its middle are no frames; copy it again"
            if stream.sample_rate != first.sample_rate:
                rates = f"{first.sample_rate} and {stream.sample_rate} Hz"
                return f"joined of streams at {rates}; re-encode it at one rate"
        known = sum(stream.n_bytes for stream in self.streams)
        for junk, stream, where in ((self.before, first, "before"), (self.after, last, "after")):
            if junk > _JUNK_SHARE * known and not stream.is_counted:
                return (
                    f"cut or damaged: beside {known} bytes of frames, {junk} bytes {where} them "
                    f"are no sound; copy it again"
                )
        return None


def find_streams(data: bytes) -> Mp3:
    """Return the streams of MPEG audio in the bytes of a file: none where there is no frame."""
    found = Mp3()
    counts = _counting_frames(data)
    at = 0
    while True:
        limit = len(data) if found.streams else min(len(data), at + _FURTHEST)
        start, passed = _next_stream(data, at, limit)
        if start is None:
            break
        if not found.streams:
            found.before = 0 if data[:3] == b"ID3" else passed
            found.is_plain = start in (0, end_of_id3(data, 0, footer=False))
        at = _take_frames(data, start, passed, counts, found.streams)
    if found.streams:
        rest = data[at:]
        found.after = 0 if _is_text(rest) else _untagged(rest)
        whole = len(found.streams) == 1 == len(found.streams[0].spans)
        tagged = rest[:3] in (b"", b"TAG") and len(rest) in (0, 128)
        found.is_plain &= whole and tagged and found.streams[0].is_counted
    return found


def _take_frames(
    data: bytes, at: int, passed: int, counts: dict[int, int], streams: list[Mp3Stream]
) -> int:
    """Add the unbroken frames from ``at`` on to the streams; return where they end."""
    kind = int.from_bytes(data[at : at + 4], "big") & _SAME_STREAM
    stream = streams[-1] if streams and streams[-1].kind == kind else None
    lost, start = passed, at
    while (frame := _frame(data, at, kind)) and at + frame.n_bytes <= len(data):
        if stream is None or at in counts:
            if stream is not None and start < at:
                stream.spans.append((start, at))
            stream = Mp3Stream(kind, frame.sample_rate, frame.n_samples)
            streams.append(stream)
            lost, start = 0, at
        if at in counts:
            stream.stated, stream.header_bytes = counts[at], frame.n_bytes
        else:
            stream.n_frames += 1
        at += frame.n_bytes
    if stream is not None:
        stream.lost += lost
        stream.spans.append((start, at))
    return at


def _next_stream(data: bytes, at: int, end: int) -> tuple[int | None, int]:
    """Return where frames go on before ``end``, and how many bytes before that are no tag."""
    passed = 0
    while at < end:
        if (after := _after_tag(data, at)) > at:
            at = after
        elif _starts_stream(data, at):
            return at, passed
        else:
            following = _FRAME_OR_TAG.search(data, at + 1, end)
            passed += (following.start() if following else end) - at
            at = following.start() if following else end
    return None, passed


def _starts_stream(data: bytes, at: int) -> bool:
    """Return whether frames of one kind begin here: three, or fewer before a tag or the end."""
    kind = int.from_bytes(data[at : at + 4], "big") & _SAME_STREAM
    for count in range(_IN_A_ROW):
        frame = _frame(data, at, kind)
        if frame is None or at + frame.n_bytes > len(data):
            return count > 0 and (at == len(data) or _after_tag(data, at) > at)
        at += frame.n_bytes
    return True


_TAG = re.compile(rb"ID3|TAG|APETAGEX|LYRICSBEGIN")
_FRAME_OR_TAG = re.compile(rb"\xff[\xe2-\xe7\xf2-\xff][\x10-\xef]|" + _TAG.pattern)


def _after_tag(data: bytes, at: int) -> int:
    """Return where a tag that begins at ``at`` ends; ``at`` where none does."""
    if data[at : at + 3] == b"ID3" and len(data) >= at + 10:
        end = end_of_id3(data, at)
        # A program that changes a tag in place may leave a size that is too great or too small.
        is_right = end < len(data) and (
            data[end : end + 4] == bytes(4)
            or data[end : end + 3] in (b"ID3", b"APE")
            or _starts_stream(data, end)
        )
        return end if is_right else at + 10
    if data[at : at + 3] == b"TAG":
        return min(len(data), at + (227 if data[at + 3 : at + 4] == b"+" else 128))
    if data[at : at + 8] == b"APETAGEX" and len(data) >= at + 32:
        # The size is that of the items, which follow a header and stand before a footer.
        is_header = data[at + 23] & 0x20
        size = int.from_bytes(data[at + 12 : at + 16], "little") if is_header else 0
        return min(len(data), at + 32 + size)
    if data[at : at + 11] == b"LYRICSBEGIN":
        last = max(data.find(end, at) for end in (b"LYRICS200", b"LYRICSEND"))
        return last + 9 if last >= 0 else at
    return at


def end_of_id3(data: bytes, at: int = 0, *, footer: bool = True) -> int:
    """Return the end of an ID3v2 tag by its size, seven bits in each byte; ``at`` if none is."""
    if data[at : at + 3] != b"ID3" or len(data) < at + 10:
        return at
    size = 0
    for byte in data[at + 6 : at + 10]:
        size = size << 7 | byte & 0x7F
    has_footer = footer and data[at + 5 : at + 6] and data[at + 5] & 0x10
    return at + 10 + size + (10 if has_footer else 0)


def _untagged(rest: bytes) -> int:
    """Return how many bytes after the last frame are no tag."""
    at = n_junk = 0
    while at < len(rest):
        if (after := _after_tag(rest, at)) > at:
            at = after
            continue
        following = _TAG.search(rest, at + 1)
        end = following.start() if following else len(rest)
        n_junk += end - at
        at = end
    return n_junk


def _is_text(data: bytes) -> bool:
    """Return whether bytes are a page or a log that was added to the file."""
    start = data[:4096]
    return len(start) > 0 and len(start.translate(None, _PRINTED)) <= len(start) // 20


_PRINTED = bytes([*b"\t\n\r", *range(0x20, 0x7F)])


class _Frame(NamedTuple):
    n_bytes: int
    n_samples: int
    sample_rate: int


def _frame(data: bytes, at: int, kind: int) -> _Frame | None:
    """Return the frame of this kind whose header is at ``at``, or None where none is."""
    header = int.from_bytes(data[at : at + 4], "big")
    return _described(header >> 9) if header & _SAME_STREAM == kind else None


@lru_cache(maxsize=4096)
def _described(header: int) -> _Frame | None:
    """Return what a frame is by the first 23 bits of its header; None if it is no header."""
    version, layer = header >> 10 & 3, 4 - (header >> 8 & 3)
    bitrate, rate = header >> 3 & 15, header >> 1 & 3
    if header >> 12 != 0x7FF or layer == 4 or version == 1 or rate == 3 or bitrate in (0, 15):
        return None
    mpeg1, padding = version == 3, header & 1
    hertz = _RATES_HZ[rate] // _DIVISOR[version]
    bits_per_second = 1000 * (_KBPS_MPEG1 if mpeg1 else _KBPS_MPEG2)[layer][bitrate]
    if layer == 1:
        return _Frame((12 * bits_per_second // hertz + padding) * 4, 384, hertz)
    n_samples = 576 if layer == 3 and not mpeg1 else 1152
    return _Frame(n_samples // 8 * bits_per_second // hertz + padding, n_samples, hertz)


def _counting_frames(data: bytes) -> dict[int, int]:
    """Return the frames that are a Xing or Info header, each with the frames that it counts."""
    counts = {}
    for name in (b"Xing", b"Info"):
        at = data.find(name)
        while at >= 0:
            for start in (at - before for before in (13, 15, 21, 23, 36, 38) if before <= at):
                if at - start - _side_information(data[start : start + 4]) in (4, 6):
                    is_counted = len(data) >= at + 12 and data[at + 7] & 1
                    counts[start] = (
                        int.from_bytes(data[at + 8 : at + 12], "big") if is_counted else 0
                    )
            at = data.find(name, at + 1)
    return counts


def _side_information(header: bytes) -> int:
    """Return how many bytes stand between a frame's header, or its checksum, and its data."""
    mono, mpeg1 = header[3] >> 6 == 3, header[1] >> 3 & 3 == 3
    return (17 if mono else 32) if mpeg1 else (9 if mono else 17)


class _CErrors:
    """The C library's ``stderr``, which libmpg123 prints to; Python's own is another."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0
        self._kept: int | None = None
        try:
            library = ctypes.CDLL(None)
            self._stderr = ctypes.c_void_p.in_dll(library, "stderr")
            library.fopen.restype = ctypes.c_void_p
            self._nowhere = library.fopen(b"/dev/null", b"w")
        except (OSError, ValueError, AttributeError, TypeError):  # no C library of this kind
            self._nowhere = None

    @contextmanager
    def silenced(self) -> Iterator[None]:
        """Let what C code prints to ``stderr`` go nowhere, as long as any thread asks for it."""
        if self._nowhere is None:
            yield
            return
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._kept, self._stderr.value = self._stderr.value, self._nowhere
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._stderr.value = self._kept


c_errors = _CErrors()
"""libmpg123's notes name no file, and what matters of them is found from the frames."""
