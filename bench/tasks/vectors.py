"""The vectors that audio-text tasks score: of clips, and of captions, labels or prompts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.bench.embeddings.embeddings import Embedded, Embeddings
from earmark.bench.tasks.task import Need, Task, Wanted
from earmark.datasets.base import Clip, DataError
from earmark.models.base import UNTRAINED, AudioEmbedder, ModelError, PatchEmbedder, TextEmbedder
from earmark.reports.record.schema import ItemProblem

Floats = NDArray[np.float32]

PAPER_CROP = "centre(20 s)"
"""Of MusCALL, ISMIR 2022, sec. 4.2."""
SSL_SECONDS = 10
SSL_CROP = f"centre({SSL_SECONDS} s)"
"""Of its variant MusCALL-SSL, sec. 5.2."""


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
    layers: dict[str, dict[str, Floats]] = field(default_factory=dict)
    """Of models with several layers: the unit vectors of each, ``(n_clips, its dimension)``; those
    of the last are the model's in ``audio``."""

    def of(self, model: str, texts: Iterable[str]) -> Floats:
        """Return a model's vectors of texts, shape ``(n, dimension)``, in their order."""
        row = {text: index for index, text in enumerate(self.texts)}
        return self.text[model][[row[text] for text in texts]]


def embed(
    task: Task, wanted: Wanted, models: Mapping[str, Any], embeddings: Embeddings
) -> set[str]:
    """Embed what a task wants and the store lacks; return the ids of the clips that were heard.

    ``models`` are the task's; those that a part names itself embed that part.
    """
    heard: set[str] = set()
    for model in (models if wanted.models is None else wanted.models).values():
        if wanted.clips:
            heard.update(_heard(task.needs, model, wanted.clips, embeddings))
        if wanted.texts:
            embeddings.text_vectors(model, wanted.texts)
    for further in wanted.further:
        heard |= embed(task, further, models, embeddings)
    return heard


def _heard(
    needs: Set[Need], model: Any, clips: Sequence[Clip], embeddings: Embeddings
) -> Iterable[str]:
    if "audio or av" in needs and isinstance(model, PatchEmbedder):
        return embeddings.patches(model, clips)
    if "audio" in needs or ("audio or av" in needs and isinstance(model, AudioEmbedder)):
        return embeddings.audio_vectors(model, clips).ids
    return embeddings.av_of(model, clips).ids


