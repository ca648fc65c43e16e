"""MER-TAFFC (4Q): 900 excerpts of 30 seconds in four quadrants of arousal and valence.

Layout
------
::

    panda_dataset_taffc_annotations.csv   Song,Quadrant, e.g. MT0000004637,Q3
    panda_dataset_taffc_metadata.csv      Song,Artist,... (optional)
    Q1/<Song>.mp3, ..., Q4/<Song>.mp3     optional

Quadrants, after Russell: ``Q1`` high arousal and high valence, ``Q2`` high and low, ``Q3`` low and
low, ``Q4`` low arousal and high valence.

A quadrant is no number, but an order: every clip of high arousal is compared with every clip of low
arousal, and likewise for valence; clips on one side are not compared. Pairwise accuracy over these
comparisons is the area under the ROC curve of the two sides. A clip's label is its quadrant, its
unit the artist where the metadata are there.

The layout is that of the authors' repository (https://github.com/renatopanda/TAFFC2018); the audio
was not available.

References
----------
.. [1] R. Panda, R. Malheiro, R. P. Paiva, "Novel audio features for music emotion recognition",
       IEEE Transactions on Affective Computing 11(4), 2020.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from earmark.datasets.base import Clip, DataError, DatasetCard, Problem, refuse, with_origin
from earmark.datasets.judgements.pairwise import PairwiseJudgements, build, by_level
from earmark.datasets.ratings.table import DIMENSIONS, artist_unit, audio_paths, read_columns

QUADRANTS = {"Q1": (1, 1), "Q2": (1, -1), "Q3": (-1, -1), "Q4": (-1, 1)}
"""The side of arousal and of valence: 1 high, -1 low."""
N_CLIPS = 900

ANNOTATIONS = "panda_dataset_taffc_annotations.csv"
METADATA = "panda_dataset_taffc_metadata.csv"

_CITATION = """\
@article{panda2020novel,
  author = {Panda, Renato and Malheiro, Ricardo and Paiva, Rui Pedro},
  title = {Novel Audio Features for Music Emotion Recognition},
  journal = {IEEE Transactions on Affective Computing},
  volume = {11},
  number = {4},
  pages = {614--626},
  year = {2020},
  doi = {10.1109/TAFFC.2018.2820691}
}"""


def load(root: Path | str, *, audio: Path | str | None = None) -> PairwiseJudgements:
    """Open MER-TAFFC, laid out as the module's text says; nothing is decoded.

    Parameters
    ----------
    audio
        The folder of ``Q1`` to ``Q4``, if it is not the root.

    Raises
    ------
    DataError
        If the annotations are absent, or :func:`validate` finds a problem.
    """
    root = Path(root)
    quadrants, artists, faults = _read(root, audio)
    refuse(f"MER-TAFFC at {root}", faults)
    names = sorted(quadrants)
    paths = audio_paths(names, of="MER-TAFFC", root=root, usual=(".",), audio=audio)
    clips = [
        Clip(name, paths.get(name), quadrants[name], artist_unit(artists.get(name, "")))
        for name in names
    ]
    sides = np.array([QUADRANTS[quadrants[name]] for name in names], float)
    comparisons = {d: by_level(sides[:, i]) for i, d in enumerate(DIMENSIONS)}
    count = Counter(quadrants.values())
    shown = ", ".join(f"{quadrant} {count[quadrant]}" for quadrant in QUADRANTS)
    notes = [
        f"quadrants compared by side, {shown}",
        "layout as documented in the authors' repository; the audio is not checked",
    ]
    if len(names) != N_CLIPS:
        notes.append(f"the table has {len(names)} of the {N_CLIPS} clips")
    if anonymous := sum(clip.unit is None for clip in clips):
        notes.append(f"{anonymous} of {len(clips)} clips have no known artist: resampled by clip")
    card = DatasetCard(
        id="mer-taffc",
        title="MER-TAFFC: four quadrants of arousal and valence",
        version="2018",
        licence="not stated in the authors' repository",
        citation=_CITATION,
        source="http://mir.dei.uc.pt/downloads.html",
        notes=tuple(notes),
    )
    rule = "every clip of a high quadrant with every clip of a low one"
    return build(clips, comparisons, with_origin(card, root), rule=rule)


def validate(root: Path | str, *, audio: Path | str | None = None) -> list[Problem]:
    """Return all that is wrong with the tables, and audio in another quadrant's folder."""
    return _read(Path(root), audio)[2]


def _read(
    root: Path, audio: Path | str | None
) -> tuple[dict[str, str], dict[str, str], list[Problem]]:
    """Return the quadrant and the artist by song, and what is wrong."""
    table, metadata = root / ANNOTATIONS, root / METADATA
    rows, faults = read_columns(table, ("Song", "Quadrant"))
    quadrants: dict[str, str] = {}
    for line, row in rows:
        song, quadrant = row["Song"], row["Quadrant"]
        if not song:
            faults.append(Problem(table, "has no song", line))
        elif song in quadrants:
            faults.append(Problem(table, f"song {song} is there twice", line))
        elif quadrant not in QUADRANTS:
            message = f"quadrant of {song} is {quadrant!r}, expected {', '.join(QUADRANTS)}"
            faults.append(Problem(table, message, line))
        else:
            quadrants[song] = quadrant
    sides = [{QUADRANTS[q][i] for q in quadrants.values()} for i in range(len(DIMENSIONS))]
    for dimension, found in zip(DIMENSIONS, sides, strict=True):
        if quadrants and len(found) == 1:
            faults.append(Problem(table, f"all quadrants are on one side of {dimension}"))
    artists: dict[str, str] = {}
    if metadata.is_file():
        info, problems = read_columns(metadata, ("Song", "Artist", "Quadrant"))
        faults += problems
        for line, row in info:
            song = row["Song"]
            artists[song] = row["Artist"]
            if quadrants.get(song, row["Quadrant"]) != row["Quadrant"]:
                message = f"song {song} is in {row['Quadrant']}, and in {quadrants[song]} by "
                faults.append(Problem(metadata, message + ANNOTATIONS, line))
    try:
        paths = audio_paths(quadrants, of="MER-TAFFC", root=root, usual=(".",), audio=audio)
    except DataError as error:
        return quadrants, artists, [*faults, Problem(root, str(error))]
    for song, path in paths.items():
        if path.parent.name in QUADRANTS and path.parent.name != quadrants[song]:
            message = f"{song} lies in {path.parent.name}, but is {quadrants[song]} in the table"
            faults.append(Problem(path, message))
    return quadrants, artists, faults
