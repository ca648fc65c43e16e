"""What a linear probe of frozen audio vectors knows: the supervised reference beside zero-shot.

Vectors of clips are all that is needed: a model without text has a probe too. Fits, the choice of C
and the weighting of classes are :mod:`earmark.bench.tasks.probe.fit`'s. A set with partitions is
fitted on train and valid and scored on test; another is cross-validated, with nothing that is
resampled together (an artist, a track) on both sides of a fold, and every clip is scored by the
probe that has not seen it.

Of a model with several layers the headline is the score of a nested choice: in each fold the layer
is chosen on clips that are not scored, as C is. The table of layers has the score of each.

An interval is that of the clips scored, with the probe as it was fitted: it does not hold what
another training set would have changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from earmark.bench.metrics import classification, tagging
from earmark.bench.metrics.base import Floats
from earmark.bench.metrics.statistics import Estimate
from earmark.bench.scoring.items import About, Arrays
from earmark.bench.scoring.results import resampling
from earmark.bench.scoring.statistic import Statistic
from earmark.bench.tasks.labels import class_scores, tag_scores
from earmark.bench.tasks.labels.class_scores import ClassTruth, Scored, score_classes
from earmark.bench.tasks.labels.dataset import classes_of, listed_clips, unheard, unit_word
from earmark.bench.tasks.labels.tag_scores import TagTruth, score_tags, tag_truth
from earmark.bench.tasks.probe import fit as probe_fit
from earmark.bench.tasks.probe.fit import Fold, Probed, Targets
from earmark.bench.tasks.probe.view import LAYERS, VIEW
from earmark.bench.tasks.task import Context, Need, Task, TaskOutput, TaskRun, Wanted
from earmark.bench.tasks.vectors import (
    JointVectors,
    clip_vectors,
    embed_pairs,
    layer_vectors,
)
from earmark.datasets.base import Clip, DataError, Tagged, first_ten
from earmark.reports.record.schema import Plain, Score, Table, TaskResult
from earmark.reports.view import View

if TYPE_CHECKING:
    import pandas as pd

Evaluation = Literal["auto", "partitions", "cross-validation"]
TEST, CROSS_VALIDATED = "test", "cross-validated"
TRUTH = class_scores.TRUTH | tag_scores.TRUTH


@dataclass(frozen=True, slots=True)
class _Problem:
    """What is to be learned, of the clips that were heard."""

    clips: tuple[Clip, ...]
    names: tuple[str, ...]
    """Classes or tags."""
    targets: Targets
    partitions: tuple[str | None, ...]
    folds: list[Fold]
    subset: str

    @property
    def units(self) -> NDArray[np.str_]:
        return np.array([clip.unit or clip.id for clip in self.clips])

    @property
    def tested(self) -> NDArray[np.intp]:
        """Clips that are scored, in their order."""
        return np.sort(np.concatenate([fold.test for fold in self.folds]))


def measure(score: Score, rows: pd.DataFrame, arrays: Arrays, about: About) -> Statistic:
    """Return the statistic of clips with classes, or with tags, that a score is of."""
    if "n_tags" in rows.columns:
        return tag_scores.measure(score, rows, arrays, about)
    return class_scores.measure(score, rows, arrays, about)


@dataclass(frozen=True)
class Probe(Task):
    """A linear probe of frozen audio vectors.

    Parameters
    ----------
    evaluation
        ``partitions``, ``cross-validation``, or ``auto``: the former where the dataset has them.
    folds
        Of the cross-validation.
    grid
        Values of C to choose from.
    classes
        The order of the classes, of a set with one label per clip.
    """

    evaluation: str = "auto"
    folds: int = 5
    grid: Sequence[float] = probe_fit.GRID
    classes: Sequence[str] | None = None

    kind: ClassVar[str] = "probe"
    needs: ClassVar[frozenset[Need]] = frozenset({"audio"})
    truth: ClassVar[frozenset[str]] = class_scores.TRUTH | tag_scores.TRUTH
    outcomes: ClassVar[frozenset[str]] = class_scores.OUTCOMES
    seeded: ClassVar[bool] = True
    chance_varies: ClassVar[bool] = True
    view: ClassVar[View] = VIEW
    measure = staticmethod(measure)

    def wanted(self, context: Context, dataset: Any, models: Mapping[str, Any]) -> Wanted:
        """Return the clips, and no text."""
        clips = listed_clips(dataset)
        _problem(dataset, clips, self, seed=0)
        probe_fit.check_grid(self.grid)
        return Wanted(clips)

    def run(self, context: Context, dataset: Any, models: Mapping[str, Any]) -> TaskRun:
        """Embed a dataset's clips, fit a probe per model and score it.

        Raises
        ------
        DataError
            If an option or a label is not as expected, or the clips are too few to fit and score.
        ModelError
            If a model embeds no audio.
        """
        clips = self.wanted(context, dataset, models).clips
        vectors = embed_pairs(models, clips, (), context.embeddings)
        output = evaluate(
            dataset,
            vectors,
            self,
            task_id=context.task_id,
            replicates=context.replicates,
            seed=context.seed,
        )
        return TaskRun(output, vectors.seconds)


def evaluate(
    dataset: Any,
    vectors: JointVectors,
    options: Probe,
    *,
    task_id: str = "probe",
    replicates: int = 10_000,
    seed: int = 2022,
) -> TaskOutput:
    """Fit and score a probe per model on the clips that all could hear."""
    if not vectors.audio:
        raise DataError(f"{dataset.card.id}: no model to score")
    problem = _problem(dataset, vectors.clips, options, seed=seed)
    probed: dict[str, Probed] = {}
    warnings: list[str] = []
    for model in vectors.audio:
        probed[model] = probe_fit.probe_layers(
            layer_vectors(model, vectors),
            problem.targets,
            problem.folds,
            n_outputs=len(problem.names),
            units=problem.units,
            grid=options.grid,
            seed=seed,
        )
        warnings += [f"{model}: {text}" for text in probed[model].warnings]
        if same := probe_fit.shared_vectors(clip_vectors(model, vectors), problem.folds):
            warnings.append(
                f"{model}: {same} scored clips have the very vector of a clip that was fitted on"
            )
    found = _score(dataset, problem, probed, replicates=replicates, seed=seed)
    tagged = isinstance(dataset, Tagged)
    result = TaskResult(
        id=task_id,
        kind="probe",
        dataset=dataset.card.id,
        title=f"Linear probe: {dataset.card.title}",
        protocol=_protocol(problem, options.grid, tagged=tagged, replicates=replicates, seed=seed)
        | _layers_stated(probed, problem),
        models=list(probed),
        headline_metric="roc_auc" if tagged else "accuracy",
        headline_subset=problem.subset,
        scores=found.scores,
        comparisons=found.comparisons,
        groups=found.groups,
        references=found.references,
        tables=[*_layers_tables(dataset, problem, probed), *found.tables, _fits_table(probed)],
        problems=vectors.problems,
        warnings=[
            *unheard(len(vectors.clips), len(dataset.clips)),
            *_shared_artists(problem),
            *found.warnings,
            *warnings,
            *vectors.warnings,
        ],
        arrays=list(found.arrays),
    )
    return TaskOutput(result, found.items, found.arrays)


def _problem(dataset: Any, clips: Sequence[Clip], options: Probe, *, seed: int) -> _Problem:
    if options.evaluation not in get_args(Evaluation):
        known = ", ".join(get_args(Evaluation))
        raise DataError(f"evaluation is {options.evaluation!r}, expected one of {known}")
    ids = [clip.id for clip in listed_clips(dataset)]
    row = {name: index for index, name in enumerate(ids)}
    if len(row) < len(ids):
        twice = sorted({name for name in ids if ids.count(name) > 1})
        raise DataError(f"clip ids must be unique, given more than once: {first_ten(twice)}")
    if not clips:
        raise DataError(f"{dataset.card.id}: there is no clip to score: the split is empty")
    rows = [row[clip.id] for clip in clips]
    names, targets = _targets(dataset, clips, rows, options.classes)
    given: Sequence[str | None] = getattr(dataset, "partitions", ()) or [None] * len(ids)
    partitions = tuple(given[index] for index in rows)
    has_partitions = any(name is not None for name in partitions)
    units = np.array([clip.unit or clip.id for clip in clips])
    if options.evaluation == "partitions" or (options.evaluation == "auto" and has_partitions):
        parts, subset = probe_fit.held_out(partitions), TEST
    else:
        parts = probe_fit.cross_validated(targets, units, folds=options.folds, seed=seed)
        subset = CROSS_VALIDATED
    if targets.ndim == 1:
        probe_fit.check_classes(targets, parts, names)
    return _Problem(tuple(clips), names, targets, partitions, parts, subset)


def _targets(
    dataset: Any, clips: Sequence[Clip], rows: Sequence[int], classes: Sequence[str] | None
) -> tuple[tuple[str, ...], Targets]:
    if isinstance(dataset, Tagged):
        if classes is not None:
            raise DataError(
                f"{dataset.card.id} has tags, not classes: leave out the option classes"
            )
        return dataset.tags, dataset.labels[rows].astype(np.int64)
    names = classes_of(dataset, classes)
    if len(names) < 2:
        raise DataError(
            f"{dataset.card.id}: all {len(clips)} clips are {names[0]!r}; a probe needs two classes"
        )
    place = {name: index for index, name in enumerate(names)}
    return names, np.array([place[clip.label or ""] for clip in clips], np.int64)


def _score(
    dataset: Any,
    problem: _Problem,
    probed: Mapping[str, Probed],
    *,
    replicates: int,
    seed: int,
) -> Scored:
    tested = problem.tested
    truth = _truth(dataset, problem)
    scores = {model: {problem.subset: one.scores[tested]} for model, one in probed.items()}
    options: dict[str, Any] = {
        "headline": problem.subset,
        "replicates": replicates,
        "seed": seed,
    }
    if isinstance(truth, TagTruth):
        return score_tags(truth, scores, **options)
    return score_classes(truth, scores, learned=True, **options)


def _truth(dataset: Any, problem: _Problem) -> ClassTruth | TagTruth:
    clips = tuple(problem.clips[index] for index in problem.tested)
    if problem.subset == TEST:
        n_items = sum(name == TEST for name in dataset.partitions)
    else:
        n_items = len(dataset.clips)
    if isinstance(dataset, Tagged):
        return tag_truth(dataset, clips, n_items=n_items)
    return ClassTruth(clips, problem.names, n_items)


def _layers_tables(dataset: Any, problem: _Problem, probed: Mapping[str, Probed]) -> list[Table]:
    """Return the score of each layer by itself, where a model has several."""
    truth = _truth(dataset, problem)
    rows: list[list[Plain]] = []
    for model, one in probed.items():
        for layer, own in one.layers.items():
            found = _headline_of(truth, own.scores[problem.tested])
            low, high = (
                (found.interval.low, found.interval.high) if found.interval else (None, None)
            )
            rows.append([model, layer, found.value, low, high, one.chosen.count(layer)])
    if not rows:
        return []
    metric = "macro ROC-AUC" if isinstance(truth, TagTruth) else "accuracy"
    return [
        Table(
            title=LAYERS,
            columns=["model", "layer", "value", "low", "high", "folds that chose it"],
            rows=rows,
            note=f"The {metric} of each layer by itself, with its own C, and 95 % intervals. The "
            f"highest is too high as a model’s score, since the scored clips choose it: the "
            f"headline is that of the layers that were chosen without them "
            f"(folds: {len(problem.folds)}).",
        )
    ]


def _headline_of(truth: ClassTruth | TagTruth, scores: Floats) -> Estimate:
    if isinstance(truth, TagTruth):
        tagged = tagging.evaluate(truth.labels, scores, tags=truth.tags, units=truth.units)
        return tagged[tagging.ROC_AUC.name].macro
    named = classification.evaluate(truth.truth, scores, classes=truth.classes, units=truth.units)
    return named.metrics[classification.ACCURACY.name]


def _layers_stated(probed: Mapping[str, Probed], problem: _Problem) -> dict[str, Plain]:
    """Return what the protocol says of each model with several layers, and of no other."""
    stated: dict[str, Plain] = {}
    for model, one in probed.items():
        if one.layers:
            chosen_on = "inner-folds" if problem.folds[0].valid is None else "valid"
            stated[f"layers of {model}"] = ", ".join(one.layers)
            stated[f"layer of {model}"] = chosen_on
    return stated


def _protocol(
    problem: _Problem, grid: Sequence[float], *, tagged: bool, replicates: int, seed: int
) -> dict[str, Plain]:
    protocol: dict[str, Plain] = {
        "protocol": "earmark",
        "probe": "logistic-per-tag" if tagged else "multinomial-logistic",
        "features": "standardised-unit-vectors",
        "evaluation": "partitions" if problem.subset == TEST else "cross-validation",
        "clips": len(problem.clips),
    }
    chosen_on = "inner-folds"
    if problem.subset == TEST:
        (fold,) = problem.folds
        n_valid = 0 if fold.valid is None else len(fold.valid)
        protocol |= {
            "clips of train": len(fold.train),
            "clips of valid": n_valid,
            "clips of test": len(fold.test),
        }
        chosen_on = "valid" if n_valid else chosen_on
    else:
        protocol |= {
            "folds": len(problem.folds),
            "folds are": "grouped" if tagged else "grouped-and-stratified",
        }
    protocol |= {
        "C": ", ".join(f"{c:g}" for c in grid),
        "C chosen by": "roc_auc" if tagged else "balanced_accuracy",
        "C chosen on": chosen_on,
        "inner folds": probe_fit.INNER_FOLDS,
        "solver": "lbfgs",
        "most iterations": probe_fit.MOST_ITERATIONS,
        "chance": "random-order" if tagged else "random-clips",
        **resampling(unit_word(problem.clips), replicates=replicates, seed=seed),
    }
    if tagged and problem.subset == CROSS_VALIDATED:
        protocol["scores"] = "ranks-within-folds"
    return protocol


def _shared_artists(problem: _Problem) -> list[str]:
    if problem.subset == TEST or unit_word(problem.clips) == "unit":
        return []
    return [
        "it is not known which clips belong together (artist, album, track): the same artist may "
        "be on both sides of a fold, which makes a probe look better than it is"
    ]


def _fits_table(probed: Mapping[str, Probed]) -> Table:
    columns = ["model", "fold", "clips fitted on", "clips scored", "C", "most iterations"]
    layered = any(one.layers for one in probed.values())
    return Table(
        title="Fits",
        columns=[*columns, *(["layer"] if layered else [])],
        rows=[
            [model, *row, *([layer] if layered else [])]
            for model, one in probed.items()
            for row, layer in zip(one.rows, one.chosen or [""] * len(one.rows), strict=True)
        ],
    )
