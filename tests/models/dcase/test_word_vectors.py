"""Word vectors from every format of gensim, or trained; and files that are none."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
from itertools import permutations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from earmark.models.base import ModelError
from earmark.models.dcase.text import Vocabulary, WordVectors, read_word_vectors, train_word_vectors

gensim = pytest.importorskip("gensim", reason="gensim is not installed")

LISTED = ["</s>", "slow", "piano", "English", "guitar", "<pad>", "<UNK>"]
ROWS = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)
SOFT, HARD = ["slow", "soft", "piano", "ballad", "calm"], ["fast", "hard", "techno", "drum", "loud"]
SENTENCES = [" ".join(order) for words in (SOFT, HARD) for order in permutations(words)]


@pytest.fixture
def keyed():
    vectors = gensim.models.KeyedVectors(5)
    vectors.add_vectors(LISTED, ROWS)
    return vectors


@pytest.mark.parametrize("kind", ["text", "binary", "text.gz", "binary.gz"])
def test_every_format_gives_the_same_table(keyed, tmp_path, kind):
    path = tmp_path / f"vectors.{kind}"
    keyed.save_word2vec_format(str(path), binary="binary" in kind)
    table = read_word_vectors(path)
    kept = ["</s>", "slow", "piano", "English", "guitar"]
    assert table.vocabulary.words == ("<pad>", *kept, "<UNK>")
    assert table.dimension == 5 and table.vectors.dtype == torch.float32
    assert not table.vectors[0].any()
    assert np.allclose(table.vectors[1:6].numpy(), ROWS[:5], atol=1e-6)


def test_unknown_is_drawn_like_the_words_and_by_the_seed(keyed, tmp_path):
    path = tmp_path / "vectors.bin"
    keyed.save_word2vec_format(str(path), binary=True)
    own = ROWS[:5]
    drawn = np.random.default_rng(16).standard_normal(5)
    expected = own.mean(axis=0) + own.std(axis=0) * drawn
    assert np.allclose(read_word_vectors(path).vectors[-1].numpy(), expected, atol=1e-6)
    other = read_word_vectors(path, seed=17).vectors
    assert not torch.equal(other[-1], read_word_vectors(path).vectors[-1])
    assert torch.equal(other[:-1], read_word_vectors(path).vectors[:-1])


def test_keeps_only_words_of_the_texts_if_texts_are_given(keyed, tmp_path):
    path = tmp_path / "vectors.bin"
    keyed.save_word2vec_format(str(path), binary=True)
    table = read_word_vectors(path, texts=["A Slow guitar", "English?"])
    assert table.vocabulary.words == ("<pad>", "slow", "English", "guitar", "<UNK>")
    assert np.allclose(table.vectors[1:4].numpy(), ROWS[[1, 3, 4]])
    with pytest.raises(ModelError, match="none of its 7 words occurs in the texts"):
        read_word_vectors(path, texts=["zither"])


def test_a_pickle_is_not_opened(keyed, tmp_path):
    path = tmp_path / "vectors.kv"
    keyed.save(str(path))
    with pytest.raises(ModelError, match=r"a pickle, which can run any code.*save_word2vec_format"):
        read_word_vectors(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"first line is '<words> <dimension>', got b''"),
        (b"the 0.1 0.2 0.3\n", "first line is '<words> <dimension>'"),
        (b"0 5\n", "first line is '<words> <dimension>'"),
        (b"3 2\nslow 0.1 0.2\nfast 0.3 0.4\n", r"damaged word vectors \(text\)"),
        (b"3 2\nslow 0.1 0.2\nfast 0.3\nhard 0.1 0.2\n", r"damaged word vectors \(text\)"),
        (b"2 4\nslow \x00\x01\x02\xff", r"damaged word vectors \(binary\)"),
        (gzip.compress(b"2 2\na 1 2\nb 3 4\n" * 99, mtime=0)[:-20], "damaged word vectors"),
        (b"\x1f\x8b\x08\x00no deflate stream at all, none", "damaged word vectors"),
        (b"\x80\x04broken", "a pickle"),
    ],
)
def test_names_a_file_that_is_damaged_or_none(tmp_path, content, message):
    path = tmp_path / "vectors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=message):
        read_word_vectors(path)


def test_names_a_file_that_is_absent(tmp_path):
    with pytest.raises(ModelError, match="no file of word vectors"):
        read_word_vectors(tmp_path / "absent.bin")


def test_names_the_words_whose_vectors_are_not_finite(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("2 2\nslow 0.1 nan\nfast 0.3 0.4\n")
    with pytest.raises(ModelError, match="not finite: slow"):
        read_word_vectors(path)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (torch.ones(2, 4), r"3 words have vectors of shape \(2, 4\)"),
        (torch.ones(3), r"3 words have vectors of shape \(3,\)"),
        (torch.tensor([[0.0], [1.0], [0.0]]), "vector of <UNK> is all 0"),
    ],
)
def test_names_a_table_that_cannot_be(vectors, message):
    with pytest.raises(ModelError, match=message):
        WordVectors(Vocabulary(["<pad>", "slow", "<UNK>"]), vectors)


def test_training_puts_words_of_one_company_together():
    table = train_word_vectors(SENTENCES, dimension=20, epochs=100)
    rows = {word: table.vectors[row] for row, word in enumerate(table.vocabulary.words)}

    def likeness(first: str, second: str) -> float:
        return F.cosine_similarity(rows[first], rows[second], dim=0).item()

    apart = [likeness(first, second) for first in SOFT for second in HARD]
    for company in (SOFT, HARD):
        assert min(likeness(*pair) for pair in permutations(company, 2)) > max(apart) + 0.2


def test_training_gives_the_same_vectors_in_another_process():
    table = train_word_vectors(SENTENCES[:40], dimension=20, seed=3)
    code = (
        "import hashlib, json, sys; from earmark.models.dcase.text import *;"
        "table = train_word_vectors(json.load(sys.stdin), dimension=20, seed=3);"
        "print(hashlib.sha256(table.vectors.numpy().tobytes()).hexdigest())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(SENTENCES[:40]),
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == hashlib.sha256(table.vectors.numpy().tobytes()).hexdigest()
    other = train_word_vectors(SENTENCES[:40], dimension=20, seed=4)
    assert not torch.equal(other.vectors, table.vectors)


@pytest.mark.parametrize("texts", [[], ["?!", ""]])
def test_does_not_train_on_nothing(texts):
    with pytest.raises(ModelError, match=f"no word in {len(texts)} texts"):
        train_word_vectors(texts)


def test_names_the_package_that_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "gensim.models", None)
    with pytest.raises(ModelError, match=r"needs? the package gensim.*pip install 'gensim>="):
        train_word_vectors(["slow piano"])
