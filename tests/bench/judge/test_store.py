"""Answers on the disk: nothing lost, nothing doubled, damage named and recovered from."""

import itertools
import multiprocessing
import os
import shutil
import signal
import sqlite3
import stat

import pytest
from tiny_study import make_plan, write_study

from earmark.bench.judge import plan as plan_file
from earmark.bench.judge.recover import recover
from earmark.bench.judge.screens import screens
from earmark.bench.judge.store import NotSavedError, RefusedError, new_database, open_store
from earmark.datasets.base import DataError
from earmark.datasets.judgements.rules import Judgement

LISTENER = "listener-001"
KEYS = (f"{n:032x}" for n in itertools.count())


@pytest.fixture
def study(tmp_path):
    write_study(tmp_path / "study", make_plan(12), audio=False)
    return tmp_path / "study"


@pytest.fixture
def store(study):
    made = open_store(study)
    yield made
    made.close()


def own(store, listener=0):
    return screens(store.plan, listener)


def answer_all(store, screen, value="a", listener=LISTENER):
    for pair in range(3):
        for dimension in ("arousal", "valence"):
            store.answer(
                listener, screen, pair=pair, dimension=dimension, value=value, key=next(KEYS)
            )


def test_an_answer_about_left_and_right_is_kept_in_the_order_of_the_plan(store):
    triplet = next(s for s in own(store) if s.kind == "triplet")
    answer_all(store, triplet, "a")
    left = {
        triplet.slots[pair.left].song + triplet.slots[pair.right].song for pair in triplet.pairs
    }
    rows = store.judgements()
    assert len(rows) == 6
    plan_pairs = {pair for one in store.plan.triplets for pair in one.pairs}
    for row in rows:
        assert (row.song_a, row.song_b) in plan_pairs
        said = (row.song_a, row.song_b) if row.higher_value == "a" else (row.song_b, row.song_a)
        assert "".join(said) in left
    assert set(store.given(LISTENER, triplet).values()) == {"a"}
    assert open_store(store.path.parent).judgements() == rows


def test_a_key_counts_once_and_the_last_answer_counts(store):
    screen = own(store)[1]
    first, second = next(KEYS), next(KEYS)

    def say(value, key):
        return store.answer(LISTENER, screen, pair=0, dimension="arousal", value=value, key=key)

    assert say("a", first) and say("b", second)
    assert not say("a", first)  # sent again: the correction stays
    assert store.given(LISTENER, screen) == {(0, "arousal"): "b"}
    with pytest.raises(RefusedError, match="used for something else"):
        say("ab", first)
    assert len(store.judgements()) == 1
    answer_all(store, screen, "ab")
    assert store.finish(LISTENER, screen) and not store.finish(LISTENER, screen)
    with pytest.raises(RefusedError, match="finished"):
        say("a", next(KEYS))
    assert not say("b", second)  # a late repetition of what is there
    assert {row.higher_value for row in store.judgements()} == {"ab"}


def test_a_screen_ends_when_all_its_questions_are_answered(store):
    practice, screen = own(store)[:2]
    assert store.finish(LISTENER, practice)
    with pytest.raises(RefusedError, match="no answer yet"):
        store.finish(LISTENER, screen)
    answer_all(store, screen, "not_selected")
    assert store.finish(LISTENER, screen)
    assert [one.screen for one in store.finished(LISTENER)] == [practice.id, screen.id]


def test_answers_to_checks_are_no_judgements(store):
    check = next(s for s in own(store) if s.kind == "check")
    answer_all(store, check, "a")
    assert store.judgements() == []
    rows = store.checks()
    assert {row.kind for row in rows} == {"repeat", "same", "repeat_softer"}
    same = next(row for row in rows if row.kind == "same")
    assert same.song_a == same.song_b
    pair = next(pair for pair in check.pairs if pair.kind == "same")
    louder = check.slots[pair.left].level == 0
    assert same.higher_value == ("a" if louder else "b")


def test_the_number_of_answers_and_comments_is_bounded(store, monkeypatch):
    monkeypatch.setattr("earmark.bench.judge.store.MOST_ANSWERS", 6)
    monkeypatch.setattr("earmark.bench.judge.store.MOST_COMMENTS", 1)
    answer_all(store, own(store)[1])
    with pytest.raises(RefusedError, match="too many"):
        answer_all(store, own(store)[1])
    store.comment(LISTENER, text="x", key="1")
    assert not store.comment(LISTENER, text="x", key="1")
    with pytest.raises(RefusedError, match="too many"):
        store.comment(LISTENER, text="y", key="2")


