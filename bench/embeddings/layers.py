"""The layers of a model as one row a clip: their vectors one after the other, in its order."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from earmark.models.base import ModelError

Floats = NDArray[np.float32]


def layers_in(rows: Floats, layers: Mapping[str, int]) -> dict[str, Floats]:
    """Return the vectors of each layer of rows ``(..., sum of dimensions)``."""
    ends = np.cumsum(list(layers.values()))[:-1]
    return dict(zip(layers, np.split(rows, ends, axis=-1), strict=True))


def joined(
    found: Mapping[str, Floats], layers: Mapping[str, int], n_clips: int
) -> NDArray[np.float32]:
    """Return what a model gives of its layers as one row a clip, if it is what it promised."""
    if not isinstance(found, Mapping) or set(found) != set(layers):
        given = f"layers {', '.join(map(str, found))}" if isinstance(found, Mapping) else found
        raise ModelError(
            f"expected a mapping of the layers {', '.join(layers)}, got {given}; the adapter must "
            f"be fixed"
        )
    for name, size in layers.items():
        rows = found[name]
        shape, dtype = getattr(rows, "shape", "?"), getattr(rows, "dtype", type(rows))
        if not isinstance(rows, np.ndarray) or dtype != np.float32 or shape != (n_clips, size):
            raise ModelError(
                f"layer {name!r}: expected NumPy float32 of shape ({n_clips}, {size}), got {dtype} "
                f"of shape {shape}; the adapter must be fixed"
            )
    return np.concatenate([found[name] for name in layers], axis=1)
