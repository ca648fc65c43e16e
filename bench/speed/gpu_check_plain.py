"""Sections of the GPU check: the same network, trained as the released code does it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from gpu_check_setup import Check, Words, batch_in_memory, endless, measure, model_config  # type: ignore[import-not-found]
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler


class NpyClips(Dataset[tuple[Tensor, Tensor]]):
    """Reads a whole clip from its file, and cuts a crop at random."""

    def __init__(self, files: Sequence[Path], *, n_samples: int, words: Words) -> None:
        self.files, self.n_samples = list(files), n_samples
        self.ids = words.encode([f"clip number {number}" for number in range(len(files))]).ids

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        waveform = np.load(self.files[index]).astype(np.float32)
        start = np.random.randint(0, len(waveform) - self.n_samples)
        crop = waveform[start : start + self.n_samples]
        return torch.from_numpy(crop), torch.from_numpy(self.ids[index])


@dataclass(slots=True)
class Plain:
    """The network of the preset ``released``, with torchaudio's front end, AdamW and a scaler."""

    check: Check
    half: bool
    augmented: bool = False
    parts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from torchaudio.transforms import AmplitudeToDB, MelSpectrogram

        from earmark.models.muscall.model import MusCALL

        torch.manual_seed(0)
        config, device = model_config(self.check.size), self.check.device
        model = MusCALL(config).to(device).train()
        audio = config.audio
        self.parts = {
            "model": model,
            "mel": MelSpectrogram(
                sample_rate=16_000,
                n_fft=audio.n_fft,
                hop_length=audio.hop_length,
                f_max=audio.f_max,
                n_mels=audio.n_mels,
                normalized=True,
            ).to(device),
            "decibels": AmplitudeToDB("power", top_db=audio.top_db).to(device),
            "optimiser": torch.optim.AdamW(
                model.parameters(), lr=5e-5, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.2
            ),
            "scaler": torch.GradScaler(device.type, enabled=self.half),
        }

    def step(self, waveforms: Tensor, ids: Tensor) -> int:
        """Learn from a batch that the host holds, or the device already."""
        parts, device = self.parts, self.check.device
        waveforms, ids = waveforms.to(device), ids.to(device)
        if self.augmented:
            waveforms = released_chain(waveforms)
        model = parts["model"]
        parts["optimiser"].zero_grad()
        with torch.autocast(device.type, torch.float16, enabled=self.half):
            # With a channel, so that the dynamic range is each clip's own.
            mel = parts["decibels"](parts["mel"](waveforms)[:, None])[:, 0]
            heard = F.normalize(model.audio_projection(model.audio_encoder(mel)), dim=1)
            read = F.normalize(model.text_features(ids), dim=1)
            logits = model.logit_scale.exp() * heard @ read.T
            pairs = torch.arange(len(logits), device=device)
            loss = (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)) / 2
        parts["scaler"].scale(loss).backward()
        parts["scaler"].step(parts["optimiser"])
        parts["scaler"].update()
        with torch.no_grad():
            model.logit_scale.clamp_(max=math.log(100))
        loss.item()
        return len(waveforms)


def released_chain(waveforms: Tensor) -> Tensor:
    """Augment a batch with a chain that is built for it, as the released code does."""
    import torch_audiomentations as library

    settings = {"p_mode": "per_example", "sample_rate": 16_000, "output_type": "dict"}
    chain = library.Compose(
        [library.AddColoredNoise(p=0.3, **settings), library.PitchShift(p=0.4, **settings)],
        output_type="dict",
    )
    augmented: Tensor = chain(waveforms[:, None], sample_rate=16_000).samples[:, 0]
    return augmented


def plain_words(check: Check) -> Words:
    """Return the stand-in tokeniser of the plain loop, which pads to the longest text there is."""
    text = model_config(check.size).text
    return Words(vocabulary=text.vocabulary, end=text.end_token, n_tokens=text.max_tokens)


def plain_in_memory(
    check: Check, until: float, *, half: bool, augmented: bool = False
) -> dict[str, Any]:
    """Time the plain step on data that is on the device."""
    plain = Plain(check, half, augmented)
    batch = batch_in_memory(check, check.size.batch)
    waveforms = batch.waveforms.float() / 32768
    ids = torch.from_numpy(plain_words(check).encode(batch.captions).ids).to(check.device)
    found = measure(check, lambda: plain.step(waveforms, ids), until=until)
    return {**found, "peak_gib": check.peak_gib()}


def plain_with_loader(check: Check, until: float, *, half: bool) -> dict[str, Any]:
    """Time the plain step with one loader process that reads ``.npy`` files."""
    plain = Plain(check, half)
    n_samples = round(check.size.seconds * 16_000)
    files = sorted((check.folder / "audio").iterdir())
    clips = NpyClips(files, n_samples=n_samples, words=plain_words(check))
    loader = DataLoader(
        clips,
        batch_size=check.size.batch,
        # One long epoch: the corpus here is small, and a new epoch would start the worker anew.
        sampler=RandomSampler(clips, replacement=True, num_samples=10_000 * check.size.batch),
        num_workers=0 if check.size.toy else 1,
        pin_memory=check.device.type == "cuda",
    )
    batches = endless(loader)
    found: dict[str, Any] = measure(check, lambda: plain.step(*next(batches)), until=until)
    return found
