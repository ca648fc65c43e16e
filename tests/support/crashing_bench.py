"""`earmark bench` at its smallest, killed where a plan says: run as a program by the tests.

    python crashing_bench.py FOLDER PLANS.json

Everything heavy is imported once, then each attempt is a forked child that runs the real command
line in a folder of its own, with its training as a child of that child. A plan is a list of deaths,
one an attempt; attempts go on in the same folder until one ends by itself. Printed is, a line a
plan, what came of it as JSON.

A death is `["ops", n]`: before the n-th operation that reaches the disk, `["training ops", n]`: so
in the process that trains, or `["step", name, n]`: at the n-th call of a step of :data:`STEPS`.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

for threads in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[threads] = "1"

N_TRACKS = 60

CONFIG = """
preset = "tiny"
[training]
epochs = 2
batch_size = 10
best_by = "loss"
tensorboard = false
accelerator = "cpu"
"""

SUITE = """
[suite]
name = "mini"
title = "Etude at its smallest"
replicates = 100

[datasets.captions]
loader = "caption-manifest"
root = "{data}/etude/captions"
split = "test"

[datasets.genres]
loader = "gtzan"
root = "{data}/etude/gtzan"
split = "fault-filtered"
partition = "test"
missing = "drop"

[models.one]
loader = "muscall"
weights = "{models}/etude/one"

[[tasks]]
task = "retrieval"
dataset = "captions"
models = ["one"]

[[tasks]]
task = "zero_shot_classification"
dataset = "genres"
models = ["one"]
texts = { hiphop = "hip hop" }
"""

POLICY = """
version = 1
ignore = ["zero_shot_classification-genres"]

[defaults]
must_beat_chance = false
min_items = 5

