"""Evaluating a model from Python: as ``earmark run`` does, with objects in place of names.

A run is a suite of one task. Names and options are written into the suite as a file would have
them, so that the record is that of ``earmark run`` on the same suite; for an object the suite names
its class, and says that it was given in Python.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.datasets.base import DataError
from earmark.datasets.files.names import as_file_name
from earmark.reports.record.files import RUN_FILE
from earmark.runs import Run

if TYPE_CHECKING:
    from earmark.bench.run.suite import Suite
    from earmark.datasets.base import Progress


def evaluate(
    model: Any,
    dataset: Any,
    *,
    task: str | type,
    name: str | None = None,
    title: str | None = None,
    datasets: Mapping[str, Any] | None = None,
    loudness: float | None = None,
    out: str | Path = "runs",
    store: str | Path | None = "store",
    replicates: int = 10_000,
    seed: int = 2022,
    progress: bool = True,
    **options: Any,
) -> Run:
    """Measure one or several models on a dataset by a task; return the run, with its record.

    Parameters
    ----------
    model
        An object with a ``card`` and the methods that the task needs, a registered name,
        ``module:attribute`` or ``path/to/file.py:attribute``, a mapping of ``loader`` and its
        options, or a function of ``(samples, sample_rate)`` that returns arousal and valence (one
        that returns vectors: ``{"loader": "function", "function": "file.py:name", ...}``).
        Several: a mapping of names to these. None: the task reads files instead.
    dataset
        An object of :func:`earmark.datasets.open`, or of one's own with the same attributes; a
        registered name; or a mapping of ``loader`` and its options.
    task
        A registered kind (``earmark list tasks``), ``module:attribute``,
        ``path/to/file.py:attribute``, or a class.
    name, title
        Of the suite in the record; by default of the task and the dataset.
    datasets
        Further datasets by name, which options such as ``train`` and ``test`` name.
    loudness
        Integrated loudness in LUFS that every clip is brought to; None: as it is.
    out
        The folder of records.
    store
        The folder in which embeddings are kept, by model, code and file; None: none is kept. Nor
        is any of a function, or of a class that stands in no file: in a notebook.
    replicates, seed
        Of the resampling.
    progress
        Whether to show what is being done.
    **options
        The task's own, e.g. ``protocol="muscall-paper"``.

    Raises
    ------
    ValueError
        If something is not as expected (DataError, ModelError, SuiteError, RecordError); the
        message names it, and the fix.
    """
    models = {called: _as_model(one) for called, one in _several(model).items()}
    first = _name_of(dataset, "dataset")
    sets = {first: dataset} | dict(datasets or {})
    kind = _task_name(task)
    short = kind.rpartition(":")[2]
    entry = {"task": kind, "dataset": first, "models": list(models), "loudness": loudness}
    from earmark.bench.run.suite import suite_of

    suite, given = suite_of(
        {
            "name": name or as_file_name(f"{short}-{first}"),
            "title": title or f"{short} on {first}",
            "seed": seed,
            "replicates": replicates,
        },
        datasets=sets,
        models=models,
        tasks=[entry | options],
        of="of earmark.evaluate",
    )
    kept = all(_may_be_kept(one) for name, one in given.items() if name.startswith("models."))
    return _run(
        suite, given, out=out, store=store if kept else None, available=False,
        replicates=None, progress=progress,
    )  # fmt: skip


def run(
    suite: str | Path,
    *,
    out: str | Path = "runs",
    store: str | Path | None = "store",
    available: bool = False,
    replicates: int | None = None,
    progress: bool = True,
) -> Run:
    """Run a suite, a TOML file or the name of one that comes with Earmark, and return the run.

    ``available`` leaves out what is not available, and ``Run.not_run`` names it; otherwise that is
    an error. The record is that of ``earmark run``.

    Raises
    ------
    ValueError
        If something is not as expected, or nothing could run.
    """
    from earmark.bench.run.suite import find_suite, read_suite

    found = read_suite(find_suite(Path(suite)))
    return _run(
        found, {}, out=out, store=store, available=available, replicates=replicates,
        progress=progress,
    )  # fmt: skip


def open(path: str | Path) -> Run:
    """Open a finished run, ``runs/<id>``.

    Raises
    ------
    RecordError
        If there is no record, or it is damaged or of another version.
    """
    return Run(path)


def open_all(paths: str | Path | Iterable[str | Path]) -> list[Run]:
    """Open several runs: a pattern such as ``runs/*``, a folder of runs, or paths; oldest first.

    Raises
    ------
    DataError
        If there is none.
    """
    if isinstance(paths, str | Path):
        folder = Path(paths)
        matches = folder.iterdir() if folder.is_dir() else folder.parent.glob(folder.name)
        found = [one for one in matches if (one / RUN_FILE).is_file()]
        if not found:
            raise DataError(f"no run in {paths}: expected folders that hold {RUN_FILE}")
        paths = found
    return sorted((Run(path) for path in paths), key=lambda run: run.record.created)


def _run(
    suite: Suite,
    given: Mapping[str, Any],
    *,
    out: str | Path,
    store: str | Path | None,
    available: bool,
    replicates: int | None,
    progress: bool,
) -> Run:
    from earmark.bench.run.runner import run_suite

    with tempfile.TemporaryDirectory() as kept_nowhere, _bar(progress) as bar:
        folder, not_run = run_suite(
            suite,
            out=Path(out),
            store=Path(kept_nowhere if store is None else store),
            available=available,
            replicates=replicates,
            progress=bar,
            given=given,
        )
    if folder is None:
        reasons = "; ".join(f"{one.what}: {one.reason}" for one in not_run)
        raise DataError(f"suite {suite.suite.name}: nothing could run: {reasons}")
    return Run(folder)


@contextmanager
def _bar(progress: bool) -> Iterator[Progress | None]:
    """Draw bars in a terminal or a notebook."""
    if not progress:
        yield None
        return
    from earmark.bench.cli.console import progress_bar

    with progress_bar() as bar:
        yield bar


def _several(model: Any) -> dict[str, Any]:
    """Return models by name; a mapping without ``loader`` names them itself."""
    if model is None:
        return {}
    if isinstance(model, Mapping) and "loader" not in model:
        return dict(model)
    return {_name_of(model, "model"): model}


def _name_of(source: Any, what: str) -> str:
    if isinstance(source, Mapping):
        source = source.get("loader", what)
    if isinstance(source, str):
        return source.rpartition(":")[2] or source
    card = getattr(source, "card", None)
    return str(getattr(card, "id", None) or getattr(source, "__name__", what))


def _may_be_kept(model: Any) -> bool:
    """Return whether a card and a file say what makes a model's numbers.

    A class of a notebook has no file, and a function no card: changed, it would be given its old
    numbers.
    """
    from earmark.functions import FunctionModel

    module = sys.modules.get(type(model).__module__)
    return not isinstance(model, FunctionModel) and bool(getattr(module, "__file__", None))


def _task_name(task: str | type) -> str:
    if isinstance(task, str):
        return task
    from earmark.bench.run.suite import named
    from earmark.bench.tasks.registry import TASKS

    if TASKS.targets().get(kind := getattr(task, "kind", "")) == named(task):
        return kind
    return named(task)


def _as_model(model: Any) -> Any:
    """Return a model as it is, or a function as a model."""
    if isinstance(model, str | Mapping) or hasattr(model, "card"):
        return model
    if isinstance(model, Callable) and not isinstance(model, type):  # type: ignore[arg-type]
        from earmark.functions import FunctionModel

        return FunctionModel(model)
    raise DataError(
        f"model is a {type(model).__name__} without a card: give it one "
        f"(earmark.models.base.ModelCard), or give a function of (samples, sample_rate)"
    )
