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

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from earmark.datasets.base import (
    Clip,
    DatasetCard,
    Problem,
    RatedClips,
    Scale,
    fingerprint,
    refuse,
    with_origin,
)
from earmark.datasets.files.names import escaped
from earmark.datasets.ratings.av_ratings_files import Options, Reading, as_scale, read
from earmark.datasets.ratings.table import content


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
