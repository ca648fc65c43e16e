"""Judgements that were collected elsewhere, and judgements for others.

What is read
------------
``csv``
    ``triplet,a,b,annotator,dimension,higher_value``, as
    :mod:`earmark.datasets.judgements.sheets` describes; ``triplet`` and ``triplet_type`` may lack.
``label-studio``
    The JSON export. A task's data hold ``a`` and ``b`` (id, file name or address of a song) and,
    where known, ``triplet``. A result is of ``Pairwise`` (``selected``: left is a, right is b) or
    of ``Choices`` (one of a, b, ab, not_selected); its ``from_name`` is the dimension.
    ``completed_by`` is the annotator, cancelled annotations are skipped.
``webmushra``
    ``paired_comparison.csv``. The reference is a, the other is b: ``correct`` is a, ``incorrect``
    b, ``undecided`` ab and ``unknown`` not_selected. A page asks one question: the dimension is
    named by the caller. The annotator is the first column that the participant filled in.

A song may be named by its id, or by its file, whose path, name or stem is the plan's.

What is written
---------------
The layout of MusAV with ``judged.toml``, which :mod:`earmark.datasets.judgements.judged` opens.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlparse

from earmark.bench.judge import plan as plans
from earmark.bench.judge.plan import Plan
from earmark.bench.judge.store import open_store
from earmark.datasets.base import DataError, Problem, refuse
from earmark.datasets.files.atomic_files import folder_whole, write_whole
from earmark.datasets.files.text_files import lacking, parse_json, read_table, read_text
from earmark.datasets.judgements import judged, sheets
from earmark.datasets.judgements.judged import ABOUT, TABLE, Asked, JudgedPairs
from earmark.datasets.judgements.rules import LABELS, Judgement, Triplet

COLUMNS: Final = ("triplet", "a", "b", "annotator", "dimension", "higher_value")
WEBMUSHRA: Final = {"correct": "a", "incorrect": "b", "undecided": "ab", "unknown": "not_selected"}


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import added."""

    rows: int
    """Judgements in the file."""
    new: int
    """Of these, not there before."""
    to: Path
    """The database of the study, or the table."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote."""

    judgements: int
    triplets: int
    songs: int
    audio: int
    """Excerpts that were copied."""


# From elsewhere


def import_judgements(
    out: Path | str,
    file: Path | str,
    form: str = "csv",
    *,
    dimension: str | None = None,
) -> Imported:
    """Take judgements from a file into a study, or into a table where there is no plan.

    Importing a file again changes nothing. All are taken, or none.

    Parameters
    ----------
    out
        The folder of a study; one without a plan becomes a set of judged pairs as a table.
    form
        One of ``csv``, ``label-studio``, ``webmushra``.
    dimension
        Of a file that does not say it.

    Raises
    ------
    DataError
        If a row is malformed, names what the plan has not, or contradicts what is there.
    """
    out, file = Path(out), Path(file)
    if form not in FORMS:
        raise DataError(f"no form {form!r} of judgements, expected {', '.join(FORMS)}")
    rows, types = FORMS[form](file, dimension)
    if not rows:
        raise DataError(f"{file}: holds no judgement")
    if not (out / plans.PLAN).exists():
        return _into_table(out / TABLE, rows, types, file)
    plan = plans.read(out)
    named = list(_as_planned(rows, plan, file))
    store = open_store(out)
    try:
        return Imported(len(rows), store.add_imported(named), out / plans.STORE)
    finally:
        store.close()


Found = tuple[list[Judgement], dict[str, str]]
"""Judgements, and the types of triplets that are known."""


def _read_csv(file: Path, dimension: str | None) -> Found:
    header, rows, problems = read_table(file)
    if not problems and "dimension" not in header and dimension is not None:
        rows = [(line, row | {"dimension": dimension}) for line, row in rows]
        header = [*header, "dimension"]
    refuse(str(file), problems or lacking(file, header, COLUMNS[1:]))
    found, types = [], {}
    for line, row in rows:
        judgement = sheets.judgement_of(row)
        if isinstance(judgement, str):
            problems.append(Problem(file, judgement, line))
            continue
        found.append(judgement)
        if row.get("triplet_type"):
            types[row["triplet"]] = row["triplet_type"]
    refuse(str(file), problems)
    return found, types


def _read_label_studio(file: Path, dimension: str | None) -> Found:
    tasks = parse_json(read_text(file))
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise DataError(f"{file}: expected Label Studio's JSON export, a list of tasks")
    found = []
    for task in tasks:
        data, where = task.get("data", {}), f"{file}: task {task.get('id', '?')}"
        if not isinstance(data, dict) or not all(isinstance(data.get(k), str) for k in "ab"):
            raise DataError(f"{where}: expected data with the texts a and b")
        for made in task.get("annotations", []):
            if made.get("was_cancelled"):
                continue
            who = made.get("completed_by")
            who = who.get("email") or who.get("id") if isinstance(who, dict) else who
            if who in (None, ""):
                raise DataError(f"{where}: an annotation without completed_by")
            for result in made.get("result", []):
                found.append(
                    Judgement(
                        str(data.get("triplet", "")),
                        data["a"],
                        data["b"],
                        str(who),
                        dimension or str(result.get("from_name", "")),
                        _choice(result, where),
                    )
                )
    return found, {}


