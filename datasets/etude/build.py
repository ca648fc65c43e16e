"""Building the Etude corpus on disk: in parallel, resumable, and always to the same bytes.

Layout
------
::

    corpus.json          version, seed, length, number of tracks, layouts and the fingerprint
    attributes.json      what is true of each track and what its caption mentions, see .loading
    digests.json         the sha256 of each file in tracks/; a file that has another is made again
    tracks/NNNNN.wav     22,050 Hz mono, 16 bits: the one rendering of a track
    tracks/NNNNN.mp3     16 kHz mono, 40 kbit/s, of the WAV; only where a layout demands it
    captions/ gtzan/ mtat/ musav/ emomusic/     the layouts, linking to the files in tracks/

A file is written under a hidden name and renamed when it is whole, and a layout likewise, so that
whatever has its name is finished. The bytes depend on version, seed, length and number of tracks,
on the releases of NumPy, SciPy and libsndfile, and on nothing else: not on the workers, their
number or order, nor on how often the build was cut off.
"""

from __future__ import annotations

import filecmp
import hashlib
import io
import logging
import os
import shutil
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from multiprocessing import get_context, parent_process
from pathlib import Path
from types import MappingProxyType

import numpy as np
import soundfile
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from earmark.datasets.base import MARKER, DataError, Progress, first_ten
from earmark.datasets.etude.compose import compose
from earmark.datasets.etude.layouts import (
    ATTRIBUTES_FILE,
    CORPUS_FILE,
    DIGESTS_FILE,
    LAYOUTS,
    MIN_TRACKS,
    VERSION,
    Corpus,
    Source,
    Track,
    attributes_of,
    described,
    digest_of,
    known_layouts,
    label,
    marker,
    needs_mp3,
    read_corpus,
    read_digests,
    split_of,
    write_json,
    write_whole,
)
from earmark.datasets.etude.render import render
from earmark.datasets.etude.score import Score, check_track
from earmark.datasets.files.atomic_files import interrupts_wait, room_left
from earmark.datasets.files.cores import usable_cores

MAX_TRACKS = 100_000

_BATCH = 4


def build(
    out: Path | str,
    *,
    n_tracks: int,
    seconds: float,
    seed: int,
    layouts: Iterable[str] = tuple(LAYOUTS),
    workers: int | None = None,
    progress: Progress = lambda done, total, name: None,
) -> Corpus:
    """Build the corpus, or finish it where a build was cut off; return what ``corpus.json`` says.

    A finished corpus of the same seed can be given more tracks or layouts. With more than one
    worker a script must do its work under ``if __name__ == "__main__"``, as with any pool.

    Parameters
    ----------
    layouts
        Names from :data:`.layouts.LAYOUTS`.
    workers
        Processes; default: one for each core that this process may use.

    Raises
    ------
    DataError
        If an argument is out of range, the folder holds something else, another build is at work
        in it, or it cannot be written to.
    """
    out = Path(out)
    asked = Corpus(VERSION, seed, float(seconds), n_tracks, known_layouts(layouts))
    _check(asked, workers)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with FileLock(out / ".lock", timeout=0):
            return _build(out, _claim(out, asked), workers or usable_cores(), progress)
    except Timeout as error:
        raise DataError(f"another process is building in {out}: wait for it to end") from error
    except BrokenProcessPool as error:
        raise DataError(
            f"a worker of the build in {out} died (killed, or out of memory?); what is finished is "
            f"kept, and the same command goes on from there"
        ) from error
    except OSError as error:
        room = room_left(error, out)
        raise DataError(f"the Etude corpus cannot be written to {out}: {error}{room}") from error


def _build(out: Path, corpus: Corpus, workers: int, progress: Progress) -> Corpus:
    if not _is_finished(out, corpus):  # another process may be reading what it says
        write_json(out / CORPUS_FILE, described(corpus))
    folder = out / "tracks"
    folder.mkdir(exist_ok=True)
    for leftover in (*folder.glob(".*.tmp"), *out.glob(".*.tmp")):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    made = _make_all(folder, corpus, read_digests(out), workers, progress)
    digests = {name: digest for one in made for name, digest in one.files.items()}
    _verify(folder, digests)
    tracks = [one.track for one in made]
    source = Source(
        tracks,
        corpus.seed,
        corpus.seconds,
        wav=lambda number: folder / f"{number:05d}.wav",
        mp3=lambda number: folder / f"{number:05d}.mp3",
    )
    progress(0, len(corpus.layouts), "layouts")
    for done, name in enumerate(corpus.layouts, start=1):
        _write_layout(out / name, source, corpus)
        progress(done, len(corpus.layouts), "layouts")
    write_json(out / ATTRIBUTES_FILE, attributes_of(tracks))
    write_json(out / DIGESTS_FILE, digests)
    finished = replace(corpus, fingerprint=digest_of(corpus, {m.track: m.digest for m in made}))
    write_json(out / CORPUS_FILE, described(finished))
    return finished


def _is_finished(out: Path, corpus: Corpus) -> bool:
    there = read_corpus(out) if (out / CORPUS_FILE).is_file() else None
    return (
        there is not None
        and there.fingerprint is not None
        and corpus == replace(there, fingerprint=None)
    )


