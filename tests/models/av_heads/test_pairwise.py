"""Pairwise heads: utilities recovered, no track on both sides, what is dropped, bad input."""

from functools import partial

import numpy as np
import pytest
from av_worlds import judged_world

from earmark.datasets.judgements import musav
from earmark.models.av_heads.head import standardisation
from earmark.models.av_heads.pairwise import (
    ComparedPairs,
    collect,
    cross_validate_pairwise,
    fit_pairwise,
)
from earmark.models.base import ModelError

DIMENSIONS = ("arousal", "valence")


def shared_tracks(seed=0):
    """Return a world in which the triplets, of 30 tracks, share tracks at random."""
    features, weights, _ = judged_world(10, 4, seed=seed)
    rng = np.random.default_rng(seed)
    triplets = np.array([rng.permutation(30)[:3] for _ in range(25)])
    first, second = triplets[:, [0, 0, 1]].ravel(), triplets[:, [1, 2, 2]].ravel()
    names = np.repeat([f"t{index}" for index in range(25)], 3)
    world = {}
    for column, name in enumerate(DIMENSIONS):
        lead = (features[first] - features[second]) @ weights[:, column]
        votes = np.stack([lead > 0.3, np.abs(lead) <= 0.3, lead < -0.3], axis=1).astype(float)
        world[name] = ComparedPairs(first, second, votes, names)
    return features, world


def share_of_right(found, compared, name):
    decided = compared.votes[:, 0] != compared.votes[:, 2]
    says = np.sign(found.differences[name][0])
    truth = np.sign(compared.votes[:, 0] - compared.votes[:, 2])
    return np.mean(says[decided] == truth[decided])


def test_the_penalty_is_chosen_inside_and_the_utility_is_the_worlds():
    features, weights, world = judged_world(300, 5)
    fitted = fit_pairwise(features, world, seed=0)
    assert fitted.head.affine
    for column, name in enumerate(DIMENSIONS):
        found = fitted.head(features)[:, column]
        assert np.corrcoef(found, features @ weights[:, column])[0, 1] > 0.99
        assert fitted.facts[f"nu_{name}"] == pytest.approx(np.exp(-0.5), rel=0.2)
        assert fitted.facts[f"votes_{name}"] == 2700


def test_a_model_of_noise_chooses_a_heavy_penalty_and_orders_at_chance():
    features, _, world = judged_world(200, 5)
    noise = np.random.default_rng(9).normal(size=features.shape)
    assert fit_pairwise(noise, world, seed=0).facts["penalty_arousal"] >= 100
    found = cross_validate_pairwise(noise, world, folds=5, seed=0)
    assert abs(share_of_right(found, world["arousal"], "arousal") - 0.5) < 0.08


def test_no_track_of_a_test_triplet_is_ever_fitted_on():
    features, _, world = judged_world(40, 4)
    fitted_on = []

    def spy(rows, compared, *, seed):
        fitted_on.append(np.union1d(compared["arousal"].tracks, compared["valence"].tracks))
        return fit_pairwise(rows, compared, seed=seed, penalties=[1.0])

    found = cross_validate_pairwise(features, world, spy, folds=5, seed=3)
    assert len(found.fits) == 5
    tested = np.concatenate([fold.test_tracks for fold in found.fits])
    assert sorted(tested.tolist()) == [*range(120)]
    for fold, tracks in zip(found.fits, fitted_on, strict=True):
        assert not set(fold.test_tracks.tolist()) & set(tracks.tolist())
        assert sorted([*fold.test_tracks, *tracks]) == [*range(120)]
        assert set(fold.dropped.values()) == {0}


def test_features_of_the_test_tracks_change_no_fit():
    """Leakage: neither standardisation nor weights have seen the tracks that are tested."""
    features, _, world = judged_world(40, 4)
    fit = partial(fit_pairwise, penalties=[1.0])
    before = cross_validate_pairwise(features, world, fit, folds=5, seed=3)
    tested = before.fits[0].test_tracks
    spoiled = features.copy()
    spoiled[tested] = 100 * features[tested] + 7
    heads = []

    def spy(rows, compared, *, seed):
        heads.append(fit(rows, compared, seed=seed))
        return heads[-1]

    cross_validate_pairwise(features, world, spy, folds=5, seed=3)
    cross_validate_pairwise(spoiled, world, spy, folds=5, seed=3)
    for name, array in heads[0].head.arrays().items():
        np.testing.assert_array_equal(array, heads[5].head.arrays()[name])
    assert not np.allclose(heads[1].head.linear, heads[6].head.linear)


