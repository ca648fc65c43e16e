"""Linear probes: logistic regression on frozen vectors, with its folds and the choice of C.

Conventions
-----------
Features are ``(n_clips, dimension)``; targets are class indices ``(n_clips,)`` or tags
``(n_clips, n_tags)`` of 0 and 1. Each feature is standardised with the mean and deviation of the
clips that are fitted on, never of those that are scored. C is the inverse strength of
scikit-learn's L2 penalty, one for all tags; the grid's values are held against each other on the
validation partition, or by cross-validation within the training clips, by balanced accuracy or
macro ROC-AUC. Of equally good ones the smallest is taken. The final fit is on training and
validation clips.

Of a model with several layers each is fitted and scored with its own C, and in each fold the layer
for the headline is chosen as C is: by the same quality, on the same clips, none of them scored. Of
equally good layers the first is taken.

Classes are weighted by the inverse of their frequency, so that a probe of vectors that say nothing
does not name the most frequent class of every clip. Tags are not weighted: both metrics are of each
tag's order alone. Linear algebra is held to one thread, so that sums are the same on any machine.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from earmark.bench.metrics import classification, tagging
from earmark.bench.metrics.base import Floats
from earmark.datasets.base import DataError, first_ten

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2)
INNER_FOLDS = 3
MOST_ITERATIONS = 1_000

Rows = NDArray[np.intp]
Targets = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Fold:
    """Which clips are fitted on, which choose C, and which are scored."""

    name: str
    train: Rows
    test: Rows
    valid: Rows | None = None
    """None: C is chosen by cross-validation within ``train``."""


@dataclass(slots=True)
class Probed:
    """Scores of the clips that some fold scores."""

    scores: Floats
    """``(n_clips, n_outputs)``; rows that no fold scores are NaN."""
    rows: list[list[str | int | float | bool | None]] = field(default_factory=list)
    """Of each fold: name, clips fitted on, clips scored, C, iterations."""
    warnings: list[str] = field(default_factory=list)
    quality: list[float] = field(default_factory=list)
    """Of each fold: how good the chosen C was on the clips that chose it."""
    layers: dict[str, Probed] = field(default_factory=dict)
    """Each layer by itself, where there are several."""
    chosen: list[str] = field(default_factory=list)
    """Of each fold: the layer that scores it."""


@dataclass(slots=True)
class _Log:
    """What happened in the fits."""

    n_fits: int = 0
    unfinished: list[str] = field(default_factory=list)
    iterations: int = 0


def held_out(partitions: Sequence[str | None]) -> list[Fold]:
    """Return the one fold of a set with partitions ``train``, perhaps ``valid``, and ``test``.

    Raises
    ------
    DataError
        If there is no clip to train on or none to test.
    """
    part = np.array([str(name) for name in partitions])
    rows = {name: np.flatnonzero(part == name) for name in ("train", "valid", "test")}
    for name in ("train", "test"):
        if not len(rows[name]):
            raise DataError(
                f"a probe needs the partitions train and test, but no scored clip is in {name!r} "
                f"(there: {', '.join(sorted(set(part.tolist())))}): load the dataset without "
                f"the option partition, or set evaluation='cross-validation'"
            )
    return [
        Fold("test", rows["train"], rows["test"], rows["valid"] if len(rows["valid"]) else None)
    ]


def cross_validated(
    targets: Targets, units: NDArray[np.str_], *, folds: int, seed: int
) -> list[Fold]:
    """Return folds in which no unit is on both sides; those of classes are stratified.

    Raises
    ------
    DataError
        If there are fewer than two folds, or fewer units, or units of some class, than folds.
    """
    if not isinstance(folds, int) or folds < 2:
        raise DataError(f"folds is {folds!r}, expected a whole number of at least 2")
    n_units = len(np.unique(units))
    if n_units < folds:
        raise DataError(
            f"{len(targets)} clips of {n_units} units cannot be divided into {folds} folds: give "
            f"fewer folds or more clips"
        )
    tests = _grouped(units, folds, seed) if targets.ndim == 2 else None
    if tests is None:
        tests = _stratified(targets, units, folds, seed)
    everything = np.arange(len(targets))
    return [
        Fold(f"{number} of {folds}", np.setdiff1d(everything, test), test)
        for number, test in enumerate(tests, start=1)
    ]


def _stratified(targets: Targets, units: NDArray[np.str_], folds: int, seed: int) -> list[Rows]:
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    largest = int(np.unique(targets, return_counts=True)[1].max())
    if largest < folds:
        raise DataError(
            f"{len(targets)} clips, at most {largest} of a class, cannot be divided into {folds} "
            f"folds: give fewer folds or more clips"
        )
    own = len(np.unique(units)) == len(units)
    split = StratifiedKFold if own else StratifiedGroupKFold
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # rare classes are the caller's to refuse
        parts = split(folds, shuffle=True, random_state=seed).split(targets, targets, units)
        return [test for _, test in parts]


def _grouped(units: NDArray[np.str_], folds: int, seed: int) -> list[Rows]:
    """Return folds of about equal size, units in a random order, each to the smallest fold."""
    names, unit, sizes = np.unique(units, return_inverse=True, return_counts=True)
    fold_of = np.empty(len(names), np.intp)
    filled = np.zeros(folds)
    for index in np.random.default_rng(seed).permutation(len(names)):
        fold_of[index] = filled.argmin()
        filled[fold_of[index]] += sizes[index]
    return [np.flatnonzero(fold_of[unit] == fold) for fold in range(folds)]


def check_classes(targets: Targets, folds: Sequence[Fold], classes: Sequence[str]) -> None:
    """Hold the folds against the classes: what is scored must have been there to learn from.

    Raises
    ------
    DataError
        If a fold has clips of a class to score and none to fit on, or only one class to fit on.
    """
    for fold in folds:
        seen = set(targets[fold.train].tolist())
        lacking = [classes[c] for c in sorted(set(targets[fold.test].tolist()) - seen)]
        if lacking:
            raise DataError(
                f"fold {fold.name}: no clip to fit on of {len(lacking)} classes that are scored: "
                f"{first_ten(lacking)}; give fewer folds, or more clips of these classes"
            )
        if len(seen) < 2:
            raise DataError(f"fold {fold.name}: all clips to fit on are {classes[min(seen)]!r}")


def probe_layers(
    layers: Mapping[str, Floats],
    targets: Targets,
    folds: Sequence[Fold],
    *,
    n_outputs: int,
    units: NDArray[np.str_],
    grid: Sequence[float] = GRID,
    seed: int,
) -> Probed:
    """Fit a probe of each layer in each fold; the fold's test clips are scored by the best one.

    Which is best is decided where C is, before a test clip is looked at.

    Parameters
    ----------
    layers
        Features ``(n_clips, dimension)`` by the layer's name; of one layer, :func:`probe`.
    """
    options: dict[str, Any] = {
        "n_outputs": n_outputs,
        "units": units,
        "grid": grid,
        "seed": seed,
        "rated": len(layers) > 1,
    }
    each = {name: probe(rows, targets, folds, **options) for name, rows in layers.items()}
    if len(each) == 1:
        return next(iter(each.values()))
    found = Probed(np.full((len(targets), n_outputs), np.nan), layers=each)
    names = list(each)
    for number, fold in enumerate(folds):
        quality = np.array([one.quality[number] for one in each.values()])
        # As for C: a difference in the last digits is none.
        best = names[int(np.flatnonzero(quality >= quality.max() - 1e-12)[0])]
        found.scores[fold.test] = each[best].scores[fold.test]
        found.rows.append(each[best].rows[number])
        found.quality.append(each[best].quality[number])
        found.chosen.append(best)
    for name in names:
        if name in found.chosen:
            found.warnings += [f"layer {name}: {text}" for text in each[name].warnings]
    return found


def probe(
    features: Floats,
    targets: Targets,
    folds: Sequence[Fold],
    *,
    n_outputs: int,
    units: NDArray[np.str_],
    grid: Sequence[float] = GRID,
    seed: int,
    rated: bool = False,
) -> Probed:
    """Fit a probe in each fold and score the fold's test clips.

    ``rated`` asks for the quality on clips that are not scored even where there is one C.

    With several folds, scores of tags become ranks within their fold, from 0 to 1: a fold with more
    clips of a tag was fitted on fewer, and its scores would be lower for that alone.
    """
    from scipy.stats import rankdata

    found = Probed(np.full((len(features), n_outputs), np.nan))
    log = _Log()
    grid = check_grid(grid)
    ends: list[float] = []
    for fold in folds:
        fitted = fold.train if fold.valid is None else np.union1d(fold.train, fold.valid)
        with threadpool_limits(limits=1):
            cost, quality = grid[0], np.nan
            if len(grid) > 1 or rated:
                cost, quality, rising = _choose(
                    features, targets, fold, n_outputs, units, grid, seed, log
                )
                ends += [cost] if rising else []
            log.iterations = 0
            (scores,) = _path(features, targets, fitted, fold.test, n_outputs, [cost], log)
        if targets.ndim == 2 and len(folds) > 1:
            scores = (rankdata(scores, axis=0) - 0.5) / len(scores)
        found.scores[fold.test] = scores
        found.rows.append([fold.name, len(fitted), len(fold.test), cost, log.iterations])
        found.quality.append(quality)
    found.warnings += _ends_of_grid(ends, grid, n_folds=len(folds))
    if log.unfinished:
        found.warnings.append(
            f"{len(log.unfinished)} of {log.n_fits} fits did not converge: "
            f"{first_ten(log.unfinished)}"
        )
    return found


def _choose(
    features: Floats,
    targets: Targets,
    fold: Fold,
    n_outputs: int,
    units: NDArray[np.str_],
    grid: Sequence[float],
    seed: int,
    log: _Log,
) -> tuple[float, float, bool]:
    """Return the value of the grid that is best on clips of the fold that are not scored.

    With it, how good it is there, and whether it is an end of the grid towards which the quality
    still rises.
    """
    if fold.valid is not None:
        scores = _path(features, targets, fold.train, fold.valid, n_outputs, grid, log)
        quality = np.array([_quality(targets[fold.valid], table) for table in scores])
    else:
        parts = [
            (fold.train[part.train], fold.train[part.test])
            for part in cross_validated(
                targets[fold.train], units[fold.train], folds=INNER_FOLDS, seed=seed
            )
        ]
        by_part = [
            [
                _quality(targets[held], table)
                for table in _path(features, targets, train, held, n_outputs, grid, log)
            ]
            for train, held in parts
        ]
        quality = tagging.macro(np.transpose(by_part))  # the mean over parts that are defined
    if np.isnan(quality).any():
        raise DataError(
            f"fold {fold.name}: the clips that choose C hold no tag that some have and some have "
            f"not: give one C, e.g. grid = [0.01], and a model with one layer"
        )
    # A difference in the last digits is none: of equally good ones the smallest.
    best = int(np.flatnonzero(quality >= quality.max() - 1e-12)[0])
    neighbour = {0: 1, len(grid) - 1: len(grid) - 2}.get(best, best)
    return grid[best], float(quality[best]), bool(quality[neighbour] < quality[best] - 1e-12)


def check_grid(grid: Sequence[float]) -> tuple[float, ...]:
    """Return the grid from its smallest value to its largest.

    Raises
    ------
    DataError
        If it is empty, or a value is no finite number above 0.
    """
    given = list(grid) if isinstance(grid, Sequence) and not isinstance(grid, str) else []
    numbers = all(isinstance(value, int | float) and 0 < value < float("inf") for value in given)
    if not given or not numbers:
        raise DataError(f"grid is {grid!r}, expected values of C above 0, e.g. {list(GRID)}")
    return tuple(sorted({float(value) for value in given}))


def _quality(targets: Targets, scores: Floats) -> float:
    if targets.ndim == 2:
        return float(tagging.macro(tagging.roc_auc(targets, scores)))
    sums = classification.counts(targets, scores).sum(axis=0)
    return float(classification.from_sums(sums, classification.BALANCED_ACCURACY))


def _path(
    features: Floats,
    targets: Targets,
    train: Rows,
    held: Rows,
    n_outputs: int,
    grid: Sequence[float],
    log: _Log,
) -> list[Floats]:
    """Return scores of the held-out clips ``(n_held, n_outputs)`` for each value of the grid."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(features[train])
    fitted, scored = scaler.transform(features[train]), scaler.transform(features[held])
    scores = [np.zeros((len(held), n_outputs)) for _ in grid]
    if targets.ndim == 1:
        model = _regression(weighted=True)
        for index in _each(model, fitted, targets[train], grid, log):
            _write_classes(scores[index], model, scored)
        return scores
    for tag, column in enumerate(targets[train].T):
        if column.min() == column.max():
            continue  # nothing to learn: all clips score 0
        model = _regression(weighted=False)
        for index in _each(model, fitted, column, grid, log):
            scores[index][:, tag] = model.decision_function(scored)
    return scores


