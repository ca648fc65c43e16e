"""How often the intervals hold the truth and the tests reject it, by simulation.

``python docs/interval_coverage.py --out docs/statistics.csv`` draws samples from
populations whose scores are known, and counts: how often a stated 95 % interval covers the
population's score, how often two models of equal skill are called different at 5 %, and how often a
difference as large as the stated detectable one is found. It prints the tables of
``docs/statistics.md``. Nothing here is used by the suite itself; a reduced form is among the tests.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache, partial
from pathlib import Path

import numpy as np

from earmark.bench.metrics import classification, comparisons, regression, retrieval, tagging
from earmark.bench.metrics.base import Floats, metric_named
from earmark.bench.metrics.comparisons import PairedComparison
from earmark.bench.metrics.intervals import LOGIT
from earmark.bench.metrics.pairs import agreement, pairwise
from earmark.bench.metrics.ranks import Ranks
from earmark.bench.metrics.statistics import Estimate, estimate_ratio

Rng = np.random.Generator
SIZES = (30, 100, 300)
PREVALENCES = np.array([0.1, 0.15, 0.2, 0.3, 0.4])
"""Of the five tags."""
TAG_SKILL = 1.2
"""How far positive clips lie above negative ones, in standard deviations."""
CLASS_SKILL = 1.5
CLASSES = ("a", "b", "c", "d")
CLASS_SHARES = np.array([0.4, 0.3, 0.2, 0.1])
REPLICATES = 999


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was counted for one metric, population and number of units."""

    question: str
    """coverage, false alarms or power."""
    metric: str
    population: str
    n: int
    percent: float
    error: float
    """Monte Carlo standard error, in percentage points."""
    repetitions: int


@dataclass(frozen=True, slots=True)
class Covered:
    """A metric, a population, and one sample's estimate; ``truth`` is the population's score."""

    metric: str
    population: str
    truth: Callable[[], float]
    draw: Callable[[Rng, int], Estimate]


@dataclass(frozen=True, slots=True)
class Tested:
    """Two models of equal skill, compared on a sample; with ``loss`` the first is worse."""

    metric: str
    population: str
    draw: Callable[[Rng, int, float], PairedComparison]
    measure_loss: Callable[[float], float] | None = None
    """The true difference that a loss of skill makes; None: power is not counted."""
    most_loss: float = 0.0
    """With which no skill is left."""


# Errors of unit variance.
def _noise(rng: Rng, kind: str, shape: tuple[int, ...]) -> Floats:
    if kind == "normal":
        return rng.normal(size=shape)
    if kind == "t, 5 degrees":
        return np.asarray(rng.standard_t(5, shape) / np.sqrt(5 / 3))
    if kind == "t, 2.5 degrees":
        return np.asarray(rng.standard_t(2.5, shape) / np.sqrt(5))
    return rng.exponential(size=shape) - 1  # "exponential"


def _ratings(rng: Rng, kind: str, n: int, loss: float = 0.0) -> tuple[Floats, Floats]:
    rated = rng.normal(size=n)
    return rated, (0.8 - loss) * rated + 0.2 + 0.6 * _noise(rng, kind, (n,))


@cache
def _true_regression(name: str, loss: float = 0.0) -> float:
    """Return a regression metric of the population, in closed form but for the MAE's constant."""
    slope, shift, noise = 0.8 - loss, 0.2, 0.6
    variance = slope**2 + noise**2
    squared = (slope - 1) ** 2 + noise**2 + shift**2
    spread = np.sqrt(squared - shift**2)
    from scipy.stats import foldnorm

    return float(
        {
            "pearson_r": slope / np.sqrt(variance),
            "r2": 1 - squared,
            "rmse": np.sqrt(squared),
            "mae": foldnorm.mean(shift / spread, scale=spread),
            "ccc": 2 * slope / (1 + variance + shift**2),
        }[name]
    )


def _regression(rng: Rng, n: int, *, name: str, kind: str) -> Estimate:
    return regression.evaluate(*_ratings(rng, kind, n))[name]


def _accuracy(rng: Rng, n: int, *, share: float) -> Estimate:
    credit = (rng.random(n) < share) * 1.0
    return estimate_ratio(np.stack([credit, np.ones(n)], axis=1))


def _alike(rng: Rng, n: int, share: float, size: int, alike: float) -> Floats:
    """Return hits ``(n, size)``, of which those of a unit are the same by a chance ``alike``."""
    common = rng.random((n, 1)) < share
    return np.where(rng.random((n, 1)) < alike, common, rng.random((n, size)) < share) * 1.0


