"""``prepare``: decode a corpus once into shards and an index, resumable after a kill.

Its source is captioned clips of any loader, or a plain folder of audio (:func:`open_source`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from earmark.datasets.audio import AudioError, file_digest, load, map_ahead
from earmark.datasets.base import (
    Captioned,
    DataError,
    Progress,
    audio_files,
    fingerprint,
    first_ten,
)
from earmark.datasets.captions import clotho as captions_clotho
from earmark.datasets.captions import csv as captions_csv
from earmark.datasets.captions import manifest as captions_manifest
from earmark.datasets.captions import musiccaps as captions_musiccaps
from earmark.datasets.captions import song_describer as captions_song_describer
from earmark.datasets.files.atomic_files import (
    TEMPORARY,
    open_whole,
    room_left,
    sync_folder,
    write_whole,
)
from earmark.datasets.files.cores import usable_cores
from earmark.datasets.files.names import escaped
from earmark.datasets.registry import check_options
from earmark.models.training.corpus import (
    INDEX,
    PLAN,
    Entry,
    Index,
    Part,
    Plan,
    Refused,
    Samples,
    part_path,
    quantise,
    shard_fault,
    shard_path,
    write_header,
)

SHARD_BYTES = 64 * 2**20
"""About 100 clips of 20 s at 16 kHz; no more than this is lost by a kill."""
_LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A finished corpus, and what this preparation did for it."""

    folder: Path
    sample_rate: int
    """In Hz."""
    n_clips: int
    n_captions: int
    seconds: float
    """Of audio in the corpus."""
    refused: tuple[Refused, ...]
    clipped_samples: int
    """How many samples lay outside the range of int16 and were brought to its end."""
    fingerprint: str
    clips_decoded: int
    """In this run; 0 where the corpus was there already."""


_Outcome = tuple[Entry, Samples] | Refused
"""Of a clip: its entry, whose place is not known yet, and its samples; or why it cannot be used."""


def prepare(
    source: Path | str | Captioned | Source,
    out: Path | str,
    *,
    sample_rate: int = 16_000,
    workers: int | None = None,
    max_refused_share: float = 0.01,
    shard_bytes: int = SHARD_BYTES,
    progress: Progress | None = None,
) -> Prepared:
    """Decode a corpus into mono int16 shards at ``sample_rate`` Hz in the folder ``out``.

    The bytes written depend neither on the number of workers nor on how often the work was
    interrupted. Files that changed since they were decoded are decoded again. Silent audio and
    files that are not there are refused like damaged ones.

    Parameters
    ----------
    source
        A path as :func:`earmark.models.training.prepare.open_source` takes it, or captioned clips
        as a dataset's loader returns them.
    workers
        Threads that decode: libsndfile, the resampler and the digests run side by side, and a
        process of its own for each would gain nothing. Default: one for each core.
    max_refused_share
        Of the clips, in [0, 1]; with more that cannot be used, the preparation stops.

    Raises
    ------
    DataError
        If the source has a fault or no clips, too many clips cannot be used, or the folder holds
        something else.
    """
    source, out = _as_source(source), Path(out)
    n_clips = len(source.clips)
    if n_clips == 0:
        raise DataError(f"{source.name} has no clips: there is nothing to prepare")
    for name, value, fits, expected in (
        ("sample_rate", sample_rate, sample_rate > 0, "Hz above 0"),
        ("workers", workers, workers is None or workers > 0, "at least 1"),
        ("max_refused_share", max_refused_share, 0 <= max_refused_share <= 1, "0 to 1"),
        ("shard_bytes", shard_bytes, shard_bytes > 0, "above 0"),
    ):
        if not fits:
            raise DataError(f"{name} is {value}, expected {expected}")
    plan = Plan(
        source.name, source.fingerprint, source.synthetic, n_clips, sample_rate, shard_bytes
    )
    with _claimed(out, plan) as plan:
        decoded = 0
        if not (out / INDEX).exists():
            parts = _kept_parts(out, source)
            decoded = n_clips - sum(part.n_clips for part in parts)
            limit = max_refused_share * n_clips
            _decode_rest(out, plan, source, parts, limit, workers or usable_cores(), progress)
            _finish(out, plan, parts)
        index = Index.read(out / INDEX)
        _check_unchanged(out, index, source)
        _check_share(index.refused, max_refused_share * n_clips, n_clips)
        _remove(out, [PLAN, "shard-*.json", f"{TEMPORARY}*"])
    return _summary(out, index, decoded)


