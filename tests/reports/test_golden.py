"""The report of a small fixed record: its outline to the letter, and its bytes in two processes."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from earmark.reports import page
from earmark.reports.content import TableBlock

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
sys.path.insert(0, sys.argv[1])
import report_sample
from earmark.reports.html import render_html
from earmark.reports.pdf import render_pdf
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
    report = page.build(small.record, small.items, small.arrays)
    lines = [line for section in report.sections for line in outline(section, 0)]
    assert "\n".join(lines).replace("\N{NO-BREAK SPACE}", " ") + "\n" == OUTLINE


def test_page_and_paper_are_the_same_bytes_in_another_process_at_another_time(tmp_path):
    digests = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        subprocess.run(
            [sys.executable, "-c", RENDER, str(Path(__file__).parent), str(folder)],
            env={**os.environ, "PYTHONHASHSEED": seed, "SOURCE_DATE_EPOCH": "1700000000"},
            check=True,
            timeout=300,
        )
        digests.append(
            [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())]
        )
    assert digests[0] == digests[1]
    assert b"(D:20231114221320Z)" in (tmp_path / "1" / "report.pdf").read_bytes()
