"""What can truly be said of an Etude track: the closed list that tags and captions are drawn from.

An attribute is ``kind=value``, e.g. ``tempo=fast`` or ``voice=violin``. A track has those that
follow from its score by the rules below; a caption mentions three to six of them. Both are vectors
over :data:`ATTRIBUTES`, so that a ranking by true attributes is one product of matrices: the
ceiling that the captions allow.

Kinds
-----
``genre``, ``mode``
    As in the score.
``voice``, ``vocals``, ``drums``
    Every instrument that plays; each kind of singer, or ``none``; ``drums=none``.
``tempo``
    ``slow`` below 84 beats per minute, ``fast`` from 126, else ``medium``.
``metre``, ``feel``
    ``3/4`` or ``6/8``; ``swung`` where the second eighth comes at .57 of the beat or later.
``loudness``
    ``quiet`` below -15 LUFS, ``loud`` from -9.
``density``
    ``sparse`` below 5 onsets per second, ``busy`` from 14.
``timbre``
    ``dark`` below a brightness of .4, ``bright`` from .6.
``room``
    ``dry`` below a share of reverberation of .1, ``spacious`` from .25.
``sound``
    ``gritty`` from a saturation of .5.
``texture``
    ``solo`` where all that is heard is one voice.
``structure``
    ``build`` where the first section has at most half the parts of the fullest; ``break`` where a
    section of that name has fewer parts than the ones around it.
``mood``
    Where arousal and valence are both at least .3 from the middle of their scale: ``joyful`` (high,
    high), ``tense`` (high, low), ``sad`` (low, low) or ``peaceful`` (low, high).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.etude.affect import Affect, affect
from earmark.datasets.etude.score import SINGERS, VOICES, Score
from earmark.datasets.gtzan import GENRES

SLOW_BELOW, FAST_FROM = 84.0, 126.0
SWUNG_FROM = 0.57
QUIET_BELOW, LOUD_FROM = -15.0, -9.0
SPARSE_BELOW, BUSY_FROM = 5.0, 14.0
DARK_BELOW, BRIGHT_FROM = 0.4, 0.6
DRY_BELOW, SPACIOUS_FROM = 0.1, 0.25
GRITTY_FROM = 0.5
MOOD_MARGIN = 0.3

MOODS = {(True, True): "joyful", (True, False): "tense", (False, False): "sad"}
MOODS |= {(False, True): "peaceful"}
"""By whether arousal and valence are high."""

ATTRIBUTES: tuple[str, ...] = (
    *(f"genre={genre}" for genre in GENRES),
    *(f"voice={voice}" for voice in VOICES if voice not in SINGERS),
    *(f"vocals={singer}" for singer in (*SINGERS.values(), "none")),
    "drums=none",
    *("tempo=slow", "tempo=medium", "tempo=fast", "metre=3/4", "metre=6/8", "feel=swung"),
    *("mode=major", "mode=minor", "loudness=quiet", "loudness=loud"),
    *("density=sparse", "density=busy", "timbre=dark", "timbre=bright"),
    *("room=dry", "room=spacious", "sound=gritty", "structure=build", "structure=break"),
    "texture=solo",
    *(f"mood={mood}" for mood in MOODS.values()),
)
"""All attributes; the order is that of vectors."""


def kind_of(attribute: str) -> str:
    """Return what stands before the equals sign.

    >>> kind_of("tempo=fast")
    'tempo'
    """
    return attribute.partition("=")[0]


def attributes(score: Score) -> tuple[str, ...]:
    """Return what is true of a track, in the order of :data:`ATTRIBUTES`."""
    found = set(_found(score))
    return tuple(name for name in ATTRIBUTES if name in found)


def as_vectors(sets: Collection[Collection[str]]) -> NDArray[np.uint8]:
    """Return a row of 0 and 1 for each set of attributes, shape ``(n_sets, n_attributes)``."""
    column = {name: i for i, name in enumerate(ATTRIBUTES)}
    vectors = np.zeros((len(sets), len(ATTRIBUTES)), np.uint8)
    for row, names in zip(vectors, sets, strict=True):
        row[[column[name] for name in names]] = 1
    return vectors


def _found(score: Score) -> Iterator[str]:
    yield f"genre={score.genre}"
    yield f"mode={score.mode}"
    for voice in score.voices:
        yield f"vocals={SINGERS[voice]}" if voice in SINGERS else f"voice={voice}"
    if not score.singers:
        yield "vocals=none"
    if all(part.family != "drums" for part in score.parts):
        yield "drums=none"
    if len(score.voices) == 1:
        yield "texture=solo"
    if score.metre != "4/4":
        yield f"metre={score.metre}"
    if score.swing >= SWUNG_FROM:
        yield "feel=swung"
    yield from _sides("tempo", score.tempo, SLOW_BELOW, FAST_FROM, "slow medium fast")
    yield from _sides("loudness", score.loudness, QUIET_BELOW, LOUD_FROM, "quiet - loud")
    yield from _sides("density", score.density, SPARSE_BELOW, BUSY_FROM, "sparse - busy")
    yield from _sides("timbre", score.brightness, DARK_BELOW, BRIGHT_FROM, "dark - bright")
    yield from _sides("room", score.room.wet, DRY_BELOW, SPACIOUS_FROM, "dry - spacious")
    if score.saturation >= GRITTY_FROM:
        yield "sound=gritty"
    yield from _structure(score)
    yield from _mood(affect(score))


def _sides(kind: str, value: float, low: float, high: float, names: str) -> Iterator[str]:
    below, between, above = names.split()
    name = below if value < low else above if value >= high else between
    if name != "-":
        yield f"{kind}={name}"


def _structure(score: Score) -> Iterator[str]:
    sizes = [len(section.texture) for section in score.sections]
    if sizes[0] <= max(sizes) / 2:
        yield "structure=build"
    inner = zip(score.sections[1:-1], sizes, sizes[1:], sizes[2:], strict=False)
    if any(s.name == "break" and now < min(before, after) for s, before, now, after in inner):
        yield "structure=break"


def _mood(felt: Affect) -> Iterator[str]:
    arousal, valence = felt.arousal - 5, felt.valence - 5
    if min(abs(arousal), abs(valence)) >= MOOD_MARGIN:
        yield f"mood={MOODS[arousal > 0, valence > 0]}"
