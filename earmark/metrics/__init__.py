"""The metrics alone: arrays in, estimates with intervals out; no dataset, model or record.

Arrays may be NumPy's, torch's on any device, or lists. Every function takes ``units``: what was
drawn together (a song with several excerpts, an artist), which intervals are over; None: each item.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from earmark.metrics import classification, pairwise, regression, retrieval, tagging
    from earmark.metrics.retrieval import similarity, top_k

__all__ = [
    "classification",
    "pairwise",
    "regression",
    "retrieval",
    "similarity",
    "tagging",
    "top_k",
]


def __getattr__(name: str) -> Any:
    if name in ("similarity", "top_k"):
        return getattr(import_module("earmark.metrics.retrieval"), name)
    if name in __all__:
        return import_module(f"earmark.metrics.{name}")
    raise AttributeError(f"module 'earmark.metrics' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
