"""What listening costs: clips a second, memory, device and parameters, kept beside the rows.

Conventions
-----------
* Timed is the model's own call on clips that are decoded already: what it resamples, cuts and
  computes, no decoding and no writing. Threads that decode ahead share the machine meanwhile.
* The first call warms a model up (graphs, kernels, allocations): it counts only if there is no
  other, or if it took longer than all others together, having done work for them.
* Of several processes each measures itself; the store keeps the figures of one of them.
* What is kept is no part of a space's identity: without it every number is the same.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from earmark.bench.embeddings.shards import StoreError
from earmark.bench.embeddings.store import Space
from earmark.datasets.files.atomic_files import write_whole
from earmark.reports.record.schema import Cost

Clock = Callable[[], float]

COST = "cost.json"
"""Beside a space's rows."""
ENOUGH = 100
"""Clips from which on a measurement replaces an older one of more clips."""
SAMPLE_SECONDS = 0.05
"""Between two looks at the memory."""
NOT_KNOWN = "not known"
_DEEPEST, _LONGEST = 8, 256
"""How far into a model parts are looked for, and into which lists and dictionaries."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Traits:
    """What can be read off a model."""

    parameters: int | None
    """None where no part says how many it has."""
    devices: tuple[str, ...]
    """As PyTorch writes them, ``cpu``, ``cuda:0``; ``cpu`` for a model that is not PyTorch's."""
    dtypes: tuple[str, ...]


def traits(model: Any) -> Traits:
    """Return parameters, devices and types of a model, found in its attributes.

    Counted once each are the parameters of PyTorch modules, and ``n_parameters`` of whatever else
    has an attribute of that name (with ``dtype`` beside it, if it has one). A model of neither,
    whose card says that it is untrained, has 0.
    """
    torch = sys.modules.get("torch")
    module = () if torch is None else torch.nn.Module
    tensors: dict[int, Any] = {}
    counts: list[int] = []
    dtypes: list[str] = []
    for part in _parts(model, module):
        if isinstance(part, module):
            tensors |= {id(one): one for one in part.parameters()}
        else:
            counts.append(part.n_parameters)
            dtypes += [_bare(part.dtype)] if hasattr(part, "dtype") else []
    found = list(tensors.values())
    dtypes += [_bare(one.dtype) for one in found if one.is_floating_point()]
    untrained = getattr(getattr(model, "card", None), "weights_digest", None) == "untrained"
    known = bool(found or counts or untrained)
    return Traits(
        parameters=sum(counts) + sum(one.numel() for one in found) if known else None,
        devices=tuple(dict.fromkeys(str(one.device) for one in found)) or ("cpu",),
        dtypes=tuple(sorted(set(dtypes))),
    )


def _parts(model: Any, module: Any) -> Iterator[Any]:
    """Yield PyTorch's modules and what has ``n_parameters``, each once, and nothing in them."""

    def counts(part: Any) -> bool:
        return isinstance(part, module) or type(getattr(part, "n_parameters", None)) is int

    return filter(counts, walk(model, ends=counts, deepest=_DEEPEST))


def walk(model: Any, *, ends: Callable[[Any], bool], deepest: int) -> Iterator[Any]:
    """Yield a model and what it holds, level by level and each once, but not what ends hold."""
    seen: set[int] = set()
    level = [model]
    for _ in range(deepest):
        below: list[Any] = []
        for part in level:
            if id(part) in seen:
                continue
            seen.add(id(part))
            yield part
            if not ends(part):
                below += _within(part)
        level = below


def _within(part: Any) -> Iterable[Any]:
    """Return what a part of a model holds, as far as a model could be in it."""
    if isinstance(part, dict | list | tuple):
        values = part.values() if isinstance(part, dict) else part
        return list(values) if len(part) <= _LONGEST else []
    if isinstance(part, type) or type(part).__module__ in {"builtins", "numpy", "torch"}:
        return []
    held = list(getattr(part, "__dict__", {}).values())
    if is_dataclass(part):
        held += [getattr(part, each.name, None) for each in fields(part)]
    return held


