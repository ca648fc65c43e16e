"""Recordings of whole runs, made once."""

from __future__ import annotations

import pytest
from gated_runs import Recording, recording

from earmark.bench.gate.policy import Limits, Policy, Statistics


@pytest.fixture(scope="session")
def first() -> Recording:
    """The baseline; copy it before changing it."""
    return recording(run="first")


@pytest.fixture(scope="session")
def again(first: Recording) -> Recording:
    """The same outcomes from other weights, so that the statistics decide."""
    copy = first.copy()
    copy.record["id"] = "again"
    for name in ("one", "two"):
        copy.model(name)["weights_digest"] = "second"
    return copy


@pytest.fixture(scope="session")
def policy() -> Policy:
    """Every task's headline metric, with one margin."""
    return Policy(
        version=1,
        defaults=Limits(margin=0.05),
        statistics=Statistics(replicates=500),
    )
