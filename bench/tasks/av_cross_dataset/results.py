"""The results of trained heads: one a tested set, and on the first the matrix of train by test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from earmark.bench.metrics import regression
from earmark.bench.metrics.pairs import pairwise
from earmark.bench.metrics.regression import PEARSON_R
from earmark.bench.tasks.av_cross_dataset.cells import (
    LOUDNESS,
    LOUDNESS_MODEL,
    Cell,
    FitOptions,
    State,
    trained_head,
)
from earmark.bench.tasks.av_cross_dataset.inputs import layers_read
from earmark.bench.tasks.av_cross_dataset.view import LAYERS, MATRIX
from earmark.bench.tasks.av_regression import task as av_regression
from earmark.bench.tasks.av_regression.task import DIMENSIONS
from earmark.bench.tasks.pairwise import task as pairs
from earmark.bench.tasks.pairwise.truth import read_truth
from earmark.bench.tasks.pairwise.view import CALIBRATION, SELECTIVE
from earmark.bench.tasks.task import TaskOutput
from earmark.datasets.base import DataError, RatedClips, fingerprint
from earmark.datasets.judgements.judged import JudgedPairs
from earmark.models.adapters.ensembles import ensemble_card
from earmark.models.adapters.text_axis import TextAxisAV
from earmark.models.av_heads.adapter import put_on
from earmark.models.av_heads.head import Head, TrainedHead
from earmark.models.base import ModelCard, PatchEmbedder
from earmark.models.base import Plain as Stated
from earmark.models.support.weights import tower_of
from earmark.reports.record.lookup import HALF_CREDIT, bare
from earmark.reports.record.schema import ItemProblem, Plain, Reference, Score, Table, TaskResult

KIND = "av_cross_dataset"
HEADS = "Trained heads"
CEILING = "one annotator with the mean rating"
FEWEST_CALIBRATED = 50
"""Pairs in a tenth of MusAV's, below which its accuracy says nothing."""
_SUBSETS = {PEARSON_R.name: "all", HALF_CREDIT: "gt"}


def results(
    state: State,
    plan: FitOptions,
    tables: Sequence[Table],
    *,
    baselines: Sequence[str],
    allow_missing: bool,
) -> list[TaskOutput]:
    """Return a result for each tested set; the first also has the matrix and further tables.

    Raises
    ------
    DataError
        If nothing was predicted on the first set, or as the two tasks.
    """
    outputs: list[TaskOutput] = []
    for name, tested in state.tested.items():
        own = [one for one in state.cells if one.test == name]
        values = state.values[name]
        task_id = f"{state.context.task_id}-{name}" if outputs else state.context.task_id
        if isinstance(tested, JudgedPairs):
            output = pairs.evaluate(
                tested,
                values,
                baselines=baselines,
                allow_missing=allow_missing,
                sources=_sources(state, name),
                task_id=task_id,
                replicates=state.context.replicates,
                seed=plan.seed,
            )
            added: dict[str, Any] = {}
        elif values:
            output = av_regression.evaluate(
                tested,
                values,
                scales={model: state.scale_of(model, name) for model in values},
                problems=_problems(state, name),
                task_id=task_id,
                replicates=state.context.replicates,
                seed=plan.seed,
            )
            added = {
                "kind": KIND,
                "title": f"Heads trained and tested on {_called(state, name)}"
                if name in state.learned
                else f"Trained heads tested on {_called(state, name)}",
                "references": [*output.result.references, *ceiling(tested)],
                "protocol": {**output.result.protocol, **_sources_stated(state, name)},
            }
        elif outputs:
            continue
        else:
            reasons = "; ".join(f"{one.what}: {one.reason}" for one in state.not_run)
            raise DataError(f"{state.context.task_id}: nothing predicts {name}. {reasons}")
        protocol = added.get("protocol", output.result.protocol) | _protocol(state, plan)
        kept = [] if added else _readable(output.result)
        added |= {
            "dataset": name,
            "out_of_fold": out_of_fold(state, name),
            "protocol": protocol,
            "tables": [
                *_layers_tables(state, name),
                _heads_table(own),
                *_spread(state, plan, name),
                *kept,
            ],
            "warnings": [*output.result.warnings, *_warnings(state, name)],
        }
        outputs.append(replace(output, result=output.result.model_copy(update=added)))
    first = outputs[0].result
    scores = {one.result.dataset: one.result.scores for one in outputs}
    matrix = [matrix_table(state, scores), *tables]
    update = {"tables": [*matrix, *first.tables], "not_run": [*first.not_run, *state.not_run]}
    return [replace(outputs[0], result=first.model_copy(update=update)), *outputs[1:]]


def _called(state: State, name: str) -> str:
    """Return a tested set's title, with its name in the suite where others have the same."""
    titles = [one.card.title for one in state.tested.values()]
    title = state.tested[name].card.title
    return f"{title}, {name}" if titles.count(title) > 1 else title


