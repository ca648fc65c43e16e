"""One score, gated: the checks that could make it invalid, then its place beside the baseline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np

from earmark.bench.gate import checks
from earmark.bench.gate import checks as degenerate
from earmark.bench.gate.checks import name_of, references, same_space
from earmark.bench.gate.decision import Decision, Measure, decide, measure, p_above
from earmark.bench.gate.evidence import Evidence, truth_of
from earmark.bench.gate.policy import Limits, Policy, Rule, Tier
from earmark.bench.metrics.base import Floats
from earmark.bench.scoring.items import UnmeasurableError
from earmark.bench.scoring.statistic import Pair, Statistic
from earmark.bench.tasks.registry import task_of
from earmark.reports.record.lookup import exceeds
from earmark.reports.record.schema import ModelEntry, Score, TaskResult

Status = Literal["pass", "fail", "inconclusive", "invalid"]

TOLERANCE: Final = {"float64": 1e-9, "float32": 1e-6, "float16": 5e-3, "bfloat16": 2e-2}
"""Of a score in an exact replay, by the dtype on the model's card (``preprocessing``)."""


@dataclass(frozen=True, slots=True)
class Gated:
    """One score, judged. Differences are turned so that positive is better."""

    task: str
    metric: str
    model: str
    subset: str
    dimension: str | None
    tier: Tier
    status: Status
    higher_is_better: bool
    method: Literal["paired bootstrap", "exact replay", "none"] = "none"
    improved: bool = False
    causes: list[str] = field(default_factory=list)
    candidate: float | None = None
    baseline: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    margin: float | None = None
    floor: float | None = None
    chance: float | None = None
    n_items: int = 0
    n_units: int = 0
    unit: str | None = None
    p_not_worse: float | None = None
    p_worse: float | None = None
    p_worse_holm: float | None = None
    minimum_detectable_difference: float | None = None
    detectable_drop: float | None = None
    item_digest: str | None = None
    dataset_fingerprint: str | None = None
    weights_digest: str | None = None
    baseline_weights_digest: str | None = None


