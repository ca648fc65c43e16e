"""Tasks whose models are files of outputs: classes, tags, and ranked items.

Every model is scored on the same items, those of the truth that all files have; with
``allow_missing`` an item may lack, and the coverage stands beside the score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from earmark.bench.metrics import retrieval
from earmark.bench.metrics.base import Floats, Metric
from earmark.bench.metrics.lists import ranks_of_lists, ranks_of_similarity
from earmark.bench.metrics.ranks import Ranks
from earmark.bench.scoring.results import resampling
from earmark.bench.tasks.coverage import common_items, coverage
from earmark.bench.tasks.labels import class_scores, tag_scores
from earmark.bench.tasks.labels.class_scores import ClassTruth, Scored, score_classes
from earmark.bench.tasks.labels.dataset import classes_of, listed_clips, unit_word
from earmark.bench.tasks.labels.tag_scores import score_tags, tag_truth
from earmark.bench.tasks.means import SUBSET, output_of_means
from earmark.bench.tasks.outputs import files
from earmark.bench.tasks.outputs.files import ScoresFile, read_scores
from earmark.bench.tasks.outputs.view import CLASSES, RANKING, TAGS
from earmark.bench.tasks.task import Context, Need, Task, TaskOutput, TaskRun, Wanted
from earmark.datasets.base import Clip, DataError, Tagged, first_ten
from earmark.datasets.files.data_paths import resolve
from earmark.datasets.tables import Relevance
from earmark.reports.record.schema import Plain, Table, TaskResult
from earmark.reports.view import View

_MATRICES = (".npy", ".npz")


@dataclass(frozen=True)
class _Outputs(Task):
    """What all have: files, one per model."""

    predictions: Sequence[str] = ()
    allow_missing: bool = False

    needs: ClassVar[frozenset[Need]] = frozenset()

    def wanted(self, context: Context, dataset: Any, models: Mapping[str, Any]) -> Wanted:
        """Return nothing: no model is asked. Files and truth are read, so that faults come now."""
        self.read(dataset)
        self._refuse(models)
        return Wanted(())

    def _refuse(self, models: Mapping[str, Any]) -> None:
        if models:
            raise DataError(
                f"the task {self.kind} reads files and asks no model: leave out models (models = "
                f"[] in a suite that has some), found {', '.join(models)}"
            )

    def run(self, context: Context, dataset: Any, models: Mapping[str, Any]) -> TaskRun:
        """Read the files and score them."""
        self._refuse(models)
        return TaskRun(self.evaluate(context, dataset), {})

    def paths(self) -> dict[str, Path]:
        """Return the file of each model."""
        return files.by_model([resolve(str(one)) for one in self.predictions])

    def read(self, dataset: Any) -> Any:
        """Return the truth and what the files hold."""
        raise NotImplementedError

    def evaluate(self, context: Context, dataset: Any) -> TaskOutput:
        """Score what the files hold."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class _Labels:
    """What labels and files come to."""

    names: tuple[str, ...]
    clips: tuple[Clip, ...]
    """Those that every file has."""
    found: list[ScoresFile]
    warnings: list[str] = field(default_factory=list)


class _OfLabels(_Outputs):
    title: ClassVar[str]

    def names(self, dataset: Any) -> tuple[str, ...]:
        """Return the classes or tags."""
        raise NotImplementedError

    def read(self, dataset: Any) -> _Labels:
        """Return the labels and the numbers of the files, on the items that all of them have."""
        names = self.names(dataset)
        hard = not isinstance(dataset, Tagged)
        found = [read_scores(m, path, names, labels=hard) for m, path in self.paths().items()]
        clips = listed_clips(dataset)
        common = common_items(
            [clip.id for clip in clips],
            {one.model: set(one.values) for one in found},
            allow_missing=self.allow_missing,
        )
        warnings = [
            f"{one.path.name}: columns that are no label of the truth are left out: "
            f"{first_ten(list(one.unknown))}"
            for one in found
            if one.unknown
        ]
        kept = tuple(clip for clip in clips if clip.id in common)
        return _Labels(names, kept, found, warnings)

    def scored(self, dataset: Any, read: _Labels, context: Context) -> tuple[Scored, str]:
        """Return what a record holds of the scores, and the headline's metric."""
        raise NotImplementedError

    def evaluate(self, context: Context, dataset: Any) -> TaskOutput:
        read = self.read(dataset)
        found, headline = self.scored(dataset, read, context)
        result = TaskResult(
            id=context.task_id,
            kind=self.kind,
            dataset=dataset.card.id,
            title=f"{self.title}: {dataset.card.title}",
            protocol={
                "outputs": "files",
                "labels": ", ".join(read.names),
                "ties": "shared",
                **resampling(
                    unit_word(read.clips), replicates=context.replicates, seed=context.seed
                ),
            },
            models=[one.model for one in read.found],
            headline_metric=headline,
            headline_subset=SUBSET,
            scores=found.scores,
            comparisons=found.comparisons,
            groups=found.groups,
            references=found.references,
            tables=[*found.tables, files_table({one.model: one.path for one in read.found})],
            warnings=[
                *found.warnings,
                *read.warnings,
                *coverage(len(read.clips), len(dataset.clips), "item"),
            ],
            arrays=list(found.arrays),
        )
        return TaskOutput(result, found.items, found.arrays)


