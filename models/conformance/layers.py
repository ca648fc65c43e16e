"""What an encoder that gives several layers in one pass promises of each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from earmark.datasets.audio import Waveform
from earmark.models.conformance.outputs import (
    NORM_TOLERANCE,
    Check,
    CheckFailed,
    NotApplicable,
    Output,
    Rows,
    copied,
    first_not_finite,
)

ByLayer = dict[str, Rows]


def layer_checks(model: Any, audio: Output[Waveform]) -> list[Check]:
    """Return the checks of the layers of a model; none of one that has no ``embed_layers``.

    Parameters
    ----------
    audio
        What ``embed_audio`` gives, which is the last layer's.
    """
    if not callable(getattr(model, "embed_layers", None)):
        return []
    layers = _Layers(model, audio)
    whole = ("layers.declared", "layers.shape", "layers.finite")
    batches = (*whole, "layers.deterministic")
    named = {
        "declared": (),
        "shape": whole[:1],
        "finite": whole[:2],
        "unit_norm": whole,
        "default": (*whole, "audio.shape", "audio.finite", "audio.deterministic"),
        "deterministic": whole,
        "batch_size": batches,
        "neighbours": (*batches, "layers.batch_size"),
    }
    return [
        Check(f"layers.{name}", partial(getattr(layers, name)), needs)
        for name, needs in named.items()
    ]


@dataclass(slots=True)
class _Layers:
    """The layers of a model, and what it is tried on; a check a method."""

    model: Any
    audio: Output[Waveform]
    _together: ByLayer = field(default_factory=dict)

    def declared(self) -> str:
        """Hold names and dimensions as they are declared, before anything is embedded."""
        given = getattr(self.model, "layer_dimensions", None)
        if not isinstance(given, Mapping) or not given:
            raise CheckFailed(
                f"layer_dimensions is {given!r}, expected names of layers with their dimensions"
            )
        for name, size in given.items():
            whole = isinstance(size, int | np.integer) and not isinstance(size, bool)
            if not isinstance(name, str) or not name.strip() or not whole or size < 1:
                raise CheckFailed(
                    f"layer_dimensions has {name!r}: {size!r}, expected a name and an int >= 1"
                )
        last, size = list(given.items())[-1]
        own = getattr(self.model, "dimension", None)
        if size != own:
            raise CheckFailed(
                f"the last layer {last!r} has {size} dimensions, the model {own}: what embed_audio "
                f"gives must be the last layer's"
            )
        return ", ".join(f"{name} ({size})" for name, size in given.items())

    def shape(self) -> str:
        """Hold what is given against the declaration."""
        items = self.audio.unlike
        found, sizes = self._asked(items), self.model.layer_dimensions
        if not isinstance(found, Mapping) or list(found) != list(sizes):
            names = ", ".join(map(str, found)) if isinstance(found, Mapping) else type(found)
            raise CheckFailed(
                f"gives {names}, expected the layers {', '.join(sizes)} in this order"
            )
        for name, rows in found.items():
            shape, dtype = getattr(rows, "shape", "?"), getattr(rows, "dtype", type(rows))
            wanted = (len(items), sizes[name])
            if not isinstance(rows, np.ndarray) or dtype != np.float32 or shape != wanted:
                raise CheckFailed(
                    f"layer {name!r} is {dtype} of shape {shape}, expected NumPy float32 of shape "
                    f"{wanted}"
                )
        self._together = _rows(found)
        return f"{len(sizes)} layers of {len(items)} items, NumPy float32"

    def finite(self) -> str:
        """Look for NaN and infinity."""
        for name, rows in self._together.items():
            for index, row in enumerate(rows):
                if not np.isfinite(row).all():
                    raise CheckFailed(f"layer {name!r}: {first_not_finite(row)} for item {index}")
        return f"{len(self._together)} layers"

    def unit_norm(self) -> str:
        """Hold the length of every vector against 1."""
        for name, rows in self._together.items():
            norms = np.array([np.linalg.norm(row) for row in rows])
            worst = int(np.abs(norms - 1).argmax())
            if abs(norms[worst] - 1) > NORM_TOLERANCE:
                raise CheckFailed(
                    f"layer {name!r}: the L2 norm of item {worst} is {norms[worst]:.6g}, expected "
                    f"1 within {NORM_TOLERANCE:g}"
                )
        return f"within {NORM_TOLERANCE:g} of 1"

    def default(self) -> str:
        """Hold the last layer against the model's own vector."""
        last = list(self._together)[-1]
        when = f"between embed_audio and the last layer {last!r}"
        return self.audio.agree(self._together[last], self.audio.together(), when=when)

    def deterministic(self) -> str:
        """Ask again."""
        return self._agree(self._of(self.audio.unlike), "when asked again")

    def batch_size(self) -> str:
        """Ask for each item alone."""
        when = f"between being alone and among {len(self.audio.unlike)} of one length"
        return self._agree(self._alone(self.audio.unlike), when)

    def neighbours(self) -> str:
        """Ask for items of unlike lengths together, and alone."""
        when = "between being alone and among items of other lengths (padding?)"
        return self._agree(self._alone(self.audio.mixed), when, self._of(self.audio.mixed))

    def _agree(self, expected: ByLayer, when: str, found: ByLayer | None = None) -> str:
        if not expected:
            raise NotApplicable("there is no layer")
        said = [
            self.audio.agree(rows, expected[name], when=f"in layer {name!r} {when}")
            for name, rows in (found or self._together).items()
        ]
        return f"{len(said)} layers; the last {said[-1]}"

    def _asked(self, items: Sequence[Waveform]) -> Any:
        return self.model.embed_layers([copied(item) for item in items])

    def _of(self, items: Sequence[Waveform]) -> ByLayer:
        return _rows(self._asked(items))

    def _alone(self, items: Sequence[Waveform]) -> ByLayer:
        each = [self._of([item]) for item in items]
        return {name: [one[name][0] for one in each] for name in self._together}


def _rows(found: Mapping[str, Any]) -> ByLayer:
    return {name: list(np.asarray(rows, np.float64)) for name, rows in found.items()}
