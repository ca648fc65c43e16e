"""Sections of the GPU check: peak memory, embedding and ranking."""

from __future__ import annotations

import time
from typing import Any

import torch
import torch.nn.functional as F
from gpu_check_setup import Check, batch_in_memory, measure, model_config  # type: ignore[import-not-found]
from gpu_check_training import make_ours  # type: ignore[import-not-found]


def memory(check: Check, until: float) -> dict[str, Any]:
    """Return the peak memory of a step of each batch size, with cached features where it must."""
    found: dict[str, Any] = {}
    for n in check.size.memory_batches:
        for micro_batch in (None, check.size.batch):
            key = f"{n}"
            if time.monotonic() > until and found:
                found[key] = {"not_measured": "no time was left"}
                break
            check.clear()
            try:
                ours = make_ours(check, compiled=False, micro_batch=micro_batch)
                batch = batch_in_memory(check, n)
                ours.step(batch)
                check.wait()
            except torch.OutOfMemoryError:
                found[key] = {"out_of_memory": True}
                ours = batch = None  # what the failed step holds must go before the next one
                continue
            how = "at once" if micro_batch is None or micro_batch >= n else f"by {micro_batch}"
            found[key] = {"peak_gib": check.peak_gib(), "encoded": how}
            break
        ours = batch = None
    return found


def embed(check: Check, until: float) -> dict[str, Any]:
    """Return how many clips a second are embedded, in single precision and in bf16."""
    from earmark.models.muscall.model import MusCALL

    torch.manual_seed(0)
    model = MusCALL(model_config(check.size)).eval().to(check.device).for_inference()
    waveforms = batch_in_memory(check, check.size.embedded).waveforms.float() / 32768
    found = {}
    for name, half in (("fp32", False), ("bf16", True)):
        middle = until if half else (time.monotonic() + until) / 2

        def step(half: bool = half) -> int:
            enabled = half and check.device.type == "cuda"
            with (
                torch.inference_mode(),
                torch.autocast(check.device.type, torch.bfloat16, enabled=enabled),
            ):
                model.encode_audio(waveforms)
            return len(waveforms)

        found[name] = measure(check, step, until=middle)["samples_per_second"]
    return {"clips_per_second": found, "seconds_per_clip_of_audio": check.size.seconds}


def rank(check: Check, until: float) -> dict[str, Any]:
    """Time ranks in both directions of a large pool, and hold them against a plain count."""
    from earmark.bench.ranking import count_ranks_both_ways

    n, dimension = check.size.ranked, check.size.dimension
    generator = torch.Generator(check.device).manual_seed(2)
    shape = (n, dimension)
    items = torch.randn(shape, device=check.device, generator=generator)
    queries = items + 3 * torch.randn(shape, device=check.device, generator=generator)
    items, queries = F.normalize(items, dim=1), F.normalize(queries, dim=1)
    check.wait()
    started = time.perf_counter()
    forth, _ = count_ranks_both_ways(queries, items)
    check.wait()
    seconds = time.perf_counter() - started
    checked = min(n, 2000)
    scores = queries[:checked].double() @ items.double().T
    own = scores.diagonal()[:, None]
    better = (scores > own).sum(dim=1).cpu().numpy()
    return {
        "n": n,
        "dimension": dimension,
        "seconds_both_ways": round(seconds, 4),
        "first_queries_agree": bool((forth.higher[:checked] == better).all()),
        "plain_recall_at_10_of_first_queries": round(float((better < 10).mean()), 4),
    }
