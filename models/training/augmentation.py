"""Augmentation of waveforms on the device, each example by its own seed (paper section 4).

Coloured noise is torch-audiomentations' and pitch shift torch-pitch-shift's, which that calls
(extra ``train``), with the chain, order and ranges of MusCALL's released code [1]_: polarity,
noise, gain, pitch, each with an independent probability an example.

These libraries draw from the global states of :mod:`random` and of PyTorch, so that their effects
would depend on the batch, the number of devices and on everything else that draws. Here each
example has a seed: probabilities and parameters are drawn from it by NumPy and handed to the
libraries; for the noise itself, PyTorch's generator of the device is seeded with it and put back
afterwards. An example is hence augmented alike alone, in any batch and on any process (to
rounding).

Pitch is shifted by ratios that resample quickly, the library's choice: within four semitones there
are 4 at 16 kHz (-3.86, -0.41, 0.41 and 3.86 semitones), 26 at 44.1 kHz.

References
----------
.. [1] I. Manco, E. Benetos, E. Quinton, G. Fazekas, "Contrastive audio-language learning for
       music", ISMIR 2022 (arXiv:2208.12208).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor

from earmark.models.base import ModelError
from earmark.models.support.adapter import require
from earmark.models.training.batches import scale
from earmark.models.training.config import AugmentationConfig

_AT_ONCE = 8
"""Examples shifted together: each takes about 50 MB a copy of its spectrogram (20 s, 16 kHz)."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is done to one example; None or 1.0 where nothing is."""

    factor: float
    """Of polarity and gain."""
    snr_db: float | None
    noise_decay: float
    noise_seed: int
    pitch_ratio: Fraction | None

    @property
    def sign(self) -> float:
        """-1.0 where the polarity is inverted."""
        return -1.0 if self.factor < 0 else 1.0


class Augmentation:
    """Augments batches; every draw comes from an example's seed, none from the global state.

    Parameters
    ----------
    sample_rate
        In Hz.
    stream
        Two chains with the same seeds but other streams draw independently, e.g. 0 for the input
        and 1 for the second view.

    Raises
    ------
    ModelError
        If torch-audiomentations is needed and cannot be imported (extra ``train``), or there is no
        quick pitch shift in the range.
    """

    def __init__(self, config: AugmentationConfig, *, sample_rate: int, stream: int = 0) -> None:
        self.config, self.sample_rate, self.stream = config, sample_rate, stream
        self._noise: Any = None
        self._shift: Any = None
        self.pitch_ratios: tuple[Fraction, ...] = ()
        """That pitch is shifted by, ascending."""
        if config.p_noise > 0:
            library = require("torch_audiomentations", extra="train", of="augmentation")
            self._noise = library.AddColoredNoise(output_type="dict")
        if config.p_pitch_shift > 0:
            self._shift = require("torch_pitch_shift", extra="train", of="augmentation").pitch_shift
            self.pitch_ratios = _quick_ratios(sample_rate, *config.semitones)

    def draw(self, seed: int) -> Drawn:
        """Return what an example with this seed undergoes."""
        c = self.config
        rng = np.random.default_rng([seed, self.stream])
        # Each is drawn whether it is used or not: a probability changes nothing but its own.
        polarity, noise, gain, shift = rng.random(4)
        snr, decay, decibels = (rng.uniform(*r) for r in (c.snr_db, c.noise_decay, c.gain_db))
        which, noise_seed = rng.random(), int(rng.integers(2**63))
        factor = -1.0 if polarity < c.p_polarity else 1.0
        factor *= 10 ** (decibels / 20) if gain < c.p_gain else 1.0
        shifted = shift < c.p_pitch_shift
        return Drawn(
            factor=factor,
            snr_db=float(snr) if noise < c.p_noise else None,
            noise_decay=float(decay),
            noise_seed=noise_seed,
            pitch_ratio=self.pitch_ratios[int(which * len(self.pitch_ratios))] if shifted else None,
        )

    @torch.no_grad()
    def __call__(
        self, waveforms: Tensor, seeds: Tensor, *, lengths: Tensor | None = None
    ) -> Tensor:
        """Return float32 of shape ``(n, n_samples)`` on the device of the waveforms.

        Nothing is clipped: noise and gain may lead out of [-1, 1].

        Parameters
        ----------
        waveforms
            Shape ``(n, n_samples)``: int16, or floats in [-1, 1]; they are not changed.
        seeds
            int64, shape ``(n,)``; on the CPU they cost no synchronisation.
        lengths
            Samples of each row that are audio, shape ``(n,)``; what lies behind stays 0, and noise
            is measured against the audio alone.
        """
        _check_input(waveforms, seeds, lengths)
        if waveforms.dtype == torch.int16:
            rows = scale(waveforms)
        else:
            rows = waveforms.to(torch.float32, copy=True)
        n_samples = rows.shape[1]
        ends = [n_samples] * len(rows) if lengths is None else lengths.tolist()
        drawn = [self.draw(seed) for seed in seeds.tolist()]
        with torch.autocast(rows.device.type, enabled=False):
            self._scale_and_add_noise(rows, drawn, ends)
            self._shift_pitch(rows, drawn)
        for row, one, end in zip(rows, drawn, ends, strict=True):
            if one.pitch_ratio is not None:
                row[end:] = 0
        return rows

    def _scale_and_add_noise(self, rows: Tensor, drawn: list[Drawn], ends: list[int]) -> None:
        with _kept_random_state(rows.device) as generator:
            for row, one, end in zip(rows, drawn, ends, strict=True):
                if one.snr_db is not None and end > 0:
                    generator.manual_seed(one.noise_seed)
                    self._noise.transform_parameters = {
                        "snr_in_db": torch.tensor([one.snr_db], device=row.device),
                        "f_decay": torch.tensor([one.noise_decay], device=row.device),
                    }
                    # The audio's polarity is that before the noise, its gain that behind it.
                    audio = one.sign * row[:end].view(1, 1, end)
                    noisy = self._noise.apply_transform(audio, self.sample_rate).samples
                    row[:end] = abs(one.factor) * noisy.view(end)
                elif one.factor != 1.0:
                    row *= one.factor

    def _shift_pitch(self, rows: Tensor, drawn: list[Drawn]) -> None:
        """Shift together what is shifted by the same ratio."""
        if self._shift is None:
            return
        window = self.sample_rate // 64
        if rows.shape[1] < window:
            raise ModelError(
                f"{rows.shape[1]} samples are too few to shift the pitch, expected at least "
                f"{window}: take longer crops"
            )
        hop = window // self.config.pitch_overlap
        for ratio in self.pitch_ratios:
            of_ratio = [i for i, one in enumerate(drawn) if one.pitch_ratio == ratio]
            for first in range(0, len(of_ratio), _AT_ONCE):
                which = torch.tensor(of_ratio[first : first + _AT_ONCE], device=rows.device)
                examples = rows[which].unsqueeze(1)
                shifted = self._shift(examples, ratio, self.sample_rate, hop_length=hop)
                rows[which] = shifted.squeeze(1)


