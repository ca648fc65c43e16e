"""Audio from files: decoding, downmix, resampling, and the faults of broken files.

A file is decoded with libsndfile (WAV, AU, AIFF, FLAC, MP3, Ogg Vorbis and Opus), mixed down to the
mean of its channels and only then resampled, so that channels and rates never change their order.

What is found out about a cut or damaged file depends on its format:

* WAV, AU, AIFF: the header promises more bytes than the file holds. Found, unless the header holds
  one of the placeholders that programs write to a pipe (0xFFFFFFFF, 0x7FFFF000 and their kin).
* FLAC: every cut and every changed bit, by the decoder (frames carry checksums).
* MP3: a cut where a Xing or Info header states the length; and a decoder that stops before the
  file's frames do (variable bit rate without such a header, damage). A cut of a file without a
  header cannot be found, nor damage that still decodes; and at a constant bit rate without a
  header the last 0.3 % (96 kbit/s) to 4 % (8 kbit/s) may be left out by libsndfile.
* Ogg: a last page that is not whole or does not end the stream, pages lost in the middle.

A shortfall of up to :data:`TOLERANCE_S` is let pass.

NumPy's ``.npy`` is read as MusCALL's manifests have it: floats at 16 kHz, of shape ``(n_samples,)``
or ``(2, n_samples)``. Such a file states no rate, so that one of another rate cannot be found out.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import struct
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TypeVar

import numpy as np
import soundfile
from numpy.typing import NDArray

from earmark.datasets.base import DataError
from earmark.datasets.mp3 import walk_frames

SILENCE_DBFS = -80.0
"""A clip whose peak is below this is silent: about three steps of 16 bits."""
LOUDEST_DBFS = 20.0
"""Above this peak, samples are not in [-1, 1] but on another scale, e.g. that of 16 bits."""
TOLERANCE_S = 0.06
"""Seconds that a file may lack: two MP3 frames, or a header counted into the size of the data."""
NPY_SAMPLE_RATE = 16_000
"""Hz of waveforms in ``.npy``, which state none: MusCALL's convention."""

_UNKNOWN_BYTES = 0x7FFF0000
"""Sizes from here on are placeholders of a program that wrote to a pipe."""
_UNKNOWN_FRAMES = 2**40


@dataclass(frozen=True, slots=True)
class Waveform:
    """Mono audio: float32 ``samples`` of shape ``(n_samples,)`` in [-1, 1]; the rate is in Hz."""

    samples: NDArray[np.float32]
    sample_rate: int


class AudioError(DataError):
    """A file that cannot be used as audio. ``path`` and ``reason`` say which and why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.path, self.reason)


class SilentAudioError(AudioError):
    """A file that decodes to silence; a caller who allows that takes ``waveform``."""

    def __init__(self, path: Path, reason: str, waveform: Waveform) -> None:
        super().__init__(path, reason)
        self.waveform = waveform

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.path, self.reason, self.waveform)


Item = TypeVar("Item")
Result = TypeVar("Result")


class _Counter:
    """Counts what all threads of this process decode."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.value = 0

    def add_one(self) -> None:
        with self._lock:
            self.value += 1


_decoded = _Counter()


def decoded_files() -> int:
    """Return how many files this process has begun to decode: equal before and after, none was."""
    return _decoded.value


def load(path: str | Path, *, sample_rate: int | None = None) -> Waveform:
    """Return the whole file as mono, resampled to ``sample_rate`` Hz where given and different.

    A lossy format may decode to peaks slightly above 1; they are kept.

    Raises
    ------
    AudioError
        If the file is absent, empty, not audio, cut, damaged, or holds a sample that is not finite
        or on another scale than [-1, 1]. The module's text says which cuts can be found.
    SilentAudioError
        If the mono signal stays below :data:`SILENCE_DBFS`; it carries the waveform.
    """
    path = Path(path)
    if sample_rate is not None and sample_rate <= 0:
        raise DataError(f"sample_rate must be positive Hz or None, got {sample_rate}")
    _check_there(path)
    _decoded.add_one()
    try:
        decode = _decode_npy if path.suffix.lower() == ".npy" else _decode
        samples, rate, loudest_channel = decode(path)
    except soundfile.LibsndfileError as error:
        detail = str(error.error_string).rstrip(".") or f"libsndfile error {error.code}"
        # libsndfile's own words for an MP3 without a single frame are "File does not exist".
        detail = "no frame of audio found" if error.code == 7 else detail
        raise AudioError(path, f"not audio that can be decoded, or damaged ({detail})") from error
    waveform = Waveform(_resample(samples, rate, sample_rate or rate), sample_rate or rate)
    _check_level(path, samples, loudest_channel, waveform)
    return waveform


