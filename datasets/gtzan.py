"""GTZAN: a thousand excerpts of thirty seconds in ten genres, a hundred each.

Layout
------
As in the original archive; whatever files are there are the dataset, all thousand or some of them::

    genres/<genre>/<genre>.NNNNN.wav     or .au, .flac, .mp3; 22,050 Hz mono in the original

The root is the folder that holds ``genres/`` (or Kaggle's ``genres_original/``), or that folder
itself. Audio files of other names in the ten folders are refused, not skipped, so that no file goes
missing unseen; files that are not audio are not looked at.

Splits
------
``all``
    Whatever files are there. A number on it is comparable with another one only if both say how
    many clips they had.
``fault-filtered``
    The lists of Kereliuk and Sturm [3]_, without repetitions and distortions, and without an artist
    in two partitions: 443 clips ``train``, 197 ``valid``, 290 ``test``. Published zero-shot
    accuracies are those of the 290. A clip of the lists that is not there is an error, since the
    number would not be the published one's; ``missing="drop"`` goes on without it, and the card
    says so.

Faults
------
``jazz.00054`` cannot be decoded in the copy that most people have (Kaggle's, WAV). It stays in the
list, and the card says so: whether it is readable is found out by whoever decodes it. Of the
fault-filtered split it is in ``train`` alone. The set also holds repetitions, distortions and
disputed labels [2]_.

References
----------
.. [1] G. Tzanetakis, P. Cook, "Musical genre classification of audio signals", IEEE Transactions
       on Speech and Audio Processing 10(5), 2002.
.. [2] B. L. Sturm, "The GTZAN dataset: its contents, its faults, their effects on evaluation, and
       its future use", arXiv:1306.1461, 2013.
.. [3] C. Kereliuk, B. L. Sturm, J. Larsen, "Deep learning and music adversaries", IEEE Transactions
       on Multimedia 17(11), 2015.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.base import (
    Clip,
    DataError,
    DatasetCard,
    Problem,
    audio_files,
    check_choice,
    fingerprint,
    first_ten,
    refuse,
    with_origin,
)
from earmark.datasets.files.names import did_you_mean, shown

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

Split = Literal["all", "fault-filtered"]
Partition = Literal["train", "valid", "test"]
Missing = Literal["error", "drop"]

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
    """Digest of the clip ids, which hold the genres, and of their partitions."""
    split: Split
    partitions: tuple[Partition | None, ...]
    """Of each clip; None in the split ``all``."""

    @property
    def class_texts(self) -> Mapping[str, str]:
        """Every class in its order, with how it is written in a prompt."""
        return GENRE_TEXTS

    @property
    def partition_name(self) -> str:
        """The split with the partitions that are there, e.g. ``fault-filtered/test``."""
        parts = "+".join(sorted({str(part) for part in self.partitions}))
        return self.split if self.split == "all" else f"{self.split}/{parts}"

    @property
    def labels(self) -> NDArray[np.int64]:
        """Each clip's index in :data:`GENRES`, shape ``(n_clips,)``."""
        return np.array([GENRES.index(clip.label or "") for clip in self.clips], np.int64)


def load(
    root: Path | str,
    *,
    split: Split = "all",
    partition: Partition | None = None,
    missing: Missing = "error",
) -> GTZAN:
    """Open the GTZAN files below a folder; nothing is decoded.

    Parameters
    ----------
    partition
        Of the split ``fault-filtered``; None takes all three.
    missing
        What to do about clips of the split ``fault-filtered`` that are not there: ``error``, or
        ``drop`` them. In the split ``all`` nothing can be missing.

    Raises
    ------
    DataError
        If an option is unknown, there are no files, or :func:`validate` finds a problem.
    """
    listed = _listed(split, partition)
    check_choice("GTZAN", "missing", missing, get_args(Missing))
    problems, found = _read(Path(root))
    if missing == "error":
        problems += _missing(Path(root), found, listed)
    clips = tuple(c for c in found if listed is None or c.id in listed)
    if not clips and not problems:
        problems.append(Problem(Path(root), f"none of the {split} split's clips is there"))
    refuse(f"GTZAN at {root}", problems)
    if listed is None:
        contents = [clip.id for clip in clips]
    else:
        contents = [f"{clip.id}\t{listed[clip.id]}" for clip in clips]
    return GTZAN(
        card=_card(Path(root), clips, listed, partition),
        clips=clips,
        fingerprint=fingerprint(contents),
        split=split,
        partitions=tuple(listed[clip.id] if listed else None for clip in clips),
    )


