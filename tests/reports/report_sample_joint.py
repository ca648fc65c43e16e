"""Records of the audio-text tasks as a real run would leave them, made from seeded noise.

Models see a hidden vector of each clip and caption through more or less noise; ``random`` sees
nothing. Ranks, similarities, maps and confusions follow from those vectors.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from earmark.reports.record.schema import (
    Comparison,
    Group,
    Interval,
    Reference,
    Score,
    Table,
    TaskResult,
)

NOISE = {
    "muscall": 0.8,
    "clap-larger-music": 0.75,
    "dcase-baseline": 1.6,
    "muq-mulan-large-with-a-rather-long-id": 0.5,
    "random": 1e6,
}
GENRES = (
    "blues",
    "classical",
    "country",
    "disco",
    "hiphop",
    "jazz",
    "metal",
    "pop",
    "reggae",
    "rock",
)
WORDS = "An atmospheric and introspective orchestral track featuring strings, piano and synth over"
PROMPTS = ("{label}", "A {label} track", "This is a {label} song", "The sound of {label} music")
EDGES = (1, 2, 6, 11, 21, 51, 101, 201, 501, 1001)
N_CLIPS = 240
REPLICATES = 200


def score(
    model: str,
    metric: str,
    values: np.ndarray,
    subset: str,
    *,
    chance: float | None,
    statistic: Any = np.mean,
    **changes: Any,
) -> Score:
    """The statistic of per-item values with its bootstrap interval."""
    rows = np.random.default_rng(3).integers(0, len(values), size=(REPLICATES, len(values)))
    low, high = np.percentile([statistic(values[r]) for r in rows], [2.5, 97.5])
    details: dict[str, Any] = {
        "model": model,
        "metric": metric,
        "value": float(statistic(values)),
        "interval": bounds(float(low), float(high), len(values)),
        "subset": subset,
        "n": len(values),
        "n_items": len(values),
        "chance": chance,
        "higher_is_better": True,
        "lower_bound": 0.0,
        "upper_bound": 1.0,
        "item_digest": hashlib.sha256(subset.encode()).hexdigest(),
    }
    return Score(**details | changes)


def bounds(low: float, high: float, n: int) -> Interval:
    return Interval(
        low=low, high=high, method="percentile bootstrap", unit="clip", n_units=n,
        replicates=REPLICATES,
    )  # fmt: skip


def spaces(models: Sequence[str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Unit vectors of clips and of two captions each, by model."""
    random = np.random.default_rng(11)
    hidden = random.normal(size=(N_CLIPS, 12)) + 2.0 * np.eye(12)[genres()]
    found = {}
    for number, model in enumerate(models):
        noise = NOISE.get(model, 0.6 + 0.1 * number)
        offset = np.zeros(12)
        offset[number % 12] = 2.5
        audio = hidden + noise * random.normal(size=hidden.shape) + offset
        text = np.repeat(hidden, 2, axis=0)
        text = text + noise * random.normal(size=text.shape)
        found[model] = tuple(v / np.linalg.norm(v, axis=1, keepdims=True) for v in (audio, text))
    return found


def genres() -> np.ndarray:
    return np.arange(N_CLIPS) % len(GENRES)


