"""How a reader sees a retrieval: its directions, findings, figures and lists of failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from earmark.reports import words
from earmark.reports.content import Arrays, Audible, Gap, Plot, Span, Text, even_parts, part_of
from earmark.reports.findings.task import about_chance, row_of_best
from earmark.reports.record.lookup import table
from earmark.reports.record.schema import Plain, RunRecord, TaskResult
from earmark.reports.view import View

if TYPE_CHECKING:
    import pandas as pd

GAP = "Modality gap"
ABOVE_RANDOM = "aligned above random (ROC-AUC)"
"""Title of the table of a model's two modalities, and its column on pairs."""
FAILURES = "Failures of "
"""What the title of a model's failures begins with; it goes on with the model's id."""
BACKWARD = ", audio to text"
"""What it ends with where clips are the queries."""
Floats = NDArray[np.float64]
DIRECTIONS = ("text-to-audio", "audio-to-text")
GRID_POINTS = 160
"""Points at which a density is drawn."""
MOST_POINTS = 6000
"""Points of all panels of a map together: a page with more is slow to open."""
MOST_LABELS = 10
OTHER = "other or none"
PANELS = 16
"""Models whose small panels fit on a page."""
HISTOGRAMS = 8


def failures_title(model: str, *, backward: bool) -> str:
    """Return the title of the table of a model's failures in one direction."""
    return f"{FAILURES}{model}{BACKWARD if backward else ''}"


def _audible(title: str) -> Mapping[str, Audible]:
    if not title.startswith(FAILURES):
        return {}
    if title.endswith(BACKWARD):
        return {"query": "clip", "top hit": "caption id"}
    return {"query": "caption", "top hit": "clip"}


def _subsets(task: TaskResult) -> list[str]:
    return list(dict.fromkeys(score.subset for score in task.scores))


def _findings(task: TaskResult, metric: str, subset: str) -> list[Text]:
    """Return the level of chance, and how well the best model tells pairs apart."""
    found = about_chance(task, metric, subset)
    row = row_of_best(task, table(task, GAP, "model", "gap", ABOVE_RANDOM), metric, subset)
    if row is None:
        return found
    apart, gap = row[ABOVE_RANDOM], row["gap"]
    if not isinstance(apart, float | int) or not isinstance(gap, float | int):
        return found
    said = (
        f" finds the aligned one more similar {words.percent(float(apart))} of the time; "
        f"its centroids of audio and text lie {words.number(float(gap), 2)} apart."
    )
    head = Span("Of an aligned and a random pair, ")
    return [*found, (head, Span(str(row["model"]), "name"), Span(said))]


def _figures(
    task: TaskResult, items: pd.DataFrame, arrays: Arrays, record: RunRecord
) -> list[Plot | Gap]:
    return [
        *_recall(task, items),
        *_histograms(task, arrays),
        *_similarities(task, arrays),
        *_maps(task, arrays),
    ]


def pool_size(task: TaskResult, subset: str) -> int | None:
    """Return how many items are ranked in a direction: the worst rank that there is."""
    for score in task.scores:
        if score.subset == subset and score.metric.endswith("_rank") and score.upper_bound:
            return round(score.upper_bound)
    return None


def chance_recall(n_relevant: NDArray[np.int_], n_items: int, ks: Sequence[int]) -> Floats:
    """Return for each k the mean chance that one of a query's relevant items is among the first k.

    One minus the hypergeometric probability of none, ``C(N - m, k) / C(N, k)``.
    """
    from scipy.special import gammaln

    k = np.asarray(ks, float)
    values, times = np.unique(n_relevant, return_counts=True)
    total = np.zeros(len(k))
    for m, weight in zip(values, times, strict=True):
        left = n_items - m - k
        log_none = (
            gammaln(n_items - m + 1)
            - gammaln(np.maximum(left, 0) + 1)
            - gammaln(n_items + 1)
            + gammaln(n_items - k + 1)
        )
        total += weight * np.where(left < 0, 1.0, 1 - np.exp(log_none))
    return np.asarray(total / times.sum())


