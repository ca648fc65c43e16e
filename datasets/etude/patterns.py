"""Rhythms on the grid of one bar: of the drums, of the bass, of chords.

A grid is a string with one character a step: 16 steps in 4/4 (four a beat), 12 in 3/4 (four a
beat) and 12 in 6/8 (six a dotted beat). ``-`` holds what sounds and ``.`` rests. In a drum row
``x`` is a stroke, ``X`` a hard and ``o`` a soft one; in a chord grid ``x`` strikes the chord and
``a`` the next of its notes; in a bass grid 1, 3, 5, 6 and 8 are steps above the chord's root and
``w`` walks to the next chord.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

STEPS: Mapping[str, int] = MappingProxyType({"4/4": 16, "3/4": 12, "6/8": 12})
"""Steps of a bar."""

BEATS: Mapping[str, int] = MappingProxyType({"4/4": 4, "3/4": 3, "6/8": 2})
"""Beats of a bar; of 6/8 the dotted ones."""

Rows = Mapping[str, str]

DRUMS: Mapping[str, Rows] = MappingProxyType(
    {
        # 4/4
        "rock eighths": {
            "kick": "X.......x.x.....",
            "snare": "....X.......X...",
            "closed hat": "x.o.x.o.x.o.x.o.",
        },
        "rock drive": {
            "kick": "X..x....X.x.....",
            "snare": "....X.......X...",
            "crash": "x...............",
            "open hat": "x...x...x...x...",
        },
        "half time": {
            "kick": "X.....x...x.....",
            "snare": "........X.......",
            "closed hat": "x.x.x.x.x.x.x.x.",
        },
        "pop backbeat": {
            "kick": "X.....x.X.......",
            "snare": "....X.......X...",
            "closed hat": "x.x.x.x.x.x.x.xo",
            "clap": "....x.......x...",
        },
        "ballad": {
            "kick": "X.........x.....",
            "rim": "....x.......x...",
            "closed hat": "x...o...x...o...",
        },
        "four on the floor": {
            "kick": "X...X...X...X...",
            "clap": "....x.......x...",
            "open hat": "..x...x...x...x.",
            "closed hat": "x.o.x.o.x.o.x.o.",
        },
        "disco": {
            "kick": "X...X...X...X...",
            "snare": "....X.......X...",
            "closed hat": "x.xox.xox.xox.xo",
            "open hat": "..x...x...x...x.",
        },
        "boom bap": {
            "kick": "X..o....x.X.....",
            "snare": "....X.......X..o",
            "closed hat": "x.x.x.x.x.x.x.x.",
        },
        "trap": {
            "kick": "X.....x...X.....",
            "clap": "........X.......",
            "closed hat": "xoxoxoxxxoxoxxxx",
            "rim": "...x......x.....",
        },
        "breakbeat": {
            "kick": "X.x.......xx....",
            "snare": "....X..o.o..X..o",
            "closed hat": "x.x.x.x.x.x.x.x.",
        },
        "swing ride": {
            "ride": "X...x.x.X...x.x.",
            "closed hat": "....x.......x...",
            "kick": "o...o...o...o...",
            "snare": "......o.......o.",
        },
        "brushes": {
            "snare": "xoooXooooxooXooo",
            "closed hat": "....o.......o...",
            "kick": "o.......o.......",
        },
        "bossa nova": {
            "rim": "x..x..x...x..x..",
            "kick": "x..xx..xx..xx..x",
            "closed hat": "xoxoxoxoxoxoxoxo",
        },
        "shuffle": {
            "kick": "X.......x.....o.",
            "snare": "....X.......X...",
            "closed hat": "x.x.x.x.x.x.x.x.",
        },
        "train beat": {
            "snare": "xoxoXoxoxoxoXoxo",
            "kick": "X...x...X...x...",
        },
        "two step": {
            "kick": "X.......X.......",
            "rim": "....x.......x...",
            "closed hat": "x.o.x.o.x.o.x.o.",
        },
        "one drop": {
            "kick": "........X.......",
            "rim": "........X.......",
            "closed hat": "x.x.x.x.x.x.x.xo",
        },
        "rockers": {
            "kick": "X.......X.......",
            "rim": "....x.......x...",
            "closed hat": "x.xox.x.x.xox.x.",
            "conga": "......x....x..x.",
        },
        "steppers": {
            "kick": "X...X...X...X...",
            "snare": "........X.......",
            "closed hat": "..x...x...x...x.",
        },
        "double kick": {
            "kick": "XxxxXxxxXxxxXxxx",
            "snare": "....X.......X...",
            "crash": "x.......x.......",
        },
        "blast beat": {
            "kick": "x.x.x.x.x.x.x.x.",
            "snare": ".x.x.x.x.x.x.x.x",
            "ride": "x.x.x.x.x.x.x.x.",
        },
        "gallop": {
            "kick": "X.xxX.xxX.xxX.xx",
            "snare": "....X.......X...",
            "open hat": "x...x...x...x...",
        },
        "hand drums": {
            "conga": "x..x..xox..x..xo",
            "shaker": "xoxoxoxoxoxoxoxo",
        },
        # 3/4
        "waltz": {
            "kick": "X...........",
            "rim": "....x...x...",
            "closed hat": "x...x...x...",
        },
        "jazz waltz": {
            "ride": "X...x.x.x...",
            "closed hat": "....x.......",
            "kick": "o...........",
        },
        # 6/8
        "slow six": {
            "kick": "X.......x...",
            "snare": "......X.....",
            "closed hat": "x.x.x.x.x.x.",
        },
        "rock six": {
            "kick": "X.....x.x...",
            "snare": "......X.....",
            "ride": "x.x.x.x.x.x.",
        },
    }
)
"""Of each pattern the grid of every piece that plays."""

CHORDS: Mapping[str, str] = MappingProxyType(
    {
        "sustained": "x---------------",
        "halves": "x-------x-------",
        "quarters": "x---x---x---x---",
        "eighths": "x-x-x-x-x-x-x-x-",
        "stabs": "x-....x-..x-....",
        "charleston": "x--...x-........",
        "skank": "..x-..x-..x-..x-",
        "back beat": "....x-......x-..",
        "strum": "x---x-x-..x-x-x-",
        "funk": "xx.xxx.x.x.xxx.x",
        "gallop": "x-xxx-xxx-xxx-xx",
        "chug": "x.xxx.xxx.xxxxxx",
        "riff": "x--x--x---x-x-..",
        "arpeggio": "a-a-a-a-a-a-a-a-",
        "rolling": "aaaaaaaaaaaaaaaa",
        "three sustained": "x-----------",
        "three quarters": "x---x---x---",
        "three waltz": "....x---x---",
        "three arpeggio": "a-a-a-a-a-a-",
        "six sustained": "x-----------",
        "six halves": "x-----x-----",
        "six eighths": "x-x-x-x-x-x-",
        "six arpeggio": "a-a-a-a-a-a-",
    }
)

BASSES: Mapping[str, str] = MappingProxyType(
    {
        "whole notes": "1---------------",
        "halves": "1-------5-------",
        "root and fifth": "1---....5---....",
        "quarters": "1---1---5---1---",
        "eighths": "1-1-1-1-1-1-1-1-",
        "octaves": "1-8-1-8-1-8-1-8-",
        "walking": "1---w---w---w---",
        "boogie": "1-3-5-6-8-6-5-3-",
        "syncopated": "1--1..1-..5-1-..",
        "roots reggae": "1---..1-5---3-..",
        "drop": "....1-1---5-3-1-",
        "long boom": "1-----....1---..",
        "gallop": "1-111-111-111-11",
        "sixteenths": "1111111111111111",
        "three whole notes": "1-----------",
        "three waltz": "1---....5---",
        "three walking": "1---w---w---",
        "six whole notes": "1-----------",
        "six pushed": "1---5-1-----",
        "six walking": "1---3-5---6-",
    }
)


def fits(name: str, metre: str) -> bool:
    """Return whether a chord or bass grid is one of this metre.

    >>> fits("three waltz", "3/4"), fits("three waltz", "6/8"), fits("walking", "4/4")
    (True, False, True)
    """
    prefix = {"3/4": "three ", "6/8": "six "}.get(metre)
    if prefix is None:
        return not name.startswith(("three ", "six "))
    return name.startswith(prefix)
