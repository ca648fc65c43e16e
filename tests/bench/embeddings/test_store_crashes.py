"""Killed writers and disks that refuse: nothing that was flushed is lost."""

from __future__ import annotations

import logging
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from stored_rows import CARD, KEYS, N_ROWS, assert_whole, open_space, put_missing, row, shard_of

from earmark.bench.embeddings.store import Store, StoreError, text_key
from earmark.datasets.files.atomic_files import write_whole


def test_a_file_is_replaced_whole_while_another_process_reads_it(tmp_path):
    path = tmp_path / "file"
    write_whole(path, b"old")
    with path.open("rb") as reader:
        write_whole(path, b"newer")
        assert reader.read() == b"old"
    assert path.read_bytes() == b"newer"
    assert list(tmp_path.iterdir()) == [path]


# Killed writers

WRITER = """
import sys
import numpy as np
from earmark.bench.embeddings.store import Store, text_key
from earmark.models.base import ModelCard
card = ModelCard("model", "1", "untrained", "MIT", "", (), "centre")
space = Store(sys.argv[1], shard_rows=2).space(card, kind="audio_vectors")
keys = [text_key(str(number)) for number in range(int(sys.argv[2]))]
for number, key in enumerate(keys):
    if key in space.missing(keys):
        space.put({key: np.random.default_rng(number).standard_normal(20_000).astype("float32")})
        if number % 2:
            space.flush()
            print(number, flush=True)
space.close()
"""


def large_row(number: int) -> np.ndarray:
    return np.random.default_rng(number).standard_normal(20_000).astype("float32")


def test_a_writer_killed_at_any_moment_loses_nothing_that_it_had_flushed(tmp_path):
    n_rows = 200
    keys = [text_key(str(number)) for number in range(n_rows)]
    rng = random.Random(20_240_501)
    command = [sys.executable, "-c", WRITER, str(tmp_path), str(n_rows)]
    flushed = -1
    for _ in range(10):
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        for _ in range(rng.randint(1, 8)):  # reports to wait for; the writer does not wait for us
            flushed = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        assert writer.returncode == -signal.SIGKILL
        space = open_space(tmp_path)
        assert space.damage == []
        assert space.verify() == []
        assert space.missing(keys[: flushed + 1]) == []
    assert space.missing(keys) != []  # the last kill, too, came before the end
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    space = open_space(tmp_path)
    assert [*space.damage, *space.verify()] == []
    found = space.get(keys)
    for number, key in enumerate(keys):
        np.testing.assert_array_equal(found[key], large_row(number))


CRASHES = """
import os, signal, sys
from pathlib import Path
import numpy as np
from earmark.bench.embeddings.store import Store, text_key
from earmark.models.base import ModelCard

card = ModelCard("model", "1", "untrained", "MIT", "", (), "centre")
left = -1

def dying(function):
    def call(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return call

for owner, name in [(os, "fsync"), (Path, "replace"), (Path, "unlink"), (Path, "mkdir")]:
    setattr(owner, name, dying(getattr(owner, name)))
keys = [text_key(str(number)) for number in range(6)]
rows = {key: np.full(8, number, "float32") for number, key in enumerate(keys)}

def write(root):
    space = Store(root, flush_seconds=0).space(card, kind="audio_vectors")
    space.put({key: rows[key] for key in space.missing(keys)})
    space.compact()

for crash in range(1, 1000):
    root = Path(sys.argv[1]) / str(crash)
    child = os.fork()
    if child == 0:
        left = crash
        write(root)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    write(root)
    space = Store(root).space(card, kind="audio_vectors")
    assert space.damage == space.verify() == [], (crash, space.damage)
    found = space.get(keys)
    assert all((found[key] == rows[key]).all() for key in keys), crash
    names = {path.name for path in space.folder.iterdir()}
    assert len(names) == 4 and names > {".lock", "index.jsonl", "space.json"}, (crash, names)
    if os.waitstatus_to_exitcode(status) == 0:
        print(crash)
        break
"""


