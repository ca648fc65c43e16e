"""What is listened to: audio decoding, and one module a dataset."""

from typing import Any

__all__ = ["open"]


def open(name: str, **options: Any) -> Any:
    """Open a dataset by its registered name, ``module:attribute`` or ``path/to/file.py:attribute``.

    ``earmark.datasets.open("gtzan", root="gtzan")`` gives what
    ``loader`` and its options give in a suite; ``earmark list datasets`` lists the names.
    """
    from earmark.datasets.registry import DATASETS

    return DATASETS.create(name, options)
