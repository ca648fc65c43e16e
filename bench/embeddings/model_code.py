"""Which code makes a model's numbers: the sources of its adapter, by content.

Conventions
-----------
* Counted are the modules that define the model, its parts and its factory, and what they import of
  the same package, or beside the same file, at any depth. Of packages in ``site-packages`` the
  version counts.
* Of Earmark itself the adapter's own modules under ``earmark.models`` count, and for what is heard
  the decoder (:mod:`earmark.datasets.audio`); what only names, finds, checks or records things
  (:data:`NO_NUMBERS`) does not, nor do tasks, metrics, reports and the store.
* Python, and what Earmark itself requires (:data:`REQUIRED`: NumPy, PyTorch, ...), do not count:
  like devices they change no more than the rounding.
* A name is a module's, never a path: a moved checkout is the same code. Times do not count.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import json
import logging
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from earmark.bench.embeddings.cost import walk
from earmark.bench.embeddings.shards import StoreError
from earmark.bench.embeddings.store import Space
from earmark.datasets.files.atomic_files import write_whole
from earmark.datasets.files.user_modules import FILE_MODULE
from earmark.datasets.registry import made_in

CODE = "code.json"
"""Beside a space's rows."""
DECODER = "earmark.datasets.audio"
NO_NUMBERS = frozenset(
    {
        DECODER,  # most modules import its types; what is heard counts it in any case
        "earmark.datasets.base",
        "earmark.datasets.files.config_files",
        "earmark.datasets.files.fetch",
        "earmark.datasets.files.data_paths",
        "earmark.datasets.registry",
        "earmark.datasets.files.user_modules",
        "earmark.datasets.files.atomic_files",
        "earmark.models.base",
        "earmark.models.registry",
        "earmark.models.support.exported",
    }
)
"""Modules of Earmark that adapters import, and that cannot change a number."""
REQUIRED = frozenset(
    {
        *("earmark", "filelock", "jinja2", "lightning_fabric", "matplotlib", "numpy", "pandas"),
        *("pyarrow", "pydantic", "rich", "safetensors", "sklearn", "scipy", "soundfile"),
        *("threadpoolctl", "torch", "torchaudio", "typer", "typst"),
        "huggingface_hub",  # it only fetches
    }
)
"""What Earmark requires, by the names in imports, and what only fetches."""
_DEEPEST = 6
"""How far into a model parts are looked for."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """One file of the code."""

    name: str
    path: str
    """Where it was, for people and to look for it again."""
    sha256: str


@dataclass(frozen=True, slots=True)
class Code:
    """The code of a model."""

    sources: tuple[Source, ...]
    packages: tuple[tuple[str, str], ...]
    """Names and versions."""

    @property
    def digest(self) -> str:
        """The sha256 of names and contents, and of names and versions."""
        lines = sorted({f"{one.name} {one.sha256}" for one in self.sources})
        lines += sorted(f"{name}=={version}" for name, version in self.packages)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def keep(self, space: Space) -> None:
        """Write it beside a space's rows; a store that cannot be written is no error here."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        content = json.dumps(asdict(self) | {"kept": now}, indent=1).encode()
        try:
            with space.locked():  # whoever opens a space clears away what is half written
                write_whole(space.folder / CODE, content)
        except (OSError, StoreError) as error:
            _log.warning("%s: which code made the rows is not kept (%s)", space.folder, error)

    def changes(self) -> list[str]:
        """Return how the files and packages differ from what they are now; none: still there."""
        found = []
        for one in self.sources:
            try:
                same = hashlib.sha256(Path(one.path).read_bytes()).hexdigest() == one.sha256
            except OSError:
                found.append(f"{one.path} is gone")
                continue
            found += [] if same else [f"{one.name} has changed"]
        for name, version in self.packages:
            now = _version(name)
            found += [] if now == version else [f"{name} was {version}, is {now or 'gone'}"]
        return found


