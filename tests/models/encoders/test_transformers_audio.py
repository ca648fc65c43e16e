"""Encoders in transformers' format: small ones of each family, against transformers itself."""

from __future__ import annotations

import json
import shutil
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_encoders import FAMILIES, N_LAYERS

from earmark.datasets.registry import named_by
from earmark.models.base import ClipError, ModelError
from earmark.models.conformance import check, listening, promises
from earmark.models.encoders.known import KNOWN
from earmark.models.registry import MODELS

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
families = pytest.mark.parametrize("family", FAMILIES)


def build(folder, **options):
    return MODELS.create("transformers-audio", {"weights": str(folder), "device": "cpu"} | options)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def by_hand(folder, family, samples, rate):
    """Return transformers' own hidden states of one clip, ``(n_frames, dimension)`` by layer."""
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    inputs = extractor([samples], sampling_rate=rate, return_tensors="pt")
    with torch.inference_mode():
        if family == "mert":
            settings = json.loads((folder / "config.json").read_text())
            for name in ("model_type", "auto_map", "architectures"):
                settings.pop(name)
            model = transformers.HubertModel(transformers.HubertConfig.from_dict(settings))
            model.load_state_dict(load_file(folder / "model.safetensors"))
        else:
            model = transformers.AutoModel.from_pretrained(folder)
        model = model.eval()
        if family == "whisper":
            found = model.encoder(inputs["input_features"], output_hidden_states=True)
            held = -(-len(samples) // (16_000 * 2 // 100))  # 100 frames of 20 ms
            return [state[0, :held].numpy() for state in found.hidden_states]
        if family == "ast":
            found = model(inputs["input_values"], output_hidden_states=True)
            states = [*found.hidden_states[:-1], found.last_hidden_state]
            frames = 1 + (len(samples) - 400) // 160
            times = [t for t in range(19) if 10 * t + 16 <= frames]
            kept = [2 + band * 19 + t for band in range(2) for t in times]
            return [state[0, kept].numpy() for state in states]
        if family == "clap":
            found = model.audio_model(
                inputs["input_features"],
                is_longer=torch.tensor([[False]]),
                output_hidden_states=True,
            )
            states = [*found.hidden_states[:-1], found.last_hidden_state]
            return [state[0].flatten(1).T.numpy() for state in states]
        found = model(inputs["input_values"], output_hidden_states=True)
        return [state[0].numpy() for state in found.hidden_states]


@families
def test_layers_are_those_of_transformers(written, sound, family):
    folder = written(family)
    model = build(folder)
    assert list(model.layer_dimensions) == [str(n) for n in range(N_LAYERS[family])]
    clip = sound(0.7, model.sample_rate)
    found = model.embed_layers([clip])
    expected = by_hand(folder, family, clip.samples, model.sample_rate)
    assert len(found) == len(expected)
    for name, states in zip(found, expected, strict=True):
        assert found[name][0] == pytest.approx(unit(states.mean(axis=0)), abs=1e-5), name
    assert np.array_equal(model.embed_audio([clip]), list(found.values())[-1])
    for pooling, pooled in {
        "max": lambda states: states.max(axis=0),
        "mean+std": lambda states: np.concatenate([states.mean(axis=0), states.std(axis=0)]),
    }.items():
        last = build(folder, layers="last", pooling=pooling)
        assert last.embed_audio([clip])[0] == pytest.approx(unit(pooled(expected[-1])), abs=1e-5)


@families
def test_batches_windows_and_passes(written, sound, family, monkeypatch):
    model = build(written(family), window=0.5, hop=0.25, layers=[0, -1])
    rate = model.sample_rate
    names = list(model.layer_dimensions)
    assert names == ["0", str(N_LAYERS[family] - 1)]
    clips = [sound(s, rate, seed=n) for n, s in enumerate((0.5, 0.3, 1.0, 0.9, 0.5))]
    calls = []
    network = model.network.model
    handle = network.register_forward_hook(lambda *_: calls.append(1))
    together = model.embed_layers(clips)
    handle.remove()
    # 0.5 s and 0.5 s have one window each, 1.0 s and 0.9 s three each, and 0.3 s is short.
    assert len(calls) == 2
    for index, clip in enumerate(clips):
        alone = model.embed_layers([clip])
        for name in names:
            assert together[name][index] == pytest.approx(alone[name][0], abs=1e-5)
    half = round(0.5 * rate)
    for index, starts in {2: (0, 0.25, 0.5), 3: (0, 0.25, 0.4)}.items():
        cuts = [clips[index].samples[round(s * rate) :][:half] for s in starts]
        each = model.embed_layers([type(clips[0])(cut, rate) for cut in cuts])
        for name in names:
            mean = unit(each[name].mean(axis=0))
            assert together[name][index] == pytest.approx(mean, abs=1e-5)


@families
def test_conformance(written, family, monkeypatch):
    monkeypatch.setattr(listening, "VERY_LONG_SECONDS", 12.0)
    promises._clips.cache_clear()
    results = check(build(written(family)))
    promises._clips.cache_clear()
    failed = {one.name: one.detail for one in results if one.status == "fail"}
    failed.pop("audio.toy_task", None)  # weights are random
    assert failed == {}
    assert sum(one.status == "pass" for one in results) > 20


def test_the_card_says_what_changes_numbers(written):
    folder = written("wav2vec2")
    base = build(folder)
    variants = [
        build(folder, pooling="max"),
        build(folder, window=5.0),
        build(folder, window=5.0, hop=2.0),
        build(folder, layers=[1, 2]),
        build(folder, dtype="bfloat16"),
        build(written("hubert")),
    ]
    identities = {
        (m.card.weights_digest, m.card.crop_policy, json.dumps(dict(m.card.preprocessing)))
        for m in [base, *variants]
    }
    assert len(identities) == len(variants) + 1
    assert base.card.crop_policy == "windows(30 s, 30 s) mean, short clips left short"
    assert base.card.preprocessing["sample_rate"] == 16_000
    assert base.card.licence == "see the model's page"
    assert base.card.id == "tiny-wav2vec2" and base.card.notes
    stated = build(folder, licence="MIT", training_datasets=["mtat"]).card
    assert (stated.licence, stated.training_datasets) == ("MIT", ("mtat",))
    assert KNOWN["m-a-p/MERT-v1-95M"].licence == "CC-BY-NC-4.0"


def test_halves_are_near(written, sound):
    clip = sound(0.7, 16_000)
    exact = build(written("wav2vec2")).embed_audio([clip])
    for dtype, tolerance in {"bfloat16": 0.05, "float16": 0.01}.items():
        found = build(written("wav2vec2"), dtype=dtype).embed_audio([clip])
        assert found.dtype == np.float32
        assert 0 < np.abs(found - exact).max() < tolerance


def test_code_of_weights_runs_only_where_the_user_says_so(written, tmp_path, monkeypatch):
    folder = tmp_path / "own"
    shutil.copytree(written("mert"), folder)  # whose code raises
    assert build(folder).network.model.__class__.__name__ == "HubertModel"
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"feature_extractor_cqt": True}))
    with pytest.raises(ModelError, match=r"feature_extractor_cqt.*trust_remote_code = true"):
        build(folder)
    (folder / "config.json").write_text(json.dumps(settings | {"model_type": "new_thing"}))
    with pytest.raises(ModelError, match="trust_remote_code = true"):
        build(folder)
    (folder / "configuration_MERT.py").write_text(
        "from transformers import HubertConfig\n\n\nclass MERTConfig(HubertConfig):\n"
        "    model_type = 'new_thing'\n"
    )
    (folder / "modeling_MERT.py").write_text(
        "from transformers import HubertModel\n\nfrom .configuration_MERT import MERTConfig\n\n\n"
        "class MERTModel(HubertModel):\n    config_class = MERTConfig\n"
    )
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "m"))
    monkeypatch.syspath_prepend(str(tmp_path / "m"))
    model = build(folder, trust_remote_code=True)
    assert type(model.network.model).__name__ == "MERTModel"
    first = model.card.preprocessing["code_sha256"]
    (folder / "unused.py").write_text("")
    assert build(folder, trust_remote_code=True).card.preprocessing["code_sha256"] != first
    with named_by("a file", fix=""), pytest.raises(ModelError, match="a file asks for trust"):
        build(folder, trust_remote_code=True)


