"""Tags of Etude tracks, by the names of MagnaTagATune's fifty most frequent ones.

A tag follows from a track's true attributes (:mod:`.attributes`) by the rules below and from
nothing else: all synonyms of a tag come together, unlike those that players of a game typed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.etude.score import VOICES
from earmark.datasets.magnatagatune import TOP_50

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
