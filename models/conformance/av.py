"""Arousal and valence: which is which, and whether a head's three ways agree."""

from __future__ import annotations

import inspect
import math
import re
from functools import partial
from typing import Any

import numpy as np

from earmark.datasets.audio import Waveform
from earmark.models.base import ModelCard, ModelError
from earmark.models.conformance.outputs import (
    Check,
    CheckFailed,
    NotApplicable,
    Output,
    Rows,
    one_line,
)

_AROUSAL_FIRST = re.compile(r"arousal\b(?:(?!valence).)*\bvalence", re.IGNORECASE | re.DOTALL)
_VALENCE_FIRST = re.compile(r"valence\b\W{1,4}(?:and\W+|then\W+)?arousal", re.IGNORECASE)


def av_checks(model: object) -> list[Check]:
    """Return the checks of what is written about a model's arousal and valence."""
    return [
        Check("av.columns_documented", partial(_columns_documented, model)),
        Check("av.scale", partial(_scale, getattr(model, "card", None)), ("card.type",)),
    ]


def head_checks(model: Any, head: Output[Waveform]) -> list[Check]:
    """Return the checks of a head beyond those of its output from clips."""
    needs = ("head.shape", "head.finite", "head.deterministic")
    return [
        Check("head.predict_av", partial(_predict_av, model, head), needs),
        Check("head.means", partial(_means, model, head), needs),
        Check("head.patches_unmodified", partial(_patches_unmodified, model, head), needs),
    ]


def _columns_documented(model: object) -> str:
    """Look for the words: a swapped order shows in no shape and in no number's range."""
    card = getattr(model, "card", None)
    places = {
        "predict_av's docstring": inspect.getdoc(getattr(model, "predict_av", None)),
        "the class's docstring": inspect.getdoc(type(model)),
        "the card's notes": " ".join(card.notes) if isinstance(card, ModelCard) else None,
    }
    for place, text in places.items():
        if text and _VALENCE_FIRST.search(text):
            raise CheckFailed(f"{place} names valence before arousal; expected arousal, valence")
        if text and _AROUSAL_FIRST.search(text):
            return f"arousal, valence: {place}"
    raise CheckFailed(
        "which column is arousal is written nowhere; say 'arousal, valence' in predict_av's "
        "docstring or in card.notes, and check that it is so"
    )


def _scale(card: Any) -> str:
    value = card.av_scale
    if value is None:
        raise NotApplicable("none stated: values are compared by rank and correlation alone")
    try:
        low, high = map(float, value)
    except (TypeError, ValueError):
        low = high = math.nan
    if not -math.inf < low < high < math.inf:
        raise CheckFailed(f"is {value!r}, expected the lowest and the highest value, e.g. (1, 9)")
    return f"{low:g} to {high:g}"


def _predict_av(model: Any, head: Output[Waveform]) -> str:
    if not callable(getattr(model, "predict_av", None)):
        raise NotApplicable("the head has no predict_av")
    found = _rows(model.predict_av(list(head.unlike)))
    return head.agree(found, head.together(), when="between its patches and predict_av")


def _means(model: Any, head: Output[Waveform]) -> str:
    if not callable(getattr(model, "predict_av_from_means", None)):
        raise CheckFailed(
            "has no predict_av_from_means; give it, or let it raise ModelError if not affine"
        )
    means = [model.embedder.embed_patches(clip).mean(axis=0) for clip in head.unlike]
    try:
        found = model.predict_av_from_means(np.stack(means))
    except ModelError as refusal:
        return f"refused: {one_line(refusal)}"
    # Many patches are summed in float32, in another order.
    when = "between the mean of its patches and the patches themselves"
    return head.agree(_rows(found), head.together(), when=when, allowed=1e-3)


def _patches_unmodified(model: Any, head: Output[Waveform]) -> str:
    patches = model.embedder.embed_patches(head.unlike[0])
    before = patches.copy()
    model.predict_av_from_patches(patches)
    if not np.array_equal(patches, before):
        raise CheckFailed("changes the patches it is given, which other heads read")
    return "as they were"


def _rows(found: Any) -> Rows:
    return list(np.asarray(found, np.float64))