def _choice(result: Mapping[str, Any], where: str) -> str:
    value = result.get("value", {})
    if result.get("type") == "pairwise":
        said = {"left": "a", "right": "b"}.get(value.get("selected"))
    else:
        chosen = value.get("choices")
        said = chosen[0] if isinstance(chosen, list) and len(chosen) == 1 else None
    if said not in LABELS:
        raise DataError(
            f"{where}: result {json.dumps(value)} of {result.get('from_name')!r}, expected "
            f"selected left or right, or one choice of {', '.join(LABELS)}"
        )
    return str(said)


def _read_webmushra(file: Path, dimension: str | None) -> Found:
    header, rows, problems = read_table(file)
    wanted = ("session_test_id", "trial_id", "choice_reference", "choice_non_reference",
              "choice_answer")  # fmt: skip
    refuse(str(file), problems or lacking(file, header, wanted))
    if dimension is None:
        raise DataError(f"{file}: webMUSHRA's results do not say what was asked: --dimension NAME")
    who = header[header.index("session_test_id") + 1 : header.index("trial_id")]
    found = []
    for line, row in rows:
        answer, annotator = row["choice_answer"], next((row[n] for n in who if row[n]), "")
        if answer not in WEBMUSHRA:
            expected = ", ".join(WEBMUSHRA)
            raise DataError(f"{file}:{line}: choice_answer is {answer!r}, expected {expected}")
        if not annotator:
            raise DataError(f"{file}:{line}: no participant between session_test_id and trial_id")
        a, b = row["choice_reference"], row["choice_non_reference"]
        found.append(Judgement("", a, b, annotator, dimension, WEBMUSHRA[answer]))
    return found, {}


FORMS: Final[Mapping[str, Callable[[Path, str | None], Found]]] = {
    "csv": _read_csv,
    "label-studio": _read_label_studio,
    "webmushra": _read_webmushra,
}


def _as_planned(rows: Sequence[Judgement], plan: Plan, file: Path) -> Iterator[Judgement]:
    """Yield judgements with the plan's ids of songs and triplets."""
    ids: dict[str, set[str]] = {}
    for song in plan.songs:
        path = PurePosixPath(song.source)
        for name in {song.id, song.excerpt, song.source, path.name, path.stem}:
            ids.setdefault(name, set()).add(song.id)
    triplet_of = {song: triplet.id for triplet in plan.triplets for song in triplet.songs}

    def id_of(name: str) -> str:
        for each in _forms(name):
            meant = ids.get(each, set())
            if len(meant) == 1:
                return next(iter(meant))
            if meant:
                raise DataError(f"{file}: {name!r} may be any of {len(meant)} songs; give its path")
        raise DataError(f"{file}: {name!r} is no song of the plan, by id, path, name or stem")

    for row in rows:
        a = id_of(row.song_a)
        yield replace(row, triplet=row.triplet or triplet_of.get(a, ""), song_a=a,
                      song_b=id_of(row.song_b))  # fmt: skip


def _forms(name: str) -> Iterator[str]:
    """Yield what a song may be called, from a name or an address."""
    yield name
    address = urlparse(name)
    served = parse_qs(address.query).get("d", [""])[0]  # Label Studio's local files
    path = PurePosixPath(unquote(served or address.path))
    yield path.name
    # Label Studio puts eight hexadecimal digits before the name of an uploaded file.
    head, _, rest = path.name.partition("-")
    bare = rest if rest and len(head) == 8 and all(c in "0123456789abcdef" for c in head) else ""
    for each in (path.stem, bare, PurePosixPath(bare).stem):
        if each:
            yield each


def _into_table(
    path: Path, rows: Sequence[Judgement], types: Mapping[str, str], file: Path
) -> Imported:
    before, known = _read_csv(path, None) if path.exists() else ([], {})
    known |= types
    said = {_key(row): row for row in before}
    new = []
    for row in rows:
        there = said.get(_key(row))
        if there is None:
            said[_key(row)] = row
            new.append(row)
            continue
        if there.song_a != row.song_a:
            there = sheets.swapped(there)
        if there.higher_value != row.higher_value:
            raise DataError(
                f"{row.annotator} judges {row.song_a} and {row.song_b} on {row.dimension} twice, "
                f"as {there.higher_value} and as {row.higher_value}; keep one judgement"
            )
    content = as_csv([*before, *new], known).encode()
    with TemporaryDirectory() as place:  # nothing is taken that the set would not open with
        (Path(place) / TABLE).write_bytes(content)
        wrong = judged.validate(place)
    refuse(str(file), [Problem(file, problem.message) for problem in wrong])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)
    return Imported(len(rows), len(new), path)


def _key(row: Judgement) -> tuple[str, ...]:
    return (row.dimension, *sorted((row.song_a, row.song_b)), row.annotator)


# For others