def embed_pairs(
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
        If there is no model or no clip, none that every model could hear, or two with one id.
    """
    if not models:
        raise DataError("no model to score")
    if not clips:
        raise DataError("the split is empty: it has no clip to score")
    unique = tuple(dict.fromkeys(texts))
    for name, model in models.items():
        _check(name, model, reads=bool(unique))
    heard: dict[str, Embedded] = {}
    read: dict[str, Embedded] = {}
    for name, model in models.items():
        heard[name] = embeddings.audio_vectors(model, clips)
        if unique:
            read[name] = embeddings.text_vectors(model, unique)
    everywhere = set.intersection(*(set(found.ids) for found in heard.values()))
    both = [*heard.values(), *read.values()]
    if not everywhere:
        problems = [one for found in both for one in found.problems]
        why = f": {problems[0].item}: {problems[0].reason}" if problems else ""
        raise DataError(f"none of the {len(clips)} clips could be heard by every model{why}")
    seconds: dict[str, float] = {}
    for name, found in [*heard.items(), *read.items()]:
        if found.seconds is not None:
            seconds[name] = seconds.get(name, 0.0) + found.seconds
    return JointVectors(
        clips=tuple(clip for clip in clips if clip.id in everywhere),
        audio={name: _among(found.rows, found, everywhere) for name, found in heard.items()},
        texts=unique,
        text={name: found.rows for name, found in read.items()},
        problems=list(dict.fromkeys(one for found in both for one in found.problems)),
        warnings=list(dict.fromkeys(text for found in both for text in found.warnings)),
        seconds=seconds,
        layers={
            name: {layer: _among(rows, found, everywhere) for layer, rows in found.layers.items()}
            for name, found in heard.items()
            if found.layers
        },
    )


def _check(name: str, model: Any, *, reads: bool) -> None:
    if not isinstance(model, AudioEmbedder):
        raise ModelError(f"model {name!r} ({type(model).__name__}) has no embed_audio")
    if reads and not isinstance(model, TextEmbedder):
        raise ModelError(
            f"model {name!r} ({type(model).__name__}) has no embed_text, which this task needs: "
            f"leave it out of the task's models"
        )


def _among(rows: Floats, found: Embedded, wanted: set[str]) -> Floats:
    return rows[[index for index, name in enumerate(found.ids) if name in wanted]]


def clip_vectors(model: str, vectors: JointVectors) -> NDArray[np.float64]:
    """Return a model's unit vectors of the clips, ``(n_clips, dimension)``, in float64.

    Raises
    ------
    ModelError
        If there is not one for each clip, or one is not finite or zero.
    """
    return unit_rows(vectors.audio[model], model=model, of=[clip.id for clip in vectors.clips])


def layer_vectors(model: str, vectors: JointVectors) -> dict[str, NDArray[np.float64]]:
    """Return a model's unit vectors of the clips by layer, in float64; raises as `clip_vectors`.

    A model without a choice of layers has one, of no name.
    """
    if model not in vectors.layers:
        return {"": clip_vectors(model, vectors)}
    ids = [clip.id for clip in vectors.clips]
    return {
        name: unit_rows(rows, model=f"{model}, layer {name}", of=ids)
        for name, rows in vectors.layers[model].items()
    }


def unit_rows(rows: ArrayLike, *, model: str, of: Sequence[str]) -> NDArray[np.float64]:
    """Return rows at unit norm in float64, one for each item named in ``of``.

    Raises
    ------
    ModelError
        If there is not one row for each item, or one is not finite or zero; the first is named.
    """
    table = np.asarray(rows, np.float64)
    if table.ndim != 2 or len(table) != len(of) or not table.shape[-1]:
        raise ModelError(
            f"model {model!r}: expected vectors ({len(of)}, dimension), got shape {table.shape}"
        )
    bad = ~np.isfinite(table).all(axis=1) | ~table.any(axis=1)
    if bad.any():
        item = int(np.flatnonzero(bad)[0])
        kind = "zero" if not table[item].any() else "not finite"
        raise ModelError(f"model {model!r}: the vector of {of[item]!r} is {kind}")
    return np.asarray(table / np.linalg.norm(table, axis=1, keepdims=True))


def uses_crop(stated: str, wanted: str) -> bool:
    """Return whether a card's crop policy is the wanted one, whatever it does to short clips.

    >>> uses_crop("centre(20 s), short clips zero-padded", "centre(20 s)")
    True
    >>> uses_crop("centre(200 s), short clips zero-padded", "centre(20 s)")
    False
    """
    return re.split(r",\s*(?=short clips|zero|repeated|left)", stated.strip())[0] == wanted


def other_crops(protocol: str, crop: str | None, models: Mapping[str, Any]) -> list[str]:
    """Return a warning for each trained model that hears another part of a clip than a protocol's.

    MusCALL-SSL was trained on 10 s (sec. 5.2): a model whose card says that it was trained on
    10 s may hear the central 10 s. A model without trained weights has no crop that could matter.
    """
    return [
        f"{name} hears {card.crop_policy!r} of a clip, the protocol {protocol!r} asks for {crop!r} "
        f"({SSL_CROP!r} of a model trained on {SSL_SECONDS} s): the crop is part of the model, "
        f"choose another in its options"
        for name, card in ((name, model.card) for name, model in models.items())
        if crop is not None
        and card.weights_digest != UNTRAINED
        and not uses_crop(card.crop_policy, crop)
        and not (
            card.preprocessing.get("trained_on_seconds") == SSL_SECONDS
            and uses_crop(card.crop_policy, SSL_CROP)
        )
    ]
