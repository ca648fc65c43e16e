"""Players: what tables ask for, where an excerpt is set, and that paper has none of it."""

import base64
import dataclasses
import re

import pytest
from rendered import build

from earmark.bench.tasks.pairwise.view import PAIRS
from earmark.reports.page.players import Excerpt, Excerpts, Wish, size, wishes, with_players
from earmark.reports.record.schema import ItemProblem
from earmark.reports.render.data_files import to_csv
from earmark.reports.render.html import page_html
from earmark.reports.render.markdown import page_markdown

NASTY_ID = '"><script>alert(1)</script> onerror=x'


def failures(title, rows):
    from earmark.reports.record.schema import Table

    columns = ["query", "rank", "top hit", "caption of the top hit", "caption similarity"]
    return Table(title=title, columns=columns, rows=rows)


@pytest.fixture(scope="module")
def heard(sample, joint):
    """The record of one retrieval task with two models, and its page."""
    task, items, arrays = joint.retrieval(("muscall", "random"))
    tables = [
        failures("Failures of muscall", [["calm piano", 3.0, "c1", "a calm piano piece", 0.9]]),
        failures("Failures of muscall, audio to text", [["c2", 2.0, "c1#1", "loud drums", 0.1]]),
        failures("Failures of random", [["a b", 9.0, "c1", None, None], ["x", 8.0, "c9", "y", 0]]),
    ]
    task = task.model_copy(update={"tables": tables, "dataset": "caps"})
    record = sample.record.model_copy(update={"tasks": [task]})
    return record, without_figures(build(record, {task.id: items}, {task.id: arrays}))


@pytest.fixture(scope="module")
def musav(sample):
    """The page of the sample's pairs."""
    return without_figures(build(sample.record, sample.items, sample.arrays))


def without_figures(report):
    """The page as it is, but quick to render."""

    def part(section):
        blocks = [block for block in section.blocks if block.kind != "plots"]
        inner = [part(one) for one in section.sections]
        return dataclasses.replace(section, blocks=blocks, sections=inner)

    return dataclasses.replace(report, sections=[part(one) for one in report.sections])


def excerpts(of, **changes):
    return Excerpts(of=of, how="at most 10 s", mib=8, **changes)


def wish(kind, name):
    return Wish("caps", "retrieval", kind, name)


def table_html(report, caption):
    return re.search(rf"<caption[^>]*><span>{caption}.*?</table>", page_html(report), re.DOTALL)[0]


def test_tables_of_failures_ask_for_queries_and_top_hits_open_ones_first(heard):
    record, report = heard
    assert wishes(report, record) == [
        wish("caption", "calm piano"),
        wish("clip", "c1"),
        wish("clip", "c2"),
        wish("caption id", "c1#1"),
        wish("caption", "a b"),
        wish("caption", "x"),
        wish("clip", "c9"),
    ]


def test_tables_of_pairs_ask_for_both_songs(sample, musav):
    asked = wishes(musav, sample.record)
    assert asked and {(one.dataset, one.task, one.what) for one in asked} == {
        ("musav", "musav", "pair")
    }
    pairs = set(sample.items["musav"]["item"])
    assert {one.name for one in asked} <= pairs
    assert PAIRS in page_html(musav)


def test_a_player_stands_in_its_cell_with_a_name_and_the_bytes(heard):
    record, report = heard
    of = {wish("clip", "c1"): [Excerpt("caps", "c1", b"one")]}
    of[wish("caption", "calm piano")] = [Excerpt("caps", "c7", b"seven")]
    played = with_players(report, record, excerpts(of))
    html = table_html(played, "Failures of muscall<")
    players = re.findall(r'<audio id="(.*?)" controls.*? aria-label="(.*?)" src="(.*?)">', html)
    assert players == [
        (
            "clip-1",
            "Play c7, the clip of this caption",
            f"data:audio/mpeg;base64,{base64.b64encode(b'seven').decode()}",
        ),
        ("clip-2", "Play c1", f"data:audio/mpeg;base64,{base64.b64encode(b'one').decode()}"),
    ]
    assert "<small>its clip: c7</small>" in html
    assert html.count('preload="none"') == 2


