"""A suite: which models are measured on which datasets by which tasks, as one TOML file.

::

    [suite]
    name = "av_real"
    title = "Released arousal/valence heads on real audio and on MusAV"
    fetch = ["musav"]                      # what `earmark run --fetch` may download for it

    [datasets.musav]
    loader = "musav"                       # a registered name, or module:attribute
    root = "{data}/musav"                  # options of the loader

    [models.emomusic-1]
    loader = "essentia-av"
    head = "emomusic-msd-musicnn-1"

    [[tasks]]
    task = "musav"
    dataset = "musav"
    models = ["emomusic-1"]                # all models where not given

A task that learns names the sets that it learns from, and others that it is tested on besides::

    [[tasks]]
    task = "av_cross_dataset"
    dataset = "musav"
    train = ["emomusic", "deam"]
    test = ["emomusic", "deam"]
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence, Set
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from earmark.datasets.files.config_files import explained, toml_value
from earmark.datasets.files.names import suggest
from earmark.datasets.files.text_files import UnreadableError, decode, parse_toml

RANDOM_BASELINE = "random"
"""The model, and its loader, that every audio-text task is held against: it must be at chance."""


class SuiteError(ValueError):
    """A suite that cannot be read or does not fit together; the message names file and place."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(BaseModel):
    """A dataset or a model: its loader, and the loader's options as they stand."""

    model_config = ConfigDict(extra="allow", frozen=True)

    loader: str
    """A registered name, ``module:attribute`` or ``path/to/file.py:attribute``."""
    optional: bool = False
    """Whether a run goes on without it where it is not available, and says so."""

    @property
    def options(self) -> dict[str, Any]:
        """The options without the loader's name."""
        return dict(self.model_extra or {})


class TaskEntry(BaseModel):
    """One task on one dataset; further keys are the task's own options."""

    model_config = ConfigDict(extra="allow", frozen=True)

    task: str
    """A registered name, ``module:attribute`` or ``path/to/file.py:attribute``."""
    dataset: str
    """The name of a dataset of the suite."""
    id: str | None = None
    """What records call the result; by default the task's and the dataset's name."""
    models: list[str] | None = None
    """Names of models of the suite; None: all of them."""
    train: list[str] | None = None
    """Datasets of the suite that a task learns from."""
    test: list[str] | None = None
    """Further datasets of the suite that it is tested on."""
    loudness: float | None = Field(None, gt=-70, le=0)
    """Integrated loudness in LUFS at which every model hears every clip; None: as it is."""

    @property
    def options(self) -> dict[str, Any]:
        """The task's own options, the further datasets that it names among them."""
        named = {"train": self.train, "test": self.test}
        given = {name: value for name, value in named.items() if value is not None}
        return given | dict(self.model_extra or {})

    @property
    def datasets(self) -> list[str]:
        """Every dataset that it names, each once."""
        return list(dict.fromkeys([self.dataset, *(self.train or []), *(self.test or [])]))


class Head(_Part):
    """The ``[suite]`` table."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """What records, baselines and policies call the suite: letters, digits, ``.``, ``_``, ``-``."""
    title: str
    """What reports call it."""
    seed: int = 2022
    """Of all that is drawn: replicates, folds, pools."""
    replicates: int = Field(10_000, ge=100)
    """Of bootstraps and randomisation tests."""
    fetch: list[str] = []
    """What ``--fetch`` may download for it: names of ``earmark fetch``."""


class Suite(_Part):
    """A suite as read, with the file's text and digest."""

    suite: Head
    datasets: dict[str, Source]
    models: dict[str, Source] = {}
    tasks: list[TaskEntry] = Field(min_length=1)
    text: str = Field("", exclude=True)
    digest: str = Field("", exclude=True)

    def models_of(self, task: TaskEntry) -> list[str]:
        """Return the ids of the models that a task measures."""
        return list(self.models) if task.models is None else task.models

    def with_random_baseline(self, tasks: Set[str]) -> Suite:
        """Return the suite with the model ``random`` in every task of these names.

        Raises
        ------
        SuiteError
            If the suite calls another loader's model ``random``.
        """
        lacking = [
            task
            for task in self.tasks
            if task.task in tasks and RANDOM_BASELINE not in self.models_of(task)
        ]
        taken = self.models.get(RANDOM_BASELINE)
        if (
            taken is not None
            and taken.loader != RANDOM_BASELINE
            and tasks & {t.task for t in self.tasks}
        ):
            raise SuiteError(
                f"suite {self.suite.name}: models.{RANDOM_BASELINE} has the loader "
                f"{taken.loader!r}, but "
                f"{RANDOM_BASELINE!r} is the name of the model that audio-text tasks are held "
                f"against; "
                f"give it another name"
            )
        if not lacking:
            return self
        widened = [
            task.model_copy(
                update={"models": self.models_of(task) + [RANDOM_BASELINE] * (task in lacking)}
            )
            for task in self.tasks
        ]
        return self.model_copy(
            update={
                "models": {RANDOM_BASELINE: Source(loader=RANDOM_BASELINE)} | self.models,
                "tasks": widened,
            }
        )

    def id_of(self, task: TaskEntry) -> str:
        """Return the task's id, by default ``<task>-<dataset>``."""
        name = task.task.rpartition(":")[2]  # of `path/to/file.py:Class`, the class
        return task.id or f"{name}-{task.dataset}"


