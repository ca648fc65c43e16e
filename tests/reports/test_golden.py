"""The report of a small fixed record: its outline to the letter, and its bytes in two processes.

The digest of the PDF in ``golden.json`` holds for the versions there and is checked with these
alone. Where a change of the report is meant: ``python tests/reports/test_golden.py`` renews it.
"""

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from threadpoolctl import threadpool_info

from earmark.reports.content import TableBlock
from earmark.reports.render import data_files as exports

OUTLINE = """\
Leaderboard
  [Models by task] Model | Pearson r, arousal, all | Pearson r, valence, all (2 + 1)
  (Rated arousal and valence (GTZAN excerpts): Pearson r, all)
Rated arousal and valence (GTZAN excerpts)
  Scores
    [Arousal, set all] Model | Pearson r | 95 % interval | n | Coverage | Relative to chance (2 + 1)
    [Valence, set all] Model | Pearson r | 95 % interval | n | Coverage | Relative to chance (2 + 1)
    [Set all: every metric] Model | Pearson r | CCC | RMSE | Pearson r | CCC | RMSE (2 + 1)
    [Every score] Model | Set | Dimension | Metric | Value | 95 % interval | n | Coverage | Chance (12 + 0)
  Figures
    (Predicted against rated: emomusic-msd-musicnn-2)
    (Predicted against rated: deam-msd-musicnn-2)
    (Residuals)
  Protocol
Datasets
  MusAV (pairs made from noise)
  GTZAN excerpts with arousal and valence
Models
  [Models of this run] Model | Version | Licence | Trained on | Datasets of this report among them | Time (2 + 0)
  emomusic-msd-musicnn-2
  deam-msd-musicnn-2
Citations
Reproducibility
  [How each model was run] Model | Weights (sha256) | Crop policy | Device | dtype (2 + 0)
  [Lists of items] Task | Sets | Items | sha256 of the sorted ids (1 + 0)
"""  # noqa: E501

RENDER = """
import sys
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/../support"]
import report_sample
from rendered import render_html, render_pdf
small = report_sample.cut_down(report_sample.sample())
html = render_html(small.record, small.items, small.arrays)
open(sys.argv[2] + "/report.html", "w", encoding="utf-8").write(html)
render_pdf(small.record, small.items, small.arrays, sys.argv[2] + "/report.pdf")
"""


def outline(section, depth):
    lines = ["  " * depth + section.title]
    for block in section.blocks:
        if isinstance(block, TableBlock):
            heads = " | ".join(column.label for column in block.columns)
            size = f"({len(block.rows)} + {len(block.foot)})"
            lines.append("  " * (depth + 1) + f"[{block.caption}] {heads} {size}")
        if block.kind == "plots":
            lines += ["  " * (depth + 1) + f"({plot.title})" for plot in block.plots]
    for part in section.sections:
        lines += outline(part, depth + 1)
    return lines


def test_the_outline_of_a_report(small):
    from rendered import build

    report = build(small.record, small.items, small.arrays)
    lines = [line for section in report.sections for line in outline(section, 0)]
    assert "\n".join(lines).replace("\N{NO-BREAK SPACE}", " ") + "\n" == OUTLINE


GOLDEN = Path(__file__).with_name("golden.json")
MEND = "if the change is meant, renew it: python tests/reports/test_golden.py"


def versions():
    """What the bytes of the PDF depend on."""
    packages = ("matplotlib", "numpy", "typst")
    found = {name: importlib.metadata.version(name) for name in packages}
    # The last digits of a fitted line depend on the processor's kernels.
    kernels = sorted({str(one.get("architecture")) for one in threadpool_info()} - {"None"})
    return found | {"machine": " ".join([platform.system(), platform.machine(), *kernels])}


def rendered(folder, seed="1"):
    """Render the page and the paper in another process; return their digests."""
    subprocess.run(
        [sys.executable, "-c", RENDER, str(Path(__file__).parent), str(folder)],
        env={**os.environ, "PYTHONHASHSEED": seed, "SOURCE_DATE_EPOCH": "1700000000"},
        check=True,
        timeout=300,
    )
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def twice(tmp_path_factory):
    """The digests of two processes, and the folder of the first."""
    folders = [tmp_path_factory.mktemp(f"seed{seed}") for seed in ("1", "2")]
    return [rendered(f, seed) for f, seed in zip(folders, ("1", "2"), strict=True)], folders[0]


def test_page_and_paper_are_the_same_bytes_in_another_process_at_another_time(twice):
    (first, second), folder = twice
    assert set(first) == {"report.html", "report.pdf"}
    assert first == second
    assert b"(D:20231114221320Z)" in (folder / "report.pdf").read_bytes()


def test_the_bytes_of_the_paper_are_those_that_were_looked_at(twice):
    golden = json.loads(GOLDEN.read_text())
    here = versions()
    if unlike := [name for name, version in golden["versions"].items() if here[name] != version]:
        said = ", ".join(f"{n} {here[n]} instead of {golden['versions'][n]}" for n in unlike)
        pytest.skip(f"the golden digest holds for other versions: here is {said}")
    (first, _), folder = twice
    assert first["report.pdf"] == golden["report.pdf"], f"{folder / 'report.pdf'}: {MEND}"


CSV = """\
Model,Pearson r,value of Pearson r,95 % interval,n,Coverage,Relative to chance
emomusic-msd-musicnn-2,0.916,0.9159799703,"[0.902, 0.933]",321,100 %,above
deam-msd-musicnn-2,0.914,0.9143074284,"[0.895, 0.930]",321,100 %,above
chance,0.000,0,,,,
"""
LATEX = r"""\begin{table}
\caption{Arousal, set all}
\begin{tabular}{lrrrrl}
\toprule
Model & Pearson r & 95~\% interval & n & Coverage & Relative to chance \\
\midrule
emomusic-msd-musicnn-2 & \textbf{0.916} & [0.902, 0.933] & 321 & 100~\% & above \\
deam-msd-musicnn-2 & \textbf{0.914} & [0.895, 0.930] & 321 & 100~\% & above \\
\midrule
chance & 0.000 &  &  &  &  \\
\bottomrule
\end{tabular}
% Intervals: 95 %, percentile bootstrap over clips, 200 replicates.
\end{table}
"""


def test_a_table_as_csv_and_as_latex(small):
    from rendered import build

    report = build(small.record, small.items, small.arrays)
    (table,) = [
        block
        for section in report.sections
        for part in section.sections
        for block in part.blocks
        if isinstance(block, TableBlock) and block.caption == "Arousal, set all"
    ]
    assert exports.to_csv(table) == CSV
    assert exports.to_latex(table) == LATEX


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        digest = rendered(Path(name))["report.pdf"]
    written = {"report.pdf": digest, "versions": versions()}
    GOLDEN.write_text(json.dumps(written, indent=2) + "\n")
