"""Functions as models: vectors, frames, layers, batches; wrong shapes named."""

from __future__ import annotations

import numpy as np
import pytest

from earmark.datasets.audio import Waveform
from earmark.datasets.base import DataError
from earmark.datasets.registry import named_by
from earmark.models.base import ArousalValenceModel, ClipError, ModelError, dimensions_of
from earmark.models.conformance import check, listening, promises
from earmark.models.registry import MODELS

RATE = 8_000
CODE = """
import numpy as np


def bands(samples, sample_rate):
    assert samples.dtype == np.float32 and sample_rate == 8000
    samples = np.pad(samples, (0, max(0, 256 - len(samples))))
    frames = samples[: len(samples) // 256 * 256].reshape(-1, 256)
    power = np.abs(np.fft.rfft(frames)[:, :128]) ** 2
    return np.log(power.reshape(len(frames), 16, 8).sum(axis=2) + 1e-6)


def vector(samples, sample_rate, power=1.0):
    return bands(samples, sample_rate).mean(axis=0) ** power


def layered(samples, sample_rate):
    frames = bands(samples, sample_rate)
    return {"mean": frames.mean(axis=0), "frames": frames[:, :4]}


def listed(samples, sample_rate):
    return [bands(samples, sample_rate), bands(samples, sample_rate)[:, :4]]


def together(windows, sample_rate):
    return np.stack([bands(one, sample_rate) for one in windows])


def av(samples, sample_rate):
    loud = float(np.sqrt(np.mean(samples**2)))
    return [loud, float(np.abs(np.diff(samples)).mean())]


def level(samples, sample_rate):
    return [float(np.abs(samples).max()), float(np.std(samples))]


def spoils(samples, sample_rate):
    found = bands(samples, sample_rate).mean(axis=0)
    samples[:] = 0
    return found


def words(samples, sample_rate):
    return "quiet"


def cube(samples, sample_rate):
    return np.zeros((2, 2, 2))


def uneven(samples, sample_rate):
    return np.ones(5 if abs(samples[0]) > 0.01 else 6)


def endless(samples, sample_rate):
    return np.full(3, np.nan)


def broken(samples, sample_rate):
    raise KeyError("weights")


class Loaded:
    def __init__(self, weights, gain=1.0):
        self.matrix = gain * np.load(weights)

    def __call__(self, samples, sample_rate):
        return bands(samples, sample_rate).mean(axis=0) @ self.matrix
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("functions") / "embed.py"
    path.write_text(CODE)
    return path


def build(file, name, **options):
    given = {"function": f"{file}:{name}", "sample_rate": RATE}
    return MODELS.create("function", given | options)


def unit(row):
    return row / np.linalg.norm(row)


def bands(samples):
    names = {}
    exec(CODE, names)
    return names["bands"](samples, RATE)


def test_a_vector_frames_and_layers(file, sound):
    clips = [sound(s, RATE, seed=n) for n, s in enumerate((0.5, 0.2, 0.5))]
    frames = [bands(clip.samples) for clip in clips]
    means = np.stack([unit(one.mean(axis=0)) for one in frames])
    assert build(file, "vector").embed_audio(clips) == pytest.approx(means, abs=1e-6)
    assert build(file, "bands").embed_audio(clips) == pytest.approx(means, abs=1e-6)
    batched = build(file, "together", batched=True, layers="last")
    assert batched.embed_audio(clips) == pytest.approx(means, abs=1e-6)
    layered = build(file, "layered", pooling="max")
    assert dict(layered.layer_dimensions) == {"mean": 16, "frames": 4} and layered.dimension == 4
    found = layered.embed_layers(clips)
    assert found["mean"] == pytest.approx(means, abs=1e-6)
    highest = np.stack([unit(one[:, :4].max(axis=0)) for one in frames])
    assert found["frames"] == pytest.approx(highest, abs=1e-6)
    assert dict(build(file, "listed").layer_dimensions) == {"0": 16, "1": 4}
    windowed = build(file, "vector", window=0.25, hop=0.25)
    rows = [unit(bands(clips[0].samples[s : s + 2000]).mean(axis=0)) for s in (0, 2000)]
    assert windowed.embed_audio(clips[:1])[0] == pytest.approx(
        unit(np.mean(rows, axis=0)), abs=1e-6
    )


def test_arousal_and_valence(file, sound):
    model = build(file, "av", output="av", av_scale=[0, 1])
    assert isinstance(model, ArousalValenceModel)
    clip = sound(0.5, RATE)
    expected = [np.sqrt(np.mean(clip.samples**2)), np.abs(np.diff(clip.samples)).mean()]
    assert model.predict_av([clip, clip])[1] == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ModelError, match=r"embed\.py:vector gives .*\(16,\).*arousal, valence"):
        build(file, "vector", output="av").predict_av([clip])


def test_other_dimensions_than_arousal_and_valence(file, sound):
    names = [f"d{i}" for i in range(16)]
    model = build(file, "vector", output="av", dimensions=names)
    assert dimensions_of(model) == tuple(names)
    clip = sound(0.5, RATE)
    assert model.predict_av([clip]).shape == (1, 16)
    with pytest.raises(ModelError, match="expected 1: liking"):
        build(file, "vector", output="av", dimensions=["liking"]).predict_av([clip])
    with pytest.raises(ModelError, match="dimensions are of output = 'av'"):
        build(file, "vector", dimensions=["liking"])


def test_a_class_is_made_once_and_its_files_count(file, tmp_path, sound):
    weights = tmp_path / "w.npy"
    np.save(weights, np.eye(16, 3))
    model = build(file, "Loaded", options={"weights": str(weights), "gain": 2.0})
    expected = unit(bands(sound(0.5, RATE).samples).mean(axis=0)[:3])
    assert model.embed_audio([sound(0.5, RATE)])[0] == pytest.approx(expected, abs=1e-6)
    assert model.card.preprocessing["option weights"] == "w.npy"
    np.save(weights, 2 * np.eye(16, 3))
    again = build(file, "Loaded", options={"weights": str(weights), "gain": 2.0})
    assert again.card.weights_digest != model.card.weights_digest
    with pytest.raises(DataError, match="has no option 'gian'"):
        build(file, "Loaded", options={"weights": str(weights), "gian": 2.0})


def test_the_code_and_the_options_are_on_the_card(file, tmp_path):
    card = build(file, "vector", options={"power": 2.0}).card
    assert card.preprocessing["option power"] == 2.0
    assert card.preprocessing["function"] == "embed.py:vector"
    other = tmp_path / "embed.py"
    other.write_text(CODE + "\n# another\n")
    assert build(other, "vector").card.weights_digest != card.weights_digest


@pytest.mark.parametrize("name", ["layered", "together", "av"])
def test_conformance(file, name, monkeypatch):
    monkeypatch.setattr(listening, "VERY_LONG_SECONDS", 12.0)
    promises._clips.cache_clear()
    options = {"av": {"output": "av", "av_scale": [0, 1]}, "together": {"batched": True}}
    results = check(build(file, name, **options.get(name, {})))
    promises._clips.cache_clear()
    assert {one.name: one.detail for one in results if one.status == "fail"} == {}


def test_silence_in_a_clip_has_no_say_and_a_silent_clip_is_its_own_problem(file, sound):
    model = build(file, "level", window=0.25)
    loud = sound(0.25, RATE).samples
    clip = Waveform(np.concatenate([np.zeros_like(loud), loud]), RATE)
    alone = model.embed_audio([Waveform(loud, RATE)])
    assert model.embed_audio([clip]) == pytest.approx(alone, abs=1e-6)
    with pytest.raises(ClipError, match=r"clip 1: layer '0' of function .*embed\.py:level"):
        model.embed_audio([clip, Waveform(np.zeros_like(loud), RATE)])


def test_samples_that_it_changes_are_a_copy(file, sound):
    clip = sound(0.5, RATE)
    before = clip.samples.copy()
    build(file, "spoils").embed_audio([clip])
    assert np.array_equal(clip.samples, before)


def test_what_is_wrong_is_named(file, sound, tmp_path):
    for name, said in {
        "words": "gives str for layer '0', expected numbers",
        "cube": r"gives shape \(2, 2, 2\) for layer '0', expected \(dimension\)",
        "endless": "not finite in layer '0'",
        "broken": "KeyError: 'weights'",
    }.items():
        with pytest.raises(ModelError, match=rf"embed\.py:{name}.*{said}"):
            build(file, name)
    uneven = build(file, "uneven")
    quiet = Waveform(np.zeros(800, np.float32), RATE)
    loud = Waveform(np.full(800, 0.5, np.float32), RATE)
    with pytest.raises(ModelError, match="shapes"):
        uneven.embed_audio([quiet, loud])
    with pytest.raises(ModelError, match=r"vectors of \d values"):
        [uneven.embed_audio([one]) for one in (quiet, loud)]
    with pytest.raises(ModelError, match=r"gives shape .*expected \(1, dimension\)"):
        build(file, "vector", batched=True)
    with pytest.raises(DataError, match="has no 'nothing'"):
        build(file, "nothing")
    with pytest.raises(ModelError, match=r"path/to/file\.py:name"):
        MODELS.create("function", {"function": "embed", "sample_rate": RATE})


def test_a_file_of_others_names_no_function(file):
    with named_by("weights.safetensors", fix=""), pytest.raises(DataError, match="not opened"):
        build(file, "vector")