@dataclass(slots=True)
class Comparison:
    """One score of two runs, and what the policy asks of it."""

    candidate: Evidence
    baseline: Evidence
    policy: Policy
    task: TaskResult
    score: Score
    rule: Rule
    limits: Limits

    def uncomparable(self) -> Gated:
        cause = f"the task {self.task.id} cannot be compared, see above"
        return self._row("invalid", [cause])

    def judged(self) -> tuple[Gated, Measure | None]:
        """Return the row, and what is still to be judged beside the others."""
        ours = self._ours()
        if ours is None:
            return self._row("invalid", [f"metric missing: {name_of(self.score)}"]), None
        causes = [
            *checks.check_definition(ours, self.score, task_of(self.task.kind), self.rule),
            *self._limits(),
        ]
        sides = {"candidate": (self.candidate, ours), "baseline": (self.baseline, self.score)}
        found: dict[str, Statistic] = {}
        for side, (run, score) in sides.items():
            try:
                found[side] = run.items_of(self.task).measured(score)
            except UnmeasurableError as error:
                causes.append(f"{side}: {error}")
                continue
            causes += self._side_causes(side, run, score, found[side])
        if len(found) < 2:
            return self._row("invalid", causes), None
        items = self.candidate.items_of(self.task)
        pair = Pair(found["candidate"], found["baseline"], items.units(ours))
        names = items.rows(ours)["item"].tolist()
        causes += checks.check_same_scored(pair.candidate, pair.baseline, names)
        if pair.n_units < 2:
            causes.append(f"n below the minimum: {pair.n_units} unit to resample")
        if causes:
            return self._row("invalid", causes, pair), None
        drawn = pair.resample(
            replicates=self.policy.statistics.replicates, seed=self.policy.statistics.seed
        )
        causes += self._at_chance(pair, drawn, {s: score for s, (_, score) in sides.items()})
        if causes:
            return self._row("invalid", causes, pair), None
        if self._is_replay():
            return self._replayed(pair), None
        made = measure(
            pair,
            drawn,
            higher_is_better=self.score.higher_is_better,
            margin=self.limits.margin,
            relative_margin=self.limits.relative_margin,
            alpha=self.policy.statistics.alpha,
        )
        return self._row("pass", [], pair, made), made

    def _ours(self) -> Score | None:
        task = self.candidate.task(self.task.id)
        return (
            next((s for s in task.scores if name_of(s) == name_of(self.score)), None)
            if (task)
            else None
        )

    def _limits(self) -> Iterator[str]:
        if self.limits.margin is None and self.limits.relative_margin is None:
            yield (
                "the policy gives no margin: add margin or relative_margin to [defaults] or to a "
                "[[metrics]] entry, or name the task under ignore"
            )
        asked = self.rule.must_beat_chance or self.policy.defaults.must_beat_chance
        if self.rule.must_beat_chance and asked and self.score.chance is None:
            yield f"must_beat_chance is asked, but {self.score.metric} states no chance level"

    def _side_causes(self, side: str, run: Evidence, score: Score, one: Statistic) -> Iterator[str]:
        items = run.items_of(self.task)
        rows = items.rows(score)
        drawn = self.task.protocol.get("draws", "none") != "none"
        n_scored = int(np.count_nonzero(one.is_scored))
        yield from (
            f"{side}: {cause}"
            for cause in (
                *checks.check_items(score, rows["item"], self.rule, self.limits),
                *checks.check_coverage(score, n_scored, self.limits, drawn),
            )
        )
        yield from checks.check_scored(score, one, side)
        yield from checks.check_value(score, one, side)
        arrays = run.arrays[self.task.id]
        yield from degenerate.check_constant(rows, arrays, score.model, side)
        passive = {
            name: items.rows(score.model_copy(update={"model": name}))
            for name in references(self.task)
        }
        yield from degenerate.check_sentinel(rows, passive, truth_of(self.task.kind), side)

    def _at_chance(self, pair: Pair, drawn: Floats, scores: dict[str, Score]) -> Iterator[str]:
        if not self.limits.must_beat_chance or self.score.chance is None:
            return
        sign = 1.0 if self.score.higher_is_better else -1.0
        values = {"candidate": pair.candidate.value, "baseline": pair.baseline.value}
        for side, values_drawn in zip(values, drawn, strict=True):
            chance = scores[side].chance
            if chance is None:
                continue
            p_value = p_above(values_drawn, values[side], chance, pair.n_units, sign)
            if not p_value <= self.policy.statistics.alpha:
                yield (
                    f"{side} at chance: {values[side]:.4g} is not shown to be better than "
                    f"{chance:.4g} (p = {p_value:.2g}, {pair.n_units} units)"
                )

    def _is_replay(self) -> bool:
        ours, theirs = (entry_of(run, self.score.model) for run in (self.candidate, self.baseline))
        if ours is None or not same_space(ours, theirs):
            return False
        how = self.policy.statistics.replay
        return how == "exact" or (how == "same-machine" and not self._elsewhere())

    def _elsewhere(self) -> list[str]:
        return machine_changes(self.candidate, self.baseline)

    def _replayed(self, pair: Pair) -> Gated:
        entry = entry_of(self.candidate, self.score.model)
        dtype = str(entry.preprocessing.get("dtype", "float32")) if entry else "float32"
        own = self.policy.statistics.tolerance
        tolerance = TOLERANCE.get(dtype, TOLERANCE["float32"]) if own is None else own
        apart = abs(pair.candidate.value - pair.baseline.value)
        causes = [*self._floor(pair), *self._exchanged()]
        if apart > tolerance:
            causes.append(
                f"same weights and same data as the baseline, yet the score differs by {apart:.3g} "
                f"(tolerated: {tolerance:g}, {dtype}){self._changed(pair)}: decoding, batching, "
                f"the model's code or an installed package changed{self._packages()}"
            )
        row = self._row("fail" if causes else "pass", causes, pair)
        return replace(row, method="exact replay", margin=tolerance)

    def _changed(self, pair: Pair) -> str:
        differences = pair.differences
        if differences is None:
            return ""
        return f", in {np.count_nonzero(differences)} of {pair.n_units} units"

    def _packages(self) -> str:
        new, old = (run.record.environment for run in (self.candidate, self.baseline))
        packages = self._elsewhere()
        for name in ("python", "earmark"):
            versions = [
                env.python if name == "python" else env.packages.get(name) for env in (old, new)
            ]
            if versions[0] != versions[1]:
                packages.append(f"{name} {versions[0]} to {versions[1]}")
        return f" ({'; '.join(packages[:5])})" if packages else " (no package differs)"

    def _exchanged(self) -> Iterator[str]:
        if self.score.dimension is not None:
            yield from degenerate.check_exchanged(
                self.candidate.items[self.task.id],
                self.baseline.items[self.task.id],
                self.score.model,
            )

    def _floor(self, pair: Pair) -> Iterator[str]:
        sign = 1.0 if self.score.higher_is_better else -1.0
        floor = self.rule.floor
        if floor is not None and exceeds(sign * floor, sign * pair.candidate.value):
            side = "below" if self.score.higher_is_better else "above"
            yield f"{side} the floor: {pair.candidate.value:.4g}, the policy asks for {floor:g}"

    def _row(
        self,
        status: Status,
        causes: list[str],
        pair: Pair | None = None,
        made: Measure | None = None,
    ) -> Gated:
        score, ours = self.score, self._ours()
        sign = 1.0 if score.higher_is_better else -1.0
        new = pair.candidate.value if pair else ours.value if ours else None
        old = pair.baseline.value if pair else score.value
        entries = [entry_of(run, score.model) for run in (self.candidate, self.baseline)]
        dataset = next(
            (d for d in self.candidate.record.datasets if d.id == self.task.dataset), None
        )
        row = Gated(
            task=self.task.id,
            metric=score.metric,
            model=score.model,
            subset=score.subset,
            dimension=score.dimension,
            tier=self.limits.tier or "critical",
            status=status,
            higher_is_better=score.higher_is_better,
            causes=causes,
            candidate=_plain(new),
            baseline=_plain(old),
            difference=None if new is None or old is None else _plain(sign * (new - old) + 0.0),
            margin=self.limits.margin,
            floor=self.rule.floor,
            chance=score.chance,
            n_items=score.n,
            n_units=pair.n_units if pair else 0,
            unit=score.interval.unit if score.interval else None,
            item_digest=score.item_digest,
            dataset_fingerprint=dataset.fingerprint if dataset else None,
            weights_digest=entries[0].weights_digest if entries[0] else None,
            baseline_weights_digest=entries[1].weights_digest if entries[1] else None,
        )
        if made is None or pair is None:
            return row
        return replace(
            row,
            method="paired bootstrap",
            causes=[*self._floor(pair), *self._exchanged()],
            low=_plain(made.low),
            high=_plain(made.high),
            margin=made.margin,
            p_not_worse=made.p_not_worse,
            p_worse=made.p_worse,
        )


