"""``earmark list`` and ``earmark check-data``."""

from __future__ import annotations

import importlib
import json as json_module
from pathlib import Path

import typer

from earmark.bench.suite import read_suite, shipped_suites
from earmark.datasets.base import DataError, Problem
from earmark.datasets.registry import DATASETS
from earmark.models.registry import MODELS


def list_known(what: str, *, json: bool) -> None:
    """Print names with what stands behind them.

    Raises
    ------
    DataError
        If ``what`` is none of models, datasets and suites.
    """
    if what == "models":
        found = MODELS.targets()
    elif what == "datasets":
        found = DATASETS.targets()
    elif what == "suites":
        found = {str(path): read_suite(path).suite.title for path in shipped_suites()}
    else:
        raise DataError(f"cannot list {what!r}; expected models, datasets or suites")
    if json:
        typer.echo(json_module.dumps(found, indent=2))
        return
    width = max(map(len, found), default=0)
    for name, target in found.items():
        typer.echo(f"{name:{width}}  {target}")


def check_dataset(name: str, root: Path, *, json: bool) -> bool:
    """Print every problem of a dataset's files; return whether there is none.

    Raises
    ------
    DataError
        If the dataset is unknown or its module has no ``validate``.
    """
    loader = DATASETS.factory(name)
    validate = getattr(importlib.import_module(loader.__module__), "validate", None)
    if validate is None:
        raise DataError(f"dataset {name!r}: {loader.__module__} has no function validate(root)")
    problems: list[Problem] = validate(root)
    if json:
        rows = [
            {"path": str(one.path), "line": one.line, "message": one.message} for one in problems
        ]
        typer.echo(json_module.dumps(rows, indent=2))
    else:
        for problem in problems:
            typer.echo(str(problem))
        typer.echo(f"{name} at {root}: {len(problems)} problems")
    return not problems
