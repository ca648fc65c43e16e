"""The PDF report: typeset, the same bytes each time, and deaf to markup in the data."""

import dataclasses
import json
import re

import pytest
import typst

from earmark.reports import pdf
from earmark.reports.content import Cell, Column, TableBlock
from earmark.reports.pdf import MOST_ROWS, render_pdf, write_sources
from earmark.reports.record import RecordError

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


@pytest.fixture(scope="module")
def sources(hostile, tmp_path_factory):
    folder = tmp_path_factory.mktemp("typst")
    return write_sources(hostile.record, hostile.items, hostile.arrays, folder)


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
    assert len(images) == 2 + 3 + 5
    assert all(len(image["alt"]) > 40 for image in images)
    tables = json.loads(typst.query(sources, "table", root=sources.parent))
    captions = re.findall(r'"caption": "([^"]+)", "columns"', said)
    assert "Every score" in captions and "Paired differences, set gt" in captions
    facts = said.count('"kind": "facts"')
    assert len(tables) == len(captions) + facts


def test_long_tables_stand_in_an_appendix_with_a_pointer(sources):
    content = json.loads((sources.parent / "content.json").read_text())
    last = content["sections"][-1]
    assert last["title"] == "Appendix: long tables"
    first = last["sections"][0]["title"]
    assert first == "Pairwise agreement with listeners on MusAV"
    said = json.dumps(content)
    assert "In the appendix: Every score (160\\u00a0rows)" in said
    assert said.count('"caption": "Every score"') == 2


def test_a_table_too_long_for_paper_is_cut_and_says_so():
    rows = [[Cell(str(number))] for number in range(MOST_ROWS + 5)]
    table = TableBlock("T", [Column("n")], rows, notes=["own note"])
    cut = pdf._cut(table)
    assert len(cut.rows) == MOST_ROWS
    assert cut.notes == ["The first 300 of 305 rows; the HTML report has all of them.", "own note"]
    short = dataclasses.replace(table, rows=rows[:MOST_ROWS])
    assert pdf._cut(short) is short


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


def test_a_place_that_cannot_be_written_is_named(small, tmp_path):
    path = tmp_path / "nowhere" / "report.pdf"
    with pytest.raises(RecordError, match=r"report .*nowhere.* could not be written: No such file"):
        render_pdf(small.record, small.items, small.arrays, path)


def test_missing_items_are_an_error(small, tmp_path):
    with pytest.raises(RecordError, match="needs the items of gtzan-av"):
        render_pdf(small.record, {}, {}, tmp_path / "report.pdf")