def _readable(result: TaskResult) -> list[Table]:
    """Return the tables of judged pairs without those of tenths, where a tenth is too few."""
    n = max(score.n for score in result.scores if score.subset == _SUBSETS.get(score.metric))
    few = n < 10 * FEWEST_CALIBRATED
    return [t for t in result.tables if not (few and t.title in (CALIBRATION, SELECTIVE))]


def ceiling(rated: RatedClips) -> list[Reference]:
    """Return how one annotator's ratings correlate with the mean of all, where it can be known.

    Of ratings whose means have the variance V, and the variance S within a clip on average, one
    annotator's correlate with the mean of infinitely many by sqrt(V / (V + S)), his own part aside.
    """
    if rated.deviations is None:
        return []
    within = (rated.deviations**2).mean(axis=0)
    between = rated.ratings.var(axis=0)
    with np.errstate(invalid="ignore"):
        values = np.sqrt(between / (between + within))
    return [
        Reference(
            name=CEILING,
            subset="all",
            dimension=dimension,
            metric=PEARSON_R.name,
            value=float(value),
            n=len(rated.clips),
            note="from the variance of mean ratings and that between annotators of a clip",
        )
        for dimension, value in zip(DIMENSIONS, values, strict=True)
        if value > 0
    ]


def matrix_table(state: State, scores: Mapping[str, Sequence[Score]]) -> Table:
    """Return the headline score of every model on every tested set."""
    rows: list[list[Plain]] = []
    for test, found in scores.items():
        for score in found:
            if score.subset != _SUBSETS.get(score.metric):
                continue
            cell = state.cell(score.model, test)
            low, high = (
                (score.interval.low, score.interval.high) if score.interval else (None, None)
            )
            rows.append(
                [
                    score.model,
                    cell.head if cell else "",
                    cell.embedder if cell else "",
                    cell.train if cell else "",
                    test,
                    "not trained here"
                    if cell is None
                    else "in folds"
                    if cell.in_folds
                    else "across",
                    score.dimension,
                    score.metric,
                    score.value,
                    low,
                    high,
                    score.n,
                ]
            )
    return Table(
        title=MATRIX,
        columns=[
            "model", "head", "embedding", "trained on", "tested on", "how", "dimension", "metric",
            "value", "low", "high", "n",
        ],
        rows=rows,
        note="In folds: trained and tested on one set, by nested cross-validation. Across: trained "
        "on all of a set but what is tested on. Pearson's r on rated sets, accuracy on the pairs "
        "of gt on MusAV. A head that finds nothing to learn predicts the mean of its training "
        "folds, which is low where the tested fold is high: its r in folds is below 0.",
    )  # fmt: skip


def _heads_table(cells: Sequence[Cell]) -> Table:
    rows: list[list[Plain]] = []
    for cell in cells:
        known = (
            "in folds" if cell.in_folds else "by id and file" if cell.overlap_known else "by file"
        )
        rows.append([cell.model, cell.n_train, cell.left_out, known])
    return Table(
        title=HEADS,
        columns=["model", "learned from", "left out", "told apart"],
        rows=rows,
        note="Learned from: clips of the training set, in folds of all of them. Left out: clips of "
        "the training set that are tested on, told by ids that both sets use and by files that are "
        "the same byte for byte. What each fit chose is in the notes of the model’s card.",
    )


def _layers_tables(state: State, name: str) -> list[Table]:
    """Return r of each layer by itself on a rated set, of heads that chose a layer."""
    tested = state.tested[name]
    rows: list[list[Plain]] = []
    for cell in state.cells:
        if cell.test != name or not cell.by_layer or not isinstance(tested, RatedClips):
            continue
        found = av_regression.evaluate(
            tested,
            cell.by_layer,
            scales=dict.fromkeys(cell.by_layer, cell.scale),
            replicates=100,  # of the paired tests of layers, which are not told
            seed=state.context.seed,
        )
        chosen = [fit.get("layer") for fit in cell.fits]
        for score in found.result.scores:
            if score.metric == PEARSON_R.name:
                ends = (score.interval.low, score.interval.high) if score.interval else (None, None)
                own = [cell.model, score.dimension, score.model, score.value, *ends]
                rows.append([*own, chosen.count(score.model)])
    if not rows:
        return []
    return [
        Table(
            title=LAYERS,
            columns=["model", "dimension", "layer", "r", "low", "high", "fits that chose it"],
            rows=rows,
            note="Pearson’s r of a head on each layer by itself, with 95 % intervals. The highest "
            "is too high as a model’s score, since the tested clips choose it: the model’s own is "
            "that of the layers that its fits chose, in folds of what they were fitted to, both "
            "dimensions together.",
        )
    ]


