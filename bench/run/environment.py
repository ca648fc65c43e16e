"""Where a run is made: machine, versions and the state of the checkout, for the record."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from earmark.reports.record.schema import Environment

# What changes numbers; the rest of an environment is noise in a report.
PACKAGES = (
    "earmark",
    "essentia-tensorflow",
    "matplotlib",
    "numpy",
    "pandas",
    "scikit-learn",
    "scipy",
    "soundfile",
    "torch",
    "torchaudio",
    "transformers",
)


def describe_environment() -> Environment:
    """Return the environment of this process; what cannot be found out is None, not guessed."""
    commit, dirty = git_state(Path.cwd())
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        processor=processor_name(),
        cores=len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1,
        memory_gib=round(_memory_bytes() / 2**30, 1),
        gpu=_gpu(),
        packages=_packages(),
        git_commit=commit,
        git_dirty=dirty,
    )


def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def processor_name() -> str:
    """Return the processor as it names itself, e.g. to say where something was timed."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def _gpu() -> str | None:
    import sys

    # Only where a model has loaded torch: importing it to say "no GPU" would cost seconds.
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return str(torch.cuda.get_device_name())


def git_state(folder: Path, *, but: Path | None = None) -> tuple[str | None, bool | None]:
    """Return the commit of the checkout that ``folder`` lies in, and whether it has changes.

    Changes below ``but`` do not count.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    paths = [] if but is None else ["--", ":/", f":(exclude,top){_from_top(folder, but)}"]
    status = _git(folder, "status", "--porcelain", *paths)
    return commit or None, None if status is None else bool(status)


def _from_top(folder: Path, path: Path) -> str:
    top = Path(_git(folder, "rev-parse", "--show-toplevel") or folder).resolve()
    here = path.resolve()
    return here.relative_to(top).as_posix() if here.is_relative_to(top) else here.as_posix()


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            # A checkout's own settings may name a program to run, which is not ours to start.
            ["git", "-c", "core.fsmonitor=false", *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
