"""DEAM: its two tables, its three parts, and the exchanged columns found, mended and stated."""

from collections import Counter

import numpy as np
import pytest
from invented_ratings import (
    DYNAMIC,
    FIRST,
    SECOND,
    STATIC,
    draw,
    write_deam,
    write_emomusic,
    write_table,
)

from earmark.datasets.base import DataError
from earmark.datasets.ratings import deam, emomusic
from earmark.datasets.ratings.deam import load, validate

EARLY = range(2, 62)
IDS = [*EARLY, *range(1001, 1041), *range(2001, 2031)]
POINTS = draw(IDS)
SHARED = {song: POINTS[song] for song in EARLY}


def ratings_by_id(rated):
    return {
        int(c.id): tuple(row) for c, row in zip(rated.clips, rated.ratings.tolist(), strict=True)
    }


def with_emomusic(tmp_path, **options):
    write_emomusic(tmp_path / "emomusic", SHARED)
    return write_deam(tmp_path / "deam", POINTS, **options)


# The real set


def correlations(rated, other):
    theirs = ratings_by_id(other)
    ours = ratings_by_id(rated)
    x, y = (np.array([points[song] for song in sorted(theirs)]) for points in (ours, theirs))
    return np.corrcoef(x.T, y.T)[:2, 2:].diagonal()


def test_the_real_set_has_the_known_fault_which_is_mended_and_stated(shared_data):
    reference = emomusic.load(shared_data / "emomusic")
    mended = load(shared_data / "deam")
    assert correlations(mended, reference) == pytest.approx([0.9998, 0.9999], abs=5e-5)
    assert any("744 songs, ids 2 to 1000 stand in each" in note for note in mended.card.notes)
    assert any(note.endswith("exchanged here") for note in mended.card.notes)
    as_is = load(shared_data / "deam", correct_swap=False)
    assert correlations(as_is, reference) == pytest.approx([0.5987, 0.5991], abs=5e-5)
    assert any(note.endswith("(correct_swap=False)") for note in as_is.card.notes)
    assert mended.fingerprint != as_is.fingerprint
    (problem,) = validate(shared_data / "deam")
    assert problem.path.name == FIRST


def test_the_real_set_as_it_stands_has_the_published_moments(shared_data):
    rated = load(shared_data / "deam", correct_swap=False)
    arousal, valence = rated.ratings.T
    assert Counter(rated.partitions) == {
        "development": 744,
        "evaluation2014": 1000,
        "evaluation2015": 58,
    }
    assert (arousal.mean(), valence.mean()) == pytest.approx((4.814, 4.904), abs=5e-4)
    assert (arousal.var(), valence.var()) == pytest.approx((1.643, 1.378), abs=5e-4)
    assert np.corrcoef(arousal, valence)[0, 1] == pytest.approx(0.570, abs=5e-4)
    assert rated.card.version == "1,802 songs, 2017"
    assert {clip.path for clip in rated.clips} == {None}


def test_the_real_fault_is_found_without_emomusic_too(shared_data, tmp_path):
    copy = tmp_path / "copy"
    for name in (FIRST, SECOND):
        place = copy / STATIC / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(next((shared_data / "deam").rglob(name)).read_bytes())
    rated = load(copy)
    np.testing.assert_array_equal(rated.ratings, load(shared_data / "deam").ratings)
    (note,) = (note for note in rated.card.notes if "ids 2 to 1000" in note)
    assert "the released values: exchanged" in note
    assert "emoMusic" not in note


def test_a_mended_copy_of_the_real_set_is_not_exchanged_again(shared_data, tmp_path):
    mended = load(shared_data / "deam")
    write_deam(tmp_path / "copy", ratings_by_id(mended))
    again = load(tmp_path / "copy")
    np.testing.assert_array_equal(again.ratings, mended.ratings)
    assert any("are in their own columns" in note for note in again.card.notes)
    assert validate(tmp_path / "copy") == []
    rounded = {song: (round(a), round(v)) for song, (a, v) in ratings_by_id(mended).items()}
    write_deam(tmp_path / "rounded", rounded)
    assert ratings_by_id(load(tmp_path / "rounded")) == rounded
    write_deam(tmp_path / "rounded fault", rounded, exchanged=range(1001))
    assert ratings_by_id(load(tmp_path / "rounded fault")) == rounded


# Invented sets


