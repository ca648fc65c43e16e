"""Where a task's predictions come from: audio, kept embeddings, or files of predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from earmark.bench.embeddings.embeddings import Embeddings
from earmark.datasets.base import Clip, first_ten
from earmark.datasets.captions.stored_pairs import read_means
from earmark.models.base import ArousalValenceModel, ModelError, PatchHead, naming
from earmark.reports.record.schema import ItemProblem, NotRun

ByItem = dict[str, tuple[float, float]]


@dataclass(slots=True)
class AVPredictions:
    """Predictions of several models on one dataset, and how they came about."""

    values: dict[str, ByItem] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    """Model to what its predictions were computed from, in words."""
    problems: list[ItemProblem] = field(default_factory=list)
    not_run: list[NotRun] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    """Model to wall seconds spent in it (for a head: in its embedder)."""


def predict_from_audio(
    models: Mapping[str, Any], clips: Sequence[Clip], embeddings: Embeddings
) -> AVPredictions:
    """Return what models say of clips; heads that share an embedder listen once.

    Raises
    ------
    ModelError
        If a model is no AV model, or gives something else than finite numbers.
    """
    found = AVPredictions()
    for name, model in models.items():
        if isinstance(model, PatchHead):
            heard = embeddings.av_from_patches(model, clips)
        elif isinstance(model, ArousalValenceModel):
            heard = embeddings.av(model, clips)
        else:
            raise ModelError(
                f"model {name!r} ({type(model).__name__}) predicts no arousal and valence: it has "
                f"neither predict_av nor predict_av_from_patches"
            )
        pairs = zip(heard.ids, heard.rows.tolist(), strict=True)
        found.values[name] = {clip_id: (row[0], row[1]) for clip_id, row in pairs}
        found.sources[name] = "audio"
        found.problems += [one for one in heard.problems if one not in found.problems]
        found.warnings += [text for text in heard.warnings if text not in found.warnings]
        if heard.seconds is not None:
            found.seconds[name] = heard.seconds
    return found


def predict_from_means(name: str, model: Any, path: Path) -> ByItem:
    """Return what a head says of mean embeddings in an npz file with ``songids``, ``embeddings``.

    Raises
    ------
    DataError
        If the file is not as described.
    ModelError
        If the model reads no embeddings, or is not affine, so that its value at the mean embedding
        is not the mean of its values.
    """
    ids, means = read_means(path)
    if not isinstance(model, PatchHead):
        raise ModelError(f"{name} listens to audio itself and reads no embeddings")
    with naming(f"{name}: predict_av_from_means of {path.name}"):
        values = model.predict_av_from_means(means)
        by_item = {i: (float(a), float(v)) for i, (a, v) in zip(ids, values, strict=True)}
    _check_finite(name, by_item)
    return by_item


def _check_finite(name: str, values: ByItem) -> None:
    bad = [item for item, pair in values.items() if not np.isfinite(pair).all()]
    if bad:
        raise ModelError(f"{name}: arousal or valence is not finite for {first_ten(bad)}")
