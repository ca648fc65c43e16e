"""Batches: an epoch follows from seed, epoch and corpus, whoever reads it and however often."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_corpora import RATE, captioned_corpus, write_audio

from earmark.datasets.base import DataError
from earmark.models.training import batches as batches_module
from earmark.models.training.batches import Batches, scale
from earmark.models.training.corpus import Corpus
from earmark.models.training.prepare import prepare

N_CLIPS = 22
OPTIONS = {"batch_size": 4, "crop_seconds": 0.05}
CROP = 800


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return captioned_corpus(tmp_path_factory.mktemp("module"), N_CLIPS, captions=3)


@pytest.fixture(scope="module")
def uncaptioned(tmp_path_factory):
    root = tmp_path_factory.mktemp("plain")
    write_audio(root / "songs", 6)
    return Corpus.open(prepare(root / "songs", root / "corpus").folder)


def epoch(corpus, **options):
    return list(Batches(corpus, **{**OPTIONS, **options}))


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert one.ids == other.ids
        assert one.captions == other.captions
        for name in ("indices", "waveforms", "lengths", "caption_groups", "seeds"):
            mine, its = getattr(one, name), getattr(other, name)
            assert mine.dtype == its.dtype
            assert torch.equal(mine, its), name


# What a batch holds


def test_every_crop_is_a_piece_of_its_clip(corpus):
    for batch in epoch(corpus):
        assert batch.waveforms.shape == (4, CROP)
        assert batch.waveforms.dtype == torch.int16
        for index, name, row in zip(batch.indices, batch.ids, batch.waveforms, strict=True):
            assert corpus.ids[index] == name
            windows = np.lib.stride_tricks.sliding_window_view(corpus.read(int(index)), CROP)
            assert (windows == row.numpy()).all(axis=1).any()


def test_each_clip_is_there_once_an_epoch(corpus):
    batches = epoch(corpus, drop_last=False)
    assert [len(batch) for batch in batches] == [4] * 5 + [2]
    assert sorted(i for b in batches for i in b.indices.tolist()) == list(range(N_CLIPS))


def test_the_last_batch_is_left_out_where_it_is_not_full(corpus):
    batches = Batches(corpus, **OPTIONS)
    assert (batches.batches_per_epoch, batches.items_per_epoch, len(batches)) == (5, 20, 5)
    assert [len(batch) for batch in batches] == [4] * 5
    assert Batches(corpus, **OPTIONS, drop_last=False).items_per_epoch == N_CLIPS


def test_validation_takes_the_centre_in_order(corpus):
    batches = epoch(corpus, crop="centre", shuffle=False, captions="draw", drop_last=False)
    assert [i for batch in batches for i in batch.indices.tolist()] == list(range(N_CLIPS))
    for batch in batches:
        for index, row, text in zip(
            batch.indices.tolist(), batch.waveforms, batch.captions, strict=True
        ):
            whole = corpus.read(index)
            start = (len(whole) - CROP) // 2
            np.testing.assert_array_equal(row, whole[start : start + CROP])
            assert text in corpus.captions(index)


def test_a_clip_shorter_than_the_crop_is_padded_at_its_end(corpus):
    for crop in ("random", "centre"):
        for batch in epoch(corpus, crop_seconds=0.2, crop=crop):
            assert batch.waveforms.shape[1] == 3_200
            for index, row, length in zip(
                batch.indices.tolist(), batch.waveforms, batch.lengths.tolist(), strict=True
            ):
                whole = corpus.read(index)
                assert length == min(len(whole), 3_200)
                assert not row[length:].any()
                if length == len(whole):
                    np.testing.assert_array_equal(row[:length], whole)


def test_whole_clips_are_padded_to_the_longest(corpus):
    for batch in epoch(corpus, crop_seconds=None):
        lengths = corpus.n_samples[batch.indices]
        assert batch.waveforms.shape[1] == lengths.max()
        np.testing.assert_array_equal(batch.lengths, lengths)
        for index, row, length in zip(batch.indices, batch.waveforms, lengths, strict=True):
            np.testing.assert_array_equal(row[:length], corpus.read(int(index)))
            assert not row[length:].any()


def test_scaled_samples_are_float32_below_one():
    samples = torch.tensor([[-32_768, -1, 0, 16_384, 32_767]], dtype=torch.int16)
    scaled = scale(samples)
    assert scaled.dtype == torch.float32
    assert scaled.tolist() == [[-1.0, -(2**-15), 0.0, 0.5, 1 - 2**-15]]


def test_a_batch_goes_to_a_device_with_what_is_needed_there(corpus):
    (batch, *_) = epoch(corpus)
    moved = batch.to("meta")
    assert moved.waveforms.device.type == moved.caption_groups.device.type == "meta"
    assert {moved.indices.device.type, moved.lengths.device.type, moved.seeds.device.type} == {
        "cpu"
    }
    assert moved.captions == batch.captions


# Captions


def test_a_caption_is_drawn_anew_each_epoch(corpus):
    drawn = {name: set() for name in corpus.ids}
    for number in range(30):
        for batch in epoch(corpus, epoch=number, drop_last=False):
            for name, index, text in zip(
                batch.ids, batch.indices.tolist(), batch.captions, strict=True
            ):
                assert text in corpus.captions(index)
                drawn[name].add(text)
    # Each of 22 x 3 captions is missed by 30 draws with a probability of (2/3)^30 = 5e-6.
    assert all(len(texts) == 3 for texts in drawn.values())


def test_every_caption_can_be_an_item_of_its_own(corpus):
    batches = Batches(corpus, **OPTIONS, captions="all", drop_last=False)
    assert batches.items_per_epoch == 3 * N_CLIPS
    seen = [
        (index, text)
        for batch in batches
        for index, text in zip(batch.indices.tolist(), batch.captions, strict=True)
    ]
    expected = [(clip, text) for clip in range(N_CLIPS) for text in corpus.captions(clip)]
    assert sorted(seen) == sorted(expected)
    assert seen != expected


def test_equal_texts_and_they_alone_are_one_group(corpus):
    pairs = [
        (text, group)
        for number in range(3)
        for batch in epoch(corpus, epoch=number, captions="all", drop_last=False)
        for text, group in zip(batch.captions, batch.caption_groups.tolist(), strict=True)
    ]
    group_of = dict(pairs)
    assert len(set(pairs)) == len(group_of) == len(set(group_of.values()))
    assert len(group_of) == 3 * N_CLIPS - 1  # two clips share "the same words"


def test_a_corpus_without_captions_gives_audio_alone(uncaptioned):
    (batch, *_) = epoch(uncaptioned, captions="none")
    assert batch.captions == ()
    assert batch.caption_groups.tolist() == [-1] * 4
    with pytest.raises(DataError, match=r"without a caption: 000\.wav, .*give captions='none'"):
        Batches(uncaptioned, **OPTIONS)


# What an epoch follows from


@pytest.mark.parametrize("workers", [1, 4])
def test_the_number_of_threads_changes_nothing(corpus, workers):
    assert_same(epoch(corpus, workers=workers), epoch(corpus, workers=2))


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("world_size", [2, 4])
@pytest.mark.parametrize("captions", ["draw", "all", "none"])
def test_processes_together_see_what_one_sees(corpus, world_size, drop_last, captions):
    options = {"captions": captions, "drop_last": drop_last, "seed": 3}
    alone = epoch(corpus, **options)
    shares = [
        epoch(corpus, **options, rank=rank, world_size=world_size) for rank in range(world_size)
    ]
    for whole, *parts in zip(alone, *shares, strict=True):
        assert tuple(name for part in parts for name in part.ids) == whole.ids
        assert tuple(text for part in parts for text in part.captions) == whole.captions
        for name in ("indices", "waveforms", "lengths", "caption_groups", "seeds"):
            assert torch.equal(
                torch.cat([getattr(part, name) for part in parts]), getattr(whole, name)
            )
        if len(whole) == 4:
            assert {len(part) for part in parts} == {4 // world_size}


def test_a_share_of_a_last_batch_may_be_empty(corpus):
    last = epoch(corpus, batch_size=7, drop_last=False)[-1]
    assert len(last) == 1
    shares = [
        epoch(corpus, batch_size=7, drop_last=False, rank=rank, world_size=7)[-1]
        for rank in range(7)
    ]
    assert sorted(len(share) for share in shares) == [0] * 6 + [1]
    empty = next(share for share in shares if len(share) == 0)
    assert empty.waveforms.shape == (0, CROP)


def test_epochs_and_seeds_differ_in_order_crops_and_seeds(corpus):
    def all_of(**options):
        batches = epoch(corpus, drop_last=False, **options)
        by_clip = {
            name: (row.numpy().tobytes(), seed)
            for batch in batches
            for name, row, seed in zip(
                batch.ids, batch.waveforms, batch.seeds.tolist(), strict=True
            )
        }
        return [name for batch in batches for name in batch.ids], by_clip

    order, rows = all_of(epoch=0)
    assert order == all_of(epoch=0)[0]
    for other in ({"epoch": 1}, {"seed": 1}):
        other_order, other_rows = all_of(**other)
        assert sorted(other_order) == sorted(order)
        assert other_order != order
        assert sum(rows[name][0] != other_rows[name][0] for name in rows) > N_CLIPS / 2
        assert all(rows[name][1] != other_rows[name][1] for name in rows)


def test_one_object_goes_through_the_same_epochs_as_new_ones(corpus):
    batches = Batches(corpus, **OPTIONS)
    for number in range(3):
        assert batches.epoch == number
        assert_same(list(batches), epoch(corpus, epoch=number))


def test_the_seeds_of_an_epoch_differ_and_are_not_negative(corpus):
    seeds = torch.cat([batch.seeds for batch in epoch(corpus, captions="all", drop_last=False)])
    assert len(seeds.unique()) == 3 * N_CLIPS
    assert (seeds >= 0).all()


def test_order_crops_captions_and_seeds_are_drawn_independently():
    draws = batches_module._Draws.of(5, 2, 4_000)
    place = np.argsort(draws.order)  # of each item in the epoch
    columns = [place, draws.order, draws.crop, draws.caption, draws.augmentation.astype(float)]
    # A correlation of 4,000 pairs has a standard error of 0.016.
    off_diagonal = np.corrcoef(columns) - np.eye(len(columns))
    assert np.abs(off_diagonal).max() < 0.08
    for uniform in (draws.crop, draws.caption):
        assert 0 <= uniform.min() < 0.01 < 0.99 < uniform.max() < 1


def test_random_crops_fall_evenly_over_the_clip(corpus):
    clip = int(np.argmax(corpus.n_samples))
    spare = int(corpus.n_samples[clip]) - CROP
    starts = []
    for number in range(150):
        for batch in epoch(corpus, epoch=number, drop_last=False, captions="none"):
            for index, row in zip(batch.indices.tolist(), batch.waveforms.numpy(), strict=True):
                if index == clip:
                    windows = np.lib.stride_tricks.sliding_window_view(corpus.read(clip), CROP)
                    starts.append(int(np.flatnonzero((windows == row).all(axis=1))[0]))
    quarters = np.bincount(np.array(starts) * 4 // (spare + 1), minlength=4)
    # 150 draws, 37.5 a quarter with a deviation of 5.3: four deviations and a half.
    assert (np.abs(quarters - 37.5) < 24).all()


def test_a_crop_may_start_at_the_first_and_at_the_last_place(corpus):
    clip = int(np.argmax(corpus.n_samples))
    width = int(corpus.n_samples[clip]) - 1
    firsts = set()
    for number in range(40):
        for batch in epoch(
            corpus, epoch=number, crop_seconds=width / RATE, drop_last=False, captions="none"
        ):
            for index, row in zip(batch.indices.tolist(), batch.waveforms.numpy(), strict=True):
                if index == clip:
                    firsts.add(int(np.array_equal(row, corpus.read(clip, 1))))
    assert firsts == {0, 1}  # 40 draws of two miss one with a probability of 2^-39


def test_global_random_states_are_neither_read_nor_changed(corpus):
    torch.manual_seed(1)
    np.random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    first = epoch(corpus)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]
    torch.manual_seed(2)
    assert_same(epoch(corpus), first)


# Interruptions


@given(taken=st.integers(0, 14), world_size=st.sampled_from([1, 2, 4]))
@settings(max_examples=25)
def test_from_any_batch_it_goes_on_as_if_nothing_had_been(corpus, taken, world_size):
    reference = [batch for number in range(3) for batch in epoch(corpus, epoch=number)]
    batches = Batches(corpus, **OPTIONS, rank=0, world_size=1)
    left = taken
    while left > 0:
        for _ in batches:
            left -= 1
            if left == 0:
                break
    state = batches.state_dict()
    resumed = [Batches(corpus, **OPTIONS, rank=r, world_size=world_size) for r in range(world_size)]
    for one in resumed:
        one.load_state_dict(state)
    while resumed[0].epoch < 3:
        shares = [list(one) for one in resumed]
        for parts in zip(*shares, strict=True):
            whole = reference[taken]
            assert tuple(name for part in parts for name in part.ids) == whole.ids
            assert torch.equal(torch.cat([part.waveforms for part in parts]), whole.waveforms)
            taken += 1
    assert taken == 15


def test_a_broken_loop_goes_on_behind_the_batch_handed_out_last(corpus):
    reference = epoch(corpus)
    batches = Batches(corpus, **OPTIONS)
    seen = []
    for batch in batches:
        seen.append(batch)
        if len(seen) == 2:
            break
    assert (batches.epoch, batches.position, len(batches)) == (0, 2, 3)
    assert_same([*seen, *batches], reference)


def test_a_state_is_plain_and_of_what_was_handed_out_not_of_what_was_read_ahead(corpus):
    import json

    batches = Batches(corpus, **OPTIONS, workers=4)
    next(iter(batches))
    state = batches.state_dict()
    assert state["position"] == 1
    assert json.loads(json.dumps(state)) == state


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"seed": 1}, "seed 0, these batches have 1"),
        ({"batch_size": 2}, "batch_size 4, these batches have 2"),
        ({"crop_seconds": 0.06}, "crop_seconds 0.05, these batches have 0.06"),
        ({"captions": "all"}, "captions 'draw', these batches have 'all'"),
        ({"drop_last": False}, "drop_last True, these batches have False"),
    ],
)
def test_a_state_of_other_options_is_refused(corpus, other, message):
    state = Batches(corpus, **OPTIONS).state_dict()
    with pytest.raises(DataError, match=message):
        Batches(corpus, **{**OPTIONS, **other}).load_state_dict(state)


def test_a_state_of_another_corpus_or_without_its_position_is_refused(corpus, uncaptioned):
    state = Batches(corpus, **OPTIONS, captions="none").state_dict()
    with pytest.raises(DataError, match="taken with corpus"):
        Batches(uncaptioned, **OPTIONS, captions="none").load_state_dict(state)
    with pytest.raises(DataError, match="lacks position"):
        del state["position"]
        Batches(corpus, **OPTIONS, captions="none").load_state_dict(state)


def test_no_thread_is_left_behind(corpus):
    before = threading.active_count()
    for _ in Batches(corpus, **OPTIONS):
        break
    list(Batches(corpus, **OPTIONS))
    assert threading.active_count() == before


def test_the_wait_is_the_time_until_a_batch_is_there(corpus, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    batches = Batches(corpus, **OPTIONS)
    original = Batches._read

    def slow(self, draws, number):
        now[0] += 2.0 if number == 0 else 0.0
        return original(self, draws, number)

    monkeypatch.setattr(Batches, "_read", slow)
    for _ in batches:
        now[0] += 10.0  # the consumer's own time does not count
    assert batches.waited_seconds == 2.0


# Bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0, expected at least 1"),
        ({"batch_size": 5, "world_size": 2}, "batch_size is 5, expected a multiple of the 2"),
        ({"batch_size": 23}, "22 items make no whole batch of 23"),
        ({"crop_seconds": 0}, "crop_seconds is 0, expected above 0"),
        ({"crop": "center"}, "crop is 'center', expected random or centre"),
        ({"captions": "some"}, "captions is 'some', expected draw, all or none"),
        ({"seed": -1}, "seed is -1, expected 0 or above"),
        ({"rank": 2, "world_size": 2}, "rank 2 of 2"),
        ({"epoch": -1}, "epoch -1"),
        ({"workers": 0}, "0 workers"),
    ],
)
def test_options_out_of_range_are_refused(corpus, options, message):
    with pytest.raises(DataError, match=message):
        Batches(corpus, **{**OPTIONS, **options})


def test_the_crop_is_in_the_corpus_own_rate(corpus):
    (batch, *_) = epoch(corpus, crop_seconds=0.0301)
    assert batch.waveforms.shape[1] == round(0.0301 * RATE)
