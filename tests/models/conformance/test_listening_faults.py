"""Each fault planted in a model that listens fails under its own name and under no other."""

from __future__ import annotations

import random
import zlib

import numpy as np
import pytest
import torch
from honest_models import Hears, bands, failures, statuses, unit


class CropsAtRandom(Hears):
    rng = np.random.default_rng(0)

    def embed_audio(self, clips):
        starts = [self.rng.integers(max(1, len(clip.samples) - 8000)) for clip in clips]
        return unit([bands(c.samples[s : s + 8000]) for c, s in zip(clips, starts, strict=True)])


class CropsHalfAMinuteAtRandom(Hears):
    rng = np.random.default_rng(0)

    def embed_audio(self, clips):
        starts = [self.rng.integers(max(1, len(clip.samples) - 240_000)) for clip in clips]
        return unit([bands(c.samples[s : s + 240_000]) for c, s in zip(clips, starts, strict=True)])


class ClampsFromTheLoudestOfTheBatch(Hears):
    """As AmplitudeToDB(top_db) does on an input of three axes."""

    def embed_audio(self, clips):
        decibels = np.array([bands(clip.samples) for clip in clips])
        return unit(np.maximum(decibels, decibels.max() - 6))


class NormalisesOverTheBatch(Hears):
    """As BatchNorm does in training mode."""

    def embed_audio(self, clips):
        rows = np.array([bands(clip.samples) for clip in clips])
        return unit((rows - rows.mean(axis=0)) / (rows.std(axis=0) + 0.1))


class PadsToTheLongest(Hears):
    def embed_audio(self, clips):
        longest = max(len(clip.samples) for clip in clips)
        return unit([bands(np.pad(c.samples, (0, longest - len(c.samples)))) for c in clips])


class CarriesAStateAlong(Hears):
    def embed_audio(self, clips):
        rows = [bands(clip.samples) for clip in clips]
        return unit([row + 0.2 * rows[max(0, i - 1)] for i, row in enumerate(rows)])


class RemembersTheLastCall(Hears):
    last = 0.0

    def embed_audio(self, clips):
        rows = np.array([bands(clip.samples) for clip in clips])
        blurred, self.last = rows + 0.5 * self.last, rows[-1]
        return unit(blurred)


class HearsNothing(Hears):
    def embed_audio(self, clips):
        return unit([np.ones(15) + 1e-3 * bands(clip.samples) for clip in clips])


class IsNotNormalised(Hears):
    def embed_audio(self, clips):
        return 1.01 * super().embed_audio(clips)


class IsNaNOnSilence(Hears):
    def embed_audio(self, clips):
        with np.errstate(invalid="ignore"):
            scaled = [clip.samples / np.abs(clip.samples).max() for clip in clips]
        return unit([bands(samples) for samples in scaled])


class IsZeroOnSilence(Hears):
    def embed_audio(self, clips):
        heard = np.array([[clip.samples.any()] for clip in clips], np.float32)
        return super().embed_audio(clips) * heard


class IsNaNAlways(Hears):
    def embed_audio(self, clips):
        return super().embed_audio(clips) * np.float32(np.nan)


class HasAnotherDimension(Hears):
    dimension = 32


class DeclaresNoDimension(Hears):
    dimension = None


class GivesDoubles(Hears):
    def embed_audio(self, clips):
        return super().embed_audio(clips).astype(np.float64)


class GivesATensor(Hears):
    def embed_audio(self, clips):
        return torch.from_numpy(super().embed_audio(clips))


class GivesAList(Hears):
    def embed_audio(self, clips):
        return list(super().embed_audio(clips))


class LosesAClip(Hears):
    def embed_audio(self, clips):
        return super().embed_audio(clips[:7])


class ScalesItsInput(Hears):
    def embed_audio(self, clips):
        rows = super().embed_audio(clips)
        for clip in clips:
            clip.samples[:] /= max(np.abs(clip.samples).max(), 1e-9)
        return rows


