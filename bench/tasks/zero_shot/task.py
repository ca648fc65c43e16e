"""Which class a clip is of, or which tags it has, told from the labels' names alone.

Classification: each clip goes to the class whose prompt is nearest to it. Tagging: each tag ranks
all clips by how near they are to its prompt. Prompts, ensemble and centring are
:mod:`earmark.bench.tasks.zero_shot.prompts`', presets
:mod:`earmark.bench.tasks.zero_shot.protocol`', ties :mod:`earmark.bench.metrics.classification`'s
and, with tags that no clip has, :mod:`earmark.bench.metrics.tagging`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from earmark.bench.metrics.base import Floats
from earmark.bench.scoring.results import resampling
from earmark.bench.tasks.labels import class_scores, tag_scores
from earmark.bench.tasks.labels.class_scores import ClassTruth, Scored, score_classes
from earmark.bench.tasks.labels.dataset import ENSEMBLE, classes_of, unheard
from earmark.bench.tasks.labels.tag_scores import TagTruth, score_tags, tag_truth
from earmark.bench.tasks.task import Context, Need, Task, TaskOutput, TaskRun, Wanted
from earmark.bench.tasks.vectors import JointVectors, embed_pairs, other_crops
from earmark.bench.tasks.zero_shot import protocol as protocols
from earmark.bench.tasks.zero_shot.prompts import (
    Vocabulary,
    prompt_texts,
    prompts_table,
    similarities,
    stated_prompts,
    vocabulary,
)
from earmark.bench.tasks.zero_shot.view import CLASSIFICATION, TAGGING
from earmark.datasets.base import DataError, Tagged
from earmark.reports.record.schema import Plain, TaskResult
from earmark.reports.view import View


@dataclass(frozen=True)
class _ZeroShot(protocols.Options, Task):
    """What both tasks share: clips and prompts are embedded, and each clip held against each."""

    kind: ClassVar[str]
    title: ClassVar[str]
    needs: ClassVar[frozenset[Need]] = frozenset({"audio", "text"})

    def question(self, dataset: Any) -> tuple[protocols.Settings, Vocabulary]:
        """Return what is asked of models: prompts and centring, and the labels."""
        raise NotImplementedError

    def wanted(self, context: Context, dataset: Any, models: Mapping[str, Any]) -> Wanted:
        """Return the clips and the prompts of the labels."""
        settings, words = self.question(dataset)
        return Wanted(dataset.clips, prompt_texts(settings.templates, words))

    def run(self, context: Context, dataset: Any, models: Mapping[str, Any]) -> TaskRun:
        """Embed a dataset's clips and its labels' prompts, and score them.

        Raises
        ------
        DataError
            If an option or a label is not as expected, or no clip could be heard.
        ModelError
            If a model does not embed both audio and text.
        """
        wanted = self.wanted(context, dataset, models)
        vectors = embed_pairs(models, wanted.clips, wanted.texts, context.embeddings)
        preset = self.settings(dataset).preset
        output = self.evaluate(
            dataset,
            vectors,
            warnings=other_crops(preset.name, preset.crop, models),
            task_id=context.task_id,
            replicates=context.replicates,
            seed=context.seed,
        )
        return TaskRun(output, vectors.seconds)

    def evaluate(
        self,
        dataset: Any,
        vectors: JointVectors,
        *,
        warnings: Sequence[str] = (),
        task_id: str | None = None,
        replicates: int = 10_000,
        seed: int = 2022,
    ) -> TaskOutput:
        """Score models on the clips that every one of them could hear."""
        settings, words = self.question(dataset)
        if not vectors.audio:
            raise DataError(f"{dataset.card.id}: no model to score")
        truth = self.truth_of(dataset, vectors, words)
        scores = {
            model: similarities(
                model, vectors, settings.templates, words, centring=settings.centring
            )
            for model in vectors.audio
        }
        found = self.score(truth, scores, settings.templates, replicates=replicates, seed=seed)
        metrics = self.shown(truth)
        result = TaskResult(
            id=task_id or self.kind,
            kind=self.kind,
            dataset=dataset.card.id,
            title=f"{self.title}: {dataset.card.title}",
            protocol={
                **settings.stated(),
                **stated_prompts(settings.templates, words, settings.centring),
                **self.stated(dataset),
                **resampling(truth.unit, replicates=replicates, seed=seed),
            },
            models=list(scores),
            headline_metric=metrics[0],
            headline_subset=ENSEMBLE,
            scores=found.scores,
            comparisons=found.comparisons,
            groups=found.groups,
            references=[
                *found.references,
                *protocols.published(settings, dataset, words.labels),
            ],
            tables=[
                prompts_table(found.scores, metrics, settings.templates, named=len(metrics) > 1),
                *found.tables,
            ],
            problems=vectors.problems,
            warnings=[
                *protocols.other_split(settings, dataset, words.labels),
                *warnings,
                *unheard(len(vectors.clips), len(dataset.clips)),
                *found.warnings,
                *vectors.warnings,
            ],
            arrays=list(found.arrays),
        )
        return TaskOutput(result, found.items, found.arrays)

    def truth_of(self, dataset: Any, vectors: JointVectors, words: Vocabulary) -> Any:
        """Return what is true of the clips that were heard."""
        raise NotImplementedError

    def score(
        self,
        truth: Any,
        scores: Mapping[str, Mapping[str, Floats]],
        templates: Sequence[str],
        *,
        replicates: int,
        seed: int,
    ) -> Scored:
        """Return what a record holds of models' similarities."""
        raise NotImplementedError

    def shown(self, truth: Any) -> list[str]:
        """Return the metrics of the table of prompts; the first is the headline."""
        raise NotImplementedError

    def stated(self, dataset: Any) -> dict[str, Plain]:
        """Return what the protocol says besides."""
        raise NotImplementedError


