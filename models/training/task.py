"""What learns: a model with its tokeniser, from audio and captions to features and loss.

A training task is a module whose ``forward`` encodes one micro-batch, so that precision,
compilation and synchronisation between processes apply to it, and whose ``loss`` is of the whole
batch's features on all processes. Front end and augmentation run on the device, once per batch, in
:meth:`TrainingTask.inputs`; nothing learned depends on them.

What turns captions into numbers is made of the training captions once (:func:`build`) and then
travels with every checkpoint, so that a checkpoint is read without the corpus (:func:`rebuild`).
"""

from __future__ import annotations

import json
import tempfile
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn

from earmark.datasets.base import first_ten
from earmark.models.adapters.muscall import open_tokenizer
from earmark.models.adapters.sentence_bert import sentence_bert
from earmark.models.base import ModelError, TextEmbedder
from earmark.models.dcase.config import DCASEConfig
from earmark.models.dcase.losses import sample_impostors, triplet_ranking_loss
from earmark.models.dcase.model import DCASE
from earmark.models.dcase.text import Vocabulary, WordVectors, read_word_vectors, train_word_vectors
from earmark.models.muscall.config import LossConfig, MusCALLConfig
from earmark.models.muscall.losses import (
    Rows,
    info_nce,
    nt_xent,
    pair_weights,
    same_group,
    unit,
    with_self_supervision,
)
from earmark.models.muscall.model import MusCALL
from earmark.models.muscall.text import Block, TextEncoder
from earmark.models.support.tokenizers import BPETokenizer
from earmark.models.training.batches import Batch
from earmark.models.training.config import RunConfig

Gather = Callable[[Tensor], Tensor]
"""From this process's rows ``(n, ...)`` to everyone's ``(n_all, ...)``, in order of the processes,
with gradients."""


@dataclass(frozen=True, slots=True)
class Audio:
    """A micro-batch of sound on the device."""

    waveforms: Tensor
    """Shape ``(n, n_samples)``, padded with zeros at the end."""
    lengths: Tensor
    """Samples of each clip, shape ``(n,)``, at most ``n_samples``; on the CPU."""
    other_views: Tensor | None = None
    """The same clips, augmented otherwise, for self-supervision."""


@dataclass(frozen=True)
class CrossProcess:
    """How a loss reaches the pairs of other processes."""

    gather: Gather
    rank: int
    draws: torch.Generator
    """In the same state on every process; for what a loss draws of the whole batch."""

    def rows(self, own: Tensor) -> Rows:
        """Return own rows beside everyone's."""
        return Rows(own, self.gather(own), self.rank * len(own))


