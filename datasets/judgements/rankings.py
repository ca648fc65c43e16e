"""Rankings by arousal and by valence, as comparisons: EMusic, and those of one's own.

Layout
------
Either of these, as in Emo-Soundscapes [1]_, a set of the laboratory that made CCMED-WCMED and
EMusic, too::

    Rankings/Arousal.csv    FileName,Ranking    1 is the highest; likewise Valence.csv
    Ratings/Arousal.csv     FileName,Rating     a higher number is higher; likewise Valence.csv

and the audio below the root, at any depth, or in the folder that ``audio`` names. Where both are
there, rankings are read. EMusic's own layout was not documented where this was written and is not
checked: its card says so, and its files may have to be brought into this layout first.

Every two clips of different rank are a comparison; of neighbouring ranks it says little, and
``min_rank_gap`` leaves such pairs out. All clips hang together, so that folds and resampling are by
clip.

References
----------
.. [1] J. Fan, M. Thorogood, P. Pasquier, "Emo-Soundscapes: a dataset for soundscape emotion
       recognition", ACII 2017.
.. [2] J. Fan, K. Tatar, M. Thorogood, P. Pasquier, "Ranking-based emotion recognition for
       experimental music", ISMIR 2017 (EMusic).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

import numpy as np

from earmark.datasets.base import (
    NOT_STATED,
    CardOptions,
    Clip,
    DataError,
    DatasetCard,
    Problem,
    card_of_folder,
    first_ten,
    refuse,
    with_origin,
)
from earmark.datasets.files.text_files import as_number
from earmark.datasets.judgements.pairwise import PairwiseJudgements, build, by_level
from earmark.datasets.ratings.table import DIMENSIONS, audio_paths, read_columns

UNCHECKED = (
    "layout as that of Emo-Soundscapes, of the same laboratory; the set's own is not documented "
    "and not checked against its files"
)
"""Noted on the cards of sets that are only assumed to have this layout."""

_EMUSIC = """\
@inproceedings{fan2017ranking,
  author = {Fan, Jianyu and Tatar, Kıvanç and Thorogood, Miles and Pasquier, Philippe},
  title = {Ranking-Based Emotion Recognition for Experimental Music},
  booktitle = {International Society for Music Information Retrieval Conference (ISMIR 2017)},
  year = {2017}
}"""


@dataclass
class _Reading:
    """What was read, and what is wrong with it."""

    kind: str = ""
    levels: dict[str, dict[str, float]] = field(default_factory=dict)
    """By dimension and clip, higher is higher: minus the rank, or the rating."""
    faults: list[Problem] = field(default_factory=list)


def load(
    root: Path | str,
    *,
    min_rank_gap: int = 1,
    audio: Path | str | None = None,
    **card: Unpack[CardOptions],
) -> PairwiseJudgements:
    """Open rankings, laid out as the module's text says; nothing is decoded.

    Parameters
    ----------
    min_rank_gap
        How many ranks, counted without gaps, two clips must be apart to be compared.
    audio
        The folder of the clips, if it is not the root.

    Raises
    ------
    DataError
        If the tables are absent, :func:`validate` finds a problem, or no pair is left.
    """
    said = card_of_folder(root, **(NOT_STATED | card))
    return open_ranked(Path(root), said, min_rank_gap=min_rank_gap, audio=audio)


def load_emusic(
    root: Path | str, *, min_rank_gap: int = 1, audio: Path | str | None = None
) -> PairwiseJudgements:
    """Open EMusic, excerpts of experimental music; errors are those of :func:`load`.

    Parameters
    ----------
    min_rank_gap
        How many ranks, counted without gaps, two clips must be apart to be compared.
    """
    card = DatasetCard(
        id="emusic",
        title="EMusic: experimental music, ranked",
        version="not stated",
        licence="not stated here; see the source",
        citation=_EMUSIC,
        source="https://metacreation.net/ (EMusic); see the ISMIR 2017 paper",
        notes=(UNCHECKED,),
    )
    return open_ranked(Path(root), card, min_rank_gap=min_rank_gap, audio=audio)


def validate(root: Path | str) -> list[Problem]:
    """Return all that is wrong with the tables of rankings or ratings."""
    return _read(Path(root)).faults


def open_ranked(
    root: Path, card: DatasetCard, *, min_rank_gap: int, audio: Path | str | None
) -> PairwiseJudgements:
    """Open rankings under a card; options and errors are those of :func:`load`."""
    if min_rank_gap < 1:
        raise DataError(f"{card.id}: min_rank_gap is {min_rank_gap}, expected 1 or more")
    reading = _read(root)
    refuse(f"rankings at {root}", reading.faults)
    names = sorted(reading.levels[DIMENSIONS[0]])
    paths = audio_paths(names, of=card.id, root=root, usual=(".",), audio=audio)
    comparisons = {}
    for dimension in DIMENSIONS:
        values = np.array([reading.levels[dimension][name] for name in names])
        # Places among the values that occur, so that a gap means the same for ranks and ratings.
        places = np.unique(values, return_inverse=True)[1].astype(float)
        comparisons[dimension] = by_level(places, gap=min_rank_gap - 1)
        if not len(comparisons[dimension]):
            raise DataError(
                f"{card.id}: no two clips are {min_rank_gap} rank(s) of {dimension} apart, the "
                f"{len(names)} clips have {len(np.unique(places))} different ones"
            )
    rule = f"every two clips at least {min_rank_gap} rank(s) apart, from {reading.kind}"
    clips = [Clip(name, paths.get(name)) for name in names]
    return build(clips, comparisons, with_origin(card, root), rule=rule)


def _read(root: Path) -> _Reading:
    reading = _Reading()
    kinds = {"Rankings": "Ranking", "Ratings": "Rating"}
    found = next((folder for folder in kinds if (root / folder).is_dir()), None)
    if found is None:
        message = "expected Rankings/Arousal.csv and Rankings/Valence.csv (or Ratings/), found none"
        reading.faults.append(Problem(root, message))
        return reading
    reading.kind, column = found, kinds[found]
    for dimension in DIMENSIONS:
        table = root / found / f"{dimension.capitalize()}.csv"
        rows, problems = read_columns(table, ("FileName", column))
        reading.faults += problems
        levels = reading.levels[dimension] = {}
        for line, row in rows:
            name, value = row["FileName"], as_number(row[column])
            fault = _wrong(name, row[column], value, column, known=name in levels)
            if fault is not None:
                reading.faults.append(Problem(table, fault, line))
            levels[name] = -value if column == "Ranking" else value
    one, other = (set(reading.levels[dimension]) for dimension in DIMENSIONS)
    if one and other and one != other:
        names = first_ten(sorted(one ^ other))
        message = f"these clips are in one of Arousal.csv and Valence.csv alone: {names}"
        reading.faults.append(Problem(root / found, message))
    return reading


def _wrong(name: str, text: str, value: float, column: str, *, known: bool) -> str | None:
    if not name:
        return "has no file name"
    if known:
        return f"{name} is there twice"
    if column == "Ranking" and not (value >= 1 and value.is_integer()):
        return f"Ranking of {name} is {text!r}, expected a whole number from 1"
    if not math.isfinite(value):
        return f"{column} of {name} is {text!r}, expected a number"
    return None
