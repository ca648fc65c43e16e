"""Text to words to the mean of frozen word vectors.

Words
-----
The released code needs NLTK, its data and ``contractions``; :func:`split_words` is plain and needs
nothing. In order: Unicode NFC; typographic apostrophes made straight; ``n't``, ``'re``, ``'ve``,
``'ll``, ``'m``, ``'d`` spelled out and the ``'s`` of possessives dropped; everything that is no
letter, mark or number parts words, so hyphens split and punctuation goes. Case is kept. Scripts
written without spaces give one word a phrase.

A word is looked up as it is, then in lower case; else it is ``<UNK>``, which has a vector of its
own and counts in the mean, as in the released code. (That code tries a lemma and a stem before it
gives up, and makes named entities ``<UNK>``.) A text without any word is one ``<UNK>``: a mean of
nothing has no direction. Google's word2vec vectors hold no "a", "and", "of" and "to".

Tables of word vectors are read from a word2vec file, or trained on the available captions; both
need gensim (LGPL-2.1-only), which is imported when it is asked for and never before.
"""

from __future__ import annotations

import gzip
import re
import unicodedata
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from earmark.datasets.base import first_ten
from earmark.models.base import ModelError
from earmark.models.support.adapter import require

PADDING, UNKNOWN = "<pad>", "<UNK>"

_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\uff07", "'"))
_CONTRACTIONS = [
    (re.compile(pattern, re.IGNORECASE), spelled)
    for pattern, spelled in (
        (r"\bcan't\b", "can not"),
        (r"\bwon't\b", "will not"),
        (r"\bshan't\b", "shall not"),
        (r"n't\b", " not"),
        (r"'re\b", " are"),
        (r"'ve\b", " have"),
        (r"'ll\b", " will"),
        (r"'m\b", " am"),
        (r"'d\b", " would"),
        (r"'s\b", ""),
    )
]


def split_words(text: str) -> list[str]:
    """Return the words of a text, in order and case kept; see the module's rules.

    >>> split_words("Low-quality: the singer's voice doesn't rise.")
    ['Low', 'quality', 'the', 'singer', 'voice', 'does', 'not', 'rise']
    """
    text = unicodedata.normalize("NFC", text).translate(_APOSTROPHES)
    for pattern, spelled in _CONTRACTIONS:
        text = pattern.sub(spelled, text)
    kept = (char if unicodedata.category(char)[0] in "LMN" else " " for char in text)
    return "".join(kept).split()


@dataclass(frozen=True, slots=True)
class Words:
    """Texts as rows of the table of word vectors."""

    ids: Tensor
    """Shape ``(n_texts, n_words)``, int64, padded with 0."""
    lengths: Tensor
    """Shape ``(n_texts,)``, int64: words of each text, at least 1."""
    unknown: tuple[tuple[str, ...], ...]
    """The words of each text that have no vector."""


