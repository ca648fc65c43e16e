"""What a track of the Etude corpus is made of: the score from which sound and labels follow.

:func:`earmark.datasets.etude.compose.compose` draws a score,
:func:`earmark.datasets.etude.render.render` turns it into sound. All that a label may say of a
track stands here, and nothing else is heard, so that no label is out of reach of the ear::

    compose(number: int, *, seed: int, seconds: float) -> Score
    render(score: Score, *, sample_rate: int = 22_050) -> NDArray[np.float32]
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeVar, cast, get_args

import numpy as np

from earmark.datasets.base import DataError
from earmark.datasets.gtzan import GENRES

VERSION = "2"
"""Of composing and rendering: tracks of the same number, seed, length and version are the same."""

Family = Literal["plucked", "bowed", "blown", "struck", "electric", "synth", "voice", "drums"]
Role = Literal["lead", "answer", "chords", "pad", "bass", "drums"]
Register = Literal["low", "middle", "high"]
Mode = Literal["major", "minor"]
Scale = Literal["ionian", "mixolydian", "aeolian", "dorian", "phrygian", "harmonic minor", "blues"]
Gender = Literal["male", "female", "choir"]

FAMILIES: tuple[Family, ...] = get_args(Family)

PITCH_CLASSES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")

SCALES: Mapping[Scale, tuple[int, ...]] = MappingProxyType(
    {
        "ionian": (0, 2, 4, 5, 7, 9, 11),
        "mixolydian": (0, 2, 4, 5, 7, 9, 10),
        "aeolian": (0, 2, 3, 5, 7, 8, 10),
        "dorian": (0, 2, 3, 5, 7, 9, 10),
        "phrygian": (0, 1, 3, 5, 7, 8, 10),
        "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
        "blues": (0, 3, 5, 6, 7, 10),
    }
)
"""Semitones above the key's tonic."""


@dataclass(frozen=True, slots=True)
class Voice:
    """An instrument of the corpus, by what a listener would say of it."""

    name: str
    family: Family
    low: int
    """Lowest and highest MIDI pitch; 0 and 0 for drums."""
    high: int
    brightness: float
    """From 0 (dark) to 1 (bright)."""


_VOICES = (
    Voice("acoustic guitar", "plucked", 40, 79, 0.55),
    Voice("banjo", "plucked", 50, 81, 0.8),
    Voice("harp", "plucked", 36, 93, 0.45),
    Voice("sitar", "plucked", 45, 79, 0.85),
    Voice("harpsichord", "plucked", 41, 86, 0.9),
    Voice("upright bass", "plucked", 28, 55, 0.2),
    Voice("violin", "bowed", 55, 93, 0.7),
    Voice("cello", "bowed", 36, 74, 0.45),
    Voice("strings", "bowed", 43, 88, 0.5),
    Voice("flute", "blown", 60, 93, 0.4),
    Voice("clarinet", "blown", 50, 86, 0.4),
    Voice("saxophone", "blown", 46, 80, 0.65),
    Voice("trumpet", "blown", 54, 84, 0.75),
    Voice("brass", "blown", 41, 79, 0.7),
    Voice("harmonica", "blown", 60, 88, 0.8),
    Voice("piano", "struck", 28, 98, 0.5),
    Voice("vibraphone", "struck", 53, 86, 0.35),
    Voice("marimba", "struck", 45, 88, 0.3),
    Voice("bells", "struck", 67, 98, 0.9),
    Voice("electric guitar", "electric", 40, 84, 0.55),
    Voice("distorted guitar", "electric", 40, 76, 0.85),
    Voice("electric bass", "electric", 28, 55, 0.3),
    Voice("electric piano", "electric", 36, 88, 0.35),
    Voice("organ", "electric", 36, 88, 0.55),
    Voice("synth lead", "synth", 48, 91, 0.85),
    Voice("synth pluck", "synth", 48, 91, 0.65),
    Voice("synth pad", "synth", 40, 84, 0.4),
    Voice("synth bass", "synth", 28, 55, 0.45),
    Voice("sub bass", "synth", 26, 50, 0.05),
    Voice("male voice", "voice", 43, 67, 0.45),
    Voice("female voice", "voice", 55, 79, 0.55),
    Voice("choir", "voice", 45, 77, 0.4),
    Voice("drum kit", "drums", 0, 0, 0.6),
    Voice("brushed drums", "drums", 0, 0, 0.5),
    Voice("drum machine", "drums", 0, 0, 0.7),
    Voice("hand percussion", "drums", 0, 0, 0.5),
)

VOICES: Mapping[str, Voice] = MappingProxyType({voice.name: voice for voice in _VOICES})
"""Every voice by its name, which is how running text calls it."""

SINGERS: Mapping[str, Gender] = MappingProxyType(
    {"male voice": "male", "female voice": "female", "choir": "choir"}
)

