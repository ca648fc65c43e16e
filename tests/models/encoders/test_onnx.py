"""Graphs written here, with a waveform or a mel spectrogram as input, against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchaudio
from torch import nn

from earmark.datasets.audio import Waveform
from earmark.models.base import ArousalValenceModel, ModelError
from earmark.models.conformance import check, listening, promises
from earmark.models.registry import MODELS

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
onnx = pytest.importorskip("onnx")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
RATE = 16_000
MEL = {"n_fft": 512, "hop": 160, "bands": 16, "log": "db", "scale": "slaney", "norm": "slaney"}


class Waves(nn.Module):
    """Frames and a vector of a waveform."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(1, 6, 400, stride=320)
        self.second = nn.Conv1d(6, 8, 3, padding=1)
        for conv in (self.first, self.second):  # so that unlike inputs differ
            nn.init.normal_(conv.weight, std=0.3)
            nn.init.zeros_(conv.bias)

    def forward(self, x):
        one = torch.relu(self.first(x[:, None]))
        two = torch.tanh(self.second(one))
        return one.transpose(1, 2), two.mean(dim=2)


class Mels(nn.Module):
    """A vector of 7 attributes of a mel spectrogram ``(n, bands, frames)``."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(16, 8, 3, padding=1)
        self.out = nn.Linear(8, 7)

    def forward(self, x):
        return torch.sigmoid(self.out(torch.tanh(self.conv(x / 40)).mean(dim=2)))


def export(path, module, example, *, outputs, axes):
    torch.onnx.export(
        module,
        (example,),
        str(path),
        input_names=["x"],
        output_names=outputs,
        dynamic_axes=axes,
        dynamo=False,  # the other exporter needs one more package
    )
    return path


@pytest.fixture(scope="module")
def waves(tmp_path_factory):
    torch.manual_seed(0)
    module = Waves().eval()
    axes = {"x": {0: "n", 1: "t"}, "frames": {0: "n", 1: "f"}, "vector": {0: "n"}}
    path = tmp_path_factory.mktemp("graphs") / "waves.onnx"
    return module, export(
        path, module, torch.zeros(2, RATE), outputs=["frames", "vector"], axes=axes
    )


@pytest.fixture(scope="module")
def mels(tmp_path_factory):
    torch.manual_seed(1)
    module = Mels().eval()
    # The batch of one and the frames are fixed: 101 frames of 10 ms, 1 s.
    path = tmp_path_factory.mktemp("graphs") / "attributes.onnx"
    return module, export(path, module, torch.zeros(1, 16, 101), outputs=["out"], axes=None)


def build(path, **options):
    given = {"weights": str(path), "sample_rate": RATE, "device": "cpu"}
    return MODELS.create("onnx", given | options)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def spectrogram(samples):
    """Return the mel spectrogram of :data:`MEL` by torchaudio's functions."""
    power = torchaudio.functional.spectrogram(
        torch.from_numpy(samples),
        pad=0,
        window=torch.hann_window(512),
        n_fft=512,
        hop_length=160,
        win_length=512,
        power=2.0,
        normalized=False,
    )
    filters = torchaudio.functional.melscale_fbanks(
        257, 0.0, 8000.0, 16, RATE, norm="slaney", mel_scale="slaney"
    )
    return 10 * torch.log10((filters.T @ power).clamp_min(1e-10))


def test_a_waveform_goes_in(waves, sound):
    module, path = waves
    model = build(path, pooling="mean+std")
    assert dict(model.layer_dimensions) == {"frames": 12, "vector": 8}
    clips = [sound(s, RATE, seed=n) for n, s in enumerate((0.5, 1.0, 0.5))]
    found = model.embed_layers(clips)
    for index, clip in enumerate(clips):
        with torch.inference_mode():
            frames, vector = module(torch.from_numpy(clip.samples[None]))
        states = frames[0].numpy()
        pooled = np.concatenate([states.mean(axis=0), states.std(axis=0)])
        assert found["frames"][index] == pytest.approx(unit(pooled), abs=1e-4)
        assert found["vector"][index] == pytest.approx(unit(vector[0].numpy()), abs=1e-4)
    only = build(path, layers="vector", window=0.5, hop=0.25)
    rows = [
        only.embed_audio([Waveform(clips[1].samples[s : s + 8000], RATE)])[0]
        for s in (0, 4000, 8000)
    ]
    assert only.embed_audio([clips[1]])[0] == pytest.approx(unit(np.mean(rows, axis=0)), abs=1e-5)
    assert model.network.n_parameters == sum(p.numel() for p in module.parameters())


