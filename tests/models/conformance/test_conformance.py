"""A model without a fault passes; what cannot be told is said; nothing is left changed behind."""

from __future__ import annotations

import dataclasses
import os
import random
from functools import partial

import numpy as np
import pytest
import torch
from honest_models import CARD, Feels, Head, Hears, Patches, Reads, bands, failures, statuses, unit
from process_faults import CannotBeMadeTwice, EndsItsProcess, HasACardAProcess, HasAVectorAProcess
from scipy.spatial.distance import pdist

from earmark.datasets.audio import Waveform
from earmark.models.base import ModelCard, ModelError
from earmark.models.conformance import check
from earmark.models.conformance.outputs import deviation, mean_pairwise_cosine


@pytest.mark.parametrize("model", [Hears, Reads, Feels, Patches, Head])
def test_a_model_without_a_fault_fails_nothing(model):
    results = check(model())
    assert {one.name: one.detail for one in results if one.status == "fail"} == {}
    assert len({one.name for one in results}) == len(results) > 15


@pytest.mark.parametrize("seed", [1, 2])
def test_the_verdict_does_not_depend_on_the_seed(seed):
    assert failures(Hears(), seed=seed) == failures(Reads(), seed=seed) == set()


def test_what_is_no_model_is_refused():
    with pytest.raises(ModelError, match="dict is no model: it has none of the methods"):
        check({})


def test_checks_are_those_of_what_the_model_can_do():
    def groups(model):
        return {one.name.partition(".")[0] for one in check(model)}

    assert groups(Reads()) == {"card", "text", "model"}
    assert groups(Head()) == {"card", "av", "patches", "head", "model"}


def test_a_model_that_resamples_is_given_two_rates():
    class Resamples(Hears):
        sample_rate = None

        def embed_audio(self, clips):
            return unit([bands(clip.samples[:100_000], rate=clip.sample_rate) for clip in clips])

    found = statuses(Resamples())["audio.sample_rate"]
    assert (found.status, "at 44100 Hz are found again at 22050 Hz" in found.detail) == (
        "pass",
        True,
    )


def test_untrained_weights_need_only_tell_inputs_apart():
    class Untrained(Hears):
        card = ModelCard("raw", "1", "untrained", "MIT", "unpublished", (), "the whole clip")

        def embed_audio(self, clips):
            return unit([np.ones(15) + 0.02 * bands(clip.samples) for clip in clips])

    found = statuses(Untrained())
    assert found["audio.not_collapsed"].status == "pass"
    assert found["audio.toy_task"].status == "not_applicable"
    Untrained.card = CARD
    assert failures(Untrained()) == {"audio.not_collapsed"}


def test_stereo_is_judged_through_the_loader(monkeypatch):
    def sums_channels(path, *, sample_rate):
        import soundfile

        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        return Waveform(samples.sum(axis=1), rate)

    assert statuses(Hears())["audio.stereo"].status == "pass"
    monkeypatch.setattr("earmark.models.conformance.listening.load", sums_channels)
    assert statuses(Hears())["audio.stereo"].status == "fail"


def test_a_coarser_precision_may_move_further():
    class Half(Hears):
        def embed_audio(self, clips):
            # What half precision leaves of a vector depends on how the batch was split.
            rounding = 1e-3 if len(clips) > 1 else 0
            return unit(
                [bands(clip.samples) * (1 + rounding * np.arange(15) / 15) for clip in clips]
            )

    assert failures(Half()) == {"audio.batch_size"}
    Half.card = dataclasses.replace(CARD, preprocessing={"precision": "float16"})
    assert failures(Half()) == set()


def test_global_generators_are_left_as_they_were():
    class Draws(Hears):
        def embed_audio(self, clips):
            random.random(), np.random.rand(), torch.rand(1)
            return super().embed_audio(clips)

    before = random.getstate(), repr(np.random.get_state()), torch.get_rng_state()
    assert failures(Draws()) == {"audio.global_rng"}
    assert random.getstate() == before[0]
    assert repr(np.random.get_state()) == before[1]
    assert torch.equal(torch.get_rng_state(), before[2])


def test_progress_is_told_check_by_check():
    told = []
    results = check(Reads(), progress=lambda done, total, what: told.append((done, total, what)))
    assert told == [(n + 1, len(results), "checks") for n in range(len(results))]


def test_a_deviation_is_the_largest_distance_over_the_largest_length():
    expected = [np.array([3.0, 4.0]), np.array([0.0, 1.0])]
    found = [np.array([3.0, 4.0]), np.array([0.5, 1.0])]
    np.testing.assert_allclose(deviation(found, expected), [0, 0.1], atol=1e-12)
    patches = [np.array([[3.0, 4.0], [0.0, 1.0]])]
    moved = [patches[0] + [[0.0, 0.0], [0.0, 1.0]]]
    np.testing.assert_allclose(deviation(moved, patches), [0.2], atol=1e-12)
    assert deviation([np.ones(3)], [np.ones(2)]) == [np.inf]


def test_the_mean_pairwise_cosine_is_scipys():
    rows = np.random.default_rng(0).normal(size=(7, 5))
    expected = 1 - pdist(rows, "cosine").mean()
    assert mean_pairwise_cosine(rows) == pytest.approx(expected, abs=1e-12)


# The same model made again


class OnlyHere(Reads):
    """Of a test module, which no new process can import."""


@pytest.mark.parametrize(
    ("factory", "status", "detail"),
    [
        (Reads, "pass", "text moves by at most 0"),
        (HasAVectorAProcess, "fail", "between two processes (text)"),
        (HasACardAProcess, "fail", "in a new process the card says"),
        (partial(EndsItsProcess, but=os.getpid()), "fail", "ends at once"),
        (partial(CannotBeMadeTwice, but=os.getpid()), "fail", "OSError: the device is taken"),
        (OnlyHere, "not_applicable", "a new process cannot import the model: ModuleNotFoundError"),
        (lambda: Reads(), "not_applicable", "cannot be pickled"),
        (None, "not_applicable", "ready-made"),
    ],
)
def test_a_new_process_must_make_the_same_model(factory, status, detail):
    model = Reads() if factory is None else factory()
    found = statuses(model, factory=factory)["model.new_process"]
    assert (found.status, detail in found.detail) == (status, True), found.detail


def test_devices_are_compared_where_there_are_two(monkeypatch):
    class OnCUDA(Hears):
        error = 1e-3

        def embed_audio(self, clips):
            return unit([bands(clip.samples) * (1 + self.error * np.arange(15)) for clip in clips])

    def on_device(name):
        return OnCUDA() if name == "cuda" else Hears()

    assert statuses(Hears())["model.cuda"].status == "not_applicable"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "no CUDA device" in statuses(Hears(), on_device=on_device)["model.cuda"].detail
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert statuses(Hears(), on_device=on_device)["model.cuda"].status == "pass"
    OnCUDA.error = 0.1
    found = statuses(Hears(), on_device=on_device)["model.cuda"]
    assert (found.status, "between CPU and CUDA (audio)" in found.detail) == ("fail", True)
