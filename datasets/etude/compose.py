"""Composing: a score drawn from the style of the track's genre."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from earmark.datasets.etude import playing
from earmark.datasets.etude.draws import Draws
from earmark.datasets.etude.harmony import parse
from earmark.datasets.etude.patterns import fits
from earmark.datasets.etude.playing import Grid
from earmark.datasets.etude.score import (
    PIECES,
    VOICES,
    Chord,
    Mode,
    Note,
    Part,
    Register,
    Role,
    Room,
    Scale,
    Score,
    Section,
    check_track,
    genre_of,
)
from earmark.datasets.etude.structure import sections, sounding
from earmark.datasets.etude.styles import NOBODY, Style, styles

BORROWING = 0.12
"""How likely a track takes an instrument that another genre would give to the role."""

_MINOR = ("aeolian", "dorian", "phrygian", "harmonic minor")
_ROOMS = (0.3, 0.6, 1.0, 1.4, 1.8)
_ATTEMPTS = 4
_COMPOUND = 0.7
"""Tempo of the dotted beats of 6/8 against the beats of a simple metre."""
_LEVELS: Mapping[Role, float] = {
    "lead": 0.0,
    "answer": -3.0,
    "chords": -5.0,
    "pad": -8.0,
    "bass": -1.0,
    "drums": -1.0,
}


@dataclass(frozen=True, slots=True)
class _Seat:
    """Who plays what before there are notes."""

    voice: str
    role: Role
    centre: float
    """The MIDI pitch around which it plays."""


def compose(number: int, *, seed: int, seconds: float) -> Score:
    """Return the score of a track; it depends on these three and ``score.VERSION`` alone.

    Parameters
    ----------
    number
        From 0; the genre is ``genre_of(number)``.
    seed
        Of the corpus, from 0.
    seconds
        How long the track lasts, 2 to 600.

    Raises
    ------
    DataError
        If an argument is out of its range.
    """
    check_track(number, seed=seed, seconds=seconds)
    genre = genre_of(number)
    style, draws = styles()[genre], Draws(seed, number, 0)
    # What makes a track lively makes it fast, loud, dense and bright together, though not alone.
    energy = draws.uniform()
    metre = draws.weighted(style.metres)
    tempo = _lively(style.tempo, energy, 0.5, draws) * (_COMPOUND if metre == "6/8" else 1)
    grid = Grid(seconds, round(tempo, 2), metre, round(draws.between(*style.swing), 3))
    tonic = draws.whole(0, 11)
    scale = draws.weighted({name: entry.weight for name, entry in style.harmony.items()})
    progression = draws.pick(style.harmony[scale].progressions)
    chords = _chords(grid, progression, tonic, style, draws)
    pattern, kit = _drums(style, metre, draws)
    seats = _seats(style, kit, draws)
    busy = _lively(style.busy, energy, 0.5, draws)
    rhythms = _rhythms(style, metre, draws)
    lines = [
        playing.drums(grid, pattern, draws)
        if seat.role == "drums" and pattern
        else _line(grid, seat, chords, rhythms, draws, tonic, scale, busy)
        for seat in seats
    ]
    plan, played = _form(grid, seats, lines, draws)
    parts = _parts(played, plan, draws)
    loudness = _lively(style.loudness, energy, 0.6, draws)
    wet = draws.between(*style.wet)
    return Score(
        number=number,
        seed=seed,
        seconds=seconds,
        genre=genre,
        tempo=grid.tempo,
        metre=metre,
        swing=grid.swing,
        tonic=tonic,
        mode=_mode(scale),
        scale=scale,
        progression=progression,
        chords=chords,
        drum_pattern=pattern if parts[-1].role == "drums" else None,
        parts=parts,
        sections=plan,
        room=Room(_ROOMS[min(int(wet * 10 + draws.uniform()), 4)], round(wet, 3)),
        saturation=round(_lively(style.saturation, energy, 0.4, draws), 3),
        tilt=round(2 * _lively(style.tilt, energy, 0.3, draws)) / 2,
        loudness=round(loudness, 2),
    )


def _lively(bounds: tuple[float, float], energy: float, weight: float, draws: Draws) -> float:
    """Return a number between the bounds that follows the energy by the weight."""
    share = weight * energy + (1 - weight) * draws.uniform()
    return bounds[0] + (bounds[1] - bounds[0]) * share


def _mode(scale: Scale) -> Mode:
    return "minor" if scale in _MINOR else "major"


def _chords(
    grid: Grid, progression: str, tonic: int, style: Style, draws: Draws
) -> tuple[Chord, ...]:
    bars = float(draws.weighted(style.bars_per_chord))
    span = (1.0 if grid.metre == "3/4" and bars < 1 else bars) * grid.bar
    numerals = progression.split()
    chords: list[Chord] = []
    start = 0.0
    while start < grid.seconds - 1e-6:
        numeral = numerals[len(chords) % len(numerals)]
        above, quality = parse(numeral)
        root = (tonic + above) % 12
        end = min((len(chords) + 1) * span, grid.seconds)
        classes = tuple((root + interval) % 12 for interval in quality)
        chords.append(Chord(start, end, root, classes, numeral))
        start = len(chords) * span
    return tuple(chords)


def _drums(style: Style, metre: str, draws: Draws) -> tuple[str | None, str]:
    """Return the name of the drum pattern and who plays it."""
    kit = draws.weighted(style.kits)
    if kit == NOBODY or metre not in style.drums:
        return None, NOBODY
    return draws.weighted(style.drums[metre]), kit


def _seats(style: Style, kit: str, draws: Draws) -> list[_Seat]:
    """Return who plays: a lead and chords always, the other roles as the style has them."""
    weights = {
        "lead": style.leads,
        "chords": style.chords,
        "answer": style.answers,
        "pad": style.pads,
        "bass": style.basses,
    }
    chosen = {role: draws.weighted(voices) for role, voices in weights.items()}
    if draws.chance(BORROWING):
        other = draws.pick(list(styles().values()))
        if draws.chance(0.5):
            chosen["lead"] = draws.weighted(other.leads)
        else:
            chosen["chords"] = draws.weighted(other.chords)
    if chosen["answer"] == chosen["lead"] != "distorted guitar":
        chosen["answer"] = NOBODY
    seats = [_Seat(voice, role, _centre(voice, role, draws)) for role, voice in _named(chosen)]
    return seats if kit == NOBODY else [*seats, _Seat(kit, "drums", 60.0)]


def _named(chosen: Mapping[str, str]) -> list[tuple[Role, str]]:
    roles: tuple[Role, ...] = ("lead", "answer", "chords", "pad", "bass")
    return [(role, chosen[role]) for role in roles if chosen[role] != NOBODY]


def _centre(voice: str, role: Role, draws: Draws) -> float:
    """Return the pitch around which a voice plays in a role."""
    low, high = VOICES[voice].low, VOICES[voice].high
    if role in ("lead", "answer"):
        return low + (high - low) * draws.pick((0.4, 0.55, 0.7))
    # Power chords lie low; other chords around the middle C, where their thirds stay clear.
    wanted = 50.0 if voice == "distorted guitar" else draws.between(56, 67)
    return min(max(wanted, low + 6), high - 6)


def _rhythms(style: Style, metre: str, draws: Draws) -> tuple[str, str]:
    """Return the names of a chord and a bass rhythm of the metre."""
    chords = {name: w for name, w in style.chord_rhythms.items() if fits(name, metre)}
    basses = {name: w for name, w in style.bass_rhythms.items() if fits(name, metre)}
    return draws.weighted(chords), draws.weighted(basses)


def _line(
    grid: Grid,
    seat: _Seat,
    chords: Sequence[Chord],
    rhythms: tuple[str, str],
    draws: Draws,
    tonic: int,
    scale: Scale,
    busy: float,
) -> list[Note]:
    """Return what a seat would play if it played from the start to the end."""
    if seat.role == "bass":
        return playing.bass(grid, rhythms[1], chords, seat.voice)
    if seat.role == "chords":
        return playing.chord_notes(grid, rhythms[0], chords, seat.voice, centre=seat.centre)
    if seat.role == "pad":
        return playing.pad(chords, seat.voice, centre=seat.centre)
    return playing.melody(
        grid,
        chords,
        seat.voice,
        draws,
        tonic=tonic,
        scale=scale,
        centre=seat.centre,
        busy=busy if seat.role == "lead" else 0.6 * busy,
        sparse=seat.role == "answer",
    )


def _form(
    grid: Grid, seats: Sequence[_Seat], lines: Sequence[list[Note]], draws: Draws
) -> tuple[tuple[Section, ...], list[tuple[_Seat, list[Note]]]]:
    """Return the sections, and who plays what in them; a seat that has nothing to play is left.

    In a short track a part may have no note where it would play; other sections are tried first.
    """
    for attempt in itertools.count(1):
        plan = sections(grid, [seat.role for seat in seats], draws)
        played = [
            (seat, sounding(line, i, plan, drums=seat.role == "drums"))
            for i, (seat, line) in enumerate(zip(seats, lines, strict=True))
        ]
        kept = [i for i, (_, notes) in enumerate(played) if notes]
        if len(kept) == len(seats):
            break
        if attempt % _ATTEMPTS == 0 and len(kept) >= 2:
            seats, lines = [seats[i] for i in kept], [lines[i] for i in kept]
    return plan, _with_crashes(plan, played)


def _with_crashes(
    plan: Sequence[Section], played: list[tuple[_Seat, list[Note]]]
) -> list[tuple[_Seat, list[Note]]]:
    """Return the parts with a crash cymbal where the drums open a full section."""
    crash = PIECES.index("crash")
    for i, (seat, notes) in enumerate(played):
        if seat.role == "drums" and seat.voice != "hand percussion":
            opening = [s.start for s in plan[1:] if s.name == "full" and i in s.texture]
            notes += [Note(start, 0.1, crash, 2) for start in opening]
            notes.sort()
    return played


def _parts(
    played: Sequence[tuple[_Seat, list[Note]]], plan: Sequence[Section], draws: Draws
) -> tuple[Part, ...]:
    levels = [_LEVELS[seat.role] + draws.between(-3, 3) for seat, _ in played]
    parts = []
    for i, (seat, notes) in enumerate(played):
        active = sum(s.end - s.start for s in plan if i in s.texture)
        parts.append(
            Part(
                voice=seat.voice,
                role=seat.role,
                register=_register(seat.role, notes),
                density=len({note.start for note in notes}) / active,
                level=round(levels[i] - max(levels), 2),
                notes=tuple(notes),
            )
        )
    return tuple(parts)


def _register(role: Role, notes: Sequence[Note]) -> Register:
    if role == "drums":
        return "middle"
    mean = sum(note.pitch for note in notes) / len(notes)
    return "low" if mean < 52 else "high" if mean >= 72 else "middle"
