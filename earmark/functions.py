"""A function as a model: for a first try in a notebook, before there is an adapter with a card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from earmark.datasets.audio import Waveform
from earmark.models.base import UNTRAINED, Floats, ModelCard, ModelError, dimensions_of


class FunctionModel:
    """Arousal and valence by a function of ``(samples, sample_rate)``.

    ``samples`` are mono float32 in [-1, 1] at the file's own rate in Hz. The function returns two
    numbers, or one for each of its attribute ``dimensions``, e.g. ``("preference",)``.
    """

    sample_rate: int | None = None

    def __init__(self, function: Callable[[Any, int], Any]) -> None:
        self.function = function
        self.dimensions = dimensions_of(function)
        self._name = getattr(function, "__name__", type(function).__name__)
        self.card = ModelCard(
            id=self._name,
            version="not stated",
            weights_digest=UNTRAINED,
            licence="not stated",
            citation="",
            training_datasets=(),
            crop_policy="whole clip, given to the function",
            notes=("A function that was given in Python: this record alone cannot repeat it.",),
        )

    def predict_av(self, clips: Sequence[Waveform]) -> Floats:
        """Return arousal and valence, shape ``(n_clips, 2)``."""
        return np.stack([self._call(clip) for clip in clips])

    def _call(self, clip: Waveform) -> Floats:
        given = self.function(clip.samples, clip.sample_rate)
        try:
            row = np.asarray(given, np.float32).reshape(-1)
        except (TypeError, ValueError):
            row = np.empty(0, np.float32)
        if row.shape != (len(self.dimensions),):
            of = " and ".join(self.dimensions)
            count = {1: "one number", 2: "two numbers"}.get(len(self.dimensions), "numbers")
            raise ModelError(
                f"the function {self._name} returned {given!r:.80}, expected {count}: {of}"
            )
        return row
