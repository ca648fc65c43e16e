"""Preparation: the bytes follow from the source alone, whatever kills it; bad input is named."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile
from forks import exit_code
from small_corpora import (
    RATE,
    files_of,
    length,
    sound,
    write_audio,
    write_manifest,
    write_table,
)

from earmark.datasets import audio
from earmark.datasets.base import DataError
from earmark.models.training import prepare as preparation
from earmark.models.training.corpus import Corpus
from earmark.models.training.prepare import prepare

N_CLIPS = 20
SMALL = {"shard_bytes": 20_000}


@pytest.fixture
def folder(tmp_path):
    write_audio(tmp_path / "songs", N_CLIPS)
    return tmp_path / "songs"


def spoil(path):
    path.write_bytes(b"not audio")


# What is prepared equals what is decoded


@pytest.mark.parametrize("rate", [8_000, 44_100])
@pytest.mark.parametrize("suffix", [".wav", ".mp3", ".flac"])
def test_prepared_samples_are_the_decoded_ones_to_half_a_step(tmp_path, suffix, rate):
    source = tmp_path / "source"
    source.mkdir()
    for number in range(3):
        left, right = sound(number, 30_000), sound(number + 10, 30_000)
        path = source / f"{number}{suffix}"
        soundfile.write(path, np.stack([left, right], axis=1), 22_050)
    opened = Corpus.open(prepare(source, tmp_path / "out", sample_rate=rate).folder)
    assert opened.sample_rate == rate
    for clip, name in enumerate(opened.ids):
        decoded = audio.load(source / name, sample_rate=rate).samples
        prepared = opened.read(clip) / 2**15
        assert prepared.shape == decoded.shape
        assert np.abs(prepared - decoded).max() <= 2**-16 + 1e-9


def test_samples_beyond_full_scale_are_counted(tmp_path):
    (tmp_path / "loud").mkdir()
    samples = sound(0, 1_000)
    samples[[10, 20, 30]] = [1.5, -1.2, 2.0]
    soundfile.write(tmp_path / "loud" / "a.wav", samples, RATE, subtype="FLOAT")
    done = prepare(tmp_path / "loud", tmp_path / "out")
    assert done.clipped_samples == 3
    assert Corpus.open(done.folder).read(0)[[10, 20, 30]].tolist() == [32_767, -32_768, 32_767]


# The bytes follow from the source alone


def test_the_bytes_do_not_depend_on_the_number_of_workers(folder, tmp_path):
    one = prepare(folder, tmp_path / "one", workers=1, **SMALL)
    four = prepare(folder, tmp_path / "four", workers=4, **SMALL)
    assert len(files_of(one.folder)) > 5
    assert files_of(one.folder) == files_of(four.folder)


def test_the_bytes_do_not_depend_on_where_the_source_lies(folder, tmp_path):
    first = prepare(folder, tmp_path / "first", **SMALL)
    moved = shutil.copytree(folder, tmp_path / "elsewhere" / "songs")
    assert files_of(prepare(moved, tmp_path / "second", **SMALL).folder) == files_of(first.folder)


def test_the_fingerprint_is_that_of_the_content_and_not_of_its_cut_into_shards(folder, tmp_path):
    small, large = prepare(folder, tmp_path / "s", **SMALL), prepare(folder, tmp_path / "l")
    assert small.fingerprint == large.fingerprint
    soundfile.write(folder / "000.wav", -sound(0, length(0)), RATE, subtype="PCM_16")
    assert prepare(folder, tmp_path / "t").fingerprint != large.fingerprint


def dying_preparation(source, out, moment):
    """Prepare, and be killed before the given one of the operations that reach the disk."""
    left = iter(range(moment - 1, -1, -1))

    def dying(function):
        def call(*args, **kwargs):
            if next(left, None) == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return call

    on_disk = [(os, "fsync"), (Path, "replace"), (Path, "unlink"), (Path, "mkdir")]
    for owner, name in [*on_disk, (preparation, "write_header"), (preparation, "quantise")]:
        setattr(owner, name, dying(getattr(owner, name)))
    prepare(source, out, max_refused_share=0.2, **{**SMALL, "workers": 2})


def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(tmp_path):
    paths = write_audio(tmp_path / "songs", 9)
    spoil(paths[4])
    options = {"max_refused_share": 0.2, **SMALL}
    expected = files_of(prepare(tmp_path / "songs", tmp_path / "whole", **options).folder)
    died = 0
    for moment in range(1, 1_000):
        out = tmp_path / f"out{moment}"
        code = exit_code(dying_preparation, tmp_path / "songs", out, moment)
        assert code in (0, -signal.SIGKILL)
        died += code != 0
        if code != 0 and (out / "index.jsonl").exists():
            Corpus.open(out).verify()
        elif code != 0 and (out / "plan.json").exists():
            with pytest.raises(DataError, match="not finished"):
                Corpus.open(out)
        done = prepare(tmp_path / "songs", out, **options)
        assert files_of(done.folder) == expected
        if code == 0:
            break
    assert died > 20


def test_killed_again_and_again_it_still_gets_there(tmp_path):
    write_audio(tmp_path / "songs", 9)
    expected = files_of(prepare(tmp_path / "songs", tmp_path / "whole", **SMALL).folder)
    out = tmp_path / "out"
    kills = 0
    # Each run gets a little further: it lives through one shard and dies in the next.
    while exit_code(dying_preparation, tmp_path / "songs", out, 20):
        kills += 1
        assert kills < 100
    assert kills >= 2
    assert files_of(out) == expected


def test_what_was_decoded_before_a_stop_is_not_decoded_again(folder, tmp_path, monkeypatch):
    def stop(done, total, what):
        assert (total, what) == (N_CLIPS, "clips decoded")
        if done == N_CLIPS - 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(folder, tmp_path / "out", progress=stop, workers=1, **SMALL)
    before = audio.decoded_files()
    done = prepare(folder, tmp_path / "out", **SMALL)
    assert audio.decoded_files() - before == done.clips_decoded < N_CLIPS / 2
    assert files_of(done.folder) == files_of(prepare(folder, tmp_path / "whole", **SMALL).folder)


def test_a_finished_corpus_is_not_prepared_again(folder, tmp_path):
    first = prepare(folder, tmp_path / "out", **SMALL)
    before = audio.decoded_files()
    again = prepare(folder, tmp_path / "out", **SMALL)
    assert audio.decoded_files() == before
    assert again.clips_decoded == 0
    assert again.fingerprint == first.fingerprint


def test_progress_counts_every_clip(folder, tmp_path):
    seen = []
    prepare(folder, tmp_path / "out", progress=lambda *what: seen.append(what))
    assert seen == [(number, N_CLIPS, "clips decoded") for number in range(1, N_CLIPS + 1)]


# Files that change


def interrupted(folder, out):
    def stop(done, total, what):
        if done == N_CLIPS - 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(folder, out, progress=stop, workers=1, **SMALL)


@pytest.mark.parametrize("same_size", [True, False])
def test_a_file_that_changed_after_an_interruption_is_decoded_again(folder, tmp_path, same_size):
    interrupted(folder, tmp_path / "out")
    n_samples = length(0) + (0 if same_size else 50)
    soundfile.write(folder / "000.wav", sound(99, n_samples), RATE, subtype="PCM_16")
    os.utime(folder / "000.wav", (4e9, 4e9))
    done = prepare(folder, tmp_path / "out", **SMALL)
    assert files_of(done.folder) == files_of(prepare(folder, tmp_path / "new", **SMALL).folder)


def test_a_file_of_another_size_is_another_one_however_old_it_is(folder, tmp_path):
    interrupted(folder, tmp_path / "out")
    soundfile.write(folder / "000.wav", sound(99, 900), RATE, subtype="PCM_16")
    os.utime(folder / "000.wav", (1e9, 1e9))
    done = prepare(folder, tmp_path / "out", **SMALL)
    assert files_of(done.folder) == files_of(prepare(folder, tmp_path / "new", **SMALL).folder)


def test_shards_that_are_no_longer_needed_are_removed(folder, tmp_path):
    interrupted(folder, tmp_path / "out")
    for number, path in enumerate(sorted(folder.rglob("*.wav"))):
        soundfile.write(path, sound(number, 400), RATE, subtype="PCM_16")
    done = prepare(folder, tmp_path / "out", **SMALL)
    assert len(list(done.folder.glob("shard-*.npy"))) == 1
    assert files_of(done.folder) == files_of(prepare(folder, tmp_path / "new", **SMALL).folder)


def test_a_file_that_was_only_touched_is_the_same(folder, tmp_path):
    interrupted(folder, tmp_path / "out")
    os.utime(folder / "000.wav", (4e9, 4e9))
    assert prepare(folder, tmp_path / "out", **SMALL).clips_decoded < N_CLIPS / 2
    assert prepare(folder, tmp_path / "out", **SMALL).clips_decoded == 0


def test_a_damaged_shard_of_an_unfinished_corpus_is_written_again(folder, tmp_path):
    interrupted(folder, tmp_path / "out")
    shard = tmp_path / "out" / "shard-00001.npy"
    shard.write_bytes(shard.read_bytes()[:-10])
    done = prepare(folder, tmp_path / "out", **SMALL)
    assert files_of(done.folder) == files_of(prepare(folder, tmp_path / "new", **SMALL).folder)


def test_a_finished_corpus_whose_files_changed_is_not_taken_for_the_new_one(folder, tmp_path):
    prepare(folder, tmp_path / "out", **SMALL)
    soundfile.write(folder / "a" / "003.wav", sound(7, 900), RATE, subtype="PCM_16")
    with pytest.raises(DataError, match=r"1 files of songs changed after .*\(a/003\.wav\)"):
        prepare(folder, tmp_path / "out", **SMALL)


def test_a_finished_corpus_does_not_need_its_source_files(tmp_path):
    manifest = write_manifest(tmp_path / "set", 5)
    first = prepare(manifest, tmp_path / "out")
    shutil.rmtree(tmp_path / "set" / "audio")
    assert prepare(manifest, tmp_path / "out").fingerprint == first.fingerprint


# Files that cannot be used


def test_damaged_silent_and_missing_clips_are_listed_and_left_out(tmp_path):
    manifest = write_manifest(tmp_path / "set", N_CLIPS)
    audio_folder = tmp_path / "set" / "audio"
    spoil(audio_folder / "002.wav")
    soundfile.write(audio_folder / "004.wav", np.zeros(2_000), RATE)
    (audio_folder / "006.wav").unlink()
    done = prepare(manifest, tmp_path / "out", max_refused_share=0.15, **SMALL)
    reasons = {one.id: one.reason for one in done.refused}
    assert list(reasons) == ["2", "4", "6"]
    assert "not audio" in reasons["2"]
    assert "silent" in reasons["4"]
    assert reasons["6"] == "no file was found"
    assert done.n_clips == N_CLIPS - 3
    assert not {"2", "4", "6"} & set(Corpus.open(done.folder).ids)
    assert prepare(manifest, tmp_path / "out", max_refused_share=0.15, **SMALL) == (
        preparation.Prepared(**{**_fields(done), "clips_decoded": 0})
    )


def _fields(done):
    return {name: getattr(done, name) for name in done.__slots__}


def test_a_shard_may_be_left_without_a_clip(folder, tmp_path):
    spoil(folder / "a" / "019.wav")
    done = prepare(folder, tmp_path / "out", max_refused_share=0.05, shard_bytes=1)
    opened = Corpus.open(done.folder)
    assert len(opened) == len(list(done.folder.glob("shard-*.npy"))) - 1 == N_CLIPS - 1
    opened.verify()


def test_above_the_share_it_stops_and_names_them(folder, tmp_path):
    spoil(folder / "004.wav")
    spoil(folder / "a" / "003.wav")
    with pytest.raises(
        DataError, match=r"2 of 20 clips cannot be used so far.*\(5\.00%\)"
    ) as error:
        prepare(folder, tmp_path / "out", max_refused_share=0.05, **SMALL)
    assert "004.wav: not audio" in str(error.value)
    assert "a/003.wav: not audio" in str(error.value)
    assert not (tmp_path / "out" / "index.jsonl").exists()


def test_refused_clips_of_an_earlier_run_count(folder, tmp_path):
    spoil(folder / "000.wav")

    def stop(done, total, what):
        if done == N_CLIPS - 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(folder, tmp_path / "out", max_refused_share=0.05, progress=stop, **SMALL)
    before = audio.decoded_files()
    with pytest.raises(DataError, match=r"1 of 20 clips.*\(0\.00%\)"):
        prepare(folder, tmp_path / "out", max_refused_share=0, **SMALL)
    assert audio.decoded_files() == before


def test_after_the_files_were_mended_it_goes_on(folder, tmp_path):
    good = (folder / "a" / "019.wav").read_bytes()
    spoil(folder / "a" / "019.wav")
    with pytest.raises(DataError, match=r"a/019\.wav: not audio"):
        prepare(folder, tmp_path / "out", **SMALL)
    (folder / "a" / "019.wav").write_bytes(good)
    done = prepare(folder, tmp_path / "out", **SMALL)
    assert done.clips_decoded < N_CLIPS / 2
    assert files_of(done.folder) == files_of(prepare(folder, tmp_path / "new", **SMALL).folder)


def test_a_share_that_allows_everything_still_needs_one_clip(folder, tmp_path):
    for path in folder.rglob("*.wav"):
        spoil(path)
    with pytest.raises(DataError, match="none of its 20 clips can be used"):
        prepare(folder, tmp_path / "out", max_refused_share=1)


# Bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers is 0, expected at least 1"),
        ({"sample_rate": 0}, "sample_rate is 0, expected Hz above 0"),
        ({"max_refused_share": 1.5}, "max_refused_share is 1.5, expected 0 to 1"),
        ({"shard_bytes": 0}, "shard_bytes is 0"),
    ],
)
def test_options_out_of_range_are_refused(folder, tmp_path, options, message):
    with pytest.raises(DataError, match=message):
        prepare(folder, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_another_source_or_rate_needs_another_folder(folder, tmp_path):
    prepare(folder, tmp_path / "out")
    with pytest.raises(
        DataError, match=r"holds another corpus \(sample_rate 16000 instead of 8000"
    ):
        prepare(folder, tmp_path / "out", sample_rate=8_000)
    write_audio(tmp_path / "fewer", 3)
    with pytest.raises(DataError, match=r"another corpus \(source_fingerprint .*n_clips 20 inst"):
        prepare(tmp_path / "fewer", tmp_path / "out")


def test_other_captions_of_the_same_clips_are_another_corpus(tmp_path):
    table = write_table(tmp_path / "set", 3)
    prepare(table, tmp_path / "out")
    table.write_text(table.read_text().replace("clip 2", "clip two"))
    with pytest.raises(DataError, match=r"another corpus \(source_fingerprint"):
        prepare(table, tmp_path / "out")


def test_a_folder_with_other_files_is_not_written_to(folder, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    with pytest.raises(DataError, match=r"files that are no corpus \(thesis\.tex\)"):
        prepare(folder, tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is a file: give a folder"):
        prepare(folder, tmp_path / "file")


def test_two_preparations_at_once_do_not_share_a_folder(folder, tmp_path):
    def second(done, total, what):
        if done == 1:
            with pytest.raises(DataError, match="another process is preparing"):
                prepare(folder, tmp_path / "out")

    assert prepare(folder, tmp_path / "out", progress=second).n_clips == N_CLIPS


# Real data


def test_real_excerpts_are_prepared_as_they_decode(shared_data, tmp_path):
    source = shared_data / "gtzan_excerpts" / "genres" / "jazz"
    done = prepare(source, tmp_path / "out")
    opened = Corpus.open(done.folder)
    assert done.refused == ()
    assert len(opened) == len(list(source.glob("*.flac"))) > 20
    for clip in range(0, len(opened), 7):
        decoded = audio.load(source / opened.ids[clip], sample_rate=RATE).samples
        inside = np.abs(decoded) < 1
        assert np.abs(opened.read(clip) / 2**15 - decoded)[inside].max() <= 2**-15
