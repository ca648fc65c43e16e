"""The grammar of the ten genres: what a track of each is drawn from.

Genres share tempi, scales and instruments, as real ones do: what tells them apart is the sum of
many small differences, and some tracks borrow an instrument from another genre. The grammar itself
is data, in ``styles.toml`` beside this module: weights need not sum to 1, and the voice ``nobody``
stands for a role that is left out.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import cast

from earmark.datasets.etude.score import Scale

Weights = Mapping[str, float]
Range = tuple[float, float]

NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Harmony:
    """The chord progressions of one scale, and how often the genre takes the scale."""

    weight: float
    progressions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Style:
    """What a track of one genre is drawn from."""

    tempo: Range
    """Beats per minute in a simple metre; in 6/8 dotted beats, at 0.7 of it."""
    metres: Weights
    swing: Range
    bars_per_chord: Weights
    kits: Weights
    leads: Weights
    answers: Weights
    chords: Weights
    pads: Weights
    basses: Weights
    chord_rhythms: Weights
    """Of all the genre's metres; see ``patterns.fits``."""
    bass_rhythms: Weights
    busy: Range
    """How many of the steps a melody takes, 0 to 1."""
    wet: Range
    saturation: Range
    tilt: Range
    """dB per octave."""
    loudness: Range
    """LUFS."""
    harmony: Mapping[Scale, Harmony]
    drums: Mapping[str, Weights]
    """Patterns of each metre; a metre without has no drums."""

    @property
    def patterns(self) -> tuple[str, ...]:
        """The drum patterns of the style, of all metres."""
        return tuple(name for weights in self.drums.values() for name in weights)


@cache
def styles() -> Mapping[str, Style]:
    """Return the style of each of GTZAN's genres."""
    text = resources.files("earmark.datasets.etude").joinpath("styles.toml").read_text("utf-8")
    return MappingProxyType({genre: _style(table) for genre, table in tomllib.loads(text).items()})


def _style(table: dict[str, object]) -> Style:
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
    scales = cast(dict[Scale, dict[str, object]], fields.pop("harmony"))
    harmony = {
        scale: Harmony(cast(float, entry["weight"]), tuple(cast(list[str], entry["progressions"])))
        for scale, entry in scales.items()
    }
    return Style(**fields, harmony=harmony)  # type: ignore[arg-type]
