"""GTZAN: clips and labels from the file names, and every misnamed file named."""

from collections import Counter

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
