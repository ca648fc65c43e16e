"""What a task is, what it is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

from numpy.typing import NDArray

from earmark.bench.scoring.items import About, Arrays, DerivedSubsets, mean_of, undetermined
from earmark.bench.scoring.statistic import Statistic
from earmark.datasets.base import Clip, DataError, fingerprint
from earmark.models.base import ModelCard
from earmark.reports.record.schema import Score, TaskResult
from earmark.reports.view import GENERIC, View

if TYPE_CHECKING:
    import pandas as pd

    from earmark.bench.embeddings.embeddings import Embeddings


@dataclass(frozen=True, slots=True)
class TaskOutput:
    """One task's result; ``items`` are columns of equal length, one row a model and item."""

    result: TaskResult
    items: Mapping[str, list[Any]]
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Context:
    """What every task is given besides its dataset, its models and its own options."""

    task_id: str
    embeddings: Embeddings
    replicates: int
    seed: int
    strict: bool = True
    """Whether a file that the task's options name and that is nowhere is an error."""
    datasets: Mapping[str, Any] = field(default_factory=dict)
    """The datasets of the suite by name; a :class:`Unavailable` for one that is not available."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A dataset or model that is not available, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class TaskRun:
    """A task's output and what its models cost."""

    output: TaskOutput
    seconds: Mapping[str, float]
    heard: Sequence[str] = ()
    """Models that the task listened with and that have no score of their own: embedders."""
    cards: Mapping[str, ModelCard] = field(default_factory=dict)
    """Of scored models that the suite does not list, such as heads that the task trained."""
    further: Sequence[TaskOutput] = ()
    """Parts of the task that are results of their own, on the datasets that they name."""


Need = Literal["audio", "text", "av", "audio or av"]
"""What a task asks of every model: vectors of clips or of texts, arousal and valence, or either."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What models embed for a task before it scores."""

    clips: Sequence[Clip]
    texts: Sequence[str] = ()
    models: Mapping[str, Any] | None = None
    """Who embeds these; None: the task's models."""
    further: Sequence[Wanted] = ()


class Task(Protocol):
    """One way to measure models: a frozen dataclass whose fields are the options in a suite.

    Its constructor takes the options by name, as the factories of datasets and models do.
    """

    kind: ClassVar[str]
    """The word in suites and records."""
    needs: ClassVar[frozenset[Need]]
    truth: ClassVar[frozenset[str]]
    """Columns of items (and ``arrays/<name>``) that come from the dataset."""
    outcomes: ClassVar[frozenset[str]] = frozenset()
    """Columns that come from the model and are measured, beside those called as a metric is."""
    view: ClassVar[View] = GENERIC
    """How a reader sees its results."""
    derived_subsets: ClassVar[DerivedSubsets] = {}
    """Subsets of scores that no column of the items names."""
    seeded: ClassVar[bool] = False
    """Whether the seed decides more than what is resampled, whatever the protocol says."""
    chance_varies: ClassVar[bool] = False
    """Whether the level of chance follows from what a model predicts."""

    def wanted(self, context: Context, dataset: Any, models: Mapping[str, Any]) -> Wanted:
        """Return what `run` has embedded, with the same errors, before anything is embedded."""
        ...

    def run(self, context: Context, dataset: Any, models: Mapping[str, Any]) -> TaskRun:
        """Embed, and score."""
        ...

    @staticmethod
    def measure(score: Score, rows: pd.DataFrame, arrays: Arrays, about: About) -> Statistic:
        """Return what a score is the value of, from the items that it rests on.

        The run, the gate and the leaderboard ask this alone. By default it is the mean of the
        column that is called as the metric is.
        """
        if score.metric not in rows.columns:
            raise undetermined(score.metric)
        return mean_of(rows, score.metric)


class UnknownModelError(DataError):
    """A name that is of no model which a task trains; the message lists those that are."""


@runtime_checkable
class Exports(Protocol):
    """A task that trains models of its own, and can write them as files."""

    def export(
        self,
        name: str,
        context: Context,
        dataset: Any,
        models: Mapping[str, Any],
        *,
        opened_as: Mapping[str, Mapping[str, Any]],
        out: Path,
        onnx: bool,
    ) -> Mapping[str, Any]:
        """Write a model into a new folder and return how a suite opens it: ``loader``, options.

        Parameters
        ----------
        name
            As in the task's scores.
        opened_as
            Of each of ``models``: ``loader`` and its options, as the suite has them.
        onnx
            Whether to write it for other programs as well.

        Raises
        ------
        UnknownModelError
            If the task trains no model of this name.
        """
        ...


def item_digest(ids: Iterable[str]) -> str:
    """Return the digest of a set of item ids, whatever their order."""
    return fingerprint(sorted(ids))
