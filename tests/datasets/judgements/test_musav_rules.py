"""MusAV's rules, against the official scripts' table and against brute force."""

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.datasets.base import DataError
from earmark.datasets.judgements.rules import (
    LABELS,
    SUBSETS,
    Judgement,
    Pair,
    Triplet,
    agreement,
    derive_pairs,
    higher_value,
    select,
    triplet_consistency,
)

SWAP = {"a": "b", "b": "a", "ab": "ab", "not_selected": "not_selected", "undefined": "undefined"}

# Every multiset of three answers, as the official annotations_agreement.py sorts them.
FULL = {"a a a": "a", "b b b": "b", "ab ab ab": "ab"}
MAJORITY = {"a a ab": "a", "a ab ab": "ab", "ab b b": "b", "ab ab b": "ab"}
DISAGREEMENT = {
    "a a b": "a",
    "a b b": "b",
    "a ab b": "undefined",
    "a a not_selected": "a",
    "b b not_selected": "b",
    "ab ab not_selected": "ab",
    "a b not_selected": "undefined",
    "a ab not_selected": "undefined",
    "ab b not_selected": "undefined",
    "a not_selected not_selected": "undefined",
    "b not_selected not_selected": "undefined",
    "ab not_selected not_selected": "undefined",
    "not_selected not_selected not_selected": "undefined",
}
ALL = {
    "full-agreement": FULL,
    "majority-agreement": MAJORITY,
    "disagreement": DISAGREEMENT,
}

three_labels = st.lists(st.sampled_from(LABELS), min_size=3, max_size=3)


@pytest.mark.parametrize(
    ("said", "level", "outcome"),
    [(said, level, outcome) for level, table in ALL.items() for said, outcome in table.items()],
)
def test_every_three_answers_have_the_agreement_and_outcome_of_the_official_script(
    said, level, outcome
):
    assert agreement(said.split()) == level
    assert higher_value(said.split()) == outcome


def test_the_table_of_three_answers_is_complete():
    combinations = itertools.combinations_with_replacement(sorted(LABELS), 3)
    assert {tuple(sorted(said.split())) for table in ALL.values() for said in table} == set(
        combinations
    )


@given(three_labels, st.permutations(range(3)))
def test_the_order_of_the_judgements_does_not_matter(said, order):
    shuffled = [said[i] for i in order]
    assert agreement(shuffled) == agreement(said)
    assert higher_value(shuffled) == higher_value(said)


@given(three_labels)
def test_swapping_the_songs_swaps_the_outcome_and_keeps_the_agreement(said):
    swapped = [SWAP[label] for label in said]
    assert agreement(swapped) == agreement(said)
    assert higher_value(swapped) == SWAP[higher_value(said)]


@pytest.mark.parametrize("said", [[], ["a"], ["a", "a"]])
def test_fewer_than_three_judgements_are_incomplete_and_never_ground_truth(said):
    assert agreement(said) == "incomplete"
    judgements = [Judgement("t", "x", "y", f"{i}", "arousal", s) for i, s in enumerate(said)]
    pairs = derive_pairs(judgements, {"t": Triplet("t", ("x", "y", "z"), "global_triplet")})
    assert select(pairs, "gt", muse=()) == ()


@pytest.mark.parametrize("rule", [agreement, higher_value])
def test_refuses_an_unknown_answer(rule):
    with pytest.raises(ValueError, match="unknown judgement 'c', expected a, b, ab, not_selected"):
        rule(["a", "c", "b"])


def weak_orders_explain(outcomes):
    """Whether any assignment of ranks to the three songs gives these outcomes: brute force."""
    return any(
        all(
            {"a": rank[x] > rank[y], "b": rank[x] < rank[y], "ab": rank[x] == rank[y]}[higher]
            for x, y, higher in outcomes
        )
        for ranks in itertools.product(range(3), repeat=3)
        for rank in [dict(zip("xyz", ranks, strict=True))]
    )


