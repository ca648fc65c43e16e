"""MusCALL, contrastive audio-language learning for music (Manco et al., ISMIR 2022)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from earmark.models.muscall.config import PAPER, PRESETS, RELEASED, MusCALLConfig

if TYPE_CHECKING:
    from earmark.models.muscall.model import MusCALL

__all__ = ["PAPER", "PRESETS", "RELEASED", "MusCALL", "MusCALLConfig"]


def __getattr__(name: str) -> Any:
    """Import the network, and PyTorch with it, only where it is asked for."""
    if name != "MusCALL":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from earmark.models.muscall.model import MusCALL

    return MusCALL
