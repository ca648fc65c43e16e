"""What a machine has for Earmark: processors, memory, GPUs, and room in the folders it writes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from earmark.bench.cli.doctor_packages import Finding
from earmark.bench.run.environment import processor_name
from earmark.datasets.files.processors import usable_cores

ROOM = {"cache": 1_500_000_000, "store": 50_000_000, "runs": 50_000_000}
"""Bytes that the main job writes at its defaults, rounded up; the cache's only where it is new."""
_BF16_SINCE = 8.0
"""Compute capability of the first NVIDIA GPUs with bfloat16 arithmetic (Ampere)."""
_SMI_SECONDS = 2.0


def machine() -> list[Finding]:
    """Return what there is to compute with."""
    flags = _flags()
    bf16 = sorted(flags & {"avx512_bf16", "amx_bf16"}) or ["no bf16 arithmetic"]
    cores = f"{usable_cores()} usable cores, {processor_name()}, {', '.join(bf16)}"
    return [
        Finding("devices", "processor", "ok", cores),
        Finding("devices", "memory", "ok", _memory()),
        *_gpus(),
    ]


def folders(*, cache: Path, store: Path, runs: Path) -> list[Finding]:
    """Return the room in the folders that runs write to, and what killed runs left there."""
    return [
        _folder("cache", cache, "Etude, prepared shards, checkpoints, downloads (EARMARK_CACHE)"),
        _folder("store", store, "embeddings (--store, EARMARK_STORE)"),
        _folder("runs", runs, "records and reports (--out)"),
    ]


def _folder(name: str, folder: Path, holds: str) -> Finding:
    where = f"{folder}: {holds}"
    try:
        existing = _existing(folder)
        free, total = _room(existing)
        writable = os.access(existing, os.W_OK | os.X_OK) and existing.is_dir()
        need = 0 if name == "cache" and _has_etude(folder) else ROOM[name]
        leftovers = len(list(folder.glob(".*.partial"))) if name == "runs" else 0
    except OSError as error:
        return Finding(
            "folders",
            name,
            "broken",
            f"{where}; cannot be looked at: {error.strerror or error}",
            mend=f"give another folder, or the right to read and write {folder}",
            unlocks="the main job writes there",
            needed=True,
        )
    said = f"{where}; {_bytes(free)} free of {_bytes(total)}"
    if leftovers:
        said += f"; {leftovers} unfinished of killed runs (.*.partial), which may be deleted"
    if not writable:
        return Finding(
            "folders",
            name,
            "broken",
            f"{said}; {existing} cannot be written to",
            mend=f"give another folder, or the right to write to {existing}",
            unlocks="the main job writes there",
            needed=True,
        )
    if free < need:
        return Finding(
            "folders",
            name,
            "low",
            f"{said}; the main job needs about {_bytes(need)}",
            mend="make room, or give a folder on another disk",
            unlocks="the main job writes there",
            needed=True,
        )
    return Finding("folders", name, "ok", said, needed=True)


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    path = folder.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _room(folder: Path) -> tuple[int, int]:
    usage = shutil.disk_usage(folder)
    return usage.free, usage.total


def _has_etude(cache: Path) -> bool:
    try:
        made = json.loads((cache / "etude" / "corpus.json").read_text(encoding="utf-8"))
        return made.get("fingerprint") is not None
    except (OSError, ValueError, AttributeError):
        return False


def _flags() -> set[str]:
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith("flags"):
            return set(line.partition(":")[2].split())
    return set()


def _memory() -> str:
    of = {
        name: words.split()[0]
        for name, _, words in (line.partition(":") for line in _lines(Path("/proc/meminfo")))
        if words.split()
    }
    if "MemTotal" not in of:
        return "not known on this system"
    said = f"{_bytes(1024 * int(of['MemTotal']))}"
    if "MemAvailable" in of:
        said += f", {_bytes(1024 * int(of['MemAvailable']))} available"
    limit = "".join(_lines(Path("/sys/fs/cgroup/memory.max")))
    if limit.isdecimal() and int(limit) < 1024 * int(of["MemTotal"]):
        said += f", of which this container may use {_bytes(int(limit))}"
    return said


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


# GPUs


def _gpus() -> list[Finding]:
    build = torch_build()
    rows = _smi("--query-gpu=name,memory.total,memory.free,driver_version,compute_cap")
    if isinstance(rows, str):
        return [
            Finding(
                "devices",
                "GPU",
                "missing",
                f"{rows}; {build}",
                unlocks="training beyond tiny models and embedding large sets in reasonable time",
            )
        ]
    cuda = _driver_cuda()
    found = []
    for number, row in enumerate(rows):
        said = f"{_gpu(row)}{cuda}; {build}"
        if "CUDA" in build:
            found.append(Finding("devices", f"GPU {number}", "ok", said))
            continue
        found.append(
            Finding(
                "devices",
                f"GPU {number}",
                "broken",
                said,
                mend="pip install torch torchaudio, in builds for CUDA",
                unlocks="computing on it: this PyTorch does not",
            )
        )
    return found


def _gpu(row: Sequence[str]) -> str:
    name, total, free, driver, capability = (*row, *["?"] * 5)[:5]
    try:
        bf16 = "bf16" if float(capability) >= _BF16_SINCE else "no bf16"
        memory = f"{float(free) / 1024:.1f} of {float(total) / 1024:.1f} GiB free"
    except ValueError:
        bf16, memory = f"compute capability {capability}", f"memory {total}"
    return f"{name}, {memory}, {bf16}, driver {driver}"


def _smi(*arguments: str) -> list[list[str]] | str:
    """Return a row of values a GPU, or why there is none."""
    text = _run_smi(*arguments, "--format=csv,noheader,nounits")
    if text is None:
        return "none found (nvidia-smi is not installed)"
    if isinstance(text, subprocess.CompletedProcess):
        words = (text.stdout + text.stderr).strip().splitlines()
        return f"none found (nvidia-smi: {words[-1] if words else 'failed'})"
    rows = [
        [cell.strip() for cell in line.split(",")] for line in text.splitlines() if line.strip()
    ]
    return rows or "none found (nvidia-smi lists none)"


def _run_smi(*arguments: str) -> str | subprocess.CompletedProcess[str] | None:
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SMI_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return subprocess.CompletedProcess([], 1, "", str(error))
    return done.stdout if done.returncode == 0 else done


def _driver_cuda() -> str:
    text = _run_smi()
    found = re.search(r"CUDA Version:\s*([\d.]+)", text) if isinstance(text, str) else None
    return f", CUDA up to {found[1]}" if found else ""


def torch_build() -> str:
    """Return which CUDA the installed PyTorch was built for, from its file: it is not imported."""
    try:
        spec = find_spec("torch")
        folders = list(spec.submodule_search_locations or ()) if spec else []
        text = "".join("\n".join(_lines(Path(folder, "version.py"))) for folder in folders)
    except (ImportError, ValueError, AttributeError):
        text = ""
    if not text:
        return "no PyTorch"
    found = re.search(r"^cuda[^=\n]*=\s*['\"]([\d.]+)['\"]", text, re.MULTILINE)
    return f"PyTorch for CUDA {found[1]}" if found else "PyTorch for CPUs alone"


def _bytes(n_bytes: float) -> str:
    return f"{n_bytes / 2**30:.1f} GiB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:.0f} MiB"
