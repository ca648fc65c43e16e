"""Models by name: see :class:`earmark.datasets.registry.Registry`."""

from __future__ import annotations

from earmark.datasets.registry import Registry

MODELS = Registry(
    "model",
    "earmark.models",
    {
        "essentia-av": "earmark.models.essentia_av:essentia_av",
    },
)
