"""One process or many: how a run finds its processes, and what they tell each other.

Lightning Fabric starts or finds the processes: alone, several devices of one machine, ``torchrun``
or SLURM over machines. Parameters are synchronised by PyTorch's DistributedDataParallel; what is
here is the rest.
"""

from __future__ import annotations

import atexit
import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn

from earmark.datasets.base import first_ten
from earmark.models.base import ModelError
from earmark.models.training.config import Precision, TrainingConfig

_c10d: Any = torch.distributed
"""PyTorch does not declare what its module has of stores."""
Place = tuple[str, int]
"""A machine and a port."""

_BETWEEN = 0.1
"""In s, between two looks for the others."""
_BROKEN_OFF = re.compile(r"connection|gloo|nccl|broken pipe|socket|timed out", re.IGNORECASE)
"""In what PyTorch says where another process has gone."""
_PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def launched() -> tuple[int, int] | None:
    """Return how many machines, and processes on each, torchrun or SLURM started; else None."""
    environment = os.environ
    if "LOCAL_WORLD_SIZE" in environment:
        processes = int(environment["LOCAL_WORLD_SIZE"])
        return int(environment["WORLD_SIZE"]) // processes, processes
    # A shell within an allocation has all variables but that of a task; Fabric goes by its name.
    if "SLURM_NTASKS" in environment and "SLURM_PROCID" not in environment:
        environment["SLURM_JOB_NAME"] = "interactive"
    shell = environment.get("SLURM_JOB_NAME") in ("bash", "interactive")
    if shell or not {"SLURM_NTASKS", "SLURM_NNODES"} <= environment.keys():
        return None
    tasks, nodes = int(environment["SLURM_NTASKS"]), int(environment["SLURM_NNODES"])
    if tasks % nodes:
        raise ModelError(
            f"SLURM_NTASKS={tasks} tasks do not divide among SLURM_NNODES={nodes} machines: start "
            f"as many on each, with --ntasks-per-node"
        )
    # `srun -n` does not set it, and Fabric refuses to begin without it.
    environment.setdefault("SLURM_NTASKS_PER_NODE", str(tasks // nodes))
    return nodes, tasks // nodes


def start(fabric: Fabric, *, meeting: Meeting | None = None) -> None:
    """Launch Fabric, after all processes that torchrun or SLURM announces have met."""
    found = launched()
    if found is not None and found[0] * found[1] > 1 and not torch.distributed.is_initialized():
        _join(fabric, meeting or Meeting())
    fabric.launch()


@dataclass(frozen=True, slots=True)
class Meeting:
    """How long processes wait for each other before they begin."""

    told_after: float = 5.0
    """In s: then a process says whom it waits for."""
    given_up_after: float = 180.0
    """In s; machines of one job may start minutes apart."""
    tell: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True)
    clock: Callable[[], float] = time.monotonic


def _join(fabric: Fabric, meeting: Meeting) -> None:
    """Meet through a store that the first process keeps, and make the process group of it."""
    environment = fabric.strategy.cluster_environment  # type: ignore[attr-defined]
    rank, size = environment.global_rank(), environment.world_size()
    place = (environment.main_address, environment.main_port)
    store = _meet(rank, size, place, meeting)
    on_gpu = fabric.device.type == "cuda"
    torch.distributed.init_process_group(
        "nccl" if on_gpu else "gloo",
        store=_c10d.PrefixStore("group", store),
        rank=rank,
        world_size=size,
        device_id=fabric.device if on_gpu else None,
    )
    if on_gpu:
        atexit.register(torch.distributed.destroy_process_group)
    _stores[:] = [store]


_stores: list[Any] = []
"""Of this process's group: where a process that ends leaves its reason."""


def _meet(rank: int, size: int, place: Place, meeting: Meeting) -> Any:
    # torchrun keeps a store of its own at this place, and starts the processes again after a fault.
    serves = rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    started, told = meeting.clock(), False
    store: Any | None = None
    while True:
        if store is None and (serves or _answers(place)):
            store = _c10d.PrefixStore(f"earmark/{attempt}", _store(place, size, serves))
            store.set(f"here/{rank}", "")
        missing = [one for one in range(size) if one != rank]
        if store is not None:
            missing = [one for one in missing if not store.check([f"here/{one}"])]
            if not missing:
                return store
        waited = meeting.clock() - started
        if waited >= meeting.given_up_after:
            raise ModelError(f"{_alone(rank, size, place, missing)}; gave up after {waited:.0f} s")
        if waited >= meeting.told_after and not told:
            meeting.tell(f"earmark: {_alone(rank, size, place, missing)}; still waiting")
            told = True
        time.sleep(_BETWEEN)


def _answers(place: Place) -> bool:
    try:
        socket.create_connection(place, timeout=1).close()
    except OSError:
        return False
    return True


def _store(place: Place, size: int, serves: bool) -> Any:
    try:
        return _c10d.TCPStore(*place, size, serves, wait_for_workers=False)
    except _c10d.DistError as error:
        raise ModelError(
            f"the processes cannot meet at {place[0]}:{place[1]} (MASTER_ADDR, MASTER_PORT): "
            f"{str(error).splitlines()[0]}; set another MASTER_PORT for all of them"
        ) from error


def _alone(rank: int, size: int, place: Place, missing: Sequence[int]) -> str:
    """Return who is missing, which variables say that they should come, and what to do."""
    names = (
        *("WORLD_SIZE", "LOCAL_WORLD_SIZE", "RANK", "SLURM_NTASKS", "SLURM_NNODES"),
        *("SLURM_PROCID", "MASTER_ADDR", "MASTER_PORT"),
    )
    said = ", ".join(f"{name}={os.environ[name]}" for name in names if name in os.environ)
    slurm = "LOCAL_WORLD_SIZE" not in os.environ
    fix = (
        "start it with `srun` so that every task runs it, or `srun -n 1` (or unset SLURM_NTASKS) "
        "for one process"
        if slurm
        else "start all of them with `torchrun`, or unset LOCAL_WORLD_SIZE for one process"
    )
    return (
        f"process {rank} of {size} waits at {place[0]}:{place[1]} for "
        f"{'process' if len(missing) == 1 else 'processes'} {first_ten([str(m) for m in missing])} "
        f"({said}): {fix}"
    )


@contextmanager
def ends_together(*, go_on: str) -> Iterator[None]:
    """Say which other process ended, and why, where this one fails because of it.

    ``go_on`` ends the message: what is kept and how to go on.

    Raises
    ------
    ModelError
        In place of the error of a connection that another process closed.
    """
    try:
        yield
    except BaseException as error:
        if not _stores:
            raise
        store, rank = _stores[0], torch.distributed.get_rank()
        if isinstance(error, RuntimeError) and _BROKEN_OFF.search(str(error)):
            ended = _who_ended(store, rank, torch.distributed.get_world_size())
            raise ModelError(f"{ended}; {go_on}") from error
        with suppress(RuntimeError):  # the store may have ended with the process that kept it
            store.set(f"end/{rank}", str(error) or type(error).__name__)
        raise


def _who_ended(store: Any, rank: int, size: int) -> str:
    others = [one for one in range(size) if one != rank]
    try:
        left = {one: store.get(f"end/{one}") for one in others if store.check([f"end/{one}"])}
    except RuntimeError:
        return (
            f"process 0 of {size}, which kept the others together, has ended, so process {rank} "
            f"ends too: what process 0 said last is the reason (nothing: it was killed, or out of "
            f"memory)"
        )
    if left:
        said = "; ".join(f"process {one}: {text.decode()}" for one, text in left.items())
        return f"another of {size} processes has ended, so process {rank} ends too. {said}"
    names = ", ".join(map(str, others))
    one_of = f"process {names}" if size == 2 else f"one of the processes {names}"
    return (
        f"{one_of} of {size} has ended without a word (killed, or out of memory?), so process "
        f"{rank} ends too"
    )


def launch(config: TrainingConfig) -> Fabric:
    """Return Fabric with its processes running."""
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
    start(fabric)
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
    """Return the mean of values over all processes, on each of them."""
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


def norm_group(config: TrainingConfig, *, world_size: int) -> int:
    """Return over how many clips BatchNorm takes its statistics."""
    encoded = config.micro_batch_size or config.batch_size // world_size
    return encoded * (world_size if config.sync_batch_norm else 1)


def micro_batch_of(config: TrainingConfig, group: int, *, world_size: int) -> int:
    """Return the micro-batch with which these processes keep a run's groups of BatchNorm."""
    share = config.batch_size // world_size
    size, rest = divmod(group, world_size if config.sync_batch_norm else 1)
    if rest or not size or share % size:
        raise ModelError(
            f"the checkpoint was written with groups of {group} clips, over which BatchNorm takes "
            f"its statistics; with {world_size} processes of {share} clips each none of that size "
            f"can be made, and the run would go on as another one. Resume it with as many "
            f"processes as before, or with fewer"
        )
    return size
