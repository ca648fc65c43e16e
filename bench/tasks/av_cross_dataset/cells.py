"""One cell of the matrix: a head on an embedder, learned from one set and tested on another.

Within a set predictions are out of fold, and what a head chooses it chooses in inner folds. Across
sets a head learns from the whole training set without what is tested on: the songs that both call
by one id, and files that are the same byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.bench.tasks.av_cross_dataset.inputs import (
    Heard,
    LearnedFrom,
    Recordings,
    TestedOn,
    clips_of,
)
from earmark.bench.tasks.task import Context
from earmark.datasets.base import DataError, RatedClips
from earmark.datasets.judgements.overlap import overlap
from earmark.datasets.judgements.pairwise import PairwiseJudgements
from earmark.models.adapters.ensembles import Moments
from earmark.models.av_heads.folds import cross_validate
from earmark.models.av_heads.head import Fitted, Head, TrainedHead, within
from earmark.models.av_heads.pairwise import collect, cross_validate_pairwise, fit_pairwise
from earmark.models.av_heads.rated import fit_mlp, fit_ridge, fit_ridge_of_layers
from earmark.models.base import Plain
from earmark.models.essentia.descriptors import SignalDescriptors
from earmark.models.support.weights import Tower
from earmark.reports.record.schema import NotRun

Doubles = NDArray[np.float64]
Fits = Callable[..., Fitted]

RATED_HEADS: Mapping[str, Fits] = {"ridge": fit_ridge, "mlp": fit_mlp}
"""Heads that learn from ratings."""
PAIRWISE_HEADS: Mapping[str, Fits] = {"pairwise": fit_pairwise}
"""Heads that learn from judgements."""


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How heads are fitted."""

    folds: int
    runs: int
    seed: int


@dataclass(frozen=True, slots=True)
class Cell:
    """One head's predictions of one test set."""

    model: str
    head: str
    embedder: str
    train: str
    test: str
    in_folds: bool
    predictions: Sequence[Mapping[str, tuple[float, ...]]]
    """Of each run, arousal and valence by clip id. What is scored is the first."""
    head_of: Mapping[str, Head]
    """The head that predicted each clip in the first run."""
    n_train: int
    """Clips, or songs with a judgement, that could be learned from."""
    left_out: int
    """Clips of the training set that are tested on, and so were not learned from."""
    overlap_known: bool
    """Whether the sets have ids in common use; if not, only equal files are found."""
    scale: tuple[float, float] | None
    fits: Sequence[Mapping[str, Plain]] = ()
    """What each fit of the first run chose."""
    warnings: tuple[str, ...] = ()
    by_layer: Mapping[str, Mapping[str, tuple[float, ...]]] = field(default_factory=dict)
    """Where a layer was chosen: what the head of each says in the first run, by clip id."""

    @property
    def facts(self) -> Mapping[str, Plain]:
        """What the first fit chose."""
        return self.fits[0]


@dataclass(frozen=True, slots=True)
class Job:
    """What one cell is made from."""

    head: str
    embedder: str
    train: str
    test: str
    learned: LearnedFrom
    tested: TestedOn
    heard_train: Heard
    heard_test: Heard

    @property
    def model(self) -> str:
        """The name of the trained head in scores."""
        return f"{self.head}({self.train})@{self.embedder}"


def heads_for(learned: LearnedFrom, wanted: Sequence[str]) -> list[str]:
    """Return those of the wanted heads that can learn from a set."""
    known = PAIRWISE_HEADS if isinstance(learned, PairwiseJudgements) else RATED_HEADS
    return [name for name in wanted if name in known]


FittedOn = dict[tuple[str, str, str, tuple[str, ...]], list[Fitted]]
"""Fits by head, embedder, training set and clips: most test sets leave the same ones."""


def make_cell(job: Job, plan: FitOptions, recordings: Recordings, known: FittedOn) -> Cell:
    """Fit one head and predict one test set.

    Fits to whole sets are kept in ``known``, and taken from there.

    Raises
    ------
    DataError
        If nothing is left to learn from.
    """
    if job.train == job.test:
        return _in_folds(job, plan)
    return _across(job, plan, recordings, known)


def _in_folds(job: Job, plan: FitOptions) -> Cell:
    if isinstance(job.learned, PairwiseJudgements):
        return _judged_in_folds(job, job.learned, plan)
    rated = job.learned
    chosen = [i for i, clip in enumerate(rated.clips) if clip.id in job.heard_train.vectors]
    clips = [rated.clips[i] for i in chosen]
    ids = [clip.id for clip in clips]
    recorded: list[Fitted] = []
    found = cross_validate(
        job.heard_train.rows(ids),
        rated.ratings[chosen],
        _recording(fit_of(job.head, job.heard_train), recorded),
        groups=[clip.unit or clip.id for clip in clips],
        folds=plan.folds,
        runs=plan.runs,
        seed=plan.seed,
    )
    head_of = {
        ids[row]: fitted.head
        for fitted, fold in zip(recorded, found.fits, strict=True)
        if fold.run == 0
        for row in fold.test.tolist()
    }
    by_layer: dict[str, dict[str, tuple[float, ...]]] = {}
    for fitted, fold in zip(recorded, found.fits, strict=True):
        there = [ids[row] for row in fold.test.tolist()] if fold.run == 0 else []
        for name, head in fitted.layers.items() if there else ():
            by_layer.setdefault(name, {}).update(_by_id(there, head(job.heard_train.rows(there))))
    return _cell(
        job,
        [_by_id(ids, run) for run in found.predictions],
        head_of,
        recorded,
        n_train=len(ids),
        scale=(rated.scale.low, rated.scale.high),
        by_layer=by_layer,
    )