def validate(
    root: Path | str, *, split: Split = "all", partition: Partition | None = None
) -> list[Problem]:
    """Return every audio file that is misnamed, misplaced or there twice, and what a split lacks.

    None is decoded.

    Raises
    ------
    DataError
        If an option is unknown.
    """
    listed = _listed(split, partition)
    problems, found = _read(Path(root))
    without = sorted(set(GENRES) - {clip.label for clip in found})
    # Some of the genres are a set, too; nearly all of them are one with a fault.
    if listed is None and 0 < len(without) < len(GENRES) / 2:
        problems.append(Problem(Path(root), f"no audio of the genres {', '.join(without)}"))
    return problems + _missing(Path(root), found, listed)


@cache
def fault_filtered() -> Mapping[str, Partition]:
    """Return the partition of each of the 930 clips of the fault-filtered split, by clip id.

    >>> list(fault_filtered().values()).count("test")
    290
    """
    text = resources.files("earmark.datasets").joinpath("gtzan_splits.toml").read_text("utf-8")
    table = tomllib.loads(text)
    partition_of = {
        f"{genre}.{number:05d}": partition
        for partition in get_args(Partition)
        for genre, numbers in table[partition].items()
        for number in numbers
    }
    return MappingProxyType(partition_of)


def _listed(split: Split, partition: Partition | None) -> Mapping[str, Partition] | None:
    """Return the clips that an option asks for; None: whichever are there."""
    check_choice("GTZAN", "split", split, get_args(Split))
    if split == "all":
        if partition is not None:
            raise DataError(
                f"GTZAN's split 'all' has no partition, got {partition!r}: "
                f"leave it out, or give split='fault-filtered'"
            )
        return None
    if partition is None:
        return fault_filtered()
    check_choice("GTZAN", "partition", partition, get_args(Partition))
    return {name: part for name, part in fault_filtered().items() if part == partition}


def _missing(
    root: Path, found: tuple[Clip, ...], listed: Mapping[str, Partition] | None
) -> list[Problem]:
    absent = sorted(set(listed or ()) - {clip.id for clip in found})
    if not absent or not found:
        return []
    message = (
        f"{len(absent)} of the {len(listed or ())} clips of the split are not there: "
        f"{first_ten(absent)}; missing='drop' goes on without them"
    )
    return [Problem(root, message)]


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
    problems = _unknown_folders(folder, whole=folder != root)
    path_of: dict[str, Path] = {}
    for path in paths:
        wrong = _wrong_name(path, path_of)
        if wrong:
            problems.append(Problem(path, wrong))
        path_of.setdefault(path.stem.lower(), path)
    clips = (Clip(name, path_of[name], label=name.partition(".")[0]) for name in sorted(path_of))
    return problems, tuple(clips)


def _unknown_folders(folder: Path, *, whole: bool) -> list[Problem]:
    """Return the folders beside those of the genres whose audio would go missing unseen.

    ``whole``: the folder is ``genres/``, where nothing else is expected.
    """
    problems = []
    for path in sorted(folder.iterdir()):
        if path.name in GENRES or path.name[0] == "." or not path.is_dir():
            continue
        near = did_you_mean(path.name, GENRES)
        if (near or whole) and (n := len(audio_files(path))):
            message = f"holds {n} audio files, and {shown(path.name)} is none of the ten genres."
            problems.append(Problem(path, f"{message}{near} Rename or remove the folder"))
    return problems


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


def _card(
    root: Path,
    clips: tuple[Clip, ...],
    listed: Mapping[str, Partition] | None,
    partition: Partition | None,
) -> DatasetCard:
    faults = "holds repetitions, distortions and disputed labels (Sturm, arXiv:1306.1461)"
    notes, of_original = [faults], [faults]
    counts = Counter(clip.label for clip in clips)
    parts = ", ".join(f"{genre} {counts[genre]}" for genre in GENRES)
    if listed is not None:
        which = partition or "train, valid and test"
        notes.append(
            f"split fault-filtered, {which}: {len(clips)} of {len(listed)} clips are there: {parts}"
        )
    elif len(clips) < 1000:
        notes.append(f"{len(clips)} of the 1,000 excerpts are there: {parts}")
        of_original.append(notes[-1])
    known = [clip.id for clip in clips if clip.id in UNREADABLE]
    if known:
        notes.append(f"known to be unreadable in common copies: {', '.join(known)}")
        of_original.append(notes[-1])
    card = DatasetCard(
        id="gtzan",
        title="GTZAN genre collection",
        version="1.0",
        licence="none stated; research use",
        citation=_CITATION,
        source="http://marsyas.info/downloads/datasets.html; the original archive's link is dead",
        notes=tuple(notes),
    )
    return with_origin(card, root, of_original=of_original)
