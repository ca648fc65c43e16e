"""Embedders on judged pairs: a pairwise head on their vectors, fitted out of fold by triplet."""

from __future__ import annotations

from typing import Any

import numpy as np

from earmark.bench.tasks.av_predictions import AVPredictions
from earmark.bench.tasks.task import Context
from earmark.datasets.base import Clip, DataError
from earmark.datasets.judgements.judged import JudgedPairs
from earmark.models.av_heads.folds import FOLDS
from earmark.models.av_heads.pairwise import collect, cross_validate_pairwise
from earmark.models.base import (
    ArousalValenceModel,
    AudioEmbedder,
    ModelError,
    PatchEmbedder,
    PatchHead,
)
from earmark.reports.record.schema import NotRun


def is_embedder(model: Any) -> bool:
    """Return whether a model has vectors of audio, and no values of its own."""
    return isinstance(model, AudioEmbedder | PatchEmbedder) and not isinstance(
        model, ArousalValenceModel | PatchHead
    )


def predict_out_of_fold(
    found: AVPredictions,
    name: str,
    embedder: Any,
    dataset: JudgedPairs,
    clips: tuple[Clip, ...],
    context: Context,
) -> None:
    """Add what a head on the embedder's vectors says of each song, fitted without its triplet.

    Values are utilities: within a triplet they are of one head, between triplets of several. Where
    all songs are linked by comparisons, no head can be tested without its songs: that is noted.
    """
    ids, rows = _vectors(found, name, embedder, clips, context)
    try:
        compared = collect(dataset.comparisons(), ids, dimensions=dataset.dimensions).compared
        folds = cross_validate_pairwise(rows, compared, folds=FOLDS, seed=context.seed)
    except (ModelError, DataError) as error:
        found.not_run.append(NotRun(what=f"a pairwise head on {name}", reason=str(error)))
        return
    assert folds.values is not None  # linked songs share a fold
    # A song that nobody compared is in no pair of the ground truth.
    values = np.nan_to_num(folds.values[0])
    found.values[name] = {song: tuple(row) for song, row in zip(ids, values.tolist(), strict=True)}
    found.sources[name] = f"pairwise head on its vectors, out of fold by triplet, {FOLDS} folds"
    found.warnings += list(
        dict.fromkeys(f"{name}: {text}" for fit in folds.fits for text in fit.warnings)
    )


def _vectors(
    found: AVPredictions, name: str, embedder: Any, clips: tuple[Clip, ...], context: Context
) -> tuple[list[str], np.ndarray]:
    if isinstance(embedder, PatchEmbedder):
        patches = context.embeddings.patches(embedder, clips)
        ids = list(patches)
        rows = np.stack([rows.mean(axis=0, dtype=np.float64) for rows in patches.values()])
        problems, warnings, seconds = patches.problems, patches.warnings, patches.seconds
    else:
        heard = context.embeddings.audio_vectors(embedder, clips)
        ids, rows = list(heard.ids), np.asarray(heard.rows, np.float64)
        problems, warnings, seconds = heard.problems, heard.warnings, heard.seconds
    found.problems += [one for one in problems if one not in found.problems]
    found.warnings += [text for text in warnings if text not in found.warnings]
    if seconds is not None:
        found.seconds[name] = seconds
    return ids, rows
