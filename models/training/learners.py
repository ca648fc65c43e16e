"""What learns: a model with its tokeniser, from batches of audio and captions to features and loss.

A learner is a module whose ``forward`` encodes one micro-batch, so that precision, compilation and
synchronisation between processes apply to it, and whose ``loss`` is of the whole batch's features
on all processes. Front end and augmentation run on the device, once a batch, in
:meth:`Learner.inputs`; nothing learned depends on them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn

from earmark.models.base import ModelError, TextEmbedder
from earmark.models.dcase.losses import OWN_LOSS, sample_impostors, triplet_ranking_loss
from earmark.models.dcase.model import DCASE
from earmark.models.muscall.config import LossConfig, Weighting
from earmark.models.muscall.losses import (
    paper_weights,
    released_weights,
    with_self_supervision,
)
from earmark.models.muscall.model import MusCALL
from earmark.models.support.tokenizers import BPETokenizer
from earmark.models.training.batches import Batch
from earmark.models.training.losses import (
    Rows,
    local_info_nce,
    local_nt_xent,
    same_group,
    unit,
)

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
class Across:
    """How a loss reaches the pairs of other processes."""

    gather: Gather
    rank: int
    draws: torch.Generator
    """In the same state on every process; for what a loss draws of the whole batch."""

    def rows(self, own: Tensor) -> Rows:
        """Return own rows beside everyone's."""
        return Rows(own, self.gather(own), self.rank * len(own))


class Learner(nn.Module):
    """A model as training sees it."""

    sample_rate: int
    """In Hz."""
    sentences: TextEmbedder | None = None
    """What the similarity of captions is estimated with, for loss weighting (section 3.2.1)."""

    def __init__(self) -> None:
        super().__init__()
        self._sentence_vectors: dict[str, Tensor] = {}

    @property
    @abstractmethod
    def weighting(self) -> Weighting | None:
        """How the loss weights pairs by their captions, which needs ``sentences``; None: not."""

    @abstractmethod
    def inputs(self, audio: Audio, captions: Sequence[str]) -> dict[str, Tensor]:
        """Return what ``forward`` takes, computed without gradients."""

    @abstractmethod
    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the features of a micro-batch: at least ``audio`` and ``text``."""

    @abstractmethod
    def facts(self, batch: Batch) -> dict[str, Tensor]:
        """Return what the loss must know of the own pairs beside their features, on the device."""

    @abstractmethod
    def loss(
        self, features: Mapping[str, Tensor], facts: Mapping[str, Tensor], across: Across
    ) -> Tensor:
        """Return the local loss (:mod:`earmark.models.training.losses`)."""

    @abstractmethod
    def temperature(self) -> float | None:
        """Return the learned temperature, or None where there is none."""

    @abstractmethod
    def clamp_temperature(self) -> None:
        """Keep similarities from being scaled by more than 100; called after each step."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def _similar(self, captions: Sequence[str]) -> dict[str, Tensor]:
        """Return the sentence vectors of captions as a fact of the batch; none where not needed."""
        if self.weighting is None or self.sentences is None:
            return {}
        known = self._sentence_vectors
        new = sorted({caption for caption in captions if caption not in known})
        if new:
            vectors = torch.from_numpy(self.sentences.embed_text(new))
            known.update(zip(new, vectors, strict=True))
        return {"sentences": torch.stack([known[each] for each in captions]).to(self.device)}

    def _weights(
        self, config: LossConfig, facts: Mapping[str, Tensor], across: Across
    ) -> Tensor | None:
        """Return the weights of the own pairs, of mean 1 over all of them."""
        if config.weighting is None:
            return None
        if "sentences" not in facts:
            raise ModelError(
                f"loss weighting {config.weighting!r} needs a sentence encoder, and this learner "
                f"has none"
            )
        sentences = across.rows(facts["sentences"])
        similarity = sentences.everyone @ sentences.everyone.T
        weights = (
            paper_weights(similarity, kappa=config.kappa)
            if config.weighting == "paper"
            else released_weights(similarity, k=config.kappa)
        )
        return weights[sentences.places]


