"""What an Etude corpus says of itself: ``corpus.json``, ``attributes.json`` and the markers."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from earmark.datasets.base import DataError, fingerprint
from earmark.datasets.etude.attributes import ATTRIBUTES
from earmark.datasets.etude.corpus import SPLITS, VERSION, Track, gtzan_name, musav_id, split_of
from earmark.datasets.etude.layouts import LAYOUTS

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