def kept_code(folder: Path) -> Code | None:
    """Return the code that made a space's rows; None where nothing says."""
    try:
        raw = json.loads((folder / CODE).read_bytes())
        sources = tuple(Source(**one) for one in raw["sources"])
        return Code(sources, tuple((name, version) for name, version in raw["packages"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        _log.warning("%s: not read (%s)", folder / CODE, error)
        return None


def code_of(models: Sequence[Any], *, hears: bool) -> Code:
    """Return the code of models that make numbers together, as a head and its embedder do.

    Parameters
    ----------
    hears
        Whether audio goes in, so that decoding counts.
    """
    found = _Found()
    for name in dict.fromkeys(name for model in models for name in _modules_of(model)):
        found.add(name, root=True)
    if hears:
        path = _file_of(DECODER, None)
        assert path is not None
        found.add_source(DECODER, path, root=False)
    return Code(
        tuple(sorted(found.sources.values(), key=lambda one: one.name)),
        tuple(sorted(found.packages.items())),
    )


def _modules_of(model: Any) -> Iterator[str]:
    """Yield the modules of a model's classes and factory, and of everything that it holds."""
    for part in walk(model, ends=_is_function, deepest=_DEEPEST):
        factory = made_in(part)
        yield from [factory] if factory else []
        if _is_function(part):
            yield part.__module__ or "__main__"  # of code that `exec` made: none
        else:
            yield from (kind.__module__ for kind in type(part).__mro__)


def _is_function(part: Any) -> bool:
    return callable(part) and hasattr(part, "__code__")


@dataclass(slots=True)
class _Found:
    """Collects sources and versions, following imports."""

    sources: dict[str, Source] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)

    def add(self, module: str, *, root: bool = False, beside: Path | None = None) -> None:
        """Add a module and what it imports; ``beside`` is the lone file that imports it."""
        if module in self.sources or module in NO_NUMBERS:
            return
        path = _file_of(module, beside)
        top = module.partition(".")[0]
        if path is None:
            return
        if top != "earmark" and _is_installed(path):
            self._add_package(top)
        elif top != "earmark" or module.startswith(("earmark.models.", "earmark.datasets.")):
            near = beside if beside and path.is_relative_to(beside.parent) else None
            self.add_source(module, path, root=root, beside=near)

    def add_source(
        self, module: str, path: Path, *, root: bool, beside: Path | None = None
    ) -> None:
        """Add a module's file, and what it imports."""
        content = path.read_bytes()
        lone = beside is not None or module.startswith(FILE_MODULE)
        name = path.relative_to((beside or path).parent).as_posix() if lone else module
        self.sources[module] = Source(name, str(path), hashlib.sha256(content).hexdigest())
        if path.suffix != ".py":
            return
        own = module.startswith("earmark.")
        beside = (beside or path) if lone else None
        imports, required = _imports(content, module, path.name == "__init__.py")
        for package, names in imports:
            if own and not package.startswith("earmark."):
                continue  # of Earmark's own adapters, what they `require` alone
            inside = [f"{package}.{each}" for each in names]
            modules = [one for one in inside if _file_of(one, beside)]
            for one in modules if names and len(modules) == len(names) else [*modules, package]:
                self.add(one, beside=beside)
        for one in required if own and root else ():
            self._add_package(one)

    def _add_package(self, name: str) -> None:
        if name not in REQUIRED and (version := _version(name)):
            self.packages[name] = version


def _counts(module: str) -> bool:
    top = module.partition(".")[0]
    if top == "earmark":
        return True
    return top not in sys.stdlib_module_names and top not in REQUIRED


def _file_of(module: str, beside: Path | None) -> Path | None:
    """Return a module's file without importing anything; None where it has none."""
    top, *parts = module.split(".")
    if not _counts(module):
        return None
    if beside is not None and (found := _within_folder(beside.parent, [top, *parts])):
        return found
    loaded = getattr(sys.modules.get(module), "__file__", None)
    if loaded:
        return Path(loaded)
    folders = list(getattr(sys.modules.get(top), "__path__", ()))
    if not folders:
        try:
            spec = importlib.util.find_spec(top)
        except (ImportError, ValueError):
            return None
        if spec is None:
            return None
        if not parts:
            return Path(spec.origin) if spec.origin and Path(spec.origin).is_file() else None
        folders = list(spec.submodule_search_locations or ())
    found_in = (_within_folder(Path(folder), parts) for folder in folders)
    return next((path for path in found_in if path), None)


def _within_folder(folder: Path, parts: Sequence[str]) -> Path | None:
    place = folder.joinpath(*parts)
    for path in (place / "__init__.py", place.with_name(f"{place.name}.py")):
        if path.is_file():
            return path
    return None


def _is_installed(path: Path) -> bool:
    return any(path.resolve().is_relative_to(folder) for folder in _installed())


@lru_cache(maxsize=1)
def _installed() -> tuple[Path, ...]:
    return tuple({Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")})


@lru_cache(maxsize=256)
def _version(name: str) -> str | None:
    """Return the version of the distribution that an import's name comes with."""
    with suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(name).partition("+")[0]
    # Few are called otherwise than what is imported; to find them takes most of a second.
    for known in importlib.metadata.packages_distributions().get(name, ()):
        return importlib.metadata.version(known).partition("+")[0]
    return None


@lru_cache(maxsize=1024)
def _imports(
    content: bytes, module: str, is_package: bool
) -> tuple[list[tuple[str, tuple[str, ...]]], list[str]]:
    """Return what a source imports, anywhere in it, and what it names in ``require("...")``.

    ``import a.b`` is ``("a.b", ())``, ``from a import b`` is ``("a", ("b",))``.
    """
    found: list[tuple[str, tuple[str, ...]]] = []
    required: list[str] = []
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # it was loaded, so that it has changed since
        return found, required
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parts = module.split(".")
            above = parts[: len(parts) - node.level + is_package] if node.level else []
            package = ".".join([*above, *([node.module] if node.module else [])])
            found.append((package, tuple(alias.name for alias in node.names)))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            first = node.args[0] if node.args else None
            if node.func.id == "require" and isinstance(first, ast.Constant):
                required.append(str(first.value).partition(".")[0])
    return list(dict.fromkeys(found)), required
