"""The files of one Etude track: rendered once, written whole or not at all."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType

import numpy as np
import soundfile
from numpy.typing import NDArray

from earmark.datasets.base import DataError
from earmark.datasets.etude.compose import compose
from earmark.datasets.etude.corpus import Track, label
from earmark.datasets.etude.manifest import write_whole
from earmark.datasets.etude.render import render
from earmark.datasets.etude.score import Score
from earmark.datasets.files.atomic import interrupts_wait

SAMPLE_RATE, MP3_SAMPLE_RATE = 22_050, 16_000

_MP3_LEVEL = 0.79
"""libsndfile's compression level that gives 40 kbit/s at 16 kHz: the lowest rate whose frames have
room for the header that tells decoders the exact length."""


_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Made:
    """A track whose files are there."""

    track: Track
    digest: str
    """sha256 of the WAV file."""
    files: Mapping[str, str]
    """sha256 of each of its files by name."""


def make_track(
    number: int,
    folder: Path,
    *,
    seed: int,
    seconds: float,
    mp3: bool,
    digests: Mapping[str, str] = MappingProxyType({}),
) -> Made:
    """Write the files of a track that are not there yet; return its labels and their digests.

    A file whose sha256 is not that in ``digests`` counts as not there.
    """
    score = compose(number, seed=seed, seconds=seconds)
    wav, target = folder / f"{number:05d}.wav", folder / f"{number:05d}.mp3"
    content = _kept(wav, digests)
    if content is None:
        content = _encode(_quantised(score), SAMPLE_RATE, format="WAV", subtype="PCM_16")
        write_whole(wav, content)
    files = {wav.name: sha256(content).hexdigest()}
    compressed = _kept(target, digests)
    if mp3 and compressed is None:
        # From the file's own 16 bits: an MP3 that is added later must not differ.
        with interrupts_wait():
            samples, _ = soundfile.read(io.BytesIO(content), dtype="float32")
        compressed = _as_mp3(samples)
        write_whole(target, compressed)
    if compressed is not None:
        files[target.name] = sha256(compressed).hexdigest()
    return Made(label(score), files[wav.name], files)


def _kept(path: Path, digests: Mapping[str, str]) -> bytes | None:
    """Return a file that is there and, where its digest is known, has it."""
    if not path.is_file():
        return None
    content = path.read_bytes()
    found = sha256(content).hexdigest()
    if digests.get(path.name, found) == found:
        return content
    _log.warning("%s has changed since the corpus was finished; it is made again", path)
    return None


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
    with interrupts_wait():
        soundfile.write(buffer, samples, sample_rate, **options)
    return buffer.getvalue()
