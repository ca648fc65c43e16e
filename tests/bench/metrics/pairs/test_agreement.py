"""Agreement of annotators against the krippendorff package, plain loops and MusAV's figures."""

import json
from itertools import combinations

import krippendorff
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from earmark.bench.metrics.pairs import agreement
from earmark.bench.metrics.pairs.agreement import (
    evaluate_alpha,
    human_reference,
    krippendorff_alpha,
    observed_agreement,
    rating_matrix,
)

NAN = np.nan
LEVELS = ("nominal", "ordinal", "interval")
levels = st.sampled_from(LEVELS)
small = st.sampled_from([NAN, 1.0, 2.0, 3.0, 5.0])
matrices = arrays(float, st.tuples(st.integers(2, 5), st.integers(2, 12)), elements=small)
votes = arrays(
    float,
    st.tuples(st.integers(2, 5), st.integers(1, 12)),
    elements=st.sampled_from([-1, 0, 1, NAN]),
)

# Krippendorff (2011), sec. C: four observers, twelve units.
WORKED = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
    [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
]


def pairable_values(matrix):
    twice = np.count_nonzero(~np.isnan(matrix), axis=0) >= 2
    columns = matrix[:, twice]
    return np.unique(columns[~np.isnan(columns)])


@pytest.mark.parametrize(
    ("level", "expected"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_agrees_with_the_example_of_the_paper(level, expected):
    assert krippendorff_alpha(WORKED, level=level) == pytest.approx(expected, abs=5e-4)


@given(matrices, levels)
def test_agrees_with_the_reference_implementation(matrix, level):
    assume(len(pairable_values(matrix)) > 1)
    expected = krippendorff.alpha(matrix, level_of_measurement=level)
    assert krippendorff_alpha(matrix, level=level) == pytest.approx(expected, abs=1e-12)


def test_agrees_with_the_reference_on_continuous_ratings():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=40) + rng.normal(size=(4, 40))
    matrix[rng.random(matrix.shape) < 0.3] = NAN
    for level in ("ordinal", "interval"):
        expected = krippendorff.alpha(matrix, level_of_measurement=level)
        assert krippendorff_alpha(matrix, level=level) == pytest.approx(expected, abs=1e-12)


@given(matrices, levels, st.data())
def test_neither_the_order_of_raters_nor_of_units_matters(matrix, level, data):
    assume(len(pairable_values(matrix)) > 1)
    raters = data.draw(st.permutations(range(matrix.shape[0])))
    units = data.draw(st.permutations(range(matrix.shape[1])))
    expected = krippendorff_alpha(matrix, level=level)
    shuffled = matrix[np.ix_(raters, units)]
    assert krippendorff_alpha(shuffled, level=level) == pytest.approx(expected, abs=1e-12)


@given(matrices, st.floats(0.1, 10), st.floats(-1e6, 1e6), st.booleans())
def test_interval_alpha_keeps_under_affine_maps_of_the_scale(matrix, scale, shift, reverse):
    assume(len(pairable_values(matrix)) > 1)
    mapped = (-scale if reverse else scale) * matrix + shift
    expected = krippendorff_alpha(matrix, level="interval")
    assert krippendorff_alpha(mapped, level="interval") == pytest.approx(expected, abs=1e-7)


@given(matrices, st.booleans())
def test_ordinal_alpha_keeps_under_monotone_maps_of_the_scale(matrix, reverse):
    assume(len(pairable_values(matrix)) > 1)
    mapped = (-1 if reverse else 1) * np.exp(matrix)
    expected = krippendorff_alpha(matrix, level="ordinal")
    assert krippendorff_alpha(mapped, level="ordinal") == pytest.approx(expected, abs=1e-12)


@given(matrices, st.permutations([1.0, 2.0, 3.0, 5.0]))
def test_nominal_alpha_keeps_under_relabelling(matrix, labels):
    assume(len(pairable_values(matrix)) > 1)
    mapped = np.full(matrix.shape, NAN)
    for old, new in zip([1.0, 2.0, 3.0, 5.0], labels, strict=True):
        mapped[matrix == old] = new
    expected = krippendorff_alpha(matrix)
    assert krippendorff_alpha(mapped) == pytest.approx(expected, abs=1e-12)


@given(matrices, levels)
def test_alpha_keeps_its_bounds_and_is_one_for_perfect_agreement(matrix, level):
    assume(len(pairable_values(matrix)) > 1)
    assert -1 <= krippendorff_alpha(matrix, level=level) <= 1 + 1e-12
    perfect = np.tile(np.arange(4.0), (3, 1))
    assert krippendorff_alpha(perfect, level=level) == 1


def test_raters_who_guess_agree_by_chance_alone():
    guesses = np.random.default_rng(0).integers(0, 3, (3, 20_000))
    for level in LEVELS:
        assert krippendorff_alpha(guesses, level=level) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("level", LEVELS)
def test_the_interval_of_alpha_is_that_of_a_plain_loop(level):
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 90)
    matrix = np.where(rng.random((3, 90)) < 0.6, truth, rng.integers(0, 3, (3, 90))).astype(float)
    matrix[rng.random(matrix.shape) < 0.1] = NAN
    triplets = np.repeat(np.arange(30), 3)
    found = evaluate_alpha(matrix, level=level, units=triplets)
    columns = np.arange(90).reshape(30, 3)
    looped = [
        krippendorff_alpha(matrix[:, columns[rng.integers(0, 30, 30)].ravel()], level=level)
        for _ in range(1500)
    ]
    assert found.value == krippendorff_alpha(matrix, level=level)
    assert (found.n_units, found.interval.undefined) == (30, 0)
    # Of 30 triplets Student's interval is a little wider than the bootstrap's, and not narrower.
    low, high = np.quantile(looped, [0.025, 0.975])
    width = found.interval.high - found.interval.low
    assert 0.95 * (high - low) < width < 1.25 * (high - low)
    assert found.interval.low == pytest.approx(low, abs=0.3 * np.std(looped) + 0.01)


