"""Whole files: there under their name completely, or not at all."""

from __future__ import annotations

import pytest

from earmark.datasets.files.atomic_files import open_whole, write_whole


def test_the_file_appears_when_the_block_ends_and_replaces_the_old_one(tmp_path):
    path = tmp_path / "file"
    write_whole(path, b"old")
    with open_whole(path) as file:
        file.write(b"header, ")
        file.write(b"new")
        file.seek(0)
        file.write(b"HEADER")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"HEADER, new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_of_a_block_that_raises(tmp_path, error):
    path = tmp_path / "file"
    write_whole(path, b"old")
    with pytest.raises(error), open_whole(path) as file:
        file.write(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_the_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "none" / "file", b"")