def read_suite(path: Path | str) -> Suite:
    """Read and check a suite file.

    Raises
    ------
    SuiteError
        If the file is absent, is no TOML, has unknown or missing keys, or a task names a dataset
        or a model that the suite does not list.
    """
    try:
        return parse_suite(Path(path).read_bytes(), of=path)
    except OSError as error:
        raise SuiteError(f"suite {path}: {error.strerror or error}") from error


def parse_suite(content: bytes, *, of: Path | str) -> Suite:
    """Check a suite's TOML; errors call it ``of``."""
    try:
        raw, text = parse_toml(content), decode(content)
    except UnreadableError as error:
        raise SuiteError(f"suite {of} is not TOML: {error}") from error
    for reserved in ("text", "digest"):
        if reserved in raw:
            raise SuiteError(f"suite {of}: unknown key {reserved!r}")
    try:
        suite = Suite(**raw, text=text, digest=hashlib.sha256(content).hexdigest())
    except ValidationError as error:
        raise SuiteError(f"suite {of}: {explained(error, Suite)}") from error
    _check_references(suite, of)
    return suite


def shipped_suites() -> list[Path]:
    """Return the suites that come with Earmark, by name."""
    folder = files("earmark.bench.suites")
    return sorted(Path(str(one)) for one in folder.iterdir() if one.name.endswith(".toml"))


def find_suite(name: Path) -> Path:
    """Return a suite's file: the path itself, or that of a suite that comes with Earmark.

    Raises
    ------
    SuiteError
        If there is neither; the message has the nearest name.
    """
    if name.exists():
        return name
    shipped = {path.stem: path for path in shipped_suites()}
    if str(name) in shipped:
        return shipped[str(name)]
    raise SuiteError(
        f"no suite {name}: expected a TOML file, or the name of a suite that comes with Earmark. "
        f"{suggest(name.stem, shipped)} `earmark run` lists them"
    )


def _check_references(suite: Suite, path: Path | str) -> None:
    ids: set[str] = set()
    for task in suite.tasks:
        for dataset in task.datasets:
            if dataset not in suite.datasets:
                raise SuiteError(_unknown(path, "dataset", dataset, list(suite.datasets)))
        kept = [name for name in ("embeddings", "predictions", "stored") if name in task.options]
        if task.loudness is not None and kept:
            raise SuiteError(
                f"suite {path}: task {suite.id_of(task)!r} has loudness = {task.loudness:g} and "
                f"reads {' and '.join(kept)}, which were made of clips at their own loudness; "
                f"leave one of them out"
            )
        for model in task.models or []:
            if model not in suite.models:
                raise SuiteError(_unknown(path, "model", model, list(suite.models)))
        if suite.id_of(task) in ids:
            raise SuiteError(
                f"suite {path}: two tasks are called {suite.id_of(task)!r}; give one an id"
            )
        ids.add(suite.id_of(task))


def _unknown(path: Path | str, kind: str, name: str, known: list[str]) -> str:
    hint = suggest(name, known, listed="Listed")
    return f"suite {path}: a task names the {kind} {name!r}, which the suite does not list. {hint}"


def suite_of(
    head: Mapping[str, Any],
    *,
    datasets: Mapping[str, Any],
    models: Mapping[str, Any],
    tasks: Sequence[Mapping[str, Any]],
    of: str,
) -> tuple[Suite, dict[str, Any]]:
    """Return a suite as if it were read from a file, and the objects in it.

    Parameters
    ----------
    head
        The ``[suite]`` table.
    datasets, models
        Each the name of a loader, a mapping of ``loader`` and its options, or an object, which is
        returned by ``datasets.<name>`` or ``models.<name>``: the suite names its class.
    tasks
        Entries; a value None is left out.
    of
        What errors call the suite.

    Raises
    ------
    SuiteError
        If they do not fit together, or an option is something that no suite can hold.
    """
    lines = _table("[suite]", head)
    given = {}
    for table, sources in (("datasets", datasets), ("models", models)):
        for name, source in sources.items():
            title = f"[{table}.{toml_value(name)}]"
            if isinstance(source, str | Mapping):
                options = {"loader": source} if isinstance(source, str) else source
                lines += _table(title, options)
            else:
                given[f"{table}.{name}"] = source
                lines += ["# an object, given in Python"]
                lines += _table(title, {"loader": named(type(source))})
    for entry in tasks:
        lines += _table("[[tasks]]", entry)
    return parse_suite("\n".join(lines).encode(), of=of), given


def named(kind: type) -> str:
    """Return a class as ``module:attribute``."""
    return f"{kind.__module__}:{kind.__qualname__}"


def _table(head: str, options: Mapping[str, Any]) -> list[str]:
    given = {name: value for name, value in options.items() if value is not None}
    return [head, *(f"{name} = {toml_value(_plain(name, one))}" for name, one in given.items()), ""]


def _plain(name: str, value: Any) -> Any:
    """Return an option as TOML can hold it."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(name, one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(name, one) for one in value]
    if hasattr(value, "tolist"):  # of NumPy or torch
        return value.tolist()
    if not isinstance(value, str | int | float | bool):
        raise SuiteError(
            f"option {name!r} is a {type(value).__name__}, expected what a suite can hold: texts, "
            f"numbers, true or false, lists and tables of them"
        )
    return value
