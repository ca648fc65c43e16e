"""DEAM: 1,802 songs rated for arousal and valence from 1 to 9, and a known fault corrected.

Layout
------
The official archives'. The two tables are looked for at any depth below the root, since copies
differ in the names of folders::

    DEAM_Annotations/annotations/annotations averaged per song/song_level/
        static_annotations_averaged_songs_1_2000.csv      1,744 songs
        static_annotations_averaged_songs_2000_2058.csv   58 songs
    .../dynamic (per second annotations)/arousal.csv      optional; likewise valence.csv
    MEMD_audio/<song_id>.mp3                              optional
    metadata/metadata_2013.csv   song_id,file_name,Artist,Song title,...    ids to 1000
    metadata/metadata_2014.csv   Id,Artist,Album,Track,Genre,...            ids 1001 to 2000
    metadata/metadata_2015.csv   id,Filename,title,artist,album,genre,...   ids from 2001

Columns: ``song_id, valence_mean, valence_std, arousal_mean, arousal_std``, with white space before
and within names, which is not looked at.

The metadata, of which each file may be absent, name the artists, so that these can be kept
together. Rows may be longer than the header: labels of any number follow, and commas are not always
quoted. In the first two files the artist stands before these, in the third behind the title, so
that there only rows as long as the header are read. This is how public loaders read the files,
which were not available.

Partitions, after MediaEval: ``development`` (ids to 1000, the 744 songs of emoMusic),
``evaluation2014`` (1001 to 2000, 1,000 songs) and ``evaluation2015`` (from 2001, 58 whole songs).

The fault
---------
In the released table, valence and arousal of the songs to id 1000 stand in each other's columns.
Copies in which that is corrected exist, so each part is judged by what is available, and exchanged
only where it is found exchanged:

1. emoMusic's ratings of the same songs, if that set is available;
2. the means of DEAM's own dynamic annotations, if they are;
3. the digest of the released values of each part, as they are and exchanged;
4. for the songs to id 1000, if all are there: the means of the two columns, which are .22 apart.

The card says what was found and done. Evidence that contradicts itself is an error, and so is
having none on the songs to id 1000.

References
----------
.. [1] A. Aljanaki, Y.-H. Yang, M. Soleymani, "Developing a benchmark for emotional analysis of
       music", PLoS ONE 12(3), 2017.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from earmark.datasets.base import (
    DataError,
    DatasetCard,
    Problem,
    RatedClips,
    Scale,
    first_ten,
    refuse,
)
from earmark.datasets.files.text_files import is_whole_number
from earmark.datasets.ratings import emomusic as emomusic_set
from earmark.datasets.ratings.swapped_columns import (
    Evidence,
    Points,
    compare_axes,
    dynamic_means,
    exchange,
    exchanged_songs,
)
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

SCALE = Scale(1, 9)
N_SONGS = 1802
FILES = (
    "static_annotations_averaged_songs_1_2000.csv",
    "static_annotations_averaged_songs_2000_2058.csv",
)
PARTS = {"development": (1, 1000), "evaluation2014": (1001, 2000), "evaluation2015": (2001, 2058)}
"""The first and the last song id of each partition."""

RELEASED = {
    "development": "6c271da231824e05075b1f4dd8d6cd83089e9f56858dc2f2c045984ac6cc8374",
    "evaluation2014": "dbdfac6987575cc337071e0ed2026a7dd174cb47a74874b7ccbdadd5537783d0",
    "evaluation2015": "86441151ad93714794fe4fea81da6c30d430110787151e39059b9c00f4a4e9b3",
}
"""Digest of ids, arousal and valence of each part, the fault corrected."""
DEVELOPMENT_MEANS = (4.787, 5.007)
"""Arousal and valence over the 744 songs."""

STATIC = Columns("song_id", "arousal_mean", "valence_mean", ("arousal_std", "valence_std"))

_CITATION = """\
@article{aljanaki2017developing,
  author = {Aljanaki, Anna and Yang, Yi-Hsuan and Soleymani, Mohammad},
  title = {Developing a benchmark for emotional analysis of music},
  journal = {PLoS ONE},
  volume = {12},
  number = {3},
  pages = {e0173392},
  year = {2017},
  doi = {10.1371/journal.pone.0173392}
}"""


@dataclass
class _Part:
    """One part as the table has it, and what is known of its columns."""

    name: str
    table: Path
    ratings: list[Rating]
    evidence: list[Evidence] = field(default_factory=list)
    verdict: Literal["straight", "exchanged", "undecided"] = "undecided"

    @property
    def songs(self) -> str:
        ids = [int(row.id) for row in self.ratings]
        return f"{len(ids)} songs, ids {min(ids)} to {max(ids)}"


@dataclass
class _Reading:
    """What was read, and what is wrong with it."""

    parts: list[_Part] = field(default_factory=list)
    artists: dict[str, str] = field(default_factory=dict)
    """From emoMusic and DEAM's own metadata, as far as they are available."""
    faults: list[Problem] = field(default_factory=list)


