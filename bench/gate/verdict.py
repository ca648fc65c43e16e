"""The verdict: one object, from which every output of the gate is made.

Exit codes: 0 pass, 1 regression, 2 inconclusive, 3 invalid. What cannot be compared outweighs a
regression, and a regression what cannot be decided: a gate must never be read as better than it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Literal

from earmark.bench.gate import checks
from earmark.bench.gate.baseline import completed
from earmark.bench.gate.checks import Hole, name_of, references
from earmark.bench.gate.comparison import (
    Comparison,
    Gated,
    decided,
    machine_changes,
    with_own_words,
)
from earmark.bench.gate.decision import Measure
from earmark.bench.gate.evidence import Evidence
from earmark.bench.gate.policy import Limits, Policy, Rule, settled
from earmark.bench.tasks.registry import task_of
from earmark.datasets.files.names import suggest
from earmark.reports.record.lookup import headline
from earmark.reports.record.schema import Score, TaskResult

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
    holes: list[Hole]
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
    holes: list[Hole],
    candidate: Evidence | None = None,
    baseline: Evidence | None = None,
) -> Verdict:
    """Return the verdict where a record could not even be read; the other may have been."""
    ours, theirs = (None if one is None else _run(one) for one in (candidate, baseline))
    return _verdict(policy, ours, theirs, holes, [], [])


def judge(candidate: Evidence, baseline: Evidence, policy: Policy) -> Verdict:
    """Hold a run against its baseline."""
    holes = [*checks.check_runs(candidate, baseline), *_strange_names(baseline, policy)]
    by_task: dict[str, list[Hole]] = {}
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
        holes.append(Hole("policy", "no task: the policy leaves nothing to gate"))
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


def _distinct(holes: Iterable[Hole]) -> list[Hole]:
    return list(dict.fromkeys(holes))


def _verdict(
    policy: Policy,
    candidate: Run | None,
    baseline: Run | None,
    holes: list[Hole],
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


def _strange_names(baseline: Evidence, policy: Policy) -> Iterator[Hole]:
    known = [task.id for task in baseline.record.tasks]
    for name in dict.fromkeys([*policy.ignore, *(rule.task for rule in policy.metrics)]):
        if name not in known:
            yield Hole("policy", f"task missing: the baseline has no task {_meant(name, known)}")


def _unmatched(baseline: Evidence, policy: Policy, plan: list[Planned]) -> Iterator[Hole]:
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
                yield Hole(task.id, cause)
                break
        else:
            yield Hole(task.id, f"no score of {rule.metric} is what the policy's rule asks for")


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
