"""Decoding, downmix, resampling, every kind of broken file, and look-ahead."""

import hashlib
import pickle
import struct
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.datasets.audio import (
    AudioError,
    SilentAudioError,
    Waveform,
    decode_ahead,
    decoded_files,
    file_digest,
    load,
    map_ahead,
)
from earmark.datasets.base import DataError

RATE = 22050
LOSSLESS = ("wav", "au", "flac", "aiff")
KINDS = (*LOSSLESS, "mp3", "ogg")


def tone(seconds=2.0, rate=RATE, hertz=440.0):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)


def noisy(seconds=2.0, rate=RATE):
    """A tone that falls silent every other second, so that a variable bit rate does vary."""
    time = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(0).standard_normal(time.size)
    return tone(seconds, rate) * 0.4 + 0.1 * noise * (time % 2 < 1)


def write(folder, kind, samples, rate=RATE, **options):
    path = folder / f"clip.{kind}"
    soundfile.write(path, samples, rate, **options)
    return path


def cut(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_files_give_back_their_samples(tmp_path, kind):
    samples = np.round(tone() * 2**15) / 2**15
    clip = load(write(tmp_path, kind, samples))
    assert clip.sample_rate == RATE
    assert clip.samples.dtype == np.float32
    np.testing.assert_array_equal(clip.samples, samples.astype(np.float32))


@pytest.mark.parametrize("kind", ["mp3", "ogg"])
def test_lossy_files_keep_their_length_and_nearly_their_samples(tmp_path, kind):
    samples = tone()
    clip = load(write(tmp_path, kind, samples))
    assert clip.samples.shape == samples.shape
    assert np.abs(clip.samples - samples).max() < 0.05


def test_channels_are_mixed_down_to_their_mean(tmp_path):
    left, right = tone(hertz=440), tone(hertz=660)
    path = write(tmp_path, "wav", np.stack([left, right, 0 * left], 1), subtype="DOUBLE")
    np.testing.assert_allclose(load(path).samples, (left + right) / 3, atol=1e-7)


@given(st.integers(1, 4), st.integers(1, 300), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_downmix_does_not_depend_on_the_order_of_channels(
    tmp_path_factory, channels, frames, random
):
    folder = tmp_path_factory.mktemp("mix")
    samples = np.random.default_rng(random.randint(0, 999)).uniform(0.1, 1, (frames, channels))
    order = random.sample(range(channels), channels)
    one = load(write(folder, "wav", samples, subtype="FLOAT")).samples
    other = load(write(folder, "wav", samples[:, order], subtype="FLOAT")).samples
    np.testing.assert_allclose(one, other, rtol=1e-6)


def test_downmix_comes_before_resampling(tmp_path):
    stereo = np.stack([tone(hertz=300), tone(hertz=1000)], 1)
    mixed = stereo.mean(axis=1)
    one = load(write(tmp_path, "wav", stereo, subtype="DOUBLE"), sample_rate=16000)
    other = load(write(tmp_path, "wav", mixed, subtype="DOUBLE"), sample_rate=16000)
    np.testing.assert_allclose(one.samples, other.samples, atol=1e-7)


def test_resampling_keeps_a_tone_below_both_limits_and_removes_one_above(tmp_path):
    low = load(write(tmp_path, "wav", tone(hertz=1000), subtype="FLOAT"), sample_rate=16000)
    assert low.sample_rate == 16000
    assert low.samples.size == 32000
    expected = tone(rate=16000, hertz=1000)
    np.testing.assert_allclose(low.samples[500:-500], expected[500:-500], atol=2e-3)
    high = load(write(tmp_path, "wav", tone(hertz=9500), subtype="FLOAT"), sample_rate=16000)
    assert np.abs(high.samples[500:-500]).max() < 0.03  # 24 dB down


def test_resampling_equals_torchaudio_with_its_defaults(tmp_path):
    functional = pytest.importorskip("torchaudio.functional")
    torch = pytest.importorskip("torch")
    path = write(tmp_path, "wav", noisy(), subtype="FLOAT")
    expected = functional.resample(torch.from_numpy(load(path).samples), RATE, 16000)
    # The cached kernel is computed in double precision, the functional one in single.
    np.testing.assert_allclose(load(path, sample_rate=16000).samples, expected.numpy(), atol=1e-5)


def test_its_own_rate_is_not_resampled(tmp_path):
    path = write(tmp_path, "wav", tone())
    np.testing.assert_array_equal(load(path, sample_rate=RATE).samples, load(path).samples)


def test_a_rate_of_zero_is_refused(tmp_path):
    with pytest.raises(DataError, match="positive Hz or None, got 0"):
        load(write(tmp_path, "wav", tone()), sample_rate=0)


def test_importing_the_module_imports_neither_torch_nor_torchaudio():
    program = "import sys, earmark.datasets.audio; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    imported = done.stdout.decode().split()
    assert "earmark.datasets.audio" in imported
    assert not [module for module in imported if module.startswith("torch")]


# Broken files


def reason(path, **options):
    with pytest.raises(AudioError) as caught:
        load(path, **options)
    assert caught.value.path == path
    assert str(caught.value) == f"{path}: {caught.value.reason}"
    return caught.value.reason


def test_names_a_file_that_is_absent_a_folder_or_empty(tmp_path):
    assert reason(tmp_path / "none.wav") == "no such file"
    assert reason(tmp_path) == "not a file"
    empty = tmp_path / "empty.wav"
    empty.touch()
    assert reason(empty) == "the file is empty (0 bytes)"


@pytest.mark.parametrize("kind", ["wav", "au", "aiff"])
def test_a_header_without_samples_is_no_audio(tmp_path, kind):
    assert "holds no samples" in reason(write(tmp_path, kind, tone()[:0]))


@pytest.mark.parametrize("kind", [*KINDS, "snd", "raw", "txt"])
def test_text_named_as_audio_is_refused(tmp_path, kind):
    path = tmp_path / f"text.{kind}"
    path.write_text("It was the best of times, it was the worst of times.\n" * 200)
    said = reason(path)
    assert "not audio that can be decoded" in said
    assert "does not exist" not in said


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_file_is_refused(tmp_path, kind, share):
    path = write(tmp_path, kind, noisy(6))
    load(path)
    cut(path, share)
    said = reason(path)
    assert "cut" in said or "damaged" in said


@pytest.mark.parametrize("kind", ["wav", "au", "aiff"])
def test_the_error_of_a_cut_file_says_how_much_is_left(tmp_path, kind):
    path = write(tmp_path, kind, noisy(6))
    cut(path, 0.5)
    assert reason(path) == "only 3.00 s of 6.00 s can be decoded; the file is cut: copy it again"


@pytest.mark.parametrize(
    ("kind", "at", "order", "placeholder"),
    [
        ("wav", 40, "<I", 0xFFFFFFFF),
        ("wav", 40, "<I", 0x7FFFFFFF),
        ("wav", 40, "<I", 0x7FFFF000),
        ("au", 8, ">I", 0xFFFFFFFF),  # the only placeholder that AU knows
    ],
)
def test_a_length_left_open_by_a_program_that_wrote_to_a_pipe_is_no_cut(
    tmp_path, kind, at, order, placeholder
):
    path = write(tmp_path, kind, tone())
    whole = load(path).samples
    data = bytearray(path.read_bytes())
    struct.pack_into(order, data, at, placeholder)
    path.write_bytes(data)
    np.testing.assert_array_equal(load(path).samples, whole)


def test_a_header_counted_into_the_size_of_the_data_is_no_cut(tmp_path):
    path = write(tmp_path, "wav", tone())
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, 40, len(data))
    path.write_bytes(data)
    assert load(path).samples.size == tone().size


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_after_the_audio_are_no_fault(tmp_path, kind):
    path = write(tmp_path, kind, noisy())
    whole = load(path).samples
    path.write_bytes(path.read_bytes() + b"TAG" + b" " * 125)
    np.testing.assert_array_equal(load(path).samples, whole)


@pytest.mark.parametrize("kind", ["flac", "ogg", "mp3"])
def test_damage_in_the_middle_is_found(tmp_path, kind):
    path = write(tmp_path, kind, noisy(6))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = np.random.default_rng(1).bytes(4000)
    path.write_bytes(data)
    assert "damaged" in reason(path)


def state_flac_length(path, n_samples):
    """Put a length into STREAMINFO, whose last 36 bits before the digest are the samples."""
    data = bytearray(path.read_bytes())
    data[21] = data[21] & 0xF0 | n_samples >> 32
    data[22:26] = (n_samples & 0xFFFFFFFF).to_bytes(4, "big")
    path.write_bytes(data)


@pytest.mark.parametrize("stated", [0, 1, RATE])
def test_a_flac_is_heard_to_its_end_where_its_length_is_unknown_or_too_small(tmp_path, stated):
    path = write(tmp_path, "flac", noisy())
    whole = load(path).samples
    state_flac_length(path, stated)
    np.testing.assert_array_equal(load(path).samples, whole)


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        (4 * RATE, "only 2.00 s of 4.00 s can be decoded"),
        (2**36 - 1, "its header promises 866 h, expected at most 24 h"),
    ],
)
def test_a_flac_that_promises_more_than_it_holds_is_named(tmp_path, stated, said):
    path = write(tmp_path, "flac", noisy())
    state_flac_length(path, stated)
    assert said in reason(path)


