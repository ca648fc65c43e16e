"""`earmark new`: packages that are found, keep their promises and run as they stand."""

import os
import subprocess
import sys
import tomllib

import pytest

from earmark.bench.run.scaffold import NEEDS, new
from earmark.datasets.base import DataError


def installed(folder):
    """Leave beside the package what `pip install -e` would: its name and its entry points."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    info = folder / "src" / f"{project['name'].replace('-', '_')}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Name: {project['name']}\nVersion: 0.1.0\n")
    ((group, points),) = project["entry-points"].items()
    lines = [f"{name} = {target}" for name, target in points.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines]) + "\n")
    return next(iter(points))


@pytest.mark.parametrize("kind", NEEDS)
def test_a_new_package_is_listed_described_and_passes_its_own_tests(
    kind, tmp_path, monkeypatch, earmark
):
    folder = tmp_path / "own"
    code, out, err = earmark("new", kind, f"my-{kind}", "--out", folder)
    assert code == 0, err
    assert f"earmark describe my-{kind}" in out
    name = installed(folder)
    monkeypatch.syspath_prepend(str(folder / "src"))
    code, out, _ = earmark("list", f"{kind}s")
    assert (code, f"my_{kind}.{kind}:" in out) == (0, True)
    code, out, _ = earmark("describe", name)
    assert (code, "options" in out) == (0, True)
    paths = [str(folder / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder / "tests")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("metric", "mine", "cannot make a new 'metric'"),
        ("model", "1st", "is no name of a package"),
        ("model", "../mine", "is no name of a package"),
        ("model", "conse", "is registered already"),
    ],
)
def test_what_cannot_be_made_is_said(kind, name, message, tmp_path):
    with pytest.raises(DataError, match=message):
        new(kind, name, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(DataError, match="not empty"):
        new("model", "mine", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]
