"""Checkpoints, from which a run goes on as if it had not stopped, and their export.

A run's folder holds ``checkpoints/step-<n>.pt``, the last two, and ``checkpoints/best.pt``. A kill
at any moment leaves whole files. They are read without running any code that a file may hold.
"""

from __future__ import annotations

import errno
import os
import random
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from earmark.datasets.base import first_ten
from earmark.datasets.files.atomic_files import TEMPORARY, open_whole
from earmark.models.base import ModelError
from earmark.models.support.weights import read_torch
from earmark.models.training.config import RunConfig, differences, parse_plain

if TYPE_CHECKING:
    import torch
    from torch import Tensor
from dataclasses import replace

from earmark.datasets.base import fingerprint
from earmark.datasets.files.atomic_files import folder_whole
from earmark.models.base import Plain
from earmark.models.support.exported import (
    METRICS,
    TOKENIZER,
    WEIGHTS,
    ExportCard,
    TrainingLog,
    read_metrics,
    thinned,
    write_card,
    write_log,
)

FORMAT = "earmark-training-1"
KEPT = 2
BEST = "best.pt"
_FULL = 2**20
"""Bytes of room below which a disk is taken to be full."""

_NAME = re.compile(r"step-(\d+)\.pt")


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after a step; every value is a tensor or plain."""

    config: dict[str, Any]
    """Of :func:`earmark.models.training.config.plain`."""
    fingerprints: dict[str, str]
    """Of the corpora, by ``train`` and ``valid``."""
    words: dict[str, str]
    """The tokeniser's or the vocabulary's files, by name."""
    step: int
    """Steps done."""
    model: dict[str, Tensor]
    optimiser: dict[str, Any]
    schedule: dict[str, Any]
    scaler: dict[str, Any]
    """Of fp16; empty otherwise."""
    batches: dict[str, Any]
    """Where the sampler stands."""
    random: list[dict[str, Any]]
    """Of each process: :func:`random_state`."""
    best: float | None
    """The best validation so far, by the config's ``best_by``."""
    best_step: int
    scores: dict[str, float]
    """Of the last validation."""
    norm_group: int | None = None
    """Over how many clips BatchNorm takes its statistics; None without it, and in older files."""
    format: str = FORMAT


def _save(content: dict[str, Any], file: BinaryIO, folder: Path) -> None:
    import torch

    try:
        torch.save(content, file)
    except RuntimeError as error:  # PyTorch's says nothing of the disk
        if shutil.disk_usage(folder).free >= _FULL:
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error


def save(checkpoint: Checkpoint, folder: Path, *, best: bool) -> Path:
    """Write a checkpoint, remove all but the last two, and keep a copy as the best if it is.

    The best is replaced first: a kill in between leaves a step that will be repeated, and its
    validation with it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left_over in folder.glob(f"{TEMPORARY}*"):
        left_over.unlink()
    path = folder / f"step-{checkpoint.step:08d}.pt"
    content = {each.name: getattr(checkpoint, each.name) for each in fields(checkpoint)}
    for place in (folder / BEST, path) if best else (path,):
        with open_whole(place) as file:
            _save(content, file, folder)
    for old in saved(folder)[:-KEPT]:
        old.unlink()
    return path


def saved(folder: Path) -> list[Path]:
    """Return a folder's checkpoints of steps, the latest last; without the best."""
    found = [path for path in folder.glob("step-*.pt") if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(_NAME.fullmatch(path.name)[1]))  # type: ignore[index]


