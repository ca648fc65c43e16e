"""Audio from files: decoding, downmix, resampling, and the faults of broken files.

A file is known by its bytes, whatever its name, decoded with libsndfile (WAV, RF64, Wave64, AIFF,
AU, CAF, FLAC, MP3, Ogg Vorbis and Opus, ...), mixed down to the mean of its channels and only then
resampled (:mod:`earmark.datasets.resampling`), so that channels and rates never change their order.
It is read block by block: of a clip at another rate no more than the result is held whole.

A file is heard whole, or refused by name. What is found out about a cut or damaged one depends on
its format:

* WAV, RF64, Wave64, AIFF, 8SVX, CAF, AU: the header promises more bytes than the file holds. Found,
  unless the header holds one of the placeholders that programs write to a pipe (0xFFFFFFFF,
  0x7FFFF000 and their kin).
* FLAC: every changed bit, by the decoder (frames carry checksums), and every cut where the header
  states the length. A length that is too small is not believed: what follows is heard, too.
* MP3 (and layers I and II): all frames are walked. Tags and what else stands before, between and
  after them is left out; joined files are heard one after the other; a variable bit rate needs no
  Xing header. Refused are a stream of fewer frames than its header counts, frames with other bytes
  between them, or beside many bytes that are no sound. A cut of a file without such a header
  cannot be found, nor damage that still decodes.
* Ogg: a last page that is not whole or does not end the stream, pages lost in the middle. Chained
  streams are heard one after the other.

NumPy's ``.npy`` is read as MusCALL's manifests have it: floats at 16 kHz, of shape ``(n_samples,)``
or ``(2, n_samples)``. Such a file states no rate, so that one of another rate cannot be found out.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TypeVar

import numpy as np
import soundfile
from numpy.typing import NDArray

from earmark.datasets.base import DataError
from earmark.datasets.containers import (
    FlacFile,
    Span,
    SpanFile,
    data_bytes,
    ogg_streams,
    refusal,
)
from earmark.datasets.files.atomic_files import interrupts_wait
from earmark.datasets.mp3 import Mp3, c_errors, end_of_id3, find_streams
from earmark.datasets.resampling import resampled

SILENCE_DBFS = -80.0
"""A clip whose peak is below this is silent: about three steps of 16 bits."""
LOUDEST_DBFS = 20.0
"""Above this peak, samples are not in [-1, 1] but on another scale, e.g. that of 16 bits."""
TOLERANCE_S = 0.06
"""Seconds that a file may lack: two MP3 frames, or a header counted into the size of the data."""
NPY_SAMPLE_RATE = 16_000
"""Hz of waveforms in ``.npy``, which state none: MusCALL's convention."""

LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000
"""Hz; a header that says another rate is wrong."""
LONGEST_HOURS = 24
"""Of one file; a header that promises more is wrong, or the file is not a clip."""

_UNKNOWN_FRAMES = 2**40
_BLOCK = 1 << 18
"""Samples per channel that are decoded at once."""
_NO_SAMPLES = "holds no samples: written empty, never finished or cut"
_PLAIN = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"riff", b"FORM", b"caff", b".snd")
"""How the formats begin that libsndfile knows by their first bytes, and that hold one stream."""


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


Floats = NDArray[np.float32]
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
    levels = _Levels()
    with _faults_named(path):
        decode = _decode_npy if path.suffix.lower() == ".npy" else _decode
        rate, blocks = decode(path, levels)
        samples = _joined(resampled(blocks, rate, sample_rate or rate))
    waveform = Waveform(samples, sample_rate or rate)
    levels.check(path, waveform)
    return waveform


def check_header(path: str | Path) -> None:
    """Hold a file against what its bytes and its header say; nothing is decoded."""
    path = Path(path)
    _check_there(path)
    with _faults_named(path):
        if path.suffix.lower() == ".npy":
            _decode_npy(path, _Levels())
            return
        for stream in _streams(path):
            with ExitStack() as opened:
                file = _opened(stream, opened)
                if _promised(path, file, stream, file.samplerate)[0] == 0:
                    raise AudioError(path, _NO_SAMPLES)


@contextmanager
def _faults_named(path: Path) -> Iterator[None]:
    """Let what a library raises be an error of the file."""
    try:
        yield
    except soundfile.LibsndfileError as error:
        detail = str(error.error_string).rstrip(".") or f"libsndfile error {error.code}"
        # libsndfile's own words for an MP3 without a single frame are "File does not exist".
        detail = "no frame of audio found" if error.code == 7 else detail
        raise AudioError(path, f"not audio that can be decoded, or damaged ({detail})") from error
    except MemoryError as error:
        raise AudioError(
            path, f"needs more memory than there is ({error}); cut it into shorter files"
        ) from error


