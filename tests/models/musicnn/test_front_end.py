"""The front end against librosa's figures, and the memory's bound."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from earmark.models.musicnn import front_end
from earmark.models.musicnn.front_end import log_mel

# librosa 0.11.0: log10(10000 melspectrogram(y, sr=16000, n_fft=512, hop_length=256, n_mels=96,
# pad_mode="reflect") + 1), of the sound below.
LIBROSA = {
    (0, 0): 5.402194664034725,
    (0, 3): 3.8635269936208307,
    (1, 1): 3.037524343619876,
    (10, 20): 0.008115589890471958,
    (62, 95): 1.1154960063643147,
    (62, 80): 0.7394238084934974,
}


def sweep():
    time = np.arange(16_000) / 16_000
    phase = 2 * np.pi * (100 * time + 3000 * time**2)
    return torch.from_numpy((0.5 * np.sin(phase) * (1 - 0.6 * time)).astype(np.float32))


def test_frames_are_librosas():
    found = log_mel(sweep())
    assert found.shape == (63, 96) and found.dtype == torch.float32
    for (frame, band), value in LIBROSA.items():
        assert float(found[frame, band]) == pytest.approx(value, abs=3e-6)
    assert float(found.double().mean()) == pytest.approx(0.28588698765304027, abs=1e-6)


def test_frames_do_not_depend_on_how_many_go_through_at_once(monkeypatch):
    whole = log_mel(sweep())
    monkeypatch.setattr(front_end, "_AT_ONCE", 5)
    torch.testing.assert_close(log_mel(sweep()), whole, rtol=0, atol=1e-6)


def test_the_loudest_clip_is_finite():
    # In half precision, as the released package computes, 10000 times the power overflows.
    loud = log_mel(torch.sin(torch.arange(16_000) * 2 * torch.pi * 60 / 16_000))
    assert loud.isfinite().all() and loud.max() > np.log10(65_504)
