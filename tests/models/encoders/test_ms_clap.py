"""Microsoft's CLAP: the wiring, on a stand-in with the interface of the package ``msclap``."""

from __future__ import annotations

import random
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from earmark.models.base import AudioEmbedder, ModelError, TextEmbedder
from earmark.models.registry import MODELS
from earmark.models.support.adapter import TruncationWarning

RATE, SECONDS, LIMIT = 44_100, 7, 20


class FakeTokenizer:
    """One token a character; what fills up is 0, as the package's ``!`` is."""

    def __call__(self, texts, padding=None, truncation=False, max_length=None, **options):
        if isinstance(texts, str):
            return {"input_ids": [ord(c) % 50 + 1 for c in texts]}
        assert padding == "max_length" and truncation
        rows = [[ord(c) % 50 + 1 for c in text][:max_length] for text in texts]
        rows = [row + [0] * (max_length - len(row)) for row in rows]
        ids = torch.tensor(rows)
        return {"input_ids": ids, "attention_mask": (ids > 0).long(), "token_type_ids": ids * 0}


class FakeCLAP:
    """As ``msclap.CLAP``: it draws where it cuts a file that is longer than it reads."""

    def __init__(self, model_fp=None, version="2023", use_cuda=False):
        random.random()
        self.args = SimpleNamespace(
            text_model="gpt2",
            text_len=LIMIT,
            sampling_rate=RATE,
            duration=SECONDS,
            d_proj=4,
        )
        self.tokenizer = FakeTokenizer()
        self.token_keys = ["input_ids", "attention_mask"]
        torch.manual_seed(0)
        self.clap = torch.nn.Module()
        self.clap.audio_encoder = Audio()
        self.clap.caption_encoder = Text()


class Audio(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(3, 4))
        self.drop = torch.nn.Dropout(0.5)

    def forward(self, x):
        assert x.shape[1] == RATE * SECONDS
        found = torch.stack([x.std(1), x.abs().amax(1), x[:, 1:].sub(x[:, :-1]).std(1)], 1)
        return self.drop(found @ self.weight), None


class Text(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(60, 4)

    def forward(self, given):
        assert set(given) == {"input_ids", "attention_mask"}
        return (self.table(given["input_ids"]) * given["attention_mask"][..., None]).sum(1)


@pytest.fixture
def file(tmp_path, monkeypatch):
    package = ModuleType("msclap")
    package.CLAP = FakeCLAP
    monkeypatch.setitem(sys.modules, "msclap", package)
    (tmp_path / "CLAP_weights_2023.pth").write_bytes(b"weights")
    return tmp_path / "CLAP_weights_2023.pth"


def build(file, **options):
    return MODELS.create("ms-clap", {"weights": str(file), "device": "cpu"} | options)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_audio_in_windows_and_texts_alone_or_together(file, sound):
    before = random.getstate()
    model = build(file)
    assert random.getstate() == before
    assert isinstance(model, AudioEmbedder) and isinstance(model, TextEmbedder)
    clips = [sound(s, RATE, seed=n) for n, s in enumerate((7.0, 3.0, 10.0))]
    found = model.embed_audio(clips)
    length = RATE * SECONDS
    windows = [
        [clips[0].samples],
        [np.resize(clips[1].samples, length)],
        [clips[2].samples[:length], clips[2].samples[-length:]],
    ]
    for row, cuts in zip(found, windows, strict=True):
        with torch.inference_mode():
            own = model.model.audio_encoder(torch.from_numpy(np.stack(cuts)))[0].numpy()
        assert row == pytest.approx(unit(unit(own).mean(axis=0)), abs=1e-5)
    texts = ["piano", "a", "", "!"]
    alone = np.concatenate([model.embed_text([text]) for text in texts])
    assert model.embed_text(texts) == pytest.approx(alone, abs=1e-6)
    with pytest.warns(TruncationWarning, match="1 of 2 texts truncated to 20 tokens"):
        model.embed_text(["a", "a quiet piano"])
    assert model.card.crop_policy == "windows(7 s, 7 s) mean, short clips repeated"


def test_what_is_missing_is_named(file, tmp_path, monkeypatch):
    with pytest.raises(ModelError, match="expected '2022' or '2023'"):
        build(file, version="2024")
    with pytest.raises(ModelError, match=r"hf download microsoft/msclap CLAP_weights_2022\.pth"):
        build(file.parent, version="2022")
    with pytest.raises(ModelError, match="network reads 7 s at once"):
        build(file, window=10.0)
    monkeypatch.setitem(sys.modules, "msclap", None)
    with pytest.raises(ModelError, match="needs the package msclap"):
        build(file)