def test_a_writer_may_die_before_any_step_that_reaches_the_disk(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", CRASHES, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) > 30  # so many steps were tried


def test_leftovers_of_killed_writers_are_cleaned_up_without_ado(twelve_rows):
    (folder,) = twelve_rows.iterdir()
    (folder / ".tmp-0123").write_bytes(b"half a sh")
    with (folder / "index.jsonl").open("ab") as index:
        index.write(b'{"shard": "shard-01234')
    assert_whole(twelve_rows)
    assert not (folder / ".tmp-0123").exists()
    assert (folder / "index.jsonl").read_bytes().endswith(b"\n")


def test_a_reader_is_not_misled_by_a_line_that_is_being_written(twelve_rows):
    reader = open_space(twelve_rows)
    (index,) = twelve_rows.glob("*/index.jsonl")
    whole = index.read_bytes()
    put_missing(open_space(twelve_rows), [*KEYS])
    with index.open("ab") as file:
        file.write(b'{"shard": "shard-01234' * 100)
    assert reader.missing(KEYS) == []
    assert reader.damage == []
    with reader:
        reader.put({text_key("new"): row(0)})  # instead of the half line
    assert index.read_bytes().startswith(whole)
    assert b"shard-01234" not in index.read_bytes()
    assert open_space(twelve_rows).missing([*KEYS, text_key("new")]) == []


# Disks that refuse


def test_a_limit_on_file_size_leaves_earlier_rows_intact_and_a_clear_error(tmp_path):
    """A shard that does not fit, then an index that no longer fits, as on a disk that is full."""
    script = """
import resource, sys
import numpy as np
from earmark.bench.embeddings.store import Store, StoreError, text_key
from earmark.models.base import ModelCard
card = ModelCard("model", "1", "untrained", "MIT", "", (), "centre")
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
space = Store(sys.argv[1], flush_seconds=0).space(card, kind="audio_vectors")
try:
    space.put({text_key("large"): np.zeros(6000, "float32")})
except StoreError as error:
    print(error)
space = Store(sys.argv[1], flush_seconds=0).space(card, kind="audio_vectors")
for number in range(1000):
    try:
        space.put({text_key(str(number)): np.full(8, number, "float32")})
    except StoreError as error:
        print(error)
        break
assert len(list(space.folder.glob("shard-*"))) == number  # none without its line
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
assert space.verify() == []
space.flush()  # what could not be written is not forgotten
print(number)
"""
    ran = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    large, small, number = ran.stdout.splitlines()
    (folder,) = tmp_path.iterdir()
    for message in (large, small):
        assert message.startswith(f"cannot write {folder}: File too large; what was kept before is")
    assert 10 < int(number) < 1000
    space = open_space(tmp_path)
    assert [*space.damage, *space.verify()] == []
    found = space.get(text_key(str(n)) for n in range(int(number) + 1))
    assert [found[text_key(str(n))][0] for n in range(int(number) + 1)] == list(
        range(int(number) + 1)
    )
    assert space.missing([text_key("large")]) == [text_key("large")]


@pytest.fixture
def small_disk(tmp_path: Path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_leaves_earlier_rows_intact_and_a_clear_error(small_disk):
    space = open_space(small_disk, flush_seconds=0)
    with pytest.raises(StoreError, match=rf"cannot write {small_disk}/\w+: No space left"):
        for number in range(1000):
            space.put({text_key(str(number)): np.full(5000, number, "float32")})
    assert number > 20
    for again in (space, open_space(small_disk)):  # a full disk can be opened and read
        assert again.verify() == []
        found = again.get(text_key(str(n)) for n in range(number))
        assert [r[0] for r in found.values()] == list(range(number))


def test_a_read_only_disk_can_be_read_and_says_that_it_cannot_be_written(small_disk, caplog):
    put_missing(open_space(small_disk))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with caplog.at_level(logging.WARNING):
        space = open_space(small_disk)
    assert "opened for reading only" in caplog.text
    assert len(space.get(KEYS)) == N_ROWS
    assert [*space.damage, *space.verify()] == []
    space.put({text_key("new"): row(0)})
    with pytest.raises(StoreError, match=r"cannot write .*Read-only file system"):
        space.flush()
    with pytest.raises(StoreError, match=r"cannot open .*Read-only file system"):
        Store(small_disk).space(CARD, kind="av")


def test_damage_on_a_read_only_disk_is_named_too(small_disk):
    put_missing(open_space(small_disk))
    cut = shard_of(small_disk, 1)
    cut.write_bytes(cut.read_bytes()[:-1])
    (index,) = small_disk.glob("*/index.jsonl")
    index.write_bytes(index.read_bytes() + b"garbage\n")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    space = open_space(small_disk)
    assert {damage.path for damage in space.damage} == {cut, index}
    assert space.missing(KEYS) == KEYS[:4]


def test_a_root_that_is_a_file_is_an_error_that_names_it(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=rf"cannot open {tmp_path}/file/"):
        open_space(tmp_path / "file")


def test_a_lock_that_is_never_given_up_is_an_error_that_names_it(twelve_rows, monkeypatch):
    space = open_space(twelve_rows)
    holder = open_space(twelve_rows)
    space._lock.timeout = 0
    with holder.locked(), pytest.raises(StoreError, match=r"\.lock: another process has held it"):
        put_missing(space, [*KEYS])
        space.put({text_key("new"): row(0)})
        space.flush()
