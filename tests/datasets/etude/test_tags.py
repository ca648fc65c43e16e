"""Tags follow from the score: checked against what the score itself says, not through the rules."""

import numpy as np
import pytest

from earmark.datasets.etude.describe import ATTRIBUTES, RULES, as_labels, attributes, tags
from earmark.datasets.etude.score import VOICES
from earmark.datasets.magnatagatune import TOP_50

DRUMS = {voice.name for voice in VOICES.values() if voice.family == "drums"}
SYNTHS = {voice.name for voice in VOICES.values() if voice.family == "synth"}

FACTS = {
    "guitar": lambda s: any("guitar" in voice for voice in s.voices),
    "piano": lambda s: "piano" in s.voices,
    "violin": lambda s: "violin" in s.voices,
    "cello": lambda s: "cello" in s.voices,
    "harp": lambda s: "harp" in s.voices,
    "flute": lambda s: "flute" in s.voices,
    "sitar": lambda s: "sitar" in s.voices,
    "indian": lambda s: "sitar" in s.voices,
    "harpsichord": lambda s: "harpsichord" in s.voices,
    "strings": lambda s: bool({"violin", "cello", "strings"} & set(s.voices)),
    "synth": lambda s: bool(SYNTHS & set(s.voices)),
    "electronic": lambda s: bool((SYNTHS | {"drum machine"}) & set(s.voices)),
    "drums": lambda s: s.drum_pattern is not None,
    "slow": lambda s: s.tempo < 84,
    "fast": lambda s: s.tempo >= 126,
    "loud": lambda s: s.loudness >= -9,
    "quiet": lambda s: s.loudness < -15,
    "solo": lambda s: len({part.voice for part in s.parts}) == 1,
    "opera": lambda s: s.genre == "classical" and bool({"male", "female"} & set(s.singers)),
    "beats": lambda s: s.genre == "hiphop" or "drum machine" in s.voices,
    **{genre: lambda s, genre=genre: s.genre == genre for genre in ("rock", "pop", "country")},
    **{tag: lambda s: s.genre == "classical" for tag in ("classical", "classic")},
    **{tag: lambda s: bool(s.singers) for tag in ("vocal", "vocals", "voice", "singing")},
    **{tag: lambda s: not s.singers for tag in ("no vocals", "no vocal", "no voice")},
    **{tag: lambda s: "male" in s.singers for tag in ("male", "man", "male vocal", "male voice")},
    **{
        tag: lambda s: "female" in s.singers
        for tag in ("female", "woman", "female vocal", "female voice")
    },
    **{tag: lambda s: "choir" in s.singers for tag in ("choir", "choral")},
}


@pytest.mark.parametrize("tag", FACTS)
def test_a_tag_is_given_to_those_tracks_of_which_it_is_true_and_to_no_other(scores, tag):
    for score in scores:
        assert (tag in tags(attributes(score))) == FACTS[tag](score), score.id


def test_there_is_a_rule_for_each_of_the_fifty_tags_in_their_order():
    assert tuple(RULES) == TOP_50


def test_rules_name_known_attributes_only():
    named = {name for rule in RULES.values() for group in rule for name in group}
    assert named <= set(ATTRIBUTES)


def test_a_track_has_some_tags_but_never_most(scores):
    counts = [len(tags(attributes(score))) for score in scores]
    assert min(counts) >= 3
    assert max(counts) <= 25


def test_labels_are_in_the_columns_of_the_fifty_tags():
    labels = as_labels([("guitar", "choral"), ()])
    assert labels.shape == (2, 50)
    np.testing.assert_array_equal(np.flatnonzero(labels), [0, 49])


def test_a_group_of_a_rule_holds_only_as_a_whole():
    assert "techno" not in tags({"genre=disco"})
    assert "techno" in tags({"genre=disco", "voice=drum machine"})
