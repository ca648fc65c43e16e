"""Small prepared corpora of tones and noises with captions, and runs that learn them in seconds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from earmark.models.training.config import RunConfig, parse_config
from earmark.models.training.prepare import prepare
from earmark.models.training.train import Embedded

RATE = 16_000
PITCHES = {"low": 150, "middle": 500, "high": 1700, "shrill": 5000}
SOUNDS = ("tone", "noise", "pulse")

MUSCALL: dict[str, Any] = {
    "model": "muscall",
    "data": {"crop_seconds": 1.0, "workers": 1},
    "text": {"tokenizer": "train", "vocabulary_size": 600},
    "augmentation": {"p_noise": 0.0, "p_pitch_shift": 0.0},
    "muscall": {
        "dimension": 8,
        "audio": {"n_mels": 32, "n_fft": 512, "width": 4, "layers": [1, 1, 1, 1], "heads": 2}
        | {"features": 16},
        "text": {"max_tokens": 16, "width": 16, "layers": 1, "heads": 2, "dropout": 0.1},
        "loss": {"weighting": "none", "combination": "mean"},
    },
    "optimiser": {"name": "adamw", "learning_rate": 3e-3},
    "training": {"epochs": 2, "batch_size": 8, "log_every": 1, "tensorboard": False}
    | {"accelerator": "cpu", "devices": 1},
}
DCASE: dict[str, Any] = {
    "model": "dcase",
    "data": {"crop_seconds": 1.0, "workers": 1},
    "text": {"word_dimension": 8},
    "augmentation": {"p_noise": 0.0, "p_pitch_shift": 0.0},
    "dcase": {"front_end": {"sample_rate": RATE, "n_fft": 1024, "win_length": 1024}},
    "optimiser": {"learning_rate": 1e-3},
    "schedule": {"name": "plateau"},
    "training": {**MUSCALL["training"], "best_by": "loss"},
}
DCASE["dcase"]["front_end"]["hop_length"] = 640


class CosineOfPairs:
    """A score for tests: the mean cosine of a caption and its clip, and a constant."""

    names = ("cosine", "R@10")

    def __call__(self, embedded: Embedded) -> Mapping[str, float]:
        pairs = embedded.audio[embedded.clip_of] * embedded.text
        return {"cosine": float(pairs.sum(axis=1).mean()), "R@10": 0.5}


def write_corpora(root: Path, *, train: int = 24, valid: int = 9, seconds: float = 1.2) -> Path:
    """Write and prepare ``root/train`` and ``root/valid``; returns ``root``."""
    for split, number, seed in (("train", train, 0), ("valid", valid, 1)):
        source = root / f"source-{split}"
        (source / "audio").mkdir(parents=True)
        items = [_write_clip(source / "audio", n, seconds, seed) for n in range(number)]
        manifest = source / f"dataset_{split}.json"
        manifest.write_text(json.dumps(items))
        prepare(manifest, root / split, sample_rate=RATE, workers=1)
    return root


def run_config(root: Path, base: Mapping[str, Any] = MUSCALL, **tables: Any) -> RunConfig:
    """Return a config over ``base``; ``training={"epochs": 3}`` changes single keys."""
    content = {name: dict(each) if isinstance(each, dict) else each for name, each in base.items()}
    content["data"] |= {"train": [str(root / "train")], "valid": [str(root / "valid")]}
    for name, changes in tables.items():
        content[name] = _laid_over(content.get(name, {}), changes)
    return parse_config(content)


def _laid_over(base: Any, changes: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(changes, dict):
        return changes
    return {**base, **{key: _laid_over(base.get(key), value) for key, value in changes.items()}}


def _write_clip(folder: Path, number: int, seconds: float, seed: int) -> dict[str, Any]:
    random = np.random.default_rng([seed, number])
    pitch = list(PITCHES)[number % len(PITCHES)]
    sound = SOUNDS[number // len(PITCHES) % len(SOUNDS)]
    time = np.arange(round(seconds * RATE)) / RATE
    wave = np.sin(2 * np.pi * PITCHES[pitch] * time * (1 + 0.02 * random.standard_normal()))
    if sound == "noise":
        wave = wave * random.standard_normal(len(time))
    elif sound == "pulse":
        wave = wave * (np.sin(2 * np.pi * 6 * time) > 0)
    path = f"{number:03d}.wav"
    soundfile.write(folder / path, 0.2 * wave, RATE, subtype="PCM_16")
    loudness = ("soft", "calm", "bright")[int(random.integers(3))]
    return {
        "audio_id": f"clip{number:03d}",
        "caption": f"a {pitch} {sound}, {loudness}",
        "audio_path": path,
    }
