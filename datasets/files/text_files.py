"""Text files as people write them, read strictly: CSV, JSON, JSON lines and TOML.

Conventions
-----------
Text is UTF-8, with or without a byte order mark, its lines end with LF, CRLF or CR. A column or a
key that is named twice is refused, since it is not known which was meant. Numbers are written with
0 to 9; true and false are none. What is wrong is raised as :class:`UnreadableError`, which knows
the line; who knows the file makes a :class:`~.base.Problem` of it.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from earmark.datasets.base import DataError, Problem
from earmark.datasets.files.names import did_you_mean, shown

MAX_FIELD = 1 << 24
"""Characters that a field of a CSV file may have."""

Lines = list[tuple[int, list[str]]]
"""Rows with the line on which each begins, from 1."""


class UnreadableError(DataError):
    """Text that is not of its format; ``line`` is 1-based, None where it is the text as a whole."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason if line is None else f"line {line}: {reason}")
        self.reason = reason
        self.line = line

    def of(self, path: Path) -> Problem:
        """Return the problem of the file that the text is from."""
        return Problem(path, self.reason, self.line)


def decode(content: bytes) -> str:
    """Return text from UTF-8, without a byte order mark.

    Raises
    ------
    UnreadableError
        If it is UTF-16, not UTF-8, or holds NUL characters, which no text does.
    """
    kind = _utf_16(content)
    if kind:
        fix = f"save it as UTF-8, e.g. iconv -f {kind} -t UTF-8"
        raise UnreadableError(f"is not UTF-8 but {kind}: {fix}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = len(_LINE_END.findall(content[: error.start].decode("latin-1"))) + 1
        raise UnreadableError(
            f"is not UTF-8 (byte {error.start}): save it as such", line
        ) from error
    if (at := text.find("\0")) >= 0:
        line = len(_LINE_END.findall(text[:at])) + 1
        raise UnreadableError("holds a NUL character (\\x00): damaged, or not text", line)
    return text


_LINE_END = re.compile(r"\r\n|\r|\n")


def _utf_16(content: bytes) -> str | None:
    """Return the encoding if text is UTF-16 or UTF-32: by its mark, or by a NUL at every letter."""
    for mark, kind in ((b"\xff\xfe\0\0", "UTF-32"), (b"\0\0\xfe\xff", "UTF-32")):
        if content.startswith(mark):
            return kind
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16"
    start = content[:400]
    for first, kind in ((1, "UTF-16LE"), (0, "UTF-16BE")):
        if start[first::2].count(0) > len(start) / 4 and start[1 - first :: 2].count(0) == 0:
            return kind
    return None


def read_text(path: Path) -> str:
    """Return the text of a file.

    Raises
    ------
    UnreadableError
        If it is absent or may not be read, or as :func:`decode`.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise UnreadableError("cannot be read: No such file or directory") from error
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror or error}") from error
    return decode(content)


def with_line_feeds(text: str) -> str:
    """Return a text whose lines all end with LF."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def text_lines(text: str) -> list[str]:
    """Return lines, whatever ends them; not at the further characters of ``splitlines()``."""
    return with_line_feeds(text).split("\n")


def csv_rows(text: str, *, delimiter: str = ",") -> Lines:
    """Return the rows of a CSV text, the header among them, without blank lines.

    Line breaks in quotes stay, as LF.

    Raises
    ------
    UnreadableError
        If a quote is not closed or goes on behind its end, or a field is longer than
        :data:`MAX_FIELD`; the line is that on which the row begins.
    """
    stream = io.StringIO(with_line_feeds(text), newline="")
    reader = csv.reader(stream, delimiter=delimiter, strict=True)
    rows: Lines = []
    line = 1
    limit = csv.field_size_limit(MAX_FIELD)
    try:
        for fields in reader:
            if len(fields) > 1 or (fields and fields[0].strip()):
                rows.append((line, fields))
            line = reader.line_num + 1
    except csv.Error as error:
        raise UnreadableError(f"is not a CSV file: {_what_csv_means(str(error))}", line) from error
    finally:
        csv.field_size_limit(limit)
    return rows


def _what_csv_means(message: str) -> str:
    if "end of data" in message:
        return "unexpected end of data: a quote that opens in this row is never closed"
    if "field limit" in message:
        return f"a field has more than {MAX_FIELD:,} characters; is a quote not closed?"
    if "expected after" in message:
        return f"{message}: a quote within a quoted field is written twice"
    return message


Read = tuple[list[str], Lines, list[Problem]]
"""A header, rows of as many fields with their lines, and what is wrong."""


def read_rows(path: Path, *, delimiter: str = ",") -> Read:
    """Return a CSV file's header, its rows, and all that is wrong with the file."""
    if not path.is_file():
        return [], [], [Problem(path, "no such file")]
    try:
        text = read_text(path)
    except UnreadableError as error:
        return [], [], [error.of(path)]
    return rows_of(path, text, delimiter=delimiter)


def rows_of(path: Path, text: str, *, delimiter: str = ",") -> Read:
    """Return header, rows and problems of a CSV text, without white space around names and cells.

    Rows with more or fewer fields than the header are left out, and problems.
    """
    try:
        rows = csv_rows(text, delimiter=delimiter)
    except UnreadableError as error:
        return [], [], [error.of(path)]
    if not rows:
        return [], [], [Problem(path, "is an empty file")]
    header = [name.strip() for name in rows[0][1]]
    problems = repeated(path, header)
    kept: Lines = []
    what = {",": "comma", "\t": "tab"}[delimiter]
    for line, fields in rows[1:]:
        if len(fields) == len(header):
            kept.append((line, [field.strip() for field in fields]))
        else:
            message = f"expected {len(header)} {what}-separated fields, found {len(fields)}"
            problems.append(Problem(path, message, line))
    return header, kept, problems


def read_table(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]], list[Problem]]:
    """Return a CSV file's header, its rows by column with their lines, and all that is wrong."""
    header, rows, problems = read_rows(path)
    return header, [(line, dict(zip(header, row, strict=True))) for line, row in rows], problems