@given(matrices, levels)
def test_the_resampled_form_of_alpha_is_alpha(matrix, level):
    assume(len(pairable_values(matrix)) > 1)
    columns, alpha_of = {
        "nominal": (agreement._nominal_columns, agreement._nominal_alpha),
        "ordinal": (agreement._ordinal_columns, agreement._ordinal_alpha),
        "interval": (agreement._interval_columns, agreement._interval_alpha),
    }[level]
    expected = krippendorff.alpha(matrix, level_of_measurement=level)
    assert alpha_of(columns(matrix).sum(axis=0)) == pytest.approx(expected, abs=1e-12)


def test_a_value_that_hangs_on_one_unit_is_counted_as_undefined_without_it():
    ratings = np.full((2, 5), 1.37)
    ratings[:, 0] = 2.91
    for level in LEVELS:
        assert evaluate_alpha(ratings, level=level).interval.undefined == 1


def test_what_rounding_leaves_of_no_spread_is_no_spread():
    # Seven units on which three raters agree on the same value.
    x = np.linspace(-3, 3, 1001)
    unit = np.stack([np.zeros_like(x), np.full_like(x, 3), 3 * x, 3 * x**2], axis=1)
    assert np.isnan(agreement._interval_alpha(np.sum([unit] * 7, axis=0))).all()


@given(votes)
def test_observed_agreement_is_that_of_a_plain_loop(matrix):
    twice = np.count_nonzero(~np.isnan(matrix), axis=0) >= 2
    assume(twice.any())
    agreeing = total = 0
    for column in matrix.T:
        for first, second in combinations(column[~np.isnan(column)], 2):
            total += 1
            agreeing += first == second
    found = observed_agreement(matrix)
    assert (found.agreeing, found.pairs, found.value) == (agreeing, total, agreeing / total)


def looped_reference(matrix):
    """Each annotator's (correct, n) against at least two others who agree on a or b."""
    table = []
    for rater in range(len(matrix)):
        correct = n = 0
        for pair in range(matrix.shape[1]):
            others = [v for v in np.delete(matrix[:, pair], rater) if not np.isnan(v)]
            if len(others) < 2 or len(set(others)) > 1 or others[0] == 0:
                continue
            if matrix[rater, pair] in (-1, 1):
                n += 1
                correct += matrix[rater, pair] == others[0]
        table.append((correct, n))
    return table


@given(votes)
def test_the_human_reference_is_that_of_a_plain_loop(matrix):
    assume((np.count_nonzero(~np.isnan(matrix), axis=0) >= 2).any())
    table = looped_reference(matrix)
    correct, n = np.sum(table, axis=0)
    if not n:
        with pytest.raises(ValueError, match="no annotator chose a or b where at least two"):
            human_reference(matrix)
        return
    found = human_reference(matrix)
    assert (found.estimate.value, found.estimate.n) == (correct / n, n)
    assert [(one.correct, one.n) for one in found.annotators] == table
    for one in found.annotators:
        assert np.isnan(one.accuracy) if not one.n else one.accuracy == one.correct / one.n


def test_annotators_keep_their_names():
    matrix, raters, _ = rating_matrix("xyzxyz", "pppqqq", "aabbbb")
    found = human_reference(matrix, annotators=raters)
    assert [one.annotator for one in found.annotators] == ["x", "y", "z"]


def test_judgements_become_a_matrix_with_a_hole_for_what_was_not_selected():
    matrix, raters, items = rating_matrix(
        ["r2", "r1", "r1"], ["p", "q", "p"], ["ab", "not_selected", "b"]
    )
    np.testing.assert_array_equal(matrix, [[1, NAN], [0, NAN]])
    assert (raters, items) == (["r1", "r2"], ["p", "q"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["r"], ["p"], []), "1 raters, 1 items and 0 labels"),
        (
            (["r"], ["p"], ["c"]),
            "judgement of p by r is 'c', expected one of a, ab, b, not_selected",
        ),
        ((["r", "r"], ["p", "p"], ["a", "b"]), "r judges p twice"),
    ],
)
def test_refuses_judgements_that_make_no_matrix(arguments, message):
    with pytest.raises(ValueError, match=message):
        rating_matrix(*arguments)


