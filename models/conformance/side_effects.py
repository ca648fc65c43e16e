"""What asking a model must leave as it was: its input, the global generators, the memory."""

from __future__ import annotations

import random
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.audio import Waveform
from earmark.models.conformance.outputs import CheckFailed, Item, NotApplicable, Output, copied


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
