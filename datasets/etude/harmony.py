"""Chords from their numerals, and where on an instrument their notes lie."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType

from earmark.datasets.base import DataError

_DEGREES: Mapping[str, int] = MappingProxyType(
    {"i": 0, "ii": 2, "iii": 4, "iv": 5, "v": 7, "vi": 9, "vii": 11}
)
_QUALITIES: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "I": (0, 4, 7),
        "i": (0, 3, 7),
        "I7": (0, 4, 7, 10),
        "i7": (0, 3, 7, 10),
        "Imaj7": (0, 4, 7, 11),
        "I6": (0, 4, 7, 9),
        "i6": (0, 3, 7, 9),
        "iø": (0, 3, 6, 10),
        "io": (0, 3, 6),
        "I5": (0, 7),
        "i5": (0, 7),
    }
)
"""Semitones above the root, of a capital or small numeral with its suffix."""

_NUMERAL = re.compile(r"(b?)([iv]+|[IV]+)(7|maj7|6|5|ø|o)?")


@cache
def parse(numeral: str) -> tuple[int, tuple[int, ...]]:
    """Return a numeral's root above the tonic and its notes above the root, in semitones.

    ``b`` lowers the root, counted from the major scale; a capital has the major third.

    >>> parse("bVII"), parse("ii7")
    ((10, (0, 4, 7)), (2, (0, 3, 7, 10)))

    Raises
    ------
    DataError
        If it is no numeral of this kind.
    """
    match = _NUMERAL.fullmatch(numeral)
    quality = ""
    if match is not None:
        quality = ("i" if match[2].islower() else "I") + (match[3] or "")
    if match is None or match[2].lower() not in _DEGREES or quality not in _QUALITIES:
        raise DataError(f"{numeral!r} is no chord numeral; expected one such as I, ii7 or bVII")
    return (_DEGREES[match[2].lower()] - len(match[1])) % 12, _QUALITIES[quality]


def nearest(pitch_class: int, centre: float, *, low: int, high: int) -> int:
    """Return the pitch of this class that is nearest to a centre, within a voice's range.

    Raises
    ------
    DataError
        If the range, which must hold an octave, is smaller.
    """
    if high - low < 11:
        raise DataError(f"a range of pitches must hold an octave, got {low} to {high}")
    pitch = round((centre - pitch_class) / 12) * 12 + pitch_class
    while pitch < low:
        pitch += 12
    while pitch > high:
        pitch -= 12
    return pitch


def voicing(
    pitch_classes: Sequence[int], before: Sequence[int], centre: float, *, low: int, high: int
) -> tuple[int, ...]:
    """Return ascending pitches of a chord, near those of the chord before or else to a centre."""
    around = 0.5 * (centre + (sum(before) / len(before) if before else centre))
    pitches = {nearest(pc, around, low=low, high=high) for pc in pitch_classes}
    return tuple(sorted(pitches))
