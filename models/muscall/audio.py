"""The audio encoder: ResNet-50 as CLIP modified it, on a log-mel spectrogram (section 3.4).

Three things differ from the ResNet of He et al., as in Radford et al., "Learning Transferable
Visual Models From Natural Language Supervision", 2021, section 2.4: a stem of three convolutions,
average pooling before every strided step (so nothing aliases), and attention pooling at the end.
"""

from __future__ import annotations

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

from earmark.models.muscall.config import AudioConfig

_EXPANSION = 4  # of a bottleneck: channels out per channel inside


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut; average pooling does the striding."""

    def __init__(self, inputs: int, width: int, *, stride: int) -> None:
        super().__init__()
        outputs = width * _EXPANSION
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.relu = nn.ReLU(inplace=True)
        self.downsample = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
            if stride > 1 or inputs != outputs
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(self.pool(x))
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(self.pool(x)))
        x += shortcut
        activated: Tensor = self.relu(x)
        return activated


class AttentionPool(nn.Module):
    """Multi-head attention over a feature map, asked by its mean; only that answer is computed.

    Positions are learned on the grid of the training length. On another grid they are interpolated
    (bicubic, antialiased), the mean token's position being kept as it is.
    """

    def __init__(self, grid: tuple[int, int], channels: int, *, heads: int, features: int) -> None:
        super().__init__()
        self.grid = grid
        self.heads = heads
        n_bands, n_steps = grid
        self.positional_embedding = nn.Parameter(
            torch.randn(1 + n_bands * n_steps, channels) / channels**0.5
        )
        self.q_proj = nn.Linear(channels, channels)
        self.k_proj = nn.Linear(channels, channels)
        self.v_proj = nn.Linear(channels, channels)
        self.c_proj = nn.Linear(channels, features)

    def forward(self, x: Tensor) -> Tensor:
        """Return shape ``(n, features)`` from ``(n, channels, n_bands, n_steps)``."""
        tokens = self.tokens(x)
        queries = self._by_head(self.q_proj(tokens[:, :1]))
        keys, values = self._by_head(self.k_proj(tokens)), self._by_head(self.v_proj(tokens))
        attended = F.scaled_dot_product_attention(queries, keys, values)
        pooled: Tensor = self.c_proj(attended.flatten(1))
        return pooled

    def tokens(self, x: Tensor) -> Tensor:
        """Return the mean and every place of the map, with positions: ``(n, 1 + n_places, c)``."""
        places = x.flatten(2).transpose(1, 2)
        tokens = torch.cat([places.mean(dim=1, keepdim=True), places], dim=1)
        return tokens + self.positions((x.shape[2], x.shape[3])).to(tokens.dtype)

    def positions(self, grid: tuple[int, int]) -> Tensor:
        """Return the positional embedding for a grid, shape ``(1 + n_bands * n_steps, c)``."""
        if grid == self.grid:
            return self.positional_embedding
        mean, places = self.positional_embedding[:1], self.positional_embedding[1:]
        as_image = places.T.reshape(1, -1, *self.grid).float()
        resized = F.interpolate(as_image, grid, mode="bicubic", antialias=True)
        return torch.cat([mean, resized[0].flatten(1).T.to(mean.dtype)])

    def _by_head(self, x: Tensor) -> Tensor:
        n, length, channels = x.shape
        return x.view(n, length, self.heads, channels // self.heads).transpose(1, 2)


class AveragePool(nn.Module):
    """Mean over the feature map, then a linear layer: the ablation of section 6.2."""

    def __init__(self, channels: int, *, features: int) -> None:
        super().__init__()
        self.projection = nn.Linear(channels, features)

    def forward(self, x: Tensor) -> Tensor:
        """Return shape ``(n, features)`` from ``(n, channels, n_bands, n_steps)``."""
        pooled: Tensor = self.projection(x.mean(dim=(2, 3)))
        return pooled


class AudioEncoder(nn.Module):
    """From a log-mel spectrogram to one vector a clip; any length of audio."""

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        width = config.width
        self.conv1 = nn.Conv2d(1, width // 2, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width // 2)
        self.conv2 = nn.Conv2d(width // 2, width // 2, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width // 2)
        self.conv3 = nn.Conv2d(width // 2, width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.stem_pool = nn.AvgPool2d(2)
        depth1, depth2, depth3, depth4 = config.layers
        self.layer1 = _layer(width, width, depth=depth1, stride=1)
        self.layer2 = _layer(4 * width, 2 * width, depth=depth2, stride=2)
        self.layer3 = _layer(8 * width, 4 * width, depth=depth3, stride=2)
        self.layer4 = _layer(16 * width, 8 * width, depth=depth4, stride=2)
        channels = 32 * width
        self.pool: nn.Module
        if config.pooling == "attention":
            self.pool = AttentionPool(
                config.grid(config.clip_samples),
                channels,
                heads=config.heads,
                features=config.features,
            )
        else:
            self.pool = AveragePool(channels, features=config.features)

    def forward(self, mel: Tensor) -> Tensor:
        """Return shape ``(n, features)`` from ``(n, n_mels, n_frames)``."""
        x = mel.unsqueeze(1)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.relu(self.bn3(self.conv3(x)))
        x = self.stem_pool(x)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        pooled: Tensor = self.pool(x)
        return pooled


def _layer(inputs: int, width: int, *, depth: int, stride: int) -> nn.Sequential:
    first = Bottleneck(inputs, width, stride=stride)
    rest = (Bottleneck(width * _EXPANSION, width, stride=1) for _ in range(depth - 1))
    return nn.Sequential(first, *rest)


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
