"""The front end of musicnn: audio at 16 kHz to frames of 96 log mel bands.

A frame is a Hann window of 512 samples, 256 apart, centred; the audio is mirrored at its ends. The
96 bands (Slaney's mel scale and normalisation, 0 to 8 kHz) of its power *x* become
``log10(1 + 10000 x)``: what the released package computes with librosa's defaults, but for its
rounding to half precision before the logarithm, in which loud low notes overflow.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
import torchaudio
from torch import Tensor

SAMPLE_RATE, FFT, HOP, N_BANDS = 16_000, 512, 256, 96
_AT_ONCE = 4096
"""Frames, 66 s: bounds the memory."""


def log_mel(samples: Tensor) -> Tensor:
    """Return frames ``(1 + n_samples // 256, 96)`` of mono ``(n_samples,)``, more than 256."""
    padded = F.pad(samples[None], (FFT // 2, FFT // 2), mode="reflect")[0]
    window = torch.hann_window(FFT, device=samples.device)
    bands = _bands().to(samples.device)
    found = []
    for frames in torch.split(padded.unfold(0, FFT, HOP), _AT_ONCE):
        spectrum = torch.fft.rfft(frames * window)
        power = spectrum.real.square() + spectrum.imag.square()
        found.append(torch.log10(1 + 10_000 * (power @ bands)))
    return torch.cat(found)


@cache
def _bands() -> Tensor:
    """Triangles of Slaney's scale, ``(257, 96)``, each of area 1 over Hz."""
    bands: Tensor = torchaudio.functional.melscale_fbanks(
        FFT // 2 + 1, 0.0, SAMPLE_RATE / 2, N_BANDS, SAMPLE_RATE, norm="slaney", mel_scale="slaney"
    )
    return bands
