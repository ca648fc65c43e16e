"""Classification metrics against scikit-learn, their expectation over ties, and bad input."""

from functools import partial

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from earmark.bench.metrics import comparisons
from earmark.bench.metrics.classification import (
    ACCURACY,
    BALANCED_ACCURACY,
    MACRO_F1,
    METRICS,
    assign,
    confusion_matrix,
    counts,
    encode,
    evaluate,
    from_sums,
    one_hot,
    per_class,
    top_k_credit,
    validate,
)
from earmark.bench.metrics.intervals import LOGIT

GENRES = ["blues", "classical", "country", "disco", "hip hop"]

# Few distinct values, some negative: ties are common.
scored = st.tuples(st.integers(1, 30), st.integers(2, 6)).flatmap(
    lambda shape: st.tuples(
        arrays(np.intp, shape[0], elements=st.integers(0, shape[1] - 1), fill=st.nothing()),
        arrays(float, shape, elements=st.integers(-2, 2).map(float), fill=st.nothing()),
    )
)


def compare(truth, scores, *, metric, **options):
    if metric == ACCURACY:
        credits = [top_k_credit(truth, one, k=1) for one in scores]
        columns = np.stack([np.stack([one, np.ones_like(one)], axis=1) for one in credits])
        return comparisons.compare(columns, **options)
    return comparisons.compare(
        np.stack([counts(truth, one) for one in scores]),
        partial(from_sums, metric=metric),
        scale=LOGIT,
        **options,
    )


