"""What the parts of the command line share: the app, exit codes, and how a command ends early."""

from __future__ import annotations

import shlex
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Annotated, NoReturn

import typer

REGRESSION, INVALID, USAGE, INTERNAL = 1, 3, 64, 70
INTERRUPTED, TERMINATED = 130, 143  # 128 + SIGINT and SIGTERM, as shells say it

app = typer.Typer(
    name="earmark",
    help="Benchmark and evaluate models that listen to music.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


class ExitError(Exception):
    """Ends the program with a code of our own; typer's own 2 means usage."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


_AT_ONCE = 1.0
"""In s."""
_kept: list[Callable[[], str]] = []


def if_interrupted(kept: str | Callable[[], str]) -> None:
    """Set what Ctrl-C says of this command: what is kept; a function is asked when it comes.

    A text is followed by the command that goes on, which is the same one.
    """
    _kept[:] = [kept if callable(kept) else lambda: f"{kept}; `{same_command()}` goes on"]


def same_command(*further: str) -> str:
    """Return the command line as it was given, for a shell."""
    return shlex.join(["earmark", *sys.argv[1:], *further])


def interrupted_message() -> str:
    """Return what Ctrl-C says: in one sentence, what is kept and which command goes on."""
    kept = _kept[0]() if _kept else f"nothing was written; `{same_command()}` starts again"
    return f"interrupted: {kept}"


def note_interrupts() -> list[float]:
    """Return a list that is no longer empty once Ctrl-C came: of the times in s.

    Wherever the exception is lost (in a callback of a C library, a destructor), the command must
    not end as if nothing had been.
    """
    came: list[float] = []
    _kept.clear()

    def note(number: int, frame: FrameType | None) -> None:
        # A process may get it twice at once: for itself, and as one of its group.
        again = bool(came) and time.monotonic() - came[-1] < _AT_ONCE
        came.append(time.monotonic())
        if not again:
            raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored
        signal.signal(signal.SIGINT, note)
    return came


def fail(message: str, code: int) -> NoReturn:
    """Say what is wrong and end with a code."""
    typer.echo(f"earmark: {message}", err=True)
    sys.exit(code)
