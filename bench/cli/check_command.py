"""``earmark check-model``: does a model keep its promises?"""

from __future__ import annotations

import inspect
import json as json_module
import tomllib
from collections.abc import Sequence
from functools import partial
from typing import Any

import typer

from earmark.bench.cli.console import new_console, new_table, print_table, progress_bar
from earmark.datasets.base import DataError
from earmark.models.base import ModelError
from earmark.models.conformance import CheckResult, check
from earmark.models.registry import MODELS

_SHOWN = {"pass": "pass", "fail": "FAIL", "not_applicable": "n.a."}
_STYLES = {"pass": "green", "fail": "bold red", "not_applicable": "dim"}


def check_model(name: str, *, options: Sequence[str], json: bool) -> bool:
    """Print what came of every conformance check; return whether none failed.

    Raises
    ------
    DataError, ModelError
        If the name or an option is unknown, or the model cannot be made.
    """
    given = parse_options(options)
    model = _make(name, given)
    takes_device = "device" in inspect.signature(MODELS.factory(name)).parameters
    with progress_bar() as progress:
        results = check(
            model,
            factory=partial(MODELS.create, name, given),
            on_device=partial(_make_on, name, given)
            if takes_device and "device" not in given
            else None,
            progress=progress,
        )
    failed = [result for result in results if result.status == "fail"]
    if json:
        _print_json(name, model, results)
    else:
        _print_table(name, model, results)
    return not failed


def parse_options(options: Sequence[str]) -> dict[str, Any]:
    """Return ``key=value`` texts as a suite's table would hold them: values are TOML's.

    A bare word, which TOML does not know, is itself: ``head=emomusic-msd-musicnn-2``.

    >>> parse_options(["depth=4", "weights=runs/a.pt", "centred=true", "id='12'"])
    {'depth': 4, 'weights': 'runs/a.pt', 'centred': True, 'id': '12'}

    Raises
    ------
    DataError
        If a text is not ``key=value``, a key comes twice, or a value begins as a string, list or
        table and does not end as one.
    """
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
    try:
        table = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError as error:
        if text[:1] in ("", "'", '"', "[", "{"):
            raise DataError(f"--option {key}={text}: not a TOML value: {error}") from error
        return text
    return table["value"] if len(table) == 1 else text


def _make(name: str, options: dict[str, Any]) -> Any:
    try:
        return MODELS.create(name, options)
    except (DataError, ModelError):
        raise
    except Exception as error:
        raise ModelError(
            f"model {name!r} cannot be made: {type(error).__name__}: {error} (--debug shows where)"
        ) from error


def _make_on(name: str, options: dict[str, Any], device: str) -> Any:
    return MODELS.create(name, {**options, "device": device})


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
    table = new_table(escape(what))
    for head in ("check", "", "detail"):
        table.add_column(head)
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
