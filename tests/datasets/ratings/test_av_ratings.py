"""Rated folders: the documented layouts open, and every fault is named with its mend."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.datasets.base import DataError, Scale
from earmark.datasets.ratings.folder import Options, Row, _fits, load_rated_folder, validate
from earmark.datasets.ratings.table import partition

ROWS = (("b", 3, 4.5), ("a", 1, 9), ("c", 5, 5))


def write(root, rows=ROWS, *, header="track_id,arousal,valence", table="ratings.csv", audio=True):
    """Write the documented layout; the audio files are empty, for nothing here decodes them."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / table).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header.split(","))
        writer.writerows(rows)
    for row in rows if audio else ():
        touch(root / "audio" / f"{row[0]}.wav")
    return root


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_opens_a_folder_of_ones_own_sorted_by_id(tmp_path):
    opened = load_rated_folder(write(tmp_path / "mine"), scale=(1, 9))
    assert [clip.id for clip in opened.clips] == ["a", "b", "c"]
    assert [clip.path for clip in opened.clips] == [
        tmp_path / "mine" / "audio" / f"{name}.wav" for name in "abc"
    ]
    np.testing.assert_array_equal(opened.ratings, [[1, 9], [3, 4.5], [5, 5]])
    assert opened.scale == Scale(1, 9)
    assert (opened.card.id, opened.card.licence, opened.card.notes) == ("mine", "not stated", ())
    assert not opened.card.synthetic
    assert {clip.unit for clip in opened.clips} == {clip.label for clip in opened.clips} == {None}
    assert validate(tmp_path / "mine", scale=(1, 9)) == []


TOML = """
id = "cues"
title = "Film cues"
version = "1.2"
licence = "CC BY 4.0"
citation = "@misc{cues}"
source = "https://example.org"
synthetic = true
scale = [1, 9]
ratings = "table.csv"
audio = "."
id_column = "name"
arousal_column = "A"
valence_column = "V"
unit_column = "artist"
label_column = "genre"
quadrant_column = "Q"
"""


def test_a_dataset_toml_says_everything_and_an_option_wins_over_it(tmp_path):
    rows = [("x/one.wav", 6.5, 2, "E", "rock", "e4"), ("two", 1, 3, "F", "pop", "e3")]
    write(tmp_path, rows, header="name,V,A,artist,genre,Q", table="table.csv", audio=False)
    one, two = touch(tmp_path / "x" / "one.wav"), touch(tmp_path / "y" / "two.mp3")
    (tmp_path / "dataset.toml").write_text(TOML)
    opened = load_rated_folder(str(tmp_path))
    card = opened.card
    assert (card.id, card.title, card.version) == ("cues", "Film cues", "1.2")
    assert (card.licence, card.citation) == ("CC BY 4.0", "@misc{cues}")
    assert (card.source, card.synthetic, card.notes) == ("https://example.org", True, ())
    assert [(c.id, c.path, c.label, c.unit) for c in opened.clips] == [
        ("two", two, "pop", "F"),
        ("x/one.wav", one, "rock", "E"),
    ]
    np.testing.assert_array_equal(opened.ratings, [[3, 1], [2, 6.5]])
    assert opened.scale == Scale(1, 9)
    other = load_rated_folder(
        tmp_path, scale=[0, 10], title="Cues", arousal_column="V", valence_column="A"
    )
    np.testing.assert_array_equal(other.ratings, [[1, 3], [6.5, 2]])
    assert (other.scale, other.card.title, other.card.id) == (Scale(0, 10), "Cues", "cues")


@pytest.mark.parametrize("name", ["a", "a.flac", "deep/down/a", "deep/down/a.flac"])
def test_an_id_is_a_stem_a_file_name_or_a_path(tmp_path, name):
    write(tmp_path, [(name, 1, 2)], audio=False)
    path = touch(tmp_path / "audio" / "deep" / "down" / "a.flac")
    (clip,) = load_rated_folder(tmp_path, scale=(1, 9)).clips
    assert (clip.id, clip.path) == (name, path)


