"""Signal descriptors against closed forms and another implementation of loudness."""

import numpy as np
import pytest
import torch
from torchaudio.functional import loudness

from earmark.datasets.audio import Waveform
from earmark.models.adapters.references import with_gain
from earmark.models.base import ModelError, PatchEmbedder
from earmark.models.essentia.descriptors import (
    DESCRIPTORS,
    SAMPLE_RATE,
    SignalDescriptors,
    describe,
)
from earmark.models.registry import MODELS

SECONDS = np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE


def sine(hertz, amplitude=1.0):
    return amplitude * np.sin(2 * np.pi * hertz * SECONDS)


def test_a_full_scale_sine_of_997_hertz_has_the_loudness_that_bs_1770_is_calibrated_by():
    assert describe(sine(997))["loudness"] == pytest.approx(-3.01, abs=0.03)


def test_loudness_is_that_of_another_implementation_up_to_the_gain_of_its_high_pass():
    noise = np.random.default_rng(0).normal(0, 0.05, len(SECONDS)) * np.linspace(
        0.01, 1, SECONDS.size
    )
    other = float(loudness(torch.from_numpy(noise)[None], SAMPLE_RATE))
    assert describe(noise)["loudness"] == pytest.approx(other, abs=0.05)


def test_a_sine_has_the_level_centroid_and_crossings_of_its_formula():
    found = describe(sine(2000, 0.5))
    assert found["level"] == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=1e-3)
    assert found["centroid"] == pytest.approx(1, abs=0.01)  # an octave above 1 kHz
    assert found["zero_crossings"] == pytest.approx(4, abs=0.01)
    assert found["level_deviation"] == pytest.approx(0, abs=0.05)
    assert found["onsets"] == 0


def test_onsets_are_counted():
    clicks = np.zeros_like(SECONDS)
    for start in np.arange(0.25, 4, 0.5):
        first = int(start * SAMPLE_RATE)
        clicks[first : first + 400] = np.random.default_rng(1).normal(0, 0.3, 400)
    clicks += np.random.default_rng(2).normal(0, 1e-6, len(clicks))
    assert describe(clicks)["onsets"] == pytest.approx(2, abs=0.3)


def test_half_of_the_frames_of_a_clip_that_is_half_silent_are_of_low_energy():
    half = sine(440) * (SECONDS < 2)
    assert describe(half)["low_energy"] == pytest.approx(0.5, abs=0.02)


def test_a_gain_moves_loudness_and_level_by_its_decibels_and_nothing_else():
    noise = np.random.default_rng(3).normal(0, 0.02, len(SECONDS)).astype(np.float32)
    clip = Waveform(noise, SAMPLE_RATE)
    model = SignalDescriptors()
    (before,), (after,) = (m.embed_patches(clip) for m in (model, with_gain(model, 12)))
    change = dict(zip(DESCRIPTORS, after - before, strict=True))
    assert change["loudness"] == pytest.approx(12, abs=1e-3)
    assert change["level"] == pytest.approx(12, abs=1e-3)
    assert all(abs(change[name]) < 1e-4 for name in DESCRIPTORS[2:])


def test_silence_and_very_short_clips_have_finite_descriptors():
    for samples in (np.zeros(1), np.zeros(SAMPLE_RATE), np.ones(3)):
        rows = SignalDescriptors().embed_patches(Waveform(samples.astype(np.float32), SAMPLE_RATE))
        assert rows.shape == (1, len(DESCRIPTORS))
        assert np.isfinite(rows).all()
    assert describe(np.zeros(SAMPLE_RATE))["loudness"] == -70


def test_is_registered_and_gives_the_descriptors_that_are_asked_for():
    whole = MODELS.create("signal-descriptors", {})
    part = MODELS.create("signal-descriptors", {"descriptors": ["flux", "loudness"]})
    assert isinstance(part, PatchEmbedder)
    assert (part.dimension, part.card.id) == (2, "flux+loudness")
    clip = Waveform(sine(300).astype(np.float32), SAMPLE_RATE)
    chosen = [DESCRIPTORS.index("flux"), DESCRIPTORS.index("loudness")]
    np.testing.assert_array_equal(part.embed_patches(clip), whole.embed_patches(clip)[:, chosen])


@pytest.mark.parametrize("wrong", [[], ["flux", "flux"], ["tempo"], "flux"])
def test_refuses_descriptors_that_there_are_not(wrong):
    with pytest.raises(ModelError, match="expected some of loudness"):
        SignalDescriptors(wrong)


def test_refuses_clips_at_another_rate():
    with pytest.raises(ModelError, match="hears 22050 Hz"):
        SignalDescriptors().embed_patches(Waveform(np.ones(10, np.float32), 16_000))
