"""What a model can do, as outputs that can be asked for: the same ones in every process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from earmark.datasets.audio import Waveform
from earmark.models.base import ModelCard, ModelError
from earmark.models.conformance import listening as audio
from earmark.models.conformance import reading as text
from earmark.models.conformance.cards import is_untrained
from earmark.models.conformance.outputs import Output

METHODS = {
    "audio": "embed_audio",
    "text": "embed_text",
    "av": "predict_av",
    "patches": "embed_patches",
    "head": "predict_av_from_patches",
}
"""What a model implements, by capability: see :mod:`earmark.models.base`."""
_NOTHING = "nothing"  # where the model lacks an attribute


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The outputs that a model has, by the names of :data:`METHODS`."""

    audio: dict[str, Output[Waveform]]
    """``audio``, ``av``, ``patches``, ``head``."""
    sample_rates: dict[str, object]
    """What is declared for each of ``audio``."""
    text: dict[str, Output[str]]
    """``text``."""


def capabilities_of(model: Any, *, seed: int) -> Capabilities:
    """Return what a model can be asked for; a head's embedder is asked for patches in its stead.

    Raises
    ------
    ModelError
        If the object has none of the methods of a model.
    """
    owners = {name: model for name, method in METHODS.items() if _has(model, method)}
    if not owners:
        raise ModelError(
            f"{type(model).__name__} is no model: it has none of the methods "
            f"{', '.join(METHODS.values())} of earmark.models.base"
        )
    if "head" in owners and _has(getattr(model, "embedder", None), METHODS["patches"]):
        owners["patches"] = model.embedder
    found = Capabilities({}, {}, {})
    for name in METHODS:
        if name not in owners:
            continue
        if name == "text":
            found.text[name] = _reading(model, seed=seed)
        else:
            listener = getattr(model, "embedder", None) if name == "head" else owners[name]
            found.sample_rates[name] = getattr(listener, "sample_rate", _NOTHING)
            found.audio[name] = _listening(name, owners[name], found.sample_rates[name], seed=seed)
    if "patches" in found.audio:  # the network itself; av and head only read what it gives
        for name in ("av", "head"):
            if name in found.audio:
                found.audio[name].very_long = None
    return found


def _has(model: object, method: str) -> bool:
    return callable(getattr(model, method, None))


def _listening(name: str, model: Any, sample_rate: object, *, seed: int) -> Output[Waveform]:
    unlike, mixed, very_long = _clips(audio.rate_of(sample_rate), seed)
    asks: dict[str, Callable[[list[Waveform]], Any]] = {
        "audio": lambda clips: model.embed_audio(clips),
        "av": lambda clips: model.predict_av(clips),
        "patches": lambda clips: [model.embed_patches(clip) for clip in clips],
        "head": lambda clips: np.stack(
            [model.predict_av_from_patches(model.embedder.embed_patches(c)) for c in clips]
        ),
    }
    return Output(
        name=name,
        ask=asks[name],
        dimension=2 if name in ("av", "head") else getattr(model, "dimension", _NOTHING),
        unlike=unlike,
        mixed=mixed,
        very_long=very_long,
        unit_norm=name == "audio",
        batched=name in ("audio", "av"),
        patched=name == "patches",
        **_from_the_card(model),
    )


def _reading(model: Any, *, seed: int) -> Output[str]:
    return Output(
        name="text",
        ask=lambda texts: model.embed_text(texts),
        dimension=getattr(model, "dimension", _NOTHING),
        unlike=list(text.UNLIKE_TEXTS),
        mixed=text.mixed_texts(seed=seed),
        very_long=text.very_long_text(seed=seed),
        unit_norm=True,
        **_from_the_card(model),
    )


def _from_the_card(model: object) -> dict[str, Any]:
    card = getattr(model, "card", None)
    stated = card.preprocessing if isinstance(card, ModelCard) else None
    precision = stated.get("precision") if isinstance(stated, Mapping) else None
    return {"precision": str(precision or "float32"), "untrained": is_untrained(card)}


@lru_cache(maxsize=2)
def _clips(sample_rate: int, seed: int) -> tuple[list[Waveform], list[Waveform], Waveform]:
    """Return the sounds at one rate; an embedder, its head and AV share them."""
    return (
        audio.unlike_clips(sample_rate, seed=seed),
        audio.mixed_clips(sample_rate, seed=seed),
        audio.very_long_clip(sample_rate, seed=seed),
    )
