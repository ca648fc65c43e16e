"""PMEmo: choruses of 794 pop songs, 767 of them rated for arousal and valence from 0 to 1.

Layout
------
The official archive's; the root is ``PMEmo2019/``::

    annotations/static_annotations.csv   musicId,Arousal(mean),Valence(mean)
    metadata.csv                         musicId,fileName,title,artist,album,duration,...
                                         (optional: without it clips are resampled by song)
    chorus/<musicId>.mp3                 optional

There is no official split. Clips are resampled by artist. The layout is that of the official
repository's text; the files themselves were not available.

References
----------
.. [1] K. Zhang, H. Zhang, S. Li, C. Yang, L. Sun, "The PMEmo dataset for music emotion
       recognition", ICMR 2018.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from earmark.datasets.base import DatasetCard, Problem, RatedClips, Scale, refuse
from earmark.datasets.ratings.table import (
    Columns,
    Rating,
    artist_unit,
    assemble,
    audio_paths,
    ratings_of,
    read_columns,
    sort_out,
    values_digest,
)

SCALE = Scale(0, 1)
N_SONGS = 767
"""With static ratings."""
NAMESPACE = "pmemo"

STATIC = Columns("musicId", "Arousal(mean)", "Valence(mean)")

_CITATION = """\
@inproceedings{zhang2018pmemo,
  author = {Zhang, Kejun and Zhang, Hui and Li, Simeng and Yang, Changyuan and Sun, Lingyun},
  title = {The {PMEmo} Dataset for Music Emotion Recognition},
  booktitle = {ACM International Conference on Multimedia Retrieval (ICMR)},
  pages = {135--142},
  year = {2018},
  doi = {10.1145/3206025.3206037}
}"""


def load(root: Path | str, *, audio: Path | str | None = None) -> RatedClips:
    """Open PMEmo, laid out as the module's text says; nothing is decoded.

    Parameters
    ----------
    audio
        The folder of ``<musicId>.mp3``, if it is not ``chorus``.

    Raises
    ------
    DataError
        If the table is absent, or :func:`validate` finds a problem.
    """
    root = Path(root)
    ratings, faults = _read(root)
    refuse(f"PMEmo at {root}", faults)
    notes = ["layout as documented in the official repository; not checked against the files"]
    if len(ratings) != N_SONGS:
        notes.append(f"the table has {len(ratings)} songs, the release {N_SONGS}")
    anonymous = sum(row.unit is None for row in ratings)
    if anonymous:
        notes.append(f"{anonymous} of {len(ratings)} songs have no known artist: resampled by song")
    card = DatasetCard(
        id="pmemo",
        title="PMEmo: popular music with emotional annotations",
        version=f"2019: {values_digest(ratings)[:12]}",
        licence="not stated here; see the source",
        citation=_CITATION,
        source="https://github.com/HuiZhangDB/PMEmo",
        notes=tuple(notes),
    )
    paths = audio_paths(
        [row.id for row in ratings], of="PMEmo", root=root, usual=("chorus",), audio=audio
    )
    return assemble(ratings, card, root=root, scale=SCALE, paths=paths, namespace=NAMESPACE)


def validate(root: Path | str) -> list[Problem]:
    """Return all that is wrong with the tables."""
    return _read(Path(root))[1]


def _read(root: Path) -> tuple[list[Rating], list[Problem]]:
    table, metadata = root / "annotations" / "static_annotations.csv", root / "metadata.csv"
    rows, faults = read_columns(table, STATIC.names())
    ratings = sort_out(ratings_of(table, rows, STATIC, SCALE), faults)
    artists: dict[str, str] = {}
    if metadata.is_file():
        info, problems = read_columns(metadata, ("musicId", "artist"))
        faults += problems
        for line, row in info:
            if row["musicId"] in artists:
                message = f"song {row['musicId']} is there twice"
                faults.append(Problem(metadata, message, line))
            artists[row["musicId"]] = row["artist"]
    return [replace(row, unit=artist_unit(artists.get(row.id, ""))) for row in ratings], faults