@dataclass(frozen=True)
class Classification(_OfLabels):
    """One class per item, from files of scores or of predicted labels.

    Parameters
    ----------
    predictions
        Files: CSV or Parquet with ``item`` and a column per class, or ``item,label``.
    allow_missing
        Score the items that every file has.
    classes
        The classes, in this order; default: those of the truth.
    """

    classes: Sequence[str] | None = None

    kind: ClassVar[str] = "classification"
    title: ClassVar[str] = "Classification"
    truth: ClassVar[frozenset[str]] = class_scores.TRUTH
    outcomes: ClassVar[frozenset[str]] = class_scores.OUTCOMES
    chance_varies: ClassVar[bool] = True
    view: ClassVar[View] = CLASSES
    measure = staticmethod(class_scores.measure)

    def names(self, dataset: Any) -> tuple[str, ...]:
        return classes_of(dataset, self.classes)

    def scored(self, dataset: Any, read: _Labels, context: Context) -> tuple[Scored, str]:
        ids = [clip.id for clip in read.clips]
        scores = {one.model: {SUBSET: one.table(ids)} for one in read.found}
        truth = ClassTruth(read.clips, read.names, len(dataset.clips))
        found = score_classes(
            truth,
            scores,
            headline=SUBSET,
            learned=True,
            replicates=context.replicates,
            seed=context.seed,
        )
        return found, "accuracy"


@dataclass(frozen=True)
class Tagging(_OfLabels):
    """Any number of tags per item, from files of scores.

    Parameters
    ----------
    predictions
        Files: CSV or Parquet with ``item`` and a column of numbers per tag.
    allow_missing
        Score the items that every file has.
    """

    kind: ClassVar[str] = "tagging"
    title: ClassVar[str] = "Tagging"
    truth: ClassVar[frozenset[str]] = tag_scores.TRUTH
    view: ClassVar[View] = TAGS
    measure = staticmethod(tag_scores.measure)

    def names(self, dataset: Any) -> tuple[str, ...]:
        if not isinstance(dataset, Tagged):
            raise DataError(f"tagging needs a set of tagged clips, got {type(dataset).__name__}")
        return dataset.tags

    def scored(self, dataset: Any, read: _Labels, context: Context) -> tuple[Scored, str]:
        ids = [clip.id for clip in read.clips]
        scores = {one.model: {SUBSET: one.table(ids)} for one in read.found}
        truth = tag_truth(dataset, read.clips, n_items=len(dataset.clips))
        found = score_tags(
            truth, scores, headline=SUBSET, replicates=context.replicates, seed=context.seed
        )
        return found, "roc_auc"


