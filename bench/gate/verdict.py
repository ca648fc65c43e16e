"""The verdict: one object, from which every output of the gate is made.

Exit codes: 0 pass, 1 regression, 2 inconclusive, 3 invalid. What cannot be compared outweighs a
regression, and a regression what cannot be decided: a gate must never be read as better than it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from earmark.bench.gate import checks
from earmark.bench.gate import checks as degenerate
from earmark.bench.gate.baseline import completed
from earmark.bench.gate.checks import Mismatch, name_of, references, same_space
from earmark.bench.gate.decision import Decision, Measure, decide, measure, p_above
from earmark.bench.gate.evidence import Evidence, read_evidence, truth_of
from earmark.bench.gate.policy import Limits, Policy, Rule, Tier, settled
from earmark.bench.metrics.base import Floats
from earmark.bench.scoring.items import UnmeasurableError
from earmark.bench.scoring.statistic import Pair, Statistic
from earmark.bench.tasks.registry import task_of
from earmark.datasets.files.names import suggest
from earmark.reports.record.lookup import exceeds, headline
from earmark.reports.record.schema import ModelEntry, RecordError, Score, TaskResult

VERDICT_VERSION: Final = 1

Outcome = Literal["pass", "regression", "inconclusive", "invalid"]
EXIT_CODES: Final[dict[Outcome, int]] = {
    "pass": 0,
    "regression": 1,
    "inconclusive": 2,
    "invalid": 3,
}
_ORDER: Final = {"invalid": 0, "fail": 1, "inconclusive": 2, "pass": 3}
_TIERS: Final = {"critical": 0, "supporting": 1, "advisory": 2}


@dataclass(frozen=True, slots=True)
class Run:
    """Which run this is about."""

    id: str
    folder: str
    created: str
    earmark_version: str
    git_commit: str | None
    git_dirty: bool | None
    suite: str
    suite_digest: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """All that the gate found."""

    outcome: Outcome
    candidate: Run | None
    baseline: Run | None
    policy: str
    policy_digest: str
    alpha: float
    power: float
    replicates: int
    seed: int
    holes: list[Mismatch]
    """Causes that concern a run or a whole task."""
    metrics: list[Gated]
    """Those to read first first."""
    warnings: list[str]
    verdict_version: int = VERDICT_VERSION

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.outcome]

    def as_plain(self) -> dict[str, Any]:
        """Return dictionaries, lists, text and numbers, as JSON and the renderers take them."""
        return asdict(self) | {"exit_code": self.exit_code}


def unreadable(
    policy: Policy,
    holes: list[Mismatch],
    candidate: Evidence | None = None,
    baseline: Evidence | None = None,
) -> Verdict:
    """Return the verdict where a record could not even be read; the other may have been."""
    ours, theirs = (None if one is None else _run(one) for one in (candidate, baseline))
    return _verdict(policy, ours, theirs, holes, [], [])


def judge(candidate: Evidence, baseline: Evidence, policy: Policy) -> Verdict:
    """Hold a run against its baseline."""
    holes = [*checks.check_runs(candidate, baseline), *_strange_names(baseline, policy)]
    by_task: dict[str, list[Mismatch]] = {}
    for task in baseline.record.tasks:
        if task.id not in policy.ignore:
            by_task[task.id] = checks.check_task(candidate, baseline, task.id)
            holes += by_task[task.id]
    sound = {name for name, found in by_task.items() if not found and candidate.task(name)}
    if sound:
        baseline = completed(baseline, candidate)
    plan = [one for task in baseline.record.tasks for one in _plan(task, policy)]
    rows: list[tuple[Gated, Measure | None]] = []
    for task, score, rule, limits in plan:
        gate = Comparison(candidate, baseline, policy, task, score, rule, limits)
        rows.append(gate.judged() if task.id in sound else (gate.uncomparable(), None))
    if not plan and not holes:
        holes.append(Mismatch("policy", "no task: the policy leaves nothing to gate"))
    holes += _unmatched(baseline, policy, plan)
    gated = [with_own_words(row, candidate) for row in decided(rows, policy)]
    return _verdict(
        policy,
        _run(candidate),
        _run(baseline),
        _distinct(holes),
        gated,
        [
            *_warnings(candidate, baseline),
            *_elsewhere(candidate, baseline, policy),
            *_from_the_store(candidate, gated),
            *_where_to_look(candidate, gated),
            *_toothless(gated),
            *_too_few(gated),
        ],
    )


def _distinct(holes: Iterable[Mismatch]) -> list[Mismatch]:
    return list(dict.fromkeys(holes))


def _verdict(
    policy: Policy,
    candidate: Run | None,
    baseline: Run | None,
    holes: list[Mismatch],
    gated: list[Gated],
    warnings: list[str],
) -> Verdict:
    outcome: Outcome = "pass"
    if holes or any(one.status == "invalid" for one in gated):
        outcome = "invalid"
    elif any(one.status == "fail" and one.tier != "advisory" for one in gated):
        outcome = "regression"
    elif any(one.status == "inconclusive" and one.tier == "critical" for one in gated):
        outcome = "inconclusive"
    return Verdict(
        outcome=outcome,
        candidate=candidate,
        baseline=baseline,
        policy=policy.source,
        policy_digest=policy.digest,
        alpha=policy.statistics.alpha,
        power=policy.statistics.power,
        replicates=policy.statistics.replicates,
        seed=policy.statistics.seed,
        holes=holes,
        metrics=sorted(gated, key=_to_read_first),
        warnings=warnings,
    )


def _to_read_first(row: Gated) -> tuple[object, ...]:
    """Return what rows are sorted by; of one score the models stay in their order."""
    place = (row.task, row.metric, row.subset, row.dimension or "")
    return _ORDER[row.status], _TIERS[row.tier], *place


def _run(run: Evidence) -> Run:
    record = run.record
    return Run(
        id=record.id,
        folder=str(run.folder),
        created=record.created,
        earmark_version=record.earmark_version,
        git_commit=record.environment.git_commit,
        git_dirty=record.environment.git_dirty,
        suite=record.suite.name,
        suite_digest=record.suite.digest,
        reason=run.reason,
    )


Planned = tuple[TaskResult, Score, Rule, Limits]


def _plan(task: TaskResult, policy: Policy) -> Iterator[Planned]:
    """Yield a task's scores that are gated, each once: by the last rule that names it."""
    default = headline(task)
    if task.id in policy.ignore or default is None:
        return
    rules = [rule for rule in policy.metrics if rule.task == task.id]
    rules = rules or [Rule(task=task.id, metric=default[0])]
    chosen: dict[str, Planned] = {}
    for rule in rules:
        for score in _named_by(rule, task):
            chosen[name_of(score)] = (task, score, rule, settled(rule, policy.defaults))
    yield from chosen.values()


