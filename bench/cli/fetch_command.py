"""``earmark fetch``: what can be downloaded, and downloading it."""

from __future__ import annotations

from pathlib import Path

import typer

from earmark.bench.cli.console import progress_bar
from earmark.datasets.base import DataError
from earmark.datasets.files.fetch import available, describe, fetch, find_weights
from earmark.datasets.files.places import cache_folder, data_roots


def fetch_names(names: list[str], *, cache: Path | None) -> None:
    """Download each name and print where it lies and under which licence.

    Raises
    ------
    DataError
        If a name is unknown, or a download fails; what came before is kept.
    """
    items = [describe(name) for name in names]  # an unknown name is refused before any download
    for item in items:
        with progress_bar() as progress:
            place = fetch(item.name, cache=cache, progress=progress)
        typer.echo(f"{item.name}: {place}\n  {item.publisher}; {item.licence}")


def list_names(*, cache: Path | None) -> None:
    """Print what can be downloaded, its size, licence, and whether it is at hand."""
    folder = cache or cache_folder()
    for item in available().values():
        at_hand = "at hand" if is_at_hand(item.name, cache=folder) else f"{_size(item.n_bytes)}"
        typer.echo(f"{item.name:26}{at_hand:>10}  {item.title}\n{'':38}{item.licence}")


def is_at_hand(name: str, *, cache: Path | None = None) -> bool:
    """Return whether a name need not be downloaded: all its files are found in one place."""
    item = describe(name)
    roots = [cache or cache_folder(), *data_roots()]
    if any(
        all((root / item.folder / file.path).is_file() for file in item.files) for root in roots
    ):
        return True
    if len(item.files) > 1:
        return False
    try:
        find_weights(name)
    except DataError:
        return False
    return True


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.1f} MB" if n_bytes >= 1e6 else f"{n_bytes / 1e3:.0f} kB"
