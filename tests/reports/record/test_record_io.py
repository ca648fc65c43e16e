"""A record is written whole or not at all, and no damage to it is read over."""

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from earmark.reports.record import files as record_io
from earmark.reports.record.schema import RecordError


@pytest.fixture
def place(sample, tmp_path):
    return record_io.write(
        sample.record, items=sample.items, arrays=sample.arrays, runs_folder=tmp_path / "runs"
    )


def test_what_was_written_is_read(sample, place):
    record = record_io.read(place)
    assert record.model_copy(update={"files": {}}) == sample.record
    assert record_io.read(place / "run.json") == record
    for task, items in sample.items.items():
        pd.testing.assert_frame_equal(record_io.read_items(place, task), items)
    arrays = record_io.read_arrays(place, "gtzan-av")
    np.testing.assert_array_equal(arrays["rated"], sample.arrays["gtzan-av"]["rated"])
    assert record_io.read_arrays(place, "musav") == {}


def test_an_arrow_table_is_written_as_it_is(sample, tmp_path):
    items = {task: pa.Table.from_pandas(table) for task, table in sample.items.items()}
    place = record_io.write(sample.record, items=items, arrays=sample.arrays, runs_folder=tmp_path)
    pd.testing.assert_frame_equal(record_io.read_items(place, "musav"), sample.items["musav"])


def test_names_that_are_not_utf_8_are_held_escaped_and_others_as_they_are(sample, tmp_path):
    odd, kept = "caf\udce9\\.wav", "caf\u00e9\\.wav"
    record = sample.record.model_copy(update={"command": ["earmark", "run", odd, kept]})
    dataset = record.datasets[0].model_copy(update={"notes": [odd]})
    record = record.model_copy(update={"datasets": [dataset, *record.datasets[1:]]})
    place = record_io.write(record, items=sample.items, arrays=sample.arrays, runs_folder=tmp_path)
    read = record_io.read(place)
    assert read.command[2:] == [r"caf\udce9\\.wav", kept]
    assert read.datasets[0].notes == [r"caf\udce9\\.wav"]
    assert read.tasks == sample.record.tasks


def test_only_the_record_is_left_in_the_folder_of_runs(sample, place):
    assert [entry.name for entry in place.parent.iterdir()] == [sample.record.id]
    assert sorted(str(p.relative_to(place)) for p in place.rglob("*") if p.is_file()) == [
        "arrays/gtzan-av.npz",
        "items/gtzan-av.parquet",
        "items/musav.parquet",
        "run.json",
    ]


def test_a_record_is_never_overwritten(sample, place):
    before = (place / "run.json").read_bytes()
    with pytest.raises(RecordError, match="exists: records are never overwritten"):
        record_io.write(
            sample.record, items=sample.items, arrays=sample.arrays, runs_folder=place.parent
        )
    assert (place / "run.json").read_bytes() == before


