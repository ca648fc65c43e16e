"""What every model that reads must stand, and what is written: of columns, scales, and on the card.

Texts may be empty, far too long, and of any script. What a card says of the weights cannot be
checked; whether it is complete and plain can.
"""

from __future__ import annotations

import inspect
import json
import math
import re
import textwrap
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from earmark.datasets.audio import Waveform
from earmark.datasets.base import DataError
from earmark.models.base import UNTRAINED, ModelCard, ModelError
from earmark.models.conformance.outputs import (
    Check,
    CheckFailed,
    NotApplicable,
    Output,
    Rows,
    deviation,
    one_line,
)

UNLIKE_TEXTS = (
    "a slow sad piano ballad",
    "loud fast heavy metal with distorted guitars",
    "electronic dance music with a strong beat",
    "jazz: a saxophone solo over a walking bass",
    "a choir singing in a church",
    "folk, female voice and acoustic guitar",
    "rain",
    "an orchestra playing a classical symphony with violins and drums, quiet at first, then loud",
)
SCRIPTS: Mapping[str, str] = {
    "Latin with marks": "Café de flamenco, señorita Ångström, naïve œuvre",
    "Greek": "αργή μουσική για πιάνο",
    "Cyrillic": "медленная грустная баллада",
    "Hebrew": "שיר שקט עם גיטרה",
    "Arabic": "موسيقى هادئة مع العود",
    "Devanagari": "धीमा उदास संगीत",
    "Thai": "เพลงเศร้าช้าๆ",
    "Chinese": "安静的钢琴音乐",
    "Japanese": "静かなピアノの曲",
    "Korean": "조용한 피아노 음악",
    "emoji": "🎸🔥 👩‍🎤",
    "combining marks": "Cafe\u0301 a\u0308\u0323",
    "control characters": "piano\x00\t\n\u200b\ufeffbass",
}
_WORDS = "slow fast loud quiet sad happy piano guitar drums bass violin flute voice choir rock"
_OTHER_WORDS = "jazz pop folk metal dance ambient strings beat melody rhythm solo rain strange"
N_WORDS = 10_000


def mixed_texts(*, seed: int) -> list[str]:
    """Return texts of 1 to 60 words."""
    rng = np.random.default_rng(seed)
    words = f"{_WORDS} {_OTHER_WORDS}".split()
    return [" ".join(rng.choice(words, number)) for number in (5, 1, 14, 60, 2, 33)]


def very_long_text(*, seed: int) -> str:
    """Return 10,000 words."""
    return " ".join(np.random.default_rng(seed).choice(_WORDS.split(), N_WORDS))


def reading_checks(output: Output[str], card: object, *, seed: int) -> list[Check]:
    """Return the checks of a text embedder."""
    kept = tuple(f"{output.name}.{name}" for name in ("shape", "finite", "unit_norm"))
    same = (*kept, f"{output.name}.deterministic")
    return [
        Check(f"{output.name}.empty", partial(_empty, output), kept),
        Check(f"{output.name}.unicode", partial(_unicode, output), kept),
        Check(f"{output.name}.very_long", output.survives_very_long, kept),
        Check(
            f"{output.name}.truncation",
            partial(_truncation, output, card, seed),
            (*same, f"{output.name}.very_long", f"{output.name}.not_collapsed"),
        ),
    ]


def _empty(output: Output[str]) -> str:
    found = {output.survives(text) for text in ("", " \n")}
    return "; ".join(sorted(found))


def _unicode(output: Output[str]) -> str:
    refused = []
    for name, text in SCRIPTS.items():
        try:
            found = output.survives(text)
        except CheckFailed as fault:
            raise CheckFailed(f"{name}, {text!r}: {fault}") from fault
        if found.startswith("refused"):
            refused.append(name)
    count = f"{len(SCRIPTS) - len(refused)} of {len(SCRIPTS)} scripts give an output"
    return f"{count}, refused: {', '.join(refused)}" if refused else count


