"""Rankings and ratings a file a dimension, read as comparisons of every two clips."""

import itertools

import pytest
from invented_ratings import write_table

from earmark.datasets.base import DataError
from earmark.datasets.judgements import ccmed_wcmed
from earmark.datasets.judgements.rankings import load, load_emusic, validate

AROUSAL = {"a.wav": 2, "b.wav": 1, "c.wav": 4, "d.wav": 3}
VALENCE = {"a.wav": 1, "b.wav": 1, "c.wav": 2, "d.wav": 3}


def write(root, arousal=AROUSAL, valence=VALENCE, *, folder="Rankings", column="Ranking"):
    for name, levels in (("Arousal", arousal), ("Valence", valence)):
        write_table(root / folder / f"{name}.csv", ["FileName", column], levels.items())
    return root


def pairs(judged, dimension):
    names, found = [clip.id for clip in judged.clips], judged.of(dimension)
    assert not found.tied.any()
    assert set(found.votes) == {1.0}
    return {(names[h], names[lo]) for h, lo in zip(found.higher, found.lower, strict=True)}


def test_the_first_rank_is_the_highest(tmp_path):
    root = write(tmp_path)
    (root / "clips").mkdir()
    (root / "clips" / "d.wav").touch()
    judged = load(root)
    order = ["b.wav", "a.wav", "d.wav", "c.wav"]
    assert pairs(judged, "arousal") == set(itertools.combinations(order, 2))
    assert pairs(judged, "valence") == {
        *((one, other) for one in ("a.wav", "b.wav") for other in ("c.wav", "d.wav")),
        ("c.wav", "d.wav"),
    }
    assert [clip.path for clip in judged.clips] == [None] * 3 + [root / "clips" / "d.wav"]
    assert {clip.unit for clip in judged.clips} == {None}
    assert judged.rule == "every two clips at least 1 rank(s) apart, from Rankings"
    assert validate(root) == []


def test_ratings_give_the_same_comparisons_as_the_ranks_they_make(tmp_path):
    ranked = load(write(tmp_path / "1"), id="x")
    values = [{name: -1.5 * rank for name, rank in ranks.items()} for ranks in (AROUSAL, VALENCE)]
    rated = load(write(tmp_path / "2", *values, folder="Ratings", column="Rating"), id="x")
    assert rated.fingerprint == ranked.fingerprint
    assert rated.rule.endswith("from Ratings")
    both = write(tmp_path / "1", *values[::-1], folder="Ratings", column="Rating")
    assert load(both).fingerprint == ranked.fingerprint


def test_neighbouring_ranks_are_left_out_on_demand(tmp_path):
    judged = load(write(tmp_path), min_rank_gap=2)
    assert pairs(judged, "arousal") == {
        ("b.wav", "d.wav"),
        ("b.wav", "c.wav"),
        ("a.wav", "c.wav"),
    }
    assert pairs(judged, "valence") == {("a.wav", "d.wav"), ("b.wav", "d.wav")}
    gaps = write(tmp_path / "gaps", {"a": 1, "b": 7, "c": 40}, {"a": 1, "b": 7, "c": 40})
    assert pairs(load(gaps, min_rank_gap=2), "arousal") == {("a", "c")}
    with pytest.raises(
        DataError, match=r"no two clips are 3 rank\(s\) of valence apart, the 4 cli"
    ):
        load(tmp_path, min_rank_gap=3)
    with pytest.raises(DataError, match="min_rank_gap is 0, expected 1 or more"):
        load(tmp_path, min_rank_gap=0)


def test_the_named_sets_say_that_their_layout_is_not_checked(tmp_path):
    write(tmp_path / "WCMED")
    judged = ccmed_wcmed.load(tmp_path, part="wcmed")
    assert (judged.card.id, len(judged.clips)) == ("wcmed", 4)
    assert "not checked against its files" in judged.card.notes[0]
    with pytest.raises(DataError, match="expected ccmed or wcmed"):
        ccmed_wcmed.load(tmp_path, part="both")
    with pytest.raises(DataError, match="found none"):
        ccmed_wcmed.load(tmp_path, part="ccmed")
    assert len(ccmed_wcmed.validate(tmp_path)) == 1
    write(tmp_path / "CCMED", {"x": 1, "y": 2}, {"x": 1, "y": 2})
    assert ccmed_wcmed.validate(tmp_path) == []
    assert len(ccmed_wcmed.load(tmp_path, part="ccmed").clips) == 2
    assert len(ccmed_wcmed.load(tmp_path / "WCMED", part="wcmed").clips) == 4
    emusic = load_emusic(tmp_path / "WCMED", min_rank_gap=2)
    assert emusic.card.id == "emusic"
    assert "not checked against its files" in emusic.card.notes[0]
    assert "Ranking-Based Emotion Recognition" in emusic.card.citation


@pytest.mark.parametrize(
    ("arousal", "message"),
    [
        (AROUSAL | {"d.wav": 0}, "Ranking of d.wav is '0', expected a whole number from 1"),
        (AROUSAL | {"d.wav": 1.5}, "Ranking of d.wav is '1.5', expected a whole number from 1"),
        (AROUSAL | {"d.wav": "inf"}, "Ranking of d.wav is 'inf', expected a"),
        (AROUSAL | {"d.wav": ""}, "Ranking of d.wav is '', expected a whole number from 1"),
        (AROUSAL | {"d.wav ": 4}, "d.wav is there twice"),
        (AROUSAL | {"": 4}, "has no file name"),
        (AROUSAL | {"e.wav": 4}, "in one of Arousal.csv and Valence.csv alone: e.wav"),
    ],
)
def test_what_is_wrong_in_a_ranking_is_named(tmp_path, arousal, message):
    root = write(tmp_path, arousal)
    assert any(message in str(problem) for problem in validate(root))
    with pytest.raises(DataError) as error:
        load(root)
    assert message in str(error.value)


def test_a_rating_that_is_no_number_and_an_absent_table_are_refused(tmp_path):
    write(tmp_path, {"a": 1, "b": "nan"}, {"a": 1, "b": 2}, folder="Ratings", column="Rating")
    with pytest.raises(DataError, match="Rating of b is 'nan', expected a number"):
        load(tmp_path)
    (tmp_path / "Ratings" / "Valence.csv").unlink()
    with pytest.raises(DataError, match=r"Valence\.csv: no such file"):
        load(tmp_path)
