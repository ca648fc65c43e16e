"""The layout: who may import whom, that everything is packaged, and what the README says."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import rooms

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


def test_rooms_import_downwards_only():
    assert rooms.faults(rooms.modules()) == []


def test_no_modules_import_each_other():
    assert rooms.circles(rooms.imports(rooms.modules())) == []


def test_the_rules_of_rooms_see_a_fault(tmp_path):
    code = {
        "bench/run/runner.py": "def run():\n    from earmark.bench.cli import main\n",
        "bench/cli/__init__.py": "import earmark.bench.run.runner\n",
        "bench/tasks/pairwise/task.py": "from earmark.bench.tasks.retrieval import pools\n",
        "bench/tasks/retrieval/pools.py": "",
        "reports/words.py": "from earmark.reports import content\n",
        "reports/content.py": "",
    }
    for name, text in code.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    known = rooms.modules(tmp_path)
    assert [fault.split(": ")[1] for fault in rooms.faults(known)] == [
        "run must not import cli",
        "pairwise must not import retrieval",
        "words must not import content",
    ]
    assert rooms.circles(rooms.imports(known)) == [["bench.cli", "bench.run.runner"]]


def test_a_room_has_at_most_12_modules_and_a_module_800_lines():
    for name, path in rooms.modules().items():
        assert len(path.read_text().splitlines()) <= 800, name
        there = [one for one in path.parent.glob("*.py") if not one.stem.startswith("__")]
        assert len(there) <= 12, f"{path.parent}: {len(there)} modules"


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
    door = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / "earmark").rglob("__init__.py")
    }
    assert listed == found | door


def test_ci_runs_the_test_command_of_the_readme():
    commands = re.findall(r"^    (python3 -m venv .*)$", (ROOT / "README.md").read_text(), re.M)
    assert len(commands) == 2, "the README has exactly two commands that do all the set-up"
    assert "tox run -e bench" in commands[0]
    assert commands[1] in (ROOT / ".ci" / "run").read_text()


def test_constraints_name_torch_and_torchaudio_of_one_version():
    pins = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M))
    assert pins["torch"] == pins["torchaudio"]


ROOMS = {path.parent.name for path in (ROOT / "bench" / "tasks").glob("*/view.py")}
KINDS = ROOMS - {"labels", "zero_shot"} | {"zero_shot_classification", "zero_shot_tagging", "musav"}


SERVE_ALL = ("reports", "bench/gate", "bench/run", "bench/scoring", "bench/embeddings", "bench/cli")
MUSAV_COMMAND = ("bench/cli/__init__.py", "bench/cli/score.py")  # `earmark musav`, not the task


@pytest.mark.parametrize(
    "path",
    [path for folder in SERVE_ALL for path in modules(folder)],
    ids=lambda path: path.relative_to(ROOT),
)
def test_what_serves_every_task_knows_none_by_name_and_asks_for_no_kind(path):
    code = ast.parse(path.read_text())
    named = {node.value for node in ast.walk(code) if isinstance(node, ast.Constant)} & KINDS
    named |= set(path.relative_to(ROOT).with_suffix("").parts) & KINDS
    if path.relative_to(ROOT).as_posix() in MUSAV_COMMAND:
        named -= {"musav"}
    assert not named, f"{path}: knows {named}; what is of one task goes to its view"
    for node in ast.walk(code):
        if isinstance(node, ast.Compare):
            asked = [one for one in ast.walk(node) if isinstance(one, ast.Attribute)]
            asked = [ast.unparse(one) for one in asked if one.attr == "kind"]
            of_tasks = [
                one for one in asked if not re.search(r"dtype\.kind|^(one|self)\.kind$", one)
            ]
            assert not of_tasks, f"{path}:{node.lineno}: asks for a kind"


def test_a_view_imports_reports_and_views_alone():
    views = sorted((ROOT / "bench" / "tasks").glob("*/view.py"))
    assert len(views) > 5
    for path in views:
        for name in imports(path):
            shared = name in {"earmark.bench.tasks.labels", "earmark.bench.tasks.pairwise.view"}
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
