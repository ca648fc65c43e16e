"""The adapter: patches, layers, tags, batches, short clips, its card; the released weights."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
import torch

from earmark.datasets.audio import Waveform
from earmark.datasets.magnatagatune import TOP_50
from earmark.datasets.resampling import KAISER_BEST, resampled
from earmark.models.base import AudioEmbedder, ModelError
from earmark.models.conformance import check, promises
from earmark.models.conformance import listening as audio
from earmark.models.musicnn import adapter as module
from earmark.models.musicnn.adapter import PATCH_SAMPLES, musicnn
from earmark.models.musicnn.checkpoints import MSD_TAGS, RELEASED
from earmark.models.musicnn.front_end import log_mel
from earmark.models.registry import MODELS


@pytest.fixture(scope="module")
def model(untrained):
    return musicnn(weights=str(untrained.path), device="cpu")


def noise(n_samples, *, seed=0):
    random = np.random.default_rng(seed)
    envelope = 0.3 * np.abs(np.sin(np.arange(n_samples) * (seed + 1) / 5000))
    return Waveform((envelope * random.normal(size=n_samples)).astype(np.float32), 16_000)


CLIPS = [noise(n, seed=seed) for seed, n in enumerate((PATCH_SAMPLES, 150_000, 9000, 110_000))]


def test_vectors_are_means_over_patches_one_after_the_other(model):
    clip = CLIPS[1]  # 586 frames: three patches, and 25 frames that fill none
    frames = log_mel(torch.from_numpy(clip.samples))
    with torch.inference_mode():
        logits, layers = model.network(torch.stack([frames[i : i + 187] for i in (0, 187, 374)]))
    found = model.embed_layers([clip])
    assert list(found) == list(model.network.layer_dimensions)
    for name, rows in layers.items():
        mean = rows.double().mean(0).numpy()
        assert found[name][0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)
    assert model.probabilities(clip) == pytest.approx(
        torch.sigmoid(logits).mean(0).numpy(), abs=1e-5
    )


def test_its_own_vector_is_that_of_its_last_layer(model, untrained):
    last = list(model.layer_dimensions)[-1]
    assert isinstance(model, AudioEmbedder)
    assert model.dimension == model.layer_dimensions[last]
    rows = model.embed_audio(CLIPS)
    np.testing.assert_array_equal(rows, model.embed_layers(CLIPS)[last])
    first = next(iter(model.layer_dimensions))
    alone = musicnn(weights=str(untrained.path), layers=first, device="cpu")
    assert list(alone.layer_dimensions) == [first]
    assert alone.card.preprocessing["layers"] == first
    np.testing.assert_array_equal(alone.embed_audio(CLIPS), model.embed_layers(CLIPS)[first])


def test_clips_do_not_move_each_other(model, monkeypatch):
    together = model.embed_layers(CLIPS), model.tag_probabilities(CLIPS)
    monkeypatch.setattr(module, "_AT_ONCE", 3)
    for index, clip in enumerate(CLIPS):
        alone = model.embed_layers([clip]), model.tag_probabilities([clip])
        for name, rows in alone[0].items():
            assert rows[0] == pytest.approx(together[0][name][index], abs=2e-6)
        assert alone[1][0] == pytest.approx(together[1][index], abs=2e-6)
    assert model.tag_probabilities([]).shape == (0, 50)
    assert model.embed_audio([]).shape == (0, model.dimension)


def test_a_clip_is_brought_to_16_khz_as_librosa_did(model):
    other = Waveform(noise(66_150).samples, 44_100)
    (samples,) = resampled([other.samples], 44_100, 16_000, by=KAISER_BEST)
    same = Waveform(samples, 16_000)
    assert model.sample_rate is None
    np.testing.assert_array_equal(model.embed_audio([other]), model.embed_audio([same]))


def test_a_short_clip_is_repeated_to_a_patch(model):
    repeated = Waveform(np.resize(CLIPS[2].samples, PATCH_SAMPLES), 16_000)
    np.testing.assert_array_equal(model.embed_audio([CLIPS[2]]), model.embed_audio([repeated]))


def test_half_the_hop_is_twice_the_patches(model, untrained, monkeypatch):
    seen = []
    network = module.NETWORKS[untrained.name.split("_")[1]]
    forward = network.forward
    monkeypatch.setattr(network, "forward", lambda self, x: seen.append(len(x)) or forward(self, x))
    half = musicnn(weights=str(untrained.path), hop_frames=93, device="cpu")
    half.embed_layers(CLIPS[:2])
    model.embed_layers(CLIPS[:2])
    assert seen == [1 + 5, 1 + 3]  # all layers in one pass over a batch of both clips
    assert half.card.preprocessing["patch_hop_frames"] == 93
    assert half.card.crop_policy != model.card.crop_policy


def test_the_card_tells_weights_licence_and_training_set(model, untrained):
    card = model.card
    assert card.id == untrained.name and card.licence == "ISC" and len(card.weights_digest) == 64
    expected = ("magnatagatune", TOP_50) if "MTT" in untrained.name else ("msd", MSD_TAGS)
    assert (card.training_datasets, model.tags) == ((expected[0],), expected[1])
    assert f"ROC-AUC {RELEASED[untrained.name].roc_auc:.4f}" in card.notes[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layers": ["cnn9"]}, "no layer 'cnn9'"),
        ({"hop_frames": 0}, "hop_frames is 0, expected 1 to 187"),
        ({"hop_frames": 188}, "hop_frames is 188"),
        ({"device": "abacus"}, "device 'abacus'"),
    ],
)
def test_options_that_are_not_possible_are_named(untrained, options, said):
    with pytest.raises(ModelError, match=said):
        musicnn(weights=str(untrained.path), **options)


def test_weights_that_are_not_here_are_answered_with_places_and_the_command(tmp_path, monkeypatch):
    for name in ("EARMARK_DATA", "EARMARK_SHARED_DATA", "EARMARK_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    with pytest.raises(ModelError, match="run `earmark fetch musicnn`") as caught:
        musicnn()
    assert str(tmp_path / "cache" / "models" / "musicnn" / "MSD_musicnn.safetensors") in str(
        caught.value
    )
    with pytest.raises(ModelError, match="'MSD_musicn', expected one of MTT_musicnn, MSD_mus"):
        musicnn(weights="MSD_musicn")


def test_a_file_of_something_else_is_refused(untrained, tmp_path):
    content = untrained.path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    path = tmp_path / "other.safetensors"

    def write(changed):
        text = json.dumps(changed).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])

    write({**header, "__metadata__": {}})
    with pytest.raises(ModelError, match="holds no network of musicnn, but other weights"):
        musicnn(weights=str(path))
    write({**header, "__metadata__": {"earmark.musicnn": "{"}})
    with pytest.raises(ModelError, match="is not understood"):
        musicnn(weights=str(path))
    path.write_bytes(content[:-4])
    with pytest.raises(ModelError, match="cannot be read as safetensors"):
        musicnn(weights=str(path))
    renamed = {("dense.other" if name == "dense.bias" else name): v for name, v in header.items()}
    write(renamed)
    with pytest.raises(ModelError, match=r"Missing 1: dense\.bias"):
        musicnn(weights=str(path))


@pytest.mark.parametrize("untrained", ["MSD_musicnn"], indirect=True)
def test_keeps_its_promises(untrained, monkeypatch):
    monkeypatch.setattr(audio, "VERY_LONG_SECONDS", 10.0)
    promises._clips.cache_clear()
    options = {"weights": str(untrained.path), "device": "cpu"}
    found = check(partial(MODELS.create, "musicnn", options)())
    promises._clips.cache_clear()
    # Drawn weights tell nothing apart.
    failed = {one.name for one in found if one.status == "fail"} - {"audio.toy_task"}
    assert failed == set() and len(found) > 25


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_is_the_same_on_another_device(model, untrained, device):
    there = torch.cuda if device == "cuda" else torch.backends.mps
    if not there.is_available():
        pytest.skip(f"no {device} device is here")
    other = musicnn(weights=str(untrained.path), device=device)
    np.testing.assert_allclose(other.embed_audio(CLIPS), model.embed_audio(CLIPS), atol=1e-4)
