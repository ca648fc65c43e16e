"""Functions in processes of their own, forked on Linux: what is imported is not imported again."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

_CONTEXT: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")


def exit_code(call: Callable[..., object], *arguments: object) -> int:
    """Return how a process ended that called a function of a module: -9 if it was killed."""
    process = _CONTEXT.Process(target=call, args=arguments)
    process.start()
    process.join(600)
    return int(process.exitcode)


def side_by_side(
    call: Callable[..., object],
    *arguments: object,
    environments: Sequence[Mapping[str, str]],
    folder: Path,
) -> list[tuple[int, str]]:
    """Return the exit code and the output of processes that ran at once, one per environment."""
    said = [folder / f"said-{number}" for number in range(len(environments))]
    processes = [
        _CONTEXT.Process(target=_told, args=(call, arguments, environment, path))
        for environment, path in zip(environments, said, strict=True)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(600)
    return [
        (process.exitcode, path.read_text()) for process, path in zip(processes, said, strict=True)
    ]


def _told(
    call: Callable[..., object],
    arguments: Sequence[object],
    environment: Mapping[str, str],
    path: Path,
) -> None:
    os.environ.update(environment)
    with path.open("w", buffering=1) as sys.stdout:
        sys.stderr = sys.stdout
        try:
            call(*arguments)
        except BaseException:
            import traceback

            traceback.print_exc()
            raise SystemExit(1) from None
