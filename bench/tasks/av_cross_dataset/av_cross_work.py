"""What the parts of the cross-dataset task share while it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.bench.tasks.av_cross_dataset.cells import Cell
from earmark.bench.tasks.av_cross_dataset.inputs import Heard, LearnedFrom, TestedOn
from earmark.bench.tasks.task import Context
from earmark.models.adapters.ensembles import Moments
from earmark.models.essentia.descriptors import SignalDescriptors
from earmark.reports.record.schema import NotRun

ByClip = Mapping[str, tuple[float, float]]

LOUDNESS = "loudness (baseline)"
"""As ``musav`` calls it: the louder clip has the higher arousal, and the higher valence."""
LOUDNESS_MODEL = SignalDescriptors(["loudness"])


@dataclass(frozen=True, slots=True)
class Rater:
    """An AV model that is not trained here."""

    name: str
    model: Any
    embedder: str | None = None
    """For a joint model by its prompts: the model of the suite whose vectors it reads."""


@dataclass(frozen=True, slots=True)
class Ensemble:
    """The mean of several models' z-scores."""

    id: str
    models: tuple[str, ...]
    standardised_on: str | None
    """The tested set whose clips give means and deviations; None: that which is being tested."""


@dataclass(slots=True)
class Work:
    """What is known while the task runs."""

    context: Context
    embedders: Mapping[str, Any]
    raters: dict[str, Rater]
    """AV models of the suite, and joint models by their prompts."""
    learned: Mapping[str, LearnedFrom]
    tested: Mapping[str, TestedOn]
    heard: dict[tuple[str, str], Heard] = field(default_factory=dict)
    """By embedder and set."""
    cells: list[Cell] = field(default_factory=list)
    values: dict[str, dict[str, ByClip]] = field(default_factory=dict)
    """Test set to model to what it says."""
    sources: dict[str, dict[str, str]] = field(default_factory=dict)
    moments: dict[tuple[str, str], Moments] = field(default_factory=dict)
    """By ensemble and test set."""
    ensembles: Sequence[Ensemble] = ()
    not_run: list[NotRun] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def cell(self, model: str, test: str) -> Cell | None:
        """Return the cell that a model's name stands for, None for models not trained here."""
        alike = (one for one in self.cells if (one.model, one.test) == (model, test))
        return next(alike, None)

    def scale_of(self, model: str, test: str) -> tuple[float, float] | None:
        """Return the scale that a model predicts on, None where it has none."""
        if found := self.cell(model, test):
            return found.scale
        if model in self.raters:
            scale: tuple[float, float] | None = self.raters[model].model.card.av_scale
            return scale
        return None


def common(
    values: Mapping[str, ByClip], models: Sequence[str]
) -> tuple[list[str], NDArray[np.float64]]:
    """Return the clips that all models predict, and predictions ``(n_models, n, 2)``."""
    ids = [i for i in values[models[0]] if all(i in values[m] for m in models)]
    return ids, np.array([[values[m][i] for i in ids] for m in models], np.float64)
