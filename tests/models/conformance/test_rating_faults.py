"""Each fault planted in a model of arousal and valence, in patches or in a head fails by name."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from honest_models import CARD, Feels, Head, Patches, failures, statuses

from earmark.models.base import ModelError


class IsConstant(Feels):
    def predict_av(self, clips):
        """Return arousal, valence."""
        return np.full((len(clips), 2), 5, np.float32)


class GivesThreeNumbers(Feels):
    def predict_av(self, clips):
        """Return arousal, valence, dominance."""
        return np.pad(super().predict_av(clips), ((0, 0), (0, 1)))


class WritesNoOrder(Feels):
    def predict_av(self, clips):
        return super().predict_av(clips)


WritesNoOrder.predict_av.__doc__ = "Return both."


class WritesTheOtherOrder(Feels):
    def predict_av(self, clips):
        """Return valence and arousal."""
        return super().predict_av(clips)


class HasAScaleUpsideDown(Feels):
    card = dataclasses.replace(CARD, av_scale=(9, 1))


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (IsConstant, "not_collapsed"),
        (GivesThreeNumbers, "dimension"),
        (WritesNoOrder, "columns_documented"),
        (WritesTheOtherOrder, "columns_documented"),
        (HasAScaleUpsideDown, "scale"),
    ],
)
def test_a_fault_of_arousal_and_valence_fails_under_its_name(model, name):
    assert failures(model()) == {f"av.{name}"}


# Patches and heads


class HasNoPatchInShortClips(Patches):
    def embed_patches(self, clip):
        return super().embed_patches(clip)[: len(clip.samples) // 8000]


class PatchesOfOneAxis(Patches):
    def embed_patches(self, clip):
        return super().embed_patches(clip).mean(axis=0)


class RemembersTheClipBefore(Patches):
    last = 0.0

    def embed_patches(self, clip):
        rows = super().embed_patches(clip)
        mixed, self.last = rows + np.float32(0.1) * self.last, rows[-1]
        return mixed


class ScalesPatches(Head):
    def predict_av_from_patches(self, patches):
        found = super().predict_av_from_patches(patches)
        patches *= 2
        return found


class IsNotAffineAndDoesNotSaySo(Head):
    def predict_av_from_patches(self, patches):
        return np.stack([patches.mean(), np.square(patches).mean()])


class HearsOtherwiseThanItsPatches(Head):
    def predict_av(self, clips):
        """Return arousal, valence."""
        return super().predict_av(clips) + np.float32(0.1)


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (HasNoPatchInShortClips, {"patches.very_short"}),
        (PatchesOfOneAxis, {"patches.shape"}),
        (RemembersTheClipBefore, {"patches.deterministic"}),
        (ScalesPatches, {"head.patches_unmodified"}),
        (IsNotAffineAndDoesNotSaySo, {"head.means"}),
        (HearsOtherwiseThanItsPatches, {"head.predict_av"}),
    ],
)
def test_a_fault_of_patches_fails_under_its_name(model, names):
    assert failures(model()) == names


def test_a_head_without_an_embedder_or_means_is_told_so():
    class Headless(Head):
        predict_av_from_means = None
        predict_av = Feels.predict_av

        def predict_av_from_patches(self, patches):
            return patches.mean(axis=0)[:2]

    without_means = statuses(Headless())["head.means"]
    assert (without_means.status, "ModelError if not affine" in without_means.detail) == (
        "fail",
        True,
    )
    model = Headless()
    del model.embedder
    found = statuses(model)["head.shape"]
    assert (found.status, "no attribute 'embedder'" in found.detail) == ("fail", True)


def test_a_head_that_is_not_affine_may_refuse_means():
    class Refuses(IsNotAffineAndDoesNotSaySo):
        def predict_av_from_means(self, means):
            raise ModelError("not affine")

    assert failures(Refuses()) == set()
