"""Baselines that are kept: in one folder, ``<suite>/`` beside its policy ``<suite>.toml``.

The policy stands beside the baseline and not in it, because updating replaces the whole baseline.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from earmark.bench.gate.policy import PolicyError
from earmark.reports.record.schema import RecordError


@dataclass(frozen=True, slots=True)
class Kept:
    """A suite's baseline and what is asked of a run beside it."""

    suite: str
    baseline: Path
    policy: Path


def shipped_baselines() -> Path:
    """Return the folder of the baselines that come with Earmark."""
    return Path(str(files("earmark.bench.baselines")))


def kept_for(suite: str, folder: Path) -> Kept | None:
    """Return what a suite's run is held against; None where no baseline of it is kept.

    Raises
    ------
    RecordError
        If there is no such folder.
    PolicyError
        If there is a baseline without a policy.
    """
    if not folder.is_dir():
        raise RecordError(f"no folder of baselines at {folder}: see earmark baseline update --out")
    kept = Kept(suite, folder / suite, folder / f"{suite}.toml")
    if not kept.baseline.exists():
        return None
    if not kept.policy.exists():
        raise PolicyError(
            f"the baseline {kept.baseline} has no policy: write {kept.policy}, or go on without "
            f"the gate (--no-gate)"
        )
    return kept
