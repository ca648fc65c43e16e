"""``earmark run --dry-run``: what a run would listen to, and for about how long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from earmark.bench.embeddings.cost import kept
from earmark.bench.embeddings.embeddings import Embedded, Embeddings, Patches
from earmark.bench.embeddings.store import IDENTITY, Kind, Store, text_key
from earmark.bench.run.runner import Run, able, context_of, open_all, read_checked
from earmark.bench.tasks.task import Task, Unavailable, Wanted
from earmark.bench.tasks.vectors import embed
from earmark.datasets.base import Clip
from earmark.models.base import (
    ArousalValenceModel,
    AudioEmbedder,
    KeptEmbedder,
    ModelCard,
    PatchEmbedder,
    PatchHead,
    TextEmbedder,
    layers_of,
)
from earmark.reports.record.schema import NotRun


@dataclass(frozen=True, slots=True)
class Planned:
    """What one task asks of one model."""

    task: str
    model: str
    what: str
    """``clips`` or ``texts``."""
    items: int
    """Files or texts, each once."""
    new: int
    """Of these, what the store lacks and no row above asks for."""
    seconds: float | None
    """In the model, by what listening cost before; None where nobody has measured it."""


@dataclass(slots=True)
class Plan:
    """What a suite would do."""

    suite: str
    rows: list[Planned]
    not_run: list[NotRun]

    @property
    def seconds(self) -> float:
        """The seconds of all rows whose cost is known."""
        return sum(row.seconds or 0.0 for row in self.rows)

    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "suite": self.suite,
            "plan": [asdict(row) for row in self.rows],
            "seconds": self.seconds,
            "not_run": [one.model_dump() for one in self.not_run],
        }


def plan_suite(path: Path, *, store: Path, available: bool, trust_card: bool = False) -> Plan:
    """Return what a run of a suite would listen to; nothing is listened to or kept."""
    suite = read_checked(path)
    counting = Counting(Store(store), trust_card=trust_card)
    run = Run(suite=suite, embeddings=counting, replicates=suite.suite.replicates)
    open_all(run, strict=not available)
    for entry in suite.tasks:
        dataset, task_id = run.datasets[entry.dataset], suite.id_of(entry)
        if isinstance(dataset, Unavailable):
            run.not_run.append(NotRun(what=task_id, reason=dataset.reason))
            continue
        task, models = run.tasks[task_id], able(run, entry)
        context = context_of(run, entry, strict=not available)
        counting.count(task_id, task, task.wanted(context, dataset, models), models)
    return Plan(suite.suite.name, counting.rows, run.not_run)


class _Unheard(Patches):
    """No patches."""

    def __init__(self) -> None:
        self._keys = {}
        self.problems = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        return ()

    @property
    def seconds(self) -> float | None:
        return None


@dataclass(slots=True)
class _Asked:
    """For whom is counted now."""

    task: str = ""
    name: str = ""
    seen: set[tuple[str, str]] = field(default_factory=set)
    """Spaces and keys that a row above asks for."""


class Counting(Embeddings):
    """Embeddings that only count what they would ask of models."""

    def __init__(self, store: Store, *, trust_card: bool) -> None:
        super().__init__(store, trust_card=trust_card)
        self.rows: list[Planned] = []
        self._asked = _Asked()

    def count(self, task_id: str, task: Task, wanted: Wanted, models: Mapping[str, Any]) -> None:
        """Count what a task wants, model by model."""
        for name, model in (models if wanted.models is None else wanted.models).items():
            self._asked = replace(self._asked, task=task_id, name=name)
            part = replace(wanted, models=None, further=())
            embed(task, part, {name: model}, self)
        for further in wanted.further:
            self.count(task_id, task, further, models)

    def audio_vectors(
        self, embedder: AudioEmbedder, clips: Sequence[Clip], *, batch_size: int = 8
    ) -> Embedded:
        """Count clips."""
        if isinstance(embedder, KeptEmbedder):
            return super().audio_vectors(embedder, clips)
        kind: Kind = "layers" if layers_of(embedder) else "audio_vectors"
        return self._clips([embedder], embedder.card, kind, clips)

    def text_vectors(
        self, embedder: TextEmbedder, texts: Sequence[str], *, batch_size: int = 32
    ) -> Embedded:
        """Count texts."""
        keys = [text_key(text) for text in texts]
        self._count([embedder], embedder.card, "text_vectors", keys)
        return _nothing(embedder.dimension)

    def av(
        self, model: ArousalValenceModel, clips: Sequence[Clip], *, batch_size: int = 1
    ) -> Embedded:
        """Count clips."""
        return self._clips([model], model.card, "av", clips)

    def av_from_patches(self, head: PatchHead, clips: Sequence[Clip]) -> Embedded:
        """Count clips of which neither the head's values nor the patches are kept."""
        keys = [key for _, key in self._files(clips).keys]
        own = self.identity([head, head.embedder], self._card_on_patches(head), "av")
        unknown = self._missing(own, keys)
        self._count([head.embedder], head.embedder.card, "patches", keys, unknown)
        return _nothing(2)

    def patches(self, embedder: PatchEmbedder, clips: Sequence[Clip]) -> Patches:
        """Count clips."""
        self._clips([embedder], embedder.card, "patches", clips)
        return _Unheard()

    def _clips(
        self, models: Sequence[Any], card: ModelCard, kind: Kind, clips: Sequence[Clip]
    ) -> Embedded:
        self._count(models, card, kind, [key for _, key in self._files(clips).keys])
        return _nothing(getattr(models[0], "dimension", 2))

    def _count(
        self,
        models: Sequence[Any],
        card: ModelCard,
        kind: Kind,
        keys: Sequence[str],
        wanted: Sequence[str] | None = None,
    ) -> None:
        asked = self._asked
        keys = list(dict.fromkeys(keys))
        space = self.identity(models, card, kind)
        lacking = self._missing(space, keys if wanted is None else wanted)
        new = [key for key in lacking if (space, key) not in asked.seen]
        asked.seen.update((space, key) for key in new)
        known = kind != "text_vectors" and self._seconds_per_clip(space)
        row = Planned(
            task=asked.task,
            model=asked.name,
            what="texts" if kind == "text_vectors" else "clips",
            items=len(keys),
            new=len(new),
            seconds=len(new) * known if known else None if new else 0.0,
        )
        if keys and row not in self.rows:
            self.rows.append(row)

    def _missing(self, space: str, keys: Sequence[str]) -> list[str]:
        """Return the keys that the store lacks, without making a space."""
        missing = list(dict.fromkeys(keys))
        if (self.store.folder(space) / IDENTITY).exists():
            missing = self.store.open(space).missing(missing)
        for other in self.store.alike(space) if self.trust_card else ():
            missing = other.missing(missing)
        return missing

    def _seconds_per_clip(self, space: str) -> float | None:
        """Return what a clip cost this model, or before its code changed."""
        folders = [self.store.folder(space), *(one.folder for one in self.store.alike(space))]
        costs = [cost for folder in folders if (cost := kept(folder))]
        return costs[0].seconds / costs[0].clips if costs else None


def _nothing(dimension: int) -> Embedded:
    return Embedded((), np.empty((0, dimension), np.float32), (), (), None)
