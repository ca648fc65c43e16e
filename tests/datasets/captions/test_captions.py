"""Captioned sets: each layout on invented files, safe paths, faults named, and the real tables."""

import json

import numpy as np
import pytest
from caption_files import refused, texts, touch, write

from earmark.datasets.base import DataError
from earmark.datasets.captions import clotho as captions_clotho
from earmark.datasets.captions import csv as captions_csv
from earmark.datasets.captions import manifest as captions_manifest
from earmark.datasets.captions import musiccaps as captions_musiccaps
from earmark.datasets.captions import song_describer as captions_song_describer
from earmark.datasets.registry import DATASETS

# MusCALL's manifests.

ITEMS = [
    {"audio_id": 7, "caption": "seven", "audio_path": "track_1.npy", "more": None},
    {"audio_id": "x", "caption": "ex", "audio_path": "sub/track_2.wav"},
]


def manifest(root, items=ITEMS):
    write(root / "dataset_test.json", items if isinstance(items, str) else json.dumps(items))
    return touch(root / "audio", "track_1.npy", "sub/track_2.wav").parent


def test_a_manifest_opens(tmp_path):
    opened = captions_manifest.load(manifest(tmp_path), version="3")
    assert texts(opened) == {"7": ["seven"], "x": ["ex"]}
    assert opened.clips[0].path == tmp_path / "audio/track_1.npy"
    assert (opened.split, opened.card.version) == ("test", "3")
    assert captions_manifest.validate(tmp_path) == []
    write(tmp_path / "dataset_val.json", "[]")
    with pytest.raises(DataError, match=r"no manifest dataset_dev\.json; there are test, val"):
        captions_manifest.load(tmp_path, split="dev")
    with pytest.raises(DataError, match="the split 'val': is empty"):
        captions_manifest.load(tmp_path, split="val")


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ("[", "is not JSON"),
        ("[" * 100_000, "is nested too deep to be read as JSON"),
        ('[{"audio_id": 1, "audio_id": 2}]', "names a key twice: audio_id"),
        (
            '[{"audio_id": 1,\n"caption": "x \\ud800"}]',
            "2: holds \\ud800, half of a surrogate pair",
        ),
        ("{}", "expected a list of items with audio_id, caption, audio_path; found an object"),
        ([*ITEMS, 3], "3: expected an item with audio_id, caption and audio_path, found 3"),
        ([{"audio_id": 1, "caption": "x"}], "1: has no audio_path, only audio_id, caption"),
        ([{**ITEMS[0], "audio_id": True}], "audio_id must be a whole number or text, got True"),
        ([{**ITEMS[0], "audio_id": 1.5}], "audio_id must be a whole number or text, got 1.5"),
        ([{**ITEMS[0], "caption": None}], "caption must be text, got None"),
        ([{**ITEMS[0], "caption": "\n"}], "the caption of 7 is blank"),
        ([{**ITEMS[0], "audio_path": 4}], "audio_path must be text, got 4"),
        ([*ITEMS, {**ITEMS[0], "audio_id": "7"}], "3: audio_id 7 is there twice, also in item 1"),
        ([*ITEMS, {**ITEMS[0], "audio_id": 8}], "8 and 7 (line 1) are the same file"),
    ],
)
def test_a_broken_manifest_is_refused_with_the_item(tmp_path, items, message):
    refused(captions_manifest, manifest(tmp_path, items), message)


def test_a_folder_without_manifests_is_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"no manifest dataset_test\.json; found no dataset_<split>"
    ):
        captions_manifest.validate(tmp_path)


# MusicCaps.

SPLITS = ("eval", "train", "balanced")
MUSICCAPS = [
    [
        *("ytid", "start_s", "end_s", "audioset_positive_labels", "aspect_list", "caption"),
        *("author_id", "is_balanced_subset", "is_audioset_eval"),
    ],
    ["-aa", "30", "40", "/m/1,/m/2", "['pop', \"it's\"]", "A pop song.", "4", "False", "True"],
    ["bb", "0", "10", "/m/1", "[]", "A rock song.", "1", "True", "False"],
    ["cc", "5", "15", "/m/1", "['x']", "Noise.", "1", "True", "True"],
]


