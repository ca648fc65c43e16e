"""Which data, weights and baselines are at hand, where each was looked for, and who asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from earmark.bench.cli.doctor_packages import Finding
from earmark.bench.run.suite import Suite, SuiteError, read_suite, shipped_suites
from earmark.datasets.base import DataError
from earmark.datasets.files.fetch import Item, available, find_weights
from earmark.datasets.files.places import PLACES, cache_folder, candidates, data_roots
from earmark.datasets.registry import DATASETS

BASELINE_FILE = "baseline.json"
MAKES_IT = "earmark bench (makes it)"
GIVES_ROOT = 'where they lie elsewhere, a suite says: loader = "NAME", root = "FOLDER"'
_MADE = ("{data}/etude", "{models}/etude")


def places() -> list[Finding]:
    """Return each place that the suites that come with Earmark name, and who asks for it.

    What ``earmark fetch`` or ``earmark bench`` brings says so.
    """
    asked: dict[str, list[str]] = {}
    findings: list[Finding] = []
    for path in shipped_suites():
        try:
            suite = read_suite(path)
        except SuiteError as error:
            findings.append(Finding("data", path.name, "broken", str(error)))
            continue
        for template, who in _asked_by(suite):
            asked.setdefault(template, []).append(who)
    return findings + [
        _place(template, list(dict.fromkeys(who)), _fetched())
        for template, who in sorted(asked.items())
    ]


def missing_of(suite: Suite) -> list[Finding]:
    """Return each place and download that a suite names and that is not found."""
    places = dict.fromkeys(template for template, _ in _asked_by(suite))
    found = [_place(template, [], _fetched()) for template in places]
    found += [_item(available()[name], []) for name in suite.suite.fetch]
    return [one for one in found if one.state != "ok"]


def fetchable() -> list[Finding]:
    """Return each item of ``earmark fetch``: where it is, or where it was looked for."""
    users: dict[str, list[str]] = {}
    for path in shipped_suites():
        try:
            suite = read_suite(path)
        except SuiteError:  # told with the places
            continue
        for name in suite.suite.fetch:
            users.setdefault(name, []).append(path.stem)
    return [_item(item, users.get(name, [])) for name, item in available().items()]


def registered() -> list[Finding]:
    """Return each registered dataset that lies under its own name in a data folder, or where not.

    A suite gives a dataset's root, so that one that lies elsewhere is not missed by this.
    """
    try:
        names = list(DATASETS.targets())
    except DataError as error:
        return [Finding("datasets", "registry", "broken", str(error))]
    found = []
    for name in names:
        spelled = dict.fromkeys([name, name.replace("-", "_")])
        looked = tuple(str(root / each) for root in data_roots() for each in spelled)
        place = _first_there(looked)
        found.append(
            Finding(
                "datasets",
                name,
                "ok" if place else "missing",
                place or "in no data folder",
                mend="" if place else GIVES_ROOT,
                looked=looked,
            )
        )
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


def _fetched() -> dict[str, str]:
    """Return the places that ``earmark fetch`` fills, each with the name to fetch."""
    return {f"{{data}}/{item.folder}": name for name, item in available().items()}


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
    if isinstance(value, str) and value.startswith(PLACES):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _templates(each)
    elif isinstance(value, list):
        for each in value:
            yield from _templates(each)


def _place(template: str, who: list[str], fetched: dict[str, str]) -> Finding:
    looked = tuple(map(str, candidates(template)))
    area = "weights" if template.startswith("{models}") else "data"
    place = _first_there(looked)
    if place is not None:
        return Finding(area, template, "ok", place, looked=looked)
    fetch = next((name for at, name in fetched.items() if template.startswith(at)), None)
    mend = f"earmark fetch {fetch}" if fetch else "set EARMARK_DATA to the folder that holds it"
    if template.startswith(_MADE):
        mend = MAKES_IT
    elif area == "weights":
        mend = "the first lines of the suite say how they are made"
    return Finding(
        area, template, "missing", "not found", mend, unlocks="; ".join(who), looked=looked
    )


def _item(item: Item, users: list[str]) -> Finding:
    roots = [cache_folder(), *data_roots()]
    looked = [str(root / item.folder / item.files[0].path) for root in roots]
    place = None
    for root in roots:
        if all(_there(root / item.folder / file.path) for file in item.files):
            place = str(root / item.folder)
            break
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
