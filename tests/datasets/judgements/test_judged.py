"""Judged pairs of any songs: rules beyond three annotators, tables, layout, and training sets."""

from __future__ import annotations

import csv
import itertools
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from invented_musav import write_musav
from invented_ratings import write_table

from earmark.datasets.base import DataError
from earmark.datasets.judgements import judged, musav
from earmark.datasets.judgements.rules import LABELS, agreement, higher_value

JUDGED = ["triplet", "a", "b", "annotator", "dimension", "higher_value"]
ABOUT = """
title = "Our catalogue"
licence = "CC0"
citation = "@misc{ours}"

[dimensions.valence]
question = "Which song is happier?"
low = "sad"
high = "happy"

[dimensions.arousal]
question = "Which song has more energy?"
"""


# Rules


@pytest.mark.parametrize(
    ("said", "level", "outcome"),
    [
        ("a", "full-agreement", "a"),
        ("ab", "full-agreement", "ab"),
        ("not_selected", "disagreement", "undefined"),
        ("a a", "full-agreement", "a"),
        ("a ab", "disagreement", "undefined"),
        ("a b", "disagreement", "undefined"),
        ("a a a a", "full-agreement", "a"),
        ("b b b a", "majority-agreement", "b"),
        ("b b b not_selected", "majority-agreement", "b"),
        ("b b ab ab", "disagreement", "undefined"),
        ("a a ab b", "disagreement", "undefined"),
        ("ab ab ab a b", "majority-agreement", "ab"),
        ("a a a b b", "disagreement", "a"),
    ],
)
def test_any_number_of_answers_has_its_agreement(said, level, outcome):
    labels = said.split()
    assert agreement(labels, per_pair=len(labels)) == level
    assert higher_value(labels, per_pair=len(labels)) == outcome
    assert agreement(labels, per_pair=len(labels) + 1) == "incomplete"


@given(st.lists(st.sampled_from(LABELS), min_size=1, max_size=9), st.integers(1, 9))
def test_votes_count_as_so_many_answers(labels, per_pair):
    kinds = sorted(set(labels))
    votes = [float(labels.count(kind)) for kind in kinds]
    for rule in (agreement, higher_value):
        assert rule(kinds, votes, per_pair=per_pair) == rule(labels, per_pair=per_pair)


# MusAV's layout


@pytest.fixture
def ours(tmp_path):
    """MusAV's layout without MuSe, loudness and genres, with what the set says of itself."""
    root = write_musav(tmp_path / "ours")
    shutil.rmtree(root / "data" / "annotations" / "ismir2022")
    for name in ("audio.ebur128", "genres.jsonl"):
        (root / "data" / name).unlink()
    (root / "data" / "judged.toml").write_text(ABOUT)
    return root


@pytest.mark.parametrize("load", [judged.load, musav.load])
def test_a_set_in_musavs_layout_is_its_owners(ours, load):
    opened = load(ours)
    assert (opened.card.id, opened.card.title, opened.card.licence) == (
        *("ours", "Our catalogue", "CC0"),
    )
    assert opened.card.citation == "@misc{ours}"
    assert opened.dimensions == ("valence", "arousal")
    assert opened.asked["valence"] == judged.Asked("Which song is happier?", "sad", "happy")
    assert opened.subsets == ("gt", "gt.fa", "gt.ct", "gt.ct.fa")
    assert (opened.per_pair, opened.namespace) == (3, "")
    assert opened.loudness == opened.genres == {}
    with pytest.raises(DataError, match=r"no ground truth 'ismir2022\.gt'"):
        opened.ground_truth("arousal", "ismir2022.gt")


def test_the_same_judgements_give_the_same_pairs_under_either_loader(tmp_path, ours):
    original = musav.load(write_musav(tmp_path / "musav"))
    opened = judged.load(ours)
    assert judged.validate(ours) == []
    for dimension in musav.DIMENSIONS:
        assert opened.judgements(dimension) == original.judgements(dimension)
        assert opened.pairs(dimension) == original.pairs(dimension)
    assert opened.comparisons().comparisons.keys() == original.comparisons().comparisons.keys()
    assert opened.comparisons().fingerprint == original.comparisons().fingerprint


def test_the_release_in_the_general_loader_is_the_release_without_its_name(shared_data):
    release, opened = (m.load(shared_data / "musav") for m in (musav, judged))
    assert release.fingerprint == musav.RELEASE_FINGERPRINT == opened.fingerprint
    assert opened.subsets == musav.SUBSETS
    assert [opened.pairs(d) for d in musav.DIMENSIONS] == [
        release.pairs(d) for d in musav.DIMENSIONS
    ]
    assert "CC BY" not in opened.card.licence


