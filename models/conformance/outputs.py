"""What every kind of output must be: shaped as declared, repeatable, and the item's own."""

from __future__ import annotations

import copy
import random
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.audio import Waveform
from earmark.datasets.base import DataError
from earmark.models.base import ModelError
from earmark.models.conformance.results import Check, CheckFailed, NotApplicable, one_line

Rows = list[NDArray[np.float64]]
"""An output an item: ``(dimension,)``, or ``(n_patches, dimension)``."""
Item = TypeVar("Item", Waveform, str)

TOLERANCE = {"float64": 1e-4, "float32": 1e-4, "bfloat16": 3e-2, "float16": 4e-3}
"""Distance over length that a vector may move, by the precision the model computes in: several
hundred roundings, and a tenth or less of what padding or a shared normalisation do to a vector."""
NORM_TOLERANCE = 1e-3
"""As the embedding store asks for."""
COLLAPSED = 0.99
"""Mean pairwise cosine of unlike inputs from which a tower has collapsed."""
COLLAPSED_UNTRAINED = 0.99999
"""Random weights give nearly parallel vectors; they must only tell their inputs apart at all."""


@dataclass(slots=True)
class Output(Generic[Item]):
    """One method of a model, and what it is tried on."""

    name: str
    """Of the capability: ``audio``, ``text``, ``av``, ``patches`` or ``head``."""
    ask: Callable[[list[Item]], Any]
    dimension: object
    """Columns that are declared; whatever the model has there."""
    unlike: list[Item]
    """Of one length, each unlike the others, of unlike levels."""
    mixed: list[Item]
    """Of unlike lengths."""
    very_long: Item
    precision: str = "float32"
    unit_norm: bool = False
    batched: bool = True
    """Whether the method takes several items; else ``ask`` asks for one after the other."""
    patched: bool = False
    """Whether an item's output is ``(n_patches, dimension)``; ``ask`` then gives a list of them."""
    untrained: bool = False
    _kept: dict[str, Rows] = field(default_factory=dict)

    @property
    def tolerance(self) -> float:
        """What :func:`deviation` may reach."""
        return TOLERANCE.get(self.precision, TOLERANCE["float32"])

    def rows(self, items: Sequence[Item]) -> Rows:
        """Return the model's output for copies of items, whatever array it comes in.

        Raises
        ------
        CheckFailed
            If there is not one output an item.
        """
        raw = self.ask([_copy(item) for item in items])
        rows = [_plain(one).astype(np.float64) for one in raw]
        if len(rows) != len(items):
            raise CheckFailed(f"{len(rows)} outputs for {len(items)} items, expected one each")
        return rows

    def alone(self, items: Sequence[Item]) -> Rows:
        """Return the outputs of items that the model gets one at a time."""
        return [self.rows([item])[0] for item in items]

    def together(self) -> Rows:
        """Return the outputs of all unlike items at once; the model is asked for them once."""
        if "together" not in self._kept:
            self._kept["together"] = self.rows(self.unlike)
        return self._kept["together"]

    def agree(self, found: Rows, expected: Rows, *, when: str, allowed: float = 0) -> str:
        """Return how far outputs moved.

        Raises
        ------
        CheckFailed
            If they moved further than the tolerance, or than ``allowed`` where it is larger.
        """
        allowed = max(allowed, self.tolerance)
        moved = deviation(found, expected)
        if not moved.max() <= allowed:
            item = int(np.argmax(np.nan_to_num(moved, nan=np.inf)))
            raise CheckFailed(
                f"item {item} moves by {moved[item]:.2g} of a vector's length {when}, "
                f"allowed {allowed:g}"
            )
        return f"moves by at most {moved.max():.1g} (allowed {allowed:g})"

    def survives(self, item: Item) -> str:
        """Return what the model makes of an awkward item: an output, or a refusal in clear words.

        Raises
        ------
        CheckFailed
            If it gives an output that no store keeps, or an exception of another kind.
        """
        try:
            (row,) = self.rows([item])
        except CheckFailed:
            raise
        except (ModelError, DataError) as refusal:
            if not str(refusal).strip():
                raise CheckFailed(f"refused with an empty {type(refusal).__name__}") from refusal
            return f"refused: {one_line(refusal)}"
        except Exception as error:
            raise CheckFailed(
                f"raised {one_line(error)}; give an output, or raise "
                "earmark.models.base.ModelError saying what is wrong with the input"
            ) from error
        ordinary = self.together()[0]
        if row.ndim != ordinary.ndim or row.shape[-1] != ordinary.shape[-1] or not row.size:
            raise CheckFailed(
                f"gives shape {row.shape} where an ordinary item gives {ordinary.shape}"
            )
        if not np.isfinite(row).all():
            raise CheckFailed(f"gives {_first_not_finite(row)}; give numbers, or raise ModelError")
        if self.unit_norm and abs(np.linalg.norm(row) - 1) > NORM_TOLERANCE:
            raise CheckFailed(
                f"gives a vector of L2 norm {np.linalg.norm(row):.3g}, expected 1; "
                "give a unit vector, or raise ModelError"
            )
        return "gives an output"


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
        named("input_unmodified", _input_unmodified, "shape"),
        named("global_rng", _global_rng, "shape"),
        named("no_gradient", _no_gradient, "shape"),
        named("not_collapsed", _not_collapsed, "shape", "finite"),
    ]
    return checks