def file_digest(path: str | Path) -> str:
    """Return the sha256 of the file's bytes as 64 hexadecimal digits."""
    path = Path(path)
    _check_there(path, may_be_empty=True)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def decode_ahead(
    paths: Iterable[Path], *, sample_rate: int | None, workers: int
) -> Iterator[tuple[Path, Waveform | AudioError]]:
    """Yield each path with its audio, in order, while ``workers`` threads decode the next ones.

    At most ``2 * workers`` files are held ahead of the caller, however many paths there are. A file
    that cannot be used is yielded as its error, so that one bad file does not end a run.
    """
    return map_ahead(lambda path: _try_load(path, sample_rate), paths, workers=workers)


def map_ahead(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int,
    ahead: int | None = None,
) -> Generator[tuple[Item, Result], None, None]:
    """Yield each item with what the function makes of it, in order, while threads do the next ones.

    At most ``ahead`` results (default: ``2 * workers``) are held or under way before the caller
    asks for them. When the caller breaks off, what has not begun is not begun.

    Raises
    ------
    DataError
        If there is not at least 1 worker, or not at least 1 item is done ahead.
    """
    if workers < 1:
        raise DataError(f"working ahead needs at least 1 worker, got {workers}")
    if ahead is not None and ahead < 1:
        raise DataError(f"at least 1 item must be done ahead, got {ahead}")
    return _map_ahead(function, iter(items), workers, ahead or 2 * workers)


def _map_ahead(
    function: Callable[[Item], Result], items: Iterator[Item], workers: int, ahead: int
) -> Generator[tuple[Item, Result], None, None]:
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="ahead")
    try:
        waiting.extend((i, pool.submit(function, i)) for i in itertools.islice(items, ahead))
        while waiting:
            item, future = waiting.popleft()
            result = future.result()
            waiting.extend((i, pool.submit(function, i)) for i in itertools.islice(items, 1))
            yield item, result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _try_load(path: Path, sample_rate: int | None) -> Waveform | AudioError:
    try:
        return load(path, sample_rate=sample_rate)
    except AudioError as error:
        return error


def _check_there(path: Path, *, may_be_empty: bool = False) -> None:
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise AudioError(path, "no such file") from None
    except OSError as error:
        raise AudioError(path, f"cannot be read: {error.strerror}") from error
    if not path.is_file():
        raise AudioError(path, "not a file")
    if size == 0 and not may_be_empty:
        raise AudioError(path, "the file is empty (0 bytes)")


def _decode(path: Path) -> tuple[NDArray[np.float32], int, float]:
    """Return the mean of the channels, the rate in Hz, and the peak of the loudest channel."""
    headerless = "not audio that can be decoded: no header tells its rate; convert it"
    if path.suffix.lower() == ".raw":
        raise AudioError(path, headerless)
    with soundfile.SoundFile(os.fsencode(path) if os.name == "posix" else path) as file:
        if file.format == "RAW":
            # libsndfile takes any bytes named .au or .snd for headerless speech.
            raise AudioError(path, headerless)
        if file.frames == 0:
            raise AudioError(path, "holds no samples: written empty, never finished or cut")
        if file.frames > _UNKNOWN_FRAMES:
            raise AudioError(path, "its header gives no length (written to a pipe?); re-encode it")
        # One read: between two, soundfile seeks, which changes the last bits of an MP3.
        channels = file.read(dtype="float32", always_2d=True)
        rate = int(file.samplerate)
        promised, mend = _promised_frames(path, file.format, file.frames)
    if len(channels) + TOLERANCE_S * rate < promised:
        raise AudioError(
            path,
            f"only {len(channels) / rate:.2f} s of {promised / rate:.2f} s can be decoded; {mend}",
        )
    if file.format == "OGG" and not _ogg_ends(path):
        raise AudioError(path, "cut: its last Ogg page is not whole or does not end the stream")
    peak = max(-float(channels.min()), float(channels.max()))
    # Channel by channel: NumPy's reduction along rows of two numbers is ten times slower.
    mono = channels[:, 0].copy()
    for other in channels.T[1:]:
        mono += other
    mono /= channels.shape[1]
    return mono, rate, peak