def _bare(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


class Meter:
    """Measures one model while clips are listened to for one space.

    Parameters
    ----------
    resident
        Gives this process's memory in MiB, None where that cannot be had.
    """

    def __init__(
        self,
        model: Any,
        *,
        resident: Callable[[], float | None] | None = None,
    ) -> None:
        self._model = model
        self._resident = resident_mib if resident is None else resident
        self._first: tuple[int, float] | None = None
        self._clips, self._seconds = 0, 0.0
        self._peak: float | None = None

    @contextmanager
    def listening(self, space: Space) -> Iterator[None]:
        """Watch the memory within, and keep what was measured beside the rows at the end."""
        devices = [name for name in traits(self._model).devices if name.startswith("cuda")]
        peaks: list[float | None] = []
        try:
            with _highest(devices, self._resident, peaks):
                yield
        finally:
            self._peak = _highest_of([self._peak, *peaks])
            cost = self.cost()
            if cost is not None:
                keep(space, cost)

    def add(self, *, clips: int, seconds: float) -> None:
        """Count one call of the model."""
        if self._first is None:
            self._first = (clips, seconds)
        else:
            self._clips += clips
            self._seconds += seconds

    def cost(self) -> Cost | None:
        """Return what was measured until now; None where nothing was timed.

        The first call warms up and is left out, unless it took longer than all others together: it
        then did work for them, as in a model that listens to its reference first.
        """
        if self._first is None:
            return None
        clips, seconds = self._clips, self._seconds
        if not clips or self._first[1] > seconds:
            clips, seconds = clips + self._first[0], seconds + self._first[1]
        if seconds <= 0:
            return None
        found = traits(self._model)
        return Cost(
            clips=clips,
            seconds=seconds,
            device=", ".join(_device_name(name) for name in found.devices),
            dtype=", ".join(found.dtypes) or NOT_KNOWN,
            parameters=found.parameters,
            peak_memory_mib=None if self._peak is None else round(self._peak, 1),
        )


@contextmanager
def _highest(
    devices: list[str], resident: Callable[[], float | None], peaks: list[float | None]
) -> Iterator[None]:
    """Watch the memory, in MiB: what PyTorch's allocator gave of GPUs, else this process's.

    A process is looked at every 50 ms, and at both ends. It holds more than the model: Python, its
    libraries, whatever else the run has opened. What lies between two looks is not seen.
    """
    if devices:
        import torch

        for device in devices:
            torch.cuda.reset_peak_memory_stats(device)
        yield
        peaks += [torch.cuda.max_memory_allocated(device) / 2**20 for device in devices]
        return
    done = threading.Event()

    def look() -> None:
        highest = resident()
        while not done.wait(SAMPLE_SECONDS):
            highest = _highest_of([highest, resident()])
        peaks.extend([highest, resident()])

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _highest_of(found: Iterable[float | None]) -> float | None:
    return max((each for each in found if each is not None), default=None)


def resident_mib() -> float | None:
    """Return the memory that this process holds now, in MiB; None where Linux does not tell."""
    import resource

    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * resource.getpagesize() / 2**20


def _device_name(name: str) -> str:
    if not name.startswith("cuda"):
        return name
    import torch

    return str(torch.cuda.get_device_name(name))


def supersedes(new: Cost, old: Cost | None) -> bool:
    """Return whether a measurement replaces an older one: of as many clips, or of enough."""
    return old is None or new.clips >= min(old.clips, ENOUGH)


def keep(space: Space, cost: Cost) -> None:
    """Keep a measurement beside a space's rows, unless what is there says more.

    A store that cannot be written is no error here: the rows will say so, the run has the figures.
    """
    try:
        with space.locked():
            if supersedes(cost, kept(space.folder)):
                now = datetime.now(UTC).isoformat(timespec="seconds")
                written = cost.model_copy(update={"measured": now}).model_dump_json(indent=2)
                write_whole(space.folder / COST, written.encode())
    except (OSError, StoreError) as error:
        _log.warning("%s: what listening cost is not kept (%s)", space.folder, error)


def kept(folder: Path) -> Cost | None:
    """Return the measurement that is kept in a space's folder; None where there is no whole one."""
    try:
        return Cost.model_validate_json((folder / COST).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        _log.warning("%s: not read (%s)", folder / COST, str(error).partition("\n")[0])
        return None


def through_patches(head: Cost, embedder: Cost) -> Cost:
    """Return the cost of a head together with that of the network whose patches it reads.

    Seconds are those that both take for as many clips as the head was timed on.
    """
    moments = [when for when in (head.measured, embedder.measured) if when is not None]
    devices = dict.fromkeys([*embedder.device.split(", "), *head.device.split(", ")])
    return head.model_copy(
        update={
            "seconds": head.seconds + head.clips * embedder.seconds / embedder.clips,
            "device": ", ".join(devices),
            "peak_memory_mib": _highest_of([head.peak_memory_mib, embedder.peak_memory_mib]),
            "measured": min(moments, default=None),
        }
    )
