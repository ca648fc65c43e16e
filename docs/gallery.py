"""Real reports for the gallery: ``python docs/gallery.py [SUITE...]``.

Runs the suites whose data and weights are found, and keeps each report as one HTML file in
``docs/_gallery``. Etude's checkpoints come from ``earmark bench``; without them the suite ``etude``
has its oracle and the random baseline alone.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import earmark
from earmark.bench.run.suite import read_suite, shipped_suites

OUT = Path(__file__).parent / "_gallery"


def main(names: list[str]) -> None:
    OUT.mkdir(exist_ok=True)
    rows = []
    for path in shipped_suites():
        if names and path.stem not in names:
            continue
        with tempfile.TemporaryDirectory() as work:
            try:
                run = earmark.run(path, out=work, available=True)
            except ValueError as error:
                print(f"{path.stem}: {error}")
                continue
            (page,) = run.report(work, formats=["html"])
            shutil.copy(page, OUT / f"{path.stem}.html")
            title = read_suite(path).suite.title
            rows.append(f'- <a href="{path.stem}.html">{title}</a>: {", ".join(run.tasks)}')
    (OUT / "gallery.md").write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
