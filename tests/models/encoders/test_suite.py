"""A suite that names an encoder in three lines: every layer from one decode and one pass."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
import torch
from tiny_encoders import N_LAYERS

import earmark as em
from earmark.bench.embeddings.store import Store
from earmark.datasets.audio import decoded_files

pytest.importorskip("transformers", reason="transformers is not installed")

RATE, N_CLIPS = 16_000, 24
LOADER = """
from pathlib import Path
from types import SimpleNamespace
from earmark.datasets.base import Clip, DatasetCard, fingerprint

def load(*, root):
    clips = [Clip(p.stem, p, label=p.stem[0]) for p in sorted(Path(root).glob("*.wav"))]
    card = DatasetCard("tones", "Tones", "1", "CC0-1.0", "", "")
    return SimpleNamespace(card=card, clips=clips, fingerprint=fingerprint(c.id for c in clips))
"""
SUITE = """
[suite]
name = "encoders"
title = "An encoder in three lines"
replicates = 200

[datasets.tones]
loader = "{root}/code.py:load"
root = "{root}/audio"

[models.tiny]
loader = "transformers-audio"
weights = "{weights}"

[[tasks]]
task = "probe"
dataset = "tones"
folds = 3
grid = [0.01, 1.0]
"""


@pytest.fixture
def suite(tmp_path, written):
    (tmp_path / "audio").mkdir()
    (tmp_path / "code.py").write_text(LOADER)
    random, time = np.random.default_rng(0), np.arange(RATE // 2) / RATE
    for number in range(N_CLIPS):
        high = number % 2
        tone = 0.3 * np.sin(2 * np.pi * (200 + 2000 * high) * time)
        samples = tone + 0.02 * random.normal(size=time.size)
        soundfile.write(tmp_path / "audio" / f"{'lh'[high]}{number}.wav", samples, RATE)
    path = tmp_path / "suite.toml"
    path.write_text(SUITE.format(root=tmp_path, weights=written("wav2vec2")))
    return path


def test_three_lines_give_the_probe_every_layer(suite, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    windows: list[int] = []

    def count(module, given):
        if type(module).__name__ == "Wav2Vec2FeatureEncoder":
            windows.append(len(given[0]))

    handle = torch.nn.modules.module.register_module_forward_pre_hook(count)
    before = decoded_files()
    run = em.run(suite, store=tmp_path / "store", progress=False)
    handle.remove()
    assert decoded_files() - before == 2 * N_CLIPS  # for the encoder, and for the model random
    assert sum(windows) == N_CLIPS + 1  # one of noise, when it is opened
    scores = run.scores().set_index(["model", "metric"])["value"]
    assert scores["tiny", "accuracy"] > 0.9
    (table,) = (one for one in run.record.tasks[0].tables if one.title == "Layers")
    assert [row[1] for row in table.rows] == [str(n) for n in range(N_LAYERS["wav2vec2"])]
    identities = [json.loads(space.identity) for space in Store(tmp_path / "store").spaces()]
    (own,) = (one for one in identities if one["output"] == "layers")
    assert own["layers"] == [[str(n), 16] for n in range(N_LAYERS["wav2vec2"])]
    assert own["crop_policy"].startswith("windows(30 s, 30 s)")
    before = decoded_files()
    em.run(suite, store=tmp_path / "store", progress=False)
    assert decoded_files() == before