def test_a_clip_of_several_cells_is_embedded_once(heard):
    record, report = heard
    clip = Excerpt("caps", "c1", b"one" * 50)
    of = {wish("clip", "c1"): [clip], wish("caption id", "c1#1"): [clip]}
    html = page_html(with_players(report, record, excerpts(of)))
    assert html.count("data:audio/") == 1
    assert html.count('data-as="clip-1"') == 2 and html.count('id="clip-1"') == 1
    assert html.count('href="#clip-1"') == 2, "without a script the first player can be found"


def test_pairs_have_a_player_a_song(sample, musav):
    pair = wishes(musav, sample.record)[0]
    of = {pair: [Excerpt("musav", "s1", b"1"), Excerpt("musav", "s2", b"2")]}
    html = page_html(with_players(musav, sample.record, excerpts(of)))
    assert "Play the first song, s1" in html and "Play the second song, s2" in html
    assert html.count("<audio") >= 2 and "<small>second</small>" in html


def test_the_policy_allows_embedded_audio_only_where_there_is_some(heard):
    record, report = heard
    without = re.search(r'Policy" content="(.*?)"', page_html(report))[1]
    assert "media-src" not in without
    of = {wish("clip", "c1"): [Excerpt("caps", "c1", b"one")]}
    policy = re.search(
        r'Policy" content="(.*?)"', page_html(with_players(report, record, excerpts(of)))
    )
    assert policy[1].replace(" media-src data:;", "") == without


def test_an_id_with_markup_stays_text(heard):
    record, report = heard
    of = {
        wish("clip", "c1"): [Excerpt("caps", NASTY_ID, b"one")],
        wish("caption", "x"): [Excerpt("caps", NASTY_ID, b"one")],
    }
    lost = [ItemProblem(item=NASTY_ID, reason=NASTY_ID)]
    html = page_html(
        with_players(report, record, excerpts(of, unplayable=lost, warnings=[NASTY_ID]))
    )
    assert NASTY_ID not in html and "<script>alert" not in html
    assert html.count("&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;") >= 5


def test_what_is_embedded_and_what_is_not_is_said_before_the_datasets(heard):
    record, report = heard
    of = {wish("clip", "c1"): [Excerpt("caps", "c1", bytes(1 << 20))]}
    lost = [ItemProblem(item=f"n{i}", reason="caps has no audio") for i in range(8)]
    lost.append(ItemProblem(item="broken", reason="broken.wav: cut"))
    made = excerpts(of, left_out=3, unplayable=lost, warnings=["Caps: “none” does not say."])
    played = with_players(report, record, made)
    titles = [section.title for section in played.sections]
    assert titles.index("Audio") == titles.index("Datasets") - 1
    said = page_markdown(
        dataclasses.replace(played, sections=[played.sections[titles.index("Audio")]])
    )
    assert "excerpts of 1 clip (1.3 MiB), at most 10 s." in said
    assert "3 further clips would have passed the cap of 8 MiB and are left out." in said
    assert "**n0**, **n1**, **n2**, **n3** and **n4** and 3 more: caps has no audio" in said
    assert "**broken**: broken.wav: cut" in said
    assert "**Licence.** Caps: “none” does not say." in said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "No table of this report names clips that can be played."),
        ({"left_out": 1}, "is embedded. 1 further clip would have passed the cap"),
    ],
)
def test_a_report_without_a_player_says_so(heard, changes, said):
    record, report = heard
    played = with_players(report, record, excerpts({}, **changes))
    assert said in page_markdown(played)
    assert "<audio" not in page_html(played) and "media-src" not in page_html(played)


def test_files_of_a_table_are_those_without_players(heard):
    record, report = heard
    of = {wish("clip", "c1"): [Excerpt("caps", "c1", b"one")]}
    played = with_players(report, record, excerpts(of))

    def files(one):
        parts = [part for section in one.sections for part in section.sections]
        return [to_csv(b) for part in parts for b in part.blocks if b.kind == "table"]

    assert files(played) == files(report)
    assert with_players(report, record, excerpts({})).sections[0] == report.sections[0]


def test_the_size_is_that_of_base64():
    for length in range(7):
        data = bytes(length)
        assert size(Excerpt("d", "i", data)) == len(base64.b64encode(data))
