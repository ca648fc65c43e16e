"""The form of a track: sections, and which parts play in each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from earmark.datasets.etude.draws import Draws
from earmark.datasets.etude.playing import Grid
from earmark.datasets.etude.score import Note, Role, Section

Name = Literal["intro", "theme", "full", "break", "ending"]

SHORTEST_S = 0.06
"""A note of which less is left in its section is left out."""
_ENTRY_S = 0.3
"""A note that began before its part comes in is taken over if as much of it is left."""


def sections(grid: Grid, roles: Sequence[Role], draws: Draws) -> tuple[Section, ...]:
    """Return two or more sections that cover the track, each of another texture than the last.

    All parts play together at least once, and a pitched part plays always.
    """
    bounds = _bounds(grid, draws)
    names = _names(len(bounds) - 1, draws)
    found: list[Section] = []
    for name, start, end in zip(names, bounds[:-1], bounds[1:], strict=True):
        texture = _texture(name, roles, draws)
        if found and texture == found[-1].texture:
            texture = _another(texture, roles, draws)
        found.append(Section(name, start, end, texture))
    return tuple(found)


def _bounds(grid: Grid, draws: Draws) -> list[float]:
    """Return where sections begin and end, in seconds, on bars or in short tracks on beats."""
    unit = grid.bar if grid.bars >= 4 else grid.beat
    units = int((grid.seconds - 0.5) / unit) + 1
    if units < 2:
        return [0.0, grid.seconds / 2, grid.seconds]
    lasting = draws.between(2.6, 4.2) if grid.seconds <= 15 else draws.between(4.5, 8.0)
    count = min(max(2, round(grid.seconds / lasting)), units)
    inner = []
    for i in range(1, count):
        moved = units * i / count + draws.between(-0.5, 0.5)
        inner.append(min(max(round(moved), 1), units - 1))
    return [0.0, *(unit * i for i in sorted(set(inner))), grid.seconds]


def _names(count: int, draws: Draws) -> list[Name]:
    names: list[Name] = ["intro" if draws.chance(0.6) else "theme"]
    cycle: list[Name] = ["full", "break", "theme"] if draws.chance(0.5) else ["theme", "full"]
    while len(names) < count:
        following = cycle[(len(names) - 1) % len(cycle)]
        if following == names[-1]:
            following = "full" if following == "theme" else "break"
        names.append(following)
    if count >= 3 and draws.chance(0.35):
        names[-1] = "ending"
    if "full" not in names:
        names[1] = "full"
    return names


def _texture(name: Name, roles: Sequence[Role], draws: Draws) -> tuple[int, ...]:
    every = range(len(roles))
    if name == "full":
        return tuple(every)
    if name == "theme":
        weights = {"answer": 4.0, "pad": 3.0, "bass": 0.7, "drums": 0.7}
        optional = {i: weights[roles[i]] for i in every if roles[i] in weights}
        left_out = draws.weighted(optional or {0: 1.0, 1: 0.5})
        return tuple(i for i in every if i != left_out)
    if name == "break":
        silent = ("drums", "bass") if draws.chance(0.6) else ("drums", "lead", "answer")
        return _pitched([i for i in every if roles[i] not in silent], roles)
    leading = draws.weighted({"chords": 0.5, "bass": 0.2, "lead": 0.15, "pad": 0.15})
    with_drums = draws.chance(0.6)
    playing = [i for i in every if roles[i] == leading or (roles[i] == "drums" and with_drums)]
    return _pitched(playing, roles)


def _pitched(playing: Sequence[int], roles: Sequence[Role]) -> tuple[int, ...]:
    """Return the texture with the chords where no part of it sounds throughout."""
    steady = ("chords", "pad", "bass", "lead")
    if not any(roles[i] in steady for i in playing):
        playing = [*playing, roles.index("chords")]
    return tuple(sorted(playing))


def _another(texture: tuple[int, ...], roles: Sequence[Role], draws: Draws) -> tuple[int, ...]:
    """Return the texture with one part more or, of a full one, one part less."""
    absent = [i for i in range(len(roles)) if i not in texture]
    if absent:
        return tuple(sorted((*texture, draws.pick(absent))))
    optional = [i for i in texture if roles[i] not in ("lead", "chords")] or list(texture[1:])
    left_out = draws.pick(optional)
    return _pitched([i for i in texture if i != left_out], roles)


def sounding(
    line: Sequence[Note], part: int, plan: Sequence[Section], *, drums: bool
) -> list[Note]:
    """Return the notes of a part that fall in its sections, cut where it falls silent."""
    spans = _spans(part, plan)
    notes = []
    for note in line:
        for start, end in spans:
            if note.start + note.duration <= start or note.start >= end - SHORTEST_S:
                continue
            begin = max(note.start, start)
            held = min(note.start + note.duration, end) - begin
            if begin > note.start and (drums or held < _ENTRY_S):
                continue
            notes.append(Note(begin, held, note.pitch, note.velocity))
    notes.sort()
    return notes


def _spans(part: int, plan: Sequence[Section]) -> list[tuple[float, float]]:
    """Return the stretches of time in which a part plays, adjoining sections as one."""
    spans: list[tuple[float, float]] = []
    for section in plan:
        if part not in section.texture:
            continue
        if spans and spans[-1][1] == section.start:
            spans[-1] = (spans[-1][0], section.end)
        else:
            spans.append((section.start, section.end))
    return spans
