"""CCMED-WCMED: 400 excerpts of Chinese and 400 of Western classical music, ranked.

Layout
------
``CCMED/`` and ``WCMED/``, each as :mod:`earmark.datasets.judgements.rankings` says. The root may
also be one of the two itself. The set's own layout was not documented where this was written, and
the card says so.

References
----------
.. [1] J. Fan, Y.-H. Yang, K. Dong, P. Pasquier, "A comparative study of Western and Chinese
       classical music based on soundscape models", ICASSP 2020.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from earmark.datasets.base import DataError, DatasetCard, Problem
from earmark.datasets.judgements import rankings
from earmark.datasets.judgements.pairwise import PairwiseJudgements

Part = Literal["ccmed", "wcmed"]

_CITATION = """\
@inproceedings{fan2020comparative,
  author = {Fan, Jianyu and Yang, Yi-Hsuan and Dong, Kui and Pasquier, Philippe},
  title = {A Comparative Study of {Western} and {Chinese} Classical Music Based on Soundscape
           Models},
  booktitle = {IEEE International Conference on Acoustics, Speech and Signal Processing},
  year = {2020}
}"""


def load(
    root: Path | str,
    *,
    part: Part,
    min_rank_gap: int = 1,
    audio: Path | str | None = None,
) -> PairwiseJudgements:
    """Open one half; the other options are those of :func:`.rankings.load`.

    Parameters
    ----------
    part
        Chinese or Western music.
    min_rank_gap
        How many ranks, counted without gaps, two clips must be apart to be compared.

    Raises
    ------
    DataError
        If there is no such part, or as :func:`.rankings.load`.
    """
    if part not in get_args(Part):
        raise DataError(f"CCMED-WCMED has no part {part!r}; expected ccmed or wcmed")
    card = DatasetCard(
        id=part,
        title=f"{part.upper()}: {'Chinese' if part == 'ccmed' else 'Western'} classical music",
        version="not stated",
        licence="not stated here; see the source",
        citation=_CITATION,
        source="https://metacreation.net/ccmed_wcmed_soundscape/",
        notes=(rankings.UNCHECKED,),
    )
    folder = _folder(Path(root), part)
    return rankings.open_ranked(folder, card, min_rank_gap=min_rank_gap, audio=audio)


def validate(root: Path | str) -> list[Problem]:
    """Return all that is wrong with the tables of both halves, or of the one that is there."""
    folders = dict.fromkeys(_folder(Path(root), part) for part in get_args(Part))
    return [problem for folder in folders for problem in rankings.validate(folder)]


def _folder(root: Path, part: str) -> Path:
    return next((p for p in (root / part.upper(), root / part) if p.is_dir()), root)
