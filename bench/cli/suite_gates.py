"""The gates of a run of several suites: each record against the baseline that is kept for it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from earmark.bench.cli.gate import append_step_summary, judge_files, write_verdict
from earmark.bench.gate.checks import Hole
from earmark.bench.gate.kept import kept_for
from earmark.bench.gate.policy import read_policy
from earmark.bench.gate.verdict import EXIT_CODES, Outcome, unreadable

_WORST_FIRST: Final[tuple[Outcome, ...]] = ("invalid", "regression", "inconclusive", "pass")
"""As in a verdict: what is invalid outweighs a regression, and a regression what is undecided."""


@dataclass(frozen=True, slots=True)
class SuiteVerdict:
    """One suite's verdict as plain data, where it was written, and how long it took."""

    suite: str
    plain: Mapping[str, Any]
    written: list[Path]
    seconds: float


@dataclass(slots=True)
class SuiteGates:
    """Judges each suite's record, once it is written, and remembers what was found."""

    baselines: Path
    """Folder of ``<suite>/`` and ``<suite>.toml``."""
    verdicts: list[SuiteVerdict] = field(default_factory=list)
    without_baseline: list[str] = field(default_factory=list)
    """Suites that were run and have none."""

    def prepare(self, suites: Iterable[str]) -> None:
        """Read what the suites will be held against, before hours are spent on running them.

        Raises
        ------
        RecordError, PolicyError
            If there is no folder of baselines, or a policy is absent or cannot be followed.
        """
        for suite in suites:
            kept = kept_for(suite, self.baselines)
            if kept is not None:
                read_policy(kept.policy)

    def judge(self, suite: str, record: Path | None, out: Path) -> Mapping[str, Any] | None:
        """Return the verdict on a suite's record, written to ``record/gate``; None: no baseline.

        A suite that has a baseline and left no record is invalid; its verdict is written to
        ``out/gate/<suite>``.

        Raises
        ------
        RecordError, PolicyError
            If there is no folder of baselines, the policy cannot be followed, or the disk refuses.
        """
        started = time.perf_counter()
        kept = kept_for(suite, self.baselines)
        if kept is None:
            self.without_baseline.append(suite)
            return None
        policy = read_policy(kept.policy)
        if record is None:
            hole = Hole(suite, "no task: nothing of this suite could run, and it has a baseline")
            verdict, place = unreadable(policy, [hole]), out / "gate" / suite
        else:
            verdict, place = judge_files(record, kept.baseline, policy), record / "gate"
        plain = verdict.as_plain()
        written = write_verdict(plain, place)
        append_step_summary(plain)
        self.verdicts.append(SuiteVerdict(suite, plain, written, time.perf_counter() - started))
        return plain

    @property
    def outcome(self) -> Outcome | None:
        """The worst verdict; None where no suite has a baseline."""
        found = {one.plain["outcome"] for one in self.verdicts}
        return next((outcome for outcome in _WORST_FIRST if outcome in found), None)

    @property
    def exit_code(self) -> int:
        """The worst verdict's exit code; 0 where no suite has a baseline."""
        outcome = self.outcome
        return 0 if outcome is None else EXIT_CODES[outcome]