class MusCALLLearner(Learner):
    """MusCALL with its tokeniser, loss weighting and self-supervision as its config says.

    Parameters
    ----------
    sentences
        What the similarity of captions is estimated with, for loss weighting (section 3.2.1).
    mask_duplicates
        Pairs with the same caption are not negatives of each other.
    """

    def __init__(
        self,
        model: MusCALL,
        tokenizer: BPETokenizer,
        *,
        sentences: TextEmbedder | None = None,
        mask_duplicates: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.sentences = sentences
        self.mask_duplicates = mask_duplicates
        self.sample_rate = model.config.audio.sample_rate

    @property
    def weighting(self) -> Weighting | None:
        return self.model.config.loss.weighting

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
        heard = model.audio_encoder(inputs["mel"])
        features = {
            "audio": model.audio_projection(heard),
            "text": model.text_features(inputs["token_ids"]),
        }
        if self.training:
            features["logit_scale"] = model.logit_scale * 1.0  # a leaf would not be synchronised
        if model.projector is not None and "other_mel" in inputs:
            features["views"] = model.projector(heard)
            features["other_views"] = model.projector(model.audio_encoder(inputs["other_mel"]))
        return features

    def facts(self, batch: Batch) -> dict[str, Tensor]:
        found = _identities(batch, captions=self.mask_duplicates, device=self.device)
        return found | self._similar(batch.captions)

    def loss(
        self, features: Mapping[str, Tensor], facts: Mapping[str, Tensor], across: Across
    ) -> Tensor:
        config = self.model.config
        audio, text = (unit(across.rows(features[side])) for side in ("audio", "text"))
        scale = features.get("logit_scale", self.model.logit_scale).float().exp()
        contrastive = local_info_nce(
            audio,
            text,
            scale=scale,
            combination=config.loss.combination,
            same=_same(facts, across),
            weights=self._weights(config.loss, facts, across),
        )
        ssl = config.self_supervision
        if ssl is None or "views" not in features:
            return contrastive
        views, others = (unit(across.rows(features[name])) for name in ("views", "other_views"))
        return with_self_supervision(
            contrastive,
            local_nt_xent(views, others, temperature=ssl.temperature),
            weight=ssl.weight,
        )

    def temperature(self) -> float | None:
        return float((-self.model.logit_scale.detach()).exp())

    def clamp_temperature(self) -> None:
        self.model.clamp_temperature()


class DCASELearner(Learner):
    """The DCASE baseline with its words; the config's objective says which loss.

    ``mask_duplicates``: clips with the same caption are not each other's impostors, as those with
    the same id never are.
    """

    def __init__(self, model: DCASE, *, mask_duplicates: bool = False) -> None:
        super().__init__()
        self.model = model
        self.mask_duplicates = mask_duplicates
        self.sample_rate = model.config.front_end.sample_rate

    @property
    def weighting(self) -> Weighting | None:
        return self._own_loss.weighting if self._own_loss else None

    @property
    def _own_loss(self) -> LossConfig | None:
        return OWN_LOSS if self.model.config.objective == "muscall" else None

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
        model = self.model
        features = {
            "audio": model.encode_log_mels(inputs["log_mels"], inputs["n_frames"]),
            "text": model.encode_words(inputs["word_ids"], inputs["word_counts"]),
        }
        if model.logit_scale is not None and self.training:
            features["logit_scale"] = model.logit_scale * 1.0  # a leaf would not be synchronised
        return features

    def facts(self, batch: Batch) -> dict[str, Tensor]:
        found = _identities(batch, captions=self.mask_duplicates, device=self.device)
        return found | self._similar(batch.captions)

    def loss(
        self, features: Mapping[str, Tensor], facts: Mapping[str, Tensor], across: Across
    ) -> Tensor:
        audio, text = (unit(across.rows(features[side])) for side in ("audio", "text"))
        if self.model.logit_scale is not None:
            scale = features.get("logit_scale", self.model.logit_scale).float().exp()
            own = self._own_loss
            return local_info_nce(
                audio,
                text,
                scale=scale,
                combination=own.combination if own else "mean",
                same=_same(facts, across),
                weights=self._weights(own, facts, across) if own else None,
            )
        # Linear in the batch, so that every process computes all of it, with the same impostors.
        drawn = sample_impostors(_connected(facts, across), across.draws)
        impostor_audio, impostor_text = (index.to(audio.own.device) for index in drawn)
        return triplet_ranking_loss(
            audio.everyone,
            text.everyone,
            impostor_audio=impostor_audio,
            impostor_text=impostor_text,
            margin=self.model.config.margin,
        )

    def temperature(self) -> float | None:
        scale = self.model.logit_scale
        return None if scale is None else float((-scale.detach()).exp())

    def clamp_temperature(self) -> None:
        self.model.clamp_temperature()


def _identities(batch: Batch, *, captions: bool, device: torch.device) -> dict[str, Tensor]:
    """Return whole numbers that are equal for pairs which are no mismatch of each other."""
    found = {"clips": batch.indices.to(device)}
    if captions:
        found["captions"] = batch.caption_groups.to(device)
    return found


def _same(facts: Mapping[str, Tensor], across: Across) -> Tensor:
    same = same_group(across.rows(facts["clips"]))
    if "captions" in facts:
        same |= same_group(across.rows(facts["captions"]))
    return same


def _connected(facts: Mapping[str, Tensor], across: Across) -> list[int]:
    """Return a group of each pair on all processes: pairs of one clip, or of equal captions.

    A pair that shares its clip with one and its caption with another puts all three in one group.
    """
    clips = across.gather(facts["clips"]).cpu().numpy()
    if "captions" not in facts:
        return [int(clip) for clip in clips]
    captions = across.gather(facts["captions"]).cpu().numpy()
    codes = [np.unique(numbers, return_inverse=True)[1] for numbers in (clips, captions)]
    n_clips, n_captions = (int(numbers.max()) + 1 for numbers in codes)
    links = (np.ones(len(clips)), (codes[0], n_clips + codes[1]))
    size = n_clips + n_captions
    _, groups = connected_components(coo_array(links, shape=(size, size)), directed=False)
    return [int(group) for group in groups[codes[0]]]