def _as_source(source: Path | str | Captioned | Source) -> Source:
    if isinstance(source, Source):
        return source
    return captioned_source(source) if isinstance(source, Captioned) else open_source(source)


@contextmanager
def _claimed(out: Path, plan: Plan) -> Iterator[Plan]:
    """Hold the folder for this plan alone; yield the plan that stands there."""
    from filelock import FileLock, Timeout

    try:
        out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise DataError(f"{out} is a file: give a folder for the corpus") from None
    begun = any((out / name).exists() for name in (INDEX, PLAN))
    strangers = sorted(p.name for p in out.iterdir() if not p.name.startswith((_LOCK, TEMPORARY)))
    if strangers and not begun:
        raise DataError(
            f"{out} holds files that are no corpus ({first_ten(strangers)}): give a new folder"
        )
    try:
        with FileLock(out / _LOCK, timeout=0):
            if (out / INDEX).exists():
                found = Index.read(out / INDEX).plan
            elif (out / PLAN).exists():
                found = _read_plan(out / PLAN)
            else:
                found = plan
                write_whole(out / PLAN, json.dumps(plan._asdict()).encode())
            _check_plan(out, found, plan)
            yield found
    except Timeout:
        raise DataError(f"{out}: another process is preparing a corpus there") from None
    except OSError as error:
        raise DataError(
            f"the prepared corpus cannot be written to {out}: {error.strerror or error}"
            f"{room_left(error, out)}; finished shards are kept, and the same command goes on from "
            f"there"
        ) from error


def _read_plan(path: Path) -> Plan:
    try:
        return Plan(**json.loads(path.read_bytes()))
    except (ValueError, TypeError):
        raise DataError(f"{path}: not as it was written; delete the folder, start again") from None


def _check_plan(out: Path, found: Plan, wanted: Plan) -> None:
    """Refuse another plan; the same clips below a renamed folder are the same."""
    pairs = [(n, getattr(found, n), getattr(wanted, n)) for n in Plan._fields if n != "source"]
    shown = ", ".join(
        f"{name} {old!r} instead of {new!r}" for name, old, new in pairs if old != new
    )
    if shown:
        raise DataError(f"{out} holds another corpus ({shown}): give another folder, or delete it")


def _kept_parts(out: Path, source: Source) -> list[Part]:
    """Return the shards of an earlier run that hold, and remove the files of all others."""
    parts: list[Part] = []
    clips = iter(source.clips)
    while part := Part.read(part_path(out, len(parts))):
        path = shard_path(out, len(parts))
        if shard_fault(path, part.n_samples) or _changed(part, clips, path):
            break
        parts.append(part)
    keep = {p for k in range(len(parts)) for p in (shard_path(out, k), part_path(out, k))}
    for path in (*out.glob("shard-*"), *out.glob(f"{TEMPORARY}*")):
        if path not in keep:
            path.unlink()
    return parts


def _changed(part: Part, clips: Iterator[SourceClip], shard: Path) -> bool:
    """Return whether a file of the shard's clips, the next ones, is not the one that was read."""
    known = _by_id(part)
    written = shard.stat().st_mtime_ns
    return any(
        clip is None or clip.id not in known or _is_other(clip, known[clip.id], written)
        for clip in (next(clips, None) for _ in range(part.n_clips))
    )


def _by_id(found: Part | Index) -> dict[str, Entry | Refused]:
    every: list[Entry | Refused] = [*found.entries, *found.refused]
    return {one.id: one for one in every}


def _is_other(clip: SourceClip, known: Entry | Refused, written: int) -> bool:
    """Return whether a clip's file is not the one that was read before ``written`` (in ns).

    A file that is newer but has the same bytes is the same. One that has gone since is not missed.
    """
    try:
        found = clip.path.stat() if clip.path else None
    except OSError:
        found = None
    if found is None or clip.path is None:
        return False
    if found.st_size != known.source_bytes:
        return True
    if found.st_mtime_ns <= written:
        return False
    return not isinstance(known, Entry) or file_digest(clip.path) != known.source_sha256


