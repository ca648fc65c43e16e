"""Judgements from elsewhere into a study, and out of it in MusAV's layout."""

from __future__ import annotations

import itertools
import json

import pytest
from tiny_study import make_plan, write_study

from earmark.bench.judge.exchange import as_csv, export, import_judgements
from earmark.bench.judge.store import open_store
from earmark.datasets.base import DataError
from earmark.datasets.judgements import judged, musav
from earmark.datasets.judgements.rules import Judgement


@pytest.fixture
def study(tmp_path):
    """A study of three triplets, and its plan."""
    return tmp_path / "study", write_study(tmp_path / "study")


def stored(folder):
    store = open_store(folder)
    try:
        return store.judgements()
    finally:
        store.close()


def every_answer(plan):
    """What each listener could say of each pair: the higher id, at last an equal one."""
    return [
        Judgement(triplet.id, a, b, plan.listeners[who], dimension.name, "a" if a > b else "ab")
        for dimension in plan.dimensions
        for triplet in plan.triplets
        for a, b in triplet.pairs
        for who in triplet.listeners
    ]


def test_a_table_is_imported_once_and_comes_out_as_it_went_in(study, tmp_path):
    folder, plan = study
    rows = every_answer(plan)
    (tmp_path / "in.csv").write_text(as_csv(rows))
    first = import_judgements(folder, tmp_path / "in.csv")
    again = import_judgements(folder, tmp_path / "in.csv")
    assert (first.rows, first.new, again.new) == (len(rows), len(rows), 0)
    assert set(stored(folder)) == set(rows)
    found = export(folder, tmp_path / "out", table=tmp_path / "out.csv")
    assert (found.judgements, found.triplets, found.audio) == (len(rows), 3, 9)
    opened = judged.load(tmp_path / "out")
    assert set(itertools.chain(*map(opened.judgements, opened.dimensions))) == set(rows)
    assert opened.card.title == plan.title and opened.card.licence == plan.licence
    assert opened.asked["arousal"].question == plan.dimensions[0].question
    assert opened.per_pair == 3 and opened.loudness[plan.songs[0].id] == plan.songs[0].lufs
    assert all(clip.path for clip in opened.clips())
    import_judgements(tmp_path / "table", tmp_path / "out.csv")
    assert judged.load(tmp_path / "table").fingerprint == opened.fingerprint


def test_songs_may_be_named_by_their_files_in_either_order(study, tmp_path):
    folder, plan = study
    names = {song.id: song.source for song in plan.songs}
    triplet = plan.triplets[0]
    a, b = triplet.pairs[0]
    text = "a,b,annotator,higher_value\n"
    text += f"{names[b].rpartition('/')[2]},{names[a]},listener-001,a\n"
    (tmp_path / "in.csv").write_text(text)
    import_judgements(folder, tmp_path / "in.csv", dimension="arousal")
    assert stored(folder) == [Judgement(triplet.id, a, b, "listener-001", "arousal", "b")]


def task(plan, number, annotations):
    a, b = plan.triplets[0].pairs[0]
    data = {"a": f"/data/upload/1/0a1b2c3d-{a}.wav", "b": f"/data/local-files/?d=songs/{b}.wav"}
    return {"id": number, "data": data, "annotations": annotations}


def test_label_studios_export_is_read(study, tmp_path):
    folder, plan = study
    left = {"from_name": "arousal", "type": "pairwise", "value": {"selected": "left"}}
    equal = {"from_name": "valence", "type": "choices", "value": {"choices": ["ab"]}}
    annotations = [
        {"completed_by": 7, "result": [left, equal]},
        {"completed_by": {"id": 8, "email": "listener-8"}, "result": [left]},
        {"completed_by": 9, "was_cancelled": True, "result": [left]},
    ]
    file = tmp_path / "export.json"
    file.write_text(json.dumps([task(plan, 1, annotations)]))
    assert import_judgements(folder, file, "label-studio").new == 3
    a, b = plan.triplets[0].pairs[0]
    assert {(j.song_a, j.song_b, j.annotator, j.dimension, j.higher_value) for j in stored(folder)}\
        == {(a, b, "7", "arousal", "a"), (a, b, "7", "valence", "ab"),
            (a, b, "listener-8", "arousal", "a")}  # fmt: skip
    wrong = {"from_name": "arousal", "type": "choices", "value": {"choices": ["louder"]}}
    file.write_text(json.dumps([task(plan, 4, [{"completed_by": 1, "result": [wrong]}])]))
    with pytest.raises(DataError, match=r"export.json: task 4: result .*louder.* of 'arousal'"):
        import_judgements(folder, file, "label-studio")


