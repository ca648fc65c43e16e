"""A task of one's own: does the clip nearest to a clip share its label, by audio vectors alone?

In a suite: ``task = "path/to/example_task.py:NearestNeighbour"``, with ``k = 3`` if you like.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from earmark.bench.metrics.base import Metric
from earmark.bench.tasks.means import output_of_means
from earmark.bench.tasks.task import Task, TaskRun, Wanted
from earmark.bench.tasks.vectors import embed_pairs
from earmark.reports.content import Plot, text
from earmark.reports.figures.style import SERIES, new_figure, style
from earmark.reports.view import View

NAME = "neighbour_precision"


def findings(task, metric, subset):
    best = max(task.scores, key=lambda score: score.value)
    return [text(f"Of a clip's nearest clips, {best.value:.0%} share its label ({best.model}).")]


def figures(task, items, arrays, record):
    shares = items.groupby(["label", "model"])[NAME].mean()
    rows = [", ".join(place) for place in shares.index]

    def draw(*, width):
        with style():
            figure = new_figure(width, 0.6 + 0.18 * len(rows))
            axes = figure.subplots()
            axes.barh(rows, shares, color=SERIES[0].light)
            axes.set_xlabel("Share of the nearest clips with the clip's label")
        return figure

    said = "; ".join(f"{row}: {share:.2f}" for row, share in zip(rows, shares, strict=True))
    data = {"label and model": rows, "share": list(shares)}
    return [Plot("Neighbours by label", "Right neighbours of each label.", said, draw, data)]


@dataclass(frozen=True)
class NearestNeighbour(Task):
    """The fields are the options that a suite may give."""

    k: int = 1

    kind: ClassVar = "nearest_neighbour"
    needs: ClassVar = frozenset({"audio"})
    truth: ClassVar = frozenset({"unit", "label"})
    view: ClassVar = View(noun="clip", findings=findings, figures=figures)

    def wanted(self, context, dataset, models):
        return Wanted(dataset.clips)

    def run(self, context, dataset, models):
        vectors = embed_pairs(models, dataset.clips, (), context.embeddings)
        labels = np.array([clip.label for clip in vectors.clips])
        same = labels[:, None] == labels
        columns = defaultdict(list)
        for model, rows in vectors.audio.items():
            near = rows @ rows.T - 3 * np.eye(len(rows))  # a clip is not its own neighbour
            first = np.argsort(-near, axis=1, kind="stable")[:, : self.k]
            columns["model"] += [model] * len(rows)
            columns["item"] += [clip.id for clip in vectors.clips]
            columns["unit"] += [clip.unit or clip.id for clip in vectors.clips]
            columns["label"] += labels.tolist()
            columns[NAME] += np.take_along_axis(same, first, axis=1).mean(axis=1).tolist()
        chance = (same.sum() - len(same)) / (same.size - len(same))
        metric = Metric(NAME, higher_is_better=True, lower=0, upper=1, chance=float(chance))
        output = output_of_means(
            self, context, dataset, columns, [metric], title="Nearest neighbours",
            protocol={"k": self.k}, problems=vectors.problems, warnings=vectors.warnings,
        )  # fmt: skip
        return TaskRun(output, vectors.seconds)
