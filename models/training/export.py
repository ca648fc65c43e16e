"""From a checkpoint of training to a folder of weights that the adapters load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from earmark.datasets.base import fingerprint
from earmark.datasets.files.atomic import folder_whole
from earmark.models.base import ModelError, Plain
from earmark.models.support.exported import TOKENIZER, WEIGHTS, ExportCard, write_card
from earmark.models.support.training_log import (
    METRICS,
    TrainingLog,
    read_metrics,
    thinned,
    write_log,
)
from earmark.models.training.checkpoints import BEST, Checkpoint, load
from earmark.models.training.config import RunConfig, parse_plain

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
