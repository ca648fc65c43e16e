"""What a signal says before any learning: loudness and a few descriptors, as a plain baseline.

A clip is one vector of :data:`DESCRIPTORS`, computed over the whole of it at 22,050 Hz:

``loudness``
    Integrated loudness of EBU R 128 [1]_ of the mono signal, LUFS; -70 where all of it is gated.
``level``
    Root mean square, dB below full scale; at least -100.
``level_deviation``
    Standard deviation of the levels of frames, dB.
``low_energy``
    Share of frames whose root mean square is below the clip's mean of them [2]_, 0 to 1.
``centroid``
    Mean spectral centroid of frames, in octaves above 1 kHz.
``flux``
    Mean Euclidean distance between the magnitude spectra of successive frames, each of sum 1.
``onsets``
    Peaks of the mean rise of log magnitudes that stand out of their half second, per second.
``zero_crossings``
    Changes of sign, thousands per second.

Frames are Hann windows of 1,024 samples every 512. Frames of digital silence have the centroid and
flux 0. A clip shorter than 0.4 s, the block that loudness is measured on, is repeated to it.

References
----------
.. [1] EBU R 128, "Loudness normalisation and permitted maximum level of audio signals", 2020;
       measured as ITU-R BS.1770-4 says.
.. [2] G. Tzanetakis, P. Cook, "Musical genre classification of audio signals", IEEE Transactions on
       Speech and Audio Processing 10(5), 2002, section III.A.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.audio import Waveform
from earmark.models.base import UNTRAINED, Floats, ModelCard, ModelError
from earmark.models.support.adapter import RESAMPLER, check_clips

Doubles = NDArray[np.float64]

SAMPLE_RATE = 22_050
DESCRIPTORS = (
    "loudness", "level", "level_deviation", "low_energy", "centroid", "flux", "onsets",
    "zero_crossings",
)  # fmt: skip
_FFT, _HOP = 1024, 512
_BLOCK = int(0.4 * SAMPLE_RATE)
_QUIETEST_LUFS, _QUIETEST_DB = -70.0, -100.0
_STANDARD_GAIN = 1.0049949
_HALF_SECOND = round(0.5 * SAMPLE_RATE / _HOP)
_LEAST_RISE = 0.02
"""Mean rise of an onset over the spectrum, in powers of ten: 0.4 dB."""
_STANDS_OUT = 1.5
"""Times the mean rise of the half second around it that a peak must reach to be an onset."""


class SignalDescriptors:
    """A plain baseline; a :class:`~earmark.models.base.PatchEmbedder` of one patch a clip.

    Parameters
    ----------
    descriptors
        Those that are wanted, in this order; by default all.
    """

    sample_rate: int | None = SAMPLE_RATE

    def __init__(self, descriptors: Sequence[str] = DESCRIPTORS) -> None:
        chosen = tuple(descriptors)
        unknown = [name for name in chosen if name not in DESCRIPTORS]
        if isinstance(descriptors, str) or unknown or len(set(chosen)) < max(len(chosen), 1):
            raise ModelError(
                f"signal-descriptors: descriptors is {descriptors!r}, expected some of "
                f"{', '.join(DESCRIPTORS)}, each once"
            )
        self.descriptors = chosen
        self.dimension = len(chosen)
        self.card = ModelCard(
            id="signal-descriptors" if chosen == DESCRIPTORS else "+".join(chosen),
            version="1",
            weights_digest=UNTRAINED,
            licence="Apache-2.0",
            citation="unpublished",
            training_datasets=(),
            crop_policy="the whole clip",
            preprocessing={
                "sample_rate": SAMPLE_RATE,
                "resampler": RESAMPLER,
                "descriptors": ", ".join(chosen),
                "frame_samples": _FFT,
                "frame_hop_samples": _HOP,
            },
            notes=("Computed from the signal; nothing was learned.",),
        )

    def embed_patches(self, clip: Waveform) -> Floats:
        """Return the descriptors, shape ``(1, dimension)``, in the units of the module.

        Raises
        ------
        ModelError
            If the clip is empty, not mono, not finite, or not at 22,050 Hz.
        """
        check_clips([clip], SAMPLE_RATE)
        samples = np.asarray(clip.samples, np.float64)
        if len(samples) < _BLOCK:
            samples = np.resize(samples, _BLOCK)
        found = describe(samples)
        return np.array([[found[name] for name in self.descriptors]], np.float32)


def describe(samples: Doubles) -> dict[str, float]:
    """Return every descriptor of mono samples at 22,050 Hz, at least 0.4 s of them."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, _FFT)[::_HOP]
    rms = np.sqrt((frames**2).mean(axis=1))
    magnitudes = np.abs(np.fft.rfft(frames * np.hanning(_FFT), axis=1))
    totals = magnitudes.sum(axis=1, keepdims=True)
    shapes = magnitudes / np.where(totals > 0, totals, 1)
    crossings = np.count_nonzero(np.diff(np.signbit(samples)))
    return {
        "loudness": _loudness(samples),
        "level": float(_decibels(np.sqrt(np.mean(samples**2)))),
        "level_deviation": float(_decibels(rms).std()),
        "low_energy": float(np.mean(rms < rms.mean())),
        "centroid": _centroid(shapes),
        "flux": float(np.linalg.norm(np.diff(shapes, axis=0), axis=1).mean()),
        "onsets": _onsets(magnitudes) / (len(samples) / SAMPLE_RATE),
        "zero_crossings": float(crossings) / (len(samples) / SAMPLE_RATE) / 1000,
    }


