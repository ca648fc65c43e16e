"""Building: the same bytes whatever the workers, the order of doing and the interruptions."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from earmark.datasets.base import DataError
from earmark.datasets.etude import build as building
from earmark.datasets.etude.build import build
from earmark.datasets.etude.layouts import VERSION, read_corpus

SUPPORT = Path(__file__).resolve().parents[2] / "support"
ASKED = {"n_tracks": 30, "seconds": 2, "seed": 7}


def content(root):
    """Return the digest of every file below a folder, hidden ones among them, but for the lock."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


@pytest.fixture(scope="module")
def whole(corpus):
    """What an uninterrupted build in one process leaves."""
    assert read_corpus(corpus).seconds == ASKED["seconds"]
    return corpus


def run_killed(root, *, at, workers):
    return subprocess.run(
        [sys.executable, "-P", SUPPORT / "killed_etude_build.py", root, at, str(workers)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_two_workers_make_the_bytes_of_one(whole, tmp_path):
    seen = []
    corpus = build(
        tmp_path / "two",
        **ASKED,
        workers=2,
        progress=lambda done, total, name: seen.append((name, done, total)),
    )
    assert content(tmp_path / "two") == content(whole)
    assert corpus == read_corpus(whole)
    tracks = [done for name, done, total in seen if name == "tracks" and total == 30]
    assert tracks[0] == 0
    assert tracks[-1] == 30
    assert tracks == sorted(tracks)
    assert ("layouts", 5, 5) in seen


@pytest.mark.parametrize("at", ["00011.wav", "00017.mp3"])
def test_a_build_killed_in_the_middle_of_a_file_goes_on_to_the_same_bytes(
    whole, tmp_path, monkeypatch, at
):
    root = tmp_path / "killed"
    done = run_killed(root, at=at, workers=1)
    assert done.returncode == -signal.SIGKILL, done.stderr
    left = content(root)
    halves = [name for name in left if name.endswith(".tmp")]
    assert len(halves) == 1
    assert halves[0].startswith(f"tracks/.{at}.")
    assert f"tracks/{at}" not in left
    number = int(at[:5])
    assert f"tracks/{number - 1:05d}.mp3" in left
    assert not (root / "gtzan").exists()
    assert read_corpus(root).fingerprint is None
    rendered = []
    render = building.render
    monkeypatch.setattr(
        building,
        "render",
        lambda score, **options: (rendered.append(score.number), render(score, **options))[1],
    )
    build(root, **ASKED, workers=1)
    assert rendered == list(range(number + at.endswith("mp3"), 30)), (
        "a finished track was made anew"
    )
    assert content(root) == content(whole)


def test_a_worker_that_is_killed_ends_the_build_with_a_word_of_how_to_go_on(whole, tmp_path):
    root = tmp_path / "worker"
    done = run_killed(root, at="00020.wav", workers=2)
    assert done.returncode == 3, done.stderr
    assert "a worker of the build" in done.stdout
    assert "the same command goes on from there" in done.stdout
    assert "00020.wav" not in {path.name for path in (root / "tracks").iterdir()}
    build(root, **ASKED, workers=1)
    assert content(root) == content(whole)


KILLED_AFTER_A_TRACK = """
import os, signal, sys
from earmark.datasets.etude.build import build

def die(done, total, name):
    if name == "tracks" and done:
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    build(sys.argv[1], n_tracks=30, seconds=2, seed=7, workers=2, progress=die)
"""


def test_workers_end_with_a_build_that_is_killed(whole, tmp_path):
    (tmp_path / "killed.py").write_text(KILLED_AFTER_A_TRACK)
    # Workers inherit the standard output: it ends when the last of them has.
    done = subprocess.run(
        [sys.executable, "-P", tmp_path / "killed.py", tmp_path / "out"],
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == -signal.SIGKILL
    build(tmp_path / "out", **ASKED, workers=1)
    assert content(tmp_path / "out") == content(whole)


def test_a_finished_corpus_is_not_touched_by_building_it_again(whole, tmp_path):
    root = tmp_path / "twice"
    build(root, **ASKED, workers=1)
    before = {path: path.stat().st_ino for path in root.rglob("*") if path.is_dir()}
    assert len(before) > 5
    build(root, **ASKED, workers=1)
    # Another process may be reading: a folder that was replaced would be another one.
    assert {path: path.stat().st_ino for path in before} == before
    assert content(root) == content(whole)


def test_a_failure_while_layouts_are_written_leaves_no_half_of_one(whole, tmp_path, monkeypatch):
    root = tmp_path / "layouts"
    with monkeypatch.context() as patch:

        def fail(folder, source):
            folder.mkdir()
            (folder / "half").write_text("x")
            raise OSError("No space left on device")

        patch.setattr(building, "LAYOUTS", {**building.LAYOUTS, "mtat": fail})
        with pytest.raises(DataError, match=r"cannot be written to .*: No space left"):
            build(root, **ASKED, workers=1)
    assert not (root / "mtat").exists()
    assert (root / "gtzan").is_dir()
    build(root, **ASKED, workers=1)
    assert content(root) == content(whole)


def test_a_second_build_changes_nothing_and_renders_nothing(whole, monkeypatch):
    before = content(whole)

    def fail(score, **options):
        raise AssertionError(f"{score.id} was rendered again")

    monkeypatch.setattr(building, "render", fail)
    build(whole, **ASKED, workers=1)
    assert content(whole) == before


@pytest.mark.parametrize("name", ["00000.wav", "00003.mp3"])
def test_a_file_that_changed_after_the_corpus_was_finished_is_made_again(
    whole, tmp_path, name, caplog
):
    shutil.copytree(whole, tmp_path / "copy", symlinks=True)
    place = tmp_path / "copy" / "tracks" / name
    flipped = bytearray(place.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    place.unlink()  # layouts may be hard links to it
    place.write_bytes(flipped)
    build(tmp_path / "copy", **ASKED, workers=1)
    assert content(tmp_path / "copy") == content(whole)
    assert f"{place} has changed since the corpus was finished" in caplog.text


def test_a_corpus_is_not_finished_over_a_file_that_is_not_as_it_was_made(tmp_path, monkeypatch):
    made = building.make_track(0, tmp_path, seed=7, seconds=2, mp3=True)
    building._verify(tmp_path, made.files)
    (tmp_path / "00000.mp3").write_bytes(b"half")
    with pytest.raises(DataError, match=r"1 files in .* not as they were written \(00000\.mp3"):
        building._verify(tmp_path, made.files)


def test_layouts_can_be_added_and_fewer_tracks_be_more_later(whole, tmp_path):
    root = tmp_path / "grown"
    first = build(root, **ASKED, layouts=["gtzan"], workers=1)
    assert not list(root.rglob("*.mp3"))
    assert {path.name for path in root.iterdir()} == {
        *(".lock", "corpus.json", "attributes.json", "digests.json", "tracks", "gtzan"),
    }
    build(root, **ASKED, layouts=["musav", "mtat"], workers=1)
    assert read_corpus(root).layouts == ("gtzan", "mtat", "musav")
    last = build(root, **ASKED, workers=1)
    assert content(root) == content(whole)
    assert first.fingerprint == last.fingerprint == read_corpus(whole).fingerprint
    more = build(root, **ASKED | {"n_tracks": 33}, layouts=["gtzan"], workers=1)
    fresh = build(tmp_path / "fresh", **ASKED | {"n_tracks": 33}, workers=1)
    assert more == fresh
    assert content(root) == content(tmp_path / "fresh")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 8}, "with seed 7, asked for 8"),
        ({"seconds": 3}, "with seconds 2.0, asked for 3.0"),
        ({"n_tracks": 31}, None),
    ],
)
def test_another_corpus_is_refused(whole, tmp_path, change, message):
    root = tmp_path / "copy"
    root.mkdir()
    (root / "corpus.json").write_bytes((whole / "corpus.json").read_bytes())
    if message is None:
        smaller = json.loads((root / "corpus.json").read_text()) | {"n_tracks": 32}
        (root / "corpus.json").write_text(json.dumps(smaller))
        message = "of 32 tracks, asked for 31: a corpus can grow, not shrink"
    with pytest.raises(DataError, match=message):
        build(root, **ASKED | change, workers=1)
    assert not (root / "tracks").exists()


