"""emoMusic: 744 excerpts of 45 seconds, rated for arousal and valence from 1 to 9.

Layout
------
The official archives', unpacked beside each other; ``annotations/`` may also be the root itself::

    annotations/songs_info.csv            song_id,file_name,Artist,Song title,...,Genre,
                                          Mediaeval 2013 set
    annotations/static_annotations.csv    song_id,mean_arousal,std_arousal,mean_valence,std_valence
    annotations/arousal_cont_average.csv  song_id,sample_15000ms,...; likewise valence (optional)
    clips_45seconds/<song_id>.mp3         optional: ratings alone are of use with kept embeddings

Splits
------
``mediaeval2013``
    The official one: ``development`` (619 songs) and ``evaluation`` (125).
``jukemir``
    ``train`` (504), ``valid`` (115) and ``test`` (125, the official evaluation songs), as in
    jukemir [2]_ and MARBLE. Validation songs are those of the development set whose artist's name
    (lower-case ASCII letters and single spaces) has a SHA-1 of 8 or 9 modulo 10. It keeps artists
    apart between ``train`` and ``valid`` only: 66 of the 125 test songs have an artist who is in
    the development set, too.
``artists``
    ``train``, ``valid`` and ``test`` (about 70, 15 and 15 %) that share no artist: Earmark's own,
    by the same SHA-1 modulo 20 (0 to 13, 14 to 16, 17 to 19).

Clips are resampled by artist.

References
----------
.. [1] M. Soleymani, M. N. Caro, E. M. Schmidt, C.-Y. Sha, Y.-H. Yang, "1000 songs for emotional
       analysis of music", CrowdMM 2013.
.. [2] R. Castellon, C. Donahue, P. Liang, "Codified audio language modeling learns useful
       representations for music information retrieval", ISMIR 2021.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from earmark.datasets.base import (
    DataError,
    DatasetCard,
    Problem,
    RatedClips,
    Scale,
    check_choice,
    refuse,
)
from earmark.datasets.ratings.swapped_columns import Points, compare_axes, dynamic_means, exchange
from earmark.datasets.ratings.table import (
    Columns,
    Rating,
    artist_unit,
    assemble,
    audio_paths,
    partition,
    ratings_of,
    read_columns,
    sort_out,
    values_digest,
)

Split = Literal["mediaeval2013", "jukemir", "artists"]

SCALE = Scale(1, 9)
NAMESPACE = "mediaeval"
"""Song ids are those of MediaEval's "Emotion in Music", which DEAM goes on counting."""
RELEASE_DIGEST = "dddbc589c0a4941e42da085a51498cf4777518c9458b3fac0b5b87b045442492"
"""Of ids, arousal and valence of the 744 songs."""

STATIC = Columns("song_id", "mean_arousal", "mean_valence", ("std_arousal", "std_valence"))
_INFO = ("song_id", "Artist", "Genre", "Mediaeval 2013 set")
_SETS = ("development", "evaluation")

_CITATION = """\
@inproceedings{soleymani2013songs,
  author = {Soleymani, Mohammad and Caro, Micheal N. and Schmidt, Erik M. and Sha, Cheng-Ya
            and Yang, Yi-Hsuan},
  title = {1000 Songs for Emotional Analysis of Music},
  booktitle = {ACM International Workshop on Crowdsourcing for Multimedia (CrowdMM)},
  pages = {1--6},
  year = {2013}
}"""


@dataclass
class _Reading:
    """What was read, and what is wrong with it."""

    folder: Path
    ratings: list[Rating] = field(default_factory=list)
    sets: dict[str, str] = field(default_factory=dict)
    """Each song's official set."""
    artists: dict[str, str] = field(default_factory=dict)
    faults: list[Problem] = field(default_factory=list)


def load(
    root: Path | str,
    *,
    split: Split = "mediaeval2013",
    part: str | None = None,
    audio: Path | str | None = None,
) -> RatedClips:
    """Open emoMusic, laid out as the module's text says; nothing is decoded.

    Parameters
    ----------
    split
        Which partitions the clips carry.
    part
        The partition to take, e.g. ``evaluation``. None takes all clips.
    audio
        The folder of ``<song_id>.mp3``, if it is not ``clips_45seconds``.

    Raises
    ------
    DataError
        If an option is unknown, a file is absent, or :func:`validate` finds a problem.
    """
    check_choice("emoMusic", "split", split, get_args(Split))
    reading = _read(Path(root))
    refuse(f"emoMusic at {root}", reading.faults)
    rows = [replace(row, partition=_RULES[split](reading, row.id)) for row in reading.ratings]
    released = values_digest(rows) == RELEASE_DIGEST
    digest = values_digest(rows)[:12]
    card = DatasetCard(
        id="emomusic",
        title="emoMusic: 1000 songs for emotional analysis of music",
        version="744 songs, 2013" if released else f"not the release: {digest}",
        licence="annotations: not stated; audio: Creative Commons, by song",
        citation=_CITATION,
        source="http://cvml.unige.ch/databases/emoMusic/ (annotations.tar.gz, clips_45sec.tar.gz)",
        notes=_notes(reading, rows, split),
    )
    paths = audio_paths(
        [row.id for row in rows],
        of="emoMusic",
        root=Path(root),
        usual=("clips_45seconds", "../clips_45seconds"),
        audio=audio,
    )
    rated = assemble(rows, card, root=Path(root), scale=SCALE, paths=paths, namespace=NAMESPACE)
    return rated if part is None else partition(rated, part)


