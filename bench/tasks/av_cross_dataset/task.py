"""Arousal/valence heads trained on some sets and tested on others: a matrix of train by test.

Each embedder among the models gets a head of each kind on each training set. On its own set a head
is scored out of fold (nested cross-validation), on any other after learning from the whole training
set without what is tested on (:mod:`earmark.bench.tasks.av_cross_dataset.cells`). AV models of the
suite, joint audio-text models through :class:`~earmark.models.adapters.text_axis.TextAxisAV`, and
ensembles of any of these stand beside them and are compared with them on the same clips.

Of an embedder with several layers a ridge head chooses one where it chooses its penalty, in folds
of the rows that it is fitted to; the other heads read the last. A table has each layer by itself.

Rated sets are scored as ``av_regression`` does, MusAV as ``musav`` does: its listeners, its
loudness baseline and its tables with it. Each tested set is a result of its own; the first has the
matrix.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from earmark.bench.tasks.av_cross_dataset.cells import (
    LOUDNESS,
    LOUDNESS_MODEL,
    PAIRWISE_HEADS,
    RATED_HEADS,
    Cell,
    Ensemble,
    FitOptions,
    FittedOn,
    Job,
    State,
    UntrainedModel,
    common,
    heads_for,
    make_cell,
)
from earmark.bench.tasks.av_cross_dataset.export import Exporter, trained_names
from earmark.bench.tasks.av_cross_dataset.gain import gain_table, gained
from earmark.bench.tasks.av_cross_dataset.inputs import (
    Recordings,
    TestedOn,
    as_learned,
    as_tested,
    clips_of,
    hear,
)
from earmark.bench.tasks.av_cross_dataset.results import KIND, cards_of, results
from earmark.bench.tasks.av_cross_dataset.view import VIEW
from earmark.bench.tasks.av_predictions import predict_from_audio
from earmark.bench.tasks.av_regression import task as av_regression
from earmark.bench.tasks.pairwise import task as pairs
from earmark.bench.tasks.pairwise.sources import predict_judged
from earmark.bench.tasks.task import (
    Context,
    Need,
    Task,
    TaskRun,
    Unavailable,
    UnknownModelError,
    Wanted,
)
from earmark.datasets.base import DataError, RatedClips
from earmark.datasets.files.atomic_files import folder_whole
from earmark.datasets.files.names import suggest
from earmark.datasets.judgements.judged import JudgedPairs
from earmark.models.adapters.ensembles import learn_moments
from earmark.models.adapters.text_axis import TextAxisAV
from earmark.models.base import (
    ArousalValenceModel,
    AudioEmbedder,
    ModelError,
    PatchEmbedder,
    PatchHead,
    TextEmbedder,
)
from earmark.reports.record.schema import NotRun
from earmark.reports.view import View

HEADS = (*RATED_HEADS, *PAIRWISE_HEADS)


@dataclass(frozen=True)
class AVCrossDataset(Task):
    """Train heads and test them, in and across datasets.

    The dataset is a rated set, the first that is tested on; its result has the matrix.

    Parameters
    ----------
    train, test
        Names of the suite's datasets that heads learn from, and that they are tested on besides.
        MusAV may be in both: heads then learn from its judgements, in folds by triplet.
    heads
        Some of ``ridge``, ``mlp`` (from ratings) and ``pairwise`` (from judgements).
    folds, runs
        Of the cross-validation; every run divides and fits anew, and the first is scored.
    gains
        In dB; the first tested set is heard again with each.
    stored
        Dataset to model to npz of mean embeddings, for sets without audio.
    predictions
        MusAV's name to files of predictions.
    ensembles
        ``{id, models, standardised_on}`` each, of models or trained heads by their names.
    prompts
        ``arousal`` and ``valence``: high and low, for joint models.
    baselines, allow_missing
        As :func:`earmark.bench.tasks.pairwise.task.evaluate`; the baseline ``loudness`` is heard on
        rated sets with audio, too.
    """

    train: Sequence[str]
    test: Sequence[str] = ()
    heads: Sequence[str] = HEADS
    folds: int = 10
    runs: int = 1
    gains: Sequence[float] = ()
    stored: Mapping[str, Mapping[str, str]] | None = None
    predictions: Mapping[str, Sequence[str]] | None = None
    ensembles: Sequence[Mapping[str, Any]] = ()
    prompts: Mapping[str, Sequence[str]] | None = None
    baselines: Sequence[str] = pairs.BASELINES
    allow_missing: bool = False

    kind: ClassVar[str] = KIND
    needs: ClassVar[frozenset[Need]] = frozenset({"audio or av"})
    truth: ClassVar[frozenset[str]] = av_regression.TRUTH
    outcomes: ClassVar[frozenset[str]] = av_regression.OUTCOMES
    view: ClassVar[View] = VIEW
    measure = staticmethod(av_regression.measure)

    def wanted(self, context: Context, dataset: Any, models: Mapping[str, Any]) -> Wanted:
        """Return the clips of every set that have audio, with what hears them besides."""
        state = self.opened(context, dataset, models)
        named = [context.datasets[name] for name in (*self.train, *self.test)]
        parts: list[Wanted] = []
        for one in {id(each): each for each in (dataset, *named)}.values():
            clips = [] if isinstance(one, Unavailable) else [c for c in clips_of(one) if c.path]
            if not clips:
                continue
            as_test = any(one is each for each in state.tested.values())
            if "loudness" in self.baselines and isinstance(one, RatedClips) and as_test:
                parts.append(Wanted(clips, models={LOUDNESS_MODEL.card.id: LOUDNESS_MODEL}))
            parts.append(Wanted(clips))
            for gain in self.gains if one is dataset else ():
                louder = {f"{name}, {gain:+g} dB": gained(m, gain) for name, m in models.items()}
                parts.append(Wanted(clips, models=louder))
        return Wanted((), further=parts)

    def run(self, context: Context, dataset: Any, models: Mapping[str, Any]) -> TaskRun:
        """Embed every set, fit heads, and score them beside the models.

        Raises
        ------
        DataError
            If a set or an option is not as described, or no model could be scored.
        ModelError
            If a model neither embeds audio nor predicts arousal and valence.
        """
        state = self.opened(context, dataset, models)
        stored, predictions = self.stored or {}, self.predictions or {}
        _hear_all(state, stored)
        plan = FitOptions(folds=self.folds, runs=self.runs, seed=context.seed)
        state.cells = list(_cells(state, self.heads, plan))
        for name, tested in state.tested.items():
            state.values[name] = {c.model: c.predictions[0] for c in state.cells if c.test == name}
            _rate(state, name, tested, stored, predictions.get(name, ()))
            if "loudness" in self.baselines and isinstance(tested, RatedClips):
                _add_loudness(state, name, tested)
        for ensemble in state.ensembles:
            _join(state, ensemble)
        outputs = results(
            state,
            plan,
            [gain_table(state, self.gains)] if self.gains else [],
            baselines=self.baselines,
            allow_missing=self.allow_missing,
        )
        return TaskRun(
            outputs[0],
            state.seconds,
            heard=list(state.embedders),
            cards=cards_of(state, plan),
            further=outputs[1:],
        )

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
        """Write a head or an ensemble; see :class:`earmark.bench.tasks.task.Exports`."""
        state = self.opened(context, dataset, models)
        known = [*trained_names(state), *(one.id for one in state.ensembles)]
        if name not in known:
            hint = suggest(name, known, listed="It trains")
            left_out = "".join(f"\n{one.what}: {one.reason}" for one in state.not_run)
            raise UnknownModelError(f"{context.task_id} trains no model {name!r}. {hint}{left_out}")
        with folder_whole(out) as made:
            stored = self.stored or {}
            return Exporter(state, stored, opened_as, made, out, onnx).export(name)

    def opened(self, context: Context, dataset: Any, models: Mapping[str, Any]) -> State:
        """Return what the task works with; a fault in it is told before hours of listening."""
        self._check()
        ensembles = [_ensemble(one) for one in self.ensembles]
        if not isinstance(dataset, RatedClips):
            raise DataError(
                f"the task av_cross_dataset begins with a set of rated clips as its dataset, got "
                f"{type(dataset).__name__}; name judged pairs in test"
            )
        own = next((name for name, one in context.datasets.items() if one is dataset), None)
        first = own or dataset.card.id
        not_run: list[NotRun] = []
        at_hand = {}
        for name in dict.fromkeys([*self.train, *self.test]):
            found = context.datasets.get(name)
            if isinstance(found, Unavailable):
                not_run.append(NotRun(what=f"{name} in {context.task_id}", reason=found.reason))
            elif found is None:
                raise DataError(f"the suite has no dataset {name!r}")
            else:
                at_hand[name] = found
        embedders = {name: m for name, m in models.items() if _embeds(m)}
        untrained = {
            name: UntrainedModel(name, m) for name, m in models.items() if name not in embedders
        }
        for name, model in untrained.items():
            if not isinstance(model.model, PatchHead | ArousalValenceModel):
                raise ModelError(
                    f"model {name!r} ({type(model.model).__name__}) neither embeds audio nor "
                    f"predicts arousal and valence"
                )
        for name, model in embedders.items():
            if isinstance(model, AudioEmbedder) and isinstance(model, TextEmbedder):
                axis = TextAxisAV(model, **(self.prompts or {}))
                untrained[f"text-axis@{name}"] = UntrainedModel(
                    f"text-axis@{name}", axis, embedder=name
                )
        tested = {first: dataset} | {n: at_hand[n] for n in self.test if n in at_hand}
        return State(
            context=context,
            embedders=embedders,
            untrained=untrained,
            learned={
                n: as_learned(n, at_hand[n]) for n in dict.fromkeys(self.train) if n in at_hand
            },
            tested={name: as_tested(name, one) for name, one in tested.items()},
            not_run=not_run,
            ensembles=ensembles,
        )

    def _check(self) -> None:
        heads, gains = self.heads, self.gains
        unknown = [name for name in heads if name not in HEADS]
        if isinstance(heads, str) or unknown or not heads:
            raise DataError(f"heads is {heads!r}, expected some of {', '.join(HEADS)}")
        for name, value, least in (("folds", self.folds, 2), ("runs", self.runs, 1)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise DataError(f"{name} is {value!r}, expected a whole number of at least {least}")
        if not all(isinstance(g, int | float) and np.isfinite(g) and g != 0 for g in gains):
            raise DataError(f"gains is {gains!r}, expected numbers of dB other than 0")


def _ensemble(given: Mapping[str, Any]) -> Ensemble:
    known = {"id", "models", "standardised_on"}
    if not isinstance(given, Mapping) or not {"id", "models"} <= set(given) <= known:
        raise DataError(f"an ensemble is {given!r}, expected the keys {', '.join(sorted(known))}")
    members = tuple(given["models"])
    if len(members) < 2 or len(set(members)) < len(members):
        raise DataError(
            f"ensemble {given['id']!r} has the models {', '.join(members) or 'none'}, expected two "
            f"or more, each once"
        )
    return Ensemble(str(given["id"]), members, given.get("standardised_on"))


def _embeds(model: Any) -> bool:
    return isinstance(model, PatchEmbedder | AudioEmbedder)


def _hear_all(state: State, stored: Mapping[str, Mapping[str, str]]) -> None:
    """Embed every set with every embedder; what cannot be had is noted."""
    sets: dict[str, Any] = {**state.learned, **state.tested}
    for name, one in sets.items():
        clips = clips_of(one)
        missing: dict[str, list[str]] = {}
        for embedder, model in state.embedders.items():
            file = stored.get(name, {}).get(embedder)
            try:
                heard = hear(model, clips, state.context.embeddings, stored=file)
            except DataError as error:
                if file is not None and state.context.strict:
                    raise
                missing.setdefault(str(error), []).append(embedder)
                continue
            state.heard[embedder, name] = heard
            if heard.seconds is not None:
                state.seconds[embedder] = state.seconds.get(embedder, 0.0) + heard.seconds
        for reason, names in missing.items():
            what = f"{name} with {', '.join(names)}"
            state.not_run.append(NotRun(what=what, reason=reason))


def _cells(state: State, heads: Sequence[str], plan: FitOptions) -> Iterator[Cell]:
    recordings = Recordings()
    known: FittedOn = {}
    for test, tested in state.tested.items():
        for train, learned in state.learned.items():
            for embedder in state.embedders:
                sides = [state.heard.get((embedder, name)) for name in (train, test)]
                if sides[0] is None or sides[1] is None:
                    continue
                for head in heads_for(learned, heads):
                    job = Job(head, embedder, train, test, learned, tested, sides[0], sides[1])
                    try:
                        yield make_cell(job, plan, recordings, known)
                    except (DataError, ModelError) as error:
                        what = f"{job.model} on {test}"
                        state.not_run.append(NotRun(what=what, reason=str(error)))


def _rate(
    state: State,
    name: str,
    tested: TestedOn,
    stored: Mapping[str, Mapping[str, str]],
    files: Sequence[str],
) -> None:
    """Ask the AV models of the suite what they say of a tested set."""
    clips, values = clips_of(tested), state.values[name]
    sources = state.sources.setdefault(name, {})
    for other in state.untrained.values():
        if other.embedder is not None and (other.embedder, name) in state.heard:
            heard = state.heard[other.embedder, name]
            rows = other.model.predict_av_from_vectors(heard.own_rows(list(heard.vectors))).tolist()
            pairs = zip(heard.vectors, rows, strict=True)
            values[other.name] = {i: (row[0], row[1]) for i, row in pairs}
        elif other.embedder is not None and _anybody_heard(state, name):
            reason = f"{other.embedder} has not heard its clips"
            state.not_run.append(NotRun(what=f"{other.name} on {name}", reason=reason))
    own = {r.name: r.model for r in state.untrained.values() if r.embedder is None}
    if isinstance(tested, JudgedPairs):
        means = _means(state, own, stored.get(name, {}))
        found = predict_judged(tested, own, state.context, means=means, predictions=files)
    elif own and any(clip.path for clip in clips):
        found = predict_from_audio(own, clips, state.context.embeddings)
    else:
        if _anybody_heard(state, name):
            reason = "no clip has audio here"
            state.not_run += [NotRun(what=f"{model} on {name}", reason=reason) for model in own]
        return
    taken = found.values.keys() & values.keys()
    if taken:
        raise DataError(f"the name {taken.pop()!r} is a trained head's; give the model another")
    values.update(found.values)
    sources.update(found.sources)
    state.not_run += found.not_run
    for model, seconds in found.seconds.items():
        state.seconds[model] = state.seconds.get(model, 0.0) + seconds


def _anybody_heard(state: State, name: str) -> bool:
    """Return whether any embedder has a set: where none has, that is said once for all models."""
    return any((embedder, name) in state.heard for embedder in state.embedders)


def _add_loudness(state: State, name: str, tested: RatedClips) -> None:
    """Add what ``musav`` scores as a baseline: the louder clip has more of both."""
    if not state.values[name] or not any(clip.path for clip in tested.clips):
        return
    heard = hear(LOUDNESS_MODEL, tested.clips, state.context.embeddings, stored=None)
    values = {clip: float(row[0]) for clip, row in heard.vectors.items()}
    state.values[name][LOUDNESS] = {clip: (value, value) for clip, value in values.items()}


def _means(state: State, own: Mapping[str, Any], stored: Mapping[str, str]) -> dict[str, str]:
    """Return the file of each head's embedder, or that which is named for the head itself."""
    found = {}
    for name, model in own.items():
        card = model.embedder.card if isinstance(model, PatchHead) else None
        alike = (e for e, one in state.embedders.items() if one.card == card and e in stored)
        source = name if name in stored else next(alike, None)
        if source is not None:
            found[name] = stored[source]
    return found


