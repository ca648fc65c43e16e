"""Shards, the index and opened corpora: what was written is read, and what changed is named."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from small_corpora import RATE, captioned_corpus, length, sound, write_audio

from earmark.datasets.base import DataError
from earmark.models.training.corpus import HEADER_BYTES, Corpus, quantise
from earmark.models.training.prepare import prepare

N_CLIPS = 12


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    return captioned_corpus(tmp_path_factory.mktemp("module"), N_CLIPS, captions=2)


@pytest.fixture
def folder(tmp_path, opened):
    """A copy that a test may damage."""
    original = opened._paths[0].parent
    return shutil.copytree(original, tmp_path / "corpus")


def number_of(clip_id: str) -> int:
    return int(clip_id.removesuffix(".wav")[-3:])


# Reading


def test_every_clip_has_the_samples_of_its_file(opened):
    assert len(opened) == N_CLIPS
    assert len(opened.n_samples) == N_CLIPS
    assert opened.sample_rate == RATE
    assert opened.sources == ("source/all",)
    assert not opened.synthetic
    for clip, name in enumerate(opened.ids):
        number = number_of(name)
        expected = (sound(number, length(number)) * 2**15).astype(np.int16)
        np.testing.assert_array_equal(opened.read(clip), expected)
        assert opened.n_samples[clip] == length(number)


def test_all_captions_of_a_clip_are_kept(opened):
    captions = {name: opened.captions(clip) for clip, name in enumerate(opened.ids)}
    assert captions["002.wav"] == ("clip 2, words 0", "clip 2, words 1")
    assert captions["000.wav"][1] == captions["a/001.wav"][1] == "the same words"


@given(st.data())
def test_a_crop_is_a_slice_of_the_clip(opened, data):
    clip = data.draw(st.integers(0, N_CLIPS - 1))
    whole = opened.read(clip)
    start = data.draw(st.integers(0, len(whole)))
    n_samples = data.draw(st.integers(0, 2 * len(whole)))
    crop = opened.read(clip, start, n_samples)
    np.testing.assert_array_equal(crop, whole[start : start + n_samples])


def test_a_crop_is_a_view_of_the_file_that_cannot_be_written_to(opened):
    crop = opened.read(0, 100, 200)
    assert crop.base is not None
    assert not crop.flags.writeable


@pytest.mark.parametrize(("start", "n_samples"), [(-1, 5), (10**6, 5), (0, -1)])
def test_a_crop_outside_of_the_clip_is_refused(opened, start, n_samples):
    for ask in (opened.read, opened.read_ahead):
        with pytest.raises(DataError, match=r"clip .*wav has \d+ samples; cannot read"):
            ask(0, start, n_samples)


def test_reading_ahead_leaves_what_is_read_as_it_was(opened):
    for clip in range(len(opened)):
        before = opened.read(clip).copy()
        opened.read_ahead(clip)
        opened.read_ahead(clip, len(before), 10)
        opened.read_ahead(clip, 5, 0)
        np.testing.assert_array_equal(opened.read(clip), before)


def test_the_shards_are_arrays_that_numpy_reads(opened):
    shards = sorted(opened._paths[0].parent.glob("shard-*.npy"))
    assert len(shards) > 1
    samples = np.concatenate([np.load(path) for path in shards])
    expected = np.concatenate([opened.read(clip) for clip in range(N_CLIPS)])
    np.testing.assert_array_equal(samples, expected)


def test_samples_that_are_as_they_were_written_pass_the_check(opened):
    opened.verify()


# Damage is named


def test_a_cut_shard_is_named(folder):
    shard = folder / "shard-00001.npy"
    shard.write_bytes(shard.read_bytes()[:-2])
    with pytest.raises(DataError, match=r"shard-00001\.npy: [\d,]+ bytes, expected .* cut"):
        Corpus.open(folder)


def test_an_absent_shard_is_named(folder):
    (folder / "shard-00000.npy").unlink()
    with pytest.raises(DataError, match=r"shard-00000\.npy: no such file"):
        Corpus.open(folder)


def test_a_shard_with_another_header_is_named(folder):
    shard = folder / "shard-00000.npy"
    shard.write_bytes(shard.read_bytes().replace(b"<i2", b"<u2", 1))
    with pytest.raises(DataError, match=r"shard-00000\.npy: its header"):
        Corpus.open(folder)


def test_one_changed_sample_is_found_by_the_check_of_digests(folder):
    shard = folder / "shard-00000.npy"
    content = bytearray(shard.read_bytes())
    content[HEADER_BYTES + 10] ^= 1
    shard.write_bytes(content)
    opened = Corpus.open(folder)
    with pytest.raises(DataError, match=r"shard-00000\.npy: the samples of 000\.wav are not"):
        opened.verify()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-20],
        lambda content: content[: len(content) // 2],
        lambda content: content.replace(b"words 1", b"words 7", 1),
        lambda content: b"",
    ],
    ids=["end cut", "half", "caption changed", "empty"],
)
def test_an_index_that_was_changed_is_refused(folder, damage):
    index = folder / "index.jsonl"
    index.write_bytes(damage(index.read_bytes()))
    with pytest.raises(DataError, match=r"index\.jsonl: cut or changed"):
        Corpus.open(folder)


def test_a_corpus_of_another_version_is_refused(folder):
    import hashlib

    index = folder / "index.jsonl"
    body = index.read_bytes().replace(b'"format":1', b'"format":2', 1)
    body = body[: body.rstrip(b"\n").rindex(b"\n") + 1]
    digest = {"sha256": hashlib.sha256(body).hexdigest()}
    index.write_bytes(body + json.dumps(digest).encode())
    with pytest.raises(DataError, match="format 2, expected 1; another version"):
        Corpus.open(folder)


def test_what_is_no_corpus_is_refused(tmp_path):
    with pytest.raises(DataError, match="no corpus"):
        Corpus.open(tmp_path)
    with pytest.raises(DataError, match="at least one folder"):
        Corpus.open()


# Several corpora


def test_several_corpora_follow_one_another(opened, tmp_path):
    for path in write_audio(tmp_path / "other", 9)[:6]:
        path.unlink()  # those left are not at the same places in the first corpus
    other = prepare(tmp_path / "other", tmp_path / "plain").folder
    both = Corpus.open(opened._paths[0].parent, other)
    assert both.ids[0] == "corpus/000.wav"
    assert both.ids[N_CLIPS:] == ("plain/a/003.wav", "plain/a/005.wav", "plain/a/007.wav")
    for clip in range(N_CLIPS):
        np.testing.assert_array_equal(both.read(clip), opened.read(clip))
    for clip in range(3):
        np.testing.assert_array_equal(both.read(N_CLIPS + clip), Corpus.open(other).read(clip))
    both.verify()
    assert both.captions(2) == opened.captions(2)
    assert both.captions(N_CLIPS) == ()
    assert both.fingerprint not in (opened.fingerprint, Corpus.open(other).fingerprint)
    assert both.sources == ("source/all", "other")


def test_corpora_of_two_rates_are_not_joined(opened, tmp_path):
    write_audio(tmp_path / "other", 3)
    other = prepare(tmp_path / "other", tmp_path / "slow", sample_rate=8_000).folder
    with pytest.raises(DataError, match=r"cannot be joined: .*corpus 16000 Hz, .*slow 8000 Hz"):
        Corpus.open(opened._paths[0].parent, other)


def test_corpora_in_folders_of_one_name_are_not_joined(opened, folder):
    with pytest.raises(DataError, match="twice 'corpus'"):
        Corpus.open(opened._paths[0].parent, folder)


# int16


@given(arrays(np.float32, st.integers(1, 50), elements=st.floats(-1, 1, width=32)))
def test_a_sample_is_at_most_half_a_step_off_unless_it_is_full_scale(samples):
    steps, clipped = quantise(samples)
    below = samples * 2**15 <= 2**15 - 1
    assert (np.abs(steps / 2**15 - samples)[below] <= 2**-16).all()
    assert clipped == np.count_nonzero(np.rint(samples * 2.0**15) > 2**15 - 1)


@given(arrays(np.int16, st.integers(1, 50)))
def test_samples_of_16_bits_come_back_as_they_were(samples):
    steps, clipped = quantise((samples / 2**15).astype(np.float32))
    np.testing.assert_array_equal(steps, samples)
    assert clipped == 0


def test_what_lies_outside_is_clipped_and_counted():
    steps, clipped = quantise(np.array([1.5, -1.5, 0.5, -1.0], np.float32))
    assert steps.tolist() == [32_767, -32_768, 16_384, -32_768]
    assert clipped == 2
