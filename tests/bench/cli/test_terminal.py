"""What is printed: tables whose words stay whole at any width, and what could not run, once."""

import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.markup import escape

from earmark.bench.cli.console import MinuteLines, new_console, new_table, print_table
from earmark.bench.cli.doctor import missing_of
from earmark.bench.cli.run import LeftOut
from earmark.bench.run.suite import SuiteError, find_suite, read_suite, shipped_suites
from earmark.reports.record.schema import NotRun

NAME = "emomusic-msd-musicnn-2"


def printed(rows, *, width, heads=("", "model", "score", "95 % interval", "n"), title="", right=2):
    console = Console(file=io.StringIO(), width=width, highlight=False)
    table = new_table(title)
    for place, head in enumerate(heads):
        table.add_column(head, justify="right" if place >= right else "left")
    for row in rows:
        table.add_row(*map(escape, row))
    print_table(console, table)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("interval", ["0.391 to 0.433", "only 9 items to choose from: undefined"])
def test_model_direction_and_score_are_there_at_any_width(width, interval):
    rows = [("text-to-audio", NAME, "0.412", interval, "1200")]
    out = printed(rows, width=width, title="Caption retrieval: clips\nrecall_at_10, chance 0.1")
    for word in ("text-to-audio", NAME, "0.412", "1200", "recall_at_10,", *interval.split()):
        assert word in out.split()
    assert max(map(len, out.splitlines())) <= width


def test_a_block_repeats_the_direction_that_a_table_leaves_out():
    rows = [("text-to-audio", NAME, "0.412", "", "9"), ("", "random", "0.1", "", "9")]
    assert [line for line in printed(rows, width=40).splitlines() if line[:1].strip()] == [
        f"text-to-audio  {NAME}",
        "text-to-audio  random",
    ]
    assert printed(rows, width=80).count("text-to-audio") == 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.text("ab[]/-_. ", max_size=34), min_size=4, max_size=4), min_size=1, max_size=4
    ),
    st.integers(40, 130),
)
def test_words_stay_whole_and_lines_within_the_width(rows, width):
    out = printed(rows, width=width, heads=("one", "two", "three", "four"))
    assert max(map(len, out.splitlines())) <= width
    words = out.split()
    for word in " ".join(" ".join(row) for row in rows).split():
        assert word in words


@pytest.mark.parametrize(
    ("columns", "width"), [("40", 40), ("200", 200), (None, 120), ("", 120), ("0", 120), ("x", 120)]
)
def test_the_width_is_columns_or_120_without_a_terminal(monkeypatch, columns, width):
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert new_console().width == width


def test_what_could_not_run_is_said_once_for_all_suites(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    left = LeftOut({"musav": "no network"}, ["first"])
    left.add("first", [NotRun(what="dataset musav", reason="not found " * 12)])
    left.add("second", [NotRun(what="dataset musav", reason="not found " * 12)])
    left.add("second", [NotRun(what="model [x]", reason="no weights")])
    left.print(new_console())
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "could not fetch musav",
        "nothing could run of first",
        "not run",
        "not run",
    ]
    assert "first: dataset musav, second: dataset musav: not found" in lines[2]
    assert "second: model [x]: no weights" in lines[3]


def test_run_alone_lists_the_suites_and_starts_none(earmark, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EARMARK_CACHE", str(tmp_path / "cache"))
    code, out, _ = earmark("run")
    assert (code, list(tmp_path.iterdir())) == (0, [])
    for path in shipped_suites():
        assert path.stem in out.split()
    assert "earmark bench" in out
    rows = json.loads(earmark("run", "--json")[1])
    assert {row["name"] for row in rows} == {path.stem for path in shipped_suites()}
    etude = next(row for row in rows if row["name"] == "etude")
    assert "{models}/etude/tiny" in etude["missing"]


def test_a_suite_is_available_once_all_its_places_are(tmp_path, monkeypatch):
    for name in ("EARMARK_DATA", "EARMARK_SHARED_DATA", "EARMARK_CACHE"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    suite = read_suite(find_suite(Path("etude")))
    missing = missing_of(suite)
    assert {one.mend for one in missing} == {"earmark bench (makes it)"}
    for one in missing:
        for place in one.looked:
            Path(place).mkdir(parents=True, exist_ok=True)
    assert missing_of(suite) == []


def test_a_suite_is_found_by_file_and_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_suite(Path("av_real")).name == "av_real.toml"
    (tmp_path / "av_real").write_text("mine")
    assert find_suite(Path("av_real")) == Path("av_real")
    with pytest.raises(SuiteError, match=r"no suite av_rael.toml: .* Did you mean 'av_real'\?"):
        find_suite(Path("av_rael.toml"))
    with pytest.raises(SuiteError, match=r"no suite zz: .*TOML file.* `earmark run` lists them"):
        find_suite(Path("zz"))


def test_without_a_terminal_there_is_a_line_per_minute_with_rate_and_time_left():
    now, lines = 0.0, []
    report = MinuteLines(lines.append, clock=lambda: now)
    for done in range(100, 1001, 100):  # 100 were in the store
        report(done, 1000, "net: av")
        now += 40
    assert lines == [
        "net: av: 300 of 1000, 2.5 per s, 5 min left",
        "net: av: 500 of 1000, 2.5 per s, 3 min left",
        "net: av: 700 of 1000, 2.5 per s, 2 min left",
        "net: av: 900 of 1000, 2.5 per s, 40 s left",
    ]
    now += 60
    report(3, 4, "slow: patches")
    now += 1000
    report(4, 4, "slow: patches")
    assert lines[4:] == ["slow: patches: 3 of 4", "slow: patches: 4 of 4, 0.06 per min, 0 s left"]
    for done in (0, 10, 20):  # another corpus, an hour later: its rate is its own
        now += 3600 if not done else 60
        report(done, 40, "slow: patches")
    assert lines[6:] == [
        "slow: patches: 0 of 40",
        "slow: patches: 10 of 40, 10 per min, 3 min left",
        "slow: patches: 20 of 40, 10 per min, 2 min left",
    ]