class EmptiesItsList(Hears):
    def embed_audio(self, clips):
        return unit([bands(clips.pop(0).samples) for _ in range(len(clips))])


class DrawsFromNumPy(Hears):
    def embed_audio(self, clips):
        np.random.rand()
        return super().embed_audio(clips)


class DrawsFromPython(Hears):
    def embed_audio(self, clips):
        random.random()
        return super().embed_audio(clips)


class SeedsPyTorch(Hears):
    def embed_audio(self, clips):
        torch.manual_seed(0)
        return super().embed_audio(clips)


class TakesAnyRateForItsOwn(Hears):
    sample_rate = None

    def embed_audio(self, clips):
        return unit([bands(clip.samples[:100_000], rate=44_100) for clip in clips])


class DeclaresARateInKilohertz(Hears):
    sample_rate = 44.1


class CannotHearShortClips(Hears):
    def embed_audio(self, clips):
        if any(len(clip.samples) < 2048 for clip in clips):
            raise RuntimeError("Argument #4: Padding size should be less\nthan the input")
        return super().embed_audio(clips)


class HoldsALongClipTwice(Hears):
    def embed_audio(self, clips):
        if any(len(clip.samples) > 60 * 8000 for clip in clips):
            raise MemoryError
        return super().embed_audio(clips)


class KeepsGradients(Hears):
    weight = torch.ones(16, requires_grad=True)

    def embed_audio(self, clips):
        rows = torch.from_numpy(super().embed_audio(clips))
        return (rows * self.weight).detach().numpy()


class LostItsWeights(Hears):
    """Says that it is trained, and gives a vector that has nothing to do with the sound."""

    def embed_audio(self, clips):
        return np.concatenate([self.vector(clip.samples) for clip in clips])

    def vector(self, samples):
        return unit([np.random.default_rng(zlib.crc32(samples.tobytes())).normal(size=15)])


class Breaks(Hears):
    def embed_audio(self, clips):
        raise KeyError("weights")


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (CropsAtRandom, "deterministic"),
        (CropsHalfAMinuteAtRandom, "deterministic"),
        (RemembersTheLastCall, "deterministic"),
        (CarriesAStateAlong, "order"),
        (ClampsFromTheLoudestOfTheBatch, "batch_size"),
        (NormalisesOverTheBatch, "batch_size"),
        (PadsToTheLongest, "neighbours"),
        (HearsNothing, "not_collapsed"),
        (IsNotNormalised, "unit_norm"),
        (IsNaNOnSilence, "silence"),
        (IsZeroOnSilence, "silence"),
        (IsNaNAlways, "finite"),
        (HasAnotherDimension, "dimension"),
        (DeclaresNoDimension, "dimension"),
        (GivesDoubles, "dtype"),
        (GivesATensor, "shape"),
        (GivesAList, "shape"),
        (LosesAClip, "shape"),
        (Breaks, "shape"),
        (ScalesItsInput, "input_unmodified"),
        (EmptiesItsList, "input_unmodified"),
        (DrawsFromNumPy, "global_rng"),
        (DrawsFromPython, "global_rng"),
        (SeedsPyTorch, "global_rng"),
        (TakesAnyRateForItsOwn, "sample_rate"),
        (DeclaresARateInKilohertz, "sample_rate"),
        (CannotHearShortClips, "very_short"),
        (HoldsALongClipTwice, "very_long"),
        (KeepsGradients, "no_gradient"),
        (LostItsWeights, "toy_task"),
    ],
)
def test_a_fault_of_listening_fails_under_its_name(model, name):
    assert failures(model()) == {f"audio.{name}"}


def test_an_exception_of_the_model_is_told_by_its_first_line():
    found = statuses(CannotHearShortClips())["audio.very_short"].detail
    assert "RuntimeError: Argument #4: Padding size should be less;" in found
    assert "than the input" not in found
    assert "ModelError" in found
