"""The run record: what a run leaves behind, and all that reports and gates may read.

A record is a folder ``runs/<id>/`` with ``run.json`` (this schema), ``items/<task>.parquet``
(per-item outcomes, one row a model, item and dimension) and ``arrays/<task>.npz`` (what figures
need). Writing and reading are in :mod:`earmark.reports.record.files`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator
from pydantic import model_validator as whole

SCHEMA_VERSION: Final = 1

Plain = str | int | float | bool | None

Dimension = Annotated[str, StringConstraints(min_length=1, max_length=40)]
"""What a score is of, where a task scores several things: ``arousal``, ``preference``."""
FileName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=120)
]
"""An id that also names a file: no separators, nothing that another system's disk refuses."""


class RecordError(ValueError):
    """A record that cannot be read or written; the message names the file and the fix."""


class Part(BaseModel):
    """Base of every part of the schema: unknown keys are refused, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Interval(Part):
    """An interval of a score. ``unit`` is what was resampled (triplet, clip, artist)."""

    low: float
    high: float
    level: float = Field(0.95, gt=0, lt=1)
    method: str
    unit: str
    n_units: int
    replicates: int

    @whole(mode="after")
    def _is_ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"an interval needs low <= high, got {self.low} to {self.high}")
        return self


class Score(Part):
    """One number with what is needed to believe it."""

    model: str
    metric: str
    """Field-standard name in snake case, e.g. ``pairwise_accuracy``, ``pearson_r``."""
    value: float | None
    """None where undefined; ``reason`` then says why."""
    reason: str | None = None
    """Why there is no value, or no interval."""
    interval: Interval | None = None
    subset: str
    """Named split or ground-truth set, e.g. ``gt.ct.fa`` or ``all``."""
    dimension: Dimension | None = None
    n: int
    """Items that the value rests on (scored pairs, clips)."""
    n_items: int
    """Items that the subset holds for this metric; ``n / n_items`` is the coverage."""
    correct: float | None = None
    """For accuracies: the numerator."""
    ties: int | None = None
    """For pairwise accuracies: predicted ties among the subset's pairs."""
    chance: float | None
    higher_is_better: bool
    lower_bound: float | None
    upper_bound: float | None
    item_digest: str
    """sha256 of the sorted ids of the subset's items."""

    @whole(mode="after")
    def _says_why_or_what(self) -> Self:
        if self.value is None and not self.reason:
            raise ValueError(
                f"{self.metric} of {self.model} on {self.subset} has neither a value nor a reason"
            )
        if self.n > self.n_items:
            raise ValueError(f"a score rests on n={self.n} of only n_items={self.n_items} items")
        return self


class Comparison(Part):
    """A paired difference, model minus other, on the same items."""

    model: str
    other: str
    metric: str
    subset: str
    dimension: Dimension | None = None
    difference: float
    interval: Interval | None
    """None where the difference is undefined in too many resamples: a set too small for one."""
    p_value: float
    p_holm: float
    """After Holm's correction over all pairs of models in this subset and dimension."""
    minimum_detectable_difference: float
    n: int


class Group(Part):
    """Models that are not significantly different from each other in one subset and dimension."""

    subset: str
    metric: str
    dimension: Dimension | None = None
    models: list[str]
    """Best first."""


class Reference(Part):
    """A line to hold scores against: chance, human annotators, a published figure."""

    name: str
    subset: str
    dimension: Dimension | None = None
    metric: str
    value: float
    n: int | None = None
    note: str = ""


class Table(Part):
    """A table of the task's own (agreement statistics, breakdowns), rendered as it is."""

    title: str
    columns: list[str]
    rows: list[list[Plain]]
    note: str = ""

    @whole(mode="after")
    def _is_rectangular(self) -> Self:
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueError(
                    f"row {number} of table {self.title!r} has {len(row)} cells, "
                    f"expected {len(self.columns)}: {', '.join(self.columns)}"
                )
        return self


class ItemProblem(Part):
    """An item that could not be used, by name, with the reason."""

    item: str
    reason: str


class NotRun(Part):
    """A model, dataset or task of the suite that did not run, with the reason."""

    what: str
    reason: str
    failed: bool = False
    """Whether it ended with an error while it ran, and was not merely not available."""


class TaskResult(Part):
    """Everything that one task on one dataset found."""

    id: FileName
    """Unique in the record; names the items and arrays files."""
    kind: str
    """The name of the task in the suite: it says who measured, and whose view shows the result."""
    dataset: str
    title: str
    protocol: dict[str, Plain]
    models: list[str]
    out_of_fold: list[str] = []
    """Those of which each prediction of a clip is by a fit without it, though they learned from
    the dataset: to say that they were trained on it would mislead."""
    headline_subset: str | None = None
    """The set that verdicts are drawn on; None: the subset of the first score."""
    headline_metric: str | None = None
    """The metric that verdicts are drawn on and models are compared by; None: that of the first
    score."""
    scores: list[Score]
    comparisons: list[Comparison] = []
    groups: list[Group] = []
    references: list[Reference] = []
    tables: list[Table] = []
    problems: list[ItemProblem] = []
    not_run: list[NotRun] = []
    warnings: list[str] = []
    arrays: list[str] = []
    """Names of the arrays in ``arrays/<id>.npz``."""

    @whole(mode="after")
    def _names_only_its_models(self) -> Self:
        known = set(self.models)
        named = {score.model for score in self.scores}
        named |= {model for pair in self.comparisons for model in (pair.model, pair.other)}
        named |= {model for group in self.groups for model in group.models}
        named |= set(self.out_of_fold)
        if stray := sorted(named - known):
            raise ValueError(
                f"task {self.id} has results of {', '.join(stray)}, "
                f"which its models do not list: {', '.join(self.models)}"
            )
        return self

    @whole(mode="after")
    def _has_its_headline(self) -> Self:
        scored = {(score.metric, score.subset) for score in self.scores}
        metrics = {self.headline_metric or metric for metric, _ in scored}
        subsets = {self.headline_subset or subset for _, subset in scored}
        if scored and not scored & {(metric, subset) for metric in metrics for subset in subsets}:
            raise ValueError(
                f"task {self.id} has no score of its headline metric {self.headline_metric!r} "
                f"on its headline subset {self.headline_subset!r}"
            )
        return self


