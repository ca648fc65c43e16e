"""From waveforms to log-mels, and from these by five convolutions and a GRU to a mean over time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torchaudio.transforms import MelSpectrogram

from earmark.models.base import ModelError
from earmark.models.dcase.config import MEL_STRIDE, TIME_STRIDE, DCASEConfig, FrontEndConfig

_CHANNELS = 128
_SLOPE = 0.1


class CRNN(nn.Module):
    """Maps log-mels ``(n_clips, n_frames, n_mels)`` to vectors ``(n_clips, dimension)``.

    Frames behind a clip's end are never seen: each convolution meets zeros there, as at the end of
    a clip that is alone, and batch normalisation, the GRU and the mean leave them out. In
    evaluation a clip's vector hence does not depend on its batch.
    """

    def __init__(self, config: DCASEConfig) -> None:
        super().__init__()
        self.cnn = CNN(config.dropout)
        self.gru = nn.GRU(
            _CHANNELS * (config.front_end.n_mels // MEL_STRIDE),
            config.dimension // 2,
            bidirectional=True,
            batch_first=True,
        )

    def forward(self, log_mels: Tensor, n_frames: Tensor) -> Tensor:
        """Return shape ``(n_clips, dimension)``; ``n_frames`` of shape ``(n_clips,)``, at least 4.

        The GRU's steps are brought back to the clip's frames by linear interpolation before their
        mean, as the released code does: a plain mean of steps where the frames are a multiple of 4,
        and close to it elsewhere.
        """
        features = self.cnn(log_mels, n_frames)
        n_steps = n_frames // TIME_STRIDE
        if bool((n_steps == features.shape[1]).all()):
            states = self.gru(features)[0]
        else:
            packed = pack_padded_sequence(
                features, n_steps.cpu(), batch_first=True, enforce_sorted=False
            )
            states = pad_packed_sequence(self.gru(packed)[0], batch_first=True)[0]
        states = _single(states)
        weights = torch.zeros(states.shape[:2], dtype=states.dtype)
        for row, steps, frames in zip(weights, n_steps.tolist(), n_frames.tolist(), strict=True):
            row[:steps] = _step_weights(steps, frames)
        return (weights.to(states.device).unsqueeze(-1) * states).sum(dim=1)


class CNN(nn.Module):
    """Maps log-mels to ``(n_clips, n_frames // 4, 128)``; steps behind a clip's end are 0."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        # The indices of this list are names in the released weights.
        self.features = nn.Sequential(
            nn.BatchNorm2d(1),
            nn.Conv2d(1, 32, 3, padding=1, bias=False),
            nn.LeakyReLU(_SLOPE),
            PowerPool((2, 4)),
            nn.BatchNorm2d(32),
            nn.Conv2d(32, _CHANNELS, 3, padding=1, bias=False),
            nn.LeakyReLU(_SLOPE),
            nn.BatchNorm2d(_CHANNELS),
            nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1, bias=False),
            nn.LeakyReLU(_SLOPE),
            PowerPool((2, 4)),
            nn.BatchNorm2d(_CHANNELS),
            nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1, bias=False),
            nn.LeakyReLU(_SLOPE),
            nn.BatchNorm2d(_CHANNELS),
            nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1, bias=False),
            nn.LeakyReLU(_SLOPE),
            PowerPool((1, 4)),
            nn.Dropout(dropout),
        )
        for module in self.features:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, log_mels: Tensor, n_frames: Tensor) -> Tensor:
        x, lengths = log_mels.unsqueeze(1), n_frames
        for module in self.features:
            if isinstance(module, PowerPool):
                x, lengths = module(x), lengths // module.kernel[0]
            elif isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm):
                x = _normalise_valid(module, x, lengths)
            else:
                x = module(x)
        steps = x.transpose(1, 2).flatten(2)
        return steps * _valid(lengths, steps.shape[1], steps.device).unsqueeze(-1)


class PowerPool(nn.Module):
    """The fourth root of the sum of fourth powers over windows of ``kernel`` frames and bands.

    PyTorch's ``LPPool2d`` has an infinite slope where a window is all 0, as in silence; here the
    slope is 0 there and the value 3e-10 instead of 0.
    """

    def __init__(self, kernel: tuple[int, int]) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, x: Tensor) -> Tensor:
        total = F.avg_pool2d(_single(x).pow(4), self.kernel) * (self.kernel[0] * self.kernel[1])
        return total.clamp_min(torch.finfo(total.dtype).tiny).pow(0.25)


