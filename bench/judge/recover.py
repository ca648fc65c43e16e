"""Answers out of a damaged database.

Rows are asked for one by one, so that those on sound pages are found whatever lies between them.
Where the first page is gone, with the schema and the places of all tables, that of a new database
stands in for it: tables are always made in the same order and begin at the same pages. What comes
out must fit the plan, for a damaged page can hold anything.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from earmark.bench.judge import plan as plan_file
from earmark.bench.judge.plan import Plan
from earmark.bench.judge.screens import screens
from earmark.bench.judge.store import LOCK, TABLES, check_plan, damage, new_database
from earmark.datasets.files.atomic_files import TEMPORARY, one_at_a_time
from earmark.datasets.judgements.rules import LABELS

_MOST_MISSING: Final = 20_000
"""Rows in a row, after which no more are expected: a damaged inner page takes 10,000 away."""


def recover(folder: Path | str) -> str:
    """Put what can be read of a damaged database into a new one, and say what was done.

    Returns nothing where the database is sound, or there is none. The damaged file is kept as
    ``judge.sqlite.damaged-1`` (2, ...).

    Raises
    ------
    DataError
        If the folder holds no plan, or another than judging began with.
    """
    folder = Path(folder)
    plan = plan_file.read(folder)
    path = folder / plan_file.STORE
    with one_at_a_time(folder / LOCK, waiting=lambda: None):
        reason = damage(path) if path.exists() else ""
        if not reason:
            return ""
        made = folder / f"{TEMPORARY}{uuid.uuid4().hex}"
        try:
            counts = _copied(path, made, plan)
            kept = _keep(path)
            for ending in ("-wal", "-shm"):  # of the damaged file: never to be taken for the new's
                path.with_name(path.name + ending).unlink(missing_ok=True)
            made.replace(path)
        finally:
            made.unlink(missing_ok=True)
    found = ", ".join(f"{n} {table}" for table, n in counts.items())
    return f"{path} was damaged ({reason}): recovered {found}; the damaged file is {kept}"


def _keep(path: Path) -> Path:
    number = 1
    while (kept := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    for ending in ("", "-wal"):
        source = path.with_name(path.name + ending)
        if source.exists():
            shutil.copy2(source, kept.with_name(kept.name + ending))
    return kept


def _copied(damaged: Path, made: Path, plan: Plan) -> dict[str, int]:
    """Fill a new database from a copy of the damaged one; return how many rows each table has."""
    new = new_database(made, plan)
    try:
        with tempfile.TemporaryDirectory() as place:
            copy = Path(place) / "copy"
            for ending in ("", "-wal"):
                if (source := damaged.with_name(damaged.name + ending)).exists():
                    shutil.copyfile(source, copy.with_name(copy.name + ending))
            if not _opens(copy):
                _give_first_page(copy, plan)
            old = sqlite3.connect(copy)
            with suppress(sqlite3.DatabaseError):  # else rows are held against the plan alone
                check_plan(old, plan, damaged)
            sound = _tests(plan)
            new.execute("BEGIN")
            for table in TABLES:
                columns = [row[1] for row in new.execute(f"PRAGMA table_info({table})")]
                marks = ", ".join("?" * len(columns))
                for row in _rows(old, table, columns):
                    if sound[table](dict(zip(columns, row, strict=True))):
                        new.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)
            _open_again(new, plan)
            new.execute("COMMIT")
            old.close()
        return {
            table: new.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES
        }
    finally:
        new.close()


def _opens(path: Path) -> bool:
    try:
        db = sqlite3.connect(path)
        try:
            names = {row[0] for row in db.execute("SELECT name FROM sqlite_master")}
        finally:
            db.close()
    except sqlite3.DatabaseError:
        return False
    return names.issuperset(TABLES)


def _give_first_page(path: Path, plan: Plan) -> None:
    """Put the first page of a new database before the pages of a damaged one."""
    fresh = path.with_name("fresh")
    new_database(fresh, plan).close()
    page = bytearray(fresh.read_bytes())
    size = int.from_bytes(page[16:18])
    del page[size:]
    content = path.read_bytes()
    content += bytes(-len(content) % size)
    page[28:32] = max(1, len(content) // size).to_bytes(4)  # the header's count of pages
    path.write_bytes(bytes(page) + content[size:])


def _rows(db: sqlite3.Connection, table: str, columns: list[str]) -> Iterator[tuple[Any, ...]]:
    query = f"SELECT {', '.join(columns)} FROM {table} WHERE id = ?"
    last = None
    with suppress(sqlite3.DatabaseError):
        last = db.execute(f"SELECT max(id) FROM {table}").fetchone()[0] or 0
    number = missing = 0
    while missing < _MOST_MISSING and (last is None or number < last):
        number += 1
        try:
            row = db.execute(query, (number,)).fetchone()
        except (sqlite3.DatabaseError, UnicodeDecodeError):
            row = None
        missing = 0 if row else missing + 1
        if row:
            yield row


def _open_again(new: sqlite3.Connection, plan: Plan) -> None:
    """Take back the end of each screen that lost an answer, so that its listener is asked again."""
    practice = {screens(plan, n)[0].id for n in range(len(plan.listeners))}
    for number, screen in new.execute(
        "SELECT id, screen FROM finished WHERE ? > (SELECT count(DISTINCT kind || a || b || "
        "dimension) FROM answers WHERE answers.listener = finished.listener "
        "AND answers.screen = finished.screen)",
        (3 * len(plan.dimensions),),
    ).fetchall():
        if screen not in practice:
            new.execute("DELETE FROM finished WHERE id = ?", (number,))


def _tests(plan: Plan) -> Mapping[str, Callable[[dict[str, Any]], bool]]:
    """What a row of each table must be like."""
    dimensions = {one.name for one in plan.dimensions}
    pairs = {triplet.id: {*triplet.pairs} for triplet in plan.triplets}

    def answer(row: dict[str, Any]) -> bool:
        pair = row["a"], row["b"]
        known = pair in pairs.get(row["triplet"], ()) or row["kind"] == "same"
        value = row["value"] in LABELS and row["dimension"] in dimensions
        imported = row["kind"] == "import"
        return value and known and (imported or row["listener"] in plan.listeners)

    def listener(row: dict[str, Any]) -> bool:
        return row["listener"] in plan.listeners

    return {"answers": answer, "finished": listener, "comments": listener}
