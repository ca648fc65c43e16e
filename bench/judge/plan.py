"""The plan of a listening study: what is judged, by how many, and who sees what.

A study is a folder that ``earmark judge plan`` writes::

    plan.json           this schema; never changed once judging has begun
    excerpts/<id>.mp3   one excerpt per song, or .ogg, .wav; the page serves nothing else
    left_out.csv        recordings that were left out: path, reason
    judge.sqlite        written by ``earmark judge serve``: listeners and their answers

Ids of songs and triplets are 32 hexadecimal digits and tell nothing of the files. In a triplet
``(s1, s2, s3)`` the pairs are (s1, s2), (s1, s3) and (s2, s3), the first song of each being ``a``:
as MusAV, so that a triplet has three judged pairs [1]_.

Songs are compared by :data:`PRESETS`, or by dimensions of one's own in a TOML file::

    [dimensions.tension]
    question = "Which song is more tense?"
    low = "relaxed"
    high = "tense"

References
----------
.. [1] D. Bogdanov et al., "MusAV", ISMIR 2022, section 3.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic import model_validator as whole

from earmark.datasets.base import DataError
from earmark.datasets.files.atomic_files import write_whole
from earmark.datasets.files.names import suggest
from earmark.datasets.files.text_files import parse_toml

SCHEMA_VERSION: Final = 1
PLAN, EXCERPTS, LEFT_OUT, STORE = "plan.json", "excerpts", "left_out.csv", "judge.sqlite"
TARGET_LUFS = -20.0
"""Playback level of MusAV's annotation tool."""
SECONDS_PER_ANSWER: Final = 4.0
"""Once both songs are known: for estimates of how long a study takes."""

Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*$", max_length=40)]
"""Names a dimension, and files."""
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=400)]


