"""Listeners' answers: one SQLite file beside the plan, from which no acknowledged answer is lost.

Answers
-------
Each answer is a row of its own, written and synced (WAL, ``synchronous=FULL``) before it is
acknowledged. It carries a key of the browser's choice: a row with a key that is already there
changes nothing, so that an answer can be sent again when its acknowledgement was lost. Until its
screen is finished an answer can be corrected, by another row; the last one counts. Answers to
checks (:mod:`.screens`) have a kind of their own and are never judgements. All answers are kept in
the order of the plan's pairs, whichever side a song was shown on.

Links
-----
``links.csv`` holds the token of each listener's personal link and of the organiser's page, and is
readable by its owner alone. The database holds none: it can be passed on with the results.

Damage
------
A damaged database is named, and read row by row into a new one (:func:`recover`); the damaged
file is kept beside it.
"""

from __future__ import annotations

import csv
import datetime
import os
import secrets
import sqlite3
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from earmark.bench.judge import plan as plan_file
from earmark.bench.judge.plan import Plan
from earmark.bench.judge.screens import Screen
from earmark.datasets.base import DataError
from earmark.datasets.files.atomic_files import TEMPORARY, one_at_a_time
from earmark.datasets.judgements import sheets
from earmark.datasets.judgements.rules import LABELS, Judgement

VERSION: Final = 1
LINKS: Final = "links.csv"
ORGANISER: Final = "organiser"
LOCK: Final = ".judge.lock"
MOST_ANSWERS: Final = 200
"""Of one listener to one screen, corrections included."""
MOST_COMMENTS: Final = 1000
"""Of one listener."""

TABLES: Final = ("answers", "finished", "comments")
SCHEMA: Final = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE answers (
  id INTEGER PRIMARY KEY, listener TEXT NOT NULL, key TEXT NOT NULL, screen TEXT NOT NULL,
  kind TEXT NOT NULL, triplet TEXT NOT NULL, a TEXT NOT NULL, b TEXT NOT NULL,
  dimension TEXT NOT NULL, value TEXT NOT NULL, swapped INTEGER NOT NULL, at TEXT NOT NULL,
  UNIQUE (listener, key));
CREATE TABLE finished (
  id INTEGER PRIMARY KEY, listener TEXT NOT NULL, screen TEXT NOT NULL, at TEXT NOT NULL,
  UNIQUE (listener, screen));
CREATE TABLE comments (
  id INTEGER PRIMARY KEY, listener TEXT NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL,
  song TEXT NOT NULL, text TEXT NOT NULL, at TEXT NOT NULL, UNIQUE (listener, key));
CREATE INDEX answers_of_screen ON answers (listener, screen);
"""


class NotSavedError(Exception):
    """What was sent is not on the disk; the message says why, in words for the listener."""

    def __init__(self, message: str, *, full: bool = False) -> None:
        super().__init__(message)
        self.full = full


class RefusedError(Exception):
    """What was sent can never be saved: its screen is finished, or its key stands for another."""


@dataclass(frozen=True, slots=True)
class Links:
    """Tokens of the personal links."""

    organiser: str
    listeners: dict[str, str]
    """Token by pseudonym, in the order of the plan."""


class Check(NamedTuple):
    """The last answer of a listener to a pair of a check screen; kinds: :mod:`.screens`."""

    listener: str
    kind: str
    triplet: str
    song_a: str
    song_b: str
    dimension: str
    higher_value: str


class Comment(NamedTuple):
    """What a listener wrote, or that a song could not be played."""

    listener: str
    kind: str
    """``comment`` or ``problem``."""
    song: str
    """Id of the song that could not be played, or nothing."""
    text: str
    at: str


class Finish(NamedTuple):
    """A listener ended a screen."""

    listener: str
    screen: str
    at: str


def open_store(folder: Path | str) -> Store:
    """Open the answers of a study; the first call makes the file and the links.

    Raises
    ------
    DataError
        If there is no plan, if it is not the plan that judging began with, or if the database is
        damaged or of another version.
    """
    folder = Path(folder)
    plan = plan_file.read(folder)
    path = folder / plan_file.STORE
    with one_at_a_time(folder / LOCK, waiting=lambda: None):
        links = _links(folder, plan)
        if not path.exists():
            made = folder / f"{TEMPORARY}{uuid.uuid4().hex}"
            new_database(made, plan).close()
            made.replace(path)
        reason = damage(path)
    if reason:
        raise DataError(
            f"{path} is damaged: {reason}; earmark judge serve {folder} reads what can be read "
            f"into a new file and keeps this one beside it"
        )
    store = Store(plan, path, links)
    try:
        check_plan(store.connection, plan, path)
    except DataError:
        store.close()
        raise
    return store


def damage(path: Path) -> str:
    """Return what is wrong with a database, or nothing."""
    if path.stat().st_size == 0:
        return "the file is empty"
    try:
        connection = sqlite3.connect(path, timeout=10)
        try:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check(1)")]
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            raise DataError(f"{path} is in use by another program") from None
        return str(error)
    return "" if found == ["ok"] else str(found[0]).replace("\n", " ")


def check_plan(db: sqlite3.Connection, plan: Plan, path: Path) -> None:
    """Refuse a database of another version, or of another plan.

    Raises
    ------
    DataError
        If it is one.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version != VERSION:
        raise DataError(
            f"{path}: version {version} of the answers' schema, expected {VERSION}; "
            f"open it with the version of Earmark that wrote it"
        )
    row = db.execute("SELECT value FROM about WHERE name = 'plan'").fetchone()
    if row is None or row[0] != plan.digest:
        raise DataError(
            f"{path.parent / plan_file.PLAN} was changed after judging began: its digest is "
            f"{plan.digest[:12]}, that of the answers' plan {str(row and row[0])[:12]}; put "
            f"the old plan back (a second plan is a new folder)"
        )


