"""What every model that reads must stand: nothing, far too much, and any script."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial

import numpy as np

from earmark.datasets.base import DataError
from earmark.models.base import ModelCard, ModelError
from earmark.models.conformance.outputs import Check, CheckFailed, NotApplicable, Output, deviation

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