def test_standardisation_is_of_the_compared_tracks_alone():
    features, _, world = judged_world(30, 3)
    more = np.concatenate([features, np.full((50, 3), 1e3)])
    head = fit_pairwise(more, world, seed=0, penalties=[1.0]).head
    mean, scale = standardisation(features)
    np.testing.assert_allclose(head.mean, mean, atol=1e-12)
    np.testing.assert_allclose(head.scale, scale, atol=1e-12)


def test_values_and_differences_out_of_fold_agree_and_uncompared_tracks_have_none():
    features, _, world = judged_world(30, 3)
    more = np.concatenate([features, np.zeros((2, 3))])
    found = cross_validate_pairwise(
        more, world, partial(fit_pairwise, penalties=[1.0]), folds=5, runs=2, seed=0
    )
    assert found.values.shape == (2, 92, 2)
    assert np.isnan(found.values[:, 90:]).all()
    for column, name in enumerate(DIMENSIONS):
        pairs = world[name]
        gap = found.values[:, pairs.first, column] - found.values[:, pairs.second, column]
        np.testing.assert_array_equal(found.differences[name], gap)
    assert not np.array_equal(found.values[0], found.values[1])


def test_all_linked_tracks_are_refused_with_the_mend_and_dropping_counts_what_is_lost():
    features, world = shared_tracks()
    with pytest.raises(ModelError, match=r"all 150 comparisons are linked.*sharing='dropped'"):
        cross_validate_pairwise(features, world, folds=5, seed=0)
    fit = partial(fit_pairwise, sharing="dropped")
    found = cross_validate_pairwise(features, world, fit, folds=5, sharing="dropped", seed=0)
    assert found.values is None
    for fold in found.fits:
        assert not set(fold.test_tracks.tolist()) & set(fold.train_tracks.tolist())
        tested = sum(np.isin(world["arousal"].first, fold.test_tracks))
        assert fold.dropped["arousal"] > 0
        assert tested > 0
    assert np.isfinite(found.differences["arousal"]).all()
    assert share_of_right(found, world["arousal"], "arousal") > 0.8


def test_dropped_train_and_tested_comparisons_are_all_there_are():
    features, world = shared_tracks(1)
    sizes = []

    def spy(rows, compared, *, seed):
        sizes.append({name: len(one) for name, one in compared.items()})
        return fit_pairwise(rows, compared, seed=seed, penalties=[1.0])

    found = cross_validate_pairwise(features, world, spy, folds=5, sharing="dropped", seed=0)
    # Five triplets of three comparisons are tested in each fold.
    for fold, size in zip(found.fits, sizes, strict=True):
        assert size["valence"] + fold.dropped["valence"] + 15 == 75


def test_musav_is_collected_with_votes_triplets_and_what_is_left_out(tmp_path, write_musav):
    data = musav.load(write_musav(tmp_path, n_triplets=12))
    judgements = data.comparisons()
    found = collect(judgements, data.song_ids)
    answered = [j for j in data.judgements("arousal") if j.higher_value != "not_selected"]
    arousal = found.compared["arousal"]
    assert arousal.votes.sum() == len(answered)
    assert found.without_embedding == {"arousal": 0, "valence": 0}
    assert set(arousal.triplets.tolist()) <= set(data.triplets)
    one = answered[0]
    a, b = (data.song_ids.index(song) for song in (one.song_a, one.song_b))
    (row,) = np.flatnonzero((arousal.first == min(a, b)) & (arousal.second == max(a, b)))
    said = [j.higher_value for j in answered if {j.song_a, j.song_b} == {one.song_a, one.song_b}]
    order = ("a", "ab", "b") if a < b else ("b", "ab", "a")
    assert arousal.votes[row].tolist() == [said.count(answer) for answer in order]


def test_annotators_are_told_apart_on_request_and_pooled_they_are_the_same_votes(
    tmp_path, write_musav
):
    data = musav.load(write_musav(tmp_path, n_triplets=12))
    judgements = data.comparisons()
    pooled = collect(judgements, data.song_ids).compared
    apart = collect(judgements, data.song_ids, by_annotator=True).compared
    for name in DIMENSIONS:
        assert set(apart[name].annotators.tolist()) == set(data.annotators)
        assert (apart[name].votes.sum(axis=1) == 1).all()
        again = apart[name].pooled()
        for field in ("first", "second", "votes", "triplets"):
            np.testing.assert_array_equal(getattr(again, field), getattr(pooled[name], field))
        assert again.pooled() is again
    rows = np.random.default_rng(0).normal(size=(len(data.song_ids), 3))
    found = cross_validate_pairwise(rows, apart, folds=4, seed=0)
    assert found.fits[0].facts["annotators_arousal"] == len(data.annotators)
    same = cross_validate_pairwise(rows, pooled, folds=4, seed=0)
    assert "annotators_arousal" not in same.fits[0].facts
    tested = [sorted(fold.test_tracks.tolist()) for fold in found.fits]
    assert sorted(track for fold in tested for track in fold) == [*range(len(data.song_ids))]


