"""The drum kit's pieces, each made of noise and of sines whose pitch falls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from earmark.datasets.base import DataError
from earmark.datasets.etude import synthesis as waves
from earmark.datasets.etude.score import PIECES
from earmark.datasets.etude.synthesis import Signal

PEAK = 0.6
"""Of a stroke on the kick drum; the other pieces' peaks are below."""


@dataclass(frozen=True, slots=True)
class Kit:
    """How the pieces of one drum voice differ from another's."""

    kick: float
    """Hz at which the kick drum settles."""
    boom: float
    """Seconds in which the kick drum falls by 60 dB."""
    snap: float
    """Level of the snare's noise against its skin."""
    ring: float
    """By how much longer cymbals and skins ring."""
    soft: float
    """Cut-off in Hz of a low-pass over all pieces but the kick drum; 0: none."""


KITS: Mapping[str, Kit] = MappingProxyType(
    {
        "drum kit": Kit(58.0, 0.28, 1.0, 1.0, 0.0),
        "brushed drums": Kit(62.0, 0.2, 2.2, 1.3, 5500.0),
        "drum machine": Kit(47.0, 0.6, 1.4, 0.7, 0.0),
        "hand percussion": Kit(80.0, 0.25, 0.4, 1.0, 6000.0),
    }
)

_LEVELS = {
    "kick": 1.0,
    "snare": 0.8,
    "rim": 0.5,
    "clap": 0.65,
    "closed hat": 0.32,
    "open hat": 0.36,
    "ride": 0.34,
    "crash": 0.55,
    "low tom": 0.75,
    "high tom": 0.7,
    "shaker": 0.28,
    "conga": 0.6,
}


def stroke(kit: str, piece: int, *, sample_rate: int) -> Signal:
    """Return one stroke: float32, shape ``(n_samples,)``.

    Raises
    ------
    DataError
        If the kit is unknown, or the piece is no index into ``PIECES``.
    """
    if kit not in KITS:
        raise DataError(f"{kit!r} is no drum voice of Etude; expected one of {list(KITS)}")
    if not 0 <= piece < len(PIECES):
        raise DataError(f"a kit has pieces 0 to {len(PIECES) - 1}, got {piece}")
    name, spec = PIECES[piece], KITS[kit]
    out = _piece(name, spec, sample_rate)
    if spec.soft and name != "kick":
        out = waves.low_pass(out, sample_rate, min(spec.soft, 0.45 * sample_rate))
    # A struck skin or plate starts with its loudest sample; a fade at the end avoids a click.
    out = out * waves.ramp(out.size, sample_rate, 0.05)[::-1]
    gain = round(PEAK * _LEVELS[name] / float(np.abs(out).max()), 5)
    return out * np.float32(gain)


def _piece(name: str, kit: Kit, rate: int) -> Signal:
    if name == "kick":
        return _sum(
            _skin(kit.kick, kit.boom, rate, fall=2.2), _hiss(0.02, rate, 1500) * np.float32(0.3)
        )
    if name == "snare":
        hiss = _hiss(0.18 * kit.ring, rate, 1200) * np.float32(kit.snap)
        return _sum(_skin(185.0, 0.12 * kit.ring, rate, fall=0.3), hiss)
    if name == "rim":
        return waves.bars(
            1700.0, round(0.1 * rate), rate, ((1, 1, 0.05), (1.53, 0.7, 0.04), (0.3, 0.5, 0.06))
        )
    if name == "clap":
        return _clap(rate)
    if name in ("low tom", "high tom"):
        hertz = 95.0 if name == "low tom" else 150.0
        return _skin(hertz, 0.45 * kit.ring, rate, fall=0.5)
    if name == "conga":
        return _skin(260.0, 0.22 * kit.ring, rate, fall=0.15)
    if name == "shaker":
        hiss = _hiss(0.09, rate, 5000)
        return hiss * waves.ramp(hiss.size, rate, 0.025)
    seconds = {"closed hat": 0.06, "open hat": 0.4, "ride": 0.5, "crash": 1.4}[name] * kit.ring
    plate = _hiss(seconds, rate, 5500 if "hat" in name else 3500)
    if name == "ride":
        ping = waves.bars(3100.0, plate.size, rate, ((1, 0.5, 0.35), (1.37, 0.3, 0.3)))
        return plate * np.float32(0.5) + ping
    return plate


def _skin(hertz: float, seconds: float, rate: int, *, fall: float) -> Signal:
    """Return a sine whose pitch falls to ``hertz`` from ``1 + fall`` times that."""
    n_samples = round((seconds + 0.05) * rate)
    time = np.arange(n_samples) / rate
    # The integral of the falling part, with a time constant of 20 ms.
    slide = fall * 0.02 * (1 - waves.decay(n_samples, rate, 0.02 * 6.9))
    return waves.sine((time + slide) * hertz) * waves.decay(n_samples, rate, seconds)


def _hiss(seconds: float, rate: int, hertz: float) -> Signal:
    n_samples = round(min(seconds + 0.05, 2.0) * rate)
    hiss = waves.noise(n_samples, rate, start=int(hertz))
    hiss = waves.high_pass(hiss, rate, min(hertz, 0.4 * rate))
    return hiss * waves.decay(n_samples, rate, round(seconds, 3))


def _clap(rate: int) -> Signal:
    hiss = _hiss(0.2, rate, 900)
    hiss = waves.low_pass(hiss, rate, min(3500, 0.4 * rate))
    out = np.zeros(hiss.size + round(0.03 * rate), np.float32)
    for hand, gain in enumerate((0.7, 0.8, 1.0)):
        start = round(0.012 * hand * rate)
        out[start : start + hiss.size] += np.float32(gain) * hiss
    return out


def _sum(first: Signal, second: Signal) -> Signal:
    out = np.zeros(max(first.size, second.size), np.float32)
    out[: first.size] += first
    out[: second.size] += second
    return out
