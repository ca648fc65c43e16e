"""The generic table of captions: what opens, safe paths, and faults with their lines."""

import json

import numpy as np
import pytest
from caption_files import OWN, own, refused, texts, touch, write
from hypothesis import given
from hypothesis import strategies as st

from earmark.datasets.base import Captioned, Clip, DataError, DatasetCard
from earmark.datasets.captions import csv as captions_csv
from earmark.datasets.captions import manifest as captions_manifest
from earmark.datasets.captions import sheet as captions

# The generic table.


def test_a_table_opens_with_clips_and_captions_in_the_order_of_ids(tmp_path):
    opened = captions_csv.load(own(tmp_path), unit_column="artist", licence="CC0", title="Mine")
    assert [clip.id for clip in opened.clips] == ["a.wav", "b.wav", "sub/c.flac"]
    assert opened.captions == ("a fast beat", "drums", "Slow strings", "Slow strings")
    assert opened.caption_ids == ("a.wav#1", "a.wav#2", "b.wav#1", "sub/c.flac#1")
    assert opened.clip_of.tolist() == [0, 0, 1, 2]
    assert [clip.unit for clip in opened.clips] == ["A", "B", None]
    assert opened.clips[2].path == tmp_path / "sub/c.flac"
    assert (opened.split, opened.aspects) == ("all", ())
    assert (opened.card.licence, opened.card.title, opened.card.id) == (
        "CC0",
        "Mine",
        tmp_path.name,
    )
    assert captions_csv.validate(tmp_path) == []


def test_labels_come_from_a_column_or_from_the_folder_and_change_nothing_else(tmp_path):
    root = own(tmp_path)
    bare = captions_csv.load(root)
    assert [clip.label for clip in bare.clips] == [None] * 3
    by_column = captions_csv.load(root, labels="artist")
    assert [clip.label for clip in by_column.clips] == ["A", "B", None]
    by_folder = captions_csv.load(root, labels="folder")
    assert [clip.label for clip in by_folder.clips] == [tmp_path.name, tmp_path.name, "sub"]
    assert by_folder.fingerprint == by_column.fingerprint == bare.fingerprint
    assert captions_csv.validate(root, labels="artist") == []
    with pytest.raises(DataError, match="has no column genre"):
        captions_csv.load(root, labels="genre")


def test_clips_that_share_a_caption_are_all_relevant_to_it_and_noted(tmp_path):
    opened = captions_csv.load(own(tmp_path))
    assert opened.relevant().tolist() == [[0, 0], [1, 0], [2, 1], [2, 2], [3, 1], [3, 2]]
    (note,) = [note for note in opened.card.notes if "shared" in note]
    assert note.startswith("1 caption texts are shared by several clips (2 clips)")
    alone = captions_csv.load(tmp_path, split="test")
    assert not any("shared" in note for note in alone.card.notes)
    assert alone.relevant().tolist() == [[0, 0], [1, 0], [2, 1]]


def test_a_caption_that_repeats_one_of_its_own_clip_is_noted(tmp_path):
    opened = captions_csv.load(own(tmp_path, [*OWN, ["a.wav", "drums", "test", "A"]]))
    assert len(opened.captions) == 5
    assert "1 captions repeat one of the same clip" in opened.card.notes
    assert opened.relevant().tolist()[:3] == [[0, 0], [1, 0], [2, 0]]


def test_a_split_takes_its_rows_and_an_unknown_one_is_told_the_known(tmp_path):
    root = own(tmp_path)
    opened = captions_csv.load(root, split="test")
    assert texts(opened) == {"a.wav": ["a fast beat", "drums"], "b.wav": ["Slow strings"]}
    assert "split test: 2 clips, 3 captions" in opened.card.notes
    with pytest.raises(DataError, match="no split 'dev'; the column split has test, train"):
        captions_csv.load(root, split="dev")
    plain = own(tmp_path / "plain", [row[:2] for row in OWN])
    with pytest.raises(DataError, match="no column of splits, got split='test'"):
        captions_csv.load(plain, split="test")


