"""MusAV as comparisons of two songs each, for what learns or is tested on such.

The layout is that of :mod:`earmark.datasets.judgements.musav`, the result that of
:mod:`earmark.datasets.judgements.pairwise`.
"""

from __future__ import annotations

from pathlib import Path

from earmark.datasets.base import Problem
from earmark.datasets.judgements import musav
from earmark.datasets.judgements.pairwise import PairwiseJudgements, from_musav


def load(
    root: Path | str, *, subset: str | None = None, audio: Path | str | None = None
) -> PairwiseJudgements:
    """Open MusAV: :func:`earmark.datasets.judgements.musav.load`, then
    :func:`.pairwise.from_musav`.

    Raises
    ------
    DataError
        As these.
    """
    return from_musav(musav.load(root), subset=subset, audio=audio)


def validate(root: Path | str) -> list[Problem]:
    """Return all that is wrong: :func:`earmark.datasets.judgements.musav.validate`."""
    return musav.validate(root)