def musiccaps(root, rows=MUSICCAPS, **how):
    write(root / "musiccaps-public.csv", rows, **how)
    return touch(root / "audio", "[-aa]-[30-40].wav", "bb.mp3", "deep/cc.flac").parent


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_musiccaps_opens_by_split_with_aspects_and_both_forms_of_file_names(tmp_path, newline):
    root = musiccaps(tmp_path, newline=newline)
    opened = captions_musiccaps.load(root, split="all")
    assert texts(opened) == {"-aa": ["A pop song."], "bb": ["A rock song."], "cc": ["Noise."]}
    assert opened.aspects == (("pop", "it's"), (), ("x",))
    assert opened.clips[0].path == tmp_path / "audio/[-aa]-[30-40].wav"
    assert "the table has 3 of the 5521 rows" in opened.card.notes
    ids = {s: [c.id for c in captions_musiccaps.load(root, split=s).clips] for s in SPLITS}
    assert ids == {"eval": ["-aa", "cc"], "train": ["bb"], "balanced": ["bb", "cc"]}
    assert captions_musiccaps.validate(root) == []
    with pytest.raises(DataError, match="no split 'test'; expected one of eval, train, balanced"):
        captions_musiccaps.load(root, split="test")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("ytid", "bb", "3: ytid bb is there twice, also in line 2"),
        ("aspect_list", "pop", "aspect_list must be a list of quoted texts, got 'pop'"),
        ("aspect_list", "__import__('os')", "aspect_list must be a list of quoted texts"),
        ("aspect_list", "[1]", "aspect_list must be a list of quoted texts, got '[1]'"),
        ("is_audioset_eval", "yes", "is_audioset_eval must be True or False, got 'yes'"),
        ("is_balanced_subset", "", "is_balanced_subset must be True or False, got ''"),
        ("caption", "", "2: the caption of -aa is blank"),
    ],
)
def test_a_broken_row_of_musiccaps_is_refused(tmp_path, column, value, message):
    row = dict(zip(MUSICCAPS[0], MUSICCAPS[1], strict=True)) | {column: value}
    root = musiccaps(tmp_path, [MUSICCAPS[0], [*row.values()], *MUSICCAPS[2:]])
    refused(captions_musiccaps, root, message, split="all")


# Song Describer.

DESCRIBER = [
    [
        *("caption_id", "track_id", "caption", "is_valid_subset", "familiarity"),
        *("artist_id", "album_id", "path", "duration"),
    ],
    ["1", "1004034", "calm", "True", "2", "A1", "b", "34/1004034.mp3", "200.1"],
    ["2", "1004034", "piano", "False", "", "A1", "b", "34/1004034.mp3", "200.1"],
    ["3", "16", "loud", "", "0", "A2", "c", "16/16.mp3", "90"],
    ["4", "17", "fast", "True", "0", "A1", "c", "17/17.mp3", "90"],
]


def describer(root, rows=DESCRIBER):
    write(root / "song_describer.csv", rows)
    audio = ("34/1004034.2min.mp3", "16/16.2min.mp3", "17/17.2min.mp3", "17/17.mp3")
    return touch(root / "audio", *audio).parent


def test_song_describer_opens_with_several_captions_a_track_and_its_artists(tmp_path):
    root = describer(tmp_path)
    opened = captions_song_describer.load(root, split="full")
    assert texts(opened) == {"1004034": ["calm", "piano"], "16": ["loud"], "17": ["fast"]}
    assert opened.caption_ids == ("1", "2", "3", "4")
    assert [clip.unit for clip in opened.clips] == ["A1", "A2", "A1"]
    assert opened.clips[0].path == tmp_path / "audio/34/1004034.2min.mp3"
    valid = captions_song_describer.load(root, split="valid")
    assert texts(valid) == {"1004034": ["calm"], "17": ["fast"]}
    assert captions_song_describer.validate(root) == []
    with pytest.raises(DataError, match="no split 'all'; expected one of full, valid"):
        captions_song_describer.load(root, split="all")


def test_a_whole_track_is_not_taken_for_its_two_minutes(tmp_path):
    root = describer(tmp_path)
    (root / "audio/17/17.2min.mp3").unlink()
    refused(captions_song_describer, root, "1 of 3 clips have no file here: 17;", split="full")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("is_valid_subset", "1", "is_valid_subset must be True, False or empty, got '1'"),
        ("path", "34/5.mp3", "the path of track 1004034 must be NN/1004034.mp3, got 34/5.mp3"),
        ("path", "../1004034.mp3", "leaves"),
        ("caption_id", "2", "caption id 2 is there twice, also in line 2"),
        ("artist_id", "A9", "1004034 has the unit A1, and A9 in line 2"),
        ("caption", " ", "2: the caption of 1004034 is blank"),
    ],
)
def test_a_broken_row_of_song_describer_is_refused(tmp_path, column, value, message):
    row = dict(zip(DESCRIBER[0], DESCRIBER[1], strict=True)) | {column: value}
    root = describer(tmp_path, [DESCRIBER[0], [*row.values()], *DESCRIBER[2:]])
    refused(captions_song_describer, root, message, split="full")


