"""MusCALL: an audio tower and a text tower that meet in one space (Manco et al., ISMIR 2022)."""

from __future__ import annotations

import copy
import math
from typing import Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from earmark.models.muscall.audio import AttentionPool, AudioEncoder, Bottleneck, LogMel
from earmark.models.muscall.config import MusCALLConfig, preset
from earmark.models.muscall.text import TextEncoder

MAX_LOGIT_SCALE = math.log(100.0)
# A CPU encodes this much audio at once: larger feature maps fall out of its caches.
_CPU_SECONDS = 160


class MusCALL(nn.Module):
    """The model of section 3: two encoders, two linear projections, one learned temperature."""

    def __init__(self, config: MusCALLConfig) -> None:
        super().__init__()
        self.config = config
        self.folded = False
        self.log_mel = LogMel(config.audio)
        self.audio_encoder = AudioEncoder(config.audio)
        self.text_encoder = TextEncoder(config.text)
        self.audio_projection = nn.Linear(config.audio.features, config.dimension, bias=False)
        self.text_projection = nn.Linear(config.text.width, config.dimension, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(-math.log(config.loss.temperature)))
        self.projector: nn.Sequential | None = None
        if config.self_supervision is not None:
            features = config.audio.features
            self.projector = nn.Sequential(
                nn.Linear(features, features, bias=False),
                nn.ReLU(),
                nn.Linear(features, config.self_supervision.projection, bias=False),
            )

    @classmethod
    def from_preset(cls, name: str) -> Self:
        """Return an untrained model of preset ``paper`` or ``released``, in evaluation mode."""
        return cls(preset(name)).eval()

    def audio_features(self, waveforms: Tensor) -> Tensor:
        """Return shape ``(n, dimension)`` from ``(n, n_samples)``, before L2 normalisation."""
        features: Tensor = self.audio_projection(self.audio_encoder(self.log_mel(waveforms)))
        return features

    def text_features(self, token_ids: Tensor) -> Tensor:
        """Return shape ``(n, dimension)`` from ``(n, n_tokens)``, before L2 normalisation."""
        features: Tensor = self.text_projection(self.text_encoder(token_ids))
        return features

    def logits(self, audio_features: Tensor, text_features: Tensor) -> Tensor:
        """Return cosine similarities over temperature, shape ``(n_clips, n_texts)``."""
        audio, text = F.normalize(audio_features, dim=1), F.normalize(text_features, dim=1)
        return self.logit_scale.exp() * (audio @ text.T)

    def forward(self, waveforms: Tensor, token_ids: Tensor) -> Tensor:
        """Return the logits of every clip against every text, shape ``(n_clips, n_texts)``."""
        return self.logits(self.audio_features(waveforms), self.text_features(token_ids))

    @torch.no_grad()
    def clamp_temperature(self) -> None:
        """Keep similarities from being scaled by more than 100; called after each step."""
        self.logit_scale.clamp_(max=MAX_LOGIT_SCALE)

    @torch.inference_mode()
    def encode_audio(self, waveforms: Tensor) -> Tensor:
        """Return unit vectors ``(n, dimension)`` of mono audio ``(n, n_samples)``.

        Audio is at ``config.audio.sample_rate`` and of any length: below ``minimum_samples``
        (0.96 s) it is padded with zeros at its end.

        Raises
        ------
        ValueError
            If the shape is another, a sample is not finite, or the model is in training mode.
        """
        self._require_evaluation_mode()
        if waveforms.ndim != 2 or 0 in waveforms.shape or not waveforms.is_floating_point():
            raise ValueError(
                f"waveforms are {waveforms.dtype} of shape {tuple(waveforms.shape)}, expected "
                f"floating point of shape (n_clips, n_samples), neither 0"
            )
        finite = waveforms.isfinite().all(dim=1)
        if not finite.all():
            raise ValueError(f"clip {int(finite.int().argmin())} has samples that are not finite")
        at_once = len(waveforms)
        if waveforms.device.type == "cpu":
            samples = _CPU_SECONDS * self.config.audio.sample_rate
            at_once = max(1, samples // waveforms.shape[1])
        features = [self.audio_features(some) for some in torch.split(waveforms, at_once)]
        return F.normalize(torch.cat(features), dim=1)

    @torch.inference_mode()
    def encode_text(self, token_ids: Tensor) -> Tensor:
        """Return unit vectors ``(n, dimension)`` of token ids ``(n, n_tokens)``.

        Raises
        ------
        ValueError
            If a text has no end token or too many tokens, or the model is in training mode.
        """
        self._require_evaluation_mode()
        return F.normalize(self.text_features(token_ids), dim=1)

    def interpolates_positions(self, n_samples: int) -> bool:
        """Return whether audio of this length needs positions the weights were not trained on."""
        audio = self.config.audio
        return audio.pooling == "attention" and audio.grid(n_samples) != audio.grid(
            audio.clip_samples
        )

    def for_inference(self) -> Self:
        """Return a faster copy that computes the same function, neither to be trained nor saved."""
        self._require_evaluation_mode()
        if self.folded:
            return self
        model = copy.deepcopy(self).requires_grad_(False)
        model.audio_encoder = fold(self.audio_encoder)
        model.folded = True
        return model

    def _require_evaluation_mode(self) -> None:
        if self.training:
            raise ValueError(
                "encoding in training mode would drop units at random and mix the clips of a "
                "batch; call .eval() first"
            )


class MeanQueryPool(nn.Module):
    """Attention pooling with keys and values projected once a head, not once a place.

    With one query, ``q . (K x + b)`` is ``(K^T q) . x`` and a constant that softmax ignores, and
    the mean of ``V x`` is ``V`` of the mean: two products of the map's size less.
    """

    def __init__(self, pool: AttentionPool) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """Return shape ``(n, features)`` from ``(n, channels, n_bands, n_steps)``."""
        pool = self.pool
        tokens = pool.tokens(x)
        channels = tokens.shape[2]
        of_head = (pool.heads, channels // pool.heads)
        queries = pool.q_proj(tokens[:, 0]).view(-1, *of_head) * of_head[1] ** -0.5
        key_weights = pool.k_proj.weight.view(*of_head, channels)
        value_weights = pool.v_proj.weight.view(*of_head, channels)
        asked = torch.einsum("nhd,hdc->nhc", queries, key_weights)
        attended = torch.softmax(asked @ tokens.transpose(1, 2), dim=2) @ tokens
        values = torch.einsum("nhc,hdc->nhd", attended, value_weights).flatten(1)
        pooled: Tensor = pool.c_proj(values + pool.v_proj.bias)
        return pooled


def fold(encoder: AudioEncoder) -> AudioEncoder:
    """Return a frozen copy with each BatchNorm inside its convolution, channels last in memory."""
    if encoder.training:
        raise ValueError("BatchNorm folds in evaluation mode only; call .eval() first")
    folded = copy.deepcopy(encoder)
    folded.requires_grad_(False)
    for module in list(folded.modules()):
        if isinstance(module, AudioEncoder | Bottleneck):
            for number in (1, 2, 3):
                convolution, norm = getattr(module, f"conv{number}"), getattr(module, f"bn{number}")
                setattr(module, f"conv{number}", fuse_conv_bn_eval(convolution, norm))
                setattr(module, f"bn{number}", nn.Identity())
        if isinstance(module, Bottleneck) and module.downsample is not None:
            convolution, norm = cast(tuple[nn.Conv2d, nn.BatchNorm2d], tuple(module.downsample))
            module.downsample = nn.Sequential(fuse_conv_bn_eval(convolution, norm))
    if isinstance(folded.pool, AttentionPool):
        folded.pool = MeanQueryPool(folded.pool)
    for parameter in folded.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return folded