[[metrics]]
task = "retrieval-captions"
metric = "mrr"
margin = 0.1
"""

# Where a process may be killed: which process does it, the module, the attribute, and whether it is
# before a call or after.
STEPS: dict[str, tuple[str, str, str, str]] = {
    "a track": ("bench", "earmark.datasets.etude.build", "write_whole", "before"),
    "a layout": ("bench", "earmark.datasets.etude.build", "_write_layout", "after"),
    "the corpus": ("bench", "earmark.datasets.etude.build", "attributes_of", "before"),
    "a shard": ("bench", "earmark.models.training.prepare", "_write_shard", "after"),
    "the index": ("bench", "earmark.models.training.prepare", "_finish", "after"),
    "a training": ("bench", "earmark.bench.cli.etude", "_export", "before"),
    "an export": ("bench", "earmark.models.training.checkpoints", "export", "after"),
    "listening": ("bench", "earmark.bench.embeddings.store", "write_shard", "after"),
    "scoring": ("bench", "earmark.bench.run.runner", "_record", "before"),
    "the record": ("bench", "earmark.reports.record.files", "_sync_folders", "before"),
    "the gate": ("bench", "earmark.bench.gate.verdict", "judge_files", "after"),
    "the page": ("bench", "earmark.reports.render.html", "page_html", "after"),
    "the PDF": ("bench", "earmark.reports.render.pdf", "pdf_bytes", "after"),
    # In the process that trains: it dies alone, or the command dies and leaves it to itself.
    "an epoch": ("training", "earmark.models.training.checkpoints", "save", "after"),
    "an epoch's parent": (
        "training's parent",
        "earmark.models.training.checkpoints",
        "save",
        "after",
    ),
}

# What must not be done twice, and how often it was: the functions that do it.
COUNTED = {
    "tracks": ("earmark.datasets.etude.build", "render"),
    "clips": ("earmark.models.training.prepare", "_decode"),
    "epochs": ("earmark.models.training.checkpoints", "save"),
    "exports": ("earmark.models.training.checkpoints", "export"),
}

DISK = [(os, "fsync"), *((Path, n) for n in ("replace", "rename", "unlink", "mkdir", "write_text"))]

Hook = Callable[[], object]


def hooked(owner: Any, name: str, hook: Hook, *, after: bool = False) -> None:
    """Call a hook whenever a function is called, before it or after."""
    function = getattr(owner, name)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not after:
            hook()
        found = function(*args, **kwargs)
        if after:
            hook()
        return found

    setattr(owner, name, call)


class Forked:
    """Stands for `subprocess.Popen` of the command line: the same, without starting Python anew."""

    plan: Callable[[], None]

    def __init__(self, command: list[str], *, env: dict[str, str], **_: Any) -> None:
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.dup2(writing, 1)
            os.dup2(writing, 2)
            os.closerange(3, 1024)  # a lock that the parent holds is not the child's
            sys.stdout, sys.stderr = (os.fdopen(n, "w", buffering=1) for n in (1, 2))
            sys.argv = ["earmark", *command[3:]]
            run_command_line(Forked.plan)
        os.close(writing)
        self.stdout = os.fdopen(reading)

    def wait(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def terminate(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)


def run_command_line(plan: Callable[[], None]) -> None:
    """Run `sys.argv` to its end, in this process, and end it."""
    code: Any = 70
    try:
        plan()
        from earmark.bench import cli

        cli.main()
    except SystemExit as done:
        code = done.code or 0
    except BaseException:
        traceback.print_exc()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(code)


def note(what: str) -> None:
    with Path("events").open("a") as events:
        events.write(f"{what}\n")


def start(folder: Path, hooks: Callable[[str], None], *, reports: bool) -> int:
    """Fork a process that runs the main job in a folder; return its id."""
    folder.mkdir(parents=True, exist_ok=True)
    pid = os.fork()
    if pid:
        return pid
    os.chdir(folder)
    log = os.open("log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout, sys.stderr = (os.fdopen(n, "w", buffering=1) for n in (1, 2))
    os.environ |= {"EARMARK_CACHE": str(folder / "cache"), "EARMARK_DATA": str(folder / "nothing")}
    (folder / "mini.toml").write_text(SUITE)
    sys.argv = ["earmark", "bench", "mini.toml", "--tracks", str(N_TRACKS), "--seconds", "2"]
    sys.argv[1:1] = ["--debug"] if os.environ.get("CRASHING_DEBUG") else []
    sys.argv += ["--baselines", "baselines"] if (folder / "baselines").exists() else ["--no-gate"]

    def plan() -> None:
        from earmark.bench.cli import etude, report

        etude.make = functools.partial(
            etude.make, layouts=("captions", "gtzan"), configs={"one": CONFIG}, workers=1
        )
        etude.subprocess = types.SimpleNamespace(Popen=Forked, PIPE=-1, STDOUT=-2)
        if not reports:
            report.render_reports = lambda *args, **kwargs: []
        for what, (module, name) in COUNTED.items():
            hooked(importlib.import_module(module), name, functools.partial(note, what))
        Forked.plan = lambda: hooks("training")
        hooks("bench")

    run_command_line(plan)
    raise AssertionError


def killing(death: list[Any] | None) -> Callable[[str], None]:
    """Return what makes a process die at a moment; `None` never dies."""

    def hooks(role: str) -> None:
        if death is None:
            return
        kind, where, *nth = death
        left = where if kind in ("ops", "training ops") else (nth or [1])[0]

        def die() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                victim = os.getppid() if of == "training's parent" else os.getpid()
                os.kill(victim, signal.SIGKILL)

        if kind in ("ops", "training ops"):
            of = "bench" if kind == "ops" else "training"
            if role == of:
                for owner, name in DISK:
                    hooked(owner, name, die)
            return
        of, module, name, when = STEPS[where]
        if role == of.removesuffix("'s parent"):
            hooked(importlib.import_module(module), name, die, after=when == "after")

    return hooks


def two_at_once(folder: Path) -> list[int]:
    """Run the job twice at once, each step of one at the worst moment of the other.

    The second starts when the first has begun to make the corpus; the first, which has opened its
    data, listens only when the second has begun to replace them or has made everything; and a
    second that replaces data waits in the midst of it until the first has ended.
    """
    begun, made, over = os.pipe(), os.pipe(), os.pipe()

    def first(role: str) -> None:
        if role != "bench":
            return
        from earmark.bench.run import runner
        from earmark.datasets.etude import build as building

        once = [lambda: os.close(begun[1]), lambda: os.read(made[0], 1)]
        os.close(made[1])
        hooked(building, "build", lambda: once[0]())
        hooked(runner, "_run_task", lambda: once.pop()() if len(once) > 1 else None)

    def second(role: str) -> None:
        if role != "bench":
            return
        from earmark.bench.cli import etude
        from earmark.datasets.etude import build as building

        os.close(over[1])

        def replacing(place: Path) -> None:
            shutil.rmtree(place)
            if not place.name.startswith("."):
                os.write(made[1], b".")
                os.read(over[0], 1)

        building.shutil = types.SimpleNamespace(rmtree=replacing)
        hooked(etude, "make_further", lambda: os.write(made[1], b"."))

    one = start(folder, first, reports=False)
    os.close(begun[1])
    os.read(begun[0], 1)  # ends when the first has closed its end
    other = start(folder, second, reports=False)
    os.close(made[1])
    codes = [ended(one)]
    os.close(over[1])
    return [*codes, ended(other)]


def ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def reap_orphans() -> None:
    """Wait for trainings whose command was killed: this process inherits them."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def killed_until_done(folder: Path, deaths: list[Any], *, reports: bool) -> list[int]:
    """Run the job again and again, killed as listed and then not at all; return the exit codes."""
    return [ended(start(folder, killing(death), reports=reports)) for death in [*deaths, None]]


