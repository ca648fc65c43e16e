"""``earmark doctor``: what is there, what is not, and what each missing piece would unlock.

It reads, and writes nothing: no network, no model is opened, PyTorch is not imported. Whatever goes
wrong while one part is looked at is told as that part's finding.
"""

from __future__ import annotations

import json as json_module
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from earmark.bench.cli import doctor_data, doctor_machine, doctor_packages
from earmark.bench.cli.console import new_console, new_table, print_table
from earmark.bench.cli.doctor_packages import Finding
from earmark.datasets.files.places import cache_folder

if TYPE_CHECKING:
    from rich.console import Console

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


def doctor(*, store: Path, out: Path, imports: bool = False, json: bool = False) -> bool:
    """Print what was found; return whether the main job, ``earmark bench``, can run.

    Parameters
    ----------
    store, out
        Folders of the embeddings and of the run records, as for ``earmark bench``.
    imports
        Whether each package is imported too, in a process of its own.
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
    return not stopping


def examine(*, store: Path, out: Path, imports: bool = False) -> list[Finding]:
    """Look at everything; an error in one part is a finding, and the others are looked at."""
    shipped = Path(str(files("earmark.bench"))) / "baselines"
    parts: dict[str, Callable[[], list[Finding]]] = {
        "packages": partial(doctor_packages.packages, imports=imports),
        "devices": doctor_machine.machine,
        "folders": lambda: doctor_machine.folders(cache=cache_folder(), store=store, runs=out),
        "data": doctor_data.places,
        "weights": doctor_data.fetchable,
        "datasets": doctor_data.registered,
        "baselines": lambda: doctor_data.baselines([Path("bench", "baselines"), shipped]),
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
    for area, title in TITLES.items():
        rows = _shortened([one for one in findings if one.area == area])
        table = new_table(title)
        for _ in range(3):
            table.add_column("")
        table.show_header = False
        for one in rows:
            style = _STYLES[one.state]
            table.add_row(f"[{style}]{one.state}[/{style}]", _plain(one.name), _plain(_words(one)))
        print_table(console, table)
    if not stopping:
        console.print("The main job can run: earmark bench", style="bold green")
        return
    console.print("The main job, earmark bench, cannot run:", style="bold red")
    for one in stopping:
        mend = f". Mend: {one.mend}" if one.mend else ""
        console.print(f"{one.name}: {one.found}{mend}", markup=False, soft_wrap=True)


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
    return one.state == "missing" and one.mend in (doctor_data.MAKES_IT, doctor_data.GIVES_ROOT)


def _suites(one: Finding) -> list[str]:
    return [who.partition(":")[0] for who in one.unlocks.split("; ") if ":" in who]


def _plain(words: str) -> str:
    from rich.markup import escape

    return escape(words)
