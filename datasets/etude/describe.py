"""Captions of Etude tracks, in the style of a production music library.

A caption mentions three to six of a track's true attributes, drawn with the weights below, and
says each in one of several phrasings (:mod:`.phrases`), in one of several orders. Nothing in it is
false, and nothing names the track: two tracks of like attributes may get the same caption.
Phrasings are those of all splits, so that what is held out is the music, not the words.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from earmark.datasets.etude.attributes import ATTRIBUTES, kind_of
from earmark.datasets.etude.draws import Draws
from earmark.datasets.etude.phrases import PHRASES, PLAIN_NOUNS

STREAM = 101
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
    draws = Draws(seed, number, STREAM)
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