def _judged_in_folds(job: Job, judged: PairwiseJudgements, plan: FitOptions) -> Cell:
    ids = list(job.heard_train.vectors)
    recorded: list[Fitted] = []
    found = cross_validate_pairwise(
        job.heard_train.rows(ids),
        collect(judged, ids).compared,
        _recording(fit_of(job.head, job.heard_train), recorded),
        folds=plan.folds,
        runs=plan.runs,
        seed=plan.seed,
    )
    assert found.values is not None  # linked songs share a fold
    compared = np.isfinite(found.values[0]).all(axis=1)
    kept = [ids[row] for row in np.flatnonzero(compared).tolist()]
    head_of = {
        ids[row]: fitted.head
        for fitted, fold in zip(recorded, found.fits, strict=True)
        if fold.run == 0
        for row in fold.test_tracks.tolist()
    }
    runs = [_by_id(kept, run[compared]) for run in found.values]
    return _cell(job, runs, head_of, recorded, n_train=len(kept), scale=None)


def _across(job: Job, plan: FitOptions, recordings: Recordings, known: FittedOn) -> Cell:
    learned = job.learned
    gone, told_by_id = tested_ids(learned, job.tested, recordings)
    clips = [
        (i, clip)
        for i, clip in enumerate(learned.clips)
        if clip.id in job.heard_train.vectors and clip.id not in gone
    ]
    if not clips:
        raise DataError(
            f"{job.train}: none of its {len(learned.clips)} clips is left to learn from, "
            f"{len(gone)} are tested on in {job.test}"
        )
    ids = [clip.id for _, clip in clips]
    key = job.head, job.embedder, job.train, tuple(ids)
    if key not in known:
        known[key] = _fitted(job, [i for i, _ in clips], plan)
    fitted = known[key]
    tested = [clip.id for clip in clips_of(job.tested) if clip.id in job.heard_test.vectors]
    rows = job.heard_test.rows(tested)
    return _cell(
        job,
        [_by_id(tested, one.head(rows)) for one in fitted],
        dict.fromkeys(tested, fitted[0].head),
        fitted,
        n_train=len(ids),
        scale=_scale(learned),
        left_out=len(gone & set(job.heard_train.vectors)),
        overlap_known=told_by_id,
        by_layer={name: _by_id(tested, head(rows)) for name, head in fitted[0].layers.items()},
    )


def _fitted(job: Job, places: Sequence[int], plan: FitOptions) -> list[Fitted]:
    """Fit a head to the clips at some places of the training set, once a run."""
    return [
        fit_head(job.head, job.learned, job.heard_train, places, seed=plan.seed + run)
        for run in range(plan.runs)
    ]


def fit_head(
    head: str, learned: LearnedFrom, heard: Heard, places: Sequence[int], *, seed: int
) -> Fitted:
    """Fit a head of one kind to the clips at some places of a training set."""
    clips = [learned.clips[i] for i in places]
    ids = [clip.id for clip in clips]
    features = heard.rows(ids)
    fit = fit_of(head, heard)
    if isinstance(learned, PairwiseJudgements):
        return fit(features, collect(learned, ids).compared, seed=seed)
    groups = [clip.unit or clip.id for clip in clips]
    return fit(features, learned.ratings[places], groups=groups, seed=seed)


def fit_of(head: str, heard: Heard) -> Fits:
    """Return how a head of one kind is fitted to vectors.

    Of several layers a ridge head chooses one, the others read the last.
    """
    fit = RATED_HEADS.get(head) or PAIRWISE_HEADS[head]
    layers = heard.layers
    if not layers:
        return fit
    if fit is fit_ridge:
        return partial(fit_ridge_of_layers, layers=layers)
    last, size = list(layers.items())[-1]

    def fit_last(features: ArrayLike, targets: Any, **options: Any) -> Fitted:
        own = fit(np.asarray(features)[:, -size:], targets, **options)
        facts = {**own.facts, "layer": last}
        return replace(own, head=within(own.head, layers, last), facts=facts)

    return fit_last


def trained_head(
    name: str,
    head: Head,
    *,
    tower: Tower,
    learned: LearnedFrom,
    facts: Mapping[str, Plain],
    seed: int,
) -> TrainedHead:
    """Return a head with all that a card says of it."""
    return TrainedHead(
        name=name,
        head=head,
        embedder=tower,
        datasets=(learned.card.id,),
        licence=learned.card.licence,
        scale=_scale(learned),
        citation=learned.card.citation,
        facts={**facts, "seed": seed},
    )


