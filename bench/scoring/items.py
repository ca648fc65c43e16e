"""Which rows of a task's items a score rests on, and the statistic that its task makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from earmark.bench.metrics.base import Floats
from earmark.bench.scoring.statistic import Statistic, SumStatistic, Units
from earmark.reports.record.schema import Score

if TYPE_CHECKING:
    import pandas as pd

Arrays = Mapping[str, NDArray[Any]]
Mask = NDArray[np.bool_]
Bounds = tuple[float, float]

KEYS = ("model", "item", "subset", "dimension")
"""Columns that name a row of items."""


class UnmeasurableError(ValueError):
    """A score that the items do not determine, or that they leave undefined.

    ``reason`` says why; the whole message is the gate's, with what could be gated ``instead``.
    """

    def __init__(self, reason: str, *, instead: str = "", cause: str = "not gateable") -> None:
        self.reason = reason
        super().__init__(f"{cause}: {reason}" + (f"; gate {instead}" if instead else ""))


@dataclass(frozen=True, slots=True)
class About:
    """What a measure is told besides a score, its rows and the arrays."""

    headline_subset: str | None = None
    """The subset of which arrays are kept."""
    model_scale: Bounds | None = None
    """The model's scale of arousal and valence; None: it declares none."""
    rating_scale: Bounds | None = None
    """Of the ratings that it is held against."""
    subsets: Mapping[str, Callable[[], pd.DataFrame]] = field(default_factory=dict)
    """The model's scored subsets in their order, each with a way to its rows."""


class Measure(Protocol):
    """How a task makes a score of the items that it rests on."""

    def __call__(
        self, score: Score, rows: pd.DataFrame, arrays: Arrays, about: About
    ) -> Statistic: ...


DerivedSubsets = Mapping[str, "Callable[[pd.DataFrame], Mask]"]
"""Subsets that no column of the items names, each with which rows are in it."""


def table_of(columns: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """Return columns of items as a table."""
    import pandas as pd

    return pd.DataFrame(dict(columns))


@dataclass(frozen=True)
class TaskItems:
    """One task's per-item outcomes, in a run, a record or a leaderboard."""

    measure: Measure
    items: pd.DataFrame
    arrays: Arrays
    scores: Sequence[Score]
    derived_subsets: DerivedSubsets = field(default_factory=dict)
    headline_subset: str | None = None
    model_scales: Mapping[str, Bounds | None] = field(default_factory=dict)
    rating_scale: Bounds | None = None
    as_given: bool = False
    """Keep the items' order, as a run does; otherwise rows are in the order of their ids."""
    _rows: dict[tuple[str | None, ...], pd.DataFrame] = field(default_factory=dict)

    def rows(self, score: Score) -> pd.DataFrame:
        """Return the items that a score rests on."""
        key = (score.model, score.subset, score.dimension)
        if key not in self._rows:
            own = self._by_model.get(score.model, self.items.iloc[:0])
            found = own[mask_of(own, score, self.derived_subsets)]
            if not self.as_given and "item" in found.columns:
                found = found.sort_values("item", kind="stable")
            self._rows[key] = found.reset_index(drop=True)
        return self._rows[key]

    @cached_property
    def _by_model(self) -> dict[str, pd.DataFrame]:
        if not {"model", "item"} <= set(self.items.columns):
            return {}
        return {str(name): own for name, own in self.items.groupby("model", sort=False)}

    def units(self, score: Score) -> Units:
        """Return the unit of each of a score's items; its own id where the items name none."""
        rows = self.rows(score)
        return np.asarray(rows["unit" if "unit" in rows.columns else "item"].to_numpy())

    def measured(self, score: Score) -> Statistic:
        """Return what a score is the value of.

        Raises
        ------
        UnmeasurableError
            If the items do not determine it, or an outcome is not finite.
        """
        rows = self.rows(score)
        if rows.empty:
            raise UnmeasurableError("no per-item outcomes of this model and subset")
        names = dict.fromkeys(one.subset for one in self.scores if one.model == score.model)
        about = About(
            headline_subset=self.headline_subset or self.scores[0].subset,
            model_scale=self.model_scales.get(score.model),
            rating_scale=self.rating_scale,
            subsets={name: self._way_to(score, name) for name in names},
        )
        return self.measure(score, rows, self.arrays, about)

    def _way_to(self, score: Score, subset: str) -> Callable[[], pd.DataFrame]:
        return lambda: self.rows(score.model_copy(update={"subset": subset}))


def mask_of(items: pd.DataFrame, score: Score, derived: DerivedSubsets) -> Mask:
    """Return which rows of a model are of a score's subset and dimension."""
    mask = np.ones(len(items), dtype=bool)
    if "dimension" in items.columns and score.dimension is not None:
        mask = mask & (items["dimension"] == score.dimension).to_numpy()
    if "subset" in items.columns:
        mask = mask & (items["subset"] == score.subset).to_numpy()
    elif score.subset in items.columns and items[score.subset].dtype == bool:
        mask = mask & items[score.subset].to_numpy()
    elif score.subset in derived:
        mask = mask & derived[score.subset](items)
    elif score.subset != "all":
        mask = np.zeros_like(mask)
    return mask


def finite(rows: pd.DataFrame, column: str) -> Floats:
    """Return a column of outcomes, ``(n_items,)``.

    Raises
    ------
    UnmeasurableError
        If one is not finite.
    """
    values = rows[column].to_numpy(dtype=np.float64, na_value=np.nan)
    bad = ~np.isfinite(values)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise UnmeasurableError(
            f"{column} of {int(bad.sum())} of {len(values)} items is not "
            f"finite, first {rows['item'].iloc[first]!r} ({values[first]})",
            cause="NaN or infinity",
        )
    return values


def mean_of(rows: pd.DataFrame, column: str, *, times: Floats | None = None) -> SumStatistic:
    """Return the mean of a column of outcomes; ``times`` is how often each item counts."""
    values = finite(rows, column)
    times = np.ones(len(rows)) if times is None else times
    return SumStatistic(np.stack([times * values, times], axis=1), is_mean=True)


def undetermined(metric: str) -> UnmeasurableError:
    """Return the error of a metric that is in no column of the items."""
    return UnmeasurableError(
        f"no per-item outcomes of {metric} in the record", instead="another metric of this task"
    )
