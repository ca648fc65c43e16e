"""Is the card complete, plain and honest in form? What it says of the weights cannot be checked."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Mapping
from functools import partial

from earmark.models.base import UNTRAINED, ModelCard
from earmark.models.conformance.outputs import Check, CheckFailed

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
