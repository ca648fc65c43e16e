"""Sources: manifests, tables, folders and loaded sets become corpora; faults are named."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from small_corpora import RATE, files_of, length, write_audio, write_manifest, write_table

from earmark.datasets.base import DataError
from earmark.datasets.captions import manifest as captions_manifest
from earmark.models.training.corpus import Corpus
from earmark.models.training.prepare import open_source, prepare

N_CLIPS = 20


@pytest.fixture
def folder(tmp_path):
    write_audio(tmp_path / "songs", N_CLIPS)
    return tmp_path / "songs"


def test_a_folder_gives_clips_without_captions(folder, tmp_path):
    done = prepare(folder, tmp_path / "out")
    opened = Corpus.open(done.folder)
    assert (done.n_clips, done.n_captions, done.clips_decoded) == (N_CLIPS, 0, N_CLIPS)
    assert opened.ids == tuple(sorted(opened.ids))
    assert "a/001.wav" in opened.ids
    assert done.seconds == sum(length(number) for number in range(N_CLIPS)) / RATE
    assert done.fingerprint == opened.fingerprint


def test_a_folder_with_names_that_are_not_utf_8_is_prepared_under_escaped_ids(folder, tmp_path):
    odd = [os.fsdecode(name) for name in (b"caf\xe9.wav", b"\xff\xfe.wav")]
    for name in odd:
        shutil.copy(folder / "000.wav", folder / name)
    opened = Corpus.open(prepare(folder, tmp_path / "out").folder)
    assert {r"caf\xe9.wav", r"\xff\xfe.wav", "000.wav"} <= set(opened.ids)
    assert len(opened.ids) == N_CLIPS + 2
    shutil.copy(folder / "000.wav", folder / r"caf\xe9.wav")  # four characters after "caf"
    with pytest.raises(DataError, match=r"two files have names that are written caf\\xe9\.wav"):
        open_source(folder)


def test_a_table_gives_all_captions_of_a_clip(tmp_path):
    table = write_table(tmp_path / "set", 6, captions=3)
    done = prepare(table, tmp_path / "out")
    assert (done.n_clips, done.n_captions) == (6, 18)


def test_a_table_with_other_columns_and_splits_is_read_by_options(tmp_path):
    write_audio(tmp_path / "set", 4)
    (tmp_path / "set" / "mine.csv").write_text(
        "file,text,part\n000.wav,one,train\n002.wav,two,train\na/001.wav,three,test\n"
    )
    options = {"path_column": "file", "caption_column": "text", "split_column": "part"}
    source = open_source(tmp_path / "set" / "mine.csv", {**options, "split": "train"})
    opened = Corpus.open(prepare(source, tmp_path / "out").folder)
    assert opened.ids == ("000.wav", "002.wav")
    assert opened.captions(1) == ("two",)
    with pytest.raises(
        DataError, match=r"no option 'caption_colum'\. Did you mean 'caption_column'"
    ):
        open_source(tmp_path / "set" / "mine.csv", {"caption_colum": "text"})


def test_a_manifest_is_read_by_its_split_and_equals_what_its_loader_returns(tmp_path):
    manifest = write_manifest(tmp_path / "set", 5)
    by_path = prepare(manifest, tmp_path / "by path")
    loaded = captions_manifest.load(tmp_path / "set", split="train")
    by_loader = prepare(loaded, tmp_path / "by loader")
    assert by_path.n_captions == 5
    assert files_of(by_path.folder) == files_of(by_loader.folder)


def test_synthetic_captions_make_a_synthetic_corpus(tmp_path):
    write_manifest(tmp_path / "set", 3)
    loaded = captions_manifest.load(tmp_path / "set", split="train", synthetic=True, id="etude")
    opened = Corpus.open(prepare(loaded, tmp_path / "out").folder)
    assert opened.synthetic
    assert opened.sources == ("etude/train",)


def test_clothos_table_is_known_by_its_name(tmp_path):
    write_audio(tmp_path / "development", 2)
    header = "file_name," + ",".join(f"caption_{k}" for k in range(1, 6))
    rows = [f"{name}," + ",".join(f"{name} {k}" for k in range(5)) for name in ("000.wav",)]
    table = tmp_path / "clotho_captions_development.csv"
    table.write_text("\n".join([header, *rows]) + "\n")
    assert prepare(table, tmp_path / "out").n_captions == 5


def test_a_manifest_without_items_is_refused(tmp_path):
    (tmp_path / "dataset_train.json").write_text("[]")
    with pytest.raises(DataError, match="is empty"):
        prepare(tmp_path / "dataset_train.json", tmp_path / "out")


def test_an_item_without_a_caption_is_named(tmp_path):
    manifest = write_manifest(tmp_path, 3)
    items = json.loads(manifest.read_text())
    del items[1]["caption"]
    manifest.write_text(json.dumps(items))
    with pytest.raises(DataError, match=r"dataset_train\.json:2: has no caption"):
        prepare(manifest, tmp_path / "out")


def test_a_blank_caption_is_named(tmp_path):
    write_audio(tmp_path, 1)
    (tmp_path / "captions.csv").write_text("path,caption\n000.wav,  \n")
    with pytest.raises(DataError, match=r"captions\.csv:2: the caption of 000\.wav is blank"):
        prepare(tmp_path / "captions.csv", tmp_path / "out")


@pytest.mark.parametrize("name", ["none", "none.json", "none.csv"])
def test_a_source_that_is_not_there_is_named(tmp_path, name):
    with pytest.raises(DataError, match=f"{name}: no such file or folder"):
        prepare(tmp_path / name, tmp_path / "out")


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "train.json").write_text("[]")
    with pytest.raises(DataError, match=r"train\.json: expected dataset_<split>\.json"):
        prepare(tmp_path / "train.json", tmp_path / "out")


def test_a_folder_without_audio_is_refused(tmp_path):
    with pytest.raises(DataError, match="no audio at any depth"):
        prepare(tmp_path, tmp_path / "out")


def test_the_folder_of_a_manifest_is_not_taken_for_audio_without_captions(tmp_path):
    manifest = write_manifest(tmp_path, 3)
    with pytest.raises(DataError, match=r"holds dataset_train\.json: give that file"):
        prepare(manifest.parent, tmp_path / "out")


def test_what_a_files_name_settles_is_no_option(tmp_path):
    manifest = write_manifest(tmp_path, 3)
    with pytest.raises(DataError, match="'split' is settled by the file's name"):
        open_source(manifest, {"split": "test"})
    with pytest.raises(DataError, match="a folder of audio has no options, got split"):
        open_source(tmp_path / "audio", {"split": "test"})
