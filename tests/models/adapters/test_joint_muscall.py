"""MusCALL as an adapter: the model's own vectors, its crops, its card, and what does not fit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from earmark.models.adapters.muscall import muscall
from earmark.models.base import AudioEmbedder, ModelError, TextEmbedder
from earmark.models.muscall import MusCALL, MusCALLConfig
from earmark.models.muscall.checkpoint import load as load_muscall
from earmark.models.muscall.checkpoint import save
from earmark.models.muscall.config import AudioConfig, TextConfig
from earmark.models.registry import MODELS
from earmark.models.support.adapter import TruncationWarning
from earmark.models.support.tokenizers import BPETokenizer

CAPTIONS = ["slow soft piano", "soft piano and soft strings", "fast drums, fast bass, slow voice"]
RATE = 16_000


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    BPETokenizer.train(CAPTIONS, vocabulary_size=540, context_length=12).save(folder)
    return folder


@pytest.fixture(scope="module")
def config(tokenizer) -> MusCALLConfig:
    bpe = BPETokenizer.from_folder(tokenizer)
    return MusCALLConfig(
        audio=AudioConfig(
            n_mels=64, clip_seconds=2.0, width=4, layers=(1, 1, 1, 1), heads=4, features=12
        ),
        text=TextConfig(
            vocabulary=bpe.vocabulary_size,
            max_tokens=12,
            end_token=bpe.end,
            width=16,
            layers=2,
            heads=2,
        ),
        dimension=6,
    )


@pytest.fixture(scope="module")
def checkpoint(config, sound, tmp_path_factory) -> Path:
    """A small model whose BatchNorm has seen sounds, so that clips differ."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    torch.manual_seed(0)
    model = MusCALL(config)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        clips = [sound(2.0, RATE, seed=seed).samples for seed in range(4)]
        model.audio_features(torch.from_numpy(np.stack(clips)))
    save(model.eval(), path)
    return path


def build(checkpoint, tokenizer, **options):
    options = {"weights": str(checkpoint), "tokenizer": str(tokenizer), "device": "cpu"} | options
    return MODELS.create("muscall", options)


def test_keeps_what_an_adapter_promises(checkpoint, tokenizer, unlike, assert_adapter):
    model = build(checkpoint, tokenizer)
    assert isinstance(model, AudioEmbedder) and isinstance(model, TextEmbedder)
    assert (model.sample_rate, model.dimension) == (16_000, 6)
    with pytest.warns(TruncationWarning):
        assert_adapter(model, unlike(RATE, (2.0, 0.3, 3.1, 2.0, 1.0)))


def test_its_vectors_are_those_of_the_model(checkpoint, tokenizer, sound):
    adapter, model = build(checkpoint, tokenizer), load_muscall(checkpoint)
    clip = sound(3.0, RATE)
    middle = torch.from_numpy(clip.samples[8_000:40_000])[None]
    assert adapter.embed_audio([clip])[0] == pytest.approx(
        model.encode_audio(middle)[0].numpy(), abs=1e-5
    )
    texts = ["slow piano", "soft"]
    ids = BPETokenizer.from_folder(tokenizer).encode(texts).ids
    assert adapter.embed_text(texts) == pytest.approx(
        model.encode_text(torch.from_numpy(ids)).numpy(), abs=1e-5
    )


def test_windows_are_averaged_and_a_short_clip_is_padded_at_its_end(checkpoint, tokenizer, sound):
    model = load_muscall(checkpoint)
    windowed = build(checkpoint, tokenizer, crop="windows(2 s, 1 s)")
    clip = sound(3.5, RATE)
    starts = (0, RATE, 24_000)
    crops = torch.from_numpy(np.stack([clip.samples[s : s + 2 * RATE] for s in starts]))
    mean = model.encode_audio(crops).mean(dim=0)
    assert windowed.embed_audio([clip])[0] == pytest.approx((mean / mean.norm()).numpy(), abs=1e-5)
    short = sound(0.5, RATE)
    padded = torch.nn.functional.pad(torch.from_numpy(short.samples), (0, 24_000))[None]
    assert windowed.embed_audio([short])[0] == pytest.approx(
        model.encode_audio(padded)[0].numpy(), abs=1e-5
    )


def test_the_card_says_where_positions_are_interpolated(checkpoint, tokenizer):
    def positions(**options):
        card = build(checkpoint, tokenizer, **options).card
        told = any("positions of attention pooling are interpolated" in n for n in card.notes)
        return card.preprocessing["positions"], told, card.crop_policy

    assert positions() == ("as trained", False, "centre(2 s), short clips zero-padded")
    assert positions(crop="first(4 s)")[:2] == ("interpolated", True)
    whole = positions(crop="whole")
    assert whole == ("interpolated where a clip is not of 2 s", True, "whole")
    assert positions(crop="centre, left short")[1]


def test_average_pooling_has_no_positions(config, tokenizer, tmp_path):
    average = replace(config, audio=replace(config.audio, pooling="average"))
    save(MusCALL(average).eval(), tmp_path / "average.safetensors")
    card = build(tmp_path / "average.safetensors", tokenizer, crop="whole").card
    assert card.preprocessing["positions"] == "none: average pooling" and not card.notes[1:]


