"""``earmark new``: a package with a model, dataset or task that runs, to be changed at will."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from earmark.bench.run.manual import REGISTRIES
from earmark.datasets.base import DataError

NEEDS = {
    "model": "GTZAN and a probe",
    "dataset": "the folder of your files",
    "task": "GTZAN and the random baseline",
}
_EXAMPLE_TASK = "nearest_neighbour", "NearestNeighbour"
"""Kind and class of the template's task."""


def new(kind: str, name: str, folder: Path) -> list[Path]:
    """Write the package into a new folder and return its files.

    Parameters
    ----------
    kind
        ``model``, ``dataset`` or ``task``.
    name
        What suites will call it: letters, digits, ``-`` and ``_``.

    Raises
    ------
    DataError
        If the name cannot be one or is taken, or the folder is there.
    """
    if kind not in NEEDS:
        raise DataError(f"cannot make a new {kind!r}; expected {', '.join(NEEDS)}")
    package = name.replace("-", "_").lower()
    if not re.fullmatch(r"[A-Za-z][\w-]*", name, re.ASCII) or keyword.iskeyword(package):
        raise DataError(f"{name!r} is no name of a package: expected letters, digits, - and _")
    if name in REGISTRIES[kind].targets():
        raise DataError(f"the {kind} {name!r} is registered already; choose another name")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is there and is not empty; name another folder with --out")
    values = {
        "kind": kind,
        "name": package if kind == "task" else name,  # a task's kind is a Python name
        "package": package,
        "module": f"{package}.{kind}",
        "cls": "".join(part.capitalize() for part in re.split("[-_]", name)),
        "a": f"a {kind}",
        "needs": NEEDS[kind],
    }
    values["entry"] = "load" if kind == "dataset" else values["cls"]
    texts = {
        "pyproject.toml": _rendered("pyproject.toml", values),
        "README.md": _rendered("README.md", values),
        "suite.toml": _rendered(f"suite_{kind}.toml", values),
        ".github/workflows/test.yml": _rendered("ci.yml", values),
        f"src/{package}/__init__.py": "",
        f"src/{package}/{kind}.py": _rendered(f"{kind}.py", values),
        f"tests/test_{kind}.py": _rendered(f"test_{kind}.py", values),
    }
    for place, text in texts.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return [folder / place for place in texts]


def _rendered(template: str, values: Mapping[str, str]) -> str:
    text = (files("earmark.bench.run") / "templates" / f"{template}.j2").read_text("utf-8")
    if template == "task.py":  # an example that runs as it stands, in docs/ too
        kind, cls = _EXAMPLE_TASK
        return text.replace(kind, values["name"]).replace(cls, values["cls"])
    made = Environment(undefined=StrictUndefined, keep_trailing_newline=True).from_string(text)
    return made.render(values)
