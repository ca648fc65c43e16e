"""One process or many: how a run finds its processes, and what they tell each other.

Lightning Fabric starts or finds the processes: alone, several devices of one machine, ``torchrun``
or SLURM over machines. Parameters are synchronised by PyTorch's DistributedDataParallel; what is
here is the rest.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn

from earmark.models.base import ModelError
from earmark.models.training.config import Precision, TrainingConfig

_PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def launched() -> tuple[int, int] | None:
    """Return how many machines, and processes on each, torchrun or SLURM started; else None."""
    environment = os.environ
    if "LOCAL_WORLD_SIZE" in environment:
        processes = int(environment["LOCAL_WORLD_SIZE"])
        return int(environment["WORLD_SIZE"]) // processes, processes
    if "SLURM_NTASKS" in environment and "SLURM_NNODES" in environment:
        nodes = int(environment["SLURM_NNODES"])
        return nodes, int(environment["SLURM_NTASKS"]) // nodes
    return None


def launch(config: TrainingConfig) -> Fabric:
    """Return Fabric with its processes running.

    Raises
    ------
    ModelError
        If half precision is asked for on a CPU, or the batch does not divide among processes.
    """
    found = launched()
    nodes, devices = found or (1, config.devices)
    several = found is not None and nodes * found[1] > 1
    fabric = Fabric(
        accelerator=config.accelerator,
        # With one device DDP would only cost; "auto" takes it where there are several.
        strategy=_ddp() if several or (isinstance(devices, int) and devices > 1) else "auto",
        devices=devices,
        num_nodes=nodes,
        precision=_precision(config.precision, config.accelerator),
    )
    fabric.launch()
    share, rest = divmod(config.batch_size, fabric.world_size)
    if rest or share % (config.micro_batch_size or share):
        raise ModelError(
            f"training.batch_size {config.batch_size} does not divide among {fabric.world_size} "
            f"processes and micro-batches of {config.micro_batch_size or share}: BatchNorm "
            f"would see groups of unequal size"
        )
    if config.sync_batch_norm and fabric.device.type != "cuda":
        raise ModelError("training.sync_batch_norm needs GPUs; PyTorch has it for them alone")
    return fabric


def _ddp() -> DDPStrategy:
    # Buffers are BatchNorm's running statistics: each process has its own until they are averaged.
    return DDPStrategy(broadcast_buffers=False)


def _precision(name: Precision, accelerator: str) -> Any:
    on_cpu = accelerator == "cpu" or (accelerator == "auto" and not torch.cuda.is_available())
    if name == "fp16" and on_cpu:
        raise ModelError("training.precision 'fp16' needs a GPU; take 'bf16' or 'fp32' on a CPU")
    return _PRECISIONS[name]


def gatherer(fabric: Fabric) -> Callable[[Tensor], Tensor]:
    """Return what gathers rows ``(n, ...)`` of all processes, in their order, with gradients.

    Going back, each process receives the sum of what all processes' losses ask of its rows.
    """
    if fabric.world_size == 1:
        return lambda rows: rows

    def gather(rows: Tensor) -> Tensor:
        gathered = fabric.all_gather(rows, sync_grads=rows.is_floating_point())
        assert isinstance(gathered, Tensor)
        return gathered.flatten(0, 1)

    return gather


def mean_of_processes(fabric: Fabric, value: Tensor) -> Tensor:
    """Return the mean of a scalar over all processes, on each of them."""
    if fabric.world_size == 1:
        return value
    reduced = fabric.all_reduce(value.clone(), reduce_op="mean")
    assert isinstance(reduced, Tensor)
    return reduced


def any_process(fabric: Fabric, flag: bool) -> bool:
    """Return whether the flag is up on any process."""
    if fabric.world_size == 1:
        return flag
    return bool(mean_of_processes(fabric, torch.tensor(float(flag), device=fabric.device)) > 0)


def everyone(fabric: Fabric, value: Any) -> list[Any]:
    """Return a plain value of every process, in their order, on each of them."""
    if fabric.world_size == 1:
        return [value]
    values: list[Any] = [None] * fabric.world_size
    torch.distributed.all_gather_object(values, value)
    return values


@torch.no_grad()
def average_buffers(fabric: Fabric, module: nn.Module) -> None:
    """Give all processes the mean of their floating-point buffers, BatchNorm's statistics."""
    if fabric.world_size == 1:
        return
    for buffer in module.buffers():
        if buffer.is_floating_point():
            buffer.copy_(mean_of_processes(fabric, buffer))
