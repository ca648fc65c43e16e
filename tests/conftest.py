"""Fixtures shared by all tests: third-party data where it is at hand, and invented data."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import invented_musav
import pytest
from hypothesis import settings

# How long an example takes says nothing on a busy machine. CI tries the same examples each time, so
# that a failure is the change's; a developer's runs look for new ones.
settings.register_profile("earmark", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("earmark")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def debugging_as_it_was() -> Iterator[None]:
    """A command with ``--debug`` leaves nothing to the tests after it."""
    before = os.environ.get("EARMARK_DEBUG")
    yield
    os.environ.pop("EARMARK_DEBUG", None)
    if before is not None:
        os.environ["EARMARK_DEBUG"] = before


def _shared(kind: str) -> Path:
    data = Path(os.environ.get("EARMARK_SHARED_DATA", ROOT.parent / "shared" / "data"))
    folder = data if kind == "data" else data.parent / kind
    if not folder.is_dir():
        pytest.skip(f"third-party {kind} not at hand: no folder {folder} (EARMARK_SHARED_DATA)")
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of third-party data; the test skips where it is absent."""
    return _shared("data")


@pytest.fixture(scope="session")
def shared_models() -> Path:
    """The folder of third-party frozen models; the test skips where it is absent."""
    return _shared("models")


@pytest.fixture(scope="session")
def shared_fixtures() -> Path:
    """The folder of parity fixtures; the test skips where it is absent."""
    return _shared("fixtures")


@pytest.fixture(scope="session")
def write_musav() -> Callable[..., Path]:
    """``write_musav(root, *, n_triplets=30, seed=0)`` writes invented MusAV data below root."""
    return invented_musav.write_musav
