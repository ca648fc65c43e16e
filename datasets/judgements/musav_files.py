"""The files of judged pairs in MusAV's layout: reading, and what is wrong with them.

They are read row by row, with every fault named by file and line;
:mod:`earmark.datasets.judgements.musav` and :mod:`~.judged` describe the layout. Files are read as
UTF-8; blank lines are skipped, and fields that are not needed are not looked at.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from operator import itemgetter
from pathlib import Path
from typing import Any

from earmark.datasets.base import Problem, audio_files, first_ten
from earmark.datasets.files.text_files import (
    UnreadableError,
    as_number,
    parse_json,
    read_text,
    text_lines,
)
from earmark.datasets.judgements.rules import (
    ANNOTATORS_PER_PAIR,
    DIMENSIONS,
    LABELS,
    SUBSETS,
    Judgement,
    Pair,
    Triplet,
    select,
)

MUSE = Path("annotations", "ismir2022", "ismir2022-muse.songids")


@dataclass
class Reading:
    """What was read, and what is wrong with it."""

    data: Path
    triplets: dict[str, Triplet] = field(default_factory=dict)
    judgements: dict[str, list[Judgement]] = field(default_factory=dict)
    per_pair: int = ANNOTATORS_PER_PAIR
    """Judgements of a complete pair."""
    muse: frozenset[str] | None = None
    """None: no list of MuSe's songs belongs to the set."""
    faults: list[Problem] = field(default_factory=list)
    """Nothing can be computed until these are fixed."""
    gaps: list[Problem] = field(default_factory=list)
    """What is missing, but not in the way of the ground truth."""
    notes: list[str] = field(default_factory=list)
    """What a reader must know of how it was read."""
    line_of: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """Of a dimension and two songs: the first line of their judgements."""


def data_folder(root: Path | str) -> Path | None:
    """Return the folder that holds ``annotations/``, the root or its ``data/``; None: neither."""
    for folder in (Path(root, "data"), Path(root)):
        if (folder / "annotations").is_dir():
            return folder
    return None


def read(data: Path) -> Reading:
    """Read MusAV: two dimensions, three annotators a pair, and MuSe's songs.

    What is wrong is collected, not raised.
    """
    reading = Reading(data)
    _read_all(reading, DIMENSIONS, most=ANNOTATORS_PER_PAIR)
    reading.muse = frozenset(_lines(data / MUSE, reading.faults)) - {""}
    return _settled(reading)


def read_any(data: Path, dimensions: Sequence[str]) -> Reading:
    """Read any set in this layout; the most judgements that a pair has are those of a complete one.

    ``dimensions`` are those that the set names; without them, those that have a file.
    """
    reading = Reading(data)
    named = dimensions or sorted(
        path.name.removeprefix("annotations.").removesuffix(".all")
        for path in (data / "annotations").glob("annotations.*.all")
    )
    if not named:
        message = "expected annotations.<dimension>.all, found none"
        reading.faults.append(Problem(data / "annotations", message))
    _read_all(reading, named, most=None)
    judged = (Counter((j.song_a, j.song_b) for j in rows) for rows in reading.judgements.values())
    reading.per_pair = max((n for count in judged for n in count.values()), default=1)
    if (data / MUSE).is_file():
        reading.muse = frozenset(_lines(data / MUSE, reading.faults)) - {""}
    return _settled(reading)


def _read_all(reading: Reading, dimensions: Sequence[str], *, most: int | None) -> None:
    _read_triplets(reading)
    for dimension in dimensions:
        _read_judgements(reading, dimension, most)


def _settled(reading: Reading) -> Reading:
    """Return a reading with its gaps, where it has no fault."""
    if reading.faults:  # a row that is refused would be reported a second time, as missing
        return reading
    for dimension, rows in reading.judgements.items():
        path = _judgements_file(reading.data, dimension)
        count = Counter((j.song_a, j.song_b) for j in rows)
        of = "three" if reading.per_pair == ANNOTATORS_PER_PAIR else f"{reading.per_pair}"
        for (song_a, song_b), n in count.items():
            if n < reading.per_pair:
                message = f"pair {song_a}-{song_b} has {n} of {of} judgements"
                line = reading.line_of[dimension, song_a, song_b]
                reading.gaps.append(Problem(path, message, line))
    _compare_dimensions(reading)
    return reading


