"""What makes two runs uncomparable, each by name: a gate with a hole is worse than none.

Checks are of the runs, of a task in both, and of one score in both. All return holes; whoever has
one is not gated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from earmark.bench.gate.evidence import Evidence, truth_of
from earmark.bench.gate.policy import Limits, Rule
from earmark.bench.metrics import classification, regression, tagging
from earmark.bench.metrics.pairs import pairwise
from earmark.bench.run.suite import RANDOM_BASELINE
from earmark.bench.scoring.items import KEYS
from earmark.bench.scoring.results import differs
from earmark.bench.scoring.statistic import Statistic, SumStatistic
from earmark.bench.tasks.registry import task_of
from earmark.bench.tasks.task import Task, item_digest
from earmark.datasets.base import first_ten
from earmark.reports.record.schema import DatasetEntry, ModelEntry, Score, TaskResult

if TYPE_CHECKING:
    import pandas as pd
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

_OF_A_MODEL = ("crop of ", "layer of ", "layers of ", "predictions of ", "scale of ")
DIRECTIONS: Final[Mapping[str, bool]] = {
    metric.name: metric.higher_is_better
    for metric in (
        *classification.METRICS,
        *tagging.METRICS,
        *regression.METRICS,
        pairwise.PAIRWISE_ACCURACY,
    )
} | {"median_rank": False, "mean_rank": False, "mrr": True, "pairwise_accuracy_half_credit": True}
"""Whether higher is better, as the code has it; recalls and other means say so in the record."""
_CHANGED_SHARE: Final = 0.01
"""Of a reference's outcomes that may differ: near ties on another machine."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Why something cannot be compared."""

    where: str
    cause: str


def references(task: TaskResult) -> list[str]:
    """Return the models that are there to be compared with, and are not gated."""
    return [one for one in task.models if one == RANDOM_BASELINE or one.endswith(" (baseline)")]


def check_runs(candidate: Evidence, baseline: Evidence) -> list[Mismatch]:
    """Return what is wrong with the two runs as wholes."""
    holes = []
    for name, run in (("candidate", candidate), ("baseline", baseline)):
        if not run.record.tasks:
            holes.append(Mismatch(name, f"no task: {run.folder} holds no result"))
    ours, theirs = candidate.record.earmark_version, baseline.record.earmark_version
    if _version(theirs) > _version(ours):
        holes.append(
            Mismatch(
                "baseline",
                f"the baseline is newer than the candidate's code: written by Earmark {theirs}, "
                f"the candidate by {ours}; run the candidate with Earmark {theirs} or later",
            )
        )
    known = {task.id for task in candidate.record.tasks}
    for task in baseline.record.tasks:
        if task.id not in known:
            why = next((n.reason for n in candidate.record.not_run if n.what == task.id), None)
            reason = f": it did not run: {why}" if why else ""
            holes.append(Mismatch(task.id, f"task missing from the candidate{reason}"))
    return holes


def _version(text: str) -> tuple[int, ...]:
    """Return the numbers of a version.

    >>> _version("0.10.0") > _version("0.9.3.dev2")
    True
    """
    release = re.match(r"\d+(\.\d+)*", text)
    return tuple(map(int, release[0].split("."))) if release else ()


def check_task(candidate: Evidence, baseline: Evidence, name: str) -> list[Mismatch]:
    """Return how a task differs between the runs in what must be the same."""
    ours, theirs = candidate.task(name), baseline.task(name)
    if ours is None or theirs is None:
        return []
    causes = [
        *_definition(ours, theirs),
        *_dataset(_dataset_entry(candidate, ours), _dataset_entry(baseline, theirs)),
        *_missing_scores(candidate, ours, theirs),
        *_item_sets(candidate.items[name], baseline.items[name], theirs.models),
    ]
    if not causes:
        causes = [*_truth(candidate.truth[name], baseline.truth[name])]
    if not causes:
        causes = [*_reference_outcomes(candidate, baseline, theirs)]
    return [Mismatch(name, cause) for cause in causes]