class Vocabulary:
    """The words of a table of word vectors, in the order of its rows."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        self._rows = {word: row for row, word in enumerate(self.words)}
        if not self.words or self.words[0] != PADDING or UNKNOWN not in self._rows:
            raise ModelError(
                f"a vocabulary begins with {PADDING!r} and holds {UNKNOWN!r}; got "
                f"{len(self.words)} words beginning with {list(self.words[:3])}"
            )
        if len(self._rows) < len(self.words):
            twice = next(word for row, word in enumerate(self.words) if self._rows[word] != row)
            raise ModelError(f"the vocabulary holds the word {twice!r} twice")
        self.unknown_row = self._rows[UNKNOWN]

    def __len__(self) -> int:
        return len(self.words)

    def look_up(self, texts: Sequence[str]) -> Words:
        """Split texts into words and find their rows."""
        if isinstance(texts, str):
            raise ModelError(f"expected a list of texts, got the one text {texts[:40]!r}")
        rows: list[list[int]] = []
        unknown: list[tuple[str, ...]] = []
        for index, text in enumerate(texts):
            if not isinstance(text, str):
                raise ModelError(f"text {index} is {text!r}, expected a str")
            words = split_words(text)
            found = [self._rows.get(word, self._rows.get(word.lower())) for word in words]
            unknown.append(
                tuple(word for word, row in zip(words, found, strict=True) if row is None)
            )
            own = [self.unknown_row if row is None else row for row in found]
            rows.append(own or [self.unknown_row])
        longest = max(map(len, rows), default=1)
        ids = torch.zeros(len(rows), longest, dtype=torch.int64)
        for row, own in zip(ids, rows, strict=True):
            row[: len(own)] = torch.tensor(own)
        return Words(
            ids, torch.tensor([len(own) for own in rows], dtype=torch.int64), tuple(unknown)
        )


class WordMean(nn.Module):
    """The mean of a text's word vectors; the table is frozen, so nothing here learns."""

    def __init__(self, vectors: Tensor) -> None:
        super().__init__()
        # The nesting gives the name in the released weights: word_enc.embedding.weight.
        table = nn.Embedding(len(vectors), vectors.shape[1], _weight=vectors, _freeze=True)
        self.word_enc = nn.ModuleDict({"embedding": table})

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return shape ``(n_texts, dimension)`` from ids ``(n_texts, n_words)``."""
        vectors: Tensor = self.word_enc["embedding"](ids)
        words = torch.arange(ids.shape[1], device=ids.device) < lengths.unsqueeze(1)
        return (vectors * words.unsqueeze(-1)).sum(dim=1) / lengths.unsqueeze(1)


Kind = Literal["text", "binary"]

_GZIP, _PICKLE = b"\x1f\x8b", b"\x80"
_LONGEST_LINE = 1 << 20


@dataclass(frozen=True)
class WordVectors:
    """A table of word vectors: row 0 is ``<pad>`` and 0, and ``<UNK>`` has a row of its own."""

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
    path: Path, *, texts: Iterable[str] | None = None, seed: int = 16
) -> WordVectors:
    """Read word2vec's format, text or binary, gzipped or not.

    Parameters
    ----------
    path
        E.g. ``GoogleNews-vectors-negative300.bin.gz``.
    texts
        If given, only words that occur in them are kept, as the released code does with all
        captions; any other word is then unknown.
    seed
        Of the vector of ``<UNK>``, drawn with each column's mean and standard deviation.

    Raises
    ------
    ModelError
        If the file is missing, damaged, of another format, or a pickle.
    """
    kind = _kind_of(path)
    models = _gensim_models()
    try:
        keyed = models.KeyedVectors.load_word2vec_format(
            str(path), binary=kind == "binary", unicode_errors="replace"
        )
    except Exception as error:  # damaged files raise whatever the reader stumbles on
        raise ModelError(f"{path}: damaged word vectors ({kind}): {error}") from error
    words, vectors = keyed.index_to_key, keyed.vectors
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
    texts: Sequence[str], *, dimension: int = 300, epochs: int = 20, seed: int = 16
) -> WordVectors:
    """Train word2vec (skip-gram) on texts, in lower case: equal texts give equal vectors.

    A few hundred captions give poor vectors; state what they were trained on.

    Raises
    ------
    ModelError
        If there is no word.
    """
    sentences = [[word.lower() for word in split_words(text)] for text in texts]
    if not any(sentences):
        raise ModelError(f"no word in {len(texts)} texts to train word vectors on")
    # Several threads would share the vectors without locks: no two runs would agree.
    trained = _gensim_models().Word2Vec(
        sentences,
        vector_size=dimension,
        window=5,
        epochs=epochs,
        min_count=1,
        sg=1,
        seed=seed,
        workers=1,
    )
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
        raise ModelError(
            f"{path} is gensim's native format, a pickle, which can run any code when read; save "
            f"it with save_word2vec_format"
        )
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