def _loudness(samples: Doubles) -> float:
    """Return integrated loudness: K-weighted, in blocks of 0.4 s every 0.1 s, gated twice [1]_."""
    from scipy.signal import lfilter

    weighted = samples
    for numerator, denominator in _k_weighting():
        weighted = lfilter(numerator, denominator, weighted)
    blocks = np.lib.stride_tricks.sliding_window_view(weighted, _BLOCK)[:: _BLOCK // 4]
    power = (blocks**2).mean(axis=1)
    power = power[_lufs(power) > _QUIETEST_LUFS]
    if not len(power):
        return _QUIETEST_LUFS
    heard = power[_lufs(power) > _lufs(power.mean()) - 10]
    return float(_lufs(heard.mean()))


def _lufs(power: Doubles) -> Doubles:
    with np.errstate(divide="ignore"):
        return np.asarray(-0.691 + 10 * np.log10(power))


def _k_weighting() -> tuple[tuple[Doubles, Doubles], tuple[Doubles, Doubles]]:
    """Return the two filters of BS.1770, given there for 48 kHz, at this rate.

    By the bilinear transform of the analogue filters that those are designs of: a shelf of 4 dB
    above 1,682 Hz, and a high pass at 38 Hz.
    """
    k, q = np.tan(np.pi * 1681.974450955533 / SAMPLE_RATE), 0.7071752369554196
    gain = 10 ** (3.999843853973347 / 20)
    knee = gain**0.4996667741545416
    shelf = np.array([gain + knee * k / q + k**2, 2 * (k**2 - gain), gain - knee * k / q + k**2])
    below = np.array([1 + k / q + k**2, 2 * (k**2 - 1), 1 - k / q + k**2])
    k, q = np.tan(np.pi * 38.13547087602444 / SAMPLE_RATE), 0.5003270373238773
    low = np.array([1 + k / q + k**2, 2 * (k**2 - 1), 1 - k / q + k**2])
    # The standard's high pass at 48 kHz lets high frequencies through at this gain, not at 1.
    return (shelf, below), (np.array([1.0, -2.0, 1.0]) * _STANDARD_GAIN, low)


def _decibels(amplitude: Doubles) -> Doubles:
    floor = 10 ** (_QUIETEST_DB / 20)
    return np.asarray(20 * np.log10(np.maximum(amplitude, floor)))


def _centroid(shapes: Doubles) -> float:
    sounding = shapes[shapes.any(axis=1)]
    if not len(sounding):
        return 0.0
    bins = np.fft.rfftfreq(_FFT, 1 / SAMPLE_RATE)
    return float(np.log2(np.maximum(sounding @ bins, bins[1]) / 1000).mean())


def _onsets(magnitudes: Doubles) -> int:
    """Count the peaks of the mean rise of log magnitudes; the scale of the samples is no matter.

    Magnitudes are taken relative to the clip's greatest, 60 dB deep.
    """
    peak = magnitudes.max()
    if peak == 0:
        return 0
    logs = np.log10(np.maximum(magnitudes / peak, 1e-3))
    rise = np.maximum(np.diff(logs, axis=0), 0).mean(axis=1)
    if len(rise) < 3:
        return 0
    width = min(_HALF_SECOND, len(rise))
    around = np.convolve(rise, np.ones(width), "same") / np.convolve(
        np.ones(len(rise)), np.ones(width), "same"
    )
    middle = rise[1:-1]
    found = (middle > rise[:-2]) & (middle >= rise[2:]) & (middle > _STANDS_OUT * around[1:-1])
    return int(np.count_nonzero(found & (middle > _LEAST_RISE)))


def signal_descriptors(*, descriptors: Sequence[str] = DESCRIPTORS) -> SignalDescriptors:
    """Return the plain baseline, or a part of it.

    Parameters
    ----------
    descriptors
        Which to take, e.g. ``["loudness"]``.

    Raises
    ------
    ModelError
        If a descriptor is unknown or there twice, or there is none.
    """
    return SignalDescriptors(descriptors)