def retrieval(
    models: Sequence[str] = tuple(NOISE), *, labelled: bool = True
) -> tuple[TaskResult, pd.DataFrame, dict[str, np.ndarray]]:
    """A retrieval task of 240 clips with two captions each: result, items, arrays."""
    of_caption = np.repeat(np.arange(N_CLIPS), 2)
    scores: list[Score] = []
    tables: list[Table] = []
    items: list[pd.DataFrame] = []
    gaps: list[list[Any]] = []
    arrays: dict[str, np.ndarray] = {"rank_edges": np.array(EDGES, float)}
    random = np.random.default_rng(5)
    for model, (audio, text) in spaces(models).items():
        similarity = text @ audio.T
        own = similarity[np.arange(len(text)), of_caption]
        ranks = {
            "text-to-audio": (similarity > own[:, None]).sum(axis=1) + 1.0,
            "audio-to-text": np.array(
                [
                    (similarity[:, c] > own[of_caption == c].max()).sum() + 1.0
                    for c in range(N_CLIPS)
                ]
            ),
        }
        for subset, rank in ranks.items():
            n_items, m = (N_CLIPS, 1) if subset == "text-to-audio" else (2 * N_CLIPS, 2)
            for k in (1, 5, 10):
                name = f"recall_at_{k}"
                scores.append(score(model, name, (rank <= k) * 1.0, subset, chance=m * k / n_items))
            scores.append(score(model, "map_at_10", (rank <= 10) / rank, subset, chance=0.01))
            scores.append(score(model, "mrr", 1 / rank, subset, chance=0.02))
            scores.append(
                score(
                    model, "median_rank", rank, subset, chance=n_items / (m + 1),
                    statistic=np.median, higher_is_better=False, lower_bound=1.0,
                    upper_bound=float(n_items),
                )
            )  # fmt: skip
            arrays[f"rank_histogram.{subset}.{model}"] = np.histogram(rank, EDGES)[0]
            items.append(
                pd.DataFrame(
                    {
                        "model": model,
                        "item": [f"{subset}-{i:04d}" for i in range(len(rank))],
                        "unit": [f"clip-{i:04d}" for i in range(len(rank))],
                        "subset": subset,
                        "rank": rank,
                        "n_relevant": m,
                        "recall_at_10": (rank <= 10) * 1.0,
                    }
                )
            )
        unaligned = similarity[np.arange(len(text)), random.permutation(of_caption)]
        arrays[f"aligned.{model}"] = own.astype(np.float32)
        arrays[f"random.{model}"] = unaligned.astype(np.float32)
        both = np.concatenate([audio, text])
        arrays[f"map.{model}"] = (30 * both[:, :2] + random.normal(size=(len(both), 2))).astype(
            np.float32
        )
        above = float((own[:, None] > unaligned).mean())
        gap = float(np.linalg.norm(audio.mean(axis=0) - text.mean(axis=0)))
        gaps.append([model, gap, 0.1, float(own.mean()), float(unaligned.mean()), above, 240, 480])
        tables += [failures(model, rank, subset) for subset, rank in ranks.items()]
    labels = np.array([GENRES[g] for g in genres()])
    arrays["map.modality"] = np.repeat([0, 1], [N_CLIPS, 2 * N_CLIPS]).astype(np.uint8)
    arrays["map.label"] = np.concatenate([labels, np.repeat(labels, 2)])
    if not labelled:
        arrays["map.label"] = np.full(3 * N_CLIPS, "")
    arrays["map.item"] = np.array([f"item-{i}" for i in range(3 * N_CLIPS)])
    gap_table = Table(
        title="Modality gap",
        columns=[
            *("model", "gap", "between-modality share of variance", "aligned similarity"),
            *("random similarity", "aligned above random (ROC-AUC)", "audio vectors", "texts"),
        ],
        rows=gaps,
    )
    headline = [s for s in scores if (s.metric, s.subset) == ("recall_at_10", "text-to-audio")]
    task = TaskResult(
        id="retrieval",
        kind="retrieval",
        dataset="captions",
        title="Retrieval: captions made from noise",
        protocol={"rule": "best of n", "pool": N_CLIPS},
        models=list(models),
        headline_metric="recall_at_10",
        headline_subset="text-to-audio",
        scores=scores,
        **comparisons(headline),
        references=[
            Reference(name="chance", subset="text-to-audio", metric="recall_at_10", value=10 / 240)
        ],
        tables=[gap_table, *(table for table in tables if table.rows)],
        arrays=sorted(arrays),
    )
    return task, pd.concat(items, ignore_index=True), arrays


def failures(model: str, rank: np.ndarray, subset: str) -> Table:
    worst = [int(i) for i in np.argsort(-rank)[:4] if rank[i] > 1]
    caption = f"{WORDS} crisp beats and lush electronics"
    return Table(
        title=f"Failures of {model}{', audio to text' if subset == 'audio-to-text' else ''}",
        columns=["query", "rank", "top hit", "caption of the top hit", "caption similarity"],
        rows=[
            [
                f"{WORDS} <b>number</b> {i}",
                float(rank[i]),
                f"folder/clip-{i:04d}.mp3",
                caption,
                0.41,
            ]
            for i in worst
        ],
    )


def comparisons(scores: Sequence[Score]) -> dict[str, Any]:
    """Comparisons and groups by whether the intervals overlap: enough for a page."""
    ranked = sorted(scores, key=lambda s: -(s.value or 0.0))
    pairs, groups = [], [[ranked[0].model]]
    for one, other in itertools.combinations(ranked, 2):
        apart = one.interval.low > other.interval.high
        pairs.append(
            Comparison(
                model=one.model, other=other.model, metric=one.metric, subset=one.subset,
                difference=one.value - other.value, interval=bounds(-0.01, 0.2, one.n),
                p_value=0.001 if apart else 0.4, p_holm=0.004 if apart else 0.8,
                minimum_detectable_difference=0.05, n=one.n,
            )
        )  # fmt: skip
    for one, other in itertools.pairwise(ranked):
        if one.interval.low > other.interval.high:
            groups.append([])
        groups[-1].append(other.model)
    return {
        "comparisons": pairs,
        "groups": [
            Group(subset=ranked[0].subset, metric=ranked[0].metric, models=models)
            for models in groups
        ],
    }


