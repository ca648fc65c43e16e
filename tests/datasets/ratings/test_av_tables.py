"""What rated sets share: columns by name, subsets with all that belongs to a clip, fingerprints."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from earmark.datasets.base import DataError, DatasetCard, Scale
from earmark.datasets.ratings.table import (
    Rating,
    artist_unit,
    assemble,
    audio_paths,
    partition,
    read_columns,
    subset,
    values_digest,
)

CARD = DatasetCard("x", "X", "1", "CC0", "@misc{x}", "here")
ROWS = [
    Rating("10", 2, 3, (0.1, 0.2), "rock", "ann", "train"),
    Rating("9", 4, 5, (0.3, 0.4), None, "bob", "test"),
    Rating("b", 6, 7, (0.5, 0.6), None, None, "train"),
]


def rated(tmp_path, rows=ROWS, **options):
    return assemble(rows, CARD, root=tmp_path, scale=Scale(1, 9), paths={}, **options)


def test_columns_are_found_whatever_the_white_space_and_order(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("\ufeff b _x ,junk,\ta\r\n 1 ,j, 2\r\n\r\n3,j,4\r\n")
    rows, problems = read_columns(path, ["a", "b_x"])
    assert rows == [(2, {"a": "2", "b_x": "1"}), (4, {"a": "4", "b_x": "3"})]
    assert problems == []
    assert read_columns(path, ["a", "b _x"])[0][0] == (2, {"a": "2", "b _x": "1"})


def test_columns_of_other_names_are_refused_by_name(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("A,b\n1,2\n")
    rows, (problem,) = read_columns(path, ["a", "b", "c"])
    assert rows == []
    message = "has no column 'a' or 'c', found columns 'A', 'b'. Did you mean A?"
    assert str(problem) == f"{path}:1: {message}"


def test_clips_are_in_the_order_of_numbers_then_names(tmp_path):
    found = rated(tmp_path)
    assert [clip.id for clip in found.clips] == ["9", "10", "b"]
    assert found.ratings.tolist() == [[4, 5], [2, 3], [6, 7]]
    assert found.deviations.tolist() == [[0.3, 0.4], [0.1, 0.2], [0.5, 0.6]]
    assert found.partitions == ("test", "train", "train")
    assert found.fingerprint == rated(tmp_path, ROWS[::-1]).fingerprint


def test_deviations_of_some_clips_only_and_no_partitions_are_left_out(tmp_path):
    plain = [Rating(row.id, row.arousal, row.valence) for row in ROWS]
    found = rated(tmp_path, [ROWS[0], *plain[1:]])
    assert found.deviations is None
    assert found.partitions == (None, "train", None)
    assert rated(tmp_path, plain).partitions == ()


@given(st.lists(st.booleans(), min_size=3, max_size=3).filter(any))
def test_a_subset_keeps_what_belongs_to_a_clip_together(keep):
    whole = rated(Path("nowhere"))
    part = subset(whole, np.array(keep), note="some")
    kept = [i for i, yes in enumerate(keep) if yes]
    assert part.clips == tuple(whole.clips[i] for i in kept)
    assert part.partitions == tuple(whole.partitions[i] for i in kept)
    np.testing.assert_array_equal(part.ratings, whole.ratings[kept])
    np.testing.assert_array_equal(part.deviations, whole.deviations[kept])
    assert (part.fingerprint == whole.fingerprint) == all(keep)
    assert part.card.notes == (*whole.card.notes, "some")


def test_an_empty_subset_and_an_unknown_partition_are_refused(tmp_path):
    found = rated(tmp_path)
    with pytest.raises(DataError, match=r"x: no clip is left \(none\)"):
        subset(found, np.zeros(3, bool), note="none")
    with pytest.raises(DataError, match="x has no partition 'dev', expected test or train"):
        partition(found, "dev")
    plain = rated(tmp_path, [Rating("1", 1, 1)])
    with pytest.raises(DataError, match="x has no partition 'dev', it has no partitions"):
        partition(plain, "dev")


@given(arrays(float, (4, 2), elements=st.floats(1, 9)), st.permutations(range(4)))
def test_the_digest_of_values_is_of_ids_and_values_alone(values, order):
    one = [Rating(str(i), *row) for i, row in enumerate(values.tolist())]
    other = [
        Rating(str(i), *row, deviations=(1, 1), label="l", unit="u", partition="p")
        for i, row in enumerate(values.tolist())
    ]
    assert values_digest(one) == values_digest(other[i] for i in order)
    changed = [*one[:3], Rating("3", one[3].arousal, one[3].valence + 1)]
    assert values_digest(changed) != values_digest(one)


def test_the_first_usual_folder_of_audio_is_taken(tmp_path):
    for name in ("second/1.mp3", "third/1.wav", "third/2.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    options = {"of": "X", "root": tmp_path, "usual": ("first", "second", "third"), "audio": None}
    assert audio_paths(["1", "2"], **options) == {"1": tmp_path / "second/1.mp3"}
    assert audio_paths(["1"], **options | {"usual": ("first",)}) == {}
    found = audio_paths(["1", "2"], **options | {"audio": tmp_path / "third"})
    assert found == {"1": tmp_path / "third/1.wav", "2": tmp_path / "third/2.wav"}
    with pytest.raises(DataError, match="X: no folder nowhere"):
        audio_paths(["1"], **options | {"audio": "nowhere"})


@pytest.mark.parametrize(("name", "unit"), [("", None), (" \t", None), ("ẞ  X", "ss x")])
def test_artists_are_compared_without_case_and_spacing(name, unit):
    assert artist_unit(name) == unit