@dataclass(frozen=True)
class Ranking(_Outputs):
    """Items that queries want, from ranked lists or matrices of similarity.

    Parameters
    ----------
    predictions
        Files: ranked lists (CSV, or a run of TREC), or similarities (``.npy``, ``.npz``).
    allow_missing
        Score the queries that every file has; otherwise each file must have all of them.
    n_items
        Items that could be found, which chance follows from; default: of a matrix, its columns, of
        lists, unknown.
    rule
        ``best of n`` or ``per caption``: what R@k is of a query that wants several items.
    """

    n_items: int | None = None
    rule: retrieval.Rule = "best of n"

    kind: ClassVar[str] = "ranking"
    truth: ClassVar[frozenset[str]] = frozenset({"unit", "n_relevant"})
    view: ClassVar[View] = RANKING

    def read(self, dataset: Any) -> _Ranked:
        """Return where the items rank that each query wants, on the queries all files have."""
        if not isinstance(dataset, Relevance):
            raise DataError(
                f"the task ranking needs a table of relevance, got {type(dataset).__name__}"
            )
        queries = [clip.id for clip in dataset.clips]
        paths = self.paths()
        lists = {m: files.read_lists(p) for m, p in paths.items() if p.suffix not in _MATRICES}
        common = common_items(
            queries,
            {model: set(one) for model, one in lists.items()},
            allow_missing=self.allow_missing,
            what="query",
        )
        chosen = [index for index, query in enumerate(queries) if query in common]
        wanted = [dataset.relevant[index] for index in chosen]
        place = {name: number for number, name in enumerate(dataset.items)}
        longest = [max(map(len, one.values())) for one in lists.values()]
        found = _Ranked([queries[index] for index in chosen], min(longest, default=None))
        for model, path in paths.items():
            try:
                if model in lists:
                    ranked = [lists[model][query] for query in found.queries]
                    found.ranks[model] = ranks_of_lists(ranked, wanted, n_items=self.n_items)
                else:
                    table = files.read_similarity(path, queries, dataset.items)[chosen]
                    relevant = [{place[name] for name in one} for one in wanted]
                    found.ranks[model] = ranks_of_similarity(table, relevant)
            except ValueError as error:
                raise DataError(f"{path}: {error}") from error
        return found

    def evaluate(self, context: Context, dataset: Relevance) -> TaskOutput:
        found = self.read(dataset)
        metrics = found.metrics(self.rule, chance_is_known=self.n_items is not None)
        columns: dict[str, list[Any]] = {"model": [], "item": [], "unit": [], "n_relevant": []}
        for model, ranks in found.ranks.items():
            columns["model"] += [model] * len(found.queries)
            columns["item"] += found.queries
            columns["unit"] += found.queries
            columns["n_relevant"] += np.bincount(ranks.query).tolist()
            for metric in metrics:
                outcomes = _outcome(ranks, metric.name, self.rule)
                columns.setdefault(metric.name, []).extend(outcomes.tolist())
        return output_of_means(
            self,
            context,
            dataset,
            columns,
            metrics,
            title="Ranking",
            unit="query",
            protocol={
                "outputs": "files",
                "several relevant items": self.rule.replace(" ", "-"),
                "ties": "expectation",
                "items to find": self.n_items or "of-each-file",
            },
            tables=[files_table(self.paths())],
            warnings=coverage(len(found.queries), len(dataset.clips), "query"),
        )


@dataclass(frozen=True, slots=True)
class _Ranked:
    """What relevance and files come to."""

    queries: list[str]
    """Those that every file has."""
    reach: int | None
    """The k that every file's longest list goes to; None: all are matrices."""
    ranks: dict[str, Ranks] = field(default_factory=dict)

    def metrics(self, rule: retrieval.Rule, *, chance_is_known: bool) -> list[Metric]:
        """Return what can be scored of every file, the headline first."""
        n_items = min(ranks.n_items for ranks in self.ranks.values())
        ks = [k for k in retrieval.KS if k <= min(self.reach or n_items, n_items)]
        last = ks[-1]
        names = [f"recall_at_{k}" for k in (last, *ks[:-1])]
        names += [f"map_at_{last}", f"ndcg_at_{last}"] + ["mrr"] * (self.reach is None)
        chances = [
            retrieval.chance(ranks, ks=ks, rule=rule)
            for ranks in self.ranks.values()
            if chance_is_known or self.reach is None
        ]
        same = {name for name in names if len({one[name] for one in chances}) == 1}
        return [
            Metric(name, True, 0.0, 1.0, min(chances[0][name], 1.0) if name in same else None)
            for name in names
        ]


def _outcome(ranks: Ranks, name: str, rule: retrieval.Rule) -> Floats:
    """Return a metric of each query, ``(n_queries,)``."""
    if name == "mrr":
        return retrieval.reciprocal_rank(ranks, rule=rule)
    of, _, k = name.rpartition("_at_")
    if of == "recall":
        return retrieval.recall_at_k(ranks, int(k), rule=rule)
    function = {"map": retrieval.average_precision_at_k, "ndcg": retrieval.ndcg_at_k}[of]
    return function(ranks, int(k))


def files_table(paths: Mapping[str, Path]) -> Table:
    """Return which file each model's outputs come from."""
    rows: list[list[Plain]] = [
        [model, paths[model].name, digest] for model, digest in files.digests(paths).items()
    ]
    return Table(title="Files", columns=["model", "file", "sha256"], rows=rows)