def _triplets(rng: Rng, n: int, *, share: float, alike: float) -> Estimate:
    hits = _alike(rng, n, share, 3, alike)
    outcomes = np.where(hits.ravel() > 0, 1, -1)
    return pairwise.estimate(outcomes, units=np.repeat(np.arange(n), 3))


def _classified(rng: Rng, n: int, loss: float = 0.0) -> tuple[np.ndarray, Floats]:
    truth = rng.choice(len(CLASSES), n, p=CLASS_SHARES)
    scores = (CLASS_SKILL - loss) * np.eye(len(CLASSES))[truth]
    return truth, scores + rng.normal(size=scores.shape)


@cache
def _true_classification(name: str, loss: float = 0.0) -> float:
    truth, scores = _classified(np.random.default_rng(1), 1_000_000, loss)
    sums = classification.counts(truth, scores).sum(axis=0)
    metric = {one.name: one for one in classification.METRICS}[name]
    return float(classification.from_sums(sums, metric))


def _classes(rng: Rng, n: int, *, name: str) -> Estimate:
    truth, scores = _classified(rng, n)
    return classification.evaluate(truth, scores, classes=CLASSES).metrics[name]


def _tags(rng: Rng, n: int) -> np.ndarray:
    while True:
        labels = (rng.random((n, len(PREVALENCES))) < PREVALENCES).astype(int)
        if (np.ptp(labels, axis=0) > 0).all():  # every tag is defined
            return labels


@cache
def _true_tagging(name: str, loss: float = 0.0) -> float:
    from scipy.stats import norm

    skill = TAG_SKILL - loss
    if name == "roc_auc":
        return float(norm.cdf(skill / np.sqrt(2)))
    x = np.linspace(-9, 9, 20_001)
    hit, alarm = norm.sf(x, skill), norm.sf(x)
    precision = [p * hit / (p * hit + (1 - p) * alarm) for p in PREVALENCES]
    return float(np.mean(np.trapezoid(np.nan_to_num(precision) * norm.pdf(x, skill), x, axis=1)))


def _tagging(rng: Rng, n: int, *, name: str) -> Estimate:
    labels = _tags(rng, n)
    return tagging.evaluate(labels, TAG_SKILL * labels + rng.normal(size=labels.shape))[name].macro


def _retrieval(rng: Rng, n: int, *, name: str) -> Estimate:
    higher = np.minimum(rng.geometric(0.1, n) - 1, 999)
    query = np.arange(n)
    ranks = Ranks(n, 1000, query=query, item=query, higher=higher, tied=np.ones(n, np.intp))
    return retrieval.evaluate(ranks, ks=[10], replicates=REPLICATES, seed=0)[name]


@cache
def _true_retrieval(name: str) -> float:
    place = np.arange(1, 1000)
    chance = 0.1 * 0.9 ** (place - 1)
    chance[-1] = 1 - chance[:-1].sum()
    return float(
        {
            "recall_at_10": chance[:10].sum(),
            "mrr": (chance / place).sum(),
            "mean_rank": (chance * place).sum(),
            "median_rank": 7,  # the first place at which half of the queries are reached
        }[name]
    )


def _alpha(rng: Rng, n: int) -> Estimate:
    truth = rng.integers(0, 2, n)
    kept = rng.random((3, n)) < 0.8
    ratings = np.where(kept, truth, rng.integers(0, 2, (3, n))).astype(float)
    return agreement.evaluate_alpha(ratings)


def coverages() -> Iterator[Covered]:
    """Yield what is asked of intervals."""
    for name in ("pearson_r", "r2", "rmse", "mae", "ccc"):
        truth = partial(_true_regression, name)
        draw = partial(_regression, name=name, kind="normal")
        yield Covered(name, "normal errors", truth, draw)
    for name in ("pearson_r", "rmse"):
        for kind in ("t, 5 degrees", "exponential"):
            truth = partial(_true_regression, name)
            yield Covered(
                name, f"errors: {kind}", truth, partial(_regression, name=name, kind=kind)
            )
    for share in (0.02, 0.1, 0.5, 0.9, 0.98):
        draw = partial(_accuracy, share=share)
        yield Covered("accuracy", f"{share:g}", partial(float, share), draw)
    for share in (0.75, 0.97):
        for alike in (0.0, 0.3):
            said = f"{share:g}, {alike:g} of triplets alike"
            draw = partial(_triplets, share=share, alike=alike)
            yield Covered("pairwise accuracy", said, partial(float, share), draw)
    for name in ("balanced_accuracy", "macro_f1"):
        truth = partial(_true_classification, name)
        yield Covered(name, "4 classes, 40 to 10 %", truth, partial(_classes, name=name))
    for name in ("roc_auc", "average_precision"):
        truth = partial(_true_tagging, name)
        yield Covered(name, "macro of 5 tags, 10 to 40 %", truth, partial(_tagging, name=name))
    for name in ("recall_at_10", "mrr", "mean_rank", "median_rank"):
        truth = partial(_true_retrieval, name)
        yield Covered(name, "geometric ranks", truth, partial(_retrieval, name=name))
    yield Covered("krippendorff_alpha", "nominal, 3 raters", lambda: 0.64, _alpha)


