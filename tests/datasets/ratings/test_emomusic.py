"""emoMusic: the official layout, its three splits, and exchanged columns found."""

import hashlib
from collections import Counter, defaultdict

import numpy as np
import pytest
from invented_ratings import draw, write_emomusic, write_table

from earmark.datasets.base import DataError, Scale
from earmark.datasets.ratings.emomusic import artist_name, load, validate

POINTS = draw(range(2, 62))


def test_the_real_set_has_the_published_counts_and_moments(shared_data):
    rated = load(shared_data / "emomusic")
    assert rated.card.version == "744 songs, 2013"
    assert Counter(rated.partitions) == {"development": 619, "evaluation": 125}
    arousal, valence = rated.ratings.T
    assert (arousal.mean(), valence.mean()) == pytest.approx((4.786, 5.006), abs=5e-4)
    assert (arousal.var(), valence.var()) == pytest.approx((1.891, 1.549), abs=5e-4)
    assert np.corrcoef(arousal, valence)[0, 1] == pytest.approx(0.599, abs=5e-4)
    assert rated.ratings.min(axis=0).tolist() == [1.6, 1.6]
    assert rated.ratings.max(axis=0).tolist() == [8.4, 8.1]
    assert rated.deviations.shape == (744, 2)
    assert (rated.clips[0].id, rated.clips[0].label) == ("2", "Blues")
    assert rated.clips[0].unit == "the new mystikal troubadours"
    assert rated.ratings[0].tolist() == [3.1, 3.0]
    assert validate(shared_data / "emomusic") == []


def test_the_real_set_splits_as_jukemir_does_which_shares_artists_with_the_test(shared_data):
    rated = load(shared_data / "emomusic", split="jukemir")
    assert Counter(rated.partitions) == {"train": 504, "valid": 115, "test": 125}
    assert any("66 of 125 songs in test have an artist" in note for note in rated.card.notes)


def by_artist(rated):
    found = defaultdict(set)
    for clip, part in zip(rated.clips, rated.partitions, strict=True):
        found[clip.unit].add(part)
    return found


def test_the_split_by_artists_shares_none(shared_data):
    rated = load(shared_data / "emomusic", split="artists")
    assert all(len(parts) == 1 for parts in by_artist(rated).values())
    assert Counter(rated.partitions) == {"train": 531, "valid": 110, "test": 103}
    assert not any("have an artist" in note for note in rated.card.notes)


def test_opens_the_layout_with_its_tabs_in_the_order_of_numbers(tmp_path):
    root = write_emomusic(tmp_path, dict(reversed(POINTS.items())))
    (root / "clips_45seconds").mkdir()
    (root / "clips_45seconds" / "10.mp3").touch()
    rated = load(root)
    assert [clip.id for clip in rated.clips] == [str(n) for n in range(2, 62)]
    np.testing.assert_array_equal(rated.ratings, list(POINTS.values()))
    np.testing.assert_array_equal(rated.deviations, [[1.5, 0.5]] * 60)
    assert (rated.scale, rated.namespace) == (Scale(1, 9), "mediaeval")
    assert Counter(rated.partitions) == {"development": 48, "evaluation": 12}
    assert [clip.id for clip in rated.clips if clip.path] == ["10"]
    assert any(
        note.startswith("59 of 60 clips without audio: 2, 3, 4") for note in rated.card.notes
    )
    assert rated.card.version.startswith("not the release: ")
    assert load(root / "annotations").fingerprint == rated.fingerprint
    assert validate(root) == []


def test_the_splits_follow_the_rule_that_is_stated(tmp_path):
    root = write_emomusic(tmp_path, POINTS)
    official, jukemir, artists = (
        load(root, split=s) for s in ("mediaeval2013", "jukemir", "artists")
    )
    twentieths = ["train"] * 14 + ["valid"] * 3 + ["test"] * 3
    for i, clip in enumerate(official.clips):
        name = artist_name(clip.unit)
        digest = int(hashlib.sha1(name.encode()).hexdigest(), 16)
        inner = "valid" if digest % 10 in (8, 9) else "train"
        expected = "test" if official.partitions[i] == "evaluation" else inner
        assert jukemir.partitions[i] == expected
        assert artists.partitions[i] == twentieths[digest % 20]
    assert all(len(parts) == 1 for parts in by_artist(artists).values())
    assert len({rated.fingerprint for rated in (official, jukemir, artists)}) == 3


