"""Captions in MusCALL's JSON manifests.

Layout
------
As MusCALL's training and evaluation read it [1]_::

    dataset_train.json   a list of {"audio_id": 1, "caption": "...", "audio_path": "track_1.npy"}
    dataset_val.json
    dataset_test.json
    audio/<audio_path>   .npy waveforms at 16 kHz, or audio files

One caption an item: an ``audio_id`` or a file that is there twice is refused. Other keys of an item
are not looked at. A path must stay below ``audio/``.

References
----------
.. [1] I. Manco, E. Benetos, E. Quinton, G. Fazekas, "Contrastive audio-language learning for
       music", ISMIR 2022 (arXiv:2208.12208).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Unpack

from earmark.datasets.base import Captioned, CardOptions, DataError, Problem, card_of_folder
from earmark.datasets.captions.sheet import Missing, Row, Sheet, assemble, faults, inside
from earmark.datasets.files.text_files import UnreadableError, parse_json, read_text


def load(
    root: Path | str,
    *,
    split: str = "test",
    audio: str = "audio",
    missing: Missing = "error",
    **card: Unpack[CardOptions],
) -> Captioned:
    """Open ``dataset_<split>.json`` and the audio that it names; nothing is decoded.

    Raises
    ------
    DataError
        If an option is unknown, there is no such split, or :func:`validate` finds a problem.
    """
    sheet = _read(Path(root), split, audio)
    return assemble(sheet, card_of_folder(root, **card), missing=missing)


def validate(root: Path | str, *, split: str = "test", audio: str = "audio") -> list[Problem]:
    """Return all that is wrong with a split's manifest and its audio.

    A problem's line is the item's number, from 1.

    Raises
    ------
    DataError
        If there is no such split.
    """
    return faults(_read(Path(root), split, audio))


def _read(root: Path, split: str, audio: str) -> Sheet:
    place, folder = root / f"dataset_{split}.json", root / audio
    if not place.is_file():
        known = sorted(path.stem.removeprefix("dataset_") for path in root.glob("dataset_*.json"))
        there = f"there are {', '.join(known)}" if known else "found no dataset_<split>.json"
        raise DataError(f"captions of {root}: no manifest {place.name}; {there}")
    items, problems = _items(place)
    rows = []
    line_of: dict[str, int] = {}
    for line, item in enumerate(items, start=1):
        wrong = _wrong_item(item)
        if wrong:
            problems.append(Problem(place, wrong, line))
            continue
        name = str(item["audio_id"]).strip()
        if line_of.setdefault(name, line) != line:
            message = f"audio_id {name} is there twice, also in item {line_of[name]}"
            problems.append(Problem(place, message, line))
            continue
        try:
            path = inside(folder, item["audio_path"])
        except DataError as error:
            problems.append(Problem(place, str(error), line))
            continue
        rows.append(Row(line, name, item["caption"], path))
    rule = f"items of {place.name}, one caption each; resampled by clip"
    return Sheet(f"captions of {root}", place, folder, split, rule, rows, problems)


def _items(place: Path) -> tuple[list[Any], list[Problem]]:
    try:
        items = parse_json(read_text(place))
    except UnreadableError as error:
        return [], [error.of(place)]
    if isinstance(items, list):
        return items, []
    message = f"expected a list of items with audio_id, caption, audio_path; found {_kind(items)}"
    return [], [Problem(place, message)]


def _wrong_item(item: Any) -> str | None:
    if not isinstance(item, dict):
        return f"expected an item with audio_id, caption and audio_path, found {_kind(item)}"
    for key in ("audio_id", "caption", "audio_path"):
        if key not in item:
            return f"has no {key}, only {', '.join(map(str, item))}"
        value = item[key]
        number = key == "audio_id" and isinstance(value, int) and not isinstance(value, bool)
        if not isinstance(value, str) and not number:
            expected = "a whole number or text" if key == "audio_id" else "text"
            return f"{key} must be {expected}, got {value!r}"
    return None


def _kind(value: object) -> str:
    if isinstance(value, dict):
        return "an object"
    return "a list" if isinstance(value, list) else repr(value)
