"""Running suites: open what they list, run their tasks, leave a record and its reports."""

from __future__ import annotations

import os
import secrets
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from earmark.bench.embeddings.embeddings import Embeddings
from earmark.bench.embeddings.store import Store
from earmark.bench.run import preflight
from earmark.bench.run.environment import describe_environment
from earmark.bench.run.suite import Source, Suite, SuiteError, TaskEntry, read_suite
from earmark.bench.scoring.items import Arrays, table_of
from earmark.bench.scoring.results import wrong_scores
from earmark.bench.tasks.registry import items_of, open_task
from earmark.bench.tasks.task import Context, Task, TaskOutput, Unavailable
from earmark.datasets.base import DataError, DatasetCard, Progress
from earmark.datasets.files.atomic_files import room_left
from earmark.datasets.files.data_paths import placed
from earmark.datasets.registry import DATASETS, Registry, check_options
from earmark.models.adapters.references import at_loudness
from earmark.models.base import ModelCard, ModelError, in_words
from earmark.models.registry import MODELS
from earmark.models.support.exported import TrainingLog
from earmark.reports.record import files as record_io
from earmark.reports.record import schema
from earmark.reports.record.lookup import RANDOM_BASELINE
from earmark.reports.record.schema import RecordError

if TYPE_CHECKING:
    import pandas as pd

Opened = TypeVar("Opened")
UNFORESEEN = "internal error"
"""What the reason of a task begins with that ended with no error of Earmark's own."""


@dataclass(slots=True)
class Run:
    """One suite while it runs; what could not be opened is remembered with its reason."""

    suite: Suite
    embeddings: Embeddings
    replicates: int
    given: Mapping[str, Any] = field(default_factory=dict)
    """Objects in place of what loaders open, by ``models.<name>`` and ``datasets.<name>``."""
    scored: Callable[[schema.TaskResult], None] = lambda result: None
    """Called with what a task found, as soon as it did."""
    tasks: dict[str, Task] = field(default_factory=dict)
    """By id."""
    datasets: dict[str, Any | Unavailable] = field(default_factory=dict)
    models: dict[str, Any | Unavailable] = field(default_factory=dict)
    outputs: list[TaskOutput] = field(default_factory=list)
    cards: dict[str, ModelCard] = field(default_factory=dict)
    """Of models that tasks made themselves."""
    heard: set[str] = field(default_factory=set)
    """Models that were listened with, besides those that have scores."""
    not_run: list[schema.NotRun] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    """Of tasks that should have run."""
    unable: set[tuple[str, str]] = field(default_factory=set)
    """TaskEntry ids and models that cannot do them."""
    seconds: dict[str, float] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)


def run_suite(
    suite: Path | str | Suite,
    *,
    out: Path,
    store: Path,
    available: bool = False,
    replicates: int | None = None,
    progress: Progress | None = None,
    trust_card: bool = False,
    given: Mapping[str, Any] | None = None,
    scored: Callable[[schema.TaskResult], None] = lambda result: None,
) -> tuple[Path | None, list[schema.NotRun]]:
    """Run one suite; return its record's folder (None if nothing ran) and what did not run.

    Parameters
    ----------
    suite
        Its file, or the suite as read.
    available
        Go on without what is not available; otherwise that is an error before anything runs.
    progress
        Called with items done, items in all, and of what.
    trust_card
        Take kept vectors of a model with the same card, whatever code made them.
    given
        Objects to use instead of opening them, by ``models.<name>`` and ``datasets.<name>``.
    scored
        Called with what a task found, as soon as it did.

    Raises
    ------
    DataError, ModelError, SuiteError, RecordError
        If something is not as expected, before anything is listened to; with ``available`` this
        ends only what it concerns. A task that fails later is in the record as ``failed``; its
        error is raised only where no other task left anything to record.
    """
    started = time.perf_counter()
    suite = read_checked(suite)
    run = Run(
        suite=suite,
        embeddings=Embeddings(Store(store), progress=progress, trust_card=trust_card),
        replicates=replicates or suite.suite.replicates,
        given=given or {},
        scored=scored,
    )
    open_all(run, strict=not available)
    for task in suite.tasks:
        _run_task(run, task, strict=not available)
    if not run.outputs:
        if run.failures:
            raise run.failures[0]
        return None, run.not_run
    record = _record(run, time.perf_counter() - started)
    items = {one.result.id: table_of(one.items) for one in run.outputs}
    arrays = {one.result.id: dict(one.arrays) for one in run.outputs if one.arrays}
    record = _checked(record, items, arrays)
    try:
        folder = record_io.write(record, items=items, arrays=arrays, runs_folder=out)
    except RecordError as error:
        if isinstance(error.__cause__, OSError) and (room := room_left(error.__cause__, out)):
            raise RecordError(f"{error}{room}") from error
        raise
    return folder, run.not_run


