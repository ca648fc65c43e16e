"""The command line: each command is a function of a module here, imported when it is called.

Exit codes: 0 pass, 1 regression, 2 inconclusive, 3 invalid or uncomparable input, 64 usage,
70 internal error, 130 interrupted by Ctrl-C, 143 terminated (a training run was saved first).
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

REGRESSION, INVALID, USAGE, INTERNAL = 1, 3, 64, 70
INTERRUPTED, TERMINATED = 130, 143  # 128 + SIGINT and SIGTERM, as shells say it

COMMANDS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "Begin": {
        "demo": (
            "bench:demo",
            "Process a folder of your own songs with a small free model and write a report.",
        ),
    },
    "Evaluate": {
        "run": ("run:run", "Evaluate models on suites of tasks; write run records and reports."),
        "bench": (
            "bench:bench",
            "Build the corpus Etude, train tiny models on it, run every suite that can run, "
            "and gate.",
        ),
        "embed": ("run:embed", "Compute and keep the embeddings of suites, without scoring."),
        "musav": (
            "score:musav",
            "Score predictions on MusAV's pairwise judgements, or on those of any judged set.",
        ),
        "score": (
            "score:score",
            "Score outputs in files: intervals, paired tests and reports without model or audio.",
        ),
    },
    "Judge one's own music": {
        "judge": (
            "judge:judge",
            "Plan a listening study of your own songs, serve its page, report on its judgements.",
        ),
    },
    "Compare and report": {
        "report": (
            "report:report",
            "Render a run record, or a leaderboard of several, as HTML, PDF or Markdown.",
        ),
        "export-record": (
            "report:export_record",
            "Write a run's scores in the format of another place, and say what it cannot hold.",
        ),
        "gate": ("gate:gate", "Test a run for regressions against its baseline."),
        "compare": (
            "gate:compare",
            "Compare two runs item by item, with paired tests and effect sizes.",
        ),
        "baseline": ("gate:baseline", "Keep a run as the baseline of later gates."),
    },
    "Train": {
        "prepare": ("train:prepare", "Decode a corpus once, for training."),
        "train": ("train:train", "Train an audio-text model on a prepared corpus."),
        "export": (
            "train:export",
            "Write the weights and card of a checkpoint, or of a head that a suite trains, for "
            "suites.",
        ),
        "etude": ("etude:etude", "Build or draw Etude, a corpus of synthesised music."),
    },
    "Models, data and this machine": {
        "list": ("catalogue:list_", "List the registered models, datasets, tasks or suites."),
        "describe": (
            "catalogue:describe_",
            "Say what a name stands for, and each of its options or keys with type and default.",
        ),
        "fetch": (
            "catalogue:fetch",
            "Download released weights and annotations; check their digests.",
        ),
        "new": (
            "catalogue:new",
            "Write a package with a model, dataset or task of your own: entry point, tests, CI.",
        ),
        "store": ("catalogue:store", "List the kept embeddings of each model, or remove them."),
        "check-data": ("check:check_data", "Check a dataset's files; name each problem by line."),
        "check-model": (
            "check:check_model",
            "Check that a model does what the benchmark relies on.",
        ),
        "doctor": (
            "doctor:doctor",
            "Check packages, devices, folders and data; say what each missing one is for.",
        ),
    },
}
"""By heading of the help: each command's function and the first sentence of its docstring."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Runs = Annotated[Path, typer.Option("--out", help="Folder of the run records.")]
Store = Annotated[Path, typer.Option(help="Folder of kept embeddings.", envvar="EARMARK_STORE")]
Fetch = Annotated[
    bool, typer.Option("--fetch", help="Download what a suite lists under `fetch` and is missing.")
]
Replicates = Annotated[
    int | None,
    typer.Option(
        min=100, help="Replicates of bootstraps and randomisation tests, instead of the suite's."
    ),
]
CustomTask = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE.py:CLASS",
        help="A task of your own, which no installed package registers, that a record is of.",
    ),
]
Speed = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="F.json",
        help="Show the ratios that `pytest bench/speed --benchmark-json F.json` saved.",
    ),
]


