"""What a task gives back: its part of the record, per-item outcomes, and what figures need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from earmark.datasets.base import fingerprint
from earmark.models.base import ModelCard
from earmark.reports.record.schema import TaskResult

if TYPE_CHECKING:
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
    """The datasets of the suite by name; a :class:`NotOpened` for one that is not at hand."""


@dataclass(frozen=True, slots=True)
class NotOpened:
    """A dataset or model that is not at hand, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ran:
    """A task's output and what its models cost."""

    output: TaskOutput
    seconds: Mapping[str, float]
    heard: Sequence[str] = ()
    """Models that the task listened with and that have no score of their own: embedders."""
    cards: Mapping[str, ModelCard] = field(default_factory=dict)
    """Of scored models that the suite does not list, such as heads that the task trained."""
    further: Sequence[TaskOutput] = ()
    """Parts of the task that are results of their own, on the datasets that they name."""


def item_digest(ids: Iterable[str]) -> str:
    """Return the digest of a set of item ids, whatever their order."""
    return fingerprint(sorted(ids))
