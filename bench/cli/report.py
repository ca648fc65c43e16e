"""``earmark report``: render one record, or several side by side, and compare their models.

Models of several runs are compared from the records' per-item outcomes, paired on the same items.
The outcomes are first held against the scores that they must add up to: where they do not, or a
record keeps none, the comparison rests on the scores' intervals alone and says that it is unpaired.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from earmark.bench.cli.console import Progress, silent
from earmark.bench.metrics import regression
from earmark.bench.metrics.base import Floats
from earmark.bench.metrics.comparisons import (
    compare,
    holm,
    minimum_detectable_difference,
)
from earmark.bench.metrics.intervals import IDENTITY, Scale, Statistic
from earmark.bench.metrics.statistics import REPLICATES, SEED, ratio
from earmark.bench.tasks.task import Dimension, comparison_of, groups_of
from earmark.datasets.base import first_ten
from earmark.datasets.files.atomic import write_whole
from earmark.reports.record import files as record_io
from earmark.reports.record.lookup import HALF_CREDIT, headline, select, unique
from earmark.reports.record.schema import Comparison, RecordError, Score, TaskResult

if TYPE_CHECKING:
    import pandas as pd

    from earmark.reports.page.side_by_side import Compared, Run

FORMATS: Final = ("html", "pdf", "md")
_COLUMNS = {"mrr": "reciprocal_rank", "pairwise_accuracy": "outcome"}


class ReportError(ValueError):
    """What was asked of a report cannot be done; the message says what can."""


def report(
    runs: Sequence[Path | str],
    *,
    out: Path | str | None,
    formats: Sequence[str] = ("html", "pdf"),
    figures: bool = False,
    speed: Sequence[Path] = (),
    audio_mib: float | None = None,
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda line: None,
) -> list[Path]:
    """Render records into ``out/report.<format>``; return what was written.

    ``out`` is the record's own folder where it is None and there is one record. With ``figures``
    every figure is exported too, to ``out/figures/``, as SVG, PDF and PNG with its data as CSV.
    ``speed`` are files of pytest-benchmark whose ratios are shown
    (:mod:`earmark.reports.page.speed`). With ``audio_mib`` the tables of failures and pairs in the
    HTML get players (:mod:`earmark.bench.cli.excerpts`), until their excerpts come to so many MiB;
    ``tell`` hears what their licences ask for, and what cannot be played.

    Raises
    ------
    RecordError
        If there is no readable record, one is given twice, or a file of ``speed`` is none.
    ReportError
        If a format is unknown, several records are given and no ``out``, or players are asked for
        and no HTML.
    """
    wanted = parsed_formats(formats)
    if audio_mib is not None and "html" not in wanted:
        raise ReportError("players are in the HTML report alone: add html to --format")
    if out is None and len(runs) != 1:
        raise ReportError(f"a report of {len(runs)} records needs a folder: give --out DIR")
    loaded = [load(run) for run in runs]  # a wrong path is named before figures are imported
    from earmark.bench.tasks.registry import VIEWS
    from earmark.reports.page import page
    from earmark.reports.page.side_by_side import side_by_side
    from earmark.reports.page.speed import read_benchmarks, with_speed
    from earmark.reports.render.html import page_html
    from earmark.reports.render.markdown import page_markdown
    from earmark.reports.render.pdf import pdf_bytes

    timed = [read_benchmarks(path) for path in speed]
    if len(loaded) == 1:
        shown = loaded[0].record
        built = page.build(shown, loaded[0].items, loaded[0].arrays, views=VIEWS)
    else:
        side = side_by_side(loaded, compare_models)
        shown, built = side.record.build_side_by_side(side, views=VIEWS)
    played = built = with_speed(built, timed)
    if audio_mib is not None:
        from earmark.bench.cli.excerpts import excerpts_of
        from earmark.reports.page.players import wishes, with_players

        records = [run.record for run in loaded]
        excerpts = excerpts_of(wishes(built, shown), records, mib=audio_mib, progress=progress)
        played = with_players(built, shown, excerpts)
        for warning in excerpts.warnings:
            tell(f"warning: {warning}")
        if lost := excerpts.unplayable:
            tell(f"warning: no player for {first_ten([one.item for one in lost])}")
    folder = Path(runs[0] if out is None else out)
    folder = folder.parent if folder.name == record_io.RUN_FILE else folder
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in wanted:
            path = folder / f"report.{name}"
            if name == "html":
                content = page_html(played).encode()
            elif name == "md":
                content = page_markdown(built).encode()
            else:
                content = pdf_bytes(built)
            write_whole(path, content)
            written.append(path)
        if figures:
            from earmark.reports.render.data_files import write_figures

            written += write_figures(built, folder / "figures", write=write_whole)
    except OSError as error:
        raise RecordError(f"report in {folder} could not be written: {error.strerror}") from error
    return written


def parsed_formats(formats: Sequence[str]) -> list[str]:
    """Return the formats once each, from ``["html,pdf"]`` or ``["html", "pdf"]``.

    Raises
    ------
    ReportError
        If one is unknown or none is given.
    """
    wanted = [name for part in formats for name in part.replace(" ", "").split(",") if name]
    if unknown := [name for name in wanted if name not in FORMATS] or not wanted:
        named = repr(unknown[0]) if isinstance(unknown, list) else "none"
        raise ReportError(f"format {named} of a report: expected some of {', '.join(FORMATS)}")
    return list(dict.fromkeys(wanted))


def load(run: Path | str) -> Run:
    """Return a record with its per-item outcomes and arrays, each held against its digest.

    Raises
    ------
    RecordError
        If there is no readable record, or a file is not the one that was written with it.
    """
    from earmark.reports.page.side_by_side import Run

    record = record_io.read(run)
    return Run(
        record=record,
        items={task.id: record_io.read_items(run, task.id, record=record) for task in record.tasks},
        arrays={
            task.id: record_io.read_arrays(run, task.id, record=record)
            for task in record.tasks
            if task.arrays
        },
    )


def compare_models(task: TaskResult, items: pd.DataFrame) -> Compared:
    """Compare the models of a task on its headline metric, on every dimension and direction."""
    from earmark.reports.page.side_by_side import Compared

    chosen = headline(task)
    found = Compared()
    if chosen is None:
        return found
    metric, subset = chosen
    subsets = [subset]
    if task.kind == "retrieval":
        subsets = list(dict.fromkeys([subset, *(score.subset for score in task.scores)]))
    for name in subsets:
        everyone = select(task.scores, metric=metric, subset=name)
        for side in unique(score.dimension for score in everyone):
            scores = [s for s in select(everyone, dimension=side) if s.value is not None]
            if len(scores) < 2:
                continue
            outcomes = _outcomes(task, items, scores)
            if isinstance(outcomes, str):
                pairs = _unpaired(scores)
                how = f"unpaired, from the intervals of the scores ({outcomes}), Holm"
            else:
                pairs = _paired(outcomes, scores)
                how = f"paired on {pairs[0].n:,} items, randomisation over units, Holm"
            place = name if side is None else f"{name}, {side}"
            found.how.append(f"{metric} ({place}): {how}.")
            found.comparisons.extend(pairs)
            found.groups.extend(groups_of(scores, pairs))
    return found


@dataclass(frozen=True, slots=True)
class _Outcomes:
    """Columns of every model ``(n_models, n_items, n_columns)`` and what is made of their sums."""

    columns: Floats
    statistic: Statistic
    units: Any
    scale: Scale


def _outcomes(task: TaskResult, items: pd.DataFrame, scores: Sequence[Score]) -> _Outcomes | str:
    """Return per-item outcomes that add up to the scores, or why there are none."""
    first = scores[0]
    if not {"model", "item", "unit"} <= set(items.columns):
        return "the records keep no outcomes by item"
    tables = _by_model(task, items, first, [score.model for score in scores])
    if isinstance(tables, str):
        return tables
    columns = _columns(task, first.metric, tables)
    if isinstance(columns, str):
        return columns
    table, statistic, scale = columns
    made = statistic(table.sum(axis=1))
    for score, value in zip(scores, made, strict=True):
        if not math.isclose(value, score.value or 0.0, rel_tol=1e-9, abs_tol=1e-12):
            return f"the outcomes of {score.model} do not add up to its score"
    if task.kind == "musav":
        # Models with gaps are held to the pairs that all of them judged.
        common = np.logical_and.reduce(table[:, :, 1] > 0)
        table = table * common[None, :, None]
    return _Outcomes(table, statistic, next(iter(tables.values()))["unit"].to_numpy(), scale)


def _by_model(
    task: TaskResult, items: pd.DataFrame, score: Score, models: Sequence[str]
) -> dict[str, pd.DataFrame] | str:
    """Return each model's rows of the score's set in one order of the items."""
    rows = items
    if "subset" in rows:
        rows = rows[rows["subset"] == score.subset]
    elif task.kind == "musav":
        if score.subset not in rows:
            return f"the records do not say which items are in {score.subset}"
        rows = rows[rows[score.subset].astype(bool)]
    if score.dimension is not None and "dimension" in rows:
        rows = rows[rows["dimension"] == score.dimension]
    # An item may be asked several times (draws of captions): told apart by its place.
    rows = rows.assign(_nth=rows.groupby(["model", "item"]).cumcount())
    found = dict(iter(rows.sort_values(["item", "_nth"]).groupby("model", sort=False)))
    tables = {model: found.get(model, rows.iloc[:0]) for model in models}
    first = next(iter(tables.values()))
    for model, own in tables.items():
        same = len(own) == len(first) and all(
            np.array_equal(own[name].to_numpy(), first[name].to_numpy())
            for name in ("item", "unit")
        )
        if not same or own.empty:
            return f"the outcomes of {model} are not on the items of {models[0]}"
    return tables


def _columns(
    task: TaskResult, metric: str, tables: Mapping[str, pd.DataFrame]
) -> tuple[Floats, Statistic, Scale] | str:
    first = next(iter(tables.values()))
    if task.kind == "av_regression" and {"rated", "predicted"} <= set(first.columns):
        of = {entry.name: entry for entry in regression.METRICS}.get(metric)
        if of is None:
            return f"no rule to add up {metric}"
        rated = first["rated"].to_numpy(float)
        if any(not np.isfinite(own["predicted"].to_numpy(float)).all() for own in tables.values()):
            return "some model left items without a prediction"
        moments = [
            regression.moments(rated, own["predicted"].to_numpy(float)) for own in tables.values()
        ]
        statistic = partial(regression.from_sums, metric=of)
        return np.stack(moments), statistic, regression.PAIRED_SCALES[of.name]
    name = "outcome" if metric == HALF_CREDIT else _COLUMNS.get(metric, metric)
    if name not in first:
        return f"the records keep no {metric} by item"
    values = np.stack([own[name].to_numpy(float) for own in tables.values()])
    scored = np.isfinite(values)
    credit = (values + 1) / 2 if metric == HALF_CREDIT else values
    return np.stack([np.where(scored, credit, 0.0), scored * 1.0], axis=2), ratio, IDENTITY


def _paired(outcomes: _Outcomes, scores: Sequence[Score]) -> list[Comparison]:
    first = scores[0]
    models = [score.model for score in scores]
    n = int((outcomes.columns[0, :, 1] > 0).sum()) if outcomes.statistic is ratio else first.n
    found = compare(
        outcomes.columns,
        outcomes.statistic,
        units=outcomes.units,
        scale=outcomes.scale,
        replicates=REPLICATES,
        seed=SEED,
    )
    return [
        comparison_of(
            one,
            models,
            metric=first.metric,
            subset=first.subset,
            dimension=first.dimension,
            unit=first.interval.unit if first.interval else "item",
            n_units=len(set(outcomes.units)),
            n=n,
        )
        for one in found
    ]


def _unpaired(scores: Sequence[Score]) -> list[Comparison]:
    """Compare scores by their intervals as if the items were others: cautious on the same ones."""
    known = [score for score in scores if score.interval is not None]
    pairs = list(combinations(known, 2))
    if not pairs:
        return []
    normal = NormalDist()
    errors = [math.hypot(_standard_error(one), _standard_error(other)) for one, other in pairs]
    p_values = []
    for (one, other), error in zip(pairs, errors, strict=True):
        gap = abs(_value(one) - _value(other))
        p_values.append(2 * (1 - normal.cdf(gap / error)) if error else float(gap == 0))
    return [
        Comparison(
            model=one.model,
            other=other.model,
            metric=one.metric,
            subset=one.subset,
            dimension=_dimension(one),
            difference=_value(one) - _value(other),
            interval=None,
            p_value=p_value,
            p_holm=float(p_holm),
            minimum_detectable_difference=minimum_detectable_difference(error),
            n=min(one.n, other.n),
        )
        for (one, other), error, p_value, p_holm in zip(
            pairs, errors, p_values, holm(p_values), strict=True
        )
    ]


def _standard_error(score: Score) -> float:
    if score.interval is None:
        raise ValueError(f"{score.metric} of {score.model} has no interval")
    z = NormalDist().inv_cdf((1 + score.interval.level) / 2)
    return (score.interval.high - score.interval.low) / (2 * z)


def _value(score: Score) -> float:
    return 0.0 if score.value is None else score.value


def _dimension(score: Score) -> Dimension | None:
    return score.dimension
