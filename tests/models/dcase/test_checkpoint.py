"""Saving and loading, and every file that is not a checkpoint of this model."""

from __future__ import annotations

import json
import pickle
from collections import OrderedDict

import pytest
import torch

from earmark.models.base import ModelError
from earmark.models.dcase.checkpoint import load, save
from earmark.models.dcase.config import DCASEConfig, FrontEndConfig


@pytest.fixture
def released(make_model, tmp_path):
    """Return the path of a checkpoint as the released code writes it, and its model."""
    model = make_model()
    path = tmp_path / "checkpoint_000003" / "checkpoint"
    path.parent.mkdir()
    state = OrderedDict(model.state_dict())
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad]).state_dict()
    torch.save((state, optimiser), path)
    return path, model


def rewrite(path, change) -> None:
    state, optimiser = torch.load(path, weights_only=True)
    torch.save((change(state), optimiser), path)


def assert_same(model, other, sound) -> None:
    clips, texts = [sound(0, 0.4), sound(1, 0.2)], ["slow piano", "Fast zither"]
    with torch.no_grad():
        assert torch.equal(model.encode_audio(clips), other.encode_audio(clips))
        assert torch.equal(model.encode_text(texts), other.encode_text(texts))
    assert not other.training


@pytest.mark.parametrize("objective", ["triplet", "contrastive"])
def test_a_saved_model_is_the_same_when_loaded(make_model, sound, tmp_path, objective):
    model = make_model(objective=objective, margin=0.5, front_end=FrontEndConfig(f_max=7000.0))
    save(model, tmp_path / "deep" / "model")
    again = load(tmp_path / "deep" / "model")
    assert again.config == model.config
    assert again.vocabulary.words == model.vocabulary.words
    assert_same(model, again, sound)


def test_loads_what_the_released_code_writes(released, words, sound, tmp_path):
    path, model = released
    listed = tmp_path / "words.json"
    listed.write_text(json.dumps(words), encoding="utf-8")
    for place in (path, path.parent):
        assert_same(model, load(place, vocabulary=words), sound)
        assert_same(model, load(place, vocabulary=listed), sound)
    assert load(path, config=DCASEConfig(dropout=0.1)).config.dropout == 0.1


def test_the_names_are_those_of_the_released_model(make_model):
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names = {f"cnn.features.{layer}.{part}" for layer in (0, 4, 7, 11, 14) for part in norm}
    names |= {f"cnn.features.{layer}.weight" for layer in (1, 5, 8, 12, 15)}
    names |= {
        f"gru.{kind}_{gate}_l0{way}"
        for kind in ("weight", "bias")
        for gate in ("ih", "hh")
        for way in ("", "_reverse")
    }
    expected = {f"audio_enc.{name}" for name in names} | {"text_enc.word_enc.embedding.weight"}
    assert set(make_model().state_dict()) == expected


def test_missing_and_unexpected_names_are_listed(released):
    path, _ = released
    rewrite(
        path,
        lambda state: {
            ("extra.weight" if name == "audio_enc.gru.bias_ih_l0" else name): value
            for name, value in state.items()
        },
    )
    with pytest.raises(
        ModelError, match=r"Missing 1: audio_enc\.gru\.bias_ih_l0\. Not expected 1: extra\.weight"
    ):
        load(path)


def test_weights_of_another_architecture_are_named_with_their_shapes(released):
    path, _ = released
    rewrite(
        path, lambda state: {**state, "audio_enc.cnn.features.1.weight": torch.ones(16, 1, 3, 3)}
    )
    with pytest.raises(
        ModelError,
        match=r"features\.1\.weight \(16, 1, 3, 3\) for \(32, 1, 3, 3\)",
    ):
        load(path)


def test_weights_of_another_model_are_refused(released):
    path, _ = released
    rewrite(
        path,
        lambda state: {"logit_scale": torch.ones(()), "audio_backbone.conv1.weight": torch.ones(8)},
    )
    with pytest.raises(
        ModelError, match=r"no table .*found audio_backbone\.conv1\.weight, logit_scale"
    ):
        load(path)


