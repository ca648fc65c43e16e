"""What level does to trained heads and AV models: the tested clips again, louder and softer.

Predictions are those of the heads that were scored; only the audio differs. A gain is a factor on
the samples in floating point, so that nothing is clipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.bench.metrics import regression
from earmark.bench.metrics.intervals import IDENTITY, leave_one_out, studentised_interval
from earmark.bench.metrics.statistics import unit_sums
from earmark.bench.scoring.statistic import compare
from earmark.bench.tasks.av_cross_dataset.cells import ByClip, State, common
from earmark.bench.tasks.av_cross_dataset.inputs import Heard, hear
from earmark.bench.tasks.av_cross_dataset.view import GAIN
from earmark.bench.tasks.av_regression.task import DIMENSIONS, agreement, on_scale
from earmark.datasets.base import RatedClips
from earmark.models.adapters.references import with_gain
from earmark.models.base import PatchHead, naming
from earmark.reports.record.schema import Plain, Table


def gain_table(state: State, gains: Sequence[float]) -> Table:
    """Return how predictions and r of every model change with the gain on the first tested set."""
    name, tested = next(iter(state.tested.items()))
    rows: list[list[Plain]] = []
    if isinstance(tested, RatedClips) and any(clip.path for clip in tested.clips):
        for gain in sorted(gains):
            changed = _gained(state, name, tested, gain)
            for model, values in changed.items():
                rows += _rows(state, name, tested, model, values, gain)
    return Table(
        title=GAIN,
        columns=[
            "model", "dimension", "gain (dB)", "shift", "shift (deviations)", "shift low",
            "shift high", "r", "change of r", "low", "high", "p",
        ],
        rows=rows,
        note=f"The same heads on the same clips of {name}, whose samples are multiplied by the "
        f"gain in floating point. Shift: the mean of predictions with the gain less without it, in "
        f"the units of the ratings where the model has a scale, else in its own; and in deviations "
        f"of the model's predictions without gain, with its 95 % interval. Change of r with its "
        f"interval and a paired test, not corrected.",
    )  # fmt: skip


def gained(model: Any, gain: float) -> Any:
    """Return what is listened with for a model with a gain: for a head its embedder."""
    return with_gain(model.embedder if isinstance(model, PatchHead) else model, gain)


def _gained(state: State, name: str, tested: RatedClips, gain: float) -> dict[str, ByClip]:
    """Return what each model says of the clips with a gain."""
    kept = state.context.embeddings
    heard: dict[str, Heard] = {
        embedder: hear(gained(model, gain), tested.clips, kept, stored=None)
        for embedder, model in state.embedders.items()
    }
    found: dict[str, ByClip] = {}
    for cell in state.cells:
        if cell.test == name:
            vectors = heard[cell.embedder].vectors
            found[cell.model] = {
                clip: _pair(head(vectors[clip][None])[0])
                for clip, head in cell.head_of.items()
                if clip in vectors
            }
    for other in state.untrained.values():
        if other.name not in state.values[name]:
            continue
        if other.embedder is not None:
            vectors = heard[other.embedder].vectors
            own = heard[other.embedder].own_rows(list(vectors))
            rows = other.model.predict_av_from_vectors(own)
            found[other.name] = {c: _pair(r) for c, r in zip(vectors, rows, strict=True)}
        elif isinstance(other.model, PatchHead):
            patches = kept.patches(gained(other.model, gain), tested.clips)
            said = {}
            for clip, rows in patches.items():
                with naming(f"{other.name}: predict_av_from_patches of clip {clip}"):
                    said[clip] = _pair(other.model.predict_av_from_patches(rows))
            found[other.name] = said
        else:
            av = kept.av(gained(other.model, gain), tested.clips)
            found[other.name] = {c: _pair(r) for c, r in zip(av.ids, av.rows, strict=True)}
    for one in state.ensembles:
        if one.id in state.values[name] and all(model in found for model in one.models):
            ids, values = common(found, one.models)
            mean = state.moments[one.id, name].average(values)
            found[one.id] = {clip: _pair(row) for clip, row in zip(ids, mean, strict=True)}
    return found


def _pair(row: NDArray[Any]) -> tuple[float, float]:
    return float(row[0]), float(row[1])


def _rows(
    state: State, name: str, tested: RatedClips, model: str, changed: ByClip, gain: float
) -> Iterator[list[Plain]]:
    before = state.values[name][model]
    chosen = [i for i, c in enumerate(tested.clips) if c.id in before and c.id in changed]
    clips = [tested.clips[i] for i in chosen]
    scale = state.scale_of(model, name)
    units = [clip.unit or clip.id for clip in clips]
    for column, dimension in enumerate(DIMENSIONS):
        rated = tested.ratings[chosen, column]
        plain, louder = (
            on_scale(np.array([values[c.id][column] for c in clips]), scale, tested.scale)
            for values in (before, changed)
        )
        row: list[Plain] = [model, dimension, float(gain), float((louder - plain).mean())]
        if not plain.std() or not louder.std() or not np.ptp(rated):
            yield [*row, *[None] * 8]
            continue
        seen: dict[str, Any] = {
            "units": np.array(units),
            "replicates": state.context.replicates,
            "seed": state.context.seed,
        }
        row += _in_deviations(plain, louder, units)
        (found,) = compare([agreement(rated, values) for values in (louder, plain)], **seen)
        r = regression.pearson_r(rated, louder)
        low, high = found.interval.low, found.interval.high
        yield [*row, r, found.difference, low, high, found.p_value]


def _in_deviations(
    plain: NDArray[np.float64], louder: NDArray[np.float64], units: Sequence[str]
) -> list[Plain]:
    """Return the mean shift over the deviation without gain, and its interval over units."""
    about = plain - plain.mean()
    columns = np.stack([np.ones_like(about), louder - plain, about, about**2], axis=1)
    sums = unit_sums(columns, units)

    def shift(total: NDArray[np.float64]) -> NDArray[np.float64]:
        n, moved, first, second = np.moveaxis(total, -1, 0)
        variance = second / n - (first / n) ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(variance > 0, moved / n / np.sqrt(variance), np.nan))

    value = float(shift(sums.sum(axis=0)))
    interval = studentised_interval(value, leave_one_out(sums, shift), IDENTITY)
    return [value, *((interval.low, interval.high) if interval else (None, None))]
