"""Embeddings that are kept in a file, paired with texts of the same items.

Layout
------
Embeddings
    An npz file with the arrays ``songids`` ``(n,)`` and ``embeddings`` ``(n, dimension)``.
Texts
    ``.jsonl``: one object a line with an id and a text or a list of texts, as MusAV's
    ``genres.chunk_000-006.jsonl``; or ``.csv``: a column of ids and one of texts, an id on as many
    lines as it has texts.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.base import DataError, Problem, first_ten, refuse
from earmark.datasets.files.text_files import UnreadableError, json_lines, read_table, read_text

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class StoredPairs:
    """Items with an embedding and at least one text, sorted by id."""

    ids: tuple[str, ...]
    embeddings: Floats
    """Shape ``(n_items, dimension)``."""
    texts: tuple[tuple[str, ...], ...]
    """Of each item, each text once, in the file's order."""
    without_text: int = 0
    """Items of the embeddings that have no text and are left out."""
    without_embedding: int = 0
    """Items of the texts that have no embedding and are left out."""

    @property
    def fingerprint(self) -> str:
        """Digest of ids, texts and the embeddings' bits."""
        digest = hashlib.sha256(np.ascontiguousarray(self.embeddings, "<f4").tobytes())
        digest.update(json.dumps([self.ids, self.texts]).encode())
        return digest.hexdigest()


def load_pairs(
    embeddings: Path | str, texts: Path | str, *, id_key: str = "id", text_key: str = "caption"
) -> StoredPairs:
    """Join a file of embeddings with a file of texts on their ids.

    Raises
    ------
    DataError
        If a file is not as the layout says, an id stands twice among the embeddings, or fewer than
        two items have both.
    """
    ids, rows = read_means(Path(embeddings))
    place = {one: index for index, one in enumerate(ids)}
    twice = [one for index, one in enumerate(ids) if place[one] != index]
    if twice:
        raise DataError(f"embeddings {embeddings}: more than one row of {first_ten(twice)}")
    known = read_item_texts(Path(texts), id_key=id_key, text_key=text_key)
    both = sorted(place.keys() & known.keys())
    if len(both) < 2:
        raise DataError(
            f"{len(both)} items have both an embedding in {embeddings} ({len(ids)} ids, such as "
            f"{ids[0] if ids else 'none'}) and a text in {texts} ({len(known)} ids, such as "
            f"{next(iter(known), 'none')}); expected at least 2"
        )
    return StoredPairs(
        ids=tuple(both),
        embeddings=rows[[place[one] for one in both]],
        texts=tuple(known[one] for one in both),
        without_text=len(ids) - len(both),
        without_embedding=len(known) - len(both),
    )


def read_means(path: Path) -> tuple[list[str], Floats]:
    """Return ids and mean embeddings ``(n_items, dimension)`` of an npz file.

    Raises
    ------
    DataError
        If the file is no npz with ``songids`` and ``embeddings`` of one length, all finite.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            content = {key: arrays[key] for key in arrays.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"embeddings {path}: {error}") from error
    missing = {"songids", "embeddings"} - content.keys()
    if missing:
        raise DataError(
            f"embeddings {path}: no array {', '.join(sorted(missing))}; expected songids (n,) and "
            f"embeddings (n, dimension), found {', '.join(sorted(content)) or 'none'}"
        )
    ids, means = content["songids"].astype(str), content["embeddings"]
    if means.ndim != 2 or ids.shape != (len(means),):
        raise DataError(
            f"embeddings {path}: songids have shape {ids.shape} and embeddings {means.shape}, "
            f"expected (n,) and (n, dimension)"
        )
    with np.errstate(over="ignore"):
        means = means.astype(np.float32)
    bad = ids[~np.isfinite(means).all(axis=1)]
    if bad.size:
        raise DataError(f"embeddings {path}: not finite for {first_ten(list(bad))}")
    return ids.tolist(), means


def read_item_texts(
    path: Path, *, id_key: str = "id", text_key: str = "caption"
) -> dict[str, tuple[str, ...]]:
    """Return each item's texts, each once and in order; blank ones are left out.

    Raises
    ------
    DataError
        If the file cannot be read, a line has no id or no text under these names, or an id of a
        ``.jsonl`` file stands on two lines.
    """
    problems: list[Problem] = []
    found: dict[str, list[str]] = {}
    lines_of: dict[str, int] = {}
    try:
        rows = list(_csv_rows(path) if path.suffix.lower() == ".csv" else _json_rows(path))
    except UnreadableError as error:
        raise DataError(f"texts {error.of(path)}") from error
    for number, row in rows:
        if isinstance(row, UnreadableError):
            problems.append(Problem(path, row.reason, number))
            continue
        if not isinstance(row, dict) or not row.keys() >= {id_key, text_key}:
            held = ", ".join(map(str, row)) if isinstance(row, dict) else repr(row)[:40]
            message = f"expected the keys {id_key!r} and {text_key!r}, found {held or 'nothing'}"
            problems.append(Problem(path, message, number))
            continue
        item, value = str(row[id_key]).strip(), row[text_key]
        given = [value] if isinstance(value, str) else value
        if not isinstance(given, Sequence) or not all(isinstance(text, str) for text in given):
            message = f"{text_key} of {item} is {value!r}, expected a text or a list of texts"
            problems.append(Problem(path, message, number))
        elif item in lines_of and path.suffix.lower() != ".csv":
            message = f"{item} is already on line {lines_of[item]}"
            problems.append(Problem(path, message, number))
        else:
            lines_of.setdefault(item, number)
            found.setdefault(item, []).extend(text.strip() for text in given if text.strip())
    refuse(f"texts {path}", problems)
    return {item: tuple(dict.fromkeys(texts)) for item, texts in found.items() if texts}


def _csv_rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    _, rows, problems = read_table(path)
    refuse(f"texts {path}", problems)
    return rows


def _json_rows(path: Path) -> Iterator[tuple[int, Any]]:
    return json_lines(read_text(path))