def _recall(task: TaskResult, items: pd.DataFrame) -> list[Plot | Gap]:
    from earmark.reports.figures.lines import recall_curve

    if missing := {"model", "subset", "rank"} - set(items.columns):
        return [Gap(f"No R@k curve: the items have no column {words.listed(sorted(missing))}.")]
    columns: dict[str, Any] = {"model": [], "direction": [], "k": [], "recall": []}
    chance: dict[str, dict[int, float]] = {}
    pool: dict[str, int] = {}
    unranked = []
    for subset in _directions(items["subset"]):
        here = items[items["subset"] == subset]
        n_items = pool_size(task, subset)
        if n_items:
            pool[words.subset(subset)] = n_items
        ks = _steps(n_items or int(np.nanmax([1, *here["rank"]])))
        for model in task.models:
            ranks = here.loc[here["model"] == model, "rank"].to_numpy(float)
            known = np.sort(ranks[np.isfinite(ranks)])
            if known.size < ranks.size or not known.size:
                unranked.append(f"{model} ({words.subset(subset)})")
            if not known.size:
                continue
            shares = np.searchsorted(known, ks, side="right") / known.size
            columns["model"] += [model] * len(ks)
            columns["direction"] += [words.subset(subset)] * len(ks)
            columns["k"] += ks
            columns["recall"] += shares.tolist()
        if n_items and "n_relevant" in here and len(here):
            first = here[here["model"] == here["model"].iloc[0]]
            level = chance_recall(first["n_relevant"].to_numpy(int), n_items, ks)
            chance[words.subset(subset)] = dict(zip(ks, level.tolist(), strict=True))
    gaps = [Gap(f"Some or all ranks are missing: {words.listed(unranked)}.")] if unranked else []
    if not columns["model"]:
        return [Gap("No R@k curve: no query has a rank.")]
    asked = items.groupby("subset", sort=False)["item" if "item" in items else "rank"].nunique()
    queries = words.listed(
        [f"{words.plural(n, 'query')} {words.subset(str(way))}" for way, n in asked.items()]
    )
    end = "to the whole pool" if len(pool) == len(asked) else "to the last rank that is reached"
    return [
        Plot(
            title="Recall at every cut-off",
            caption=f"R@k for k from 1 {end} ({queries}): the share of queries whose best relevant "
            "item is among the first k. Marks: k = 1, 5 and 10. "
            + ("Dotted: an order drawn at random." if chance else "Chance is not known."),
            description=f"A rising line for each of {words.plural(len(task.models), 'model')} in "
            f"each direction, from k = 1 on a logarithmic scale. {_best_recall(columns)}",
            draw=partial(recall_curve, **columns, chance=chance, pool=pool),
            data=columns,
        ),
        *gaps,
    ]


def _steps(last: int) -> list[int]:
    """Return the k that are drawn: every one up to 20, then about evenly on a logarithm."""
    spread = np.unique(np.geomspace(1, last, 90).round().astype(int))
    return sorted({*range(1, min(last, 20) + 1), *spread.tolist(), last})


def _best_recall(columns: Mapping[str, Sequence[Any]]) -> str:
    rows = [row for row in zip(*columns.values(), strict=True) if row[2] == 10]
    if not rows:
        return ""
    model, direction, _, value = max(rows, key=lambda row: row[3])
    return f"Highest R@10: {model}, {direction}, {words.percent(value)}."


def _directions(subsets: Iterable[str]) -> list[str]:
    there = set(subsets)
    return [name for name in DIRECTIONS if name in there] + sorted(there - set(DIRECTIONS))


