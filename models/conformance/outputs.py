"""Checks and what comes of them; one method of a model, asked for outputs to compare."""

from __future__ import annotations

import copy
import os
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.audio import Waveform
from earmark.datasets.base import DataError, Progress
from earmark.models.base import ModelError

Rows = list[NDArray[np.float64]]
"""An output an item: ``(dimension,)``, or ``(n_patches, dimension)``."""
Item = TypeVar("Item", Waveform, str)

TOLERANCE = {"float64": 1e-4, "float32": 1e-4, "bfloat16": 3e-2, "float16": 4e-3}
"""Distance over length that a vector may move, by the precision that the model computes in; of
another precision, as of float32. Between batch sizes Earmark's own adapters move by up to 1e-6 in
float32; eight and four units of rounding are allowed in the halves."""
NORM_TOLERANCE = 1e-3
"""As the embedding store asks for."""


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
    very_long: Item | None
    """None where another output of the same network is tried on it."""
    precision: str = "float32"
    unit_norm: bool = False
    batched: bool = True
    """Whether the method takes several items; else ``ask`` asks for one after the other."""
    patched: bool = False
    """Whether an item's output is ``(n_patches, dimension)``; ``ask`` then gives a list of them."""
    untrained: bool = False
    _kept: dict[str, Any] = field(default_factory=dict)

    @property
    def tolerance(self) -> float:
        """What :func:`deviation` may reach."""
        return TOLERANCE.get(self.precision, TOLERANCE["float32"])

    def raw(self) -> Any:
        """Return the model's first output for all unlike items at once, as it comes."""
        if "raw" not in self._kept:
            self._kept["raw"] = self.ask([copied(item) for item in self.unlike])
        return self._kept["raw"]

    def together(self) -> Rows:
        """Return :meth:`raw` as rows; raises as :meth:`rows`."""
        if "together" not in self._kept:
            self._kept["together"] = _rows_of(self.raw(), len(self.unlike))
        return self._kept["together"]  # type: ignore[no-any-return]

    def rows(self, items: Sequence[Item]) -> Rows:
        """Return the model's output for copies of items, whatever array it comes in.

        Raises
        ------
        CheckFailed
            If there is not one output an item.
        """
        return _rows_of(self.ask([copied(item) for item in items]), len(items))

    def alone(self, items: Sequence[Item]) -> Rows:
        """Return the outputs of items that the model gets one at a time."""
        return [self.rows([item])[0] for item in items]

    def of_very_long(self) -> Rows:
        """Return the output of the very long item; the model is asked for it once.

        Raises
        ------
        NotApplicable
            If there is no such item.
        """
        if self.very_long is None:
            raise NotApplicable("tried on another output of the same network")
        if "very_long" not in self._kept:
            self._kept["very_long"] = self.rows([self.very_long])
        return self._kept["very_long"]  # type: ignore[no-any-return]

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
        return self._survives(partial(self.rows, [item]))

    def survives_very_long(self) -> str:
        """Return and raise as :meth:`survives` for the very long item."""
        return self._survives(self.of_very_long)

    def _survives(self, ask: Callable[[], Rows]) -> str:
        try:
            (row,) = ask()
        except (CheckFailed, NotApplicable):
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
            raise CheckFailed(f"gives {first_not_finite(row)}; give numbers, or raise ModelError")
        if self.unit_norm and abs(np.linalg.norm(row) - 1) > NORM_TOLERANCE:
            raise CheckFailed(
                f"gives a vector of L2 norm {np.linalg.norm(row):.3g}, expected 1; "
                "give a unit vector, or raise ModelError"
            )
        return "gives an output"


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


def mean_pairwise_cosine(rows: NDArray[np.float64]) -> float:
    """Return the mean cosine over all pairs of different rows ``(n_items, dimension)``."""
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    cosines = unit @ unit.T
    return float(cosines[~np.eye(len(rows), dtype=bool)].mean())


def copied(item: Item) -> Item:
    """Return an item that a model may spoil without spoiling the next check."""
    return copy.deepcopy(item)


def _rows_of(raw: Any, n_items: int) -> Rows:
    rows = [_plain(one).astype(np.float64) for one in raw]
    if len(rows) != n_items:
        raise CheckFailed(f"{len(rows)} outputs for {n_items} items, expected one each")
    return rows


def _plain(row: Any) -> NDArray[Any]:
    return np.asarray(row.detach().cpu() if hasattr(row, "detach") else row)


def first_not_finite(row: NDArray[np.float64]) -> str:
    """Return the first number of a row that is none: ``nan``, ``inf`` or ``-inf``."""
    return str(row[~np.isfinite(row)][0])


Status = Literal["pass", "fail", "not_applicable"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What came of one check; ``detail`` is one line, for a failure with the fix."""

    name: str
    status: Status
    detail: str


class CheckFailed(Exception):  # noqa: N818 - a verdict, as unittest's SkipTest
    """The model does not keep a promise; the message says which and how it shows."""


class NotApplicable(Exception):  # noqa: N818
    """There is nothing to check, or no way to tell; the message says why."""


@dataclass(frozen=True, slots=True)
class Check:
    """One promise: ``run`` returns what was found, or raises one of the two verdicts."""

    name: str
    run: Callable[[], str]
    needs: tuple[str, ...] = ()
    """Checks without which this one would only repeat their failure under a wrong name."""


def judge(checks: Sequence[Check], *, progress: Progress | None) -> list[CheckResult]:
    """Run all checks in order; an exception of the model fails its check and the others go on."""
    results: list[CheckResult] = []
    failed: set[str] = set()
    for check in checks:
        result = _run(check, failed)
        if result.status == "fail":
            failed.add(check.name)
        results.append(result)
        if progress is not None:
            progress(len(results), len(checks), "checks")
    return results


def _run(check: Check, failed: set[str]) -> CheckResult:
    if cause := next((name for name in check.needs if name in failed), None):
        detail = f"cannot be told while {cause} fails"
        return CheckResult(check.name, "not_applicable", detail)
    try:
        return CheckResult(check.name, "pass", check.run())
    except CheckFailed as verdict:
        if verdict.__cause__:
            _show(verdict.__cause__)
        return CheckResult(check.name, "fail", str(verdict))
    except NotApplicable as verdict:
        return CheckResult(check.name, "not_applicable", str(verdict))
    except Exception as error:  # whatever the model raises is its failure, not ours
        _show(error)
        return CheckResult(check.name, "fail", f"raised {one_line(error)}")


def _show(error: BaseException) -> None:
    """Print where the model raised, for ``--debug``."""
    if os.environ.get("EARMARK_DEBUG"):
        traceback.print_exception(error)


def one_line(error: BaseException) -> str:
    """Return the type of an exception and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
