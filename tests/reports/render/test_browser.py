"""The HTML report in headless Chromium: no error, no request, tables that work, axe content.

A copy of the page gets a script of the test; its policy is widened by that script's digest alone.
Skipped where no Chromium is installed; axe also needs EARMARK_AXE, the path of axe-core's script.
"""

import dataclasses
import os
import re
from pathlib import Path

import pytest
from headless_chromium import CHROMIUM, opened
from rendered import build

from earmark.reports.content import Cell, Column, Section, TableBlock
from earmark.reports.render.html import page_html
from earmark.reports.render.short import brief

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path")


@pytest.fixture(scope="module")
def report(sample):
    """The sample's page with a table of 10,000 rows."""
    rows = [
        [Cell(f"item <{n}>"), Cell(str(n % 97), sort=n % 97), Cell("blues" if n % 10 else "jazz")]
        for n in range(10_000)
    ]
    rows[5][1] = Cell("—", mark="1")
    columns = [Column("Item", code=True), Column("Rank", numeric=True), Column("Genre")]
    long = TableBlock("Ten thousand", columns, rows, folded=True)
    built = build(sample.record, sample.items, sample.arrays)
    extra = Section("Long", "long", [long])
    return dataclasses.replace(built, sections=[*built.sections, extra])


@pytest.fixture(scope="module")
def html(report):
    return page_html(report)


def test_there_is_no_error_and_no_request(html, tmp_path):
    found, console = opened(html, "addEventListener('load', () => setTimeout(done, 50));", tmp_path)
    assert found == {"errors": [], "requests": []}
    assert console == []


def test_a_brief_page_without_contents_has_no_error_on_a_narrow_screen(report, tmp_path):
    page = page_html(brief(report, whole="earmark report x"))
    script = "addEventListener('load', () => setTimeout(done, 50));"
    found, console = opened(page, script, tmp_path, "--window-size=390,800")
    assert (found, console) == ({"errors": [], "requests": []}, [])


def test_a_page_with_an_error_or_a_request_would_be_found(html, tmp_path):
    bad = html.replace("<main>", '<main><img src="https://example.org/x.png">')
    script = "addEventListener('load', () => setTimeout(done, 50)); missing();"
    found, console = opened(bad, script, tmp_path)
    assert "img-src" in found["errors"]
    assert any("missing" in error for error in found["errors"]) and console


def test_a_click_sorts_down_then_up_and_gaps_stay_last(html, tmp_path):
    script = """
    const table = [...document.querySelectorAll("table")].find(
      (one) => one.caption.textContent.startsWith("Arousal, set gt"));
    const column = (n) => [...table.tBodies[0].rows].map((row) => row.cells[n].textContent);
    const [model, value] = table.querySelectorAll("tr.heads th button");
    found.before = column(1);
    value.click(); found.down = column(1);
    value.click(); found.up = column(1);
    found.sort = [...table.querySelectorAll("tr.heads th")].map((h) => h.getAttribute("aria-sort"));
    model.click(); found.names = column(0);
    done();
    """
    found, _ = opened(html, script, tmp_path)
    values = list(map(float, found["before"]))
    assert list(map(float, found["down"])) == sorted(values, reverse=True)
    assert list(map(float, found["up"])) == sorted(values)
    assert found["sort"][:3] == [None, "ascending", None]
    assert found["names"] == sorted(found["names"])
    assert found["errors"] == []


def test_ten_thousand_rows_are_built_when_opened_and_sort_and_filter(html, tmp_path):
    script = """
    const table = [...document.querySelectorAll("table")].find(
      (one) => one.caption.textContent === "Ten thousand");
    const body = table.tBodies[0];
    found.folded = body.rows.length;
    table.closest("details").open = true;
    setTimeout(() => {
      found.open = body.rows.length;
      found.first = [...body.rows[0].cells].map((cell) => cell.outerHTML);
      table.querySelectorAll("tr.heads th button")[1].click();
      found.top = body.rows[0].cells[1].textContent;
      found.last = body.rows[9999].cells[1].textContent;
      const input = table.closest("details").querySelector("input[type=search]");
      found.label = input.labels[0].textContent;
      input.value = "  JAZZ 12 ";
      input.dispatchEvent(new Event("input"));
      found.shown = [...body.rows].filter((row) => !row.hidden).map((row) => row.textContent);
      found.said = table.closest("details").querySelector("[role=status]").textContent;
      input.value = "";
      input.dispatchEvent(new Event("input"));
      found.again = [...body.rows].filter((row) => !row.hidden).length;
      done();
    }, 200);
    """
    found, _ = opened(html, script, tmp_path)
    assert (found["folded"], found["open"], found["again"]) == (0, 10_000, 10_000)
    assert found["first"] == [
        '<th scope="row" class="digest">item &lt;0&gt;</th>',
        '<td class="number" data-sort="0">0</td>',
        "<td>jazz</td>",
    ]
    assert (found["top"], found["last"]) == ("96", "—(1)")
    assert found["label"] == "Rows with in “Ten thousand”"
    expected = [n for n in range(10_000) if n % 10 == 0 and ("12" in f"item <{n}> {n % 97}")]
    assert len(found["shown"]) == len(expected)
    assert found["said"] == f"{len(expected)} of 10,000 rows"
    assert found["errors"] == []