def names_of(*kinds: str) -> Callable[[str], list[str]]:
    """Return what completes a name of some kinds: model, dataset, task, suite, download."""

    def complete(incomplete: str) -> list[str]:
        found: list[str] = []
        if "model" in kinds:
            from earmark.models.registry import MODELS

            found += MODELS.targets()
        if "dataset" in kinds:
            from earmark.datasets.registry import DATASETS

            found += DATASETS.targets()
        if "task" in kinds:
            from earmark.bench.tasks.registry import TASKS

            found += TASKS.targets()
        if "suite" in kinds:
            from earmark.bench.run.suite import shipped_suites

            found += [path.stem for path in shipped_suites()]
        if "download" in kinds:
            from earmark.datasets.files.fetch import available

            found += available()
        return sorted(name for name in set(found) if name.startswith(incomplete))

    return complete


class LazyCommand(TyperCommand):
    """Stands for a command in the help; its module is imported when the command is called."""

    def __init__(self, target: str, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.target = target

    def load(self) -> Any:
        """Return the command itself, made from its function (or group of functions)."""
        module, _, name = self.target.partition(":")
        found = getattr(import_module(f"{__name__}.{module}"), name)
        if isinstance(found, typer.Typer):
            return typer.main.get_group(found)
        alone = typer.Typer(add_completion=False)
        alone.command()(found)
        return typer.main.get_command(alone)

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        return self.load().make_context(*arguments, **options)


class _Commands(TyperGroup):
    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for heading, commands in COMMANDS.items():
            for name, (target, summary) in commands.items():
                self.add_command(
                    LazyCommand(target, name=name, help=summary, rich_help_panel=heading)
                )


app = typer.Typer(
    name="earmark",
    cls=_Commands,
    help="Benchmark and evaluate models that listen to music.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 pass, 1 regression, 2 inconclusive, 3 invalid input, 64 wrong usage, "
    "70 internal error, 130 interrupted, 143 terminated.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("earmark"))
        raise typer.Exit()


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    if debug:
        os.environ["EARMARK_DEBUG"] = "1"


class ExitError(Exception):
    """Ends the program with a code of our own; typer's own 2 means usage."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def main() -> NoReturn:
    """Run the command line; a user's mistake never shows a traceback unless ``--debug``."""
    if "--debug" in sys.argv:  # anywhere: messages ask for it when the command is typed already
        sys.argv.remove("--debug")
        os.environ["EARMARK_DEBUG"] = "1"
    came = _note_interrupts()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # so that a file name of any bytes can be printed
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
        done: int | str | None = 0
    except SystemExit as ended:
        done = USAGE if ended.code == 2 else ended.code
    except ExitError as ended:
        done = ended.code
    except KeyboardInterrupt:
        done = INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe went away (`| head`): nobody is left to be told.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        done = 0
    except Exception as error:
        if os.environ.get("EARMARK_DEBUG"):
            raise
        if not came:
            # DataError, ModelError, SuiteError and RecordError are ValueErrors with a fix in them.
            if isinstance(error, ValueError) and type(error).__module__.startswith("earmark."):
                fail(str(error), INVALID)
            fail(f"internal error: {type(error).__name__}: {error} (--debug shows where)", INTERNAL)
        done = INTERRUPTED
    if came or done == INTERRUPTED:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        kept = _kept[0]() if _kept else f"nothing was written; `{same_command()}` starts again"
        fail(f"interrupted: {kept}", INTERRUPTED)
    sys.exit(done)


def fail(message: str, code: int) -> NoReturn:
    """Say what is wrong and end with a code."""
    typer.echo(f"earmark: {message}", err=True)
    sys.exit(code)


# Ctrl-C

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


def _note_interrupts() -> list[float]:
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
