"""Names as messages and records hold them: what cannot be seen is shown, odd bytes are escaped."""

from __future__ import annotations

import difflib
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

AUDIO_SUFFIXES = frozenset({".aif", ".aiff", ".au", ".flac", ".mp3", ".ogg", ".opus", ".wav"})
"""Of the files that datasets look for; libsndfile reads them all."""

UNREAD_SUFFIXES = frozenset(
    {
        *(".3gp", ".aac", ".ac3", ".alac", ".amr", ".ape", ".caf", ".dsf", ".m4a", ".m4b", ".mka"),
        *(".mkv", ".mov", ".mp4", ".mpc", ".oga", ".ra", ".tta", ".webm", ".wma", ".wv"),
    }
)
"""Of files that hold audio and are not read."""

_SURROGATE = re.compile("[\ud800-\udfff]")


def shown(text: str) -> str:
    """Return a text so that all of it can be seen, in quotes where it is not as it looks.

    >>> [shown(name) for name in ("t00", "t00 ", "a\\0b", "e\\u0301", "caf\\udce9")]
    ['t00', "'t00 '", "'a\\\\x00b'", "'e\\\\u0301'", "'caf\\\\xe9'"]
    """
    composed = unicodedata.is_normalized("NFC", text)
    visible = "".join(
        c if c.isprintable() and (composed or not unicodedata.combining(c)) else _escape(c)
        for c in text
    )
    return text if text and visible == text.strip() else f"'{visible}'"


def escaped(text: str) -> str:
    """Return a text that any file can hold: a file name's bytes that are no UTF-8 as ``\\xNN``.

    Backslashes are doubled where something is escaped, so that it can be undone. Text without such
    bytes stays as it is.

    >>> escaped("café"), escaped("caf\\udce9")
    ('café', 'caf\\\\xe9')
    """
    if not _SURROGATE.search(text):
        return text
    return _SURROGATE.sub(lambda found: _escape(found[0]), text.replace("\\", "\\\\"))


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python holds a byte of a file name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode()