def test_a_mel_spectrogram_goes_in(mels, sound):
    module, path = mels
    model = build(path, mel=MEL)
    assert model.crop.seconds == 1.0 and model.crop.short == "zero-padded"
    clips = [sound(1.0, RATE), sound(0.4, RATE, seed=1), sound(1.5, RATE, seed=2)]
    windows = [
        [clips[0].samples],
        [np.pad(clips[1].samples, (0, RATE - len(clips[1].samples)))],
        [clips[2].samples[:RATE], clips[2].samples[-RATE:]],
    ]
    for row, cuts in zip(model.embed_audio(clips), windows, strict=True):
        with torch.inference_mode():
            rows = [unit(module(spectrogram(cut)[None])[0].numpy()) for cut in cuts]
        assert row == pytest.approx(unit(np.mean(rows, axis=0)), abs=1e-4)


def test_arousal_and_valence_by_name(mels, sound):
    module, path = mels
    model = build(path, mel=MEL, arousal="out[2]", valence="out[6]", av_scale=[0, 1])
    assert isinstance(model, ArousalValenceModel) and model.card.av_scale == (0.0, 1.0)
    clip = sound(1.5, RATE)
    with torch.inference_mode():
        cuts = [clip.samples[:RATE], clip.samples[-RATE:]]
        rows = [module(spectrogram(cut)[None])[0].numpy()[[2, 6]] for cut in cuts]
    assert model.predict_av([clip])[0] == pytest.approx(np.mean(rows, axis=0), abs=1e-4)
    for wrong, said in {
        "out": r"'out\[0\]' to 'out\[6\]'",
        "out[7]": "columns",
        "ou[1]": "'ou'",
    }.items():
        with pytest.raises(ModelError, match=said):
            build(path, mel=MEL, arousal=wrong, valence="out[6]")


def test_frames_before_bands_and_a_channel(tmp_path, mels, sound):
    module, path = mels

    class Turned(nn.Sequential):
        def forward(self, x):  # (n, 1, frames, bands)
            return self[0](x[:, 0].transpose(1, 2))

    turned = export(
        tmp_path / "turned.onnx",
        Turned(module).eval(),
        torch.zeros(2, 1, 101, 16),
        outputs=["out"],
        axes={"x": {0: "n"}, "out": {0: "n"}},
    )
    clips = [sound(1.0, RATE), sound(1.7, RATE, seed=1)]
    expected = build(path, mel=MEL).embed_audio(clips)
    assert build(turned, mel=MEL).embed_audio(clips) == pytest.approx(expected, abs=1e-5)


def test_conformance(waves, mels, monkeypatch):
    monkeypatch.setattr(listening, "VERY_LONG_SECONDS", 12.0)
    promises._clips.cache_clear()
    av = build(mels[1], mel=MEL, arousal="out[2]", valence="out[6]", av_scale=[0, 1])
    for model in (build(waves[1]), av):
        failed = {one.name: one.detail for one in check(model) if one.status == "fail"}
        failed.pop("audio.toy_task", None)  # weights are random
        assert failed == {}
    promises._clips.cache_clear()


def test_weights_beside_the_graph_count(waves, tmp_path, sound):
    graph = onnx.load(str(waves[1]))
    onnx.save_model(
        graph,
        str(tmp_path / "waves.onnx"),
        save_as_external_data=True,
        location="waves.bin",
        size_threshold=0,
    )
    model = build(tmp_path / "waves.onnx")
    clip = sound(0.5, RATE)
    assert model.embed_audio([clip]) == pytest.approx(build(waves[1]).embed_audio([clip]), abs=1e-6)
    content = bytearray((tmp_path / "waves.bin").read_bytes())
    content[0] ^= 1
    (tmp_path / "waves.bin").write_bytes(content)
    assert build(tmp_path / "waves.onnx").card.weights_digest != model.card.weights_digest


def test_what_does_not_fit_is_named(waves, mels, tmp_path):
    with pytest.raises(ModelError, match="needs the option mel"):
        build(mels[1].parent / "attributes.onnx")
    with pytest.raises(ModelError, match="no axis of 20 bands"):
        build(mels[1], mel=MEL | {"bands": 20})
    with pytest.raises(ModelError, match=r"window = 2\.0, but the graph takes 16000 samples"):
        build(mels[1], mel=MEL, window=2.0)
    with pytest.raises(ModelError, match="unknown key 'band'"):
        build(waves[1], mel={"n_fft": 512, "hop": 160, "band": 16})
    with pytest.raises(ModelError, match="f_max is 9000 Hz"):
        build(mels[1], mel=MEL | {"f_max": 9000})
    with pytest.raises(ModelError, match="no layer 'vectors'"):
        build(waves[1], layers=["vectors"])
    with pytest.raises(ModelError, match="belong together"):
        build(waves[1], arousal="vector[0]")
    with pytest.raises(ModelError, match="is no file"):
        build(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("no graph")
    with pytest.raises(ModelError, match="cannot be read as an ONNX graph"):
        build(tmp_path / "text.onnx")
