"""Folders of exported weights: what stands beside them, for the adapters that load them.

Layout
------
``earmark export`` writes::

    model.safetensors       weights; MusCALL's with their config in the file's metadata
    tokenizer/              MusCALL: vocab.json, merges.txt, tokenizer_config.json
    config.json             DCASE: sizes and front end
    vocabulary.json         DCASE: the words of the vectors' rows
    card.json               name, licence, training datasets, and how the weights came to be
    training.json           the log of the training (:mod:`earmark.models.support.training_log`)
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from earmark.models.base import ModelCard, ModelError, Plain
from earmark.models.support.adapter import UNKNOWN_TRAINING

CARD, WEIGHTS, TOKENIZER = "card.json", "model.safetensors", "tokenizer"
_FORMAT = "earmark-export-1"


@dataclass(frozen=True, slots=True)
class ExportCard:
    """What an export says of its weights."""

    name: str
    licence: str | None = None
    training_datasets: tuple[str, ...] = ()
    training: Mapping[str, Plain] = field(default_factory=dict)
    """Preset-independent facts of the run: steps, the score it was chosen by, fingerprints."""

    @property
    def note(self) -> str:
        """How the weights came to be, as one sentence for a model's card."""
        facts = ", ".join(f"{name} {value}" for name, value in self.training.items())
        return f"Trained by earmark: {facts}."


def write_card(card: ExportCard, folder: Path) -> None:
    """Write a folder's card, which :func:`read_card` reads."""
    content = {"format": _FORMAT, **asdict(card)}
    (folder / CARD).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_card(folder: Path) -> ExportCard | None:
    """Return a folder's card, or None where it has none.

    Raises
    ------
    ModelError
        If there is a file of that name which is no such card.
    """
    path = folder / CARD
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format", None) != _FORMAT:
            raise ModelError(f"{path}: not a card of {_FORMAT}; export the checkpoint again")
        datasets = tuple(content.pop("training_datasets"))
        return ExportCard(**content, training_datasets=datasets)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{path}: damaged card: {error!r}; export the checkpoint again") from error


def with_origin(
    card: ModelCard,
    exported: ExportCard | None,
    *,
    licence: str | None,
    training_datasets: Sequence[str],
) -> ModelCard:
    """Return a model's card with licence, training datasets and notes of where it comes from.

    What the user states counts more than what an export says.
    """
    datasets = tuple(training_datasets) or (exported.training_datasets if exported else ())
    notes: tuple[str, ...] = () if datasets else (UNKNOWN_TRAINING,)
    if exported is not None:
        notes += (exported.note,)
    return replace(
        card,
        licence=licence or (exported.licence if exported else None) or "not stated",
        training_datasets=datasets,
        notes=(*notes, *card.notes),
    )