def test_opens_both_tables_whatever_the_white_space_in_their_headers(tmp_path):
    root = with_emomusic(tmp_path)
    (root / "MEMD_audio").mkdir()
    (root / "MEMD_audio" / "2001.mp3").touch()
    rated = load(root)
    assert ratings_by_id(rated) == POINTS
    assert [int(clip.id) for clip in rated.clips] == IDS
    assert Counter(rated.partitions) == {
        "development": 60,
        "evaluation2014": 40,
        "evaluation2015": 30,
    }
    np.testing.assert_array_equal(rated.deviations, [[1.5, 0.5]] * 130)
    assert [clip.id for clip in rated.clips if clip.path] == ["2001"]
    assert rated.clips[0].unit == "artist aa"
    assert rated.clips[-1].unit is None
    notes = " | ".join(rated.card.notes)
    assert "the tables have 130 of the 1802 songs" in notes
    assert "60 songs, ids 2 to 61 are in their own columns" in notes
    assert "70 of 130 songs have no known artist" in notes
    assert "129 of 130 clips without audio" in notes
    assert validate(root) == []


def test_a_part_can_be_taken(tmp_path):
    part = load(with_emomusic(tmp_path), part="evaluation2014")
    assert [int(clip.id) for clip in part.clips] == list(range(1001, 1041))
    with pytest.raises(DataError, match="no partition 'test', expected development or evaluation2"):
        load(tmp_path / "deam", part="test")


def test_the_known_fault_is_mended_with_its_deviations(tmp_path):
    root = with_emomusic(tmp_path, exchanged=EARLY)
    rated = load(root)
    assert ratings_by_id(rated) == POINTS
    np.testing.assert_array_equal(rated.deviations, [[1.5, 0.5]] * 130)
    (note,) = (note for note in rated.card.notes if "exchanged here" in note)
    assert "60 songs, ids 2 to 61 stand in each other's columns: emoMusic's ratings" in note
    (problem,) = validate(root)
    assert "load() exchanges them" in problem.message


def test_the_known_fault_is_left_on_demand_and_stated(tmp_path):
    rated = load(with_emomusic(tmp_path, exchanged=EARLY), correct_swap=False)
    found = ratings_by_id(rated)
    assert all(found[song] == POINTS[song][::-1] for song in EARLY)
    assert all(found[song] == POINTS[song] for song in IDS if song not in EARLY)
    np.testing.assert_array_equal(rated.deviations[:60], [[0.5, 1.5]] * 60)
    assert any(
        note.endswith("taken as they stand (correct_swap=False)") for note in rated.card.notes
    )


def test_the_fault_is_found_by_deams_own_dynamic_annotations(tmp_path):
    root = write_deam(tmp_path, POINTS, exchanged=EARLY, dynamic=True)
    rated = load(root)
    assert ratings_by_id(rated) == POINTS
    assert any("DEAM's dynamic annotations: exchanged" in note for note in rated.card.notes)
    mended = write_deam(tmp_path / "mended", POINTS, dynamic=True)
    assert ratings_by_id(load(mended)) == POINTS


def test_a_part_exchanged_elsewhere_is_found_and_named_as_another_fault(tmp_path):
    root = write_deam(tmp_path, POINTS, exchanged=range(1001, 2001), dynamic=True)
    rated = load(root)
    assert ratings_by_id(rated) == POINTS
    (note,) = (note for note in rated.card.notes if "exchanged here" in note)
    assert "40 songs, ids 1001 to 1040" in note
    assert "not the release's known fault" in note
    last = write_deam(tmp_path / "last", POINTS, exchanged=range(2001, 2059), dynamic=True)
    (problem,) = validate(last)
    assert problem.path.name == SECOND


def test_the_fault_is_found_by_the_digest_of_the_released_values(tmp_path, monkeypatch):
    root = write_deam(tmp_path, POINTS, exchanged=EARLY)
    part = deam._read(root, None).parts[0]
    monkeypatch.setitem(deam.RELEASED, "development", deam._digests(part)[1])
    assert ratings_by_id(load(root)) == POINTS
    assert ratings_by_id(load(write_deam(tmp_path / "mended", POINTS))) == POINTS


def test_without_evidence_on_the_known_fault_nothing_is_guessed(tmp_path):
    root = write_deam(tmp_path, POINTS)
    with pytest.raises(DataError, match=r"it cannot be told .*give emomusic=.*or correct_swap=Fal"):
        load(root)
    assert len(validate(root)) == 1
    rated = load(root, correct_swap=False)
    assert any("are exchanged is not known" in note for note in rated.card.notes)
    write_emomusic(tmp_path / "elsewhere", SHARED)
    assert ratings_by_id(load(root, emomusic=tmp_path / "elsewhere")) == POINTS


def test_single_songs_exchanged_are_named(tmp_path):
    told = [song for song in EARLY if abs(np.subtract(*POINTS[song])) > 0.6]
    root = with_emomusic(tmp_path, exchanged=told[:3])
    with pytest.raises(DataError, match=rf"3 of 60 songs stand the other way .*: {told[0]}, "):
        load(root)
    most = write_deam(tmp_path / "most", POINTS, exchanged=set(EARLY) - set(told[:2]))
    with pytest.raises(DataError, match=rf"2 of 60 songs .*: {told[0]}, {told[1]}; fix these"):
        load(most)


