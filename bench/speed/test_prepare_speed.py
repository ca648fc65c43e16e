"""How fast crops come from prepared shards, against decoding an MP3 for each.

Run it by name (it is no part of the tests): ``pytest bench/speed/test_prepare_speed.py -s``.

The plain way is a loader that decodes: the whole 44.1 kHz stereo MP3 of 30 s, mixed down, resampled
to 16 kHz and cut to 20 s, by the same :func:`earmark.datasets.audio.load`. Ours is a whole epoch of
:class:`Batches` with all its bookkeeping. Both run in turns in one process. What is asserted is the
ratio in crops per second of processor time, which is per core whatever else the machine does. Crops
are compared before anything is timed. The shards are in the page cache; a first epoch from a cold
cache is timed beside it, its speed is the disk's.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from earmark.datasets.audio import load
from earmark.models.training.batches import Batches
from earmark.models.training.corpus import Corpus
from earmark.models.training.preparation import prepare

TARGET = 50
ROUNDS = 7
N_FILES, N_CLIPS = 8, 64
FILE_RATE, RATE = 44_100, 16_000
FILE_SECONDS, CROP_SECONDS = 30, 20


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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


@dataclass
class Runs:
    """Wall-clock and processor seconds of each run of one way."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def time(self, run: Callable[[], object]) -> None:
        processor, wall = time.process_time(), time.perf_counter()
        run()
        self.wall.append(time.perf_counter() - wall)
        self.processor.append(time.process_time() - processor)


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
    benchmark: BenchmarkFixture, songs: Path, tmp_path: Path
) -> None:
    folder = prepare(songs, tmp_path / "corpus").folder
    corpus = Corpus.open(folder)
    for batch in batches_of(corpus, crop="centre", shuffle=False):
        for name, row in zip(batch.ids[:2], batch.waveforms, strict=False):
            error = np.abs(row.numpy() / 2**15 - decoded_crop(songs / name)).max()
            assert error <= 2**-16 + 1e-9

    training = batches_of(corpus, crop="random", shuffle=True)

    def ours() -> None:
        assert sum(len(batch) for batch in training) == N_CLIPS

    def plain() -> None:
        for number in range(N_FILES):
            decoded_crop(songs / f"{number:02d}.mp3")

    cold, warm, decoding = Runs(), Runs(), Runs()
    forget_pages(folder)
    del corpus
    cold.time(ours)
    for _ in range(ROUNDS):
        warm.time(ours)
        decoding.time(plain)
    figures = {
        "crops_per_core_second": N_CLIPS / min(warm.processor),
        "crops_per_second": N_CLIPS / min(warm.wall),
        "cold_crops_per_second": N_CLIPS / cold.wall[0],
        "decodes_per_core_second": N_FILES / min(decoding.processor),
        "decodes_per_second": N_FILES / min(decoding.wall),
        "ratio_per_core": min(decoding.processor) / N_FILES / (min(warm.processor) / N_CLIPS),
        "ratio_of_wall_clock": min(decoding.wall) / N_FILES / (min(warm.wall) / N_CLIPS),
    }
    benchmark.extra_info |= figures
    benchmark.pedantic(ours, rounds=3)  # type: ignore[no-untyped-call]
    print("\n" + ", ".join(f"{name} {value:.1f}" for name, value in figures.items()))
    assert figures["ratio_per_core"] >= TARGET


def test_threads_that_decode(benchmark: BenchmarkFixture, songs: Path, tmp_path: Path) -> None:
    """How preparing gains by threads: little more than cores' worth can be expected."""
    taken: dict[int, Runs] = {1: Runs(), 2: Runs()}
    for turn in range(2):
        for workers, runs in taken.items():
            out = tmp_path / f"{workers}-{turn}"
            runs.time(partial(prepare, songs, out, workers=workers))
    one, two = taken[1], taken[2]
    figures = {
        "clips_per_second_1_thread": N_CLIPS / min(one.wall),
        "clips_per_second_2_threads": N_CLIPS / min(two.wall),
        "clips_per_core_second": N_CLIPS / min(one.processor),
        "gain_of_2_threads": min(one.wall) / min(two.wall),
        "more_processor_time_of_2_threads": min(two.processor) / min(one.processor),
        "cores_got": max(p / w for p, w in zip(two.processor, two.wall, strict=True)),
    }
    benchmark.extra_info |= figures
    benchmark.pedantic(lambda: prepare(songs, tmp_path / "1-0"), rounds=1)  # type: ignore[no-untyped-call]
    print("\n" + ", ".join(f"{name} {value:.2f}" for name, value in figures.items()))
