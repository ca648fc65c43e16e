"""The sample record, made once; tests that change it copy what they change."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def _load_sample() -> Any:
    """Import sample.py beside this file: pytest's importlib mode puts no folder on the path."""
    place = Path(__file__).with_name("sample.py")
    spec = importlib.util.spec_from_file_location("earmark_reports_sample", place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def sample_module() -> Any:
    """The module that makes sample records, with its markup-ridden constant ``NASTY``."""
    return _load_sample()


@pytest.fixture(scope="session")
def make_sample(sample_module: Any) -> Callable[..., Any]:
    """``make_sample(rename={...})`` gives a sample with ``record``, ``items`` and ``arrays``."""
    return sample_module.sample  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def sample(make_sample: Callable[..., Any]) -> Any:
    """A record of two tasks and five models, with its items and arrays."""
    return make_sample()
