"""MP3 files as they are found: without headers, joined, tagged in odd places, cut and damaged."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.datasets.audio import AudioError, load
from earmark.datasets.mp3 import find_streams

RATE = 44100
DELAY = 1105
"""Samples that a decoder cuts where LAME's header tells its encoder's delay (576) and its own."""


def noisy(seconds: float, rate: int = RATE) -> np.ndarray:
    """A tone with noise every other second, so that a variable bit rate does vary."""
    time = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(0).standard_normal(time.size)
    return 0.2 * np.sin(2 * np.pi * 440 * time) + 0.1 * noise * (time % 2 < 1)


def encoded(path, samples, rate=RATE, mode="VARIABLE", quality=0.5) -> bytes:
    soundfile.write(path, samples, rate, format="MP3", bitrate_mode=mode, compression_level=quality)
    return path.read_bytes()


def without_header(data: bytes) -> bytes:
    """The same frames as an old encoder wrote them."""
    (stream,) = find_streams(data).streams
    return data[stream.spans[0][0] + stream.header_bytes :]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """The bytes of a clip of 6 s, and what they decode to."""
    path = tmp_path_factory.mktemp("mp3") / "clip.mp3"
    return encoded(path, noisy(6)), load(path).samples


def heard(path, data: bytes) -> np.ndarray:
    path.write_bytes(data)
    return load(path).samples


def reason(path, data: bytes) -> str:
    with pytest.raises(AudioError) as caught:
        heard(path, data)
    return caught.value.reason


def id3(n_bytes: int, *, stated: int | None = None, flags: int = 0, fill: bytes = b"\0") -> bytes:
    stated = n_bytes if stated is None else stated
    size = bytes(stated >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\0" + bytes([flags]) + size + fill * n_bytes


APE = b"APETAGEX\xd0\x07\0\0" + (64).to_bytes(4, "little") + b"\x01\0\0\0\0\0\0"
ODD = {
    "nothing": (b"", b""),
    "a tag": (id3(257), b""),
    "two tags": (id3(257), id3(40)),
    "a tag with a footer": (id3(257, flags=0x10) + b"3DI\x04\0\x10\0\0\x02\x01", b""),
    "a tag larger than it says": (id3(3000, stated=1000, fill=b"\xff"), b""),
    "a tag smaller than it says": (id3(1000, stated=30000), b""),
    "a tag and padding": (id3(257), bytes(2000)),
    "zeros": (bytes(500), b""),
    "an APE tag": (APE + b"\xa0" + bytes(8 + 64), b""),
    "bytes of any kind": (np.random.default_rng(3).bytes(700), b""),
}
LYRICS = b"LYRICSBEGININD00002" + b"la la la \xe9" * 300 + b"002719LYRICS200"
BEHIND = {
    "nothing": b"",
    "ID3v1": b"TAG" + b" " * 125,
    "zeros": bytes(4096),
    "Lyrics3": LYRICS + b"TAG" + b" " * 125,
    "a web page": b"<html>" + b"<p>not found</p>\r\n" * 900,
    "an APE tag": APE + b"\xa0" + bytes(8 + 32) + APE + b"\x80" + bytes(8),
    "half a frame": b"\xff\xfb\x90\xc4" + bytes(200),
}


@pytest.mark.parametrize("before", ODD)
def test_what_stands_before_the_first_frame_takes_nothing_from_the_sound(tmp_path, clip, before):
    data, whole = clip
    prefix = b"".join(ODD[before])
    np.testing.assert_array_equal(heard(tmp_path / "a.mp3", prefix + data), whole)
    bare = heard(tmp_path / "b.mp3", prefix + without_header(data))
    assert len(bare) == find_streams(data).streams[0].n_samples
    # The same sound to the last bit, with the encoder's delay that no header tells.
    np.testing.assert_array_equal(bare[DELAY : DELAY + len(whole)], whole)


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_what_stands_behind_the_last_frame_takes_nothing_from_the_sound(tmp_path, behind, mode):
    data = encoded(tmp_path / "whole.mp3", noisy(6), mode=mode)
    whole = heard(tmp_path / "a.mp3", data)
    np.testing.assert_array_equal(heard(tmp_path / "a.mp3", data + BEHIND[behind]), whole)
    bare = heard(tmp_path / "b.mp3", without_header(data) + BEHIND[behind])
    np.testing.assert_array_equal(bare[DELAY : DELAY + len(whole)], whole)


@pytest.mark.parametrize(
    ("rate", "mode"), [(12000, "VARIABLE"), (24000, "AVERAGE"), (44100, "CONSTANT")]
)
def test_frames_add_up_to_the_length_of_a_clip_at_other_rates(tmp_path, rate, mode):
    data = encoded(tmp_path / "a.mp3", noisy(4, rate), rate, mode, 0.8)
    (stream,) = find_streams(data).streams
    assert (stream.sample_rate, stream.n_frames) == (rate, stream.stated)
    # At most two frames more than the clip, for the encoder's delay and padding.
    assert 0 <= stream.n_samples - 4 * rate <= 4 * stream.samples_per_frame
    assert len(heard(tmp_path / "b.mp3", without_header(data))) == stream.n_samples


def test_joined_files_are_heard_one_after_the_other(tmp_path, clip):
    data, whole = clip
    twice = np.concatenate([whole, whole])
    np.testing.assert_array_equal(heard(tmp_path / "a.mp3", data + data), twice)
    tagged = id3(100) + data + b"TAG" + b" " * 125 + id3(100) + data
    np.testing.assert_array_equal(heard(tmp_path / "a.mp3", tagged), twice)


def test_a_header_that_counts_too_few_frames_is_not_believed(tmp_path, clip):
    """A file joined of one with a header and one without, or one that was recorded on."""
    data, _ = clip
    joined = data + without_header(data)
    (stream,) = find_streams(joined).streams
    assert (stream.n_frames, stream.is_counted) == (2 * stream.stated, False)
    assert len(heard(tmp_path / "a.mp3", joined)) == stream.n_samples


def test_joined_files_of_several_rates_are_refused(tmp_path, clip):
    other = encoded(tmp_path / "other.mp3", noisy(3, 22050), 22050)
    said = reason(tmp_path / "a.mp3", clip[0] + other)
    assert said == "joined of streams at 44100 and 22050 Hz; re-encode it at one rate"


@pytest.mark.parametrize("stated", [True, False])
def test_other_bytes_between_frames_are_damage(tmp_path, clip, stated):
    data = clip[0] if stated else without_header(clip[0])
    middle = len(data) // 2
    spoilt = data[:middle] + np.random.default_rng(1).bytes(4000) + data[middle + 4000 :]
    assert reason(tmp_path / "a.mp3", spoilt).startswith("damaged: ")


@pytest.mark.parametrize("tail", [bytes(1), b"\x81"])
def test_a_file_whose_rest_was_never_written_is_refused(tmp_path, clip, tail):
    data = without_header(clip[0])
    half = len(data) // 2
    said = reason(tmp_path / "a.mp3", data[:half] + tail * half)
    assert "after them are no sound" in said
    said = reason(tmp_path / "a.mp3", tail * half + data[half:])
    assert "before them are no sound" in said


def test_noise_of_another_kind_is_no_mp3(tmp_path):
    """Bytes that libmpg123 would take for a frame of layer I here and there."""
    noise = np.random.default_rng(0).bytes(90_000).replace(b"ID3", b"...")
    for start in (b"\xff\xff\x50\xc0", b"\xff\xfb\x90\x64", b"\0\0\0\0"):
        assert "not audio" in reason(tmp_path / "a.mp3", start + noise)


def test_damage_says_nothing_to_the_terminal(tmp_path, clip):
    data = bytearray(clip[0])
    for place in range(2000, len(data), 997):
        data[place] ^= 0x55
    path = tmp_path / "a.mp3"
    path.write_bytes(data)
    program = f"""
import sys
from earmark.datasets.audio import AudioError, load
try:
    load({str(path)!r})
except AudioError:
    pass
print("said by Python", file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stderr.decode() == "said by Python\n"


@given(st.binary(max_size=400), st.sampled_from([b"", b"\xff\xfb", b"ID3", b"TAG", b"APETAGEX"]))
@settings(deadline=None)
def test_any_bytes_can_be_searched(data, start):
    found = find_streams(start + data)
    for stream in found.streams:
        assert stream.n_samples % 192 == 0
        assert all(0 <= first < last for first, last in stream.spans)
    if found.streams:
        found.fault(0.06)
