"""Imports a user's Python file by its path, with the files beside it, as a script would.

Each folder is a package of its own, whose name nobody else has: two adapters may both have a
``layers.py`` beside them. An absolute import of a name that lies in the folder is taken from there,
any other as always; ``sys.path`` is not touched.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib.util
import re
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

FILE_MODULE = "earmark_file_"
"""How the names of such modules begin."""
_NOT_IN_NAMES = re.compile(r"\W")


def import_file(path: Path) -> ModuleType:
    """Return the module of a file, imported once.

    Raises
    ------
    Exception
        Whatever the file's own code raises.
    """
    package = _package_of(path.parent)
    name = f"{package}.{_NOT_IN_NAMES.sub('_', path.stem)}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path, loader=_Loader(name, str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _package_of(folder: Path) -> str:
    """Return the name of a folder's package, which is made where it is not there yet."""
    digest = hashlib.sha256(str(folder).encode("utf-8", "surrogateescape")).hexdigest()
    name = f"{FILE_MODULE}{_NOT_IN_NAMES.sub('_', folder.name)}_{digest[:12]}"
    if name not in sys.modules:
        package = ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    return name


class _Loader(SourceFileLoader):
    """Runs a file as it stands now; its imports look into its folder first."""

    def get_code(self, fullname: str) -> CodeType:
        # Kept bytecode is told from new source by size and a time in seconds: an edit within one
        # second would run the old code under the new code's digest.
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code

    def exec_module(self, module: ModuleType) -> None:
        looking = partial(_import, module.__name__.partition(".")[0])
        module.__dict__["__builtins__"] = vars(builtins) | {"__import__": looking}
        super().exec_module(module)


class _Finder(MetaPathFinder):
    """Finds what lies in the folder of such a package."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is None or not fullname.startswith(FILE_MODULE):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(fullname, spec.loader.path)
        return spec


def _import(
    package: str,
    name: str,
    names: Mapping[str, Any] | None = None,
    local: Mapping[str, Any] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    """Import as ``__import__`` does, from the package where its folder has the name."""
    top = name.partition(".")[0]
    if level or not _lies_in(Path(sys.modules[package].__path__[0]), top):
        return builtins.__import__(name, names, local, fromlist or (), level)
    # With names to be taken from it, `a.b` itself is returned, and modules below it are imported.
    found = builtins.__import__(f"{package}.{name}", names, local, fromlist or ("__name__",), 0)
    return found if fromlist else sys.modules[f"{package}.{top}"]


def _lies_in(folder: Path, name: str) -> bool:
    if name in sys.stdlib_module_names or name == "earmark":
        return False
    place = folder / name
    if (folder / f"{name}.py").is_file() or (place / "__init__.py").is_file():
        return True
    # A plain folder may be data: an installed package of its name comes first.
    return place.is_dir() and importlib.util.find_spec(name) is None
