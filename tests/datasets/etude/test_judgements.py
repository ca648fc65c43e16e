"""Simulated annotators: agreement as the noise model predicts, and much as MusAV's own."""

import itertools
import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.datasets.base import DataError
from earmark.datasets.etude.describe import Affect
from earmark.datasets.etude.judge import (
    ANNOTATORS,
    ANNOTATORS_PER_PAIR,
    NOISE,
    Noise,
    judge,
    probabilities,
    triplets,
)
from earmark.datasets.judgements import musav
from earmark.datasets.judgements.rules import DIMENSIONS, LABELS, agreement, derive_pairs

N_SONGS = 3000
SONGS = {f"s{i:04d}": ("rock", "jazz", "hip hop")[i % 3] for i in range(N_SONGS)}
rng = np.random.default_rng(0)
TRUTH = {
    song: Affect(*row)
    for song, row in zip(SONGS, 5 + 1.2 * rng.standard_normal((N_SONGS, 2)), strict=True)
}


@pytest.fixture(scope="module")
def groups():
    return triplets(SONGS, seed=0)


def expected_agreement(differences, noise):
    """Return the shares of pairs in full, majority and no agreement that the model predicts."""
    shares = defaultdict(float)
    for difference in differences:
        chance = probabilities(difference, noise)
        for said in itertools.product(LABELS, repeat=ANNOTATORS_PER_PAIR):
            one, other, third = (chance[label] for label in said)
            shares[agreement(said)] += one * other * third
    return {level: share / len(differences) for level, share in shares.items()}


def differences(groups, dimension):
    return [
        getattr(TRUTH[a], dimension) - getattr(TRUTH[b], dimension)
        for group in groups
        for a, b in itertools.combinations(group.songs, 2)
    ]


def test_every_song_is_in_one_triplet_at_most(groups):
    songs = [song for group in groups for song in group.songs]
    assert len(songs) == len(set(songs)) == N_SONGS
    assert len({group.id for group in groups}) == len(groups) == N_SONGS // 3
    two_left = triplets({f"s{i}": "pop" for i in range(8)}, seed=0)
    assert len(two_left) == 2


def test_one_triplet_in_five_is_of_one_genre(groups):
    of_genre = [group for group in groups if group.genre]
    assert len(of_genre) == round(0.2 * len(groups))
    assert all(SONGS[song] == group.genre for group in of_genre for song in group.songs)
    assert {group.type for group in groups if not group.genre} == {"global_triplet"}


def test_few_songs_make_global_triplets_only():
    songs = {f"s{i}": f"genre {i}" for i in range(7)}
    assert [group.type for group in triplets(songs, seed=0)] == ["global_triplet"] * 2
    assert triplets({}, seed=0) == ()


def test_triplets_and_judgements_depend_on_the_seed_alone(groups):
    assert triplets(dict(reversed(SONGS.items())), seed=0) == groups
    assert triplets(SONGS, seed=1) != groups
    few = groups[:20]
    assert judge(few, TRUTH, "arousal", seed=0) == judge(few, TRUTH, "arousal", seed=0)
    assert judge(few, TRUTH, "arousal", seed=0) != judge(few, TRUTH, "arousal", seed=1)


def test_three_annotators_judge_each_pair_in_one_order_on_both_dimensions(groups):
    orders = []
    for dimension in DIMENSIONS:
        said = judge(groups, TRUTH, dimension, seed=0)
        by_pair = {}
        for j in said:
            by_pair.setdefault((j.triplet, j.song_a, j.song_b), []).append(j.annotator)
        assert all(tuple(names) == ANNOTATORS for names in by_pair.values())
        assert len(by_pair) == 3 * len(groups)
        orders.append(list(by_pair))
    assert orders[0] == orders[1]
    first = Counter(a < b for _, a, b in orders[0])
    assert first[True] / len(orders[0]) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_agreement_is_what_the_noise_model_predicts(groups, dimension):
    said = judge(groups, TRUTH, dimension, seed=0)
    pairs = derive_pairs(said, {group.id: group for group in groups})
    found = Counter(pair.agreement for pair in pairs)
    expected = expected_agreement(differences(groups, dimension), NOISE[dimension])
    assert sum(expected.values()) == pytest.approx(1)
    for level, share in expected.items():
        standard_error = math.sqrt(share * (1 - share) / len(pairs))
        assert found[level] / len(pairs) == pytest.approx(share, abs=4 * standard_error), level


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_each_answer_is_as_frequent_as_the_model_predicts(groups, dimension):
    said = Counter(j.higher_value for j in judge(groups, TRUTH, dimension, seed=0))
    chances = [probabilities(d, NOISE[dimension]) for d in differences(groups, dimension)]
    n = sum(said.values())
    for label in ("ab", "not_selected"):
        share = np.mean([chance[label] for chance in chances])
        assert said[label] / n == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / n))


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_annotators_agree_about_as_often_as_those_of_musav(shared_data, groups, dimension):
    real = musav.load(shared_data / "musav").pairs(dimension)
    shares = Counter(pair.agreement for pair in real)
    expected = expected_agreement(differences(groups, dimension), NOISE[dimension])
    for level, share in expected.items():
        assert share == pytest.approx(shares[level] / len(real), abs=0.05), level


@given(st.floats(-8, 8), st.floats(0.1, 3), st.floats(0, 2), st.floats(0, 0.2))
def test_exchanging_two_songs_exchanges_the_answers(difference, sd, equal_below, unanswered):
    noise = Noise(sd, equal_below, unanswered)
    chance, other = probabilities(difference, noise), probabilities(-difference, noise)
    assert tuple(chance) == LABELS
    assert sum(chance.values()) == pytest.approx(1)
    assert min(chance.values()) >= -1e-12
    assert chance["a"] == pytest.approx(other["b"], abs=1e-12)
    assert chance["ab"] == pytest.approx(other["ab"], abs=1e-12)


def test_without_noise_annotators_agree_and_are_right(groups):
    noise = Noise(sd=1e-9, equal_below=0.5, unanswered=0.0)
    assert expected_agreement([2.0, -2.0, 0.1], noise) == pytest.approx(
        {"full-agreement": 1, "majority-agreement": 0, "disagreement": 0}
    )


def test_an_unknown_dimension_is_refused(groups):
    with pytest.raises(DataError, match="annotators judge arousal or valence, not 'tension'"):
        judge(groups, TRUTH, "tension", seed=0)