# Clotho.

CLOTHO = [
    ["file_name", *(f"caption_{i}" for i in range(1, 6))],
    ["b, c.wav", "b1", "b2", "b3", "b4", "b5"],
    ["a.wav", "a9", "a8", "a7", "a6", "a5 "],
]
LONG = [
    ["fname", "raw_text", "text"],
    *([row[0], text, text.lower()] for row in CLOTHO[1:] for text in row[1:]),
]


@pytest.mark.parametrize("rows", [CLOTHO, LONG])
def test_clotho_opens_from_the_wide_and_the_long_form_in_the_tables_order(tmp_path, rows):
    write(tmp_path / "clotho_captions_evaluation.csv", rows)
    touch(tmp_path / "evaluation", "a.wav", "b, c.wav")
    opened = captions_clotho.load(tmp_path)
    assert texts(opened) == {"a.wav": ["a9", "a8", "a7", "a6", "a5"], "b, c.wav": CLOTHO[1][1:]}
    assert opened.caption_ids[:2] == ("a.wav#1", "a.wav#2")
    assert "the table has 2 of the 1045 files" in opened.card.notes
    assert captions_clotho.validate(tmp_path) == []
    with pytest.raises(DataError, match="no split 'test'; expected one of development, valid"):
        captions_clotho.load(tmp_path, split="test")
    refused(captions_clotho, tmp_path, "_validation.csv: no such file", split="validation")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (LONG[:-1], "a.wav has 4 captions, expected 5"),
        ([*CLOTHO, CLOTHO[1]], "b, c.wav has 10 captions, expected 5"),
        ([CLOTHO[0], ["a.wav", "a", "b", "", "d", "e"]], "2: the caption of a.wav is blank"),
        ([CLOTHO[0], ["../a.wav", *"abcde"]], "leaves"),
        ([row[:-1] for row in CLOTHO], "has no column caption_5"),
    ],
)
def test_a_broken_table_of_clotho_is_refused(tmp_path, rows, message):
    write(tmp_path / "clotho_captions_evaluation.csv", rows)
    touch(tmp_path / "evaluation", "a.wav", "b, c.wav")
    refused(captions_clotho, tmp_path, message)


# All of them.


@pytest.mark.parametrize("name", ["musiccaps", "song-describer"])
def test_a_set_with_named_variants_asks_for_one(tmp_path, name):
    with pytest.raises(DataError, match="needs the option 'split'"):
        DATASETS.create(name, {"root": tmp_path})


def test_the_real_musiccaps_has_the_published_counts(shared_data):
    root = shared_data / "musiccaps"
    sizes = {"all": 5521, "eval": 2858, "train": 2663, "balanced": 1000}
    for split, size in sizes.items():
        opened = captions_musiccaps.load(root, split=split, missing="keep")
        assert len(opened.clips) == len(opened.captions) == len(opened.relevant()) == size
        assert not any("rows" in note for note in opened.card.notes)
        assert sum(map(len, opened.aspects)) > size
    (problem,) = captions_musiccaps.validate(root)
    assert "5521 of 5521 clips have no file" in problem.message


def test_the_real_clotho_has_five_captions_a_file(shared_data):
    opened = captions_clotho.load(shared_data / "clotho", missing="keep")
    assert (len(opened.clips), len(set(opened.captions))) == (1045, 5225)
    np.testing.assert_array_equal(np.bincount(opened.clip_of), [5] * 1045)
    assert len(captions_clotho.validate(shared_data / "clotho")) == 1


def test_the_real_generated_music_has_captions_of_several_clips(shared_data):
    opened = captions_csv.load(shared_data / "noise2music")
    assert len(opened.clips) == len(opened.captions) == 172
    # 84 texts of two clips each, and one of four.
    assert len(opened.relevant()) == 84 * 2 * 2 + 4 * 4
    assert captions_csv.validate(shared_data / "noise2music") == []


def test_the_real_excerpts_captions_open_by_names_without_paths(shared_data):
    options = {"id_column": "track_id", "audio": "genres"}
    opened = captions_csv.load(shared_data / "gtzan_excerpts", **options)
    assert len(opened.clips) == len(opened.captions) == 164
    assert all(clip.path.stem == clip.id for clip in opened.clips)