def _histograms(task: TaskResult, arrays: Arrays) -> list[Plot | Gap]:
    from earmark.reports.figures.bars import rank_histogram

    edges = arrays.get("rank_edges")
    there = [
        (model, subset, arrays[f"rank_histogram.{subset}.{model}"])
        for model in task.models
        for subset in DIRECTIONS
        if f"rank_histogram.{subset}.{model}" in arrays
    ]
    if edges is None or not there:
        return [Gap("No histogram of ranks: the record has no array of them.")]
    rows = [
        (model, subset, counts)
        for model, subset, counts in there
        if len(counts) == len(edges) - 1 and np.nansum(counts) > 0
    ]
    absent = _absent(task, {model for model, _, _ in rows})
    gaps = [Gap(f"No histogram of ranks of {absent}: no ranks were counted.")] if absent else []
    models = list(dict.fromkeys(model for model, _, _ in rows))
    parts = even_parts(models, at_most=HISTOGRAMS)
    plots: list[Plot | Gap] = []
    for number, part in enumerate(parts, start=1):
        columns = _histogram_columns(task, [row for row in rows if row[0] in part], edges)
        plots.append(
            Plot(
                title=f"Ranks of the right items{part_of(number, parts)}",
                caption="Share of queries whose best relevant item has a rank in each range, 1 "
                "being the top. Ranges differ in length, bars do not. Lines: an order drawn at "
                "random.",
                description="Small panels of bars, one per model and direction; the further left "
                "the bars are high, the better the retrieval. "
                "The tables of scores have the median and mean ranks.",
                draw=partial(rank_histogram, **columns),
                data=columns,
            )
        )
    return [*plots, *gaps]


def _histogram_columns(
    task: TaskResult, rows: Sequence[tuple[str, str, NDArray[Any]]], edges: NDArray[Any]
) -> dict[str, Any]:
    columns: dict[str, Any] = {
        name: [] for name in ("model", "direction", "low", "high", "share", "chance")
    }
    for model, subset, counts in rows:
        n_items = pool_size(task, subset)
        # Ranges beyond this direction's pool hold nothing, and are not drawn.
        last = len(counts)
        if n_items:
            last = max(1, int(np.searchsorted(edges[:-1], n_items, side="right")))
        low, high = edges[:last].astype(float), edges[1 : last + 1].astype(float)
        columns["model"] += [model] * last
        columns["direction"] += [words.subset(subset)] * last
        columns["low"] += low.tolist()
        columns["high"] += high.tolist()
        columns["share"] += (counts[:last] / counts.sum()).tolist()
        columns["chance"] += _chance_of_ranges(low, high, n_items).tolist()
    return columns


def _chance_of_ranges(low: Floats, high: Floats, n_items: int | None) -> Floats:
    """Return the share of ranks 1 to ``n_items`` that lie in each range ``[low, high)``."""
    if not n_items:
        return np.full(len(low), np.nan)
    inside = np.ceil(np.minimum(high, n_items + 1)) - np.ceil(np.maximum(low, 1))
    return np.asarray(np.maximum(inside, 0) / n_items)


