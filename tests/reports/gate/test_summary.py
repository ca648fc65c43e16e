"""The verdict as Markdown, within the limits of GitHub, and as a part of the report."""

import re

import gate_verdicts
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rendered import render_html

from earmark.reports import content
from earmark.reports.gate import verdict as verdicts
from earmark.reports.gate.summary import (
    COMMENT_CHARACTERS,
    STEP_SUMMARY_BYTES,
    escape,
    marker,
    render_comment,
    render_step_summary,
)


def huge(n_rows, *, cause="a cause of some length, " * 30):
    failed = gate_verdicts.FAILED | {"causes": [cause]}
    rows = [gate_verdicts.row(task=f"task {i}", **failed) for i in range(n_rows)]
    rows += [gate_verdicts.row(task=f"passed {i}") for i in range(n_rows)]
    return gate_verdicts.verdict("regression", metrics=rows, warnings=["a warning"] * n_rows)


def tables(page):
    """Each table as its rows of cells; every row must have as many cells as the head."""
    found = []
    for block in re.findall(r"(?:^\|.*\n?)+", page, flags=re.MULTILINE):
        rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in block.strip().splitlines()]
        assert len({len(row) for row in rows}) == 1
        assert all(re.fullmatch(r" :?-+:? ", cell) for cell in rows[1])
        found.append([[cell.strip() for cell in row] for row in [rows[0], *rows[2:]]])
    return found


def test_the_verdict_stands_first_and_what_passed_is_folded():
    page = render_step_summary(gate_verdicts.mixed())
    assert page.startswith("## Gate: invalid\n")
    bad, good = tables(page)
    assert [row[0] for row in bad[1:]] == [
        "**INVALID**",
        "**FAIL**",
        "**FAIL (advisory)**",
        "undecided",
    ]
    assert [row[0] for row in good[1:]] == ["pass, improved", "pass"]
    assert page.index("**genres**: changed dataset") < page.index("| Verdict")
    inside = page.split("<details>")[1]
    assert "2\N{NO-BREAK SPACE}scores passed" in inside and "improved" in inside
    assert page.count("<details>") == page.count("</details>") == 3


def test_numbers_are_written_as_their_metric_is():
    (table,) = tables(render_step_summary(gate_verdicts.verdict()))
    cells = dict(zip(table[0], table[1], strict=True))
    assert cells["Baseline"] == "30.0"
    assert cells["Difference"] == "+1.0"
    assert cells["Interval"] == r"\[−0.5, 2.5\]"
    assert cells["Detectable"] == "2.2"
    assert cells["N"] == "1,000 (500 clips)"


@pytest.mark.parametrize("n_rows", [0, 1, 40, 1200])
def test_both_fit_whatever_the_number_of_scores(n_rows):
    verdict = huge(n_rows)
    page, comment = render_step_summary(verdict), render_comment(verdict)
    assert len(page.encode()) <= STEP_SUMMARY_BYTES < 1024 * 1024
    assert len(comment) <= COMMENT_CHARACTERS < 65_536
    assert comment.startswith(marker("invented") + "\n## Gate: regression\n")
    for one in (page, comment):
        tables(one)
        assert one.count("<details>") == one.count("</details>")
    if n_rows == 1200:
        assert "more, see verdict.json" in comment
        assert len(comment) > 40_000
        assert "task 0" in comment


def test_the_limits_hold_for_letters_of_several_bytes_and_code_units():
    verdict = huge(900, cause="\N{MUSICAL SYMBOL G CLEF}" * 400)
    assert len(render_step_summary(verdict).encode()) <= STEP_SUMMARY_BYTES
    assert len(render_comment(verdict).encode("utf-16-le")) // 2 <= COMMENT_CHARACTERS


@given(st.text(max_size=80))
def test_no_name_from_the_data_acts_as_markup(words):
    failed = gate_verdicts.row(task=words, model=words, status="fail", causes=[words])
    page = render_step_summary(gate_verdicts.verdict("regression", metrics=[failed]))
    assert page.count("\n## ") == 0 and page.startswith("## Gate")
    assert len(tables(page)[0]) == 2
    assert page.count("<details>") == page.count("</details>") == 1


def test_mentions_and_links_are_text():
    written = escape("@someone [x](http://x) <script> `a`\nb | c")
    assert "@someone" not in written
    assert r"\[x\](http://x)" in written
    assert r"\<script\>" in written
    assert "\n" not in written
    assert r"\|" in written


def test_the_marker_is_one_comment_whatever_the_suite_is_called():
    assert marker("a") != marker("b")
    for name in ("x --> y", "a--b", "<!--"):
        inside = marker(name).removeprefix("<!-- ").removesuffix(" -->")
        assert "--" not in inside and ">" not in inside


def test_the_section_has_the_rows_and_causes_of_the_verdict():
    section = verdicts.section(gate_verdicts.mixed())
    assert (section.title, section.anchor) == ("Gate against the baseline", "gate")
    by_kind = {block.kind: block for block in section.blocks}
    table = by_kind["table"]
    assert [column.label for column in table.columns][:4] == ["Metric", "Task", "Model", "Verdict"]
    assert [row[3].text for row in table.rows][:2] == ["INVALID", "FAIL"]
    said = "".join(content.plain(words) for words in by_kind["bullets"].items)
    assert "the candidate was run from a tree" in said


def test_the_page_shows_the_gate_before_its_tasks(small):
    section = verdicts.section(gate_verdicts.mixed())
    page = render_html(small.record, small.items, small.arrays, gate=section)
    first_task = small.record.tasks[0].title
    assert 0 < page.index('id="gate"') < page.rindex(first_task)
    assert "more than the margin 0.02" in page


def test_many_scores_that_passed_are_folded_away_from_those_that_did_not():
    verdict = gate_verdicts.mixed()
    (good,) = [row for row in verdict["metrics"] if row["status"] == "pass"][:1]
    bad = [row for row in verdict["metrics"] if row["status"] != "pass"]
    tables = {
        number: [
            (block.caption, len(block.rows), block.folded)
            for block in verdicts.section({**verdict, "metrics": [*bad, *[good] * number]}).blocks
            if block.kind == "table"
        ]
        for number in (0, 12, 13)
    }
    assert tables[0] == [("Gated scores, those that did not pass first", len(bad), False)]
    assert tables[12] == [("Gated scores, those that did not pass first", len(bad) + 12, False)]
    assert tables[13] == [
        ("Gated scores that did not pass", len(bad), False),
        ("Gated scores that passed", 13, True),
    ]
    every = verdicts.section({**verdict, "metrics": [good] * 13}).blocks
    assert [block.folded for block in every if block.kind == "table"] == [True]