class Cost(Part):
    """What listening cost, as measured where the embeddings or predictions were made."""

    clips: int = Field(gt=0)
    """Clips that were timed."""
    seconds: float = Field(gt=0)
    """Wall time in the model for these clips, decoding not counted."""
    device: str
    """``cpu``, or the name of the GPU."""
    dtype: str
    """Of the computation, e.g. ``float32``."""
    parameters: int | None = Field(None, ge=0)
    """Trained numbers of the model; None where they cannot be counted."""
    peak_memory_mib: float | None = Field(None, ge=0)
    """Highest memory during these clips: the GPU's, or this process's on a CPU."""
    measured: str | None = None
    """When, in ISO 8601, where the embeddings came from the store; None: in this run."""

    @property
    def clips_per_second(self) -> float:
        """Return the throughput."""
        return self.clips / self.seconds


class TrainingLog(Part):
    """How a model was trained: one row a logged step, as ``earmark train`` wrote it."""

    columns: list[str]
    """``step`` first; then ``loss``, ``learning_rate``, ``temperature``, scores, ..."""
    rows: list[list[float | None]]
    best_by: str | None = None
    """The column by which the best step was chosen; the lowest is the best of a loss."""
    exported_step: int | None = None
    """The step whose weights the run used."""
    note: str = ""

    @whole(mode="after")
    def _is_rectangular(self) -> Self:
        if self.columns[:1] != ["step"]:
            raise ValueError(f"a training log's first column is step, got {self.columns[:1]}")
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"each row of a training log has {len(self.columns)} values")
        if any(row[0] is None for row in self.rows):
            raise ValueError("each row of a training log has a step")
        return self


class ModelEntry(Part):
    """A model's card as it was at the run, and what it cost."""

    id: str
    version: str
    weights_digest: str
    licence: str
    citation: str
    training_datasets: list[str]
    crop_policy: str
    preprocessing: dict[str, Plain]
    av_scale: tuple[float, float] | None = None
    """Lowest and highest value of predicted arousal and valence; None: no fixed scale."""
    notes: list[str] = []
    seconds: float | None = None
    """Wall time spent in the model during this run; None where everything came from the store."""
    cost: Cost | None = None
    """None where nothing was timed, as for predictions that came in a file."""
    training: TrainingLog | None = None
    """None where the model brings no log of its training."""
    code: str | None = None
    """sha256 of the sources that made its numbers; None where the card alone was trusted."""


class DatasetEntry(Part):
    """A dataset's card and the fingerprint of what was read."""

    id: str
    """As the suite calls it, and the tasks."""
    known_as: str | None = None
    """The card's own id, by which models name what they were trained on; None: the same."""
    title: str
    version: str
    licence: str
    citation: str
    source: str
    synthetic: bool
    fingerprint: str
    n_items: int
    rating_scale: tuple[float, float] | None = None
    """Lowest and highest rating; None where the set has no ratings (pairs, captions)."""
    notes: list[str] = []


class Environment(Part):
    """Where a run was made."""

    python: str
    platform: str
    processor: str
    cores: int
    memory_gib: float
    gpu: str | None
    packages: dict[str, str]
    git_commit: str | None
    git_dirty: bool | None


class Suite(Part):
    """The suite as it was read."""

    name: FileName
    """Also names the folder of a baseline."""
    title: str
    digest: str
    """sha256 of the TOML file."""
    toml: str


class RunRecord(Part):
    """A whole run."""

    schema_version: Literal[1] = SCHEMA_VERSION
    id: FileName
    created: str
    """ISO 8601 with its offset, UTC."""
    earmark_version: str
    suite: Suite
    command: list[str]
    seed: int
    replicates: int
    environment: Environment
    models: list[ModelEntry]
    datasets: list[DatasetEntry]
    tasks: list[TaskResult]
    not_run: list[NotRun] = []
    seconds: float
    timings: dict[str, float] = {}
    """Wall seconds a part of the run, in order."""
    files: dict[str, str] = {}
    """sha256 of every other file of the record by its path in the folder; filled in by writing."""

    @field_validator("created")
    @classmethod
    def _is_a_moment(cls, value: str) -> str:
        if datetime.fromisoformat(value).tzinfo is None:
            raise ValueError(f"{value!r} has no offset from UTC, expected e.g. {value}+00:00")
        return value

    @whole(mode="after")
    def _has_each_id_once(self) -> Self:
        for kind, ids in (
            ("task", [task.id for task in self.tasks]),
            ("model", [model.id for model in self.models]),
            ("dataset", [dataset.id for dataset in self.datasets]),
        ):
            if twice := sorted({name for name in ids if ids.count(name) > 1}):
                raise ValueError(f"{kind} {', '.join(twice)} is in the record more than once")
        return self