def test_a_flac_behind_a_tag_larger_than_a_block_is_heard(tmp_path):
    path = write(tmp_path, "flac", noisy())
    whole = load(path).samples
    state_flac_length(path, RATE)
    path.write_bytes(id3(100_000) + path.read_bytes())
    np.testing.assert_array_equal(load(path).samples, whole)


def id3(n_bytes):
    size = bytes(n_bytes >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\0\0" + size + bytes(n_bytes)


@pytest.mark.parametrize("kind", ["RF64", "W64", "SVX", "WAVEX"])
def test_a_cut_file_of_a_rarer_format_is_refused_with_what_is_left(tmp_path, kind):
    path = tmp_path / "clip.wav"
    soundfile.write(path, tone(6), RATE, format=kind, subtype="PCM_16")
    assert load(path).samples.size == 6 * RATE
    cut(path, 0.5)
    assert reason(path).startswith("only 3.00 s of 6.00 s can be decoded")


@pytest.mark.parametrize("kind", ["flac", "ogg", "wav", "mp3"])
def test_what_a_file_is_called_does_not_matter(tmp_path, kind):
    path = write(tmp_path, kind, noisy())
    whole = load(path).samples
    for name in ("clip.mp3", "clip.au", "clip.raw", "clip"):
        path = path.rename(tmp_path / name)
        np.testing.assert_array_equal(load(path).samples, whole)


FOREIGN = {
    "MPEG-4": bytes(4) + b"ftypM4A ",
    "Matroska": b"\x1a\x45\xdf\xa3",
    "ASF": bytes.fromhex("3026b2758e66cf11"),
    "AVI video": b"RIFF\xff\xff\0\0AVI LIST",
    "RIFF of the type 'WEBP'": b"RIFF\xff\xff\0\0WEBP",
    "AAC (ADTS)": (b"\xff\xf1\x50\x80\x02\x1f\xfc" + bytes(9)) * 9,
    "AAC (LOAS)": b"\x56\xe0\x10",
    "AMR": b"#!AMR\n",
    "DSF": b"DSD ",
    "an MPEG program stream": b"\0\0\x01\xba",
    "an MPEG transport stream": (b"\x47" + bytes(187)) * 4,
    "AC-3": b"\x0b\x77",
    "WavPack": b"wvpk",
}


@pytest.mark.parametrize("tagged", [False, True])
@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_of_another_format_is_refused_by_that_formats_name(tmp_path, name, tagged):
    path = tmp_path / "clip.mp3"
    noise = np.random.default_rng(0).bytes(50_000)
    path.write_bytes((id3(300) if tagged else b"") + FOREIGN[name] + noise)
    said = reason(path)
    assert f"by its bytes it is {name}" in said
    assert said.endswith("convert it to WAV or FLAC, e.g. with ffmpeg")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "run git lfs pull"),
        (b"\n <!DOCTYPE html><title>404</title>", "a web page: download the file again"),
        (b"\0\x05\x16\x07\0\x02\0\0Mac OS X", "not the song that it belongs to"),
        (b"PK\x03\x04", "unpack it"),
    ],
)
def test_what_is_no_audio_at_all_is_named_with_what_to_do(tmp_path, content, said):
    path = tmp_path / "clip.mp3"
    path.write_bytes(content + bytes(500))
    assert said in reason(path)


