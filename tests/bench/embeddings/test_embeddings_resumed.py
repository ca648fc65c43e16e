"""An interrupted run goes on where it stopped, shared work is the same work, damage is mended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import loudness_model
import numpy as np
import pytest
import soundfile
from loudness_model import Loudness

from earmark.bench.embeddings.embeddings import Embeddings
from earmark.bench.embeddings.store import Space, Store, StoreError
from earmark.datasets.base import Clip, DataError

N_CLIPS = 40
RATE = 8000


def samples(number: int) -> np.ndarray:
    values = np.random.default_rng(number).uniform(-0.5, 0.5, 800)
    return (np.round(values * 2**15) / 2**15).astype(np.float32)


@pytest.fixture
def clips(tmp_path: Path) -> list[Clip]:
    for number in range(N_CLIPS):
        soundfile.write(tmp_path / f"{number:03}.wav", samples(number), RATE, subtype="PCM_16")
    return [Clip(str(number), tmp_path / f"{number:03}.wav") for number in range(N_CLIPS)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", shard_rows=4)


def assert_as_made_at_once(store: Store, clips: list[Clip]) -> None:
    """Everything is in the store, and as one undisturbed process makes it."""
    model = Loudness()
    found = Embeddings(store).av(model, clips)
    assert model.heard == 0
    assert found.ids == tuple(clip.id for clip in clips)
    np.testing.assert_array_equal(found.rows, [samples(n)[:2] for n in range(len(clips))])
    (space,) = store.spaces()
    assert len(space) == len(clips)
    assert space.verify() == []


# Interrupted, and shared

SUPPORT = str(Path(loudness_model.__file__).parent)
RUN = """
import sys
from pathlib import Path
from earmark.bench.embeddings.embeddings import Embeddings
from earmark.bench.embeddings.store import Store
from earmark.datasets.base import Clip

sys.path.append(sys.argv[4])
from loudness_model import Loudness

folder, rank, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
clips = [Clip(path.stem, path) for path in sorted(folder.glob("*.wav"))]
embeddings = Embeddings(Store(folder / "store", shard_rows=4), share=(rank, size))
print("ready", flush=True)
sys.stdin.readline()
found = embeddings.av(Loudness(tells=True), clips)
print(*found.ids)
"""


def start(folder: Path, *, rank: int = 0, size: int = 1) -> subprocess.Popen[str]:
    run = subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder), str(rank), str(size), SUPPORT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert run.stdout.readline() == "ready\n"
    return run


def test_a_killed_run_goes_on_where_it_stopped(tmp_path, clips, store):
    for heard in (9, 6, 13):
        run = start(tmp_path)
        run.stdin.write("go\n")
        run.stdin.flush()
        for _ in range(heard):
            assert run.stdout.readline() == "heard\n"
        run.kill()
        run.communicate()
    (space,) = store.spaces()
    assert len(space) >= 8 + 4 + 12  # of each run, all whole shards of four
    left = N_CLIPS - len(space)
    model = Loudness()
    Embeddings(store).av(model, clips)
    assert model.heard == left
    assert_as_made_at_once(store, clips)


def test_an_interrupted_run_keeps_what_it_made(store, clips):
    with pytest.raises(KeyboardInterrupt):
        Embeddings(store).av(Loudness(interrupted_at=7), clips)
    (space,) = store.spaces()
    assert len(space) == 7
    Embeddings(store).av(Loudness(), clips)
    assert_as_made_at_once(store, clips)


def test_processes_that_share_the_work_leave_what_one_would(tmp_path, clips, store):
    runs = [start(tmp_path, rank=rank, size=3) for rank in range(3)]
    outputs = []
    for run in runs:
        run.stdin.write("go\n")
        run.stdin.flush()
    for run in runs:
        outputs.append(run.communicate()[0].splitlines())
        assert run.returncode == 0
    heard = [sum(line == "heard" for line in lines) for lines in outputs]
    assert sum(heard) == N_CLIPS
    assert min(heard) > 0
    returned = [name for lines in outputs for name in lines[-1].split()]
    assert sorted(map(int, returned)) == list(range(N_CLIPS))
    assert_as_made_at_once(store, clips)


def test_clips_of_the_same_bytes_fall_to_the_same_process(store, clips, tmp_path):
    copies = []
    for clip in clips:
        copy = tmp_path / f"copy{clip.id}.wav"
        copy.write_bytes(clip.path.read_bytes())
        copies.append(Clip(f"copy{clip.id}", copy))
    models = [Loudness(), Loudness()]
    for rank, model in enumerate(models):
        found = Embeddings(store, share=(rank, 2)).av(model, [*clips, *copies])
        assert len(found.ids) == 2 * model.heard
    assert sum(model.heard for model in models) == N_CLIPS


# Damage


def damage_row(store: Store, content: np.ndarray) -> None:
    (path,) = (
        path for path in store.root.glob("*/shard-*") if content.tobytes() in path.read_bytes()
    )
    whole = path.read_bytes()
    at = whole.index(content.tobytes())
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])


def test_a_damaged_row_is_embedded_again_and_reported(store, clips):
    Embeddings(store).av(Loudness(), clips)
    damage_row(store, samples(5)[:2])
    model = Loudness()
    found = Embeddings(store).av(model, clips)
    assert model.heard == 1
    assert len(found.warnings) == 1
    assert "its bytes do not match its checksum" in found.warnings[0]
    assert found.problems == ()
    np.testing.assert_array_equal(found.rows, [samples(n)[:2] for n in range(N_CLIPS)])
    assert Embeddings(store).av(Loudness(), clips).warnings == ()
    assert_as_made_at_once(store, clips)


def test_damaged_patches_are_embedded_again_when_they_are_asked_for(store, clips):
    model = Loudness()
    patches = Embeddings(store).patches(model, clips)
    assert model.heard == N_CLIPS
    damage_row(store, samples(5)[:150])
    for number, clip in enumerate(clips):
        np.testing.assert_array_equal(patches[clip.id], samples(number)[:150].reshape(50, 3))
    assert model.heard == N_CLIPS + 1
    assert len(patches.warnings) == 1


def test_a_damaged_row_whose_file_is_gone_is_an_error_that_names_the_clip(store, clips):
    patches = Embeddings(store).patches(Loudness(), clips)
    damage_row(store, samples(5)[:150])
    clips[5].path.unlink()
    with pytest.raises(DataError, match=r"clip 5: .*005\.wav: no such file"):
        patches["5"]
    assert set(patches) == {clip.id for clip in clips}


def test_rows_that_cannot_be_read_back_are_an_error_not_a_gap(store, clips, monkeypatch):
    monkeypatch.setattr(Space, "get", lambda self, keys: {})
    with pytest.raises(StoreError, match=r"the row of clip 0 was written and cannot be read back"):
        Embeddings(store).av(Loudness(), clips)
