"""Which checks a model gets, by what it can do."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from earmark.datasets.audio import Waveform
from earmark.datasets.base import Progress
from earmark.models.conformance import listening
from earmark.models.conformance.layers import layer_checks
from earmark.models.conformance.listening import listening_checks
from earmark.models.conformance.outputs import (
    Check,
    CheckFailed,
    CheckResult,
    NotApplicable,
    Output,
    judge,
    one_line,
)
from earmark.models.conformance.promises import (
    capabilities_of,
    kept_rng,
    output_checks,
    twin_checks,
)
from earmark.models.conformance.reading import av_checks, card_checks, head_checks, reading_checks

_BATCH = 8


def check(
    model: Any,
    *,
    seed: int = 0,
    factory: Callable[[], object] | None = None,
    on_device: Callable[[str], object] | None = None,
    progress: Progress | None = None,
) -> list[CheckResult]:
    """Return what came of every check of every capability that the model has.

    The global random generators are left as they were.

    Parameters
    ----------
    seed
        Of the sounds and texts.
    factory
        Makes the model again; pickled into a new process, where it must give the same outputs.
    on_device
        Makes the model on ``cpu`` or ``cuda``, which must give nearly the same outputs.
    progress
        Called as checks are done.

    Raises
    ------
    ModelError
        If the object has none of the methods of a model.
    """
    can = capabilities_of(model, seed=seed)
    card = getattr(model, "card", None)
    checks = card_checks(card)
    for name, output in can.audio.items():
        checks += output_checks(output)
        if not (name == "head" and "av" in can.audio):  # which hears through the same patches
            checks += listening_checks(output, can.sample_rates[name], seed=seed)
        if name == "audio":
            checks += layer_checks(model, output)
            checks.append(_toy_check(output, can.text.get("text"), seed=seed))
        if name == "av":
            checks += av_checks(model)
        if name == "head":
            checks += head_checks(model, output)
    for output_of_text in can.text.values():
        checks += output_checks(output_of_text)
        checks += reading_checks(output_of_text, card, seed=seed)
    checks += twin_checks(can, card, seed=seed, factory=factory, on_device=on_device)
    with kept_rng(), warnings.catch_warnings():
        # Texts of 10,000 words are truncated by design; text.truncation reads the warnings itself.
        warnings.simplefilter("ignore")
        return judge(checks, progress=progress)


def _toy_check(output: Output[Waveform], texts: Output[str] | None, *, seed: int) -> Check:
    needs = tuple(
        f"{output.name}.{name}" for name in ("shape", "finite", "deterministic", "not_collapsed")
    )
    return Check(f"{output.name}.toy_task", partial(_toy_task, output, texts, seed), needs)


def _toy_task(output: Output[Waveform], texts: Output[str] | None, seed: int) -> str:
    if output.untrained:
        raise NotApplicable("the weights are untrained")
    clips, labels = listening.toy_clips(output.unlike[0].sample_rate, seed=seed)
    batches = [clips[start : start + _BATCH] for start in range(0, len(clips), _BATCH)]
    vectors = np.array([row for batch in batches for row in output.rows(batch)])
    told_apart = listening.separation(vectors, labels, seed=seed)
    found = f"synthesised drums, pads, basses, bells told apart by class means: {told_apart}"
    if told_apart.p >= listening.SIGNIFICANT:
        raise CheckFailed(f"{found}: no better than chance; are the weights loaded?")
    if texts is not None:
        try:
            named = np.array(texts.rows(listening.class_texts()))
            scored = str(listening.zero_shot(vectors, named, labels, seed=seed))
        except Exception as error:
            scored = f"not told, {one_line(error)}"
        found += f"; by their texts, for information: {scored}"
    return found