def _regression(*, weighted: bool) -> LogisticRegression:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(
        max_iter=MOST_ITERATIONS,
        class_weight="balanced" if weighted else None,
        warm_start=True,  # the next C starts from the last one's weights
    )


def _each(
    model: LogisticRegression, features: Floats, target: Targets, grid: Sequence[float], log: _Log
) -> Iterator[int]:
    """Fit the model with each value of the grid in turn; what does not converge is logged."""
    from sklearn.exceptions import ConvergenceWarning

    for index, c in enumerate(grid):
        model.C = c
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            model.fit(features, target)
        log.n_fits += 1
        n_iterations = int(np.max(model.n_iter_))
        log.iterations = max(log.iterations, n_iterations)
        for one in caught:
            if issubclass(one.category, ConvergenceWarning):
                log.unfinished.append(f"C = {c:g} after {n_iterations} iterations")
            else:
                warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
        yield index


def _write_classes(scores: Floats, model: LogisticRegression, features: Floats) -> None:
    """Write the log-odds of the classes that were fitted on; others are below all of them."""
    found = model.decision_function(features)
    if found.ndim == 1:
        found = np.stack([-found / 2, found / 2], axis=1)
    scores[:] = found.min() - 1
    scores[:, model.classes_] = found


def _ends_of_grid(ends: Sequence[float], grid: Sequence[float], *, n_folds: int) -> list[str]:
    """Return a warning where most folds choose an end of the grid towards which quality rises."""
    return [
        f"C is {end:g}, an end of the grid, in {ends.count(end)} of {n_folds} folds: a better "
        f"one may lie beyond"
        for end in (min(grid), max(grid))
        if ends.count(end) > n_folds / 2
    ]


def shared_vectors(features: Floats, folds: Sequence[Fold]) -> int:
    """Return how many scored clips have the very vector of a clip that was fitted on.

    A repeated recording, or a model that does not tell clips apart.
    """
    _, same = np.unique(features, axis=0, return_inverse=True)
    same = same.ravel()
    total = 0
    for fold in folds:
        parts = [fold.train] if fold.valid is None else [fold.train, fold.valid]
        known = np.unique(same[np.concatenate(parts)])
        total += int(np.isin(same[fold.test], known).sum())
    return total