def validate(root: Path | str) -> list[Problem]:
    """Return all that is wrong with the tables, exchanged arousal and valence among it."""
    return _read(Path(root)).faults


def static_points(root: Path | str) -> tuple[Points, Mapping[str, str]]:
    """Return arousal and valence, and the artist, by song: DEAM's first part is held to them."""
    reading = _read(Path(root))
    refuse(f"emoMusic at {root}", reading.faults)
    return {row.id: (row.arousal, row.valence) for row in reading.ratings}, reading.artists


def artist_name(name: str) -> str:
    """Return an artist's name as jukemir compares it: lower-case ASCII letters, single spaces.

    >>> artist_name("Jared C. Balogh")
    'jared c balogh'
    """
    kept = (c for c in name.lower() if ord(c) < 128 and (c.isalpha() or c.isspace()))
    return " ".join("".join(kept).split())


def _read(root: Path) -> _Reading:
    folder = root / "annotations" if (root / "annotations").is_dir() else root
    reading = _Reading(folder)
    if not (folder / "static_annotations.csv").is_file():
        message = (
            "expected annotations/static_annotations.csv and annotations/songs_info.csv, found no "
            "static_annotations.csv; unpack annotations.tar.gz and give its folder"
        )
        reading.faults.append(Problem(root, message))
        return reading
    info_file, static_file = folder / "songs_info.csv", folder / "static_annotations.csv"
    info, problems = read_columns(info_file, _INFO)
    reading.faults += problems
    genres: dict[str, str] = {}
    for line, row in info:
        name, its_set = row["song_id"], row["Mediaeval 2013 set"]
        if name in reading.sets:
            reading.faults.append(Problem(info_file, f"song {name} is there twice", line))
        if its_set not in _SETS:
            message = f"set of song {name} is {its_set!r}, expected {' or '.join(_SETS)}"
            reading.faults.append(Problem(info_file, message, line))
        if not row["Artist"]:
            reading.faults.append(Problem(info_file, f"song {name} has no artist", line))
        reading.sets[name] = its_set
        reading.artists[name], genres[name] = row["Artist"], row["Genre"]
    rows, problems = read_columns(static_file, STATIC.names())
    reading.faults += problems
    found = sort_out(ratings_of(static_file, rows, STATIC, SCALE), reading.faults)
    if info and rows:
        rated = {row["song_id"] for _, row in rows}
        for path, names in (
            (info_file, rated - genres.keys()),
            (static_file, genres.keys() - rated),
        ):
            reading.faults += [Problem(path, f"song {name} is missing") for name in sorted(names)]
    reading.ratings = [
        replace(row, label=genres.get(row.id), unit=artist_unit(reading.artists.get(row.id, "")))
        for row in found
    ]
    reading.faults += _exchanged(reading)
    return reading


def _exchanged(reading: _Reading) -> list[Problem]:
    """Return a problem if the static annotations fit the dynamic ones better exchanged."""
    files = [reading.folder / f"{kind}_cont_average.csv" for kind in ("arousal", "valence")]
    if not all(path.is_file() for path in files):
        return []
    try:
        dynamic = dynamic_means(*files)
    except DataError as error:
        return [Problem(reading.folder, str(error))]
    points = {row.id: (row.arousal, row.valence) for row in reading.ratings}
    evidence = compare_axes(points, dynamic, name="the means of the dynamic annotations")
    if evidence.verdict != "exchanged":
        return []
    of_both = values_digest(Rating(song, *point) for song, point in exchange(points).items())
    which = "the static ones are" if of_both == RELEASE_DIGEST else "one of the two pairs is"
    message = f"arousal and valence have changed places, {which} not the release's; {evidence}"
    return [Problem(reading.folder / "static_annotations.csv", message)]


def _notes(reading: _Reading, rows: list[Rating], split: Split) -> tuple[str, ...]:
    count: dict[str, int] = {}
    for row in rows:
        count[str(row.partition)] = count.get(str(row.partition), 0) + 1
    shown = ", ".join(f"{name} {n}" for name, n in sorted(count.items()))
    notes = [f"split {split}: {shown}"]
    last = {"mediaeval2013": "evaluation", "jukemir": "test"}.get(split)
    if last is not None:
        names = {r.id: artist_name(reading.artists[r.id]) or r.unit for r in rows}
        others = {names[r.id] for r in rows if r.partition != last}
        tested = [names[r.id] for r in rows if r.partition == last]
        shared = sum(name in others for name in tested)
        if shared:
            notes.append(
                f"{shared} of {len(tested)} songs in {last} have an artist who is in another "
                f"partition, too; split='artists' keeps them apart"
            )
    return tuple(notes)


def _of_jukemir(reading: _Reading, song: str) -> str:
    if reading.sets[song] == "evaluation":
        return "test"
    return "valid" if _digest(reading.artists[song]) % 10 >= 8 else "train"


def _by_artists(reading: _Reading, song: str) -> str:
    place = _digest(reading.artists[song]) % 20
    return "train" if place < 14 else "valid" if place < 17 else "test"


def _digest(artist: str) -> int:
    return int(hashlib.sha1(artist_name(artist).encode(), usedforsecurity=False).hexdigest(), 16)


_RULES: Mapping[str, Callable[[_Reading, str], str]] = {
    "mediaeval2013": lambda reading, song: reading.sets[song],
    "jukemir": _of_jukemir,
    "artists": _by_artists,
}