@pytest.mark.parametrize("fatal_call", range(1, 8))
def test_a_full_disk_leaves_nothing_behind(sample, tmp_path, monkeypatch, fatal_call):
    calls = 0

    def fsync(descriptor):
        nonlocal calls
        calls += 1
        if calls == fatal_call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(RecordError, match="could not be written: No space left on device"):
        record_io.write(
            sample.record, items=sample.items, arrays=sample.arrays, runs_folder=tmp_path
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="resource limits are a POSIX matter")
def test_a_file_that_the_system_cuts_short_leaves_nothing_behind(sample, tmp_path):
    import resource
    import signal

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(RecordError, match="could not be written: File too large"):
            record_io.write(
                sample.record, items=sample.items, arrays=sample.arrays, runs_folder=tmp_path
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_nothing_behind(sample, tmp_path, monkeypatch):
    def interrupt(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        record_io.write(
            sample.record, items=sample.items, arrays=sample.arrays, runs_folder=tmp_path
        )
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_a_folder_is_named(sample, tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(RecordError, match=r"runs.*could not be written: (Not a dir|File exists)"):
        record_io.write(
            sample.record, items=sample.items, arrays=sample.arrays, runs_folder=tmp_path / "runs"
        )


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_folder_that_may_not_be_written_is_named(sample, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(RecordError, match="Permission denied"):
        record_io.write(
            sample.record, items=sample.items, arrays=sample.arrays, runs_folder=tmp_path
        )


def test_items_must_be_those_of_the_tasks(sample, tmp_path):
    one = {"musav": sample.items["musav"]}
    with pytest.raises(RecordError, match="tasks gtzan-av, musav and was given items of musav"):
        record_io.write(sample.record, items=one, arrays=sample.arrays, runs_folder=tmp_path)
    with pytest.raises(RecordError, match="arrays gtzan-av: rated and was given none"):
        record_io.write(sample.record, items=sample.items, arrays={}, runs_folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_columns_of_mixed_types_and_arrays_of_objects_are_refused(sample, tmp_path):
    mixed = sample.items | {"musav": pd.DataFrame({"a": [1, "x", None]}, dtype=object)}
    with pytest.raises(RecordError, match="items of task musav do not fit"):
        record_io.write(sample.record, items=mixed, arrays=sample.arrays, runs_folder=tmp_path)
    objects = {"gtzan-av": {"rated": np.array([None, "x"], dtype=object)}}
    with pytest.raises(RecordError, match="array rated of task gtzan-av holds Python objects"):
        record_io.write(sample.record, items=sample.items, arrays=objects, runs_folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_record_there(tmp_path):
    with pytest.raises(RecordError, match=r"no run record at .*nothing.run\.json: No such file"):
        record_io.read(tmp_path / "nothing")


def test_truncated_json_names_the_file_and_the_place(place):
    file = place / "run.json"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:10]))
    with pytest.raises(RecordError, match=r"run\.json is not valid JSON at line 1[01].*too early"):
        record_io.read(place)
    file.write_text("".join([*lines[:10], "!", *lines[10:]]))
    with pytest.raises(RecordError, match=r"not valid JSON at line 11, column 1") as caught:
        record_io.read(place)
    assert "too early" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"[]", "holds a list"), (b"\xff", "not UTF-8"), (b"[" * 100_000, "nested too deep")],
)
def test_other_content_is_refused(place, content, said):
    (place / "run.json").write_bytes(content)
    with pytest.raises(RecordError, match=said):
        record_io.read(place)


@pytest.mark.parametrize("version", [2, 0, "1", None])
def test_another_schema_version_is_refused_with_both_numbers(place, version):
    content = json.loads((place / "run.json").read_text())
    (place / "run.json").write_text(json.dumps(content | {"schema_version": version}))
    with pytest.raises(RecordError, match=rf"schema version {version!r}, .* reads version 1: "):
        record_io.read(place)


def test_a_violated_schema_names_the_field(place):
    content = json.loads((place / "run.json").read_text())
    content["tasks"][0]["scores"][3]["value"] = "high"
    del content["seed"]
    (place / "run.json").write_text(json.dumps(content))
    with pytest.raises(RecordError) as caught:
        record_io.read(place)
    assert "tasks[0].scores[3].value: Input should be a valid number" in str(caught.value)
    assert "seed: Field required" in str(caught.value)


@pytest.mark.parametrize("name", ["items/musav.parquet", "arrays/gtzan-av.npz"])
def test_a_missing_file_is_named(place, name):
    (place / name).unlink()
    with pytest.raises(RecordError, match=f"lacks {name}"):
        record_io.read(place)


def test_the_items_of_another_run_are_not_taken_for_this_one(place, sample):
    file = place / "items/musav.parquet"
    sample.items["musav"].iloc[::-1].to_parquet(file)
    with pytest.raises(RecordError, match=r"musav\.parquet is not the file written with this"):
        record_io.read_items(place, "musav")


def test_an_unknown_task_is_named_with_those_there_are(place):
    for reader in (record_io.read_items, record_io.read_arrays):
        with pytest.raises(RecordError, match=r"no .*musiccaps.*; its tasks are musav, gtzan-av"):
            reader(place, "musiccaps")


def test_reading_a_record_alone_imports_no_pandas(place):
    code = (
        "import sys; from earmark.reports.record import files; files.read(sys.argv[1]);"
        "print([m for m in ('pandas', 'pyarrow', 'numpy', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(place)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
