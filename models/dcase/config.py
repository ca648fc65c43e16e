"""What a DCASE baseline is made of: the released model's sizes, and the losses.

The defaults compute the same function as the released code [1]_ (MIT) on clips of one length. It
differs on purpose in three places:

* Padding never reaches an embedding: a clip's vector is the same alone and in any batch. The
  released code averages over padded frames and lets them into batch normalisation.
* An impostor is found by one draw, so that a batch without one is an error and no endless loop.
* Words are split by :func:`earmark.models.dcase.text.split_words`, not by NLTK.

References
----------
.. [1] H. Xie, S. Lipping, T. Virtanen, "Language-based audio retrieval task in DCASE 2022
       challenge", DCASE workshop 2022; code: github.com/xieh97/dcase2022-audio-retrieval.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from earmark.models.base import ModelError
from earmark.models.muscall.config import PAPER, LossConfig

Objective = Literal["triplet", "contrastive", "muscall"]

TIME_STRIDE = 4  # of the CNN: two poolings over pairs of frames
MEL_STRIDE = 64


@dataclass(frozen=True, slots=True)
class FrontEndConfig:
    """The log-mel front end: Slaney's scale and norm, power 2, natural logarithm."""

    sample_rate: int = 44_100
    """In Hz."""
    n_fft: int = 2048
    win_length: int = 1764
    """40 ms."""
    hop_length: int = 882
    """20 ms."""
    n_mels: int = 64
    f_min: float = 12.0
    f_max: float = 8000.0
    """In Hz."""

    def __post_init__(self) -> None:
        _require(
            self.n_mels >= MEL_STRIDE,
            f"n_mels is {self.n_mels}, expected at least {MEL_STRIDE}: the CNN divides by that",
        )
        _require(
            self.hop_length > 0 and 0 < self.win_length <= self.n_fft,
            f"hop_length {self.hop_length}, win_length {self.win_length} and n_fft {self.n_fft}: "
            "expected a positive hop and 0 < win_length <= n_fft",
        )
        _require(
            0 <= self.f_min < self.f_max <= self.sample_rate / 2,
            f"f_min {self.f_min} Hz and f_max {self.f_max} Hz: expected 0 <= f_min < f_max <= "
            f"{self.sample_rate / 2} Hz, the Nyquist frequency",
        )

    @property
    def minimum_samples(self) -> int:
        """The shortest audio that leaves the CNN a step; shorter audio is padded with zeros."""
        return (TIME_STRIDE - 1) * self.hop_length

    def n_frames(self, n_samples: int) -> int:
        """Return the frames of audio of a length: they are centred, the edges padded with zeros.

        >>> FrontEndConfig().n_frames(30 * 44_100)
        1501
        """
        return 1 + max(n_samples, self.minimum_samples) // self.hop_length


@dataclass(frozen=True, slots=True)
class DCASEConfig:
    """Everything that defines a model but its words; equal configs take each other's weights."""

    front_end: FrontEndConfig = field(default_factory=FrontEndConfig)
    dimension: int = 300
    """Of the joint space, which is that of the word vectors."""
    dropout: float = 0.3
    """Behind the CNN."""
    objective: Objective = "triplet"
    """``muscall`` is DCASE + CL, MusCALL's own loss on the same encoders: InfoNCE with a learned
    temperature, the sum of both directions (eq. 2), each pair weighted by its caption (eq. 4).
    ``contrastive`` is plain InfoNCE, the mean of both directions."""
    margin: float = 1.0
    """Of the triplet loss."""
    temperature: float = 0.07
    """Of the contrastive losses, where learning starts."""

    def __post_init__(self) -> None:
        _require(
            self.dimension >= 2 and self.dimension % 2 == 0,
            f"dimension is {self.dimension}, expected an even number: half for each direction "
            "of the GRU",
        )
        _require(0 <= self.dropout < 1, f"dropout is {self.dropout}, expected 0 to below 1")
        _require(
            self.objective in get_args(Objective),
            f"objective is {self.objective!r}, expected "
            f"{', '.join(map(repr, get_args(Objective)))}",
        )
        _require(self.margin > 0, f"margin is {self.margin}, expected above 0")
        _require(self.temperature > 0, f"temperature is {self.temperature}, expected above 0")

    @property
    def contrastive(self) -> LossConfig | None:
        """The contrastive loss that the objective asks for; None for triplets.

        ``muscall`` is the row DCASE + CL ("our loss" in section 5.1 of MusCALL's paper).
        """
        plain = LossConfig(combination="mean", weighting=None)
        return {"triplet": None, "contrastive": plain, "muscall": PAPER.loss}[self.objective]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ModelError(f"DCASE: {message}")
