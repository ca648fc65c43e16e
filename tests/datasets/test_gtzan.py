"""GTZAN: clips and labels from the file names, and every misnamed file named."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from earmark.datasets import gtzan
from earmark.datasets.base import DataError


def touch(root, *names):
    """Write files that are not empty; nothing here decodes them."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\0")
    return root


def test_the_genres_are_in_the_order_of_torchaudio():
    torchaudio_gtzan = pytest.importorskip("torchaudio.datasets.gtzan")
    assert list(gtzan.GENRES) == torchaudio_gtzan.gtzan_genres


def test_every_genre_has_a_text_form():
    assert tuple(gtzan.GENRE_TEXTS) == gtzan.GENRES
    assert gtzan.GENRE_TEXTS["hiphop"] == "hip hop"
    assert gtzan.GENRE_TEXTS["rock"] == "rock"


@pytest.mark.parametrize("folder", ["genres", "genres_original", "."])
def test_opens_whatever_files_are_there_in_the_order_of_genres_and_numbers(tmp_path, folder):
    names = ["rock/rock.00099.au", "blues/blues.00010.flac", "blues/blues.00002.WAV"]
    touch(tmp_path / folder, *names, "hiphop/hiphop.00000.mp3", "blues/notes.txt", "README.wav")
    opened = gtzan.load(tmp_path)
    assert [clip.id for clip in opened.clips] == [
        *("blues.00002", "blues.00010", "hiphop.00000", "rock.00099"),
    ]
    assert [clip.label for clip in opened.clips] == ["blues", "blues", "hiphop", "rock"]
    assert [clip.path for clip in opened.clips][2] == tmp_path / folder / "hiphop/hiphop.00000.mp3"
    np.testing.assert_array_equal(opened.labels, [0, 0, 4, 9])
    assert gtzan.validate(str(tmp_path)) == []


def test_the_fingerprint_is_that_of_the_clips_and_not_of_their_place_or_suffix(tmp_path):
    one = gtzan.load(touch(tmp_path / "1", "genres/jazz/jazz.00001.wav"))
    same = gtzan.load(touch(tmp_path / "2", "jazz/jazz.00001.au"))
    other = gtzan.load(touch(tmp_path / "3", "genres/jazz/jazz.00002.wav"))
    assert one.fingerprint == same.fingerprint != other.fingerprint


def test_the_known_unreadable_file_stays_and_is_noted(tmp_path):
    opened = gtzan.load(touch(tmp_path, "genres/jazz/jazz.00054.wav"))
    assert [clip.id for clip in opened.clips] == ["jazz.00054"]
    assert any("unreadable in common copies: jazz.00054" in note for note in opened.card.notes)
    other = gtzan.load(touch(tmp_path / "other", "genres/jazz/jazz.00055.wav"))
    assert not any("unreadable" in note for note in other.card.notes)


def test_the_card_says_how_much_is_there_unless_it_is_all(tmp_path):
    some = gtzan.load(touch(tmp_path / "some", "genres/pop/pop.00001.wav"))
    assert any(note.startswith("1 of the 1,000 excerpts are there") for note in some.card.notes)
    names = [f"genres/{g}/{g}.{n:05d}.wav" for g in gtzan.GENRES for n in range(100)]
    whole = gtzan.load(touch(tmp_path / "whole", *names))
    assert len(whole.clips) == 1000
    assert not any("1,000" in note for note in whole.card.notes)
    np.testing.assert_array_equal(np.bincount(whole.labels), [100] * 10)


@pytest.mark.parametrize("folder", [".", "genres", "genres/blues"])
def test_refuses_a_folder_without_audio(tmp_path, folder):
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    with pytest.raises(DataError, match=r"expected genres/<genre>/<genre>\.NNNNN\.wav, found 0"):
        gtzan.load(tmp_path)
    (problem,) = gtzan.validate(tmp_path / "nowhere")
    assert "found 0 audio files" in problem.message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("blues/rock.00002.wav", "is named rock and stands in blues/: move or rename it"),
        ("blues/blues.1.wav", "expected the name blues.NNNNN with wav, au, flac or mp3"),
        ("blues/blues.00001.ogg", "expected the name blues.NNNNN"),
        ("blues/copy/blues.00001.wav", "is named blues and stands in copy/"),
        (
            "blues/blues.00000.mp3",
            "blues.00000 is there twice, also as blues.00000.mp3: remove one",
        ),
    ],
)
def test_a_file_that_is_misnamed_misplaced_or_there_twice_is_named_and_refused(
    tmp_path, name, message
):
    root = touch(tmp_path, "blues/blues.00000.wav", "rock/rock.00001.wav", name)
    (problem,) = gtzan.validate(root)
    assert message in problem.message
    with pytest.raises(DataError, match=r"has 1 problem\(s\)"):
        gtzan.load(root)