def _spread(state: State, plan: FitOptions, name: str) -> list[Table]:
    """Return mean and deviation over runs, where there are several."""
    cells = [one for one in state.cells if one.test == name]
    if plan.runs < 2 or not cells:
        return []
    tested = state.tested[name]
    rows: list[list[Plain]] = []
    for cell in cells:
        for column, dimension in enumerate(DIMENSIONS):
            found = list(
                _accuracies(tested, cell, column)
                if isinstance(tested, JudgedPairs)
                else _correlations(tested, cell, column)
            )
            if not found:  # the ratings are all the same
                continue
            deviation = float(np.std(found, ddof=1))
            rows.append([cell.model, dimension, float(np.mean(found)), deviation, len(found)])
    metric = "accuracy on gt" if isinstance(tested, JudgedPairs) else "r"
    return [
        Table(
            title="Spread over runs",
            columns=["model", "dimension", f"mean {metric}", "deviation", "runs"],
            rows=rows,
            note="Each run divides into folds and fits with its own seed; the first is scored.",
        )
    ]


def _correlations(tested: RatedClips, cell: Cell, column: int) -> Iterator[float]:
    place = {clip.id: row for row, clip in enumerate(tested.clips)}
    for run in cell.predictions:
        rated = tested.ratings[[place[clip] for clip in run], column]
        if np.ptp(rated) == 0:
            return
        yield regression.pearson_r(rated, [pair[column] for pair in run.values()])


def _accuracies(tested: JudgedPairs, cell: Cell, column: int) -> Iterator[float]:
    truth = read_truth(tested, DIMENSIONS[column])
    for run in cell.predictions:
        values = np.array([run[s][column] if s in run else np.nan for s in tested.song_ids])
        yield pairwise.agreement(truth.judge(values), ties="half").accuracy


def _sources(state: State, name: str) -> dict[str, str]:
    found = dict(state.sources.get(name, {}))
    for cell in state.cells:
        if cell.test == name:
            how = "out of fold" if cell.in_folds else f"a head trained on all of {cell.train}"
            found[cell.model] = f"{how}, {state.heard[cell.embedder, name].source}"
    for other in state.untrained.values():
        if other.embedder is not None and other.name in state.values[name]:
            found[other.name] = f"prompts, {state.heard[other.embedder, name].source}"
    if LOUDNESS in state.values[name]:
        found[LOUDNESS] = "integrated loudness as both arousal and valence, audio"
    return found


def _sources_stated(state: State, name: str) -> dict[str, str]:
    return {f"predictions of {model}": said for model, said in _sources(state, name).items()}


def _protocol(state: State, plan: FitOptions) -> dict[str, Plain]:
    stated: dict[str, Plain] = {
        "within a set": "nested-folds",
        "folds": plan.folds,
        "runs": plan.runs,
        "across sets": "without-tested-clips",
        "standardisation": "fitted-rows",
    }
    for name, model in state.embedders.items():
        stated[f"embedding {name}"] = model.card.id
        pooled = "patch-mean" if isinstance(model, PatchEmbedder) else "unit-vector"
        stated[f"vector of {name}"] = pooled
        if layers := layers_read(model):
            stated[f"layers of {name}"] = ", ".join(layers)
            stated[f"layer of {name}"] = "inner-folds"
    for other in state.untrained.values():
        if isinstance(other.model, TextAxisAV):
            for dimension, (high, low) in other.model.prompts.items():
                stated[f"prompts of {other.name}, {dimension}"] = f"{high} | {low}"
    return stated


def _problems(state: State, name: str) -> list[ItemProblem]:
    heard = (one for (_, test), one in state.heard.items() if test == name)
    return list(dict.fromkeys(problem for one in heard for problem in one.problems))


def _warnings(state: State, name: str) -> list[str]:
    found = [
        text for (_, test), one in state.heard.items() if test == name for text in one.warnings
    ]
    unknown = sorted(
        {c.train for c in state.cells if c.test == name and not c.in_folds and not c.overlap_known}
    )
    if unknown:
        found.append(
            f"which songs of {', '.join(unknown)} are in {name}, too, is known only where their "
            f"files are the same: the sets have no ids in common use"
        )
    return list(dict.fromkeys(found))


