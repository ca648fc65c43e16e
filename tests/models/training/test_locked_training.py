"""Projections of frozen towers: a planted map is found, and nothing but pairs and seed decides."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.datasets.base import DataError
from earmark.datasets.captions.stored_pairs import load_pairs, read_item_texts
from earmark.models.adapters.locked import load_learned, locked, save_learned
from earmark.models.base import ModelError
from earmark.models.muscall.losses import Rows, info_nce
from earmark.models.training.config import (
    ProjectionConfig,
    is_locked,
    load_locked_config,
)
from earmark.models.training.locked import (
    multi_positive_info_nce,
    shared,
    texts_of,
    train_locked,
    train_projections,
)

SMALL = ProjectionConfig(epochs=8, batch_size=64, learning_rate=3e-3, ridge=1.0)


def planted(*, n=160, n_audio=12, n_text=8, noise=0.05, seed=0):
    """Audio vectors that are a fixed linear map of their texts' vectors, and noise."""
    draws = np.random.default_rng(seed)
    text = draws.standard_normal((n, n_text))
    audio = text @ draws.standard_normal((n_text, n_audio)) + 3
    pairs = np.stack([np.arange(n)] * 2, axis=1)
    return audio + noise * draws.standard_normal(audio.shape), text, pairs


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def recall_at_1(found, audio, text):
    return np.mean(
        (unit(found.text(text)) @ unit(found.audio(audio)).T).argmax(1) == range(len(text))
    )


@pytest.mark.parametrize("start", ["ridge", "random"])
def test_a_planted_map_is_found_on_items_that_were_not_seen(start):
    audio, text, pairs = planted()
    config = replace(SMALL, start=start, epochs=8 if start == "ridge" else 150, dropout=0.0)
    config = replace(config, learning_rate=3e-3 if start == "ridge" else 2e-2, text_rate=1.0)
    found = train_projections(audio[:120], text[:120], pairs[:120], config=config)
    assert recall_at_1(found, audio[120:], text[120:]) >= 0.9
    assert found.losses[-1] < found.losses[0]


def test_shuffled_pairs_teach_nothing():
    audio, text, pairs = planted()
    wrong = pairs.copy()
    wrong[:, 1] = np.random.default_rng(1).permutation(len(pairs))
    found = train_projections(audio[:120], text[:120], wrong[wrong.max(axis=1) < 120], config=SMALL)
    assert recall_at_1(found, audio[120:], text[120:]) < 0.25


def test_a_smaller_space_keeps_what_tells_items_apart():
    audio, text, pairs = planted(n_text=8)
    text = np.hstack([text, 0.01 * np.random.default_rng(5).standard_normal((len(text), 8))])
    found = train_projections(audio, text, pairs, config=replace(SMALL, dimension=8))
    assert found.audio.matrix.shape == (12, 8) and found.text.matrix.shape == (16, 8)
    assert recall_at_1(found, audio, text) >= 0.9


def test_equal_seeds_give_equal_bits_and_others_do_not():
    audio, text, pairs = planted(noise=1.0)
    first, again, other = (
        train_projections(audio, text, pairs, config=SMALL, seed=seed) for seed in (3, 3, 4)
    )
    assert np.array_equal(first.audio.matrix, again.audio.matrix)
    assert np.array_equal(first.text.matrix, again.text.matrix)
    assert first.temperature == again.temperature and first.losses == again.losses
    assert not np.array_equal(first.audio.matrix, other.audio.matrix)


def test_the_global_random_state_is_neither_read_nor_moved():
    audio, text, pairs = planted()
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = train_projections(audio, text, pairs, config=SMALL)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(1)
    assert np.array_equal(
        first.audio.matrix, train_projections(audio, text, pairs, config=SMALL).audio.matrix
    )


def test_a_projection_that_is_not_learned_stays_as_it_started():
    audio, text, pairs = planted()
    found = train_projections(audio, text, pairs, config=replace(SMALL, text_rate=0.0))
    assert np.array_equal(found.text.matrix, np.eye(8))
    assert not np.array_equal(
        found.audio.matrix,
        train_projections(
            audio, text, pairs, config=replace(SMALL, learning_rate=1e-9)
        ).audio.matrix,
    )