def test_imported_judgements_are_turned_into_the_order_of_the_plan(store):
    triplet = store.plan.triplets[0]
    (a, b), (c, d), _ = triplet.pairs
    rows = [
        Judgement(triplet.id, a, b, "ann", "arousal", "a"),
        Judgement(triplet.id, d, c, "ann", "arousal", "a"),
    ]
    assert store.add_imported(rows) == 2 and store.add_imported(rows) == 0
    found = {(row.song_a, row.song_b): row.higher_value for row in store.judgements()}
    assert found == {(a, b): "a", (c, d): "b"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"triplet": "t"}, "triplet 't'"),
        ({"song_b": "s"}, "no pair of triplet"),
        ({"dimension": "tension"}, "expected arousal, valence"),
        ({"higher_value": "c"}, "expected a, b, ab, not_selected"),
        ({"higher_value": "b"}, "twice, as a and as b"),
    ],
)
def test_imported_judgements_that_do_not_fit_are_named_and_none_is_added(store, change, message):
    triplet = store.plan.triplets[0]
    good = dict(zip(("song_a", "song_b"), triplet.pairs[0], strict=True))
    good |= {"triplet": triplet.id, "annotator": "ann", "dimension": "arousal"}
    good |= {"higher_value": "a"}
    with pytest.raises(DataError, match=message):
        store.add_imported([Judgement(**good), Judgement(**(good | change))])
    assert store.judgements() == []


def test_a_plan_that_was_changed_is_refused(study):
    open_store(study).close()
    plan_file.write(make_plan(12, seed=8), study)
    with pytest.raises(DataError, match=r"plan\.json was changed after judging began"):
        open_store(study)


def test_links_stay_the_same_are_random_and_readable_by_the_owner_alone(study):
    first, second = open_store(study), open_store(study)
    assert first.links() == second.links()
    tokens = [first.links().organiser, *first.links().listeners.values()]
    assert len(set(tokens)) == 4 and all(len(token) >= 32 for token in tokens)
    assert stat.S_IMODE((study / "links.csv").stat().st_mode) == 0o600
    assert not any(token.encode() in (study / "judge.sqlite").read_bytes() for token in tokens)
    (study / "links.csv").write_text("listener,token\nsomebody,abc\n")
    with pytest.raises(DataError, match=r"links\.csv: expected a row for"):
        open_store(study)


def test_a_file_of_another_version_is_refused(study):
    store = open_store(study)
    store.connection.execute("PRAGMA user_version = 99")
    store.close()
    with pytest.raises(DataError, match="version 99"):
        open_store(study)


def test_a_full_disk_loses_nothing_that_was_acknowledged_and_says_so(store):
    pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
    store.connection.execute(f"PRAGMA max_page_count = {pages}")
    saved = 0
    with pytest.raises(NotSavedError, match="the disk of the server is full") as caught:
        for screen in own(store)[1:]:
            for pair, dimension in itertools.product(range(3), ("arousal", "valence")):
                store.answer(
                    LISTENER, screen, pair=pair, dimension=dimension, value="a", key=next(KEYS)
                )
                saved += 1
    assert caught.value.full and saved > 5
    store.connection.execute("PRAGMA max_page_count = 100000")
    assert len(store.judgements()) + len(store.checks()) == saved
    answer_all(store, own(store)[-1])
    assert len(store.judgements()) + len(store.checks()) > saved


def _answer_until_killed(folder, told):
    store = open_store(folder)
    for screen in own(store)[1:]:
        for pair, dimension in itertools.product(range(3), ("arousal", "valence")):
            key = f"{screen.id[:20]}{pair}{dimension}"
            store.answer(LISTENER, screen, pair=pair, dimension=dimension, value="b", key=key)
            told.send(key)
            if screen == own(store)[3]:
                os.kill(os.getpid(), signal.SIGKILL)


def test_what_was_acknowledged_survives_a_kill(study):
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_answer_until_killed, args=(study, there))
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    keys = set()
    while here.poll():
        keys.add(here.recv())
    store = open_store(study)
    kept = {row[0] for row in store.connection.execute("SELECT key FROM answers")}
    assert kept == keys and len(keys) == 13


