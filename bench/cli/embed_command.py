"""``earmark embed``: fill the store for suites, split over processes and machines.

Alone it does what ``earmark run`` does before scoring. Under ``torchrun --nproc-per-node N -m
earmark.bench.cli embed SUITE`` (or on several machines with one shared store) each process listens
to its own share of the clips, and the store holds what one process would have put there.
"""

from __future__ import annotations

from pathlib import Path

import typer

from earmark.bench.cli.console import progress_bar
from earmark.bench.embeddings.embeddings import Embeddings
from earmark.bench.embeddings.store import Store
from earmark.bench.run.runner import Run, able, open_all, read_checked
from earmark.bench.run.suite import Suite
from earmark.bench.tasks.registry import embed_for
from earmark.bench.tasks.task import NotOpened


def embed_suites(paths: list[Path], *, store: Path) -> None:
    """Embed this process's share of every clip that the suites' tasks listen to.

    Raises
    ------
    DataError, ModelError, SuiteError
        As :func:`earmark.bench.run.runner.run_suite`.
    """
    from lightning_fabric import Fabric

    from earmark.models.training.distributed import ends_together, launched, start

    # A mistake is every process's own: none waits for one that ended of it.
    suites = [(path, read_checked(path)) for path in paths]

    # torchrun or the scheduler starts the processes; Fabric finds out which of them this one is.
    nodes, processes = launched() or (1, 1)
    fabric = Fabric(
        accelerator="cpu",  # for the barrier alone: a model chooses its own device
        strategy="ddp" if nodes * processes > 1 else "auto",
        devices=processes,
        num_nodes=nodes,
    )
    start(fabric)
    with ends_together(go_on="what was heard is kept, and the same command goes on"):
        for path, suite in suites:
            with progress_bar() as progress:
                share = (fabric.global_rank, fabric.world_size)
                n_clips = _embed(suite, Embeddings(Store(store), progress=progress, share=share))
            typer.echo(f"{path}: {n_clips} clips, process {share[0] + 1} of {share[1]}")
        fabric.barrier()


def _embed(suite: Suite, embeddings: Embeddings) -> int:
    run = Run(suite=suite, embeddings=embeddings, replicates=suite.suite.replicates)
    open_all(run, strict=True)
    heard: set[str] = set()
    for task in suite.tasks:
        dataset = run.datasets[task.dataset]
        if isinstance(dataset, NotOpened):  # optional, and not at hand
            continue
        heard |= embed_for(
            task.task, dataset, able(run, task), embeddings, task.options, datasets=run.datasets
        )
    return len(heard)
