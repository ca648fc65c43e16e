"""Arousal and valence ratings of one's own: a table of ratings beside a folder of audio.

Layout
------
Nothing is configured if the folder looks like this::

    dataset.toml         what the set is, see below
    ratings.csv          track_id,arousal,valence (comma-separated, with this header)
    audio/<track_id>.wav at any depth, or .flac, .mp3, .ogg, .opus, .au, .aif, .aiff

``dataset.toml`` holds what a reader of results must know. All keys are optional but ``scale``,
which can be given to :func:`load_rated_folder` instead::

    id = "my-set"                       # default: the folder's name
    title = "Hundred film cues"
    version = "1.2"
    licence = "CC BY 4.0"
    citation = "@misc{...}"             # BibTeX
    source = "https://..."
    synthetic = false
    scale = [1, 9]                      # the lowest and the highest rating allowed
    ratings = "ratings.csv"             # names of files and columns, where they differ
    audio = "audio"
    id_column = "track_id"
    arousal_column = "arousal"
    valence_column = "valence"
    unit_column = "artist"              # what is resampled together; default: each clip by itself
    label_column = "genre"
    quadrant_column = "quadrant"        # e1 to e4, checked against the numbers
    partition_column = "split"          # e.g. train and test; a blank cell is in none
    namespace = "spotify"               # whose ids these are, see judgements.overlap

An option of :func:`load_rated_folder` has the same name and wins over the file. An id is found as
``<id>.<suffix>``, as a whole file name, or as a path below the folder of audio with or without its
suffix.

GTZAN excerpts with arousal and valence (``av_annotations.csv`` with the columns
``track_id,genre,arousal,valence,quadrant``, audio in ``genres/``, ratings from -10 to 10) are known
by their table's name, header and ids and need no ``dataset.toml``.

Quadrants: ``e1`` high arousal and high valence, ``e2`` high and low, ``e3`` low and low, ``e4`` low
arousal and high valence. High and low divide at the middle of the scale, which belongs to both.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from earmark.datasets.base import (
    Clip,
    DataError,
    DatasetCard,
    Problem,
    RatedClips,
    Scale,
    audio_files,
    fingerprint,
    first_ten,
    refuse,
    with_origin,
)
from earmark.datasets.files.names import escaped, look_alikes, shown, suggest, why_absent
from earmark.datasets.files.text_files import (
    UnreadableError,
    as_number,
    header_hint,
    parse_toml,
    read_rows,
)
from earmark.datasets.gtzan import GENRES
from earmark.datasets.ratings.table import DIMENSIONS, content, value_fault


def load_rated_folder(
    root: Path | str,
    *,
    ratings: str | None = None,
    audio: str | None = None,
    id_column: str | None = None,
    arousal_column: str | None = None,
    valence_column: str | None = None,
    unit_column: str | None = None,
    label_column: str | None = None,
    quadrant_column: str | None = None,
    partition_column: str | None = None,
    scale: Scale | Sequence[float] | None = None,
    require_audio: bool = True,
    id: str | None = None,
    title: str | None = None,
    version: str | None = None,
    licence: str | None = None,
    citation: str | None = None,
    source: str | None = None,
    synthetic: bool | None = None,
    namespace: str | None = None,
) -> RatedClips:
    """Open a folder of rated audio, laid out as the module's docstring says; nothing is decoded.

    Clips are sorted by id, so that the order of rows changes nothing. Noted on the card: audio
    without a rating, and quadrants that contradict the numbers.

    Parameters
    ----------
    ratings
        The table of ratings.
    id_column, arousal_column, valence_column, unit_column, label_column, quadrant_column
        Names of columns, where they differ from those above.
    partition_column
        A column of partitions, e.g. train and test.
    namespace
        Whose ids these are: sets with the same one call the same song by the same id.
    scale
        The lowest and the highest rating that the scale allows, not those that occur.
    require_audio
        Whether a rated id without audio is an error. If not, its clip has the path None, and the
        card says how many there are.

    Raises
    ------
    DataError
        If a file or column is absent, the scale is unknown, or :func:`validate` finds a row that is
        malformed, duplicate, not a number or out of scale, or an id with no or two audio files.
    """
    given = Options(
        ratings=ratings,
        audio=audio,
        id_column=id_column,
        arousal_column=arousal_column,
        valence_column=valence_column,
        unit_column=unit_column,
        label_column=label_column,
        quadrant_column=quadrant_column,
        partition_column=partition_column,
        scale=as_scale(scale, of="the option scale"),
        id=id,
        title=title,
        version=version,
        licence=licence,
        citation=citation,
        source=source,
        synthetic=synthetic,
        namespace=namespace,
    )
    reading = read(Path(root), given, require_audio=require_audio)
    refuse(f"rated folder {root}", reading.faults)
    return _assemble(reading)


def validate(root: Path | str, **options: Any) -> list[Problem]:
    """Return all that is wrong with a rated folder, also what :func:`load_rated_folder` only notes.

    The options are those of :func:`load_rated_folder`.

    Raises
    ------
    DataError
        If the option ``scale`` is not a scale.
    """
    require_audio = options.pop("require_audio", True)
    given = Options(**options | {"scale": as_scale(options.get("scale"), of="the option scale")})
    reading = read(Path(root), given, require_audio=require_audio)
    return reading.faults + reading.remarks


def _assemble(reading: Reading) -> RatedClips:
    options, scale = reading.options, reading.options.scale
    assert scale is not None
    rows = sorted(reading.rows, key=lambda row: row.id)
    clips = tuple(Clip(r.id, reading.paths.get(r.id), r.label, r.unit) for r in rows)
    ratings = np.array([(row.arousal, row.valence) for row in rows], float)
    partitions = tuple(row.partition for row in rows)
    if not any(partitions):
        partitions = ()
    digest = fingerprint(content(clips, ratings, scale, partitions))
    name = options.id or escaped(reading.root.resolve().name)
    card = DatasetCard(
        id=name,
        title=options.title or name,
        version=options.version or f"not stated: {digest[:12]}",
        licence=options.licence or "",
        citation=options.citation or "",
        source=options.source or "",
        synthetic=bool(options.synthetic),
        notes=_notes(reading),
    )
    card = with_origin(card, reading.root)
    return RatedClips(
        card=card,
        clips=clips,
        ratings=ratings,
        scale=scale,
        fingerprint=digest,
        partitions=partitions,
        namespace="" if card.synthetic else options.namespace or "",
    )


def _notes(reading: Reading) -> tuple[str, ...]:
    """Return the remarks, those on quadrants as one."""
    quadrants = [r.message for r in reading.remarks if r.message.startswith("quadrant ")]
    others = [f"{r.path.name} {r.message}" for r in reading.remarks if r.message not in quadrants]
    if quadrants:
        summary = f"{len(quadrants)} of {len(reading.rows)} quadrants contradict the ratings"
        others.append(f"{summary}, the first: {quadrants[0]}")
    return tuple(others)


QUADRANTS = {"e1": (1, 1), "e2": (1, -1), "e3": (-1, -1), "e4": (-1, 1)}
"""The side of the scale's middle on which arousal and valence are: 1 high, -1 low."""


