"""Byte-pair tokenisers of CLIP's kind: from CLIP's file, from a folder, or trained on captions.

Conventions
-----------
A text becomes ``start, pieces..., end`` and is padded with **0** to ``context_length`` (77).
CLIP's own vocabulary gives 0 to the piece ``!``; that is harmless, because a text encoder of
this kind reads the hidden state at the end token and attends backwards only. The end token has
the highest id of the vocabulary, so that ``ids.argmax()`` finds it.

A text that is too long loses pieces from its end; the end token is kept at the last place and
:attr:`Tokens.truncated` says how many pieces were lost. Text is put in Unicode's NFC, white space
is collapsed, and letters are lowered, as in CLIP; HTML entities are not undone (``ftfy`` is not
used). Every byte is in the vocabulary, so that no text is unknown: control characters are pieces
like any other, an empty text is ``start, end``, and a lone surrogate, which is not a character,
is read as U+FFFD. A special token that is *written in* a text is text, not a token.

References
----------
.. [1] R. Sennrich, B. Haddow, A. Birch, "Neural machine translation of rare words with subword
       units", ACL 2016, section 3.2.
.. [2] A. Radford et al., "Learning transferable visual models from natural language
       supervision", ICML 2021, section 2.4.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.registry import naming_file
from earmark.models.base import ModelError
from earmark.models.support.adapter import require

if TYPE_CHECKING:
    from tokenizers import Tokenizer

START, END = "<|startoftext|>", "<|endoftext|>"
CONTEXT_LENGTH = 77
CLIP_MERGES = 48_894
"""Merges of CLIP's file that CLIP uses: 49,408 ids less 512 byte pieces and 2 special tokens."""