def test_the_order_of_rows_does_not_matter_and_the_content_does(tmp_path):
    one = load_rated_folder(write(tmp_path / "1"), scale=(1, 9))
    same = load_rated_folder(write(tmp_path / "2", ROWS[::-1]), scale=[1.0, 9.0])
    assert one.fingerprint == same.fingerprint
    np.testing.assert_array_equal(one.ratings, same.ratings)
    others = [
        load_rated_folder(write(tmp_path / "3", [*ROWS[:2], ("c", 5, 5.5)]), scale=(1, 9)),
        load_rated_folder(write(tmp_path / "4", ROWS[:2]), scale=(1, 9)),
        load_rated_folder(tmp_path / "1", scale=(0, 9)),
        load_rated_folder(tmp_path / "1", scale=(1, 9), arousal_column="valence"),
    ]
    assert len({one.fingerprint, *(other.fingerprint for other in others)}) == 5


def test_other_units_are_another_fingerprint(tmp_path):
    rows = [("a", 1, 2, "X", "X"), ("b", 1, 2, "X", "Y")]
    root = write(tmp_path, rows, header="track_id,arousal,valence,artist,album")
    by_artist = load_rated_folder(root, scale=(1, 9), unit_column="artist")
    by_album = load_rated_folder(root, scale=(1, 9), unit_column="album")
    assert [clip.unit for clip in by_artist.clips] == ["X", "X"]
    assert [clip.unit for clip in by_album.clips] == ["X", "Y"]
    assert by_artist.fingerprint != by_album.fingerprint


def test_partitions_and_whose_ids_they_are_can_be_said(tmp_path):
    rows = [("b", 1, 2, "train"), ("a", 3, 4, "test"), ("c", 5, 6, "")]
    root = write(tmp_path, rows, header="track_id,arousal,valence,split")
    plain = load_rated_folder(root, scale=(1, 9))
    assert (plain.partitions, plain.namespace) == ((), "")
    rated = load_rated_folder(root, scale=(1, 9), partition_column="split", namespace="spotify")
    assert rated.partitions == ("test", "train", None)
    assert rated.namespace == "spotify"
    assert rated.fingerprint != plain.fingerprint
    assert [clip.id for clip in partition(rated, "train").clips] == ["b"]
    invented = load_rated_folder(root, scale=(1, 9), namespace="spotify", synthetic=True)
    assert invented.namespace == ""


def test_the_real_gtzan_excerpts_open_without_an_option_and_contradict_no_quadrant(shared_data):
    opened = load_rated_folder(shared_data / "gtzan_excerpts")
    assert (opened.card.id, opened.scale) == ("gtzan_excerpts", Scale(-10, 10))
    assert opened.ratings.shape == (321, 2)
    assert (opened.clips[0].id, opened.clips[0].label) == ("blues.00002", "blues")
    assert opened.clips[0].path == shared_data / "gtzan_excerpts/genres/blues/blues.00002.flac"
    np.testing.assert_array_equal(opened.ratings[0], [5.8, 2.6])
    assert opened.card.notes == ()
    assert validate(shared_data / "gtzan_excerpts") == []


GTZAN = "track_id,genre,arousal,valence,quadrant"


def gtzan_like(root, rows):
    write(root, rows, header=GTZAN, table="av_annotations.csv", audio=False)
    for row in rows:
        touch(root / "genres" / row[1] / f"{row[0]}.flac")
    return root


def test_quadrants_that_contradict_the_numbers_are_noted_and_listed(tmp_path):
    rows = [
        *(("blues.00001", "blues", 5, 2, "e1"), ("blues.00002", "blues", 5, -2, "e2")),
        *(("jazz.00001", "jazz", -5, -2, "e3"), ("jazz.00002", "jazz", -5, 2, "e4")),
        *(("pop.00001", "pop", 0, 2, "e4"), ("pop.00002", "pop", 0, 2, "e1")),
        *(("rock.00001", "rock", 5, 2, "e4"), ("rock.00002", "rock", -5, -2, "e9")),
    ]
    root = gtzan_like(tmp_path, rows)
    assert [(p.line, p.message) for p in validate(root)] == [
        (8, "quadrant 'e4' of rock.00001 contradicts its arousal 5 and valence 2"),
        (9, "quadrant 'e9' of rock.00002 contradicts its arousal -5 and valence -2"),
    ]
    (note,) = load_rated_folder(root).card.notes
    assert note.startswith("2 of 8 quadrants contradict the ratings, the first: quadrant 'e4' of")


