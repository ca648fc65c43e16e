"""``earmark report``: render one record, or several side by side, and compare their models.

Models of several runs are compared from the records' per-item outcomes, paired on the same items.
The outcomes are first held against the scores that they must add up to: where they do not, or a
record keeps none, the comparison rests on the scores' intervals alone and says that it is unpaired.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

from earmark.bench.cli.console import Progress, silent
from earmark.bench.metrics.comparisons import (
    holm,
    minimum_detectable_difference,
)
from earmark.bench.metrics.statistics import REPLICATES, SEED
from earmark.bench.scoring.items import Arrays, TaskItems, UnmeasurableError
from earmark.bench.scoring.results import compared, differs, groups_of
from earmark.bench.tasks.registry import task_of
from earmark.datasets.base import first_ten
from earmark.datasets.files.atomic import write_whole
from earmark.reports.record import files as record_io
from earmark.reports.record.lookup import headline, select, unique
from earmark.reports.record.schema import Comparison, RecordError, Score, TaskResult

if TYPE_CHECKING:
    import pandas as pd

    from earmark.reports.page.side_by_side import Compared, Run

FORMATS: Final = ("html", "pdf", "md")


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
        shown, built = side.record, page.build_side_by_side(side, views=VIEWS)
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


def compare_models(task: TaskResult, items: pd.DataFrame, arrays: Arrays) -> Compared:
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
            pairs = _paired(task, items, arrays, scores)
            if isinstance(pairs, str):
                how = f"unpaired, from the intervals of the scores ({pairs}), Holm"
                pairs = _unpaired(scores)
            else:
                how = f"paired on {pairs[0].n:,} items, randomisation over units, Holm"
            place = name if side is None else f"{name}, {side}"
            found.how.append(f"{metric} ({place}): {how}.")
            found.comparisons.extend(pairs)
            found.groups.extend(groups_of(scores, pairs))
    return found


def _paired(
    task: TaskResult, items: pd.DataFrame, arrays: Arrays, scores: Sequence[Score]
) -> list[Comparison] | str:
    """Return comparisons of outcomes that give the scores, or why there are none."""
    kind = task_of(task.kind)
    if kind is None:
        return f"no task {task.kind!r} is installed"
    if not {"model", "item", "unit"} <= set(items.columns):
        return "the records keep no outcomes by item"
    outcomes = TaskItems(
        kind.measure,
        items,
        arrays,
        task.scores,
        derived_subsets=kind.derived_subsets,
        headline_subset=task.headline_subset,
    )
    first = outcomes.rows(scores[0])
    statistics = []
    for score in scores:
        own = outcomes.rows(score)
        if own.empty or not first[["item", "unit"]].equals(own[["item", "unit"]]):
            return f"the outcomes of {score.model} are not on the items of {scores[0].model}"
        try:
            statistics.append(outcomes.measured(score))
        except UnmeasurableError as error:
            return error.reason
        if differs(score, statistics[-1]):
            return f"the outcomes of {score.model} do not add up to its score"
    found = compared(
        scores,
        statistics,
        outcomes.units(scores[0]),
        unit=scores[0].interval.unit if scores[0].interval else "item",
        replicates=REPLICATES,
        seed=SEED,
    )
    return found or "fewer than two units"


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
            dimension=one.dimension,
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