def _join(state: State, ensemble: Ensemble) -> None:
    """Add an ensemble to every tested set that all of its members predict."""
    on = ensemble.standardised_on
    if on is not None and on not in state.tested:
        raise DataError(
            f"ensemble {ensemble.id!r} is standardised on {on!r}, expected a tested set: "
            f"{', '.join(state.tested)}"
        )
    for name in state.tested:
        if not state.values[name]:
            continue
        basis = on or name
        lacking = [
            f"{model} on {place}"
            for place in dict.fromkeys((name, basis))
            for model in ensemble.models
            if model not in state.values[place]
        ]
        what = f"{ensemble.id} on {name}"
        if lacking:
            reason = f"no predictions of {', '.join(lacking)}"
            state.not_run.append(NotRun(what=what, reason=reason))
            continue
        ids, rows = common(state.values[basis], ensemble.models)
        learnt_on = f"{basis} without its ratings or judgements"
        by_model = dict(zip(ensemble.models, rows, strict=True))
        moments = learn_moments(by_model, learnt_on=learnt_on)
        state.moments[ensemble.id, name] = moments
        ids, rows = common(state.values[name], ensemble.models)
        mean = moments.average(rows).tolist()
        said = {i: (row[0], row[1]) for i, row in zip(ids, mean, strict=True)}
        state.values[name][ensemble.id] = said
        members = ", ".join(ensemble.models)
        state.sources[name][ensemble.id] = (
            f"mean of z-scores of {members}; moments of the {moments.n} clips of {learnt_on}"
        )
