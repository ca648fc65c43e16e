"""Embeddings in files as a model, so that what needs embeddings alone needs no model here.

Layout
------
``.npz`` with an array of names and one of numbers, ``embeddings``, shape ``(n_items, dimension)``:

* of audio: ``ids`` (or ``songids``), the ids of clips as the dataset has them; no clip is decoded.
* of texts: ``texts``, the captions, prompts or labels themselves, character by character.

Vectors are brought to unit length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from earmark.datasets.audio import Waveform, file_digest
from earmark.datasets.base import fingerprint, first_ten
from earmark.datasets.files.names import did_you_mean
from earmark.models.base import Floats, ModelCard, ModelError
from earmark.models.support.adapter import check_texts, unit_vectors


class KeptAudio:
    """Vectors of clips by id."""

    sample_rate: int | None = None

    def __init__(
        self, card: ModelCard, rows: Mapping[str, Floats], *, allow_missing: bool = False
    ) -> None:
        self.card = card
        self._rows = rows
        self._allow_missing = allow_missing
        self.dimension = len(next(iter(rows.values())))

    def rows_of(self, ids: Sequence[str]) -> dict[str, Floats]:
        """Return the unit vector, ``(dimension,)``, of each id that has one.

        Raises
        ------
        ModelError
            If one has none, and all must; or if none has one.
        """
        found = {name: self._rows[name] for name in ids if name in self._rows}
        absent = [name for name in ids if name not in found]
        if absent and not (found and self._allow_missing):
            near = did_you_mean(absent[0], self._rows)
            hint = "; allow_missing = true leaves them out for every model" if found else ""
            raise ModelError(
                f"{self.card.id}: no embedding of {len(absent):,} of {len(ids):,} clips: "
                f"{first_ten(absent)}.{near} The file has {first_ten(list(self._rows)[:3])}{hint}"
            )
        return found

    def embed_audio(self, clips: Sequence[Waveform]) -> Floats:
        """Refuse: what is in a file is found by the ids of clips, not by what they sound like."""
        raise ModelError(f"{self.card.id} holds embeddings by id and processes no audio")


class KeptPairs(KeptAudio):
    """Vectors of clips by id, and of texts by themselves, in one space."""

    def __init__(
        self,
        card: ModelCard,
        rows: Mapping[str, Floats],
        texts: Mapping[str, Floats],
        *,
        allow_missing: bool = False,
    ) -> None:
        super().__init__(card, rows, allow_missing=allow_missing)
        self._texts = texts
        if (of_texts := len(next(iter(texts.values())))) != self.dimension:
            raise ModelError(
                f"{card.id}: embeddings of audio have {self.dimension} dimensions and those of "
                f"texts {of_texts}, expected one space"
            )

    def embed_text(self, texts: Sequence[str]) -> Floats:
        """Return unit vectors of shape ``(n_texts, dimension)``.

        Raises
        ------
        ModelError
            If the file has no embedding of a text.
        """
        check_texts(texts)
        if absent := [text for text in texts if text not in self._texts]:
            near = did_you_mean(absent[0], self._texts)
            named = first_ten([repr(text) for text in absent])
            raise ModelError(f"{self.card.id}: no embedding of {named}{near}")
        if not texts:
            return np.empty((0, self.dimension), np.float32)
        return np.stack([self._texts[text] for text in texts])


def kept_embeddings(
    audio: str,
    *,
    text: str | None = None,
    id: str | None = None,
    licence: str = "not stated",
    citation: str = "",
    training_datasets: Sequence[str] = (),
    allow_missing: bool = False,
) -> KeptAudio | KeptPairs:
    """Open embeddings that were computed elsewhere.

    Parameters
    ----------
    audio
        npz of ``ids`` and ``embeddings``: those of the dataset's clips.
    text
        npz of ``texts`` and ``embeddings``, in the same space; for retrieval and zero-shot tasks.
    id
        Name of the model; by default the file's.
    licence
        Of the embeddings.
    citation
        BibTeX of the model.
    training_datasets
        Ids of the datasets that the model has seen, so that contamination is flagged.
    allow_missing
        Leave out clips that have no embedding, for every model of the task, instead of refusing.

    Raises
    ------
    ModelError
        If a file is not laid out so, or holds what is no direction.
    """
    files = [Path(audio), *([] if text is None else [Path(text)])]
    rows = _read(files[0], ("ids", "songids"))
    card = ModelCard(
        id=id or files[0].stem,
        version="1",
        weights_digest=fingerprint(file_digest(path) for path in files),
        licence=licence,
        citation=citation,
        training_datasets=tuple(training_datasets),
        crop_policy="as the embeddings were computed",
        preprocessing={"embeddings": files[0].name, "texts": files[1].name if text else ""},
        notes=("embeddings from a file: what made them was not run here",),
    )
    if text is None:
        return KeptAudio(card, rows, allow_missing=allow_missing)
    return KeptPairs(card, rows, _read(files[1], ("texts",)), allow_missing=allow_missing)


def _read(path: Path, names: Sequence[str]) -> dict[str, Floats]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file.items())
    except (OSError, ValueError, EOFError, AttributeError, TypeError) as error:
        raise ModelError(f"{path} is not an .npz file that can be read: {error}") from error
    key = next((name for name in names if name in arrays), None)
    if key is None or "embeddings" not in arrays:
        there = ", ".join(arrays) or "nothing"
        raise ModelError(f"{path}: expected arrays {names[0]} and embeddings, found {there}")
    ids, table = [str(one) for one in arrays[key].ravel()], arrays["embeddings"]
    if table.ndim != 2 or len(table) != len(ids) or not table.size:
        raise ModelError(
            f"{path}: embeddings have shape {table.shape} for {len(ids)} {key}, expected "
            f"({len(ids)}, dimension)"
        )
    rows = unit_vectors(table, dimension=table.shape[1], of=f"{path}: row")
    if len(set(ids)) < len(ids):
        twice = first_ten(sorted({name for name in ids if ids.count(name) > 1}))
        raise ModelError(f"{path}: more than one embedding of {twice}")
    return dict(zip(ids, rows, strict=True))