def test_without_paths_the_audio_is_found_by_the_clips_name(tmp_path):
    write(tmp_path / "t.csv", [["track", "text"], ["x.1", "one"], ["y", "two, or\nthree"]])
    touch(tmp_path / "audio", "deep/x.1.flac", "y.mp3", "z.wav")
    options = {"table": "t.csv", "audio": "audio", "id_column": "track", "caption_column": "text"}
    opened = captions_csv.load(tmp_path, **options)
    assert texts(opened) == {"x.1": ["one"], "y": ["two, or\nthree"]}
    assert opened.clips[0].path == tmp_path / "audio/deep/x.1.flac"
    touch(tmp_path / "audio", "y.wav")
    refused(captions_csv, tmp_path, "3: y has 2 files", **options)


def test_missing_audio_is_an_error_or_dropped_or_kept_without_a_path(tmp_path):
    root = own(tmp_path)
    (root / "a.wav").unlink()
    refused(captions_csv, root, "1 of 3 clips have no file here: a.wav; point audio at")
    dropped = captions_csv.load(root, missing="drop")
    assert texts(dropped) == {"b.wav": ["Slow strings"], "sub/c.flac": ["Slow strings"]}
    assert "1 of 3 clips have no file: left out with their captions" in dropped.card.notes
    kept = captions_csv.load(root, missing="keep")
    assert [clip.path is None for clip in kept.clips] == [True, False, False]
    assert "1 of 3 clips have no file: kept without audio" in kept.card.notes
    with pytest.raises(DataError, match="no missing 'skip'; expected one of error, drop, keep"):
        captions_csv.load(root, missing="skip")
    with pytest.raises(DataError, match="none of its 3 clips has audio in"):
        captions_csv.load(root, audio="elsewhere", missing="drop")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", "is an empty file"),
        ([["path", "text"], ["a.wav", "x"]], "has no column caption, found path, text"),
        ([["file", "caption"], ["a.wav", "x"]], "has no column path, found file, caption"),
        ([["path", "caption"]], "the split 'all': is empty"),
        ([["path", "caption", "path"], ["a.wav", "x", "y"]], "names a column twice: path"),
        ([*OWN, ["a.wav", "x"]], "6: expected 4 comma-separated fields, found 2"),
        ([*OWN, ["a.wav", " ", "test", "A"]], "6: the caption of a.wav is blank"),
        ([*OWN, ["", "x", "test", "A"]], "6: the path of the audio is blank"),
        ([*OWN, ["a.wav", "x", "", "A"]], "6: the split of a.wav is blank"),
        ([*OWN, ["a.wav", "x", "train", "A"]], "6: a.wav is in the splits test and train"),
        ([*OWN, ["./a.wav", "x", "test", "A"]], "6: ./a.wav and a.wav (line 3) are the same file"),
        ('path,caption\na.wav,"x\n', "is not a CSV file"),
    ],
)
def test_a_broken_table_is_refused_with_its_line(tmp_path, rows, message):
    refused(captions_csv, own(tmp_path, rows), message)


IDS = {"id_column": "id", "unit_column": "artist"}


def test_one_clip_in_two_splits_is_found_by_its_id_too(tmp_path):
    rows = [["path", "caption", "id", "split"], ["a.wav", "x", "1", "a"], ["a.wav", "y", "1", "b"]]
    refused(captions_csv, own(tmp_path, rows), "3: 1 is in the splits a and b", id_column="id")


def test_a_clip_with_two_files_or_two_artists_is_refused(tmp_path):
    rows = [["path", "caption", "id", "artist"], ["a.wav", "x", "1", "A"], ["b.wav", "y", "1", "B"]]
    root = own(tmp_path, rows)
    refused(captions_csv, root, "3: 1 has the file", id_column="id")
    refused(captions_csv, root, "1 has the unit B, and A in line 2", **IDS)


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from("xyz")), min_size=1, unique=True))
def test_relevant_pairs_are_those_of_equal_words(rows):
    """Against the definition, pair by pair."""
    clip_of = np.array([clip for clip, _ in rows])
    opened = Captioned(
        card=DatasetCard("a", "a", "1", "", "", ""),
        clips=[Clip(str(i), None) for i in range(5)],
        captions=tuple(text for _, text in rows),
        caption_ids=tuple(map(str, range(len(rows)))),
        clip_of=clip_of,
        split="all",
        rule="",
        fingerprint="",
    )
    pairs = [
        [i, clip]
        for i, (_, text) in enumerate(rows)
        for clip in range(5)
        if any(other == clip and same == text for other, same in rows)
    ]
    assert opened.relevant().tolist() == pairs


