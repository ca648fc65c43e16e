"""MuSe: about 90,000 songs with arousal and valence computed from their Last.fm tags; no audio.

Layout
------
::

    muse_v3.csv              lastfm_url,track,artist,seeds,number_of_emotion_tags,valence_tags,
                             arousal_tags,dominance_tags,mbid,spotify_id,genre
    audio/<spotify_id>.mp3   optional, or in the folder that ``audio`` names: previews of one's own

Ratings are means of Warriner's norms of the emotion tags, weighted by how often a tag was given, on
his scale from 1 to 9. Nobody rated the songs: these are ratings of words. Dominance is checked and
not kept.

A clip is a Spotify id. Rows without one are left out, since nothing could be played; rows that
share one are one clip, with the mean of their ratings; rows without any rating are left out. The
card counts all three. Clips are resampled by artist. MuSe has no official split.

The layout is that of ``muse_v3.csv`` as public loaders read it; the file itself was not available.

References
----------
.. [1] C. Akiki, M. Burghardt, "MuSe: the musical sentiment dataset", Journal of Open Humanities
       Data 7, 2021.
.. [2] A. B. Warriner, V. Kuperman, M. Brysbaert, "Norms of valence, arousal, and dominance for
       13,915 English lemmas", Behavior Research Methods 45(4), 2013.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from earmark.datasets.base import DatasetCard, Problem, RatedClips, Scale, refuse
from earmark.datasets.ratings.table import (
    Rating,
    artist_unit,
    assemble,
    audio_paths,
    read_columns,
    value_fault,
    values_digest,
)

SCALE = Scale(1, 9)
NAMESPACE = "spotify"
TABLE = "muse_v3.csv"
N_ROWS = 90_001
"""Of version 3."""

_DIMENSIONS = ("arousal", "valence", "dominance")
_COLUMNS = ("lastfm_url", "artist", "genre", "spotify_id", *(f"{d}_tags" for d in _DIMENSIONS))
_SPOTIFY_ID = re.compile("[0-9A-Za-z]{22}")

_CITATION = """\
@article{akiki2021muse,
  author = {Akiki, Christopher and Burghardt, Manuel},
  title = {{MuSe}: The Musical Sentiment Dataset},
  journal = {Journal of Open Humanities Data},
  volume = {7},
  year = {2021},
  doi = {10.5334/johd.33}
}"""


@dataclass
class _Reading:
    """What was read, and what is wrong with it."""

    n_rows: int = 0
    songs: dict[str, list[Rating]] = field(default_factory=dict)
    """By Spotify id: what each of its rows says, in the order of their URLs."""
    without_id: int = 0
    unrated: int = 0
    faults: list[Problem] = field(default_factory=list)


def load(root: Path | str, *, audio: Path | str | None = None) -> RatedClips:
    """Open MuSe, laid out as the module's text says; nothing is decoded.

    Parameters
    ----------
    root
        The folder of ``muse_v3.csv``.
    audio
        The folder of ``<spotify_id>.mp3``, if it is not ``audio`` below the root.

    Raises
    ------
    DataError
        If the table is absent, or :func:`validate` finds a problem.
    """
    reading = _read(Path(root))
    refuse(f"MuSe at {root}", reading.faults)
    ratings = [_mean(rows) for rows in reading.songs.values()]
    version = "3" if reading.n_rows == N_ROWS else f"3, {reading.n_rows} of {N_ROWS:,} rows"
    card = DatasetCard(
        id="muse",
        title="MuSe: the musical sentiment dataset",
        version=f"{version}: {values_digest(ratings)[:12]}",
        licence="not stated here; see the source",
        citation=_CITATION,
        source="https://www.kaggle.com/datasets/cakiki/muse-the-musical-sentiment-dataset",
        notes=_notes(reading),
    )
    paths = audio_paths(reading.songs, of="MuSe", root=Path(root), usual=("audio",), audio=audio)
    return assemble(ratings, card, root=Path(root), scale=SCALE, paths=paths, namespace=NAMESPACE)


def validate(root: Path | str) -> list[Problem]:
    """Return all that is wrong with the table."""
    return _read(Path(root)).faults


def _read(root: Path) -> _Reading:
    reading, table = _Reading(), root / TABLE
    rows, reading.faults = read_columns(table, _COLUMNS)
    reading.n_rows = len(rows)
    # In the order of URLs, so that which row comes first does not depend on the file's order.
    for line, row in sorted(rows, key=lambda each: (each[1]["lastfm_url"], each[0])):
        texts = [row[f"{kind}_tags"] for kind in _DIMENSIONS]
        song = row["spotify_id"]
        if not any(texts):
            reading.unrated += 1
            continue
        messages = [
            value_fault(text, SCALE, of=f"{kind} of {row['lastfm_url']}")
            for kind, text in zip(_DIMENSIONS, texts, strict=True)
        ]
        if song and not _SPOTIFY_ID.fullmatch(song):
            messages.append(f"spotify_id {song!r}, expected 22 letters and digits, or nothing")
        found = [message for message in messages if message is not None]
        reading.faults += [Problem(table, message, line) for message in found]
        if not song:
            reading.without_id += 1
        elif not found:
            artist, genre = artist_unit(row["artist"]), row["genre"] or None
            one = Rating(song, float(texts[0]), float(texts[1]), label=genre, unit=artist)
            reading.songs.setdefault(song, []).append(one)
    reading.faults.sort(key=lambda problem: problem.line or 0)
    if not reading.songs and not reading.faults:
        message = f"none of its {len(rows)} rows has both ratings and a spotify_id"
        reading.faults.append(Problem(table, message))
    return reading


def _mean(rows: list[Rating]) -> Rating:
    arousal = sum(row.arousal for row in rows) / len(rows)
    valence = sum(row.valence for row in rows) / len(rows)
    return replace(rows[0], arousal=arousal, valence=valence)


def _notes(reading: _Reading) -> tuple[str, ...]:
    several = [len(rows) for rows in reading.songs.values() if len(rows) > 1]
    of_all = f"of {reading.n_rows} rows left out"
    found = {
        f"{reading.without_id} {of_all}: no Spotify id": reading.without_id,
        f"{reading.unrated} {of_all}: no rating": reading.unrated,
        f"{sum(several)} rows share {len(several)} Spotify ids: one clip each, their mean": several,
    }
    return (
        "ratings are computed from listeners' tags, nobody rated the music",
        "layout as public loaders read it; not checked against the file",
        *(note for note, is_so in found.items() if is_so),
    )
