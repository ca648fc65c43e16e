"""Crop policies: which parts of a clip a model hears. Never at random.

Conventions
-----------
* ``whole``: the clip as it is.
* ``centre(20 s)``: the middle 20 s; an odd sample falls to the end.
* ``first(20 s)``: the first 20 s.
* ``windows(10 s, 5 s) mean``: 10 s from 0 s, 5 s, 10 s, ... as long as they fit; where the last
  does not end with the clip, one more that does. Every sample is heard and no window of a longer
  clip is padded. The clip's vector is the mean of its windows' unit vectors, at unit norm again.

A clip shorter than the crop is ``zero-padded`` at its end, ``repeated`` from its start until it
fills the crop, or ``left short``, for models that fill it up themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from earmark.datasets.audio import Waveform
from earmark.models.base import Floats, ModelError

Kind = Literal["whole", "centre", "first", "windows"]
Short = Literal["zero-padded", "repeated", "left short"]

_POLICY = re.compile(
    r"(?P<kind>[a-z]+)"
    r"(?:\(\s*(?P<seconds>[\d.]+)\s*s?\s*(?:,\s*(?P<hop>[\d.]+)\s*s?\s*)?\))?"
    r"(?P<mean>\s+mean)?"
    r"(?:\s*,\s*(?:short clips )?(?P<short>[a-z][a-z -]*))?"
)
_EXPECTED = (
    "'whole', 'centre(20 s)', 'first(20 s)' or 'windows(10 s, 5 s)', and after a comma "
    "'zero-padded' or 'repeated' for shorter clips"
)


@dataclass(frozen=True, slots=True)
class CropPolicy:
    """One of the module's policies; ``str()`` gives what stands on a card, ``parse`` reads it.

    >>> str(CropPolicy("windows", seconds=10, hop=5, short="repeated"))
    'windows(10 s, 5 s) mean, short clips repeated'
    """

    kind: Kind
    seconds: float | None = None
    """Length of a crop; None for ``whole`` alone."""
    hop: float | None = None
    """From a window's start to the next one's, in seconds; ``windows`` alone."""
    short: Short = "zero-padded"

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind) or self.short not in get_args(Short):
            raise ModelError(
                f"crop {self.kind!r}, short clips {self.short!r}: expected {_EXPECTED}"
            )
        if (self.seconds is None) != (self.kind == "whole"):
            raise ModelError(f"crop {self.kind!r} of {self.seconds} s: expected {_EXPECTED}")
        if (self.hop is None) != (self.kind != "windows"):
            raise ModelError(f"crop {self.kind!r} with a hop of {self.hop} s: expected {_EXPECTED}")
        if self.seconds is not None and not 0 < self.seconds < float("inf"):
            raise ModelError(f"a crop must be longer than 0 s, got {self.seconds:g} s")
        if self.hop is not None and self.seconds is not None and not 0 < self.hop <= self.seconds:
            raise ModelError(
                f"the hop of windows of {self.seconds:g} s must be above 0 and at most as long, "
                f"else audio between them is lost; got {self.hop:g} s"
            )

    def __str__(self) -> str:
        if self.seconds is None:
            return self.kind
        if self.hop is None:
            text = f"{self.kind}({self.seconds:g} s)"
        else:
            text = f"{self.kind}({self.seconds:g} s, {self.hop:g} s) mean"
        return f"{text}, short clips {self.short}"

    @classmethod
    def parse(
        cls, text: str, *, seconds: float | None = None, short: Short = "zero-padded"
    ) -> CropPolicy:
        """Read a policy as written on a card or in a suite.

        ``seconds`` is the length of ``centre`` and ``first`` where the text gives none, and
        ``short`` what happens to shorter clips where it does not say.

        Raises
        ------
        ModelError
            If it is none of the policies, or a length is not possible.
        """
        found = _POLICY.fullmatch(text.strip())
        if found is None:
            raise ModelError(f"crop {text!r} is not understood: expected {_EXPECTED}")
        kind, given, hop = found["kind"], found["seconds"], found["hop"]
        if given is None and kind in ("centre", "first") and seconds is not None:
            given = str(seconds)
        if found["mean"] and kind != "windows":
            raise ModelError(f"crop {text!r}: only windows have a mean; expected {_EXPECTED}")
        if kind == "whole" and found["short"]:
            raise ModelError(f"crop {text!r}: nothing is too short for 'whole'; drop the comma")
        try:
            lengths = [None if one is None else float(one) for one in (given, hop)]
        except ValueError:
            raise ModelError(f"crop {text!r} has no length in seconds: {_EXPECTED}") from None
        return cls(kind, lengths[0], lengths[1], found["short"] or short)  # type: ignore[arg-type]

    def n_samples(self, sample_rate: int) -> int | None:
        """Return the samples of a crop at ``sample_rate`` Hz; None: as many as the clip has."""
        return None if self.seconds is None else max(1, round(self.seconds * sample_rate))

    def cut(self, samples: Floats, sample_rate: int) -> Floats:
        """Return the crops of a clip, shape ``(n_crops, n_samples)``.

        ``samples`` of shape ``(n_samples,)`` are mono at ``sample_rate`` Hz, at least one.
        """
        length = self.n_samples(sample_rate)
        if length is None or len(samples) == length:
            return samples[np.newaxis]
        if len(samples) < length:
            return self._filled(samples, length)[np.newaxis]
        return np.stack(
            [samples[start : start + length] for start in self._starts(len(samples), sample_rate)]
        )

    def _filled(self, samples: Floats, length: int) -> Floats:
        if self.short == "repeated":
            return np.resize(samples, length)  # repeats its input from the start
        if self.short == "zero-padded":
            return np.pad(samples, (0, length - len(samples)))
        return samples

    def _starts(self, n_samples: int, sample_rate: int) -> list[int]:
        room = n_samples - (self.n_samples(sample_rate) or n_samples)
        if self.hop is None:
            return [room // 2 if self.kind == "centre" else 0]
        hop = max(1, round(self.hop * sample_rate))
        starts = list(range(0, room + 1, hop))
        return starts if starts[-1] == room else [*starts, room]


def embed_crops(
    clips: Sequence[Waveform],
    policy: CropPolicy,
    embed: Callable[[Floats], Floats],
    *,
    dimension: int,
    at_once: int,
) -> Floats:
    """Return one row a clip, shape ``(n_clips, dimension)``: the mean over its crops, not yet unit.

    Crops of one length go to the model together, up to ``at_once``, so that nothing is padded to
    its neighbours' length. ``embed`` maps ``(n, n_samples)`` to unit vectors ``(n, dimension)``.
    """
    sums = np.zeros((len(clips), dimension), np.float64)
    counts = np.zeros((len(clips), 1), np.int64)
    by_length: dict[int, list[tuple[int, Floats]]] = {}

    def embed_waiting(length: int) -> None:
        owners, crops = zip(*by_length.pop(length), strict=True)
        np.add.at(sums, list(owners), embed(np.stack(crops)).astype(np.float64))

    for owner, crop in _crops(clips, policy):
        counts[owner] += 1
        by_length.setdefault(len(crop), []).append((owner, crop))
        if len(by_length[len(crop)]) == at_once:
            embed_waiting(len(crop))
    for length in list(by_length):
        embed_waiting(length)
    return (sums / np.maximum(counts, 1)).astype(np.float32)


def _crops(clips: Sequence[Waveform], policy: CropPolicy) -> Iterator[tuple[int, Floats]]:
    for owner, clip in enumerate(clips):
        for crop in policy.cut(clip.samples, clip.sample_rate):
            yield owner, crop