class Part(BaseModel):
    """Base of every part: unknown keys are refused, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Dimension(Part):
    """What listeners compare two songs by."""

    name: Word
    question: Text
    """As asked, e.g. ``Which song has the higher arousal (energy)?``"""
    low: Text
    """In words, the low end, e.g. ``calm, sleepy``."""
    high: Text


class Song(Part):
    """One song of the study."""

    id: Id
    """From the decoded samples of the recording: a copy under another name has the same."""
    source: str
    """Path below the scanned folder, with ``/``; never shown to listeners."""
    excerpt: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}\.(mp3|ogg|wav)$")]
    """File in ``excerpts/``."""
    start: float = Field(ge=0)
    """Where the excerpt begins in the recording, s."""
    seconds: float = Field(gt=0)
    """Length of the excerpt, s."""
    lufs: float
    """Integrated loudness of the excerpt over two speakers (EBU R128), LUFS."""
    peak: float = Field(gt=0)
    """Highest absolute sample of the excerpt, 1 at full scale."""
    genres: tuple[Text, ...] = ()


class Triplet(Part):
    """Three songs that are compared with each other."""

    id: Id
    type: str = Field(pattern=r"^(global_triplet|genre_triplet--.+)$")
    songs: tuple[Id, Id, Id]
    listeners: tuple[int, ...]
    """Indices of the plan's listeners who judge it, exactly ``annotators`` of them."""

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The three pairs (a, b)."""
        return tuple(itertools.combinations(self.songs, 2))


class Plan(Part):
    """A whole study."""

    schema_version: int = Field(SCHEMA_VERSION, ge=SCHEMA_VERSION, le=SCHEMA_VERSION)
    title: Text
    """Of the set that comes of it."""
    licence: Text
    citation: str = ""
    """BibTeX, or nothing."""
    created: str
    """Date, ISO 8601."""
    seed: int
    dimensions: tuple[Dimension, ...] = Field(min_length=1)
    annotators: int = Field(ge=1)
    """How many different listeners judge each pair."""
    listeners: tuple[str, ...]
    """Pseudonyms of all listeners, e.g. ``listener-001``; a link is made for each."""
    target_lufs: float = TARGET_LUFS
    """Level that players bring each excerpt to; below -20 where a gain would clip."""
    loudness_by: str
    """What measured the loudness, in words."""
    songs: tuple[Song, ...]
    triplets: tuple[Triplet, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the plan's canonical JSON."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def gain(self, song: Song) -> float:
        """Return the factor that brings an excerpt to the target level; at most ``1 / peak``."""
        return min(float(10 ** ((self.target_lufs - song.lufs) / 20)), 1 / song.peak)

    @whole(mode="after")
    def _holds_together(self) -> Plan:
        known = {song.id for song in self.songs}
        if len(known) < len(self.songs):
            raise ValueError("a song is listed twice")
        seen: set[str] = set()
        for triplet in self.triplets:
            strange = [song for song in triplet.songs if song not in known]
            if strange:
                raise ValueError(f"triplet {triplet.id}: no song {strange[0]}")
            twice = [song for song in triplet.songs if song in seen]
            if twice or len(set(triplet.songs)) < 3:
                raise ValueError(f"triplet {triplet.id}: a song of it is in another triplet too")
            seen.update(triplet.songs)
            who = triplet.listeners
            if len(set(who)) != len(who) or len(who) != self.annotators:
                raise ValueError(
                    f"triplet {triplet.id}: {len(set(who))} listeners, expected {self.annotators}"
                )
            if not all(0 <= one < len(self.listeners) for one in who):
                raise ValueError(f"triplet {triplet.id}: a listener that the plan does not name")
        if len(set(self.listeners)) < len(self.listeners):
            raise ValueError("a listener is named twice")
        names = [dimension.name for dimension in self.dimensions]
        if len(set(names)) < len(names):
            raise ValueError("a dimension is named twice")
        return self


def write(plan: Plan, folder: Path) -> None:
    """Write the plan of a study."""
    write_whole(folder / PLAN, (plan.model_dump_json(indent=1) + "\n").encode())


def read(folder: Path | str) -> Plan:
    """Read the plan of a study.

    Raises
    ------
    DataError
        If the folder holds none, or one that is not sound; the message names the file and value.
    """
    path = Path(folder) / PLAN
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(
            f"no study at {folder}: expected {PLAN} in it; earmark judge plan writes one"
        ) from None
    try:
        return Plan.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{path}: {place or 'the plan'}: {first['msg']}") from None


PRESETS: Final[Mapping[str, Dimension]] = MappingProxyType(
    {
        one.name: one
        for one in (
            Dimension(
                name="arousal",
                question="Which song has the higher arousal: more energy and stimulation?",
                low="calm, sleepy",
                high="energetic, exciting",
            ),
            Dimension(
                name="valence",
                question="Which song has the higher valence: more pleasant and positive?",
                low="negative, sad, tense",
                high="positive, happy, pleasant",
            ),
            Dimension(
                name="preference",
                question="Which song do you like more?",
                low="like it less",
                high="like it more",
            ),
            Dimension(
                name="similarity",
                question="Which song is more similar to the reference that you were given?",
                low="less similar",
                high="more similar",
            ),
        )
    }
)
DEFAULT = "arousal,valence"
"""As MusAV asked."""


def dimensions_of(said: str) -> tuple[Dimension, ...]:
    """Return the dimensions of ``arousal,valence``, of other presets, or of a TOML file.

    Raises
    ------
    DataError
        If a name is unknown, or the file does not hold dimensions as the module's text says.
    """
    if said.endswith(".toml"):
        return _of_file(Path(said))
    names = [name.strip() for name in said.split(",") if name.strip()]
    for name in names:
        if name not in PRESETS:
            raise DataError(
                f"no dimension {name!r}{suggest(name, PRESETS)}; one's own stand in a TOML file: "
                f"[dimensions.{name}] with question, low and high"
            )
    if not names or len(set(names)) < len(names):
        raise DataError(f"dimensions are {said!r}, expected one or more different names")
    return tuple(PRESETS[name] for name in names)


def _of_file(path: Path) -> tuple[Dimension, ...]:
    try:
        content = parse_toml(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    tables = content.get("dimensions")
    if not isinstance(tables, dict) or not tables or content.keys() != {"dimensions"}:
        raise DataError(f"{path}: expected tables [dimensions.<name>] with question, low, high")
    found = []
    for name, table in tables.items():
        try:
            found.append(Dimension.model_validate({**table, "name": name}))
        except (ValidationError, TypeError) as error:
            what = error.errors()[0] if isinstance(error, ValidationError) else None
            detail = f"{'.'.join(map(str, what['loc']))}: {what['msg']}" if what else str(error)
            raise DataError(f"{path}: [dimensions.{name}]: {detail}") from None
    return tuple(found)
