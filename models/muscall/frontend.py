"""Waveform to log-mel spectrogram, in dB."""

from __future__ import annotations

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

from earmark.models.muscall.config import AudioConfig

_FLOOR = 1e-10  # power, i.e. -100 dB


class LogMel(nn.Module):
    """Power mel spectrogram (HTK scale, Hann window scaled to unit energy) in dB.

    Each clip is cut off ``top_db`` below its own maximum. The released code did this from the
    maximum of the whole batch until its commit 4a5168f of December 2024, so that a clip's features
    depended on its neighbours; weights trained before, the paper's among them, saw those.

    Window and filter bank follow from the config, so they are not among the weights.
    """

    window: Tensor
    filter_bank: Tensor

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        self.config = config
        window = torch.hann_window(config.n_fft)
        self.register_buffer("window", window / window.norm(), persistent=False)
        self.register_buffer("filter_bank", mel_filter_bank(config), persistent=False)

    def forward(self, waveforms: Tensor) -> Tensor:
        """Return shape ``(n, n_mels, n_frames)`` from ``(n, n_samples)``, in dB.

        Audio below ``AudioConfig.minimum_samples`` is padded with zeros at its end.
        """
        short_by = self.config.minimum_samples - waveforms.shape[1]
        if short_by > 0:
            waveforms = F.pad(waveforms, (0, short_by))
        # Powers span 200 dB, more than half precision holds.
        precision = torch.promote_types(self.window.dtype, torch.float32)
        with torch.autocast(waveforms.device.type, enabled=False):
            spectrum = torch.stft(
                waveforms.to(precision),
                n_fft=self.config.n_fft,
                hop_length=self.config.hop_length,
                window=self.window.to(precision),
                return_complex=True,
            ).transpose(1, 2)
            # Squares of the parts, not abs() ** 2: no square root on the way.
            power = spectrum.real.square() + spectrum.imag.square()
            mel = power @ self.filter_bank.to(precision)
            decibels = 10 * mel.clamp(min=_FLOOR).log10()
            loudest = decibels.amax(dim=(1, 2), keepdim=True)
            decibels = torch.maximum(decibels, loudest - self.config.top_db)
        return decibels.transpose(1, 2).to(self.window.dtype)


def mel_filter_bank(config: AudioConfig) -> Tensor:
    """Return the triangular filters, shape ``(n_fft // 2 + 1, n_mels)``, not normalised."""
    with warnings.catch_warnings():
        # Filters above Nyquist are empty: known, and stated beside the presets.
        warnings.filterwarnings("ignore", message="At least one mel filterbank")
        filters: Tensor = melscale_fbanks(
            n_freqs=config.n_fft // 2 + 1,
            f_min=config.f_min,
            f_max=config.f_max,
            n_mels=config.n_mels,
            sample_rate=config.sample_rate,
            norm=None,
            mel_scale="htk",
        )
    return filters
