"""What is wrong or suspicious about a set of predictions for judged pairs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from earmark.bench.metrics.base import Floats
from earmark.bench.metrics.pairs.pairwise import agreement, swapped_axis
from earmark.bench.tasks.pairwise.truth import Truth
from earmark.datasets.base import DataError, first_ten
from earmark.datasets.files.names import did_you_mean, shown
from earmark.datasets.judgements.judged import JudgedPairs
from earmark.datasets.judgements.rules import DIMENSIONS
from earmark.reports import words as formats

MANY_TIES = 0.05
"""Share of predicted ties that is worth a warning."""
SCALES = ((0.0, 1.0), (-1.0, 1.0), (1.0, 9.0), (-10.0, 10.0), (0.0, 100.0))
"""Rating scales in use, narrowest first."""
# Regressors overshoot the ends of their scale a little: a tenth of its width is no other scale.
# A scale that was only guessed must be left much farther before that is worth a warning.
_OVERSHOOT = 0.1
_FAR_OUTSIDE = 0.5
# A scale is taken for the model's own if it holds all but this share of its predictions.
_STRAY = 0.01


def check_predictions(
    dataset: JudgedPairs,
    predictions: Mapping[str, Mapping[str, tuple[float, ...]]],
    *,
    allow_missing: bool,
) -> None:
    """Hold the songs that models predict against the songs that were judged.

    Raises
    ------
    DataError
        If there is no model, a model's value is not finite (but for dimensions of which it says
        nothing of any song), or (unless ``allow_missing``) songs
        are missing or unknown; with ``allow_missing``, if a model predicts no judged song at all.
    """
    if not predictions:
        raise DataError(f"{dataset.card.id}: no predictions to score")
    judged = set(dataset.song_ids)
    known = judged | set(dataset.loudness)
    faults = []
    for model, values in predictions.items():
        said = _said(np.array([*values.values()], np.float64).reshape(-1, len(dataset.dimensions)))
        infinite = [song for song, row in values.items() if not _is_finite(np.array(row)[said])]
        if infinite:
            faults.append(f"{model}: not finite for {first_ten(infinite)}")
        missing, unknown = sorted(judged - set(values)), sorted(set(values) - known)
        none = len(missing) == len(judged)
        if none:
            has = ", ".join(map(shown, sorted(values)[:3]))
            near = did_you_mean(next(iter(values), ""), judged)
            faults.append(
                f"{model}: none of the {len(judged):,} judged songs is predicted; it has {has}; "
                f"judged are {', '.join(missing[:3])}.{near}"
            )
        elif not allow_missing and missing:
            faults.append(f"{model}: {_songs(missing)} missing: {first_ten(missing)}")
        if not allow_missing and unknown and not none:
            faults.append(
                f"{model}: {_songs(unknown)} not in {dataset.card.id}: {first_ten(unknown)}"
            )
    if faults:
        helps = not allow_missing and not any(": none of the" in fault for fault in faults)
        mend = "; --allow-missing scores what is there" if helps else ""
        raise DataError(f"predictions do not fit {dataset.card.id}{mend}\n  " + "\n  ".join(faults))


def _said(table: Floats) -> NDArray[np.bool_]:
    """Return of which dimensions a model says something, ``(n_dimensions,)``."""
    return np.asarray(~np.isnan(table).all(axis=0))


def _is_finite(values: Floats) -> bool:
    return bool(values.size and np.isfinite(values).all())


def _songs(songs: Collection[str]) -> str:
    return f"{len(songs):,} song{'s' if len(songs) > 1 else ''}"


def warnings_of(
    values: Mapping[str, Floats],
    truths: Sequence[Truth],
    *,
    scale: tuple[float, float] | None,
) -> list[str]:
    """Return warnings on predictions of each model, NaN where missing.

    They are ``(n_songs, n_dimensions)``, in the order of ``truths``.
    """
    found = []
    for model, every in values.items():
        said = _said(every)
        here = [truths[column] for column in np.flatnonzero(said).tolist()]
        names, table = [truth.dimension for truth in here], every[:, said]
        constant = [name for name, column in zip(names, table.T, strict=True) if _flat(column)]
        for name in constant:
            value = table[:, names.index(name)]
            found.append(
                f"{model}: {name} is {value[np.isfinite(value)][0]:g} for every song; a constant "
                f"predictor orders no pair"
            )
        missing = int(np.isnan(table).any(axis=1).sum())
        if missing:
            found.append(f"{model}: no prediction for {missing:,} of {len(table):,} judged songs")
        found += [
            f"{model}: {text}"
            for truth, column in zip(here, table.T, strict=True)
            if truth.dimension not in constant
            for text in _tie_warnings(truth, column)
        ]
        if tuple(names) == DIMENSIONS:
            found += [f"{model}: {text}" for text in _range_warnings(table, scale)]
            found += [] if constant else _swap_warning(model, table, here)
    return found


def _flat(column: Floats) -> bool:
    present = column[np.isfinite(column)]
    return bool(np.ptp(present) == 0)


def _tie_warnings(truth: Truth, column: Floats) -> list[str]:
    """Return a warning where many pairs have equal predictions, as those of rounded values have."""
    counts = agreement(truth.judge(column), ties="official")
    if counts.tied <= MANY_TIES * counts.pairs:
        return []
    rest = "half credit counts each as half right, the official accuracy rests on the other"
    return [
        f"{truth.dimension} is the same for both songs of {counts.tied:,} of {counts.pairs:,} "
        f"pairs ({formats.percent(counts.tied / counts.pairs)}): {rest} {counts.scored:,}"
    ]


def _range_warnings(table: Floats, scale: tuple[float, float] | None) -> list[str]:
    ranges = [_fitting(column[np.isfinite(column)]) for column in table.T]
    if scale is not None:
        return _outside(table, scale, "the given scale", margin=_OVERSHOOT)
    if ranges[0] is None or ranges[1] is None:
        return [
            f"{name} reaches from {np.nanmin(column):g} to {np.nanmax(column):g}, which is no "
            f"rating scale in use ({', '.join(f'{low:g} to {high:g}' for low, high in SCALES)}); "
            f"--scale says what was meant"
            for name, column, fit in zip(DIMENSIONS, table.T, ranges, strict=True)
            if fit is None
        ]
    wider = max(ranges[0], ranges[1], key=lambda fit: fit[1] - fit[0])
    widths = [
        float(np.nanpercentile(column, 99) - np.nanpercentile(column, 1)) for column in table.T
    ]
    if min(widths) > 0 and max(widths) / min(widths) > 8:
        return [
            f"arousal spans {widths[0]:.3g} and valence {widths[1]:.3g}: they seem to be on "
            f"different scales"
        ]
    return _outside(table, wider, "the scale that holds the others", margin=_FAR_OUTSIDE)


def _fitting(column: Floats) -> tuple[float, float] | None:
    """Return the narrowest scale that holds nearly all values, or None."""
    for low, high in SCALES:
        margin = _OVERSHOOT * (high - low)
        stray = np.mean((column < low - margin) | (column > high + margin))
        if stray <= _STRAY:
            return low, high
    return None


def _outside(table: Floats, scale: tuple[float, float], of: str, *, margin: float) -> list[str]:
    low, high = scale
    margin *= high - low
    found = []
    for name, column in zip(DIMENSIONS, table.T, strict=True):
        stray = column[(column < low - margin) | (column > high + margin)]
        if stray.size:
            extreme = stray[np.argmax(np.abs(stray - (low + high) / 2))]
            found.append(
                f"{name} lies outside {of}, {low:g} to {high:g}, for {_songs(list(stray))} "
                f"(farthest: {extreme:g})"
            )
    return found


def _swap_warning(model: str, table: Floats, truths: Sequence[Truth]) -> list[str]:
    arousal, valence = truths
    straight = arousal.judge(table[:, 0]), valence.judge(table[:, 1])
    crossed = arousal.judge(table[:, 1]), valence.judge(table[:, 0])
    accuracies = [agreement(codes, ties="half") for codes in (*crossed, *straight)]
    if not all(one.scored for one in accuracies):
        return []
    swap = swapped_axis(
        arousal_on_arousal=straight[0],
        valence_on_arousal=crossed[0],
        valence_on_valence=straight[1],
        arousal_on_valence=crossed[1],
        arousal_units=arousal.triplets,
        valence_units=valence.triplets,
    )
    if not swap.swapped or swap.interval is None:
        return []
    return [
        f"{model}: arousal and valence look swapped. Read the other way round they score "
        f"{accuracies[0].accuracy:.1%} and {accuracies[1].accuracy:.1%} on gt instead of "
        f"{accuracies[2].accuracy:.1%} and {accuracies[3].accuracy:.1%} "
        f"(sum {100 * swap.difference:+.1f} points, "
        f"95 % interval {100 * swap.interval.low:+.1f} to {100 * swap.interval.high:+.1f})"
    ]