def _dataset_entry(run: Evidence, task: TaskResult) -> DatasetEntry | None:
    return next((one for one in run.record.datasets if one.id == task.dataset), None)


def _definition(ours: TaskResult, theirs: TaskResult) -> Iterator[str]:
    for word in ("kind", "dataset"):
        if getattr(ours, word) != getattr(theirs, word):
            yield (
                f"the task's {word} changed: {getattr(ours, word)!r}, in the baseline "
                f"{getattr(theirs, word)!r}"
            )
    kind = task_of(theirs.kind)
    seeded = kind is not None and kind.seeded
    by_seed = seeded or theirs.protocol.get("draws", "none") != "none"
    for key in sorted(ours.protocol.keys() | theirs.protocol.keys()):
        if key.startswith(_OF_A_MODEL) or key == "replicates" or (key == "seed" and not by_seed):
            continue
        new, old = ours.protocol.get(key), theirs.protocol.get(key)
        if new != old:
            yield f"changed protocol: {key} is {_short(new)}, in the baseline {_short(old)}"


def _short(value: object) -> str:
    words = repr(value) if value is not None else "not stated"
    return words if len(words) <= 120 else f"{words[:117]}..."


def _dataset(ours: DatasetEntry | None, theirs: DatasetEntry | None) -> Iterator[str]:
    if ours is None or theirs is None:
        if ours is not theirs:
            yield "the dataset has an entry in only one of the records"
        return
    for word in ("fingerprint", "version", "n_items", "known_as", "synthetic", "rating_scale"):
        new, old = getattr(ours, word), getattr(theirs, word)
        if new != old:
            yield f"changed dataset: {word} of {ours.id} is {new!r}, in the baseline {old!r}"


def _missing_scores(candidate: Evidence, ours: TaskResult, theirs: TaskResult) -> Iterator[str]:
    if lost := [model for model in theirs.models if model not in ours.models]:
        notes = [*ours.not_run, *candidate.record.not_run]
        why = {note.what: note.reason for note in notes if note.what in lost}
        reason = "".join(f"; {model} did not run: {text}" for model, text in why.items())
        yield f"models missing: {', '.join(lost)}{reason}"
    have = {_key(score) for score in ours.scores}
    gone = [score for score in theirs.scores if score.model not in lost and _key(score) not in have]
    if metrics := dict.fromkeys(s.metric for s in gone if not _has(ours, s.metric)):
        yield f"metric missing: {', '.join(metrics)}"
    elif gone:
        yield f"scores missing: {first_ten([name_of(score) for score in gone])}"
    for side, task in (("candidate", ours), ("baseline", theirs)):
        keys = [_key(score) for score in task.scores]
        if len(set(keys)) < len(keys):
            twice = next(score for score in task.scores if keys.count(_key(score)) > 1)
            yield f"duplicate score in the {side}: {name_of(twice)}"


def _has(task: TaskResult, metric: str) -> bool:
    return any(score.metric == metric for score in task.scores)


def _key(score: Score) -> tuple[str, str, str, str]:
    return score.model, score.metric, score.subset, score.dimension or ""


def name_of(score: Score) -> str:
    """Return what a score is of, in words."""
    parts = (score.model, score.metric, score.subset, score.dimension)
    return " / ".join(part for part in parts if part)


def _item_sets(ours: pd.DataFrame, theirs: pd.DataFrame, models: Sequence[str]) -> Iterator[str]:
    for side, table in (("candidate", ours), ("baseline", theirs)):
        if not {"model", "item"} <= set(table.columns):
            yield f"no per-item outcomes in the {side}: not gateable"
            return
        keys = [name for name in KEYS if name in table.columns]
        twice = table[table.duplicated(keys)]
        if len(twice):
            yield f"duplicate items in the {side}: {first_ten(list(twice['item'].unique()))}"
    keys = [name for name in KEYS if name in theirs.columns]
    if missing := [name for name in keys if name not in ours.columns]:
        yield f"item sets differ: the candidate's items have no column {', '.join(missing)}"
        return
    new, old = (
        set(table.loc[table["model"].isin(models), keys].itertuples(index=False, name=None))
        for table in (ours, theirs)
    )
    place = keys.index("item")
    for word, rows in (("missing", old - new), ("extra", new - old)):
        if rows:
            names = sorted({str(row[place]) for row in rows})
            yield (
                f"item sets differ: {len(names)} items {word} from the candidate's, as seen from "
                f"the baseline: {first_ten(names)}"
            )


