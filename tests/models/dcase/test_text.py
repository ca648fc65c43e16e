"""Splitting texts into words, and looking those up."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from earmark.models.base import ModelError
from earmark.models.dcase.text import Vocabulary, WordMean, split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \t\n!?…—", []),
        ("Low-quality recording.", ["Low", "quality", "recording"]),
        ("hip–hop/R&B_mix", ["hip", "hop", "R", "B", "mix"]),
        ("the singer's voices' echo", ["the", "singer", "voices", "echo"]),
        ("the singer\u2019s", ["the", "singer"]),
        ("It's slow", ["It", "slow"]),
        (
            "doesn't, can't, Won't, shan't",
            ["does", "not", "can", "not", "will", "not", "shall", "not"],
        ),
        (
            "they're we've I'll I'm he'd",
            ["they", "are", "we", "have", "I", "will", "I", "am", "he", "would"],
        ),
        ("120 BPM, 12/8", ["120", "BPM", "12", "8"]),
        ("cafe\u0301", ["caf\u00e9"]),
        ("गिटार और तबला", ["गिटार", "और", "तबला"]),
        ("静かな 曲", ["静かな", "曲"]),
        ("a\x00b\x07c\ud800d", ["a", "b", "c", "d"]),
        ("<UNK> <pad>", ["UNK", "pad"]),
    ],
)
def test_splits_as_documented(text, words):
    assert split_words(text) == words


@given(st.text(max_size=80))
def test_any_text_has_words_that_are_split_no_further(text):
    for word in split_words(text):
        assert split_words(word) == [word]


@pytest.mark.parametrize(
    ("text", "rows", "unknown"),
    [
        ("slow piano", [1, 2], ()),
        ("Slow PIANO", [1, 2], ()),
        ("English", [3], ()),
        ("english slow", [8, 1], ("english",)),
        ("a slow, unheard-of piano", [8, 1, 8, 8, 2], ("a", "unheard", "of")),
        ("", [8], ()),
        ("?!", [8], ()),
        ("<pad> <UNK>", [8, 8], ("pad", "UNK")),
    ],
)
def test_looks_up_the_word_itself_then_its_lower_case_else_unknown(words, text, rows, unknown):
    found = Vocabulary(words).look_up([text])
    assert found.ids.tolist() == [rows]
    assert found.lengths.tolist() == [len(rows)]
    assert found.unknown == (unknown,)


def test_texts_are_padded_with_zero_to_the_longest(words):
    found = Vocabulary(words).look_up(["slow", "slow fast guitar rock"])
    assert found.ids.tolist() == [[1, 0, 0, 0], [1, 7, 4, 5]]
    assert Vocabulary(words).look_up([]).ids.shape[0] == 0


def test_ten_thousand_words_are_all_read(words):
    assert Vocabulary(words).look_up(["slow " * 10_000]).lengths.tolist() == [10_000]


@pytest.mark.parametrize(
    ("texts", "message"),
    [("slow", "a list of texts, got the one text 'slow'"), (["a", 3], "text 1 is 3")],
)
def test_refuses_what_is_no_list_of_texts(words, texts, message):
    with pytest.raises(ModelError, match=message):
        Vocabulary(words).look_up(texts)


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ([], "got 0 words"),
        (["slow", "<pad>", "<UNK>"], r"begins with '<pad>'.*\['slow'"),
        (["<pad>", "slow"], "holds '<UNK>'"),
        (["<pad>", "slow", "fast", "slow", "<UNK>"], "the word 'slow' twice"),
    ],
)
def test_names_what_is_wrong_with_a_vocabulary(listed, message):
    with pytest.raises(ModelError, match=message):
        Vocabulary(listed)


def test_a_text_is_the_mean_of_its_words_whatever_the_padding():
    vectors = torch.tensor([[9.0, 9.0], [1.0, 0.0], [0.0, 2.0], [3.0, 4.0]])
    mean = WordMean(vectors)
    ids = torch.tensor([[1, 2, 3, 1], [3, 0, 0, 0]])
    assert mean(ids, torch.tensor([2, 1])).tolist() == [[0.5, 1.0], [3.0, 4.0]]
    assert not any(parameter.requires_grad for parameter in mean.parameters())