def machine_changes(candidate: Evidence, baseline: Evidence) -> list[str]:
    """Return in what the machines differ that may move the last digits: processor, packages."""
    new, old = (run.record.environment for run in (candidate, baseline))
    changes = [
        f"{name} {old.packages.get(name)} to {new.packages.get(name)}"
        for name in sorted((new.packages.keys() | old.packages.keys()) - {"earmark"})
        if new.packages.get(name) != old.packages.get(name)
    ]
    changes += [
        f"{word} {getattr(old, word)} to {getattr(new, word)}"
        for word in ("processor", "cores", "gpu")
        if getattr(new, word) != getattr(old, word)
    ]
    return changes


def entry_of(run: Evidence, model: str) -> ModelEntry | None:
    return next((one for one in run.record.models if one.id == model), None)


def _plain(value: float | None) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None


def decided(rows: list[tuple[Gated, Measure | None]], policy: Policy) -> list[Gated]:
    """Judge the measured rows: those that count together, advisory ones each by itself."""
    counted = [i for i, (row, made) in enumerate(rows) if made and row.tier != "advisory"]
    families = [counted, *([i] for i, (r, m) in enumerate(rows) if m and r.tier == "advisory")]
    found = [row for row, _ in rows]
    options = {"alpha": policy.statistics.alpha, "power": policy.statistics.power}
    for family in families:
        made = [one for i in family if (one := rows[i][1]) is not None]
        for index, one, decision in zip(family, made, decide(made, **options), strict=True):
            row = found[index]
            status: Status = "fail" if row.causes else decision.status
            causes = [*row.causes, *_why(one, decision, len(family), policy.statistics.alpha)]
            found[index] = replace(
                row,
                status=status,
                causes=causes,
                improved=decision.improved,
                p_worse_holm=decision.p_worse_holm,
                minimum_detectable_difference=_plain(decision.minimum_detectable_difference),
                detectable_drop=_plain(decision.detectable_drop),
            )
    return found


def with_own_words(row: Gated, candidate: Evidence) -> Gated:
    """Return a row that did not pass with what the run itself said of its model."""
    task = candidate.task(row.task)
    if row.status == "pass" or task is None:
        return row
    said = [words for words in task.warnings if words.startswith(f"{row.model}: ")]
    return replace(row, causes=[*row.causes, *(f"the run itself says: {words}" for words in said)])


def _why(made: Measure, decision: Decision, n_metrics: int, alpha: float) -> Iterator[str]:
    if decision.status == "fail":
        yield (
            f"worse by {-made.difference:.4g}, more than the margin {made.margin:.4g} "
            f"(p = {decision.p_worse_holm:.2g} after Holm's correction over {n_metrics} metrics)"
        )
    elif decision.status == "inconclusive" and made.p_worse <= alpha:
        yield (
            f"worse than the margin {made.margin:.4g} by itself (p = {made.p_worse:.2g}), but not "
            f"after Holm's correction over {n_metrics} metrics (p = {decision.p_worse_holm:.2g})"
        )
    elif decision.status == "inconclusive":
        yield (
            f"a loss of {made.margin:.4g} is neither shown nor ruled out: the difference lies in "
            f"[{made.low:.4g}, {made.high:.4g}]"
        )
