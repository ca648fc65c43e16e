"""From one sample rate to another, block by block, so that the memory does not grow with a clip.

The filter is a sinc under a window, by default a Hann window with 6 zero crossings on either side,
cut off at 0.99 of half the lower rate. torchaudio computes it where the rates have a common divisor
that keeps its kernel small, as 44,100 and 16,000 Hz have (100 Hz). For each phase that kernel holds
as many numbers as the divided rate, nearly all of them 0: 11 GB for 44,099 Hz. Of such rates only
the others are computed here, in double precision (torchaudio rounds the phases, which moves samples
by 2e-4).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Filter:
    """A sinc under a window."""

    zero_crossings: int
    """On either side."""
    rolloff: float
    """Where it cuts off, as a share of half the lower rate."""
    beta: float | None = None
    """Of a Kaiser window; None: a Hann window."""

    def window(self, time: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the window at times in zero crossings; beyond its ends, that of the ends."""
        share = time.clip(-self.zero_crossings, self.zero_crossings) / self.zero_crossings
        if self.beta is None:
            return np.asarray(np.cos(share * np.pi / 2) ** 2)
        return np.asarray(np.i0(self.beta * np.sqrt(1 - share**2)) / np.i0(self.beta))


HANN = Filter(6, 0.99)
KAISER_BEST = Filter(64, 0.9475937167399596, 14.769656459379492)
"""That of resampy's ``kaiser_best``, with which librosa decoded by default until 0.10."""

_LARGEST_KERNEL = 1 << 20
"""Numbers in a kernel of torchaudio's, which computes ever more zeros from here on."""
_WHOLE = 1 << 25
"""Samples up to which torchaudio resamples a clip, 12 minutes at 44.1 kHz; a longer one is computed
here, with the same filter, in blocks: its samples may differ by 1e-6 of full scale."""
_BLOCK = 1 << 22
"""Samples of a longer clip that are resampled at once."""


def resampled(
    blocks: Iterable[Floats], from_hz: int, to_hz: int, *, by: Filter = HANN
) -> Iterator[Floats]:
    """Yield the samples of blocks, each of shape ``(n,)``, at another rate.

    Raises
    ------
    MemoryError
        If there is too little.
    """
    if from_hz == to_hz:
        yield from blocks
        return
    divisor = math.gcd(from_hz, to_hz)
    step, new = from_hz // divisor, to_hz // divisor
    # Beside each block so many samples are heard again that the filter sees no end there.
    context = -(-_width(step, new, by) // step) * step
    size = max(1, _BLOCK // step) * step
    held: list[Floats] = []
    n_held = before = 0
    most = _WHOLE
    for block in blocks:
        held.append(block)
        n_held += len(block)
        if n_held <= most:
            continue
        samples = np.concatenate(held)
        held.clear()
        while len(samples) > before + size + context:
            found = _by_phases(samples[: before + size + context], step, new, by)
            yield found[before // step * new : (before + size) // step * new]
            samples = samples[before + size - context :]
            before = context
        held, n_held, most = [samples.copy()], len(samples), context + size + context
    if n_held:
        is_odd = before > 0 or step * new > _LARGEST_KERNEL
        samples = np.concatenate(held)
        compute = _by_phases if is_odd else _by_torchaudio
        found = compute(samples, step, new, by)
        yield found[before // step * new :]


def _by_torchaudio(samples: Floats, step: int, new: int, by: Filter) -> Floats:
    import torch

    try:
        with torch.inference_mode():
            resampled = _transform(step, new, by)(torch.from_numpy(samples))
        return np.asarray(resampled, dtype=np.float32)
    except RuntimeError as error:
        if "alloc" in str(error):  # PyTorch has no error of its own for memory
            raise MemoryError(str(error)) from error
        raise


@lru_cache(maxsize=16)
def _transform(step: int, new: int, by: Filter) -> Callable[[object], object]:
    """Return torchaudio's resampler; its kernel is computed once a pair of rates."""
    from torchaudio.transforms import Resample

    window: dict[str, Any] = {"resampling_method": "sinc_interp_hann"}
    if by.beta is not None:
        window = {"resampling_method": "sinc_interp_kaiser", "beta": by.beta}
    transform: Callable[[object], object] = Resample(
        step, new, lowpass_filter_width=by.zero_crossings, rolloff=by.rolloff, **window
    )
    return transform


def _width(step: int, new: int, by: Filter) -> int:
    """Return how many samples on either side of a point the filter sees."""
    return math.ceil(by.zero_crossings * step / (min(step, new) * by.rolloff))


@lru_cache(maxsize=16)
def _kernel(step: int, new: int, by: Filter) -> Floats:
    """Return the filter around each of ``new`` points between samples, ``(new, 2 * width + 2)``.

    Of rates that torchaudio computes, with its phases, which are of single precision.
    """
    width, lowest = _width(step, new, by), min(step, new) * by.rolloff
    points = np.arange(new)
    at = (points * step // new)[:, None]
    phases = (points / new)[:, None]
    if step * new <= _LARGEST_KERNEL:
        phases = (points.astype(np.float32) / np.float32(new)).astype(np.float64)[:, None]
    time = ((at + np.arange(-width, width + 2)) / step - phases) * lowest
    return np.asarray(np.sinc(time) * by.window(time) * (lowest / step), np.float32)


def _by_phases(samples: Floats, step: int, new: int, by: Filter) -> Floats:
    """Return the samples at ``new / step`` times their rate, phase by phase."""
    kernel = _kernel(step, new, by)
    taps = kernel.shape[1]
    found = np.empty(-(-len(samples) * new // step), np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(samples, taps), taps)
    for phase in range(min(new, len(found))):
        first = phase * step // new + taps - (taps // 2 - 1)
        n_points = len(range(phase, len(found), new))
        found[phase::new] = windows[first::step][:n_points] @ kernel[phase]
    return found
