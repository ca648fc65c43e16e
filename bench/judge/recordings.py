"""The recordings of a folder as excerpts to judge: decoded, told apart, measured, cut.

Each excerpt is an MP3, which every browser plays, of one or two channels. Its loudness is what two
speakers play (EBU R128): a mono recording comes from both, which adds 3 LU.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from earmark.datasets.audio import AudioError, Waveform, as_mp3, decode_ahead
from earmark.datasets.base import DataError, Progress, audio_files, refuse
from earmark.datasets.files.names import UNREAD_SUFFIXES, did_you_mean
from earmark.datasets.files.text_files import as_number, lacking, read_table
from earmark.datasets.loudness import SILENCE_LUFS, loudness
from earmark.datasets.resampling import resampled

LOUDNESS_BY = "earmark.datasets.loudness (ITU-R BS.1770-4, EBU R128)"
SHORTEST_S = 3.0
"""A shorter recording is left out."""
MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_WORKERS = 2

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A recording that is not judged, and why."""

    source: str
    """Path below the folder."""
    reason: str


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording with the excerpt of it that is judged."""

    id: str
    """32 hexadecimal digits of the decoded samples."""
    source: str
    """Path below the folder, with ``/``."""
    start: float
    """Of the excerpt, s."""
    seconds: float
    lufs: float
    peak: float
    mp3: bytes


def scan(
    folder: Path, *, seconds: float, starts: Mapping[str, float], progress: Progress
) -> Iterator[Recording | LeftOut]:
    """Yield each recording at any depth below a folder with its excerpt, or why it is left out.

    Parameters
    ----------
    seconds
        Length of an excerpt; a shorter recording is taken whole.
    starts
        Where the excerpt begins, in s, by path below the folder; of all others it is the middle.

    Raises
    ------
    DataError
        If the folder is none, or holds no audio file.
    """
    paths = audio_files(folder)
    if not folder.is_dir() or not paths:
        why = "holds no audio file at any depth" if folder.is_dir() else "is no folder"
        raise DataError(f"{folder} {why}; give the folder of the songs to judge")
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in UNREAD_SUFFIXES and path.name[0] != "." and path.is_file():
            yield LeftOut(_below(folder, path), f"{path.suffix} is not read; convert it to FLAC")
    first: dict[str, str] = {}
    for number, (path, audio) in enumerate(decode_ahead(paths, sample_rate=None, workers=_WORKERS)):
        progress(number, len(paths), "recordings")
        source = _below(folder, path)
        if isinstance(audio, AudioError):
            yield LeftOut(source, audio.reason)
            continue
        digest = _digest(audio)
        if digest in first:
            yield LeftOut(source, f"the same recording as {first[digest]}")
            continue
        first[digest] = source
        yield _cut(path, source, digest, audio, seconds, starts.get(source))
    progress(len(paths), len(paths), "recordings")


def read_starts(path: Path, sources: Mapping[str, Path]) -> dict[str, float]:
    """Return where excerpts begin, in s, from a CSV of ``file,start``.

    Raises
    ------
    DataError
        If a column is absent, a file is not in the folder, or a start is no time.
    """
    found = {}
    for line, source, row in _rows(path, sources, "start"):
        found[source] = as_number(row["start"])
        if not found[source] >= 0:
            raise DataError(f"{path}:{line}: start is {row['start']!r}, expected seconds from 0 on")
    return found


def read_genres(path: Path, sources: Mapping[str, Path]) -> dict[str, tuple[str, ...]]:
    """Return the genres of recordings from a CSV of ``file,genre``.

    A recording may have several rows, or several genres in one, between semicolons.

    Raises
    ------
    DataError
        If a column is absent, or a file is not in the folder.
    """
    found: dict[str, list[str]] = {}
    for _, source, row in _rows(path, sources, "genre"):
        names = [name.strip() for name in row["genre"].split(";") if name.strip()]
        found.setdefault(source, []).extend(names)
    return {source: tuple(dict.fromkeys(names)) for source, names in found.items()}


def genres_of_folders(sources: Mapping[str, Path]) -> dict[str, tuple[str, ...]]:
    """Return as genre the folder that holds each recording, if it is not the scanned one.

    >>> genres_of_folders({"rock/a.wav": Path(), "b.wav": Path()})
    {'rock/a.wav': ('rock',)}
    """
    return {source: (source.split("/")[-2],) for source in sources if "/" in source}


def sources_of(folder: Path) -> dict[str, Path]:
    """Return the audio files at any depth by their path below the folder."""
    return {_below(folder, path): path for path in audio_files(folder)}


def _rows(
    path: Path, sources: Mapping[str, Path], column: str
) -> Iterator[tuple[int, str, dict[str, str]]]:
    """Yield line, path below the folder, and row; a file may be named by its path, name or stem."""
    header, rows, problems = read_table(path)
    refuse(str(path), problems or lacking(path, header, ("file", column)))
    names: dict[str, list[str]] = {}
    for source in sources:
        name = source.rpartition("/")[2]
        for key in {source, name, name.rpartition(".")[0]}:
            names.setdefault(key, []).append(source)
    for line, row in rows:
        meant = [row["file"]] if row["file"] in sources else names.get(row["file"], [])
        if len(meant) != 1:
            why = "is no audio file of the folder" if not meant else f"may be {' or '.join(meant)}"
            hint = did_you_mean(row["file"], names) if not meant else "; give its path"
            raise DataError(f"{path}:{line}: {row['file']!r} {why}{hint}")
        yield line, meant[0], row


def _below(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _digest(audio: Waveform) -> str:
    content = audio.samples.astype("<f4").tobytes()
    return hashlib.sha256(content + str(audio.sample_rate).encode()).hexdigest()[:32]


def _cut(
    path: Path, source: str, digest: str, audio: Waveform, seconds: float, start: float | None
) -> Recording | LeftOut:
    rate, whole = audio.sample_rate, len(audio.samples) / audio.sample_rate
    if whole < SHORTEST_S:
        return LeftOut(source, f"{whole:.2f} s long, expected {SHORTEST_S:g} s at least")
    if start is not None and start + SHORTEST_S > whole:
        return LeftOut(source, f"{whole:.2f} s long, too short for an excerpt from {start:g} s on")
    length = round(min(seconds, whole) * rate)
    begin = (len(audio.samples) - length) // 2 if start is None else round(start * rate)
    part = _both_channels(path, audio, begin, length)
    lufs = loudness(part if part.shape[1] == 2 else part.repeat(2, axis=1), rate)
    if lufs <= SILENCE_LUFS:
        return LeftOut(
            source, f"silent from {begin / rate:.1f} s to {begin / rate + seconds:.1f} s"
        )
    new_rate = min((each for each in MP3_RATES if each >= rate), default=MP3_RATES[-1])
    played = np.stack(
        [np.concatenate([*resampled([channel], rate, new_rate)]) for channel in part.T], axis=1
    )
    return Recording(
        id=digest,
        source=source,
        start=begin / rate,
        seconds=len(part) / rate,
        lufs=lufs,
        peak=float(np.abs(part).max()),
        mp3=as_mp3(played.squeeze(), new_rate),
    )


def _both_channels(path: Path, audio: Waveform, begin: int, length: int) -> Floats:
    """Return a part of a recording in one or two channels, ``(n_samples, n_channels)``."""
    mono = audio.samples[begin : begin + length]
    if path.suffix.lower() != ".npy":
        with soundfile.SoundFile(path) as file:
            if file.channels == 2 and file.seekable():
                file.seek(begin)
                stereo: Floats = file.read(length, dtype="float32", always_2d=True)
                # A file of joined streams, or one that seeks badly, is played in mono instead.
                if (
                    stereo.shape == (len(mono), 2)
                    and np.abs(stereo.mean(axis=1) - mono).max() < 0.01
                ):
                    return stereo
    return mono[:, np.newaxis]
