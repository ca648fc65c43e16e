"""Arousal and valence of an Etude track: what the score makes them, and what raters say of it.

The truth
---------
Both dimensions are weighted sums of cues, squeezed into emoMusic's scale of 1 to 9:
``5 + 4 * tanh(sum / 4)``. Signs are those that studies of musical cues agree on [1]_; sizes and
constants (:data:`AROUSAL`, :data:`VALENCE`) are set so that the corpus has about emoMusic's means,
spreads and correlation. The cues (:func:`cues`):

``tempo``
    In octaves from 110 beats per minute.
``density``
    Onsets per second, in octaves from 8.
``loudness``
    In units of 7.5 LU from -12.5 LUFS: -1 to 1 over the corpus.
``mode``
    1 major, -1 minor.
``register``
    Mean pitch in octaves from MIDI 60.
``brightness``
    -1 dark to 1 bright.
``distortion``
    Saturation of the mix, 0 to 1.

Raters
------
emoMusic's ratings are means over at least ten listeners who gave whole numbers from 1 to 9. Here
ten raters hear the truth with independent Gaussian noise of standard deviation :data:`RATER_SD` and
answer with the nearest whole number from 1 to 9.

References
----------
.. [1] T. Eerola, A. Friberg, R. Bresin, "Emotional expression in music: contribution, linearity,
       and additivity of primary musical cues", Frontiers in Psychology 4:487, 2013.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, stdev
from types import MappingProxyType

from earmark.datasets.etude.draws import Draws
from earmark.datasets.etude.score import Score

STREAM = 102
"""Of the draws (:class:`.draws.Draws`) that raters are made with."""

N_RATERS = 10
RATER_SD = 1.6
"""Of one rater, in points of the scale; in emoMusic it is 1.65 for arousal, 1.56 for valence."""

AROUSAL: Mapping[str, float] = MappingProxyType(
    {
        "constant": -0.6,
        "tempo": 1.3,
        "density": 0.75,
        "loudness": 1.2,
        "mode": 0.0,
        "register": 0.1,
        "brightness": 0.8,
        "distortion": 1.0,
    }
)
"""Weights of the cues and the constant, in points of the scale."""

VALENCE: Mapping[str, float] = MappingProxyType(
    {
        "constant": 0.2,
        "tempo": 1.4,
        "density": 0.7,
        "loudness": 0.4,
        "mode": 0.9,
        "register": 0.4,
        "brightness": 0.8,
        "distortion": -1.2,
    }
)


@dataclass(frozen=True, slots=True)
class Affect:
    """Arousal and valence, each in (1, 9)."""

    arousal: float
    valence: float


@dataclass(frozen=True, slots=True)
class Rating:
    """What the raters of one dimension say together: mean and sample standard deviation."""

    mean: float
    sd: float


def cues(score: Score) -> dict[str, float]:
    """Return what arousal and valence depend on, by the names of the weights."""
    return {
        "constant": 1.0,
        "tempo": math.log2(score.tempo / 110),
        "density": math.log2(max(score.density, 0.5) / 8),
        "loudness": (score.loudness + 12.5) / 7.5,
        "mode": 1.0 if score.mode == "major" else -1.0,
        "register": (score.pitch - 60) / 12,
        "brightness": 2 * score.brightness - 1,
        "distortion": score.saturation,
    }


def affect(score: Score) -> Affect:
    """Return the true arousal and valence of a track, without noise."""
    found = cues(score)
    return Affect(_on_scale(AROUSAL, found), _on_scale(VALENCE, found))


def rate(felt: Affect, *, seed: int, number: int) -> tuple[Rating, Rating]:
    """Return the raters' arousal and valence of a track whose truth is given."""
    draws = Draws(seed, number, STREAM)
    return _rate(felt.arousal, draws), _rate(felt.valence, draws)


def _rate(truth: float, draws: Draws) -> Rating:
    answers = [
        min(9, max(1, math.floor(truth + RATER_SD * draws.normal() + 0.5))) for _ in range(N_RATERS)
    ]
    return Rating(fmean(answers), stdev(answers))


def _on_scale(weights: Mapping[str, float], found: Mapping[str, float]) -> float:
    total = sum(weight * found[name] for name, weight in weights.items())
    return 5 + 4 * math.tanh(total / 4)