def test_a_layout_without_muse_is_refused_as_musav(ours):
    (ours / "data" / "judged.toml").unlink()
    with pytest.raises(DataError, match=r"ismir2022-muse\.songids"):
        musav.load(ours)
    assert judged.load(ours).dimensions == ("arousal", "valence")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("titel = 'x'", "titel is not known, expected title"),
        ("title = 3", "title is 3, expected text"),
        ("[dimensions.arousal]\nquestion = 1", "dimensions.arousal.question is 1, expected text"),
        ("dimensions = ['arousal']", "dimensions: expected a table"),
        ("[dimensions.'../x']", "dimension is '../x', expected a word"),
        ("title = ", "judged.toml"),
        ("[dimensions.tempo]", "annotations.tempo.all: "),
    ],
)
def test_what_a_set_says_of_itself_is_read_strictly(ours, text, message):
    (ours / "data" / "judged.toml").write_text(text)
    assert any(message in str(problem) for problem in judged.validate(ours))
    with pytest.raises(DataError, match="problem"):
        judged.load(ours)


# Tables


def table_of(opened, path, *, triplets=True):
    """Write all judgements as a table."""
    rows = [
        (j.triplet if triplets else "", j.song_a, j.song_b, j.annotator, d, j.higher_value)
        for d in opened.dimensions
        for j in opened.judgements(d)
    ]
    write_table(path, JUDGED, rows)


@pytest.mark.parametrize("real", [False, True])
def test_a_table_of_judgements_is_the_set_it_was_written_from(tmp_path, request, real):
    shared = request.getfixturevalue("shared_data") if real else None
    original = musav.load(shared / "musav" if shared else write_musav(tmp_path / "m"))
    table_of(original, tmp_path / "t" / "judgements.csv")
    opened = judged.load(tmp_path / "t" / "judgements.csv")
    assert opened.subsets == ("gt", "gt.fa", "gt.ct", "gt.ct.fa")
    for dimension in musav.DIMENSIONS:
        assert opened.judgements(dimension) == original.judgements(dimension)
        for subset in opened.subsets:
            ours, theirs = (one.ground_truth(dimension, subset) for one in (opened, original))
            assert [(p.id, p.higher_value) for p in ours] == [
                (p.id, p.higher_value) for p in theirs
            ]
    assert opened.comparisons().fingerprint == original.comparisons().fingerprint