def _named_by(rule: Rule, task: TaskResult) -> Iterator[Score]:
    subset = rule.subset or task.headline_subset or task.scores[0].subset
    passive = references(task)
    for score in task.scores:
        wanted = (
            score.metric == rule.metric
            and subset in (score.subset, "*")
            and rule.dimension in (None, score.dimension)
            and rule.model in (None, score.model)
        )
        if wanted and score.model not in passive:
            yield score


def _strange_names(baseline: Evidence, policy: Policy) -> Iterator[Mismatch]:
    known = [task.id for task in baseline.record.tasks]
    for name in dict.fromkeys([*policy.ignore, *(rule.task for rule in policy.metrics)]):
        if name not in known:
            yield Mismatch(
                "policy", f"task missing: the baseline has no task {_meant(name, known)}"
            )


def _unmatched(baseline: Evidence, policy: Policy, plan: list[Planned]) -> Iterator[Mismatch]:
    used = [rule for _, _, rule, _ in plan]
    for rule in policy.metrics:
        task = baseline.task(rule.task)
        # A rule that a later one overrides is used as well.
        if task is None or rule in used or rule.task in policy.ignore:
            continue
        if any(_named_by(rule, task)):
            continue
        for word, known in (
            ("metric", {score.metric for score in task.scores}),
            ("subset", {score.subset for score in task.scores}),
            ("model", {score.model for score in task.scores} - set(references(task))),
        ):
            name = getattr(rule, word)
            if name is not None and name not in known and name != "*":
                cause = f"{word} missing: the baseline has no {word} {_meant(name, known)}"
                yield Mismatch(task.id, cause)
                break
        else:
            yield Mismatch(task.id, f"no score of {rule.metric} is what the policy's rule asks for")


def _meant(name: str, known: Iterable[str]) -> str:
    return f"{name!r}. {suggest(name, sorted(known))}"