def classification(
    models: Sequence[str] = tuple(NOISE),
    *,
    classes: Sequence[str] = GENRES,
    prompts: Sequence[str] = PROMPTS,
    kind: str = "zero_shot_classification",
) -> tuple[TaskResult, pd.DataFrame, dict[str, np.ndarray]]:
    """A task on genres: by prompts, or as a probe without any."""
    random = np.random.default_rng(8)
    truth = np.arange(400) % len(classes)
    probe = kind == "probe"
    subsets = ["cross-validated"] if probe else ["ensemble", *prompts]
    scores: list[Score] = []
    rows: list[list[Any]] = []
    items: list[pd.DataFrame] = []
    arrays: dict[str, np.ndarray] = {"classes": np.array(classes)}
    chance = 1 / len(classes)
    for model in models:
        skill = chance if model == "random" else 0.75 / (0.5 + NOISE.get(model, 0.7))
        means = {}
        for place, subset in enumerate(subsets):
            right = random.random(400) < min(0.95, skill) - (0 if place == 0 else 0.03 * place)
            guess = random.integers(0, len(classes), 400)
            predicted = np.where(right & (model != "random"), truth, guess)
            hit = (predicted == truth) * 1.0
            means[subset] = hit.mean()
            scores.append(score(model, "accuracy", hit, subset, chance=chance))
            scores.append(score(model, "macro_f1", hit, subset, chance=chance))
            if place == 0:
                matrix = np.zeros((len(classes), len(classes)))
                np.add.at(matrix, (truth, predicted), 1.0)
                arrays[f"confusion.{model}"] = matrix
            items.append(
                pd.DataFrame(
                    {
                        "model": model,
                        "item": [f"clip-{i}" for i in range(400)],
                        "unit": [f"clip-{i}" for i in range(400)],
                        "subset": subset,
                        "accuracy": hit,
                    }
                )
            )
        single = {name: value for name, value in means.items() if name in prompts}
        if single:
            values = list(single.values())
            best = max(single, key=lambda name: single[name])
            ends = [float(np.mean(values)), float(np.std(values)), min(values), max(values)]
            rows.append([model, *map(float, ends), best])
    titles = ["model", "mean", "standard deviation", "lowest", "highest", "best prompt"]
    headline = [s for s in scores if (s.metric, s.subset) == ("accuracy", subsets[0])]
    task = TaskResult(
        id="probe" if probe else "genres",
        kind=kind,
        dataset="genres",
        title="Genres made from noise" + (", linear probe" if probe else ", zero-shot"),
        protocol={"prompts": len(prompts)},
        models=list(models),
        headline_metric="accuracy",
        headline_subset=subsets[0],
        scores=scores,
        **comparisons(headline),
        tables=[Table(title="Prompts", columns=titles, rows=rows)] if rows else [],
        arrays=sorted(arrays),
    )
    return task, pd.concat(items, ignore_index=True), arrays


def tagging(
    models: Sequence[str] = tuple(NOISE), *, n_tags: int = 50
) -> tuple[TaskResult, pd.DataFrame, dict[str, np.ndarray]]:
    """A tagging task; the last tag has no positive clip and no score."""
    random = np.random.default_rng(9)
    words = ("guitar", "no vocals", "female vocal", "new age", "fast", "classical", "ambient")
    tags = [f"{words[i % len(words)]} {i}" for i in range(n_tags)]
    support = (1200 / (1 + np.arange(n_tags))).astype(int) + 4
    scores: list[Score] = []
    per_tag: list[list[Any]] = []
    prompt_rows: list[list[Any]] = []
    for model in models:
        skill = 0.0 if model == "random" else 0.35 / (0.6 + NOISE.get(model, 0.7))
        for metric, level in (("roc_auc", 0.5), ("average_precision", 0.06)):
            values = {}
            for place, subset in enumerate(("ensemble", *PROMPTS)):
                of_tags = level + skill * random.random(n_tags) - 0.01 * place * (skill > 0)
                of_tags += 0.01 * random.normal(size=n_tags)
                scores.append(score(model, metric, of_tags, subset, chance=level))
                values[subset] = scores[-1].value
            ends = [values[name] for name in PROMPTS]
            best = max(PROMPTS, key=lambda name: values[name])
            spread = [float(np.mean(ends)), float(np.std(ends)), min(ends), max(ends)]
            prompt_rows.append([model, metric, *spread, best])
        for tag, clips in zip(tags, support, strict=True):
            roc = 0.5 + skill * random.random()
            share = clips / 5000
            precision = share + skill * random.random()
            known = tag != tags[-1]
            values_of = [roc, roc - 0.03, roc + 0.03, precision, precision * 0.8, precision * 1.1]
            row = [float(v) if known else None for v in values_of]
            per_tag.append([tag, int(clips), float(share), model, *row])
    headline = [s for s in scores if (s.metric, s.subset) == ("roc_auc", "ensemble")]
    heads = [f"{name}{end}" for name in ("ROC-AUC", "PR-AUC") for end in ("", " low", " high")]
    titles = ["mean", "standard deviation", "lowest", "highest", "best prompt"]
    task = TaskResult(
        id="tags",
        kind="zero_shot_tagging",
        dataset="tags",
        title="Tags made from noise, zero-shot",
        protocol={"prompts": len(PROMPTS)},
        models=list(models),
        headline_metric="roc_auc",
        headline_subset="ensemble",
        scores=scores,
        **comparisons(headline),
        tables=[
            Table(title="Prompts", columns=["model", "metric", *titles], rows=prompt_rows),
            Table(
                title="Per tag",
                columns=["tag", "clips", "chance PR-AUC", "model", *heads],
                rows=per_tag,
            ),
        ],
        arrays=["tags"],
    )
    items = pd.DataFrame({"model": models[0], "item": [f"c{i}" for i in range(90)], "unit": "u"})
    return task, items, {"tags": np.array(tags)}
