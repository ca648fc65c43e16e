"""Tables of judged pairs: who said which of two songs is higher, or how many did.

Layout
------
CSV with a header, in either form::

    triplet,a,b,annotator,dimension,higher_value
        higher_value  a, b, ab (equal) or not_selected
        triplet       may be absent, or blank in all rows
        triplet_type  optional: global_triplet (the default) or genre_triplet--<genre>

    dimension,higher,lower        and of these what is known:
        tied          1 where the two are held equal, else 0; default 0
        votes         how many said so, e.g. 2; default 1
        annotator     who said so

``dimension`` is any word; ids of songs are with or without the suffix of their files. Of a tied
pair the order means nothing. One annotator judges a pair once on a dimension. Where it is not known
who said what, a pair may have several rows that contradict each other, but not two that say the
same.

Triplets are what is resampled together. Where the table names none, or a song is in several, it is
all songs that comparisons join; where all hang together, each pair.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from earmark.datasets.base import Problem
from earmark.datasets.files.text_files import as_number, read_table
from earmark.datasets.judgements.musav_files import Reading
from earmark.datasets.judgements.pairwise import Said, joined
from earmark.datasets.judgements.rules import LABELS, SWAPPED, Judgement, Triplet
from earmark.datasets.ratings.table import read_columns

JUDGED = ("a", "b", "annotator", "dimension", "higher_value")
COMPARED = ("dimension", "higher", "lower")

Row = tuple[int, Judgement]


def read(path: Path) -> Reading:
    """Read a table of either form; what is wrong is collected, not raised."""
    reading = Reading(path.parent, per_pair=1)
    header = [name.strip() for name in read_table(path)[0]]
    judged = "higher_value" in header or not {"higher", "lower"} & set(header)
    optional = ("triplet", "triplet_type") if judged else ("tied", "votes", "annotator")
    columns = [*(JUDGED if judged else COMPARED), *(name for name in optional if name in header)]
    cells, reading.faults = read_columns(path, columns)
    rows = _rows(path, cells, judgement_of if judged else _comparison, reading.faults)
    if reading.faults:
        return reading
    found = _one_order(rows) if judged else [row for _, row in rows]
    if judged:
        count = Counter((j.dimension, j.song_a, j.song_b) for j in found)
        reading.per_pair = max(count.values())
    types = {row["triplet"]: row["triplet_type"] for _, row in cells if row.get("triplet_type")}
    found = _in_triplets(found, reading, types)
    for name in sorted({j.dimension for j in found}):
        reading.judgements[name] = [j for j in found if j.dimension == name]
    if short := sum(n < reading.per_pair for n in count.values()) if judged else 0:
        few = f"{short} of {len(count)} pairs have fewer than {reading.per_pair} judgements"
        reading.notes.append(f"{few} and count as incomplete")
    return reading


def _rows(
    path: Path,
    cells: list[tuple[int, dict[str, str]]],
    made: Callable[[Mapping[str, str]], Judgement | str],
    problems: list[Problem],
) -> list[Row]:
    """Return the judgement of each row that has none wrong with it."""
    rows: list[Row] = []
    line_of: dict[tuple[object, ...], int] = {}
    for line, row in cells:
        found = made(row)
        if isinstance(found, Judgement):
            key, message = _said_before(found, row)
            if key in line_of:
                found = message.replace("LINE", f"line {line_of[key]}")
            line_of.setdefault(key, line)
        if isinstance(found, str):
            problems.append(Problem(path, found, line))
        else:
            rows.append((line, found))
    return rows


def _said_before(j: Judgement, row: Mapping[str, str]) -> tuple[tuple[object, ...], str]:
    """Return what no two rows may have in common, and what is wrong if they do."""
    songs = sorted((j.song_a, j.song_b))
    one, other = (row.get("higher", j.song_a), row.get("lower", j.song_b))
    if j.annotator:
        text = f"{j.annotator} has judged {one} and {other} already on LINE: keep one"
        return (j.dimension, *songs, j.annotator), text
    text = f"says the same of {one} and {other} already on LINE: keep one, with the votes of both"
    return (j.dimension, *songs, "", _flipped(j).higher_value), text


def judgement_of(row: Mapping[str, str]) -> Judgement | str:
    """Return the judgement of a row of the first form, or what is wrong with it."""
    for name in JUDGED:
        if not row[name]:
            return f"{name} is blank"
    a, b, annotator, dimension, label = (row[name] for name in JUDGED)
    if a == b:
        return f"compares {a} with itself"
    if label not in LABELS:
        return f"higher_value is {label!r}, expected {', '.join(LABELS)}"
    return Judgement(row.get("triplet", ""), a, b, annotator, dimension, label)


def _comparison(row: Mapping[str, str]) -> Judgement | str:
    if message := next(_wrong(row), None):
        return message
    higher, lower = row["higher"], row["lower"]
    label = "ab" if row.get("tied") == "1" else "a" if higher < lower else "b"
    votes = float(row.get("votes", "1"))
    songs = sorted((higher, lower))
    who = row.get("annotator", "")
    return Judgement("", songs[0], songs[1], who, row["dimension"], label, votes)


def _wrong(row: Mapping[str, str]) -> Iterator[str]:
    if not row["dimension"]:
        yield "dimension is blank, expected a word such as arousal"
    if not (row["higher"] and row["lower"]):
        yield "has a blank id, expected those of two clips"
    elif row["higher"] == row["lower"]:
        yield f"compares {row['higher']} with itself"
    if row.get("tied", "0") not in ("0", "1"):
        yield f"tied is {row['tied']!r}, expected 0 or 1"
    votes = row.get("votes", "1")
    if not as_number(votes) > 0:
        yield f"votes is {votes!r}, expected a number above 0"


def _flipped(j: Judgement) -> Judgement:
    """Return a judgement with its songs in the order of their names."""
    return j if j.song_a <= j.song_b else swapped(j)


def swapped(j: Judgement) -> Judgement:
    """Return a judgement with its songs in the other order."""
    return replace(j, song_a=j.song_b, song_b=j.song_a, higher_value=SWAPPED[j.higher_value])


def _one_order(rows: list[Row]) -> list[Judgement]:
    """Return judgements whose pairs are named in one order: the given one, if it is only one."""
    orders = {(j.song_a, j.song_b) for _, j in rows}
    return [_flipped(j) if (j.song_b, j.song_a) in orders else j for _, j in rows]


def _in_triplets(
    rows: list[Judgement], reading: Reading, types: Mapping[str, str]
) -> list[Judgement]:
    """Return judgements with what is resampled together as their triplets, and set these down."""
    songs_of: dict[str, set[str]] = {}
    for j in rows:
        songs_of.setdefault(j.triplet, set()).update((j.song_a, j.song_b))
    named = "" not in songs_of
    places = Counter(song for songs in songs_of.values() for song in songs)
    shared = sum(n > 1 for n in places.values())
    if named and shared:
        reading.notes.append(
            f"{shared} songs are in several triplets: what comparisons join is resampled together"
        )
    if not named or shared:
        units = joined(Said(j.dimension, j.song_a, j.song_b) for j in rows)
        linked = set(units.values()) == {None}
        if linked and len(units) > 2:
            reading.notes.append(
                "all songs are joined by comparisons: pairs are resampled as if independent"
            )
        rows = [
            replace(j, triplet=units[j.song_a] or " ".join(sorted((j.song_a, j.song_b))))
            for j in rows
        ]
        songs_of = {}
        for j in rows:
            songs_of.setdefault(j.triplet, set()).update((j.song_a, j.song_b))
    for name, songs in songs_of.items():
        kind = types.get(name, "global_triplet")
        reading.triplets[name] = Triplet(name, tuple(sorted(songs)), kind)
    return rows
