"""What a short report leaves out, and that it says so."""

from rendered import build

from earmark.reports.content import (
    Cell,
    Column,
    Page,
    Paragraph,
    Plot,
    Plots,
    Section,
    TableBlock,
    plain,
    text,
)
from earmark.reports.figures.style import new_figure
from earmark.reports.render.html import page_html
from earmark.reports.render.markdown import page_markdown
from earmark.reports.render.pdf import MOST_PAGES, n_pages, pdf_bytes
from earmark.reports.render.short import IN_HTML, LEVELS, brief, shortened


def all_text(section):
    said = [plain(one.text) for one in section.blocks if isinstance(one, Paragraph)]
    return said + [line for part in section.sections for line in all_text(part)]


def test_each_level_holds_less_and_names_what_is_gone(sample):
    report = build(sample.record, sample.items, sample.arrays)
    assert shortened(report, 0) is report

    def count(page, kind):
        def inside(section):
            own = sum(isinstance(block, kind) for block in section.blocks)
            return own + sum(map(inside, section.sections))

        return sum(map(inside, page.sections))

    levels = [shortened(report, level) for level in LEVELS]
    for kind in (TableBlock, Plots):
        numbers = [count(page, kind) for page in levels]
        assert numbers == sorted(numbers, reverse=True) and numbers[1] < numbers[0]
    assert count(levels[-1], Plots) == 0
    for page in levels[1:]:
        musav = next(s for s in page.sections if s.anchor == "task-musav")
        said = "\n".join(all_text(musav))
        assert IN_HTML in said and "Protocol" in said and "Comparisons" in said
        assert [s.title for s in page.sections][:2] == [s.title for s in report.sections][:2]
        assert page.verdict == report.verdict


def test_a_long_report_is_printed_on_few_pages():
    def draw(*, width):
        figure = new_figure(width, 3)
        figure.subplots().plot([0, 1])
        return figure

    def table(n, **how):
        return TableBlock(f"T{n}", [Column("a")], [[Cell(str(i))] for i in range(24)], **how)

    parts = [
        Section(
            f"Task {n}",
            f"task-{n}",
            [Paragraph(text("A finding."))],
            [
                Section("Scores", f"s{n}", [table(n), *[table(n, detail=True)] * 3]),
                Section("Figures", f"f{n}", [Plots([Plot("t", "c", "d", draw, {})] * 4)]),
                Section("Protocol", f"p{n}", [table(n)] * 4, detail=True),
            ],
        )
        for n in range(4)
    ]
    page = Page("Title", "s", [Paragraph(text("Verdict"))], parts, "c", "r", "2026-05-04T10:00:00Z")
    printed = pdf_bytes(page)
    assert 2 < n_pages(printed) <= MOST_PAGES


def test_a_brief_report_is_one_page_that_says_where_the_rest_is(sample):
    report = build(sample.record, sample.items, sample.arrays)
    page = brief(report, whole="earmark report x")
    assert n_pages(pdf_bytes(page)) == 1
    html, said = page_html(page), page_markdown(page)
    for written in (html, said):
        assert "for the whole report: earmark report x" in written
    assert html.count("<svg") == 2 and "<nav" not in html and said.count("## ") == 1
