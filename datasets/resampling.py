"""From one sample rate to another, block by block, so that the memory does not grow with a clip.

The filter is a sinc under a Hann window: 6 zero crossings on either side, cut off at 0.99 of half
the lower rate. torchaudio computes it where the rates have a common divisor that keeps its kernel
small, as 44,100 and 16,000 Hz have (100 Hz). For each phase that kernel holds as many numbers as
the divided rate, nearly all of them 0: 11 GB for 44,099 Hz. Of such rates only the others are
computed here, in double precision (torchaudio rounds the phases, which moves samples by 2e-4).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_ZERO_CROSSINGS, _ROLLOFF = 6, 0.99
_LARGEST_KERNEL = 1 << 20
"""Numbers in a kernel of torchaudio's, which computes ever more zeros from here on."""
_WHOLE = 1 << 25
"""Samples up to which a clip is resampled at once, 12 minutes at 44.1 kHz; between that and blocks
a sample may differ in its last bit."""
_BLOCK = 1 << 22
"""Samples of a longer clip that are resampled at once."""
_AT_ONCE = 1 << 22
"""Products of an unusual pair of rates that are computed at once."""


def resampled(blocks: Iterable[Floats], from_hz: int, to_hz: int) -> Iterator[Floats]:
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
    resample = _resampler(from_hz, to_hz)
    # Beside each block so many samples are heard again that the filter sees no end there.
    context = -(-_width(step, new) // step) * step
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
        while len(samples) > before + size + context:
            found = resample(samples[: before + size + context])
            yield found[before // step * new : (before + size) // step * new]
            samples = samples[before + size - context :]
            before = context
        held, n_held, most = [samples.copy()], len(samples), context + size + context
    if n_held:
        yield resample(np.concatenate(held))[before // step * new :]


@lru_cache(maxsize=16)
def _resampler(from_hz: int, to_hz: int) -> Callable[[Floats], Floats]:
    """Return a function from the samples of a whole clip to those at another rate."""
    divisor = math.gcd(from_hz, to_hz)
    step, new = from_hz // divisor, to_hz // divisor
    if step * new > _LARGEST_KERNEL:
        kernel = _kernel(step, new)
        return lambda samples: _by_phases(samples, kernel, step)
    import torch
    from torchaudio.transforms import Resample

    transform = Resample(
        from_hz,
        to_hz,
        resampling_method="sinc_interp_hann",
        lowpass_filter_width=_ZERO_CROSSINGS,
        rolloff=_ROLLOFF,
    )

    def resample(samples: Floats) -> Floats:
        try:
            with torch.inference_mode():
                return np.asarray(transform(torch.from_numpy(samples)), dtype=np.float32)
        except RuntimeError as error:
            if "alloc" in str(error):  # PyTorch has no error of its own for memory
                raise MemoryError(str(error)) from error
            raise

    return resample


def _width(step: int, new: int) -> int:
    """Return how many samples on either side of a point the filter sees."""
    return math.ceil(_ZERO_CROSSINGS * step / (min(step, new) * _ROLLOFF))


def _kernel(step: int, new: int) -> Floats:
    """Return the filter around each of ``new`` points between samples, ``(new, 2 * width + 2)``."""
    width, lowest = _width(step, new), min(step, new) * _ROLLOFF
    phases = (np.arange(new) * step % new / new)[:, None]
    time = (np.arange(-width, width + 2) - phases) * (lowest / step)
    window = np.cos(time.clip(-_ZERO_CROSSINGS, _ZERO_CROSSINGS) * np.pi / _ZERO_CROSSINGS / 2) ** 2
    return np.asarray(np.sinc(time) * window * (lowest / step), np.float32)


def _by_phases(samples: Floats, kernel: Floats, step: int) -> Floats:
    """Return the clip at ``len(kernel) / step`` times its rate."""
    new, taps = kernel.shape
    n_found = -(-len(samples) * new // step)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(samples, taps), taps)
    found = np.empty(n_found, np.float32)
    at_once = max(1, _AT_ONCE // taps)
    for start in range(0, n_found, at_once):
        points = np.arange(start, min(start + at_once, n_found), dtype=np.int64)
        first = points * step // new + taps - (taps // 2 - 1)
        found[start : start + len(points)] = np.einsum(
            "ij,ij->i", windows[first], kernel[points % new]
        )
    return found