def _checked(
    record: schema.RunRecord, items: Mapping[str, pd.DataFrame], arrays: Mapping[str, Arrays]
) -> schema.RunRecord:
    """Return a record that warns of scores which are not what their own items give."""
    tasks = []
    for task in record.tasks:
        outcomes = items_of(task, items[task.id], arrays.get(task.id, {}), record=record)
        try:
            wrong = list(wrong_scores(outcomes))
        except Exception as error:  # of a task that is not ours: what was found is not lost
            wrong = [f"its scores cannot be measured again from its items: {in_words(error)}"]
        tasks.append(task.model_copy(update={"warnings": [*task.warnings, *wrong]}))
    return record.model_copy(update={"tasks": tasks})


def read_checked(suite: Path | str | Suite) -> Suite:
    """Read a suite, hold its tasks and their options against those that are known, add `random`."""
    suite = suite if isinstance(suite, Suite) else read_suite(suite)
    found: list[Exception] = []
    hearing: set[str] = set()
    for entry in suite.tasks:
        try:
            if "audio" in _task(suite, entry).needs:
                hearing.add(entry.task)
        except DataError as error:
            found.append(error)
        except Exception as error:
            found.append(DataError(f"task {suite.id_of(entry)!r}: {in_words(error)}"))
    for kind, registry, sources in (
        ("dataset", DATASETS, suite.datasets),
        ("model", MODELS, suite.models),
    ):
        for name, source in sources.items():
            if found and not source.optional:
                found += _option_faults(registry, source, of=f"{kind} {name!r}")
    _refuse(found, suite.suite.name)
    return suite.with_random_baseline(hearing)


def _task(suite: Suite, entry: TaskEntry) -> Task:
    return open_task(entry.task, entry.options, of=f"task {suite.id_of(entry)!r}")


def open_all(run: Run, *, strict: bool) -> None:
    """Open what the suite lists and hold it against the tasks, before anything listens.

    What is not available is an error, or remembered as such; all errors come in one list.

    Raises
    ------
    DataError, ModelError, SuiteError
        The error, or a `SuiteError` that lists several.
    """
    found: list[Exception] = []
    run.tasks = {run.suite.id_of(one): _task(run.suite, one) for one in run.suite.tasks}
    for name, source in run.suite.datasets.items():
        opened = _open(partial(_create, run, DATASETS, name, source))
        run.datasets[name] = _or_reason(opened)
        if isinstance(opened, Exception) and strict and not source.optional:
            found.append(opened)
    wanted = {model for task in run.suite.tasks for model in run.suite.models_of(task)}
    for name, source in run.suite.models.items():
        if name not in wanted:
            continue
        opened = _open(partial(_create, run, MODELS, name, source))
        run.models[name] = _or_reason(opened)
        if isinstance(opened, Exception):
            run.not_run.append(schema.NotRun(what=name, reason=str(opened)))
            if strict and not source.optional:
                found.append(opened)
    for task_id, name, why in preflight.misfits(run.suite, run.tasks, run.models):
        run.unable.add((task_id, name))
        if strict:
            found.append(ModelError(why))
        else:
            run.not_run.append(schema.NotRun(what=name, reason=why))
    same = preflight.not_told_apart(run.suite.models, run.models, run.embeddings)
    found += [SuiteError(f"suite {run.suite.suite.name}: {why}") for why in same]
    if strict:
        for entry in run.suite.tasks:
            if not isinstance(dataset := run.datasets[entry.dataset], Unavailable):
                task, context = run.tasks[run.suite.id_of(entry)], context_of(run, entry)
                models = able(run, entry)
                unfit = preflight.unfit(entry, task, context, dataset, models)
                found += [DataError(why) for why in unfit]
    _refuse(found, run.suite.suite.name)


