"""MagnaTagATune: 25,863 clips of 29 seconds with 188 tags from a game of two listeners.

Layout
------
As published, in one folder::

    annotations_final.csv     tab-separated: clip_id, 188 tags of 0 or 1, mp3_path
    clip_info_final.csv       tab-separated: clip_id, ..., artist, ..., mp3_path (may be absent)
    <mp3_path>                e.g. 0/name-30-59.mp3, here or in mp3/, or where ``audio`` says

Tags are matched by name, never by column: copies of the table differ in the columns' order. None is
merged with its synonyms ("no vocal", "no vocals", "no voice" are three tags).

Splits
------
All divide by the first character of the path: folders ``0`` to ``b`` are ``train``, ``c`` is
``valid``, ``d`` to ``f`` are ``test``. Two clips of one track are in one partition, two tracks of
one artist may be in two. A score says nothing without its split's name: the same model has another
PR-AUC on the two.

``pons2017``
    18,706 / 1,825 / 5,329 clips, also those without a tag [2]_.
``won2020``
    15,247 / 1,529 / 4,332 clips: those with at least one of the 50 tags [3]_.

Three clips (35644, 55753, 57881) hold no audio in the published archive. They are left out of both
splits, as in the published counts.

References
----------
.. [1] E. Law, K. West, M. Mandel, M. Bay, J. S. Downie, "Evaluation of algorithms using games: the
       case of music tagging", ISMIR 2009.
.. [2] J. Pons, O. Nieto, M. Prockup, E. Schmidt, A. Ehmann, X. Serra, "End-to-end learning for
       music audio tagging at scale", ISMIR 2018 (arXiv:1711.02520).
.. [3] M. Won, A. Ferraro, D. Bogdanov, X. Serra, "Evaluation of CNN-based automatic music tagging
       models", SMC 2020 (arXiv:2006.00751).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.base import (
    Clip,
    DataError,
    DatasetCard,
    Problem,
    Tagged,
    check_choice,
    fingerprint,
    first_ten,
    refuse,
    with_origin,
)
from earmark.datasets.files.names import shown, why_absent
from earmark.datasets.files.text_files import (
    UnreadableError,
    csv_rows,
    header_hint,
    is_whole_number,
    lacking,
    read_rows,
    read_text,
    repeated,
    rows_of,
    with_line_feeds,
)

Split = Literal["pons2017", "won2020"]
Partition = Literal["train", "valid", "test"]
Tags = Literal["top50", "all"]
Missing = Literal["error", "drop", "keep"]

TOP_50 = (
    *("guitar", "classical", "slow", "techno", "strings", "drums", "electronic", "rock", "fast"),
    *("piano", "ambient", "beat", "violin", "vocal", "synth", "female", "indian", "opera", "male"),
    *("singing", "vocals", "no vocals", "harpsichord", "loud", "quiet", "flute", "woman"),
    *("male vocal", "no vocal", "pop", "soft", "sitar", "solo", "man", "classic", "choir"),
    *("voice", "new age", "dance", "male voice", "female vocal", "beats", "harp", "cello"),
    *("no voice", "weird", "country", "metal", "female voice", "choral"),
)
"""The 50 most frequent tags, by count: the order of class indices in published code."""

CORRUPT = ("35644", "55753", "57881")
"""Clip ids whose files in the published archive hold no audio."""

N_ANNOTATED = 25_863

_SEGMENT = re.compile(r"-\d+-\d+\.mp3$")

_CITATION = """\
@inproceedings{law2009evaluation,
  author = {Law, Edith and West, Kris and Mandel, Michael and Bay, Mert and Downie, J. Stephen},
  title = {Evaluation of algorithms using games: the case of music tagging},
  booktitle = {Proceedings of the 10th International Society for Music Information Retrieval
               Conference},
  pages = {387--392},
  year = {2009}
}"""


@dataclass(frozen=True)
class _Selection:
    """Rows of the table that a split asks for, with what they become."""

    rows: NDArray[np.int64]
    partitions: tuple[Partition, ...]


def load(
    root: Path | str,
    *,
    split: Split,
    partition: Partition | None = None,
    tags: Tags = "top50",
    audio: Path | str | None = None,
    missing: Missing = "error",
) -> Tagged:
    """Open the clips of a split; nothing is decoded. They are sorted by clip id.

    A clip's ``unit`` is its artist where ``clip_info_final.csv`` gives one, else its track.

    Parameters
    ----------
    split
        Has no default: every score must name it.
    partition
        None takes all three.
    tags
        ``top50`` in the order of :data:`TOP_50`, or ``all`` 188 in alphabetical order.
    audio
        The folder that holds ``0/`` to ``f/``; relative to ``root``. Default: ``mp3/`` if there is
        one, else ``root``.
    missing
        What to do about clips without a file: ``error``; ``drop`` them; or ``keep`` them with the
        path None, where only tags are wanted. The card says how many there are.

    Raises
    ------
    DataError
        If an option is unknown, a table is absent, or :func:`validate` finds a problem.
    """
    _check_options(split, partition, tags, missing)
    root = Path(root)
    table, problems = read_annotations(root / "annotations_final.csv")
    if not problems:
        problems += _lacking_tags(root, table)
    refuse(f"MagnaTagATune at {root}", problems)
    artists, problems = read_artists(root / "clip_info_final.csv")
    chosen = _select(table, split, partition)
    folder = _audio_folder(root, audio)
    there = _files_there(folder)
    paths = [table.paths[row] for row in chosen.rows]
    absent = [path for path in paths if path not in there]
    if absent and missing == "error":
        problems.append(_absence(folder, absent, len(paths)))
    if absent and missing == "drop":
        chosen = _drop(chosen, [path in there for path in paths])
        if not len(chosen.rows):
            problems.append(Problem(folder, f"none of the {len(paths)} clips of {split} is there"))
    if not len(paths):
        problems.append(Problem(root, f"no clip of {split}/{partition or 'all'} is annotated"))
    refuse(f"MagnaTagATune at {root}", problems)
    names = TOP_50 if tags == "top50" else tuple(sorted(table.tags))
    notes = _notes(table, artists, len(absent), len(paths), missing)
    name = _name(split, partition)
    found = _assemble(table, chosen, artists, names, name, folder, there, notes)
    return replace(found, card=with_origin(found.card, root, of_original=_shortfall(table)))


def validate(root: Path | str, *, audio: Path | str | None = None) -> list[Problem]:
    """Return all that is wrong with the tables, and how many of their clips have no file."""
    root = Path(root)
    table, problems = read_annotations(root / "annotations_final.csv")
    if problems:
        return problems
    problems = _lacking_tags(root, table) + read_artists(root / "clip_info_final.csv")[1]
    folder = _audio_folder(root, audio)
    there = _files_there(folder)
    paths = [p for i, p in zip(table.ids, table.paths, strict=True) if i not in CORRUPT]
    absent = [path for path in paths if path not in there]
    return problems + ([_absence(folder, absent, len(paths))] if absent else [])


def partition_of(path: str) -> Partition:
    """Return the partition that a clip's path is in, by its first character.

    >>> [partition_of(f"{c}/a-0-29.mp3") for c in "0bcdf"]
    ['train', 'train', 'valid', 'test', 'test']

    Raises
    ------
    DataError
        If the path starts with another character than 0 to 9 or a to f.
    """
    first = path[:1]
    if first == "" or first not in "0123456789abcdef":
        raise DataError(f"MagnaTagATune's paths start with 0 to 9 or a to f, got {path!r}")
    return "train" if first <= "b" else "valid" if first == "c" else "test"


def _check_options(split: str, partition: str | None, tags: str, missing: str) -> None:
    for option, value, allowed in (
        ("split", split, get_args(Split)),
        ("partition", partition, (*get_args(Partition), None)),
        ("tags", tags, get_args(Tags)),
        ("missing", missing, get_args(Missing)),
    ):
        check_choice("MagnaTagATune", option, value, allowed)


def _lacking_tags(root: Path, table: Table) -> list[Problem]:
    lacking = [tag for tag in TOP_50 if tag not in table.tags]
    if not lacking:
        return []
    message = f"lacks the column of {len(lacking)} of the 50 tags: {first_ten(lacking)}"
    return [Problem(root / "annotations_final.csv", message, 1)]


def _columns(table: Table, names: Sequence[str]) -> NDArray[np.int64]:
    return np.array([table.tags.index(name) for name in names], np.int64)


def _select(table: Table, split: Split, partition: Partition | None) -> _Selection:
    tagged = table.labels[:, _columns(table, TOP_50)].sum(axis=1) > 0
    rows = [
        row
        for row in np.argsort(np.array(table.ids, np.int64), kind="stable").tolist()
        if table.ids[row] not in CORRUPT
        and (partition is None or partition_of(table.paths[row]) == partition)
        and (split == "pons2017" or tagged[row])
    ]
    partitions = tuple(partition_of(table.paths[row]) for row in rows)
    return _Selection(np.array(rows, np.int64), partitions)


def _drop(chosen: _Selection, keep: Sequence[bool]) -> _Selection:
    kept = tuple(p for p, stays in zip(chosen.partitions, keep, strict=True) if stays)
    return _Selection(chosen.rows[np.array(keep, bool)], kept)


def _audio_folder(root: Path, audio: Path | str | None) -> Path:
    if audio is not None:
        return root / audio
    return root / "mp3" if (root / "mp3").is_dir() else root


def _files_there(folder: Path) -> frozenset[str]:
    """Return the paths below the sixteen folders; listing them beats 25,863 look-ups."""
    folders = [folder / first for first in "0123456789abcdef"]
    return frozenset(
        f"{one.name}/{file.name}" for one in folders if one.is_dir() for file in one.iterdir()
    )


def _absence(folder: Path, absent: Sequence[str], n_clips: int) -> Problem:
    message = (
        f"{len(absent)} of {n_clips} clips have no file here: {first_ten(absent)}"
        f"{why_absent(absent[:10], folder)}; point audio at the folder that holds 0/ to f/, or "
        f"give missing='drop' or, for tags alone, 'keep'"
    )
    return Problem(folder, message)


def _assemble(
    table: Table,
    chosen: _Selection,
    artists: Mapping[str, str],
    names: tuple[str, ...],
    split: str,
    folder: Path,
    there: frozenset[str],
    notes: Sequence[str],
) -> Tagged:
    labels = table.labels[chosen.rows][:, _columns(table, names)]
    clips = []
    for row in chosen.rows.tolist():
        path = table.paths[row]
        unit = artists.get(table.ids[row]) or _SEGMENT.sub("", path)
        clips.append(Clip(table.ids[row], folder / path if path in there else None, unit=unit))
    sizes = Counter(chosen.partitions)
    counts = ", ".join(f"{name} {sizes[name]}" for name in get_args(Partition) if sizes[name])
    unused = [tag for tag, n in zip(names, labels.sum(axis=0), strict=True) if n == 0]
    empty = (f"without a clip in this split: {', '.join(unused)}",) if unused else ()
    return Tagged(
        card=_card((f"split {split}: {counts}", *notes, *empty)),
        clips=tuple(clips),
        tags=names,
        labels=labels,
        split=split,
        partitions=chosen.partitions,
        rule=_rule(split),
        fingerprint=fingerprint(_content(clips, chosen.partitions, names, labels)),
    )


def _content(
    clips: Sequence[Clip],
    partitions: Sequence[str],
    names: Sequence[str],
    labels: NDArray[np.uint8],
) -> Iterator[str]:
    yield "\t".join(names)
    bits = np.packbits(labels, axis=1)
    for clip, partition, row in zip(clips, partitions, bits, strict=True):
        yield f"{clip.id}\t{partition}\t{clip.unit}\t{row.tobytes().hex()}"


def _name(split: Split, partition: Partition | None) -> str:
    return f"{split}/{partition or 'all'}"


def _rule(split: str) -> str:
    which = "with at least one of the 50 tags" if split.startswith("won2020") else "tagged or not"
    return (
        f"partition by the path's first character (0-b, c, d-f); clips {which}; without the three "
        f"corrupt ones; resampled by artist"
    )


def _notes(
    table: Table, artists: Mapping[str, str], n_absent: int, n_clips: int, missing: Missing
) -> list[str]:
    corrupt = [name for name in table.ids if name in CORRUPT]
    notes = (
        [f"left out, the published files hold no audio: {', '.join(corrupt)}"] if corrupt else []
    )
    notes += _shortfall(table)
    if n_absent:
        done = "left out" if missing == "drop" else "kept without audio"
        notes.append(f"{n_absent} of {n_clips} clips have no file: {done}")
    unknown = sum(not artists.get(name) for name in table.ids)
    if unknown:
        notes.append(f"{unknown} clips have no known artist and are resampled by track")
    return notes


def _shortfall(table: Table) -> list[str]:
    if len(table.ids) == N_ANNOTATED:
        return []
    return [f"the table has {len(table.ids)} of the {N_ANNOTATED} annotated clips"]


def _card(notes: tuple[str, ...]) -> DatasetCard:
    return DatasetCard(
        id="magnatagatune",
        title="MagnaTagATune",
        version="annotations_final",
        licence="audio CC BY-NC-SA 1.0 (Magnatune); annotations: none stated, research use",
        citation=_CITATION,
        source="https://mirg.city.ac.uk/codeapps/the-magnatagatune-dataset",
        notes=notes,
    )


_PATH = re.compile(r"[0-9a-f]/[^/\\]+\.mp3")


@dataclass(frozen=True)
class Table:
    """``annotations_final.csv`` in the file's order of rows and columns."""

    ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    labels: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))
    """Shape ``(n_clips, n_tags)``."""
    paths: tuple[str, ...] = ()


