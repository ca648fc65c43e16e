"""The sample record and its pages, made once; tests that change one copy what they change."""

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


@pytest.fixture(scope="session")
def nasty() -> str:
    """Text that would act as markup, script or mathematics wherever it were not escaped."""
    from report_sample_musav import NASTY

    return NASTY


@pytest.fixture(scope="session")
def hostile(nasty: str) -> Any:
    """The sample with a model whose id is ``nasty``."""
    import report_sample

    return report_sample.sample(rename={"loudness": nasty})


@pytest.fixture(scope="session")
def small(sample: Any) -> Any:
    """The sample cut down to ratings of two models, quick to render."""
    import report_sample

    return report_sample.cut_down(sample)


@pytest.fixture(scope="session")
def joint() -> Any:
    """The module that makes records of the audio-text tasks."""
    import report_sample_joint

    return report_sample_joint
