"""The PDF report: typeset, the same bytes each time, and deaf to markup in the data."""

import dataclasses
import json
import re

import pytest
import typst
from rendered import build, render_pdf

from earmark.reports.content import Cell, Column, Plot, TableBlock
from earmark.reports.figures.style import new_figure
from earmark.reports.record.schema import RecordError
from earmark.reports.render import pdf
from earmark.reports.render.pdf import MOST_ROWS, write_sources

BREAK = "\u200b"


def rendered(sample, folder, record=None):
    path = folder / "report.pdf"
    render_pdf(record or sample.record, sample.items, sample.arrays, path)
    return path.read_bytes()


def words(content):
    """All text of Typst's JSON answer, in order."""
    if isinstance(content, dict):
        if "text" in content and isinstance(content["text"], str):
            return content["text"]
        return "".join(words(value) for value in content.values())
    return "".join(words(part) for part in content) if isinstance(content, list) else ""


def of_kind(content, kind):
    """All blocks of a kind, at any depth."""
    if isinstance(content, list):
        return [found for part in content for found in of_kind(part, kind)]
    if not isinstance(content, dict):
        return []
    if content.get("kind") == kind:
        return [content]
    return [found for part in content.values() for found in of_kind(part, kind)]


@pytest.fixture(scope="module")
def sources(hostile, tmp_path_factory):
    folder = tmp_path_factory.mktemp("typst")
    return write_sources(build(hostile.record, hostile.items, hostile.arrays), folder)


def test_two_renders_are_equal(small, tmp_path, monkeypatch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    first, second = rendered(small, tmp_path / "a"), rendered(small, tmp_path / "b")
    assert first == second
    assert first.startswith(b"%PDF-1.")


def test_the_date_is_the_records_own_or_the_builders(small, tmp_path, monkeypatch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert b"(D:20260504100000Z)" in rendered(small, tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    assert b"(D:20010909014640Z)" in rendered(small, tmp_path)


def test_it_is_tagged_and_claims_the_accessibility_standard(small, tmp_path):
    content = rendered(small, tmp_path)
    assert b"pdfuaid:part>1<" in content
    assert b"/Marked true" in content


def test_text_that_typst_could_run_is_set_as_text(hostile, sources, nasty, tmp_path):
    headings = [
        words(heading["body"]).replace(BREAK, "")
        for heading in json.loads(typst.query(sources, "heading", root=sources.parent))
    ]
    assert nasty in headings
    for task in hostile.record.tasks:
        assert task.title in headings
    rendered(hostile, tmp_path)


def test_every_model_figure_and_table_is_there(hostile, sources):
    content = json.loads((sources.parent / "content.json").read_text())
    said = json.dumps(content, ensure_ascii=False).replace(BREAK, "")
    for model in hostile.record.models:
        assert json.dumps(model.id, ensure_ascii=False)[1:-1] in said
    images = json.loads(typst.query(sources, "image", root=sources.parent))
    assert len(images) == 1 + 2 + 3 + 6
    assert all(len(image["alt"]) > 40 for image in images)
    tables = json.loads(typst.query(sources, "table", root=sources.parent))
    captions = re.findall(r'"caption": "([^"]+)", "columns"', said)
    assert "Set all: every metric" in captions and "Paired differences, set gt" in captions
    halves = sum(len(part["halves"]) for part in of_kind(content, "facts"))
    assert len(tables) == len(captions) + halves


def test_long_tables_are_not_printed_and_a_note_says_where_they_are(sources):
    content = json.loads((sources.parent / "content.json").read_text())
    said = json.dumps(content)
    assert "In the HTML report: Every score (160\\u00a0rows)" in said
    assert content["unprinted"] is True
    assert '"caption": "Every score"' not in said
    outline = json.loads(typst.query(sources, "outline", root=sources.parent))
    assert len(outline) == 1


def test_a_table_too_long_for_paper_is_cut_and_says_so():
    rows = [[Cell(str(number))] for number in range(MOST_ROWS + 5)]
    table = TableBlock("T", [Column("n")], rows, notes=["own note"])
    cut = pdf._cut(table)
    assert len(cut.rows) == MOST_ROWS
    assert cut.notes == ["The first 300 of 305 rows. The HTML report has all.", "own note"]
    short = dataclasses.replace(table, rows=rows[:MOST_ROWS])
    assert pdf._cut(short) is short


@pytest.mark.parametrize("words", ["word " * 60, "x" * 300])
def test_a_text_too_long_for_a_cell_is_cut_and_the_table_says_so(words):
    table = TableBlock("T", [Column("n")], [[Cell("short")], [Cell(words)]])
    cut = pdf._cut(table)
    assert cut.rows[0] == table.rows[0]
    shown = cut.rows[1][0].text
    assert len(shown) <= pdf.LONGEST_TEXT and shown.endswith("…")
    assert words.startswith(shown.removesuffix("…").rstrip())
    assert cut.notes == ["Longer texts are cut (…). The HTML report has all."]


def test_facts_stand_in_two_columns_of_about_one_length():
    rows = [[f"name {n}", []] for n in range(8)]
    assert pdf._halves(rows[:5], ["x"] * 5) == [rows[:5]]
    assert [len(half) for half in pdf._halves(rows, ["x"] * 8)] == [4, 4]
    long_first = pdf._halves(rows, ["x" * 38 * 7, *["x"] * 7])
    assert [len(half) for half in long_first] == [1, 7]
    assert [*long_first[0], *long_first[1]] == rows


def test_small_figures_stand_in_pairs_and_tall_ones_across_the_page(tmp_path):
    def drawn(height):
        def draw(*, width):
            figure = new_figure(width, height)
            figure.subplots().plot([0, 1])
            return figure

        plot = Plot("t", "c", "d", draw, {}, small=True)
        return pdf._plot(plot, tmp_path, 1), (tmp_path / "figure-1.svg").read_text()

    low, svg = drawn(2.0)
    assert low["small"] and 'viewBox="0 0 237.6' in svg
    tall, svg = drawn(pdf.TALLEST_OF_PAIR + 1)
    assert not tall["small"] and 'viewBox="0 0 504' in svg


def test_figures_come_as_vectors_with_the_face_of_the_page(sources):
    drawn = (sources.parent / "figure-1.svg").read_text()
    assert "Libertinus Serif" in drawn and "<image" not in drawn and "var(" not in drawn


@pytest.mark.parametrize("title", ["日本語 😀 हिन्दी", "a\x0bb", "x" * 300, "$ #[ \\ */ ``` <a> @b"])
def test_any_title_can_be_set(small, tmp_path, title):
    suite = small.record.suite.model_copy(update={"title": title})
    record = small.record.model_copy(update={"suite": suite})
    assert rendered(small, tmp_path, record).startswith(b"%PDF")


def test_long_words_may_break_and_links_keep_their_target():
    soft = pdf._breakable(
        {"style": "link", "text": "https://example.org/" + "a" * 40, "kind": "x" * 30}
    )
    assert soft["target"] == "https://example.org/" + "a" * 40
    assert soft["text"].replace(BREAK, "") == soft["target"]
    assert max(len(part) for part in soft["text"].split(BREAK)) <= 20
    assert BREAK not in soft["kind"]


def test_missing_items_are_an_error(small, tmp_path):
    with pytest.raises(RecordError, match="needs the items of gtzan-av"):
        render_pdf(small.record, {}, {}, tmp_path / "report.pdf")
