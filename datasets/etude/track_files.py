"""The files of one Etude track: rendered once, written whole or not at all."""

from __future__ import annotations

import io
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from earmark.datasets.base import DataError
from earmark.datasets.etude.composition import compose
from earmark.datasets.etude.corpus import Track, label
from earmark.datasets.etude.manifest import write_whole
from earmark.datasets.etude.rendering import render
from earmark.datasets.etude.score import Score

SAMPLE_RATE, MP3_SAMPLE_RATE = 22_050, 16_000

_MP3_LEVEL = 0.79
"""libsndfile's compression level that gives 40 kbit/s at 16 kHz: the lowest rate whose frames have
room for the header that tells decoders the exact length."""


@dataclass(frozen=True, slots=True)
class Made:
    """A track whose files are there."""

    track: Track
    digest: str
    """sha256 of the WAV file."""


def make_track(number: int, folder: Path, *, seed: int, seconds: float, mp3: bool) -> Made:
    """Write the files of a track that are not there yet; return its labels and its digest."""
    score = compose(number, seed=seed, seconds=seconds)
    wav = folder / f"{number:05d}.wav"
    if wav.is_file():
        content = wav.read_bytes()
    else:
        content = _encode(_quantised(score), SAMPLE_RATE, format="WAV", subtype="PCM_16")
        write_whole(wav, content)
    target = folder / f"{number:05d}.mp3"
    if mp3 and not target.is_file():
        # From the file's own 16 bits: an MP3 that is added later must not differ.
        samples, _ = soundfile.read(io.BytesIO(content), dtype="float32")
        write_whole(target, _as_mp3(samples))
    return Made(label(score), sha256(content).hexdigest())


def _quantised(score: Score) -> NDArray[np.int16]:
    samples = render(score, sample_rate=SAMPLE_RATE)
    peak = float(np.abs(samples).max())
    if not peak <= 1:
        raise DataError(f"{score.id} was rendered with a peak of {peak:g}, expected at most 1")
    return np.round(samples * 32767).astype(np.int16)


def _as_mp3(samples: NDArray[np.float32]) -> bytes:
    # 320 / 441 is 16,000 / 22,050. Between two samples the signal may be above their peaks.
    from scipy.signal import resample_poly

    resampled = np.clip(resample_poly(samples, 320, 441), -1, 1)
    return _encode(
        resampled,
        MP3_SAMPLE_RATE,
        format="MP3",
        subtype="MPEG_LAYER_III",
        bitrate_mode="CONSTANT",
        compression_level=_MP3_LEVEL,
    )


def _encode(samples: NDArray[np.generic], sample_rate: int, **options: object) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sample_rate, **options)
    return buffer.getvalue()