PIECES = (
    "kick",
    "snare",
    "rim",
    "clap",
    "closed hat",
    "open hat",
    "ride",
    "crash",
    "low tom",
    "high tom",
    "shaker",
    "conga",
)
"""Pieces of the drum parts; the index is the ``pitch`` of a drum part's notes."""


class Note(NamedTuple):
    """One note, or one stroke of a drum part."""

    start: float
    """In seconds from the track's start."""
    duration: float
    """In seconds, until the key is released."""
    pitch: int
    """MIDI number; of a drum part the index into :data:`PIECES`."""
    velocity: int
    """1 soft, 2 medium, 3 hard."""


@dataclass(frozen=True, slots=True)
class Chord:
    """One chord of the harmony, as long as it lasts."""

    start: float
    end: float
    root: int
    """Pitch class, 0 (C) to 11 (B)."""
    pitch_classes: tuple[int, ...]
    """Of all its notes, the root first."""
    numeral: str
    """Its degree in the key, e.g. ``ii7`` or ``bVII``."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one voice plays; it has at least one note."""

    voice: str
    """A key of :data:`VOICES`."""
    role: Role
    register: Register
    """By its mean pitch: low below MIDI 52, high from 72; a drum part is middle."""
    density: float
    """Notes per second of the time in which it plays; those of a chord count as one."""
    level: float
    """In dB, against the loudest part."""
    notes: tuple[Note, ...]
    """In the order of time."""

    @property
    def family(self) -> Family:
        """How the voice makes its sound."""
        return VOICES[self.voice].family


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of time with one texture; sections follow each other without a gap."""

    name: Literal["intro", "theme", "full", "break", "ending"]
    start: float
    end: float
    texture: tuple[int, ...]
    """Which parts play, as indices into :attr:`Score.parts`, ascending."""


@dataclass(frozen=True, slots=True)
class Room:
    """Reverberation: how long it rings (in seconds, by 60 dB) and its share, 0 to 1."""

    seconds: float
    wet: float


@dataclass(frozen=True, slots=True)
class Score:
    """A track of the corpus: everything that is heard and everything that labels follow from."""

    number: int
    seed: int
    seconds: float
    genre: str
    """One of :data:`earmark.datasets.gtzan.GENRES`."""
    tempo: float
    """In beats per minute; of a compound metre (6/8) the dotted beats."""
    metre: str
    """``4/4``, ``3/4`` or ``6/8``."""
    swing: float
    """Where the second eighth of a beat falls: .5 straight to .67 triplets."""
    tonic: int
    """Pitch class, 0 (C) to 11 (B)."""
    mode: Mode
    scale: Scale
    progression: str
    """Its numerals, e.g. ``I V vi IV``."""
    chords: tuple[Chord, ...]
    """In the order of time; they cover the whole track."""
    drum_pattern: str | None
    """The name of the pattern in the genre's style; None without drums."""
    parts: tuple[Part, ...]
    sections: tuple[Section, ...]
    room: Room
    saturation: float
    """Distortion of the whole mix, from 0 (none) to 1 (heavy)."""
    tilt: float
    """Tone control of the whole mix: dB per octave around 1 kHz, -3 (dark) to 3 (bright)."""
    loudness: float
    """Integrated loudness of the mono signal in LUFS (EBU R128), -20 to -5."""

    @property
    def id(self) -> str:
        """The track's name: ``etude.NNNNN``."""
        return f"etude.{self.number:05d}"

    @property
    def key(self) -> str:
        """Tonic and mode, e.g. ``Bb minor``."""
        return f"{PITCH_CLASSES[self.tonic]} {self.mode}"

    @property
    def voices(self) -> tuple[str, ...]:
        """The names of the voices that play, each once, in the order of the parts."""
        return tuple(dict.fromkeys(part.voice for part in self.parts))

    @property
    def singers(self) -> tuple[Gender, ...]:
        """Who sings: each of male, female and choir at most once; empty without vocals."""
        return tuple(SINGERS[voice] for voice in self.voices if voice in SINGERS)

    @property
    def density(self) -> float:
        """Onsets per second of all parts together, the notes of a chord as one."""
        onsets = {(i, note.start) for i, part in enumerate(self.parts) for note in part.notes}
        return len(onsets) / self.seconds

    @property
    def pitch(self) -> float:
        """The mean MIDI pitch of the pitched parts, each note weighted by its duration."""
        pitched = [n for part in self.parts if part.role != "drums" for n in part.notes]
        return sum(n.pitch * n.duration for n in pitched) / sum(n.duration for n in pitched)

    @property
    def brightness(self) -> float:
        """From 0 (dark) to 1 (bright): the voices' brightness weighted by level, and the tilt."""
        weights = [10 ** (part.level / 20) for part in self.parts]
        voices = [VOICES[part.voice].brightness for part in self.parts]
        mean = sum(w * b for w, b in zip(weights, voices, strict=True)) / sum(weights)
        return min(1.0, max(0.0, mean + self.tilt / 10))


