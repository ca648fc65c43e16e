"""From a run's config to what learns: tokeniser or word vectors, model, task; and back to files.

What turns captions into numbers is made of the training captions once and then travels with every
checkpoint, so that a checkpoint is read without the corpus.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from earmark.datasets.base import first_ten
from earmark.models.adapters.muscall import open_tokenizer
from earmark.models.adapters.sentence_bert import sentence_bert
from earmark.models.base import ModelError
from earmark.models.dcase.config import DCASEConfig
from earmark.models.dcase.model import DCASE
from earmark.models.dcase.text import Vocabulary
from earmark.models.dcase.word_vectors import WordVectors, read_word_vectors, train_word_vectors
from earmark.models.muscall.config import MusCALLConfig
from earmark.models.muscall.model import MusCALL
from earmark.models.muscall.text import Block, TextEncoder
from earmark.models.support.tokenizers import BPETokenizer
from earmark.models.training.config import RunConfig
from earmark.models.training.task import DCASETraining, MusCALLTraining, TrainingTask

_TABLE = "model.text_enc.word_enc.embedding.weight"
_VOCABULARY = "vocabulary.json"
_FILES = (_VOCABULARY, "vocab.json", "merges.txt", "tokenizer_config.json")
"""Names that a checkpoint may give to files of words: a checkpoint may be of somebody else."""


def build(config: RunConfig, captions: Sequence[str]) -> tuple[TrainingTask, dict[str, str]]:
    """Return an untrained task and the files of its words.

    ``captions`` are those of the training corpus. Weights are drawn with the config's seed.

    Raises
    ------
    ModelError
        If words cannot be had, or parts do not fit each other.
    """
    if config.model == "muscall":
        tokenizer = _tokenizer(config, captions)
        return _muscall(config, tokenizer), _files_of(tokenizer)
    words = (
        train_word_vectors(captions, dimension=config.text.word_dimension, seed=config.seed)
        if config.text.word_vectors == "train"
        else read_word_vectors(Path(config.text.word_vectors).expanduser(), texts=captions)
    )
    return _dcase(config, words), {_VOCABULARY: json.dumps(list(words.vocabulary.words))}


def rebuild(
    config: RunConfig, words: Mapping[str, str], state: Mapping[str, Tensor]
) -> TrainingTask:
    """Return the task of a checkpoint, its weights loaded.

    Raises
    ------
    ModelError
        If words, weights and config are not of one model.
    """
    try:
        if config.model == "muscall":
            task: TrainingTask = _muscall(config, _tokenizer_of(words, config))
        else:
            vocabulary = Vocabulary(json.loads(words[_VOCABULARY]))
            task = _dcase(config, WordVectors(vocabulary, state[_TABLE]))
        task.load_state_dict(dict(state))
    except (KeyError, RuntimeError) as error:
        raise ModelError(f"a checkpoint whose parts do not fit each other: {error}") from error
    return task


def _muscall(config: RunConfig, tokenizer: BPETokenizer) -> MusCALLTraining:
    with _seeded(config.seed):
        model = MusCALL(muscall_config(config, tokenizer))
        if config.text.initialisation == "clip":
            initialise_as_clip(model.text_encoder)
    return MusCALLTraining(
        model, tokenizer, mask_duplicates=config.training.mask_duplicate_captions
    )


def muscall_config(config: RunConfig, tokenizer: BPETokenizer) -> MusCALLConfig:
    """Return the model's config with what follows from the run's: crop length and vocabulary."""
    own = config.muscall
    text = replace(
        own.text,
        vocabulary=tokenizer.vocabulary_size,
        end_token=tokenizer.end,
        max_tokens=tokenizer.context_length,
    )
    return replace(own, audio=replace(own.audio, clip_seconds=config.data.crop_seconds), text=text)


def _dcase(config: RunConfig, words: WordVectors) -> DCASETraining:
    own: DCASEConfig = replace(config.dcase, dimension=words.dimension)
    with _seeded(config.seed):
        model = DCASE(words.vectors, words.vocabulary, own)
    return DCASETraining(model, mask_duplicates=config.training.mask_duplicate_captions)


@torch.no_grad()
def initialise_as_clip(encoder: TextEncoder) -> None:
    """Draw a text encoder's weights as CLIP's are drawn (Radford et al. 2021, its released code).

    Embeddings have the standard deviation 0.02, positions 0.01; what is added to the residual
    stream shrinks with the depth.
    """
    width = encoder.token_embedding.embedding_dim
    added = width**-0.5 * (2 * len(encoder.blocks)) ** -0.5
    torch.nn.init.normal_(encoder.token_embedding.weight, std=0.02)
    torch.nn.init.normal_(encoder.position_embedding.weight, std=0.01)
    for block in encoder.blocks:
        assert isinstance(block, Block)
        torch.nn.init.normal_(block.attention.qkv.weight, std=width**-0.5)
        torch.nn.init.normal_(block.attention.out.weight, std=added)
        first, last = block.feed_forward[0], block.feed_forward[-1]
        assert isinstance(first, torch.nn.Linear)
        assert isinstance(last, torch.nn.Linear)
        torch.nn.init.normal_(first.weight, std=(2 * width) ** -0.5)
        torch.nn.init.normal_(last.weight, std=added)


def prepare_loss(task: TrainingTask, config: RunConfig) -> None:
    """Give a task the sentence encoder that its loss needs, if it needs one.

    Raises
    ------
    ModelError
        If the encoder is not at hand.
    """
    if task.needs_sentences:
        task.sentences = sentence_bert(weights=config.text.sentence_encoder)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _tokenizer(config: RunConfig, captions: Sequence[str]) -> BPETokenizer:
    length = config.muscall.text.max_tokens
    source = config.text.tokenizer
    if source == "train":
        size = config.text.vocabulary_size
        return BPETokenizer.train(captions, vocabulary_size=size, context_length=length)
    return open_tokenizer(None if source == "clip" else source, context_length=length)


def _files_of(tokenizer: BPETokenizer) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(Path(folder))
        return {
            path.name: path.read_text(encoding="utf-8") for path in sorted(Path(folder).iterdir())
        }


def _tokenizer_of(words: Mapping[str, str], config: RunConfig) -> BPETokenizer:
    with tempfile.TemporaryDirectory() as folder:
        write_words(words, Path(folder))
        return BPETokenizer.from_folder(Path(folder), context_length=config.muscall.text.max_tokens)


def write_words(words: Mapping[str, str], folder: Path) -> None:
    """Write the files of a tokeniser or a vocabulary.

    Raises
    ------
    ModelError
        If a file has another name than these have; it might lie anywhere.
    """
    if others := sorted(set(words) - set(_FILES)):
        raise ModelError(
            f"the checkpoint holds words in files called {first_ten(others)}, expected some of "
            f"{', '.join(_FILES)}; nothing was written"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in words.items():
        (folder / name).write_text(content, encoding="utf-8", newline="\n")
