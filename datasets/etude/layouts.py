"""Writing the Etude corpus in the layouts of GTZAN, MagnaTagATune, MusAV, emoMusic and MusCALL.

The modules that read each describe it: :mod:`earmark.datasets.gtzan`, ``.magnatagatune``,
``.musav`` and ``captions.manifest``; emoMusic's is ``annotations/{songs_info,
static_annotations}.csv`` and ``clips_45seconds/<id>.mp3``, with a ``dataset.toml`` beside them for
:mod:`earmark.datasets.ratings.folder`. Audio is not stored again: a layout links to the track's
file, or copies it where the file system has no links.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.base import DataError, fingerprint, first_ten
from earmark.datasets.etude.describe import (
    ATTRIBUTES,
    Affect,
    Caption,
    Rating,
    affect,
    as_labels,
    as_vectors,
    attributes,
    caption,
    rate,
    tags,
)
from earmark.datasets.etude.judge import judge, triplets
from earmark.datasets.etude.score import VERSION as MUSIC_VERSION
from earmark.datasets.etude.score import Score
from earmark.datasets.gtzan import GENRE_TEXTS, GENRES, UNREADABLE, fault_filtered
from earmark.datasets.judgements.rules import (
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


TITLE = "Etude (synthetic)"
CITATION = """\
@misc{etude,
  title = {Etude: a corpus of synthesised music that is made again from a seed},
  note = {part of Earmark; synthetic}
}"""

CORPUS_FILE, ATTRIBUTES_FILE = "corpus.json", "attributes.json"
DIGESTS_FILE = "digests.json"


@dataclass(frozen=True, slots=True)
class Corpus:
    """What ``corpus.json`` says of a built corpus."""

    version: str
    seed: int
    seconds: float
    n_tracks: int
    layouts: tuple[str, ...]
    fingerprint: str | None = None
    """Digest of all labels and samples; None while the build is not finished."""


def read_corpus(root: Path | str) -> Corpus:
    """Return what a corpus says of itself.

    Raises
    ------
    DataError
        If the folder holds no Etude corpus, or its ``corpus.json`` is damaged.
    """
    place = Path(root) / CORPUS_FILE
    if not place.is_file():
        raise DataError(
            f"no Etude corpus at {root}: no {CORPUS_FILE}; see `earmark etude build --help`"
        )
    try:
        said = json.loads(place.read_bytes())
        return Corpus(
            version=str(said["version"]),
            seed=int(said["seed"]),
            seconds=float(said["seconds"]),
            n_tracks=int(said["n_tracks"]),
            layouts=known_layouts(said["layouts"]),
            fingerprint=said["fingerprint"],
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{place} is damaged: {error!r}; remove {root}, build it again") from error


def known_layouts(layouts: Iterable[str]) -> tuple[str, ...]:
    """Return names of layouts in their order, each once.

    Raises
    ------
    DataError
        If there is none, or one that is no layout.
    """
    given = set(layouts)
    unknown = sorted(given - set(LAYOUTS))
    if unknown or not given:
        what = f"no layout {', '.join(map(repr, unknown))}" if unknown else "no layout given"
        raise DataError(f"Etude: {what}; expected one or several of {', '.join(LAYOUTS)}")
    return tuple(name for name in LAYOUTS if name in given)


def marker(corpus: Corpus) -> Mapping[str, object]:
    """Return what :func:`earmark.datasets.base.with_origin` reads."""
    asked = f"--tracks {corpus.n_tracks} --seconds {corpus.seconds:g} --seed {corpus.seed}"
    return {
        "title": TITLE,
        "version": f"{corpus.version}, seed {corpus.seed}, {corpus.n_tracks} tracks",
        "licence": "none needed: made by a program, without anybody's recordings",
        "citation": CITATION,
        "source": f"earmark etude build OUT {asked}",
        "synthetic": True,
        "notes": [
            f"{corpus.n_tracks} tracks of {corpus.seconds:g} s, composed, played and labelled by a "
            f"program: no person made or judged them"
        ],
    }


def described(corpus: Corpus) -> Mapping[str, object]:
    """Return the content of ``corpus.json``."""
    splits = Counter(split_of(number) for number in range(corpus.n_tracks))
    return {
        "title": TITLE,
        **asdict(corpus),
        "complete": corpus.fingerprint is not None,
        "splits": {split: splits[split] for split in SPLITS},
    }


def attributes_of(tracks: Sequence[Track]) -> Mapping[str, object]:
    """Return the content of ``attributes.json``, which :mod:`.loading` reads."""
    rows = [
        {
            "id": str(track.id),
            "gtzan": gtzan_name(track.number),
            "musav": musav_id(track.number),
            "split": track.split,
            "attributes": track.attributes,
            "caption": track.caption.text,
            "mentions": track.caption.mentions,
            "arousal": round(track.truth.arousal, 6),
            "valence": round(track.truth.valence, 6),
        }
        for track in tracks
    ]
    return {"version": VERSION, "attributes": ATTRIBUTES, "tracks": rows}


def digest_of(corpus: Corpus, files: Mapping[Track, str]) -> str:
    """Return the fingerprint of a corpus, given its tracks with the digests of their audio.

    Layouts are not in it: they are other names for the same.
    """
    head = f"{corpus.version} {corpus.seed} {corpus.seconds!r} {corpus.n_tracks}"
    rows = (f"{file} {json.dumps(asdict(track), sort_keys=True)}" for track, file in files.items())
    return fingerprint((head, *rows))


def read_digests(root: Path) -> Mapping[str, str]:
    """Return the sha256 of each file in ``tracks/`` by its name; nothing of an unfinished corpus.

    Raises
    ------
    DataError
        If the file that holds them is damaged.
    """
    place = root / DIGESTS_FILE
    if not place.is_file():
        return {}
    try:
        said = json.loads(place.read_bytes())
        return {str(name): str(digest) for name, digest in said.items()}
    except (ValueError, AttributeError, RecursionError) as error:
        raise DataError(f"{place} is damaged: {error!r}; remove it and build again") from error


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write a JSON file that has its name only once it is whole."""
    write_whole(path, f"{json.dumps(content, indent=1)}\n".encode())


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that has its name only once it is whole."""
    hidden = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        hidden.write_bytes(content)
        hidden.replace(path)
    except BaseException:
        hidden.unlink(missing_ok=True)
        raise


LABELS_VERSION = "1"
"""Of attributes, tags, captions, ratings, judgements, splits and names."""

VERSION = f"{MUSIC_VERSION}.{LABELS_VERSION}"
"""Of the corpus: the same seed, length and version give the same bytes."""

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

_CYCLE: tuple[Split, ...] = (
    *("train", "test", "val", "train", "train", "train", "train", "train"),
    *("test", "train", "train", "train", "train", "train", "train"),
)
MIN_TRACKS = 3 * len(GENRES)
"""With fewer, a split would be empty."""

_FIRST_ID = 100_000
"""Above the three clip ids of MagnaTagATune that are known to hold no audio."""

_GTZAN_PARTITIONS: Mapping[str, str] = MappingProxyType(
    {"train": "train", "valid": "val", "test": "test"}
)
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Track:
    """What is known of a track without listening."""

    number: int
    genre: str
    split: Split
    loudness: float
    """LUFS."""
    attributes: tuple[str, ...]
    tags: tuple[str, ...]
    caption: Caption
    truth: Affect
    arousal: Rating
    valence: Rating

    @property
    def id(self) -> int:
        """In all layouts whose ids are numbers."""
        return track_id(self.number)


def label(score: Score) -> Track:
    """Return the track of a score with all its labels."""
    number, seed = score.number, score.seed
    true, felt = attributes(score), affect(score)
    arousal, valence = rate(felt, seed=seed, number=number)
    return Track(
        number=number,
        genre=score.genre,
        split=split_of(number),
        loudness=score.loudness,
        attributes=true,
        tags=tags(true),
        caption=caption(true, seed=seed, number=number),
        truth=felt,
        arousal=arousal,
        valence=valence,
    )


def split_of(number: int) -> Split:
    """Return the split of a track.

    >>> [split_of(number) for number in (0, 10, 20, 30)]
    ['train', 'test', 'val', 'train']
    """
    return _CYCLE[number // len(GENRES) % len(_CYCLE)]


def track_id(number: int) -> int:
    """Return the id of a track in the layouts whose ids are numbers."""
    return _FIRST_ID + number


def gtzan_name(number: int) -> str:
    """Return a track's name in GTZAN's layout, ``<genre>.NNNNN``.

    The fault-filtered lists of GTZAN hold 443 numbers for training, 197 for validation and 290 for
    testing. The first tracks of each split get these, so that the loader's partitions are the
    corpus's splits; what is left over gets a number from 1000, which is in no list.
    """
    genre, place = GENRES[number % len(GENRES)], number // len(GENRES)
    split = split_of(number)
    cycles, rest = divmod(place, len(_CYCLE))
    before = cycles * _CYCLE.count(split) + _CYCLE[:rest].count(split)
    listed = _gtzan_numbers()[genre, split]
    return f"{genre}.{listed[before] if before < len(listed) else 1000 + place:05d}"


def mtat_path(number: int, seconds: float) -> str:
    """Return a track's path in MagnaTagATune's layout, whose first character is its partition."""
    folders = {"train": "0123456789ab", "val": "c", "test": "def"}[split_of(number)]
    folder = folders[number // len(GENRES) % len(folders)]
    return f"{folder}/etude-{number:05d}-0-{seconds:.0f}.mp3"


def musav_id(number: int) -> str:
    """Return a track's song id in MusAV's layout: 22 letters and digits, as Spotify's are."""
    digest = int.from_bytes(hashlib.sha256(f"etude {number}".encode()).digest(), "big")
    letters = []
    for _ in range(22):
        digest, rest = divmod(digest, len(_BASE62))
        letters.append(_BASE62[rest])
    return "".join(letters)


