"""Comparisons of clips: MusAV's own, and a table of one's own."""

from collections import Counter

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from invented_ratings import write_table

from earmark.bench.metrics.pairs.pairwise import agreement, judge
from earmark.datasets.base import DataError
from earmark.datasets.judgements import musav as musav_set
from earmark.datasets.judgements.judged import load as load_judged
from earmark.datasets.judgements.judged import validate
from earmark.datasets.judgements.pairwise import Said, by_level, joined

HEADER = ["dimension", "higher", "lower"]
ROWS = (("valence", "c", "d"), ("arousal", "b", "a"), ("arousal", "c", "d"))


def load(root):
    return load_judged(root).comparisons()


def write(root, rows=ROWS, *more_columns):
    write_table(root / "judgements.csv", [*HEADER, *more_columns], rows)
    return root


def spelled(judged, dimension):
    """The comparisons of a dimension by the names of clips."""
    found, names = judged.of(dimension), [clip.id for clip in judged.clips]
    return [
        (names[h], names[lo], bool(tied), votes, who)
        for h, lo, tied, votes, who in zip(
            found.higher, found.lower, found.tied, found.votes, found.annotators, strict=True
        )
    ]


# A table of one's own


def test_opens_a_table_of_ones_own(tmp_path):
    root = write(tmp_path / "mine")
    (root / "audio" / "x").mkdir(parents=True)
    (root / "audio" / "x" / "b.flac").touch()
    judged = load(root)
    assert spelled(judged, "arousal") == [("b", "a", False, 1, None), ("c", "d", False, 1, None)]
    assert spelled(judged, "valence") == [("c", "d", False, 1, None)]
    assert [(clip.id, clip.unit) for clip in judged.clips] == [
        *(("a", "a"), ("b", "a")),
        *(("c", "c"), ("d", "c")),
    ]
    assert [clip.path for clip in judged.clips] == [None, root / "audio" / "x" / "b.flac"] + [
        None
    ] * 2
    assert (judged.card.id, judged.card.licence) == ("mine", "not stated")
    assert validate(root) == []


def test_ties_votes_and_annotators_are_kept(tmp_path):
    rows = [
        ("arousal", "b", "a", 1, 2.5, ""),
        ("arousal", "a", "b", 0, 1, "ann"),
        ("arousal", "b", "a", 0, 3, "bob"),
    ]
    judged = load(write(tmp_path, rows, "tied", "votes", "annotator"))
    assert spelled(judged, "arousal") == [
        ("a", "b", True, 2.5, None),
        ("a", "b", False, 1, "ann"),
        ("b", "a", False, 3, "bob"),
    ]
    with pytest.raises(DataError, match="no comparisons of 'valence', only of arousal"):
        judged.of("valence")


def test_the_order_of_rows_and_of_tied_clips_changes_nothing_and_content_does(tmp_path):
    rows = [(*row, 0) for row in ROWS] + [("valence", "a", "c", 1)]
    one = load(write(tmp_path / "1", rows, "tied"))
    other = load(write(tmp_path / "2", [("valence", "c", "a", 1), *rows[2::-1]], "tied"))
    assert one.fingerprint == other.fingerprint
    changes = [
        [*rows[:3], ("valence", "a", "c", 0)],
        [*rows[:3], ("arousal", "a", "c", 1)],
        [("valence", "d", "c", 0), *rows[1:]],
    ]
    found = {load(write(tmp_path / "3", change, "tied")).fingerprint for change in changes}
    assert len({one.fingerprint, *found}) == 4


def test_ids_with_their_suffix_find_their_files(tmp_path):
    root = write(tmp_path, [("arousal", "b.wav", "a.b")])
    (root / "audio").mkdir()
    for name in ("b.wav", "a.b.mp3"):
        (root / "audio" / name).touch()
    assert {clip.id: clip.path.name for clip in load(root).clips} == {
        "a.b": "a.b.mp3",
        "b.wav": "b.wav",
    }


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("", "a", "b", 0, 1, ""), "dimension is blank, expected a word such as arousal"),
        (("arousal", "a", "", 0, 1, ""), "has a blank id, expected those of two clips"),
        (("arousal", "a", "a", 0, 1, ""), "compares a with itself"),
        (("arousal", "a", "b", "yes", 1, ""), "tied is 'yes', expected 0 or 1"),
        (("arousal", "a", "b", 0, 0, ""), "votes is '0', expected a number above 0"),
        (("arousal", "a", "b", 0, "inf", ""), "votes is 'inf', expected a number above 0"),
        (("arousal", "a", "b", 0, "two", ""), "votes is 'two', expected a number above 0"),
        (
            ("arousal", "y", "x", 0, 1, "ann"),
            "ann has judged y and x already on line 2: keep one",
        ),
        (
            ("valence", "y", "x", 0, 1, ""),
            "says the same of y and x already on line 3: keep one, with the votes of both",
        ),
        (
            ("valence", "z", "x", 1, 1, ""),
            "says the same of z and x already on line 4: keep one, with the votes of both",
        ),
    ],
)
def test_a_wrong_row_is_named_by_line(tmp_path, row, message):
    rows = [
        ("arousal", "x", "y", 0, 1, "ann"),
        ("valence", "y", "x", 0, 1, ""),
        ("valence", "x", "z", 1, 1, ""),
        row,
    ]
    root = write(tmp_path, rows, "tied", "votes", "annotator")
    assert [(p.line, p.message) for p in validate(root)] == [(5, message)]
    with pytest.raises(DataError, match=r"judgements\.csv:5: "):
        load(root)