def test_one_partition_can_be_taken(tmp_path):
    root = write_emomusic(tmp_path, POINTS)
    part = load(root, part="evaluation")
    assert len(part.clips) == len(part.ratings) == len(part.deviations) == 12
    assert set(part.partitions) == {"evaluation"}
    assert part.card.notes[-1] == "partition evaluation: 12 of 60 clips"
    assert part.fingerprint != load(root).fingerprint
    with pytest.raises(DataError, match="has no partition 'valid', expected development or eval"):
        load(root, part="valid")


def test_columns_exchanged_against_the_dynamic_annotations_are_found_and_refused(tmp_path):
    sound = write_emomusic(tmp_path / "sound", POINTS, dynamic=True)
    assert validate(sound) == []
    exchanged = {song: (v, a) for song, (a, v) in POINTS.items()}
    root = write_emomusic(tmp_path / "exchanged", POINTS, dynamic=True)
    write_emomusic(root, exchanged)
    (problem,) = validate(root)
    assert "arousal and valence have changed places" in problem.message
    with pytest.raises(DataError, match="have changed places"):
        load(root)


def test_an_unknown_split_and_an_absent_folder_are_refused(tmp_path):
    with pytest.raises(
        DataError, match="no split 'random'; expected one of mediaeval2013, jukemir"
    ):
        load(tmp_path, split="random")
    with pytest.raises(
        DataError, match=r"expected annotations/static_annotations\.csv .* found no"
    ):
        load(tmp_path)
    write_emomusic(tmp_path, POINTS)
    with pytest.raises(DataError, match=r"no folder .*nowhere, expected one with <id>\.mp3"):
        load(tmp_path, audio=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (
            "songs_info",
            ("development\t\t", "training"),
            "set of song 2 is 'training', expected dev",
        ),
        ("songs_info", ("\tArtist aa", ""), "song 2 has no artist"),
        ("songs_info", ("Mediaeval 2013 set", "set"), "no column 'Mediaeval 2013 set', found colu"),
        ("songs_info", ("\n3,", "\n2,"), "song 2 is there twice"),
        ("songs_info", ("\n3,", "\n999,"), "song 3 is missing"),
        ("static_annotations", ("\n3,", "\n999,"), "song 3 is missing"),
        ("static_annotations", ("\n3,", "\n2,"), "id 2 is already on line 2"),
        ("static_annotations", (",1.5,", ",-1,"), "standard deviation of 2 is '-1', expected a n"),
        ("static_annotations", ("mean_arousal", "arousal"), "no column 'mean_arousal', found colu"),
        ("static_annotations", (f"2,{POINTS[2][0]}", "2,9.5"), "arousal of 2 is 9.5, expected 1 "),
        ("static_annotations", (f"2,{POINTS[2][0]}", "2,"), "arousal of 2 is '', expected a num"),
        ("static_annotations", ("\n2,", "\n,"), "2: has no id"),
    ],
)
def test_what_is_wrong_in_a_table_is_named(tmp_path, file, change, message):
    root = write_emomusic(tmp_path, POINTS)
    path = root / "annotations" / f"{file}.csv"
    path.write_text(path.read_text().replace(*change, 1))
    with pytest.raises(DataError) as error:
        load(root)
    assert message in str(error.value)
    assert any(message in str(problem) for problem in validate(root))


def test_dynamic_annotations_of_another_form_are_refused(tmp_path):
    root = write_emomusic(tmp_path, POINTS, dynamic=True)
    write_table(root / "annotations/arousal_cont_average.csv", ["id"], [[2]])
    with pytest.raises(DataError, match="with song_id in the first column"):
        load(root)
