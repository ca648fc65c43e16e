"""Earmark's Python interface: measure a model, read runs, compare them, without the command line.

::

    import earmark

    dataset = earmark.datasets.open("gtzan", root="gtzan")
    run = earmark.evaluate("conse", dataset, task="zero_shot_classification")
    run.scores()          # a DataFrame: one row per score, with interval, chance and n
    run.report("report")  # HTML and PDF

What is named here is stable: it changes only with a deprecation warning that lasts one minor
version. Everything below ``earmark.bench``, ``earmark.datasets``, ``earmark.models`` and
``earmark.reports`` that is not named here, in a docstring of a protocol, or in CONTRIBUTING may
change in any version.

Importing this imports nothing heavy; what is asked for is imported then.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from earmark import datasets, judge, metrics, models
    from earmark.evaluation import evaluate, open, open_all, run
    from earmark.runs import Run
    from earmark.training import train

    __version__: str

__all__ = [
    "Run",
    "__version__",
    "datasets",
    "evaluate",
    "judge",
    "metrics",
    "models",
    "open",
    "open_all",
    "run",
    "train",
]

_ATTRIBUTES = {
    "Run": "earmark.runs",
    "evaluate": "earmark.evaluation",
    "open": "earmark.evaluation",
    "open_all": "earmark.evaluation",
    "run": "earmark.evaluation",
    "train": "earmark.training",
}
_PACKAGES = ("datasets", "judge", "metrics", "models")


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("earmark")
    if name in _PACKAGES:
        return import_module(f"earmark.{name}")
    if name in _ATTRIBUTES:
        return getattr(import_module(_ATTRIBUTES[name]), name)
    raise AttributeError(f"module 'earmark' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