def read_annotations(path: Path) -> tuple[Table, list[Problem]]:
    """Return the table of tags and all that is wrong with it; the table is empty if anything is."""
    text, problems = _text(path)
    if problems:
        return Table(), problems
    first = text.partition("\n")[0]
    try:
        rows = csv_rows(first, delimiter="\t")
    except UnreadableError:  # quoted, but not separated by tabs
        rows = [(1, first.split("\t"))]
    header = [name.strip() for name in rows[0][1]] if rows else []
    problem = _wrong_header(path, header)
    if problem:
        return Table(), [problem]
    table = _read_plain(text, header)
    if table is None:
        table, problems = _read_any(path, text)
    problems += _wrong_rows(path, table)
    return (Table() if problems else table), problems


def read_artists(path: Path) -> tuple[dict[str, str], list[Problem]]:
    """Return the artist of each clip id; none where the file is absent."""
    if not path.is_file():
        return {}, []
    header, rows, problems = read_rows(path, delimiter="\t")
    if header:
        problems += lacking(path, header, ("clip_id", "artist"))
    if problems:
        return {}, problems
    id_column, artist_column = header.index("clip_id"), header.index("artist")
    return {row[id_column]: row[artist_column] for _, row in rows}, []


def _text(path: Path) -> tuple[str, list[Problem]]:
    if not path.is_file():
        return "", [Problem(path, "no such file; expected MagnaTagATune's own, tab-separated")]
    try:
        return with_line_feeds(read_text(path)), []
    except UnreadableError as error:
        return "", [error.of(path)]