@dataclass(frozen=True)
class ZeroShotClassification(_ZeroShot):
    """One class per clip.

    Parameters
    ----------
    classes
        What to tell apart, in this order; default: the dataset's own, or the labels that occur.
    """

    classes: Sequence[str] | None = None

    kind: ClassVar[str] = "zero_shot_classification"
    title: ClassVar[str] = "Zero-shot classification"
    labels: ClassVar[protocols.Kind] = "classification"
    view: ClassVar[View] = CLASSIFICATION
    truth: ClassVar[frozenset[str]] = class_scores.TRUTH
    outcomes: ClassVar[frozenset[str]] = class_scores.OUTCOMES
    measure = staticmethod(class_scores.measure)

    def question(self, dataset: Any) -> tuple[protocols.Settings, Vocabulary]:
        labels = classes_of(dataset, self.classes)
        settings = self.settings(dataset)
        known = {k: v for k, v in settings.texts.items() if self.texts is not None or k in labels}
        return settings, vocabulary(labels, known, at_least=2)

    def truth_of(self, dataset: Any, vectors: JointVectors, words: Vocabulary) -> ClassTruth:
        return ClassTruth(tuple(vectors.clips), words.labels, len(dataset.clips))

    def score(
        self,
        truth: ClassTruth,
        scores: Mapping[str, Mapping[str, Floats]],
        templates: Sequence[str],
        *,
        replicates: int,
        seed: int,
    ) -> Scored:
        return score_classes(
            truth, scores, headline=ENSEMBLE, averaged=templates, replicates=replicates, seed=seed
        )

    def shown(self, truth: ClassTruth) -> list[str]:
        return ["accuracy"]

    def stated(self, dataset: Any) -> dict[str, Plain]:
        return {"ties": "shared"}


@dataclass(frozen=True)
class ZeroShotTagging(_ZeroShot):
    """Any number of tags per clip."""

    kind: ClassVar[str] = "zero_shot_tagging"
    title: ClassVar[str] = "Zero-shot tagging"
    labels: ClassVar[protocols.Kind] = "tagging"
    view: ClassVar[View] = TAGGING
    truth: ClassVar[frozenset[str]] = tag_scores.TRUTH
    measure = staticmethod(tag_scores.measure)

    def question(self, dataset: Any) -> tuple[protocols.Settings, Vocabulary]:
        if not isinstance(dataset, Tagged):
            raise DataError(
                f"zero_shot_tagging needs a set of tagged clips, got {type(dataset).__name__}"
            )
        if not dataset.clips:
            raise DataError(f"{dataset.card.id}, {dataset.split}: the split is empty")
        settings = self.settings(dataset)
        return settings, vocabulary(dataset.tags, settings.texts)

    def truth_of(self, dataset: Tagged, vectors: JointVectors, words: Vocabulary) -> TagTruth:
        return tag_truth(dataset, vectors.clips, n_items=len(dataset.clips))

    def score(
        self,
        truth: TagTruth,
        scores: Mapping[str, Mapping[str, Floats]],
        templates: Sequence[str],
        *,
        replicates: int,
        seed: int,
    ) -> Scored:
        return score_tags(
            truth, scores, headline=ENSEMBLE, averaged=templates, replicates=replicates, seed=seed
        )

    def shown(self, truth: TagTruth) -> list[str]:
        return [metric.name for metric in truth.metrics]

    def stated(self, dataset: Tagged) -> dict[str, Plain]:
        return {
            "split": dataset.split,
            "macro mean": "defined-tags",
            "ties": "shared",
        }