# Paths.


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("../a.wav", "leaves"),
        ("sub/../../a.wav", "leaves"),
        ("sub\\..\\a.wav", "leaves"),
        ("/etc/passwd", "is absolute"),
        ("C:\\a.wav", "is absolute"),
        ("\\\\host\\a.wav", "is absolute"),
        ("link.wav", "leads out of"),
        ("folder/a.wav", "leads out of"),
        (" ", "is blank or not one"),
        ("a\0.wav", "is blank or not one"),
    ],
)
def test_a_path_that_leaves_its_root_is_refused_even_where_audio_may_be_missing(
    tmp_path, path, message
):
    outside = touch(tmp_path / "outside", "a.wav")
    root = tmp_path / "root"
    (root / "audio").mkdir(parents=True)
    (root / "audio" / "link.wav").symlink_to(outside / "a.wav")
    (root / "audio" / "folder").symlink_to(outside)
    with pytest.raises(DataError, match=message):
        captions.inside(root / "audio", path)
    item = {"audio_id": 1, "caption": "x", "audio_path": path}
    write(root / "dataset_test.json", json.dumps([item]))
    refused(captions_manifest, root, message)
    with pytest.raises(DataError, match=message):
        captions_manifest.load(root, missing="keep")


def test_a_folder_of_audio_that_is_itself_a_link_and_links_within_it_are_followed(tmp_path):
    store = touch(tmp_path / "store", "a.wav")
    (store / "b.wav").symlink_to(store / "a.wav")
    (tmp_path / "audio").symlink_to(store)
    assert captions.inside(tmp_path / "audio", "b.wav").is_file()


@pytest.mark.parametrize("odd", ["test ", " test", "\ttest", "test\xa0"])
def test_spaces_around_a_split_a_path_or_a_label_change_nothing(tmp_path, odd):
    plain = captions_csv.load(own(tmp_path / "1"), split="test", labels="artist")
    rows = [OWN[0], [" b.wav ", OWN[1][1], odd, "B "], *OWN[2:]]
    found = captions_csv.load(own(tmp_path / "2", rows), split="test", labels="artist")
    assert (found.fingerprint, len(found.clips)) == (plain.fingerprint, 2)
    assert found.clips[1].label == "B"
    assert captions_csv.load(tmp_path / "2", split=f" {odd} ").fingerprint == plain.fingerprint
    assert captions_csv.validate(tmp_path / "2") == []


@pytest.mark.parametrize("odd", ["Test", "te\u200bst", "te st"])
def test_splits_that_only_look_the_same_are_refused(tmp_path, odd):
    rows = [OWN[0], ["b.wav", OWN[1][1], odd, "B"], *OWN[2:]]
    refused(captions_csv, own(tmp_path, rows), "differ in case or in what cannot be seen")


def test_clips_that_are_nearly_there_are_named_with_the_fix(tmp_path):
    root = own(tmp_path)
    (root / "b.wav").rename(root / "B.wav")
    (root / "sub/c.flac").rename(root / "sub/c.m4a")
    refused(captions_csv, root, "B.wav is there: b.wav differs in upper and lower case")
    refused(captions_csv, root, "sub/c.m4a is there, but .m4a is not read: convert it")


def test_a_folder_that_is_no_utf_8_makes_a_label_that_can_be_kept(tmp_path):
    import os

    write(tmp_path / "captions.csv", [["track", "caption"], ["a", "one"], ["b", "two"]])
    touch(tmp_path, "plain/a.wav", os.fsdecode(b"caf\xe9/b.wav"))
    opened = captions_csv.load(tmp_path, id_column="track", labels="folder")
    assert [clip.label for clip in opened.clips] == ["plain", r"caf\xe9"]