@given(n=st.integers(2, 12), seed=st.integers(0, 999))
def test_without_shared_texts_the_loss_is_info_nce(n, seed):
    logits = torch.randn(n, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    texts = torch.eye(n, dtype=torch.float64)
    expected = info_nce(Rows.alone(logits), Rows.alone(texts), scale=1.0, combination="mean")
    found = multi_positive_info_nce(logits, torch.eye(n, dtype=torch.bool))
    assert found.item() == pytest.approx(expected.item(), abs=1e-12)


@given(n=st.integers(2, 10), seed=st.integers(0, 999))
@settings(max_examples=30)
def test_several_positives_are_the_mean_over_them_outside_the_logarithm(n, seed):
    draws = np.random.default_rng(seed)
    logits = draws.standard_normal((n, n))
    groups = draws.integers(0, 3, n)
    same = groups[:, None] == groups[None, :]
    expected = 0.0
    for side in (logits, logits.T):
        log_p = side - np.log(np.exp(side).sum(axis=1, keepdims=True))
        expected -= np.mean([log_p[i, same[i]].mean() for i in range(n)]) / 2
    found = multi_positive_info_nce(torch.from_numpy(logits), torch.from_numpy(same))
    assert found.item() == pytest.approx(expected, abs=1e-12)


def test_pairs_are_positives_where_they_share_the_item_or_the_text():
    found = shared(torch.tensor([[0, 0], [0, 1], [1, 1], [2, 2]]))
    expected = [[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1]]
    assert torch.equal(found, torch.tensor(expected, dtype=torch.bool))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, t, p: (np.where(a > 3, np.nan, a), t, p), r"audio vector \d+ is not finite"),
        (lambda a, t, p: (a, np.where(t > 0, np.inf, t), p), r"text vector \d+ is not finite"),
        (lambda a, t, p: (a[0], t, p), r"audio vectors have shape \(12,\)"),
        (lambda a, t, p: (a, t[:, :0], p), "text vectors have shape"),
        (lambda a, t, p: (a, t, p[:1]), "at least 2 pairs"),
        (lambda a, t, p: (a, t, p.astype(float)), "whole numbers"),
        (lambda a, t, p: (a, t, p + 1), "not of the 160 items and 160 texts"),
        (lambda a, t, p: (a, t, p - 1), "not of the 160 items and 160 texts"),
        (lambda a, t, p: (np.ones_like(a), t, p), "all audio vectors are alike"),
        (lambda a, t, p: (a, np.ones_like(t), p), "all text vectors are alike"),
    ],
)
def test_what_cannot_be_learned_from_is_named(change, message):
    with pytest.raises(ModelError, match=message):
        train_projections(*change(*planted()), config=SMALL)


def test_a_space_larger_than_that_of_texts_needs_a_random_start():
    with pytest.raises(ModelError, match=r'dimension is 9, .* take start = "random"'):
        train_projections(*planted(), config=replace(SMALL, dimension=9))


# The files: a text tower and stored embeddings that the test makes itself.


