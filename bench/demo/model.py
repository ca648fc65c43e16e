"""The demo's model: a free tagger of music and a free model of sentences, as one joint model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from earmark.models.adapters.text_axis import JointModel
from earmark.models.base import ModelError

TAGGER = "MSD_musicnn"
MUSICNN, MINILM = "musicnn", "minilm"
"""What ``earmark fetch`` calls its two parts."""

Opened = TypeVar("Opened")


@dataclass(frozen=True, slots=True)
class DemoModel:
    """A joint audio-text model, and the words that it knows audio by."""

    joint: JointModel
    tags: tuple[str, ...]


def open_model(*, device: str, fetch: Callable[[str], object]) -> DemoModel:
    """Return the model; weights that are not here are fetched.

    Parameters
    ----------
    fetch
        Brings what ``earmark fetch`` calls by this name.
    """
    from earmark.models.adapters.conse import ConSE
    from earmark.models.adapters.sentence_bert import sentence_bert
    from earmark.models.musicnn.adapter import musicnn

    tagger = _or_fetched(MUSICNN, lambda: musicnn(weights=TAGGER, device=device), fetch)
    sentences = _or_fetched(MINILM, lambda: sentence_bert(device=device), fetch)
    return DemoModel(ConSE(tagger, sentences), tagger.tags)


def _or_fetched(
    name: str, open_part: Callable[[], Opened], fetch: Callable[[str], object]
) -> Opened:
    try:
        return open_part()
    except ModelError:
        fetch(name)
    return open_part()
