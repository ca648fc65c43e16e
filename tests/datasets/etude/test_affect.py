"""Arousal and valence: a documented function of the score, and raters whose noise is as stated."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.datasets.etude.compose import compose
from earmark.datasets.etude.describe import (
    AROUSAL,
    N_RATERS,
    RATER_SD,
    VALENCE,
    Affect,
    affect,
    cues,
    rate,
)

SCORE = compose(8, seed=0, seconds=6.0)
tempi = st.floats(40, 220)


@given(tempi, tempi, st.integers(0, 400))
def test_arousal_rises_with_tempo_with_everything_else_fixed(one, other, number):
    score = compose(number, seed=1, seconds=6.0)
    slow, fast = sorted((one, other))
    low, high = (affect(replace(score, tempo=tempo)).arousal for tempo in (slow, fast))
    assert low <= high
    assert (fast - slow < 1e-6) or low < high


@given(st.floats(-20, -5), st.floats(-20, -5))
def test_arousal_rises_with_loudness(one, other):
    low, high = (affect(replace(SCORE, loudness=level)).arousal for level in sorted((one, other)))
    assert low <= high


def test_valence_is_higher_in_major_and_arousal_the_same():
    major, minor = (affect(replace(SCORE, mode=mode)) for mode in ("major", "minor"))
    assert major.valence > minor.valence
    assert major.arousal == minor.arousal


def test_distortion_raises_arousal_and_lowers_valence():
    clean, rough = (affect(replace(SCORE, saturation=share)) for share in (0.0, 1.0))
    assert rough.arousal > clean.arousal
    assert rough.valence < clean.valence


def test_is_the_documented_function_of_the_cues():
    score = replace(SCORE, tempo=220.0, loudness=-5.0, mode="major", saturation=0.25)
    onsets = {(part.voice, note.start) for part in score.parts for note in part.notes}
    pitched = [n for part in score.parts if part.role != "drums" for n in part.notes]
    pitch = np.average([n.pitch for n in pitched], weights=[n.duration for n in pitched])
    by_hand = [1.0, 1.0, math.log2(len(onsets) / 6.0 / 8), 1.0, 1.0, (pitch - 60) / 12]
    by_hand += [2 * score.brightness - 1, 0.25]
    np.testing.assert_allclose(
        [cues(score)[name] for name in AROUSAL if name in cues(score)],
        by_hand,
        rtol=1e-12,
    )
    for weights, felt in ((AROUSAL, affect(score).arousal), (VALENCE, affect(score).valence)):
        total = np.dot(list(weights.values()), by_hand)
        assert felt == pytest.approx(5 + 4 * np.tanh(total / 4), abs=1e-12)


def test_stays_inside_the_scale_however_extreme_the_score():
    for tempo, level, drive in ((20.0, -60.0, 0.0), (500.0, 0.0, 1.0)):
        felt = affect(replace(SCORE, tempo=tempo, loudness=level, saturation=drive))
        assert 1 < felt.arousal < 9
        assert 1 < felt.valence < 9


def test_raters_scatter_about_the_truth_as_stated():
    n, truth = 1500, Affect(5.2, 4.4)
    ratings = np.array(
        [[(r.mean, r.sd) for r in rate(truth, seed=0, number=number)] for number in range(n)]
    )
    # Rounding to whole numbers adds a variance of 1/12; the scale's ends are far enough away.
    sd = math.sqrt(RATER_SD**2 + 1 / 12)
    for column, value in enumerate((truth.arousal, truth.valence)):
        means, spreads = ratings[:, column, 0], ratings[:, column, 1]
        assert means.mean() == pytest.approx(value, abs=4 * sd / math.sqrt(N_RATERS * n) + 0.02)
        assert means.std() == pytest.approx(sd / math.sqrt(N_RATERS), rel=0.1)
        assert math.sqrt((spreads**2).mean()) == pytest.approx(sd, rel=0.05)
    noise = ratings[:, :, 0] - ratings[:, :, 0].mean(axis=0)
    assert abs(np.corrcoef(noise.T)[0, 1]) < 4 / math.sqrt(n)


def test_raters_answer_with_whole_numbers_of_the_scale():
    for truth in (1.01, 8.99):
        for number in range(50):
            for rating in rate(Affect(truth, truth), seed=1, number=number):
                assert 1 <= rating.mean <= 9
                assert (rating.mean * N_RATERS) % 1 == pytest.approx(0, abs=1e-9)


def test_the_corpus_spreads_about_as_emomusic_does(scores):
    felt = np.array([(affect(s).arousal, affect(s).valence) for s in scores])
    assert felt.mean(axis=0) == pytest.approx([4.8, 5.0], abs=0.4)
    assert np.all((felt.std(axis=0) > 0.9) & (felt.std(axis=0) < 1.6))
    assert 0.3 < np.corrcoef(felt.T)[0, 1] < 0.8


def test_emomusic_is_what_the_targets_were_read_from(shared_data):
    place = shared_data / "emomusic" / "annotations" / "static_annotations.csv"
    rated = pd.read_csv(place)
    assert rated["mean_arousal"].mean() == pytest.approx(4.8, abs=0.05)
    assert rated["mean_valence"].mean() == pytest.approx(5.0, abs=0.05)
    spreads = rated[["std_arousal", "std_valence"]].mean()
    assert spreads.mean() == pytest.approx(RATER_SD, abs=0.05)
