"""Fixtures of the tests of `earmark.bench`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from stored_rows import open_space, put_missing

from earmark.bench import cli


@pytest.fixture
def earmark(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process; return exit code, standard output and error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["earmark", *map(str, arguments)])
        monkeypatch.delenv("EARMARK_DEBUG", raising=False)
        monkeypatch.setenv("COLUMNS", "80")
        with pytest.raises(SystemExit) as done:
            cli.main()
        printed = capsys.readouterr()
        return int(done.value.code or 0), printed.out, printed.err

    return call


@pytest.fixture
def twelve_rows(tmp_path: Path) -> Path:
    """A store of twelve rows in three shards of four."""
    put_missing(open_space(tmp_path))
    return tmp_path
