"""What every kind of output must be: shaped as declared, repeatable, and the item's own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from earmark.models.conformance.outputs import (
    NORM_TOLERANCE,
    Check,
    CheckFailed,
    Item,
    Output,
    first_not_finite,
    mean_pairwise_cosine,
)
from earmark.models.conformance.side_effects import global_rng, input_unmodified, no_gradient

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
