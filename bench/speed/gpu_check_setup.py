"""What every section of the GPU check uses: sizes, the clock, and data that it makes itself."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True, slots=True)
class Size:
    """How large everything is."""

    batch: int = 256
    seconds: float = 20.0
    clips: int = 1536
    """In the corpus; each is a quarter longer than a crop."""
    memory_batches: tuple[int, ...] = (256, 1024, 4096)
    embedded: int = 256
    """Clips embedded at once."""
    ranked: int = 100_000
    dimension: int = 512
    steps: int = 60
    """Measured at most, in a section."""
    text_tokens: int = 40
    toy: bool = False


TOY = Size(4, 1.0, 12, (4, 8), 4, 300, 16, 2, 8, toy=True)


@dataclass(slots=True)
class Check:
    """The run: where, how large, how long, and what was found so far."""

    size: Size
    device: torch.device
    folder: Path
    out: Path
    ends: float
    """On the clock of ``time.monotonic``."""
    found: dict[str, Any] = field(default_factory=dict)

    def write(self) -> None:
        """Write everything that was found; the file is whole at any time."""
        temporary = self.out.with_suffix(".part")
        temporary.write_text(json.dumps(self.found, indent=2) + "\n", encoding="utf-8")
        temporary.replace(self.out)

    def clear(self) -> None:
        """Forget cached memory and the peak."""
        torch._dynamo.reset()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def peak_gib(self) -> float | None:
        """Return the most memory that tensors held since :meth:`clear`, in GiB; None on a CPU."""
        if self.device.type != "cuda":
            return None
        return round(torch.cuda.max_memory_allocated() / 2**30, 3)

    def wait(self) -> None:
        """Wait until the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def measure(
    check: Check, step: Callable[[], int], *, until: float, warm_up: int = 3
) -> dict[str, Any]:
    """Return how many samples a second a step learns from; it returns their number.

    Measured after the warm-up, until the time or the most steps are reached; at least ten steps,
    since compiling may have taken the time, at toy size two.
    """
    for _ in range(1 if check.size.toy else warm_up):
        step()
    check.wait()
    started, samples, steps = time.perf_counter(), 0, 0
    least = 2 if check.size.toy else 10
    while steps < least or (steps < check.size.steps and time.monotonic() < until):
        samples += step()
        steps += 1
    check.wait()
    seconds = time.perf_counter() - started
    return {
        "samples_per_second": round(samples / seconds, 2),
        "seconds_per_step": round(seconds / steps, 5),
        "steps": steps,
    }


class Words:
    """Stands in for CLIP's tokeniser, whose vocabulary is not at hand: ids of the usual length."""

    def __init__(self, *, vocabulary: int, end: int, n_tokens: int) -> None:
        self.vocabulary_size, self.end, self.n_tokens = vocabulary, end, n_tokens
        self.context_length = n_tokens
        self._known: dict[str, Any] = {}

    def encode(self, texts: Sequence[str]) -> Any:
        """Return ids decided by each text, of equal length, with the end token last."""
        from earmark.models.support.tokenizers import Tokens

        for text in texts:
            if text not in self._known:
                draws = np.random.default_rng([*text.encode()])
                self._known[text] = draws.integers(1, self.end, self.n_tokens)
        ids = np.stack([self._known[text] for text in texts])
        ids[:, -1] = self.end
        lengths = np.full(len(texts), self.n_tokens)
        return Tokens(ids, lengths, np.zeros_like(lengths))


def write_corpus(check: Check) -> None:
    """Write noise as float ``.npy`` clips with a manifest, and prepare it."""
    from earmark.models.training.prepare import prepare

    audio = check.folder / "audio"
    audio.mkdir()
    n_samples = round(check.size.seconds * 16_000 * 1.25)
    draws = np.random.default_rng(0)
    noise = draws.standard_normal(n_samples).astype(np.float32) * 0.1
    rows = []
    for number in range(check.size.clips):
        name = f"{number:05d}.npy"
        np.save(audio / name, np.roll(noise, 997 * number) * draws.uniform(0.2, 1.0))
        rows.append({"audio_id": number, "caption": f"clip number {number}", "audio_path": name})
    manifest = check.folder / "dataset_train.json"
    manifest.write_text(json.dumps(rows))
    prepare(manifest, check.folder / "prepared")


def model_config(size: Size) -> Any:
    """Return the paper's MusCALL, or a small one with the same parts."""
    from earmark.models.muscall.config import (
        AudioConfig,
        LossConfig,
        MusCALLConfig,
        TextConfig,
        preset,
    )

    loss = LossConfig(weighting=None)
    if not size.toy:
        return replace(preset("paper"), loss=loss)
    return MusCALLConfig(
        audio=AudioConfig(
            n_mels=32, width=8, layers=(1, 1, 1, 1), heads=4, features=32, clip_seconds=size.seconds
        ),
        text=TextConfig(vocabulary=100, end_token=99, max_tokens=16, width=16, layers=1, heads=2),
        loss=loss,
        dimension=16,
    )


def batch_in_memory(check: Check, n: int) -> Any:
    """Return a batch of noise whose waveforms are on the device already."""
    from earmark.models.training.batches import Batch

    n_samples = round(check.size.seconds * 16_000)
    generator = torch.Generator(check.device).manual_seed(1)
    waveforms = torch.empty((n, n_samples), dtype=torch.int16, device=check.device)
    for row in waveforms:  # one by one: random_ of all at once takes a wider copy
        row.random_(-3000, 3000, generator=generator)
    return Batch(
        indices=torch.arange(n),
        ids=tuple(str(number) for number in range(n)),
        waveforms=waveforms,
        lengths=torch.full((n,), n_samples),
        captions=tuple(f"clip number {number}" for number in range(n)),
        caption_groups=torch.arange(n, device=check.device),
        seeds=torch.arange(n),
    )


def endless(batches: Any) -> Iterator[Any]:
    """Yield batches, an epoch after the other."""
    while True:
        yield from batches
