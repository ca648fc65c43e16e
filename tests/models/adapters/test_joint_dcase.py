"""The DCASE baseline as an adapter: the model's own vectors, words from anywhere, its card."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from earmark.datasets.audio import file_digest
from earmark.models.base import AudioEmbedder, ModelError, TextEmbedder
from earmark.models.dcase.checkpoint import save
from earmark.models.dcase.config import DCASEConfig
from earmark.models.dcase.model import DCASE
from earmark.models.dcase.text import Vocabulary
from earmark.models.registry import MODELS

WORDS = ["<pad>", "slow", "piano", "soft", "techno", "drum", "<UNK>"]
RATE = 44_100


@pytest.fixture(scope="module")
def model() -> DCASE:
    torch.manual_seed(0)
    table = torch.randn(len(WORDS), 20)
    table[0] = 0
    made = DCASE(table, Vocabulary(WORDS), DCASEConfig(dimension=20))
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    return made.eval()


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "small"
    save(model, folder)
    return folder


@pytest.fixture(scope="module")
def released(model, tmp_path_factory) -> tuple[Path, Path]:
    """What the released code writes, and its words."""
    folder = tmp_path_factory.mktemp("released")
    torch.save((model.state_dict(), {}), folder / "checkpoint")
    (folder / "words.json").write_text(json.dumps(WORDS))
    return folder / "checkpoint", folder / "words.json"


@pytest.fixture(scope="module")
def word2vec(tmp_path_factory) -> Path:
    """Other words and vectors, in word2vec's text format."""
    path = tmp_path_factory.mktemp("words") / "vectors.txt"
    random = np.random.default_rng(1)
    lines = [
        f"{w} {' '.join(f'{x:.6f}' for x in random.normal(size=20))}" for w in ("slow", "harp")
    ]
    path.write_text("2 20\n" + "\n".join(lines) + "\n")
    return path


def build(weights, **options):
    return MODELS.create("dcase", {"weights": str(weights), "device": "cpu"} | options)


def test_keeps_what_an_adapter_promises(folder, unlike, assert_adapter):
    model = build(folder)
    assert isinstance(model, AudioEmbedder) and isinstance(model, TextEmbedder)
    assert (model.sample_rate, model.dimension) == (RATE, 20)
    assert_adapter(model, unlike(RATE, (1.0, 0.02, 1.3, 1.0, 0.5)))


def test_its_vectors_are_those_of_the_model(folder, model, sound):
    clip = sound(1.1, RATE)
    expected = model.encode_audio([torch.from_numpy(clip.samples)]).detach().numpy()
    assert build(folder).embed_audio([clip]) == pytest.approx(expected, abs=1e-5)
    texts = ["slow soft piano", "harp"]
    found = build(folder).embed_text(texts)
    assert found == pytest.approx(model.encode_text(texts).detach().numpy(), abs=1e-5)


def test_windows_are_averaged(folder, model, sound):
    clip = sound(2.5, RATE)
    crops = [clip.samples[s : s + RATE] for s in (0, RATE, RATE + RATE // 2)]
    mean = model.encode_audio([torch.from_numpy(c) for c in crops]).mean(dim=0).detach()
    adapter = build(folder, crop="windows(1 s, 1 s)")
    assert adapter.card.crop_policy == "windows(1 s, 1 s) mean, short clips zero-padded"
    assert adapter.embed_audio([clip])[0] == pytest.approx((mean / mean.norm()).numpy(), abs=1e-5)


def test_a_released_checkpoint_is_read_with_its_words(released, folder, sound):
    path, words = released
    model = build(path, vocabulary=str(words))
    assert model.card.weights_digest == file_digest(path)
    assert np.array_equal(model.embed_text(["soft"]), build(folder).embed_text(["soft"]))


def test_without_its_words_it_hears_and_refuses_text(released, sound):
    model = build(released[0])
    assert model.embed_audio([sound(0.5, RATE)]).shape == (1, 20)
    assert any("refuses text" in note for note in model.card.notes)
    with pytest.raises(ModelError, match="loaded without the words"):
        model.embed_text(["slow"])


def test_words_of_a_file_take_the_place_of_the_checkpoints(folder, word2vec, sound):
    pytest.importorskip("gensim", reason="gensim is not installed")
    own, other = build(folder), build(folder, word_vectors=str(word2vec))
    clip = sound(0.5, RATE)
    assert np.array_equal(own.embed_audio([clip]), other.embed_audio([clip]))
    slow = np.array([float(x) for x in word2vec.read_text().split("\n")[1].split()[1:]])
    assert other.embed_text(["slow"])[0] == pytest.approx(slow / np.linalg.norm(slow), abs=1e-5)
    assert any("replaced by those of vectors.txt" in note for note in other.card.notes)
    assert own.card.preprocessing["words_sha256"] != other.card.preprocessing["words_sha256"]


def test_random_weights_take_words_trained_on_captions(tmp_path, sound):
    pytest.importorskip("gensim", reason="gensim is not installed")
    captions = tmp_path / "captions.csv"
    captions.write_text("id,caption\n1,slow soft piano\n2,soft harp and slow voice\n")
    state = torch.get_rng_state()
    one, again = (build("random", captions=str(captions), seed=3) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert one.card == again.card and one.card.id == "dcase-untrained-seed3"
    assert one.card.weights_digest == "untrained" and one.dimension == 300
    assert np.array_equal(one.embed_text(["slow harp"]), again.embed_text(["slow harp"]))
    clip = sound(0.3, RATE)
    other = build("random", captions=str(captions), seed=4)
    assert np.abs(one.embed_audio([clip]) - other.embed_audio([clip])).max() > 0.01


def test_the_card_is_that_of_these_weights(folder, card_is_complete):
    one = build(folder).card
    card_is_complete(one)
    assert one == build(folder).card and one.id == "dcase-small"
    assert one.crop_policy == "whole"
    assert one.preprocessing["hop_length"] == 882 and one.preprocessing["sample_rate"] == RATE
    told = build(folder, training_datasets=["clotho"]).card
    assert told.training_datasets == ("clotho",) and told.notes == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either word_vectors, a word2vec file, or captions"),
        ({"captions": "a.csv", "word_vectors": "b.txt"}, "either word_vectors"),
        ({"captions": "absent.txt"}, "texts absent.txt cannot be read"),
        ({"word_vectors": "absent.txt"}, "no file of word vectors"),
        ({"vocabulary": "words.json"}, "random weights have none"),
        ({"weights": "absent"}, "no checkpoint absent"),
        ({"weights": "absent", "captions": "a.txt"}, "not of a checkpoint"),
        ({"weight": "absent"}, "no option 'weight'. Did you mean 'weights'"),
    ],
)
def test_names_the_option_that_is_wrong(options, message):
    with pytest.raises(ValueError, match=message):
        build(**{"weights": "random"} | options)


def test_words_are_given_in_one_way(released, word2vec):
    path, words = released
    with pytest.raises(ModelError, match="a vocabulary or word_vectors, not both"):
        build(path, vocabulary=str(words), word_vectors=str(word2vec))


def test_audio_at_another_rate_is_refused(folder, sound):
    with pytest.raises(ModelError, match="clip 0 is at 16000 Hz, this model hears 44100 Hz"):
        build(folder).embed_audio([sound(1.0, 16_000)])
