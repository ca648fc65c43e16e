"""What every dataset module shares: cards, clips, fingerprints, and the errors they raise."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.files.names import AUDIO_SUFFIXES, escaped, shown

Floats = NDArray[np.float64]
Progress = Callable[[int, int, str], None]
"""Called with how much is done, of how much, and what it is."""

MARKER = "etude.json"
"""In the root of a known layout that a program filled with its own content; says what it is."""


class DataError(ValueError):
    """Data that is missing or not as its layout says; the message names the fix."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a dataset's files, as ``validate()`` lists them."""

    path: Path
    message: str
    line: int | None = None
    """1-based; None where the problem is the file itself."""

    def __str__(self) -> str:
        place = shown(str(self.path))
        return f"{place}{'' if self.line is None else f':{self.line}'}: {self.message}"


@dataclass(frozen=True, slots=True)
class DatasetCard:
    """What a reader must know of a dataset before believing a number computed on it."""

    id: str
    title: str
    version: str
    licence: str
    citation: str
    """BibTeX."""
    source: str
    """Where it comes from and how to obtain it."""
    synthetic: bool = False
    notes: tuple[str, ...] = ()
    """Faults found and corrections made; stated in every record that uses the data."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One item to listen to. ``path`` is None where the dataset has no audio available."""

    id: str
    path: Path | None
    label: str | None = None
    unit: str | None = None
    """What is resampled together (artist, triplet, track); None: the clip itself."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The lowest and the highest value that a rating scale allows, e.g. 1 and 9."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise DataError(f"a rating scale needs low < high, got {self.low} to {self.high}")


@dataclass(frozen=True, slots=True)
class RatedClips:
    """Clips with arousal and valence ratings, whatever set they come from."""

    card: DatasetCard
    clips: Sequence[Clip]
    ratings: Floats
    """Shape ``(n_clips, 2)``: arousal, valence, on the set's own scale."""
    scale: Scale
    fingerprint: str
    """Digest of ids and ratings; two sets of the same name but other content differ here."""
    partitions: tuple[str | None, ...] = ()
    """Of each clip, e.g. ``development``; empty where the set has none."""
    namespace: str = ""
    """Whose ids these are: sets with the same one call the same song by the same id. Blank: own."""
    deviations: Floats | None = None
    """Standard deviation between annotators, shaped and ordered as ``ratings``; None: unknown."""


@dataclass(frozen=True, slots=True)
class Tagged:
    """Clips with any number of tags each, whatever set they come from."""

    card: DatasetCard
    clips: Sequence[Clip]
    tags: tuple[str, ...]
    labels: NDArray[np.uint8]
    """Shape ``(n_clips, n_tags)``: 1 where the clip has the tag, else 0."""
    split: str
    """The named variant and the partition, e.g. ``won2020/test``."""
    partitions: tuple[str, ...]
    """Of each clip."""
    rule: str
    """In words: which clips are in the split, and what is resampled together."""
    fingerprint: str
    """Digest of ids, partitions, units, tags and labels."""


@dataclass(frozen=True, slots=True)
class Captioned:
    """Clips with one or several captions each, whatever set they come from."""

    card: DatasetCard
    clips: Sequence[Clip]
    captions: tuple[str, ...]
    """Without white space at either end; those of one clip stand together."""
    caption_ids: tuple[str, ...]
    clip_of: NDArray[np.int64]
    """The index into ``clips`` of each caption's clip, shape ``(n_captions,)``."""
    split: str
    rule: str
    """In words: which clips and captions are in the split, and what is resampled together."""
    fingerprint: str
    """Digest of ids, units and captions."""
    aspects: tuple[tuple[str, ...], ...] = ()
    """Of each clip, short phrases beside its captions; empty where the set has none."""

    def relevant(self) -> NDArray[np.int64]:
        """Return all pairs of a caption and a clip that belong together, shape ``(n_pairs, 2)``.

        Sorted by caption, then clip. A caption belongs to its own clip and to every other clip that
        has a caption of the same words, so that no right answer is counted as wrong.
        """
        clips_of: dict[str, set[int]] = {}
        for caption, clip in zip(self.captions, self.clip_of.tolist(), strict=True):
            clips_of.setdefault(caption, set()).add(clip)
        pairs = [(i, j) for i, text in enumerate(self.captions) for j in sorted(clips_of[text])]
        return np.array(pairs, np.int64).reshape(-1, 2)


