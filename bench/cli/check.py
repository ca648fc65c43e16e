"""``earmark check-model`` and ``check-data``: is what a suite will rely on as it should be?"""

from __future__ import annotations

import importlib
import inspect
import json as json_module
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earmark.bench.cli import INVALID, REGRESSION, ExitError, Json, names_of
from earmark.bench.cli.console import (
    new_console,
    new_table,
    print_table,
    progress_bar,
)

if TYPE_CHECKING:
    from earmark.datasets.base import Clip, Problem, Progress
    from earmark.models.conformance import CheckResult

_SHOWN = {"pass": "pass", "fail": "FAIL", "not_applicable": "n.a."}
_STYLES = {"pass": "green", "fail": "bold red", "not_applicable": "dim"}


def check_model(
    model: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="A name, or your own: module:attribute, path/to/file.py:attribute.",
            autocompletion=names_of("model"),
        ),
    ],
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="An option of the model; its value as in TOML."),
    ] = None,
    json: Json = False,
) -> None:
    """Check that a model does what the benchmark relies on.

    Exit codes: 0 if no check failed, 1 if one failed.
    """
    from earmark.models.conformance import check
    from earmark.models.registry import MODELS

    given = parse_options(option or ())
    made = _make(model, given)

    def on_device(device: str) -> Any:
        return MODELS.create(model, given | {"device": device})

    takes_device = "device" in inspect.signature(MODELS.factory(model)).parameters
    with progress_bar() as progress:
        results = check(
            made,
            factory=partial(MODELS.create, model, given),
            on_device=on_device if takes_device and "device" not in given else None,
            progress=progress,
        )
    if json:
        _print_json(model, made, results)
    else:
        _print_table(model, made, results)
    if any(result.status == "fail" for result in results):
        raise ExitError(REGRESSION)


def parse_options(options: Sequence[str]) -> dict[str, Any]:
    """Return ``key=value`` texts as a suite's table would hold them: values are TOML's.

    A bare word, which TOML does not know, is itself: ``head=emomusic-msd-musicnn-2``.

    >>> parse_options(["depth=4", "weights=runs/a.pt", "centred=true", "id='12'"])
    {'depth': 4, 'weights': 'runs/a.pt', 'centred': True, 'id': '12'}
    """
    from earmark.datasets.base import DataError

    found: dict[str, Any] = {}
    for option in options:
        key, equals, text = option.partition("=")
        key, text = key.strip(), text.strip()
        if not equals or not key.isidentifier():
            raise DataError(f"--option {option!r}: expected key=value, e.g. --option depth=4")
        if key in found:
            raise DataError(f"--option {key} is given twice: {found[key]!r} and {text!r}")
        found[key] = _parse(key, text)
    return found


def _parse(key: str, text: str) -> Any:
    from earmark.datasets.base import DataError

    try:
        table = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError as error:
        if text[:1] in ("", "'", '"', "[", "{"):
            raise DataError(f"--option {key}={text}: not a TOML value: {error}") from error
        return text
    return table["value"] if len(table) == 1 else text


def _make(name: str, options: dict[str, Any]) -> Any:
    from earmark.datasets.base import DataError
    from earmark.models.base import ModelError
    from earmark.models.registry import MODELS

    try:
        return MODELS.create(name, options)
    except (DataError, ModelError):
        raise
    except Exception as error:
        raise ModelError(
            f"model {name!r} cannot be made: {type(error).__name__}: {error} (--debug shows where)"
        ) from error


def _counts(results: Sequence[CheckResult]) -> dict[str, int]:
    return {status: sum(one.status == status for one in results) for status in _SHOWN}


def _print_json(name: str, model: Any, results: Sequence[CheckResult]) -> None:
    card = getattr(model, "card", None)
    found = {
        "model": name,
        "id": getattr(card, "id", None),
        "version": getattr(card, "version", None),
        "weights_digest": getattr(card, "weights_digest", None),
        "counts": _counts(results),
        "checks": [
            {"name": one.name, "status": one.status, "detail": one.detail} for one in results
        ],
    }
    # A faulty card may hold anything; its checks have said so.
    typer.echo(json_module.dumps(found, indent=2, default=repr))


