"""How much of a machine may be used."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Return how many processors this process may run on, which a container may restrict."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
