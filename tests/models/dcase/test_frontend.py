"""The log-mel front end against one written out in NumPy, and every kind of clip."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch

from earmark.datasets.files.config_files import validated
from earmark.models.base import ModelError
from earmark.models.dcase.audio import LogMel
from earmark.models.dcase.config import FrontEndConfig


def slaney_hz(mel: np.ndarray) -> np.ndarray:
    """Slaney's scale: 3 mel a 200 Hz up to 1 kHz, then 27 mel for each factor of 6.4."""
    return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))


def log_mel_in_numpy(samples: np.ndarray) -> np.ndarray:
    padded = np.pad(samples, 1024)
    starts = range(0, len(padded) - 2048 + 1, 882)
    window = np.zeros(2048)
    window[142 : 142 + 1764] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1764) / 1764)
    frames = np.stack([padded[start : start + 2048] * window for start in starts])
    power = np.abs(np.fft.rfft(frames)) ** 2
    low, high = 12 * 3 / 200, 15 + 27 * math.log(8) / math.log(6.4)
    edges = slaney_hz(np.linspace(low, high, 66))
    bins = np.fft.rfftfreq(2048, 1 / 44_100)
    filters = np.empty((64, len(bins)))
    for band in range(64):
        left, centre, right = edges[band : band + 3]
        rise, fall = (bins - left) / (centre - left), (right - bins) / (right - centre)
        filters[band] = np.maximum(0, np.minimum(rise, fall)) * 2 / (right - left)
    return np.log(power @ filters.T + np.spacing(1.0))


@pytest.mark.parametrize("n_samples", [3000, 10_000, 44_100 + 441])
def test_agrees_with_a_log_mel_written_in_numpy(n_samples):
    samples = np.random.default_rng(1).standard_normal(n_samples) * 0.1
    log_mels, n_frames = LogMel(FrontEndConfig())([torch.tensor(samples)])
    expected = log_mel_in_numpy(samples)
    assert log_mels.shape == (1, *expected.shape)
    assert n_frames.tolist() == [len(expected)]
    assert np.abs(log_mels[0].numpy() - expected).max() < 2e-4


def test_no_filter_of_the_bank_is_empty():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        front_end = LogMel(FrontEndConfig())
    assert (front_end.mel.mel_scale.fb.sum(dim=0) > 0).all()
    assert not front_end.state_dict()


def test_silence_is_the_logarithm_of_the_floor():
    log_mels, _ = LogMel(FrontEndConfig())([torch.zeros(44_100)])
    assert torch.allclose(log_mels, torch.tensor(math.log(2.0**-52)))


def test_clips_of_any_length_are_padded_behind_their_end(sound):
    front_end = LogMel(FrontEndConfig())
    clips = [sound(0, 0.5), sound(1, 0.2), sound(2, 0.001)]
    log_mels, n_frames = front_end(clips)
    assert n_frames.tolist() == [26, 11, 4]
    for clip, padded, frames in zip(clips, log_mels, n_frames, strict=True):
        assert torch.equal(padded[:frames], front_end([clip])[0][0])
        assert not padded[frames:].any()


def test_a_single_sample_is_enough():
    assert LogMel(FrontEndConfig())([torch.ones(1)])[0].isfinite().all()


def test_stays_in_single_precision_under_autocast(sound):
    front_end = LogMel(FrontEndConfig())
    clip = [sound(0, 0.3)]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(front_end(clip)[0], front_end([clip[0].clone()])[0])
        inside = front_end(clip)[0]
    assert torch.equal(inside, front_end(clip)[0])


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        ([], "no clips"),
        ([torch.ones(10), torch.ones(0)], r"clip 1 has shape \(0,\), expected mono"),
        ([torch.ones(2, 10)], r"clip 0 has shape \(2, 10\), expected mono"),
        ([torch.tensor([0.0, torch.nan])], "clip 0 has samples that are not finite"),
        ([torch.ones(9), torch.tensor([torch.inf])], "clip 1 has samples that are not finite"),
    ],
)
def test_names_the_clip_that_cannot_be_heard(clips, message):
    with pytest.raises(ModelError, match=message):
        LogMel(FrontEndConfig())(clips)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_mels": 40}, "n_mels is 40, expected 64 or more"),
        ({"win_length": 4096}, "win_length 4096 and n_fft 2048"),
        ({"hop_length": 0}, "hop_length is 0, expected 1 or more"),
        ({"sample_rate": 8000}, r"f_max 8000.0 Hz.*4000.0 Hz, the Nyquist frequency"),
    ],
)
def test_names_sizes_that_cannot_be(options, message):
    with pytest.raises(ModelError, match=message):
        validated(FrontEndConfig, options, of="DCASE", error=ModelError)