def _single(x: Tensor) -> Tensor:
    """Return half precision as single: fourth powers and sums over many steps leave its range."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _valid(lengths: Tensor, size: int, device: torch.device) -> Tensor:
    """Return the mask ``(n_clips, size)`` of positions that are inside each clip."""
    return (torch.arange(size) < lengths.cpu().unsqueeze(1)).to(device)


def _normalise_valid(norm: nn.Module, x: Tensor, lengths: Tensor) -> Tensor:
    """Apply batch normalisation to ``x`` of shape ``(n, channels, time, bands)``.

    Positions behind a clip's end enter no statistics and come out as 0.
    """
    if bool((lengths == x.shape[2]).all()):
        normalised: Tensor = norm(x)
        return normalised
    inside = _valid(lengths, x.shape[2], x.device)
    by_time = x.transpose(1, 2)  # (n, time, channels, bands)
    values: Tensor = norm(by_time[inside].unsqueeze(-1)).squeeze(-1)
    out = values.new_zeros(by_time.shape)
    out[inside] = values
    return out.transpose(1, 2)


@lru_cache(maxsize=4096)
def _step_weights(n_steps: int, n_frames: int) -> Tensor:
    """Return each step's weight in the mean of ``n_steps`` linearly interpolated to ``n_frames``.

    Written out because the backward pass of ``interpolate`` is not deterministic on a GPU.

    >>> _step_weights(3, 12).numpy().round(4).tolist()
    [0.3333, 0.3333, 0.3333]
    >>> _step_weights(3, 14).numpy().round(4).tolist()
    [0.3342, 0.3316, 0.3342]
    """
    position = np.maximum((np.arange(n_frames) + 0.5) * n_steps / n_frames - 0.5, 0)
    left = np.minimum(position.astype(np.int64), n_steps - 1)
    right = np.minimum(left + 1, n_steps - 1)
    share = position - left
    weights = np.bincount(left, 1 - share, n_steps) + np.bincount(right, share, n_steps)
    return torch.from_numpy(weights / n_frames)


_FLOOR = 2.0**-52  # numpy.spacing(1.0), which the released code adds before the logarithm


class LogMel(nn.Module):
    """``log(mel + 2.2e-16)`` of the power mel spectrogram, frames centred.

    Edges are padded with zeros, as librosa 0.10 and later do; librosa 0.9 reflected, which changes
    the first and the last frame. Window and filter bank follow from the config and are not among
    the weights.
    """

    def __init__(self, config: FrontEndConfig) -> None:
        super().__init__()
        self.config = config
        self.mel = MelSpectrogram(
            sample_rate=config.sample_rate,
            n_fft=config.n_fft,
            win_length=config.win_length,
            hop_length=config.hop_length,
            f_min=config.f_min,
            f_max=config.f_max,
            n_mels=config.n_mels,
            norm="slaney",
            mel_scale="slaney",
            pad_mode="constant",
        )
        for module in self.mel.modules():
            for name, buffer in list(module.named_buffers(recurse=False)):
                module.register_buffer(name, buffer, persistent=False)

    def forward(self, waveforms: Sequence[Tensor] | Tensor) -> tuple[Tensor, Tensor]:
        """Return log-mels and the frames of each clip.

        Parameters
        ----------
        waveforms
            Mono clips of shape ``(n_samples,)`` each, of any lengths, at the config's rate. Those
            shorter than ``minimum_samples`` (60 ms) are padded with zeros.

        Returns
        -------
        log_mels
            Shape ``(n_clips, n_frames, n_mels)``, padded with 0 to the longest clip.
        n_frames
            Shape ``(n_clips,)``, int64, on the CPU.
        """
        if len(waveforms) == 0:
            raise ModelError("no clips to compute log-mels of")
        each = [self._log_mel(_validate(index, clip)) for index, clip in enumerate(waveforms)]
        return pad_sequence(each, batch_first=True), torch.tensor([len(frames) for frames in each])

    def _log_mel(self, waveform: Tensor) -> Tensor:
        short_by = max(self.config.minimum_samples - len(waveform), 0)
        # Powers span more than half precision holds, so autocast stops here.
        with torch.autocast(waveform.device.type, enabled=False):
            power: Tensor = self.mel(F.pad(waveform.float(), (0, short_by)))
            return torch.log(power + _FLOOR).T


def _validate(index: int, waveform: Tensor) -> Tensor:
    if waveform.ndim != 1 or len(waveform) == 0:
        raise ModelError(
            f"clip {index} has shape {tuple(waveform.shape)}, expected mono samples (n_samples,)"
        )
    if not torch.isfinite(waveform).all():
        raise ModelError(f"clip {index} has samples that are not finite; decode it again")
    return waveform
