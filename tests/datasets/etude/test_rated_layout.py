"""emoMusic's own loader reads Etude in emoMusic's layout, and does not take it for emoMusic."""

from collections import Counter

import numpy as np

from earmark.datasets.judgements.overlap import overlap
from earmark.datasets.ratings import emomusic
from earmark.datasets.ratings.folder import load_rated_folder


def test_etude_in_the_layout_of_emomusic_is_synthetic_and_its_ids_are_its_own(corpus):
    rated = emomusic.load(corpus / "emomusic")
    assert rated.card.synthetic
    assert rated.card.title == "Etude (synthetic)"
    assert rated.namespace == ""
    assert overlap(rated, rated) is None
    assert set(Counter(rated.partitions)) == {"development", "evaluation"}
    assert all(clip.path is not None and clip.unit for clip in rated.clips)
    assert emomusic.validate(corpus / "emomusic") == []


def test_both_loaders_read_the_same_ratings(corpus):
    official, by_folder = (load(corpus / "emomusic") for load in (emomusic.load, load_rated_folder))
    ids = [clip.id for clip in by_folder.clips]
    order = [ids.index(clip.id) for clip in official.clips]
    np.testing.assert_array_equal(official.ratings, by_folder.ratings[order])
    assert official.scale == by_folder.scale
