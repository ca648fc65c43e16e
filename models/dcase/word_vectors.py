"""Tables of word vectors: read from a word2vec file, or trained on the captions at hand.

Both need gensim (LGPL-2.1-only), which is imported when it is asked for and never before.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earmark.datasets.base import first_ten
from earmark.models.base import ModelError
from earmark.models.dcase.text import PADDING, UNKNOWN, Vocabulary, split_words
from earmark.models.support.adapter import require

Kind = Literal["text", "binary", "native"]

_GZIP, _PICKLE = b"\x1f\x8b", b"\x80"
_LONGEST_LINE = 1 << 20


@dataclass(frozen=True)
class WordVectors:
    """A table of word vectors: row 0 is ``<pad>`` and 0, and ``<UNK>`` has a row of its own.

    Raises
    ------
    ModelError
        If rows and words differ in number, a value is not finite, or ``<UNK>`` is all 0, which
        would leave a text without a known word without a direction.
    """

    vocabulary: Vocabulary
    vectors: Tensor
    """Shape ``(n_words, dimension)``, float32."""

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.vocabulary):
            raise ModelError(
                f"{len(self.vocabulary)} words have vectors of shape {tuple(self.vectors.shape)}, "
                f"expected ({len(self.vocabulary)}, dimension)"
            )
        broken = ~torch.isfinite(self.vectors).all(dim=1)
        if broken.any():
            words = [self.vocabulary.words[row] for row in broken.nonzero().flatten().tolist()]
            raise ModelError(f"word vectors that are not finite: {first_ten(words)}")
        if not self.vectors[self.vocabulary.unknown_row].any():
            raise ModelError(f"the vector of {UNKNOWN} is all 0, so that it has no direction")

    @property
    def dimension(self) -> int:
        """Length of a word's vector."""
        return self.vectors.shape[1]


def read_word_vectors(
    path: Path,
    *,
    texts: Iterable[str] | None = None,
    limit: int | None = None,
    seed: int = 16,
    allow_pickle: bool = False,
) -> WordVectors:
    """Read gensim's ``KeyedVectors``: word2vec text or binary, gzipped or not, or native.

    Parameters
    ----------
    path
        E.g. ``GoogleNews-vectors-negative300.bin.gz``.
    texts
        If given, only words that occur in them are kept, as the released code does with all
        captions; any other word is then unknown.
    limit
        Read only the first rows, which are the most frequent words.
    seed
        Of the vector of ``<UNK>``, drawn with each column's mean and standard deviation.
    allow_pickle
        Read gensim's native format, a pickle: it can run any code, so only from a source you trust.

    Raises
    ------
    ModelError
        If the file is missing, damaged, of another format, or a pickle and not allowed.
    """
    kind = _kind_of(path)
    if kind == "native" and not allow_pickle:
        raise ModelError(
            f"{path} is gensim's native format, a pickle, which can run any code when read; pass "
            "allow_pickle=True if you trust its source, or save it with save_word2vec_format"
        )
    models = _gensim_models()
    try:
        if kind == "native":
            keyed = models.KeyedVectors.load(str(path))
            keyed = getattr(keyed, "wv", keyed)
        else:
            keyed = models.KeyedVectors.load_word2vec_format(
                str(path), binary=kind == "binary", limit=limit, unicode_errors="replace"
            )
        words, vectors = keyed.index_to_key[:limit], keyed.vectors[:limit]
    except Exception as error:  # damaged files raise whatever the reader stumbles on
        raise ModelError(f"{path}: damaged word vectors ({kind}): {error}") from error
    if kind == "text" and vectors.shape[1] > 1:
        # gensim spreads the one value of a line that was cut over the whole vector.
        cut = (vectors == vectors[:, :1]).all(axis=1) & vectors.any(axis=1)
        if cut.any():
            names = [words[row] for row in np.flatnonzero(cut)]
            raise ModelError(
                f"{path}: damaged word vectors (text): one value for {first_ten(names)}"
            )
    if texts is not None:
        wanted = {form for text in texts for word in split_words(text) for form in _forms(word)}
        kept = [row for row, word in enumerate(words) if word in wanted]
        if not kept:
            raise ModelError(f"{path}: none of its {len(words):,} words occurs in the texts")
        words, vectors = [words[row] for row in kept], vectors[kept]
    return _with_special_rows(words, vectors, seed=seed)


def train_word_vectors(
    texts: Sequence[str],
    *,
    dimension: int = 300,
    window: int = 5,
    epochs: int = 20,
    minimum_count: int = 1,
    skip_gram: bool = True,
    seed: int = 16,
) -> WordVectors:
    """Train word2vec on texts, in lower case, by one thread: equal texts give equal vectors.

    A few hundred captions give poor vectors; state what they were trained on.

    Raises
    ------
    ModelError
        If no word occurs ``minimum_count`` times.
    """
    sentences = [[word.lower() for word in split_words(text)] for text in texts]
    words = {word for sentence in sentences for word in sentence}
    if not words:
        raise ModelError(f"no word in {len(texts)} texts to train word vectors on")
    models = _gensim_models()
    try:
        # Several threads would share the vectors without locks: no two runs would agree.
        trained = models.Word2Vec(
            sentences,
            vector_size=dimension,
            window=window,
            epochs=epochs,
            min_count=minimum_count,
            sg=int(skip_gram),
            seed=seed,
            workers=1,
        )
    except RuntimeError as error:
        raise ModelError(
            f"none of the {len(words)} words of {len(texts)} texts occurs {minimum_count} times"
        ) from error
    return _with_special_rows(trained.wv.index_to_key, trained.wv.vectors, seed=seed)


def _forms(word: str) -> tuple[str, str]:
    return word, word.lower()


def _with_special_rows(
    words: Sequence[str], vectors: NDArray[np.float32], *, seed: int
) -> WordVectors:
    # No text can hold these two as a word, so nothing is lost.
    rows = [row for row, word in enumerate(words) if word not in (PADDING, UNKNOWN)]
    vectors = np.asarray(vectors, np.float32)[rows]
    mean, deviation = vectors.mean(axis=0), vectors.std(axis=0)
    unknown = mean + deviation * np.random.default_rng(seed).standard_normal(vectors.shape[1])
    table = np.vstack([np.zeros_like(mean), vectors, unknown]).astype(np.float32)
    vocabulary = Vocabulary([PADDING, *(words[row] for row in rows), UNKNOWN])
    return WordVectors(vocabulary, torch.from_numpy(table))


def _kind_of(path: Path) -> Kind:
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == _GZIP
        with gzip.open(path) if zipped else path.open("rb") as file:
            header, first = file.readline(_LONGEST_LINE), file.readline(_LONGEST_LINE)
    except FileNotFoundError as error:
        raise ModelError(f"no file of word vectors {path}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise ModelError(f"{path}: damaged word vectors: {error}") from error
    if header.startswith(_PICKLE):
        return "native"
    sizes = re.fullmatch(rb"(\d+) (\d+)\s*", header)
    if not sizes or int(sizes[1]) == 0 or int(sizes[2]) == 0:
        raise ModelError(
            f"{path}: expected word vectors whose first line is '<words> <dimension>', got "
            f"{header[:40]!r}"
        )
    try:
        values = [float(value) for value in first.split()[1:]]
    except ValueError:
        return "binary"
    return "text" if len(values) == int(sizes[2]) else "binary"


def _gensim_models() -> Any:
    return require("gensim.models", extra="word2vec", of="the word vectors (LGPL-2.1-only)")