def test_webmushras_results_are_read(study, tmp_path):
    folder, plan = study
    pairs = plan.triplets[0].pairs
    head = "session_test_id,email,age,trial_id,choice_reference,choice_non_reference,"
    text = f"{head}choice_answer,choice_time,choice_comment\n"
    for (a, b), answer in zip(pairs, ("correct", "incorrect", "undecided"), strict=True):
        text += f"test,me@x,30,t1,{a},{b},{answer},1200,\n"
    file = tmp_path / "paired_comparison.csv"
    file.write_text(text)
    with pytest.raises(DataError, match="--dimension"):
        import_judgements(folder, file, "webmushra")
    assert import_judgements(folder, file, "webmushra", dimension="valence").new == 3
    found = {(j.song_a, j.song_b): (j.annotator, j.higher_value) for j in stored(folder)}
    assert found == dict(zip(pairs, [("me@x", v) for v in ("a", "b", "ab")], strict=True))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("x,y,z,l,arousal,a", "'y' is no song of the plan"),
        (",A,B,l,energy,a", "dimension 'energy' of l: expected arousal, valence"),
        (",A,B,l,arousal,c", "in.csv:2: higher_value is 'c', expected a, b, ab, not_selected"),
        (",A,A,l,arousal,a", "in.csv:2: compares .* with itself"),
        (",A,OTHER,l,arousal,a", "are no pair of triplet"),
    ],
)
def test_what_does_not_fit_the_plan_is_named_and_nothing_is_taken(study, tmp_path, row, message):
    folder, plan = study
    a, b = plan.triplets[0].pairs[0]
    cells = {"A": a, "B": b, "OTHER": plan.triplets[1].songs[0]}
    good = f"{plan.triplets[1].id},{','.join(plan.triplets[1].pairs[0])},l,arousal,a"
    line = ",".join(cells.get(cell, cell) for cell in row.split(","))
    (tmp_path / "in.csv").write_text(
        f"triplet,a,b,annotator,dimension,higher_value\n{line}\n{good}\n"
    )
    with pytest.raises(DataError, match=message):
        import_judgements(folder, tmp_path / "in.csv")
    assert stored(folder) == []


def test_what_contradicts_is_refused(tmp_path):
    plan = make_plan()
    rows = every_answer(plan)
    (tmp_path / "in.csv").write_text(as_csv(rows))
    import_judgements(tmp_path / "set", tmp_path / "in.csv")
    (tmp_path / "in.csv").write_text(as_csv([*rows[1:], Judgement(*row_of(rows[0]), "b")]))
    with pytest.raises(DataError, match=r"twice, as (a|ab) and as b; keep one"):
        import_judgements(tmp_path / "set", tmp_path / "in.csv")


def test_a_table_takes_a_pair_in_either_order_and_nothing_that_it_would_not_open_with(tmp_path):
    head = "a,b,annotator,dimension,higher_value\n"
    file, to = tmp_path / "in.csv", tmp_path / "set"
    file.write_text(f"{head}x,y,one,arousal,a\ny,z,one,arousal,ab\n")
    import_judgements(to, file)
    before = (to / "judgements.csv").read_bytes()
    file.write_text(f"{head}y,x,one,arousal,b\n")
    assert import_judgements(to, file).new == 0
    file.write_text(f"{head}y,x,one,arousal,a\n")
    with pytest.raises(DataError, match=r"one judges y and x on arousal twice, as b and as a"):
        import_judgements(to, file)
    file.write_text(f"{head}x,y,one,all,a\nx,z,one,arousal,a\n")
    with pytest.raises(DataError, match=r"in\.csv: dimension is 'all', expected a word"):
        import_judgements(to, file)
    assert (to / "judgements.csv").read_bytes() == before
    with pytest.raises(DataError, match="dimension is 'all'"):
        import_judgements(tmp_path / "other", file)
    assert not (tmp_path / "other").exists()


def test_all_that_is_wrong_with_a_table_is_said_at_once(study, tmp_path):
    folder, _ = study
    head = "a,b,annotator,dimension,higher_value\n"
    (tmp_path / "in.csv").write_text(f"{head}x,x,l,arousal,a\nx,y,l,arousal,c\n")
    wrong = r"2 problem\(s\):\n.*csv:2: compares x with itself\n.*csv:3: higher_value is 'c'"
    with pytest.raises(DataError, match=wrong):
        import_judgements(folder, tmp_path / "in.csv")
    (tmp_path / "in.csv").write_text("a,b,who,dimension,higher_value\n")
    with pytest.raises(DataError, match="has no column annotator"):
        import_judgements(folder, tmp_path / "in.csv")


def row_of(j):
    return j.triplet, j.song_a, j.song_b, j.annotator, j.dimension


def test_a_study_without_judgements_is_not_exported(study, tmp_path):
    with pytest.raises(DataError, match="nobody has judged anything yet"):
        export(study[0], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").touch()
    with pytest.raises(DataError, match="is not empty"):
        export(study[0], tmp_path / "out")


def test_musavs_judgements_come_back_as_the_official_lines(shared_data, tmp_path):
    """As a table into a set and out of it: the official files, as sets of lines."""
    official = shared_data / "musav" / "data"
    released = musav.load(official)
    rows = [j for name in released.dimensions for j in released.judgements(name)]
    types = {one.id: one.type for one in released.triplets.values()}
    (tmp_path / "in.csv").write_text(as_csv(rows, types))
    assert import_judgements(tmp_path / "set", tmp_path / "in.csv").new == 12_510
    found = export(tmp_path / "set", tmp_path / "out")
    assert (found.judgements, found.triplets, found.songs) == (12_510, 699, 2_092)
    for name in released.dimensions:
        file = f"annotations/annotations.{name}.all"
        theirs = (official / file).read_text().splitlines()
        ours = (tmp_path / "out" / "data" / file).read_text().splitlines()
        assert len(ours) == len(theirs) == 6_255 and set(ours) == set(theirs)

    def triplets(path):
        lines = map(json.loads, path.read_text().splitlines())
        return {(t["tripletid"], frozenset(t["songids"]), t["triplet_type"]) for t in lines}

    ours = triplets(tmp_path / "out" / "data" / "triplets.jsonl")
    assert len(ours) == 699
    judged_songs = set(released.song_ids)
    assert {one[0] for one in ours} <= {one[0] for one in triplets(official / "triplets.jsonl")}
    for name, songs, kind in ours:
        assert songs == set(released.triplets[name].songs) & judged_songs
        assert kind == released.triplets[name].type
