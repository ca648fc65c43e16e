"""The speed gate: it fails on what is certainly too slow or missing, and on nothing else.

No time is measured: each side moves a clock by as much as the test says.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from earmark.reports.page.speed import KEY, read_benchmarks

SPEED = Path(__file__).resolve().parents[3] / "bench" / "speed"

TARGETS = """
["fast"]
reference = "a plain way"
target = 2

["undecided"]
reference = "a plain way"
target = 2

["slow"]
reference = "a plain way"
target = 2

["busy"]
reference = "a plain way"
target = 2

["unequal"]
reference = "a plain way"
target = 2
"""

BENCHMARKS = """
import itertools
import types
import pytest

@pytest.fixture
def clock(ratio, monkeypatch):
    class Clock:
        wall = processor = 0.0
        def run(self, seconds, share=1.0):
            self.wall += seconds
            self.processor += seconds * share
    clock = Clock()
    fake = types.SimpleNamespace(
        perf_counter=lambda: clock.wall, process_time=lambda: clock.processor
    )
    monkeypatch.setitem(ratio.__globals__["measure"].__globals__, "time", fake)
    return clock

def same(ours, plain):
    assert ours == plain

def measured(ratio, clock, name, plain_seconds, *, share=1.0, answer=1, **options):
    seconds = itertools.cycle(plain_seconds)
    ratio(
        name,
        ours=lambda: clock.run(1.0, share) or 1,
        plain=lambda: clock.run(next(seconds)) or answer,
        same=same,
        **options,
    )

def test_fast(ratio, clock):
    measured(ratio, clock, "fast", [3.0])

def test_undecided(ratio, clock):
    measured(ratio, clock, "undecided", [1.0, 3.0])

def test_slow(ratio, clock):
    measured(ratio, clock, "slow", [1.5, 1.9])

def test_busy(ratio, clock):
    measured(ratio, clock, "busy", [1.5], share=0.3)

def test_unequal(ratio, clock):
    measured(ratio, clock, "unequal", [3.0], answer=2)

def test_unlisted(ratio, clock):
    measured(ratio, clock, "unlisted", [3.0])
