"""Every fault in MusAV's files is found, named by file and line, and refused where it matters."""

import json
import re

import pytest

from earmark.datasets.base import DataError
from earmark.datasets.judgements import musav


@pytest.fixture
def root(tmp_path, write_musav):
    return write_musav(tmp_path / "musav")


RAW = "annotations/annotations.arousal.all"
MUSE = "annotations/ismir2022/ismir2022-muse.songids"
GT = "annotations/annotations.arousal.all.agreement.gt"
ISMIR = "annotations/ismir2022/annotations.arousal.all.agreement.gt.fa"


def rewrite(path, change):
    """Change a JSON-lines file: ``change(rows)`` gets and returns a list of objects or of text."""
    rows = change([json.loads(line) for line in path.read_text().splitlines()])
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def set_value(line, **values):
    def change(rows):
        rows[line - 1] |= values
        return rows

    return change


def insert(line, make):
    """Insert ``make(rows)`` so that it stands on a line."""

    def change(rows):
        return [*rows[: line - 1], make(rows), *rows[line - 1 :]]

    return change


def opposite(rows):
    """Turn the second row of the first pair: its songs in the other order."""
    first, *others = (row for row in rows if row["songid_a"] == rows[0]["songid_a"])
    row = next(row for row in others if row["songid_b"] == first["songid_b"])
    row["songid_a"], row["songid_b"] = row["songid_b"], row["songid_a"]
    return [first, row, *(r for r in rows if r is not row and r is not first)]


def steal_song(rows):
    rows[3]["songids"][1] = rows[0]["songids"][2]
    return rows


