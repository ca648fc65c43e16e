"""The HTML report: one file, well formed, accessible, and deaf to markup in the data."""

import base64
import gzip
import hashlib
import itertools
import re
from html.parser import HTMLParser

import pytest
from rendered import render_html

from earmark.reports.content import Plot
from earmark.reports.figures.style import palette
from earmark.reports.record.schema import RecordError
from earmark.reports.render import html as html_module
from earmark.reports.render.html import TEMPLATES

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Element:
    def __init__(self, tag, attributes, parent):
        self.tag, self.attributes, self.parent = tag, attributes, parent
        self.children, self.texts = [], []

    def walk(self):
        yield self
        for child in self.children:
            yield from child.walk()

    def find(self, tag):
        return [element for element in self.walk() if element.tag == tag]

    @property
    def text(self):
        return "".join(p if isinstance(p, str) else p.text for p in self.texts)


class Tree(HTMLParser):
    """Builds the tree and refuses tags that are not closed where they must be."""

    def __init__(self, page):
        super().__init__()
        self.root = self.here = Element("root", {}, None)
        self.feed(page)
        self.close()
        assert self.here is self.root, f"<{self.here.tag}> is not closed"

    def handle_starttag(self, tag, attrs):
        element = Element(tag, dict(attrs), self.here)
        self.here.children.append(element)
        self.here.texts.append(element)
        if tag not in VOID:
            self.here = element

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.here = self.here.parent

    def handle_endtag(self, tag):
        assert self.here.tag == tag, f"</{tag}> closes <{self.here.tag}>"
        self.here = self.here.parent

    def handle_data(self, data):
        self.here.texts.append(data)


@pytest.fixture(scope="module")
def html(hostile):
    return render_html(hostile.record, hostile.items, hostile.arrays)


@pytest.fixture(scope="module")
def root(html):
    return Tree(html).root


def test_the_same_record_gives_the_same_bytes(small):
    first, second = (render_html(small.record, small.items, small.arrays) for _ in range(2))
    assert first == second


def test_nothing_is_loaded_from_anywhere(root, html):
    for element in root.walk():
        for name, value in element.attributes.items():
            if name in {"src", "srcset", "poster", "action", "data"}:
                pytest.fail(f"<{element.tag} {name}={value!r}>")
            if name in {"href", "xlink:href"}:
                follows = element.tag == "a" and value.startswith(
                    ("https://", "data:text/csv", "data:text/plain", "data:application/gzip")
                )
                assert follows or value.startswith("#"), f"<{element.tag} {name}={value!r}>"
            for target in re.findall(r"url\(([^)]*)\)", value or ""):
                assert target.startswith("#")
    assert not root.find("link") and not root.find("img") and not root.find("iframe")
    css = "".join(style.text for style in root.find("style"))
    assert "@import" not in css and "url(" not in css
    assert "@font-face" not in css


