"""Captions: three to six attributes, all true, and the text can be read back to just these."""

import re
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.datasets.etude.compose import PHRASES, compose
from earmark.datasets.etude.describe import (
    ATTRIBUTES,
    WEIGHTS,
    as_vectors,
    attributes,
    caption,
    kind_of,
    listed,
    with_article,
)
from earmark.datasets.etude.score import Room

BY_LENGTH = sorted(
    ((phrase, name) for name, phrases in PHRASES.items() for phrase in phrases.all),
    key=lambda pair: -len(pair[0]),
)


def read_back(text):
    """Return the attributes whose phrases the text holds, each word taken by the longest one."""
    found = set()
    for phrase, name in BY_LENGTH:
        pattern = re.compile(rf"(?<![\w-]){re.escape(phrase)}(?![\w-])", re.IGNORECASE)
        text, times = pattern.subn("#", text)
        found |= {name} if times else set()
    return found


@given(st.integers(0, 5000), st.integers(0, 20))
def test_a_caption_says_three_to_six_things_and_all_are_true(number, seed):
    truth = attributes(compose(number, seed=seed, seconds=6.0))
    written = caption(truth, seed=seed, number=number)
    assert 3 <= len(written.mentions) <= 6
    assert len(set(written.mentions)) == len(written.mentions)
    assert set(written.mentions) <= set(truth)
    assert read_back(written.text) == set(written.mentions)


@given(st.sets(st.sampled_from(ATTRIBUTES), min_size=3), st.integers(0, 10**6))
def test_any_truth_gives_a_clean_sentence(truth, number):
    written = caption(truth, seed=0, number=number)
    assert set(written.mentions) <= truth
    text = written.text
    assert text[0].isupper()
    assert text.endswith(".")
    assert not re.search(r"  | ,| \.|\.\.|\ba [aeiou]|\ban [^aeiou]", text), text
    assert text == text.strip()


def test_the_same_track_has_the_same_caption_and_another_seed_another():
    truth = attributes(compose(4, seed=0, seconds=6.0))
    assert caption(truth, seed=0, number=4) == caption(truth, seed=0, number=4)
    texts = {caption(truth, seed=seed, number=4).text for seed in range(8)}
    assert len(texts) > 4


def test_tracks_of_like_attributes_can_share_a_caption():
    truth = {"genre=rock", "mode=minor", "tempo=fast"}
    texts = Counter(caption(truth, seed=0, number=number).text for number in range(2000))
    assert max(texts.values()) > 1
    assert len(texts) > 100


def test_captions_of_a_corpus_are_mostly_distinct(scores):
    texts = {caption(attributes(s), seed=3, number=s.number).text for s in scores}
    assert len(texts) > 0.95 * len(scores)


def test_a_phrase_belongs_to_one_attribute_only():
    phrases = [phrase for phrase, _ in BY_LENGTH]
    assert len(set(phrases)) == len(phrases)


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_every_attribute_can_be_said_in_several_ways_and_be_drawn(name):
    assert len(PHRASES[name].all) >= 2
    assert WEIGHTS[kind_of(name)] > 0
    assert PHRASES[name].nouns or PHRASES[name].things or PHRASES[name].clauses


def test_phrases_are_of_known_attributes():
    assert set(PHRASES) == set(ATTRIBUTES)


@pytest.mark.parametrize(
    ("things", "verb"),
    [("bass guitar", "carries"), ("double bass", "carries"), ("live drums", "carry")],
)
def test_a_verb_agrees_with_what_it_is_said_of(things, verb):
    (name,) = [name for phrase, name in BY_LENGTH if phrase == things]
    truth = {name, "genre=rock", "mode=minor"}
    texts = [caption(truth, seed=0, number=number).text for number in range(400)]
    matching = [text for text in texts if re.match(rf"{things} carr", text, re.IGNORECASE)]
    assert matching
    assert all(f" {verb} this " in text for text in matching)


def test_lists_and_articles_read_as_english():
    assert listed(["flute"]) == "flute"
    assert listed(["flute", "harp", "bells"]) == "flute, harp and bells"
    assert with_article("echoing track") == "an echoing track"
    assert with_article("slow track") == "a slow track"


def test_attributes_follow_the_thresholds_of_the_score(scores):
    base = scores[0]
    for change, expected in (
        ({"tempo": 83.9}, "tempo=slow"),
        ({"tempo": 84.0}, "tempo=medium"),
        ({"tempo": 126.0}, "tempo=fast"),
        ({"metre": "3/4"}, "metre=3/4"),
        ({"swing": 0.57}, "feel=swung"),
        ({"loudness": -15.1}, "loudness=quiet"),
        ({"loudness": -9.0}, "loudness=loud"),
        ({"mode": "minor"}, "mode=minor"),
        ({"room": Room(1.0, 0.09)}, "room=dry"),
        ({"room": Room(1.0, 0.25)}, "room=spacious"),
        ({"saturation": 0.5}, "sound=gritty"),
        ({"parts": base.parts[:1]}, "texture=solo"),
    ):
        changed = attributes(replace(base, **change))
        assert expected in changed
        kind = kind_of(expected)
        assert [name for name in changed if kind_of(name) == kind] == [expected]


def test_every_track_is_sung_or_not_and_has_one_genre_mode_and_tempo(scores):
    for score in scores:
        kinds = Counter(kind_of(name) for name in attributes(score))
        assert [kinds[kind] for kind in ("genre", "mode", "tempo")] == [1, 1, 1]
        assert ("vocals=none" in attributes(score)) == (not score.singers)
        assert kinds["mood"] <= 1


def test_vectors_hold_the_attributes_in_their_columns():
    vectors = as_vectors([("genre=blues",), (ATTRIBUTES[-1], "genre=blues"), ()])
    assert vectors.shape == (3, len(ATTRIBUTES))
    assert vectors.sum(axis=1).tolist() == [1, 2, 0]
    assert vectors[1, 0] == vectors[1, -1] == 1
