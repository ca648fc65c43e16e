"""MusAV as comparisons of two songs each, for what learns or is tested on such.

The layout is that of :mod:`earmark.datasets.musav`, the result that of
:mod:`earmark.datasets.pairwise`.
"""

from __future__ import annotations

from pathlib import Path

from earmark.datasets import musav
from earmark.datasets.base import Problem
from earmark.datasets.pairwise import PairwiseJudgements, from_musav


def load(
    root: Path | str, *, subset: str | None = None, audio: Path | str | None = None
) -> PairwiseJudgements:
    """Open MusAV: :func:`earmark.datasets.musav.load`, then :func:`.pairwise.from_musav`.

    Raises
    ------
    DataError
        As these.
    """
    return from_musav(musav.load(root), subset=subset, audio=audio)


def validate(root: Path | str) -> list[Problem]:
    """Return all that is wrong: :func:`earmark.datasets.musav.validate`."""
    return musav.validate(root)