def _truth(ours: Mapping[str, str], theirs: Mapping[str, str]) -> Iterator[str]:
    if changed := sorted(
        name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)
    ):
        yield (
            f"changed dataset: the truth that items are held against differs in "
            f"{', '.join(changed)}"
        )


def _reference_outcomes(candidate: Evidence, baseline: Evidence, task: TaskResult) -> Iterator[str]:
    """Hold models that know nothing, and never change, against themselves."""
    ours, theirs = candidate.items[task.id], baseline.items[task.id]
    truth = truth_of(task.kind)
    columns = [
        column
        for column in theirs.columns
        if column in ours.columns
        and column not in KEYS
        and column not in truth
        and theirs[column].dtype.kind in "fiub"
    ]
    entries = [{one.id: one for one in run.record.models} for run in (candidate, baseline)]
    for model in references(task):
        cards = [own.get(model) for own in entries]
        if not columns or not same_space(*cards):
            continue
        keys = [name for name in KEYS if name in theirs.columns]
        new, old = (
            table[table["model"] == model].sort_values(keys)[columns].to_numpy(np.float64)
            for table in (ours, theirs)
        )
        near = np.isclose(new, old, rtol=1e-4, atol=1e-5, equal_nan=True).all(axis=1)
        if len(near) and (~near).mean() > _CHANGED_SHARE:
            yield (
                f"{model} has not changed, yet {int((~near).sum())} of its {len(near)} outcomes "
                f"differ from the baseline's: the data, their decoding or the measuring did"
            )


def same_space(ours: ModelEntry | None, theirs: ModelEntry | None) -> bool:
    """Return whether two entries name the same vectors; two without an entry do."""
    if ours is None or theirs is None:
        return ours is theirs
    words = ("version", "weights_digest", "crop_policy", "preprocessing", "av_scale")
    return all(getattr(ours, word) == getattr(theirs, word) for word in words)


def check_definition(
    ours: Score, theirs: Score, kind: type[Task] | None, rule: Rule
) -> Iterator[str]:
    """Yield how a metric's definition differs between runs, from the code's or the policy's."""
    for word in ("higher_is_better", "lower_bound", "upper_bound"):
        new, old = getattr(ours, word), getattr(theirs, word)
        if new != old:
            yield f"changed metric definition: {word} is {new}, in the baseline {old}"
    varies = kind is not None and kind.chance_varies
    if not varies and not _close(ours.chance, theirs.chance):
        yield (
            f"changed metric definition: chance is {ours.chance}, in the baseline {theirs.chance}"
        )
    known = DIRECTIONS.get(ours.metric)
    if known is not None and known != ours.higher_is_better:
        yield (
            f"changed metric definition: of {ours.metric} "
            f"{'higher' if known else 'lower'} is better, the record says the opposite"
        )
    asked = rule.direction
    if asked is not None and (asked == "higher") != ours.higher_is_better:
        yield (
            f"the policy says {asked} is better, of {ours.metric} it is the opposite: direction "
            f"comes from the metric, leave it out"
        )


def _close(first: float | None, second: float | None, tolerance: float = 1e-9) -> bool:
    if first is None or second is None:
        return first is second
    return abs(first - second) <= tolerance * max(1.0, abs(first))