@dataclass(frozen=True)
class Options:
    """What can be said of a rated folder; None: not said. The module's docstring explains each."""

    ratings: str | None = None
    audio: str | None = None
    id_column: str | None = None
    arousal_column: str | None = None
    valence_column: str | None = None
    unit_column: str | None = None
    label_column: str | None = None
    quadrant_column: str | None = None
    partition_column: str | None = None
    scale: Scale | None = None
    id: str | None = None
    title: str | None = None
    version: str | None = None
    licence: str | None = None
    citation: str | None = None
    source: str | None = None
    synthetic: bool | None = None
    namespace: str | None = None

    def or_else(self, other: Options) -> Options:
        """Return these options, with the other's where these say nothing."""
        names = [option.name for option in fields(self)]
        mine = {name: getattr(self, name) for name in names}
        return Options(**{n: getattr(other, n) if mine[n] is None else mine[n] for n in names})


_DEFAULTS = Options(
    audio="audio",
    id_column="track_id",
    arousal_column="arousal",
    valence_column="valence",
    licence="not stated",
    citation="not stated",
    source="not stated",
    synthetic=False,
)

_GTZAN_EXCERPTS = Options(
    audio="genres",
    label_column="genre",
    quadrant_column="quadrant",
    scale=Scale(-10, 10),
    id="gtzan_excerpts",
    title="GTZAN excerpts of six seconds with arousal and valence (musemodataset)",
    licence="none stated; research use",
    citation="""\
@misc{grekow_musemodataset,
  author = {Grekow, Jacek},
  title = {musemodataset},
  howpublished = {https://github.com/grekowj/musemodataset}
}""",
    source="https://github.com/grekowj/musemodataset",
)
_FEW = 10
"""Contradictions that single slips may explain; more of them are looked into."""

