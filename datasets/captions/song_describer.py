"""Song Describer: 1,106 captions of 706 Jamendo tracks, one or several a track, for evaluation.

Layout
------
::

    song_describer.csv            as published
    audio/NN/<track_id>.2min.mp3  two minutes of each track

The table's ``path`` is ``NN/<track_id>.mp3``, that of the whole track in MTG-Jamendo; whole tracks
are other audio and are not taken in place of the two minutes.

Splits
------
``full``
    1,106 captions of 706 tracks.
``valid``
    The 746 captions that ``is_valid_subset`` marks True; False and empty are not in it. The tracks
    are those of these captions. (The authors' own texts count 546 and 547.)

All are in the test part of split 0 of MTG-Jamendo.

References
----------
.. [1] I. Manco et al., "The Song Describer dataset: a corpus of audio captions for music-and-
       language evaluation", arXiv:2311.10057, 2023.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
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

Split = Literal["full", "valid"]

_COLUMNS = ("caption_id", "track_id", "caption", "is_valid_subset", "artist_id", "path")
_CITATION = """\
@inproceedings{manco2023song,
  author = {Manco, Ilaria and Weck, Benno and Doh, SeungHeon and Won, Minz and Zhang, Yixiao and
            Bogdanov, Dmitry and Wu, Yusong and Chen, Ke and Tovstogan, Philip and
            Benetos, Emmanouil and Quinton, Elio and Fazekas, Gy{\\"o}rgy and Nam, Juhan},
  title = {The {Song Describer} dataset: a corpus of audio captions for music-and-language
           evaluation},
  booktitle = {Machine Learning for Audio Workshop at NeurIPS},
  year = {2023}
}"""


def load(
    root: Path | str, *, split: Split, audio: str = "audio", missing: Missing = "error"
) -> Captioned:
    """Open the captions of a split and their audio; nothing is decoded.

    ``split`` has no default: every score must name it. A clip's ``unit`` is its artist.

    Raises
    ------
    DataError
        If an option is unknown, the table is absent, or :func:`validate` finds a problem.
    """
    card = DatasetCard(
        id="song-describer",
        title="The Song Describer dataset",
        version="Zenodo record 10072001",
        licence="CC BY-SA 4.0 (captions); Creative Commons, by track (audio)",
        citation=_CITATION,
        source="https://doi.org/10.5281/zenodo.10072001",
    )
    return assemble(_read(Path(root), split, audio), card, missing=missing)


def validate(root: Path | str, *, split: Split = "full", audio: str = "audio") -> list[Problem]:
    """Return all that is wrong with the table and the audio of a split.

    Raises
    ------
    DataError
        If the split is unknown.
    """
    return faults(_read(Path(root), split, audio))


def _read(root: Path, split: Split, audio: str) -> Sheet:
    check_choice("Song Describer", "split", split, get_args(Split))
    place, folder = root / "song_describer.csv", root / audio
    header, lines, problems = read_table(place)
    if header:
        problems += lacking(place, header, _COLUMNS)
    rows: list[Row] = []
    for line, row in [] if problems else lines:
        try:
            valid, path = _is_valid(row["is_valid_subset"]), _audio_path(folder, row)
        except DataError as error:
            problems.append(Problem(place, str(error), line))
            continue
        if valid or split == "full":
            unit = row["artist_id"] or None
            name = row["track_id"]
            rows.append(Row(line, name, row["caption"], path, row["caption_id"] or None, unit))
    rule = f"captions of the split {split}, one or several a track; resampled by artist"
    return Sheet(f"Song Describer at {root}", place, folder, split, rule, rows, problems)


def _is_valid(text: str) -> bool:
    if text not in ("True", "False", ""):
        raise DataError(f"is_valid_subset must be True, False or empty, got {text!r}")
    return text == "True"


def _audio_path(folder: Path, row: dict[str, str]) -> Path:
    path = PurePosixPath(row["path"])
    if path.name != f"{row['track_id']}.mp3":
        expected = f"NN/{row['track_id']}.mp3"
        raise DataError(f"the path of track {row['track_id']} must be {expected}, got {path}")
    return inside(folder, str(path.with_suffix(".2min.mp3")))