def test_exchanged_columns_are_told_by_their_quadrants_and_refused(tmp_path, shared_data):
    with (shared_data / "gtzan_excerpts" / "av_annotations.csv").open(newline="") as file:
        real = [(r[0], r[1], r[3], r[2], r[4]) for r in csv.reader(file)][1:]
    root = gtzan_like(tmp_path, real)
    (fault,) = (problem for problem in validate(root) if problem.line is None)
    assert "151 of 321 quadrants contradict the ratings, and 0 would if they were ex" in str(fault)
    with pytest.raises(DataError, match="arousal and valence seem to have changed places"):
        load_rated_folder(root)
    mended = load_rated_folder(root, arousal_column="valence", valence_column="arousal")
    original = load_rated_folder(shared_data / "gtzan_excerpts")
    np.testing.assert_array_equal(mended.ratings, original.ratings)


def test_many_contradictions_that_no_exchange_would_mend_are_only_noted(tmp_path):
    rows = [(f"blues.{i:05d}", "blues", 5, 2, "e3") for i in range(20)]
    opened = load_rated_folder(gtzan_like(tmp_path, rows))
    assert opened.card.notes[-1].startswith("20 of 20 quadrants contradict the ratings")
    rows = [(f"blues.{i:05d}", "blues", 5, -2, "e4") for i in range(11)]
    with pytest.raises(DataError, match="11 of 11 quadrants contradict the ratings, and 0 would"):
        load_rated_folder(gtzan_like(tmp_path / "exchanged", rows))


def test_a_table_that_only_looks_like_gtzans_gets_neither_its_scale_nor_its_name(tmp_path):
    root = gtzan_like(tmp_path, [("song 1", "blues", 5, 2, "e1")])
    with pytest.raises(DataError, match="the rating scale is unknown"):
        load_rated_folder(root)
    opened = load_rated_folder(root, scale=(1, 9), audio="genres")
    assert opened.card.id == tmp_path.name


@given(st.floats(-10, 10), st.floats(-10, 10))
def test_the_quadrant_that_fits_is_told_by_the_sides_of_the_middle(arousal, valence):
    quadrants = ["e1", "e2", "e3", "e4"]
    row = Row("x", arousal, valence, None, None)
    fitting = [q for q in quadrants if _fits(q, row, Scale(-10, 10))]
    expected = {(True, True): "e1", (True, False): "e2", (False, False): "e3"}.get(
        (arousal > 0, valence > 0), "e4"
    )
    if arousal and valence:
        assert fitting == [expected]
    else:
        assert len(fitting) >= 2
    doubled = Row("x", 2 * arousal + 1, 2 * valence + 1, None, None)
    if abs(arousal) > 1e-9 and abs(valence) > 1e-9:
        assert [q for q in quadrants if _fits(q, doubled, Scale(-19, 21))] == fitting


# What is refused


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("d", 9.5, 5), "arousal of d is 9.5, expected 1 to 9"),
        (("d", 5, 0.99), "valence of d is 0.99, expected 1 to 9"),
        (("d", "inf", 5), "arousal of d is 'inf', expected a number"),
        (("d", "nan", 5), "arousal of d is 'nan', expected a number"),
        (("d", 5, ""), "valence of d is '', expected a number"),
        (("d", 5, "high"), "valence of d is 'high', expected a number"),
        (("a", 5, 5), "id a is already on line 3"),
        ((" ", 5, 5), "has no id"),
        (("d", 5), "expected 3 comma-separated fields, found 2"),
        (("d", 5, 5, 5), "expected 3 comma-separated fields, found 4"),
    ],
)
def test_a_wrong_row_is_named_by_line_and_refused(tmp_path, row, message):
    root = write(tmp_path, [*ROWS, row])
    touch(root / "audio" / "d.wav")
    faults = [p for p in validate(root, scale=(1, 9)) if p.line]
    assert [(p.path, p.line, p.message) for p in faults] == [(root / "ratings.csv", 5, message)]
    with pytest.raises(DataError, match=r"has 1 problem\(s\):\n .*ratings\.csv:5: "):
        load_rated_folder(root, scale=(1, 9))


def test_the_ends_of_the_scale_are_ratings(tmp_path):
    root = write(tmp_path, [("a", 1, 9), ("b", 9, 1)])
    assert load_rated_folder(root, scale=(1, 9)).ratings.tolist() == [[1, 9], [9, 1]]


