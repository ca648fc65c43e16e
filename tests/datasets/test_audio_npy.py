"""Waveforms in NumPy files, as MusCALL's manifests name them."""

import numpy as np
import pytest

from earmark.datasets import audio
from earmark.datasets.captions import manifest as captions_manifest


def save(path, array, **how):
    np.save(path, array, **how)
    return path


def tone(n_samples=1600):
    return 0.5 * np.sin(np.arange(n_samples) * 0.3)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f8"])
def test_one_channel_comes_out_as_it_is_at_16_khz(tmp_path, dtype):
    samples = tone().astype(dtype)
    heard = audio.load(save(tmp_path / "a.npy", samples))
    assert (heard.sample_rate, heard.samples.dtype) == (16_000, np.float32)
    np.testing.assert_array_equal(heard.samples, samples.astype(np.float32))


def test_two_channels_come_out_as_their_mean(tmp_path):
    stereo = np.stack([tone(), 0.25 * tone()])
    heard = audio.load(save(tmp_path / "a.npy", stereo))
    np.testing.assert_allclose(heard.samples, 0.625 * tone(), atol=1e-7)


def test_another_rate_is_resampled_from_16_khz(tmp_path):
    heard = audio.load(save(tmp_path / "a.npy", tone(1600)), sample_rate=8000)
    assert (heard.sample_rate, heard.samples.shape) == (8000, (800,))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones(9, np.int16), "expected floats of shape .*, found int16"),
        (np.ones((9, 2)), r"found shape \(9, 2\)"),
        (np.ones((1, 2, 9)), r"found shape \(1, 2, 9\)"),
        (np.array(1.0), r"found shape \(\)"),
        (np.ones(0), "holds no samples"),
        (np.array([0.1, np.nan]), "sample 1 is nan, expected a finite number"),
        (np.array([0.1, 3e4]), "samples reach 30000, expected"),
        (np.zeros(9), "silent"),
        (np.stack([tone(), -tone()]), "its channels cancel each other"),
    ],
)
def test_an_array_that_is_no_waveform_is_refused(tmp_path, array, message):
    with pytest.raises(audio.AudioError, match=message):
        audio.load(save(tmp_path / "a.npy", array))


def test_a_pickled_object_or_other_bytes_are_refused(tmp_path):
    with pytest.raises(audio.AudioError, match="not an array that NumPy can read"):
        audio.load(save(tmp_path / "a.npy", np.array([{}]), allow_pickle=True))
    (tmp_path / "b.npy").write_bytes(b"RIFF")
    with pytest.raises(audio.AudioError, match="not an array that NumPy can read"):
        audio.load(tmp_path / "b.npy")
    with (tmp_path / "c.npy").open("wb") as file:
        np.savez(file, a=tone())
    with pytest.raises(audio.AudioError, match="not an array that NumPy can read"):
        audio.load(tmp_path / "c.npy")
    whole = save(tmp_path / "d.npy", tone()).read_bytes()
    (tmp_path / "d.npy").write_bytes(whole[:-100])
    with pytest.raises(audio.AudioError, match="not an array that NumPy can read"):
        audio.load(tmp_path / "d.npy")


def test_a_manifests_waveforms_are_heard(tmp_path):
    (tmp_path / "audio").mkdir()
    save(tmp_path / "audio" / "track_1.npy", tone())
    item = '[{"audio_id": 1, "caption": "a tone", "audio_path": "track_1.npy"}]'
    (tmp_path / "dataset_test.json").write_text(item)
    (clip,) = captions_manifest.load(tmp_path).clips
    ((path, heard),) = audio.decode_ahead([clip.path], sample_rate=16_000, workers=1)
    assert path == clip.path
    np.testing.assert_array_equal(heard.samples, tone().astype(np.float32))
