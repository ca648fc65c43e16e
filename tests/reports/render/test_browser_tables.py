"""Every table of a report in headless Chromium: its files, its buttons, its order, its filter.

On pages with retrieval, classification and tagging as well as ratings and pairs, as wide as a
telephone. With EARMARK_REPORTS, a folder, the same holds for every report.html below it.
"""

import os
from pathlib import Path

import pytest
from headless_chromium import CHROMIUM, opened
from rendered import build

from earmark.reports.render.html import page_html

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path")

USE = """
const check = () => {
  const tables = [...document.querySelectorAll("table")];
  Object.assign(found, { tables: tables.length, bad: [], sorted: 0, filtered: 0 });
  const data = (link) => decodeURIComponent(link.getAttribute("href").split(/,(.*)/s)[1]);
  for (const table of tables) {
    const name = table.caption.textContent.trim();
    const wrong = (what) => found.bad.push(`${name}: ${what}`);
    const box = table.closest(".scroll").parentElement;
    const rows = () => [...table.tBodies[0].rows];
    const count = rows().length;
    const csv = box.querySelector('.take a[download$=".csv"]');
    const tex = box.querySelector("a.latex");
    if (!csv || data(csv).split("\\n").length <= count) wrong("CSV");
    if (!tex || !data(tex).startsWith("\\\\begin{table}")) wrong("LaTeX");
    if (!box.querySelector(".take button")) wrong("no button that copies");
    table.querySelectorAll("tr.heads th").forEach((head, column) => {
      const button = head.querySelector("button");
      if (!button) {
        if (count >= 3) wrong(`column ${column} does not sort`);
        return;
      }
      button.click();
      button.click();
      found.sorted += 1;
      if (rows().length !== count || !head.getAttribute("aria-sort")) wrong(`sort of ${column}`);
      if (!head.classList.contains("number")) return;
      const keys = rows().map((row) => parseFloat(row.cells[column].dataset.sort ?? "NaN"));
      const known = keys.filter((key) => !Number.isNaN(key));
      if (known.some((key, place) => key < known[place - 1])) wrong(`order of ${column}`);
    });
    const input = box.querySelector(".filter input");
    if (count >= 8 && !input) wrong("no filter");
    if (!input) continue;
    const shown = (words) => {
      input.value = words;
      input.dispatchEvent(new Event("input"));
      return rows().filter((row) => !row.hidden).length;
    };
    found.filtered += 1;
    if (shown("") !== count || shown("zzqqxx") !== 0) wrong("filter");
    if (!shown(rows()[0].cells[0].textContent.trim().split(/\\s+/)[0])) wrong("filter by a word");
  }
  const without = (figure) => !figure.querySelector('a[download$=".csv"]');
  found.dataless = [...document.querySelectorAll("figure")].filter(without).length;
  const root = document.documentElement;
  found.overflow = root.scrollWidth - root.clientWidth;
  done();
};
addEventListener("load", () => {
  for (const part of document.querySelectorAll("details")) part.open = true;
  setTimeout(check, 200);
});
"""


def assert_usable(html, folder):
    found, console = opened(html, USE, folder, "--window-size=390,800")
    assert found["bad"] == [] and found["tables"] > 0
    assert found["sorted"] > 0 and found["filtered"] > 0
    assert found["dataless"] == 0
    assert found["overflow"] == 0, "the page is wider than the window"
    assert (found["errors"], found["requests"], console) == ([], [], [])


@pytest.fixture(scope="module")
def joint_html(sample, joint):
    models = ["muscall", "clap", "random"]
    tasks = [joint.retrieval(models), joint.classification(models), joint.tagging(models)]
    record = sample.record.model_copy(update={"tasks": [task for task, _, _ in tasks]})
    items = {task.id: table for task, table, _ in tasks}
    arrays = {task.id: found for task, _, found in tasks}
    return page_html(build(record, items, arrays))


def test_tables_of_ratings_and_pairs_can_be_used(sample, tmp_path):
    report = build(sample.record, sample.items, sample.arrays)
    assert_usable(page_html(report), tmp_path)


def test_tables_of_audio_text_tasks_can_be_used(joint_html, tmp_path):
    assert_usable(joint_html, tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('class="latex"', 'class="gone"', "LaTeX"),
        ('.csv" href="data:text/csv;charset=utf-8,', '.csv" href="data:text/csv,x', "CSV"),
        ("<figure", "<figure><figcaption></figcaption></figure><figure", None),
    ],
)
def test_a_table_or_a_figure_that_lacks_a_file_would_be_found(joint_html, tmp_path, old, new, said):
    assert old in joint_html
    broken = joint_html.replace(old, new, 1)
    if said == "CSV":
        # A link that holds the head alone.
        head, rest = broken.split(new, 1)
        broken = head + new + rest[rest.index('"') :]
    found, _ = opened(broken, USE, tmp_path)
    if said is None:
        assert found["dataless"] == 1 and found["bad"] == []
    else:
        assert any(line.endswith(f": {said}") for line in found["bad"])


def test_tables_of_given_reports_can_be_used(tmp_path):
    folder = os.environ.get("EARMARK_REPORTS")
    if not folder:
        pytest.skip("EARMARK_REPORTS names no folder of reports")
    paths = sorted(Path(folder).rglob("report.html"))
    assert paths, f"no report.html below {folder}"
    for number, path in enumerate(paths):
        place = tmp_path / str(number)
        place.mkdir()
        assert_usable(path.read_text(encoding="utf-8"), place)
