"""The same model made again elsewhere: in a new process, and on a CUDA device."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from typing import Any

from earmark.models.base import ModelCard
from earmark.models.conformance.capabilities import Capabilities, capabilities_of
from earmark.models.conformance.outputs import (
    Check,
    CheckFailed,
    NotApplicable,
    Output,
    Rows,
    one_line,
)

Factory = Callable[[], object]
CUDA_TOLERANCE = 1e-2
"""TF32, which a GPU may multiply in, keeps ten bits of a mantissa."""
_N_ITEMS = 2
_IDENTITY = ("id", "version", "weights_digest")


def twin_checks(
    capabilities: Capabilities,
    card: object,
    *,
    seed: int,
    factory: Factory | None,
    on_device: Callable[[str], object] | None,
) -> list[Check]:
    """Return the checks of the same model made again; they need what it is made with."""
    needs = tuple(
        f"{output.name}.{check}"
        for output in _outputs(capabilities)
        for check in ("shape", "finite", "deterministic")
    )
    return [
        Check("model.new_process", partial(_new_process, capabilities, card, seed, factory), needs),
        Check("model.cuda", partial(_cuda, capabilities, seed, on_device), needs),
    ]


class _CannotReachError(Exception):
    """A new process cannot import what makes the model, e.g. a class of a notebook."""


def _answers(factory: Factory, seed: int) -> tuple[tuple[str, ...], dict[str, Rows]]:
    """Make a model and return its identity and what it gives for two items of each capability."""
    model = factory()
    rows = _rows(capabilities_of(model, seed=seed))
    return _identity(getattr(model, "card", None)), rows


def _answers_of_pickled(factory: bytes, seed: int) -> tuple[tuple[str, ...], dict[str, Rows]]:
    # Unpickled here and not by the pool, in which a failure would look like a crash.
    try:
        found: Factory = pickle.loads(factory)
    except Exception as error:
        raise _CannotReachError(one_line(error)) from error
    return _answers(found, seed)


def _new_process(
    capabilities: Capabilities, card: object, seed: int, factory: Factory | None
) -> str:
    """Compare with a process that was spawned: nothing is inherited, hashes are salted anew."""
    if factory is None:
        raise NotApplicable("the model was given ready-made; `earmark check-model` makes it twice")
    try:
        pickled = pickle.dumps(factory)
    except Exception as error:
        raise NotApplicable(f"what makes the model cannot be pickled: {one_line(error)}") from error
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            identity, rows = pool.submit(_answers_of_pickled, pickled, seed).result()
        except _CannotReachError as error:
            raise NotApplicable(f"a new process cannot import the model: {error}") from error
        except BrokenProcessPool as error:
            raise CheckFailed("a new process that makes the model ends at once") from error
    if identity != _identity(card):
        raise CheckFailed(f"in a new process the card says {identity}, here {_identity(card)}")
    here = _rows(capabilities)
    return _agree(capabilities, rows, here, when="between two processes", allowed=0)


def _cuda(capabilities: Capabilities, seed: int, on_device: Callable[[str], object] | None) -> str:
    """Compare a CPU with a GPU; the model at hand may be on either."""
    torch: Any = sys.modules.get("torch")
    if torch is None:
        raise NotApplicable("PyTorch is not in use")
    if on_device is None:
        raise NotApplicable("the model takes no option device, or its device was chosen")
    if not torch.cuda.is_available():
        raise NotApplicable("no CUDA device is here")
    (_, on_cpu), (_, on_cuda) = (
        _answers(partial(on_device, name), seed) for name in ("cpu", "cuda")
    )
    return _agree(
        capabilities, on_cuda, on_cpu, when="between CPU and CUDA", allowed=CUDA_TOLERANCE
    )


def _agree(
    capabilities: Capabilities,
    found: dict[str, Rows],
    expected: dict[str, Rows],
    *,
    when: str,
    allowed: float,
) -> str:
    told = []
    for output in _outputs(capabilities):
        name, where = output.name, f"{when} ({output.name})"
        moved = output.agree(found[name], expected[name], when=where, allowed=allowed)
        told.append(f"{name} {moved}")
    return "; ".join(told)


def _rows(capabilities: Capabilities) -> dict[str, Rows]:
    return {one.name: one.rows(one.unlike[:_N_ITEMS]) for one in _outputs(capabilities)}


def _outputs(capabilities: Capabilities) -> list[Output[Any]]:
    return [*capabilities.audio.values(), *capabilities.text.values()]


def _identity(card: object) -> tuple[str, ...]:
    return (
        tuple(str(getattr(card, name)) for name in _IDENTITY) if isinstance(card, ModelCard) else ()
    )