def outcome(folder: Path) -> dict[str, Any]:
    """Return what a test compares: the scores, and what was done how often."""
    from earmark.reports.record import files as record_io

    events = (folder / "events").read_text().split() if (folder / "events").exists() else []
    # Unlike a shell's, this star would match the hidden folder of a record that is half written.
    records = sorted(path.parent for path in folder.glob("runs/[!.]*/run.json"))
    said = [record_io.read(path) for path in records]
    hidden = (path for part in ("cache", "store", "runs") for path in folder.glob(f"{part}/**/.*"))
    return {
        "scores": [
            {
                "tasks": [task.model_dump() for task in one.tasks],
                "files": one.files,
                "weights": {model.id: model.weights_digest for model in one.models},
                "data": {dataset.id: dataset.fingerprint for dataset in one.datasets},
            }
            for one in said
        ],
        "verdicts": [
            json.loads((path / "gate" / "verdict.json").read_text())["outcome"]
            for path in records
            if (path / "gate" / "verdict.json").exists()
        ],
        "reports": [sorted(file.name for file in path.glob("report.*")) for path in records],
        "done": {what: events.count(what) for what in COUNTED},
        "hidden": sorted(str(path.relative_to(folder)) for path in hidden if path.name != ".lock"),
        "damage": damage(folder / "store"),
        "log": (folder / "log").read_text(),
    }


def damage(store: Path) -> list[str]:
    from earmark.bench.embeddings.store import Store

    return [str(one) for space in Store(store).spaces() for one in [*space.damage, *space.verify()]]


def keep_baseline(folder: Path) -> None:
    """Make the run of a folder what later runs in copies of it are held against."""
    from earmark.bench.gate.baseline import write_baseline
    from earmark.bench.gate.evidence import read_evidence

    (run,) = (path.parent for path in folder.glob("runs/*/run.json"))
    (folder / "baselines").mkdir()
    write_baseline(read_evidence(run), folder / "baselines" / "mini", reason="a test")
    (folder / "baselines" / "mini.toml").write_text(POLICY)


def in_child(function: Callable[[], Any]) -> Any:
    """Return a function's result, computed in a fork: this process stays without threads."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            with os.fdopen(writing, "w") as sink:
                json.dump(function(), sink)
            code = 0
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as source:
        content = source.read()
    assert ended(pid) == 0
    return json.loads(content)


def mount(*arguments: object) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


def room(disk: Path, kib: int) -> None:
    """Leave so much room beside what is there."""
    mount("-o", f"remount,size={shutil.disk_usage(disk).used // 1024 + kib}k", disk)


@contextlib.contextmanager
def disk(folder: Path) -> Iterator[None]:
    """Put a folder, with what is in it, on a disk of its own."""
    there = folder.with_name(f"{folder.name}-before")
    folder.mkdir(parents=True, exist_ok=True)
    folder.rename(there)
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=1g", "tmpfs", folder)
    try:
        shutil.copytree(there, folder, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(there)
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def main(root: Path, plans: list[dict[str, Any]]) -> None:
    import ctypes

    ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: orphans are waited for
    for module in (
        "earmark.bench.cli.bench",
        "earmark.bench.cli.train",
        "earmark.bench.tasks.registry",
        "earmark.datasets.captions.manifest",
        "earmark.datasets.gtzan",
        "earmark.models.adapters.muscall",
        "earmark.models.training.train",
        "earmark.reports.page.page",
        "earmark.reports.render.html",
        "earmark.reports.render.pdf",
    ):
        importlib.import_module(module)
    for plan in plans:
        folder = root / plan["name"].replace(" ", "-")
        if plan.get("from"):
            shutil.copytree(root / plan["from"], folder, symlinks=True)
            (folder / "log").unlink()
            (folder / "events").unlink()
            for gone in plan.get("without", []):
                shutil.rmtree(folder / gone, ignore_errors=True)
        found: dict[str, Any] = {}
        with contextlib.ExitStack() as disks:
            for part in plan.get("disks", {}):
                disks.enter_context(disk(folder / part))
            reports = plan.get("reports", False)
            for part, kib in [*plan.get("disks", {}).items(), *plan.get("then", {}).items()]:
                room(folder / part, kib)
                code = ended(start(folder, killing(None), reports=reports))
                left = in_child(functools.partial(outcome, folder))
                found.setdefault("full", []).append({"code": code, **left})
            for part in plan.get("disks", {}):
                mount("-o", "remount,size=1g", folder / part)
            if plan.get("two"):
                found["pair"] = two_at_once(folder)
            codes = (
                []
                if plan.get("two")
                else killed_until_done(folder, plan["deaths"], reports=reports)
            )
            reap_orphans()
            found |= in_child(functools.partial(outcome, folder))
        if plan.get("keep_baseline"):
            in_child(functools.partial(keep_baseline, folder))
        print(json.dumps({"name": plan["name"], "codes": codes, **found}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()))
