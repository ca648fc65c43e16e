"""What AV models say of MusAV's songs: from audio where it is, else from kept means, or files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from earmark.bench.tasks.av_predictions import (
    AVPredictions,
    Predictions,
    predict_from_audio,
    predict_from_means,
    read_predictions,
)
from earmark.bench.tasks.task import Context
from earmark.datasets.base import DataError
from earmark.datasets.files.data_paths import resolve
from earmark.datasets.judgements.musav import MusAV
from earmark.models.base import ModelError
from earmark.reports.record.schema import NotRun


def predict_musav(
    dataset: MusAV,
    models: Mapping[str, Any],
    context: Context,
    *,
    audio: str | None = None,
    means: Mapping[str, str],
    predictions: Sequence[str] = (),
) -> AVPredictions:
    """Return predictions of the judged songs; a model that has none is noted with the reason.

    Parameters
    ----------
    audio
        Folder of the previews, if not the dataset's own.
    means
        Model to npz of mean embeddings, read where there is no audio.
    predictions
        Files of predictions.

    Raises
    ------
    DataError
        If a file is not as expected, or holds predictions of a model that are computed already;
        where the context is strict, also if one is nowhere.
    """
    found = AVPredictions()
    clips = dataset.clips(audio=None if audio is None else resolve(audio))
    if models and any(clip.path for clip in clips):
        found = predict_from_audio(models, clips, context.embeddings)
    else:
        places = {text: find_file(text, context, found) for text in dict.fromkeys(means.values())}
        at_hand = {name: place for name, text in means.items() if (place := places[text])}
        _from_means(found, models, at_hand)
    paths = [path for name in predictions if (path := find_file(name, context, found))]
    _from_files(found, [one for path in paths for one in read_predictions(path)])
    for name in models:
        if name not in found.values and not any(one.what.startswith(name) for one in found.not_run):
            found.not_run.append(
                NotRun(what=name, reason="no audio, embeddings or predictions of it available")
            )
    return found


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
