"""Each fault planted in a model of several layers fails under its own name and under no other."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from honest_models import Hears, bands, unit

from earmark.models.conformance.layers import layer_checks
from earmark.models.conformance.outputs import judge
from earmark.models.conformance.promises import capabilities_of


class Layers(Hears):
    layer_dimensions: ClassVar[Any] = {"low": 8, "high": 16}

    def embed_layers(self, clips):
        rows = [bands(clip.samples) for clip in clips]
        return {"low": unit([row[:7] for row in rows]), "high": unit(rows)}


class LacksALayer(Layers):
    def embed_layers(self, clips):
        return {"high": super().embed_layers(clips)["high"]}


class TurnsThemRound(Layers):
    def embed_layers(self, clips):
        return dict(reversed(super().embed_layers(clips).items()))


class ChangesLow(Layers):
    def embed_layers(self, clips):
        return super().embed_layers(clips) | {"low": self.low(super().embed_layers(clips)["low"])}


class GivesDoubles(ChangesLow):
    def low(self, rows):
        return rows.astype(np.float64)


class IsOfAnotherSize(ChangesLow):
    def low(self, rows):
        return rows[:, 1:]


class IsNotNormalised(ChangesLow):
    def low(self, rows):
        return 2 * rows


class IsNaN(ChangesLow):
    def low(self, rows):
        return rows * np.float32(np.nan)


class Noise(ChangesLow):
    rng = np.random.default_rng(0)

    def low(self, rows):
        return unit(self.rng.normal(size=(len(rows), 7)))


class NormalisesOverTheBatch(ChangesLow):
    def low(self, rows):
        return unit((rows - rows.mean(axis=0))[:, :7])


class PadsToTheLongest(Layers):
    def embed_layers(self, clips):
        longest = max(len(clip.samples) for clip in clips)
        padded = [np.pad(c.samples, (0, longest - len(c.samples))) for c in clips]
        low = unit([bands(samples)[:7] for samples in padded])
        return super().embed_layers(clips) | {"low": low}


class HasAnotherOwnVector(Layers):
    def embed_audio(self, clips):
        return super().embed_audio(clips)[:, ::-1].copy()


class IsDeclaredWrong(Layers):
    layer_dimensions: ClassVar[Any] = {"low": 8, "high": 15}


class HasNoNames(Layers):
    layer_dimensions: ClassVar[Any] = [8, 16]


class HasHalfADimension(Layers):
    layer_dimensions: ClassVar[Any] = {"low": 7.5, "high": 16}


def judged(model):
    audio = capabilities_of(model, seed=0).audio["audio"]
    return {one.name: one for one in judge(layer_checks(model, audio), progress=None)}


def test_an_honest_model_passes_every_check_and_a_plain_one_has_none():
    found = judged(Layers())
    assert {one.status for one in found.values()} == {"pass"}
    assert found["layers.declared"].detail == "low (8), high (16)"
    assert not judged(Hears())


@pytest.mark.parametrize(
    ("model", "name", "said"),
    [
        (LacksALayer, "shape", "gives high, expected the layers low, high in this order"),
        (TurnsThemRound, "shape", "gives high, low, expected"),
        (GivesDoubles, "shape", "layer 'low' is float64"),
        (IsOfAnotherSize, "shape", "layer 'low' is float32 of shape (8, 7)"),
        (IsNotNormalised, "unit_norm", "layer 'low': the L2 norm of item"),
        (IsNaN, "finite", "layer 'low': nan for item 0"),
        (Noise, "deterministic", "in layer 'low' when asked again"),
        (NormalisesOverTheBatch, "batch_size", "in layer 'low' between being alone"),
        (PadsToTheLongest, "neighbours", "in layer 'low' between being alone"),
        (HasAnotherOwnVector, "default", "between embed_audio and the last layer 'high'"),
        (IsDeclaredWrong, "declared", "the last layer 'high' has 15 dimensions, the model 16"),
        (HasNoNames, "declared", "layer_dimensions is [8, 16]"),
        (HasHalfADimension, "declared", "'low': 7.5, expected a name and an int >= 1"),
    ],
)
def test_a_fault_fails_under_its_own_name_and_under_no_other(model, name, said):
    found = judged(model())
    assert [one.name for one in found.values() if one.status == "fail"] == [f"layers.{name}"]
    detail = found[f"layers.{name}"].detail
    assert said.partition(" of shape")[0] in detail, detail
