"""Augmentation of waveforms on the device, each example by its own seed (paper section 4)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class AugmentationConfig:
    """Independent probabilities a transformation, and ranges; the defaults are the paper's.

    The ranges and the order (polarity, noise, gain, pitch) are those of the released code.
    """

    p_polarity: float = 0.0
    p_noise: float = 0.3
    p_gain: float = 0.0
    p_pitch_shift: float = 0.4
    snr_db: tuple[float, float] = (3.0, 30.0)
    """Signal-to-noise ratio of coloured noise, in dB."""
    noise_decay: tuple[float, float] = (-2.0, 2.0)
    """Exponent of the noise's spectrum: 0 is white, 1 pink, -1 blue."""
    gain_db: tuple[float, float] = (-18.0, 6.0)
    semitones: tuple[float, float] = (-4.0, 4.0)


TRAINING = AugmentationConfig()
"""Of the input of both towers."""
SSL = AugmentationConfig(p_polarity=0.8, p_noise=0.3, p_gain=0.2, p_pitch_shift=0.4)
"""Of the second view in self-supervised learning."""
NONE = AugmentationConfig(p_noise=0.0, p_pitch_shift=0.0)


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
        If torch-audiomentations is needed and not installed (extra ``train``).
    """

    def __init__(self, config: AugmentationConfig, *, sample_rate: int, stream: int = 0) -> None:
        raise NotImplementedError

    def __call__(
        self, waveforms: Tensor, seeds: Tensor, *, lengths: Tensor | None = None
    ) -> Tensor:
        """Return float32 of shape ``(n, n_samples)`` on the device of the waveforms.

        Parameters
        ----------
        waveforms
            Shape ``(n, n_samples)``: int16, or floats in [-1, 1].
        seeds
            int64, shape ``(n,)``; on the CPU they cost no synchronisation.
        lengths
            Samples of each row that are audio, shape ``(n,)``; what lies behind stays 0.
        """
        raise NotImplementedError