@pytest.fixture
def config_file(tmp_path):
    audio, _, _ = planted(n=40)
    names = np.array([f"item{number:02}" for number in range(40)])
    np.savez(tmp_path / "means.npz", songids=names, embeddings=audio.astype(np.float32))
    rows = [
        {"id": name, "genres": [f"genre {number % 9}"] + ["shared"] * (number == 3)}
        for number, name in enumerate(names.tolist())
    ]
    (tmp_path / "genres.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = tmp_path / "locked.toml"
    path.write_text(
        'preset = "locked"\nseed = 2\n'
        '[data]\nembeddings = "means.npz"\ntexts = "genres.jsonl"\ntext_key = "genres"\n'
        'datasets = ["invented"]\nlicence = "CC0"\n'
        '[audio]\nloader = "random"\ndimension = 12\n'
        '[text]\nloader = "random"\ndimension = 8\n'
        "[training]\nepochs = 2\nbatch_size = 16\n"
    )
    return path


def test_a_config_becomes_a_weights_file_with_its_facts(config_file, tmp_path):
    learned = train_locked(load_locked_config(config_file), tmp_path / "out")
    read = load_learned(tmp_path / "out" / "weights.safetensors")
    assert read.facts == learned.facts and read.audio_tower == learned.audio_tower
    assert (read.facts["items"], read.facts["pairs"], read.facts["texts"]) == (40, 41, 10)
    assert read.datasets == ("invented",) and read.licence == "CC0"
    assert np.array_equal(read.audio.matrix, learned.audio.matrix)


def test_the_log_says_how_each_epoch_ended_and_the_adapter_finds_it(config_file, tmp_path):
    learned = train_locked(load_locked_config(config_file), tmp_path / "out")
    lines = (tmp_path / "out" / "metrics.csv").read_text().splitlines()
    assert lines[0] == "step,epoch,loss,learning_rate,temperature"
    # 41 pairs in batches of at most 16 are 3 steps an epoch.
    assert [line.split(",")[:2] for line in lines[1:]] == [["3", "1"], ["6", "2"]]
    log = locked(weights=str(tmp_path / "out")).training_log
    assert log.columns == tuple(lines[0].split(",")) and len(log.rows) == 2
    assert log.rows[-1][-1] == pytest.approx(learned.temperature, rel=1e-6)
    assert log.rows[0][3] > log.rows[1][3] > 0, "the rate falls by a cosine"
    assert locked(weights=str(tmp_path / "out" / "weights.safetensors")).training_log is None
    # As an older version wrote it: no steps, no log.
    (tmp_path / "out" / "metrics.csv").write_text("epoch,loss\n1,0.5\n")
    assert locked(weights=str(tmp_path / "out")).training_log is None


def test_the_same_config_writes_the_same_bytes_whatever_the_order_of_the_files(
    config_file, tmp_path
):
    train_locked(load_locked_config(config_file), tmp_path / "one")
    with np.load(tmp_path / "means.npz") as kept:
        ids, rows = kept["songids"][::-1], kept["embeddings"][::-1]
    np.savez(tmp_path / "means.npz", songids=ids, embeddings=rows)
    lines = (tmp_path / "genres.jsonl").read_text().splitlines()
    (tmp_path / "genres.jsonl").write_text("\n".join(lines[::-1]) + "\n")
    train_locked(load_locked_config(config_file), tmp_path / "two")
    files = [tmp_path / run / "weights.safetensors" for run in ("one", "two")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_several_texts_are_pairs_of_their_own_or_one_text(config_file, tmp_path):
    pairs = load_pairs(tmp_path / "means.npz", tmp_path / "genres.jsonl", text_key="genres")
    texts, rows = texts_of(pairs, ProjectionConfig(several="joined"))
    assert "genre 3, shared music" in texts and len(rows) == 40
    texts, rows = texts_of(pairs, ProjectionConfig(template="{}"))
    assert texts == sorted(texts) and "shared" in texts and len(rows) == 41


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs = 2", "epoch = 2", r"unknown key 'training.epoch'. Did you mean 'epochs'\?"),
        ("text_key", "text_keys", r"Did you mean 'text_key'\?"),
        ("seed = 2", "sede = 2", r"Did you mean 'seed'\?"),
        ("epochs = 2", "epochs = 0", "epochs is 0, expected 1 or more"),
        ("epochs = 2", "dropout = 1.0", "dropout is 1.0"),
        ("epochs = 2", "temperature = 0", "temperature is 0"),
        ("epochs = 2", 'template = "music"', "must hold"),
        ("epochs = 2", 'epochs = "many"', "training.epochs"),
        (
            'loader = "random"\ndimension = 12',
            "dimension = 12",
            "audio: needs the key 'loader'",
        ),
        ('embeddings = "means.npz"', "", "data.embeddings is missing"),
        ('preset = "locked"', "preset = locked", "is not TOML"),
        ('preset = "locked"', 'preset = "tiny"', "expected preset"),
    ],
)
def test_a_config_that_is_not_understood_is_refused(config_file, old, new, message):
    text = config_file.read_text()
    assert old in text
    config_file.write_text(text.replace(old, new))
    with pytest.raises(ModelError, match=message):
        load_locked_config(config_file)


