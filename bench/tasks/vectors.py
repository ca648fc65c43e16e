"""The vectors that audio-text tasks score: of clips, and of captions, labels or prompts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.bench.embeddings.embeddings import Embedded, Embeddings
from earmark.datasets.base import Clip, DataError
from earmark.models.base import AudioEmbedder, ModelError, TextEmbedder
from earmark.reports.record.schema import ItemProblem

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class JointVectors:
    """Vectors of the same clips and texts by several models."""

    clips: tuple[Clip, ...]
    """Those that every model could hear, in the dataset's order."""
    audio: dict[str, Floats]
    """Model to unit vectors, shape ``(n_clips, dimension)``."""
    texts: tuple[str, ...]
    """Each once, in the order in which they were first given."""
    text: dict[str, Floats]
    """Model to unit vectors, shape ``(n_texts, dimension)``."""
    problems: list[ItemProblem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    """Model to wall seconds spent in it; a model that was not asked is not there."""

    def of(self, model: str, texts: Iterable[str]) -> Floats:
        """Return a model's vectors of texts, shape ``(n, dimension)``, in their order."""
        row = {text: index for index, text in enumerate(self.texts)}
        return self.text[model][[row[text] for text in texts]]


def collect(
    models: Mapping[str, Any],
    clips: Sequence[Clip],
    texts: Iterable[str],
    embeddings: Embeddings,
) -> JointVectors:
    """Embed clips with every model, and texts too where there are any.

    Raises
    ------
    ModelError
        If a model embeds no audio, or no text where there is some, or not in one space, or gives
        something else than finite unit vectors.
    DataError
        If two clips have the same id.
    """
    unique = tuple(dict.fromkeys(texts))
    for name, model in models.items():
        _check(name, model, reads=bool(unique))
    heard: dict[str, Embedded] = {}
    read: dict[str, Embedded] = {}
    for name, model in models.items():
        heard[name] = embeddings.audio_vectors(model, clips)
        if unique:
            read[name] = embeddings.text_vectors(model, unique)
    everywhere = set.intersection(*(set(found.ids) for found in heard.values())) if heard else set()
    both = [*heard.values(), *read.values()]
    seconds: dict[str, float] = {}
    for name, found in [*heard.items(), *read.items()]:
        if found.seconds is not None:
            seconds[name] = seconds.get(name, 0.0) + found.seconds
    return JointVectors(
        clips=tuple(clip for clip in clips if clip.id in everywhere),
        audio={name: _rows(found, everywhere) for name, found in heard.items()},
        texts=unique,
        text={name: found.rows for name, found in read.items()},
        problems=list(dict.fromkeys(one for found in both for one in found.problems)),
        warnings=list(dict.fromkeys(text for found in both for text in found.warnings)),
        seconds=seconds,
    )


def gather(
    models: Mapping[str, Any],
    clips: Sequence[Clip],
    texts: Iterable[str],
    embeddings: Embeddings,
) -> JointVectors:
    """Return what `collect` does, where there is something to score; raises the same.

    Raises
    ------
    DataError
        Also if there is no model or no clip, or none that every model could hear.
    """
    if not models:
        raise DataError("no model to score")
    if not clips:
        raise DataError("the split is empty: it has no clip to score")
    found = collect(models, clips, texts, embeddings)
    if not found.clips:
        why = f": {found.problems[0].item}: {found.problems[0].reason}" if found.problems else ""
        raise DataError(f"none of the {len(clips)} clips could be heard by every model{why}")
    return found


def _check(name: str, model: Any, *, reads: bool) -> None:
    if not isinstance(model, AudioEmbedder):
        raise ModelError(f"model {name!r} ({type(model).__name__}) has no embed_audio")
    if reads and not isinstance(model, TextEmbedder):
        raise ModelError(
            f"model {name!r} ({type(model).__name__}) has no embed_text, which this task needs: "
            f"leave it out of the task's models"
        )


def _rows(found: Embedded, wanted: set[str]) -> Floats:
    return found.rows[[index for index, name in enumerate(found.ids) if name in wanted]]
