"""``earmark prepare``, ``train`` and ``export``: from a corpus and a config to weights for a suite.

Training knows no metrics: the score that it chooses its best checkpoint by is made here, of the
same functions as the task ``retrieval``.
"""

from __future__ import annotations

import json as json_module
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.bench.cli import TERMINATED, Json, Store, fail, if_interrupted, same_command
from earmark.bench.cli.console import progress_bar

if TYPE_CHECKING:
    from earmark.datasets.base import Progress
    from earmark.models.training.config import RunConfig
    from earmark.models.training.train import Embedded, Outcome


def prepare(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="MANIFEST",
            help="dataset_<split>.json (MusCALL's), a CSV of captions, or a folder of audio.",
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the prepared corpus.")],
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="An option of the loader, e.g. split=train, audio=wav."
        ),
    ] = None,
    sample_rate: Annotated[
        int,
        typer.Option(min=1, help="In Hz: 16000 for MusCALL, 44100 for DCASE's own front end."),
    ] = 16_000,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads that decode; by default one per core.")
    ] = None,
    max_refused_share: Annotated[
        float,
        typer.Option("--max-refused", min=0, max=1, help="Share of clips that may be unusable."),
    ] = 0.01,
    json: Json = False,
) -> None:
    """Decode a corpus once, for training.

    The same command continues where an interrupted one stopped.
    """
    from earmark.bench.cli.check import parse_options
    from earmark.models.training import prepare as preparation
    from earmark.models.training.prepare import open_source

    if_interrupted(f"finished shards are kept in {out}")
    opened = open_source(source, parse_options(option or ()))
    with progress_bar() as progress:
        done = preparation.prepare(
            opened,
            out,
            sample_rate=sample_rate,
            workers=workers,
            max_refused_share=max_refused_share,
            progress=progress,
        )
    if json:
        typer.echo(json_module.dumps({**asdict(done), "folder": str(done.folder)}, indent=2))
        return
    for one in done.refused:
        typer.echo(f"refused {one.id}: {one.reason}", err=True)
    captions = f"{done.n_captions} captions" if done.n_captions else "no captions"
    parts = [
        f"{done.folder}: {done.n_clips} clips, {captions}, {done.seconds / 3600:.2f} h at "
        f"{done.sample_rate} Hz",
        f"{done.clips_decoded} decoded now" if done.clips_decoded else "was there already",
    ]
    if done.refused:
        parts.append(f"{len(done.refused)} refused")
    if done.clipped_samples:
        parts.append(f"{done.clipped_samples} samples clipped")
    typer.echo("; ".join(parts))


