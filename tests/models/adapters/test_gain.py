"""Models that hear every clip at one loudness."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from earmark.datasets.audio import Waveform
from earmark.models.adapters.references import at_loudness, loudness_as_stereo
from earmark.models.base import (
    ArousalValenceModel,
    AudioEmbedder,
    ClipError,
    ModelCard,
    ModelError,
    PatchEmbedder,
    PatchHead,
    TextEmbedder,
)

RATE = 16000


def sine(dbfs: float, rate: int = RATE, seconds: float = 3, hertz: float = 1000) -> Waveform:
    time = np.arange(int(seconds * rate)) / rate
    tone = 10 ** (dbfs / 20) * np.sin(2 * np.pi * hertz * time)
    return Waveform(tone.astype(np.float32), rate)


@dataclass
class Joint:
    card: ModelCard = field(
        default_factory=lambda: ModelCard("joint", "1", "untrained", "MIT", "", (), "all")
    )
    sample_rate: int | None = RATE
    dimension: int = 2

    def embed_audio(self, clips):
        return np.array([[np.abs(clip.samples).max(), 0] for clip in clips], np.float32)

    def embed_text(self, texts):
        return np.ones((len(texts), 2), np.float32)


@dataclass
class Patches:
    card: ModelCard = field(default_factory=lambda: Joint().card)
    sample_rate: int | None = RATE
    dimension: int = 2

    def embed_patches(self, clip):
        return np.array([[np.abs(clip.samples).max(), 0]], np.float32)


@dataclass
class Head:
    embedder: Patches
    card = ModelCard("head", "1", "untrained", "MIT", "", (), "all")

    def predict_av_from_patches(self, patches):
        return patches.mean(axis=0)

    def predict_av_from_means(self, means):
        return means


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize("dbfs", [-23, -33])
def test_loudness_of_a_sine_is_that_of_ebu_tech_3341(rate, dbfs):
    assert loudness_as_stereo(sine(dbfs, rate)) == pytest.approx(dbfs, abs=0.1)


def test_loudness_of_music_is_essentias():
    pytest.importorskip("essentia")
    from earmark.models.essentia import library

    for rate in (16000, 22050, 44100, 48000):
        noise = np.random.default_rng(rate).standard_normal(30 * rate)
        level = 0.02 * (1 + np.sin(2 * np.pi * 0.3 * np.arange(noise.size) / rate))
        clip = Waveform((noise * level).astype(np.float32), rate)
        expected = library.integrated_loudness(clip.samples, rate)
        assert loudness_as_stereo(clip) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("dbfs", [-60, -12, 3])
def test_every_clip_is_heard_at_the_wanted_loudness(dbfs):
    model = at_loudness(Joint(), -20)
    (row,) = model.embed_audio([sine(dbfs)])
    assert 20 * np.log10(row[0]) == pytest.approx(-20, abs=0.1)


def test_the_model_stays_what_it_is_with_another_card():
    joint, patches = at_loudness(Joint(), -20), at_loudness(Patches(), -20)
    assert isinstance(joint, AudioEmbedder) and isinstance(joint, TextEmbedder)
    assert not isinstance(joint, PatchEmbedder | ArousalValenceModel | PatchHead)
    assert isinstance(patches, PatchEmbedder)
    assert (joint.card.id, joint.card.preprocessing) == ("joint@-20LUFS", {"heard_at_lufs": -20.0})
    assert joint.embed_text(["calm"]).shape == (1, 2)


def test_a_heads_network_hears_at_the_loudness():
    head = at_loudness(Head(Patches()), -20)
    assert isinstance(head, PatchHead)
    patches = head.embedder.embed_patches(sine(-40))
    assert 20 * np.log10(head.predict_av_from_patches(patches)[0]) == pytest.approx(-20, abs=0.1)
    assert head.embedder.card.id == "joint@-20LUFS"


def test_silence_is_a_problem_of_the_clip_and_a_loudness_that_cannot_be_meant_is_refused():
    with pytest.raises(ClipError, match="no block is above -70 LUFS"):
        at_loudness(Joint(), -20).embed_audio([sine(-90)])
    for lufs in (-70, 1, float("nan")):
        with pytest.raises(ModelError, match="expected a number above -70 and at most 0"):
            at_loudness(Joint(), lufs)