FAULTS = {
    "not JSON": (RAW, insert(7, lambda rows: '{"tripletid": "'), 7, "is not JSON: Unterminated"),
    "two rows on a line": (RAW, insert(7, lambda rows: "{}, {}"), 7, "is not JSON: Extra data"),
    "not an object": (RAW, insert(7, lambda rows: "[1]"), 7, "object with tripletid, songid_a"),
    "a field missing": (
        RAW,
        insert(7, lambda rows: {k: v for k, v in rows[0].items() if k != "annotator"}),
        7,
        "expected a JSON object with annotator$",
    ),
    "a field not text": (RAW, set_value(7, annotator=3), 7, "annotator is 3, expected text"),
    "the other dimension": (
        RAW,
        set_value(7, type="valence"),
        7,
        "type is 'valence', expected 'arousal'",
    ),
    "an unknown answer": (RAW, set_value(7, higher_value="A"), 7, "unknown judgement 'A'"),
    "an unknown triplet": (RAW, set_value(7, tripletid="x"), 7, "triplet x is not in triplets"),
    "an unknown song": (RAW, set_value(7, songid_b="x"), 7, "song x is not in triplet "),
    "a song with itself": (
        RAW,
        insert(7, lambda rows: rows[0] | {"songid_a": rows[0]["songid_b"]}),
        7,
        "is compared with itself",
    ),
    "a judgement twice": (RAW, insert(7, lambda rows: rows[2]), 7, "judged pair .* on line 3"),
    "a fourth annotator": (
        RAW,
        lambda rows: [*rows, rows[2] | {"annotator": "someone"}],
        271,
        r"has three judgements already, on lines \[3, ",
    ),
    "songs in the other order": (RAW, opposite, 2, "is judged as .* on line 1, expected"),
    "a triplet twice": ("triplets.jsonl", insert(4, lambda rows: rows[1]), 4, "already on line 2"),
    "a song in two triplets": ("triplets.jsonl", steal_song, 4, "song .* is also in triplet"),
    "a triplet of two": (
        "triplets.jsonl",
        insert(4, lambda rows: rows[0] | {"tripletid": "x", "songids": ["s", "t", "s"]}),
        4,
        "triplet x: expected three different song ids",
    ),
    "an unknown type": (
        "triplets.jsonl",
        set_value(4, triplet_type="mood_triplet"),
        4,
        "unknown triplet_type 'mood_triplet'",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named_with_file_and_line_and_refused(root, name):
    file, change, line, message = FAULTS[name]
    path = root / "data" / file
    rewrite(path, change)
    (problem,) = [p for p in musav.validate(root) if p.path == path and p.line == line]
    assert re.search(message, problem.message)
    if file == RAW:  # the refused row is not reported again, as missing
        assert musav.validate(root) == [problem]
    with pytest.raises(DataError, match=rf"{re.escape(file)}:{line}: "):
        musav.load(root)


@pytest.mark.parametrize("file", [RAW, MUSE, "triplets.jsonl"])
@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read: No such file"), (b"\n", "is empty"), (b"\n\xff\n", "is not UTF-8")],
)
def test_a_file_that_is_absent_empty_or_not_text_is_named_and_refused(root, file, content, message):
    path = root / "data" / file
    path.unlink() if content is None else path.write_bytes(content)
    (problem,) = [p for p in musav.validate(root) if p.path == path]
    assert message in problem.message
    assert problem.line == (2 if content and b"\xff" in content else None)
    with pytest.raises(DataError, match=rf"{re.escape(file)}.*{message}"):
        musav.load(root)


def test_the_error_shows_ten_problems_and_says_how_many_there_are(root):
    path = root / "data" / "annotations" / "annotations.valence.all"
    (root / "data" / RAW).write_bytes(path.read_bytes())
    problems = [p for p in musav.validate(root) if p.path == root / "data" / RAW]
    assert [p.line for p in problems] == list(range(1, 271))
    with pytest.raises(DataError) as error:
        musav.load(root)
    assert "has 270 problem(s)" in str(error.value)
    assert str(error.value).count("type is 'valence'") == 10
    assert str(error.value).endswith("and 260 more")


def test_a_pair_that_lacks_judgements_is_noted_and_is_no_ground_truth(root):
    before = musav.load(root).ground_truth("arousal")
    pair = before[0]
    songs = (pair.song_a, pair.song_b)

    def drop(rows):
        first = next(r for r in rows if (r["songid_a"], r["songid_b"]) == songs)
        return [row for row in rows if row is not first]

    rewrite(root / "data" / RAW, drop)
    opened = musav.load(root)
    (incomplete,) = [p for p in opened.pairs("arousal") if p.agreement == "incomplete"]
    assert incomplete.id == pair.id
    assert incomplete.consistency == "incomplete"
    assert pair.id not in {p.id for p in opened.ground_truth("arousal")}
    (note,) = opened.card.notes
    assert f"2 gap(s), the first: pair {pair.id} has 2 of three judgements" in note
    messages = [p.message for p in musav.validate(root) if p.path == root / "data" / RAW]
    assert f"judged pair {pair.id} only for valence" in messages[1]


def test_a_pair_may_be_named_in_another_order_for_the_other_dimension(root):
    before = musav.load(root)
    songs = (before.pairs("arousal")[0].song_a, before.pairs("arousal")[0].song_b)

    def turn(rows):
        swap = {"a": "b", "b": "a"}
        for row in rows:
            if (row["songid_a"], row["songid_b"]) == songs:
                row["songid_b"], row["songid_a"] = songs
                row["higher_value"] = swap.get(row["higher_value"], row["higher_value"])
        return rows

    rewrite(root / "data" / RAW, turn)
    after = musav.load(root)
    assert after.card.notes == ()
    assert after.pairs("valence") == before.pairs("valence")
    (pair,) = [p for p in after.pairs("arousal") if (p.song_b, p.song_a) == songs]
    assert pair.agreement == before.pairs("arousal")[0].agreement


def test_a_triplet_that_lacks_a_pair_is_incomplete_and_noted(root):
    whole = musav.load(root).ground_truth("valence", "gt.ct")[0]
    songs = (whole.song_a, whole.song_b)
    for path in root.glob("data/annotations/*.all"):
        rewrite(path, lambda rows: [r for r in rows if (r["songid_a"], r["songid_b"]) != songs])
    opened = musav.load(root)
    others = [p for p in opened.pairs("valence") if p.triplet == whole.triplet]
    assert [p.consistency for p in others] == ["incomplete"] * 2
    assert "1 of 30 triplets have fewer than three judged pairs of valence" in opened.card.notes[1]


def move_outcome(rows):
    rows[2]["higher_value"] = "b" if rows[2]["higher_value"] != "b" else "a"
    return rows


SHIPPED_FAULTS = {
    "another outcome": (move_outcome, 3, "higher_value of pair .* is '.', but '.*' by the judge"),
    "a row twice": (insert(4, lambda rows: rows[1]), 4, "pair .* is already on line 2"),
    "a row missing": (lambda rows: rows[1:], None, "pair .* is missing"),
    "a row too much": (
        insert(4, lambda rows: rows[0] | {"pairid": "x-y"}),
        4,
        "pair x-y does not belong here",
    ),
    "a row that is not JSON": (insert(4, lambda rows: "-"), 4, "is not JSON"),
}


@pytest.mark.parametrize("file", [f"{RAW}.agreement", GT, ISMIR])
@pytest.mark.parametrize("name", SHIPPED_FAULTS)
def test_a_shipped_file_that_differs_from_the_derivation_is_named_but_not_used(root, file, name):
    before = musav.load(root)
    change, line, message = SHIPPED_FAULTS[name]
    rewrite(root / "data" / file, change)
    (problem,) = musav.validate(root)
    assert (problem.path, problem.line) == (root / "data" / file, line)
    assert re.search(message, problem.message)
    assert musav.load(root) == before


@pytest.mark.parametrize("folder", ["annotations", "annotations/ismir2022"])
def test_a_shipped_list_of_songs_that_differs_is_named(root, folder):
    path = root / "data" / folder / "annotations.valence.all.agreement.gt.songids"
    first, *others = path.read_text().split()
    path.write_text("\n".join([*others, others[0], "stranger"]))
    problems = [(p.path, p.line, p.message) for p in musav.validate(root)]
    assert problems == [
        (path, len(others) + 1, f"song {others[0]} is already on line 1"),
        (path, len(others) + 2, "song stranger does not belong here by the judgements"),
        (path, None, f"song {first} is missing"),
    ]


def test_absent_shipped_files_are_named_but_not_needed(root):
    before = musav.load(root)
    shipped = sorted(root.glob("data/annotations/**/*.agreement*"))
    assert len(shipped) == 2 * (1 + 8 + 2)
    for path in shipped:
        path.unlink()
    assert sorted(p.path for p in musav.validate(root)) == shipped
    assert musav.load(root) == before


LOUDNESS_FAULTS = {
    "not a number": ("{song} loud", "expected '<song id> <LUFS>', found '.* loud'"),
    "no number": ("{song}", "expected '<song id> <LUFS>'"),
    "NaN": ("{song} nan", "loudness of song .* is nan"),
    "infinite": ("{song} -inf", "loudness of song .* is -inf"),
}


@pytest.mark.parametrize("name", LOUDNESS_FAULTS)
def test_a_loudness_that_is_no_number_is_named_and_refused_on_use(root, name):
    text, message = LOUDNESS_FAULTS[name]
    path = root / "data" / "audio.ebur128"
    lines = path.read_text().splitlines()
    lines[4] = text.format(song=lines[4].split()[0])
    path.write_text("\n".join(lines))
    problem = musav.validate(root)[0]
    assert (problem.path, problem.line) == (path, 5)
    assert re.search(message, problem.message)
    opened = musav.load(root)
    with pytest.raises(DataError, match=r"audio\.ebur128:5: "):
        opened.loudness  # noqa: B018


def test_a_missing_and_a_repeated_loudness_are_named(root):
    path = root / "data" / "audio.ebur128"
    first, *others = path.read_text().splitlines()
    path.write_text("\n".join([*others, others[0]]))
    assert [(p.path, p.line, p.message) for p in musav.validate(root)] == [
        (path, len(others) + 1, f"song {others[0].split()[0]} is listed a second time"),
        (path, None, f"no loudness of song {first.split()[0]}"),
    ]


def test_missing_wrong_and_repeated_genres_are_named_and_refused_on_use(root):
    path = root / "data" / "genres.jsonl"
    songs = [json.loads(line)["id"] for line in path.read_text().splitlines()]

    def change(rows):
        rows[0]["genres"] = ["another"]  # the first triplet is a genre triplet
        rows[3]["genres"] = []
        return [*rows[:5], *rows[6:], rows[7]]

    rewrite(path, change)
    assert [(p.path, p.line, p.message) for p in musav.validate(root)] == [
        (path, 4, f"song {songs[3]}: expected a list of genres, found []"),
        (path, 100, f"song {songs[7]} is listed a second time"),
        (path, None, f"song {songs[0]} of a genre_triplet--genre--0 has the genres ('another',)"),
        (path, None, f"no genre of song {songs[3]}"),
        (path, None, f"no genre of song {songs[5]}"),
    ]
    with pytest.raises(DataError, match="has 5 problem"):
        musav.load(root).genres  # noqa: B018


def add_audio(folder, song, suffix):
    path = folder / song[:2] / f"{song}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_two_files_of_one_song_and_a_file_of_no_song_are_named(root):
    opened = musav.load(root)
    chunks = root / "data" / "audio_chunks"
    for song in opened.song_ids:
        add_audio(chunks, song, ".mp3")
    assert musav.validate(root) == []
    again = add_audio(chunks / "b", opened.song_ids[4], ".mp3")
    stranger = add_audio(chunks, "stranger", ".mp3")
    problems = {p.path.name: p.message for p in musav.validate(root)}
    assert problems.keys() == {again.name, stranger.name}
    assert problems[stranger.name] == "there is no song stranger in triplets.jsonl"
    with pytest.raises(DataError, match=f"{opened.song_ids[4]} has 2 files"):
        opened.clips()


def test_refuses_a_folder_of_audio_that_is_not_there(root, tmp_path):
    with pytest.raises(DataError, match=r"no folder .*previews"):
        musav.load(root).clips(audio=tmp_path / "previews")


def test_refuses_a_folder_that_is_not_musav(tmp_path):
    with pytest.raises(DataError, match=r"expected data/annotations/.*clone https://github.com"):
        musav.load(tmp_path)
    (problem,) = musav.validate(tmp_path / "nowhere")
    assert "found neither" in problem.message