def tested_ids(
    learned: LearnedFrom, tested: TestedOn, recordings: Recordings
) -> tuple[set[str], bool]:
    """Return the training clips that are tested on, and whether ids could tell."""
    if isinstance(learned, RatedClips):
        by_id = overlap(learned, tested)
    else:
        names = tested.namespace
        there = {clip.id for clip in clips_of(tested)}
        same = bool(names) and names == learned.namespace
        by_id = tuple(clip.id for clip in learned.clips if clip.id in there) if same else None
    return set(by_id or ()) | recordings.shared(learned.clips, clips_of(tested)), by_id is not None


def _scale(learned: LearnedFrom) -> tuple[float, float] | None:
    if isinstance(learned, PairwiseJudgements):
        return None
    return learned.scale.low, learned.scale.high


def _recording(fit: Fits, recorded: list[Fitted]) -> Fits:
    """Return a fit that remembers what it fitted, in order."""

    def fit_and_remember(features: ArrayLike, targets: Any, **options: Any) -> Fitted:
        recorded.append(fit(features, targets, **options))
        return recorded[-1]

    return fit_and_remember


def _by_id(ids: Sequence[str], rows: Doubles) -> dict[str, tuple[float, ...]]:
    return {name: (a, v) for name, (a, v) in zip(ids, rows.tolist(), strict=True)}


def _cell(
    job: Job,
    predictions: Sequence[Mapping[str, tuple[float, ...]]],
    head_of: Mapping[str, Head],
    fitted: Sequence[Fitted],
    *,
    n_train: int,
    scale: tuple[float, float] | None,
    left_out: int = 0,
    overlap_known: bool = True,
    by_layer: Mapping[str, Mapping[str, tuple[float, ...]]] | None = None,
) -> Cell:
    return Cell(
        model=job.model,
        head=job.head,
        embedder=job.embedder,
        train=job.train,
        test=job.test,
        in_folds=job.train == job.test,
        predictions=predictions,
        head_of=head_of,
        n_train=n_train,
        left_out=left_out,
        overlap_known=overlap_known,
        scale=scale,
        fits=[dict(one.facts) for one in fitted[: len(fitted) // len(predictions)]],
        warnings=tuple(dict.fromkeys(text for one in fitted for text in one.warnings)),
        by_layer=by_layer or {},
    )


ByClip = Mapping[str, tuple[float, ...]]

LOUDNESS = "loudness (baseline)"
"""As ``musav`` calls it: the louder clip has the higher arousal, and the higher valence."""
LOUDNESS_MODEL = SignalDescriptors(["loudness"])


@dataclass(frozen=True, slots=True)
class UntrainedModel:
    """An AV model that is not trained here."""

    name: str
    model: Any
    embedder: str | None = None
    """For a joint model by its prompts: the model of the suite whose vectors it reads."""


@dataclass(frozen=True, slots=True)
class Ensemble:
    """The mean of several models' z-scores."""

    id: str
    models: tuple[str, ...]
    standardised_on: str | None
    """The tested set whose clips give means and deviations; None: that which is being tested."""


@dataclass(slots=True)
class State:
    """What is known while the task runs."""

    context: Context
    embedders: Mapping[str, Any]
    untrained: dict[str, UntrainedModel]
    """AV models of the suite, and joint models by their prompts."""
    learned: Mapping[str, LearnedFrom]
    tested: Mapping[str, TestedOn]
    heard: dict[tuple[str, str], Heard] = field(default_factory=dict)
    """By embedder and set."""
    cells: list[Cell] = field(default_factory=list)
    values: dict[str, dict[str, ByClip]] = field(default_factory=dict)
    """Test set to model to what it says."""
    sources: dict[str, dict[str, str]] = field(default_factory=dict)
    moments: dict[tuple[str, str], Moments] = field(default_factory=dict)
    """By ensemble and test set."""
    ensembles: Sequence[Ensemble] = ()
    not_run: list[NotRun] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def cell(self, model: str, test: str) -> Cell | None:
        """Return the cell that a model's name stands for, None for models not trained here."""
        alike = (one for one in self.cells if (one.model, one.test) == (model, test))
        return next(alike, None)

    def scale_of(self, model: str, test: str) -> tuple[float, float] | None:
        """Return the scale that a model predicts on, None where it has none."""
        if found := self.cell(model, test):
            return found.scale
        if model in self.untrained:
            scale: tuple[float, float] | None = self.untrained[model].model.card.av_scale
            return scale
        return None


def common(
    values: Mapping[str, ByClip], models: Sequence[str]
) -> tuple[list[str], NDArray[np.float64]]:
    """Return the clips that all models predict, and predictions ``(n_models, n, 2)``."""
    ids = [i for i in values[models[0]] if all(i in values[m] for m in models)]
    return ids, np.array([[values[m][i] for i in ids] for m in models], np.float64)
