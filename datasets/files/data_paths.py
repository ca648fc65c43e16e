"""Where data is looked for: what ``{data}`` and ``{models}`` in a suite stand for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from earmark.datasets.base import DataError

PLACES = ("{data}", "{models}")
"""How a text begins that stands for a place."""


def cache_folder() -> Path:
    """Return ``EARMARK_CACHE``, or ``earmark`` under ``XDG_CACHE_HOME`` or ``~/.cache``."""
    if own := os.environ.get("EARMARK_CACHE"):
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared).expanduser() if shared else Path.home() / ".cache") / "earmark"


def data_roots() -> list[Path]:
    """Return the folders that ``{data}`` stands for, in the order they are tried.

    ``EARMARK_DATA``, ``EARMARK_SHARED_DATA``, ``../shared/data``, then the cache of ``earmark
    fetch``.
    """
    named = [os.environ.get("EARMARK_DATA"), os.environ.get("EARMARK_SHARED_DATA")]
    return [Path(root).expanduser() for root in named if root] + [
        Path("..", "shared", "data"),
        cache_folder(),
    ]


def resolve(template: str) -> Path:
    """Return the first existing path that a template such as ``{data}/musav`` stands for.

    ``{models}`` is the folder ``models`` beside each data root, and in the cache.

    Raises
    ------
    DataError
        If none exists; the message lists where it was looked for.
    """
    tried = candidates(template)
    for candidate in tried:
        if candidate.exists():
            return candidate.resolve()
    looked = "; ".join(str(candidate) for candidate in tried)
    raise DataError(
        f"{template} not found, looked for {looked}; set EARMARK_DATA to the folder that holds it, "
        f"or see `earmark fetch --help` for what can be downloaded"
    )


def placed(value: Any) -> Any:
    """Replace the first existing place for every template such as ``{data}/musav`` in a value.

    Values of lists and tables are looked through; anything but a text that begins with a template
    stays as it is.
    """
    if isinstance(value, str) and value.startswith(PLACES):
        return str(resolve(value))
    if isinstance(value, dict):
        return {key: placed(each) for key, each in value.items()}
    if isinstance(value, list):
        return [placed(each) for each in value]
    return value


def candidates(template: str) -> list[Path]:
    """Return every path that a template may stand for, each once, in the order they are tried."""
    return list(dict.fromkeys(_each_candidate(template)))


def _each_candidate(template: str) -> Iterator[Path]:
    if "{data}" not in template and "{models}" not in template:
        yield Path(template).expanduser()
        return
    cache = cache_folder()
    for root in data_roots():
        models = cache / "models" if root == cache else root.parent / "models"
        yield Path(template.replace("{data}", str(root)).replace("{models}", str(models)))
