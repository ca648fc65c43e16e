"""``earmark train`` and ``earmark export``: from a config and a corpus to weights for a suite.

Training knows no metrics: the score that it chooses its best checkpoint by is made here, of the
same functions as the task ``retrieval``.
"""

from __future__ import annotations

import json as json_module
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import typer

from earmark.bench.cli.console import progress_bar
from earmark.bench.metrics.retrieval import KS, recall_at_k
from earmark.bench.ranking import count_ranks
from earmark.datasets.files.atomic import one_at_a_time, room_left
from earmark.models.base import ModelError
from earmark.models.training.config import load_config

if TYPE_CHECKING:
    from earmark.models.training.train import Embedded


class TextToAudio:
    """Scores a validation corpus: R@k of captions that look for their clips, the whole pool.

    A caption's right answers are its own clip and every clip that has a caption of the same words,
    as in the task ``retrieval``.
    """

    names = tuple(f"R@{k}" for k in KS)

    def __call__(self, embedded: Embedded) -> Mapping[str, float]:
        """Return R@1, R@5 and R@10, means over captions, in [0, 1].

        Raises
        ------
        ModelError
            If there are fewer clips than the largest k.
        """
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


def train_model(
    config: Path, *, out: Path | None, resume: bool, verify: bool = False, json: bool
) -> None:
    """Train what a config says, and print an epoch a line and what came of it.

    Raises
    ------
    DataError, ModelError, Stopped
        As :func:`earmark.models.training.train.train`.
    """
    from earmark.models.training.config import is_locked

    folder = out or Path("trained") / config.stem
    if is_locked(config):
        _train_locked(config, folder, resume=resume, json=json)
        return
    read = load_config(config)
    from earmark.models.training.train import train

    with _alone(folder), progress_bar() as progress:
        done = train(
            read,
            folder,
            score=TextToAudio(),
            resume=resume,
            verify=verify,
            progress=progress,
            tell=lambda line: typer.echo(line, err=json),
        )
    if done.rank > 0:
        return
    if json:
        typer.echo(json_module.dumps({**asdict(done), "folder": str(done.folder)}, indent=2))
        return
    typer.echo(
        f"{folder}: {done.steps} steps, best {read.training.best_by} {done.best:.4f} at step "
        f"{done.best_step}; {done.samples} samples in {done.seconds:.0f} s"
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process trains in the folder: one may outlive the command it was part of.

    Of the processes of one run, the first holds the folder for all.
    """
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


def export_checkpoint(
    checkpoint: Path,
    out: Path,
    *,
    name: str | None,
    licence: str | None,
    training_datasets: Sequence[str] | None,
) -> None:
    """Write a checkpoint's weights for the adapters, and print how a suite names them.

    Raises
    ------
    ModelError
        As :func:`earmark.models.training.checkpoints.export`.
    """
    from earmark.models.training.checkpoints import export

    card = export(checkpoint, out, name=name, licence=licence, training_datasets=training_datasets)
    typer.echo(f"{out}: {card.name}. {card.note}")
    typer.echo(f'[models.{card.name}]\nloader = "{card.training["model"]}"\nweights = "{out}"')