def filled(study):
    """A store with all screens answered, closed; its rows."""
    store = open_store(study)
    store.connection.execute("PRAGMA synchronous = OFF")
    for listener, name in enumerate(store.plan.listeners):
        done = {one.screen for one in store.finished(name)}
        for screen in own(store, listener)[1:]:
            if screen.id in done:
                continue
            answer_all(store, screen, "b", name)
            store.finish(name, screen)
        store.comment(name, text="<b>text</b>", key="1" * 32)
    rows = store.judgements(), store.checks()
    store.close()
    return rows


def spoil(path, start, length):
    content = bytearray(path.read_bytes())
    content[start : start + length] = b"\xa5" * length
    path.write_bytes(content)


@pytest.mark.parametrize("where", ["middle", "first page", "header", "truncated"])
def test_a_damaged_file_is_named_and_what_can_be_read_is_recovered(study, where):
    judgements, checks = filled(study)
    path = study / "judge.sqlite"
    size = path.stat().st_size
    if where == "truncated":
        os.truncate(path, 4096 * (size // 4096 // 2))
    else:
        starts = {"middle": (size // 4096 // 2 * 4096, 4096), "first page": (0, 4096)}
        spoil(path, *starts.get(where, (0, 16)))
    damaged = path.read_bytes()
    with pytest.raises(DataError, match=r"judge\.sqlite is damaged: .*earmark judge serve"):
        open_store(study)
    told = recover(study)
    assert "was damaged" in told and "judge.sqlite.damaged-1" in told
    assert (study / "judge.sqlite.damaged-1").read_bytes() == damaged
    store = open_store(study)
    assert {*store.judgements()} <= {*judgements} and {*store.checks()} <= {*checks}
    share = len(store.judgements()) / len(judgements)
    assert share == 1 if where in ("first page", "header") else share > 0.2
    assert recover(study) == ""
    again = filled(study)  # judging goes on
    assert again == (judgements, checks)


def test_a_damaged_file_of_another_plan_is_left_as_it_is(study):
    filled(study)
    spoil(study / "judge.sqlite", 8 * 4096, 4096)
    plan_file.write(make_plan(12, seed=8), study)
    damaged = (study / "judge.sqlite").read_bytes()
    with pytest.raises(DataError, match=r"plan\.json was changed after judging began"):
        recover(study)
    assert (study / "judge.sqlite").read_bytes() == damaged
    assert not list(study.glob("*damaged-*")) and not list(study.glob(".tmp*"))


def test_what_a_killed_server_left_in_the_log_is_recovered_too(study, tmp_path):
    store = open_store(study)
    for screen in own(store)[1:]:
        answer_all(store, screen, "b")
    kept = tmp_path / "after the kill"
    shutil.copytree(study, kept)
    assert (kept / "judge.sqlite-wal").stat().st_size > 0
    rows = store.judgements()
    store.close()
    assert open_store(kept).judgements() == rows
    shutil.rmtree(kept)
    store = open_store(study)
    store.comment(LISTENER, text="in the log", key="1")
    shutil.copytree(study, kept)
    store.close()
    spoil(kept / "judge.sqlite", 0, 4096)
    recover(kept)
    found = open_store(kept)
    assert found.judgements() == rows and [one.text for one in found.comments()] == ["in the log"]


def test_a_file_that_is_empty_is_not_taken_for_a_new_one(study):
    open_store(study).close()
    (study / "judge.sqlite").write_bytes(b"")
    with pytest.raises(DataError, match="the file is empty"):
        open_store(study)
    assert "recovered 0 answers" in recover(study)
    assert open_store(study).judgements() == []


def test_rows_that_a_damaged_page_invents_are_left_out(study, tmp_path):
    filled(study)
    path = study / "judge.sqlite"
    db = sqlite3.connect(path)
    n = db.execute("SELECT count(*) FROM answers").fetchone()[0]
    db.execute("UPDATE answers SET value = 'c' WHERE id = 1")
    db.execute("UPDATE answers SET listener = x'ff' WHERE id = 2")
    db.execute("UPDATE answers SET triplet = 'none' WHERE id = 3")
    db.commit()
    db.close()
    spoil(path, 0, 16)
    assert f"recovered {n - 3} answers" in recover(study)


def test_tables_begin_at_the_same_pages_whatever_the_plan(tmp_path):
    """The first page of a new database can stand in for that of a damaged one."""
    roots = []
    for n in (1, 50):
        db = new_database(tmp_path / str(n), make_plan(n))
        roots.append(db.execute("SELECT name, rootpage FROM sqlite_master").fetchall())
        db.close()
    assert roots[0] == roots[1]
