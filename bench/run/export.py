"""Models that a suite's tasks train, written as files that suites and other programs open."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from earmark.bench.embeddings.embeddings import Embeddings
from earmark.bench.run.runner import Run, able, context_of, open_all, read_checked
from earmark.bench.tasks.task import Exports, Unavailable, UnknownModelError
from earmark.datasets.base import DataError
from earmark.models.base import ModelError


def export_trained(
    suite: Path, name: str, *, embeddings: Embeddings, out: Path, onnx: bool
) -> Mapping[str, Any]:
    """Train a model as a task of a suite does, write it, and return how a suite opens it.

    Parameters
    ----------
    name
        Of the model, as in the scores of a run.
    out
        A new folder.
    onnx
        Whether to write a head for other programs, too.

    Raises
    ------
    DataError, ModelError, SuiteError
        If no task trains such a model, or what it learns from is not available.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ModelError(f"{out} is there and not empty; give another folder")
    read = read_checked(suite)
    run = Run(suite=read, embeddings=embeddings, replicates=read.suite.replicates)
    open_all(run, strict=False)
    reasons = [f"{one.what}: {one.reason}" for one in run.not_run]
    sources = {k: {"loader": one.loader, **one.options} for k, one in read.models.items()}
    for entry in read.tasks:
        task, dataset = run.tasks[read.id_of(entry)], run.datasets[entry.dataset]
        if not isinstance(task, Exports):
            continue
        if isinstance(dataset, Unavailable):
            reasons.append(f"{entry.dataset}: {dataset.reason}")
            continue
        if entry.loudness is not None:
            reasons.append(
                f"{read.id_of(entry)} brings every clip to {entry.loudness:g} LUFS, which no file "
                f"of a head says of its embedder; leave out loudness"
            )
            continue
        context, models = context_of(run, entry, strict=False), able(run, entry)
        try:
            return task.export(
                name, context, dataset, models, opened_as=sources, out=out, onnx=onnx
            )
        except UnknownModelError as error:
            reasons.append(str(error))
    told = "\n".join(dict.fromkeys(reasons)) or "it has no task that trains models"
    raise DataError(f"suite {read.suite.name} gives no model {name!r} to export: {told}")
