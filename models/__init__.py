"""Who listens: the adapter protocols, the registry, and one module a model."""

from typing import Any

__all__ = ["open"]


def open(name: str, **options: Any) -> Any:
    """Open a model by its registered name, ``module:attribute`` or ``path/to/file.py:attribute``.

    ``earmark.models.open("conse", tagger="MSD_musicnn")`` gives what
    ``loader`` and its options give in a suite; ``earmark list models`` lists the names.
    """
    from earmark.models.registry import MODELS

    return MODELS.create(name, options)