def look_alikes(names: Iterable[str]) -> list[str]:
    """Return the names that differ in case or in what cannot be seen alone, a pair of each kind.

    >>> look_alikes(["test", "train", "Test", "test"])
    ['Test and test differ in case or in what cannot be seen']
    """
    alike: dict[str, set[str]] = {}
    for name in names:
        visible = "".join(c for c in _key(name) if c.isprintable() and not c.isspace())
        alike.setdefault(visible, set()).add(name)
    pairs = (sorted(group)[:2] for group in alike.values() if len(group) > 1)
    return [
        f"{shown(one)} and {shown(other)} differ in case or in what cannot be seen"
        for one, other in pairs
    ]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean ...?`` with the nearest known name, or nothing if none is near.

    >>> did_you_mean("Arousal", ["arousal", "valence"])
    ' Did you mean arousal?'
    """
    by_key = {_key(other): other for other in known}
    near = difflib.get_close_matches(_key(name), by_key, n=1, cutoff=0.7)
    return f" Did you mean {shown(by_key[near[0]])}?" if near else ""


def suggest(name: object, known: Iterable[str], *, listed: str = "Known", most: int = 1) -> str:
    """Return the nearest of the known names as a question, or all of them where none is near.

    >>> suggest("ridgee", ["ridge", "mlp"]), suggest("svm", ["ridge", "mlp"])
    ("Did you mean 'ridge'?", 'Known: ridge, mlp.')
    """
    known = [str(other) for other in known]
    if near := difflib.get_close_matches(str(name), known, n=most):
        return f"Did you mean {' or '.join(map(repr, near))}?"
    return f"{listed}: {', '.join(known) or 'none'}."


def why_absent(names: Sequence[str], folder: Path, *, found: Iterable[Path] = ()) -> str:
    """Return why files are not found under their names, from what else lies in a folder.

    Begins with a semicolon; empty where nothing near is there. One sentence per kind of cause, with
    its first example.

    Parameters
    ----------
    found
        Files that belong to other names.
    """
    taken = set(found)
    there = [path for path in _media(folder) if path not in taken]
    exact = {form: path for path in there for form in _forms(path, folder)}
    alike = {_key(form): path for path in there for form in _forms(path, folder)}
    causes: dict[str, tuple[str, int]] = {}
    for place, name in enumerate(names):
        keys = [_key(name), _key(_bare(name))]
        keys += [key.rpartition("/")[2] for key in keys]
        path = exact.get(name) or next((alike[key] for key in keys if key in alike), None)
        if path is not None:
            kind, message = _cause(name, path, folder)
        else:  # of the first alone: each is held against all files
            kind, message = _nearest(name, alike) if place < _N_NEAREST else ("", "")
        if kind:
            first, count = causes.get(kind, (message, 0))
            causes[kind] = first, count + 1
    return "".join(
        f"; {message}{f' (as {count - 1} more)' if count > 1 else ''}"
        for message, count in causes.values()
    )


_N_NEAREST = 10


def _media(folder: Path) -> Iterator[Path]:
    for place, _, files in os.walk(folder):
        for name in files:
            if name[0] != "." and Path(name).suffix.lower() in AUDIO_SUFFIXES | UNREAD_SUFFIXES:
                yield Path(place, name)


def _forms(path: Path, folder: Path) -> set[str]:
    below = path.relative_to(folder)
    forms = {path.stem, path.name, below.as_posix(), below.with_suffix("").as_posix()}
    if not _SURROGATE.search(below.as_posix()):
        return forms
    return forms | {os.fsencode(form).decode(old) for old in _OLD_ENCODINGS for form in forms}


_OLD_ENCODINGS = ("latin-1", "cp437")
"""Of file names in old archives that are not UTF-8; cp437 is that of zip."""


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip().casefold().replace("\\", "/")


def _bare(name: str) -> str:
    """Return a name without a suffix of audio."""
    known = Path(name).suffix.lower() in AUDIO_SUFFIXES | UNREAD_SUFFIXES
    return str(PurePosixPath(name).with_suffix("")) if known else name


def _cause(name: str, path: Path, folder: Path) -> tuple[str, str]:
    """Return the kind of difference between a name and the file that is there, and the fix."""
    below = path.relative_to(folder).as_posix()
    suffix, forms = path.suffix.lower(), _forms(path, folder)
    if _SURROGATE.search(below):
        fix = "rename it, e.g. convmv -f latin1 -t utf8 --notest (or -f cp437)"
        return "bytes", f"{shown(below)} is there, and its name is not UTF-8: {fix}"
    if suffix in UNREAD_SUFFIXES:
        fix = f"convert it, e.g. ffmpeg -i {path.name} {path.stem}.flac"
        return suffix, f"{shown(below)} is there, but {suffix} is not read: {fix}"
    if name in forms:
        fix = "name the folder with audio="
        return "folder", f"{shown(below)} is there, in a folder that is not looked at: {fix}"
    if "\\" in name:
        plain = path.relative_to(folder).with_suffix("").as_posix()
        return "\\", f"{name} is a path of Windows: write it as {shown(plain)}, below the folder"
    if name.strip() != name or any(form.strip() == name for form in forms - {name}):
        return "space", f"{shown(below)} is there, the spaces around {shown(name)} differ"
    same = {unicodedata.normalize("NFC", form) for form in forms}
    if unicodedata.normalize("NFC", name) in same:
        fix = (
            "rename it to NFC, e.g. convmv -f utf8 -t utf8 --nfc --notest"
            if unicodedata.is_normalized("NFC", name)
            else "write the name in NFC in the table"
        )
        return "NFC", (
            f"{shown(below)} is there: it looks the same as {name}, but one of the two is written "
            f"in NFD (letters and accents apart); {fix}"
        )
    if _key(name) in map(_key, forms):
        return "case", f"{shown(below)} is there: {shown(name)} differs in upper and lower case"
    return "place", f"{shown(below)} is there in place of {shown(name)}"


def _nearest(name: str, alike: dict[str, Path]) -> tuple[str, str]:
    near = difflib.get_close_matches(_key(name), alike, n=1, cutoff=0.8)
    if not near:
        return "", ""
    return "near", f"nearest to {shown(name)} is {shown(alike[near[0]].name)}"


def as_file_name(words: str, *, other: str = "-") -> str:
    """Return words with ``other`` for whatever no file name on every system may hold.

    >>> as_file_name("probe on my songs")
    'probe-on-my-songs'
    """
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else other for c in words)
