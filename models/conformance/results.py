"""Checks, what comes of them, and how they are run one after the other."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Status = Literal["pass", "fail", "not_applicable"]
Progress = Callable[[int, int, str], None]
"""Called with how many checks are done, how many there are, and of what."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What came of one check; ``detail`` is one line, for a failure with the mend."""

    name: str
    status: Status
    detail: str


class CheckFailed(Exception):  # noqa: N818 - a verdict, as unittest's SkipTest
    """The model does not keep a promise; the message says which and how it shows."""


class NotApplicable(Exception):  # noqa: N818
    """There is nothing to check, or no way to tell; the message says why."""


@dataclass(frozen=True, slots=True)
class Check:
    """One promise: ``run`` returns what was found, or raises one of the two verdicts."""

    name: str
    run: Callable[[], str]
    needs: tuple[str, ...] = ()
    """Checks without which this one would only repeat their failure under a wrong name."""


def judge(checks: Sequence[Check], *, progress: Progress | None) -> list[CheckResult]:
    """Run all checks in order; an exception of the model fails its check and the others go on."""
    results: list[CheckResult] = []
    failed: set[str] = set()
    for check in checks:
        result = _run(check, failed)
        if result.status == "fail":
            failed.add(check.name)
        results.append(result)
        if progress is not None:
            progress(len(results), len(checks), "checks")
    return results


def _run(check: Check, failed: set[str]) -> CheckResult:
    if cause := next((name for name in check.needs if name in failed), None):
        detail = f"cannot be told while {cause} fails"
        return CheckResult(check.name, "not_applicable", detail)
    try:
        return CheckResult(check.name, "pass", check.run())
    except CheckFailed as verdict:
        if verdict.__cause__:
            _show(verdict.__cause__)
        return CheckResult(check.name, "fail", str(verdict))
    except NotApplicable as verdict:
        return CheckResult(check.name, "not_applicable", str(verdict))
    except Exception as error:  # whatever the model raises is its failure, not ours
        _show(error)
        return CheckResult(check.name, "fail", f"raised {one_line(error)}")


def _show(error: BaseException) -> None:
    """Print where the model raised, for ``--debug``."""
    if os.environ.get("EARMARK_DEBUG"):
        traceback.print_exception(error)


def one_line(error: BaseException) -> str:
    """Return the type of an exception and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