def _wrong_header(path: Path, header: Sequence[str]) -> Problem | None:
    for name in ("clip_id", "mp3_path"):
        if name not in header:
            found = ", ".join(shown(one[:60]) for one in header[:5])
            hint = header_hint(header, [name])
            return Problem(path, f"has no tab-separated column {name}, found {found}, ...{hint}", 1)
    return next(iter(repeated(path, header)), None)


def _read_plain(text: str, header: Sequence[str]) -> Table | None:
    """Read the published form: the block of 0 and 1 as bytes, instead of 4.9 million fields.

    None where the file is of another form, quoted in part, or has a value that is neither: then
    :func:`_read_any` reads it and says what is wrong.
    """
    n_tags = len(header) - 2
    if header[0] != "clip_id" or header[-1] != "mp3_path" or n_tags < 1:
        return None
    lines = text.removesuffix("\n").split("\n")[1:]
    if not lines or "\r" in text:
        return None
    quote = '"' if lines[0][:1] == '"' else ""
    between = f"{quote}\t{quote}"
    # A field is its digit and what stands between two fields.
    width = n_tags * (1 + len(between))
    ids, paths, blocks = [], [], []
    for line in lines:
        start = line.find("\t") + 1 + len(quote)
        end = start + width
        name, block = line[len(quote) : start - len(between)], line[start:end]
        place = line[end : len(line) - len(quote)]
        if line != f"{quote}{name}{between}{block}{place}{quote}" or len(block) != width:
            return None
        ids.append(name)
        paths.append(place)
        blocks.append(block)
    joined = "".join(blocks)
    if not joined.isascii():
        return None
    cells = np.frombuffer(joined.encode(), np.uint8).reshape(len(lines), n_tags, -1)
    labels = cells[:, :, 0] - ord("0")
    plain = (labels <= 1).all() and (cells[:, :, 1:] == list(between.encode())).all()
    odd = re.compile(r'[\t"]|^\s|\s$')
    if not plain or any(map(odd.search, (*ids, *paths))):
        return None
    return Table(tuple(ids), tuple(header[1:-1]), np.ascontiguousarray(labels), tuple(paths))