def _lost(truth: Callable[[float], float], loss: float) -> float:
    return truth(0.0) - truth(loss)


def _compare_regression(rng: Rng, n: int, loss: float, *, name: str, kind: str) -> PairedComparison:
    rated, second = _ratings(rng, kind, n)
    first = (0.8 - loss) * rated + 0.2 + 0.6 * rng.normal(size=n)
    predicted = [first, 5 * second if name == "pearson_r" else second]
    return comparisons.compare(
        np.stack([regression.moments(rated, values) for values in predicted]),
        partial(regression.from_sums, metric=metric_named(name, regression.METRICS)),
        scale=regression.PAIRED_SCALES[name],
        replicates=REPLICATES,
        seed=int(rng.integers(2**31)),
    )[0]


def _compare_means(rng: Rng, n: int, loss: float, *, share: float, size: int) -> PairedComparison:
    """Compare two models of which one half of all hits is common."""
    common, same = rng.random((n, size)) < share, rng.random((n, size)) < 0.5
    lift = rng.random((n, 1)) < 0.3  # units that are alike within a model
    hits = [
        np.where(same & (move == 0), common, np.where(lift, one[:, :1], one) < share + move)
        for one, move in ((rng.random((n, size)), -loss), (rng.random((n, size)), 0.0))
    ]
    columns = np.stack([np.stack([h.ravel(), np.ones(n * size)], axis=1) for h in hits])
    units = np.repeat(np.arange(n), size)
    seed = int(rng.integers(2**31))
    return comparisons.compare(columns, units=units, replicates=REPLICATES, seed=seed)[0]


def _compare_classes(rng: Rng, n: int, loss: float, *, name: str) -> PairedComparison:
    truth, second = _classified(rng, n)
    first = (CLASS_SKILL - loss) * np.eye(len(CLASSES))[truth] + rng.normal(size=second.shape)
    seed = int(rng.integers(2**31))
    return comparisons.compare(
        np.stack([classification.counts(truth, scores) for scores in (first, second)]),
        partial(classification.from_sums, metric=metric_named(name, classification.METRICS)),
        scale=LOGIT,
        replicates=REPLICATES,
        seed=seed,
    )[0]


def _compare_tags(
    rng: Rng, n: int, loss: float, *, name: str, spread: float = 1.0
) -> PairedComparison:
    labels = _tags(rng, n)
    first = (TAG_SKILL - loss) * labels + rng.normal(size=labels.shape)
    # Positive clips that are more spread out, at the same area under the curve.
    skill = TAG_SKILL * np.sqrt((1 + spread**2) / 2)
    second = skill * labels + rng.normal(size=labels.shape) * np.where(labels, spread, 1)
    seed = int(rng.integers(2**31))
    return tagging.compare(
        labels, [first, 3 * second], metric=name, replicates=REPLICATES, seed=seed
    )[0]


def paired_tests() -> Iterator[Tested]:
    """Yield what is asked of paired tests."""
    for name in ("pearson_r", "ccc", "r2", "rmse"):
        draw = partial(_compare_regression, name=name, kind="normal")
        truth = partial(_true_regression, name)
        lost = partial(_lost, truth) if name == "pearson_r" else None
        yield Tested(name, "normal errors", draw, lost, most_loss=0.8)
    for kind in ("t, 5 degrees", "exponential", "t, 2.5 degrees"):
        draw = partial(_compare_regression, name="pearson_r", kind=kind)
        yield Tested("pearson_r", f"errors of one model: {kind}", draw)
    for share in (0.6, 0.9):
        draw = partial(_compare_means, share=share, size=1)
        yield Tested("accuracy", f"{share:g}, half in common", draw, None)
        draw = partial(_compare_means, share=share, size=3)
        yield Tested("pairwise accuracy", f"{share:g} in triplets", draw, None)
    for name in ("balanced_accuracy", "macro_f1"):
        draw = partial(_compare_classes, name=name)
        yield Tested(name, "4 classes, 40 to 10 %", draw, None)
    for name in ("roc_auc", "average_precision"):
        draw = partial(_compare_tags, name=name)
        truth = partial(_true_tagging, name)
        lost = partial(_lost, truth)
        yield Tested(name, "macro of 5 tags, 10 to 40 %", draw, lost, most_loss=TAG_SKILL)
    draw = partial(_compare_tags, name="roc_auc", spread=2.0)
    yield Tested("roc_auc", "unlike spread", draw)