def deviation(found: Rows, expected: Rows) -> NDArray[np.float64]:
    """Return how far each item moved, over the largest length of an expected row; ``(n_items,)``.

    An item whose output has another shape moved by infinity.
    """
    length = max(float(np.linalg.norm(row, axis=-1).max()) for row in expected)
    return np.array(
        [
            np.linalg.norm(one - other, axis=-1).max() / (length or 1.0)
            if one.shape == other.shape
            else np.inf
            for one, other in zip(found, expected, strict=True)
        ]
    )


def _shape(output: Output[Item]) -> str:
    n_items = len(output.unlike)
    raw = output.ask([_copy(item) for item in output.unlike])
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
    raw = output.ask([_copy(item) for item in output.unlike[:2]])
    found = {one.dtype for one in (raw if output.patched else [raw])}
    if found != {np.dtype(np.float32)}:
        raise CheckFailed(f"gives {' and '.join(map(str, found))}, expected float32")
    return "float32"


def _finite(output: Output[Item]) -> str:
    for index, row in enumerate(output.together()):
        if not np.isfinite(row).all():
            raise CheckFailed(f"{_first_not_finite(row)} for item {index}, an ordinary one")
    return f"{len(output.unlike)} items"


def _unit_norm(output: Output[Item]) -> str:
    norms = np.array([np.linalg.norm(row) for row in output.together()])
    if np.abs(norms - 1).max() > NORM_TOLERANCE:
        raise CheckFailed(f"L2 norms from {norms.min():.4g} to {norms.max():.4g}, expected 1")
    return f"1 within {np.abs(norms - 1).max():.0e}"


def _deterministic(output: Output[Item]) -> str:
    output.agree(output.rows(output.unlike), output.together(), when="when asked a second time")
    # A crop at random shows only on what is longer than the crop.
    try:
        first, second = output.rows([output.very_long]), output.rows([output.very_long])
    except Exception:  # very_long judges that
        return "the same twice; a very long item could not be tried"
    return output.agree(second, first, when="when a very long item is asked for a second time")


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


def _input_unmodified(output: Output[Item]) -> str:
    items = [_copy(item) for item in output.unlike]
    listed = list(items)
    output.ask(items)
    if len(items) != len(listed) or any(a is not b for a, b in zip(items, listed, strict=True)):
        raise CheckFailed("changes the list it is given")
    for index, (item, before) in enumerate(zip(items, output.unlike, strict=True)):
        if not np.array_equal(_content(item), _content(before)):
            raise CheckFailed(f"changes the numbers of item {index}, which others may read")
    return "as it was"


def _global_rng(output: Output[Item]) -> str:
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


def _no_gradient(output: Output[Item]) -> str:
    torch: Any = sys.modules.get("torch")
    if torch is None:
        raise NotApplicable("PyTorch is not in use")
    kept: list[tuple[int, ...]] = []

    def keep(tensor: Any) -> Any:
        kept.append(tuple(tensor.shape))
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda held: held):
        output.ask([_copy(item) for item in output.unlike[:2]])
    if kept:
        raise CheckFailed(
            f"{len(kept)} tensors are kept for a backward pass, the first of shape {kept[0]}; "
            "embed under torch.inference_mode()"
        )
    return "nothing is kept for a backward pass"


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


def mean_pairwise_cosine(rows: NDArray[np.float64]) -> float:
    """Return the mean cosine over all pairs of different rows ``(n_items, dimension)``."""
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    cosines = unit @ unit.T
    return float(cosines[~np.eye(len(rows), dtype=bool)].mean())


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


def _copy(item: Item) -> Item:
    return copy.deepcopy(item)


def _content(item: Waveform | str) -> NDArray[Any]:
    return np.asarray(item.samples if isinstance(item, Waveform) else item)


def _plain(row: Any) -> NDArray[Any]:
    return np.asarray(row.detach().cpu() if hasattr(row, "detach") else row)


def _first_not_finite(row: NDArray[np.float64]) -> str:
    return str(row[~np.isfinite(row)][0])