def check_track(number: int, *, seed: int, seconds: float) -> None:
    """Refuse what no track can be made of.

    Raises
    ------
    DataError
        If the number or the seed is no whole number from 0, or the length is not 2 to 600 s.
    """
    for name, value in (("number", number), ("seed", seed)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise DataError(f"an Etude track needs a whole {name} from 0, got {value!r}")
    if not 2 <= seconds <= 600:
        raise DataError(f"an Etude track lasts 2 to 600 s, got {seconds!r}")


def genre_of(number: int) -> str:
    """Return the genre of a track: they take turns, so that any ten in a row hold each once.

    >>> genre_of(0), genre_of(19)
    ('blues', 'rock')
    """
    return GENRES[number % len(GENRES)]


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


Weights = Mapping[str, float]
Range = tuple[float, float]

NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Harmony:
    """The chord progressions of one scale, and how often the genre takes the scale."""

    weight: float
    progressions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Style:
    """What a track of one genre is drawn from."""

    tempo: Range
    """Beats per minute in a simple metre; in 6/8 dotted beats, at 0.7 of it."""
    metres: Weights
    swing: Range
    bars_per_chord: Weights
    kits: Weights
    leads: Weights
    answers: Weights
    chords: Weights
    pads: Weights
    basses: Weights
    chord_rhythms: Weights
    """Of all the genre's metres; see ``patterns.fits``."""
    bass_rhythms: Weights
    busy: Range
    """How many of the steps a melody takes, 0 to 1."""
    wet: Range
    saturation: Range
    tilt: Range
    """dB per octave."""
    loudness: Range
    """LUFS."""
    harmony: Mapping[Scale, Harmony]
    drums: Mapping[str, Weights]
    """Patterns of each metre; a metre without has no drums."""

    @property
    def patterns(self) -> tuple[str, ...]:
        """The drum patterns of the style, of all metres."""
        return tuple(name for weights in self.drums.values() for name in weights)


@cache
def styles() -> Mapping[str, Style]:
    """Return the style of each of GTZAN's genres."""
    text = resources.files("earmark.datasets.etude").joinpath("styles.toml").read_text("utf-8")
    return MappingProxyType({genre: _style(table) for genre, table in tomllib.loads(text).items()})


def _style(table: dict[str, object]) -> Style:
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
    scales = cast(dict[Scale, dict[str, object]], fields.pop("harmony"))
    harmony = {
        scale: Harmony(cast(float, entry["weight"]), tuple(cast(list[str], entry["progressions"])))
        for scale, entry in scales.items()
    }
    return Style(**fields, harmony=harmony)  # type: ignore[arg-type]


T = TypeVar("T")

_BLOCK = 1024


class Draws:
    """A stream of draws for one purpose of one track.

    Everything is derived from uniform numbers in [0, 1) of PCG64, whose stream NumPy keeps fixed,
    since that of ``Generator.choice`` or ``Generator.normal`` may move with a release (NEP 19).

    Parameters
    ----------
    seed, number, stream
        Of the corpus, the track and the purpose, each at least 0. Two that differ in any of the
        three are independent.

    >>> Draws(0, 7, 1).whole(1, 6) == Draws(0, 7, 1).whole(1, 6)
    True
    """

    def __init__(self, seed: int, number: int, stream: int) -> None:
        sequence = np.random.SeedSequence([seed, number, stream])
        self._generator = np.random.Generator(np.random.PCG64(sequence))
        self._block: list[float] = []

    def uniform(self) -> float:
        """Return a number in [0, 1)."""
        if not self._block:
            self._block = self._generator.random(_BLOCK).tolist()[::-1]
        return self._block.pop()

    def between(self, low: float, high: float) -> float:
        """Return a number in [low, high)."""
        return low + (high - low) * self.uniform()

    def normal(self) -> float:
        """Return a number that is standard normal to within the sum of twelve uniform ones."""
        return sum(self.uniform() for _ in range(12)) - 6

    def whole(self, low: int, high: int) -> int:
        """Return a whole number from low to high, both included."""
        return low + int(self.uniform() * (high - low + 1))

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self.uniform() < probability

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the options, all equally likely."""
        return options[int(self.uniform() * len(options))]

    def weighted(self, weights: Mapping[T, float]) -> T:
        """Return one of the keys, with probability in proportion to its weight."""
        left = self.uniform() * sum(weights.values())
        for option, weight in weights.items():
            left -= weight
            if left < 0:
                return option
        return next(reversed(list(weights)))

    def shuffled(self, options: Sequence[T]) -> list[T]:
        """Return the options in a random order."""
        order = list(options)
        for last in range(len(order) - 1, 0, -1):
            other = self.whole(0, last)
            order[last], order[other] = order[other], order[last]
        return order
