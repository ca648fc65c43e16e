"""The sample record, made once; tests that change it copy what they change."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

# pytest's importlib mode puts no folder on the path; the sample is two modules beside this one.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def sample() -> Any:
    """A record of two tasks and five models, with its ``items`` and ``arrays``."""
    import report_sample

    return report_sample.sample()