def _refuse(found: Sequence[Exception], suite: str) -> None:
    """Raise the one error that was found, or all in one list."""
    if len(found) == 1:
        raise found[0]
    if found:
        listed = "".join(f"\n- {error}" for error in dict.fromkeys(map(str, found)))
        raise SuiteError(
            f"suite {suite}: nothing was run, since {len(found)} things are wrong:{listed}"
        )


def _option_faults(registry: Registry, source: Source, *, of: str) -> list[Exception]:
    try:
        check_options(registry.factory(source.loader), source.options, of=of)
    except DataError as error:
        return [error]
    except Exception as error:
        return [DataError(f"{of}: {in_words(error)}")]
    return []


def _or_reason(opened: Opened | Exception) -> Opened | Unavailable:
    return Unavailable(str(opened)) if isinstance(opened, Exception) else opened


def _open(create: Callable[[], Opened]) -> Opened | Exception:
    try:
        return create()
    except (DataError, ModelError) as error:
        return error


def _create(run: Run, registry: Registry, name: str, source: Source) -> Any:
    what = "dataset" if registry is DATASETS else "model"
    if (key := f"{what}s.{name}") in run.given:
        return run.given[key]
    what = f"{what} {name!r}"
    try:
        return registry.create(source.loader, placed(source.options))
    except (DataError, ModelError):
        raise
    except (Exception, SystemExit) as error:  # a module that ends the program has failed, too
        wrong = DataError if registry is DATASETS else ModelError
        raise wrong(f"{what} ({source.loader}) cannot be opened: {in_words(error)}") from error


def context_of(run: Run, task: TaskEntry, *, strict: bool = True) -> Context:
    """Return what a task is given besides its dataset and models."""
    seed = run.suite.suite.seed
    task_id = run.suite.id_of(task)
    return Context(task_id, run.embeddings, run.replicates, seed, strict, run.datasets)


def _run_task(run: Run, task: TaskEntry, *, strict: bool) -> None:
    task_id = run.suite.id_of(task)
    dataset = run.datasets[task.dataset]
    if isinstance(dataset, Unavailable):
        run.not_run.append(schema.NotRun(what=task_id, reason=dataset.reason))
        return
    models = able(run, task)
    lacking = [name for name in run.suite.models_of(task) if name not in models]
    if lacking and set(models) == {RANDOM_BASELINE}:  # alone it says nothing
        reason = f"of its models none is available: {', '.join(lacking)}"
        run.not_run.append(schema.NotRun(what=task_id, reason=reason))
        return
    context = context_of(run, task, strict=strict)
    started = time.perf_counter()
    try:
        ran = run.tasks[task_id].run(context, dataset, models)
    except Exception as error:
        _failed(run, task_id, error, strict=strict)
        return
    run.timings[task_id] = round(time.perf_counter() - started, 3)
    # Two sets of one loader are distinguished by what the suite calls them.
    result = ran.output.result.model_copy(update={"dataset": task.dataset})
    if task.loudness is not None:
        protocol = result.protocol | {"loudness (LUFS)": task.loudness}
        result = result.model_copy(update={"protocol": protocol})
    run.outputs += [replace(ran.output, result=result), *ran.further]
    run.heard |= set(ran.heard)
    run.cards |= ran.cards
    for name, seconds in ran.seconds.items():
        run.seconds[name] = run.seconds.get(name, 0.0) + seconds
    run.scored(result)


def able(run: Run, task: TaskEntry) -> dict[str, Any]:
    """Return the models of a task that are there and can do it."""
    task_id = run.suite.id_of(task)
    models = {name: run.models[name] for name in run.suite.models_of(task)}
    return {
        name: model if task.loudness is None else at_loudness(model, task.loudness)
        for name, model in models.items()
        if not isinstance(model, Unavailable) and (task_id, name) not in run.unable
    }


