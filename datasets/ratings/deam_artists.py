"""Who plays the songs of DEAM, from its ``metadata`` folder, so that artists can be kept together.

Layout
------
Looked for at any depth below the root; each may be absent::

    metadata/metadata_2013.csv   song_id,file_name,Artist,Song title,...    ids to 1000
    metadata/metadata_2014.csv   Id,Artist,Album,Track,Genre,...            ids 1001 to 2000
    metadata/metadata_2015.csv   id,Filename,title,artist,album,genre,...   ids from 2001

Rows may be longer than the header: labels of any number follow, and commas are not always quoted.
In the first two files the artist stands before these, in the third behind the title, so that there
only rows as long as the header are read. This is how public loaders read the files, which were not
at hand.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from earmark.datasets.base import DataError
from earmark.datasets.files.text_files import is_whole_number

FILES = ("metadata_2013.csv", "metadata_2014.csv", "metadata_2015.csv")


def artists(root: Path) -> dict[str, str]:
    """Return the artist by song id, for the songs whose artist can be told.

    Raises
    ------
    DataError
        If a file is there twice, cannot be read or has no column of ids or artists.
    """
    found: dict[str, str] = {}
    for name in FILES:
        places = sorted(root.rglob(name))
        if len(places) > 1:
            raise DataError(
                f"expected one {name} below {root}, found {', '.join(map(str, places))}"
            )
        for place in places:
            found |= _read(place, exact=name == FILES[-1])
    return found


def _read(path: Path, *, exact: bool) -> dict[str, str]:
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