@cache
def _gtzan_numbers() -> Mapping[tuple[str, str], tuple[int, ...]]:
    """Return the listed numbers of each genre and split, ascending."""
    numbers: dict[tuple[str, str], list[int]] = {}
    for name, partition in sorted(fault_filtered().items()):
        genre, _, digits = name.partition(".")
        if name not in UNREADABLE:
            numbers.setdefault((genre, _GTZAN_PARTITIONS[partition]), []).append(int(digits))
    return MappingProxyType({key: tuple(found) for key, found in numbers.items()})


@dataclass(frozen=True, slots=True)
class Oracle:
    """True attributes of clips and of their captions, one caption a clip, in one order."""

    attributes: tuple[str, ...]
    clip_ids: tuple[str, ...]
    """As the loaders of the manifests, of MagnaTagATune and of emoMusic name them."""
    captions: tuple[str, ...]
    clip_attributes: NDArray[np.uint8]
    """Shape ``(n_clips, n_attributes)``: 1 where the clip has the attribute, else 0."""
    caption_attributes: NDArray[np.uint8]
    """Shape ``(n_clips, n_attributes)``: 1 where the clip's caption mentions it, else 0."""

    def scores(self) -> NDArray[np.float64]:
        """Return the share of each caption's attributes that each clip has.

        Shape ``(n_captions, n_clips)``, in [0, 1]; 1 on the diagonal.
        """
        mentioned = self.caption_attributes.astype(np.float64)
        had: NDArray[np.float64] = mentioned @ self.clip_attributes.T.astype(np.float64)
        had /= mentioned.sum(axis=1, keepdims=True)
        return had

    def ordered(self, clip_ids: Sequence[str]) -> Oracle:
        """Return the oracle of some of the clips, in the order given.

        Raises
        ------
        DataError
            If an id is not one of its clips.
        """
        place = {name: i for i, name in enumerate(self.clip_ids)}
        unknown = [name for name in clip_ids if name not in place]
        if unknown:
            raise DataError(f"the oracle has no clip {first_ten(unknown)}: of another split?")
        rows = np.array([place[name] for name in clip_ids], np.int64)
        return Oracle(
            self.attributes,
            tuple(clip_ids),
            tuple(self.captions[row] for row in rows.tolist()),
            self.clip_attributes[rows],
            self.caption_attributes[rows],
        )


def oracle(root: Path | str, *, split: str) -> Oracle:
    """Return the oracle of a split of a built corpus, ordered by clip id.

    Raises
    ------
    DataError
        If the split is unknown, the folder holds no finished corpus, or its file is damaged.
    """
    if split not in SPLITS:
        raise DataError(f"Etude has no split {split!r}; expected one of {', '.join(SPLITS)}")
    if read_corpus(root).fingerprint is None:
        raise DataError(f"the Etude corpus in {root} is not finished: build it again to its end")
    place = Path(root) / ATTRIBUTES_FILE
    try:
        said: dict[str, Any] = json.loads(place.read_bytes())
        rows = sorted((r for r in said["tracks"] if r["split"] == split), key=lambda r: r["id"])
        return Oracle(
            attributes=tuple(said["attributes"]),
            clip_ids=tuple(row["id"] for row in rows),
            captions=tuple(row["caption"] for row in rows),
            clip_attributes=as_vectors([row["attributes"] for row in rows]),
            caption_attributes=as_vectors([row["mentions"] for row in rows]),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{place} is damaged: {error!r}; build the corpus again") from error