def reason_of(error: Exception) -> tuple[str, bool]:
    """Return why something failed, and whether the error is one that was foreseen."""
    told = type(error).__module__.startswith("earmark.")
    return str(error) if told else f"{UNFORESEEN}: {in_words(error)}", told


def _failed(run: Run, task_id: str, error: Exception, *, strict: bool) -> None:
    """Note why a task did not run; the others go on, so that what they find is not lost."""
    reason, told = reason_of(error)
    run.not_run.append(schema.NotRun(what=task_id, reason=reason, failed=strict or not told))
    if strict or not told:
        run.failures.append(error)
        if os.environ.get("EARMARK_DEBUG"):
            traceback.print_exception(error)


def _record(run: Run, seconds: float) -> schema.RunRecord:
    now = datetime.now(UTC)
    suite = run.suite
    used = run.heard | {name for output in run.outputs for name in output.result.models}
    return schema.RunRecord(
        id=f"{now:%Y%m%dT%H%M%SZ}-{suite.suite.name}-{secrets.token_hex(2)}",
        created=now.isoformat(timespec="seconds"),
        earmark_version=version("earmark"),
        suite=schema.Suite(
            name=suite.suite.name, title=suite.suite.title, digest=suite.digest, toml=suite.text
        ),
        command=[Path(sys.argv[0]).name, *sys.argv[1:]],
        seed=suite.suite.seed,
        replicates=run.replicates,
        environment=describe_environment(),
        models=[
            _model_entry(
                name,
                model.card,
                run.seconds.get(name),
                _cost(run, name, model),
                _training(model),
                None if run.embeddings.trust_card else run.embeddings.code(model).digest,
            )
            for name, model in run.models.items()
            if name in used and not isinstance(model, Unavailable)
        ]
        + [
            _model_entry(name, card, None, None)
            for name, card in run.cards.items()
            if name in used and name not in run.models
        ],
        datasets=[
            _dataset_entry(name, dataset)
            for name, dataset in run.datasets.items()
            if not isinstance(dataset, Unavailable)
        ],
        tasks=[output.result for output in run.outputs],
        not_run=run.not_run,
        seconds=round(seconds, 3),
        timings=run.timings,
    )


def _cost(run: Run, name: str, model: Any) -> schema.Cost | None:
    """Return what listening cost; the random baseline uses no input, so that its speed says
    nothing."""
    return None if name == RANDOM_BASELINE else run.embeddings.cost(model)


def _training(model: Any) -> schema.TrainingLog | None:
    log: TrainingLog | None = getattr(model, "training_log", None)
    return None if log is None else schema.TrainingLog.model_validate(asdict(log))


def _model_entry(
    name: str,
    card: ModelCard,
    seconds: float | None,
    cost: schema.Cost | None,
    training: schema.TrainingLog | None = None,
    code: str | None = None,
) -> schema.ModelEntry:
    return schema.ModelEntry(
        id=name,
        version=card.version,
        weights_digest=card.weights_digest,
        licence=card.licence,
        citation=card.citation,
        training_datasets=list(card.training_datasets),
        crop_policy=card.crop_policy,
        preprocessing=dict(card.preprocessing),
        notes=list(card.notes),
        av_scale=card.av_scale,
        seconds=None if seconds is None else round(seconds, 3),
        cost=cost,
        training=training,
        code=code,
    )


def _dataset_entry(name: str, dataset: Any) -> schema.DatasetEntry:
    card: DatasetCard = dataset.card
    items = dataset.song_ids if hasattr(dataset, "song_ids") else dataset.clips
    scale = getattr(dataset, "scale", None)
    return schema.DatasetEntry(
        id=name,
        known_as=card.id,
        title=card.title,
        version=card.version,
        licence=card.licence,
        citation=card.citation,
        source=card.source,
        synthetic=card.synthetic,
        fingerprint=dataset.fingerprint,
        n_items=len(items),
        notes=list(card.notes),
        rating_scale=None if scale is None else (scale.low, scale.high),
    )
