"""MusicCaps: 5,521 ten-second excerpts of AudioSet, each with one caption and a list of aspects.

Layout
------
::

    musiccaps-public.csv               as published
    audio/[<ytid>]-[<start>-<end>].wav or <ytid>.wav, at any depth; .flac, .mp3 and others too

The audio is not published; part of it is no longer to be had. What the number was computed on is
therefore stated: ``missing="drop"`` goes on without the clips that are not there.

Splits
------
``eval``
    2,858 rows of AudioSet's evaluation segments (``is_audioset_eval``).
``train``
    The other 2,663.
``balanced``
    1,000 rows with an equal share of genres (``is_balanced_subset``).
``all``
    All 5,521.

References
----------
.. [1] A. Agostinelli et al., "MusicLM: Generating music from text", arXiv:2301.11325, 2023.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Literal, get_args

from earmark.datasets.base import Captioned, DataError, DatasetCard, Problem, check_choice
from earmark.datasets.captions.sheet import (
    Missing,
    Row,
    Sheet,
    assemble,
    faults,
    files_by_stem,
    one_file,
)
from earmark.datasets.files.text_files import lacking, read_table

Split = Literal["eval", "train", "balanced", "all"]

N_ROWS = 5521

_COLUMNS = (
    *("ytid", "start_s", "end_s", "aspect_list", "caption"),
    *("is_balanced_subset", "is_audioset_eval"),
)
_CITATION = """\
@article{agostinelli2023musiclm,
  author = {Agostinelli, Andrea and Denk, Timo I. and Borsos, Zal{\\'a}n and others},
  title = {{MusicLM}: Generating music from text},
  journal = {arXiv preprint arXiv:2301.11325},
  year = {2023}
}"""


def load(
    root: Path | str, *, split: Split, audio: str = "audio", missing: Missing = "error"
) -> Captioned:
    """Open the captions of a split and the audio that is there; nothing is decoded.

    ``split`` has no default: every score must name it.

    Raises
    ------
    DataError
        If an option is unknown, the table is absent, or :func:`validate` finds a problem.
    """
    sheet, n_rows = _read(Path(root), split, audio)
    part = n_rows != N_ROWS
    card = DatasetCard(
        id="musiccaps",
        title="MusicCaps",
        version="musiccaps-public.csv",
        licence="CC BY-SA 4.0 (captions); the audio is not distributed",
        citation=_CITATION,
        source="https://www.kaggle.com/datasets/googleai/musiccaps; audio from its YouTube ids",
        notes=(f"the table has {n_rows} of the {N_ROWS} rows",) if part else (),
    )
    return assemble(sheet, card, missing=missing)


def validate(root: Path | str, *, split: Split = "all", audio: str = "audio") -> list[Problem]:
    """Return all that is wrong with the table and the audio of a split.

    Raises
    ------
    DataError
        If the split is unknown.
    """
    return faults(_read(Path(root), split, audio)[0])


def _read(root: Path, split: Split, audio: str) -> tuple[Sheet, int]:
    check_choice("MusicCaps", "split", split, get_args(Split))
    place, folder = root / "musiccaps-public.csv", root / audio
    header, lines, problems = read_table(place)
    if header:
        problems += lacking(place, header, _COLUMNS)
    rows: list[Row] = []
    line_of: dict[str, int] = {}
    found = files_by_stem(folder)
    for line, row in [] if problems else lines:
        name = row["ytid"]
        try:
            if line_of.setdefault(name, line) != line:
                raise DataError(f"ytid {name} is there twice, also in line {line_of[name]}")
            wanted, aspects = _in_split(row, split), _aspects(row["aspect_list"])
            stem = f"[{name}]-[{row['start_s']}-{row['end_s']}]"
            path = one_file(found, stem, name) if wanted else None
        except DataError as error:
            problems.append(Problem(place, str(error), line))
            continue
        if wanted:
            rows.append(Row(line, name, row["caption"], path, caption_id=name, aspects=aspects))
    rule = f"rows of the split {split}, one caption a clip; resampled by clip"
    of = f"MusicCaps at {root}"
    return Sheet(of, place, folder, split, rule, rows, problems), len(lines)


def _in_split(row: dict[str, str], split: Split) -> bool:
    for column in ("is_audioset_eval", "is_balanced_subset"):
        if row[column] not in ("True", "False"):
            raise DataError(f"{column} must be True or False, got {row[column]!r}")
    if split == "balanced":
        return row["is_balanced_subset"] == "True"
    return split == "all" or (row["is_audioset_eval"] == "True") == (split == "eval")


def _aspects(text: str) -> tuple[str, ...]:
    """Read a list of texts that is written as in Python; nothing in it is run."""
    try:
        aspects = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        aspects = None
    if not isinstance(aspects, list) or not all(isinstance(one, str) for one in aspects):
        raise DataError(f"aspect_list must be a list of quoted texts, got {text[:60]!r}")
    return tuple(aspects)