_GTZAN_HEADER = ["track_id", "genre", "arousal", "valence", "quadrant"]
_GTZAN_ID = re.compile(rf"({'|'.join(GENRES)})\.\d{{5}}")


@dataclass
class Reading:
    """What was read, and what is wrong with it."""

    root: Path
    options: Options = _DEFAULTS
    rows: list[Row] = field(default_factory=list)
    paths: dict[str, Path] = field(default_factory=dict)
    """Audio by rated id."""
    faults: list[Problem] = field(default_factory=list)
    remarks: list[Problem] = field(default_factory=list)
    """Noted on the card, but no reason to refuse the set."""


@dataclass(frozen=True, slots=True)
class Row:
    """One rated clip."""

    id: str
    arousal: float
    valence: float
    label: str | None
    unit: str | None
    partition: str | None = None


def read(root: Path, given: Options, *, require_audio: bool) -> Reading:
    """Read a rated folder; what is wrong is collected, not raised."""
    reading = Reading(root)
    try:
        options = given.or_else(_described(root / "dataset.toml"))
        table = _ratings_file(root, options)
        lines = _lines(table, reading.faults)
    except DataError as error:
        reading.faults.append(Problem(root, str(error)))
        return reading
    if not lines:
        return reading
    if _is_gtzan_excerpts(table, lines):
        options = options.or_else(_GTZAN_EXCERPTS)
    reading.options = options.or_else(_DEFAULTS)
    if reading.options.scale is None:
        message = (
            "the rating scale is unknown: give scale=(low, high), or write scale = [low, high] "
            "in a dataset.toml beside it"
        )
        reading.faults.append(Problem(table, message))
    columns = _columns(table, lines[0][1], reading)
    if not reading.faults and columns:
        _read_rows(table, lines, columns, reading)
        _find_look_alikes(table, reading)
        _find_audio(reading, require_audio=require_audio)
    return reading


def _described(path: Path) -> Options:
    """Return what ``dataset.toml`` says, if there is one."""
    if not path.exists():
        return Options()
    try:
        values = parse_toml(path.read_bytes())
    except (OSError, UnreadableError) as error:
        raise DataError(f"{path.name} cannot be read: {error}") from error
    known = [option.name for option in fields(Options)]
    for key, value in values.items():
        if key not in known:
            raise DataError(f"{path.name} has an unknown key {key!r}. {suggest(key, known)}")
        if key != "scale" and not isinstance(value, bool if key == "synthetic" else str):
            expected = "true or false" if key == "synthetic" else "text"
            raise DataError(f"{path.name}: {key} is {value!r}, expected {expected}")
        if key in ("ratings", "audio") and (Path(value).is_absolute() or ".." in Path(value).parts):
            raise DataError(
                f"{path.name}: {key} {value!r} leads out of {path.parent}: a file names what lies "
                f"below its folder; give {key}= yourself for another place"
            )
    return Options(**values | {"scale": as_scale(values.get("scale"), of=f"scale in {path.name}")})


