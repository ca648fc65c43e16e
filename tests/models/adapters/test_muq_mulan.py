"""MuQ-MuLan's wiring, on a stand-in with the package's interface and its faults."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from earmark.models.base import AudioEmbedder, ModelError, TextEmbedder
from earmark.models.registry import MODELS
from earmark.models.support.adapter import TruncationWarning

RATE, SECONDS, DIMENSION = 24_000, 10, 4


class FakeTokenizer:
    """One token a character, between a start and an end token."""

    def __call__(self, text, return_offsets_mapping=False, verbose=True):
        places = [(0, 0), *((i, i + 1) for i in range(len(text))), (0, 0)]
        return {"input_ids": [0, *map(ord, text), 2], "offset_mapping": places}


class FakeMuQMuLan(torch.nn.Module):
    """As ``muq.MuQMuLan``: windows of 10 s averaged and not renormalised, texts padded together."""

    sr, clip_secs = RATE, SECONDS
    config = SimpleNamespace(mulan=SimpleNamespace(dim_latent=DIMENSION))

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(DIMENSION, 3, dtype=torch.float64))
        self.dropout = torch.nn.Dropout(0.5)
        self.mulan_module = SimpleNamespace(text=SimpleNamespace(tokenizer=FakeTokenizer()))
        self.calls = []

    @classmethod
    def from_pretrained(cls, path, **options):
        torch.manual_seed(0)
        return cls()

    def forward(self, wavs=None, texts=None):
        assert (wavs is None) != (texts is None)
        self.calls.append(texts if wavs is None else tuple(wavs.shape))
        if texts is not None:
            assert max(map(len, texts)) <= 510
            width = max(map(len, texts)) + 1
            rows = [[3, *map(ord, text)] + [1] * (width - len(text)) for text in texts]
            found = torch.tensor(rows, dtype=torch.float32) % 17
        else:
            assert wavs.shape[1] == RATE * SECONDS
            found = wavs
        features = torch.stack([found.mean(1), found.std(1), found.abs().max(1).values], 1)
        return self.dropout(torch.nn.functional.normalize(features @ self.weight.T, dim=1)) * 0.9


@pytest.fixture
def package(monkeypatch):
    module = ModuleType("muq")
    module.MuQMuLan = FakeMuQMuLan
    monkeypatch.setitem(sys.modules, "muq", module)
    pytest.importorskip("transformers", reason="transformers is not installed")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def build(folder, **options):
    return MODELS.create("muq-mulan", {"weights": str(folder), "device": "cpu"} | options)


def test_keeps_what_an_adapter_promises(package, folder, unlike, assert_adapter):
    model = build(folder)
    assert isinstance(model, AudioEmbedder) and isinstance(model, TextEmbedder)
    assert (model.sample_rate, model.dimension) == (RATE, DIMENSION)
    assert_adapter(model, unlike(RATE, (10.0, 3.0, 21.0)))


def test_clips_and_texts_go_to_the_model_one_at_a_time(package, folder, unlike):
    model = build(folder)
    model.embed_audio(unlike(RATE, (10.0, 10.0, 20.0)))
    model.embed_text(["slow", "fast drums"])
    assert model.model.calls == [*[(1, RATE * SECONDS)] * 4, ["slow"], ["fast drums"]]


def test_a_short_clip_is_repeated_and_a_long_ones_windows_are_averaged(package, folder, sound):
    model, clip = build(folder), sound(4.0, RATE)
    ten = type(clip)(np.resize(clip.samples, 10 * RATE), RATE)
    assert np.array_equal(model.embed_audio([clip]), model.embed_audio([ten]))
    long = sound(25.0, RATE)
    windows = [type(clip)(long.samples[s * RATE : (s + 10) * RATE], RATE) for s in (0, 10, 15)]
    mean = model.embed_audio(windows).mean(axis=0)
    assert model.embed_audio([long])[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


def test_a_text_beyond_the_positions_is_cut_and_told(package, folder):
    model = build(folder)
    with pytest.warns(TruncationWarning, match="1 of 1 texts truncated to 512 tokens"):
        model.embed_text(["x" * 510 + "y" * 90])
    assert model.model.calls == [["x" * 510]]
    assert "truncated" in model.card.preprocessing["longer_texts"]


def test_the_card_is_that_of_these_weights(package, folder, card_is_complete):
    card = build(folder).card
    card_is_complete(card)
    assert card == build(folder).card
    assert card.crop_policy == "windows(10 s, 10 s) mean, short clips repeated"
    assert "NC" in card.licence and "not published" in card.notes[0]
    (folder / "model.safetensors").write_bytes(b"other weights")
    assert build(folder).card.weights_digest != card.weights_digest


@pytest.mark.parametrize("crop", ["whole", "centre(5 s)", "windows(10 s, 5 s), left short"])
def test_crops_of_another_length_are_refused(package, folder, crop):
    with pytest.raises(ModelError, match="expected crops of the 10 s that the model hears"):
        build(folder, crop=crop)


def test_without_the_package_names_the_extra(monkeypatch, folder):
    monkeypatch.setitem(sys.modules, "muq", None)
    with pytest.raises(ModelError, match=r"package muq.*pip install 'muq>="):
        build(folder)


def test_weights_that_the_package_refuses_are_named(package, folder, monkeypatch):
    def refuse(path, **options):
        raise RuntimeError("size mismatch")

    monkeypatch.setattr(FakeMuQMuLan, "from_pretrained", refuse)
    with pytest.raises(ModelError, match="cannot be loaded as MuQ-MuLan: RuntimeError: size"):
        build(folder)