def train(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="What is trained, and how (TOML).")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of checkpoints and metrics; by default trained/<config>."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the last checkpoint in the folder.")
    ] = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Check all samples against their digests first; otherwise, of a large corpus, "
            "one clip per batch.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Train an audio-text model on a prepared corpus.

    SIGTERM saves a checkpoint and ends with exit code 143.
    """
    from earmark.models.training.config import load_config

    folder = out or Path("trained") / config.stem
    if_interrupted(lambda: _kept_of(folder, resume=resume))
    from earmark.models.training.config import is_locked

    if is_locked(config):
        _train_locked(config, folder, resume=resume, json=json)
        return
    read = load_config(config)  # a mistake is said before PyTorch is imported
    from earmark.models.training.train import Stopped

    try:
        with progress_bar() as progress:
            done = fit(read, folder, resume, verify, progress, partial(typer.echo, err=json))
    except Stopped as stopped:
        fail(str(stopped), TERMINATED)
    if done.rank > 0:
        return
    if json:
        typer.echo(json_module.dumps({**asdict(done), "folder": str(done.folder)}, indent=2))
        return
    typer.echo(
        f"{folder}: {done.steps} steps, best {read.training.best_by} {done.best:.4f} at step "
        f"{done.best_step}; {done.samples} samples in {done.seconds:.0f} s"
    )


def fit(
    config: RunConfig,
    folder: Path,
    resume: bool,
    verify: bool,
    progress: Progress,
    tell: Callable[[str], None],
) -> Outcome:
    """Train by a config into a folder that no other process trains in."""
    from earmark.models.training.train import train as run

    with _alone(folder):
        return run(
            config,
            folder,
            score=TextToAudio(),
            resume=resume,
            verify=verify,
            progress=progress,
            tell=tell,
        )


def _kept_of(folder: Path, *, resume: bool) -> str:
    """Return what Ctrl-C leaves of a training."""
    steps = sorted((folder / "checkpoints").glob("step-*.pt"))
    if not steps:
        return f"no checkpoint had been written; `{same_command()}` starts again"
    again = same_command() if resume else same_command("--resume")
    return f"{steps[-1]} is kept; `{again}` goes on from it"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process trains in the folder: one may outlive the command it was part of.

    Of the processes of one run, the first holds the folder for all.
    """
    from earmark.datasets.files.atomic_files import one_at_a_time, room_left
    from earmark.models.base import ModelError

    if any(os.environ.get(rank, "0") != "0" for rank in ("RANK", "LOCAL_RANK", "SLURM_PROCID")):
        yield
        return
    lock = folder.with_name(f"{folder.name}.lock")

    def tell() -> None:
        typer.echo(f"another process is training in {folder}; waiting for it", err=True)

    try:
        with one_at_a_time(lock, waiting=tell):
            yield
    except BrokenPipeError:  # nobody is left to be told
        raise
    except OSError as error:
        raise ModelError(
            f"the training cannot be written to {folder}: {error.strerror or error}"
            f"{room_left(error, folder)}; its checkpoints are whole, and --resume goes on from them"
        ) from error


def _train_locked(config: Path, folder: Path, *, resume: bool, json: bool) -> None:
    """Learn the projections of frozen towers (preset ``locked``)."""
    from earmark.models.base import ModelError
    from earmark.models.training.config import load_locked_config

    if resume:
        raise ModelError(
            f"config {config}: the preset locked is trained within a minute or two and has nothing "
            f"to resume; leave out --resume"
        )
    read = load_locked_config(config)
    from earmark.models.training.locked import WEIGHTS, train_locked

    started = time.perf_counter()
    with progress_bar() as progress:
        learned = train_locked(read, folder, progress=progress)
    seconds = time.perf_counter() - started
    if json:
        shown = {"folder": str(folder), "weights": WEIGHTS, "seconds": round(seconds, 3)}
        typer.echo(json_module.dumps(shown | dict(learned.facts), indent=2))
        return
    facts = learned.facts
    typer.echo(
        f"{folder}: {facts['pairs']} pairs of {facts['items']} items and {facts['texts']} texts, "
        f"temperature {learned.temperature:.3f}; {seconds:.0f} s"
    )
    # Loaders that are not registered are opened for those who trust the file alone.
    own = any(":" in tower.loader for tower in (learned.audio_tower, learned.text_tower))
    trust = '\ntowers = "trust"' if own else ""
    typer.echo(f'[models.{folder.name}]\nloader = "locked"\nweights = "{folder}"{trust}')