def _names_of(numbers: Iterable[int]) -> Iterator[str]:
    """Yield the names that files of these tracks may have."""
    for number in numbers:
        yield from (f"{number:05d}.wav", f"{number:05d}.mp3")


def _verify(folder: Path, digests: Mapping[str, str]) -> None:
    """Hold the files against what was made of them, before the corpus is called finished."""
    wrong = []
    for name, digest in digests.items():
        with (folder / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                wrong.append(name)
    if wrong:
        raise DataError(
            f"{len(wrong)} files in {folder} are not as they were written ({first_ten(wrong)}): "
            f"the disk fails, or another program writes there; remove them and build again"
        )


def _make_all(
    folder: Path, corpus: Corpus, digests: Mapping[str, str], workers: int, progress: Progress
) -> list[Made]:
    jobs = [
        _Job(numbers, folder, corpus, {n: digests[n] for n in _names_of(numbers) if n in digests})
        for first in range(0, corpus.n_tracks, _BATCH)
        for numbers in (range(first, min(first + _BATCH, corpus.n_tracks)),)
    ]
    progress(0, corpus.n_tracks, "tracks")
    made: list[Made] = []
    for batch in map(_work, jobs) if workers == 1 else _in_parallel(jobs, workers):
        made += batch
        progress(len(made), corpus.n_tracks, "tracks")
    return sorted(made, key=lambda one: one.track.number)


@dataclass(frozen=True, slots=True)
class _Job:
    """Some tracks for one worker."""

    numbers: range
    folder: Path
    corpus: Corpus
    digests: Mapping[str, str]
    """Of the files of a finished corpus."""


def _work(job: _Job) -> list[Made]:
    seed, seconds = job.corpus.seed, job.corpus.seconds
    return [
        make_track(
            number,
            job.folder,
            seed=seed,
            seconds=seconds,
            mp3=needs_mp3(job.corpus.layouts, split_of(number)),
            digests=job.digests,
        )
        for number in job.numbers
    ]


def _in_parallel(jobs: Sequence[_Job], workers: int) -> Iterator[list[Made]]:
    # Spawned, since a forked copy of a process with threads may hang; each on one thread.
    context = get_context("spawn")
    with _one_thread_each(), ProcessPoolExecutor(workers, context, _follow_the_parent) as pool:
        futures = [pool.submit(_work, job) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _follow_the_parent() -> None:
    """Let the parent alone answer to Ctrl-C, and end with it: a killed one cannot say goodbye."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_when_the_parent_has, daemon=True).start()


def _end_when_the_parent_has() -> None:
    if parent := parent_process():
        parent.join()
        os._exit(1)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Keep the linear algebra of the workers, which inherit this, from one thread a core."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _check(asked: Corpus, workers: int | None) -> None:
    if not MIN_TRACKS <= asked.n_tracks <= MAX_TRACKS:
        raise DataError(
            f"an Etude corpus has {MIN_TRACKS} to {MAX_TRACKS} tracks (with fewer, a split would "
            f"be empty), got {asked.n_tracks}"
        )
    if workers is not None and workers < 1:
        raise DataError(f"building needs at least 1 worker, got {workers}")
    check_track(0, seed=asked.seed, seconds=asked.seconds)


def _claim(out: Path, asked: Corpus) -> Corpus:
    """Return what to build, with the layouts that are there already; refuse another corpus."""
    if not (out / CORPUS_FILE).is_file():
        others = sorted(path.name for path in out.iterdir() if path.name != ".lock")
        if others:
            raise DataError(
                f"{out} holds no Etude corpus, but {', '.join(others[:5])}: give an empty folder"
            )
        return asked
    there = read_corpus(out)
    for name in ("version", "seed", "seconds"):
        old, new = getattr(there, name), getattr(asked, name)
        if old != new:
            raise DataError(
                f"{out} holds an Etude corpus with {name} {old}, asked for {new}: give another "
                f"folder, or remove that one"
            )
    if there.n_tracks > asked.n_tracks:
        raise DataError(
            f"{out} holds an Etude corpus of {there.n_tracks} tracks, asked for {asked.n_tracks}: "
            f"a corpus can grow, not shrink; give another folder"
        )
    return replace(asked, layouts=known_layouts((*asked.layouts, *there.layouts)))


def _write_layout(folder: Path, source: Source, corpus: Corpus) -> None:
    hidden = folder.with_name(f".{folder.name}.tmp")
    LAYOUTS[folder.name](hidden, source)
    write_json(hidden / MARKER, marker(corpus))
    if _same(hidden, folder):  # another process may be reading it
        shutil.rmtree(hidden)
        return
    if folder.exists():
        shutil.rmtree(folder)
    hidden.rename(folder)


def _same(one: Path, other: Path) -> bool:
    """Return whether two folders hold the same names, links and bytes."""
    names = sorted(path.relative_to(one) for path in one.rglob("*"))
    if names != sorted(path.relative_to(other) for path in other.rglob("*")):
        return False
    return all(_same_file(one / name, other / name) for name in names)


def _same_file(one: Path, other: Path) -> bool:
    if one.is_symlink() or other.is_symlink():
        return one.is_symlink() and other.is_symlink() and one.readlink() == other.readlink()
    if one.is_dir() or other.is_dir():
        return one.is_dir() and other.is_dir()
    return one.samefile(other) or filecmp.cmp(one, other, shallow=False)


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