def cards_of(state: State, plan: FitOptions) -> dict[str, ModelCard]:
    """Return the card of every scored model that the suite does not list itself."""
    found: dict[str, ModelCard] = {}
    for name in dict.fromkeys(cell.model for cell in state.cells):
        found[name] = _of_head(state, [one for one in state.cells if one.model == name], plan)
    for other in state.untrained.values():
        if other.embedder is not None:
            found[other.name] = other.model.card
    if any(LOUDNESS in values for values in state.values.values()):
        found[LOUDNESS] = replace(
            LOUDNESS_MODEL.card,
            notes=(
                *LOUDNESS_MODEL.card.notes,
                "Arousal and valence: the loudness itself. On MusAV that which its files state.",
            ),
        )
    members = found | {
        name: other.model.card for name, other in state.untrained.items() if other.embedder is None
    }
    for one in state.ensembles:
        own = [moments for (name, _), moments in state.moments.items() if name == one.id]
        known = [members[model] for model in one.models if model in members]
        if own and len(known) == len(one.models):
            found[one.id] = _joined([ensemble_card(known, moments) for moments in own])
    return found


def out_of_fold(state: State, name: str) -> list[str]:
    """Return the models whose every prediction of a set comes from a fit without that clip.

    An ensemble is one where its members are, or have not seen the set.
    """
    cards = {model: other.model.card for model, other in state.untrained.items()}
    fair: list[str] = []
    unseen = [model for model, card in cards.items() if not _has_seen(card, state, name)]
    for cell in state.cells:
        if cell.test != name:
            continue
        if _has_seen(state.embedders[cell.embedder].card, state, name):
            continue
        (fair if cell.in_folds else unseen).append(cell.model)
    for one in state.ensembles:
        inside = set(one.models)
        if one.id in state.values[name] and inside & set(fair) and inside <= {*fair, *unseen}:
            fair.append(one.id)
    return fair


def _has_seen(card: ModelCard, state: State, name: str) -> bool:
    called = {bare(name), bare(state.tested[name].card.id)}
    return not called.isdisjoint(map(bare, card.training_datasets))


def _of_head(state: State, cells: Sequence[Cell], plan: FitOptions) -> ModelCard:
    # A head that learned from a whole set says more of the model than that of a fold.
    first = next((one for one in cells if not one.in_folds), cells[0])
    embedder, learned = state.embedders[first.embedder], state.learned[first.train]
    heads = list({id(h): h for cell in (first, *cells) for h in cell.head_of.values()}.values())

    def trained(head: Head) -> TrainedHead:
        return trained_head(
            f"{first.head}({first.train})",
            head,
            tower=tower_of(embedder.card, loader="", options={}),
            learned=learned,
            facts=first.facts,
            seed=plan.seed,
        )

    digests = list(dict.fromkeys(trained(head).digest for head in heads))
    card = put_on(trained(heads[0]), embedder).card
    stated: dict[str, Stated] = {**card.preprocessing, "heads": len(digests)}
    alike: dict[str, list[str]] = {}
    for cell in cells:
        alike.setdefault(_how(cell, plan), []).append(cell.test)
    said = (f"On {', '.join(tests)}: {how}" for how, tests in alike.items())
    notes = (*card.notes, *said)
    if len(digests) == 1:
        return replace(card, preprocessing=stated, notes=notes)
    del stated["head_sha256"]  # that of one of them alone
    return replace(
        card,
        weights_digest=fingerprint([embedder.card.weights_digest, *digests]),
        preprocessing=stated,
        notes=notes,
    )


def _how(cell: Cell, plan: FitOptions) -> str:
    n = len({id(head) for head in cell.head_of.values()})
    made = (
        f"{n} heads, each predicts the fold that it was fitted without"
        if cell.in_folds
        else f"one head, fitted to the {cell.n_train} clips of {cell.train} that are not tested on"
    )
    chosen = "; ".join(_chosen(cell.fits))
    runs = f" The first of {plan.runs} runs is scored." if plan.runs > 1 else ""
    warned = f" {'; '.join(cell.warnings)}." if cell.warnings else ""
    return f"{made}. Chosen: {chosen}.{runs}{warned}"


def _chosen(fits: Sequence[Mapping[str, Stated]]) -> Iterator[str]:
    """Return what fits of one model chose: a value, or from the least to the greatest."""
    for name in fits[0]:
        if name == "head":
            continue
        values = [fit[name] for fit in fits if name in fit]
        if all(isinstance(value, int | float) for value in values):
            low, high = min(values), max(values)
            yield f"{name} {low:g}" if low == high else f"{name} {low:g} to {high:g}"
        else:
            yield f"{name} {', '.join(dict.fromkeys(map(str, values)))}"


def _joined(cards: Sequence[ModelCard]) -> ModelCard:
    """Return the card of an ensemble whose moments were learnt on several sets."""
    first = cards[0]
    if len(cards) == 1:
        return first
    stated = dict(first.preprocessing)
    for key in ("moments_learnt_on", "moments_clips"):
        stated[key] = "; ".join(str(card.preprocessing[key]) for card in cards)
    return replace(
        first,
        weights_digest=fingerprint([card.weights_digest for card in cards]),
        preprocessing=stated,
        notes=tuple(dict.fromkeys(note for card in cards for note in card.notes)),
    )