def check_items(score: Score, items: Iterable[str], rule: Rule, limits: Limits) -> Iterator[str]:
    """Yield what is wrong with the set of items a score rests on."""
    names = list(items)
    found = item_digest(set(names))
    if found != score.item_digest:
        yield (
            f"item sets differ: the score states the digest {score.item_digest[:12]}, its "
            f"{len(names)} items have {found[:12]}"
        )
    if rule.item_digest is not None and rule.item_digest != found:
        yield (
            f"item sets differ: the policy asks for the digest {rule.item_digest[:12]}, the items "
            f"have {found[:12]}"
        )
    if rule.items is not None and rule.items != len(names):
        yield f"item sets differ: the policy asks for {rule.items} items, there are {len(names)}"
    if limits.min_items is not None and min(len(names), score.n) < limits.min_items:
        yield (
            f"n below the minimum: {min(len(names), score.n)} items, the policy asks for "
            f"{limits.min_items}"
        )
    found_unit = score.interval.unit if score.interval else None
    if limits.unit is not None and found_unit != limits.unit:
        yield f"changed unit: the policy resamples {limits.unit!r}, the record {found_unit!r}"


def check_coverage(score: Score, n_items: int, limits: Limits, drawn: bool) -> Iterator[str]:
    """Yield whether too few of a task's items were scored; a drawn pool is smaller by design."""
    least = limits.min_coverage
    if least is None or drawn or not score.n_items:
        return
    if n_items / score.n_items < least:
        yield (
            f"item sets differ from the dataset's: {n_items} of {score.n_items} items were scored, "
            f"the policy asks for {least:.0%} (min_coverage)"
        )


def check_scored(score: Score, one: Statistic, side: str) -> Iterator[str]:
    """Yield whether a score states another number of items than count in it."""
    if isinstance(one, SumStatistic) and score.value is not None:
        found = int(np.count_nonzero(one.is_scored))
        if found != score.n:
            yield f"item sets differ in the {side}: the score states n = {score.n}, {found} count"


def check_same_scored(
    candidate: Statistic, baseline: Statistic, items: Sequence[str]
) -> Iterator[str]:
    """Yield whether the runs leave different items out, for ties or missing predictions."""
    apart = np.flatnonzero(candidate.is_scored != baseline.is_scored)
    if apart.size:
        names = first_ten([items[int(index)] for index in apart])
        yield (
            f"item sets differ: {apart.size} of {len(items)} items count in only one of the runs, "
            f"for predicted ties are dropped and missing predictions left out: "
            f"{names}; gate a metric that gives ties half credit"
        )


def check_value(score: Score, one: Statistic, side: str) -> Iterator[str]:
    """Yield whether a recorded score is not what its items give."""
    if score.value is None:
        yield f"undefined in the {side}: {score.reason}"
        return
    low = -np.inf if score.lower_bound is None else score.lower_bound
    high = np.inf if score.upper_bound is None else score.upper_bound
    slip = 1e-9 * max(1.0, abs(score.value))
    if not low - slip <= score.value <= high + slip:
        yield f"score outside its bounds in the {side}: {score.value} is not in [{low}, {high}]"
    if not np.isfinite(one.value):
        yield f"NaN or infinity in the {side}: its items give {one.value}"
    elif differs(score, one):
        yield (
            f"the score is not that of its items in the {side}: recorded {score.value:.10g}, the "
            f"items give {one.value:.10g}"
        )


_FEWEST = 10
"""Items of which a correlation says anything."""


