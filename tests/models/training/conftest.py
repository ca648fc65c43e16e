"""One small prepared corpus for all tests of training."""

from __future__ import annotations

from pathlib import Path

import pytest
from training_runs import write_corpora


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``train`` (24 clips) and ``valid`` (9 clips)."""
    return write_corpora(tmp_path_factory.mktemp("corpora"))