def _elsewhere(candidate: Evidence, baseline: Evidence, policy: Policy) -> Iterator[str]:
    changes = machine_changes(candidate, baseline)
    if policy.statistics.replay != "same-machine" or not changes:
        return
    yield (
        f"not the baseline's machine, so that equal weights are judged by statistics as well, and "
        f"small changes pass: {'; '.join(changes)}"
    )


def _from_the_store(candidate: Evidence, gated: Iterable[Gated]) -> Iterator[str]:
    """Yield which models were not listened with, and by whose code nobody knows."""
    unknown = {one.id for one in candidate.record.models if one.seconds is None and not one.code}
    if names := sorted(unknown & {row.model for row in gated}):
        yield (
            f"read by the card alone (--trust-card, or a record of Earmark 0.1) or from files, not "
            f"listened with anew: {', '.join(names)}; what a change of decoding or of a model's "
            f"code does is not in this record"
        )


def _where_to_look(candidate: Evidence, gated: Sequence[Gated]) -> Iterator[str]:
    """Yield which models still hear as they did, and went wrong only where texts are read."""
    kinds = {task.id: task_of(task.kind) for task in candidate.record.tasks}
    needs = {name: kind.needs for name, kind in kinds.items() if kind is not None}
    for model in dict.fromkeys(row.model for row in gated):
        rows = [row for row in gated if row.model == model and row.task in needs]
        heard = [row for row in rows if "text" not in needs[row.task]]
        read = [row for row in rows if "text" in needs[row.task]]
        repeated = all(row.method == "exact replay" and row.status == "pass" for row in heard)
        if heard and read and repeated and all(row.status in ("fail", "invalid") for row in read):
            names = ", ".join(dict.fromkeys(row.task for row in heard))
            yield (
                f"{model}: what it makes of audio alone is as it was ({names}), what it makes of "
                f"texts is not: look at the prompts, the tokeniser and the text tower"
            )


def _toothless(gated: list[Gated]) -> Iterator[str]:
    if gated and all(row.tier == "advisory" for row in gated):
        yield "every gated score is advisory: none of them can fail this run"


def _too_few(gated: Iterable[Gated]) -> Iterator[str]:
    for row in gated:
        least = row.minimum_detectable_difference
        if row.status == "fail" or least is None or row.margin is None or least <= row.margin:
            continue
        parts = (row.task, row.model, row.metric, row.subset, row.dimension)
        place = " / ".join(part for part in parts if part)
        yield (
            f"{place}: this gate cannot decide at this n: on {row.n_units} units an unchanged "
            f"model needs a margin of {least:.3g} to pass reliably, the policy gives "
            f"{row.margin:.3g}"
        )


def _warnings(candidate: Evidence, baseline: Evidence) -> Iterator[str]:
    new, old = candidate.record, baseline.record
    if new.suite.digest != old.suite.digest:
        yield f"the suite {new.suite.name} is not the file that the baseline was run with"
    if datetime.fromisoformat(new.created) < datetime.fromisoformat(old.created):
        yield f"the candidate was run before the baseline ({new.created}, {old.created})"
    if new.id == old.id:
        yield f"candidate and baseline are the same run, {new.id}: nothing new was measured"
    for side, run in (("candidate", new), ("baseline", old)):
        if run.environment.git_dirty:
            yield f"the {side} was run from a tree with uncommitted changes"
    known = {task.id for task in old.tasks}
    if extra := [task.id for task in new.tasks if task.id not in known]:
        yield f"not gated, for the baseline has no such task: {', '.join(extra)}"
    for task in new.tasks:
        other = baseline.task(task.id)
        if other and (extra := [m for m in task.models if m not in other.models]):
            yield f"{task.id}: not gated, for the baseline has no such model: {', '.join(extra)}"
    if synthetic := [one.id for one in new.datasets if one.synthetic]:
        yield f"synthetic data, not people and their music: {', '.join(synthetic)}"


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
        yield from degenerate.check_random_baseline(rows, passive, truth_of(self.task.kind), side)

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


def judge_files(run: Path, baseline: Path, policy: Policy) -> Verdict:
    """Return the verdict on a record; one that cannot be read is invalid, never an error."""
    read: dict[str, Evidence] = {}
    holes = []
    for side, path in (("candidate", run), ("baseline", baseline)):
        try:
            read[side] = read_evidence(path)
        except RecordError as error:
            holes.append(Mismatch(side, str(error)))
    if holes:
        return unreadable(policy, holes, read.get("candidate"), read.get("baseline"))
    return judge(read["candidate"], read["baseline"], policy)