def check_constant(
    rows: pd.DataFrame, arrays: Mapping[str, NDArray[Any]], model: str, side: str
) -> Iterator[str]:
    """Yield whether a model gives every item the same: a collapsed tower, a constant predictor."""
    if len(rows) < 2:
        return
    own = f"scores.{model}"
    cause = None
    if own in arrays:
        if not np.ptp(arrays[own], axis=0).any():
            cause = "every item has the same scores"
        elif arrays[own].shape[1] > 1 and not np.ptp(arrays[own], axis=1).any():
            cause = "every tag has the same scores"
    elif "rank" in rows.columns:
        cause = _constant_ranking(rows)
    elif "margin" in rows.columns:
        # Several prompts averaged name no class.
        guesses = set(rows["predicted"]) - {""} if "predicted" in rows.columns else set()
        if not rows["margin"].to_numpy(np.float64).any():
            cause = "every class has the same score, for every item"
        elif len(guesses) == 1 and rows.get("label", rows["item"]).nunique() > 1:
            cause = f"every item is predicted to be {next(iter(guesses))!r}"
    elif "difference" in rows.columns:
        if not rows["difference"].dropna().to_numpy(np.float64).any():
            cause = "both items of every pair have the same value"
    elif "predicted" in rows.columns and rows["predicted"].dtype.kind == "f":
        spread = float(np.ptp(rows["predicted"].to_numpy(np.float64)))
        cause = None if spread else "every item has the same prediction"
    if cause:
        yield f"constant scores in the {side}: {cause}"


def _constant_ranking(rows: pd.DataFrame) -> str | None:
    ranks = rows["rank"].to_numpy(np.float64)
    if not np.ptp(ranks) and ranks[0] > 1:
        return f"all {len(ranks)} queries have rank {ranks[0]:g}"
    if "top_item" in rows.columns and rows["top_item"].nunique() == 1 and len(ranks) > 2:
        return f"every query has the same top hit, {rows['top_item'].iloc[0]!r}"
    return None


def check_random_baseline(
    rows: pd.DataFrame, others: Mapping[str, pd.DataFrame], truth: frozenset[str], side: str
) -> Iterator[str]:
    """Yield whether a model has the very outcomes of one that knows nothing."""
    columns = [
        column
        for column in rows.columns
        if column not in KEYS and column not in truth and rows[column].dtype.kind in "fiu"
    ]
    for name, other in others.items():
        if not columns or len(other) != len(rows) or not set(columns) <= set(other.columns):
            continue
        same = np.array_equal(
            rows[columns].to_numpy(np.float64), other[columns].to_numpy(np.float64), equal_nan=True
        )
        if same:
            yield f"the {side} has exactly the outcomes of {name!r}, which knows nothing"


def check_exchanged(candidate: pd.DataFrame, baseline: pd.DataFrame, model: str) -> Iterator[str]:
    """Yield whether a model's arousal follows the baseline's valence, and its valence the arousal.

    Both must be at least twice as near to the other dimension as to their own (by 1 - r), which
    neither an unchanged model nor one that was trained again can be.
    """
    column = next((one for one in ("difference", "predicted") if one in candidate.columns), None)
    if column is None or "dimension" not in candidate.columns or column not in baseline.columns:
        return
    if candidate[column].dtype.kind != "f" or baseline[column].dtype.kind != "f":
        return
    ours, theirs = (
        {name: rows.set_index("item")[column].dropna() for name, rows in own.groupby("dimension")}
        for own in (table[table["model"] == model] for table in (candidate, baseline))
    )
    found = []
    for name, other in (("arousal", "valence"), ("valence", "arousal")):
        if not {name, other} <= ours.keys() & theirs.keys():
            return
        straight = _correlation(ours[name], theirs[name])
        crossed = _correlation(ours[name], theirs[other])
        if not 1 - crossed < (1 - straight) / 2:
            return
        found.append(
            f"its {name} follows the baseline's {other} (r = {crossed:.3f}), not its "
            f"{name} (r = {straight:.3f})"
        )
    yield f"arousal and valence are exchanged: {'; '.join(found)}"


def _correlation(first: pd.Series, second: pd.Series) -> float:
    """Return Pearson's r on the items that both have; NaN where there are too few, or no spread."""
    both = first.index.intersection(second.index)
    values = np.stack([one.loc[both].to_numpy(np.float64) for one in (first, second)])
    if len(both) < _FEWEST or not np.ptp(values, axis=1).all():
        return float("nan")
    return float(np.corrcoef(values)[0, 1])