def test_what_cannot_be_opened_is_named(written, tmp_path):
    with pytest.raises(ModelError, match=r"run: hf download nobody/nothing"), named_by("x", fix=""):
        build("nobody/nothing")
    with pytest.raises(ModelError, match="no layer '9'"):
        build(written("hubert"), layers=["9"])
    with pytest.raises(ModelError, match="pooling = 'attention'"):
        build(written("hubert"), pooling="attention")
    with pytest.raises(ModelError, match=r"window = 3 s, but the network reads 2 s"):
        build(written("whisper"), window=3.0)
    with pytest.raises(ModelError, match="reads 2 s at once"):
        build(written("ast"), window="whole")
    with pytest.raises(ModelError, match="dtype = 'int8'"):
        build(written("hubert"), dtype="int8")
    with pytest.raises(ModelError, match="reads 16000 Hz"):
        build(written("hubert"), sample_rate=44_100)
    folder = tmp_path / "bare"
    shutil.copytree(written("hubert"), folder)
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match="give sample_rate"):
        build(folder)
    assert build(folder, sample_rate=8_000).sample_rate == 8_000
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"config\.json cannot be read"):
        build(folder)


def test_a_pickled_checkpoint_with_older_names_is_the_same(written, tmp_path, sound):
    """As MERT's release is: ``pytorch_model.bin``, weight normalisation under its older names."""
    folder = tmp_path / "older"
    shutil.copytree(written("mert"), folder)
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    older = {"parametrizations.weight.original0": "weight_g"}
    older["parametrizations.weight.original1"] = "weight_v"
    renamed = {}
    for name, value in state.items():
        stem = next((old for old in older if name.endswith(old)), None)
        renamed[name.replace(stem, older[stem]) if stem else name] = value
    assert len(set(renamed) - set(state)) == 2
    torch.save(renamed, folder / "pytorch_model.bin")
    clip = sound(0.5, 24_000)
    found = build(folder).embed_audio([clip])
    assert found == pytest.approx(build(written("mert")).embed_audio([clip]), abs=1e-6)