def _print_table(name: str, model: Any, results: Sequence[CheckResult]) -> None:
    from rich.markup import escape

    card = getattr(model, "card", None)
    what = f"{name}: {getattr(card, 'id', '?')}, version {getattr(card, 'version', '?')}"
    table = new_table(what, ("check", "", "detail"))
    before = ""
    for one in results:
        group = one.name.partition(".")[0]
        if before and group != before:
            table.add_section()
        before = group
        shown = f"[{_STYLES[one.status]}]{_SHOWN[one.status]}[/]"
        table.add_row(one.name, shown, escape(one.detail))
    console = new_console()
    print_table(console, table)
    counts = _counts(results)
    console.print(
        f"{counts['pass']} passed, {counts['fail']} failed, "
        f"{counts['not_applicable']} not applicable",
        style="bold",
    )
    if failed := [one.name for one in results if one.status == "fail"]:
        console.print(f"failed: {', '.join(failed)}", style="bold red")


def check_data(
    name: Annotated[str, typer.Argument(help="A registered dataset, e.g. musav.")],
    root: Annotated[Path, typer.Argument(help="The folder that it lies in.")],
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="An option of the dataset, e.g. split=test, audio=wav."
        ),
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Decode all audio, instead of reading headers.")
    ] = False,
    json: Json = False,
) -> None:
    """Check a dataset's files; name each problem by line."""
    from earmark.datasets.base import DataError
    from earmark.datasets.files.data_paths import placed
    from earmark.datasets.registry import DATASETS

    loader = DATASETS.factory(name)
    validate = getattr(importlib.import_module(loader.__module__), "validate", None)
    if validate is None:
        raise DataError(f"dataset {name!r}: {loader.__module__} has no function validate(root)")
    given = placed(parse_options(option or ()))
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
    if problems:
        raise ExitError(INVALID)


def _check_options(loader: Any, given: Mapping[str, Any], *, of: str) -> None:
    from earmark.datasets.base import DataError
    from earmark.datasets.registry import check_options, options_of

    parameters = options_of(loader)
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
    from earmark.datasets.base import DataError, Problem, audio_files, first_ten
    from earmark.datasets.files.names import why_absent

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
    for done, (path, reason) in enumerate(_faults(paths, deep=deep), start=1):
        progress(done, len(paths), "audio files")
        if reason is not None:
            problems.append(Problem(path, reason))
    return len(paths), problems


def _constant(root: Path, dataset: Any, known: Sequence[Problem]) -> list[Problem]:
    """Return the dimensions in which all ratings are the same, where that is not known yet."""
    from earmark.bench.tasks.av_regression.task import DIMENSIONS, constant_ratings
    from earmark.datasets.base import Problem, RatedClips

    if not isinstance(dataset, RatedClips):
        return []
    reasons = map(constant_ratings, dataset.ratings.T, DIMENSIONS)
    told = " ".join(one.message for one in known)
    return [Problem(root, one) for one in reasons if one and one not in told]


def _faults(paths: Sequence[Path], *, deep: bool) -> Iterator[tuple[Path, str | None]]:
    """Yield what is wrong with each file's header or, ``deep``, with its audio."""
    from earmark.datasets.audio import AudioError, check_header, decode_ahead, map_ahead
    from earmark.datasets.files.cores import usable_cores

    def of_header(path: Path) -> str | None:
        try:
            check_header(path)
        except AudioError as error:
            return error.reason
        return None

    if not deep:
        yield from map_ahead(of_header, paths, workers=usable_cores())
        return
    for path, audio in decode_ahead(paths, sample_rate=None, workers=usable_cores()):
        yield path, audio.reason if isinstance(audio, AudioError) else None