class CardOptions(TypedDict, total=False):
    """What a user may say of a folder of their own: options of its loader, as of the card."""

    id: str | None
    title: str | None
    version: str | None
    licence: str
    citation: str
    source: str
    synthetic: bool


NOT_STATED: CardOptions = {
    "licence": "not stated",
    "citation": "not stated",
    "source": "not stated",
}


def card_of_folder(
    root: Path | str,
    *,
    id: str | None = None,
    title: str | None = None,
    version: str | None = None,
    licence: str = "",
    citation: str = "",
    source: str = "",
    synthetic: bool = False,
) -> DatasetCard:
    """Return the card of somebody's own folder, which is called as the folder where not said."""
    name = id or escaped(Path(root).resolve().name)
    return DatasetCard(
        id=name,
        title=title or name,
        version=version or "not stated",
        licence=licence,
        citation=citation,
        source=source,
        synthetic=synthetic,
    )


def with_origin(card: DatasetCard, root: Path, *, of_original: Collection[str] = ()) -> DatasetCard:
    """Return the card of what really lies in a folder: that of a :data:`MARKER`, if it has one.

    Synthetic audio in the layout of GTZAN must not pass for GTZAN in any report. Every loader's
    card goes through here. The marker is looked for in the root and in the folder that holds it,
    since some layouts may be opened one level further in.

    Parameters
    ----------
    card
        Of the set whose layout this is; returned as it is where there is no marker.
    of_original
        Those of the card's notes that hold of the original set alone.

    Raises
    ------
    DataError
        If there is a marker that does not say what the folder holds.
    """
    folder = Path(root).resolve()
    found = [place for place in (folder / MARKER, folder.parent / MARKER) if place.is_file()]
    if not found:
        return card
    texts = ("title", "version", "licence", "citation", "source")
    try:
        said = json.loads(found[0].read_bytes())
        origin = {name: str(said[name]) for name in texts}
        remarks = [str(note) for note in said["notes"]]
        synthetic = said["synthetic"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"{found[0]} says that a program made these files, but not what they are "
            f"({type(error).__name__}: {error}): expected JSON with {', '.join(texts)}, notes and "
            f"synthetic; build the corpus again"
        ) from error
    kept = (note for note in card.notes if note not in of_original)
    return DatasetCard(
        id=card.id,
        **origin,
        synthetic=synthetic is not False,
        notes=(f"in the layout of {card.title}", *remarks, *kept),
    )


def fingerprint(parts: Iterable[str]) -> str:
    """Return the sha256 of the parts, each on its own line, as 64 hexadecimal digits.

    Of a file name that is not UTF-8 its own bytes are taken.

    >>> fingerprint(["a", "b"]) == fingerprint(["a", "b"]) != fingerprint(["b", "a"])
    True
    """
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode(errors="surrogateescape"))
        digest.update(b"\n")
    return digest.hexdigest()


def first_ten(names: Sequence[str]) -> str:
    """Return the first ten names and how many there are, for an error message.

    What cannot be seen in a name is shown.

    >>> first_ten(["a", "b"])
    'a, b'
    >>> first_ten([str(i) for i in range(12)])
    '0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more (12 in all)'
    """
    ten = ", ".join(map(shown, names[:10]))
    more = len(names) - 10
    return f"{ten} and {more} more ({len(names)} in all)" if more > 0 else ten


def check_choice(of: str, option: str, value: object, allowed: Sequence[object]) -> None:
    """Raise :class:`DataError` if a set has no such value of an option, e.g. no such split."""
    if value not in allowed:
        known = ", ".join(map(str, allowed))
        raise DataError(f"{of} has no {option} {value!r}; expected one of {known}")


def refuse(dataset: str, problems: Sequence[Problem]) -> None:
    """Raise if there are problems.

    Raises
    ------
    DataError
        With the first ten problems, one a line, and how many there are.
    """
    if problems:
        ten = "\n".join(f"  {problem}" for problem in problems[:10])
        more = f"\n  and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise DataError(f"{shown(dataset)} has {len(problems)} problem(s):\n{ten}{more}")


def audio_files(folder: Path) -> list[Path]:
    """Return the audio files at any depth below a folder, sorted, without hidden ones.

    An absent folder has none. Hidden ones are left out because archives made on macOS hold a
    ``._name.mp3`` that is no audio beside each ``name.mp3``.
    """
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in AUDIO_SUFFIXES and path.name[0] != "." and path.is_file()
    )
