"""Encoders of each family with random weights, small, as ``save_pretrained`` writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

WAVE = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": (8, 8, 8),
    "conv_kernel": (10, 8, 4),
    "conv_stride": (8, 8, 5),
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
CLAP_AUDIO = {
    "spec_size": 64,
    "num_mel_bins": 16,
    "patch_embeds_hidden_size": 8,
    "depths": [1, 1],
    "num_attention_heads": [2, 2],
    "hidden_size": 16,
    "window_size": 4,
    "projection_dim": 8,
}
N_LAYERS = {"wav2vec2": 4, "hubert": 4, "wavlm": 4, "mert": 4, "whisper": 3, "ast": 3, "clap": 3}
"""With what goes into the first one."""
FAMILIES = tuple(N_LAYERS)


def _parts(name: str):
    """Return a small model and its feature extractor."""
    library = pytest.importorskip("transformers", reason="transformers is not installed")
    waves = {
        "wav2vec2": (library.Wav2Vec2Config, library.Wav2Vec2Model, 16_000),
        "hubert": (library.HubertConfig, library.HubertModel, 16_000),
        "wavlm": (library.WavLMConfig, library.WavLMModel, 16_000),
        "mert": (library.HubertConfig, library.HubertModel, 24_000),
    }
    if name in waves:
        config, kind, rate = waves[name]
        extractor = library.Wav2Vec2FeatureExtractor(sampling_rate=rate, return_attention_mask=True)
        return kind(config(**WAVE)), extractor
    if name == "whisper":
        config = library.WhisperConfig(
            d_model=16,
            encoder_layers=2,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=24,
            decoder_ffn_dim=24,
            vocab_size=60,
            num_mel_bins=80,
            max_source_positions=100,
            max_target_positions=8,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            decoder_start_token_id=1,
        )
        extractor = library.WhisperFeatureExtractor(feature_size=80, chunk_length=2)
        return library.WhisperModel(config), extractor
    if name == "ast":
        config = library.ASTConfig(
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=24,
            num_mel_bins=32,
            max_length=200,
        )
        extractor = library.ASTFeatureExtractor(num_mel_bins=32, max_length=200)
        return library.ASTModel(config), extractor
    text = {"vocab_size": 30, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = library.ClapConfig(
        text_config=text | {"intermediate_size": 8}, audio_config=CLAP_AUDIO
    )
    extractor = library.ClapFeatureExtractor(
        feature_size=16, max_length_s=1, sampling_rate=48_000, truncation="rand_trunc"
    )
    return library.ClapModel(config), extractor


def as_if_trained(model: Any) -> None:
    """Draw weights of the size that training gives them, so that unlike inputs differ."""
    import torch

    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)


def write(folder: Path, name: str) -> Path:
    """Write a family's folder; ``mert`` is laid out as the releases are, with code of its own."""
    import torch

    torch.manual_seed(0)
    model, extractor = _parts(name)
    as_if_trained(model)
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    if name == "mert":
        config = json.loads((folder / "config.json").read_text())
        config |= {
            "model_type": "mert_model",
            "architectures": ["MERTModel"],
            "auto_map": {
                "AutoConfig": "configuration_MERT.MERTConfig",
                "AutoModel": "modeling_MERT.MERTModel",
            },
            "feature_extractor_cqt": False,
            "feature_extractor_cqt_bins": 336,
            "deepnorm": False,
            "attention_relax": -1.0,
        }
        (folder / "config.json").write_text(json.dumps(config))
        for file in ("configuration_MERT.py", "modeling_MERT.py"):
            (folder / file).write_text("raise RuntimeError('code of the weights was run')\n")
    return folder
