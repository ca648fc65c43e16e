"""The check for a GPU machine runs at toy size on a CPU, every section, from a bare checkout."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).resolve().parents[3] / "bench" / "speed" / "gpu_check.py"


@pytest.fixture(scope="module")
def gpu_check():
    spec = importlib.util.spec_from_file_location("gpu_check", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    path, known = list(sys.path), set(sys.modules)
    sys.modules["gpu_check"] = module
    spec.loader.exec_module(module)
    yield module
    sys.path[:] = path
    for name in set(sys.modules) - known:
        if name.startswith("gpu_check"):
            del sys.modules[name]


def test_every_section_finds_something_at_toy_size(gpu_check, tmp_path, capsys):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    out = tmp_path / "found.json"
    try:
        assert gpu_check.main(["--toy", "--out", str(out), "--minutes", "1"]) == 0
    finally:
        torch.set_num_threads(before)
    found = json.loads(out.read_text())
    named = found["sections"]
    for name in ("train in memory", "train from shards", "plain fp32, one loader"):
        assert named[name]["samples_per_second"] > 0
    assert named["train in memory"]["gflops_per_sample"] > 0
    assert 0 <= named["train from shards"]["data_wait"] <= 1
    assert named["rank"]["first_queries_agree"] is True
    assert named["memory"]["8"]["encoded"] == "at once"
    assert named["embed"]["clips_per_second"]["fp32"] > 0
    assert "train from shards / plain fp32, one loader" in found["ratios"]
    assert "train from shards" in capsys.readouterr().out


def test_a_section_that_fails_ends_none_of_the_others(gpu_check, tmp_path):
    check = gpu_check.Check(
        gpu_check.TOY, torch.device("cpu"), tmp_path, tmp_path / "f.json", float("inf")
    )

    def out_of_memory(check, until):
        raise torch.OutOfMemoryError("tried to allocate 80 GiB")

    found = gpu_check.run_section(check, "one", out_of_memory, until=0.0)
    assert found["failed"].startswith("out of memory")
    found = gpu_check.run_section(check, "two", lambda check, until: {"n": 1}, until=0.0)
    assert found["n"] == 1
    check.ends = 0.0
    assert "not_run" in gpu_check.run_section(check, "three", out_of_memory, until=0.0)


def test_batches_that_do_not_fit_are_accumulated(gpu_check, tmp_path, monkeypatch):
    check = gpu_check.Check(
        gpu_check.TOY, torch.device("cpu"), tmp_path, tmp_path / "f.json", float("inf")
    )
    training = sys.modules["gpu_check_training"]
    step = training.Ours.step

    def small_device(self, batch):
        if (self.micro_batch or len(batch)) > 4:
            raise torch.OutOfMemoryError("too large")
        return step(self, batch)

    monkeypatch.setattr(training.Ours, "step", small_device)
    found = gpu_check.memory(check, float("inf"))
    assert {key: value["encoded"] for key, value in found.items()} == {"4": "at once", "8": "by 4"}


def test_without_a_gpu_it_says_so(gpu_check, tmp_path, capsys):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert gpu_check.main(["--out", str(tmp_path / "f.json")]) == 3
    assert "--toy" in capsys.readouterr().err


def test_the_checkout_is_enough(tmp_path):
    """In a Python that does not find ``earmark``, the script builds the namespace itself."""
    code = (
        "import sys, runpy, importlib.abc\n"
        "class Hidden(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'earmark' and not any('namespace' in one for one in sys.path):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Hidden())\n"
        "module = runpy.run_path(sys.argv[1])\n"
        "from pathlib import Path\n"
        "folder = Path(sys.argv[2]); folder.mkdir()\n"
        "module['make_importable'](folder)\n"
        "import earmark.models.base as base\n"
        "print(base.__file__)\n"
    )
    folder = tmp_path / "namespace"
    run = subprocess.run(
        [sys.executable, "-c", code, str(SCRIPT), str(folder)],
        env={**os.environ, "PYTHONSAFEPATH": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.strip() == str(folder / "earmark" / "models" / "base.py"), run.stderr
