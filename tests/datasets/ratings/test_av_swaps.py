"""Exchanged columns: told by correlations with a reference, never by chance, song by song."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from invented_ratings import draw, write_dynamic, write_table

from earmark.datasets.base import DataError
from earmark.datasets.ratings.swapped_columns import (
    MARGIN,
    compare_axes,
    dynamic_means,
    exchange,
    exchanged_songs,
)

OPPOSITE = {"straight": "exchanged", "exchanged": "straight", "undecided": "undecided"}


def named(points):
    return {str(song): point for song, point in points.items()}


def noisy(points, sd, seed):
    rng = np.random.default_rng(seed)
    return {song: tuple(np.add(point, rng.normal(0, sd, 2))) for song, point in points.items()}


def verdict(rated, reference):
    return compare_axes(rated, reference, name="the reference").verdict


@given(st.integers(0, 10_000), st.integers(20, 80), st.floats(0, 3))
def test_exchanging_either_side_turns_the_verdict_round_and_both_leaves_it(seed, n, sd):
    reference = named(draw(range(n), seed=seed))
    rated = noisy(reference, sd, seed)
    found = verdict(rated, reference)
    assert verdict(exchange(rated), reference) == OPPOSITE[found]
    assert verdict(rated, exchange(reference)) == OPPOSITE[found]
    assert verdict(exchange(rated), exchange(reference)) == found


@given(st.integers(0, 10_000), st.floats(0.1, 10), st.floats(-5, 5))
def test_the_references_scale_does_not_matter(seed, factor, shift):
    rated = named(draw(range(60), seed=seed))
    reference = {song: (factor * a + shift, v / 7) for song, (a, v) in rated.items()}
    assert verdict(rated, reference) == verdict(rated, rated)


@given(st.integers(0, 10_000))
def test_what_follows_its_reference_is_never_called_exchanged(seed):
    reference = named(draw(range(100), seed=seed))
    assert verdict(noisy(reference, 0.5, seed), reference) == "straight"


@given(st.integers(0, 10_000))
def test_a_reference_that_says_nothing_decides_nothing(seed):
    points = named(draw(range(30), seed=seed))
    same = {song: (a, a) for song, (a, _) in points.items()}
    assert verdict(points, same) == "undecided"


def test_the_margin_is_of_mean_correlations():
    # Held against themselves, two columns correlate by 1 as they stand and by r exchanged.
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(np.column_stack([np.ones(50), rng.normal(size=(50, 2))]))[0][:, 1:]
    for r, expected in ((1 - MARGIN - 0.01, "straight"), (1 - MARGIN + 0.01, "undecided")):
        valence = r * basis[:, 0] + np.sqrt(1 - r**2) * basis[:, 1]
        points = {str(i): row for i, row in enumerate(zip(basis[:, 0], valence, strict=True))}
        assert verdict(points, points) == expected


def test_few_songs_and_constant_columns_decide_nothing():
    points = named(draw(range(19)))
    evidence = compare_axes(points, points, name="the reference")
    assert str(evidence) == "the reference: undecided (19 songs in common, needs 20)"
    flat = {song: (5.0, v) for song, (_, v) in named(draw(range(30))).items()}
    assert compare_axes(flat, flat, name="x").detail == "a column is constant"


@given(st.integers(0, 10_000), st.sets(st.integers(0, 39)))
def test_exchanged_songs_are_those_exchanged_that_can_be_told(seed, chosen):
    # Without the noise, ratings of one decimal would often be just at the tolerance.
    reference = noisy(named(draw(range(40), seed=seed)), 0.3, seed)
    swapped = {str(song) for song in chosen}
    rated = {s: (v, a) if s in swapped else (a, v) for s, (a, v) in reference.items()}
    expected = [s for s in reference if s in swapped and 2 * abs(np.subtract(*reference[s])) > 1]
    assert exchanged_songs(rated, reference) == sorted(expected)


def test_dynamic_annotations_are_averaged_over_what_there_is(tmp_path):
    for kind, rows in (
        ("arousal", [(1, 0.1, 0.3, ""), (2, 0.5), (3, "", "NaN")]),
        ("valence", [(1, -1, -1, -1), (2, "", 0.25), (3, 1)]),
    ):
        header = ["song_id", "sample_15000ms", "sample_15500ms", "sample_16000ms"]
        write_table(tmp_path / f"{kind}.csv", header, rows)
    means = dynamic_means(tmp_path / "arousal.csv", tmp_path / "valence.csv")
    assert means == {"1": (pytest.approx(0.2), -1), "2": (0.5, 0.25)}


def test_dynamic_annotations_that_are_none_are_refused(tmp_path):
    write_dynamic(tmp_path, draw(range(3)))
    with pytest.raises(DataError, match=r"nowhere\.csv cannot be read"):
        dynamic_means(tmp_path / "nowhere.csv", tmp_path / "valence.csv")
    (tmp_path / "arousal.csv").write_text("")
    with pytest.raises(DataError, match="with song_id in the first column"):
        dynamic_means(tmp_path / "arousal.csv", tmp_path / "valence.csv")
