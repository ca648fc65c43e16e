"""Who judges what: triplets drawn from songs, and listeners drawn for triplets, by seed.

As in MusAV [1]_: the songs of a genre triplet share a genre, a genre has one triplet at most, the
songs of a global triplet are drawn from all that is left, and no song is in two triplets.

References
----------
.. [1] D. Bogdanov et al., "MusAV", ISMIR 2022, section 3.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from earmark.datasets.base import DataError, first_ten

GLOBAL = "global_triplet"
GENRE = "genre_triplet--"
GLOBAL_SHARE = 0.8
"""Of an annotation chunk of MusAV: 80 global triplets and 20 genre triplets."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A triplet without its listeners."""

    id: str
    type: str
    songs: tuple[str, str, str]


def draw_triplets(
    genres: Mapping[str, Sequence[str]],
    *,
    n_triplets: int | None = None,
    global_share: float = GLOBAL_SHARE,
    seed: int = 0,
) -> tuple[list[Drawn], list[str]]:
    """Return triplets of songs, and in words what could not be drawn as asked.

    Parameters
    ----------
    genres
        Of each song, by its id; none where they are not known.
    n_triplets
        How many; None: as many as there are songs for.
    global_share
        Share of triplets that need not share a genre, 0 to 1.

    Raises
    ------
    DataError
        If there are fewer songs than the triplets need.
    """
    if not 0 <= global_share <= 1:
        raise DataError(f"the share of global triplets is {global_share:g}, expected 0 to 1")
    most = len(genres) // 3
    wanted = most if n_triplets is None else n_triplets
    if wanted > most or wanted < 1:
        raise DataError(
            f"{max(wanted, 1):,} triplets need {3 * max(wanted, 1):,} songs, there are "
            f"{len(genres):,} that can be used: "
            + (f"--triplets {most} at most" if most else "add songs")
        )
    rng = np.random.default_rng([seed, 1])
    left = [str(song) for song in rng.permutation(sorted(genres))]
    n_genre = wanted - round(wanted * global_share)
    drawn, said = _of_genres(left, genres, n_genre, rng)
    if n_genre and len(drawn) < n_genre:
        said.append(
            f"{len(drawn)} genre triplets instead of {n_genre}: a genre gives one triplet at most; "
            f"the others are global"
        )
    while len(drawn) < wanted:
        drawn.append((GLOBAL, [left.pop(), left.pop(), left.pop()]))
    return [_triplet(kind, songs, seed) for kind, songs in drawn], said


def draw_listeners(
    n_triplets: int, *, n_listeners: int, annotators: int, seed: int = 0
) -> list[tuple[int, ...]]:
    """Return for each triplet the ``annotators`` listeners who judge it.

    Numbers of triplets of two listeners differ by one at most, and groups of listeners vary.

    Raises
    ------
    DataError
        If there are fewer listeners than each pair needs.
    """
    if not 1 <= annotators <= n_listeners:
        raise DataError(
            f"each pair is judged by {annotators} listeners, but there are {n_listeners}: "
            f"--people {max(annotators, 1)} at least, or a smaller --annotators"
        )
    rng = np.random.default_rng([seed, 2])
    load = np.zeros(n_listeners, np.int64)
    found = []
    for _ in range(n_triplets):
        chosen = np.lexsort((rng.random(n_listeners), load))[:annotators]
        load[chosen] += 1
        found.append(tuple(sorted(int(one) for one in chosen)))
    return [found[at] for at in rng.permutation(n_triplets)]


def _of_genres(
    left: list[str], genres: Mapping[str, Sequence[str]], n_triplets: int, rng: np.random.Generator
) -> tuple[list[tuple[str, list[str]]], list[str]]:
    """Take songs of genre triplets out of what is left."""
    if not n_triplets:
        return [], []
    if not any(genres.values()):
        return [], ["no genres are known: every triplet is global"]
    names = sorted({name for of_song in genres.values() for name in of_song})
    drawn: list[tuple[str, list[str]]] = []
    few = [n for n in names if sum(n in of_song for of_song in genres.values()) < 3]
    for name in rng.permutation(names):
        songs = [song for song in left if name in genres[song]][:3]
        if len(drawn) == n_triplets:
            break
        if len(songs) == 3:
            drawn.append((f"{GENRE}{name}", songs))
            for song in songs:
                left.remove(song)
    said = [f"fewer than three songs, so no genre triplet: {first_ten(few)}"] if few else []
    return drawn, said


def _triplet(kind: str, songs: Sequence[str], seed: int) -> Drawn:
    one, two, three = songs
    content = f"{seed} {kind} {one} {two} {three}"
    return Drawn(hashlib.sha256(content.encode()).hexdigest()[:32], kind, (one, two, three))