def as_scale(value: Scale | Sequence[float] | None, *, of: str) -> Scale | None:
    """Return the scale from its lowest and highest value.

    Raises
    ------
    DataError
        If these are not two numbers, the lower first.
    """
    if value is None or isinstance(value, Scale):
        return value
    numbers = list(value) if isinstance(value, Sequence) else []
    plain = all(not isinstance(n, str) and math.isfinite(as_number(n)) for n in numbers)
    if len(numbers) != 2 or not plain:
        raise DataError(f"{of} is {value!r}, expected two numbers, the lowest and highest rating")
    return Scale(*map(float, numbers))


def _ratings_file(root: Path, options: Options) -> Path:
    if options.ratings is not None:
        return root / options.ratings
    usual = [root / name for name in ("ratings.csv", "av_annotations.csv")]
    found = [path for path in usual if path.is_file()]
    if len(found) == 1:
        return found[0]
    there, names = ("both", found) if found else ("neither", usual)
    raise DataError(
        f"found {there} of {' and '.join(path.name for path in names)}, expected one; "
        f"name the table with ratings="
    )


def _lines(path: Path, problems: list[Problem]) -> list[tuple[int, list[str]]]:
    """Return the table's rows, its header first, with their line numbers; without blank lines."""
    header, rows, found = read_rows(path)
    problems += found
    if header and not rows and not found:
        problems.append(Problem(path, "holds a header and no rating; expected one row per clip"))
    return [(1, header), *rows] if header else []


def _is_gtzan_excerpts(path: Path, lines: list[tuple[int, list[str]]]) -> bool:
    (_, header), *rows = lines
    return (
        path.name == "av_annotations.csv"
        and header == _GTZAN_HEADER
        and all(_GTZAN_ID.fullmatch(row[0]) for _, row in rows)
    )


def _columns(path: Path, header: list[str], reading: Reading) -> dict[str, int]:
    """Return where the columns that are asked for stand, by option; faults go to the reading."""
    asked = {
        option.name: getattr(reading.options, option.name)
        for option in fields(Options)
        if option.name.endswith("_column") and getattr(reading.options, option.name) is not None
    }
    asked = {option: name.strip() for option, name in asked.items()}
    lacking = {option: name for option, name in asked.items() if name not in header}
    if lacking:
        expected = " and ".join(f"{name!r} ({option}=)" for option, name in lacking.items())
        found = ", ".join(map(repr, header))
        hint = header_hint(header, list(lacking.values()))
        message = f"expected the column {expected}, found columns {found}{hint}"
        reading.faults.append(Problem(path, message, 1))
        return {}
    return {option: header.index(name) for option, name in asked.items()}


def _read_rows(
    path: Path, lines: list[tuple[int, list[str]]], columns: dict[str, int], reading: Reading
) -> None:
    scale = reading.options.scale
    assert scale is not None
    line_of: dict[str, int] = {}
    contradicted: list[Problem] = []
    contradicted_exchanged = 0
    for number, cells in lines[1:]:
        cell = {option: cells[index] for option, index in columns.items()}
        name = cell["id_column"]
        messages = _wrong_values(name, cell, scale)
        if name in line_of:
            messages.append(f"id {shown(name)} is already on line {line_of[name]}")
        if cell.get("unit_column") == "":
            messages.append(f"id {shown(name)} has no unit")
        reading.faults += [Problem(path, message, number) for message in messages]
        line_of.setdefault(name, number)
        if messages:
            continue
        arousal, valence = (float(cell[f"{kind}_column"]) for kind in DIMENSIONS)
        row = Row(
            name,
            arousal,
            valence,
            label=cell.get("label_column"),
            unit=cell.get("unit_column"),
            partition=cell.get("partition_column") or None,
        )
        reading.rows.append(row)
        quadrant = cell.get("quadrant_column")
        if quadrant is None:
            continue
        if not _fits(quadrant, replace(row, arousal=valence, valence=arousal), scale):
            contradicted_exchanged += 1
        if not _fits(quadrant, row, scale):
            message = (
                f"quadrant {quadrant!r} of {name} contradicts its arousal {arousal:g} and "
                f"valence {valence:g}"
            )
            contradicted.append(Problem(path, message, number))
    if len(contradicted) > _FEW and 10 * contradicted_exchanged < len(contradicted):
        message = (
            f"arousal and valence seem to have changed places: {len(contradicted)} of "
            f"{len(reading.rows)} quadrants contradict the ratings, and {contradicted_exchanged} "
            f"would if they were exchanged; exchange the two columns, e.g. with arousal_column= "
            f"and valence_column="
        )
        reading.faults.append(Problem(path, message))
    reading.remarks += contradicted