def load(
    root: Path | str,
    *,
    part: str | None = None,
    correct_swap: bool = True,
    emomusic: Path | str | None = None,
    audio: Path | str | None = None,
) -> RatedClips:
    """Open DEAM, laid out as the module's text says; nothing is decoded.

    Clips are resampled by artist where emoMusic's table or DEAM's metadata name one, else by song.

    Parameters
    ----------
    part
        The partition to take, e.g. ``evaluation2014``. None takes all.
    correct_swap
        Whether a part with valence and arousal exchanged is put right. If not, the columns are
        taken as they stand, and the card says so.
    emomusic
        The folder of emoMusic. Default: ``emomusic`` or ``emoMusic`` beside the root, if there.
    audio
        The folder of ``<song_id>.mp3``, if it is not ``MEMD_audio``.

    Raises
    ------
    DataError
        If a file is absent, :func:`validate` finds a problem other than an exchanged part, or
        ``correct_swap`` is asked for and cannot be decided.
    """
    reading = _read(Path(root), emomusic)
    refuse(f"DEAM at {root}", reading.faults)
    if correct_swap:
        refuse(f"DEAM at {root}", [_undecided(p) for p in reading.parts if _is_undecided(p)])
    rows = [row for part in reading.parts for row in _rows(part, reading, correct_swap)]
    known = all(_is_released(part) for part in reading.parts)
    card = DatasetCard(
        id="deam",
        title="DEAM: MediaEval database for emotional analysis in music",
        version="1,802 songs, 2017" if known else f"not the release: {values_digest(rows)[:12]}",
        licence="CC BY-NC-SA (annotations); audio: Creative Commons, by song",
        citation=_CITATION,
        source="https://cvml.unige.ch/databases/DEAM/ (DEAM_Annotations.zip, DEAM_audio.zip)",
        notes=tuple(_notes(reading, correct_swap)),
    )
    paths = audio_paths(
        [row.id for row in rows],
        of="DEAM",
        root=Path(root),
        usual=("MEMD_audio", "DEAM_audio/MEMD_audio", "audio"),
        audio=audio,
    )
    rated = assemble(
        rows,
        card,
        root=Path(root),
        scale=SCALE,
        paths=paths,
        namespace=emomusic_set.NAMESPACE,
    )
    return rated if part is None else partition(rated, part)


def validate(root: Path | str, *, emomusic: Path | str | None = None) -> list[Problem]:
    """Return all that is wrong with the tables, also an exchanged part, which ``load`` mends."""
    reading = _read(Path(root), emomusic)
    exchanged = [
        Problem(part.table, f"{_found_exchanged(part)}; load() exchanges them unless told not to")
        for part in reading.parts
        if part.verdict == "exchanged"
    ]
    return reading.faults + exchanged + [_undecided(p) for p in reading.parts if _is_undecided(p)]


def _read(root: Path, emomusic: Path | str | None) -> _Reading:
    reading = _Reading()
    tables = []
    for name in FILES:
        found = sorted(root.rglob(name))
        if len(found) == 1:
            tables.append(found[0])
        else:
            there = f"found {len(found)}: {', '.join(map(str, found))}" if found else "found none"
            message = f"expected one {name} below it, {there}; unpack DEAM_Annotations.zip there"
            reading.faults.append(Problem(root, message))
    rows = [(table, row) for table in tables for row in _rated(table, reading.faults)]
    if reading.faults:
        return reading
    for name, (first, last) in PARTS.items():
        inside = [(table, row) for table, row in rows if first <= int(row.id) <= last]
        if inside:
            ratings = [replace(row, partition=name) for _, row in inside]
            reading.parts.append(_Part(name, inside[0][0], ratings))
    _judge(root, emomusic, reading)
    return reading


