"""Have arousal and valence changed places? Ratings held against other ratings of the same songs.

Arousal and valence are correlated (about .6 in emoMusic and DEAM), so that a table with the two
exchanged looks sound. Against other ratings of the same songs it does not: each column then
correlates better with the other's reference. :func:`compare_axes` decides where the difference of
the mean correlations is more than :data:`MARGIN`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from earmark.datasets.base import DataError
from earmark.datasets.files.text_files import UnreadableError, as_number, csv_rows, read_text

MARGIN = 0.1
"""Of mean Pearson correlations. What separates DEAM's swapped part from its corrected one is .4."""

MINIMUM = 20
"""Songs in common, below which nothing is decided."""

TOLERANCE = 1.0
"""Points on the scale, arousal and valence together: how much nearer to a reference on the same
scale a single song must be when exchanged, to count as exchanged. Where DEAM's and emoMusic's
ratings of one song differ at all, it is by at most .43."""

Points = Mapping[str, tuple[float, float]]
"""Arousal and valence by song."""

Verdict = Literal["straight", "exchanged", "undecided"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one reference says of the two columns."""

    reference: str
    """In words."""
    verdict: Verdict
    detail: str
    """The numbers, in words."""

    def __str__(self) -> str:
        return f"{self.reference}: {self.verdict} ({self.detail})"


def compare_axes(rated: Points, reference: Points, *, name: str) -> Evidence:
    """Return what correlations with a reference say, whatever its scale.

    >>> songs = {str(i): (float(i % 5), float(i % 7)) for i in range(35)}
    >>> exchanged = {song: (v, a) for song, (a, v) in songs.items()}
    >>> compare_axes(exchanged, songs, name="the originals").verdict
    'exchanged'
    """
    common = sorted(rated.keys() & reference.keys())
    if len(common) < MINIMUM:
        return Evidence(name, "undecided", f"{len(common)} songs in common, needs {MINIMUM}")
    ours = np.array([rated[song] for song in common])
    theirs = np.array([reference[song] for song in common])
    if not (ours.std(axis=0).all() and theirs.std(axis=0).all()):
        return Evidence(name, "undecided", "a column is constant")
    r = np.corrcoef(ours.T, theirs.T)[:2, 2:]
    straight, exchanged = r[0, 0] + r[1, 1], r[0, 1] + r[1, 0]
    detail = (
        f"{len(common)} songs; r of arousal and valence {r[0, 0]:.3f} and {r[1, 1]:.3f} as they "
        f"stand, {r[0, 1]:.3f} and {r[1, 0]:.3f} exchanged"
    )
    if abs(straight - exchanged) <= 2 * MARGIN:
        return Evidence(name, "undecided", detail)
    return Evidence(name, "straight" if straight > exchanged else "exchanged", detail)


def exchanged_songs(rated: Points, reference: Points) -> list[str]:
    """Return the songs that fit a reference on the same scale better exchanged, sorted.

    A song whose arousal and valence are within half of :data:`TOLERANCE` of each other cannot be
    told, and is not among them.
    """
    found = []
    for song in sorted(rated.keys() & reference.keys()):
        (arousal, valence), (its_arousal, its_valence) = rated[song], reference[song]
        straight = abs(arousal - its_arousal) + abs(valence - its_valence)
        exchanged = abs(arousal - its_valence) + abs(valence - its_arousal)
        if straight - exchanged > TOLERANCE:
            found.append(song)
    return found


def exchange(points: Points) -> dict[str, tuple[float, float]]:
    """Return the points with arousal and valence exchanged."""
    return {song: (valence, arousal) for song, (arousal, valence) in points.items()}


def dynamic_means(arousal: Path, valence: Path) -> dict[str, tuple[float, float]]:
    """Return the means over time of dynamic annotations, for the songs that both files have.

    The files have a column ``song_id`` and one a time; songs may be of unequal length.

    Raises
    ------
    DataError
        If a file cannot be read, or its first column is not ``song_id``.
    """
    a, v = _means(arousal), _means(valence)
    return {song: (a[song], v[song]) for song in a.keys() & v.keys()}


def _means(path: Path) -> dict[str, float]:
    try:
        rows = [row for _, row in csv_rows(read_text(path))]
    except UnreadableError as error:
        raise DataError(f"{path} {error}") from error
    if not rows or rows[0][0].strip() != "song_id":
        raise DataError(f"{path}: expected dynamic annotations with song_id in the first column")
    means = {}
    for name, *cells in rows[1:]:
        values = [value for value in map(as_number, cells) if math.isfinite(value)]
        if values:
            means[name.strip()] = sum(values) / len(values)
    return means