def test_evidence_that_contradicts_itself_is_refused(tmp_path):
    exchanged = {song: (v, a) for song, (a, v) in SHARED.items()}
    write_emomusic(tmp_path / "emomusic", exchanged)
    root = write_deam(tmp_path / "deam", POINTS, dynamic=True)
    with pytest.raises(DataError, match=r"contradicts itself: emoMusic's .* exchanged .* straight"):
        load(root)


def test_an_absent_or_doubled_table_is_refused(tmp_path):
    with pytest.raises(
        DataError, match=rf"expected one {FIRST} below it, found none; unpack DEAM_A"
    ):
        load(tmp_path)
    write_deam(tmp_path / "a", POINTS)
    write_deam(tmp_path / "b", POINTS)
    with pytest.raises(DataError, match=rf"expected one {SECOND} below it, found 2: "):
        load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((" valence_mean", " valence"), "no column 'valence_mean', found columns 'song_id', 'val"),
        ((" arousal_mean", " arousal_mean, arousal _mean"), "differ by white space alone"),
        ((" arousal_mean", " valence_mean"), "names a column twice"),
        (("\n2,", "\n0,"), "song_id '0' is none of DEAM's, expected a number from 1 to 2058"),
        (("\n2,", "\nx,"), "song_id 'x' is none of DEAM's"),
        (("\n2,", "\n3,"), "id 3 is already on line 2"),
        ((f"\n2,{POINTS[2][1]}", "\n2,0.9"), "valence of 2 is 0.9, expected 1 to 9"),
    ],
)
def test_what_is_wrong_in_a_table_is_named(tmp_path, change, message):
    root = with_emomusic(tmp_path)
    path = root / STATIC / FIRST
    text = path.read_text().replace(*change, 1)
    if "arousal _mean" in change[1]:
        text = "\n".join(line + ",5" * (i > 0) for i, line in enumerate(text.splitlines()))
    path.write_text(text)
    with pytest.raises(DataError) as error:
        load(root)
    assert message in str(error.value)
    assert any(message in str(problem) for problem in validate(root))


def test_dynamic_annotations_that_cannot_be_read_are_refused(tmp_path):
    root = write_deam(tmp_path, POINTS, dynamic=True)
    (root / DYNAMIC / "valence.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"valence\.csv is not UTF-8 but UTF-16"):
        load(root)


# Artists


def write_metadata(root):
    folder = root / "metadata"
    header = ["song_id", "file_name", "Artist", "Song title", "Genre"]
    write_table(folder / "metadata_2013.csv", header, [(2, "2.mp3", "Someone else", "x", "Rock")])
    header = ["Id", "Artist", "Album", "Track", "Genre", "labels"]
    rows = [
        (1001, " The  Band\t", "a", "t", "Rock", "x", "y", "z"),
        (1002, "THE BAND", "a", "t", "Pop"),
        (1003, "", "a", "t", "Pop", "x"),
    ]
    write_table(folder / "metadata_2014.csv", header, rows)
    header = ["id", "Filename", "title", "artist", "album", "genre"]
    rows = [
        (2001, "2001.mp3", "t", "One", "a", "Rock"),
        (2002, "2002.mp3", "a title", " with a comma", "Two", "a", "Rock"),
    ]
    write_table(folder / "metadata_2015.csv", header, rows)


def test_artists_come_from_emomusic_and_else_from_deams_metadata(tmp_path):
    root = with_emomusic(tmp_path)
    write_metadata(root)
    rated = load(root)
    unit = {clip.id: clip.unit for clip in rated.clips}
    assert (unit["2"], unit["3"]) == ("artist aa", "artist aa")
    assert (unit["1001"], unit["1002"], unit["1003"]) == ("the band", "the band", None)
    assert (unit["2001"], unit["2002"]) == ("one", None)
    assert any(note.startswith("67 of 130 songs have no known artist") for note in rated.card.notes)
    assert rated.fingerprint != load(with_emomusic(tmp_path / "other")).fingerprint


def test_metadata_of_another_form_are_refused(tmp_path):
    root = with_emomusic(tmp_path)
    write_table(root / "metadata_2014.csv", ["Id", "Band"], [(1001, "x")])
    with pytest.raises(DataError, match=r"one of artists \(Artist\), found id, band"):
        load(root)
    write_metadata(root)
    with pytest.raises(DataError, match=r"expected one metadata_2014\.csv below"):
        load(root)