def test_every_wrong_row_is_named_and_the_error_shows_ten(tmp_path):
    root = write(tmp_path, [(f"{i:02d}", 0, 0) for i in range(12)])
    faults = validate(root, scale=(1, 9))
    assert [p.line for p in faults] == [line for line in range(2, 14) for _ in range(2)]
    with pytest.raises(DataError, match=r"(?s)has 24 problem\(s\).*and 14 more$"):
        load_rated_folder(root, scale=(1, 9))


def test_columns_of_other_names_are_refused_by_name(tmp_path):
    root = write(tmp_path, header="song_id, arousal_mean,valence")
    with pytest.raises(DataError) as error:
        load_rated_folder(root, scale=(1, 9))
    assert (
        "ratings.csv:1: expected the column 'track_id' (id_column=) and 'arousal' "
        "(arousal_column=), found columns 'song_id', 'arousal_mean', 'valence'"
    ) in str(error.value)
    opened = load_rated_folder(
        root, scale=(1, 9), id_column="song_id", arousal_column=" arousal_mean"
    )
    assert opened.ratings.shape == (3, 2)


def test_a_column_there_twice_is_refused(tmp_path):
    root = write(tmp_path, [("a", 1, 2, 3)], header="track_id,arousal,valence,arousal")
    with pytest.raises(DataError, match="names a column twice: arousal"):
        load_rated_folder(root, scale=(1, 9))


@pytest.mark.parametrize("odd", ["train ", "\ttrain"])
def test_spaces_around_a_partition_change_nothing(tmp_path, odd):
    rows = [("a", 1, 2, "train"), ("b", 2, 3, odd), ("c", 3, 4, "test")]
    root = write(tmp_path, rows, header="track_id,arousal,valence,split ")
    opened = load_rated_folder(root, scale=(1, 9), partition_column="split")
    assert opened.partitions == ("train", "train", "test")


@pytest.mark.parametrize("odd", ["Train", "tra\u200bin"])
def test_partitions_that_only_look_the_same_are_refused(tmp_path, odd):
    rows = [("a", 1, 2, "train"), ("b", 2, 3, odd)]
    root = write(tmp_path, rows, header="track_id,arousal,valence,split")
    with pytest.raises(DataError, match=r"the partitions .* differ in case or in what cannot be"):
        load_rated_folder(root, scale=(1, 9), partition_column="split")


@pytest.mark.parametrize("value", ["4_5", "\u0665", "Infinity", "5,3"])
def test_a_rating_is_written_with_digits_and_a_point(tmp_path, value):
    root = write(tmp_path, [("a", value, 2)])
    with pytest.raises(DataError, match=r"arousal of a is .*, expected a number") as error:
        load_rated_folder(root, scale=(1, 9))
    assert ("5.3 with a point" in str(error.value)) == ("," in value)


def test_a_clip_without_a_unit_is_refused(tmp_path):
    root = write(tmp_path, [("a", 1, 2, "X"), ("b", 1, 2, "")], header="track_id,arousal,valence,u")
    with pytest.raises(DataError, match=r"ratings\.csv:3: id b has no unit"):
        load_rated_folder(root, scale=(1, 9), unit_column="u")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is an empty file"),
        (b"track_id,arousal,valence\n", "holds a header and no rating"),
        (b"track_id,arousal,valence\n\xff,1,2\n", "is not UTF-8"),
        (b'track_id,arousal,valence\n"a" b,1,2\n', r"ratings\.csv:2: is not a CSV file"),
        (b"track_id;arousal;valence\na;1;2\n", "found columns 'track_id;arousal;valence'"),
    ],
)
def test_a_table_that_is_empty_or_of_another_format_is_refused(tmp_path, content, message):
    (tmp_path / "ratings.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_rated_folder(tmp_path, scale=(1, 9))


def test_no_table_two_tables_and_an_absent_one_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"neither of ratings\.csv and av_annotations\.csv"):
        load_rated_folder(tmp_path, scale=(1, 9))
    with pytest.raises(DataError, match=r"other\.csv: no such file"):
        load_rated_folder(tmp_path, scale=(1, 9), ratings="other.csv")
    write(tmp_path)
    write(tmp_path, table="av_annotations.csv")
    with pytest.raises(DataError, match=r"both of ratings\.csv and .* with ratings="):
        load_rated_folder(tmp_path, scale=(1, 9))
    assert len(load_rated_folder(tmp_path, scale=(1, 9), ratings="ratings.csv").clips) == 3