def _decode_npy(path: Path) -> tuple[NDArray[np.float32], int, float]:
    try:
        with path.open("rb") as file:
            # A pickled object could run code.
            channels = np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise AudioError(path, f"not an array that NumPy can read: {error}") from error
    expected = "expected floats of shape (n_samples,) or (2, n_samples)"
    if channels.dtype.kind != "f":
        raise AudioError(path, f"{expected}, found {channels.dtype}")
    if channels.ndim not in (1, 2) or (channels.ndim == 2 and len(channels) != 2):
        raise AudioError(path, f"{expected}, found shape {channels.shape}")
    if channels.size == 0:
        raise AudioError(path, "holds no samples")
    mono = channels if channels.ndim == 1 else channels.mean(axis=0)
    return mono.astype(np.float32), NPY_SAMPLE_RATE, float(np.abs(channels).max())


def _promised_frames(path: Path, kind: str, frames: int) -> tuple[float, str]:
    """Return how many samples a channel the file should give, and the mend if it gives fewer."""
    if kind == "MP3":
        found = walk_frames(path)
        if not found.has_header:
            promised = found.n_samples * (1 - found.estimate_error)
            return promised, "variable bit rate without a Xing header, or damaged: re-encode it"
    elif kind in ("WAV", "WAVEX", "AU", "AIFF") and (data := _data_bytes(path)):
        start, size = data
        present = path.stat().st_size - start
        if size < _UNKNOWN_BYTES and size > present > 0:
            return frames * size / present, "the file is cut: copy it again"
    return frames, "the file is cut or damaged: copy it again"


def _data_bytes(path: Path) -> tuple[int, int] | None:
    """Return where the samples begin and how many bytes of them the header promises."""
    with path.open("rb") as file:
        magic = file.read(12)
        if magic[:4] == b".snd":
            start, size = struct.unpack(">II", magic[4:])
            return start, size
        if magic[:4] not in (b"RIFF", b"RIFX", b"FORM"):
            return None
        order = "<" if magic[:4] == b"RIFF" else ">"
        while len(head := file.read(8)) == 8:
            name, size = struct.unpack(f"{order}4sI", head)
            if name in (b"data", b"SSND"):
                return file.tell(), size
            file.seek(size + size % 2, 1)
    return None


def _ogg_ends(path: Path) -> bool:
    """Return whether the file's last page is whole and marked as the end (RFC 3533, section 6)."""
    with path.open("rb") as file:
        file.seek(-min(path.stat().st_size, 1 << 17), 2)  # the longest page has 65,307 bytes
        tail = file.read()
    at = tail.rfind(b"OggS")
    if at < 0 or len(tail) < at + 27:
        return False
    n_segments = tail[at + 26]
    lengths = tail[at + 27 : at + 27 + n_segments]
    whole = at + 27 + n_segments + sum(lengths) <= len(tail)
    return whole and bool(tail[at + 5] & 4)


def _check_level(
    path: Path, samples: NDArray[np.float32], loudest_channel: float, waveform: Waveform
) -> None:
    if not np.isfinite(samples).all():
        first = int(np.flatnonzero(~np.isfinite(samples))[0])
        raise AudioError(path, f"sample {first} is {samples[first]}, expected a finite number")
    peak = float(np.abs(samples).max())
    if peak > 10 ** (LOUDEST_DBFS / 20):
        raise AudioError(path, f"samples reach {peak:g}, expected [-1, 1]: rescale the file")
    silence = 10 ** (SILENCE_DBFS / 20)
    if peak < silence:
        cause = (
            ": its channels cancel each other in the downmix" if loudest_channel > silence else ""
        )
        raise SilentAudioError(path, f"silent (peak below {SILENCE_DBFS:g} dBFS){cause}", waveform)


@lru_cache(maxsize=16)
def _resampler(from_hz: int, to_hz: int) -> Callable[[object], object]:
    """Return torchaudio's windowed-sinc resampler; its kernel is computed once a pair of rates."""
    from torchaudio.transforms import Resample

    resampler: Callable[[object], object] = Resample(
        from_hz,
        to_hz,
        resampling_method="sinc_interp_hann",
        lowpass_filter_width=6,
        rolloff=0.99,
    )
    return resampler


def _resample(samples: NDArray[np.float32], from_hz: int, to_hz: int) -> NDArray[np.float32]:
    if from_hz == to_hz:
        return samples
    import torch

    with torch.inference_mode():
        resampled = _resampler(from_hz, to_hz)(torch.from_numpy(samples))
    return np.asarray(resampled, dtype=np.float32)
