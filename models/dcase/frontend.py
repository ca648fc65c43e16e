"""Waveform to log-mel spectrogram."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torchaudio.transforms import MelSpectrogram

from earmark.models.base import ModelError
from earmark.models.dcase.config import FrontEndConfig

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

        Raises
        ------
        ModelError
            If there is no clip, or a clip is empty, not mono, or has a sample that is not finite.
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
