"""Captions of Etude tracks, in the style of a production music library.

A caption mentions three to six of a track's true attributes, drawn with the weights below, and
says each in one of several phrasings (:mod:`.phrases`), in one of several orders. Nothing in it is
false, and nothing names the track: two tracks of like attributes may get the same caption.
Phrasings are those of all splits, so that what is held out is the music, not the words.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.etude.compose import PHRASES, PLAIN_NOUNS
from earmark.datasets.etude.score import SINGERS, VOICES, Draws, Score
from earmark.datasets.gtzan import GENRES
from earmark.datasets.magnatagatune import TOP_50

CAPTION_STREAM = 101
"""Of the draws (:class:`.draws.Draws`) that captions are made with."""

N_MENTIONS: Mapping[int, float] = MappingProxyType({3: 0.2, 4: 0.35, 5: 0.3, 6: 0.15})
"""How many attributes a caption mentions, with probabilities."""

WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "genre": 8.0,
        "mood": 3.0,
        "vocals": 2.0,
        "voice": 2.0,
        "tempo": 2.0,
        "metre": 2.0,
        "feel": 1.5,
        "sound": 1.0,
        "loudness": 0.8,
        "density": 0.8,
        "timbre": 0.8,
        "structure": 0.8,
        "texture": 1.0,
        "drums": 0.8,
        "room": 0.6,
        "mode": 0.6,
    }
)
"""How likely an attribute is mentioned, by its kind."""

_MOST_THINGS = 3
_MOST_ADJECTIVES = 2


@dataclass(frozen=True, slots=True)
class Caption:
    """A caption and the attributes that it mentions, in the order of :data:`.ATTRIBUTES`."""

    text: str
    mentions: tuple[str, ...]


def caption(truth: Collection[str], *, seed: int, number: int) -> Caption:
    """Return the caption of a track, given its true attributes."""
    draws = Draws(seed, number, CAPTION_STREAM)
    mentions = _choose([name for name in ATTRIBUTES if name in truth], draws)
    text = _Sentences(draws).write(draws.shuffled(mentions))
    return Caption(text, tuple(name for name in ATTRIBUTES if name in mentions))


def _choose(truth: Sequence[str], draws: Draws) -> list[str]:
    """Return what to mention, drawn without replacement."""
    left = {name: WEIGHTS[kind_of(name)] for name in truth}
    chosen: list[str] = []
    wanted = draws.weighted(N_MENTIONS)
    while len(chosen) < wanted and left:
        name = draws.weighted(left)
        chosen.append(name)
        del left[name]
        if sum(bool(PHRASES[one].things) for one in chosen) == _MOST_THINGS:
            left = {one: weight for one, weight in left.items() if not PHRASES[one].things}
    return chosen


class _Sentences:
    """Writes one caption."""

    def __init__(self, draws: Draws) -> None:
        self._draws = draws

    def write(self, mentions: Sequence[str]) -> str:
        noun = self._draws.pick(PLAIN_NOUNS)
        adjectives: list[str] = []
        things: list[str] = []
        clauses: list[str] = []
        use = ""
        for name in mentions:
            phrases = PHRASES[name]
            if phrases.nouns:
                noun = self._draws.pick(phrases.nouns)
            elif phrases.things:
                things.append(self._draws.pick(phrases.things))
            elif phrases.adjectives and (
                len(adjectives) < _MOST_ADJECTIVES and self._draws.chance(0.65)
            ):
                adjectives.append(self._draws.pick(phrases.adjectives))
            elif phrases.uses and self._draws.chance(0.4):
                use = self._draws.pick(phrases.uses)
            else:
                clauses.append(self._draws.pick(phrases.clauses))
        head = f"{self._draws.pick((', ', ' and ')).join(adjectives)} {noun}".strip()
        sentences = [self._first(head, things, clauses)]
        if clauses:
            who = self._draws.pick(("It", "The music", "This one"))
            sentences.append(f"{who} {listed(clauses)}.")
        if use:
            sentences.append(f"{self._draws.pick(('Ideal for', 'Made for', 'Suits'))} {use}.")
        return " ".join(sentences)

    def _first(self, head: str, things: Sequence[str], clauses: list[str]) -> str:
        """Return the first sentence; a clause that it takes is removed from the list."""
        opening = self._draws.pick((head, with_article(head)))
        if things and self._draws.chance(0.25):
            verb = self._draws.pick(("carry", "lead", "drive"))
            if len(things) == 1 and not _is_plural(things[0]):
                verb = {"carry": "carries", "lead": "leads", "drive": "drives"}[verb]
            return _sentence(f"{listed(things)} {verb} this {head}")
        if things:
            link = self._draws.pick(("with", "featuring", "built around", "that brings in"))
            opening += f" {link} {listed(things)}"
        elif clauses and self._draws.chance(0.5):
            opening += f" that {clauses.pop(0)}"
        return _sentence(opening)


def listed(phrases: Sequence[str]) -> str:
    """Return phrases as running text lists them.

    >>> listed(["flute"]), listed(["flute", "harp"]), listed(["flute", "harp", "bells"])
    ('flute', 'flute and harp', 'flute, harp and bells')
    """
    *most, last = phrases
    return f"{', '.join(most)} and {last}" if most else last


def with_article(phrase: str) -> str:
    """Return a phrase after "a" or "an".

    >>> with_article("upbeat track"), with_article("slow piece")
    ('an upbeat track', 'a slow piece')
    """
    return f"{'an' if phrase[0] in 'aeiouAEIOU' else 'a'} {phrase}"


def _is_plural(thing: str) -> bool:
    return thing.endswith("s") and not thing.endswith("ss")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


Rule = tuple[tuple[str, ...], ...]
"""The tag holds where all attributes of at least one of these groups do."""


def _any(*names: str) -> Rule:
    return tuple((name,) for name in names)


def _voices(family: str) -> Rule:
    return _any(*(f"voice={voice.name}" for voice in VOICES.values() if voice.family == family))


_DRUMS = _voices("drums")
_SINGING = _any("vocals=male", "vocals=female", "vocals=choir")
_NOT_SINGING = _any("vocals=none")
_MALE, _FEMALE, _CHOIR = _any("vocals=male"), _any("vocals=female"), _any("vocals=choir")
_QUIET = _any("loudness=quiet")
_PEACEFUL = tuple((voice, "mood=peaceful") for voice in ("voice=harp", "voice=flute"))

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "guitar": _any("voice=acoustic guitar", "voice=electric guitar", "voice=distorted guitar"),
        "classical": _any("genre=classical"),
        "slow": _any("tempo=slow"),
        "techno": (("genre=disco", "voice=drum machine"),),
        "strings": _any("voice=strings", "voice=violin", "voice=cello"),
        "drums": _DRUMS,
        "electronic": (*_voices("synth"), ("voice=drum machine",)),
        "rock": _any("genre=rock"),
        "fast": _any("tempo=fast"),
        "piano": _any("voice=piano"),
        "ambient": (
            ("voice=synth pad", "drums=none"),
            ("room=spacious", "drums=none", "tempo=slow"),
        ),
        "beat": tuple(
            (f"genre={genre}", *drums) for genre in ("hiphop", "pop") for drums in _DRUMS
        ),
        "violin": _any("voice=violin"),
        "vocal": _SINGING,
        "synth": _voices("synth"),
        "female": _FEMALE,
        "indian": _any("voice=sitar"),
        "opera": (("genre=classical", "vocals=male"), ("genre=classical", "vocals=female")),
        "male": _MALE,
        "singing": _SINGING,
        "vocals": _SINGING,
        "no vocals": _NOT_SINGING,
        "harpsichord": _any("voice=harpsichord"),
        "loud": _any("loudness=loud"),
        "quiet": _QUIET,
        "flute": _any("voice=flute"),
        "woman": _FEMALE,
        "male vocal": _MALE,
        "no vocal": _NOT_SINGING,
        "pop": _any("genre=pop"),
        "soft": (*_QUIET, ("density=sparse", "timbre=dark")),
        "sitar": _any("voice=sitar"),
        "solo": _any("texture=solo"),
        "man": _MALE,
        "classic": _any("genre=classical"),
        "choir": _CHOIR,
        "voice": _SINGING,
        "new age": (*_PEACEFUL, ("voice=synth pad", "mood=peaceful")),
        "dance": (("genre=disco",), ("genre=pop", "tempo=fast")),
        "male voice": _MALE,
        "female vocal": _FEMALE,
        "beats": _any("genre=hiphop", "voice=drum machine"),
        "harp": _any("voice=harp"),
        "cello": _any("voice=cello"),
        "no voice": _NOT_SINGING,
        "weird": (
            ("voice=sitar", "sound=gritty"),
            ("metre=6/8", "sound=gritty"),
            ("voice=bells", "mood=tense"),
        ),
        "country": _any("genre=country"),
        "metal": _any("genre=metal"),
        "female voice": _FEMALE,
        "choral": _CHOIR,
    }
)
"""By tag, in the order of :data:`earmark.datasets.magnatagatune.TOP_50`."""


def tags(truth: Collection[str]) -> tuple[str, ...]:
    """Return the tags of a track, given its true attributes.

    >>> tags({"genre=rock", "vocals=none"})
    ('rock', 'no vocals', 'no vocal', 'no voice')
    """
    true = set(truth)
    return tuple(tag for tag in TOP_50 if any(true.issuperset(group) for group in RULES[tag]))


def as_labels(sets: Collection[Collection[str]]) -> NDArray[np.uint8]:
    """Return a row of 0 and 1 for each set of tags, shape ``(n_sets, 50)``, columns by TOP_50."""
    column = {tag: i for i, tag in enumerate(TOP_50)}
    labels = np.zeros((len(sets), len(TOP_50)), np.uint8)
    for row, names in zip(labels, sets, strict=True):
        row[[column[name] for name in names]] = 1
    return labels


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


AFFECT_STREAM = 102
"""Of the draws (:class:`.draws.Draws`) that raters are made with."""

N_RATERS = 10
RATER_SD = 1.6
"""Of one rater, in points of the scale; in emoMusic it is 1.65 for arousal, 1.56 for valence."""

AROUSAL: Mapping[str, float] = MappingProxyType(
    {
        "constant": -0.6,
        "tempo": 1.3,
        "density": 0.75,
        "loudness": 1.2,
        "mode": 0.0,
        "register": 0.1,
        "brightness": 0.8,
        "distortion": 1.0,
    }
)
"""Weights of the cues and the constant, in points of the scale."""

VALENCE: Mapping[str, float] = MappingProxyType(
    {
        "constant": 0.2,
        "tempo": 1.4,
        "density": 0.7,
        "loudness": 0.4,
        "mode": 0.9,
        "register": 0.4,
        "brightness": 0.8,
        "distortion": -1.2,
    }
)


@dataclass(frozen=True, slots=True)
class Affect:
    """Arousal and valence, each in (1, 9)."""

    arousal: float
    valence: float


@dataclass(frozen=True, slots=True)
class Rating:
    """What the raters of one dimension say together: mean and sample standard deviation."""

    mean: float
    sd: float


def cues(score: Score) -> dict[str, float]:
    """Return what arousal and valence depend on, by the names of the weights."""
    return {
        "constant": 1.0,
        "tempo": math.log2(score.tempo / 110),
        "density": math.log2(max(score.density, 0.5) / 8),
        "loudness": (score.loudness + 12.5) / 7.5,
        "mode": 1.0 if score.mode == "major" else -1.0,
        "register": (score.pitch - 60) / 12,
        "brightness": 2 * score.brightness - 1,
        "distortion": score.saturation,
    }


def affect(score: Score) -> Affect:
    """Return the true arousal and valence of a track, without noise."""
    found = cues(score)
    return Affect(_on_scale(AROUSAL, found), _on_scale(VALENCE, found))


def rate(felt: Affect, *, seed: int, number: int) -> tuple[Rating, Rating]:
    """Return the raters' arousal and valence of a track whose truth is given."""
    draws = Draws(seed, number, AFFECT_STREAM)
    return _rate(felt.arousal, draws), _rate(felt.valence, draws)


def _rate(truth: float, draws: Draws) -> Rating:
    answers = [
        min(9, max(1, math.floor(truth + RATER_SD * draws.normal() + 0.5))) for _ in range(N_RATERS)
    ]
    return Rating(fmean(answers), stdev(answers))


def _on_scale(weights: Mapping[str, float], found: Mapping[str, float]) -> float:
    total = sum(weight * found[name] for name, weight in weights.items())
    return 5 + 4 * math.tanh(total / 4)