class TrainingTask(nn.Module):
    """A model as training sees it.

    Parameters
    ----------
    sample_rate
        In Hz.
    contrastive
        The model's contrastive loss, None where it has another.
    mask_duplicates
        Pairs with the same caption are not negatives of each other, as those of one clip never are.
    """

    sentences: TextEmbedder | None = None
    """What the similarity of captions is estimated with, for loss weighting (MusCALL, 3.2.1)."""

    def __init__(
        self,
        model: MusCALL | DCASE,
        *,
        sample_rate: int,
        contrastive: LossConfig | None,
        mask_duplicates: bool,
    ) -> None:
        super().__init__()
        self.model = model
        self.sample_rate = sample_rate
        self.contrastive = contrastive
        self.mask_duplicates = mask_duplicates
        self._sentence_vectors: dict[str, Tensor] = {}

    @property
    def needs_sentences(self) -> bool:
        """Whether the loss weights pairs by their captions, for which it needs ``sentences``."""
        return self.contrastive is not None and self.contrastive.weighting is not None

    @abstractmethod
    def inputs(self, audio: Audio, captions: Sequence[str]) -> dict[str, Tensor]:
        """Return what ``forward`` takes, computed without gradients."""

    @abstractmethod
    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the features of a micro-batch: at least ``audio`` and ``text``."""

    def pair_ids(self, batch: Batch) -> dict[str, Tensor]:
        """Return what the loss must know of the own pairs beside their features, on the device.

        ``clips`` and ``captions`` are whole numbers, equal for pairs that are no mismatch of each
        other; ``sentences`` are the vectors by which captions are compared.
        """
        found = {"clips": batch.indices.to(self.device)}
        if self.mask_duplicates:
            found["captions"] = batch.caption_groups.to(self.device)
        if self.needs_sentences and self.sentences is not None:
            known = self._sentence_vectors
            new = sorted({caption for caption in batch.captions if caption not in known})
            if new:
                vectors = torch.from_numpy(self.sentences.embed_text(new))
                known.update(zip(new, vectors, strict=True))
            found["sentences"] = torch.stack([known[each] for each in batch.captions])
            found["sentences"] = found["sentences"].to(self.device)
        return found

    def loss(
        self, features: Mapping[str, Tensor], pair_ids: Mapping[str, Tensor], across: CrossProcess
    ) -> Tensor:
        """Return this process's share of the contrastive loss (:mod:`..muscall.losses`)."""
        config, learned = self.contrastive, self.model.logit_scale
        assert config is not None and learned is not None
        audio, text = (unit(across.rows(features[side])) for side in ("audio", "text"))
        same = same_group(across.rows(pair_ids["clips"]))
        if "captions" in pair_ids:
            same |= same_group(across.rows(pair_ids["captions"]))
        return info_nce(
            audio,
            text,
            scale=features.get("logit_scale", learned).float().exp(),
            combination=config.combination,
            same=same,
            weights=self._weights(config, pair_ids, across),
        )

    def _weights(
        self, config: LossConfig, pair_ids: Mapping[str, Tensor], across: CrossProcess
    ) -> Tensor | None:
        """Return the weights of the own pairs, of mean 1 over all of them."""
        if config.weighting is None:
            return None
        if "sentences" not in pair_ids:
            raise ModelError(
                f"loss weighting {config.weighting!r} needs a sentence encoder, and this model "
                f"has none"
            )
        sentences = across.rows(pair_ids["sentences"])
        weights = pair_weights(sentences.everyone @ sentences.everyone.T, config)
        return None if weights is None else weights[sentences.places]

    def temperature(self) -> float | None:
        """Return the learned temperature, or None where there is none."""
        scale = self.model.logit_scale
        return None if scale is None else float((-scale.detach()).exp())

    def clamp_temperature(self) -> None:
        """Keep similarities from being scaled by more than 100; called after each step."""
        self.model.clamp_temperature()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def _with_scale(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        if self.model.logit_scale is not None and self.training:
            # Times 1, since a leaf would not be synchronised.
            features["logit_scale"] = self.model.logit_scale * 1.0
        return features


class MusCALLTraining(TrainingTask):
    """MusCALL with its tokeniser, loss weighting and self-supervision as its config says."""

    model: MusCALL

    def __init__(
        self, model: MusCALL, tokenizer: BPETokenizer, *, mask_duplicates: bool = False
    ) -> None:
        super().__init__(
            model,
            sample_rate=model.config.audio.sample_rate,
            contrastive=model.config.loss,
            mask_duplicates=mask_duplicates,
        )
        self.tokenizer = tokenizer

    @torch.no_grad()
    def inputs(self, audio: Audio, captions: Sequence[str]) -> dict[str, Tensor]:
        tokens = self.tokenizer.encode(captions)
        # Nothing behind the longest text is looked at: attention is causal.
        ids = torch.from_numpy(tokens.ids[:, : int(tokens.lengths.max())])
        found = {
            "mel": self.model.log_mel(audio.waveforms),
            "token_ids": ids.to(audio.waveforms.device),
        }
        if audio.other_views is not None:
            found["other_mel"] = self.model.log_mel(audio.other_views)
        return found

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        model = self.model
        encoded = model.audio_encoder(inputs["mel"])
        features = self._with_scale(
            {
                "audio": model.audio_projection(encoded),
                "text": model.text_features(inputs["token_ids"]),
            }
        )
        if model.projector is not None and "other_mel" in inputs:
            features["views"] = model.projector(encoded)
            features["other_views"] = model.projector(model.audio_encoder(inputs["other_mel"]))
        return features

    def loss(
        self, features: Mapping[str, Tensor], pair_ids: Mapping[str, Tensor], across: CrossProcess
    ) -> Tensor:
        contrastive = super().loss(features, pair_ids, across)
        ssl = self.model.config.self_supervision
        if ssl is None or "views" not in features:
            return contrastive
        views, others = (unit(across.rows(features[name])) for name in ("views", "other_views"))
        self_supervised = nt_xent(views, others, temperature=ssl.temperature)
        return with_self_supervision(contrastive, self_supervised, weight=ssl.weight)


class DCASETraining(TrainingTask):
    """The DCASE baseline with its words; the config's objective says which loss."""

    model: DCASE

    def __init__(self, model: DCASE, *, mask_duplicates: bool = False) -> None:
        super().__init__(
            model,
            sample_rate=model.config.front_end.sample_rate,
            contrastive=model.config.contrastive,
            mask_duplicates=mask_duplicates,
        )

    @torch.no_grad()
    def inputs(self, audio: Audio, captions: Sequence[str]) -> dict[str, Tensor]:
        words = self.model.look_up(captions)
        clips = zip(audio.waveforms, audio.lengths.tolist(), strict=True)
        log_mels, n_frames = self.model.log_mel([clip[:length] for clip, length in clips])
        device = audio.waveforms.device
        return {
            "log_mels": log_mels,
            "n_frames": n_frames,
            "word_ids": words.ids.to(device),
            "word_counts": words.lengths.to(device),
        }

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self._with_scale(
            {
                "audio": self.model.encode_log_mels(inputs["log_mels"], inputs["n_frames"]),
                "text": self.model.encode_words(inputs["word_ids"], inputs["word_counts"]),
            }
        )

    def loss(
        self, features: Mapping[str, Tensor], pair_ids: Mapping[str, Tensor], across: CrossProcess
    ) -> Tensor:
        if self.contrastive is not None:
            return super().loss(features, pair_ids, across)
        # Linear in the batch, so that every process computes all of it, with the same impostors.
        audio, text = (unit(across.rows(features[side])).everyone for side in ("audio", "text"))
        drawn = sample_impostors(_connected(pair_ids, across), across.draws)
        impostor_audio, impostor_text = (index.to(audio.device) for index in drawn)
        return triplet_ranking_loss(
            audio,
            text,
            impostor_audio=impostor_audio,
            impostor_text=impostor_text,
            margin=self.model.config.margin,
        )


def _connected(pair_ids: Mapping[str, Tensor], across: CrossProcess) -> list[int]:
    """Return a group of each pair on all processes: pairs of one clip, or of equal captions.

    A pair that shares its clip with one and its caption with another puts all three in one group.
    """
    clips = across.gather(pair_ids["clips"]).cpu().numpy()
    if "captions" not in pair_ids:
        return [int(clip) for clip in clips]
    captions = across.gather(pair_ids["captions"]).cpu().numpy()
    codes = [np.unique(numbers, return_inverse=True)[1] for numbers in (clips, captions)]
    n_clips, n_captions = (int(numbers.max()) + 1 for numbers in codes)
    links = (np.ones(len(clips)), (codes[0], n_clips + codes[1]))
    size = n_clips + n_captions
    _, groups = connected_components(coo_array(links, shape=(size, size)), directed=False)
    return [int(group) for group in groups[codes[0]]]


_TABLE = "model.text_enc.word_enc.embedding.weight"
_VOCABULARY = "vocabulary.json"
_FILES = (_VOCABULARY, "vocab.json", "merges.txt", "tokenizer_config.json")
"""Names that a checkpoint may give to files of words: a checkpoint may be of somebody else."""


def build(config: RunConfig, captions: Sequence[str]) -> tuple[TrainingTask, dict[str, str]]:
    """Return an untrained task and the files of its words.

    ``captions`` are those of the training corpus. Weights are drawn with the config's seed.
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
    """Return the task of a checkpoint, its weights loaded."""
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
    """Give a task the sentence encoder that its loss needs, if it needs one."""
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
    """Write the files of a tokeniser or a vocabulary."""
    if others := sorted(set(words) - set(_FILES)):
        raise ModelError(
            f"the checkpoint holds words in files called {first_ten(others)}, expected some of "
            f"{', '.join(_FILES)}; nothing was written"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in words.items():
        (folder / name).write_text(content, encoding="utf-8", newline="\n")
