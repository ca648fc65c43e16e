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
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from earmark.models.base import ModelError

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
    """The words of a table of word vectors, in the order of its rows.

    Raises
    ------
    ModelError
        If the first word is not ``<pad>``, ``<UNK>`` is missing, or a word occurs twice.
    """

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
        """Split texts into words and find their rows.

        Raises
        ------
        ModelError
            If ``texts`` is a single string or holds something else than strings.
        """
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
