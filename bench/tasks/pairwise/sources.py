"""What models say of judged songs: from audio where it is, else from kept means, or files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import nan
from pathlib import Path
from typing import Any

from earmark.bench.tasks.av_predictions import (
    AVPredictions,
    Predictions,
    predict_from_audio,
    predict_from_means,
    read_predictions,
)
from earmark.bench.tasks.pairwise.heads import is_embedder, predict_out_of_fold
from earmark.bench.tasks.task import Context
from earmark.datasets.base import DataError
from earmark.datasets.files.data_paths import resolve
from earmark.datasets.judgements.judged import JudgedPairs
from earmark.models.base import ModelError, dimensions_of
from earmark.reports.record.schema import NotRun


def predict_judged(
    dataset: JudgedPairs,
    models: Mapping[str, Any],
    context: Context,
    *,
    audio: str | None = None,
    means: Mapping[str, str],
    predictions: Sequence[str] = (),
    heads: bool = False,
    some: bool = True,
) -> AVPredictions:
    """Return predictions of the judged songs; a model that has none is noted with the reason.

    A song's values are in the order of the dataset's dimensions, NaN where a model says nothing.

    Parameters
    ----------
    audio
        Folder of the previews, if not the dataset's own.
    means
        Model to npz of mean embeddings, read where there is no audio.
    predictions
        Files of predictions.
    heads
        Whether a pairwise head is fitted on the vectors of models that only embed.
    some
        Whether a file may have predictions of some dimensions only.

    Raises
    ------
    DataError
        If a file is not as expected, or holds predictions of a model that are computed already;
        where the context is strict, also if one is nowhere.
    """
    found = AVPredictions()
    clips = dataset.clips(audio=None if audio is None else resolve(audio))
    if models and any(clip.path for clip in clips):
        fitted = {name: one for name, one in models.items() if heads and is_embedder(one)}
        own = {name: one for name, one in models.items() if name not in fitted}
        found = predict_from_audio(own, clips, context.embeddings, any_dimensions=True)
        _on_dimensions(found, own, dataset.dimensions)
        for name, embedder in fitted.items():
            predict_out_of_fold(found, name, embedder, dataset, clips, context)
    else:
        places = {text: find_file(text, context, found) for text in dict.fromkeys(means.values())}
        at_hand = {name: place for name, text in means.items() if (place := places[text])}
        _from_means(found, models, at_hand)
        _on_dimensions(found, models, dataset.dimensions)
    paths = [path for name in predictions if (path := find_file(name, context, found))]
    read = partial(read_predictions, dimensions=dataset.dimensions, some=some)
    _from_files(found, [one for path in paths for one in read(path)])
    for name in models:
        if name not in found.values and not any(one.what.startswith(name) for one in found.not_run):
            found.not_run.append(
                NotRun(what=name, reason="no audio, embeddings or predictions of it available")
            )
    return found


def _on_dimensions(
    found: AVPredictions, models: Mapping[str, Any], dimensions: Sequence[str]
) -> None:
    """Bring what models say into the order of a dataset's dimensions."""
    for name in list(found.values):
        said = dimensions_of(models[name])
        if said == tuple(dimensions):
            continue
        places = [said.index(one) if one in said else None for one in dimensions]
        if not any(place is not None for place in places):
            del found.values[name], found.sources[name]
            reason = f"it predicts {', '.join(said)}; the pairs are judged by "
            found.not_run.append(NotRun(what=name, reason=reason + ", ".join(dimensions)))
            continue
        found.values[name] = {
            song: tuple(nan if place is None else values[place] for place in places)
            for song, values in found.values[name].items()
        }


def find_file(template: str, context: Context, found: AVPredictions) -> Path | None:
    """Return the path of a file that a task names; a gap is noted unless that is an error."""
    try:
        return resolve(template)
    except DataError as error:
        if context.strict:
            raise
        found.not_run.append(NotRun(what=f"a file of {context.task_id}", reason=str(error)))
        return None


def _from_means(found: AVPredictions, models: Mapping[str, Any], paths: Mapping[str, Path]) -> None:
    for name, path in paths.items():
        try:
            found.values[name] = predict_from_means(name, models[name], path)
            found.sources[name] = f"mean embeddings, {path.name}"
        except ModelError as refusal:
            what = f"{name} on mean embeddings"
            found.not_run.append(NotRun(what=what, reason=str(refusal)))


def _from_files(found: AVPredictions, by_file: Sequence[Predictions]) -> None:
    for one in by_file:
        if one.model in found.values:
            raise DataError(
                f"{one.path} holds predictions of {one.model!r}, which this task computes itself; "
                f"drop the file or give its model another name"
            )
        found.not_run[:] = [_scored_instead(gap, one) for gap in found.not_run]
        found.values[one.model] = dict(one.values)
        found.sources[one.model] = f"predictions, {one.path.name}, sha256 {one.digest[:12]}"


def _scored_instead(gap: NotRun, file: Predictions) -> NotRun:
    if not gap.what.startswith(f"{file.model} "):
        return gap
    return NotRun(what=gap.what, reason=f"{gap.reason}; scored from {file.path.name} instead")