@pytest.mark.parametrize(
    ("ratings", "message"),
    [
        ([1, 2], r"ratings must be \(n_raters, n_units\), got shape \(2,\)"),
        ([[1, 2]], r"no unit was rated by two raters \(1 raters, 2 units\)"),
        ([[1, NAN], [NAN, 2]], "no unit was rated by two raters"),
        ([[1, np.inf], [1, 2]], "rating of unit 1 by rater 0 is infinite"),
    ],
)
@pytest.mark.parametrize(
    "function", [krippendorff_alpha, observed_agreement, lambda r: human_reference(r)]
)
def test_refuses_ratings_without_agreement_to_measure(function, ratings, message):
    with pytest.raises(ValueError, match=message):
        function(ratings)


@pytest.mark.parametrize("level", LEVELS)
def test_alpha_of_one_single_value_is_an_error(level):
    with pytest.raises(ValueError, match="all pairable ratings are the same"):
        krippendorff_alpha([[0.1, 0.1, 0.1], [0.1, 0.1, 0.1], [NAN, NAN, 0.1]], level=level)


def test_a_value_that_is_never_paired_does_not_define_alpha():
    with pytest.raises(ValueError, match="all pairable ratings are the same"):
        krippendorff_alpha([[1, 1, 7], [1, 1, NAN]])


def test_refuses_an_unknown_level():
    with pytest.raises(ValueError, match="level is 'ratio', expected nominal, ordinal or interval"):
        krippendorff_alpha(WORKED, level="ratio")


def test_refuses_an_ordinal_interval_over_too_many_values():
    matrix = np.arange(120.0).reshape(2, 60)
    assert krippendorff_alpha(matrix, level="ordinal") < 0
    with pytest.raises(ValueError, match="120 distinct ordinal values, expected at most 50"):
        evaluate_alpha(matrix, level="ordinal")


def test_a_human_reference_needs_votes_and_names_that_fit():
    with pytest.raises(ValueError, match=r"rating of pair 1 by rater 0 is 2.0, expected -1 \(a\)"):
        human_reference([[1, 2], [1, 1]])
    with pytest.raises(ValueError, match="2 annotators are named for 3 rows"):
        human_reference([[1], [1], [1]], annotators=["x", "y"])


@pytest.fixture(scope="module", params=["arousal", "valence"])
def musav(request, shared_data):
    path = shared_data / "musav" / "data" / "annotations" / f"annotations.{request.param}.all"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    raters, items, labels = (
        [row["annotator"] for row in rows],
        [f"{row['tripletid']} {row['songid_a']} {row['songid_b']}" for row in rows],
        [row["higher_value"] for row in rows],
    )
    return request.param, *rating_matrix(raters, items, labels)


def test_alpha_of_musav_is_that_of_its_own_script(musav):
    dimension, matrix, raters, items = musav
    assert (len(raters), len(items)) == (21, 2085)
    nominal, ordinal = {"arousal": (0.391438, 0.476373), "valence": (0.314740, 0.389787)}[dimension]
    triplets = [item.split()[0] for item in items]
    for level, expected in (("nominal", nominal), ("ordinal", ordinal)):
        assert krippendorff_alpha(matrix, level=level) == pytest.approx(expected, abs=5e-7)
        found = evaluate_alpha(matrix, level=level, units=triplets)
        assert found.interval.low < expected < found.interval.high
        assert found.interval.high - found.interval.low < 0.08
        assert found.n_units == 699


def test_observed_agreement_of_musav(musav):
    dimension, matrix, _, _ = musav
    every, strict = {"arousal": (0.628, 0.769), "valence": (0.573, 0.726)}[dimension]
    assert observed_agreement(matrix).value == pytest.approx(every, abs=5e-4)
    decided = np.where(matrix == 0, NAN, matrix)
    assert observed_agreement(decided).value == pytest.approx(strict, abs=5e-4)


def test_the_human_reference_of_musav(musav):
    dimension, matrix, raters, items = musav
    value, n, low, high = {
        "arousal": (0.856, 3271, 0.590, 0.977),
        "valence": (0.815, 2810, 0.692, 0.922),
    }[dimension]
    triplets = [item.split()[0] for item in items]
    found = human_reference(matrix, annotators=raters, units=triplets)
    assert found.estimate.value == pytest.approx(value, abs=5e-4)
    assert found.estimate.n == n == sum(one.n for one in found.annotators)
    accuracies = [one.accuracy for one in found.annotators]
    assert min(accuracies) == pytest.approx(low, abs=5e-4)
    assert max(accuracies) == pytest.approx(high, abs=5e-4)
    assert found.estimate.interval.low < value < found.estimate.interval.high
