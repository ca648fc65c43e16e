"""Sections of the GPU check: a step of training as ``earmark train`` takes it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from gpu_check_setup import Check, Words, batch_in_memory, endless, measure, model_config  # type: ignore[import-not-found]
from torch import Tensor


@dataclass(slots=True)
class Ours:
    """A MusCALL in training as the trainer runs it."""

    fabric: Any
    task: Any
    module: Any
    optimiser: Any
    augment: Callable[..., Tensor] | None = None
    micro_batch: int | None = None
    step_number: int = 0

    def step(self, batch: Any) -> int:
        """Learn from a batch."""
        from earmark.models.training.batches import scale
        from earmark.models.training.optimisation import backward
        from earmark.models.training.task import Audio, CrossProcess

        size = self.micro_batch or len(batch)
        waveforms = batch.to(self.fabric.device).waveforms
        micro_batches = []
        for start in range(0, len(batch), size):
            rows = slice(start, start + size)
            sound = scale(waveforms[rows])
            if self.augment is not None:
                sound = self.augment(
                    waveforms[rows], batch.seeds[rows], lengths=batch.lengths[rows]
                )
            audio = Audio(sound, batch.lengths[rows])
            micro_batches.append(self.task.inputs(audio, batch.captions[rows]))
        pair_ids = self.task.pair_ids(batch)
        across = CrossProcess(lambda rows: rows, 0, torch.Generator().manual_seed(self.step_number))
        loss = backward(
            self.module,
            micro_batches,
            lambda features: self.task.loss(features, pair_ids, across),
            fabric=self.fabric,
        )
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.task.clamp_temperature()
        self.step_number += 1
        if not math.isfinite(float(loss)):
            raise RuntimeError(f"the loss of step {self.step_number} is {float(loss)}")
        return len(batch)


def make_ours(check: Check, *, compiled: bool, micro_batch: int | None = None) -> Ours:
    """Return MusCALL's preset ``paper`` on the device, with random weights."""
    from earmark.models.muscall.model import MusCALL
    from earmark.models.training.config import preset
    from earmark.models.training.distributed import launch
    from earmark.models.training.optimisation import build_optimiser
    from earmark.models.training.task import MusCALLTraining

    config, on_gpu = preset("paper"), check.device.type == "cuda"
    training = replace(
        config.training,
        batch_size=check.size.batch,
        precision="bf16" if on_gpu else "fp32",
        accelerator="cuda" if on_gpu else "cpu",
        devices=1,
    )
    fabric = launch(training)
    torch.manual_seed(0)
    model = MusCALL(model_config(check.size))
    text = model.config.text
    words = Words(
        vocabulary=text.vocabulary,
        end=text.end_token,
        n_tokens=min(check.size.text_tokens, text.max_tokens),
    )
    task = MusCALLTraining(model, words)
    if on_gpu:
        task.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = build_optimiser(task.parameters(), config.optimiser, fused=on_gpu)
    wrapped: Any = torch.compile(task) if compiled else task
    module, optimiser = fabric.setup(wrapped, optimiser)
    module.train()
    return Ours(fabric, task, module, optimiser, micro_batch=micro_batch)


def train_in_memory(check: Check, until: float) -> dict[str, Any]:
    """Time our step on data that is on the device, and its MFU."""
    from earmark.models.training.config import Precision
    from earmark.models.training.progress import peak_flops, training_flops
    from earmark.models.training.task import Audio

    compiled = check.device.type == "cuda"
    ours = make_ours(check, compiled=compiled)
    batch = batch_in_memory(check, check.size.batch)
    few = min(8, len(batch))
    sound = Audio(batch.waveforms[:few].float() / 32768, batch.lengths[:few])
    flops = training_flops(ours.task, ours.task.inputs(sound, batch.captions[:few])) / few
    found = measure(check, lambda: ours.step(batch), until=until)
    precision: Precision = "bf16" if compiled else "fp32"
    peak = peak_flops(check.device, precision)
    return {
        **found,
        "precision": precision,
        "compiled": compiled,
        "gflops_per_sample": round(flops / 1e9, 2),
        "mfu": None if peak is None else round(found["samples_per_second"] * flops / peak, 4),
        "peak_gib": check.peak_gib(),
    }


def train_from_shards(check: Check, until: float) -> dict[str, Any]:
    """Time our step on crops that are read from prepared shards, and how long it waits for them."""
    from earmark.models.training.batches import Batches
    from earmark.models.training.corpus import Corpus

    ours = make_ours(check, compiled=check.device.type == "cuda")
    batches = Batches(
        Corpus.open(check.folder / "prepared"),
        batch_size=check.size.batch,
        crop_seconds=check.size.seconds,
        workers=max(1, min(8, (os.cpu_count() or 2) - 1)),
    )
    unending = endless(batches)
    waited: list[float] = []

    def step() -> int:
        batch = next(unending)
        waited.append(batches.waited_seconds)
        batches.waited_seconds = 0.0
        return ours.step(batch)

    found = measure(check, step, until=until)
    measured = waited[-found["steps"] :]
    share = sum(measured) / (found["seconds_per_step"] * found["steps"])
    return {**found, "data_wait": round(share, 4)}


def train_augmented(check: Check, until: float) -> dict[str, Any]:
    """Time our step with the paper's augmentation, on data that is on the device."""
    from earmark.models.training.augmentation import Augmentation
    from earmark.models.training.config import TRAINING

    ours = make_ours(check, compiled=check.device.type == "cuda")
    ours.augment = Augmentation(TRAINING, sample_rate=16_000)
    batch = batch_in_memory(check, check.size.batch)
    found: dict[str, Any] = measure(check, lambda: ours.step(batch), until=until)
    return found