def _judgements_file(data: Path, dimension: str) -> Path:
    return data / "annotations" / f"annotations.{dimension}.all"


def _lines(path: Path, problems: list[Problem], *, may_be_empty: bool = False) -> list[str]:
    """Return a file's lines without surrounding blanks; a line of blanks is empty."""
    try:
        text = read_text(path)
    except UnreadableError as error:
        problems.append(error.of(path))
        return []
    found = [line.strip() for line in text_lines(text.rstrip())]
    if found == [""] and not may_be_empty:
        problems.append(Problem(path, "is empty"))
    return found


def _json_rows(
    path: Path, fields: Sequence[str], problems: list[Problem], *, may_be_empty: bool = False
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows that have all fields, with their 1-based line numbers."""
    wanted = set(fields)
    rows = _parse(path, _lines(path, problems, may_be_empty=may_be_empty), problems)
    for number, row in enumerate(rows, 1):
        if isinstance(row, dict) and row.keys() >= wanted:
            yield number, row
        elif row is not _NOTHING:
            lacking = [name for name in fields if not isinstance(row, dict) or name not in row]
            message = f"expected a JSON object with {', '.join(lacking)}"
            problems.append(Problem(path, message, number))


_NOTHING = object()


def _parse(path: Path, lines: list[str], problems: list[Problem]) -> list[Any]:
    """Return each line's value; ``_NOTHING`` for an empty line and for one that is not JSON."""
    try:  # As one array: three times as fast as line by line, and opening MusAV is mostly this.
        rows = parse_json(f"[{','.join(lines)}]")
        if len(rows) == len(lines):
            return list(rows)
    except UnreadableError:
        pass
    rows = []
    for number, line in enumerate(lines, 1):
        value = _NOTHING
        try:
            value = parse_json(line) if line else _NOTHING
        except UnreadableError as error:
            problems.append(Problem(path, error.reason, number))
        rows.append(value)
    return rows


def _read_triplets(reading: Reading) -> None:
    path = reading.data / "triplets.jsonl"
    line_of: dict[str, int] = {}
    triplet_of: dict[str, str] = {}

    def fault(message: str, number: int) -> None:
        reading.faults.append(Problem(path, message, number))

    fields = ("tripletid", "songids", "triplet_type")
    for number, row in _json_rows(path, fields, reading.faults):
        name, songs, kind = (row[key] for key in fields)
        if not isinstance(name, str) or not isinstance(kind, str) or not _three_songs(songs):
            fault(f"triplet {name}: expected three different song ids, found {songs}", number)
            continue
        if name in line_of:
            fault(f"triplet {name} is already on line {line_of[name]}", number)
            continue
        if kind != "global_triplet" and not kind.startswith("genre_triplet--"):
            expected = "global_triplet or genre_triplet--<genre>"
            fault(f"triplet {name}: unknown triplet_type {kind!r}, expected {expected}", number)
        for song in songs:
            if song in triplet_of:
                fault(
                    f"song {song} of triplet {name} is also in triplet {triplet_of[song]}", number
                )
            triplet_of.setdefault(song, name)
        line_of[name] = number
        reading.triplets[name] = Triplet(name, (songs[0], songs[1], songs[2]), kind)


def _three_songs(songs: object) -> bool:
    return (
        isinstance(songs, list)
        and len(songs) == 3
        and all(isinstance(song, str) for song in songs)
        and len(set(songs)) == 3
    )


def _read_judgements(reading: Reading, dimension: str, most: int | None) -> None:
    path = _judgements_file(reading.data, dimension)
    judgements = reading.judgements[dimension] = []
    lines_of: dict[tuple[str, str], dict[str, int]] = {}
    for number, row in _json_rows(path, _JUDGEMENT, reading.faults):
        values = _fields_of_judgement(row)
        message = _wrong_judgement(values, dimension, reading.triplets)
        if not message:
            triplet, song_a, song_b, annotator, _, higher = values
            opposite = lines_of.get((song_b, song_a))
            line_of = lines_of.setdefault((song_a, song_b), {})
            pair = f"pair {song_a}-{song_b}"
            if opposite:
                message = (
                    f"{pair} is judged as {song_b}-{song_a} on line {min(opposite.values())}, "
                    f"expected one order of the songs: a and b depend on it"
                )
            elif annotator in line_of:
                message = (
                    f"annotator {annotator} judged {pair} on line {line_of[annotator]} already"
                )
            elif len(line_of) == most:
                message = f"{pair} has three judgements already, on lines {[*line_of.values()]}"
        if message:
            reading.faults.append(Problem(path, message, number))
            continue
        line_of[annotator] = number
        reading.line_of.setdefault((dimension, song_a, song_b), number)
        judgements.append(Judgement(triplet, song_a, song_b, annotator, dimension, higher))


_JUDGEMENT = ("tripletid", "songid_a", "songid_b", "annotator", "type", "higher_value")
_fields_of_judgement = itemgetter(*_JUDGEMENT)


def _wrong_judgement(
    values: Sequence[Any], dimension: str, triplets: Mapping[str, Triplet]
) -> str | None:
    """Return what is wrong with one row by itself."""
    for name, value in zip(_JUDGEMENT, values, strict=True):
        if not isinstance(value, str):
            return f"{name} is {value!r}, expected text"
    triplet, song_a, song_b, _, kind, higher = values
    if kind != dimension:
        return f"type is {kind!r}, expected {dimension!r} in this file"
    if higher not in LABELS:
        return f"unknown judgement {higher!r}, expected {', '.join(LABELS)}"
    if triplet not in triplets:
        return f"triplet {triplet} is not in triplets.jsonl"
    for song in (song_a, song_b):
        if song not in triplets[triplet].songs:
            return f"song {song} is not in triplet {triplet} of triplets.jsonl"
    if song_a == song_b:
        return f"song {song_a} is compared with itself"
    return None


def _compare_dimensions(reading: Reading) -> None:
    """List who judged a pair on one dimension only: annotators are asked for all at once."""
    judged = {
        dimension: {(j.annotator, j.song_a, j.song_b) for j in judgements}
        for dimension, judgements in reading.judgements.items()
    }
    for here, there in permutations(judged, 2):
        for annotator, song_a, song_b in sorted(judged[there] - judged[here]):
            if (annotator, song_b, song_a) not in judged[here]:
                message = f"annotator {annotator} judged pair {song_a}-{song_b} only for {there}"
                reading.gaps.append(Problem(_judgements_file(reading.data, here), message))


def read_loudness(
    data: Path, triplets: Mapping[str, Triplet], problems: list[Problem]
) -> dict[str, float]:
    """Return the loudness in LUFS by song id; ``triplets`` have the songs that need one."""
    path = data / "audio.ebur128"
    loudness: dict[str, float] = {}
    for number, line in enumerate(_lines(path, problems), 1):
        if not line:
            continue
        song, _, text = line.partition(" ")
        value = as_number(text)
        if math.isnan(value):
            message = f"expected '<song id> <LUFS>', found {line!r}: loudness of song {song} is "
            message += f"{text or 'absent'}, not a finite number"
            problems.append(Problem(path, message, number))
            continue
        if song in loudness:
            problems.append(Problem(path, f"song {song} is listed a second time", number))
        loudness.setdefault(song, value)
    if loudness:
        songs = (song for triplet in triplets.values() for song in triplet.songs)
        lacking = (song for song in songs if song not in loudness)
        problems += [Problem(path, f"no loudness of song {song}") for song in lacking]
    return loudness


def read_genres(
    data: Path, triplets: Mapping[str, Triplet], problems: list[Problem]
) -> dict[str, tuple[str, ...]]:
    """Return the genres by song id; ``triplets`` have the songs that need one."""
    path = data / "genres.jsonl"
    genres: dict[str, tuple[str, ...]] = {}
    for number, row in _json_rows(path, ("id", "genres"), problems):
        song, names = row["id"], row["genres"]
        texts = [song, *names] if isinstance(names, list) else []
        if len(texts) < 2 or not all(isinstance(text, str) for text in texts):
            message = f"song {song}: expected a list of genres, found {names!r}"
            problems.append(Problem(path, message, number))
        elif song in genres:
            problems.append(Problem(path, f"song {song} is listed a second time", number))
        else:
            genres[song] = tuple(names)
    for triplet in triplets.values() if genres else ():
        for song in triplet.songs:
            if song not in genres:
                problems.append(Problem(path, f"no genre of song {song}"))
            elif triplet.genre is not None and triplet.genre not in genres[song]:
                message = f"song {song} of a {triplet.type} has the genres {genres[song]}"
                problems.append(Problem(path, message))
    return genres


def compare_shipped(
    data: Path, pairs: Mapping[str, Sequence[Pair]], *, muse: frozenset[str]
) -> list[Problem]:
    """Return where the release's derived files differ from the derivation; row order is free."""
    problems: list[Problem] = []
    for dimension in DIMENSIONS:
        raw = _judgements_file(data, dimension)
        _compare_rows(raw.with_name(f"{raw.name}.agreement"), pairs[dimension], problems)
        for subset in SUBSETS:
            release, _, conditions = subset.rpartition("gt")
            path = raw.parent / release.rstrip(".") / f"{raw.name}.agreement.gt{conditions}"
            _compare_rows(path, select(pairs[dimension], subset, muse=muse), problems)
        agreed = select(pairs[dimension], "gt", muse=muse)
        songs = {song for pair in agreed for song in (pair.song_a, pair.song_b)}
        name = f"{raw.name}.agreement.gt.songids"
        _compare_songs(raw.with_name(name), songs, problems)
        # Unlike the pairs, this list keeps a song whose every pair touches a song of MuSe.
        _compare_songs(raw.parent / "ismir2022" / name, songs - muse, problems)
    return problems


def _compare_rows(path: Path, pairs: Sequence[Pair], problems: list[Problem]) -> None:
    fields = ["tripletid", "triplet_type", "pairid", "agreement", "higher_value"]
    if not path.name.endswith(".agreement"):
        fields.append("triplet_consistency")
    derived = {pair.id: _row(pair) for pair in pairs}
    line_of: dict[str, int] = {}
    for number, row in _json_rows(path, fields, problems, may_be_empty=not pairs):
        name = str(row["pairid"])
        if name in line_of:
            problems.append(
                Problem(path, f"pair {name} is already on line {line_of[name]}", number)
            )
        elif name not in derived:
            message = f"pair {name} does not belong here by the judgements"
            problems.append(Problem(path, message, number))
        else:
            for key in fields:
                if row[key] != derived[name][key]:
                    message = f"{key} of pair {name} is {row[key]!r}, but {derived[name][key]!r} "
                    problems.append(Problem(path, f"{message}by the judgements", number))
        line_of.setdefault(name, number)
    if line_of:
        missing = [name for name in derived if name not in line_of]
        problems += [Problem(path, f"pair {name} is missing") for name in missing]


def _row(pair: Pair) -> dict[str, str]:
    return {
        "tripletid": pair.triplet,
        "triplet_type": pair.triplet_type,
        "pairid": pair.id,
        "agreement": pair.agreement,
        "higher_value": pair.higher_value,
        "triplet_consistency": pair.consistency,
    }


def _compare_songs(path: Path, songs: set[str], problems: list[Problem]) -> None:
    line_of: dict[str, int] = {}
    for number, song in enumerate(_lines(path, problems, may_be_empty=not songs), 1):
        if not song:
            continue
        if song in line_of:
            problems.append(
                Problem(path, f"song {song} is already on line {line_of[song]}", number)
            )
        elif song not in songs:
            message = f"song {song} does not belong here by the judgements"
            problems.append(Problem(path, message, number))
        line_of.setdefault(song, number)
    if line_of:
        missing = sorted(songs - line_of.keys())
        problems += [Problem(path, f"song {song} is missing") for song in missing]


def check_audio(reading: Reading) -> list[Problem]:
    """Return what is wrong with ``audio_chunks/``, which may be absent as a whole."""
    folder = reading.data / "audio_chunks"
    if not folder.exists():
        return []
    problems: list[Problem] = []
    known = {song for triplet in reading.triplets.values() for song in triplet.songs}
    path_of: dict[str, Path] = {}
    for path in audio_files(folder):
        if path.stem not in known:
            problems.append(Problem(path, f"there is no song {path.stem} in triplets.jsonl"))
        elif path.stem in path_of:
            message = f"song {path.stem} also has the file {path_of[path.stem]}; remove one"
            problems.append(Problem(path, message))
        path_of.setdefault(path.stem, path)
    judged = {
        song for rows in reading.judgements.values() for j in rows for song in (j.song_a, j.song_b)
    }
    missing = sorted(judged - path_of.keys())
    if missing:
        problems.append(Problem(folder, f"no audio of the judged songs {first_ten(missing)}"))
    return problems
