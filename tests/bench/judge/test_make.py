"""A study from a folder: what is left out, what is cut and how loud, who judges what."""

from __future__ import annotations

import csv
import itertools
from collections import Counter

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from earmark.bench.judge import plan as plans
from earmark.bench.judge.draw import draw_listeners, draw_triplets
from earmark.bench.judge.make import make
from earmark.bench.judge.plan import dimensions_of
from earmark.datasets.base import DataError
from earmark.datasets.loudness import loudness

RATE = 16_000


def noise(seconds, level=0.1, seed=0, channels=1):
    rng = np.random.default_rng(seed)
    return level * rng.standard_normal((round(seconds * RATE), channels)).clip(-3, 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Nine songs of two genres, and recordings that cannot be used."""
    root = tmp_path_factory.mktemp("songs")
    for n in range(9):
        place = root / ("rock" if n < 5 else "folk")
        place.mkdir(exist_ok=True)
        soundfile.write(place / f"{n}.wav", noise(5, 0.05, n, 1 + n % 2), RATE)
    soundfile.write(root / "copy of 0.flac", soundfile.read(root / "rock" / "0.wav")[0], RATE)
    soundfile.write(root / "short.wav", noise(2), RATE)
    soundfile.write(root / "silent.wav", np.zeros(5 * RATE), RATE)
    (root / "broken.mp3").write_bytes(b"no audio")
    (root / "list.txt").write_text("no audio")
    return root


@pytest.fixture(scope="module")
def made(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("studies") / "study"
    return make(folder, out, genres="folders", seconds=4, people=4, global_share=0.3), out


def test_what_cannot_be_judged_is_named_and_the_rest_is_planned(made):
    found, out = made
    with (out / plans.LEFT_OUT).open() as file:
        reasons = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    assert reasons.keys() == {"rock/0.wav", "short.wav", "silent.wav", "broken.mp3"}
    assert reasons["rock/0.wav"] == "the same recording as copy of 0.flac"
    assert "expected 3 s at least" in reasons["short.wav"]
    assert len(found.plan.songs) == 9 and len(found.plan.triplets) == 3
    assert plans.read(out) == found.plan
    on_disk = {path.name for path in (out / plans.EXCERPTS).iterdir()}
    assert on_disk == {song.excerpt for song in found.plan.songs}


def test_an_excerpt_is_the_middle_at_the_measured_loudness(made, folder):
    found, out = made
    for song in found.plan.songs:
        whole, rate = soundfile.read(folder / song.source, always_2d=True)
        middle = whole[rate // 2 : rate // 2 + 4 * rate]
        played = middle if middle.shape[1] == 2 else middle.repeat(2, axis=1)
        assert (song.start, song.seconds) == (0.5, 4)
        assert song.lufs == pytest.approx(loudness(played, rate), abs=1e-3)
        heard, rate = soundfile.read(out / plans.EXCERPTS / song.excerpt, always_2d=True)
        assert heard.shape[1] == middle.shape[1]
        assert len(heard) / rate == pytest.approx(4, abs=0.1)
        heard = heard if heard.shape[1] == 2 else heard.repeat(2, axis=1)
        assert loudness(heard, rate) == pytest.approx(song.lufs, abs=1)
        assert found.plan.gain(song) * song.peak <= 1


def test_two_channels_add_up_as_torchaudio_and_essentia_have_it():
    torch, torchaudio = pytest.importorskip("torch"), pytest.importorskip("torchaudio")
    stereo, rate = noise(9, 0.05, channels=2).astype(np.float32), 48_000
    ours = loudness(stereo, rate)
    theirs = torchaudio.functional.loudness(torch.from_numpy(stereo.T.copy()), rate)
    assert ours == pytest.approx(float(theirs), abs=0.1)
    essentia = pytest.importorskip("essentia.standard")
    integrated = essentia.LoudnessEBUR128(sampleRate=rate)(stereo)[2]
    assert ours == pytest.approx(integrated, abs=0.1)


def test_where_a_gain_would_clip_the_level_of_all_is_lowered_and_said(tmp_path):
    root = tmp_path / "songs"
    root.mkdir()
    for n in range(3):
        soundfile.write(root / f"{n}.wav", noise(4, 0.05, n), RATE)
    quiet = noise(4, 0.001, 9)
    quiet[RATE] = 0.99
    soundfile.write(root / "2.wav", quiet, RATE)
    found = make(root, tmp_path / "study")
    assert found.plan.target_lufs < -20
    assert any("would clip 2.wav" in note for note in found.notes)
    for song in found.plan.songs:
        level = song.lufs + 20 * np.log10(found.plan.gain(song))
        assert level == pytest.approx(found.plan.target_lufs, abs=1e-9)


def test_a_named_start_is_taken(folder, tmp_path):
    (tmp_path / "starts.csv").write_text("file,start\n3,0.25\nfolk/7.wav,1\n")
    (tmp_path / "genres.csv").write_text("file,genre\n3,a;b\n3,c\n")
    options = {"starts": tmp_path / "starts.csv", "genres": tmp_path / "genres.csv"}
    found = make(folder, tmp_path / "study", seconds=3.5, **options)
    start = {song.source: song.start for song in found.plan.songs}
    genres = {song.source: song.genres for song in found.plan.songs}
    assert (start["rock/3.wav"], start["folk/7.wav"], start["rock/1.wav"]) == (0.25, 1, 0.75)
    assert genres["rock/3.wav"] == ("a", "b", "c") and genres["rock/1.wav"] == ()
    (tmp_path / "starts.csv").write_text("file,start\nrock/33.wav,0.25\n")
    with pytest.raises(DataError, match=r"starts.csv:2: 'rock/33.wav' is no audio file"):
        make(folder, tmp_path / "other", **options)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_triplets": 4}, "4 triplets need 12 songs, there are 9"),
        ({"people": 2}, "judged by 3 listeners, but there are 2"),
        ({"seconds": 1}, "an excerpt of 1 s: expected 3 s at least"),
        ({"dimensions": "arousl"}, "no dimension 'arousl'.*arousal"),
        ({"global_share": 1.5}, "share of global triplets is 1.5"),
    ],
)
def test_what_cannot_be_planned_is_refused_and_leaves_nothing(folder, tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        make(folder, tmp_path / "study", **changes)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_audio_is_refused(tmp_path):
    (tmp_path / "songs").mkdir()
    with pytest.raises(DataError, match="holds no audio file"):
        make(tmp_path / "songs", tmp_path / "study")


def test_a_plan_is_never_changed(made, folder):
    found, out = made
    with pytest.raises(DataError, match="holds a plan; a second plan is a new folder"):
        make(folder, out)
    (out / plans.STORE).touch()
    with pytest.raises(DataError, match="judging has begun"):
        make(folder, out)
    (out / plans.STORE).unlink()
    assert plans.read(out) == found.plan


@given(
    st.lists(st.lists(st.sampled_from("abcde"), max_size=2, unique=True), min_size=9, max_size=60),
    st.floats(0, 1),
    st.integers(0, 99),
)
def test_no_song_is_in_two_triplets_and_a_genre_has_one_at_most(of_songs, share, seed):
    genres = {f"{n:02d}": names for n, names in enumerate(of_songs)}
    drawn, _ = draw_triplets(genres, global_share=share, seed=seed)
    assert len(drawn) == len(genres) // 3
    songs = [song for one in drawn for song in one.songs]
    assert len(set(songs)) == len(songs) == 3 * len(drawn)
    kinds = Counter(one.type for one in drawn if one.type != "global_triplet")
    assert max(kinds.values(), default=1) == 1
    assert len(kinds) <= len(drawn) - round(share * len(drawn))
    for one in drawn:
        kind, _, genre = one.type.partition("--")
        assert kind == "global_triplet" or all(genre in genres[song] for song in one.songs)
    shuffled = dict(reversed(genres.items()))
    assert draw_triplets(shuffled, global_share=share, seed=seed)[0] == drawn


def test_a_genre_of_two_songs_is_named_and_its_songs_are_drawn_globally():
    genres = {f"{n}": ["a" if n < 2 else "b"] for n in range(9)}
    drawn, said = draw_triplets(genres, global_share=0)
    assert Counter(one.type for one in drawn) == {"genre_triplet--b": 1, "global_triplet": 2}
    assert said[0] == "fewer than three songs, so no genre triplet: a"
    assert said[1].startswith("1 genre triplets instead of 3")


@given(st.integers(1, 40), st.integers(1, 5), st.integers(0, 7), st.integers(0, 9))
def test_each_triplet_has_its_listeners_and_their_shares_are_equal(n_triplets, k, more, seed):
    drawn = draw_listeners(n_triplets, n_listeners=k + more, annotators=k, seed=seed)
    assert len(drawn) == n_triplets and all(len(set(one)) == k for one in drawn)
    counts = Counter(itertools.chain(*drawn))
    loads = [counts[listener] for listener in range(k + more)]
    assert max(loads) - min(loads) <= 1


def test_dimensions_of_ones_own_stand_in_a_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[dimensions.tension]\nquestion = "Tenser?"\nlow = "calm"\nhigh = "tense"\n')
    (one,) = dimensions_of(str(path))
    assert (one.name, one.question, one.low, one.high) == ("tension", "Tenser?", "calm", "tense")
    path.write_text('[dimensions.tension]\nquestion = "Tenser?"\nlow = "calm"\n')
    with pytest.raises(DataError, match=r"mine.toml: \[dimensions.tension\]: high: Field required"):
        dimensions_of(str(path))
    assert [one.name for one in dimensions_of("arousal, preference")] == ["arousal", "preference"]
