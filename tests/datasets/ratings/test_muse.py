"""MuSe: rows without a Spotify id, rows that share one, and what else the table may hold."""

import csv

import numpy as np
import pytest
from invented_ratings import write_table

from earmark.datasets.base import DataError, Scale
from earmark.datasets.judgements import musav as musav_set
from earmark.datasets.judgements.overlap import overlap, without_overlap
from earmark.datasets.ratings.muse import load, validate

HEADER = [
    "lastfm_url",
    "track",
    "artist",
    "seeds",
    "number_of_emotion_tags",
    "valence_tags",
    "arousal_tags",
    "dominance_tags",
    "mbid",
    "spotify_id",
    "genre",
]
A, B, C = "a" * 22, "B" * 22, "0" * 22


def row(url, song, *, valence=5.0, arousal=4.0, dominance=5.5, artist="X", genre="rock"):
    seeds = "['aggressive', 'calm']"
    return [url, "t", artist, seeds, 8, valence, arousal, dominance, "", song, genre]


ROWS = (
    row("u/4", B, valence=6, arousal=2, artist=" The  Band", genre=""),
    row("u/2", A, valence=3.71, arousal=5.833),
    row("u/3", ""),
    row("u/1", C, valence=2, arousal=7, artist="Y"),
    row("u/5", C, valence=4, arousal=8, artist="Z", genre="pop"),
    row("u/6", C[:-1] + "1", valence="", arousal="", dominance=""),
)


def write(root, rows=ROWS):
    write_table(root / "muse_v3.csv", HEADER, rows)
    return root


def test_a_clip_is_a_spotify_id_and_the_card_counts_what_was_left_out(tmp_path):
    root = write(tmp_path)
    (root / "audio").mkdir()
    (root / "audio" / f"{B}.mp3").touch()
    rated = load(root)
    assert [clip.id for clip in rated.clips] == [C, B, A]
    np.testing.assert_allclose(rated.ratings, [[7.5, 3], [2, 6], [5.833, 3.71]], atol=1e-12)
    assert (rated.scale, rated.namespace, rated.partitions) == (Scale(1, 9), "spotify", ())
    assert [clip.unit for clip in rated.clips] == ["y", "the band", "x"]
    assert [clip.label for clip in rated.clips] == ["rock", None, "rock"]
    assert [clip.id for clip in rated.clips if clip.path] == [B]
    assert rated.card.version.startswith("3, 6 of 90,001 rows: ")
    notes = rated.card.notes
    assert "1 of 6 rows left out: no Spotify id" in notes
    assert "1 of 6 rows left out: no rating" in notes
    assert "2 rows share 1 Spotify ids: one clip each, their mean" in notes
    assert any("nobody rated the music" in note for note in notes)
    assert any("not checked against the file" in note for note in notes)
    assert validate(root) == []


def test_the_order_of_rows_changes_nothing(tmp_path):
    one, other = load(write(tmp_path / "1")), load(write(tmp_path / "2", ROWS[::-1]))
    assert (one.fingerprint, one.clips) == (other.fingerprint, other.clips)
    changed = load(write(tmp_path / "3", [*ROWS[:1], row("u/2", A)]))
    assert changed.fingerprint != one.fingerprint


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (row("u/7", "short"), "spotify_id 'short', expected 22 letters and digits, or nothing"),
        (row("u/7", A, valence=0.9), "valence of u/7 is 0.9, expected 1 to 9"),
        (row("u/7", A, arousal="high"), "arousal of u/7 is 'high', expected a number"),
        (row("u/7", A, dominance=10), "dominance of u/7 is 10.0, expected 1 to 9"),
        (row("u/7", "", valence=""), "valence of u/7 is '', expected a number"),
    ],
)
def test_a_wrong_row_is_named_by_line(tmp_path, bad, message):
    root = write(tmp_path, [*ROWS, bad])
    assert [(p.line, p.message) for p in validate(root)] == [(8, message)]
    with pytest.raises(DataError, match=r"muse_v3\.csv:8: "):
        load(root)


def test_an_absent_empty_or_other_table_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"muse_v3\.csv: no such file"):
        load(tmp_path)
    with pytest.raises(DataError, match="none of its 1 rows has both ratings and a spotify_id"):
        load(write(tmp_path, [ROWS[2]]))
    write_table(tmp_path / "muse_v3.csv", [*HEADER[:5], "valence"], [])
    with pytest.raises(DataError, match="no column 'genre' or 'spotify_id' or 'arousal_tags'"):
        load(tmp_path)


def test_songs_that_are_in_musav_are_counted_and_removed(tmp_path, write_musav):
    musav = musav_set.load(write_musav(tmp_path / "musav"))
    shared = musav.song_ids[:3]
    rows = [*ROWS, *(row(f"v/{i}", song) for i, song in enumerate(shared))]
    muse = load(write(tmp_path / "muse", rows))
    assert set(overlap(muse, musav)) == set(shared)
    kept = without_overlap(muse, musav)
    assert [clip.id for clip in kept.clips] == [C, B, A]
    np.testing.assert_allclose(kept.ratings, [[7.5, 3], [2, 6], [5.833, 3.71]], atol=1e-12)
    assert kept.card.notes[-1] == "3 of 6 songs are in musav, too (by spotify id): removed"
    assert kept.fingerprint == load(write(tmp_path / "again")).fingerprint != muse.fingerprint


def test_the_real_list_of_muse_songs_shares_with_musav_those_that_musav_names(
    shared_data, tmp_path
):
    place = "musav/data/annotations/ismir2022/ismir2022-muse.songids"
    songs = (shared_data / place).read_text().split()
    assert len(songs) == 40_425
    root = tmp_path / "muse"
    write_table(root / "muse_v3.csv", HEADER, (row(f"u/{i}", song) for i, song in enumerate(songs)))
    musav = musav_set.load(shared_data / "musav")
    muse = load(root)
    assert len(muse.clips) == len(set(songs))
    kept = without_overlap(muse, musav)
    assert set(overlap(muse, musav)) == musav.muse_ids
    assert len(muse.clips) - len(kept.clips) == len(musav.muse_ids) == 24


def test_a_table_of_many_lines_is_read_as_csv_has_it(tmp_path):
    rows = [row("u/1", A, artist='He said "no",\nthen yes')]
    rated = load(write(tmp_path, rows))
    assert rated.clips[0].unit == 'he said "no", then yes'
    with (tmp_path / "muse_v3.csv").open(newline="") as file:
        assert len(list(csv.reader(file))) == 2
