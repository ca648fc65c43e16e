"""Cards of the models that the cross-dataset task makes: heads, ensembles, joint models by prompts.

What is called one model is often several heads: one a fold, and one for each set that something
was left out for. Its digest is of all of them, and its notes say how many there are and what each
chose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from earmark.bench.tasks.av_cross_dataset.av_cross_work import LOUDNESS, LOUDNESS_MODEL, Work
from earmark.bench.tasks.av_cross_dataset.cells import Cell, Plan
from earmark.datasets.base import fingerprint
from earmark.models.adapters.ensembles import ensemble_card
from earmark.models.av_heads.adapter import put_on
from earmark.models.av_heads.head import Head
from earmark.models.av_heads.weights import TrainedHead, tower_of
from earmark.models.base import ModelCard, Plain
from earmark.reports.record.lookup import bare


def cards_of(work: Work, plan: Plan) -> dict[str, ModelCard]:
    """Return the card of every scored model that the suite does not list itself."""
    found: dict[str, ModelCard] = {}
    for name in dict.fromkeys(cell.model for cell in work.cells):
        found[name] = _of_head(work, [one for one in work.cells if one.model == name], plan)
    for rater in work.raters.values():
        if rater.embedder is not None:
            found[rater.name] = rater.model.card
    if any(LOUDNESS in values for values in work.values.values()):
        found[LOUDNESS] = replace(
            LOUDNESS_MODEL.card,
            notes=(
                *LOUDNESS_MODEL.card.notes,
                "Arousal and valence: the loudness itself. On MusAV that which its files state.",
            ),
        )
    members = found | {
        name: rater.model.card for name, rater in work.raters.items() if rater.embedder is None
    }
    for one in work.ensembles:
        own = [moments for (name, _), moments in work.moments.items() if name == one.id]
        known = [members[model] for model in one.models if model in members]
        if own and len(known) == len(one.models):
            found[one.id] = _joined([ensemble_card(known, moments) for moments in own])
    return found


def out_of_fold(work: Work, name: str) -> list[str]:
    """Return the models whose every prediction of a set comes from a fit without that clip.

    An ensemble is one where its members are, or have not seen the set.
    """
    cards = {model: rater.model.card for model, rater in work.raters.items()}
    fair: list[str] = []
    unseen = [model for model, card in cards.items() if not _has_seen(card, work, name)]
    for cell in work.cells:
        if cell.test != name:
            continue
        if _has_seen(work.embedders[cell.embedder].card, work, name):
            continue
        (fair if cell.in_folds else unseen).append(cell.model)
    for one in work.ensembles:
        inside = set(one.models)
        if one.id in work.values[name] and inside & set(fair) and inside <= {*fair, *unseen}:
            fair.append(one.id)
    return fair


def _has_seen(card: ModelCard, work: Work, name: str) -> bool:
    called = {bare(name), bare(work.tested[name].card.id)}
    return not called.isdisjoint(map(bare, card.training_datasets))


def _of_head(work: Work, cells: Sequence[Cell], plan: Plan) -> ModelCard:
    # A head that learned from a whole set says more of the model than that of a fold.
    first = next((one for one in cells if not one.in_folds), cells[0])
    embedder, learned = work.embedders[first.embedder], work.learned[first.train]
    heads = list({id(h): h for cell in (first, *cells) for h in cell.head_of.values()}.values())

    def trained(head: Head) -> TrainedHead:
        return TrainedHead(
            name=f"{first.head}({first.train})",
            head=head,
            embedder=tower_of(embedder.card, loader="", options={}),
            datasets=(learned.card.id,),
            licence=learned.card.licence,
            scale=first.scale,
            citation=learned.card.citation,
            facts={**first.facts, "seed": plan.seed},
        )

    digests = list(dict.fromkeys(trained(head).digest for head in heads))
    card = put_on(trained(heads[0]), embedder).card
    stated: dict[str, Plain] = {**card.preprocessing, "heads": len(digests)}
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


def _how(cell: Cell, plan: Plan) -> str:
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


def _chosen(fits: Sequence[Mapping[str, Plain]]) -> Iterator[str]:
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
