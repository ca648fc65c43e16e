"""Saving and loading: Earmark's folders, and the files that the released code writes.

A folder holds ``config.json``, ``model.safetensors`` and ``vocabulary.json``. The released code
writes a tuple ``(model_state_dict, optimizer_state_dict)`` by ``torch.save``; it is read without
running any code that a file may hold. Such a file has no words: ``vocabulary`` gives them in the
order of the rows, which for the released code is ``["<pad>", *word2vec_embeds]``, the keys of its
``word2vec_embeds.pkl``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from earmark.datasets.base import first_ten
from earmark.datasets.files.config_files import validated
from earmark.models.base import ModelError
from earmark.models.dcase.config import DCASEConfig
from earmark.models.dcase.model import DCASE
from earmark.models.dcase.text import Vocabulary, WordVectors
from earmark.models.support.weights import check_weights, read_safetensors, read_torch, tensors_of

_FORMAT = "earmark-dcase-1"
_TABLE = "text_enc.word_enc.embedding.weight"
_SCALE = "logit_scale"


def save(model: DCASE, folder: Path) -> None:
    """Write a model with its words into a folder, which :func:`load` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    words = None if model.vocabulary is None else list(model.vocabulary.words)
    config = {"format": _FORMAT, **asdict(model.config)}
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    (folder / "vocabulary.json").write_text(json.dumps(words), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def load(
    path: Path,
    *,
    vocabulary: Sequence[str] | Path | None = None,
    config: DCASEConfig | None = None,
) -> DCASE:
    """Load a model, in evaluation mode and on the CPU.

    Parameters
    ----------
    path
        A folder of :func:`save`, or a checkpoint of the released code: the file, or the folder
        ``checkpoint_<n>`` that Ray Tune puts it in.
    vocabulary
        For a released checkpoint: its words in the order of the rows, or a JSON file that lists
        them. None: the model encodes audio and refuses text.
    config
        For a released checkpoint: its front end, where it is not the default. The dimension
        is the weights' own.

    Raises
    ------
    ModelError
        If the file is missing, truncated, holds pickled code, is of another model (missing and
        unexpected names are listed), or the vocabulary is not the table's.
    """
    if (path / "config.json").is_file():
        if vocabulary is not None or config is not None:
            raise ModelError(f"{path} has its own vocabulary and config: pass neither to load it")
        return _load_folder(path)
    if path.is_dir():
        path = path / "checkpoint"
    state = _read_released(path)
    if isinstance(vocabulary, Path):
        words: Sequence[str] | None = _read_words(vocabulary)
        if words is None:
            raise ModelError(f"{vocabulary}: null, expected a JSON list of words")
    else:
        words = vocabulary
    config = replace(
        config or DCASEConfig(),
        dimension=_table(path, state).shape[1],
        objective="contrastive" if _SCALE in state else "triplet",
    )
    return _fill(path, state, config, words)


def _load_folder(folder: Path) -> DCASE:
    content = _read_json(folder / "config.json")
    if not isinstance(content, dict) or content.pop("format", None) != _FORMAT:
        raise ModelError(f"{folder / 'config.json'}: not a {_FORMAT} config; save the model again")
    of = str(folder / "config.json")
    if "front_end" not in content:
        raise ModelError(f"{of}: front_end is missing")
    config = validated(DCASEConfig, content, of=of, error=ModelError)
    weights = folder / "model.safetensors"
    state, _ = read_safetensors(weights)
    words = _read_words(folder / "vocabulary.json")
    return _fill(weights, state, config, words)


def _read_released(path: Path) -> Mapping[str, Tensor]:
    content = read_torch(path)
    if not (isinstance(content, tuple) and len(content) == 2 and isinstance(content[0], dict)):
        raise ModelError(
            f"{path}: expected a tuple (model_state_dict, optimizer_state_dict), got "
            f"{type(content).__name__}"
        )
    return tensors_of(content[0], path)


def _fill(
    path: Path, state: Mapping[str, Tensor], config: DCASEConfig, words: Sequence[str] | None
) -> DCASE:
    table = _table(path, state)
    vocabulary = None if words is None else Vocabulary(words)
    if vocabulary is not None:
        WordVectors(vocabulary, table)  # raises if the two do not fit
    model = DCASE(table, vocabulary, config)
    expected = {name: value.shape for name, value in model.state_dict().items()}
    fix = "They are of another architecture; a released checkpoint's front end is given as config"
    check_weights(state, expected, path=path, of="the DCASE baseline", fix=fix)
    model.load_state_dict(state)
    return model.eval()


def _table(path: Path, state: Mapping[str, Tensor]) -> Tensor:
    table = state.get(_TABLE)
    if table is None or table.ndim != 2:
        raise ModelError(
            f"{path}: no table {_TABLE!r} of word vectors; not a checkpoint of the DCASE baseline, "
            f"whose names begin with audio_enc and text_enc: found {first_ten(sorted(state))}"
        )
    return table


def _read_words(path: Path) -> list[str] | None:
    words = _read_json(path)
    if words is None:  # as a model that was loaded without its words is saved
        return None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ModelError(f"{path}: expected a JSON list of words in the order of the rows")
    return words


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: missing, or not JSON: {error}") from error