def _similarities(task: TaskResult, arrays: Arrays) -> list[Plot | Gap]:
    from earmark.reports.figures.lines import similarities

    columns: dict[str, Any] = {"model": [], "pairs": [], "similarity": [], "density": []}
    gaps: list[Plot | Gap] = []
    drawn: list[str] = []
    for model in task.models:
        samples = {pairs: arrays.get(f"{pairs}.{model}") for pairs in ("aligned", "random")}
        if reason := _no_density(samples):
            gaps.append(Gap(f"No densities of similarity of {model}: {reason}."))
            continue
        drawn.append(model)
        for pairs, sample in samples.items():
            if sample is not None:
                similarity, density = _density(sample[np.isfinite(sample)].astype(float))
                columns["model"] += [model] * len(density)
                columns["pairs"] += [pairs] * len(density)
                columns["similarity"] += similarity.tolist()
                columns["density"] += density.tolist()
    if not drawn:
        return gaps
    about = table(task, GAP, "model", ABOVE_RANDOM)
    notes = {
        str(row["model"]): f"ROC-AUC {row[ABOVE_RANDOM]:.3f}"
        for row in about
        if row["aligned above random (ROC-AUC)"] is not None
    }
    plots: list[Plot | Gap] = []
    parts = even_parts(drawn, at_most=PANELS)
    for number, part in enumerate(parts, start=1):
        chosen = _rows_of(columns, part)
        plots.append(
            Plot(
                title=f"Similarity of aligned and of random pairs{part_of(number, parts)}",
                caption="Kernel density estimates (Gaussian, Scott’s rule) of the cosine "
                "similarity of audio with its own text and with a text of another clip. "
                + (
                    "ROC-AUC: the chance that an aligned pair is the more similar one; "
                    * bool(notes)
                )
                + "heights are scaled for each model.",
                description="One small panel per model with two curves: the further the curve of "
                "aligned pairs lies to the right of that of random pairs, the better they are told "
                f"apart. {'; '.join(f'{m}: {n}' for m, n in notes.items() if m in part)}.",
                draw=partial(similarities, **chosen, notes=notes),
                data=chosen,
            )
        )
    return [*plots, *gaps]


def _no_density(samples: Mapping[str, NDArray[Any] | None]) -> str:
    """Return why the densities cannot be drawn; nothing where they can."""
    for pairs, sample in samples.items():
        if sample is None:
            return f"the record has no array of {pairs} similarities"
        finite = sample[np.isfinite(sample)]
        if finite.size < 2:
            return f"{finite.size} of {sample.size} {pairs} similarities are numbers"
        if np.ptp(finite) < 1e-6:
            return f"all {finite.size:,} {pairs} similarities are {finite[0]:.3f}"
    return ""


def _density(sample: Floats) -> tuple[Floats, Floats]:
    """Return where the density of a sample was estimated, and the estimates."""
    from scipy.stats import gaussian_kde

    estimate = gaussian_kde(sample)
    air = 3 * float(np.sqrt(estimate.covariance[0, 0]))
    low, high = max(-1.0, sample.min() - air), min(1.0, sample.max() + air)
    at = np.linspace(low, high, GRID_POINTS)
    return at, np.asarray(estimate(at))


def _maps(task: TaskResult, arrays: Arrays) -> list[Plot | Gap]:
    modality = arrays.get("map.modality")
    there = {model: arrays[f"map.{model}"] for model in task.models if f"map.{model}" in arrays}
    if modality is None or not there:
        return [Gap("No map of audio and text: the record has no array of one.")]
    usable = {
        model: points
        for model, points in there.items()
        if points.shape == (len(modality), 2) and np.isfinite(points).all(axis=1).sum() > 1
    }
    absent = _absent(task, set(usable))
    gaps: list[Plot | Gap] = [Gap(f"No map of {absent}: its points are missing.")] if absent else []
    if not usable:
        return gaps
    notes = _gap_notes(task)
    kinds = np.where(np.asarray(modality) == 0, "audio", "text").astype(object)
    plots: list[Plot | Gap] = [
        *_map(usable, kinds, "modality", "coloured by modality", _gaps_in_words(task), notes=notes)
    ]
    labels = arrays.get("map.label")
    named = Counter(str(label) for label in labels if str(label)) if labels is not None else {}
    if labels is None or len(named) < 2:
        plots.append(Gap("No map coloured by label: the clips have no labels."))
        return [*plots, *gaps]
    kept = [label for label, _ in Counter(named).most_common(MOST_LABELS)]
    coloured = np.array([str(x) if str(x) in kept else OTHER for x in labels], dtype=object)
    more = len(named) - len(kept)
    caption = f"The {len(kept)} most frequent of {len(named)} labels; the rest is grey." * bool(
        more
    )
    order = {label: place for place, label in enumerate(sorted(kept))}
    return [
        *plots,
        *_map(usable, coloured, "label", "coloured by label", caption, order=order),
        *gaps,
    ]