def _rated(table: Path, faults: list[Problem]) -> Iterator[Rating]:
    rows, problems = read_columns(table, STATIC.names())
    faults += problems
    last = max(last for _, last in PARTS.values())
    for row in sort_out(ratings_of(table, rows, STATIC, SCALE), faults):
        if is_whole_number(row.id) and 1 <= int(row.id) <= last:
            yield replace(row, id=str(int(row.id)))
        else:
            message = f"song_id {row.id!r} is none of DEAM's, expected a number from 1 to {last}"
            faults.append(Problem(table, message))


def _judge(root: Path, emomusic: Path | str | None, reading: _Reading) -> None:
    """Find out of each part whether its two columns are exchanged."""
    references: dict[str, Points] = {}
    folder = _emomusic_folder(root, emomusic)
    try:
        reading.artists |= artists(root)
        if folder is not None:
            points, names = emomusic_set.static_points(folder)
            reading.artists |= names
            references[f"emoMusic's ratings in {folder.name}"] = points
            _find_single_songs(reading, points)
        dynamic = _dynamic(root)
    except DataError as error:
        reading.faults.append(Problem(root, str(error)))
        return
    if dynamic:
        references["the means of DEAM's dynamic annotations"] = dynamic
    for part in reading.parts:
        points = _points(part)
        part.evidence = [
            compare_axes(points, reference, name=name)
            for name, reference in references.items()
            if points.keys() & reference.keys()
        ]
        part.evidence += _by_values(part)
        said = {found.verdict for found in part.evidence} - {"undecided"}
        if len(said) == 1:
            part.verdict = said.pop()
        elif said:
            message = f"the evidence on {part.songs} contradicts itself: "
            message += "; ".join(map(str, part.evidence))
            reading.faults.append(Problem(part.table, message))


def _emomusic_folder(root: Path, given: Path | str | None) -> Path | None:
    if given is not None:
        return Path(given)
    beside = (root.resolve().parent / name for name in ("emomusic", "emoMusic"))
    return next((p for p in beside if (p / "annotations/static_annotations.csv").is_file()), None)


def _find_single_songs(reading: _Reading, reference: Points) -> None:
    """Note as faults the songs whose columns are exchanged against most of their part."""
    for part in reading.parts:
        points = _points(part)
        common = points.keys() & reference.keys()
        one_way = exchanged_songs(points, reference)
        other_way = exchanged_songs(exchange(points), reference)
        fewer = min(one_way, other_way, key=len)
        if one_way and other_way:
            message = (
                f"valence and arousal of {len(fewer)} of {len(common)} songs stand the other way "
                f"round than those of the rest, against emoMusic's ratings: {first_ten(fewer)}; "
                f"fix these rows"
            )
            reading.faults.append(Problem(part.table, message))


def _dynamic(root: Path) -> Points:
    folders = sorted({path.parent for path in root.rglob("arousal.csv")})
    folder = next((each for each in folders if each.name.startswith("dynamic")), None)
    if folder is None or not (folder / "valence.csv").is_file():
        return {}
    return dynamic_means(folder / "arousal.csv", folder / "valence.csv")


def _by_values(part: _Part) -> Iterator[Evidence]:
    """Yield what the released values and their means say."""
    straight, crossed = _digests(part)
    if RELEASED[part.name] in (straight, crossed):
        exchanged = crossed == RELEASED[part.name]
        detail = f"sha256 {RELEASED[part.name][:12]}"
        yield Evidence("the released values", "exchanged" if exchanged else "straight", detail)
    if part.name == "development" and len(part.ratings) == _N_DEVELOPMENT:
        means = [sum(v) / len(v) for v in zip(*_points(part).values(), strict=True)]
        apart = abs(means[0] - DEVELOPMENT_MEANS[0]) + abs(means[1] - DEVELOPMENT_MEANS[1])
        crossed_apart = abs(means[0] - DEVELOPMENT_MEANS[1]) + abs(means[1] - DEVELOPMENT_MEANS[0])
        detail = f"arousal {means[0]:.3f}, valence {means[1]:.3f}"
        if min(apart, crossed_apart) < _MEANS_WITHIN:
            verdict: Literal["straight", "exchanged"] = (
                "straight" if apart < crossed_apart else "exchanged"
            )
            yield Evidence("the means of the released columns", verdict, detail)