def test_the_real_excerpts_are_321_in_ten_genres(shared_data):
    opened = gtzan.load(shared_data / "gtzan_excerpts")
    assert len(opened.clips) == 321
    counts = Counter(clip.label for clip in opened.clips)
    assert [counts[genre] for genre in gtzan.GENRES] == [25, 66, 50, 27, 15, 41, 18, 21, 22, 36]
    assert all(clip.path.name == f"{clip.id}.flac" for clip in opened.clips)


def filtered(partition):
    return [name for name, part in gtzan.fault_filtered().items() if part == partition]


def as_files(names):
    return [f"genres/{name.partition('.')[0]}/{name}.wav" for name in names]


def test_the_fault_filtered_lists_have_the_published_sizes_and_do_not_overlap():
    sizes = Counter(gtzan.fault_filtered().values())
    assert sizes == {"train": 443, "valid": 197, "test": 290}
    genres = Counter(name.partition(".")[0] for name in filtered("test"))
    assert [genres[g] for g in gtzan.GENRES] == [31, 31, 30, 29, 27, 27, 27, 30, 26, 32]
    assert gtzan.fault_filtered()["jazz.00054"] == "train"


@pytest.mark.parametrize("partition", ["train", "valid", "test"])
def test_the_fault_filtered_lists_are_those_of_torchaudio(partition):
    torchaudio_gtzan = pytest.importorskip("torchaudio.datasets.gtzan")
    assert set(filtered(partition)) == set(getattr(torchaudio_gtzan, f"filtered_{partition}"))


@pytest.mark.parametrize("partition", ["train", "valid", "test"])
def test_the_fault_filtered_lists_are_those_of_their_authors(shared_data, partition):
    lines = (shared_data / "gtzan" / f"{partition}_filtered.txt").read_text().split()
    assert sorted(filtered(partition)) == sorted(Path(line).stem for line in lines)


def test_a_partition_holds_its_clips_and_no_others(tmp_path):
    root = touch(tmp_path, *as_files(gtzan.fault_filtered()), "genres/pop/pop.00015.wav")
    assert "pop.00015" not in gtzan.fault_filtered()
    opened = gtzan.load(root, split="fault-filtered", partition="test")
    assert [clip.id for clip in opened.clips] == sorted(filtered("test"))
    assert set(opened.partitions) == {"test"}
    assert any("test: 290 of 290 clips are there: blues 31" in n for n in opened.card.notes)
    assert gtzan.validate(root, split="fault-filtered") == []
    every = gtzan.load(root, split="fault-filtered")
    assert Counter(every.partitions) == {"train": 443, "valid": 197, "test": 290}
    assert every.partitions == tuple(gtzan.fault_filtered()[clip.id] for clip in every.clips)
    whole = gtzan.load(root)
    assert (whole.split, set(whole.partitions)) == ("all", {None})
    assert len({opened.fingerprint, every.fingerprint, whole.fingerprint}) == 3


def test_a_split_that_lacks_clips_is_refused_unless_they_are_dropped(tmp_path):
    names = filtered("valid")
    root = touch(tmp_path, *as_files(names[2:]))
    options = {"split": "fault-filtered", "partition": "valid"}
    with pytest.raises(DataError, match=rf"2 of the 197 clips .*{names[0]}, {names[1]}; missing="):
        gtzan.load(root, **options)
    assert len(gtzan.validate(root, **options)) == 1
    opened = gtzan.load(root, **options, missing="drop")
    assert len(opened.clips) == 195
    assert any("valid: 195 of 197 clips" in note for note in opened.card.notes)
    with pytest.raises(DataError, match="none of the fault-filtered split's clips is there"):
        gtzan.load(root, split="fault-filtered", partition="test", missing="drop")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "filtered"}, "no split 'filtered'; expected one of all, fault-filtered"),
        ({"split": "fault-filtered", "partition": "dev"}, "no partition 'dev'"),
        ({"partition": "test"}, "split 'all' has no partition, got 'test'"),
        ({"missing": "ignore"}, "no missing 'ignore'; expected one of error, drop"),
    ],
)
def test_an_unknown_option_is_named_with_those_that_exist(tmp_path, options, message):
    root = touch(tmp_path, "genres/pop/pop.00001.wav")
    with pytest.raises(DataError, match=message):
        gtzan.load(root, **options)


def test_of_the_real_excerpts_those_of_the_test_partition_are_dropped_to(shared_data):
    root = shared_data / "gtzan_excerpts"
    opened = gtzan.load(root, split="fault-filtered", partition="test", missing="drop")
    there = {clip.id for clip in gtzan.load(root).clips}
    assert {clip.id for clip in opened.clips} == there & set(filtered("test"))
    with pytest.raises(DataError, match="of the 290 clips of the split are not there"):
        gtzan.load(root, split="fault-filtered", partition="test")
