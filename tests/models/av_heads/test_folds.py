"""Folds: whole groups, every row once, nothing linked on both sides."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.models.av_heads.folds import group_numbers, grouped_folds, held_out, linked_groups
from earmark.models.base import ModelError


@given(
    groups=st.lists(st.integers(0, 12), min_size=3, max_size=60).filter(lambda g: len(set(g)) > 2),
    seed=st.integers(0, 2**32 - 1),
)
def test_each_row_is_predicted_once_and_no_group_is_on_both_sides(groups, seed):
    labels = np.array(groups)
    found = grouped_folds(labels, folds=3, seed=seed)
    assert sorted(np.concatenate([fold.test for fold in found]).tolist()) == [*range(len(labels))]
    for fold in found:
        assert not set(labels[fold.train]) & set(labels[fold.test])
        assert sorted([*fold.train, *fold.test]) == [*range(len(labels))]


def test_rows_without_groups_give_folds_of_equal_size():
    sizes = [len(fold.test) for fold in grouped_folds(np.arange(103), folds=10, seed=0)]
    assert sorted(sizes) == [10] * 7 + [11] * 3


def test_the_seed_alone_decides_the_division():
    one, same, other = (grouped_folds(np.arange(50), folds=5, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a.test, b.test) for a, b in zip(one, same, strict=True))
    assert not all(np.array_equal(a.test, b.test) for a, b in zip(one, other, strict=True))


def test_labels_of_groups_may_be_texts():
    assert group_numbers(["x", "y", "x"], 3).tolist() == [0, 1, 0]


@pytest.mark.parametrize(("folds", "told"), [(1, "folds is 1"), (2.0, "folds is 2.0")])
def test_fewer_than_two_folds_are_refused(folds, told):
    with pytest.raises(ModelError, match=told):
        grouped_folds(np.arange(9), folds=folds, seed=0)


def test_one_group_cannot_be_divided():
    with pytest.raises(ModelError, match="9 rows of 1 group cannot be divided into 2 folds"):
        grouped_folds(np.zeros(9), folds=2, seed=0)


def test_fewer_rows_than_folds_are_refused():
    with pytest.raises(ModelError, match="4 rows of 4 groups cannot be divided into 10 folds"):
        grouped_folds(np.arange(4), folds=10, seed=0)


def test_groups_of_another_length_are_refused():
    with pytest.raises(ModelError, match=r"groups have shape \(2,\), expected .*\(3,\)"):
        group_numbers(["x", "y"], 3)


def test_what_is_held_out_is_whole_groups_of_at_least_the_share():
    labels = np.repeat(np.arange(20), 5)
    fold = held_out(labels, share=0.15, seed=0)
    assert not set(labels[fold.train]) & set(labels[fold.test])
    assert len(fold.test) == 15


@pytest.mark.parametrize("share", [0, 1, -0.1, float("nan")])
def test_an_impossible_share_is_refused(share):
    with pytest.raises(ModelError, match="held-out share"):
        held_out(np.arange(9), share=share, seed=0)


def test_one_group_cannot_be_held_out():
    with pytest.raises(ModelError, match=r"9 rows of 1 group: no share of 0\.1 can be held out"):
        held_out(np.zeros(9), share=0.1, seed=0)


def test_comparisons_are_linked_through_tracks_and_through_triplets():
    # 0-1 and 1-2 share a track; 3-4 and 5-6 share a triplet; 7-8 stands alone.
    groups = linked_groups([0, 1, 3, 5, 7], [1, 2, 4, 6, 8], ["p", "q", "r", "r", "s"], n=9)
    assert groups.tolist() == [groups[0], groups[0], groups[2], groups[2], groups[4]]
    assert len(set(groups.tolist())) == 3


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=15))
def test_linked_groups_are_those_of_a_search_along_shared_tracks(pairs):
    first, second = np.array(pairs).T
    groups = linked_groups(first, second, [f"t{i}" for i in range(len(pairs))], n=10)
    reach = {track: {track} for track in range(10)}
    for _ in range(10):
        for a, b in pairs:
            both = reach[a] | reach[b]
            for track in both:
                reach[track] = both
    for i, (a, _) in enumerate(pairs):
        for j, (c, _) in enumerate(pairs):
            assert (groups[i] == groups[j]) == (c in reach[a])
