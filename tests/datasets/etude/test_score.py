"""Scores: what they say of themselves, and the draws that tracks are made of."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.datasets.base import DataError
from earmark.datasets.etude.score import (
    FAMILIES,
    VOICES,
    Draws,
    Note,
    Part,
    Room,
    Score,
    Section,
    check_track,
    genre_of,
)
from earmark.datasets.gtzan import GENRES

GUITAR = Part(
    "acoustic guitar", "chords", "middle", 1.0, -6.0, (Note(0, 1, 60, 2), Note(2, 1, 64, 2))
)
SINGER = Part("female voice", "lead", "middle", 1.0, 0.0, (Note(2, 2, 70, 3),))
DRUMS = Part("drum kit", "drums", "middle", 1.0, 0.0, (Note(0, 0.1, 0, 3), Note(2, 0.1, 1, 3)))


def score(**changes):
    given = {
        "number": 7,
        "seed": 0,
        "seconds": 4.0,
        "genre": "pop",
        "tempo": 100.0,
        "metre": "4/4",
        "swing": 0.5,
        "tonic": 10,
        "mode": "minor",
        "scale": "aeolian",
        "progression": "i iv",
        "chords": (),
        "drum_pattern": "ballad",
        "parts": (GUITAR, SINGER, DRUMS),
        "sections": (Section("intro", 0.0, 2.0, (0,)), Section("full", 2.0, 4.0, (0, 1, 2))),
        "room": Room(1.0, 0.2),
        "saturation": 0.0,
        "tilt": 0.0,
        "loudness": -12.0,
    }
    return Score(**(given | changes))


def test_a_score_names_its_track_and_key():
    assert score().id == "etude.00007"
    assert score().key == "Bb minor"


def test_a_score_says_who_plays_and_who_sings():
    assert score().voices == ("acoustic guitar", "female voice", "drum kit")
    assert score().singers == ("female",)
    assert score(parts=(GUITAR, DRUMS)).singers == ()


def test_onsets_of_a_chord_count_once_and_strokes_at_the_same_time_apart():
    chord = dataclasses.replace(GUITAR, notes=(Note(0, 1, 60, 2), Note(0, 1, 64, 2)))
    assert score(parts=(chord, DRUMS)).density == 3 / 4


def test_the_mean_pitch_leaves_drums_out_and_weights_by_duration():
    assert score().pitch == (60 + 64 + 2 * 70) / 4


def test_brightness_follows_voices_and_tilt_and_stays_within_its_bounds():
    assert score(tilt=1.0).brightness == pytest.approx(score().brightness + 0.1)
    assert score(tilt=9.0).brightness == 1
    assert score(tilt=-9.0).brightness == 0


def test_there_are_voices_of_every_family_and_more_than_sixteen():
    assert {voice.family for voice in VOICES.values()} == set(FAMILIES)
    assert len(VOICES) > 16
    assert all(0 <= voice.brightness <= 1 for voice in VOICES.values())


def test_genres_take_turns():
    assert [genre_of(i) for i in range(20)] == [*GENRES, *GENRES]


@pytest.mark.parametrize("number", [-1, 1.0, True, "1", None])
def test_a_number_or_seed_that_is_none_is_named(number):
    with pytest.raises(DataError, match=r"a whole number from 0, got"):
        check_track(number, seed=0, seconds=10)
    with pytest.raises(DataError, match=r"a whole seed from 0, got"):
        check_track(0, seed=number, seconds=10)


@pytest.mark.parametrize("seconds", [0, 1.99, 600.1, float("nan"), float("inf"), -5])
def test_a_length_out_of_range_is_named(seconds):
    with pytest.raises(DataError, match=r"lasts 2 to 600 s, got"):
        check_track(0, seed=0, seconds=seconds)


def test_draws_are_those_of_pcg64():
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([5, 3, 1])))
    draws = Draws(5, 3, 1)
    assert [draws.uniform() for _ in range(3000)] == [
        x for _ in range(3) for x in generator.random(1024)
    ][:3000]


def test_draws_do_not_move_with_numpy():
    # Of NumPy 2.4; PCG64's stream is one that NEP 19 fixes.
    assert Draws(0, 0, 0).uniform() == 0.6369616873214543


@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_streams_of_another_track_seed_or_purpose_differ(seed, number):
    streams = [(seed, number, 0), (seed + 1, number, 0), (seed, number + 1, 0), (seed, number, 1)]
    assert len({Draws(*stream).uniform() for stream in streams}) == 4


@given(st.integers(0, 1000), st.lists(st.integers(), min_size=1, unique=True))
def test_shuffling_keeps_what_there_is_and_picks_are_among_it(seed, options):
    draws = Draws(seed, 0, 0)
    assert sorted(draws.shuffled(options)) == sorted(options)
    assert draws.pick(options) in options


def test_draws_follow_their_weights_and_ranges():
    draws = Draws(0, 0, 0)
    taken = [draws.weighted({"often": 3.0, "seldom": 1.0, "never": 0.0}) for _ in range(4000)]
    assert taken.count("often") / 4000 == pytest.approx(0.75, abs=0.03)
    assert "never" not in taken
    assert {draws.whole(2, 4) for _ in range(100)} == {2, 3, 4}
    normal = [draws.normal() for _ in range(4000)]
    assert np.mean(normal) == pytest.approx(0, abs=0.06)
    assert np.std(normal) == pytest.approx(1, abs=0.05)
