"""Models that give every item the same, exactly what one gives that knows nothing, or the other
dimension."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from earmark.bench.scoring.items import KEYS

if TYPE_CHECKING:
    import pandas as pd

_FEWEST = 10
"""Items of which a correlation says anything."""


def check_constant(
    rows: pd.DataFrame, arrays: Mapping[str, NDArray[Any]], model: str, side: str
) -> Iterator[str]:
    """Yield whether a model gives every item the same: a collapsed tower, a constant predictor."""
    if len(rows) < 2:
        return
    own = f"scores.{model}"
    cause = None
    if own in arrays:
        if not np.ptp(arrays[own], axis=0).any():
            cause = "every item has the same scores"
        elif arrays[own].shape[1] > 1 and not np.ptp(arrays[own], axis=1).any():
            cause = "every tag has the same scores"
    elif "rank" in rows.columns:
        cause = _constant_ranking(rows)
    elif "margin" in rows.columns:
        # Several prompts averaged name no class.
        guesses = set(rows["predicted"]) - {""} if "predicted" in rows.columns else set()
        if not rows["margin"].to_numpy(np.float64).any():
            cause = "every class has the same score, for every item"
        elif len(guesses) == 1 and rows.get("label", rows["item"]).nunique() > 1:
            cause = f"every item is predicted to be {next(iter(guesses))!r}"
    elif "difference" in rows.columns:
        if not rows["difference"].dropna().to_numpy(np.float64).any():
            cause = "both items of every pair have the same value"
    elif "predicted" in rows.columns and rows["predicted"].dtype.kind == "f":
        spread = float(np.ptp(rows["predicted"].to_numpy(np.float64)))
        cause = None if spread else "every item has the same prediction"
    if cause:
        yield f"constant scores in the {side}: {cause}"


def _constant_ranking(rows: pd.DataFrame) -> str | None:
    ranks = rows["rank"].to_numpy(np.float64)
    if not np.ptp(ranks) and ranks[0] > 1:
        return f"all {len(ranks)} queries have rank {ranks[0]:g}"
    if "top_item" in rows.columns and rows["top_item"].nunique() == 1 and len(ranks) > 2:
        return f"every query has the same top hit, {rows['top_item'].iloc[0]!r}"
    return None


def check_sentinel(
    rows: pd.DataFrame, others: Mapping[str, pd.DataFrame], truth: frozenset[str], side: str
) -> Iterator[str]:
    """Yield whether a model has the very outcomes of one that knows nothing."""
    columns = [
        column
        for column in rows.columns
        if column not in KEYS and column not in truth and rows[column].dtype.kind in "fiu"
    ]
    for name, other in others.items():
        if not columns or len(other) != len(rows) or not set(columns) <= set(other.columns):
            continue
        same = np.array_equal(
            rows[columns].to_numpy(np.float64), other[columns].to_numpy(np.float64), equal_nan=True
        )
        if same:
            yield f"the {side} has exactly the outcomes of {name!r}, which knows nothing"


def check_exchanged(candidate: pd.DataFrame, baseline: pd.DataFrame, model: str) -> Iterator[str]:
    """Yield whether a model's arousal follows the baseline's valence, and its valence the arousal.

    Both must be at least twice as near to the other dimension as to their own (by 1 - r), which
    neither an unchanged model nor one that was trained again can be.
    """
    column = next((one for one in ("difference", "predicted") if one in candidate.columns), None)
    if column is None or "dimension" not in candidate.columns or column not in baseline.columns:
        return
    if candidate[column].dtype.kind != "f" or baseline[column].dtype.kind != "f":
        return
    ours, theirs = (
        {name: rows.set_index("item")[column].dropna() for name, rows in own.groupby("dimension")}
        for own in (table[table["model"] == model] for table in (candidate, baseline))
    )
    found = []
    for name, other in (("arousal", "valence"), ("valence", "arousal")):
        if not {name, other} <= ours.keys() & theirs.keys():
            return
        straight = _correlation(ours[name], theirs[name])
        crossed = _correlation(ours[name], theirs[other])
        if not 1 - crossed < (1 - straight) / 2:
            return
        found.append(
            f"its {name} follows the baseline's {other} (r = {crossed:.3f}), not its "
            f"{name} (r = {straight:.3f})"
        )
    yield f"arousal and valence are exchanged: {'; '.join(found)}"


def _correlation(first: pd.Series, second: pd.Series) -> float:
    """Return Pearson's r on the items that both have; NaN where there are too few, or no spread."""
    both = first.index.intersection(second.index)
    values = np.stack([one.loc[both].to_numpy(np.float64) for one in (first, second)])
    if len(both) < _FEWEST or not np.ptp(values, axis=1).all():
        return float("nan")
    return float(np.corrcoef(values)[0, 1])
