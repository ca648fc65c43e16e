"""Songs of one set in another: known by id where two sets share a namespace, else said so."""

import numpy as np
import pytest
from invented_ratings import draw, write_deam, write_emomusic, write_table

from earmark.datasets.base import DataError
from earmark.datasets.judgements import musav
from earmark.datasets.judgements.overlap import overlap, without_overlap
from earmark.datasets.ratings import deam, emomusic
from earmark.datasets.ratings.folder import load_rated_folder
from earmark.datasets.ratings.table import partition


@pytest.fixture
def sets(tmp_path):
    points = draw([*range(2, 62), *range(1001, 1031), *range(2001, 2011)])
    shared = {song: points[song] for song in range(2, 62)}
    write_emomusic(tmp_path / "emomusic", shared)
    write_deam(tmp_path / "deam", points)
    return deam.load(tmp_path / "deam"), emomusic.load(tmp_path / "emomusic")


def test_the_songs_of_emomusic_are_removed_from_deam(sets):
    of_deam, of_emomusic = sets
    kept = without_overlap(of_deam, of_emomusic)
    assert [clip.id for clip in kept.clips] == [
        str(song) for song in [*range(1001, 1031), *range(2001, 2011)]
    ]
    np.testing.assert_array_equal(kept.ratings, of_deam.ratings[60:])
    np.testing.assert_array_equal(kept.deviations, of_deam.deviations[60:])
    assert set(kept.partitions) == {"evaluation2014", "evaluation2015"}
    assert kept.card.notes[-1] == "60 of 100 songs are in emomusic, too (by mediaeval id): removed"
    assert overlap(kept, of_emomusic) == ()
    again = without_overlap(kept, of_emomusic)
    assert again.fingerprint == kept.fingerprint
    assert again.card.notes[-1].startswith("0 of 40 songs")


def test_a_set_that_is_wholly_in_the_other_leaves_nothing_to_train_on(sets):
    of_deam, of_emomusic = sets
    with pytest.raises(DataError, match=r"emomusic: no clip is left .60 of 60 songs are in deam"):
        without_overlap(of_emomusic, of_deam)


def test_one_part_of_a_set_may_be_tested_on(sets):
    _, of_emomusic = sets
    evaluation = partition(of_emomusic, "evaluation")
    kept = without_overlap(of_emomusic, evaluation)
    assert set(kept.partitions) == {"development"}


def test_without_common_ids_all_is_kept_and_it_is_said(sets, tmp_path, write_musav):
    of_deam, _ = sets
    tested = musav.load(write_musav(tmp_path / "musav"))
    kept = without_overlap(of_deam, tested)
    assert (kept.clips, kept.fingerprint) == (of_deam.clips, of_deam.fingerprint)
    assert kept.card.notes[-1].startswith("which songs are in musav, too, is not known")
    assert overlap(of_deam, tested) is None
    assert overlap(of_deam, tested.comparisons()) is None


def test_equal_ids_of_sets_that_share_no_namespace_mean_nothing(tmp_path):
    write_table(tmp_path / "ratings.csv", ["track_id", "arousal", "valence"], [("1", 5, 5)])
    one, other = (
        load_rated_folder(tmp_path, scale=(1, 9), require_audio=False, id=name) for name in "xy"
    )
    assert overlap(one, other) is None
    assert len(without_overlap(one, other).clips) == 1


def test_the_real_deam_holds_all_of_emomusic(shared_data):
    of_deam, of_emomusic = (
        module.load(shared_data / name) for name, module in (("deam", deam), ("emomusic", emomusic))
    )
    assert len(overlap(of_deam, of_emomusic)) == 744
    assert len(without_overlap(of_deam, of_emomusic).clips) == 1058