def test_contradictions_of_different_voices_are_data(tmp_path):
    rows = [("arousal", "x", "y", 2), ("arousal", "y", "x", 1)]
    judged = load(write(tmp_path, rows, "votes"))
    assert [row[:2] for row in spelled(judged, "arousal")] == [("x", "y"), ("y", "x")]


# Units


pairs = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 12)).filter(lambda p: p[0] != p[1]), min_size=1
)


@given(pairs)
def test_units_are_the_connected_components(edges):
    found = joined(Said("arousal", str(a), str(b)) for a, b in edges)
    graph = nx.Graph([(str(a), str(b)) for a, b in edges])
    components = list(nx.connected_components(graph))
    if len(components) == 1:
        assert set(found.values()) == {None}
    else:
        assert found == {name: min(names) for names in components for name in names}


# Levels


@given(st.lists(st.integers(0, 5), min_size=2, max_size=12), st.integers(0, 3))
def test_levels_compare_every_two_clips_that_are_apart(levels, gap):
    found = by_level(np.array(levels, float), gap=gap)
    expected = {
        (i, j) for i, high in enumerate(levels) for j, low in enumerate(levels) if high - low > gap
    }
    assert len(found) == len(expected)
    assert set(zip(found.higher.tolist(), found.lower.tolist(), strict=True)) == expected


def test_a_clip_without_a_level_is_not_compared():
    found = by_level(np.array([1.0, np.nan, 2.0]))
    assert (found.higher.tolist(), found.lower.tolist()) == ([2], [0])


# MusAV


def test_musav_becomes_comparisons_answer_by_answer(tmp_path, write_musav):
    musav = musav_set.load(write_musav(tmp_path))
    judged = musav.comparisons()
    assert [clip.id for clip in judged.clips] == list(musav.song_ids)
    assert {clip.unit for clip in judged.clips} <= set(musav.triplets)
    silent = 0
    for dimension in ("arousal", "valence"):
        answers = musav.judgements(dimension)
        expected = Counter()
        for j in answers:
            silent += j.higher_value == "not_selected"
            pair = (j.song_b, j.song_a) if j.higher_value == "b" else (j.song_a, j.song_b)
            if j.higher_value == "ab":
                pair = tuple(sorted(pair))
            if j.higher_value != "not_selected":
                expected[(*pair, j.higher_value == "ab", 1.0, j.annotator)] += 1
        assert Counter(spelled(judged, dimension)) == expected
    assert silent > 0
    assert judged.rule == f"judgements; {silent} not_selected left out"
    assert judged.namespace == "spotify"


def test_agreement_on_the_comparisons_is_musavs_own(tmp_path, write_musav):
    musav = musav_set.load(write_musav(tmp_path))
    assert musav_set.validate(tmp_path) == []
    judged = musav_set.load_judgements(tmp_path, subset="gt.fa")
    rng = np.random.default_rng(3)
    score = dict(zip(musav.song_ids, rng.normal(size=len(musav.song_ids)), strict=True))
    values = np.array([score[clip.id] for clip in judged.clips])
    for dimension in ("arousal", "valence"):
        pairs = musav.ground_truth(dimension, "gt.fa")
        official = agreement(
            judge(
                [p.higher_value for p in pairs],
                [score[p.song_a] for p in pairs],
                [score[p.song_b] for p in pairs],
            )
        )
        found = judged.of(dimension)
        truth = np.where(found.tied, "ab", "a")
        ours = agreement(judge(truth, values[found.higher], values[found.lower]))
        assert ours == official
        assert official.scored > 0


def test_the_real_musav_has_the_published_counts(shared_data):
    musav = musav_set.load(shared_data / "musav")
    counts = {}
    for subset in (None, "gt", "ismir2022.gt", "ismir2022.gt.ct.fa"):
        judged = musav.comparisons(subset=subset)
        counts[subset] = [
            (int((~judged.of(d).tied).sum()), int(judged.of(d).tied.sum()))
            for d in ("arousal", "valence")
        ]
    assert counts == {
        None: [(2687 + 2638, 897), (2489 + 2678, 1026)],
        "gt": [(1257, 191), (1134, 207)],
        "ismir2022.gt": [(1223, 190), (1104, 206)],
        "ismir2022.gt.ct.fa": [(477, 25), (345, 23)],
    }
    assert len({clip.unit for clip in judged.clips}) == 699
    said = [
        Said(d, musav.song_ids[h], musav.song_ids[lo])
        for d in ("arousal", "valence")
        for h, lo in zip(
            musav.comparisons().of(d).higher, musav.comparisons().of(d).lower, strict=True
        )
    ]
    unit = {clip.id: clip.unit for clip in judged.clips}
    components = joined(said)
    assert len(set(components.values())) == 699
    assert len({(unit[song], root) for song, root in components.items()}) == 699


def test_an_unknown_subset_is_refused(tmp_path, write_musav):
    with pytest.raises(DataError, match="no ground truth 'test'"):
        musav_set.load_judgements(write_musav(tmp_path), subset="test")
