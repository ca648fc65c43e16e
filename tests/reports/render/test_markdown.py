"""The report as Markdown: its words and tables, and text that stays text."""

import dataclasses
import itertools

import pytest
from rendered import build

from earmark.reports.content import (
    Bullets,
    Cell,
    Code,
    Column,
    Facts,
    Page,
    Paragraph,
    Section,
    Span,
    TableBlock,
    text,
)
from earmark.reports.render import markdown

PAGE = Page(
    title="A | B",
    subtitle="now",
    verdict=[Bullets([text("On ", Span("x_1", "name"), " it is ", Span("5", "strong"), ".")])],
    sections=[
        Section(
            "One",
            "one",
            [
                Paragraph(text("Beware."), "warning"),
                TableBlock(
                    "T",
                    [Column("Model"), Column("R@10 (%)", numeric=True, group="Task")],
                    [[Cell("a|b"), Cell("39.0", sub="[31.7, 46.3] a", mark="1", tone="strong")]],
                    foot=[[Cell("chance"), Cell("")]],
                    notes=["(1) why"],
                ),
                TableBlock("Long", [Column("n")], [[Cell("1")]] * 1234, folded=True),
                Facts([("seed", text("7"))]),
            ],
            [Section("Inner", "inner", [Code("Suite", "a = '```'\n")])],
        )
    ],
    colophon="Done by @someone.",
    run="r",
    created="2026-05-04T10:00:00+00:00",
)


def test_a_page_to_the_letter():
    assert markdown.page_markdown(PAGE) == (
        "# A \\| B\n\nnow\n\n## Verdict\n\n- On **x\\_1** it is **5**.\n\n"
        "## One\n\n> Beware.\n\n"
        "**T**\n\n| Model | Task: R@10 (%) |\n| --- | ---: |\n"
        "| a\\|b | **39.0** (1) \\[31.7, 46.3\\] a |\n| *chance* |  |\n\n(1) why\n\n"
        "*Long: 1,234 rows, in the HTML report.*\n\n"
        "- seed: 7\n\n"
        "### Inner\n\nSuite:\n\n````\na = '```'\n````\n\n"
        "Done by @\u200bsomeone.\n"
    )


@pytest.mark.parametrize(
    "shown", ["<b>x</b>", "[a](javascript:b)", "`c`", "# d", "*e*", "a\n\n# f"]
)
def test_markup_in_the_data_stays_text(shown):
    said = markdown.page_markdown(dataclasses.replace(PAGE, subtitle=shown)).splitlines()[2]
    for character in "<>[]`*#":
        assert said.count(character) == said.count(f"\\{character}") == shown.count(character)


def test_the_sample_has_every_task_model_and_figure(hostile, nasty):
    report = build(hostile.record, hostile.items, hostile.arrays)
    written = markdown.page_markdown(report)
    for task in hostile.record.tasks:
        assert f"## {markdown.escaped(task.title)}" in written
    assert nasty not in written and markdown.escaped(nasty) in written
    assert written.count("*Figure: ") == 1 + 2 + 3 + 6
    table = [line for line in written.splitlines() if line.startswith("|")]
    for line, following in itertools.pairwise(table):
        if set(following) <= set("|-: "):
            assert line.replace("\\|", "").count("|") == following.count("|")