def test_a_triplet_is_consistent_if_and_only_if_a_ranking_with_ties_explains_it():
    verdicts = Counter()
    turned = itertools.product(*([(s, t), (t, s)] for s, t in ("xy", "yz", "xz")))
    for pairs, labels in itertools.product(turned, itertools.product(["a", "b", "ab"], repeat=3)):
        outcomes = [(*pair, label) for pair, label in zip(pairs, labels, strict=True)]
        expected = "consistent" if weak_orders_explain(outcomes) else "inconsistent"
        for order in itertools.permutations(outcomes):
            assert triplet_consistency(order) == expected, order
        verdicts[expected] += 1
    # Of the 27 outcomes of three pairs, 13 are weak orders; each pair can be turned: times 8.
    assert verdicts == {"consistent": 13 * 8, "inconsistent": 14 * 8}


@pytest.mark.parametrize("n", [0, 1, 2])
def test_a_triplet_with_fewer_than_three_ground_truth_pairs_is_incomplete(n):
    outcomes = [("x", "y", "a"), ("y", "z", "a"), ("z", "x", "a")]
    assert triplet_consistency(outcomes[:n]) == "incomplete"


@pytest.mark.parametrize(
    "outcomes",
    [
        [("x", "y", "a"), ("y", "z", "a"), ("x", "y", "b")],
        [("x", "y", "a"), ("y", "z", "a"), ("z", "w", "b")],
        [("x", "y", "a"), ("y", "z", "a"), ("x", "z", "b"), ("z", "x", "a")],
    ],
)
def test_refuses_pairs_that_are_no_triplet(outcomes):
    with pytest.raises(ValueError, match="three pairs of three songs"):
        triplet_consistency(outcomes)


@given(st.lists(three_labels, min_size=3, max_size=3), st.sets(st.sampled_from([0, 1, 2])))
def test_which_song_is_called_a_does_not_matter(said, turned):
    songs = [("x", "y"), ("y", "z"), ("x", "z")]
    triplets = {"t": Triplet("t", ("x", "y", "z"), "global_triplet")}
    straight, other = [], []
    for number, ((a, b), labels) in enumerate(zip(songs, said, strict=True)):
        for who, label in enumerate(labels):
            straight.append(Judgement("t", a, b, f"{who}", "valence", label))
            judged = (b, a, SWAP[label]) if number in turned else (a, b, label)
            other.append(Judgement("t", *judged[:2], f"{who}", "valence", judged[2]))
    of = {frozenset((p.song_a, p.song_b)): p for p in derive_pairs(other, triplets)}
    for pair in derive_pairs(straight, triplets):
        twin = of[frozenset((pair.song_a, pair.song_b))]
        assert (twin.agreement, twin.consistency) == (pair.agreement, pair.consistency)
        same_order = twin.song_a == pair.song_a
        assert twin.higher_value == (pair.higher_value if same_order else SWAP[pair.higher_value])


def test_a_subset_holds_the_pairs_that_its_name_says():
    levels = ("full-agreement", "majority-agreement", "disagreement", "incomplete")
    consistencies = ("consistent", "inconsistent", "incomplete")
    pairs = [
        Pair("t", "global_triplet", song, "y", level, "a", consistency)
        for song, level, consistency in itertools.product("xm", levels, consistencies)
    ]
    chosen = {subset: select(pairs, subset, muse={"m"}) for subset in SUBSETS}
    assert [len(chosen[subset]) for subset in SUBSETS] == [12, 6, 4, 2, 6, 3, 2, 1]
    assert {p.agreement for p in chosen["gt.fa"]} == {"full-agreement"}
    assert {p.consistency for p in chosen["gt.ct"]} == {"consistent"}
    assert {p.song_a for p in chosen["ismir2022.gt"]} == {"x"}
    for subset in SUBSETS[:4]:
        assert set(chosen[f"ismir2022.{subset}"]) < set(chosen[subset]) <= set(chosen["gt"])


def test_refuses_an_unknown_subset():
    with pytest.raises(DataError, match=r"no ground truth 'fa', expected gt, gt\.fa"):
        select((), "fa", muse=())
