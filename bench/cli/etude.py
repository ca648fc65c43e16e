"""``earmark etude``: build Etude, the corpus of synthesised music, and draw it.

What Etude's suites need besides it (prepared shards, and checkpoints trained on them) is made for
``earmark bench``. It lies in one folder and is made once: what is there already, made from the same
config, corpus and version, is kept; what was cut off goes on where it stopped. Two at once take
turns.

Checkpoints are trained side by side, each by ``earmark train`` in a process of one thread: small
models gain little from more, and lose much where threads wait for a core that others use.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earmark.bench.cli import Json, if_interrupted
from earmark.bench.cli.console import progress_bar, silent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from earmark.bench.run.suite import Suite
    from earmark.datasets.base import Progress
    from earmark.datasets.etude.layouts import Corpus
    from earmark.datasets.etude.score import Score

CONFIGS: Mapping[str, str] = {
    name: f'preset = "{name}"'
    for name in ("tiny-ssl", "tiny", "tiny-weighted", "tiny-dcase", "tiny-dcase-cl")
}
"""MusCALL, with self-supervision, with loss weighting; the DCASE baseline, with its two losses. The
longest first, so that none is left to run alone."""
N_TRACKS, SECONDS, SEED = 1500, 10.0, 0
FURTHER: Mapping[str, int] = {"etude-1": 1, "etude-2": 2, "etude-3": 3}
"""Small corpora with ratings, beside the large one, for suites across datasets; each its seed."""
FURTHER_TRACKS, FURTHER_SECONDS, FURTHER_LAYOUTS = 240, 8.0, ("emomusic",)
_MADE_FROM = "made_from.json"

Tell = Callable[[str], None]
_OF_PROCESSES = ("SLURM_", "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "TORCHELASTIC_")
"""How variables begin with which SLURM and torchrun tell processes of each other."""

etude = typer.Typer(
    help="Build or draw Etude, a corpus of synthesised music.",
    no_args_is_help=True,
    add_completion=False,
)
_FFT, _HOP = 1024, 512
_HIGHEST_HZ = 8_000
_FLOOR_DB = -80


@etude.command("build")
def build_corpus(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the corpus.")],
    tracks: Annotated[int, typer.Option(metavar="N", help="Number of tracks, at least 30.")] = 1500,
    seconds: Annotated[float, typer.Option(metavar="S", help="Length of a track, in s.")] = 10.0,
    seed: Annotated[
        int, typer.Option(metavar="K", help="Seed; another seed gives another corpus.")
    ] = 0,
    layouts: Annotated[
        str, typer.Option(help="Some of captions,gtzan,mtat,musav,emomusic, or all.")
    ] = "all",
    workers: Annotated[int | None, typer.Option(help="Processes; by default one per core.")] = None,
    as_json: Json = False,
) -> None:
    """Build the corpus of synthesised music.

    The same command continues where an interrupted one stopped.
    """
    if_interrupted(f"finished tracks are kept in {out}")
    from earmark.datasets.etude.build import build
    from earmark.datasets.etude.layouts import LAYOUTS

    named = tuple(LAYOUTS) if layouts == "all" else [name.strip() for name in layouts.split(",")]
    start = time.perf_counter()
    with progress_bar() as progress:
        corpus = build(
            out,
            n_tracks=tracks,
            seconds=seconds,
            seed=seed,
            layouts=named,
            workers=workers,
            progress=progress,
        )
    took = time.perf_counter() - start
    if as_json:
        content = json.loads((out / "corpus.json").read_text(encoding="utf-8"))
        typer.echo(json.dumps({**content, "path": str(out), "wall_s": round(took, 3)}))
        return
    typer.echo(
        f"{out}: {corpus.n_tracks} tracks of {corpus.seconds:g} s, version {corpus.version}, seed "
        f"{corpus.seed}, in {took:.1f} s\n"
        f"  layouts: {', '.join(corpus.layouts)}\n  fingerprint: {corpus.fingerprint}"
    )


@etude.command("draw")
def draw_corpus(
    picture: Annotated[
        Path, typer.Argument(help="File to write, e.g. etude.jpg; its suffix is the format.")
    ],
    seconds: Annotated[float, typer.Option(metavar="S", help="Length of a track, in s.")] = 10.0,
    seed: Annotated[int, typer.Option(metavar="K", help="Seed of the corpus.")] = 0,
) -> None:
    """Draw the spectrogram of one track of each genre, with tempo, metre, key and loudness."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from earmark.datasets.etude.compose import compose
    from earmark.datasets.etude.render import render
    from earmark.datasets.files.atomic_files import write_whole

    figure = Figure(figsize=(10, 11), dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    for number, axes in enumerate(figure.subplots(5, 2, sharex=True, sharey=True).flat):
        score = compose(number, seed=seed, seconds=seconds)
        axes.imshow(
            spectrogram(render(score, sample_rate=2 * _HIGHEST_HZ)),
            origin="lower",
            aspect="auto",
            extent=(0, seconds, 0, _HIGHEST_HZ / 1000),
            vmin=_FLOOR_DB,
            vmax=0,
            cmap="magma",
        )
        for section in score.sections[1:]:
            axes.axvline(section.start, color="white", linewidth=0.8, linestyle=":")
        axes.set_title(_caption(score), fontsize=8, loc="left")
    figure.supxlabel("time (s); dotted: a new section", fontsize=9)
    figure.supylabel("frequency (kHz)", fontsize=9)
    drawn, quality = io.BytesIO(), {"quality": 70} if picture.suffix == ".jpg" else None
    figure.savefig(drawn, format=picture.suffix[1:] or None, pil_kwargs=quality)
    write_whole(picture, drawn.getvalue())
    typer.echo(picture)


def spectrogram(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the level in dB below the loudest bin, shape ``(n_bins, n_frames)``."""
    import numpy as np
    from scipy.signal import stft

    _, _, spectrum = stft(samples, nperseg=_FFT, noverlap=_FFT - _HOP)
    power = np.abs(spectrum) ** 2
    levels: NDArray[np.float64] = 10 * np.log10(np.maximum(power / power.max(), 1e-12))
    return levels


def _caption(score: Score) -> str:
    voices = ", ".join(score.voices)
    return (
        f"{score.genre}: {score.tempo:.0f} bpm, {score.metre}, {score.key}, "
        f"{score.loudness:.1f} LUFS\n{voices}"
    )


# What Etude's suites need


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
    layouts: Sequence[str] | None = None,
    configs: Mapping[str, str] = CONFIGS,
    workers: int | None = None,
    progress: Progress = silent,
    tell: Tell = lambda line: None,
) -> list[Step]:
    """Build the corpus in ``folder/etude`` and train checkpoints into ``folder/models/etude``.

    Parameters
    ----------
    layouts
        Names of the layouts to write; None: all.
    configs
        Name of a checkpoint to the TOML of its training, without ``[data]``; of none, the corpus
        alone is built.
    workers
        Processes; None: one per core.
    """
    from earmark.datasets.etude.layouts import LAYOUTS
    from earmark.datasets.files.cores import usable_cores
    from earmark.models.training.prepare import open_source, prepare

    steps: list[Step] = []
    with _alone(folder, tell):
        started = time.perf_counter()
        corpus, made_now = _built(
            folder / "etude",
            n_tracks=n_tracks,
            seconds=seconds,
            seed=seed,
            layouts=tuple(LAYOUTS) if layouts is None else layouts,
            workers=workers,
            progress=progress,
        )
        _note(steps, "etude: corpus", started, tell, done_now=made_now)
        if not configs:
            return steps
        shards = {}
        for split in ("train", "val"):
            started = time.perf_counter()
            place = folder / "work" / "prepared" / split
            source = open_source(folder / "etude" / "captions" / f"dataset_{split}.json")
            done = prepare(source, place, workers=workers, progress=progress)
            _note(steps, f"etude: {split} shards", started, tell, done_now=bool(done.clips_decoded))
            shards[split] = place
        jobs = [
            _Job(name, toml, shards, folder, corpus.fingerprint or "")
            for name, toml in configs.items()
        ]
        steps += _train_all(jobs, workers or usable_cores(), tell)
    return steps


def needs_no_training(suite: Suite) -> bool:
    """Return whether a suite is measured on the large corpus and has no model trained on it."""
    sources = [*suite.datasets.values(), *suite.models.values()]
    values = [str(value) for source in sources for value in source.options.values()]
    on_corpus = any(value.startswith("{data}/etude/") for value in values)
    return (
        on_corpus
        and not further_of([suite])
        and not any(value.startswith("{models}/etude/") for value in values)
    )


def further_of(suites: Iterable[Suite]) -> list[str]:
    """Return the corpora of :data:`FURTHER` that the datasets of suites lie in."""
    sources = [source for suite in suites for source in suite.datasets.values()]
    values = [str(value) for source in sources for value in source.options.values()]
    places = {value.split("/")[1] for value in values if value.startswith("{data}/")}
    return [name for name in FURTHER if name in places]


def make_further(
    folder: Path,
    names: Sequence[str],
    *,
    n_tracks: int = FURTHER_TRACKS,
    seconds: float = FURTHER_SECONDS,
    workers: int | None = None,
    progress: Progress = silent,
    tell: Tell = lambda line: None,
) -> list[Step]:
    """Build corpora of :data:`FURTHER` in folders of their names within ``folder``."""
    if not names:
        return []
    steps: list[Step] = []
    with _alone(folder, tell):
        for name in names:
            started = time.perf_counter()
            _, made_now = _built(
                folder / name,
                n_tracks=n_tracks,
                seconds=seconds,
                seed=FURTHER[name],
                layouts=FURTHER_LAYOUTS,
                workers=workers,
                progress=progress,
            )
            _note(steps, f"{name}: corpus", started, tell, done_now=made_now)
    return steps


def _built(place: Path, **options: Any) -> tuple[Corpus, bool]:
    """Build a corpus; return it, and whether there was anything to do."""
    from earmark.datasets.base import DataError
    from earmark.datasets.etude.build import build
    from earmark.datasets.etude.layouts import read_corpus

    try:
        before = read_corpus(place).fingerprint
    except DataError:
        before = None  # building says what is wrong with it, if anything is
    corpus = build(place, **options)
    return corpus, corpus.fingerprint != before


@contextmanager
def _alone(folder: Path, tell: Tell) -> Iterator[None]:
    """Wait until no other process makes the same folder; a disk that refuses is named."""
    from earmark.datasets.base import DataError
    from earmark.datasets.files.atomic_files import one_at_a_time, room_left

    try:
        with one_at_a_time(
            folder / "making.lock",
            waiting=lambda: tell(f"another process is making {folder}; waiting for it"),
        ):
            yield
    except BrokenPipeError:  # nobody is left to be told
        raise
    except OSError as error:
        raise DataError(
            f"the cache {folder} (EARMARK_CACHE) cannot be written to: {error}"
            f"{room_left(error, folder)}; what is finished is kept, and the same command goes on "
            f"from there"
        ) from error


def _note(steps: list[Step], name: str, started: float, tell: Tell, *, done_now: bool) -> None:
    step = Step(name, done_now, time.perf_counter() - started)
    steps.append(step)
    tell(f"{name}: {step.seconds:.0f} s" + ("" if done_now else ", was there already"))


@dataclass(frozen=True, slots=True)
class _Job:
    """One checkpoint to train and export."""

    name: str
    toml: str
    shards: Mapping[str, Path]
    folder: Path
    corpus: str
    """Fingerprint."""

    @property
    def exported(self) -> Path:
        return self.folder / "models" / "etude" / self.name

    @property
    def run(self) -> Path:
        return self.folder / "work" / "trained" / self.name

    def lacks_its_log(self, made_from: Mapping[str, str]) -> bool:
        """Return whether it was exported without the log that its run still has."""
        from earmark.models.support.exported import LOG, METRICS
        from earmark.models.training.checkpoints import BEST, CHECKPOINTS

        there = (self.run / METRICS, self.run / CHECKPOINTS / BEST)
        return (
            not (self.exported / LOG).is_file()
            and _read(self.run) == made_from
            and all(path.is_file() for path in there)
        )

    def write_config(self) -> tuple[Path, dict[str, str]]:
        """Write the training's config; return it, and what the checkpoint is made from."""
        from earmark.datasets.base import fingerprint
        from earmark.models.training.config import load_config

        path = self.folder / "work" / f"{self.name}.toml"
        # A TOML string is a JSON string.
        data = {"train": [str(self.shards["train"])], "valid": [str(self.shards["val"])]}
        lines = [f"{side} = {json.dumps(value)}" for side, value in data.items()]
        content = [self.toml, "", "[data]", *lines, 'datasets = ["etude"]', ""]
        path.write_text("\n".join(content), encoding="utf-8")
        config = load_config(path)
        return path, {
            "config": fingerprint([repr(config).replace(str(self.folder), "")]),
            "corpus": self.corpus,
            "earmark": version("earmark"),
        }


def _train_all(jobs: Sequence[_Job], workers: int, tell: Tell) -> list[Step]:
    children: list[subprocess.Popen[str]] = []
    with ThreadPoolExecutor(workers) as pool:
        try:
            return list(pool.map(lambda job: _train(job, children, tell), jobs))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in children:
                child.terminate()  # it saves; nothing happens to one that has ended


def _train(job: _Job, children: list[subprocess.Popen[str]], tell: Tell) -> Step:
    """Train and export one checkpoint, unless it is there."""
    from earmark.models.base import ModelError

    started = time.perf_counter()
    config, made_from = job.write_config()
    if _read(job.exported) == made_from:
        if job.lacks_its_log(made_from):
            _export(job, made_from)
        step = Step(f"train: {job.name}", False, time.perf_counter() - started)
        tell(f"{step.name}: was there already")
        return step
    shutil.rmtree(job.exported, ignore_errors=True)
    if _read(job.run) != made_from:
        shutil.rmtree(job.run, ignore_errors=True)
        job.run.mkdir(parents=True, exist_ok=True)
        (job.run / _MADE_FROM).write_text(json.dumps(made_from), encoding="utf-8")
    child = subprocess.Popen(
        [
            *(sys.executable, "-m", "earmark.bench.cli", "train", str(config)),
            *("--out", str(job.run), "--resume"),
        ],
        # It trains alone, also where this process is one of several.
        env={k: v for k, v in os.environ.items() if not k.startswith(_OF_PROCESSES)}
        | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    children.append(child)
    last = ""
    assert child.stdout is not None
    for line in child.stdout:
        last = line.strip() or last
        tell(f"{job.name}: {line.rstrip()}")
    if code := child.wait():
        raise ModelError(f"training {job.name} ended with exit code {code}: {last}")
    _export(job, made_from)
    step = Step(f"train: {job.name}", True, time.perf_counter() - started)
    tell(f"{step.name}: {step.seconds:.0f} s")
    return step


def _export(job: _Job, made_from: Mapping[str, str]) -> None:
    from earmark.models.training.checkpoints import export

    half = job.exported.with_name(f"{job.name}.half")
    shutil.rmtree(half, ignore_errors=True)
    export(job.run, half, name=f"etude-{job.name}", licence="Apache-2.0")
    (half / _MADE_FROM).write_text(json.dumps(made_from), encoding="utf-8")
    shutil.rmtree(job.exported, ignore_errors=True)
    half.rename(job.exported)


def _read(folder: Path) -> dict[str, str] | None:
    try:
        content: dict[str, str] = json.loads((folder / _MADE_FROM).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content
