"""MER-TAFFC: quadrants as comparisons of the two sides of each dimension."""

import numpy as np
import pytest
from invented_ratings import write_table
from sklearn.metrics import roc_auc_score

from earmark.bench.metrics.pairs.pairwise import agreement, judge
from earmark.datasets.base import DataError
from earmark.datasets.judgements.mer_taffc import ANNOTATIONS, METADATA, QUADRANTS, load, validate

ROWS = (("MT4", "Q4"), ("MT1", "Q1"), ("MT2", "Q2"), ("MT3", "Q3"), ("MT5", "Q1"))


def write(root, rows=ROWS, *, artists=(), audio=()):
    write_table(root / ANNOTATIONS, ["Song", "Quadrant"], rows)
    if artists:
        write_table(root / METADATA, ["Song", "Artist", "Title", "Quadrant"], artists)
    for name in audio:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).touch()
    return root


def pairs(judged, dimension):
    names, found = [clip.id for clip in judged.clips], judged.of(dimension)
    return {(names[h], names[lo]) for h, lo in zip(found.higher, found.lower, strict=True)}


def test_every_high_clip_is_compared_with_every_low_one(tmp_path):
    artists = [("MT1", "Björk", "t", "Q1"), ("MT5", "björk ", "t", "Q1"), ("MT9", "x", "t", "Q2")]
    root = write(tmp_path, artists=artists, audio=["Q1/MT1.mp3", "Q3/MT3.mp3"])
    judged = load(root)
    assert pairs(judged, "arousal") == {
        (high, low) for high in ("MT1", "MT2", "MT5") for low in ("MT3", "MT4")
    }
    assert pairs(judged, "valence") == {
        (high, low) for high in ("MT1", "MT4", "MT5") for low in ("MT2", "MT3")
    }
    assert [clip.label for clip in judged.clips] == ["Q1", "Q2", "Q3", "Q4", "Q1"]
    assert [clip.unit for clip in judged.clips] == ["björk", None, None, None, "björk"]
    assert judged.clips[2].path == root / "Q3" / "MT3.mp3"
    notes = " | ".join(judged.card.notes)
    assert "Q1 2, Q2 1, Q3 1, Q4 1" in notes
    assert "5 of the 900 clips" in notes
    assert "3 of 5 clips have no known artist" in notes
    assert validate(root) == []


def test_pairwise_accuracy_over_them_is_the_area_under_the_curve(tmp_path):
    rng = np.random.default_rng(5)
    rows = [(f"MT{i:03d}", f"Q{q}") for i, q in enumerate(rng.integers(1, 5, 80))]
    judged = load(write(tmp_path, rows))
    scores = rng.normal(size=80)
    for column, dimension in enumerate(("arousal", "valence")):
        found = judged.of(dimension)
        truth = ["a"] * len(found)
        ours = agreement(judge(truth, scores[found.higher], scores[found.lower])).accuracy
        high = [QUADRANTS[clip.label][column] > 0 for clip in judged.clips]
        assert ours == pytest.approx(roc_auc_score(high, scores), abs=1e-12)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([*ROWS, ("MT1", "Q1")], "song MT1 is there twice"),
        ([*ROWS, ("MT6", "Q5")], "quadrant of MT6 is 'Q5', expected Q1, Q2, Q3, Q4"),
        ([*ROWS, ("MT6", "")], "quadrant of MT6 is '', expected Q1"),
        ([*ROWS, ("", "Q1")], "has no song"),
        ([("MT1", "Q1"), ("MT2", "Q2")], "all quadrants are on one side of arousal"),
    ],
)
def test_what_is_wrong_in_the_annotations_is_named(tmp_path, rows, message):
    root = write(tmp_path, rows)
    assert any(message in str(problem) for problem in validate(root))
    with pytest.raises(DataError) as error:
        load(root)
    assert message in str(error.value)


def test_metadata_and_folders_that_contradict_the_annotations_are_refused(tmp_path):
    root = write(tmp_path / "1", artists=[("MT1", "x", "t", "Q2")])
    with pytest.raises(DataError, match=f"song MT1 is in Q2, and in Q1 by {ANNOTATIONS}"):
        load(root)
    root = write(tmp_path / "2", audio=["Q2/MT1.mp3"])
    with pytest.raises(DataError, match="MT1 lies in Q2, but is Q1 in the table"):
        load(root)
    root = write(tmp_path / "3", audio=["Q1/MT1.mp3", "Q2/MT1.mp3"])
    with pytest.raises(DataError, match="MT1 has 2 files"):
        load(root)
    with pytest.raises(DataError, match=f"{ANNOTATIONS}: no such file"):
        load(tmp_path)


def test_audio_in_one_folder_is_found_too(tmp_path):
    root = write(tmp_path, audio=["clips/MT1.mp3"])
    assert load(root).clips[0].path == load(root, audio=root / "clips").clips[0].path
    assert load(root).clips[0].path == root / "clips" / "MT1.mp3"
