"""The DCASE 2022 task 6b baseline as a joint model: weights, words, crop and card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from earmark.datasets.audio import file_digest
from earmark.datasets.base import fingerprint
from earmark.models.base import UNTRAINED, Floats, ModelCard, ModelError, Plain
from earmark.models.dcase.checkpoint import load
from earmark.models.dcase.config import DCASEConfig
from earmark.models.dcase.model import DCASE
from earmark.models.dcase.text import WordVectors, read_word_vectors, train_word_vectors
from earmark.models.support.adapter import (
    RESAMPLER,
    JointAdapter,
    pick_device,
    read_texts,
)
from earmark.models.support.crops import CropPolicy
from earmark.models.support.exported import TrainingLog, read_card, read_log, with_origin

CITATION = """@inproceedings{xie2022language,
  author = {Xie, Huang and Lipping, Samuel and Virtanen, Tuomas},
  title = {Language-Based Audio Retrieval Task in {DCASE} 2022 Challenge},
  booktitle = {Detection and Classification of Acoustic Scenes and Events Workshop (DCASE)},
  year = {2022}
}"""


class JointDCASE(JointAdapter):
    """A DCASE baseline with its words; a text may have any length, and none without words."""

    # How sums of word vectors round depends on the padding beside them.
    texts_at_once = 1

    def __init__(
        self,
        model: DCASE,
        *,
        crop: CropPolicy,
        card: ModelCard,
        device: torch.device,
        training_log: TrainingLog | None = None,
    ) -> None:
        self.model = model.eval().to(device)
        super().__init__(
            sample_rate=model.config.front_end.sample_rate,
            dimension=model.config.dimension,
            crop=crop,
            card=card,
            device=device,
            training_log=training_log,
        )

    def _encode_audio(self, crops: Floats) -> Floats:
        return np.asarray(self.model.encode_audio(torch.from_numpy(crops)).cpu().numpy())

    def _encode_text(self, texts: list[str]) -> Floats:
        return np.asarray(self.model.encode_text(texts).cpu().numpy())


def dcase(
    *,
    weights: str,
    vocabulary: str | None = None,
    word_vectors: str | None = None,
    captions: str | None = None,
    seed: int = 0,
    crop: str = "whole",
    device: str = "auto",
    licence: str | None = None,
    training_datasets: Sequence[str] = (),
) -> JointDCASE:
    """Return a DCASE baseline.

    Parameters
    ----------
    weights
        A folder that Earmark saved or exported, a checkpoint of the released code, or ``random``:
        untrained.
    vocabulary
        For a released checkpoint: a JSON list of its words in the order of the rows.
    word_vectors
        A file of word2vec vectors, text or binary, which take the place of a checkpoint's own:
        right only if those were the same vectors. Untrained weights need them, or ``captions``.
    captions
        A ``.txt`` or ``.csv`` file of texts (:func:`earmark.models.support.adapter.read_texts`) to
        train word vectors on, for untrained weights.
    seed
        What untrained weights are drawn with.
    crop
        A policy of :mod:`earmark.models.support.crops`; the released code hears the whole clip.
    device
        ``cpu``, ``cuda`` or ``auto``.
    licence, training_datasets
        Of a checkpoint, for the card; by default those of an exported folder.

    Raises
    ------
    ModelError
        If something is not found, damaged, or the parts do not fit each other.
    """
    policy = CropPolicy.parse(crop)
    if weights == "random":
        if vocabulary is not None:
            raise ModelError("dcase: a vocabulary is of a checkpoint; random weights have none")
        model = _untrained(_words(word_vectors, captions), seed)
        card = _card(model, policy, id=f"dcase-untrained-seed{seed}", weights_digest=UNTRAINED)
        card = replace(
            card,
            licence="Apache-2.0",
            preprocessing={**card.preprocessing, "weights": f"random, seed {seed}"},
            notes=("Untrained: weights drawn at random, to try the pipeline with.",),
        )
        return JointDCASE(model, crop=policy, card=card, device=pick_device(device))
    if captions is not None:
        raise ModelError("dcase: captions train the words of random weights, not of a checkpoint")
    path = Path(weights).expanduser()
    model = load(path, vocabulary=None if vocabulary is None else Path(vocabulary).expanduser())
    notes: tuple[str, ...] = ()
    if word_vectors is not None:
        if vocabulary is not None:
            raise ModelError("dcase: give a vocabulary or word_vectors, not both")
        model = _with_words(model, _words(word_vectors, None))
        notes += (f"The checkpoint's words are replaced by those of {Path(word_vectors).name}.",)
    if model.vocabulary is None:
        notes += ("Without the words of its vectors: it hears, and refuses text.",)
    exported = read_card(path) if path.is_dir() else None
    name = exported.name if exported else path.name
    card = _card(model, policy, id=f"dcase-{name}", weights_digest=_digest(path))
    card = with_origin(
        replace(card, notes=notes),
        exported,
        licence=licence,
        training_datasets=training_datasets,
    )
    return JointDCASE(
        model,
        crop=policy,
        card=card,
        device=pick_device(device),
        training_log=read_log(path) if exported is not None else None,
    )


def _words(word_vectors: str | None, captions: str | None) -> WordVectors:
    if (word_vectors is None) == (captions is None):
        raise ModelError(
            "dcase: untrained weights need either word_vectors, a word2vec file, or captions, a "
            "file of texts to train some on"
        )
    if word_vectors is not None:
        return read_word_vectors(Path(word_vectors).expanduser())
    return train_word_vectors(read_texts(captions or ""))


def _untrained(words: WordVectors, seed: int) -> DCASE:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = DCASEConfig(dimension=words.dimension)
        return DCASE(words.vectors, words.vocabulary, config).eval()


def _with_words(model: DCASE, words: WordVectors) -> DCASE:
    other = DCASE(words.vectors, words.vocabulary, model.config)
    other.audio_enc.load_state_dict(model.audio_enc.state_dict())
    return other.eval()


def _digest(path: Path) -> str:
    if path.is_dir() and (path / "config.json").is_file():
        return file_digest(path / "model.safetensors")
    return file_digest(path / "checkpoint" if path.is_dir() else path)


def _card(model: DCASE, crop: CropPolicy, *, id: str, weights_digest: str) -> ModelCard:
    front_end = model.config.front_end
    table = model.state_dict()["text_enc.word_enc.embedding.weight"].contiguous().numpy()
    words = model.vocabulary.words if model.vocabulary is not None else ()
    preprocessing: dict[str, Plain] = {
        "resampler": RESAMPLER,
        **asdict(front_end),
        "config_sha256": fingerprint([json.dumps(asdict(model.config), sort_keys=True)]),
        "words_sha256": fingerprint([*words, hashlib.sha256(table).hexdigest()]),
        "n_words": len(words),
        "text": "mean of word vectors, unknown words counted as <UNK>, any length",
        "precision": "float32",
    }
    return ModelCard(
        id=id,
        version="1",
        weights_digest=weights_digest,
        licence="not stated",
        citation=CITATION,
        training_datasets=(),
        crop_policy=str(crop),
        preprocessing=preprocessing,
    )