def four_annotators(root, *, seed=0, n_triplets=12):
    """A preference set of four annotators, with a hidden quality of the songs."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(n_triplets):
        songs = [f"s{number}-{i}" for i in range(3)]
        quality = dict(zip(songs, rng.standard_normal(3), strict=True))
        for a, b in itertools.combinations(songs, 2):
            for who in range(4):
                heard = quality[a] - quality[b] + 0.5 * rng.standard_normal()
                label = "ab" if abs(heard) < 0.2 else "a" if heard > 0 else "b"
                rows.append((f"t{number}", a, b, f"ann{who}", "preference", label))
    write_table(root / "judgements.csv", JUDGED, rows)
    return root


def test_four_annotators_judge_a_preference(tmp_path):
    opened = judged.load(four_annotators(tmp_path / "liked"))
    assert (opened.dimensions, opened.per_pair) == (("preference",), 4)
    assert opened.annotators == ("ann0", "ann1", "ann2", "ann3")
    levels = {pair.agreement for pair in opened.pairs("preference")}
    assert {"full-agreement", "majority-agreement", "disagreement"} == levels
    assert {clip.unit for clip in opened.clips()} == {f"t{n}" for n in range(12)}
    with pytest.raises(DataError, match="no dimension 'arousal', expected preference"):
        opened.pairs("arousal")


def test_one_annotator_has_no_set_of_full_agreement(tmp_path):
    rows = [("t", "x", "y", "me", "arousal", "a"), ("t", "x", "z", "me", "arousal", "not_selected")]
    write_table(tmp_path / "judgements.csv", JUDGED, rows)
    opened = judged.load(tmp_path)
    assert (opened.per_pair, opened.subsets) == (1, ("gt", "gt.ct"))
    assert [pair.id for pair in opened.ground_truth("arousal")] == ["x-y"]


def test_votes_without_names_are_ground_truth_by_their_majority(tmp_path):
    rows = [("liked", "x", "y", 4), ("liked", "y", "x", 1), ("liked", "u", "v", 2)]
    write_table(tmp_path / "judgements.csv", ["dimension", "higher", "lower", "votes"], rows)
    opened = judged.load(tmp_path)
    assert (opened.annotators, opened.subsets, opened.per_pair) == ((), ("gt", "gt.fa"), 1)
    found = {p.id: (p.agreement, p.higher_value) for p in opened.ground_truth("liked")}
    assert found == {"x-y": ("majority-agreement", "a"), "u-v": ("full-agreement", "a")}
    assert [p.id for p in judged.load(tmp_path, per_pair=3).ground_truth("liked")] == ["x-y"]


def test_a_pair_named_in_both_orders_is_one_pair(tmp_path):
    rows = [("", "y", "x", "ann", "liked", "a"), ("", "x", "y", "bob", "liked", "b")]
    write_table(tmp_path / "judgements.csv", JUDGED, rows)
    (pair,) = judged.load(tmp_path).ground_truth("liked")
    assert (pair.id, pair.higher_value, pair.agreement) == ("x-y", "b", "full-agreement")


def test_pairs_of_songs_with_hyphens_are_not_confused(tmp_path):
    rows = [("", a, b, "ann", "liked", "a") for a, b in (("x-y", "z"), ("x", "y-z"))]
    write_table(tmp_path / "judgements.csv", JUDGED, rows)
    assert [p.id for p in judged.load(tmp_path).pairs("liked")] == ["x | y-z", "x-y | z"]


def test_songs_in_several_triplets_are_resampled_with_all_they_meet(tmp_path):
    rows = [(t, a, b, "ann", "liked", "a") for t, a, b in ("1xy", "1yz", "2zw", "3uv")]
    write_table(tmp_path / "judgements.csv", JUDGED, rows)
    opened = judged.load(tmp_path)
    units = {clip.id: clip.unit for clip in opened.clips()}
    assert len({units[song] for song in "wxyz"}) == 1
    assert units["u"] == units["v"] != units["x"]
    assert "gt.ct" not in opened.subsets
    assert any("in several triplets" in note for note in opened.card.notes)


def test_where_all_songs_hang_together_pairs_are_the_units(tmp_path):
    rows = [("", a, b, "ann", "liked", "a") for a, b in ("xy", "yz", "zx")]
    write_table(tmp_path / "judgements.csv", JUDGED, rows)
    opened = judged.load(tmp_path)
    assert len({pair.triplet for pair in opened.pairs("liked")}) == 3
    assert {clip.unit for clip in opened.clips()} == {None}
    assert any("as if independent" in note for note in opened.card.notes)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("t", "x", "x", "ann", "liked", "a"), "compares x with itself"),
        (("t", "x", "z", "", "liked", "a"), "annotator is blank"),
        (("t", "x", "z", "ann", "liked", "equal"), "higher_value is 'equal', expected a, b, ab"),
        (("t", "y", "x", "ann", "liked", "b"), "ann has judged y and x already on line 2"),
        (("t", "x", "z", "ann", "a/b", "a"), "dimension is 'a/b', expected a word"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, row, message):
    write_table(tmp_path / "judgements.csv", JUDGED, [("t", "x", "y", "ann", "liked", "a"), row])
    assert [message in str(problem) for problem in judged.validate(tmp_path)] == [True]


def test_a_folder_without_either_layout_is_named(tmp_path):
    with pytest.raises(DataError, match=r"annotations\.<dimension>\.all .* or the table judgem"):
        judged.load(tmp_path)
    assert len(judged.validate(tmp_path)) == 1


def test_the_order_of_rows_changes_nothing(tmp_path):
    root = four_annotators(tmp_path / "one")
    with (root / "judgements.csv").open(newline="") as lines:
        header, *rows = csv.reader(lines)
    write_table(tmp_path / "other" / "judgements.csv", header, rows[::-1])
    assert judged.load(root).fingerprint == judged.load(tmp_path / "other").fingerprint
    assert judged.load(root).pairs("preference") == (
        judged.load(tmp_path / "other").pairs("preference")
    )


# Without some annotators


def test_without_an_annotator_the_others_of_a_pair_decide(tmp_path):
    opened = judged.load(four_annotators(tmp_path))
    fewer = opened.without({"ann2"})
    assert (fewer.per_pair, fewer.annotators) == (3, ("ann0", "ann1", "ann3"))
    for pair in fewer.pairs("preference"):
        said = [
            j.higher_value
            for j in opened.judgements("preference")
            if (j.song_a, j.song_b) == (pair.song_a, pair.song_b) and j.annotator != "ann2"
        ]
        assert (pair.agreement, pair.higher_value) == (agreement(said), higher_value(said))
    assert opened.without(()).pairs("preference") == opened.pairs("preference")
    assert fewer.fingerprint != opened.fingerprint == opened.without(()).fingerprint
    with pytest.raises(DataError, match="has no annotator 'nobody'"):
        opened.without({"nobody"})
    with pytest.raises(DataError, match="nobody is left"):
        opened.without(opened.annotators)


def test_musav_without_nobody_is_musav(tmp_path):
    opened = musav.load(write_musav(tmp_path))
    assert opened.without(()) == opened
    assert opened.without(opened.annotators[:1]).loudness == opened.loudness
