"""The policy: which metrics are gated, and how much worse a run may be.

A policy is a TOML file. Every task of the baseline is gated: by the ``[[metrics]]`` entries that
name it, and otherwise on its headline metric by ``[defaults]``. To leave a task out, it must be
named under ``ignore``.

    version = 1

    [defaults]
    margin = 0.02                # absolute, in the metric's own unit; or relative_margin = 0.05

    [[metrics]]
    task = "captions"
    metric = "recall_at_10"
    subset = "text-to-audio"     # left out: the task's headline subset; "*": all
    tier = "critical"
    floor = 0.25
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from earmark.datasets.files.config_files import explained, read_toml

POLICY_VERSION: Final = 1

Tier = Literal["critical", "supporting", "advisory"]


class PolicyError(ValueError):
    """A policy that cannot be followed; the message names the file, the key and the fix."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


class Limits(_Part):
    """What is asked of a metric; None: not asked."""

    tier: Tier | None = None
    """Critical: a regression and an undecided metric both count. Supporting: a regression counts,
    an undecided metric is a warning. Advisory: neither counts. What cannot be compared is invalid
    in every tier."""
    margin: float | None = Field(None, gt=0)
    """By how much the candidate may be worse, in the metric's unit."""
    relative_margin: float | None = Field(None, gt=0, lt=1)
    """By what share of the baseline's value."""
    must_beat_chance: bool | None = None
    """Whether a score that is not significantly above chance is invalid."""
    min_items: int | None = Field(None, ge=2)
    """Fewest items that a score may rest on."""
    min_coverage: float | None = Field(None, ge=0, le=1)
    """Least share of the task's items that must have been scored."""
    unit: str | None = None
    """What the record must have resampled: ``triplet``, ``clip``, ``unit``, ..."""

    @model_validator(mode="after")
    def _has_one_margin(self) -> Limits:
        if self.margin is not None and self.relative_margin is not None:
            raise ValueError("margin and relative_margin exclude each other: give one")
        return self


class Rule(Limits):
    """One entry of ``[[metrics]]``; it may stand for several scores."""

    task: str
    """The id of a task in the record."""
    metric: str
    """As records call it, e.g. ``recall_at_10``."""
    subset: str | None = None
    """None: the task's headline subset; ``*``: all."""
    dimension: str | None = None
    """E.g. ``arousal``; None: all that the task has."""
    model: str | None = None
    """None: every model that is not a reference."""
    floor: float | None = None
    """Worst value that is ever accepted, whatever the baseline reached."""
    items: int | None = Field(None, ge=1)
    """The exact number of items, where it must never change."""
    item_digest: str | None = None
    """sha256 of the sorted item ids, as scores in a record have it."""
    direction: Literal["higher", "lower"] | None = None
    """Which way is better; only to be held against what the metric says of itself."""


class Statistics(_Part):
    """How a decision is made."""

    alpha: float = Field(0.05, gt=0, lt=0.5)
    """The chance that a run which is no worse than the margin is called a regression."""
    power: float = Field(0.8, gt=0.5, lt=1)
    """The chance with which the stated detectable difference is found."""
    replicates: int = Field(10_000, ge=500)
    """Of bootstraps and randomisation tests."""
    seed: int = 2022
    """Of these."""
    replay: Literal["exact", "same-machine", "statistical"] = "exact"
    """What is done where model and data are the same as the baseline's: ``statistical`` treats them
    as if they had changed, for records from machines whose arithmetic differs; ``same-machine``
    does so where processor, cores, GPU or packages are not the baseline's."""
    tolerance: float | None = Field(None, ge=0)
    """Of an exact replay, in the metric's unit; None: by the dtype that the model's card states."""


class Policy(_Part):
    """A whole policy."""

    version: Literal[1]
    """Of this layout."""
    defaults: Limits = Limits()
    """The table ``[defaults]``: of every score that no entry names, and where an entry says
    nothing."""
    statistics: Statistics = Statistics()
    """The table ``[statistics]``."""
    ignore: list[str] = []
    """Tasks that are not gated."""
    metrics: list[Rule] = []
    """The entries ``[[metrics]]``."""
    source: str = Field("", exclude=True)
    digest: str = Field("", exclude=True)


BUILT_IN: Final = Limits(
    tier="critical", must_beat_chance=True, min_items=30, min_coverage=0.95, margin=None
)


def read_policy(path: Path | str) -> Policy:
    """Read a policy.

    Raises
    ------
    PolicyError
        If there is none, it is not TOML, of another version, or has an unknown key or a value that
        is not as expected.
    """
    file = Path(path)
    content = read_toml(file, of="policy", error=PolicyError)
    text = file.read_bytes()
    version = content.get("version")
    if version != POLICY_VERSION:
        raise PolicyError(
            f"policy {file} has version {version!r}, this Earmark reads version {POLICY_VERSION}: "
            f"start it with version = {POLICY_VERSION}"
        )
    own = {"source": str(file), "digest": hashlib.sha256(text).hexdigest()}
    if stray := sorted(own.keys() & content.keys()):
        raise PolicyError(f"policy {file}: unknown key {stray[0]!r}")
    try:
        return Policy.model_validate(content | own)
    except ValidationError as error:
        raise PolicyError(f"policy {file}: {explained(error, Policy)}") from error


def settled(rule: Limits, defaults: Limits) -> Limits:
    """Return limits with the defaults, and what is built in, where the rule says nothing."""
    chosen: dict[str, Any] = {}
    for source in (BUILT_IN, defaults, rule):
        given = {
            name: value
            for name in Limits.model_fields
            if (value := getattr(source, name)) is not None
        }
        # One kind of margin replaces the other.
        if given.keys() & {"margin", "relative_margin"}:
            chosen.pop("margin", None)
            chosen.pop("relative_margin", None)
        chosen |= given
    return Limits(**chosen)
