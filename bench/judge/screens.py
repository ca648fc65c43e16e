"""What a listener sees: three players and three pairs on each screen, in an order of their own.

All of it follows from the plan and the listener's pseudonym, so that a listener meets the same
screens after a restart and on another device. First comes a practice screen, whose answers are not
kept. Then come the listener's triplets; their order and the side on which each song stands are
drawn per listener.

Checks
------
About one screen in eleven repeats a pair of an earlier triplet, (a, b), with sides drawn anew, and
one of the two songs a second time, 6 dB softer. It looks like any other screen. Its pairs are

``repeat``
    the same pair again: does the listener answer as before?
``same``
    a song against itself, ``a`` being the louder copy: does the listener say that they are equal?
``repeat_softer``
    the pair again with one song 6 dB softer: does loudness alone change the answer?

None of them is a judgement.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from earmark.bench.judge.plan import Plan, Triplet
from earmark.datasets.judgements.rules import SWAPPED

SOFTER_DB: Final = -6.0
TRIPLETS_PER_CHECK: Final = 10

PairKind = Literal["practice", "triplet", "repeat", "same", "repeat_softer"]


@dataclass(frozen=True, slots=True)
class Slot:
    """A player of a screen."""

    song: str
    level: float = 0.0
    """Above the plan's level, dB."""


@dataclass(frozen=True, slots=True)
class ShownPair:
    """Two players that are compared, and what the plan knows them as."""

    left: int
    right: int
    """Index of the players, 0 to 2."""
    kind: PairKind
    triplet: str
    a: str
    b: str
    """Songs in the order of the plan."""
    swapped: bool
    """Whether ``b`` stands on the left."""

    def in_plan(self, value: str) -> str:
        """Return an answer about left (``a``) and right (``b``) in the order of the plan, or back.

        >>> ShownPair(0, 1, "triplet", "t", "x", "y", swapped=True).in_plan("a")
        'b'
        """
        return SWAPPED[value] if self.swapped else value


@dataclass(frozen=True, slots=True)
class Screen:
    """Three players and their three pairs."""

    id: str
    """32 hexadecimal digits, of all that the screen shows: another screen has another id."""
    kind: Literal["practice", "triplet", "check"]
    slots: tuple[Slot, ...]
    pairs: tuple[ShownPair, ...]


def screens(plan: Plan, listener: int) -> tuple[Screen, ...]:
    """Return the screens of the plan's listener of this index, in order."""
    own = [triplet for triplet in plan.triplets if listener in triplet.listeners]
    own.sort(key=lambda triplet: _draw(plan, listener, "order", triplet.id))
    made = [_practice(plan, listener, own)]
    n_checks = max(1, round(len(own) / TRIPLETS_PER_CHECK)) if len(own) > 1 else 0
    ends = [(number + 1) * len(own) // n_checks for number in range(n_checks)] or [len(own)]
    for start, end in zip([0, *ends], ends, strict=False):
        block = [_of_triplet(plan, listener, triplet) for triplet in own[start:end]]
        if n_checks:
            half = len(block) // 2
            repeated = own[start + _draw(plan, listener, "repeated", str(start)) % max(1, half)]
            later = len(block) - half
            place = half + 1 + _draw(plan, listener, "place", str(start)) % later
            block.insert(place, _check(plan, listener, repeated))
        made += block
    return tuple(made)


def _draw(plan: Plan, listener: int, *what: str) -> int:
    """Return a number that is random, yet the same on each machine and version of Python."""
    text = "\n".join((str(plan.seed), plan.listeners[listener], *what))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def _of_triplet(plan: Plan, listener: int, triplet: Triplet) -> Screen:
    songs = sorted(triplet.songs, key=lambda one: _draw(plan, listener, "side", triplet.id, one))
    slots = [Slot(song) for song in songs]
    pairs = [_shown(slots, i, j, "triplet", triplet) for i, j in _sides()]
    return _screen(plan, listener, "triplet", slots, pairs)


def _check(plan: Plan, listener: int, triplet: Triplet) -> Screen:
    def drawn(what: str, n: int) -> int:
        return _draw(plan, listener, what, triplet.id) % n

    pair = triplet.pairs[drawn("pair", 3)]
    three = Slot(pair[0]), Slot(pair[1]), Slot(pair[drawn("doubled", 2)], SOFTER_DB)
    slots = list(itertools.permutations(three))[drawn("check sides", 6)]
    pairs = []
    for i, j in _sides():
        softer = slots[i].level != slots[j].level
        if slots[i].song == slots[j].song:
            song, swapped = slots[i].song, slots[i].level < slots[j].level
            pairs.append(ShownPair(i, j, "same", triplet.id, song, song, swapped))
        else:
            kind: PairKind = "repeat_softer" if softer else "repeat"
            pairs.append(_shown(slots, i, j, kind, triplet))
    return _screen(plan, listener, "check", slots, pairs)


def _practice(plan: Plan, listener: int, own: Sequence[Triplet]) -> Screen:
    """Songs that this listener does not judge, or else of three triplets, so that no pair comes."""
    judged = {song for triplet in own for song in triplet.songs}
    others = [song.id for song in plan.songs if song.id not in judged]
    others.sort(key=lambda song: _draw(plan, listener, "practice", song))
    songs = others + [triplet.songs[place] for place in range(3) for triplet in own[::-1]]
    slots = [Slot(song) for song in songs[:3]]
    pairs = [
        ShownPair(i, j, "practice", "", slots[i].song, slots[j].song, swapped=False)
        for i, j in _sides()
    ]
    return _screen(plan, listener, "practice", slots, pairs)


def _sides() -> list[tuple[int, int]]:
    return [(0, 1), (0, 2), (1, 2)]


def _shown(
    slots: Sequence[Slot], left: int, right: int, kind: PairKind, triplet: Triplet
) -> ShownPair:
    songs = slots[left].song, slots[right].song
    swapped = songs not in triplet.pairs
    a, b = songs[::-1] if swapped else songs
    return ShownPair(left, right, kind, triplet.id, a, b, swapped)


def _screen(
    plan: Plan,
    listener: int,
    kind: Literal["practice", "triplet", "check"],
    slots: Sequence[Slot],
    pairs: Sequence[ShownPair],
) -> Screen:
    text = f"{plan.seed}\n{plan.listeners[listener]}\n{kind}\n{slots}"
    return Screen(hashlib.sha256(text.encode()).hexdigest()[:32], kind, tuple(slots), tuple(pairs))
