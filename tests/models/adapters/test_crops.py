"""Crop policies: what is heard, worked by hand; round trips through text; nothing at random."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.datasets.audio import Waveform
from earmark.models.base import ModelError
from earmark.models.support.crops import CropPolicy, embed_crops

RAMP = np.arange(11, dtype=np.float32)
lengths = st.floats(0.1, 60).map(lambda x: round(x, 2))
policies = st.one_of(
    st.just(CropPolicy("whole")),
    st.builds(
        lambda kind, seconds, short: CropPolicy(kind, seconds, short=short),
        st.sampled_from(["centre", "first"]),
        lengths,
        st.sampled_from(["zero-padded", "repeated", "left short"]),
    ),
    st.builds(
        lambda seconds, share, short: CropPolicy("windows", seconds, seconds / share, short),
        st.integers(1, 60),
        st.sampled_from([1, 2, 4, 8]),
        st.sampled_from(["zero-padded", "repeated", "left short"]),
    ),
)


def crops(text: str, samples=RAMP, rate: int = 1) -> list[list[float]]:
    return CropPolicy.parse(text).cut(samples, rate).tolist()


def test_centre_leaves_the_odd_sample_to_the_end():
    assert crops("centre(4 s)") == [[3, 4, 5, 6]]
    assert crops("centre(5 s)") == [[3, 4, 5, 6, 7]]
    assert crops("centre(2 s)", rate=2) == [[3, 4, 5, 6]]


def test_first_begins_with_the_clip():
    assert crops("first(3 s)") == [[0, 1, 2]]


def test_windows_end_with_the_clip():
    assert crops("windows(4 s, 3 s)") == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9], [7, 8, 9, 10]]
    assert crops("windows(5 s, 3 s)") == [[0, 1, 2, 3, 4], [3, 4, 5, 6, 7], [6, 7, 8, 9, 10]]
    assert crops("windows(11 s, 5 s)") == [RAMP.tolist()]


def test_whole_is_the_clip():
    assert crops("whole") == [RAMP.tolist()]


def test_a_short_clip_is_filled_as_stated():
    short = np.array([1, 2], np.float32)
    assert crops("centre(5 s)", short) == [[1, 2, 0, 0, 0]]
    assert crops("first(5 s), repeated", short) == [[1, 2, 1, 2, 1]]
    assert crops("windows(5 s, 1 s), left short", short) == [[1, 2]]


@given(policies)
def test_is_read_from_what_it_is_printed_as(policy):
    assert CropPolicy.parse(str(policy)) == policy


@given(policies, st.integers(1, 400), st.integers(1, 9))
def test_cuts_the_same_every_time_and_only_what_is_there(policy, n_samples, rate):
    clip = np.arange(1, n_samples + 1, dtype=np.float32)
    state = np.random.get_state()[1].tolist()
    cut = policy.cut(clip, rate)
    assert np.array_equal(policy.cut(clip, rate), cut)
    assert np.random.get_state()[1].tolist() == state
    length = policy.n_samples(rate)
    if length is None or policy.short == "left short":
        assert cut.shape[1] == min(n_samples, length or n_samples)
    else:
        assert cut.shape[1] == length
    heard = set(np.unique(cut)) - {0.0}
    assert heard <= set(clip)
    if policy.kind in ("whole", "windows"):
        assert heard == set(clip)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("centre", "centre(20 s), short clips zero-padded"),
        ("first(2.5)", "first(2.5 s), short clips zero-padded"),
        ("windows(10,5)", "windows(10 s, 5 s) mean, short clips zero-padded"),
        (
            " windows( 10 s , 5 s ) mean , repeated ",
            "windows(10 s, 5 s) mean, short clips repeated",
        ),
        ("whole", "whole"),
    ],
)
def test_reads_short_forms(text, printed):
    assert str(CropPolicy.parse(text, seconds=20)) == printed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("random(10 s)", r"crop 'random'.*expected 'whole'"),
        ("middle", r"crop 'middle'"),
        ("10 s", r"crop '10 s' is not understood: expected 'whole'"),
        ("", "is not understood"),
        ("centre(20 s) mean", "only windows have a mean"),
        ("whole(20 s)", r"crop 'whole' of 20.0 s"),
        ("whole, repeated", "nothing is too short for 'whole'"),
        ("windows", r"crop 'windows' of None s"),
        ("windows(10 s)", r"with a hop of None s"),
        ("centre(10 s, 5 s)", r"crop 'centre' with a hop of 5.0 s"),
        ("centre(0 s)", "longer than 0 s, got 0 s"),
        ("centre(1.2.3 s)", "has no length in seconds"),
        ("windows(5 s, 10 s)", r"at most as long.*got 10 s"),
        ("windows(5 s, 0 s)", "got 0 s"),
        ("first(5 s), reversed", "short clips 'reversed'"),
    ],
)
def test_names_what_is_no_policy(text, message):
    with pytest.raises(ModelError, match=message):
        CropPolicy.parse(text)


def test_a_length_is_needed_where_the_model_gives_none():
    with pytest.raises(ModelError, match="'centre' of None s"):
        CropPolicy.parse("centre")


@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=6),
    st.integers(1, 5),
    st.sampled_from(["whole", "windows(4 s, 3 s)", "windows(4 s, 2 s), left short", "first(3 s)"]),
)
def test_a_clip_has_the_mean_of_its_crops_whatever_its_neighbours(n_samples, at_once, text):
    policy = CropPolicy.parse(text)
    random = np.random.default_rng(0)
    clips = [Waveform(random.random(n).astype(np.float32), 1) for n in n_samples]
    sizes: list[int] = []

    def embed(batch):
        sizes.append(len(batch))
        return np.stack([batch.mean(axis=1), batch.max(axis=1)], axis=1)

    rows = embed_crops(clips, policy, embed, dimension=2, at_once=at_once)
    assert max(sizes) <= at_once
    for row, clip in zip(rows, clips, strict=True):
        cut = policy.cut(clip.samples, 1)
        expected = np.mean([[crop.mean(), crop.max()] for crop in cut], axis=0)
        assert row == pytest.approx(expected, rel=1e-6)


def test_no_clips_give_no_rows():
    rows = embed_crops([], CropPolicy("whole"), lambda batch: batch, dimension=3, at_once=2)
    assert rows.shape == (0, 3) and rows.dtype == np.float32
