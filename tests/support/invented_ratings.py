"""Small invented sets in the layouts of emoMusic and DEAM: songs, artists and ratings drawn here.

Arousal and valence are correlated as in the real sets, so that only a comparison tells whether the
two columns are exchanged.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

STATIC = "annotations/annotations averaged per song/song_level"
DYNAMIC = "annotations/annotations averaged per song/dynamic (per second annotations)"
FIRST = "static_annotations_averaged_songs_1_2000.csv"
SECOND = "static_annotations_averaged_songs_2000_2058.csv"
ROUGH_HEADER = "song_id, valence_mean, valence_std, arousal_mean, arousal_std"
WIDE_HEADER = (
    "song_id, valence_mean, valence_std, valence_ max_mean, valence_max_std, arousal_mean, "
    "arousal_std"
)


def draw(ids: Iterable[int], *, seed: int = 0) -> dict[int, tuple[float, float]]:
    """Return arousal and valence by song, from 1 to 9 with one decimal, correlated by about .6."""
    names = list(ids)
    rng = np.random.default_rng(seed)
    points = rng.multivariate_normal([5, 5], [[1.8, 1.0], [1.0, 1.5]], len(names))
    rows = np.clip(points, 1, 9).round(1).tolist()
    return {name: (a, v) for name, (a, v) in zip(names, rows, strict=True)}


def write_table(path: Path, header: Sequence[str] | str, rows: Iterable[Sequence]) -> Path:
    """Write a CSV file, its folders too; a header given as text is written as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if isinstance(header, str):
            file.write(header + "\r\n")
        else:
            writer.writerow(header)
        writer.writerows(rows)
    return path


def write_emomusic(
    root: Path, points: dict[int, tuple[float, float]], *, dynamic: bool = False
) -> Path:
    """Write emoMusic's ``annotations/``: three songs an artist, every fifth song in evaluation."""
    names = sorted(points)
    write_table(
        root / "annotations/songs_info.csv",
        ["song_id", "file_name", "Artist", "Song title", "Genre", "Mediaeval 2013 set"],
        [
            (n, f"{n}.mp3\t", f"\tArtist {_letters(i // 3)}", "x", "Rock", _set_of(i))
            for i, n in enumerate(names)
        ],
    )
    write_table(
        root / "annotations/static_annotations.csv",
        ["song_id", "mean_arousal", "std_arousal", "mean_valence", "std_valence"],
        [(n, a, 1.5, v, 0.5) for n, (a, v) in points.items()],
    )
    if dynamic:
        write_dynamic(root / "annotations", points, names=("{}_cont_average.csv",))
    return root


def _letters(number: int) -> str:
    return chr(97 + number % 26) + chr(97 + number // 26)


def _set_of(number: int) -> str:
    return "evaluation" if number % 5 == 4 else "development\t\t"


def write_dynamic(
    folder: Path,
    points: dict[int, tuple[float, float]],
    *,
    names: Sequence[str] = ("{}.csv",),
) -> None:
    """Write dynamic annotations whose mean over time is near the static one, on another scale."""
    rng = np.random.default_rng(1)
    for column, kind in enumerate(("arousal", "valence")):
        rows = []
        for name, point in points.items():
            middle = (point[column] - 5) / 4
            rows.append([name, *(middle + rng.normal(0, 0.1, 3)).round(4).tolist(), ""])
        header = ["song_id", *(f"sample_{ms}ms" for ms in (15000, 15500, 16000, 16500))]
        write_table(folder / names[0].format(kind), header, rows)


def write_deam(
    root: Path,
    points: dict[int, tuple[float, float]],
    *,
    exchanged: Iterable[int] = (),
    dynamic: bool = False,
) -> Path:
    """Write DEAM's two tables with its headers; ``exchanged`` songs have their columns exchanged.

    The standard deviation of valence is .5 and of arousal 1.5, exchanged with them.
    """
    swapped = set(exchanged)
    rows = {}
    for name, (arousal, valence) in points.items():
        cells = (valence, 0.5, arousal, 1.5)
        rows[name] = cells[2:] + cells[:2] if name in swapped else cells
    write_table(
        root / STATIC / FIRST,
        ROUGH_HEADER,
        [(n, *cells) for n, cells in rows.items() if n <= 2000],
    )
    write_table(
        root / STATIC / SECOND,
        WIDE_HEADER,
        [(n, v, dv, 9, 0.1, a, da) for n, (v, dv, a, da) in rows.items() if n > 2000],
    )
    if dynamic:
        write_dynamic(root / DYNAMIC, points)
    return root