def _truncation(output: Output[str], card: object, seed: int) -> str:
    long = very_long_text(seed=seed)
    words = long.split()
    other = np.random.default_rng(seed + 1).choice(_OTHER_WORDS.split(), N_WORDS // 2)
    changed = " ".join([*words[: N_WORDS // 2], *other])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            whole, half = output.rows([long]), output.rows([changed])
        except (ModelError, DataError) as refusal:
            raise NotApplicable("a text of 10,000 words is refused") from refusal
    if deviation(half, whole).max() > output.tolerance:
        return "the end of a text of 10,000 words is read"
    if any("truncat" in str(one.message).lower() for one in caught):
        return "cut, and told by a warning"
    if place := _told_on_the_card(card):
        return f"cut, and told by the card's {place}"
    raise CheckFailed(
        "the end of a text of 10,000 words is cut off and nothing says so; state it in "
        "card.preprocessing or card.notes ('truncated to 77 tokens'), or warn"
    )


def _told_on_the_card(card: object) -> str | None:
    if not isinstance(card, ModelCard):
        return None
    told = {name: repr(getattr(card, name)) for name in ("preprocessing", "notes", "crop_policy")}
    return next((place for place, text in told.items() if "truncat" in text.lower()), None)


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


_SHA256 = re.compile("[0-9a-f]{64}")
_RANDOM = re.compile(r"(?<!never )(?<!not )(?<!no )(?<!non-)(?<!at )random", re.IGNORECASE)


def card_checks(card: object) -> list[Check]:
    """Return the checks of a model's card; ``card`` is None where the model has none."""
    checks = [Check("card.type", partial(_type, card))]
    if isinstance(card, ModelCard):
        rest: dict[str, Callable[[], str]] = {
            "id": partial(_words, card.id, "a short name, e.g. 'clap-htsat'"),
            "version": partial(_words, card.version, "the adapter's version, e.g. '1'"),
            "weights_digest": partial(_digest, card.weights_digest),
            "licence": partial(_words, card.licence, "an SPDX name, e.g. 'MIT'", lines=True),
            "citation": partial(_words, card.citation, "BibTeX, or 'unpublished'", lines=True),
            "training_datasets": partial(_training_datasets, card.training_datasets),
            "crop_policy": partial(_crop_policy, card.crop_policy),
            "preprocessing": partial(_preprocessing, card.preprocessing),
        }
        checks += [Check(f"card.{name}", run, ("card.type",)) for name, run in rest.items()]
    return checks


def is_untrained(card: object) -> bool:
    """Return whether a card says that its weights have learned nothing."""
    return isinstance(card, ModelCard) and card.weights_digest == UNTRAINED


def _type(card: object) -> str:
    if not isinstance(card, ModelCard):
        raise CheckFailed(
            f"the model's card is {type(card).__name__}, expected an earmark.models.base.ModelCard"
        )
    return "a ModelCard"


def _words(value: object, expected: str, *, lines: bool = False) -> str:
    if not isinstance(value, str) or not value.strip():
        raise CheckFailed(f"is {value!r}, expected {expected}")
    if not lines and not value.isprintable():
        raise CheckFailed(f"is {value!r}, expected {expected}, on one line")
    return textwrap.shorten(value, 60, placeholder=" ...")


def _digest(value: object) -> str:
    if isinstance(value, str) and (value == UNTRAINED or _SHA256.fullmatch(value)):
        return value
    raise CheckFailed(
        f"is {value!r}, expected the sha256 of the weights files as 64 hexadecimal digits "
        f"(earmark.datasets.audio.file_digest), or {UNTRAINED!r} where there are none"
    )


def _training_datasets(value: object) -> str:
    if not isinstance(value, tuple) or not all(isinstance(v, str) and v.strip() for v in value):
        raise CheckFailed(
            f"is {value!r}, expected a tuple of dataset ids, empty where the weights saw none"
        )
    return ", ".join(value) or "none stated"


def _crop_policy(value: object) -> str:
    words = _words(value, "how long audio is cut, e.g. 'centre 10 s', or 'the whole clip'")
    if _RANDOM.search(words):
        raise CheckFailed(f"is {value!r}: a crop at random gives other numbers each time")
    return words


def _preprocessing(value: object) -> str:
    if not isinstance(value, Mapping):
        raise CheckFailed(f"is {type(value).__name__}, expected a mapping of names to values")
    for name, one in value.items():
        if not isinstance(name, str) or not isinstance(one, str | int | float | bool):
            raise CheckFailed(
                f"{name!r} is {one!r}, expected a str, int, float or bool under a str"
            )
    try:
        json.dumps(dict(value), allow_nan=False)
    except ValueError:
        raise CheckFailed("holds a number that is not finite, which no record can keep") from None
    return f"{len(value)} values"
