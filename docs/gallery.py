"""Real reports for the gallery: ``python docs/gallery.py [SUITE | RECORD ...]``.

Runs suites, by default all whose data and weights are found, or takes records as they are
(``runs/*`` of ``earmark bench``), and keeps each report as one HTML file in ``docs/_gallery``.
Etude's checkpoints come from ``earmark bench``; without them the suite ``etude`` has its oracle and
the random baseline alone.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import earmark
from earmark.bench.run.suite import shipped_suites

OUT = Path(__file__).parent / "_gallery"


def main(names: list[str]) -> None:
    """Write ``_gallery`` anew."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    with tempfile.TemporaryDirectory() as work:
        rows = []
        for run in _runs(names, Path(work)):
            suite = run.record.suite
            (page,) = run.report(work, formats=["html"])
            shutil.copy(page, OUT / f"{suite.name}.html")
            rows.append(f'- <a href="{suite.name}.html">{suite.title}</a>: {_tasks(run)}')
    (OUT / "gallery.md").write_text("\n".join(dict.fromkeys(rows)) + "\n")


def _tasks(run: earmark.Run) -> str:
    return "; ".join(dict.fromkeys(task.title for task in run.record.tasks))


def _runs(names: list[str], work: Path) -> Iterator[earmark.Run]:
    records = [name for name in names if Path(name, "run.json").is_file()]
    for name in records:
        yield earmark.open(name)
    suites = {path.stem: path for path in shipped_suites()}
    for name in [name for name in names if name not in records] or (() if records else suites):
        try:
            yield earmark.run(suites[name], out=work, available=True)
        except ValueError as error:
            print(f"{name}: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
