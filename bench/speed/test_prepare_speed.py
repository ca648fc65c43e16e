"""How fast crops come from prepared shards, against decoding an MP3 for each.

The plain way is a loader that decodes: the whole 44.1 kHz stereo MP3 of 30 s, mixed down, resampled
to 16 kHz and cut to 20 s, by the same :func:`earmark.datasets.audio.load`. Ours is a whole epoch of
:class:`Batches` with all its bookkeeping. What is compared is processor time, which is per core
whatever else the machine does. The shards are in the page cache; a first epoch from a cold
cache is timed beside it, its speed is the disk's.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from pytest_benchmark.fixture import BenchmarkFixture

from earmark.datasets.audio import load
from earmark.models.training.batches import Batches
from earmark.models.training.corpus import Corpus
from earmark.models.training.prepare import prepare
from earmark.reports.page.speed import Ratio

N_FILES, N_CLIPS = 8, 64
FILE_RATE, RATE = 44_100, 16_000
FILE_SECONDS, CROP_SECONDS = 30, 20


@pytest.fixture(autouse=True)
def one_thread(threads: Callable[[int], None]) -> None:
    threads(1)


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MP3 files with the partials and the noise of beats, 64 of 8 different ones."""
    folder = tmp_path_factory.mktemp("songs")
    seconds = np.arange(FILE_SECONDS * FILE_RATE) / FILE_RATE
    for number in range(N_FILES):
        rng = np.random.default_rng(number)
        tones = sum(np.sin(2 * np.pi * 110 * (number + 2) * k * seconds) / k for k in range(1, 9))
        beats = np.exp(-8 * (seconds % 0.5))[:, None] * rng.standard_normal((len(seconds), 2))
        stereo = 0.1 * np.asarray(tones)[:, None] * [1.0, 0.7] + 0.1 * beats
        soundfile.write(folder / f"{number:02d}.mp3", stereo, FILE_RATE)
    for number in range(N_FILES, N_CLIPS):
        shutil.copy(folder / f"{number % N_FILES:02d}.mp3", folder / f"{number:02d}.mp3")
    return folder


def decoded_crop(path: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
    samples = load(path, sample_rate=RATE).samples
    width = CROP_SECONDS * RATE
    start = (len(samples) - width) // 2
    return samples[start : start + width]


def batches_of(corpus: Corpus, **options: Any) -> Batches:
    return Batches(
        corpus,
        batch_size=16,
        crop_seconds=CROP_SECONDS,
        captions="none",
        workers=1,
        pin_memory=False,
        **options,
    )


def forget_pages(folder: Path) -> None:
    """Ask the system to drop a corpus's files from its page cache."""
    os.sync()
    for path in folder.glob("shard-*.npy"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def test_crops_from_shards_against_a_decode_each(
    ratio: Callable[..., Ratio], benchmark: BenchmarkFixture, songs: Path, tmp_path: Path
) -> None:
    folder = prepare(songs, tmp_path / "corpus").folder
    corpus = Corpus.open(folder)
    forget_pages(folder)
    training = batches_of(corpus, crop="random", shuffle=True)

    def ours() -> int:
        n_crops = sum(len(batch) for batch in training)
        assert n_crops == N_CLIPS
        return n_crops

    def plain() -> list[np.ndarray[Any, np.dtype[np.float32]]]:
        return [decoded_crop(songs / f"{number:02d}.mp3") for number in range(N_FILES)]

    def same(n_crops: int, decoded: list[np.ndarray[Any, np.dtype[np.float32]]]) -> None:
        crop_of = {
            name: row.numpy() / 2**15
            for batch in batches_of(corpus, crop="centre", shuffle=False)
            for name, row in zip(batch.ids, batch.waveforms, strict=True)
        }
        for number, expected in enumerate(decoded):
            assert np.abs(crop_of[f"{number:02d}.mp3"] - expected).max() <= 2**-16 + 1e-9

    started = time.perf_counter()
    ours()
    benchmark.extra_info["cold_crops_per_second"] = N_CLIPS / (time.perf_counter() - started)
    ratio(
        "crops from prepared shards",
        ours=ours,
        plain=plain,
        same=same,
        share=N_FILES / N_CLIPS,
        processor_time=True,
    )


def test_two_threads_that_decode_against_one(
    ratio: Callable[..., Ratio], songs: Path, tmp_path: Path
) -> None:
    """How preparing gains by threads; both sides write the same bytes."""
    calls = 0

    def prepared(workers: int) -> Path:
        nonlocal calls
        calls += 1
        return prepare(songs, tmp_path / f"{workers}-{calls}", workers=workers).folder

    def same(mine: Path, theirs: Path) -> None:
        names = sorted(path.name for path in mine.glob("shard-*.npy"))
        assert names
        assert all((mine / name).read_bytes() == (theirs / name).read_bytes() for name in names)

    ratio(
        "preparing by two threads",
        ours=lambda: prepared(2),
        plain=lambda: prepared(1),
        same=same,
        rounds=6,
        cores=2,
    )
