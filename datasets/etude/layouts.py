"""Writing the Etude corpus in the layouts of GTZAN, MagnaTagATune, MusAV, emoMusic and MusCALL.

The modules that read each describe it: :mod:`earmark.datasets.gtzan`, ``.magnatagatune``,
``.musav`` and ``.captions_manifest``; emoMusic's is ``annotations/{songs_info,
static_annotations}.csv`` and ``clips_45seconds/<id>.mp3``, with a ``dataset.toml`` beside them for
:mod:`earmark.datasets.ratings.folder`. Audio is not stored again: a layout links to the track's
file, or copies it where the file system has no links.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from earmark.datasets.etude.corpus import SPLITS, Track, gtzan_name, mtat_path, musav_id
from earmark.datasets.etude.judge import judge, triplets
from earmark.datasets.etude.tags import as_labels
from earmark.datasets.gtzan import GENRE_TEXTS
from earmark.datasets.judgements.musav_rules import (
    DIMENSIONS,
    SUBSETS,
    Judgement,
    Pair,
    Triplet,
    derive_pairs,
    select,
)
from earmark.datasets.magnatagatune import TOP_50


@dataclass(frozen=True, slots=True)
class Source:
    """What a layout is written from."""

    tracks: Sequence[Track]
    seed: int
    seconds: float
    wav: Callable[[int], Path]
    """The file of a track, by its number."""
    mp3: Callable[[int], Path]


def write_gtzan(folder: Path, source: Source) -> None:
    """Write ``genres/<genre>/<genre>.NNNNN.wav``."""
    for track in source.tracks:
        target = folder / "genres" / track.genre / f"{gtzan_name(track.number)}.wav"
        link(source.wav(track.number), target)


def write_mtat(folder: Path, source: Source) -> None:
    """Write ``annotations_final.csv``, ``clip_info_final.csv`` and ``mp3/``; a track an artist."""
    labels = as_labels([track.tags for track in source.tracks])
    paths = [mtat_path(track.number, source.seconds) for track in source.tracks]
    rows = [
        [track.id, *row, path]
        for track, row, path in zip(source.tracks, labels.tolist(), paths, strict=True)
    ]
    _write_table(folder / "annotations_final.csv", ["clip_id", *TOP_50, "mp3_path"], rows, "\t")
    header = ["clip_id", "track_number", "title", "artist", "album", "url", "segmentStart"]
    header += ["segmentEnd", "original_url", "mp3_path"]
    rows = [
        [
            track.id,
            1,
            _title(track),
            _artist(track),
            "Etude",
            "",
            0,
            f"{source.seconds:g}",
            "",
            path,
        ]
        for track, path in zip(source.tracks, paths, strict=True)
    ]
    _write_table(folder / "clip_info_final.csv", header, rows, "\t")
    for track, path in zip(source.tracks, paths, strict=True):
        link(source.mp3(track.number), folder / "mp3" / path)


def write_emomusic(folder: Path, source: Source) -> None:
    """Write the static annotations, the song list and the clips."""
    annotations = folder / "annotations"
    header = ["song_id", "file_name", "Artist", "Song title", "start of the segment (min.sec)"]
    header += ["end of the segment (min.sec)", "Genre", "Mediaeval 2013 set"]
    end = f"{int(source.seconds) // 60}.{int(source.seconds) % 60:02d}"
    rows: list[list[object]] = [
        [track.id, f"{track.id}.mp3", _artist(track), _title(track), "0.00", end, track.genre, part]
        for track in source.tracks
        for part in ["evaluation" if track.split == "test" else "development"]
    ]
    _write_table(annotations / "songs_info.csv", header, rows, ",")
    header = ["song_id", "mean_arousal", "std_arousal", "mean_valence", "std_valence"]
    rows = [
        [track.id, *(f"{x:.5g}" for r in (track.arousal, track.valence) for x in (r.mean, r.sd))]
        for track in source.tracks
    ]
    _write_table(annotations / "static_annotations.csv", header, rows, ",")
    described = {
        "ratings": "annotations/static_annotations.csv",
        "audio": "clips_45seconds",
        "id_column": "song_id",
        "arousal_column": "mean_arousal",
        "valence_column": "mean_valence",
    }
    lines = ["synthetic = true", "scale = [1, 9]", *(f'{k} = "{v}"' for k, v in described.items())]
    _write_lines(folder / "dataset.toml", ['id = "emomusic"', *lines])
    for track in source.tracks:
        link(source.mp3(track.number), folder / "clips_45seconds" / f"{track.id}.mp3")


def write_captions(folder: Path, source: Source) -> None:
    """Write ``dataset_{train,val,test}.json`` and ``audio/<id>.wav``."""
    for split in SPLITS:
        tracks = [track for track in source.tracks if track.split == split]
        items = [
            {"audio_id": t.id, "caption": t.caption.text, "audio_path": f"{t.id}.wav"}
            for t in tracks
        ]
        text = json.dumps(items, indent=1, ensure_ascii=False)
        _write_lines(folder / f"dataset_{split}.json", [text])
        for track in tracks:
            link(source.wav(track.number), folder / "audio" / f"{track.id}.wav")


def write_musav(folder: Path, source: Source) -> None:
    """Write the test tracks in triplets, with raw judgements and all that is derived of them.

    ``ismir2022-muse.songids`` lists the tracks of the other splits: those on which a model may have
    been trained.
    """
    data = folder / "data"
    tested = {musav_id(t.number): t for t in source.tracks if t.split == "test"}
    groups = triplets({s: GENRE_TEXTS[t.genre] for s, t in tested.items()}, seed=source.seed)
    songs = {song: tested[song] for group in groups for song in group.songs}
    rows = [
        {"tripletid": group.id, "songids": group.songs, "triplet_type": group.type}
        for group in groups
    ]
    _write_rows(data / "triplets.jsonl", rows)
    rows = [{"id": s, "genres": [GENRE_TEXTS[t.genre]]} for s, t in sorted(songs.items())]
    _write_rows(data / "genres.jsonl", rows)
    loudness = [f"{song} {track.loudness:.8f}" for song, track in sorted(songs.items())]
    _write_lines(data / "audio.ebur128", loudness)
    _write_lines(data / "audio.songids", sorted(songs))
    trained = {musav_id(t.number) for t in source.tracks if t.split != "test"}
    muse = data / "annotations" / "ismir2022" / "ismir2022-muse.songids"
    _write_lines(muse, sorted(trained))
    for dimension in DIMENSIONS:
        truth = {song: track.truth for song, track in songs.items()}
        said = judge(groups, truth, dimension, seed=source.seed)
        _write_judgements(data / "annotations", dimension, said, groups, trained)
    for song, track in songs.items():
        link(source.mp3(track.number), data / "audio_chunks" / song[:2] / f"{song}.mp3")


LAYOUTS: Mapping[str, Callable[[Path, Source], None]] = MappingProxyType(
    {
        "captions": write_captions,
        "gtzan": write_gtzan,
        "mtat": write_mtat,
        "musav": write_musav,
        "emomusic": write_emomusic,
    }
)
"""By name, which is also that of the folder."""


def needs_mp3(layouts: Iterable[str], split: str) -> bool:
    """Return whether a track of a split is in a layout that demands MP3."""
    wanted = set(layouts)
    return bool(wanted & {"mtat", "emomusic"}) or ("musav" in wanted and split == "test")


def link(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system cannot."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _title(track: Track) -> str:
    return f"Etude {track.number}"


def _artist(track: Track) -> str:
    """Return an artist for each track, since tracks are independent of each other."""
    return f"etude {track.number:05d}"


def _write_judgements(
    folder: Path,
    dimension: str,
    said: Sequence[Judgement],
    groups: Sequence[Triplet],
    trained: set[str],
) -> None:
    name = f"annotations.{dimension}.all"
    rows: list[Mapping[str, object]] = [
        {
            "tripletid": j.triplet,
            "songid_a": j.song_a,
            "songid_b": j.song_b,
            "annotator": j.annotator,
            "type": j.dimension,
            "higher_value": j.higher_value,
        }
        for j in said
    ]
    _write_rows(folder / name, rows)
    pairs = derive_pairs(said, {group.id: group for group in groups})
    rows = [_pair(pair) for pair in pairs]
    _write_rows(folder / f"{name}.agreement", rows)
    for subset in SUBSETS:
        release, _, conditions = subset.rpartition("gt")
        chosen = select(pairs, subset, muse=trained)
        target = folder / release.rstrip(".") / f"{name}.agreement.gt{conditions}"
        rows = [{**_pair(pair), "triplet_consistency": pair.consistency} for pair in chosen]
        _write_rows(target, rows)
        if not conditions:
            songs = sorted({song for pair in chosen for song in (pair.song_a, pair.song_b)})
            _write_lines(target.with_name(f"{target.name}.songids"), songs)


def _pair(pair: Pair) -> dict[str, object]:
    return {
        "tripletid": pair.triplet,
        "triplet_type": pair.triplet_type,
        "pairid": pair.id,
        "agreement": pair.agreement,
        "higher_value": pair.higher_value,
    }


def _write_table(
    path: Path, header: Sequence[str], rows: Iterable[Sequence[object]], delimiter: str
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # MagnaTagATune's tables are tab-separated, and every field is in quotes.
    quoting: Literal[0, 1] = csv.QUOTE_ALL if delimiter == "\t" else csv.QUOTE_MINIMAL
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _write_rows(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    _write_lines(path, [json.dumps(row, ensure_ascii=False) for row in rows])


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