def _find_look_alikes(path: Path, reading: Reading) -> None:
    """Note partitions and labels that differ in what cannot be seen, and ratings that are one."""
    rows = reading.rows
    partitions = (row.partition for row in rows if row.partition)
    labels = (row.label for row in rows if row.label)
    for what, names, into in (
        ("partitions", partitions, reading.faults),
        ("labels", labels, reading.remarks),
    ):
        found = look_alikes(names)
        into += [Problem(path, f"the {what} {pair}: write them alike") for pair in found]
    for kind in DIMENSIONS:
        values = {getattr(row, kind) for row in rows}
        if len(values) == 1 and len(rows) > 1:
            message = f"all {len(rows)} ratings of {kind} are {values.pop():g}"
            message += ": agreement with them is undefined"
            reading.remarks.append(Problem(path, message))


def _wrong_values(name: str, cell: dict[str, str], scale: Scale) -> list[str]:
    if not name:
        return ["has no id"]
    found = [
        value_fault(cell[f"{kind}_column"], scale, of=f"{kind} of {shown(name)}")
        for kind in DIMENSIONS
    ]
    return [message for message in found if message is not None]


def _fits(quadrant: str, row: Row, scale: Scale) -> bool:
    middle = (scale.low + scale.high) / 2
    sides = QUADRANTS.get(quadrant)
    return sides is not None and all(
        side * (value - middle) >= 0
        for side, value in zip(sides, (row.arousal, row.valence), strict=True)
    )


def _find_audio(reading: Reading, *, require_audio: bool) -> None:
    folder = reading.root / (reading.options.audio or "")
    named: dict[str, list[Path]] = {}
    for path in audio_files(folder):
        below = path.relative_to(folder)
        names = {path.stem, path.name, below.as_posix(), below.with_suffix("").as_posix()}
        for name in names:
            named.setdefault(name, []).append(path)
    missing = []
    for row in reading.rows:
        paths = named.get(row.id, [])
        if len(paths) > 1:
            message = f"rated id {row.id} has {len(paths)} files, expected one: "
            message += ", ".join(str(path.relative_to(folder)) for path in paths)
            reading.faults.append(Problem(folder, message))
        elif paths:
            reading.paths[row.id] = paths[0]
        else:
            missing.append(row.id)
    if missing:
        place = "has no audio of" if folder.is_dir() else "is not a folder with the audio of"
        fix = "; name the folder with audio=, or give require_audio=False" if require_audio else ""
        near = folder if folder.is_dir() else reading.root
        fix = f"{why_absent(missing, near, found=reading.paths.values())}{fix}"
        message = f"{place} {len(missing)} rated ids: {first_ten(missing)}{fix}"
        (reading.faults if require_audio else reading.remarks).append(Problem(folder, message))
    rated: dict[Path, str] = {}
    for name, path in reading.paths.items():
        if path in rated:
            message = f"is rated as {rated[path]} and as {name}, expected one rating a file"
            reading.faults.append(Problem(path, message))
        rated[path] = name
    unrated = sorted({path.name for paths in named.values() for path in paths if path not in rated})
    if unrated and not reading.faults:
        message = f"holds {len(unrated)} audio files without a rating: {first_ten(unrated)}"
        reading.remarks.append(Problem(folder, message))