def test_only_our_own_script_may_run(root):
    (script,) = (one for one in root.find("script") if "type" not in one.attributes)
    others = [one.attributes["type"] for one in root.find("script") if one is not script]
    assert set(others) <= {"application/json"}  # rows of long tables: data, which no page runs
    assert script.text == (TEMPLATES / "report.js").read_text()
    digest = base64.b64encode(hashlib.sha256(script.text.encode()).digest()).decode()
    policy = next(
        meta.attributes["content"]
        for meta in root.find("meta")
        if meta.attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert "default-src 'none'" in policy and f"script-src 'sha256-{digest}'" in policy
    handlers = {n for element in root.walk() for n in element.attributes if n.startswith("on")}
    assert handlers == set()


def test_markup_in_the_data_stays_text(root, html, nasty):
    assert nasty not in html
    assert nasty in root.text
    assert any(nasty in cell.text for cell in root.find("td") + root.find("th"))
    assert "title = {A model & its <weights>}" in root.text
    assert not root.find("weights")


def test_every_task_model_dataset_and_reason_is_there(root, hostile):
    said = " ".join(root.text.split())
    record = hostile.record
    names = [task.title for task in record.tasks] + [model.id for model in record.models]
    names += [dataset.title for dataset in record.datasets]
    names += [dataset.fingerprint for dataset in record.datasets]
    names += [part.reason for part in record.not_run]
    names += [warning for task in record.tasks for warning in task.warnings]
    names += [problem.reason for task in record.tasks for problem in task.problems]
    names += [model.weights_digest for model in record.models]
    names += [record.environment.git_commit, record.suite.digest, record.id]
    for name in names:
        assert " ".join(name.split()) in said, name
    assert record.suite.toml.strip() in root.text


def test_headings_descend_in_order(root):
    levels = [int(e.tag[1]) for e in root.walk() if re.fullmatch(r"h[1-6]", e.tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    for one, following in itertools.pairwise(levels):
        assert following <= one + 1


def test_tables_have_captions_scopes_and_rows_of_one_width(root):
    tables = root.find("table")
    assert len(tables) > 10
    for table in tables:
        (caption,) = table.find("caption")
        assert caption.text.strip()
        heads = next(row for row in table.find("tr") if row.attributes.get("class") == "heads")
        for head in heads.children:
            assert head.attributes["scope"] == "col" and head.text.strip()
        for row in [r for r in table.find("tr") if r.parent.tag in {"tbody", "tfoot"}]:
            assert len(row.children) == len(heads.children)
            assert row.children[0].attributes["scope"] == "row"
        for row in [r for r in table.find("tr") if r.attributes.get("class") == "groups"]:
            assert sum(int(c.attributes["colspan"]) for c in row.children) == len(heads.children)


def test_every_figure_says_what_it_shows_and_offers_its_data(root, hostile):
    figures = root.find("figure")
    assert len(figures) == 1 + 2 + 3 + 6
    for number, figure in enumerate(figures, start=1):
        (caption,) = figure.find("figcaption")
        assert caption.text.startswith(f"Figure {number}. ")
        for svg in figure.find("svg"):
            assert svg.attributes["role"] == "img"
            assert len(svg.find("title")[0].text) > 5
            assert len(svg.find("desc")[0].text) > 40
        (link,) = [a for a in figure.find("a") if "download" in a.attributes]
        data = base64.b64decode(link.attributes["href"].split("base64,")[1]).decode()
        assert len(data.splitlines()) > 4
        if "Predicted against rated" in caption.text:
            points = [line for line in data.splitlines() if line.startswith("arousal")]
            assert len(points) == 321


def test_long_data_of_a_figure_are_compressed_and_whole():
    numbers = [n / 7 for n in range(30_000)]
    plot = Plot(title="t", caption="c", description="d", draw=None, data={"value": numbers})
    found = html_module._data_of(plot)
    head, content = found["data"].split(",")
    assert (head, found["ending"]) == ("data:application/gzip;base64", "csv.gz")
    lines = gzip.decompress(base64.b64decode(content)).decode().splitlines()
    assert [float(line) for line in lines[1:]] == numbers
    assert html_module._data_of(plot) == found


def test_ids_are_unique_and_every_reference_has_its_target(root):
    ids = [e.attributes["id"] for e in root.walk() if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    for element in root.walk():
        for name in ("aria-labelledby", "aria-describedby"):
            if name in element.attributes:
                assert element.attributes[name] in ids
        for name in ("href", "xlink:href"):
            value = element.attributes.get(name, "")
            if value.startswith("#"):
                assert value[1:] in ids, value
        for value in element.attributes.values():
            for target in re.findall(r"url\(#([^)]*)\)", value or ""):
                assert target in ids


def test_colours_follow_light_and_dark(root, html):
    assert "@media screen and (prefers-color-scheme: dark)" in html
    assert "@media print" in html
    drawn = "".join(
        value or "" for s in root.find("svg") for e in s.walk() for value in e.attributes.values()
    )
    assert not re.search(r"#[0-9a-f]{6}\b", drawn)
    css = root.find("style")[0].text
    for theme in ("light", "dark"):
        for name, colour in palette(theme).items():
            assert f"{name}: {colour};" in css
    used = set(re.findall(r"var\((--[\w-]+)\)", css + drawn))
    assert used <= set(re.findall(r"(--[\w-]+):", css))


def test_language_viewport_and_title_are_set(root, hostile):
    (page,) = root.find("html")
    assert page.attributes["lang"] == "en-GB"
    assert root.find("title")[0].text == hostile.record.suite.title
    assert any(meta.attributes.get("name") == "viewport" for meta in root.find("meta"))


def test_sources_become_links_only_if_they_are_web_addresses(small):
    sources = ["https://example.org/a?b=1&c=2", "javascript:alert(1)", 'https://x.org/"><script>']
    datasets = [
        small.record.datasets[0].model_copy(update={"id": f"d{n}", "source": source})
        for n, source in enumerate(sources)
    ]
    record = small.record.model_copy(update={"datasets": datasets})
    root = Tree(render_html(record, small.items, small.arrays)).root
    links = [a.attributes["href"] for a in root.find("a") if a.attributes["href"][0] not in "#d"]
    assert links == sources[:1]
    assert len(root.find("script")) == 1


def test_control_characters_are_made_visible(small):
    suite = small.record.suite.model_copy(update={"title": "a\x00b\x1bc"})
    record = small.record.model_copy(update={"suite": suite})
    html = render_html(record, small.items, small.arrays)
    assert "\x00" not in html and "\x1b" not in html
    assert "a\N{REPLACEMENT CHARACTER}b" in html


def test_missing_items_are_an_error(small):
    with pytest.raises(RecordError, match="needs the items of gtzan-av"):
        render_html(small.record, {}, {})
