"""How caption retrieval is set up: the named protocols, and what a suite changes of them.

References
----------
.. [1] I. Manco, E. Benetos, E. Quinton, G. Fazekas, "Contrastive audio-language learning for
       music", ISMIR 2022, sec. 4.2, 5.1 and 5.2, table 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from earmark.bench.metrics.retrieval import Rule
from earmark.bench.tasks.vectors import PAPER_CROP
from earmark.datasets.base import DataError
from earmark.datasets.files.names import suggest

Direction = Literal["text-to-audio", "audio-to-text"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)

Captions = Literal["all", "one"]
"""Of a clip with several: all of them, or one that each draw takes at random."""

DRAWS = 10
"""Of a pool, or of a clip's caption, where a protocol does not say."""

_RECALLS = ("recall_at_1", "recall_at_5", "recall_at_10")

RETRIEVAL_PROTOCOLS: Mapping[str, Mapping[str, Any]] = {
    "earmark": {
        "pool": "all",
        "captions": "all",
        "directions": DIRECTIONS,
        "rule": "best of n",
        "metrics": (*_RECALLS, "map_at_10", "mrr", "ndcg_at_10", "median_rank", "mean_rank"),
        "crop": None,
    },
    # Sec. 5.1: 1,000 pairs drawn from the test split. The paper drew once.
    "muscall-paper": {
        "pool": 1000,
        "captions": "one",
        "directions": DIRECTIONS,
        "rule": "best of n",
        "metrics": (*_RECALLS, "map_at_10", "median_rank"),
        "crop": PAPER_CROP,
    },
}


@dataclass(frozen=True, slots=True)
class RetrievalProtocol:
    """A protocol with a suite's changes."""

    protocol: str
    """Its name, and which options differ from it."""
    pool: int | Literal["all"]
    """Clips with captions in each draw."""
    draws: int | None
    """None: as many as `DRAWS` where anything is drawn."""
    captions: Captions
    directions: tuple[Direction, ...]
    rule: Rule
    metrics: tuple[str, ...]
    crop: str | None
    """The crop that the protocol asks of models; None: each model's own."""
    changed: tuple[str, ...] = ()
    """Options of the suite that are other than the protocol's."""


def resolve_protocol(
    protocol: str = "earmark",
    *,
    pool: int | str | None = None,
    draws: int | None = None,
    captions: str | None = None,
    directions: Sequence[str] | None = None,
    rule: str | None = None,
) -> RetrievalProtocol:
    """Return a protocol with the options that are given in place of its own.

    Raises
    ------
    DataError
        If the protocol is unknown, or an option is none of those that there are.
    """
    if protocol not in RETRIEVAL_PROTOCOLS:
        hint = suggest(protocol, RETRIEVAL_PROTOCOLS)
        raise DataError(f"retrieval has no protocol {protocol!r}. {hint}")
    own = RETRIEVAL_PROTOCOLS[protocol]
    given = {
        "pool": _pool(pool),
        "draws": _draws(draws),
        "captions": _one_of(captions, "captions", get_args(Captions)),
        "directions": _directions(directions),
        "rule": _one_of(rule, "rule", get_args(Rule)),
    }
    # Draws beyond the default make the mean steadier and nothing else.
    changed = [
        name
        for name, value in given.items()
        if value is not None and name != "draws" and value != own[name]
    ]
    options = dict(own) | {name: value for name, value in given.items() if value is not None}
    return RetrievalProtocol(
        protocol=protocol,
        changed=tuple(changed),
        **{"draws": None} | options,
    )


def _pool(pool: int | str | None) -> int | str | None:
    if pool is None or pool == "all":
        return pool
    if isinstance(pool, bool) or not isinstance(pool, int) or pool < 2:
        raise DataError(
            f"pool is {pool!r}, expected a whole number of clips from 2, or 'all' for the whole set"
        )
    return pool


def _draws(draws: int | None) -> int | None:
    if draws is None:
        return None
    if isinstance(draws, bool) or not isinstance(draws, int) or draws < 1:
        raise DataError(f"draws is {draws!r}, expected a whole number from 1")
    return draws


def _one_of(value: str | None, name: str, known: Sequence[str]) -> str | None:
    if value is not None and value not in known:
        raise DataError(f"{name} is {value!r}, expected {' or '.join(map(repr, known))}")
    return value


def _directions(given: Sequence[str] | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    if isinstance(given, str) or not given or not set(given) <= set(DIRECTIONS):
        raise DataError(
            f"directions are {given!r}, expected a list of one or both of {', '.join(DIRECTIONS)}"
        )
    return tuple(each for each in DIRECTIONS if each in given)