def _map(
    points: Mapping[str, NDArray[Any]],
    kinds: NDArray[Any],
    column: str,
    how: str,
    about: str,
    *,
    order: Mapping[str, int] | None = None,
    notes: Mapping[str, str] | None = None,
) -> list[Plot]:
    from earmark.reports.figures.scatter import joint_map

    n = len(kinds)
    step = max(1, -(-n * min(len(points), PANELS) // MOST_POINTS))
    left = f" One in {step} of {n:,} points is shown." if step > 1 else ""
    chosen = np.arange(0, n, step)
    if order is not None:
        chosen = chosen[
            np.argsort([order.get(kinds[i], len(order)) for i in chosen], kind="stable")
        ]
    parts = even_parts(list(points), at_most=PANELS)
    plots = []
    for number, part in enumerate(parts, start=1):
        columns: dict[str, Any] = {"model": [], column: [], "x": [], "y": []}
        for model in part:
            rows = [i for i in chosen if np.isfinite(points[model][i]).all()]
            columns["model"] += [model] * len(rows)
            columns[column] += [str(kinds[i]) for i in rows]
            columns["x"] += points[model][rows, 0].astype(float).tolist()
            columns["y"] += points[model][rows, 1].astype(float).tolist()
        drawn: dict[str, Any] = {
            ("kind" if name == column else name): values for name, values in columns.items()
        }
        plots.append(
            Plot(
                title=f"Map of audio and text, {how}{part_of(number, parts)}",
                caption="t-SNE of the vectors of clips and texts in the joint space: neighbours "
                f"stay neighbours, distances and directions mean nothing. {about}{left}".strip(),
                description=f"One small panel per model with a point for each clip and text, "
                f"{how}. {about}".strip(),
                draw=partial(joint_map, **drawn, rest=OTHER, notes=notes),
                data=columns,
            )
        )
    return plots


def _gap_rows(task: TaskResult) -> list[Mapping[str, Plain]]:
    return [row for row in table(task, GAP, "model", "gap") if isinstance(row["gap"], float | int)]


def _gap_notes(task: TaskResult) -> dict[str, str]:
    return {str(row["model"]): f"modality gap {row['gap']:.2f}" for row in _gap_rows(task)}


def _gaps_in_words(task: TaskResult) -> str:
    rows = sorted(_gap_rows(task), key=lambda row: float(row["gap"] or 0))
    if not rows:
        return "The modality gap is not in the record."
    said = [f"{row['gap']:.2f} ({row['model']})" for row in rows]
    between = f"{said[0]} to {said[-1]}" if len(said) > 4 else words.listed(said)
    return f"Modality gap (distance of the centroids of audio and text, at most 2): {between}."


def _rows_of(columns: Mapping[str, Sequence[Any]], models: Sequence[str]) -> dict[str, Any]:
    keep = [row for row, model in enumerate(columns["model"]) if model in models]
    return {name: [values[row] for row in keep] for name, values in columns.items()}


def _absent(task: TaskResult, drawn: set[str]) -> str:
    return words.listed([model for model in task.models if model not in drawn])


VIEW = View(
    noun="query",
    protocol={
        "pool": {"all": "the whole set", "drawn": "clips drawn without replacement"},
        "captions": {
            "one": "one per clip",
            "all-of-several": "all of a clip's",
            "one-of-several": "one per clip, drawn at random in each draw",
        },
        "ties": {
            "expectation": "expectation over all orders of tied items; top hits: against the model"
        },
        "several relevant items": {"best-of-n": "best of n", "per-caption": "per caption"},
        "interval": {
            "wilson-or-jackknife": "95 %: Wilson score with the design effect of units for means "
            "in [0, 1], otherwise studentised jackknife over units; of the median rank, percentile "
            "bootstrap; units with their queries in all draws"
        },
    },
    directions=_subsets,
    findings=_findings,
    figures=_figures,
    audible=_audible,
)