def test_weights_that_are_not_finite_are_named(released):
    path, _ = released
    rewrite(
        path, lambda state: {**state, "audio_enc.gru.bias_hh_l0": torch.full((450,), torch.nan)}
    )
    with pytest.raises(ModelError, match=r"not finite: audio_enc\.gru\.bias_hh_l0"):
        load(path)


@pytest.mark.parametrize("content", [{"state_dict": {}}, ({},), [{}, {}], ({}, {}, {})])
def test_a_file_that_holds_something_else_is_named(released, content):
    path, _ = released
    torch.save(content, path)
    with pytest.raises(ModelError, match=r"expected a tuple \(model_state_dict, optimizer"):
        load(path)


def test_entries_that_are_no_tensors_are_named(released):
    path, _ = released
    rewrite(path, lambda state: {**state, "epoch": 3})
    with pytest.raises(ModelError, match="no tensors: epoch"):
        load(path)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.99])
def test_a_truncated_file_is_named(released, part):
    path, _ = released
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(ModelError, match=r"is truncated|truncated, or no|no checkpoint, or"):
        load(path)


class Bomb:
    def __reduce__(self):
        return (open, ("ran", "w"))


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_pickled_code_is_not_run(released, monkeypatch, tmp_path, writer):
    path, _ = released
    monkeypatch.chdir(tmp_path)
    if writer == "torch":
        torch.save((Bomb(), {}), path)
    else:
        path.write_bytes(pickle.dumps((Bomb(), {}), protocol=2))
    with pytest.raises(ModelError, match="pickled code, which is never run"):
        load(path)
    assert not (tmp_path / "ran").exists()


def test_names_a_checkpoint_that_is_absent(tmp_path):
    with pytest.raises(ModelError, match=r"no checkpoint .*absent"):
        load(tmp_path / "absent")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda words: [*words[:-2], "<UNK>"], r"8 words have vectors of shape \(9, 300\)"),
        (lambda words: [*words[1:], "more"], "begins with '<pad>'"),
        (lambda words: [*words[:-2], "slow", "<UNK>"], "'slow' twice"),
    ],
)
def test_names_a_vocabulary_that_is_not_of_the_table(released, words, change, message):
    with pytest.raises(ModelError, match=message):
        load(released[0], vocabulary=change(words))


@pytest.mark.parametrize("content", ["{", '{"slow": 1}', "[1, 2]", "null"])
def test_names_a_vocabulary_file_that_is_no_list_of_words(released, tmp_path, content):
    path = tmp_path / "words.json"
    path.write_text(content)
    with pytest.raises(ModelError, match=r"words\.json: .*(not JSON|expected a JSON list)"):
        load(released[0], vocabulary=path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", "{}", "not a earmark-dcase-1 config"),
        ("config.json", "[]", "not a earmark-dcase-1 config"),
        ("config.json", "{", "not JSON"),
        ("config.json", '{"format": "earmark-dcase-1"}', "front_end"),
        ("config.json", '{"format": "earmark-dcase-1", "front_end": {"bands": 3}}', "bands"),
        ("model.safetensors", "nothing", "cannot be read as safetensors"),
        ("vocabulary.json", "[]", "a vocabulary begins with"),
        ("vocabulary.json", "3", "expected a JSON list of words"),
    ],
)
def test_names_the_file_of_a_folder_that_is_damaged(make_model, tmp_path, name, content, message):
    save(make_model(), tmp_path)
    (tmp_path / name).write_text(content)
    with pytest.raises(ModelError, match=message):
        load(tmp_path)


def test_a_folder_without_its_weights_is_named(make_model, tmp_path):
    save(make_model(), tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no weights .*model\.safetensors"):
        load(tmp_path)


def test_a_folder_has_its_own_words(make_model, words, tmp_path):
    save(make_model(), tmp_path)
    with pytest.raises(ModelError, match="its own vocabulary and config"):
        load(tmp_path, vocabulary=words)


def test_a_model_without_words_is_saved_without_them(released, tmp_path):
    model = load(released[0])
    save(model, tmp_path / "model")
    assert load(tmp_path / "model").vocabulary is None