def _read_any(path: Path, text: str) -> tuple[Table, list[Problem]]:
    header, rows, problems = rows_of(path, text, delimiter="\t")
    if not header:
        return Table(), problems
    id_column, path_column = header.index("clip_id"), header.index("mp3_path")
    columns = [i for i in range(len(header)) if i not in (id_column, path_column)]
    ids, paths, labels = [], [], []
    for line, row in rows:
        wrong = next((i for i in columns if row[i] not in ("0", "1")), None)
        if wrong is not None:
            message = f"{header[wrong]!r} must be 0 or 1, got {row[wrong]!r}"
            problems.append(Problem(path, message, line))
            continue
        ids.append(row[id_column])
        paths.append(row[path_column])
        labels.append([row[i] == "1" for i in columns])
    table = Table(
        tuple(ids),
        tuple(header[i] for i in columns),
        np.array(labels, np.uint8).reshape(len(ids), len(columns)),
        tuple(paths),
    )
    return table, problems


def _wrong_rows(path: Path, table: Table) -> list[Problem]:
    """Return the rows whose id or path is not one, or is there twice."""
    problems = []
    seen: dict[str, int] = {}
    for line, (name, place) in enumerate(zip(table.ids, table.paths, strict=True), start=2):
        if not is_whole_number(name):
            most = " of at most 18 digits" if name.isdigit() else ""
            message = f"clip_id must be a whole number{most}, got {name!r}"
            problems.append(Problem(path, message, line))
        if not _PATH.fullmatch(place):
            message = f"mp3_path must be like 0/name-30-59.mp3 (folders 0 to f), got {place!r}"
            problems.append(Problem(path, message, line))
        for key in (f"clip_id {name}", f"mp3_path {place}"):
            if key in seen:
                problems.append(Problem(path, f"{key} is there twice, also in {seen[key]}", line))
            seen.setdefault(key, line)
    if not table.ids and not problems:
        problems.append(Problem(path, "has a header and no rows"))
    return problems