_N_DEVELOPMENT = 744
_MEANS_WITHIN = 0.05
"""Both means together: more than rounding to whole points would move them."""


def _digests(part: _Part) -> tuple[str, str]:
    points = exchange(_points(part))
    return values_digest(part.ratings), values_digest(
        Rating(song, *point) for song, point in points.items()
    )


def _points(part: _Part) -> dict[str, tuple[float, float]]:
    return {row.id: (row.arousal, row.valence) for row in part.ratings}


def _is_released(part: _Part) -> bool:
    """Whether the values are the release's, however the columns stand."""
    return RELEASED[part.name] in _digests(part)


def _is_undecided(part: _Part) -> bool:
    return part.name == "development" and part.verdict == "undecided"


def _rows(part: _Part, reading: _Reading, correct_swap: bool) -> Iterator[Rating]:
    for row in part.ratings:
        unit = artist_unit(reading.artists.get(row.id, ""))
        if not (correct_swap and part.verdict == "exchanged"):
            yield replace(row, unit=unit)
            continue
        spread = row.deviations and row.deviations[::-1]
        yield replace(row, arousal=row.valence, valence=row.arousal, deviations=spread, unit=unit)


def _undecided(part: _Part) -> Problem:
    found = "; ".join(map(str, part.evidence)) or "nothing to compare with"
    message = (
        f"in the released table, valence and arousal of the songs to id 1000 are exchanged; of "
        f"this one it cannot be told ({part.songs}; {found}); give emomusic=, the folder of "
        f"emoMusic, or correct_swap=False, which takes the columns as they stand"
    )
    return Problem(part.table, message)


def _found_exchanged(part: _Part) -> str:
    known = "" if part.name == "development" else ", which is not the release's known fault"
    shown = "; ".join(map(str, part.evidence))
    return f"valence and arousal of {part.songs} stand in each other's columns{known}: {shown}"


def _notes(reading: _Reading, correct_swap: bool) -> Iterator[str]:
    parts: Sequence[_Part] = reading.parts
    n_songs = sum(len(part.ratings) for part in parts)
    if n_songs != N_SONGS:
        yield f"the tables have {n_songs} of the {N_SONGS} songs"
    for part in parts:
        if part.verdict == "exchanged":
            done = "exchanged here" if correct_swap else "taken as they stand (correct_swap=False)"
            yield f"{_found_exchanged(part)}; {done}"
        elif part.name == "development" and part.verdict == "straight":
            shown = "; ".join(map(str, part.evidence))
            yield f"valence and arousal of {part.songs} are in their own columns: {shown}"
        elif part.name == "development":
            yield (
                f"whether valence and arousal of {part.songs} are exchanged is not known; taken "
                f"as they stand (correct_swap=False)"
            )
    unknown = sum(row.id not in reading.artists for part in parts for row in part.ratings)
    if unknown:
        yield f"{unknown} of {n_songs} songs have no known artist: these are resampled by song"


_METADATA = ("metadata_2013.csv", "metadata_2014.csv", "metadata_2015.csv")


def artists(root: Path) -> dict[str, str]:
    """Return the artist by song id, for the songs whose artist can be told.

    Raises
    ------
    DataError
        If a file is there twice, cannot be read or has no column of ids or artists.
    """
    found: dict[str, str] = {}
    for name in _METADATA:
        places = sorted(root.rglob(name))
        if len(places) > 1:
            raise DataError(
                f"expected one {name} below {root}, found {', '.join(map(str, places))}"
            )
        for place in places:
            found |= _artists_in(place, exact=name == _METADATA[-1])
    return found


def _artists_in(path: Path, *, exact: bool) -> dict[str, str]:
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
        rows = list(csv.reader(io.StringIO(text, newline="")))
    except (OSError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    header = [name.strip().lower() for name in rows[0]] if rows else []
    ids = [header.index(name) for name in ("song_id", "id") if name in header]
    if not ids or "artist" not in header:
        raise DataError(
            f"{path}: expected a column of ids (song_id or Id) and one of artists (Artist), found "
            f"{', '.join(header) or 'nothing'}"
        )
    artist = header.index("artist")
    found = {}
    for row in rows[1:]:
        if len(row) == len(header) or (len(row) > artist and not exact):
            name, number = " ".join(row[artist].split()), row[ids[0]].strip()
            if name and is_whole_number(number):
                found[str(int(number))] = name
    return found