def test_weights_of_another_size_are_refused(written, tmp_path):
    folder = tmp_path / "mixed"
    shutil.copytree(written("hubert"), folder)
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"num_hidden_layers": 5}))
    with pytest.raises(ModelError, match=r"missing: .*encoder\.layers\.3"):
        build(folder)


def test_a_clip_without_a_frame_is_its_own_problem(written, sound):
    model = build(written("wav2vec2"))
    needed = model.network.shortest
    assert model.embed_audio([type(sound(1, 16_000))(np.ones(needed, np.float32), 16_000)]).any()
    with pytest.raises(ClipError, match=f"clip 0 has {needed - 1} samples"):
        model.embed_audio([type(sound(1, 16_000))(np.ones(needed - 1, np.float32), 16_000)])


def test_an_extractor_that_cuts_is_found(written, monkeypatch):
    kind = transformers.Wav2Vec2FeatureExtractor
    whole = kind.__call__

    def cut(self, raw, **options):
        return whole(self, [one[: 10 * 16_000] for one in raw], **options)

    monkeypatch.setattr(kind, "__call__", cut)
    with pytest.raises(ModelError, match="cuts windows of 30 s shorter"):
        build(written("wav2vec2"))
    assert build(written("wav2vec2"), window=10).crop.seconds == 10


def test_muq_takes_the_waveform_as_it_is(tmp_path, monkeypatch, sound):
    """A stand-in with the interface of the package ``muq``: it gives all layers in one pass."""

    class FakeMuQ(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.linspace(-1, 1, 12).reshape(3, 4))

        @classmethod
        def from_pretrained(cls, path):
            return cls()

        def forward(self, x, attention_mask=None, output_hidden_states=True):
            frames = x.unfold(1, 960, 960)
            frames = torch.stack([frames.mean(2), frames.std(2), frames.amax(2)], dim=2)
            states = (frames @ self.weight, (frames @ self.weight).tanh())
            return SimpleNamespace(last_hidden_state=states[-1], hidden_states=states)

    package = ModuleType("muq")
    package.MuQ = FakeMuQ
    monkeypatch.setitem(sys.modules, "muq", package)
    (tmp_path / "config.json").write_text(json.dumps({"encoder_depth": 1, "label_rate": 25}))
    save_file({"weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    model = build(tmp_path)
    assert model.sample_rate == 24_000 and list(model.layer_dimensions) == ["0", "1"]
    clip = sound(1.0, 24_000)
    with torch.inference_mode():
        states = FakeMuQ()(torch.from_numpy(clip.samples[None])).hidden_states
    found = model.embed_layers([clip])
    for name, state in zip(found, states, strict=True):
        assert found[name][0] == pytest.approx(unit(state[0].mean(0).numpy()), abs=1e-5)
    with pytest.raises(ModelError, match="NaN in float16"):
        build(tmp_path, dtype="float16")

    def outdated(self, x, **options):
        raise KeyError("hidden_states")

    monkeypatch.setattr(FakeMuQ, "forward", outdated)
    with pytest.raises(ModelError, match=r"pip install 'transformers<5'"):
        build(tmp_path)
