"""What the task trains, as files: heads on their embedders, and ensembles with their moments.

A head learns here from the whole of its training set: nothing is tested, so nothing is left out.
What cross-validation or a test set kept from it in the task is in. An ensemble's moments are those
of the set that it is standardised on, or else of the first set that is tested.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earmark.bench.tasks.av_cross_dataset.cells import (
    PAIRWISE_HEADS,
    RATED_HEADS,
    ByClip,
    Ensemble,
    State,
    common,
    fit_head,
    heads_for,
    trained_head,
)
from earmark.bench.tasks.av_cross_dataset.inputs import Heard, clips_of, hear
from earmark.bench.tasks.av_predictions import predict_from_audio
from earmark.datasets.base import DataError
from earmark.models.adapters.ensembles import learn_moments, save_moments
from earmark.models.av_heads.adapter import AVHead, put_on
from earmark.models.av_heads.export import write_onnx
from earmark.models.av_heads.head import save_head
from earmark.models.base import ModelError
from earmark.models.support.weights import tower_of

MOMENTS = "moments.json"


@dataclass(frozen=True, slots=True)
class Exporter:
    """Writes models of one task into a folder.

    Attributes
    ----------
    opened_as
        Of each model of the suite: ``loader`` and its options.
    made, folder
        Where files are written, and the folder that they will be found in.
    onnx
        Whether a head is written as an ONNX graph with Essentia's metadata, too.
    """

    state: State
    stored: Mapping[str, Mapping[str, str]]
    opened_as: Mapping[str, Mapping[str, Any]]
    made: Path
    folder: Path
    onnx: bool

    def export(self, name: str) -> dict[str, Any]:
        """Write a head or an ensemble; return how a suite opens it: ``loader`` and options."""
        ensembles = {one.id: one for one in self.state.ensembles}
        if name in ensembles:
            return self._ensemble(ensembles[name])
        return self._head(name, file="head")[0]

    def _head(self, name: str, *, file: str) -> tuple[dict[str, Any], AVHead]:
        kind, _, rest = name.partition("(")
        train, _, embedder = rest.rpartition(")@")
        model, learned = self.state.embedders[embedder], self.state.learned[train]
        heard = self._heard(embedder, train)
        places = [i for i, clip in enumerate(learned.clips) if clip.id in heard.vectors]
        fitted = fit_head(kind, learned, heard, places, seed=self.state.context.seed)
        source = dict(self.opened_as[embedder])
        loader = str(source.pop("loader"))
        trained = trained_head(
            f"{kind}({train})",
            fitted.head,
            tower=tower_of(model.card, loader=loader, options=source),
            learned=learned,
            facts=fitted.facts,
            seed=self.state.context.seed,
        )
        save_head(trained, self.made / f"{file}.safetensors")
        head = put_on(trained, model)
        if self.onnx:
            write_onnx(head, self.made / file, version="1")
        table = {"loader": "av-head", "weights": str(self.folder / f"{file}.safetensors")}
        # Loaders that are not registered are opened for those who trust the file alone.
        return table | ({"towers": "trust"} if ":" in loader else {}), head

    def _ensemble(self, ensemble: Ensemble) -> dict[str, Any]:
        basis = ensemble.standardised_on or next(iter(self.state.tested))
        tables: list[dict[str, Any]] = []
        ids: list[str] = []
        values: dict[str, ByClip] = {}
        for number, name in enumerate(ensemble.models, 1):
            table, model, values[name] = self._member(name, basis, file=f"head-{number}")
            tables.append(table)
            ids.append(model.card.id)
        if len(set(ids)) < len(ids):
            raise ModelError(f"ensemble {ensemble.id!r}: two of its models are {', '.join(ids)}")
        _, rows = common(values, ensemble.models)
        learnt_on = f"{basis} without its ratings or judgements"
        moments = learn_moments(dict(zip(ids, rows, strict=True)), learnt_on=learnt_on)
        save_moments(moments, self.made / MOMENTS)
        return {"loader": "av-ensemble", "models": tables, "moments": str(self.folder / MOMENTS)}

    def _member(self, name: str, basis: str, *, file: str) -> tuple[dict[str, Any], Any, ByClip]:
        """Return how one model of an ensemble is opened, the model, and what it says of a set."""
        if name in trained_names(self.state):
            table, model = self._head(name, file=file)
            return table, model, self._from_vectors(model, name.rpartition(")@")[2], basis)
        if name not in self.state.untrained:
            raise DataError(f"no model {name!r} is here for the ensemble")
        member = self.state.untrained[name]
        if member.embedder is not None:
            source = dict(self.opened_as[member.embedder])
            prompts = {side: list(pair) for side, pair in member.model.prompts.items()}
            table = {"loader": "text-axis", "model": source.pop("loader"), **source, **prompts}
            return table, member.model, self._from_vectors(member.model, member.embedder, basis)
        clips = clips_of(self.state.tested[basis])
        if not any(clip.path for clip in clips):
            raise DataError(
                f"{name} says nothing of {basis}, of which no clip has audio here; name a set with "
                f"audio as standardised_on"
            )
        found = predict_from_audio({name: member.model}, clips, self.state.context.embeddings)
        return dict(self.opened_as[name]), member.model, found.values[name]

    def _from_vectors(self, model: Any, embedder: str, name: str) -> ByClip:
        heard = self._heard(embedder, name)
        ids = list(heard.vectors)
        trained = isinstance(model, AVHead)
        read = heard.rows(ids) if trained else heard.own_rows(ids)
        rows = model.predict_av_from_vectors(read).tolist()
        return {one: (row[0], row[1]) for one, row in zip(ids, rows, strict=True)}

    def _heard(self, embedder: str, name: str) -> Heard:
        one: Any = self.state.learned.get(name) or self.state.tested[name]
        file = self.stored.get(name, {}).get(embedder)
        embeddings = self.state.context.embeddings
        return hear(self.state.embedders[embedder], clips_of(one), embeddings, stored=file)


def trained_names(state: State) -> list[str]:
    """Return the names of the heads that can be trained, as in scores."""
    return [
        f"{head}({train})@{embedder}"
        for train, learned in state.learned.items()
        for embedder in state.embedders
        for head in heads_for(learned, (*RATED_HEADS, *PAIRWISE_HEADS))
    ]
