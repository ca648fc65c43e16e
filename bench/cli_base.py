"""What the parts of the command line share: the app, exit codes, and how a command ends early."""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

REGRESSION, INVALID, USAGE, INTERNAL = 1, 3, 64, 70
TERMINATED = 143  # 128 + SIGTERM, as shells say it

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


def fail(message: str, code: int) -> NoReturn:
    """Say what is wrong and end with a code."""
    typer.echo(f"earmark: {message}", err=True)
    sys.exit(code)