def test_judgements_of_a_track_without_embedding_are_counted_and_left_out(tmp_path, write_musav):
    data = musav.load(write_musav(tmp_path, n_triplets=12))
    judgements = data.comparisons()
    gone = data.song_ids[4]
    found = collect(judgements, [song for song in data.song_ids if song != gone])
    expected = sum(
        gone in (j.song_a, j.song_b) and j.higher_value != "not_selected"
        for j in data.judgements("valence")
    )
    assert found.without_embedding["valence"] == expected > 0
    whole = collect(judgements, data.song_ids).compared["valence"].votes.sum()
    assert found.compared["valence"].votes.sum() == whole - expected


def test_no_embedding_at_all_and_ids_twice_are_refused(tmp_path, write_musav):
    data = musav.load(write_musav(tmp_path, n_triplets=4))
    judgements = data.comparisons()
    with pytest.raises(ModelError, match="no comparison of arousal to learn from"):
        collect(judgements, ["elsewhere"])
    with pytest.raises(ModelError, match="1 of 2 ids of embeddings stand twice"):
        collect(judgements, ["x", "x"])


def spoiled(change):
    features, _, world = judged_world(6, 3)
    return features, world | {"valence": change(world["valence"])}


def arrays(pairs, **changed):
    names = ("first", "second", "votes", "triplets", "annotators")
    return ComparedPairs(**({name: getattr(pairs, name) for name in names} | changed))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda p: arrays(p, votes=p.votes * np.nan), "comparison 0 has the votes"),
        (lambda p: arrays(p, votes=-p.votes), "comparison 0 has the votes"),
        (lambda p: arrays(p, votes=p.votes * 0), "comparison 0 has the votes"),
        (lambda p: arrays(p, votes=p.votes[:, :2]), "votes of"),
        (lambda p: arrays(p, second=p.first), "comparison 0 is of a track with itself"),
        (lambda p: arrays(p, first=p.first + 99), "name row 115 of 18 rows"),
        (lambda p: arrays(p, votes=(p.votes + 1) * [0, 1, 0]), "no track higher than another"),
        (lambda p: arrays(p, annotators=p.triplets[1:]), r"annotators of shape \(17,\), exp"),
        (lambda p: p.take(np.arange(0)), "0 comparisons of valence hold no track higher"),
    ],
)
def test_comparisons_that_cannot_be_learned_from_are_named(change, told):
    with pytest.raises(ModelError, match=told):
        fit_pairwise(*spoiled(change), seed=0)


def test_a_head_gives_a_value_of_each_dimension_that_it_learned():
    features, _, world = judged_world(6, 3)
    both = fit_pairwise(features, world, seed=0).head
    liked = fit_pairwise(features, {"liking": world["arousal"]}, seed=0).head
    assert (both.n_values, liked.n_values) == (2, 1)
    np.testing.assert_array_equal(both.linear[:, :1], liked.linear)
    with pytest.raises(ModelError, match="comparisons are of nothing"):
        fit_pairwise(features, {}, seed=0)


def test_features_that_are_not_finite_are_named():
    features, _, world = judged_world(6, 3)
    features[2, 0] = np.nan
    with pytest.raises(ModelError, match="features of row 2 are not finite"):
        fit_pairwise(features, world, seed=0)


def test_fewer_triplets_than_folds_one_run_too_few_and_an_unknown_word_are_refused():
    features, _, world = judged_world(6, 3)
    with pytest.raises(ModelError, match="of 6 groups cannot be divided into 10 folds"):
        cross_validate_pairwise(features, world, seed=0)
    with pytest.raises(ModelError, match="runs is 0"):
        cross_validate_pairwise(features, world, runs=0, seed=0)
    with pytest.raises(ModelError, match="sharing is 'some'"):
        cross_validate_pairwise(features, world, sharing="some", seed=0)
    with pytest.raises(ModelError, match="penalties is"):
        fit_pairwise(features, world, penalties=[-1.0], seed=0)
