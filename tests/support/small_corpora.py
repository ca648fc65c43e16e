"""Small corpora of invented sounds, for the tests of training."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import soundfile

from earmark.models.training.corpus import Corpus
from earmark.models.training.prepare import prepare

RATE = 16_000


def sound(number: int, n_samples: int) -> np.ndarray:
    """A tone in noise, different for each number, as exact multiples of 1/32768."""
    rng = np.random.default_rng(number)
    tone = 0.3 * np.sin(np.arange(n_samples) * (0.05 + 0.01 * number))
    return np.round((tone + 0.1 * rng.standard_normal(n_samples)) * 2**15) / 2**15


def length(number: int) -> int:
    """Between 0.1 and 0.3 s, of another length each."""
    return 1_600 + 311 * (number % 11)


def write_audio(folder: Path, n_clips: int, *, rate: int = RATE) -> list[Path]:
    """Write 16-bit clips, some in a folder below, and return their paths in sorted order."""
    paths = []
    for number in range(n_clips):
        path = folder / ("a" if number % 2 else ".") / f"{number:03d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, sound(number, length(number)), rate, subtype="PCM_16")
        paths.append(path)
    return sorted(paths)


def write_table(root: Path, n_clips: int, *, captions: int = 1) -> Path:
    """Write ``captions.csv`` beside audio; clips 0 and 1 share a caption."""
    write_audio(root, n_clips)
    rows = [["path", "caption"]]
    for number in range(n_clips):
        name = f"a/{number:03d}.wav" if number % 2 else f"{number:03d}.wav"
        texts = [f"clip {number}, words {k}" for k in range(captions)]
        texts[0] = "the same words" if number < 2 else texts[0]
        rows += [[name, text] for text in texts]
    with (root / "captions.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root / "captions.csv"


def write_manifest(root: Path, n_clips: int) -> Path:
    """Write MusCALL's layout: ``dataset_train.json`` and ``audio/``."""
    paths = write_audio(root / "audio", n_clips)
    items = [
        {
            "audio_id": int(path.stem),
            "caption": f"song {path.stem}",
            "audio_path": path.relative_to(root / "audio").as_posix(),
        }
        for path in paths
    ]
    (root / "dataset_train.json").write_text(json.dumps(items))
    return root / "dataset_train.json"


def captioned_corpus(root: Path, n_clips: int, *, captions: int = 1) -> Corpus:
    """Prepare a table of captions below ``root`` and open it."""
    table = write_table(root / "source", n_clips, captions=captions)
    return Corpus.open(prepare(table, root / "corpus", workers=2, shard_bytes=20_000).folder)


def files_of(corpus: Path) -> dict[str, bytes]:
    """The bytes of a corpus's files; the lock is none of them."""
    return {p.name: p.read_bytes() for p in sorted(corpus.iterdir()) if p.name != ".lock"}
