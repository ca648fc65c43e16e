"""Heads on MusAV's own embeddings and judgements, where these are at hand."""

from functools import partial

import numpy as np

from earmark.datasets.captions.stored_pairs import read_means
from earmark.datasets.judgements import musav
from earmark.models.av_heads.pairwise import collect, cross_validate_pairwise, fit_pairwise


def test_a_pairwise_head_orders_musavs_ground_truth_without_having_seen_its_tracks(shared_data):
    """The penalty is given, near the one that inner folds choose, so that the test is short."""
    data = musav.load(shared_data / "musav")
    ids, embeddings = read_means(shared_data / "musav_embeddings" / "msd-musicnn-1.npz")
    found = collect(data.comparisons(), ids)
    assert {name: len(one) for name, one in found.compared.items()} == {
        "arousal": 2085, "valence": 2085,
    }  # fmt: skip
    assert found.without_embedding == {"arousal": 0, "valence": 0}
    result = cross_validate_pairwise(
        embeddings, found.compared, partial(fit_pairwise, penalties=[50.0]), folds=10, seed=0
    )
    assert all(set(fold.dropped.values()) == {0} for fold in result.fits)
    place = {song: row for row, song in enumerate(ids)}
    for column, (name, least) in enumerate((("arousal", 0.89), ("valence", 0.815))):
        decided = [p for p in data.ground_truth(name) if p.higher_value != "ab"]
        a, b = (
            result.values[0, [place[getattr(pair, side)] for pair in decided], column]
            for side in ("song_a", "song_b")
        )
        truth = np.array([pair.higher_value == "a" for pair in decided])
        assert np.mean((a > b) == truth) > least
