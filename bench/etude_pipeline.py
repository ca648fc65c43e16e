"""What the Etude suite needs: the corpus, prepared shards, and checkpoints trained on them.

Everything lies in one folder and is made once: what is there already, made from the same config,
corpus and version, is kept; what was cut off goes on where it stopped. Two at once take turns.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from earmark.bench.terminal import Progress
from earmark.bench.train_command import TextToAudio
from earmark.datasets.base import fingerprint
from earmark.datasets.etude.building import build
from earmark.datasets.etude.layouts import LAYOUTS
from earmark.models.training.config import RunConfig, preset
from earmark.models.training.export import export
from earmark.models.training.preparation import prepare
from earmark.models.training.sources import open_source

PRESETS = ("tiny", "tiny-ssl", "tiny-weighted", "tiny-dcase", "tiny-dcase-cl")
"""MusCALL, with self-supervision, with loss weighting; the DCASE baseline, with its two losses."""
N_TRACKS, SECONDS, SEED = 1500, 10.0, 0
_MADE_FROM = "made_from.json"

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Step:
    """A part of the work, whether it had to be done, and how long it took."""

    name: str
    done_now: bool
    seconds: float


def make(
    folder: Path,
    *,
    n_tracks: int = N_TRACKS,
    seconds: float = SECONDS,
    seed: int = SEED,
    layouts: Sequence[str] = tuple(LAYOUTS),
    presets: Sequence[str] = PRESETS,
    workers: int | None = None,
    progress: Progress | None = None,
    tell: Tell = lambda line: None,
) -> list[Step]:
    """Build the corpus in ``folder/etude`` and train checkpoints into ``folder/models/etude``.

    Raises
    ------
    DataError, ModelError, Stopped
        As building, preparing, training and exporting do; what was finished is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    steps: list[Step] = []
    with _alone(folder, tell):
        started = time.perf_counter()
        corpus = build(
            folder / "etude",
            n_tracks=n_tracks,
            seconds=seconds,
            seed=seed,
            layouts=layouts,
            workers=workers,
            progress=progress,
        )
        _note(steps, "etude: corpus", started, tell)
        shards = {}
        for split in ("train", "val"):
            started = time.perf_counter()
            place = folder / "work" / "prepared" / split
            source = open_source(folder / "etude" / "captions" / f"dataset_{split}.json")
            done = prepare(source, place, workers=workers, progress=progress)
            _note(steps, f"etude: {split} shards", started, tell, done_now=bool(done.clips_decoded))
            shards[split] = place
        for name in presets:
            started = time.perf_counter()
            config = _config(name, shards["train"], shards["val"])
            done_now = _train(config, name, folder, corpus.fingerprint or "", progress, tell)
            _note(steps, f"train: {name}", started, tell, done_now=done_now)
    return steps


@contextmanager
def _alone(folder: Path, tell: Tell) -> Iterator[None]:
    """Wait until no other process makes the same folder."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / "making.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        tell(f"another process is making {folder}; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _note(
    steps: list[Step], name: str, started: float, tell: Tell, *, done_now: bool = True
) -> None:
    step = Step(name, done_now, time.perf_counter() - started)
    steps.append(step)
    tell(f"{name}: {step.seconds:.0f} s" + ("" if done_now else ", was there already"))


def _config(name: str, train: Path, valid: Path) -> RunConfig:
    config = preset(name)
    data = replace(config.data, train=(str(train),), valid=(str(valid),), datasets=("etude",))
    return replace(config, data=data)


def _train(
    config: RunConfig, name: str, folder: Path, corpus: str, progress: Progress | None, tell: Tell
) -> bool:
    """Train and export one checkpoint; return whether there was anything to do."""
    from earmark.models.training.trainer import train

    made_from = {
        "config": fingerprint(
            [repr(replace(config, data=replace(config.data, train=(), valid=())))]
        ),
        "corpus": corpus,
        "earmark": version("earmark"),
    }
    exported, run = folder / "models" / "etude" / name, folder / "work" / "trained" / name
    if _read(exported) == made_from:
        return False
    shutil.rmtree(exported, ignore_errors=True)
    if _read(run) != made_from:
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir(parents=True)
        (run / _MADE_FROM).write_text(json.dumps(made_from), encoding="utf-8")
    train(
        config,
        run,
        score=TextToAudio(),
        resume=True,
        progress=progress,
        tell=tell,
    )
    half = exported.with_name(f"{name}.half")
    shutil.rmtree(half, ignore_errors=True)
    export(run, half, name=f"etude-{name}", licence="Apache-2.0")
    (half / _MADE_FROM).write_text(json.dumps(made_from), encoding="utf-8")
    half.rename(exported)
    return True


def _read(folder: Path) -> dict[str, str] | None:
    try:
        content: dict[str, str] = json.loads((folder / _MADE_FROM).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content
