"""How long an MP3 is, as its own frame headers tell it.

libsndfile takes the length of an MP3 without a Xing or Info header from the size of its first frame
and stops there: a file of variable bit rate then loses its end without a word. The frame headers
(ISO/IEC 11172-3, section 2.4.1.3) give the true length.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_RATES_HZ = (44100, 48000, 32000)
"""Of MPEG 1; MPEG 2 has the half and MPEG 2.5 the quarter."""
_KBPS_MPEG1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBPS_MPEG2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_DIVISOR = {3: 1, 2: 2, 0: 4}
"""Of the sampling rate, by the header's two version bits; 1 is reserved."""


@dataclass(frozen=True, slots=True)
class Mp3Frames:
    """What a walk over the Layer III frames of a file found."""

    n_samples: int
    """Per channel, in all unbroken frames from the first one on; 0 where there is none."""
    has_header: bool
    """Whether the first frame is a Xing or Info header, which states the length."""
    estimate_error: float
    """Share of the length by which libsndfile's estimate may fall short at a constant bit rate.

    Frames differ by one padding byte; the estimate takes them all to be as long as the first.
    """


def walk_frames(path: Path) -> Mp3Frames:
    """Return the length that the frames of an MP3 add up to.

    The walk ends at the first byte that does not start a frame: at a tag, at damage, or at the end.
    """
    data = path.read_bytes()
    at = start = _first_frame(data)
    n_samples = 0
    while (frame := _frame(data, at)) and at + frame[0] <= len(data):
        at += frame[0]
        n_samples += frame[1]
    first = _frame(data, start) if n_samples else None
    if first is None:
        return Mp3Frames(0, has_header=False, estimate_error=0.0)
    head = data[start : start + first[0]]
    return Mp3Frames(n_samples, b"Xing" in head or b"Info" in head, 1 / first[0])


def _first_frame(data: bytes) -> int:
    """Return the position after an ID3v2 tag, whose size holds seven bits a byte."""
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size


def _frame(data: bytes, at: int) -> tuple[int, int] | None:
    """Return bytes and samples of the frame whose header is at ``at``, or None where none is."""
    header = int.from_bytes(data[at : at + 4], "big")
    version, layer = header >> 19 & 3, header >> 17 & 3
    bitrate, rate = header >> 12 & 15, header >> 10 & 3
    synchronised = len(data) >= at + 4 and header >> 21 == 0x7FF
    if not synchronised or layer != 1 or version == 1 or rate == 3 or bitrate in (0, 15):
        return None
    mpeg1 = version == 3
    n_samples = 1152 if mpeg1 else 576
    bits_per_second = 1000 * (_KBPS_MPEG1 if mpeg1 else _KBPS_MPEG2)[bitrate]
    n_bytes = n_samples // 8 * bits_per_second // (_RATES_HZ[rate] // _DIVISOR[version])
    return n_bytes + (header >> 9 & 1), n_samples
