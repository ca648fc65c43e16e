"""Rhythms on the grid of one bar: of the drums, of the bass, of chords.

A grid is a string with one character a step: 16 steps in 4/4 (four a beat), 12 in 3/4 (four a
beat) and 12 in 6/8 (six a dotted beat). ``-`` holds what sounds and ``.`` rests. In a drum row
``x`` is a stroke, ``X`` a hard and ``o`` a soft one; in a chord grid ``x`` strikes the chord and
``a`` the next of its notes; in a bass grid 1, 3, 5, 6 and 8 are steps above the chord's root and
``w`` walks to the next chord.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from earmark.datasets.etude.score import (
    PIECES,
    SCALES,
    VOICES,
    Chord,
    Draws,
    Note,
    Scale,
    nearest,
    voicing,
)

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


LONGEST_S = 4.0
"""No note is held for longer."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the steps of the bars lie in time."""

    seconds: float
    tempo: float
    metre: str
    swing: float

    @property
    def beat(self) -> float:
        """Seconds of a beat."""
        return 60 / self.tempo

    @property
    def bar(self) -> float:
        """Seconds of a bar."""
        return self.beat * BEATS[self.metre]

    @property
    def steps(self) -> int:
        """Steps of a bar."""
        return STEPS[self.metre]

    @property
    def bars(self) -> int:
        """Bars that begin before the end."""
        return -int(-(self.seconds - 1e-6) // self.bar)

    def time(self, bar: int, step: int) -> float:
        """Return when a step begins, in seconds; it may be one of the next bar."""
        per_beat = self.steps // BEATS[self.metre]
        beat, within = divmod(step, per_beat)
        part = within / per_beat
        if per_beat == 4:
            half = self.swing if within >= 2 else 0.0
            width = 1 - self.swing if within >= 2 else self.swing
            part = half + (within % 2) / 2 * width
        return bar * self.bar + (beat + part) * self.beat


@dataclass(frozen=True, slots=True)
class Hit:
    """One onset of a grid: its step, its symbol, and the step at which it ends."""

    step: int
    symbol: str
    end: int


def hits(row: str) -> list[Hit]:
    """Return the onsets of a row, each held until a rest or the next one.

    >>> [(hit.step, hit.end) for hit in hits("x-.x")]
    [(0, 2), (3, 4)]
    """
    found = []
    for step, symbol in enumerate(row):
        if symbol in "-.":
            continue
        end = step + 1
        while end < len(row) and row[end] == "-":
            end += 1
        found.append(Hit(step, symbol, end))
    return found


def rows(row: str, bars: int) -> list[list[Hit]]:
    """Return the onsets of each bar; in the first, one at its start, so that no track waits."""
    regular = hits(row)
    first = regular
    if regular[0].step > 0:
        first = [Hit(0, regular[0].symbol, regular[0].step), *regular]
    return [first, *[regular] * (bars - 1)]


class Harmony:
    """The chord at any time, looked up in the order of time."""

    def __init__(self, chords: Sequence[Chord]) -> None:
        self._chords = chords
        self._at = 0

    def at(self, time: float) -> Chord:
        """Return the chord that sounds at a time."""
        if time < self._chords[self._at].start:
            self._at = 0
        while self._at + 1 < len(self._chords) and self._chords[self._at].end <= time + 1e-6:
            self._at += 1
        return self._chords[self._at]


def drums(grid: Grid, pattern: str, draws: Draws) -> list[Note]:
    """Return the strokes of a drum pattern."""
    loudness = {"o": 1, "x": 2, "X": 3}
    pieces = [(PIECES.index(piece), hits(row)) for piece, row in DRUMS[pattern].items()]
    notes = []
    for bar in range(grid.bars):
        for piece, strokes in pieces:
            for stroke in strokes:
                # Ghost notes come and go, so that no two bars are the same.
                if stroke.symbol == "o" and draws.chance(0.3):
                    continue
                start = grid.time(bar, stroke.step)
                notes.append(Note(start, 0.1, piece, loudness[stroke.symbol]))
    return notes


def bass(grid: Grid, rhythm: str, chords: Sequence[Chord], voice: str) -> list[Note]:
    """Return a bass line on a rhythm."""
    harmony = Harmony(chords)
    low = VOICES[voice].low
    high = low + 21
    notes: list[Note] = []
    for bar, row in enumerate(rows(BASSES[rhythm], grid.bars)):
        for hit in row:
            start = grid.time(bar, hit.step)
            chord = harmony.at(start)
            root = nearest(chord.root, low + 9, low=low, high=high)
            if hit.symbol == "w":
                before = notes[-1].pitch if notes else root
                pitch = _walk(chord, before, low, high, hit.step)
            else:
                pitch = _above(chord, root, hit.symbol, high)
            notes.append(_note(grid, bar, hit, start, pitch, 3 if hit.step == 0 else 2))
    return notes


def _above(chord: Chord, root: int, symbol: str, high: int) -> int:
    intervals = sorted((pc - chord.root) % 12 for pc in chord.pitch_classes)
    third = next((i for i in intervals if i in (3, 4)), 7)
    fifth = next((i for i in intervals if i in (6, 7)), 7)
    pitch = root + {"1": 0, "3": third, "5": fifth, "6": 9 if third == 4 else 10, "8": 12}[symbol]
    return pitch if pitch <= high else pitch - 12


def _walk(chord: Chord, before: int, low: int, high: int, step: int) -> int:
    """Return the chord's note next above or below the last one, turning at the range's ends."""
    up = (step // 4) % 2 == 1 if before < low + 14 else False
    steps = range(1, 13) if up else range(-1, -13, -1)
    for interval in steps:
        pitch = before + interval
        if low <= pitch <= high and pitch % 12 in chord.pitch_classes:
            return pitch
    return nearest(chord.root, low + 9, low=low, high=high)


def chord_notes(
    grid: Grid, rhythm: str, chords: Sequence[Chord], voice: str, *, centre: float
) -> list[Note]:
    """Return chords struck or broken on a rhythm, around a pitch."""
    harmony = Harmony(chords)
    low, high = VOICES[voice].low, VOICES[voice].high
    notes: list[Note] = []
    now: Chord | None = None
    pitches: tuple[int, ...] = ()
    broken = 0
    for bar, row in enumerate(rows(CHORDS[rhythm], grid.bars)):
        for hit in row:
            start = grid.time(bar, hit.step)
            chord = harmony.at(start)
            if chord is not now:
                now, broken = chord, 0
                pitches = voicing(chord.pitch_classes, pitches, centre, low=low, high=high)
                if len(chord.pitch_classes) == 2:
                    root = nearest(chord.root, centre - 6, low=low, high=high - 7)
                    pitches = (root, root + 7)
            velocity = 3 if hit.step == 0 else 2
            if hit.symbol == "a":
                notes.append(_note(grid, bar, hit, start, _broken(pitches, broken, high), velocity))
                broken += 1
            else:
                notes += [_note(grid, bar, hit, start, pitch, velocity) for pitch in pitches]
    return notes


def _broken(pitches: Sequence[int], position: int, high: int) -> int:
    """Return a note of a chord that is played up over an octave and down again."""
    ladder = [*pitches, pitches[0] + 12 if pitches[0] + 12 <= high else pitches[0]]
    cycle = 2 * len(ladder) - 2
    at = position % cycle
    return ladder[at if at < len(ladder) else cycle - at]


def pad(chords: Sequence[Chord], voice: str, *, centre: float) -> list[Note]:
    """Return chords that are held as long as they last."""
    low, high = VOICES[voice].low, VOICES[voice].high
    notes: list[Note] = []
    pitches: tuple[int, ...] = ()
    for chord in chords:
        pitches = voicing(chord.pitch_classes, pitches, centre, low=low, high=high)
        start = chord.start
        while start < chord.end - 1e-6:
            held = min(chord.end - start, LONGEST_S)
            notes += [Note(start, held, pitch, 2) for pitch in pitches]
            start += held
    return notes


def melody(
    grid: Grid,
    chords: Sequence[Chord],
    voice: str,
    draws: Draws,
    *,
    tonic: int,
    scale: Scale,
    centre: float,
    busy: float,
    sparse: bool = False,
) -> list[Note]:
    """Return a melody: a motif of two bars that comes back, on chord notes at strong steps.

    ``sparse`` leaves out every other bar, as an answer to another melody.
    """
    harmony = Harmony(chords)
    low, high = VOICES[voice].low, VOICES[voice].high
    ladder = [p for p in range(low, high + 1) if (p - tonic) % 12 in SCALES[scale]]
    ladder = [p for p in ladder if abs(p - centre) <= 9] or ladder
    motifs = [_motif(grid, busy, draws, opening=i == 0) for i in range(2)]
    notes: list[Note] = []
    at = len(ladder) // 2
    for bar in range(grid.bars):
        if sparse and bar % 2 == 0:
            continue
        # The first motif comes back in every other bar, now and then with another turn.
        motif = motifs[bar % 2] if bar == 0 or draws.chance(0.8) else _motif(grid, busy, draws)
        for hit, leap in motif:
            start = grid.time(bar, hit.step)
            at = min(max(at + leap, 0), len(ladder) - 1)
            if abs(at - len(ladder) / 2) > len(ladder) / 2 - 1:
                at = len(ladder) // 2
            strong = hit.step % (grid.steps // BEATS[grid.metre]) == 0
            if strong:
                at = _settle(ladder, at, harmony.at(start))
            notes.append(_note(grid, bar, hit, start, ladder[at], 3 if strong else 2))
    return notes


def _motif(
    grid: Grid, busy: float, draws: Draws, *, opening: bool = False
) -> list[tuple[Hit, int]]:
    """Return onsets of a bar, the strong steps more likely, and the leap to each of them."""
    per_beat = grid.steps // BEATS[grid.metre]
    onsets = []
    for step in range(grid.steps):
        weight = 1.0 if step % per_beat == 0 else 0.55 if step % 2 == 0 else 0.12
        if draws.chance(min(0.95, 1.6 * busy * weight)) or (step == 0 and opening):
            onsets.append(step)
    onsets = onsets or [0]
    ends = [*onsets[1:], grid.steps]
    leaps = {1: 0.3, -1: 0.34, 2: 0.12, -2: 0.12, 0: 0.08, 3: 0.04}
    return [
        (Hit(step, "x", end), draws.weighted(leaps)) for step, end in zip(onsets, ends, strict=True)
    ]


def _settle(ladder: Sequence[int], at: int, chord: Chord) -> int:
    """Return the index of the chord's note nearest to the one at an index."""
    inside = [i for i, pitch in enumerate(ladder) if pitch % 12 in chord.pitch_classes]
    return min(inside, key=lambda i: (abs(i - at), i)) if inside else at


def _note(grid: Grid, bar: int, hit: Hit, start: float, pitch: int, velocity: int) -> Note:
    held = grid.time(bar, hit.end) - start
    return Note(start, min(held * 0.96, LONGEST_S), pitch, velocity)
