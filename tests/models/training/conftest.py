"""One small prepared corpus for all tests of training, and one thread."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from training_runs import write_corpora


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Inputs here are so small that threads would mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``train`` (24 clips) and ``valid`` (9 clips)."""
    return write_corpora(tmp_path_factory.mktemp("corpora"))