def test_latex_is_copied_and_links_hold_the_same(html, tmp_path):
    script = """
    const link = document.querySelector("a.latex");
    let copied = null;
    Object.defineProperty(navigator, "clipboard", {
      value: { writeText: async (text) => { copied = text; } } });
    link.nextElementSibling.click();
    setTimeout(() => {
      found.copied = copied;
      found.said = link.parentElement.querySelector("[role=status]").textContent;
      done();
    }, 50);
    """
    found, _ = opened(html, script, tmp_path)
    head = "\\begin{table}\n\\caption{Who is best, and how sure that is}\n"
    assert found["copied"].startswith(head)
    assert found["copied"].endswith("\\end{table}\n") and found["said"] == "copied"
    assert found["errors"] == []


@pytest.mark.parametrize("options", [(), ("--force-dark-mode",)], ids=["light", "dark"])
def test_axe_finds_no_serious_violation(html, tmp_path, options):
    source = os.environ.get("EARMARK_AXE")
    if not source:
        pytest.skip("EARMARK_AXE does not name axe-core's axe.min.js")
    axe = Path(source).read_text(encoding="utf-8")
    script = f"""{axe}
    for (const part of document.querySelectorAll("details")) part.open = true;
    addEventListener("load", async () => {{
      const run = await axe.run(document, {{}});
      found.violations = run.violations.map((v) => [v.impact, v.id, v.nodes.length,
        v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200))]);
      found.passes = run.passes.length;
      found.dark = matchMedia("(prefers-color-scheme: dark)").matches;
      done();
    }});
    """
    small = re.sub(r'<section id="long".*?</section>', "", html, flags=re.DOTALL)
    found, _ = opened(small, script, tmp_path, *options, "--virtual-time-budget=120000")
    assert found["passes"] > 20 and found["dark"] == bool(options)
    assert found["violations"] == []


@pytest.mark.parametrize("options", [(), ("--force-dark-mode",)], ids=["light", "dark"])
def test_all_text_has_the_contrast_of_level_aa(html, tmp_path, options):
    """Axe leaves most of it open, for it cannot tell what lies behind a scrolled table."""
    script = """
    const light = (colour) => {
      const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => {
        const share = part / 255;
        return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element) => {
      for (let one = element; one; one = one.parentElement) {
        const colour = getComputedStyle(one).backgroundColor;
        if (colour.startsWith("rgb(")) return colour;
      }
      return "none";
    };
    for (const part of document.querySelectorAll("details")) part.open = true;
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    found.pairs = {};
    while (texts.nextNode()) {
      const element = texts.currentNode.parentElement;
      const hidden = ["SCRIPT", "NOSCRIPT", "STYLE", "title", "desc"].includes(element.tagName);
      if (hidden || !texts.currentNode.data.trim()) continue;
      const style = getComputedStyle(element);
      const ink = element.closest("svg") ? style.fill : style.color;
      found.pairs[`${ink} on ${behind(element)}`] = element.outerHTML.slice(0, 80);
    }
    found.ratios = Object.keys(found.pairs).map((pair) => {
      const [high, low] = pair.split(" on ").map(light).sort((a, b) => b - a);
      return [pair, (high + 0.05) / (low + 0.05)];
    });
    done();
    """
    found, _ = opened(html, script, tmp_path, *options)
    assert len(found["ratios"]) >= 5
    # Figures of bars have text on the bars; test_figures holds those to their own contrast.
    weak = [
        (pair, ratio, found["pairs"][pair])
        for pair, ratio in found["ratios"]
        if ratio < 4.5 and not found["pairs"][pair].startswith("<text")
    ]
    assert weak == []
