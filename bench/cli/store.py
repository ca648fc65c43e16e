"""``earmark store``: what is kept of which model, whether its code is still there, and removal."""

from __future__ import annotations

import hashlib
import json as json_module
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from earmark.bench.cli.console import new_console, new_table, print_table
from earmark.bench.embeddings.model_code import kept_code
from earmark.bench.embeddings.shards import Index, StoreError
from earmark.bench.embeddings.store import IDENTITY, Store

STALE = "stale"
"""What ``--remove`` calls all spaces whose code is no longer there, or not known."""
_SHOWN = 12
"""Digits of a space's name; any beginning that is one space's alone will do."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One space of a store."""

    space: str
    model: str
    version: str
    output: str
    rows: int
    mib: float
    written: str
    code: str
    """``there``, what has changed, or that nobody knows."""

    @property
    def is_stale(self) -> bool:
        return self.code != "there"


def store_command(root: Path, *, remove: Sequence[str], yes: bool, json: bool) -> None:
    """List the spaces of a store, or remove some.

    Parameters
    ----------
    remove
        Beginnings of spaces' names, or ``stale``.
    yes
        Do not ask before removing.

    Raises
    ------
    StoreError
        If there is no such folder, a space is not there or not told apart, or nobody can be asked.
    """
    if not root.is_dir():
        raise StoreError(f"no store at {root}; name its folder with --store")
    kept = spaces_of(root)
    if remove:
        _remove(root, _chosen(kept, remove, root), yes=yes)
    elif json:
        typer.echo(json_module.dumps([asdict(one) for one in kept], indent=2))
    else:
        _print(root, kept)


def spaces_of(root: Path) -> list[Kept]:
    """Return what a store keeps, by model and age; a folder that is no space is left out."""
    found = (_kept(path.parent) for path in sorted(root.glob(f"*/{IDENTITY}")))
    return sorted((one for one in found if one), key=lambda one: (one.model, one.written))


def _kept(folder: Path) -> Kept | None:
    try:
        text = (folder / IDENTITY).read_bytes()
        identity: dict[str, Any] = json_module.loads(text)
        if hashlib.sha256(text).hexdigest() != folder.name:
            return None
        index = Index(folder)
        index.refresh()
        files = [one.stat() for one in folder.iterdir()]
    except (OSError, ValueError):
        return None
    newest = max(one.st_mtime for one in files)
    return Kept(
        space=folder.name,
        model=str(identity.get("adapter")),
        version=str(identity.get("adapter_version")),
        output=str(identity.get("output")),
        rows=len(index.where),
        mib=round(sum(one.st_size for one in files) / 2**20, 3),
        written=datetime.fromtimestamp(newest, UTC).isoformat(timespec="seconds"),
        code=_code(folder, identity),
    )


def _code(folder: Path, identity: dict[str, Any]) -> str:
    if "code" not in identity:
        return "not known: kept by the card alone (Earmark 0.1)"
    code = kept_code(folder)
    return "not known" if code is None else "; ".join(code.changes()) or "there"


def _chosen(kept: Sequence[Kept], names: Sequence[str], root: Path) -> list[Kept]:
    chosen: dict[str, Kept] = {}
    for name in names:
        alike = [
            one for one in kept if (one.is_stale if name == STALE else one.space.startswith(name))
        ]
        if name != STALE and len(alike) != 1:
            what = "no space" if not alike else f"{len(alike)} spaces"
            raise StoreError(
                f"store {root}: {what} whose name begins with {name!r}; `earmark store` lists them"
            )
        chosen |= {one.space: one for one in alike}
    return list(chosen.values())


def _remove(root: Path, chosen: Sequence[Kept], *, yes: bool) -> None:
    if not chosen:
        typer.echo("nothing to remove: the code of every space is there")
        return
    rows, mib = sum(one.rows for one in chosen), sum(one.mib for one in chosen)
    for one in chosen:
        typer.echo(f"{one.space[:_SHOWN]} {one.model} {one.output}, {one.rows} rows: {one.code}")
    what = f"{len(chosen)} spaces with {rows} rows, {mib:.1f} MiB"
    if not yes:
        if not sys.stdin.isatty():
            raise StoreError(f"{what} would be removed; nobody can be asked here: add --yes")
        if not typer.confirm(f"Remove {what}? They can only be had by listening again."):
            typer.echo("nothing was removed")
            return
    store = Store(root)
    for one in chosen:
        folder = root / one.space
        with store.open((folder / IDENTITY).read_text(encoding="utf-8")).locked():
            shutil.rmtree(folder)
    typer.echo(f"removed {what}")


def _print(root: Path, kept: Sequence[Kept]) -> None:
    from rich.markup import escape

    size = sum(one.mib for one in kept)
    table = new_table(escape(f"{root}: {len(kept)} spaces, {size:.1f} MiB"))
    for column in ("space", "model", "output"):
        table.add_column(column)
    for column in ("rows", "MiB"):
        table.add_column(column, justify="right")
    for column in ("written", "code"):
        table.add_column(column)
    for one in kept:
        cells = (
            one.space[:_SHOWN],
            f"{one.model} {one.version}",
            one.output,
            str(one.rows),
            f"{one.mib:.1f}",
            _age(one.written),
            one.code,
        )
        table.add_row(*map(escape, cells))
    print_table(new_console(), table)
    if any(one.is_stale for one in kept):
        typer.echo(
            "Rows whose code is not there are read with `earmark run --trust-card` alone; "
            f"`earmark store --remove {STALE}` removes them."
        )


def _age(written: str) -> str:
    days = (datetime.now(UTC) - datetime.fromisoformat(written)).days
    return written[:10] if days > 1 else written.replace("T", " ")[:16]
