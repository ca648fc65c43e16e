"""What every output must be: shaped as declared, repeatable, the item's own, no side effects.

The same model is also made again elsewhere, in a new process and on a CUDA device, and must say the
same there.
"""

from __future__ import annotations

import pickle
import random
import sys
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from multiprocessing import get_context
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.audio import Waveform
from earmark.models.base import ModelCard, ModelError
from earmark.models.conformance import listening, reading
from earmark.models.conformance.outputs import (
    NORM_TOLERANCE,
    Check,
    CheckFailed,
    Item,
    NotApplicable,
    Output,
    Rows,
    copied,
    first_not_finite,
    mean_pairwise_cosine,
    one_line,
)
from earmark.models.conformance.reading import is_untrained

COLLAPSED = 0.99
"""Mean pairwise cosine of unlike inputs from which a tower has collapsed."""
COLLAPSED_UNTRAINED = 0.99999
"""Random weights give nearly parallel vectors; they must only tell their inputs apart at all."""


def output_checks(output: Output[Item]) -> list[Check]:
    """Return the checks that hold for vectors, for arousal and valence and for patches alike."""

    def named(name: str, run: Callable[[Output[Item]], str], *needs: str) -> Check:
        needed = tuple(f"{output.name}.{need}" for need in needs)
        return Check(f"{output.name}.{name}", partial(run, output), needed)

    checks: list[Check] = [
        named("shape", _shape),
        named("dimension", _dimension, "shape"),
        named("dtype", _dtype, "shape"),
        named("finite", _finite, "shape"),
    ]
    if output.unit_norm:
        checks.append(named("unit_norm", _unit_norm, "shape", "finite"))
    checks += [
        named("deterministic", _deterministic, "shape", "finite"),
        # From what spoils the following ones to what spoils itself alone, so that one fault
        # fails under one name.
        named("order", _order, "shape", "finite", "deterministic"),
    ]
    if output.batched:
        needs = ("shape", "finite", "deterministic", "order")
        checks += [
            named("batch_size", _batch_size, *needs),
            named("neighbours", _neighbours, *needs, "batch_size"),
        ]
    checks += [
        named("input_unmodified", input_unmodified, "shape"),
        named("global_rng", global_rng, "shape"),
        named("no_gradient", no_gradient, "shape"),
        named("not_collapsed", _not_collapsed, "shape", "finite"),
    ]
    return checks


def _shape(output: Output[Item]) -> str:
    n_items = len(output.unlike)
    raw = output.raw()
    wanted = f"({'n_patches' if output.patched else n_items}, {output.dimension})"
    for one in raw if output.patched else [raw]:
        if not isinstance(one, np.ndarray):
            kind = f"{type(one).__module__}.{type(one).__name__}"
            raise CheckFailed(f"gives a {kind}, expected a NumPy array of shape {wanted}")
        if one.ndim != 2 or not (len(one) if output.patched else len(one) == n_items):
            raise CheckFailed(f"gives shape {one.shape}, expected {wanted}")
    return f"{wanted}, NumPy"


def _dimension(output: Output[Item]) -> str:
    if not isinstance(output.dimension, int | np.integer) or output.dimension < 1:
        raise CheckFailed(f"the dimension declared is {output.dimension!r}, expected an int >= 1")
    found = {row.shape[-1] for row in output.together()}
    if found != {output.dimension}:
        numbers = " and ".join(map(str, sorted(found)))
        raise CheckFailed(f"gives {numbers} numbers an item, declared are {output.dimension}")
    return str(output.dimension)


def _dtype(output: Output[Item]) -> str:
    found = {one.dtype for one in (output.raw() if output.patched else [output.raw()])}
    if found != {np.dtype(np.float32)}:
        raise CheckFailed(f"gives {' and '.join(map(str, found))}, expected float32")
    return "float32"


def _finite(output: Output[Item]) -> str:
    for index, row in enumerate(output.together()):
        if not np.isfinite(row).all():
            raise CheckFailed(f"{first_not_finite(row)} for item {index}, an ordinary one")
    return f"{len(output.unlike)} items"


def _unit_norm(output: Output[Item]) -> str:
    norms = np.array([np.linalg.norm(row) for row in output.together()])
    if np.abs(norms - 1).max() > NORM_TOLERANCE:
        raise CheckFailed(f"L2 norms from {norms.min():.4g} to {norms.max():.4g}, expected 1")
    return f"1 within {np.abs(norms - 1).max():.0e}"


