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

from dataclasses import field
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from earmark.datasets.files.config_files import Count, Positive
from earmark.models.base import ModelError
from earmark.models.muscall.config import PAPER, LossConfig

Objective = Literal["triplet", "contrastive", "muscall"]

TIME_STRIDE = 4  # of the CNN: two poolings over pairs of frames
MEL_STRIDE = 64

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True, config=_STRICT)
class FrontEndConfig:
    """The log-mel front end: Slaney's scale and norm, power 2, natural logarithm."""

    sample_rate: int = 44_100
    """In Hz."""
    n_fft: int = 2048
    win_length: Count = 1764
    """40 ms."""
    hop_length: Count = 882
    """20 ms."""
    n_mels: Annotated[int, Field(ge=MEL_STRIDE)] = 64
    """The CNN divides them by 64."""
    f_min: float = 12.0
    f_max: float = 8000.0
    """In Hz."""

    def __post_init__(self) -> None:
        _require(
            self.win_length <= self.n_fft,
            f"win_length {self.win_length} and n_fft {self.n_fft}: expected win_length <= n_fft",
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


@dataclass(frozen=True, slots=True, config=_STRICT)
class DCASEConfig:
    """Everything that defines a model but its words; equal configs take each other's weights."""

    front_end: FrontEndConfig = field(default_factory=FrontEndConfig)
    dimension: Annotated[int, Field(ge=2, multiple_of=2)] = 300
    """Of the joint space, which is that of the word vectors: half for each direction of the GRU."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """Behind the CNN."""
    objective: Objective = "triplet"
    """``muscall`` is DCASE + CL, MusCALL's own loss on the same encoders: InfoNCE with a learned
    temperature, the sum of both directions (eq. 2), each pair weighted by its caption (eq. 4).
    ``contrastive`` is plain InfoNCE, the mean of both directions."""
    margin: Positive = 1.0
    """Of the triplet loss."""
    temperature: Positive = 0.07
    """Of the contrastive losses, where learning starts."""

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
