"""How fast training, embedding and ranking are on a GPU: one command, ten minutes, its own data.

::

    pip install torch torchaudio numpy scipy lightning-fabric pydantic soundfile filelock
    python bench/speed/gpu_check.py --out gpu_check.json

Nothing is downloaded, and Earmark need not be installed: the checkout is enough. Every section has
a share of the time and stops at it; after each one the JSON file is written anew, so that a run
that is cut short leaves what it had. ``--toy`` is the same at toy size, on a CPU too.

What is compared
----------------
*ours*: MusCALL's preset ``paper`` (batch 256, crops of 20 s), bf16, ``torch.compile``,
channels-last, fused Adam, log-mels on the device, crops from int16 shards by memory map.

*plain*: the same network and batch as the released code trains it, in single precision and in fp16
with a scaler: torchaudio's mel spectrogram and decibels inside the step, no compilation, AdamW, one
loader process that reads a float ``.npy`` file a clip, crops it and collates; each step's loss is
read by the host. Written from the facts of that code, none of it is copied.

Augmentation is left out of both, then put into both where torch-audiomentations is installed too:
the released chain is built anew each batch. Loss weighting, which needs a sentence encoder, is left
out of both. All numbers are of one run on one machine; compare ratios.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

from gpu_check_others import embed, memory, rank  # type: ignore[import-not-found]
from gpu_check_plain import plain_in_memory, plain_with_loader  # type: ignore[import-not-found]
from gpu_check_setup import TOY, Check, Size, write_corpus  # type: ignore[import-not-found]
from gpu_check_training import train_augmented, train_from_shards, train_in_memory  # type: ignore[import-not-found]

ROOT = Path(__file__).resolve().parents[2]


def make_importable(folder: Path) -> None:
    """Make ``earmark`` importable from the checkout, through a folder of links, if it is not."""
    with suppress(ImportError):
        import earmark.models.base  # noqa: F401

        return
    (folder / "earmark").mkdir()
    parts = [ROOT / part for part in ("bench", "datasets", "models", "reports")]
    for part in (*parts, *(ROOT / "earmark").iterdir()):  # with __init__.py it is found first
        (folder / "earmark" / part.name).symlink_to(part, target_is_directory=part.is_dir())
    sys.path.insert(0, str(folder))
    # A failed import above may have left the namespace behind, without the new place.
    for name in [name for name in sys.modules if name.partition(".")[0] == "earmark"]:
        del sys.modules[name]


def sections(check: Check) -> list[tuple[str, float, Callable[[Check, float], dict[str, Any]]]]:
    """Return each section's name, its share of the time and what it does."""
    on_gpu = check.device.type == "cuda"
    found: list[tuple[str, float, Callable[[Check, float], dict[str, Any]]]] = [
        ("train in memory", 3, train_in_memory),
        ("train from shards", 3, train_from_shards),
        ("plain fp32 in memory", 1, lambda c, t: plain_in_memory(c, t, half=False)),
        ("plain fp32, one loader", 2, lambda c, t: plain_with_loader(c, t, half=False)),
    ]
    if on_gpu:  # a scaler and fp16 need a GPU
        found += [
            ("plain fp16 in memory", 1, lambda c, t: plain_in_memory(c, t, half=True)),
            ("plain fp16, one loader", 2, lambda c, t: plain_with_loader(c, t, half=True)),
        ]
    found += [("embed", 1, embed), ("rank", 1, rank), ("memory", 2, memory)]
    if not augmentation_is_installed():
        return found
    found += [
        ("train augmented in memory", 2, train_augmented),
        (
            "plain augmented in memory",
            2,
            lambda c, t: plain_in_memory(c, t, half=on_gpu, augmented=True),
        ),
    ]
    return found


def augmentation_is_installed() -> bool:
    """Return whether torch-audiomentations is."""
    return importlib.util.find_spec("torch_audiomentations") is not None


def run_section(
    check: Check, name: str, work: Callable[[Check, float], dict[str, Any]], *, until: float
) -> dict[str, Any]:
    """Return what a section found, or why it found nothing; no section ends the others."""
    if time.monotonic() >= check.ends:
        return {"not_run": "the time was over"}
    check.clear()
    started = time.perf_counter()
    try:
        found = work(check, until)
    except torch.OutOfMemoryError as error:
        found = {"failed": f"out of memory: {str(error)[:200]}"}
    except Exception as error:
        traceback.print_exc()
        found = {"failed": f"{type(error).__name__}: {str(error)[:300]}"}
    return found | {"section_seconds": round(time.perf_counter() - started, 1)}


def ratios(found: dict[str, Any]) -> dict[str, float | None]:
    """Return how many times as fast ours is as each plain loop, of what was measured."""

    def rate(name: str) -> float | None:
        value: float | None = found.get(name, {}).get("samples_per_second")
        return value

    pairs = [
        ("train from shards", "plain fp32, one loader"),
        ("train from shards", "plain fp16, one loader"),
        ("train in memory", "plain fp32 in memory"),
        ("train in memory", "plain fp16 in memory"),
        ("train augmented in memory", "plain augmented in memory"),
    ]
    done: dict[str, float | None] = {}
    for ours, plain in pairs:
        first, second = rate(ours), rate(plain)
        if first and second:
            done[f"{ours} / {plain}"] = round(first / second, 2)
    return done


def show(found: dict[str, Any]) -> None:
    """Print a line a section."""
    for name, values in found["sections"].items():
        shown = ", ".join(f"{key} {value}" for key, value in values.items())
        print(f"{name:28} {shown}", flush=True)
    for name, value in found["ratios"].items():
        print(f"{name:62} {value:.2f}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the check; return 0 if every section found something."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--out", type=Path, default=Path("gpu_check.json"))
    parser.add_argument("--minutes", type=float, default=9.0, help="in all, without imports")
    parser.add_argument("--toy", action="store_true", help="toy size, on a CPU too")
    parser.add_argument("--only", nargs="*", help="names of sections")
    given = parser.parse_args(arguments)
    device = torch.device("cuda" if torch.cuda.is_available() and not given.toy else "cpu")
    if device.type == "cpu" and not given.toy:
        print("no CUDA device is here; --toy runs the same at toy size", file=sys.stderr)
        return 3
    ends = time.monotonic() + 60 * given.minutes
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_importable(folder)
        check = Check(TOY if given.toy else Size(), device, folder, given.out, ends)
        check.found = describe(check) | {"sections": {}, "ratios": {}}
        check.write()
        write_corpus(check)
        wanted = [one for one in sections(check) if not given.only or one[0] in given.only]
        for index, (section, share, work) in enumerate(wanted):
            left = sum(other for _, other, _ in wanted[index:])
            now = time.monotonic()
            until = now + (ends - now) * share / left
            check.found["sections"][section] = run_section(check, section, work, until=until)
            check.found["ratios"] = ratios(check.found["sections"])
            check.write()
    show(check.found)
    bad = [one for one in check.found["sections"].values() if "failed" in one or "not_run" in one]
    return 1 if bad else 0


def describe(check: Check) -> dict[str, Any]:
    """Return what the numbers depend on."""
    on_gpu = check.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name() if on_gpu else "CPU",
        "torch": torch.__version__,
        "cores": os.cpu_count(),
        "size": {name: getattr(check.size, name) for name in check.size.__slots__},
        "synthetic": True,
    }


if __name__ == "__main__":
    sys.exit(main())