def load(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU.

    Raises
    ------
    ModelError
        If the file is missing, damaged, or of another format.
    """
    if not path.is_file():
        raise ModelError(f"no checkpoint {path}; `earmark train` writes checkpoints/step-<n>.pt")
    content = read_torch(path)
    found = content.get("format") if isinstance(content, dict) else type(content).__name__
    if found != FORMAT:
        raise ModelError(f"{path}: its format is {found!r}, expected {FORMAT!r}")
    names = {each.name for each in fields(Checkpoint)}
    wrong = sorted((names ^ content.keys()) - {"norm_group"})
    if wrong:
        raise ModelError(f"{path}: entries missing or not expected: {first_ten(wrong)}")
    return Checkpoint(**content)


def to_resume(
    folder: Path, config: RunConfig, fingerprints: Mapping[str, str], *, wanted: bool
) -> Checkpoint | None:
    """Return a folder's last checkpoint if it is of this config and these corpora; None if none."""
    paths = saved(folder)
    if not paths:
        return None
    if not wanted:
        raise ModelError(
            f"{folder} holds a run ({paths[-1].name}): give --resume to go on with it, or another "
            f"folder"
        )
    found = load(paths[-1])
    changed = differences(config, parse_plain(found.config, of=str(paths[-1])))
    for side, own in fingerprints.items():
        other = found.fingerprints.get(side, "none")
        if other != own:
            changed.append(
                f"the corpus data.{side} has the fingerprint {own[:12]}, there {other[:12]}"
            )
    if changed:
        raise ModelError(
            f"{paths[-1]} is of another run: {'; '.join(changed)}. Undo this, or train into "
            f"another folder"
        )
    return found


def random_state(device: torch.device) -> dict[str, Any]:
    """Return where this process's random numbers stand: python, NumPy, torch, its GPU."""
    import torch

    version, python, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()
    state = {
        "python": [version, list(python), gauss],
        "numpy": [name, np.asarray(keys).tolist(), int(position), int(has_gauss), float(cached)],
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_random_state(states: Sequence[dict[str, Any]], *, rank: int, device: torch.device) -> None:
    """Go back to :func:`random_state`.

    A process that was not there when the checkpoint was written keeps the state it has.
    """
    import torch

    if rank >= len(states):
        return
    state = states[rank]
    version, python, gauss = state["python"]
    random.setstate((version, tuple(python), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, np.array(keys, np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)


CHECKPOINTS = "checkpoints"


def export(
    checkpoint: Path | str,
    out: Path | str,
    *,
    name: str | None = None,
    licence: str | None = None,
    training_datasets: Sequence[str] | None = None,
) -> ExportCard:
    """Write a checkpoint's model into a folder (:mod:`earmark.models.support.exported`).

    The log of the run, if it is where the run wrote it, goes with it, thinned if it is long.

    Parameters
    ----------
    checkpoint
        A file, or the folder of a run, whose best checkpoint is then taken.
    name
        Of the model, by default the folder's.
    training_datasets
        By default those of the config (``data.datasets``).

    Raises
    ------
    ModelError
        If the checkpoint is missing or damaged, the log is damaged, or the folder holds other
        files.
    """
    path, folder = Path(checkpoint), Path(out)
    if path.is_dir():
        path = path / CHECKPOINTS / BEST
    found = load(path)  # before the networks, so that a wrong path is named at once
    from earmark.models.dcase import checkpoint as dcase_checkpoint
    from earmark.models.muscall import checkpoint as muscall_checkpoint
    from earmark.models.training.task import DCASETraining, MusCALLTraining, rebuild, write_words

    config = parse_plain(found.config, of=str(path))
    task = rebuild(config, found.words, found.model)
    log = _log(path, found, config)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ModelError(f"{folder} is there and not empty; give another folder")
    chosen = config.data.datasets if training_datasets is None else training_datasets
    card = ExportCard(
        name=name or folder.resolve().name,
        licence=licence,
        training_datasets=tuple(chosen),
        training=_facts(found, config),
    )
    with folder_whole(folder) as made:
        if isinstance(task, MusCALLTraining):
            muscall_checkpoint.save(task.model.eval(), made / WEIGHTS)
            write_words(found.words, made / TOKENIZER)
        elif isinstance(task, DCASETraining):
            dcase_checkpoint.save(task.model.eval(), made)
        write_card(card, made)
        if log is not None:
            write_log(thinned(log), made)
    return card


def _log(path: Path, found: Checkpoint, config: RunConfig) -> TrainingLog | None:
    by = config.training.best_by
    log = read_metrics(path.parent.parent / METRICS) if path.parent.name == CHECKPOINTS else None
    return log and replace(
        log, best_by="valid_loss" if by == "loss" else by, exported_step=found.step
    )


def _facts(found: Checkpoint, config: RunConfig) -> dict[str, Plain]:
    by = config.training.best_by
    facts: dict[str, Plain] = {"model": config.model, "steps": found.step}
    for score, value in found.scores.items():
        facts[f"validation {score}"] = round(value, 4)
    if found.best is not None:
        facts[f"best {by} of the run"] = round(found.best, 4)
    return facts | {
        "config sha256": fingerprint([repr(config)])[:12],
        **{f"{side} corpus": digest[:12] for side, digest in found.fingerprints.items()},
    }
