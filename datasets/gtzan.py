"""GTZAN: a thousand excerpts of thirty seconds in ten genres, a hundred each.

Layout
------
As in the original archive; whatever files are there are the dataset, all thousand or some of them::

    genres/<genre>/<genre>.NNNNN.wav     or .au, .flac, .mp3; 22,050 Hz mono in the original

The root is the folder that holds ``genres/`` (or Kaggle's ``genres_original/``), or that folder
itself. Audio files of other names in the ten folders are refused, not skipped, so that no file goes
missing unseen; files that are not audio are not looked at.

Faults
------
``jazz.00054`` cannot be decoded in the copy that most people have (Kaggle's, WAV). It stays in the
list, and the card says so: whether it is readable is found out by whoever decodes it. The set also
holds repetitions, distortions and disputed labels [2]_.

References
----------
.. [1] G. Tzanetakis, P. Cook, "Musical genre classification of audio signals", IEEE Transactions
       on Speech and Audio Processing 10(5), 2002.
.. [2] B. L. Sturm, "The GTZAN dataset: its contents, its faults, their effects on evaluation, and
       its future use", arXiv:1306.1461, 2013.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.base import (
    Clip,
    DatasetCard,
    Problem,
    audio_files,
    fingerprint,
    refuse,
)

GENRES = (
    "blues",
    "classical",
    "country",
    "disco",
    "hiphop",
    "jazz",
    "metal",
    "pop",
    "reggae",
    "rock",
)
"""In torchaudio's order, which is the order of class indices in published code."""

GENRE_TEXTS = {genre: genre for genre in GENRES} | {"hiphop": "hip hop"}
"""How a genre is written in running text, e.g. in a prompt."""

UNREADABLE = ("jazz.00054",)

_NAME = re.compile(rf"({'|'.join(GENRES)})\.(\d{{5}})\.(?:wav|au|flac|mp3)", re.IGNORECASE)

_CITATION = """\
@article{tzanetakis2002musical,
  author = {Tzanetakis, George and Cook, Perry},
  title = {Musical genre classification of audio signals},
  journal = {IEEE Transactions on Speech and Audio Processing},
  volume = {10},
  number = {5},
  pages = {293--302},
  year = {2002}
}"""


@dataclass(frozen=True)
class GTZAN:
    """The clips of GTZAN that are there, by genre and number."""

    card: DatasetCard
    clips: tuple[Clip, ...]
    """``label`` is the genre."""
    fingerprint: str
    """Digest of the clip ids, which hold the genres."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """Each clip's index in :data:`GENRES`, shape ``(n_clips,)``."""
        return np.array([GENRES.index(clip.label or "") for clip in self.clips], np.int64)


def load(root: Path | str) -> GTZAN:
    """Open the GTZAN files below a folder; nothing is decoded.

    Raises
    ------
    DataError
        If there are no files, or :func:`validate` finds a problem.
    """
    problems, clips = _read(Path(root))
    refuse(f"GTZAN at {root}", problems)
    ids = [clip.id for clip in clips]
    return GTZAN(_card(clips), clips, fingerprint(ids))


def validate(root: Path | str) -> list[Problem]:
    """Return every audio file that is misnamed, misplaced or there twice; none is decoded."""
    return _read(Path(root))[0]


def _read(root: Path) -> tuple[list[Problem], tuple[Clip, ...]]:
    named = (root / "genres", root / "genres_original")
    folder = next((folder for folder in named if folder.is_dir()), root)
    paths = [path for genre in GENRES for path in audio_files(folder / genre)]
    if not paths:
        message = (
            "expected genres/<genre>/<genre>.NNNNN.wav, found 0 audio files; "
            "see docs of earmark.datasets.gtzan"
        )
        return [Problem(root, message)], ()
    problems = []
    path_of: dict[str, Path] = {}
    for path in paths:
        wrong = _wrong_name(path, path_of)
        if wrong:
            problems.append(Problem(path, wrong))
        path_of.setdefault(path.stem.lower(), path)
    clips = (Clip(name, path_of[name], label=name.partition(".")[0]) for name in sorted(path_of))
    return problems, tuple(clips)


def _wrong_name(path: Path, path_of: dict[str, Path]) -> str | None:
    genre, name = path.parent.name, path.stem.lower()
    match = _NAME.fullmatch(path.name)
    if match is None:
        return f"expected the name {genre}.NNNNN with wav, au, flac or mp3"
    if match[1].lower() != genre:
        return f"is named {match[1]} and stands in {genre}/: move or rename it"
    if name in path_of:
        return f"{name} is there twice, also as {path_of[name].name}: remove one"
    return None


def _card(clips: tuple[Clip, ...]) -> DatasetCard:
    notes = ["holds repetitions, distortions and disputed labels (Sturm, arXiv:1306.1461)"]
    if len(clips) < 1000:
        counts = Counter(clip.label for clip in clips)
        parts = ", ".join(f"{genre} {counts[genre]}" for genre in GENRES)
        notes.append(f"{len(clips)} of the 1,000 excerpts are there: {parts}")
    known = [clip.id for clip in clips if clip.id in UNREADABLE]
    if known:
        notes.append(f"known to be unreadable in common copies: {', '.join(known)}")
    return DatasetCard(
        id="gtzan",
        title="GTZAN genre collection",
        version="1.0",
        licence="none stated; research use",
        citation=_CITATION,
        source="http://marsyas.info/downloads/datasets.html; the original archive's link is dead",
        notes=tuple(notes),
    )
