"""The layout: who may import whom, that everything is packaged, and what the README says."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("bench", "datasets", "models", "reports")
MAY_IMPORT = {
    "datasets": {"datasets"},
    "models": {"models", "datasets"},
    "reports": {"reports"},
    "bench": set(FOLDERS),
}


def modules(folder):
    return sorted((ROOT / folder).rglob("*.py"))


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_imports_only_what_it_may(folder):
    for path in modules(folder):
        for name in imports(path):
            parts = name.split(".")
            assert parts[0] not in FOLDERS, f"{path}: imports {name} by its bare folder name"
            if parts[0] == "earmark" and len(parts) > 1:
                assert parts[1] in MAY_IMPORT[folder], f"{path}: {folder} must not import {name}"


def test_metrics_import_numpy_and_scipy_alone():
    allowed = {"numpy", "scipy", "earmark.bench.metrics"}
    standard = {"__future__", "collections", "dataclasses", "enum", "functools", "itertools"}
    standard |= {"math", "statistics", "sys", "typing", "warnings"}
    for path in modules("bench/metrics"):
        for name in imports(path):
            inside = name.startswith("earmark.bench.metrics")
            assert inside or name.split(".")[0] in allowed | standard, f"{path}: imports {name}"


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_package_is_listed_for_the_wheel():
    listed = set(project()["tool"]["setuptools"]["packages"])
    found = {
        "earmark." + ".".join(path.parent.relative_to(ROOT).parts)
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("__init__.py")
    }
    assert listed == found


def test_the_namespace_itself_has_no_module():
    assert not (ROOT / "earmark").exists()
    assert not (ROOT / "__init__.py").exists()


def test_ci_runs_the_test_command_of_the_readme():
    commands = re.findall(r"^    (python3 -m venv .*)$", (ROOT / "README.md").read_text(), re.M)
    assert len(commands) == 2, "the README has exactly two commands that do all the set-up"
    assert "tox run -e bench" in commands[0]
    assert commands[1] in (ROOT / ".ci" / "run").read_text()


def test_constraints_name_torch_and_torchaudio_of_one_version():
    pins = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M))
    assert pins["torch"] == pins["torchaudio"]


ROOMS = {path.parent.name for path in (ROOT / "bench" / "tasks").glob("*/view.py")}
KINDS = ROOMS - {"labels", "zero_shot"} | {"zero_shot_classification", "zero_shot_tagging"}


@pytest.mark.parametrize("path", modules("reports"), ids=lambda path: path.relative_to(ROOT))
def test_reports_know_no_task_by_name_and_ask_for_no_kind(path):
    code = ast.parse(path.read_text())
    named = {node.value for node in ast.walk(code) if isinstance(node, ast.Constant)} & KINDS
    named |= set(path.relative_to(ROOT).with_suffix("").parts) & KINDS
    assert not named, f"{path}: knows {named}; what is of one task goes to its view"
    for node in ast.walk(code):
        if isinstance(node, ast.Compare):
            asked = [one for one in ast.walk(node) if isinstance(one, ast.Attribute)]
            assert "kind" not in {one.attr for one in asked}, (
                f"{path}:{node.lineno}: asks for a kind"
            )


def test_a_view_imports_reports_and_views_alone():
    views = sorted((ROOT / "bench" / "tasks").glob("*/view.py"))
    assert len(views) > 5
    for path in views:
        for name in imports(path):
            shared = name in {"earmark.bench.tasks.labels", "earmark.bench.tasks.musav.view"}
            inside = name.startswith("earmark.reports") or shared
            assert inside or not name.startswith("earmark"), f"{path}: a view imports {name}"


def test_no_library_of_figures_is_imported_with_a_view():
    code = (
        "import sys, importlib\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "assert 'matplotlib' not in sys.modules and 'pandas' not in sys.modules"
    )
    names = [f"earmark.bench.tasks.{room}.view" for room in sorted(ROOMS)]
    subprocess.run([sys.executable, "-c", code, *names], check=True)