@pytest.mark.parametrize("rate", [1, 999, 768_001, 2**31 - 1])
def test_a_sample_rate_that_no_recording_has_is_refused(tmp_path, rate):
    path = write(tmp_path, "wav", tone())
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, 24, rate)
    path.write_bytes(data)
    assert reason(path, sample_rate=16000).startswith(
        f"its header says {rate} Hz, expected 1000 to 768000 Hz"
    )


def test_too_little_memory_is_the_files_own_fault(tmp_path, monkeypatch):
    path = write(tmp_path, "wav", tone())

    def full(*_, **__):
        raise MemoryError("Unable to allocate 512. GiB")

    monkeypatch.setattr(soundfile.SoundFile, "read", full)
    assert "needs more memory than there is (Unable to allocate 512. GiB)" in reason(path)


# Streams that follow each other


@pytest.mark.parametrize("options", [{}, {"subtype": "OPUS"}])
def test_chained_ogg_streams_are_heard_one_after_the_other(tmp_path, options):
    path = write(tmp_path, "ogg", tone(1, 48000), 48000, **options)
    one, first = load(path).samples, path.read_bytes()
    path = write(tmp_path, "ogg", noisy(2, 48000)[:, None] * [1, 0.5], 48000, **options)
    other, second = load(path).samples, path.read_bytes()
    path.write_bytes(first + second + first)
    np.testing.assert_array_equal(load(path).samples, np.concatenate([one, other, one]))
    path.write_bytes(first + second[: len(second) // 2])
    assert "cut" in reason(path)
    path.write_bytes(first[: len(first) // 2] + second)
    assert "cut" in (said := reason(path)) or "malformed" in said


def test_chained_streams_of_several_rates_are_refused(tmp_path):
    first = write(tmp_path, "ogg", tone(), 48000).read_bytes()
    path = write(tmp_path, "ogg", tone(), 44100)
    path.write_bytes(first + path.read_bytes())
    assert reason(path) == "joined of streams at 48000 and 44100 Hz; re-encode it at one rate"


def test_samples_that_are_not_finite_are_named(tmp_path):
    samples = tone()
    samples[7] = np.nan
    said = reason(write(tmp_path, "wav", samples, subtype="FLOAT"))
    assert said == "sample 7 is nan, expected a finite number"
    samples[7] = -np.inf
    assert "sample 7 is -inf" in reason(write(tmp_path, "wav", samples, subtype="FLOAT"))


def test_samples_on_the_scale_of_16_bits_are_refused(tmp_path):
    said = reason(write(tmp_path, "wav", 32767 * tone(), subtype="FLOAT"))
    assert said.endswith("expected [-1, 1]: rescale the file")
    assert load(write(tmp_path, "wav", 3 * tone(), subtype="FLOAT")).samples.max() > 1.4


# Silence


def test_silence_is_an_error_that_carries_the_waveform(tmp_path):
    path = write(tmp_path, "wav", 0 * tone())
    with pytest.raises(SilentAudioError, match=r"silent \(peak below -80 dBFS\)$") as caught:
        load(path, sample_rate=16000)
    assert caught.value.waveform.sample_rate == 16000
    np.testing.assert_array_equal(caught.value.waveform.samples, np.zeros(32000, np.float32))


@pytest.mark.parametrize(("peak_dbfs", "silent"), [(-80.2, True), (-79.8, False)])
def test_silence_is_a_peak_below_80_dbfs(tmp_path, peak_dbfs, silent):
    path = write(tmp_path, "wav", 10 ** (peak_dbfs / 20) * tone() / 0.5, subtype="FLOAT")
    if silent:
        with pytest.raises(SilentAudioError):
            load(path)
    else:
        load(path)


def test_channels_that_cancel_each_other_are_named_as_the_cause(tmp_path):
    path = write(tmp_path, "wav", np.stack([tone(), -tone()], 1), subtype="FLOAT")
    with pytest.raises(SilentAudioError, match="cancel each other in the downmix"):
        load(path)


def test_errors_survive_a_process_boundary(tmp_path):
    waveform = Waveform(np.zeros(3, np.float32), 8000)
    error = pickle.loads(pickle.dumps(SilentAudioError(tmp_path, "silent", waveform)))
    assert (error.path, error.reason) == (tmp_path, "silent")
    assert error.waveform.sample_rate == 8000


# Digests, look-ahead, counting


def test_the_digest_is_that_of_the_bytes(tmp_path):
    path = tmp_path / "clip.wav"
    path.write_bytes(b"abc")
    assert file_digest(path) == hashlib.sha256(b"abc").hexdigest()
    with pytest.raises(AudioError, match="no such file"):
        file_digest(tmp_path / "none.wav")


def several(folder, count):
    paths = [folder / f"{index}.wav" for index in range(count)]
    for index, path in enumerate(paths):
        soundfile.write(path, tone(0.1) * (index + 1) / count, RATE, subtype="FLOAT")
    return paths


@pytest.mark.parametrize("workers", [1, 3])
def test_look_ahead_equals_loading_one_by_one(tmp_path, workers):
    paths = several(tmp_path, 9)
    ahead = list(decode_ahead(paths, sample_rate=16000, workers=workers))
    assert [path for path, _ in ahead] == paths
    for path, clip in ahead:
        np.testing.assert_array_equal(clip.samples, load(path, sample_rate=16000).samples)


def test_look_ahead_hands_on_a_bad_file_as_its_error(tmp_path):
    paths = several(tmp_path, 3)
    paths[1].write_text("not audio")
    kinds = [type(clip) for _, clip in decode_ahead(paths, sample_rate=None, workers=2)]
    assert kinds == [Waveform, AudioError, Waveform]


@given(st.integers(1, 4), st.integers(0, 40))
@settings(max_examples=20, deadline=None)
def test_look_ahead_is_bounded(tmp_path_factory, workers, count):
    path = several(tmp_path_factory.mktemp("ahead"), 1)[0]
    taken = 0

    def paths():
        nonlocal taken
        for _ in range(count):
            taken += 1
            yield path

    given_back = 0
    for _ in decode_ahead(paths(), sample_rate=None, workers=workers):
        given_back += 1
        assert taken - given_back <= 2 * workers
    assert given_back == count


def test_look_ahead_can_be_left_early(tmp_path):
    ahead = decode_ahead(several(tmp_path, 8), sample_rate=None, workers=2)
    next(ahead)
    ahead.close()
    with pytest.raises(StopIteration):
        next(ahead)


def test_look_ahead_needs_a_worker(tmp_path):
    with pytest.raises(DataError, match="at least 1 worker, got 0"):
        decode_ahead([], sample_rate=None, workers=0)


def test_any_work_is_done_ahead_in_order_and_no_further_than_stated():
    begun = []

    def square(number):
        begun.append(number)
        return number**2

    results = map_ahead(square, range(50), workers=3, ahead=4)
    for done, (number, squared) in enumerate(results, start=1):
        assert (number, squared) == (done - 1, number**2)
        assert len(begun) <= done + 4
    assert sorted(begun) == list(range(50))


def test_an_error_of_work_done_ahead_comes_at_its_item():
    results = map_ahead(lambda number: 1 / number, [2, 1, 0, 4], workers=2)
    assert [next(results), next(results)] == [(2, 0.5), (1, 1.0)]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_nothing_ahead_is_refused():
    with pytest.raises(DataError, match="at least 1 item must be done ahead, got 0"):
        map_ahead(abs, [1], workers=1, ahead=0)


def test_decoded_files_are_counted(tmp_path):
    paths = several(tmp_path, 4)
    before = decoded_files()
    list(decode_ahead(paths, sample_rate=None, workers=3))
    assert decoded_files() - before == 4
    with pytest.raises(AudioError):
        load(tmp_path / "none.wav")
    file_digest(paths[0])
    assert decoded_files() - before == 4


# Real files


def test_every_real_excerpt_decodes(shared_data):
    paths = sorted((shared_data / "gtzan_excerpts" / "genres").glob("*/*.flac"))
    assert len(paths) == 321
    for _, clip in decode_ahead(paths, sample_rate=None, workers=2):
        assert isinstance(clip, Waveform), clip
        assert clip.sample_rate == 22050


def test_every_real_vorbis_file_is_whole(shared_data):
    paths = sorted((shared_data / "noise2music" / "audio").glob("*.ogg"))
    assert len(paths) == 172
    for _, clip in decode_ahead(paths, sample_rate=None, workers=2):
        assert isinstance(clip, Waveform), clip


@pytest.mark.parametrize("rate", [8_000, 44_100, 192_000])
def test_eight_channels_at_any_rate_arrive_as_one_at_the_models(tmp_path, rate):
    seconds = np.arange(rate) / rate
    channels = np.sin(2 * np.pi * 440 * seconds)[:, None] * np.linspace(0.1, 0.8, 8)
    soundfile.write(tmp_path / "eight.wav", channels, rate, subtype="FLOAT")
    heard = load(tmp_path / "eight.wav", sample_rate=16_000)
    assert (heard.sample_rate, heard.samples.shape) == (16_000, (16_000,))
    expected = 0.45 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    inner = slice(200, -200)  # the resampler rings at the ends
    np.testing.assert_allclose(heard.samples[inner], expected[inner], atol=2e-3)
