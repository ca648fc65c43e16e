"""What each listener sees, from the plan alone."""

import itertools
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_study import make_plan

from earmark.bench.judge.screens import SOFTER_DB, screens


@given(n=st.integers(1, 40), people=st.integers(3, 6), seed=st.integers(0, 99))
@settings(max_examples=25)
def test_each_own_triplet_comes_once_and_checks_repeat_an_earlier_pair(n, people, seed):
    names = tuple(f"listener-{k:03d}" for k in range(people))
    plan = make_plan(n, names, seed=seed)
    for listener in range(people):
        own = {one.id: one for one in plan.triplets if listener in one.listeners}
        shown = screens(plan, listener)
        assert shown == screens(plan, listener)
        assert [screen.kind for screen in shown].index("practice") == 0
        kinds = Counter(screen.kind for screen in shown)
        checks = max(1, round(len(own) / 10)) if len(own) > 1 else 0
        assert kinds["practice"] == 1 and kinds["check"] == checks
        seen = []
        for screen in shown[1:]:
            ids = {pair.triplet for pair in screen.pairs}
            assert len(ids) == 1
            if screen.kind == "triplet":
                triplet = own[ids.pop()]
                assert {(pair.a, pair.b) for pair in screen.pairs} == {*triplet.pairs}
                seen.append(triplet.id)
            else:
                assert ids <= {*seen}
                assert sorted(slot.level for slot in screen.slots) == [SOFTER_DB, 0, 0]
                kinds_of_pairs = sorted(pair.kind for pair in screen.pairs)
                assert kinds_of_pairs == ["repeat", "repeat_softer", "same"]
        assert sorted(seen) == sorted(own)


def test_a_pair_says_which_of_its_songs_stands_on_the_left():
    for screen in screens(make_plan(20), 1)[1:]:
        for pair in screen.pairs:
            left, right = screen.slots[pair.left], screen.slots[pair.right]
            first, second = (right, left) if pair.swapped else (left, right)
            assert (first.song, second.song) == (pair.a, pair.b)
            if pair.kind == "same":
                assert (first.level, second.level) == (0, SOFTER_DB)
            assert pair.in_plan(pair.in_plan("a")) == "a" and pair.in_plan("ab") == "ab"


def test_orders_and_sides_differ_between_listeners_and_favour_none():
    plan = make_plan(200)
    every = [screens(plan, listener)[1:] for listener in range(3)]
    orders = [[s.pairs[0].triplet for s in own if s.kind == "triplet"] for own in every]
    assert orders[0] != orders[1] != orders[2]
    swapped = [pair.swapped for own in every for s in own for pair in s.pairs]
    assert 0.45 < sum(swapped) / len(swapped) < 0.55
    ids = [screen.id for own in every for screen in own]
    assert len(set(ids)) == len(ids)
    sides = [
        [pair.swapped for s in sorted(own, key=lambda s: s.pairs[0].triplet) for pair in s.pairs]
        for own in every
    ]
    assert all(a != b for a, b in itertools.combinations(sides, 2))


def test_practice_has_songs_that_the_listener_does_not_judge_where_there_are_some():
    plan = make_plan(8, tuple(f"listener-{k:03d}" for k in range(4)))
    for listener in range(4):
        own = {s for one in plan.triplets if listener in one.listeners for s in one.songs}
        practice = screens(plan, listener)[0]
        assert not own & {slot.song for slot in practice.slots}
    alone = screens(make_plan(5), 0)
    triplet_of = {s: one.id for one in make_plan(5).triplets for s in one.songs}
    assert len({triplet_of[slot.song] for slot in alone[0].slots}) == 3