_WORD_END = "</w>"
_PIECES = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_PIPELINE = "clip-bpe-1"  # raised whenever the same vocabulary would give other ids
_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST_CONTEXT = 100_000  # beyond it a folder's model_max_length says "no limit"

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token ids of texts, and what was lost in making them."""

    ids: Integers
    """Shape ``(n_texts, context_length)``, padded with 0."""
    lengths: Integers
    """Shape ``(n_texts,)``: tokens of each text with start and end, at most ``context_length``."""
    truncated: Integers
    """Shape ``(n_texts,)``: pieces that each text lost; 0 where it fitted."""


class BPETokenizer:
    """A byte-pair tokeniser: texts to ids ``(n_texts, context_length)``.

    Parameters
    ----------
    vocabulary
        Every piece and its id, 0 to ``len(vocabulary) - 1``; the end token has the last.
    merges
        Pairs of pieces in the order in which they are merged.
    context_length
        Tokens of a text with start and end.

    Raises
    ------
    ModelError
        If the ids are not 0, 1, ..., a byte or a special token is missing, or a merge makes a
        piece that the vocabulary lacks.
    """

    def __init__(
        self,
        vocabulary: Mapping[str, int],
        merges: Sequence[tuple[str, str]],
        *,
        context_length: int = CONTEXT_LENGTH,
    ) -> None:
        if context_length < 3:
            raise ModelError(f"a context of {context_length} tokens holds no text, expected >= 3")
        _check_vocabulary(vocabulary)
        self.context_length = context_length
        self.start, self.end = vocabulary[START], vocabulary[END]
        self._pieces = sorted(vocabulary, key=vocabulary.__getitem__)
        self._merges = [tuple(pair) for pair in merges]
        self._tokenizer = _pipeline(vocabulary, merges)

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, the special tokens among them."""
        return len(self._pieces)

    @property
    def digest(self) -> str:
        """The sha256 of all that decides the ids, for a model's card."""
        content = [_PIPELINE, self.context_length, self._pieces, self._merges]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def encode(self, texts: Sequence[str]) -> Tokens:
        """Return the token ids of texts; see the module's conventions.

        Raises
        ------
        ModelError
            If ``texts`` is a single string or holds something else than strings.
        """
        if isinstance(texts, str):
            raise ModelError(f"encode takes a list of texts, got the one text {texts[:40]!r}")
        for index, text in enumerate(texts):
            if not isinstance(text, str):
                raise ModelError(f"text {index} is {text!r}, expected a str")
        readable = [_SURROGATE.sub("\ufffd", text) for text in texts]
        pieces = [each.ids for each in self._tokenizer.encode_batch(readable)]
        room = self.context_length - 2
        ids = np.zeros((len(pieces), self.context_length), np.int64)
        for row, own in zip(ids, pieces, strict=True):
            tokens = [self.start, *own[:room], self.end]
            row[: len(tokens)] = tokens
        counts = np.array([len(own) for own in pieces], np.int64)
        return Tokens(ids, np.minimum(counts, room) + 2, np.maximum(counts - room, 0))

    def save(self, folder: Path) -> None:
        """Write ``vocab.json``, ``merges.txt`` and ``tokenizer_config.json`` into a folder.

        The files have the names and the content that Hugging Face's ``CLIPTokenizer`` reads.
        """
        folder.mkdir(parents=True, exist_ok=True)
        vocabulary = {piece: index for index, piece in enumerate(self._pieces)}
        config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": self.context_length}
        merges = "".join(f"{first} {second}\n" for first, second in self._merges)
        files = {
            "vocab.json": json.dumps(vocabulary, ensure_ascii=False),
            "merges.txt": f"#version: 0.2\n{merges}",
            "tokenizer_config.json": json.dumps(config, indent=2) + "\n",
        }
        for name, content in files.items():
            (folder / name).write_text(content, encoding="utf-8", newline="\n")

    @classmethod
    def from_clip_file(cls, path: Path, *, context_length: int = CONTEXT_LENGTH) -> Self:
        """Read CLIP's ``bpe_simple_vocab_16e6.txt``, gzipped or not: start 49406, end 49407.

        Raises
        ------
        ModelError
            If the file is missing, damaged or not such a list.
        """
        lines = _read_lines(path)
        if "#version" not in lines[0] or len(lines) <= CLIP_MERGES:
            raise ModelError(
                f"{path}: expected CLIP's bpe_simple_vocab_16e6.txt.gz, a line with '#version' and "
                f"at least {CLIP_MERGES:,} merges; found {len(lines):,} lines, the first "
                f"{lines[0][:60]!r}"
            )
        merges = _parse_merges(path, lines[: CLIP_MERGES + 1])
        pieces = [*_byte_pieces(), *(first + second for first, second in merges), START, END]
        vocabulary = {piece: index for index, piece in enumerate(pieces)}
        if len(vocabulary) < len(pieces):
            raise ModelError(f"{path}: two merges make the same piece; the file is damaged")
        return cls._read(path, vocabulary, merges, context_length)

    @classmethod
    def from_folder(cls, folder: Path, *, context_length: int | None = None) -> Self:
        """Read ``vocab.json`` and ``merges.txt``, or ``tokenizer.json``, of a folder.

        ``context_length`` None takes ``model_max_length`` of ``tokenizer_config.json``, or 77.

        Raises
        ------
        ModelError
            If the files are missing, damaged, or of a tokeniser that is not CLIP's kind.
        """
        vocab, merges, whole = (
            folder / name for name in ("vocab.json", "merges.txt", "tokenizer.json")
        )
        if vocab.is_file() and merges.is_file():
            table, pairs = _read_json(vocab), _parse_merges(merges, _read_lines(merges))
            source = vocab
        elif whole.is_file():
            table, pairs = _parse_tokenizer_json(whole)
            source = whole
        else:
            found = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
            raise ModelError(
                f"no tokeniser in {folder}: expected vocab.json and merges.txt, or tokenizer.json, "
                f"found {', '.join(found[:10]) or 'nothing'}"
            )
        return cls._read(source, table, pairs, context_length or _context_length(folder))

    @classmethod
    def from_hub(cls, repository: str, *, revision: str | None = None) -> Self:
        """Download a tokeniser from the Hugging Face hub, or take it from the local cache.

        ``revision`` is a commit, tag or branch. Never called unless a hub was asked for; where a
        file names the repository, the cache alone is looked into.

        Raises
        ------
        ModelError
            If the hub cannot be reached and the cache does not hold it, or as
            :meth:`from_folder`.
        """
        hub = _require("huggingface_hub")
        names = ["vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json"]
        try:
            folder = hub.snapshot_download(
                repository,
                revision=revision,
                allow_patterns=names,
                local_files_only=naming_file() is not None,
            )
        except Exception as error:  # the hub's client raises errors of many libraries
            raise ModelError(
                f"tokeniser {repository!r} could not be had from the hub, nor from its cache "
                f"({type(error).__name__}: {str(error)[:200]}); offline, give a folder with "
                "vocab.json and merges.txt, or CLIP's vocabulary file"
            ) from error
        return cls.from_folder(Path(folder))

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        *,
        vocabulary_size: int,
        context_length: int = CONTEXT_LENGTH,
    ) -> Self:
        """Train byte-pair merges [1]_ on texts; the same texts in any order give the same ids.

        The vocabulary is smaller than ``vocabulary_size`` where the texts have no pair of pieces
        left to merge. It is laid out as CLIP's: bytes, merges, start, end.

        Raises
        ------
        ModelError
            If ``vocabulary_size`` has no room for a merge beside bytes and special tokens, or the
            texts hold nothing to merge.
        """
        base = _byte_pieces()
        if vocabulary_size <= len(base) + 2:
            raise ModelError(
                f"vocabulary_size {vocabulary_size} must exceed {len(base) + 2}, the byte pieces "
                "and the special tokens"
            )
        library = _require("tokenizers")
        # Without fixed ids for the base, the trainer numbers it in the order of a randomly seeded
        # hash map and breaks ties of merges by those numbers: no two runs would agree.
        trainer = library.trainers.BpeTrainer(
            vocab_size=vocabulary_size - 2,
            min_frequency=2,
            special_tokens=base,
            end_of_word_suffix=_WORD_END,
            show_progress=False,
        )
        blank = _pipeline({piece: index for index, piece in enumerate(base)}, [])
        blank.train_from_iterator((_SURROGATE.sub("\ufffd", text) for text in texts), trainer)
        model = json.loads(blank.to_str())["model"]
        pieces = [*sorted(model["vocab"], key=model["vocab"].__getitem__), START, END]
        merges = [_pair(merge) for merge in model["merges"]]
        if not merges:
            raise ModelError("no pair of pieces occurs twice in the texts: nothing to train on")
        vocabulary = {piece: index for index, piece in enumerate(pieces)}
        return cls(vocabulary, merges, context_length=context_length)

    @classmethod
    def _read(
        cls,
        source: Path,
        vocabulary: Mapping[str, int],
        merges: Sequence[tuple[str, str]],
        context_length: int,
    ) -> Self:
        try:
            return cls(vocabulary, merges, context_length=context_length)
        except ModelError as error:
            raise ModelError(f"{source}: {error}") from error