def test_only_configs_of_the_preset_are_of_the_preset(config_file, tmp_path):
    assert is_locked(config_file)
    other = tmp_path / "other.toml"
    other.write_text('preset = "tiny"')
    assert not is_locked(other) and not is_locked(tmp_path / "absent.toml")


def test_embeddings_of_another_embedder_are_refused(config_file, tmp_path):
    config_file.write_text(config_file.read_text().replace("dimension = 12", "dimension = 13"))
    with pytest.raises(ModelError, match=r"stored embeddings have 12 values, those of random.+ 13"):
        train_locked(load_locked_config(config_file), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"id": "x", "caption": "one"}\n{"id": "x", "caption": "two"}\n', "on line 1"),
        ("a.jsonl", '{"id": "x"}\n', "expected the keys 'id' and 'caption'"),
        ("a.jsonl", '{"id": "x", "caption": 3}\n', "expected a text or a list"),
        ("a.jsonl", "{\n", "is not JSON"),
        ("a.csv", "id,text\nx,one\n", "expected the keys"),
    ],
)
def test_texts_that_cannot_be_read_are_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        read_item_texts(path)


def test_an_item_of_a_table_has_as_many_texts_as_lines(tmp_path):
    path = tmp_path / "texts.csv"
    path.write_text("id,caption\nx,one\ny, \nx,two\nx,one\n")
    assert read_item_texts(path) == {"x": ("one", "two")}


def test_items_without_a_partner_are_left_out_and_counted(tmp_path):
    np.savez(tmp_path / "e.npz", songids=["a", "b", "c"], embeddings=np.eye(3))
    (tmp_path / "t.csv").write_text("id,caption\nc,three\na,one\nz,none\n")
    pairs = load_pairs(tmp_path / "e.npz", tmp_path / "t.csv")
    assert pairs.ids == ("a", "c") and pairs.texts == (("one",), ("three",))
    assert np.array_equal(pairs.embeddings, np.eye(3)[[0, 2]])
    assert (pairs.without_text, pairs.without_embedding) == (1, 1)


def test_a_file_of_embeddings_with_an_item_twice_or_without_any_pair_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("id,caption\nc,three\na,one\n")
    np.savez(tmp_path / "e.npz", songids=["a", "a"], embeddings=np.eye(2))
    with pytest.raises(DataError, match="more than one row of a"):
        load_pairs(tmp_path / "e.npz", tmp_path / "t.csv")
    np.savez(tmp_path / "e.npz", songids=["a", "b"], embeddings=np.eye(2))
    with pytest.raises(DataError, match="1 items have both"):
        load_pairs(tmp_path / "e.npz", tmp_path / "t.csv")
    np.savez(tmp_path / "e.npz", songids=["a", "c"], embeddings=np.array([[1.0, 0], [np.nan, 1]]))
    with pytest.raises(DataError, match="not finite for c"):
        load_pairs(tmp_path / "e.npz", tmp_path / "t.csv")
    (tmp_path / "e.npz").write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(DataError, match=r"embeddings .*e.npz"):
        load_pairs(tmp_path / "e.npz", tmp_path / "t.csv")


def test_a_file_that_is_not_of_projections_is_refused(config_file, tmp_path):
    learned = train_locked(load_locked_config(config_file), tmp_path / "out")
    path = tmp_path / "out" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ModelError, match="cannot be read as safetensors"):
        load_learned(path)
    with pytest.raises(ModelError, match=r'preset = "locked"'):
        load_learned(tmp_path / "absent.safetensors")
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(2)}, path)
    with pytest.raises(ModelError, match="holds no projections"):
        load_learned(path)
    broken = replace(learned, audio=replace(learned.audio, matrix=np.full((12, 8), np.nan)))
    with pytest.raises(ModelError, match=r"audio\.matrix has values that are not finite"):
        save_learned(broken, path)