def as_csv(rows: Iterable[Judgement], types: Mapping[str, str] | None = None) -> str:
    """Return judgements as the documented table; ``types`` are those of triplets."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *(["triplet_type"] if types else [])])
    for j in rows:
        kind = [types.get(j.triplet, "")] if types else []
        cells = (j.triplet, j.song_a, j.song_b, j.annotator, j.dimension, j.higher_value, *kind)
        writer.writerow(cells)
    return text.getvalue()


def export(source: Path | str, to: Path | str, *, table: Path | str | None = None) -> Exported:
    """Write a study, or any set of judged pairs, in MusAV's layout, with the excerpts it has.

    Parameters
    ----------
    to
        A folder that is new or empty.
    table
        A file for the judgements as one CSV besides.

    Raises
    ------
    DataError
        If there is no judgement yet, or ``to`` holds something.
    """
    source, to = Path(source), Path(to)
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise DataError(f"{to} is not empty; give a folder that is new or empty")
    found = _of_study(source) if (source / plans.PLAN).exists() else _of_set(judged.load(source))
    if not found.judgements:
        raise DataError(f"{source}: nobody has judged anything yet")
    with folder_whole(to) as partial:
        _write(found, partial / "data")
    if table is not None:
        types = {triplet.id: triplet.type for triplet in found.triplets}
        write_whole(Path(table), as_csv(found.judgements, types).encode())
    songs = {song for triplet in found.triplets for song in triplet.songs}
    return Exported(len(found.judgements), len(found.triplets), len(songs), len(found.audio))


@dataclass(frozen=True, slots=True)
class _Content:
    judgements: list[Judgement]
    triplets: Sequence[Triplet]
    about: Mapping[str, str]
    asked: Mapping[str, Asked]
    loudness: Mapping[str, float]
    genres: Mapping[str, Sequence[str]]
    audio: Mapping[str, Path]


def _of_study(folder: Path) -> _Content:
    plan = plans.read(folder)
    store = open_store(folder)
    try:
        judgements = store.judgements()
    finally:
        store.close()
    order = {triplet.id: at for at, triplet in enumerate(plan.triplets)}
    names = [dimension.name for dimension in plan.dimensions]
    judgements.sort(key=lambda j: (names.index(j.dimension), order[j.triplet], j.song_a, j.song_b))
    return _Content(
        judgements,
        [Triplet(one.id, one.songs, one.type) for one in plan.triplets],
        {"title": plan.title, "licence": plan.licence, "citation": plan.citation},
        {one.name: Asked(one.question, one.low, one.high) for one in plan.dimensions},
        {song.id: song.lufs for song in plan.songs},
        {song.id: song.genres for song in plan.songs if song.genres},
        {song.id: folder / plans.EXCERPTS / song.excerpt for song in plan.songs},
    )


def _of_set(found: JudgedPairs) -> _Content:
    judgements = [row for name in found.dimensions for row in found.judgements(name)]
    card = {"title": found.card.title, "licence": found.card.licence}
    about = card | {"citation": found.card.citation}
    audio = {clip.id: clip.path for clip in found.clips() if clip.path is not None}
    triplets = list(found.triplets.values())
    return _Content(
        judgements, triplets, about, found.asked, found.loudness, found.genres, audio
    )  # fmt: skip


def _write(found: _Content, data: Path) -> None:
    (data / "annotations").mkdir(parents=True)
    for name in dict.fromkeys(row.dimension for row in found.judgements):
        rows = [
            {
                "tripletid": row.triplet,
                "songid_a": row.song_a,
                "songid_b": row.song_b,
                "annotator": row.annotator,
                "type": name,
                "higher_value": row.higher_value,
            }
            for row in found.judgements
            if row.dimension == name
        ]
        write_whole(data / "annotations" / f"annotations.{name}.all", _lines(rows))
    triplets = [
        {"tripletid": one.id, "songids": list(one.songs), "triplet_type": one.type}
        for one in found.triplets
    ]
    write_whole(data / "triplets.jsonl", _lines(triplets))
    if found.loudness:
        text = "".join(f"{song} {value!r}\n" for song, value in found.loudness.items())
        write_whole(data / "audio.ebur128", text.encode())
    if found.genres:
        genres = [{"id": song, "genres": list(names)} for song, names in found.genres.items()]
        write_whole(data / "genres.jsonl", _lines(genres))
    for song, path in found.audio.items():
        place = data / "audio_chunks" / song[:2] / f"{song}{path.suffix}"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    write_whole(data / ABOUT, _about(found).encode())


def _lines(rows: Iterable[object]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _about(found: _Content) -> str:
    lines = [f"{name} = {_toml(text)}" for name, text in found.about.items() if text]
    for name, asked in found.asked.items():
        if asked.question:
            lines += ["", f"[dimensions.{_toml(name)}]"]
            lines += [
                f"{key} = {_toml(getattr(asked, key))}" for key in ("question", "low", "high")
            ]
    return "\n".join(lines) + "\n"


def _toml(text: str) -> str:
    """Return a basic string of TOML, of which JSON's strings are a part."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