def _decode_rest(
    out: Path,
    plan: Plan,
    source: Source,
    parts: list[Part],
    limit: float,
    workers: int,
    progress: Progress | None,
) -> None:
    """Write the shards that are not there, in the order of the source."""
    done = sum(part.n_clips for part in parts)
    refused = [one for part in parts for one in part.refused]
    _check_share(refused, limit, plan.n_clips)
    decode = partial(_decode, sample_rate=plan.sample_rate)
    with closing(map_ahead(decode, source.clips[done:], workers=workers)) as ahead:

        def outcomes() -> Iterator[_Outcome]:
            for number, (_, outcome) in enumerate(ahead, start=done + 1):
                if isinstance(outcome, Refused):
                    refused.append(outcome)
                    _check_share(refused, limit, plan.n_clips)
                if progress is not None:
                    progress(number, plan.n_clips, "clips decoded")
                yield outcome

        stream = outcomes()
        while sum(part.n_clips for part in parts) < plan.n_clips:
            part = _write_shard(shard_path(out, len(parts)), len(parts), stream, plan.shard_bytes)
            part.write(part_path(out, len(parts)))
            parts.append(part)


def _decode(clip: SourceClip, *, sample_rate: int) -> _Outcome:
    if clip.path is None:
        return Refused(clip.id, "no file was found", None)
    size = None
    try:
        size = clip.path.stat().st_size
        digest = file_digest(clip.path)
        decoded = load(clip.path, sample_rate=sample_rate)
    except AudioError as error:
        return Refused(clip.id, error.reason, size)
    except OSError as error:
        return Refused(clip.id, f"cannot be read: {error.strerror}", size)
    samples, clipped = quantise(decoded.samples)
    entry = Entry(
        id=clip.id,
        captions=clip.captions,
        shard=0,
        offset=0,
        n_samples=len(samples),
        clipped=clipped,
        sha256=hashlib.sha256(samples.data).hexdigest(),
        source_bytes=size,
        source_sha256=digest,
    )
    return entry, samples


def _write_shard(path: Path, number: int, outcomes: Iterator[_Outcome], shard_bytes: int) -> Part:
    """Write clips until the shard has its size or there are no more."""
    entries: list[Entry] = []
    refused: list[Refused] = []
    offset = 0
    with open_whole(path) as file:
        write_header(file, 0)
        for outcome in outcomes:
            if isinstance(outcome, Refused):
                refused.append(outcome)
                continue
            entry, samples = outcome
            file.write(samples.data)
            entries.append(entry._replace(shard=number, offset=offset))
            offset += len(samples)
            if offset * samples.itemsize >= shard_bytes:
                break
        write_header(file, offset)
    return Part(offset, tuple(entries), tuple(refused))


def _check_share(refused: Sequence[Refused], limit: float, n_clips: int) -> None:
    if len(refused) <= limit:
        return
    shown = "\n".join(f"  {one.id}: {one.reason}" for one in refused[:10])
    more = f"\n  and {len(refused) - 10} more" if len(refused) > 10 else ""
    raise DataError(
        f"{len(refused)} of {n_clips} clips cannot be used so far, more than the allowed share "
        f"({limit / n_clips:.2%}):\n{shown}{more}\n"
        f"fix these files or allow a larger share; finished shards are kept, and the same command "
        f"goes on from there"
    )


def _finish(out: Path, plan: Plan, parts: Sequence[Part]) -> None:
    entries = [entry for part in parts for entry in part.entries]
    refused = [one for part in parts for one in part.refused]
    if not entries:
        raise DataError(f"{plan.source}: none of its {plan.n_clips} clips can be used")
    Index(plan, tuple(part.n_samples for part in parts), entries, refused).write(out / INDEX)


def _check_unchanged(out: Path, index: Index, source: Source) -> None:
    written = (out / INDEX).stat().st_mtime_ns
    known = _by_id(index)
    changed = [clip.id for clip in source.clips if _is_other(clip, known[clip.id], written)]
    if changed:
        raise DataError(
            f"{len(changed)} files of {source.name} changed after {out} was finished "
            f"({first_ten(changed)}): delete that folder and prepare it again"
        )


def _remove(out: Path, patterns: Sequence[str]) -> None:
    for pattern in patterns:
        for path in out.glob(pattern):
            path.unlink()
    sync_folder(out)


def _summary(out: Path, index: Index, decoded: int) -> Prepared:
    return Prepared(
        folder=out,
        sample_rate=index.plan.sample_rate,
        n_clips=len(index.entries),
        n_captions=sum(len(entry.captions) for entry in index.entries),
        seconds=sum(index.shards) / index.plan.sample_rate,
        refused=tuple(index.refused),
        clipped_samples=sum(entry.clipped for entry in index.entries),
        fingerprint=index.fingerprint,
        clips_decoded=decoded,
    )


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