def test_another_version_is_refused(whole, tmp_path):
    said = json.loads((whole / "corpus.json").read_text())
    assert said["version"] == VERSION
    (tmp_path / "corpus.json").write_text(json.dumps(said | {"version": "0.9"}))
    with pytest.raises(DataError, match=f"with version 0.9, asked for {VERSION}"):
        build(tmp_path, **ASKED, workers=1)


@pytest.mark.parametrize("text", ["", "{}", '{"version": 1}', "[]"])
def test_a_damaged_corpus_file_is_an_error_with_a_mend(tmp_path, text):
    (tmp_path / "corpus.json").write_text(text)
    with pytest.raises(DataError, match=r"corpus\.json is damaged: .*build it again"):
        build(tmp_path, **ASKED, workers=1)


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(DataError, match=r"holds no Etude corpus, but thesis\.tex"):
        build(tmp_path, **ASKED, workers=1)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != ".lock") == [
        "thesis.tex"
    ]


def test_two_builds_do_not_share_a_folder(tmp_path):
    with FileLock(tmp_path / ".lock"), pytest.raises(DataError, match="another process is build"):
        build(tmp_path, **ASKED, workers=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_tracks": 29}, "has 30 to 100000 tracks"),
        ({"n_tracks": 100_001}, "has 30 to 100000 tracks"),
        ({"seconds": 1}, "lasts 2 to 600 s, got 1"),
        ({"seed": -1}, "whole seed from 0, got -1"),
        ({"workers": 0}, "at least 1 worker, got 0"),
        ({"layouts": ["gtzen"]}, "no layout 'gtzen'; expected one or several of captions, gtzan"),
        ({"layouts": []}, "no layout given"),
    ],
)
def test_impossible_arguments_are_refused_before_anything_is_written(tmp_path, change, message):
    with pytest.raises(DataError, match=message):
        build(tmp_path / "new", **{**ASKED, "workers": 1, **change})
    assert not (tmp_path / "new").exists()


def test_a_rendering_that_would_clip_is_an_error(tmp_path, monkeypatch):
    loud = building.render
    monkeypatch.setattr(building, "render", lambda score, **options: 9 * loud(score, **options))
    with pytest.raises(DataError, match=r"etude\.00000 was rendered with a peak of .* at most 1"):
        build(tmp_path / "new", **ASKED, workers=1)


def test_the_environment_of_the_caller_is_left_as_it_was(whole, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with building._one_thread_each():
        assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "1"
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert "MKL_NUM_THREADS" not in os.environ


def test_another_seed_is_another_corpus(whole, tmp_path):
    other = build(tmp_path / "8", **ASKED | {"seed": 8}, layouts=["captions"], workers=1)
    assert other.fingerprint != read_corpus(whole).fingerprint
    ours, theirs = (content(root) for root in (whole, tmp_path / "8"))
    same = [name for name in theirs if name.endswith(".wav") and ours.get(name) == theirs[name]]
    assert same == []