def repeated(path: Path, header: Sequence[str]) -> list[Problem]:
    """Return a problem if a column is named twice."""
    twice = sorted({name for name in header if header.count(name) > 1})
    if not twice:
        return []
    return [Problem(path, f"names a column twice: {', '.join(map(shown, twice))}", 1)]


def lacking(path: Path, header: Sequence[str], columns: Iterable[str]) -> list[Problem]:
    """Return a problem if a table has not all the columns; near names are suggested."""
    absent = [name for name in columns if name not in header]
    if not absent:
        return []
    found = ", ".join(map(shown, header))
    message = f"has no column {' or '.join(absent)}, found {found}{header_hint(header, absent)}"
    return [Problem(path, message, 1)]


def header_hint(header: Sequence[str], absent: Sequence[str]) -> str:
    """Return what may be wrong with a header that lacks columns, beginning with a full stop.

    >>> header_hint(["id;arousal"], ["arousal"])
    ". Its fields are separated by ';': save it with commas"
    """
    if len(header) == 1:
        for separator in (";", "\t", "|"):
            if separator in header[0]:
                return f". Its fields are separated by {separator!r}: save it with commas"
    hints = [did_you_mean(name, [h for h in header if h]) for name in absent]
    near = next((hint for hint in hints if hint), "")
    return f".{near}" if near else ""


def parse_json(text: str) -> Any:
    """Return the value of a JSON text.

    Raises
    ------
    UnreadableError
        If it is not JSON or nested too deep, or has a key twice in one object, a number of more
        than 4,300 digits, or half of a surrogate pair, which is no character.
    """
    try:
        value = json.loads(text, object_pairs_hook=_object)
    except UnreadableError:
        raise
    except json.JSONDecodeError as error:
        raise UnreadableError(
            f"is not JSON: {error.msg} at column {error.colno}", error.lineno
        ) from error
    except RecursionError as error:
        raise UnreadableError("is nested too deep to be read as JSON") from error
    except ValueError as error:  # int() refuses to read more digits
        raise UnreadableError("holds a number of more than 4,300 digits") from error
    half = _HALF_PAIR.search(text)
    if half and not _is_encodable(value):
        line = len(_LINE_END.findall(text[: half.start()])) + 1
        before = text[max(0, half.start() - 30) : half.start()]
        message = f"holds {half[0]}, half of a surrogate pair, which is no character"
        raise UnreadableError(f"{message}; behind {shown(before)}", line)
    return value


_HALF_PAIR = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    r"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise UnreadableError(f"names a key twice: {', '.join(map(shown, twice))}")
    return found


def _is_encodable(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def json_lines(text: str) -> Iterator[tuple[int, Any]]:
    """Yield the value of each line that is not blank, or its error, with the line's number."""
    for number, line in enumerate(text_lines(text), start=1):
        if line.strip():
            try:
                yield number, parse_json(line)
            except UnreadableError as error:
                yield number, UnreadableError(error.reason)


def parse_toml(content: bytes) -> dict[str, Any]:
    """Return the tables of a TOML text."""
    try:
        return tomllib.loads(with_line_feeds(decode(content)))
    except tomllib.TOMLDecodeError as error:
        raise UnreadableError(str(error)) from error
    except RecursionError as error:
        raise UnreadableError("is nested too deep") from error
    except ValueError as error:
        if isinstance(error, UnreadableError):
            raise
        raise UnreadableError("holds a number of more than 4,300 digits") from error


_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def as_number(value: object) -> float:
    """Return the finite number that a cell, a JSON or a Parquet value is; NaN where it is none.

    >>> [as_number(value) for value in ("-1.5e1", 3, True, "4_5", "inf", "٣")]
    [-15.0, 3.0, nan, nan, nan, nan]
    """
    if isinstance(value, str):
        value = float(value) if _NUMBER.fullmatch(value := value.strip()) else math.nan
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return math.nan
    try:
        found = float(value)
    except OverflowError:
        return math.nan
    return found if math.isfinite(found) else math.nan


def is_whole_number(text: str) -> bool:
    """Return whether a text is a whole number of at most 18 digits, 0 to 9.

    >>> is_whole_number("042"), is_whole_number("4_2"), is_whole_number("٤")
    (True, False, False)
    """
    return 0 < len(text) <= 18 and text.isascii() and text.isdigit()
