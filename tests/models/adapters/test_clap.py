"""CLAP: windows of the whole clip, nothing at random, broken weights refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny_encoders
import torch

from earmark.models.adapters.clap import CLAP, TRAINED_ON
from earmark.models.base import AudioEmbedder, ModelError, TextEmbedder
from earmark.models.registry import MODELS
from earmark.models.support.adapter import TruncationWarning

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

RATE = 48_000
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "Ġ", *"abcdefghijklmnopqrstuvwxyzĠ,."[:26], "<mask>"]


def write_clap(folder: Path, *, fusion: bool) -> Path:
    """Write a small CLAP with random weights, as ``save_pretrained`` lays one out."""
    tokenizers = pytest.importorskip("tokenizers")
    pieces = [*PIECES, *(c for c in "0123456789!?'-" if c not in PIECES)]
    bpe = tokenizers.Tokenizer(
        tokenizers.models.BPE({p: i for i, p in enumerate(pieces)}, [], unk_token="<unk>")
    )
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.post_processor = tokenizers.processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        mask_token="<mask>",
        model_max_length=40,
    )
    config = transformers.ClapConfig(
        text_config={
            "vocab_size": len(pieces),
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 24,
            "max_position_embeddings": 42,
            "projection_dim": 8,
        },
        audio_config={
            **tiny_encoders.CLAP_AUDIO,
            "enable_fusion": fusion,
            "fusion_type": "aff_2d" if fusion else None,
            "enable_patch_fusion": fusion,
        },
        projection_dim=8,
    )
    torch.manual_seed(0)
    model = transformers.ClapModel(config)
    tiny_encoders.as_if_trained(model)
    extractor = transformers.ClapFeatureExtractor(
        feature_size=16,
        max_length_s=1,
        sampling_rate=RATE,
        hop_length=1000,
        truncation="fusion" if fusion else "rand_trunc",
    )
    model.save_pretrained(folder)
    transformers.ClapProcessor(extractor, tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_clap(tmp_path_factory.mktemp("clap") / "small", fusion=False)


@pytest.fixture(scope="module")
def fused(tmp_path_factory) -> Path:
    return write_clap(tmp_path_factory.mktemp("clap") / "fused", fusion=True)


def build(weights, **options) -> CLAP:
    options = {"weights": str(weights), "device": "cpu", "crop": "windows(1 s, 1 s)"} | options
    return MODELS.create("clap", options)


@pytest.mark.parametrize("kind", ["folder", "fused"])
def test_keeps_what_an_adapter_promises(kind, request, unlike, assert_adapter):
    model = build(request.getfixturevalue(kind))
    assert isinstance(model, AudioEmbedder) and isinstance(model, TextEmbedder)
    assert (model.sample_rate, model.dimension) == (RATE, 8)
    with pytest.warns(TruncationWarning):
        assert_adapter(model, unlike(RATE, (1.0, 0.3, 2.5, 1.0, 0.05)))


@pytest.mark.parametrize("kind", ["folder", "fused"])
def test_draws_nothing_from_the_global_generators(kind, request, sound):
    model = build(request.getfixturevalue(kind))
    np.random.seed(5)
    torch.manual_seed(5)
    before = np.random.get_state()[1:3]
    model.embed_audio([sound(2.5, RATE), sound(0.4, RATE)])
    after = np.random.get_state()[1:3]
    assert np.array_equal(before[0], after[0]) and before[1] == after[1]
    assert torch.equal(torch.get_rng_state(), torch.manual_seed(5).get_state())


def test_a_clip_of_one_window_has_the_vector_of_transformers(folder, sound):
    clip = sound(1.0, RATE)
    model = transformers.ClapModel.from_pretrained(folder).eval()
    processor = transformers.ClapProcessor.from_pretrained(folder)
    inputs = processor(audio=[clip.samples], sampling_rate=RATE, return_tensors="pt")
    with torch.inference_mode():
        found = model.get_audio_features(**inputs)
    expected = getattr(found, "pooler_output", found)[0].numpy()
    assert build(folder).embed_audio([clip])[0] == pytest.approx(
        expected / np.linalg.norm(expected), abs=1e-5
    )
    tokens = processor(text=["soft piano"], return_tensors="pt")
    with torch.inference_mode():
        found = model.get_text_features(**tokens)
    expected = getattr(found, "pooler_output", found)[0].numpy()
    assert build(folder).embed_text(["soft piano"])[0] == pytest.approx(
        expected / np.linalg.norm(expected), abs=1e-5
    )


def test_a_long_clip_has_the_mean_of_its_windows(folder, sound):
    model, clip = build(folder), sound(2.5, RATE)
    windows = [clip.samples[s : s + RATE] for s in (0, RATE, RATE + RATE // 2)]
    rows = model.embed_audio([type(clip)(window, RATE) for window in windows])
    mean = rows.mean(axis=0)
    assert model.embed_audio([clip])[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


def test_no_window_is_marked_longer_whatever_the_lot(fused, sound):
    # The extractor marks one window of a batch, drawn by lot, which then takes the fusion's path.
    model, clips = build(fused), [sound(1.0, RATE, seed=seed) for seed in range(4)]
    hear, seen = model.model.get_audio_features, []

    def spy(*, input_features, is_longer):
        seen.append((input_features, is_longer))
        return hear(input_features=input_features, is_longer=is_longer)

    model.model.get_audio_features = spy
    rows = [model.embed_audio(clips) for _ in range(3)]
    assert all(np.array_equal(rows[0], row) for row in rows)
    assert len(seen) == 3 and not torch.cat([marked for _, marked in seen]).any()
    features, marked = seen[0]
    with torch.inference_mode():
        other = hear(input_features=features, is_longer=~marked)
    other = getattr(other, "pooler_output", other).numpy()
    assert np.abs(other - rows[0]).max() > 1e-3  # the mark is not without effect


@pytest.mark.parametrize("crop", ["whole", "windows(1.5 s, 1 s)", "centre(2 s)"])
def test_a_crop_that_would_be_cropped_again_is_refused(folder, crop):
    with pytest.raises(ModelError, match=r"would be cropped again, at random: the model hears 1 s"):
        build(folder, crop=crop)


def test_short_crops_are_left_to_the_extractor(folder, sound):
    clip = sound(0.4, RATE)
    repeated = np.concatenate([clip.samples, clip.samples, np.zeros(RATE // 5, np.float32)])
    model = build(folder)
    assert model.card.preprocessing["short_crops"] == "repeatpad, to 1 s"
    assert model.embed_audio([clip]) == pytest.approx(
        model.embed_audio([type(clip)(repeated, RATE)]), abs=1e-6
    )


def test_an_output_object_and_a_tensor_are_both_understood(folder, sound):
    model, clip = build(folder), sound(0.5, RATE)
    expected = model.embed_audio([clip]), model.embed_text(["soft"])
    hear, read = model.model.get_audio_features, model.model.get_text_features
    plain = lambda found: getattr(found, "pooler_output", found)  # noqa: E731
    model.model.get_audio_features = lambda **inputs: plain(hear(**inputs))
    model.model.get_text_features = lambda **inputs: plain(read(**inputs))
    assert np.array_equal(model.embed_audio([clip]), expected[0])
    assert np.array_equal(model.embed_text(["soft"]), expected[1])


def test_long_texts_are_truncated_and_told(folder):
    model = build(folder, max_tokens=20)
    assert model.card.preprocessing["max_tokens"] == 20
    with pytest.warns(TruncationWarning, match="1 of 2 texts truncated to 20 tokens; text 1"):
        rows = model.embed_text(["soft", "soft piano " * 5000])
    assert np.isfinite(rows).all()
    # The tokenizer's own limit and the positions of the weights hold where they are lower.
    assert build(folder, max_tokens=500).card.preprocessing["max_tokens"] == 40
    with pytest.raises(ModelError, match="max_tokens is 2, expected at least 3"):
        build(folder, max_tokens=2)


def test_the_card_is_that_of_these_weights(folder, fused, card_is_complete):
    one = build(folder).card
    card_is_complete(one)
    assert one == build(folder).card and one.id == "clap-small"
    assert one.crop_policy == "windows(1 s, 1 s) mean, short clips left short"
    assert one.weights_digest != build(fused).card.weights_digest
    assert any("not stated" in note for note in one.notes)
    assert build(folder, training_datasets=["clotho"]).card.training_datasets == ("clotho",)


def test_a_known_model_is_told_by_its_name(folder, tmp_path):
    name = "clap-htsat-unfused"
    shutil.copytree(folder, tmp_path / name)
    card = build(tmp_path / name).card
    assert card.training_datasets == TRAINED_ON[name] and "clotho" in card.training_datasets
    assert card.licence == "Apache-2.0" and card.notes == ()


@pytest.mark.parametrize(
    "weights",
    [
        "laion/larger_clap_music",
        "{tmp}/larger_clap_music",
        "{tmp}/models--laion--larger_clap_music/snapshots/0a1b",
    ],
)
def test_the_collapsed_model_is_refused_wherever_it_lies(weights, tmp_path):
    with pytest.raises(ModelError, match=r"larger_clap_music.* is refused.*collapsed.*0\.9993"):
        build(weights.replace("{tmp}", str(tmp_path)))


def test_offline_a_name_of_the_hub_is_a_clear_error(monkeypatch, tmp_path):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"'laion/nothing' is no folder here.*offline, give"):
        build("laion/nothing")


def test_names_a_folder_that_is_no_clap(folder, tmp_path):
    with pytest.raises(ModelError, match="absent is no folder, nor a name"):
        build("absent")
    with pytest.raises(ModelError, match=r"no weights .*which holds notes\.txt"):
        (tmp_path / "empty").mkdir()
        (tmp_path / "empty" / "notes.txt").write_text("x")
        build(tmp_path / "empty")
    with pytest.raises(ModelError, match="a revision is of the hub"):
        build(folder, revision="main")
    broken = shutil.copytree(folder, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:5000])
    with pytest.raises(ModelError, match=r"cannot be loaded as a ClapModel"):
        build(broken)


def test_weights_that_are_missing_are_not_drawn_at_random(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    partial = shutil.copytree(folder, tmp_path / "partial")
    state = load_file(folder / "model.safetensors")
    del state["audio_projection.linear1.weight"]
    save_file(state, partial / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"missing_keys: audio_projection\.linear1\.weight"):
        build(partial)
    state["surplus.weight"] = torch.zeros(2)
    state["audio_projection.linear1.weight"] = torch.zeros(3, 3)
    save_file(state, partial / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"unexpected_keys: surplus\.weight|mismatch"):
        build(partial)


def test_settings_make_another_card(folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "small")
    processor = transformers.ClapProcessor.from_pretrained(folder)
    processor.feature_extractor.padding = "pad"
    processor.save_pretrained(other)
    card, own = build(other).card, build(folder).card
    assert card != own and card.weights_digest == own.weights_digest
    assert card.preprocessing["short_crops"] == "pad, to 1 s"


def test_settings_of_a_fused_model_do_not_fit_an_unfused_one(folder, fused, tmp_path):
    mixed = tmp_path / "mixed"
    shutil.copytree(folder, mixed)
    for settings in fused.glob("*processor_config.json"):
        shutil.copy(settings, mixed)
    with pytest.raises(ModelError, match=r"enable_fusion is False.*'fusion'.*'rand_trunc'"):
        build(mixed)