def test_the_card_is_that_of_these_weights_and_this_tokenizer(
    checkpoint, config, tokenizer, tmp_path, card_is_complete
):
    one, again = build(checkpoint, tokenizer).card, build(checkpoint, tokenizer).card
    card_is_complete(one)
    assert one == again and one.id == "muscall-small"
    assert any("not stated" in note for note in one.notes)
    told = build(checkpoint, tokenizer, training_datasets=["private"], licence="none").card
    assert told.training_datasets == ("private",) and told.licence == "none" and not told.notes
    torch.manual_seed(1)
    save(MusCALL(config).eval(), tmp_path / "small.safetensors")
    other = build(tmp_path / "small.safetensors", tokenizer).card
    assert other.id == one.id and other.weights_digest != one.weights_digest


def test_the_card_tells_tokenizers_apart(checkpoint, tokenizer, tmp_path):
    BPETokenizer.from_folder(tokenizer).save(tmp_path)
    same = build(checkpoint, tmp_path).card
    table = json.loads((tmp_path / "vocab.json").read_text(encoding="utf-8"))
    table["!"], table["a"] = table["a"], table["!"]
    (tmp_path / "vocab.json").write_text(json.dumps(table), encoding="utf-8")
    own, other = build(checkpoint, tokenizer).card, build(checkpoint, tmp_path).card
    assert own == same != other and own.weights_digest == other.weights_digest


def test_random_weights_are_drawn_with_the_seed_and_say_so(tokenizer, sound):
    state = torch.get_rng_state()
    options = {"tokenizer": str(tokenizer), "device": "cpu"}
    one, again = (muscall(weights="random", seed=7, **options) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert one.card == again.card
    assert one.card.id == "muscall-paper-untrained-seed7"
    assert one.card.weights_digest == "untrained" and "Untrained" in one.card.notes[0]
    assert one.card.crop_policy == "centre(20 s), short clips zero-padded"
    clip = sound(1.0, RATE)
    assert np.array_equal(one.embed_audio([clip]), again.embed_audio([clip]))
    other = muscall(weights="random", seed=8, preset="released", **options)
    assert other.card.id == "muscall-released-untrained-seed8"
    assert np.abs(one.embed_text(["slow"]) - other.embed_text(["slow"])).max() > 0.01


def test_a_text_of_ten_thousand_words_is_truncated_and_told(checkpoint, tokenizer):
    model = build(checkpoint, tokenizer)
    with pytest.warns(TruncationWarning, match="1 of 2 texts truncated to 12 tokens; text 1 'soft"):
        rows = model.embed_text(["soft", "soft " * 10_000])
    assert np.isfinite(rows).all()
    assert "truncated" in model.card.preprocessing["longer_texts"]


def test_reads_the_clip_vocabulary_that_lies_beside_the_data(shared_data, monkeypatch):
    monkeypatch.setenv("EARMARK_DATA", str(shared_data))
    model = muscall(weights="random", device="cpu")
    assert model.tokenizer.vocabulary_size == 49_408
    parameters = model.model.text_encoder.parameters()
    assert sum(parameter.numel() for parameter in parameters) == 37_940_736
    assert model.embed_text(["slow piano"]).shape == (1, 512)


def test_without_a_vocabulary_says_where_to_get_one(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("EARMARK_DATA", "EARMARK_SHARED_DATA", "EARMARK_CACHE"):
        monkeypatch.setenv(name, str(tmp_path))
    with pytest.raises(ModelError, match=r"no tokenizer was given.*`earmark fetch clip-bpe`"):
        muscall(weights="random")


def test_a_tokenizer_of_another_training_is_refused(checkpoint, tmp_path):
    BPETokenizer.train(CAPTIONS, vocabulary_size=520, context_length=12).save(tmp_path)
    with pytest.raises(ModelError, match=r"the tokenizer has 520 ids, end token 519"):
        build(checkpoint, tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "absent.pth.tar"}, "no checkpoint absent.pth.tar"),
        ({"weights": "random", "preset": "large"}, "no preset 'large'"),
        ({"crop": "random"}, "crop 'random'"),
        ({"tokenizer": "absent.txt.gz"}, "no vocabulary file"),
        ({"device": "gpu"}, "device 'gpu'"),
        ({"tokeniser": "x"}, "no option 'tokeniser'. Did you mean 'tokenizer'"),
    ],
)
def test_names_the_option_that_is_wrong(checkpoint, tokenizer, options, message):
    with pytest.raises(ValueError, match=message):
        build(**{"checkpoint": checkpoint, "tokenizer": tokenizer} | options)


def test_audio_at_another_rate_is_refused(checkpoint, tokenizer, sound):
    with pytest.raises(ModelError, match="clip 0 is at 44100 Hz, this model hears 16000 Hz"):
        build(checkpoint, tokenizer).embed_audio([sound(1.0, 44_100)])
