"""A mel spectrogram as the input of a graph: torchaudio's, with each setting stated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from earmark.datasets.files.config_files import explained
from earmark.models.base import Floats, ModelError

_LOGS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "log": torch.log,
    "log10": torch.log10,
    "db": lambda x: 10 * torch.log10(x),
    "log1p": torch.log1p,
}


class MelSettings(BaseModel):
    """How the spectrogram is made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_fft: int = Field(gt=0)
    """Samples of a frame's transform."""
    hop: int = Field(gt=0)
    """Samples from a frame to the next one."""
    bands: int = Field(gt=0)
    win_length: int | None = Field(None, gt=0)
    """Samples of the Hann window; None: ``n_fft``."""
    f_min: float = Field(0.0, ge=0)
    """In Hz."""
    f_max: float | None = Field(None, gt=0)
    """In Hz; None: half the sample rate."""
    power: float = Field(2.0, gt=0)
    """Of the magnitudes: 2 is power, 1 is amplitude."""
    scale: Literal["htk", "slaney"] = "htk"
    """The mel scale; librosa's is Slaney's."""
    norm: Literal["none", "slaney"] = "none"
    """Of the filters: ``slaney`` divides each by its width, as librosa does."""
    centre: bool = True
    """Whether frames are centred, the clip's ends mirrored."""
    log: Literal["none", "log", "log10", "db", "log1p"] = "db"
    """``db`` is 10 log10 x, ``log1p`` is log(1 + x); of ``gain`` times the value."""
    floor: float = Field(1e-10, ge=0)
    """The smallest value that the logarithm takes."""
    gain: float = Field(1.0, gt=0)
    top_db: float | None = Field(None, gt=0)
    """Values further below a window's largest one are raised to that; ``log = "db"`` alone."""
    mean: float = 0.0
    """Subtracted in the end ..."""
    std: float = Field(1.0, gt=0)
    """... and what is divided by after that."""


class MelFrontEnd:
    """Maps windows ``(n, n_samples)`` to ``(n, bands, n_frames)``."""

    def __init__(self, settings: MelSettings, *, sample_rate: int) -> None:
        import torchaudio

        self.settings = settings
        self._spectrogram = torchaudio.transforms.MelSpectrogram(
            sample_rate=sample_rate,
            n_fft=settings.n_fft,
            win_length=settings.win_length,
            hop_length=settings.hop,
            f_min=settings.f_min,
            f_max=settings.f_max,
            n_mels=settings.bands,
            power=settings.power,
            center=settings.centre,
            norm="slaney" if settings.norm == "slaney" else None,
            mel_scale=settings.scale,
        )

    @property
    def bands(self) -> int:
        """How many rows it gives."""
        return self.settings.bands

    @property
    def shortest(self) -> int:
        """Samples of the shortest window: mirrored ends need more than half a transform."""
        return self.settings.n_fft // 2 + 1 if self.settings.centre else self.settings.n_fft

    def samples_of(self, n_frames: int) -> int:
        """Return the fewest samples that give so many frames."""
        length = (n_frames - 1) * self.settings.hop
        return max(length + (0 if self.settings.centre else self.settings.n_fft), self.shortest)

    def __call__(self, windows: Floats) -> Floats:
        settings = self.settings
        with torch.inference_mode():
            mel = self._spectrogram(torch.from_numpy(np.ascontiguousarray(windows)))
            mel = _LOGS[settings.log]((settings.gain * mel).clamp_min(settings.floor))
            if settings.top_db is not None:
                mel = torch.maximum(mel, mel.amax(dim=(1, 2), keepdim=True) - settings.top_db)
            return np.asarray(((mel - settings.mean) / settings.std).numpy())

    def __str__(self) -> str:
        given = ", ".join(f"{name} {value}" for name, value in self.settings.model_dump().items())
        return f"mel spectrogram of torchaudio: {given}"


def mel_front_end(settings: Mapping[str, Any], *, sample_rate: int, of: str) -> MelFrontEnd:
    """Return the front end of the settings of :class:`MelSettings`.

    Raises
    ------
    ModelError
        If a setting is unknown or not possible.
    """
    try:
        read = MelSettings(**settings)
    except ValidationError as error:
        raise ModelError(f"{of}: mel: {explained(error, MelSettings)}") from error
    if read.top_db is not None and read.log != "db":
        raise ModelError(f"{of}: mel: top_db needs log = 'db', got {read.log!r}")
    if read.f_max is not None and read.f_max > sample_rate / 2:
        raise ModelError(f"{of}: mel: f_max is {read.f_max:g} Hz, above half of {sample_rate} Hz")
    return MelFrontEnd(read, sample_rate=sample_rate)
