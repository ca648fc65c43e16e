"""Verdicts as plain data, of any size and outcome, for the tests of what shows them."""

from __future__ import annotations

from typing import Any

RUN = {
    "id": "20260504T100000Z-invented",
    "folder": "runs/one",
    "created": "2026-05-04T10:00:00+00:00",
    "earmark_version": "0.1.0",
    "git_commit": "0123456789abcdef",
    "git_dirty": False,
    "suite": "invented",
    "suite_digest": "5" * 64,
    "reason": None,
}


def row(**changes: Any) -> dict[str, Any]:
    """One passed score."""
    return {
        "task": "captions",
        "metric": "recall_at_10",
        "model": "muscall",
        "subset": "text-to-audio",
        "dimension": None,
        "tier": "critical",
        "status": "pass",
        "higher_is_better": True,
        "method": "paired bootstrap",
        "improved": False,
        "causes": [],
        "candidate": 0.31,
        "baseline": 0.3,
        "difference": 0.01,
        "low": -0.005,
        "high": 0.025,
        "margin": 0.02,
        "floor": None,
        "chance": 0.01,
        "n_items": 1000,
        "n_units": 500,
        "unit": "clip",
        "p_not_worse": 0.001,
        "p_worse": 0.99,
        "p_worse_holm": 1.0,
        "minimum_detectable_difference": 0.022,
        "detectable_drop": 0.05,
        "item_digest": "a" * 64,
        "dataset_fingerprint": "b" * 64,
        "weights_digest": "c" * 64,
        "baseline_weights_digest": "d" * 64,
    } | changes


FAILED = {"status": "fail", "causes": ["worse by 0.1, more than the margin 0.02"]}
UNDECIDED = {"status": "inconclusive", "causes": ["neither shown nor ruled out"]}
INVALID = {"status": "invalid", "causes": ["NaN or infinity"], "candidate": None, "low": None}


def verdict(outcome: str = "pass", **changes: Any) -> dict[str, Any]:
    """A verdict on two runs, with one passed score unless others are given."""
    return {
        "outcome": outcome,
        "candidate": RUN,
        "baseline": RUN | {"id": "20260401T100000Z-invented", "reason": "first release"},
        "policy": "gate.toml",
        "policy_digest": "e" * 64,
        "alpha": 0.05,
        "power": 0.8,
        "replicates": 10_000,
        "seed": 2022,
        "holes": [],
        "metrics": [row()],
        "warnings": [],
        "verdict_version": 1,
        "exit_code": {"pass": 0, "regression": 1, "inconclusive": 2, "invalid": 3}[outcome],
    } | changes


def mixed() -> dict[str, Any]:
    """A verdict with a score of every status."""
    return verdict(
        "invalid",
        holes=[{"where": "genres", "cause": "changed dataset: fingerprint of gtzan is 'x'"}],
        metrics=[
            row(task="tags", metric="roc_auc", subset="ensemble", **INVALID),
            row(model="dcase", difference=-0.1, **FAILED),
            row(model="clap", tier="advisory", **FAILED),
            row(model="muq", **UNDECIDED),
            row(improved=True),
            row(task="ratings", metric="rmse", subset="all", dimension="valence"),
        ],
        warnings=["the candidate was run from a tree with uncommitted changes"],
    )