def export(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CKPT|SUITE",
            help="A checkpoint, or a run's folder: its best one; with --model a suite.",
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder.")],
    model: Annotated[
        str | None,
        typer.Option(
            help="Train this head or ensemble of the suite's task av_cross_dataset, and write it; "
            "named as in its scores, e.g. 'ridge(deam)@msd-musicnn'."
        ),
    ] = None,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Write a head as an ONNX graph with metadata, too.")
    ] = False,
    store: Store = Path("store"),
    name: Annotated[
        str | None, typer.Option(help="Name of the model; by default the folder's.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="Licence of the weights, for the model card.")
    ] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="Dataset that it was trained on, for the model card; by default the config's "
            "data.datasets.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Write the weights and card of a checkpoint, or of a head that a suite trains, for suites.

    Checkpoints are read by the models `muscall` and `dcase`, heads by `av-head`, ensembles by
    `av-ensemble`.
    """
    from earmark.models.base import ModelError

    if model is not None:
        if name is not None or licence is not None or dataset is not None:
            raise ModelError("--name, --licence and --dataset are of a checkpoint, not of --model")
        _export_trained(checkpoint, model, out, store=store, onnx=onnx, json=json)
        return
    if onnx:
        raise ModelError("--onnx writes a head; name it with --model, and its suite")
    from earmark.models.training.checkpoints import export as write

    card = write(checkpoint, out, name=name, licence=licence, training_datasets=dataset)
    typer.echo(f"{out}: {card.name}. {card.note}", err=json)
    table = {"loader": card.training["model"], "weights": str(out)}
    if json:
        _print_exported(out, card.name, table)
        return
    typer.echo(f"[models.{card.name}]")
    typer.echo("\n".join(f"{key} = {json_module.dumps(value)}" for key, value in table.items()))


def _print_exported(out: Path, name: str, table: Mapping[str, object]) -> None:
    files = sorted(path.name for path in out.iterdir())
    found = {"folder": str(out), "files": files, "name": name, "model": table}
    typer.echo(json_module.dumps(found, indent=2))


def _export_trained(
    suite: Path, model: str, out: Path, *, store: Path, onnx: bool, json: bool
) -> None:
    from earmark.bench.embeddings import store as kept
    from earmark.bench.embeddings.embeddings import Embeddings
    from earmark.bench.run.export import export_trained
    from earmark.bench.run.suite import find_suite
    from earmark.datasets.files.config_files import toml_value

    if_interrupted(f"finished embeddings are kept in {store}")
    with progress_bar() as progress:
        embeddings = Embeddings(kept.Store(store), progress=progress)
        table = export_trained(find_suite(suite), model, embeddings=embeddings, out=out, onnx=onnx)
    if json:
        _print_exported(out, out.name, table)
        return
    typer.echo(f"{out}: {', '.join(sorted(path.name for path in out.iterdir()))}")
    typer.echo(f"[models.{json_module.dumps(out.name)}]")
    typer.echo("\n".join(f"{key} = {toml_value(value)}" for key, value in table.items()))


class TextToAudio:
    """Scores a validation corpus: R@k of captions that look for their clips, the whole pool.

    A caption's right answers are its own clip and every clip that has a caption of the same words,
    as in the task ``retrieval``.
    """

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What it scores by: R@1, R@5 and R@10."""
        from earmark.bench.metrics.retrieval import KS

        return tuple(f"R@{k}" for k in KS)

    def __call__(self, embedded: Embedded) -> Mapping[str, float]:
        """Return R@1, R@5 and R@10, means over captions, in [0, 1]."""
        import numpy as np

        from earmark.bench.metrics.retrieval import KS, recall_at_k
        from earmark.bench.ranking import count_ranks
        from earmark.models.base import ModelError

        n_clips = len(embedded.audio)
        if n_clips < max(KS):
            raise ModelError(
                f"the validation corpus has {n_clips} clips, R@{max(KS)} needs at least {max(KS)}"
            )
        if n_clips == max(KS):
            warnings.warn(
                f"the validation corpus has {n_clips} clips: R@{max(KS)} of any model is 1, and "
                f"chooses no epoch; give more clips",
                stacklevel=2,
            )
        ranks = count_ranks(embedded.text, embedded.audio, right_answers(embedded))
        return {f"R@{k}": float(np.mean(recall_at_k(ranks, k))) for k in KS}


def right_answers(embedded: Embedded) -> list[set[int]]:
    """Return the clips that belong to each caption."""
    clips_of: dict[str, set[int]] = {}
    for caption, clip in zip(embedded.captions, embedded.clip_of.tolist(), strict=True):
        clips_of.setdefault(caption, set()).add(clip)
    return [clips_of[caption] for caption in embedded.captions]