class Store:
    """The answers of one study; for any number of threads."""

    def __init__(self, plan: Plan, path: Path, links: Links) -> None:
        self.plan, self.path = plan, path
        self._links = links
        self._lock = threading.Lock()
        self.connection = _connect(path)

    def links(self) -> Links:
        """Return the tokens of all links."""
        return self._links

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self.connection.close()

    def answer(
        self, listener: str, screen: Screen, *, pair: int, dimension: str, value: str, key: str
    ) -> bool:
        """Save an answer on a pair of a screen, ``a`` being the left song; True if it is new.

        Raises
        ------
        RefusedError
            If the screen is finished, the key was used for another answer, or there are too many.
        NotSavedError
            If it could not be written.
        """
        shown = screen.pairs[pair]
        row = {
            "listener": listener,
            "key": key,
            "screen": screen.id,
            "kind": shown.kind,
            "triplet": shown.triplet,
            "a": shown.a,
            "b": shown.b,
            "dimension": dimension,
            "value": shown.in_plan(value),
            "swapped": int(shown.swapped),
        }
        with self._writing() as db:
            if self._repeated(db, "answers", row):
                return False
            if _one(db, "finished", listener, screen.id):
                raise RefusedError("This screen is finished already; its answers stay.")
            n = "SELECT count(*) FROM answers WHERE listener = ? AND screen = ?"
            if db.execute(n, (listener, screen.id)).fetchone()[0] >= MOST_ANSWERS:
                raise RefusedError("This screen has been answered too many times.")
            _insert(db, "answers", {**row, "at": _now()})
        return True

    def finish(self, listener: str, screen: Screen) -> bool:
        """End a screen all of whose questions are answered; True if it was not ended before.

        Raises
        ------
        RefusedError
            If an answer is missing.
        NotSavedError
            If it could not be written.
        """
        with self._writing() as db:
            if _one(db, "finished", listener, screen.id):
                return False
            expected = len(screen.pairs) * len(self.plan.dimensions)
            if screen.kind != "practice" and len(self._given(db, listener, screen)) < expected:
                raise RefusedError("Some questions of this screen have no answer yet.")
            _insert(db, "finished", {"listener": listener, "screen": screen.id, "at": _now()})
        return True

    def comment(self, listener: str, *, text: str, key: str, song: str = "") -> bool:
        """Save a comment, or with ``song`` a problem with playing it; True if it is new.

        Raises
        ------
        RefusedError
            If the key was used for another comment, or there are too many.
        NotSavedError
            If it could not be written.
        """
        kind = "problem" if song else "comment"
        row = {"listener": listener, "key": key, "kind": kind, "song": song, "text": text}
        with self._writing() as db:
            if self._repeated(db, "comments", row):
                return False
            n = "SELECT count(*) FROM comments WHERE listener = ?"
            if db.execute(n, (listener,)).fetchone()[0] >= MOST_COMMENTS:
                raise RefusedError("There are too many comments already.")
            _insert(db, "comments", {**row, "at": _now()})
        return True

    def given(self, listener: str, screen: Screen) -> dict[tuple[int, str], str]:
        """Return the last answers of a screen, ``a`` being the left song, by pair and dimension."""
        with self._lock:
            return self._given(self.connection, listener, screen)

    def finished(self, listener: str | None = None) -> list[Finish]:
        """Return the screens that were ended, of one listener or all, in that order."""
        where, values = ("", ()) if listener is None else ("WHERE listener = ?", (listener,))
        return [Finish(*row) for row in self._rows(
            f"SELECT listener, screen, at FROM finished {where} ORDER BY id", values
        )]  # fmt: skip

    def judgements(self) -> list[Judgement]:
        """Return the last answer of each listener to each pair and dimension, checks left out.

        Pairs are in the order of the plan; imported judgements are among them.
        """
        return [
            Judgement(triplet, a, b, listener, dimension, value)
            for listener, _, triplet, a, b, dimension, value in self._last("('triplet', 'import')")
        ]

    def checks(self) -> list[Check]:
        """Return the last answer of each listener to each pair of the check screens."""
        return [Check(*row) for row in self._last("('repeat', 'same', 'repeat_softer')")]

    def comments(self) -> list[Comment]:
        """Return all comments and problems, oldest first."""
        return [
            Comment(*row)
            for row in self._rows("SELECT listener, kind, song, text, at FROM comments ORDER BY id")
        ]

    def add_imported(self, rows: Iterable[Judgement]) -> int:
        """Add judgements that were collected elsewhere; return how many were not there before.

        Either order of a pair is understood. All are added, or none.

        Raises
        ------
        DataError
            If a triplet, pair, dimension or value is none of the plan's, or a judgement
            contradicts one that is there.
        NotSavedError
            If they could not be written.
        """
        pairs = {triplet.id: triplet.pairs for triplet in self.plan.triplets}
        dimensions = [dimension.name for dimension in self.plan.dimensions]
        there = {_identity(row): row.higher_value for row in self.judgements()}
        new = []
        for row in rows:
            row = _in_order_of_plan(row, pairs, dimensions)
            value = there.setdefault(_identity(row), row.higher_value)
            if value != row.higher_value:
                raise DataError(
                    f"{row.annotator} judges {row.song_a} and {row.song_b} on {row.dimension} "
                    f"twice, as {value} and as {row.higher_value}; keep one judgement"
                )
            new.append(row)
        with self._writing() as db:
            before = db.total_changes
            for row in new:
                key = "import " + " ".join(_identity(row)[1:])
                known = db.execute(
                    "SELECT 1 FROM answers WHERE kind IN ('triplet', 'import') AND listener = ? "
                    "AND triplet = ? AND a = ? AND b = ? AND dimension = ?",
                    _identity(row),
                ).fetchone()
                if not known:
                    _insert(db, "answers", {
                        "listener": row.annotator, "key": key, "screen": "", "kind": "import",
                        "triplet": row.triplet, "a": row.song_a, "b": row.song_b,
                        "dimension": row.dimension, "value": row.higher_value, "swapped": 0,
                        "at": _now(),
                    })  # fmt: skip
            return db.total_changes - before

    def _rows(self, query: str, values: tuple[object, ...] = ()) -> list[Any]:
        with self._lock:
            return self.connection.execute(query, values).fetchall()

    def _last(self, kinds: str) -> list[Any]:
        # SQLite takes the other columns from the row that has the maximum.
        rows = self._rows(
            "SELECT listener, kind, triplet, a, b, dimension, value, max(id) FROM answers "
            f"WHERE kind IN {kinds} GROUP BY listener, triplet, a, b, dimension, "
            "CASE kind WHEN 'import' THEN 'triplet' ELSE kind END "
            "ORDER BY triplet, a, b, dimension, listener, kind"
        )
        return [row[:-1] for row in rows]

    def _given(
        self, db: sqlite3.Connection, listener: str, screen: Screen
    ) -> dict[tuple[int, str], str]:
        place = {(one.kind, one.a, one.b): n for n, one in enumerate(screen.pairs)}
        rows = db.execute(
            "SELECT kind, a, b, dimension, value FROM answers WHERE listener = ? AND screen = ? "
            "ORDER BY id",
            (listener, screen.id),
        )
        found = {}
        for kind, a, b, dimension, value in rows:
            pair = place[kind, a, b]
            found[pair, dimension] = screen.pairs[pair].in_plan(value)
        return found

    def _repeated(self, db: sqlite3.Connection, table: str, row: Mapping[str, object]) -> bool:
        """Whether the key is there, with the same content."""
        found = db.execute(
            f"SELECT {', '.join(row)} FROM {table} WHERE listener = ? AND key = ?",
            (row["listener"], row["key"]),
        ).fetchone()
        if found and found != tuple(row.values()):
            raise RefusedError("This key was used for something else.")
        return found is not None

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            db = self.connection
            try:
                db.execute("BEGIN IMMEDIATE")
                try:
                    yield db
                    db.execute("COMMIT")
                except BaseException:
                    if db.in_transaction:
                        db.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise not_saved(error) from error