"""


@pytest.fixture
def speed(tmp_path):
    """Run invented benchmarks; return exit code, output, and the ratios that were saved."""
    shutil.copy(SPEED / "conftest.py", tmp_path)
    (tmp_path / "test_invented.py").write_text(BENCHMARKS)
    (tmp_path / "targets.toml").write_text(TARGETS)

    def run(*arguments, only):
        saved = tmp_path / "speed.json"
        saved.unlink(missing_ok=True)
        names = [f"test_invented.py::test_{name}" for name in only]
        command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
        options = [f"--benchmark-json={saved}", f"--speed-targets={tmp_path / 'targets.toml'}"]
        ran = subprocess.run(
            [*command, *options, "--rootdir", str(tmp_path), *names],
            cwd=tmp_path,
            env={key: one for key, one in os.environ.items() if "XDIST" not in key},
            capture_output=True,
            text=True,
            check=False,
        )
        ratios = read_benchmarks(saved).ratios if saved.exists() and saved.stat().st_size else []
        return ran.returncode, ran.stdout + ran.stderr, {one.name: one for one in ratios}

    return run


def test_without_the_flag_it_reports_and_nothing_fails(speed):
    code, out, ratios = speed(only=["fast", "undecided", "slow", "busy"])
    assert code == 0, out
    verdicts = {name: one.verdict for name, one in ratios.items()}
    assert verdicts == {
        "fast": "fast enough",
        "undecided": "undecided",
        "slow": "too slow",
        "busy": "undecided",
    }
    assert "slow: too slow: 1.90 [1.50, 1.90] times as fast as a plain way, target 2.00" in out
    assert "busy: undecided (ours got 0.30 of 1 core: others are at work)" in out
    assert ratios["fast"].ratios == [3.0] * 9
    assert (ratios["undecided"].low, ratios["undecided"].high) == (1.0, 3.0)


def test_with_the_flag_what_is_certainly_too_slow_fails_and_what_is_missing_too(speed):
    code, out, ratios = speed("--speed-gate", only=["fast", "undecided", "slow", "busy"])
    assert code == 1, out
    assert "1 failed, 3 passed" in out
    assert "unequal: missing: --speed-gate needs its ratio" in out
    assert "undecided: missing" not in out
    assert len(ratios) == 4  # the slow one is kept, too


def test_a_missing_ratio_alone_fails_the_gate(speed):
    code, out, _ = speed("--speed-gate", only=["fast"])
    assert code == 1, out
    assert "1 passed" in out
    for name in ("undecided", "slow", "busy", "unequal"):
        assert f"{name}: missing" in out


def test_unequal_results_fail_before_anything_is_timed_and_leave_no_ratio(speed):
    code, out, ratios = speed(only=["unequal"])
    assert code == 1
    assert "assert 1 == 2" in out
    assert ratios == {}


def test_a_benchmark_without_a_target_fails(speed):
    code, out, _ = speed(only=["unlisted"])
    assert code == 1
    assert "'unlisted' is not in" in out


def test_all_at_or_above_their_targets_pass_the_gate(speed, tmp_path):
    only_fast = '["fast"]\nreference = "a plain way"\ntarget = 3.0\n'
    (tmp_path / "targets.toml").write_text(only_fast)
    code, out, _ = speed("--speed-gate", only=["fast"])
    assert code == 0, out


@pytest.fixture(scope="module")
def conftest():
    spec = importlib.util.spec_from_file_location("speed_conftest", SPEED / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["speed_conftest"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["speed_conftest"]


def test_both_sides_run_in_turns_and_shares_and_clocks_are_heeded(conftest, monkeypatch):
    now = {"wall": 0.0, "processor": 0.0}
    fake = SimpleNamespace(perf_counter=lambda: now["wall"], process_time=lambda: now["processor"])
    monkeypatch.setattr(conftest, "time", fake)
    calls = []

    def side(name, wall, processor):
        def run():
            calls.append(name)
            now["wall"] += wall
            now["processor"] += processor

        return run

    def pedantic(target, *, setup, rounds):
        for _ in range(rounds):
            setup()
            target()

    benchmark = SimpleNamespace(pedantic=pedantic, extra_info={})
    found = conftest.measure(
        benchmark,
        "one",
        reference="another",
        target=10,
        ours=side("ours", 4.0, 2.0),
        plain=side("plain", 4.0, 1.0),
        same=lambda ours, plain: calls.append("same"),
        rounds=6,
        share=0.05,
        processor_time=True,
    )
    assert calls == ["ours", "plain", "same", *["plain", "ours"] * 6]
    assert found.ratio == pytest.approx(10)
    assert found.reference_seconds == pytest.approx(20)
    assert json.loads(json.dumps(benchmark.extra_info[KEY]))["name"] == "one"


@pytest.mark.parametrize("entry", ["target = 2", 'reference = "x"\ntarget = 0', "a = 1"])
def test_targets_that_are_none_are_refused(conftest, tmp_path, entry):
    (tmp_path / "targets.toml").write_text(f'["one"]\n{entry}\n')
    with pytest.raises(pytest.UsageError, match="'one' needs a reference and a target above 0"):
        conftest.read_targets(tmp_path / "targets.toml")


def test_every_target_is_measured_by_some_benchmark(conftest):
    """By name, or by the name that a parameter completes."""
    sources = "".join(path.read_text() for path in sorted(SPEED.glob("test_*_speed.py")))
    targets = tomllib.loads((SPEED / "targets.toml").read_text())
    assert conftest.read_targets(SPEED / "targets.toml") == targets
    for name in targets:
        stem = name.rpartition(" ")[0] if name[-1].isdigit() else name
        assert stem in sources or name.partition(",")[0] in sources, name
