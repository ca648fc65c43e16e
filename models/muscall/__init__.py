"""MusCALL, contrastive audio-language learning for music (Manco et al., ISMIR 2022)."""

from earmark.models.muscall.config import PAPER, PRESETS, RELEASED, MusCALLConfig
from earmark.models.muscall.model import MusCALL

__all__ = ["PAPER", "PRESETS", "RELEASED", "MusCALL", "MusCALLConfig"]