@pytest.mark.parametrize("scale", [(9, 1), (1, 1), (1,), (1, 5, 9), "1-9", 9, (1, float("nan"))])
def test_a_scale_that_is_none_is_refused(tmp_path, scale):
    write(tmp_path)
    with pytest.raises(DataError, match="scale"):
        load_rated_folder(tmp_path, scale=scale)
    with pytest.raises(DataError, match="scale"):
        validate(tmp_path, scale=scale)


def test_an_unknown_scale_is_refused_with_the_mend(tmp_path):
    with pytest.raises(DataError, match=r"scale is unknown: give scale=\(low, high\), or write"):
        load_rated_folder(write(tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scale = [1, 9", r"dataset\.toml cannot be read: "),
        ("scale = 9", r"scale in dataset\.toml is 9, expected two numbers"),
        ("scale = [9, 1]", "needs low < high, got 9.0 to 1.0"),
        ("title = 3", "title is 3, expected text"),
        ("synthetic = 1", "synthetic is 1, expected true or false"),
        ("license = 'MIT'", "unknown key 'license'. Did you mean 'licence'"),
        ("require_audio = false", "unknown key 'require_audio'. Known: ratings"),
    ],
)
def test_a_wrong_dataset_toml_is_refused(tmp_path, text, message):
    (write(tmp_path) / "dataset.toml").write_text(text)
    with pytest.raises(DataError, match=message):
        load_rated_folder(tmp_path)
    assert len(validate(tmp_path)) == 1


def test_rated_ids_without_audio_are_listed_and_allowed_on_demand(tmp_path):
    root = write(tmp_path, [(f"{i:02d}", 5 + i % 2, 5 - i % 2) for i in range(13)], audio=False)
    touch(root / "audio" / "03.wav")
    with pytest.raises(DataError) as error:
        load_rated_folder(root, scale=(1, 9))
    assert "has no audio of 12 rated ids: 00, 01, 02, 04" in str(error.value)
    assert "and 2 more (12 in all); name the folder with audio=, or" in str(error.value)
    opened = load_rated_folder(root, scale=(1, 9), require_audio=False)
    assert [clip.id for clip in opened.clips if clip.path is not None] == ["03"]
    assert len(opened.clips) == 13
    (note,) = opened.card.notes
    assert note.startswith("audio has no audio of 12 rated ids: 00")
    assert len(validate(root, scale=(1, 9), require_audio=False)) == 1


def test_no_folder_of_audio_is_named(tmp_path):
    root = write(tmp_path, audio=False)
    with pytest.raises(DataError, match=r"clips: is not a folder with the audio of 3 rated ids"):
        load_rated_folder(root, scale=(1, 9), audio="clips")
    opened = load_rated_folder(root, scale=(1, 9), require_audio=False)
    assert [clip.path for clip in opened.clips] == [None] * 3


def test_audio_without_a_rating_is_noted(tmp_path):
    root = write(tmp_path)
    for name in ("d.wav", "sub/e.mp3", ".hidden.wav", "notes.txt"):
        touch(root / "audio" / name)
    (note,) = load_rated_folder(root, scale=(1, 9)).card.notes
    assert note == "audio holds 2 audio files without a rating: d.wav, e.mp3"
    assert len(validate(root, scale=(1, 9))) == 1


def test_two_files_of_one_id_and_two_ids_of_one_file_are_refused(tmp_path):
    root = write(tmp_path / "1")
    touch(root / "audio" / "other" / "a.mp3")
    with pytest.raises(DataError, match=r"rated id a has 2 files, .*: a\.wav, other/a\.mp3"):
        load_rated_folder(root, scale=(1, 9))
    root = write(tmp_path / "2", [("a", 1, 1), ("a.wav", 2, 2)], audio=False)
    touch(root / "audio" / "a.wav")
    with pytest.raises(DataError, match=r"a\.wav: is rated as a and as a\.wav"):
        load_rated_folder(root, scale=(1, 9))


def test_options_fall_back_on_others_where_they_say_nothing():
    mine = Options(audio="x", synthetic=False)
    other = Options(audio="y", synthetic=True, title="t")
    assert mine.or_else(other) == Options(audio="x", synthetic=False, title="t")
