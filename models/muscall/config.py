"""What a MusCALL model is made of: its sizes, front end and losses, and the two presets.

``paper`` is the model of Manco et al., "Contrastive Audio-Language Learning for Music", ISMIR
2022; where the paper gives no figure it takes the released code's: the width of the ResNet-50, 16
(2.4 M parameters), where CLIP's is 64. ``released`` computes the same
function as the released code, its quirks included, and loads its checkpoints. They differ so:

====================  ====================================  =================================
what                  ``paper``                             ``released``
====================  ====================================  =================================
top of the mel scale  8000 Hz, the Nyquist frequency        11025 Hz: mel bands 116 to 127 lie
                                                            above Nyquist and are always empty
``unused_norm``       absent                                in the weights, never applied
InfoNCE               sum of both directions (eq. 2)        mean of both directions
loss weighting        the released code's, k = 0.01         none; if asked for, k = 0.01
SSL projection        256-d                                 128-d
====================  ====================================  =================================

Equation 3 as it is printed, with kappa 0.005, gives nearly all weight to one pair of a batch, and
nothing is learned from it (docs/training.md): ``weighting="paper"``, the default of
:class:`LossConfig` outside of the presets.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from earmark.datasets.files.config_files import Count, Positive, Share
from earmark.models.base import ModelError

Pooling = Literal["attention", "average"]
Combination = Literal["sum", "mean"]
Weighting = Literal["paper", "released"]

_STRICT = ConfigDict(extra="forbid")
_STRIDE = 32  # of the whole ResNet: 2 in the stem, 2 in its pooling, 2 in three of four layers


def _after_strides(size: int) -> int:
    # The stem's strided convolution rounds up, the four average poolings round down.
    return (size + 1) // 2 // 16


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ModelError(f"MusCALL: {message}")


@dataclass(frozen=True, slots=True, config=_STRICT)
class AudioConfig:
    """The mel front end and the ResNet that reads it."""

    sample_rate: int = 16_000
    """In Hz."""
    n_fft: int = 1024
    hop_length: int = 512
    n_mels: Annotated[int, Field(ge=_STRIDE)] = 128
    f_min: float = 0.0
    f_max: float = 8000.0
    """In Hz."""
    top_db: float = 100.0
    """The dynamic range kept below each clip's own maximum, in dB."""
    clip_seconds: float = 20.0
    """Of training; attention pooling interpolates its positions for any other grid."""
    width: Annotated[int, Field(multiple_of=2)] = 16
    """Channels behind the stem. The paper gives none: 16 is the released code's, CLIP's ResNet-50
    has 64."""
    layers: tuple[int, int, int, int] = (3, 4, 6, 3)
    heads: int = 8
    pooling: Pooling = "attention"
    features: int = 256
    """Dimension of the pooled vector, before the projection into the joint space."""

    def __post_init__(self) -> None:
        _require(
            32 * self.width % self.heads == 0,
            f"{self.heads} heads do not divide the {32 * self.width} channels of attention pooling",
        )
        _require(
            0 <= self.f_min < min(self.f_max, self.sample_rate / 2),
            f"f_min is {self.f_min} Hz, expected 0 or more, and below both f_max ({self.f_max} Hz) "
            f"and the Nyquist frequency ({self.sample_rate / 2} Hz)",
        )
        _require(
            self.clip_samples >= self.minimum_samples,
            f"clip_seconds is {self.clip_seconds}, expected at least "
            f"{self.minimum_samples / self.sample_rate} s: what the ResNet needs",
        )

    @property
    def clip_samples(self) -> int:
        """Samples of a training clip."""
        return round(self.clip_seconds * self.sample_rate)

    @property
    def minimum_samples(self) -> int:
        """The shortest audio whose last feature map is not empty; shorter audio is padded."""
        return max((_STRIDE - 2) * self.hop_length, self.n_fft // 2 + 1)

    def grid(self, n_samples: int) -> tuple[int, int]:
        """Return the last feature map's ``(n_bands, n_steps)`` for audio of a length.

        >>> AudioConfig().grid(20 * 16_000)
        (4, 19)
        """
        n_frames = 1 + max(n_samples, self.minimum_samples) // self.hop_length
        return _after_strides(self.n_mels), _after_strides(n_frames)


@dataclass(frozen=True, slots=True, config=_STRICT)
class TextConfig:
    """The Transformer that reads token ids of CLIP's tokenizer."""

    vocabulary: int = 49_408
    max_tokens: int = 77
    end_token: int = 49_407
    """Whose hidden state is the text's; everything behind it is padding and is never seen."""
    width: int = 512
    layers: Count = 4
    heads: int = 8
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Of attention weights and inside the feed-forward layers; not in the paper."""
    unused_norm: bool = False
    """Hold the layer norm that the released weights contain and the released code ignores."""

    def __post_init__(self) -> None:
        _require(
            self.width % self.heads == 0, f"{self.heads} heads do not divide width {self.width}"
        )
        _require(
            0 <= self.end_token < self.vocabulary,
            f"end_token is {self.end_token}, expected an id below {self.vocabulary}",
        )


@dataclass(frozen=True, slots=True, config=_STRICT)
class LossConfig:
    """The contrastive loss between audio and text (paper section 3.2)."""

    combination: Combination = "sum"
    """Of the two directions: the paper sums them (eq. 2), the released code takes the mean."""
    weighting: Weighting | None = "paper"
    """Content-aware loss weighting (section 3.2.1): eqs. 3 and 4 as printed, the released code's
    weights, or None for plain InfoNCE."""
    kappa: Positive = 0.005
    """Temperature of the weighting."""
    temperature: Positive = 0.07
    """Of the similarities, where learning starts."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class SelfSupervisionConfig:
    """The SimCLR head on the audio tower (paper section 3.3, "MusCALL-SSL")."""

    projection: int = 256
    temperature: Positive = 0.5
    weight: Share = 0.3
    """Lambda of eq. 5."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class MusCALLConfig:
    """Everything that defines a MusCALL model; equal configs take each other's weights."""

    audio: AudioConfig = AudioConfig()
    text: TextConfig = TextConfig()
    loss: LossConfig = LossConfig()
    self_supervision: SelfSupervisionConfig | None = None
    """None: no SSL head (the paper's base model)."""
    dimension: int = 512
    """Of the joint audio-text space."""


PAPER = MusCALLConfig(loss=LossConfig(combination="sum", weighting="released", kappa=0.01))
RELEASED = MusCALLConfig(
    audio=AudioConfig(f_max=11_025.0),
    text=TextConfig(unused_norm=True),
    loss=LossConfig(combination="mean", weighting=None, kappa=0.01),
)
PAPER_SSL = SelfSupervisionConfig()
"""The paper trains with it on clips of 10 s, to save memory (section 5.2)."""
RELEASED_SSL = SelfSupervisionConfig(projection=128)
PRESETS = {"paper": PAPER, "released": RELEASED}


def preset(name: str) -> MusCALLConfig:
    """Return the config of a preset."""
    if name not in PRESETS:
        raise ModelError(f"MusCALL has no preset {name!r}, expected one of {', '.join(PRESETS)}")
    return PRESETS[name]