def _deterministic(output: Output[Item]) -> str:
    again = "when asked a second time"
    found = output.agree(output.rows(output.unlike), output.together(), when=again)
    if output.very_long is None:
        return found
    # A crop at random shows only on what is longer than the crop.
    try:
        first, second = output.of_very_long(), output.rows([output.very_long])
    except Exception:  # very_long judges that
        return f"{found}; a very long item could not be tried"
    return output.agree(second, first, when=f"{again} for a very long item")


def _order(output: Output[Item]) -> str:
    found = output.rows(output.unlike[::-1])[::-1]
    return output.agree(found, output.together(), when="when the items come in reverse order")


def _batch_size(output: Output[Item]) -> str:
    number = len(output.unlike)
    when = f"between being alone and among {number} of one length"
    return output.agree(output.together(), output.alone(output.unlike), when=when)


def _neighbours(output: Output[Item]) -> str:
    when = "between being alone and among items of other lengths (padding?)"
    return output.agree(output.rows(output.mixed), output.alone(output.mixed), when=when)


def _not_collapsed(output: Output[Item]) -> str:
    # Of patches the mean: silence between two sounds has the same patch in both.
    rows = np.array([row if row.ndim == 1 else row.mean(axis=0) for row in output.together()])
    if not output.unit_norm:
        spread = float(np.ptp(rows, axis=0).max())
        if spread <= output.tolerance * float(np.abs(rows).max()):
            raise CheckFailed(f"{len(rows)} unlike items have one output: the model is constant")
        return f"{len(rows)} unlike items differ by up to {spread:.3g}"
    cosine = mean_pairwise_cosine(rows)
    limit = COLLAPSED_UNTRAINED if output.untrained else COLLAPSED
    found = f"mean pairwise cosine {cosine:.5f} of {len(rows)} unlike items"
    if not cosine < limit:
        raise CheckFailed(f"the {output.name} tower is collapsed: {found}, expected < {limit:g}")
    return f"{found} ({'untrained: ' if output.untrained else ''}expected < {limit:g})"


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
    """Compare a CPU with a GPU; the given model may be on either."""
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


def input_unmodified(output: Output[Item]) -> str:
    """Check that neither the list of items nor their numbers change."""
    given = output.unlike[-3:]
    items = [copied(item) for item in given]
    listed = list(items)
    output.ask(items)
    if len(items) != len(listed) or any(a is not b for a, b in zip(items, listed, strict=True)):
        raise CheckFailed("changes the list it is given")
    for index, (item, before) in enumerate(zip(items, given, strict=True)):
        if not np.array_equal(_content(item), _content(before)):
            raise CheckFailed(f"changes the numbers of item {index}, which others may read")
    return "as it was"


def global_rng(output: Output[Item]) -> str:
    """Check that the generators that everything shares are neither drawn from nor seeded."""
    with kept_rng():
        # From a state the model cannot have left there: one that seeds and draws ends where it
        # ended the last time.
        random.seed("earmark")
        np.random.seed(20_221_204)
        if torch := sys.modules.get("torch"):
            torch.manual_seed(20_221_204)
        before = _rng_states()
        output.rows(output.unlike[:2])
        after = _rng_states()
    changed = [name for name, state in before.items() if after[name] != state]
    if changed:
        raise CheckFailed(
            f"draws from or seeds the global generator of {', '.join(changed)}; "
            "use a generator of the model's own"
        )
    return ", ".join(before)


def no_gradient(output: Output[Item]) -> str:
    """Check that PyTorch keeps nothing for a backward pass, which no one will ask for."""
    torch: Any = sys.modules.get("torch")
    if torch is None:
        raise NotApplicable("PyTorch is not in use")
    kept: list[tuple[int, ...]] = []

    def keep(tensor: Any) -> Any:
        kept.append(tuple(tensor.shape))
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda held: held):
        output.ask([copied(item) for item in output.unlike[:2]])
    if kept:
        raise CheckFailed(
            f"{len(kept)} tensors are kept for a backward pass, the first of shape {kept[0]}; "
            "embed under torch.inference_mode()"
        )
    return "nothing is kept for a backward pass"


@contextmanager
def kept_rng() -> Generator[None]:
    """Leave the global random generators of Python, NumPy and PyTorch as they were."""
    python, numpy = random.getstate(), np.random.get_state()
    torch: Any = sys.modules.get("torch")
    state = torch.get_rng_state() if torch else None
    on_cuda = torch.cuda.get_rng_state_all() if torch and torch.cuda.is_initialized() else None
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        if torch:
            torch.set_rng_state(state)
        if torch and on_cuda:
            torch.cuda.set_rng_state_all(on_cuda)


