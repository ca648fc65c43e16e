"""What a corpus is prepared from: captioned clips of any loader, or a plain folder of audio."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earmark.datasets.base import Captioned, DataError, audio_files, fingerprint
from earmark.datasets.captions import clotho as captions_clotho
from earmark.datasets.captions import csv as captions_csv
from earmark.datasets.captions import manifest as captions_manifest
from earmark.datasets.captions import musiccaps as captions_musiccaps
from earmark.datasets.captions import song_describer as captions_song_describer
from earmark.datasets.files.names import escaped
from earmark.datasets.registry import check_options

_MANIFEST = re.compile(r"dataset_(.+)\.json")
_CLOTHO = re.compile(r"clotho_captions_(.+)\.csv")
_NAMED_TABLES: Mapping[str, Callable[..., Captioned]] = {
    "song_describer.csv": captions_song_describer.load,
    "musiccaps-public.csv": captions_musiccaps.load,
}


@dataclass(frozen=True, slots=True)
class SourceClip:
    """A clip to decode."""

    id: str
    path: Path | None
    """None where no file was found."""
    captions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Clips in the order in which they are prepared."""

    name: str
    clips: tuple[SourceClip, ...]
    fingerprint: str
    """Digest of ids and captions."""
    synthetic: bool = False


def open_source(path: Path | str, options: Mapping[str, Any] | None = None) -> Source:
    """Open what a path names; nothing is decoded.

    ``dataset_<split>.json`` is a manifest of MusCALL's, ``clotho_captions_<split>.csv``,
    ``song_describer.csv`` and ``musiccaps-public.csv`` are those sets' tables, any other ``.csv`` a
    table of captions, and a folder is audio without captions. Clips without a file are kept: the
    preparation counts them among those that cannot be used.

    Parameters
    ----------
    options
        Of the loader of that layout in :mod:`earmark.datasets`, e.g. ``{"caption_column": "text"}``
        or ``{"split": "train"}`` for a table of captions.

    Raises
    ------
    DataError
        If the path is none of these, an option is unknown, or the loader finds a fault.
    """
    path, options = Path(path), dict(options or {})
    if path.is_dir():
        if options:
            raise DataError(f"{path}: a folder of audio has no options, got {', '.join(options)}")
        return _folder(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file or folder; expected a manifest, a table or a folder")
    loader, fixed = _loader(path)
    taken = [name for name in (*fixed, "missing") if name in options]
    if taken:
        raise DataError(f"{path}: the option {taken[0]!r} is settled by the file's name")
    given = {"root": path.parent, **fixed, "missing": "keep", **options}
    check_options(loader, given, of=str(path))
    return captioned_source(loader(**given))


def captioned_source(captioned: Captioned) -> Source:
    """Return captioned clips as a source; clips may have several captions."""
    captions: list[list[str]] = [[] for _ in captioned.clips]
    for caption, clip in zip(captioned.captions, captioned.clip_of.tolist(), strict=True):
        captions[clip].append(caption)
    clips = tuple(
        SourceClip(clip.id, clip.path, tuple(texts))
        for clip, texts in zip(captioned.clips, captions, strict=True)
    )
    card = captioned.card
    return Source(f"{card.id}/{captioned.split}", clips, captioned.fingerprint, card.synthetic)


def _loader(path: Path) -> tuple[Callable[..., Captioned], dict[str, Any]]:
    """Return a file's loader and the options that its name settles."""
    if manifest := _MANIFEST.fullmatch(path.name):
        return captions_manifest.load, {"split": manifest[1]}
    if clotho := _CLOTHO.fullmatch(path.name):
        return captions_clotho.load, {"split": clotho[1]}
    if path.name in _NAMED_TABLES:
        return _NAMED_TABLES[path.name], {}
    if path.suffix.lower() == ".csv":
        return captions_csv.load, {"table": path.name}
    raise DataError(
        f"{path}: expected dataset_<split>.json (MusCALL's manifest), a .csv table of captions, or "
        f"a folder of audio"
    )


def _folder(folder: Path) -> Source:
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    known = [n for n in names if _MANIFEST.fullmatch(n) or _CLOTHO.fullmatch(n)]
    known += [n for n in names if n in _NAMED_TABLES or n == "captions.csv"]
    if known:
        raise DataError(
            f"{folder} holds {known[0]}: give that file, or, for audio without captions, the "
            f"folder that holds the audio alone"
        )
    paths = audio_files(folder)
    if not paths:
        raise DataError(f"{folder}: no audio at any depth; expected .wav, .flac, .mp3 and others")
    ids = [escaped(path.relative_to(folder).as_posix()) for path in paths]
    twice = [one for one, n in Counter(ids).items() if n > 1]
    if twice:
        raise DataError(f"{folder}: two files have names that are written {twice[0]}: rename one")
    clips = tuple(SourceClip(id, path, ()) for id, path in zip(ids, paths, strict=True))
    return Source(escaped(folder.resolve().name), clips, fingerprint(ids))