def _require(name: str) -> Any:
    return require(name, extra="text", of="byte-pair tokenisers")


def _byte_pieces() -> list[str]:
    """Return the 512 pieces every vocabulary begins with: each byte, then each ending a word."""
    # CLIP writes byte 33 as "!" and so on, and moves those that do not print beyond 255;
    # sorted by code point they are in the order of its ids.
    alphabet = sorted(_require("tokenizers").pre_tokenizers.ByteLevel.alphabet())
    return [*alphabet, *(piece + _WORD_END for piece in alphabet)]


def _pipeline(vocabulary: Mapping[str, int], merges: Sequence[tuple[str, str]]) -> Tokenizer:
    library = _require("tokenizers")
    try:
        model = library.models.BPE(dict(vocabulary), list(merges), end_of_word_suffix=_WORD_END)
    except Exception as error:  # the library raises bare Exceptions
        raise ModelError(f"the merges do not fit the vocabulary: {error}") from error
    tokenizer: Tokenizer = library.Tokenizer(model)
    tokenizer.normalizer = library.normalizers.Sequence(
        [
            library.normalizers.NFC(),
            library.normalizers.Replace(library.Regex(r"\s+"), " "),
            library.normalizers.Lowercase(),
        ]
    )
    split = library.pre_tokenizers.Split(library.Regex(_PIECES), behavior="removed", invert=True)
    tokenizer.pre_tokenizer = library.pre_tokenizers.Sequence(
        [split, library.pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return tokenizer


def _check_vocabulary(vocabulary: Mapping[str, int]) -> None:
    if set(vocabulary.values()) != set(range(len(vocabulary))):
        raise ModelError(f"the {len(vocabulary)} ids of the vocabulary are not 0, 1, 2, ...")
    missing = [piece for piece in (START, END, *_byte_pieces()) if piece not in vocabulary]
    if missing:
        raise ModelError(
            f"the vocabulary lacks {len(missing)} pieces that CLIP's has, such as {missing[0]!r}; "
            "a tokeniser of another kind cannot be used here"
        )
    if vocabulary[END] != len(vocabulary) - 1:
        raise ModelError(
            f"{END} has id {vocabulary[END]}, expected the last, {len(vocabulary) - 1}: the text "
            "encoder finds the end of a text by its highest id"
        )


def _read_lines(path: Path) -> list[str]:
    try:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
        lines = content.decode("utf-8").split("\n")
    except FileNotFoundError as error:
        raise ModelError(f"no vocabulary file {path}") from error
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise ModelError(f"{path}: not a list of merges, or damaged: {error}") from error
    return lines[:-1] if len(lines) > 1 and lines[-1] == "" else lines


def _parse_merges(path: Path, lines: Sequence[str]) -> list[tuple[str, str]]:
    merges = []
    for number, line in enumerate(lines, start=1):
        if number == 1 and "#version" in line:
            continue
        pair = line.rstrip("\r").split(" ")
        if len(pair) != 2 or not all(pair):
            raise ModelError(f"{path}:{number}: expected two pieces and a space, got {line[:60]!r}")
        merges.append((pair[0], pair[1]))
    return merges


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: not JSON, or damaged: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: expected a JSON object, got {type(content).__name__}")
    return content


def _parse_tokenizer_json(path: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    model = _read_json(path).get("model")
    if not isinstance(model, dict):
        raise ModelError(f"{path}: no 'model' in it; not a tokenizer.json")
    if model.get("type", "BPE") != "BPE" or model.get("end_of_word_suffix") != _WORD_END:
        raise ModelError(
            f"{path}: a {model.get('type')} model with end_of_word_suffix "
            f"{model.get('end_of_word_suffix')!r}, expected BPE with {_WORD_END!r} as CLIP's"
        )
    try:
        return dict(model["vocab"]), [_pair(merge) for merge in model["merges"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: a damaged BPE model: {error!r}") from error


def _pair(merge: str | Sequence[str]) -> tuple[str, str]:
    # tokenizer.json wrote a merge as "a b" before tokenizers 0.20, and as ["a", "b"] since.
    first, second = merge.split(" ") if isinstance(merge, str) else merge
    return first, second


def _context_length(folder: Path) -> int:
    config = folder / "tokenizer_config.json"
    stated = _read_json(config).get("model_max_length") if config.is_file() else None
    return stated if isinstance(stated, int) and stated <= _LONGEST_CONTEXT else CONTEXT_LENGTH
