"""``earmark check-data``: what is wrong with a dataset's tables, folders and audio?"""

from __future__ import annotations

import importlib
import inspect
import json as json_module
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from earmark.bench.cli.check_command import parse_options
from earmark.bench.cli.console import Progress, progress_bar
from earmark.bench.tasks.av_regression.task import DIMENSIONS, constant_ratings
from earmark.datasets.audio import AudioError, check_header, decode_ahead, map_ahead
from earmark.datasets.base import Clip, DataError, Problem, RatedClips, audio_files, first_ten
from earmark.datasets.files.names import why_absent
from earmark.datasets.files.places import placed
from earmark.datasets.files.processors import usable_cores
from earmark.datasets.registry import DATASETS, check_options


def check_dataset(
    name: str, root: Path, *, options: Sequence[str] = (), deep: bool = False, json: bool
) -> bool:
    """Print every problem of a dataset's files; return whether there is none.

    Parameters
    ----------
    options
        Of the loader, as ``key=value``.
    deep
        Whether the audio is decoded; otherwise its headers are read.

    Raises
    ------
    DataError
        If the dataset or an option is unknown, or its module has no ``validate``.
    """
    loader = DATASETS.factory(name)
    validate = getattr(importlib.import_module(loader.__module__), "validate", None)
    if validate is None:
        raise DataError(f"dataset {name!r}: {loader.__module__} has no function validate(root)")
    given = placed(parse_options(options))
    _check_options(loader, given, of=f"dataset {name!r}")
    taken = inspect.signature(validate).parameters
    any_name = any(one.kind is one.VAR_KEYWORD for one in taken.values())
    own = {key: value for key, value in given.items() if any_name or key in taken}
    problems: list[Problem] = validate(root, **own)
    with progress_bar() as progress:
        files, wrong = _check_audio(loader, root, given, problems, deep=deep, progress=progress)
    problems += wrong
    if json:
        rows = [
            {"path": str(one.path), "line": one.line, "message": one.message} for one in problems
        ]
        typer.echo(json_module.dumps(rows, indent=2))
    else:
        for problem in problems:
            typer.echo(str(problem))
        looked = f"{files} audio files {'decoded' if deep else 'looked at'}"
        typer.echo(f"{name} at {root}: {len(problems)} problems, {looked}")
    return not problems


def _check_options(loader: Any, given: Mapping[str, Any], *, of: str) -> None:
    parameters = inspect.signature(loader).parameters
    if "root" in given:
        raise DataError(f"{of}: the root is given as an argument, not as an option")
    # One that is needed to load, e.g. a split, is not needed to check.
    check_options(loader, dict.fromkeys(parameters) | dict(given), of=of)


def _check_audio(
    loader: Any,
    root: Path,
    options: Mapping[str, Any],
    known: Sequence[Problem],
    *,
    deep: bool,
    progress: Progress,
) -> tuple[int, list[Problem]]:
    """Return how many files were looked at, and what is wrong with them and with each clip's.

    The files are those of the clips, or all in its folder of audio where the set cannot be opened.
    """
    problems: list[Problem] = []
    try:
        dataset = loader(root, **options)
    except (DataError, TypeError):
        folder = root / str(options.get("audio") or "")
        paths = audio_files(folder if folder.is_dir() else root)
    else:
        clips: Sequence[Clip] = dataset.clips() if callable(dataset.clips) else dataset.clips
        paths = sorted({clip.path for clip in clips if clip.path is not None})
        absent = [clip.id for clip in clips if clip.path is None]
        if absent and not any("no audio of" in one.message for one in known):
            hint = why_absent(absent, root, found=paths)
            message = f"no audio of {len(absent)} of {len(clips)} clips: {first_ten(absent)}{hint}"
            # Ratings alone, without any audio, are of use with embeddings that are kept.
            problems += [Problem(root, message)] if paths or hint else []
        problems += _constant(root, dataset, known)
    look = _decoded if deep else _header
    for done, (path, reason) in enumerate(look(paths), start=1):
        progress(done, len(paths), "audio files")
        if reason is not None:
            problems.append(Problem(path, reason))
    return len(paths), problems


def _constant(root: Path, dataset: Any, known: Sequence[Problem]) -> list[Problem]:
    """Return the dimensions in which all ratings are the same, where that is not known yet."""
    if not isinstance(dataset, RatedClips):
        return []
    reasons = map(constant_ratings, dataset.ratings.T, DIMENSIONS)
    told = " ".join(one.message for one in known)
    return [Problem(root, one) for one in reasons if one and one not in told]


def _header(paths: Sequence[Path]) -> Iterator[tuple[Path, str | None]]:
    return map_ahead(_header_fault, paths, workers=usable_cores())


def _decoded(paths: Sequence[Path]) -> Iterator[tuple[Path, str | None]]:
    for path, audio in decode_ahead(paths, sample_rate=None, workers=usable_cores()):
        yield path, audio.reason if isinstance(audio, AudioError) else None


def _header_fault(path: Path) -> str | None:
    try:
        check_header(path)
    except AudioError as error:
        return error.reason
    return None