def truth_and_scores(n=290, seed=0, strength=1.0):
    rng = np.random.default_rng(seed)
    truth = rng.choice(len(GENRES), n, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    return truth, rng.normal(size=(n, len(GENRES))) + strength * np.eye(len(GENRES))[truth]


def score(truth, scores, metric):
    return float(from_sums(counts(truth, scores).sum(axis=0), metric))


@given(scored)
def test_agrees_with_scikit_learn_on_predicted_classes(pair):
    truth, scores = pair
    n_classes = scores.shape[1]
    predicted = scores.argmax(axis=1)
    guess, labels, present = one_hot(predicted, n_classes), range(n_classes), np.unique(truth)
    expected = {
        ACCURACY: sklearn.metrics.accuracy_score(truth, predicted),
        # the mean recall of present classes is what balanced_accuracy_score computes
        BALANCED_ACCURACY: sklearn.metrics.recall_score(
            truth, predicted, labels=present, average="macro"
        ),
        MACRO_F1: sklearn.metrics.f1_score(truth, predicted, labels=present, average="macro"),
    }
    for metric, value in expected.items():
        assert score(truth, guess, metric) == pytest.approx(value, abs=1e-12), metric.name
    np.testing.assert_array_equal(
        confusion_matrix(truth, guess),
        sklearn.metrics.confusion_matrix(truth, predicted, labels=labels),
    )
    each = sklearn.metrics.precision_recall_fscore_support(
        truth, predicted, labels=labels, zero_division=np.nan
    )
    np.testing.assert_allclose(
        per_class(counts(truth, guess).sum(axis=0)), np.stack(each[:3], axis=-1), atol=1e-12
    )


def test_balanced_accuracy_is_scikit_learns():
    truth, scores = truth_and_scores()
    expected = sklearn.metrics.balanced_accuracy_score(truth, scores.argmax(axis=1))
    assert score(truth, scores, BALANCED_ACCURACY) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_top_k_agrees_with_scikit_learn_where_nothing_ties(k):
    truth, scores = truth_and_scores()
    expected = sklearn.metrics.top_k_accuracy_score(truth, scores, k=k) if k < 5 else 1.0
    assert top_k_credit(truth, scores, k=k).mean() == pytest.approx(expected, abs=1e-12)


@given(scored, st.data())
def test_top_k_is_the_mean_over_all_orders_of_tied_classes(pair, data):
    truth, scores = pair
    k = data.draw(st.integers(1, scores.shape[1]))
    for own, row, credit in zip(truth, scores, top_k_credit(truth, scores, k=k), strict=True):
        # average over every place that the class may take among those it ties with
        first = int((row > row[own]).sum())
        places = range(first, first + int((row == row[own]).sum()))
        assert credit == pytest.approx(np.mean([place < k for place in places]), abs=1e-12)


@given(scored)
def test_accuracy_is_the_mean_top_1_credit(pair):
    truth, scores = pair
    expected = top_k_credit(truth, scores, k=1).mean()
    assert score(truth, scores, ACCURACY) == pytest.approx(expected, abs=1e-12)


def test_agrees_with_the_values_worked_by_hand():
    # rock: 2 of 3 right, jazz: half an item right (a tie); assigned 2.5 to rock, 1.5 to jazz
    truth, scores = [0, 0, 0, 1], [[2, 1], [2, 1], [1, 2], [1, 1]]
    np.testing.assert_array_equal(confusion_matrix(truth, scores), [[2, 1], [0.5, 0.5]])
    assert score(truth, scores, ACCURACY) == pytest.approx(2.5 / 4, abs=1e-12)
    assert score(truth, scores, BALANCED_ACCURACY) == pytest.approx((2 / 3 + 1 / 2) / 2, abs=1e-12)
    f1 = (2 * 2 / (3 + 2.5) + 2 * 0.5 / (1 + 1.5)) / 2
    assert score(truth, scores, MACRO_F1) == pytest.approx(f1, abs=1e-12)


@given(scored, st.integers(-3, 3))
def test_a_constant_scorer_lands_at_chance_whatever_the_constant(pair, constant):
    truth, scores = pair
    n_classes = scores.shape[1]
    found = evaluate(
        truth,
        np.full_like(scores, constant),
        classes=[str(name) for name in range(n_classes)],
        top_k=[2],
    )
    for name, estimate in found.metrics.items():
        assert estimate.value == pytest.approx(found.chance[name], abs=1e-12), name
    assert found.chance["accuracy"] == pytest.approx(1 / n_classes, abs=1e-12)
    assert found.chance["balanced_accuracy"] == pytest.approx(1 / n_classes, abs=1e-12)
    assert found.chance["top_2_accuracy"] == 2 / n_classes


@given(scored, st.data())
def test_neither_order_of_items_nor_of_classes_matters(pair, data):
    truth, scores = pair
    items = data.draw(st.permutations(range(len(truth))))
    classes = np.array(data.draw(st.permutations(range(scores.shape[1]))))
    moved = np.argsort(classes)[truth]  # where each item's class has gone
    for metric in METRICS:
        expected = pytest.approx(score(truth, scores, metric), abs=1e-12)
        assert score(truth[items], scores[items], metric) == expected
        assert score(moved, scores[:, classes], metric) == expected


@given(scored)
def test_only_the_order_of_an_items_scores_matters(pair):
    truth, scores = pair
    np.testing.assert_array_equal(counts(truth, scores), counts(truth, np.exp(scores) - 7))


def test_evaluate_states_everything_that_a_score_needs():
    truth, scores = truth_and_scores()
    truth = np.where(truth == 4, 0, truth)  # nothing is hip hop any more
    found = evaluate(truth, scores, classes=GENRES, top_k=[3])
    assert found.absent == ("hip hop",)
    assert list(found.metrics) == ["accuracy", "balanced_accuracy", "macro_f1", "top_3_accuracy"]
    for name, estimate in found.metrics.items():
        assert estimate.interval.low <= estimate.value <= estimate.interval.high, name
        assert estimate.value > found.chance[name]
        assert (estimate.n, estimate.n_units) == (290, 290)
    assert found.majority_class == "blues"
    assert found.majority_share == np.mean(truth == 0)
    assert found.confusion.sum() == pytest.approx(290)
    hip_hop = found.per_class["hip hop"]
    assert hip_hop.support == 0
    assert np.isnan(hip_hop.recall.value)
    assert hip_hop.recall.interval is None
    assert hip_hop.recall.reason == "class 'hip hop': no items"
    assert hip_hop.recall.n == 0
    assert hip_hop.precision.value == 0
    assert found.per_class["blues"].recall.n == np.sum(truth == 0)
    recalls = [found.per_class[name].recall.value for name in GENRES[:4]]
    assert found.metrics["balanced_accuracy"].value == pytest.approx(np.mean(recalls), abs=1e-12)


def test_a_class_that_is_never_predicted_has_no_precision_and_says_so():
    found = evaluate([0, 1], one_hot([0, 0], 2), classes=["a", "b"])
    assert np.isnan(found.per_class["b"].precision.value)
    assert found.per_class["b"].precision.reason == "class 'b': never predicted"
    assert found.per_class["b"].f1.value == 0


def test_the_interval_of_accuracy_covers_what_the_binomial_says():
    truth, scores = truth_and_scores(n=400)
    found = evaluate(truth, scores, classes=GENRES).metrics["accuracy"]
    hits = round(found.value * 400)
    exact = scipy.stats.binom(400, hits / 400).interval(0.95)
    assert found.interval.low * 400 == pytest.approx(exact[0], abs=2)
    assert found.interval.high * 400 == pytest.approx(exact[1], abs=2)


def test_copies_of_a_clip_in_one_unit_do_not_narrow_the_interval():
    truth, scores = truth_and_scores(n=100)
    options = {"classes": GENRES, "top_k": [2]}
    once = evaluate(truth, scores, units=range(100), **options)
    thrice = evaluate(
        np.tile(truth, 3), np.tile(scores, (3, 1)), units=np.tile(range(100), 3), **options
    )
    for name, estimate in once.metrics.items():
        # Clips by themselves are known to be binomial; a variance over units is estimated.
        once_width = estimate.interval.high - estimate.interval.low
        thrice_width = thrice.metrics[name].interval.high - thrice.metrics[name].interval.low
        assert 1 <= thrice_width / once_width + 1e-9 < 1.1, name


def test_the_same_seed_gives_the_same_interval():
    truth, scores = truth_and_scores(n=50)
    first, second = (evaluate(truth, scores, classes=GENRES).metrics for _ in "ab")
    assert first == second


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_compares_models_on_the_same_items(metric):
    truth, good = truth_and_scores(strength=2.0)
    worse = good + np.random.default_rng(1).normal(0, 2, good.shape)
    found = compare(truth, [good, worse, good], metric=metric, replicates=300, seed=0)
    better, same, reverse = found
    difference = score(truth, good, metric) - score(truth, worse, metric)
    assert better.difference == pytest.approx(difference, abs=1e-12)
    assert better.interval.low > 0
    assert better.p_holm < 0.05
    assert (same.difference, same.p_value) == (0, 1)
    assert same.interval.low == -same.interval.high
    assert (same.interval.high > 0) == (metric == ACCURACY)
    assert reverse.difference == -better.difference


def test_accuracies_are_compared_by_the_exact_sign_test_of_mcnemar():
    truth = np.zeros(20, dtype=int)
    first, second = np.zeros(20, dtype=int), np.zeros(20, dtype=int)
    second[:8] = 1
    first[8:10] = 1
    found = compare(
        truth, [one_hot(first, 2), one_hot(second, 2)], metric=ACCURACY, replicates=50, seed=0
    )[0]
    assert found.exact
    half_of_own = scipy.stats.binom.pmf(8, 10, 0.5)  # of 8 and of 2, half each: the mid-p-value
    expected = scipy.stats.binomtest(8, 10).pvalue - half_of_own
    assert found.p_value == pytest.approx(expected, abs=1e-12)


def test_encode_names_the_labels_outside_the_vocabulary():
    np.testing.assert_array_equal(encode(["disco", "blues"], GENRES), [3, 0])
    with pytest.raises(ValueError, match=r"2 labels are outside.*'hiphop', 'polka'.*'hip hop'"):
        encode(["polka", "blues", "hiphop"], GENRES)
    with pytest.raises(ValueError, match=r"and 10 more"):
        encode(["polka"], [str(name) for name in range(30)])
    with pytest.raises(ValueError, match=r"class 'a' is in the vocabulary more than once"):
        encode([], ["a", "b", "a"])


@pytest.mark.parametrize(
    ("truth", "scores", "message"),
    [
        ([0, 1], [[1, 2]], r"got shapes \(2,\) and \(1, 2\)"),
        ([[0], [1]], [[1, 2], [1, 2]], r"got shapes \(2, 1\) and \(2, 2\)"),
        (np.empty(0, int), np.empty((0, 3)), r"at least 1 item and 2 classes, got 0 and 3"),
        ([0], [[1]], r"at least 1 item and 2 classes, got 1 and 1"),
        ([0.0, 1.0], [[1, 2], [1, 2]], r"truth must be indices of classes \(see encode\)"),
        (["blues"], [[1, 2]], r"truth must be indices of classes"),
        ([0, 2], [[1, 2], [1, 2]], r"truth of item 1 is 2, expected 0 to 1"),
        ([-1, 0], [[1, 2], [1, 2]], r"truth of item 0 is -1, expected 0 to 1"),
        ([0, 1], [[1, 2], [1, np.nan]], r"score of item 1, class 1 is nan"),
        ([0, 1], [[np.inf, 2], [1, 2]], r"score of item 0, class 0 is inf"),
    ],
)
def test_refuses_what_cannot_be_scored(truth, scores, message):
    with pytest.raises(ValueError, match=message):
        validate(truth, scores)


def test_refuses_options_that_do_not_fit():
    truth, scores = truth_and_scores(n=10)
    for k in (0, 6):
        with pytest.raises(ValueError, match=rf"k is {k}, expected 1 to 5"):
            top_k_credit(truth, scores, k=k)
    with pytest.raises(ValueError, match=r"expected 5 classes, one a column, got 2"):
        evaluate(truth, scores, classes=["a", "b"])
    with pytest.raises(ValueError, match=r"more than once"):
        evaluate(truth, scores, classes=["a"] * 5)
    with pytest.raises(ValueError, match=r"predictions must be indices \(n_items,\) from 0 to 1"):
        one_hot([0, 2], 2)


def test_assignment_shares_a_tie_and_nothing_else():
    np.testing.assert_array_equal(assign([[0, 0, -1], [1, 5, 5]]), [[0.5, 0.5, 0], [0, 0.5, 0.5]])
