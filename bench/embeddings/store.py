"""The store: embeddings and predictions on disk, so that audio is heard once a model.

Conventions
-----------
* A *space* holds the rows of one model, one kind of output and one type. Its identity is a JSON
  text of everything that decides the numbers, the digest of the code among it; the sha256 of the
  text names the folder, and the text lies in it as ``space.json``. Batch sizes, devices and paths
  are no part of it, and neither is what listening cost, which lies beside the rows as
  ``cost.json``, nor where the code was (``code.json``).
* A *row* is one vector, or one a patch, under a key: the sha256 of the audio file's bytes or of
  the text. Nothing needs decoding to find it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from earmark.bench.embeddings.shards import Damage, StoreError
from earmark.bench.embeddings.space import IDENTITY, Space
from earmark.models.base import ModelCard, ModelError

__all__ = [
    "DType",
    "Damage",
    "Kind",
    "Space",
    "Store",
    "StoreError",
    "audio_key",
    "space_of",
    "text_key",
]

Kind = Literal["audio_vectors", "text_vectors", "patches", "av"]
DType = Literal["float32", "float16"]


def text_key(text: str) -> str:
    """Return the key of a text; it meets no key of a file.

    >>> text_key("calm piano")[:13]
    'text:7bd1d9ad'
    """
    return f"text:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def audio_key(file_digest: str) -> str:
    """Return the key of an audio file with this sha256 of its bytes."""
    return f"audio:{file_digest}"


def space_of(
    card: ModelCard,
    *,
    kind: Kind,
    dtype: DType = "float32",
    code: str | None = None,
    sample_rate: int | None = None,
) -> str:
    """Return the identity of a model's outputs of one kind: JSON with sorted keys.

    Parameters
    ----------
    code
        Digest of the code that makes them (:mod:`earmark.bench.embeddings.model_code`); None: by
        the card alone, as Earmark 0.1 did.
    sample_rate
        In Hz, at which the model hears; counts where there is ``code``.

    Raises
    ------
    ModelError
        If the card's preprocessing holds something else than strings, numbers and booleans.
    """
    for name, value in card.preprocessing.items():
        if not isinstance(name, str) or not isinstance(value, str | int | float):
            raise ModelError(
                f"{card.id}: preprocessing {name!r} is {value!r}, expected a string that names a "
                f"string, a number or a boolean, so that it can tell models apart"
            )
    identity: dict[str, Any] = {
        "adapter": card.id,
        "adapter_version": card.version,
        "weights": card.weights_digest,
        "preprocessing": dict(card.preprocessing),
        "crop_policy": card.crop_policy,
        "dtype": dtype,
        "output": kind,
    }
    if code is not None:
        identity |= {"code": code, "sample_rate": sample_rate}
    try:
        return json.dumps(identity, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise ModelError(f"{card.id}: preprocessing must be finite numbers ({error})") from error


class Store:
    """A folder of spaces, one for each model, kind of output and type.

    Parameters
    ----------
    root
        Made when first written to.
    shard_rows, shard_bytes
        The most that one file may hold.
    flush_seconds
        How long a row may wait in memory, where a killed process would lose it.
    """

    def __init__(
        self,
        root: Path | str,
        *,
        shard_rows: int = 4096,
        shard_bytes: int = 64 * 2**20,
        flush_seconds: float = 10.0,
    ) -> None:
        self.root = Path(root)
        self._shard_rows, self._shard_bytes = shard_rows, shard_bytes
        self._flush_seconds = flush_seconds

    def space(self, card: ModelCard, *, kind: Kind, dtype: DType = "float32") -> Space:
        """Open, and if need be make, the space of a model's outputs of one kind.

        Raises
        ------
        StoreError
            If the folder cannot be opened, is another space's, or was written by another version.
        ModelError
            As :func:`space_of`.
        """
        return self.open(space_of(card, kind=kind, dtype=dtype))

    def alike(self, identity: str) -> Iterator[Space]:
        """Open the spaces of the same card and rate that other code filled, the newest first.

        Raises
        ------
        StoreError
            As :meth:`space`.
        """
        own = json.loads(identity)
        found = []
        for path in self.root.glob(f"*/{IDENTITY}"):
            other = _identity_in(path)
            if other is None or other == own:
                continue
            if {**own, "code": 0} == {"sample_rate": own["sample_rate"], **other, "code": 0}:
                found.append(path)
        for path in sorted(found, key=_last_written, reverse=True):
            yield self.open(path.read_text(encoding="utf-8"))

    def folder(self, identity: str) -> Path:
        """Return where the space of this identity is kept, whether it is there or not."""
        return self.root / hashlib.sha256(identity.encode()).hexdigest()

    def spaces(self) -> Iterator[Space]:
        """Open every space that is kept here, e.g. to verify it.

        Raises
        ------
        StoreError
            As :meth:`space`.
        """
        for path in sorted(self.root.glob(f"*/{IDENTITY}")):
            identity = path.read_text(encoding="utf-8", errors="replace")
            if hashlib.sha256(identity.encode()).hexdigest() != path.parent.name:
                raise StoreError(
                    f"{path}: its sha256 is not the folder's name; move the folder away, its rows "
                    f"may be another model's"
                )
            yield self.open(identity)

    def open(self, identity: str) -> Space:
        """Open, and if need be make, the space of an identity; raises `StoreError` as `space`."""
        return Space(
            self.folder(identity),
            identity,
            shard_rows=self._shard_rows,
            shard_bytes=self._shard_bytes,
            flush_seconds=self._flush_seconds,
        )


def _identity_in(path: Path) -> dict[str, Any] | None:
    """Return a space's identity, None where the file holds none or another folder's."""
    try:
        text = path.read_bytes()
        found = json.loads(text)
    except (OSError, ValueError):
        return None
    whole = hashlib.sha256(text).hexdigest() == path.parent.name
    return found if whole and isinstance(found, dict) else None


def _last_written(path: Path) -> float:
    return max(one.stat().st_mtime for one in path.parent.iterdir())