def _quick_ratios(sample_rate: int, low: float, high: float) -> tuple[Fraction, ...]:
    pitch = require("torch_pitch_shift", extra="train", of="augmentation")
    first, last = pitch.semitones_to_ratio(low), pitch.semitones_to_ratio(high)
    ratios = pitch.get_fast_shifts(sample_rate, lambda ratio: first <= ratio <= last and ratio != 1)
    if not ratios:
        raise ModelError(
            f"augmentation: no quick pitch shift from {low} to {high} semitones at {sample_rate} "
            f"Hz; widen the range, e.g. to -4 and 4"
        )
    return tuple(sorted(ratios))


@contextmanager
def _kept_random_state(device: torch.device) -> Iterator[torch.Generator]:
    """Yield PyTorch's own generator of a device, and put its state back in the end."""
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        generator = torch.cuda.default_generators[index]
    else:
        generator = torch.default_generator
    state = generator.get_state()
    try:
        yield generator
    finally:
        generator.set_state(state)


def _check_input(waveforms: Tensor, seeds: Tensor, lengths: Tensor | None) -> None:
    if waveforms.device.type not in ("cpu", "cuda"):
        raise ModelError(f"augmentation runs on cpu and cuda, got {waveforms.device}")
    if waveforms.ndim != 2 or not (waveforms.dtype == torch.int16 or waveforms.is_floating_point()):
        raise ModelError(
            f"augmentation needs int16 or floats of shape (n, n_samples), got {waveforms.dtype} "
            f"of shape {tuple(waveforms.shape)}"
        )
    for name, values in (("seeds", seeds), ("lengths", lengths)):
        if values is not None and values.shape != waveforms.shape[:1]:
            raise ModelError(
                f"augmentation of {len(waveforms)} waveforms needs as many {name}, got shape "
                f"{tuple(values.shape)}"
            )
