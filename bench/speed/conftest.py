"""The fixture `ratio`: ours against a reference, in turns, and the gate on what comes out.

`pytest bench/speed` reports, and with `--speed-gate` fails where a ratio's whole interval lies
below its target, or where a benchmark of `targets.toml` leaves no ratio. Absolute times decide
nothing.
"""

from __future__ import annotations

import statistics
import time
import tomllib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from scipy import stats

from earmark.bench.run.environment import processor_name
from earmark.datasets.files.cores import usable_cores
from earmark.reports.page.speed import KEY, Ratio, decide, significant

TARGETS = Path(__file__).with_name("targets.toml")
ROUNDS = 9
LEVEL = 0.95
"""That a ratio's interval covers the true median at least; six rounds are needed for it."""
ENOUGH = 0.7
"""Share of the cores asked for without which a ratio of wall times is no measurement."""

Ours = TypeVar("Ours")
Reference = TypeVar("Reference")
_FOUND = pytest.StashKey[dict[str, Ratio]]()
_MISSING = pytest.StashKey[list[str]]()


@dataclass(frozen=True, slots=True)
class _Time:
    wall: float
    processor: float


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the gate's switch, and what to hold the ratios against."""
    group = parser.getgroup("earmark speed")
    group.addoption(
        "--speed-gate",
        action="store_true",
        help="Fail where a ratio is certainly below its target, or where one is missing.",
    )
    group.addoption(
        "--speed-targets", type=Path, default=TARGETS, help="Instead of bench/speed/targets.toml."
    )


def pytest_configure(config: pytest.Config) -> None:
    """Begin with no ratio."""
    config.stash[_FOUND] = {}
    config.stash[_MISSING] = []


@pytest.fixture
def ratio(request: pytest.FixtureRequest, benchmark: BenchmarkFixture) -> Callable[..., Ratio]:
    """Measure ours against a reference; see :func:`measure` for the arguments."""
    config = request.config

    def measured(name: str, **options: Any) -> Ratio:
        targets = read_targets(config.getoption("--speed-targets"))
        if name not in targets:
            pytest.fail(
                f"{name!r} is not in {config.getoption('--speed-targets')}: give its target"
            )
        if name in config.stash[_FOUND]:
            pytest.fail(f"{name!r} is measured twice: give one another name")
        found = measure(benchmark, name, **targets[name], **options)
        config.stash[_FOUND][name] = found
        if config.getoption("--speed-gate") and found.verdict == "too slow":
            pytest.fail(line(found), pytrace=False)
        return found

    return measured


def read_targets(path: Path) -> dict[str, dict[str, Any]]:
    """Return `reference` and `target` of each benchmark by its name."""
    found = tomllib.loads(path.read_text(encoding="utf-8"))
    for name, entry in found.items():
        if entry.keys() != {"reference", "target"} or not entry["target"] > 0:
            raise pytest.UsageError(f"{path}: {name!r} needs a reference and a target above 0")
    return found


def measure(
    benchmark: BenchmarkFixture,
    name: str,
    *,
    reference: str,
    target: float,
    ours: Callable[[], Ours],
    plain: Callable[[], Reference],
    same: Callable[[Ours, Reference], object],
    rounds: int = ROUNDS,
    share: float = 1.0,
    processor_time: bool = False,
    cores: int = 1,
) -> Ratio:
    """Hold ours against the plain way, in turns, after their results were found equal.

    Parameters
    ----------
    ours, plain
        Each is called once before anything is timed, then once a round.
    same
        Raises if what they return is not equal.
    share
        Of the work of ours, what the plain way does; its times are divided by it.
    processor_time
        Whether processor seconds are compared instead of wall-clock seconds.
    cores
        That ours uses: given fewer, a ratio of wall-clock seconds cannot be too slow.
    """
    same(ours(), plain())
    times: dict[str, list[_Time]] = {"ours": [], "plain": []}

    def timed(side: str, run: Callable[[], object]) -> None:
        wall, processor = time.perf_counter(), time.process_time()
        run()
        spent = _Time(time.perf_counter() - wall, time.process_time() - processor)
        times[side].append(spent)

    # pytest-benchmark times ours in the very rounds that count; the other side is its set-up.
    pedantic: Any = benchmark.pedantic
    pedantic(lambda: timed("ours", ours), setup=lambda: timed("plain", plain), rounds=rounds)
    while len(times["ours"]) < rounds:  # with --benchmark-disable, once
        timed("plain", plain)
        timed("ours", ours)
    clock = "processor" if processor_time else "wall"
    of_ours = [getattr(one, clock) for one in times["ours"]]
    of_plain = [getattr(one, clock) / share for one in times["plain"]]
    ratios = [theirs / own for own, theirs in zip(of_ours, of_plain, strict=True)]
    low, high = stats.quantile_test(ratios, q=0, p=0.5).confidence_interval(LEVEL)
    # The ends are the k-th value from either side: exactly this is how often they enclose it.
    k = int(stats.binom.ppf((1 - LEVEL) / 2, len(ratios), 0.5))
    level = 1 - 2 * float(stats.binom.cdf(k - 1, len(ratios), 0.5))
    busy = "" if processor_time else _busy(times["ours"], cores)
    found = Ratio(
        name=name,
        reference=reference,
        ratio=statistics.median(ratios),
        low=low,
        high=high,
        level=level,
        ratios=ratios,
        target=target,
        clock=clock,
        ours_seconds=statistics.median(of_ours),
        reference_seconds=statistics.median(of_plain),
        busy=busy,
        verdict=decide(low, high, target, busy=busy),
    )
    benchmark.extra_info[KEY] = found.model_dump()
    return found


def _busy(ours: Sequence[_Time], cores: int) -> str:
    """Return why wall-clock times are no measurement, or nothing."""
    got = sum(one.processor for one in ours) / sum(one.wall for one in ours)
    if got >= ENOUGH * cores:
        return ""
    return f"ours got {got:.2f} of {cores} {'core' if cores == 1 else 'cores'}: others are at work"


def line(found: Ratio) -> str:
    """Return a ratio in one line of text."""
    what = f"{significant(found.ratio)} [{significant(found.low)}, {significant(found.high)}]"
    busy = f" ({found.busy})" if found.busy else ""
    return (
        f"{found.name}: {found.verdict}{busy}: {what} times as fast as {found.reference}, target "
        f"{significant(found.target)}, {len(found.ratios)} rounds of {found.clock} time"
    )


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """Fail a gated session in which a benchmark left no ratio, whatever the reason."""
    config = session.config
    if config.getoption("--speed-gate") and not config.getoption("--collect-only"):
        targets = read_targets(config.getoption("--speed-targets"))
        config.stash[_MISSING] = [name for name in targets if name not in config.stash[_FOUND]]
        if config.stash[_MISSING] and session.exitstatus in (
            pytest.ExitCode.OK,
            pytest.ExitCode.NO_TESTS_COLLECTED,
        ):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
    yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say every ratio, and which are missing."""
    config = terminalreporter.config
    found, missing = config.stash[_FOUND], config.stash[_MISSING]
    if found or missing:
        terminalreporter.section("times as fast as a reference")
    for one in found.values():
        terminalreporter.line(line(one), red=one.verdict == "too slow")
    for name in missing:
        terminalreporter.line(f"{name}: missing: --speed-gate needs its ratio", red=True)


def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: dict[str, Any]
) -> None:
    """Name the machine as records do."""
    machine_info["earmark"] = {"processor": processor_name(), "cores": usable_cores()}


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Set PyTorch's threads for one test."""
    import torch

    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)