def count_coverage(case: Covered, n: int, *, repetitions: int, seed: int) -> Outcome:
    """Return how often the stated 95 % interval covers the population's score."""
    rng, truth, covered = np.random.default_rng([seed, n]), case.truth(), 0
    for _ in range(repetitions):
        found = case.draw(rng, n).interval
        covered += found is not None and found.low - 1e-12 <= truth <= found.high + 1e-12
    return _outcome("coverage", case.metric, case.population, n, covered, repetitions)


def count_rejections(
    case: Tested, n: int, *, repetitions: int, seed: int, loss: float = 0.0
) -> Outcome:
    """Return how often the test is significant at 5 %; it must agree with its interval."""
    rng, rejected = np.random.default_rng([seed, n, int(loss > 0)]), 0
    for _ in range(repetitions):
        found = case.draw(rng, n, loss)
        significant = found.p_value < 0.05
        if significant == (found.interval.low <= 0 <= found.interval.high):
            raise AssertionError(f"{case.metric}, {n} units: p-value and interval contradict")
        rejected += significant
    question = "power" if loss else "false alarms"
    return _outcome(question, case.metric, case.population, n, rejected, repetitions)


def count_power(case: Tested, n: int, *, repetitions: int, seed: int) -> Outcome | None:
    """Return how often a true difference as large as the stated detectable one is found.

    None where no model of these populations is worse by so much.
    """
    if case.measure_loss is None:
        return None
    rng = np.random.default_rng([seed, n, 9])
    loss = 0.1
    for _ in range(6):  # the detectable difference depends a little on the difference itself
        stated = [case.draw(rng, n, loss).minimum_detectable_difference for _ in range(200)]
        wanted = float(np.mean(stated))
        if case.measure_loss(case.most_loss) < wanted:
            return None
        low, high = 0.0, case.most_loss
        for _ in range(60):
            loss = (low + high) / 2
            low, high = (loss, high) if case.measure_loss(loss) < wanted else (low, loss)
    return count_rejections(case, n, repetitions=repetitions, seed=seed, loss=loss)


def _outcome(
    question: str, metric: str, population: str, n: int, count: int, repetitions: int
) -> Outcome:
    share = count / repetitions
    error = 100 * float(np.sqrt(max(share * (1 - share), 1 / repetitions) / repetitions))
    return Outcome(question, metric, population, n, 100 * share, error, repetitions)


def measure(*, repetitions: int, seed: int, sizes: Sequence[int] = SIZES) -> Iterator[Outcome]:
    """Yield every count, intervals first."""
    options = {"repetitions": repetitions, "seed": seed}
    for case in coverages():
        yield from (count_coverage(case, n, **options) for n in sizes)
    for tested in paired_tests():
        yield from (count_rejections(tested, n, **options) for n in sizes)
    for tested in paired_tests():
        found = (count_power(tested, n, **options) for n in sizes)
        yield from (one for one in found if one is not None)


def in_markdown(rows: Sequence[Mapping[str, str]], question: str) -> str:
    """Return one question's percentages as a table, from rows of the CSV file."""
    sizes = list(dict.fromkeys(row["n"] for row in rows))
    lines = [f"| metric | population | {' | '.join(f'n = {n}' for n in sizes)} |"]
    lines.append("|---|---|" + "---|" * len(sizes))
    kept = [row for row in rows if row["question"] == question]
    for metric, population in dict.fromkeys((row["metric"], row["population"]) for row in kept):
        found = {
            row["n"]: row["percent"]
            for row in kept
            if (row["metric"], row["population"]) == (metric, population)
        }
        cells = " | ".join(found.get(n, "") for n in sizes)
        lines.append(f"| {metric} | {population} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    """Simulate, write the CSV file and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("docs/statistics.csv"))
    options = parser.parse_args()
    with options.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in fields(Outcome)])
        for one in measure(repetitions=options.repetitions, seed=options.seed):
            row = [one.question, one.metric, one.population, one.n]
            writer.writerow([*row, f"{one.percent:.1f}", f"{one.error:.1f}", one.repetitions])
            print(*row, f"{one.percent:.1f}", file=sys.stderr)
    with options.out.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for question in ("coverage", "false alarms", "power"):
        print(f"{question}\n\n{in_markdown(rows, question)}\n")


if __name__ == "__main__":
    main()