def not_saved(error: sqlite3.Error) -> NotSavedError:
    """Say in words for the listener what is wrong with the file."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return NotSavedError("the disk of the server is full", full=True)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return NotSavedError("the server is busy")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return NotSavedError("the server's file of answers is damaged")
    return NotSavedError(f"the server could not write it ({error})")


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=5)
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA wal_autocheckpoint = 100")
    return db


def _insert(db: sqlite3.Connection, table: str, row: Mapping[str, object]) -> None:
    marks = ", ".join("?" * len(row))
    db.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))


def _one(db: sqlite3.Connection, table: str, listener: str, screen: str) -> bool:
    query = f"SELECT 1 FROM {table} WHERE listener = ? AND screen = ?"
    return db.execute(query, (listener, screen)).fetchone() is not None


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def _identity(row: Judgement) -> tuple[str, ...]:
    return row.annotator, row.triplet, row.song_a, row.song_b, row.dimension


def _in_order_of_plan(
    row: Judgement, pairs: dict[str, tuple[tuple[str, str], ...]], dimensions: list[str]
) -> Judgement:
    if row.triplet not in pairs:
        raise DataError(f"triplet {row.triplet!r} of {row.annotator} is none of the plan's")
    if row.dimension not in dimensions:
        expected = ", ".join(dimensions)
        raise DataError(f"dimension {row.dimension!r} of {row.annotator}: expected {expected}")
    if row.higher_value not in LABELS:
        expected = ", ".join(LABELS)
        raise DataError(
            f"higher_value {row.higher_value!r} of {row.annotator}: expected {expected}"
        )
    if (row.song_a, row.song_b) in pairs[row.triplet]:
        return row
    if (row.song_b, row.song_a) not in pairs[row.triplet]:
        raise DataError(
            f"{row.song_a} and {row.song_b}, judged by {row.annotator}, are no pair of triplet "
            f"{row.triplet}"
        )
    return sheets.swapped(row)


def _links(folder: Path, plan: Plan) -> Links:
    path = folder / LINKS
    if not path.exists():
        names = [ORGANISER, *plan.listeners]
        made = folder / f"{TEMPORARY}{uuid.uuid4().hex}"
        closed = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(closed, "w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(["listener", "token"])
            rows.writerows((name, secrets.token_urlsafe(24)) for name in names)
        made.replace(path)
    with path.open(newline="", encoding="utf-8") as file:
        read = [row for row in csv.reader(file) if row][1:]
    sound = all(len(row) == 2 and len(row[1]) >= 20 for row in read)
    if not sound or [row[0] for row in read] != [ORGANISER, *plan.listeners]:
        raise DataError(
            f"{path}: expected a row for the organiser and each listener of the plan, with the "
            f"token of its link; remove the file, and new links are made (old ones stop working)"
        )
    return Links(read[0][1], {row[0]: row[1] for row in read[1:]})


def new_database(path: Path, plan: Plan) -> sqlite3.Connection:
    """Make an empty database of answers."""
    db = _connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript(SCHEMA)
    db.execute(f"PRAGMA user_version = {VERSION}")
    db.execute("INSERT INTO about VALUES ('plan', ?)", (plan.digest,))
    return db