def _rng_states() -> dict[str, object]:
    numpy = np.random.get_state(legacy=False)
    states: dict[str, object] = {"random": random.getstate(), "numpy": repr(numpy)}
    if isinstance(numpy, dict):
        states["numpy"] = (numpy["state"]["key"].tobytes(), numpy["state"]["pos"])
    torch: Any = sys.modules.get("torch")
    if torch:
        states["torch"] = torch.get_rng_state().numpy().tobytes()
        if torch.cuda.is_initialized():
            found = torch.cuda.get_rng_state_all()
            states["torch.cuda"] = b"".join(one.numpy().tobytes() for one in found)
    return states


def _content(item: Waveform | str) -> NDArray[Any]:
    return np.asarray(item.samples if isinstance(item, Waveform) else item)


METHODS = {
    "audio": "embed_audio",
    "text": "embed_text",
    "av": "predict_av",
    "patches": "embed_patches",
    "head": "predict_av_from_patches",
}
"""What a model implements, by capability: see :mod:`earmark.models.base`."""
_NOTHING = "nothing"  # where the model lacks an attribute


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The outputs that a model has, by the names of :data:`METHODS`."""

    audio: dict[str, Output[Waveform]]
    """``audio``, ``av``, ``patches``, ``head``."""
    sample_rates: dict[str, object]
    """What is declared for each of ``audio``."""
    text: dict[str, Output[str]]
    """``text``."""


def capabilities_of(model: Any, *, seed: int) -> Capabilities:
    """Return what a model can be asked for; a head's embedder is asked for patches in its stead.

    Raises
    ------
    ModelError
        If the object has none of the methods of a model.
    """
    owners = {name: model for name, method in METHODS.items() if _has(model, method)}
    if not owners:
        raise ModelError(
            f"{type(model).__name__} is no model: it has none of the methods "
            f"{', '.join(METHODS.values())} of earmark.models.base"
        )
    if "head" in owners and _has(getattr(model, "embedder", None), METHODS["patches"]):
        owners["patches"] = model.embedder
    found = Capabilities({}, {}, {})
    for name in METHODS:
        if name not in owners:
            continue
        if name == "text":
            found.text[name] = _reading(model, seed=seed)
        else:
            listener = getattr(model, "embedder", None) if name == "head" else owners[name]
            found.sample_rates[name] = getattr(listener, "sample_rate", _NOTHING)
            found.audio[name] = _listening(name, owners[name], found.sample_rates[name], seed=seed)
    if "patches" in found.audio:  # the network itself; av and head only read what it gives
        for name in ("av", "head"):
            if name in found.audio:
                found.audio[name].very_long = None
    return found


def _has(model: object, method: str) -> bool:
    return callable(getattr(model, method, None))


def _listening(name: str, model: Any, sample_rate: object, *, seed: int) -> Output[Waveform]:
    unlike, mixed, very_long = _clips(listening.rate_of(sample_rate), seed)
    asks: dict[str, Callable[[list[Waveform]], Any]] = {
        "audio": lambda clips: model.embed_audio(clips),
        "av": lambda clips: model.predict_av(clips),
        "patches": lambda clips: [model.embed_patches(clip) for clip in clips],
        "head": lambda clips: np.stack(
            [model.predict_av_from_patches(model.embedder.embed_patches(c)) for c in clips]
        ),
    }
    return Output(
        name=name,
        ask=asks[name],
        dimension=2 if name in ("av", "head") else getattr(model, "dimension", _NOTHING),
        unlike=unlike,
        mixed=mixed,
        very_long=very_long,
        unit_norm=name == "audio",
        batched=name in ("audio", "av"),
        patched=name == "patches",
        **_from_the_card(model),
    )


def _reading(model: Any, *, seed: int) -> Output[str]:
    return Output(
        name="text",
        ask=lambda texts: model.embed_text(texts),
        dimension=getattr(model, "dimension", _NOTHING),
        unlike=list(reading.UNLIKE_TEXTS),
        mixed=reading.mixed_texts(seed=seed),
        very_long=reading.very_long_text(seed=seed),
        unit_norm=True,
        **_from_the_card(model),
    )


def _from_the_card(model: object) -> dict[str, Any]:
    card = getattr(model, "card", None)
    stated = card.preprocessing if isinstance(card, ModelCard) else None
    precision = stated.get("precision") if isinstance(stated, Mapping) else None
    return {"precision": str(precision or "float32"), "untrained": is_untrained(card)}


@lru_cache(maxsize=2)
def _clips(sample_rate: int, seed: int) -> tuple[list[Waveform], list[Waveform], Waveform]:
    """Return the sounds at one rate; an embedder, its head and AV share them."""
    return (
        listening.unlike_clips(sample_rate, seed=seed),
        listening.mixed_clips(sample_rate, seed=seed),
        listening.very_long_clip(sample_rate, seed=seed),
    )
