"""PMEmo: the documented layout, ratings from 0 to 1, artists where they are known."""

import numpy as np
import pytest
from invented_ratings import write_table

from earmark.datasets.base import DataError, Scale
from earmark.datasets.ratings.pmemo import load, validate

ROWS = ((10, 0.4, 0.575), (4, 0, 1), (7, 0.3, 0.2))
METADATA = [
    "musicId",
    "fileName",
    "title",
    "artist",
    "album",
    "duration",
    "chorus_start_time",
    "chorus_end_time",
]


def write(root, rows=ROWS, *, artists=None):
    write_table(
        root / "annotations" / "static_annotations.csv",
        ["musicId", "Arousal(mean)", "Valence(mean)"],
        rows,
    )
    if artists is not None:
        info = [(n, f"{n}.mp3", "t", artist, "", 30, "0:01", "0:31") for n, artist in artists]
        write_table(root / "metadata.csv", METADATA, info)
    return root


def test_opens_the_documented_layout(tmp_path):
    root = write(tmp_path, artists=[(4, "Adele"), (10, "ADELE "), (11, "Other")])
    (root / "chorus").mkdir()
    (root / "chorus" / "7.mp3").touch()
    rated = load(root)
    assert [clip.id for clip in rated.clips] == ["4", "7", "10"]
    np.testing.assert_array_equal(rated.ratings, [[0, 1], [0.3, 0.2], [0.4, 0.575]])
    assert [clip.unit for clip in rated.clips] == ["adele", None, "adele"]
    assert [clip.path for clip in rated.clips] == [None, root / "chorus" / "7.mp3", None]
    assert rated.scale == Scale(0, 1)
    notes = " | ".join(rated.card.notes)
    assert "not checked against the files" in notes
    assert "the table has 3 songs, the release 767" in notes
    assert "1 of 3 songs have no known artist" in notes
    assert "2 of 3 clips without audio: 4, 10 have no" in notes
    assert validate(root) == []
    other = load(write(tmp_path / "other", [(10, 0.4, 0.576), *ROWS[1:]]))
    assert other.fingerprint != rated.fingerprint


def test_audio_elsewhere_is_named(tmp_path):
    root = write(tmp_path)
    folder = tmp_path / "mine" / "deep"
    folder.mkdir(parents=True)
    for name in ("4.wav", "7.flac", "10.mp3"):
        (folder / name).touch()
    rated = load(root, audio=tmp_path / "mine")
    assert [clip.path.name for clip in rated.clips] == ["4.wav", "7.flac", "10.mp3"]
    assert not any("without audio" in note for note in rated.card.notes)
    (folder / "4.mp3").touch()
    with pytest.raises(DataError, match="4 has 2 files"):
        load(root, audio=tmp_path / "mine")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(1, 1.1, 0.5)], "arousal of 1 is 1.1, expected 0 to 1"),
        ([(1, 0.5, -0.1)], "valence of 1 is -0.1, expected 0 to 1"),
        ([(1, 0.5, "nan")], "valence of 1 is 'nan', expected a number"),
        ([(1, 0.5, 0.5), (1, 0.5, 0.5)], "id 1 is already on line 2"),
        ([], "holds a header and no row"),
    ],
)
def test_what_is_wrong_in_the_ratings_is_named(tmp_path, rows, message):
    root = write(tmp_path, rows)
    assert [problem.message for problem in validate(root)] == [message]
    with pytest.raises(DataError) as error:
        load(root)
    assert message in str(error.value)


def test_other_columns_a_song_twice_and_an_absent_table_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"static_annotations\.csv: no such file"):
        load(tmp_path)
    write_table(tmp_path / "annotations/static_annotations.csv", ["song_id", "a"], [(1, 2)])
    with pytest.raises(DataError, match=r"no column 'musicId' or 'Arousal\(mean\)' or 'Valence"):
        load(tmp_path)
    write(tmp_path, artists=[(4, "Adele"), (4, "Adele")])
    with pytest.raises(DataError, match=r"metadata\.csv:3: song 4 is there twice"):
        load(tmp_path)