def file_digest(path: str | Path) -> str:
    """Return the sha256 of the file's bytes as 64 hexadecimal digits."""
    path = Path(path)
    _check_there(path, may_be_empty=True)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_FADE_S = 0.01
"""Seconds at both ends of an excerpt, so that it does not click."""
_SMALLNESS = 0.7
"""libsndfile's compression level: V7 of LAME."""


def middle(samples: Floats, length: int) -> Floats:
    """Return the ``length`` samples in the middle; all of them where there are fewer.

    >>> middle(np.arange(5, dtype=np.float32), 3)
    array([1., 2., 3.], dtype=float32)
    """
    start = max(0, (len(samples) - length) // 2)
    return samples[start : start + length]


def as_mp3(samples: Floats, sample_rate: int) -> bytes:
    """Return samples in [-1, 1] as MP3, faded at both ends; the same bytes for the same ones.

    Their shape is ``(n_samples,)``, or ``(n_samples, 2)`` for stereo. The rate is one that MP3
    knows: 8, 11.025, 12, 16, 22.05, 24, 32, 44.1 or 48 kHz.
    """
    piece = np.clip(samples, -1, 1)
    n_fade = min(round(_FADE_S * sample_rate), len(piece) // 2)
    if n_fade:
        ramp = np.linspace(0, 1, n_fade, dtype=np.float32).reshape(-1, *[1] * (piece.ndim - 1))
        piece[:n_fade] *= ramp
        piece[-n_fade:] *= ramp[::-1]
    file = io.BytesIO()
    with interrupts_wait():
        soundfile.write(
            file,
            piece,
            sample_rate,
            format="MP3",
            subtype="MPEG_LAYER_III",
            bitrate_mode="VARIABLE",
            compression_level=_SMALLNESS,
        )
    return file.getvalue()


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


@dataclass(frozen=True, slots=True)
class _Stream:
    """A stream that libsndfile decodes: a whole file, or a part of one."""

    source: Callable[[], Path | io.RawIOBase]
    promised: float | None = None
    """Samples per channel that it should give; None: as many as libsndfile says."""


class _SequentialFile(soundfile.SoundFile):  # type: ignore[misc]
    """A file that is read from its start to its end.

    Between two reads soundfile seeks in what can be sought in, which changes the last bits of an
    MP3; without, blocks are what one read of the whole file gives.
    """

    def seekable(self) -> bool:
        return False


def _named(source: Path | io.RawIOBase) -> bytes | Path | io.RawIOBase:
    """Return a path as bytes: soundfile cannot encode a name that is not UTF-8."""
    is_path = isinstance(source, Path) and os.name == "posix"
    return os.fsencode(source) if is_path else source  # type: ignore[arg-type]


def _decode(path: Path, levels: _Levels) -> tuple[int, Iterator[Floats]]:
    """Return the rate in Hz, and mono samples block by block."""
    blocks = _blocks(path, _streams(path))
    rate, first = next(blocks)
    every = itertools.chain([first], (block for _, block in blocks))
    return rate, map(levels.downmix, every)


def _blocks(path: Path, streams: Sequence[_Stream]) -> Iterator[tuple[int, Floats]]:
    """Yield the rate and the samples of all streams, one after the other."""
    rate = None
    for stream in streams:
        with ExitStack() as opened:
            file = _opened(stream, opened)
            rate = file.samplerate if rate is None else rate
            promised, fix = _promised(path, file, stream, rate)
            n_samples = 0
            while len(block := _next_block(path, file, stream, n_samples)):
                n_samples += len(block)
                if n_samples > LONGEST_HOURS * 3600 * rate:
                    raise AudioError(path, f"longer than {LONGEST_HOURS} h: cut it into clips")
                yield rate, block
        if n_samples + TOLERANCE_S * rate < promised:
            heard, whole = n_samples / rate, promised / rate
            raise AudioError(path, f"only {heard:.2f} s of {whole:.2f} s can be decoded; {fix}")
        if n_samples == 0:
            raise AudioError(path, _NO_SAMPLES)


def _opened(stream: _Stream, opened: ExitStack) -> _SequentialFile:
    source = stream.source()
    if not isinstance(source, Path):
        opened.enter_context(source)
    with interrupts_wait(), c_errors.silenced():  # libsndfile reads through Python
        file: _SequentialFile = opened.enter_context(_SequentialFile(_named(source)))
    return file


def _next_block(path: Path, file: _SequentialFile, stream: _Stream, done: int) -> Floats:
    """Return the samples after ``done``, shape ``(n, n_channels)``; none at the end."""
    try:
        with interrupts_wait(), c_errors.silenced():
            block: Floats = file.read(_BLOCK, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError:
        left = int(stream.promised or 0) - done
        if file.format != "FLAC" or not 0 <= left <= _BLOCK:
            raise
        # Something that is no frame, e.g. a tag, follows the samples that the header states.
        with soundfile.SoundFile(_named(path)) as stated:
            stated.seek(done)
            block = stated.read(left, dtype="float32", always_2d=True)
    return block


def _promised(path: Path, file: _SequentialFile, stream: _Stream, rate: int) -> tuple[float, str]:
    """Return how many samples per channel a stream should give, and the fix if it gives fewer.

    Refuses what no header may say.
    """
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise AudioError(
            path,
            f"its header says {rate} Hz, expected {LOWEST_RATE} to {HIGHEST_RATE} Hz; re-encode it",
        )
    if file.samplerate != rate:
        rates = f"{rate} and {file.samplerate} Hz"
        raise AudioError(path, f"joined of streams at {rates}; re-encode it at one rate")
    promised = file.frames if stream.promised is None else stream.promised
    if promised > _UNKNOWN_FRAMES:
        raise AudioError(path, "its header gives no length (written to a pipe?); re-encode it")
    if promised > LONGEST_HOURS * 3600 * rate:
        raise AudioError(
            path,
            f"its header promises {promised / rate / 3600:,.0f} h, expected at most "
            f"{LONGEST_HOURS} h: it is damaged, or to be cut into clips",
        )
    if file.frames == 0:
        raise AudioError(path, "holds no samples: written empty, never finished or cut")
    if stream.promised is None and (data := data_bytes(path)):
        start, size = data
        present = path.stat().st_size - start
        if size > present > 0:
            return file.frames * size / present, "the file is cut: copy it again"
    return promised, "the file is cut or damaged: copy it again"


def _streams(path: Path) -> list[_Stream]:
    """Return the streams of a file, in order, by what its bytes say that it is."""
    at, head = _beginning(path)
    if reason := refusal(head):
        raise AudioError(path, reason)
    if head[:4] == b"fLaC":
        with FlacFile(path, at) as flac:
            return [_Stream(lambda: FlacFile(path, at), flac.n_samples)]
    if head[:4] == b"OggS":
        return _ogg(path)
    if head[:4] in _PLAIN:
        return [_whole(path)]
    mp3 = find_streams(path.read_bytes())
    if mp3.streams:
        return _mpeg(path, mp3)
    fault = None
    if path.suffix.lower() in (".raw", ".au", ".snd"):
        fault = "no header tells its rate; convert it"
    elif head[:1] == b"\xff":  # libsndfile would look for MPEG audio further on, and find noise
        fault = "no frame of MPEG audio follows another"
    if fault:
        raise AudioError(path, f"not audio that can be decoded: {fault}")
    # Without its name, by which libsndfile would guess an MP3, or speech without a header.
    return [_Stream(_part(path, [(0, path.stat().st_size)]))]


def _whole(path: Path) -> _Stream:
    """Return a file as one stream; soundfile knows one that is called .raw by its name alone."""
    is_raw = path.suffix.lower() == ".raw"
    return _Stream(_part(path, [(0, path.stat().st_size)]) if is_raw else lambda: path)


def _part(path: Path, spans: Sequence[Span], *, open_ended: bool = False) -> Callable[[], SpanFile]:
    return lambda: SpanFile(path, spans, open_ended=open_ended)


def _beginning(path: Path) -> tuple[int, bytes]:
    """Return where a file begins behind an ID3v2 tag, and its first bytes."""
    with path.open("rb") as file:
        at = end_of_id3(file.read(10))
        file.seek(at)
        return at, file.read(1 << 14)


def _ogg(path: Path) -> list[_Stream]:
    found = ogg_streams(path)
    if not all(stream.ends for stream in found):
        raise AudioError(path, "cut: its last Ogg page is not whole or does not end the stream")
    if len(found) == 1:
        return [_whole(path)]
    return [_Stream(_part(path, [(stream.start, stream.stop)])) for stream in found]


def _mpeg(path: Path, mp3: Mp3) -> list[_Stream]:
    if fault := mp3.fault(TOLERANCE_S):
        raise AudioError(path, fault)
    if mp3.is_plain:
        return [_whole(path)]
    return [
        _Stream(
            _part(path, stream.sounding, open_ended=not stream.is_counted),
            None if stream.is_counted else stream.n_samples,
        )
        for stream in mp3.streams
    ]


def _decode_npy(path: Path, levels: _Levels) -> tuple[int, Iterator[Floats]]:
    """Return the rate in Hz, and mono samples block by block."""
    try:
        # Mapped, it is no larger than its file. A pickled object, which could run code, is not.
        channels = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, EOFError, OSError, OverflowError) as error:
        raise AudioError(path, f"not an array that NumPy can read: {error}") from error
    expected = "expected floats of shape (n_samples,) or (2, n_samples)"
    if channels.dtype.kind != "f":
        raise AudioError(path, f"{expected}, found {channels.dtype}")
    if channels.ndim not in (1, 2) or (channels.ndim == 2 and len(channels) != 2):
        raise AudioError(path, f"{expected}, found shape {channels.shape}")
    if channels.size == 0:
        raise AudioError(path, "holds no samples")

    def blocks() -> Iterator[Floats]:
        for start in range(0, channels.shape[-1], _BLOCK):
            block = np.asarray(channels[..., start : start + _BLOCK])
            mono = (block if block.ndim == 1 else block.mean(axis=0)).astype(np.float32)
            yield levels.noted(mono, float(np.abs(block).max()))

    return NPY_SAMPLE_RATE, blocks()


class _Levels:
    """What the samples of a file reach, block by block."""

    def __init__(self) -> None:
        self._n_samples = 0
        self._peak = self._loudest_channel = 0.0
        self._bad: tuple[int, float] | None = None
        """The first sample that is not finite."""

    def downmix(self, channels: Floats) -> Floats:
        """Return the mean of the channels, shape ``(n,)``, of samples ``(n, n_channels)``."""
        # Channel by channel: NumPy's reduction along rows of two numbers is ten times slower.
        mono = channels[:, 0].copy()
        for other in channels.T[1:]:
            mono += other
        mono /= channels.shape[1]
        return self.noted(mono, max(-float(channels.min()), float(channels.max())))

    def noted(self, mono: Floats, loudest_channel: float) -> Floats:
        """Return mono samples, having noted their levels and the peak of the loudest channel."""
        peak = max(-float(mono.min()), float(mono.max()))  # NaN if any sample is
        if not np.isfinite(peak) and self._bad is None:
            first = int(np.flatnonzero(~np.isfinite(mono))[0])
            self._bad = (self._n_samples + first, float(mono[first]))
        self._n_samples += len(mono)
        self._peak = max(self._peak, peak)
        self._loudest_channel = max(self._loudest_channel, loudest_channel)
        return mono

    def check(self, path: Path, waveform: Waveform) -> None:
        """Raise AudioError for samples that are no sound, SilentAudioError for silence."""
        if self._bad is not None:
            place, value = self._bad
            raise AudioError(path, f"sample {place} is {value}, expected a finite number")
        if self._peak > 10 ** (LOUDEST_DBFS / 20):
            raise AudioError(
                path, f"samples reach {self._peak:g}, expected [-1, 1]: rescale the file"
            )
        silence = 10 ** (SILENCE_DBFS / 20)
        if self._peak < silence:
            cancels = self._loudest_channel > silence
            cause = ": its channels cancel each other in the downmix" if cancels else ""
            raise SilentAudioError(
                path, f"silent (peak below {SILENCE_DBFS:g} dBFS){cause}", waveform
            )


def _joined(blocks: Iterator[Floats]) -> Floats:
    """Return all blocks as one array, which grows in place: none is held twice."""
    samples = next(blocks)
    n_samples = len(samples)
    for block in blocks:
        if not samples.flags.owndata:
            samples = samples.copy()
        if n_samples + len(block) > len(samples):
            samples.resize(n_samples + max(len(block), n_samples // 8), refcheck=False)
        samples[n_samples : n_samples + len(block)] = block
        n_samples += len(block)
    if n_samples < len(samples):
        samples.resize(n_samples, refcheck=False)
    return samples
