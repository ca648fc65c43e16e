"""Clotho 2.1: sounds of 15 to 30 seconds with five captions each.

Layout
------
::

    clotho_captions_<split>.csv   file_name,caption_1,...,caption_5
    <split>/<file_name>           or in the folder that ``audio`` names

A table in long form (``fname,raw_text``, five rows a file) is read too.

Splits: ``development`` 3,839 files, ``validation`` 1,045, ``evaluation`` 1,045. The DCASE challenge
counts one file relevant to each caption; of audio to text, five captions are relevant.

References
----------
.. [1] K. Drossos, S. Lipping, T. Virtanen, "Clotho: an audio captioning dataset", ICASSP 2020.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal, get_args

from earmark.datasets.base import Captioned, DataError, DatasetCard, Problem, check_choice
from earmark.datasets.captions.sheet import (
    Missing,
    Row,
    Sheet,
    assemble,
    faults,
    inside,
)
from earmark.datasets.files.text_files import lacking, read_table

Split = Literal["development", "validation", "evaluation"]

N_CLIPS = {"development": 3839, "validation": 1045, "evaluation": 1045}
N_CAPTIONS = 5

_CITATION = """\
@inproceedings{drossos2020clotho,
  author = {Drossos, Konstantinos and Lipping, Samuel and Virtanen, Tuomas},
  title = {Clotho: an audio captioning dataset},
  booktitle = {IEEE International Conference on Acoustics, Speech and Signal Processing},
  pages = {736--740},
  year = {2020}
}"""


def load(
    root: Path | str,
    *,
    split: Split = "evaluation",
    audio: str | None = None,
    missing: Missing = "error",
) -> Captioned:
    """Open a split's captions and audio; nothing is decoded.

    Raises
    ------
    DataError
        If an option is unknown, the table is absent, or :func:`validate` finds a problem.
    """
    sheet = _read(Path(root), split, audio)
    n_clips = len({row.clip for row in sheet.rows})
    part = n_clips != N_CLIPS[split]
    card = DatasetCard(
        id="clotho",
        title="Clotho",
        version="2.1",
        licence="Tampere University licence (captions); Creative Commons, by file (audio)",
        citation=_CITATION,
        source="https://doi.org/10.5281/zenodo.4783391",
        notes=(f"the table has {n_clips} of the {N_CLIPS[split]} files",) if part else (),
    )
    return assemble(sheet, card, missing=missing)


def validate(
    root: Path | str, *, split: Split = "evaluation", audio: str | None = None
) -> list[Problem]:
    """Return all that is wrong with the table and the audio of a split.

    Raises
    ------
    DataError
        If the split is unknown.
    """
    return faults(_read(Path(root), split, audio))


def _read(root: Path, split: Split, audio: str | None) -> Sheet:
    check_choice("Clotho", "split", split, get_args(Split))
    place, folder = root / f"clotho_captions_{split}.csv", root / (audio or split)
    header, lines, problems = read_table(place)
    columns = [f"caption_{i}" for i in range(1, N_CAPTIONS + 1)]
    long_form = "fname" in header and "file_name" not in header
    name_column = "fname" if long_form else "file_name"
    if long_form:
        columns = ["raw_text"]
    if header:
        problems += lacking(place, header, [name_column, *columns])
    rows: list[Row] = []
    count: Counter[str] = Counter()
    first: dict[str, int] = {}
    for line, row in [] if problems else lines:
        name = row[name_column]
        first.setdefault(name, line)
        try:
            path = inside(folder, name)
        except DataError as error:
            problems.append(Problem(place, str(error), line))
            continue
        for column in columns:
            count[name] += 1
            rows.append(Row(line, name, row[column], path, f"{name}#{count[name]}"))
    for name, n in count.items():
        if n != N_CAPTIONS:
            message = f"{name} has {n} captions, expected {N_CAPTIONS}"
            problems.append(Problem(place, message, first[name]))
    rule = f"files of the split {split}, five captions each; resampled by clip"
    return Sheet(f"Clotho at {root}", place, folder, split, rule, rows, problems)
