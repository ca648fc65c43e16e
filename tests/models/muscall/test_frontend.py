"""The log-mel front end against NumPy's double precision and against torchaudio's transforms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchaudio.transforms import AmplitudeToDB, MelSpectrogram

from earmark.models.muscall.audio import LogMel, mel_filter_bank
from earmark.models.muscall.config import PAPER, RELEASED, AudioConfig

CONFIGS = {"paper": PAPER.audio, "released": RELEASED.audio}


def window_in_numpy(audio: AudioConfig) -> np.ndarray:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(audio.n_fft) / audio.n_fft)


def filters_in_numpy(audio: AudioConfig) -> np.ndarray:
    """Triangles between points evenly spaced on the HTK mel scale, each of height 1."""
    lowest, highest = (2595 * np.log10(1 + f / 700) for f in (audio.f_min, audio.f_max))
    corners = 700 * (10 ** (np.linspace(lowest, highest, audio.n_mels + 2) / 2595) - 1)
    bins = np.linspace(0, audio.sample_rate / 2, audio.n_fft // 2 + 1)[:, None]
    rising = (bins - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - bins) / (corners[2:] - corners[1:-1])
    return np.maximum(0, np.minimum(rising, falling))


def log_mel_in_numpy(waveform: np.ndarray, audio: AudioConfig) -> np.ndarray:
    """The front end in double precision, frame by frame."""
    n, window = audio.n_fft, window_in_numpy(audio)
    padded = np.pad(waveform.astype(float), n // 2, mode="reflect")
    starts = range(0, len(waveform) + 1, audio.hop_length)
    spectrum = np.fft.rfft([window * padded[start : start + n] for start in starts])
    power = np.abs(spectrum) ** 2 / np.sum(window**2)
    decibels = 10 * np.log10(np.maximum(power @ filters_in_numpy(audio), 1e-10))
    return np.maximum(decibels, decibels.max() - audio.top_db).T


@pytest.mark.parametrize("preset", CONFIGS)
def test_agrees_with_numpy_in_single_precision(preset, clips):
    audio = CONFIGS[preset]
    expected = [log_mel_in_numpy(clip.numpy(), audio) for clip in clips]
    np.testing.assert_allclose(LogMel(audio)(clips), expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize("preset", CONFIGS)
def test_agrees_with_numpy_in_double_precision_given_its_window_and_filters(preset, clips):
    audio = CONFIGS[preset]
    window = window_in_numpy(audio)
    log_mel = LogMel(audio).double()
    log_mel.window = torch.tensor(window / np.sqrt(np.sum(window**2)))
    log_mel.filter_bank = torch.tensor(filters_in_numpy(audio))
    expected = [log_mel_in_numpy(clip.numpy(), audio) for clip in clips]
    np.testing.assert_allclose(log_mel(clips.double()), expected, rtol=0, atol=1e-9)


@pytest.mark.filterwarnings("ignore:At least one mel filterbank")
@pytest.mark.parametrize("preset", CONFIGS)
def test_agrees_with_torchaudio_where_its_decibels_see_a_channel_axis(preset, clips):
    audio = CONFIGS[preset]
    mel = MelSpectrogram(
        sample_rate=16_000, n_fft=1024, f_max=audio.f_max, n_mels=128, normalized=True
    )
    expected = AmplitudeToDB(top_db=100)(mel(clips).unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(LogMel(audio)(clips), expected, rtol=0, atol=1e-3)


def test_the_released_filters_leave_twelve_bands_empty_and_the_papers_none():
    energy = {name: mel_filter_bank(audio).sum(dim=0) for name, audio in CONFIGS.items()}
    assert (energy["released"] == 0).nonzero().flatten().tolist() == list(range(116, 128))
    assert (energy["paper"] > 0).all()


def test_twenty_seconds_make_626_frames():
    assert LogMel(PAPER.audio)(torch.zeros(1, 320_000)).shape == (1, 128, 626)


def test_a_clip_does_not_hear_its_neighbours(tiny_config):
    log_mel = LogMel(tiny_config.audio)
    quiet = 1e-6 * torch.randn(1, 32_000)
    loud = torch.randn(1, 32_000)
    alone, beside = log_mel(quiet), log_mel(torch.cat([quiet, loud]))[:1]
    torch.testing.assert_close(beside, alone, rtol=0, atol=1e-4)
    # A cut-off 100 dB below the loudest of the batch would leave nothing of it.
    assert alone.max() < log_mel(loud).max() - 100


@given(st.floats(1e-3, 1.0), st.integers(0, 1000))
@settings(max_examples=20)
def test_a_gain_shifts_every_band_by_its_decibels(gain, seed):
    log_mel = LogMel(PAPER.audio)
    waveform = torch.randn(1, 16_000, generator=torch.Generator().manual_seed(seed))
    shifted = log_mel(waveform) + 20 * np.log10(gain)
    torch.testing.assert_close(log_mel(gain * waveform), shifted, rtol=0, atol=1e-3)


def test_each_clip_keeps_its_top_db_and_no_more():
    # Half a second of tone, then digital silence at the amin floor.
    waveform = torch.zeros(1, 32_000)
    waveform[0, :8000] = torch.sin(2 * torch.pi * 1000 * torch.arange(8000) / 16_000)
    decibels = LogMel(AudioConfig(top_db=30.0))(waveform)
    assert (decibels.max() - decibels.min()).item() == pytest.approx(30, abs=1e-4)


@pytest.mark.parametrize("n_samples", [1, 100, 513, 15_359])
def test_short_audio_is_padded_with_zeros_at_its_end(n_samples):
    log_mel = LogMel(PAPER.audio)
    waveform = torch.randn(2, n_samples)
    padded = torch.cat([waveform, torch.zeros(2, 15_360 - n_samples)], dim=1)
    torch.testing.assert_close(log_mel(waveform), log_mel(padded), rtol=0, atol=0)


def test_silence_is_flat_and_finite():
    decibels = LogMel(PAPER.audio)(torch.zeros(1, 16_000))
    torch.testing.assert_close(decibels, torch.full_like(decibels, -100.0))


def test_autocast_does_not_reach_the_front_end(clips):
    log_mel = LogMel(PAPER.audio)
    with torch.autocast("cpu", torch.bfloat16):
        inside = log_mel(clips)
    torch.testing.assert_close(inside, log_mel(clips), rtol=0, atol=0)


def test_half_precision_audio_is_computed_in_single(clips):
    log_mel = LogMel(PAPER.audio)
    halved = clips.half()
    torch.testing.assert_close(log_mel(halved), log_mel(halved.float()), rtol=0, atol=0)


def test_the_loudness_of_audio_can_be_learned_through_it():
    waveform = (0.1 * torch.randn(1, 16_000)).requires_grad_()
    LogMel(PAPER.audio)(waveform).mean().backward()
    assert waveform.grad is not None
    assert waveform.grad.isfinite().all()
    assert waveform.grad.abs().sum() > 0


def test_holds_no_weights():
    assert not LogMel(PAPER.audio).state_dict()
