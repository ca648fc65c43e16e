"""The DCASE 2022 task 6b baseline: a CRNN for audio, frozen word vectors for text."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from earmark.models.base import ModelError
from earmark.models.dcase.audio import CRNN, LogMel
from earmark.models.dcase.config import DCASEConfig
from earmark.models.dcase.text import Vocabulary, WordMean, Words

MAXIMUM_SCALE = 100.0


class DCASE(nn.Module):
    """Audio and text in one space of ``config.dimension``, both of unit norm.

    With the defaults 732,354 parameters learn, all of them in the audio encoder; DCASE + CL
    (``objective="muscall"``) learns its temperature besides, as plain InfoNCE does.

    Parameters
    ----------
    vectors
        The table of word vectors, shape ``(n_words, config.dimension)``; never trained.
    vocabulary
        The words of its rows. None where they are not available: audio can be encoded, text cannot.
    config
        Sizes, front end and loss.

    Raises
    ------
    ModelError
        If vectors, vocabulary and config do not fit each other.
    """

    def __init__(
        self,
        vectors: Tensor,
        vocabulary: Vocabulary | None,
        config: DCASEConfig | None = None,
    ) -> None:
        super().__init__()
        self.config = config = config or DCASEConfig()
        if vectors.ndim != 2 or vectors.shape[1] != config.dimension:
            raise ModelError(
                f"word vectors have shape {tuple(vectors.shape)}, expected (n_words, "
                f"{config.dimension}); set the config's dimension to that of the vectors"
            )
        if vocabulary is not None and len(vocabulary) != len(vectors):
            raise ModelError(
                f"the vocabulary has {len(vocabulary)} words and the table {len(vectors)} rows: "
                "they are not of one model"
            )
        self.vocabulary = vocabulary
        self.log_mel = LogMel(config.front_end)
        self.audio_enc = CRNN(config)
        self.text_enc = WordMean(vectors.float())
        self.logit_scale: nn.Parameter | None = None
        if config.objective != "triplet":
            self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / config.temperature)))

    @property
    def device(self) -> torch.device:
        """Where the weights are, and where inputs are sent."""
        return next(self.audio_enc.parameters()).device

    def encode_audio(self, waveforms: Sequence[Tensor] | Tensor) -> Tensor:
        """Return unit vectors of shape ``(n_clips, dimension)``, one per whole clip.

        Parameters
        ----------
        waveforms
            Mono clips of shape ``(n_samples,)`` each, of any lengths, in [-1, 1], at 44.1 kHz.

        In evaluation mode a clip's vector is that of the clip alone; in training mode batch
        normalisation uses the batch's statistics.

        Raises
        ------
        ModelError
            If a clip is empty, not mono, or has a sample that is not finite.
        """
        if len(waveforms) == 0:
            return torch.zeros(0, self.config.dimension, device=self.device)
        clips = [waveform.to(self.device) for waveform in waveforms]
        return self.encode_log_mels(*self.log_mel(clips))

    def encode_log_mels(self, log_mels: Tensor, n_frames: Tensor) -> Tensor:
        """Return unit vectors of log-mels as :class:`LogMel` gives them."""
        return F.normalize(self.audio_enc(log_mels, n_frames), dim=-1)

    def look_up(self, texts: Sequence[str]) -> Words:
        """Return the words of texts and which of them are unknown."""
        if self.vocabulary is None:
            raise ModelError(
                "this model was loaded without the words of its vectors and cannot read text; "
                "pass vocabulary= to load, the words in the order of the rows"
            )
        return self.vocabulary.look_up(texts)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Return unit vectors of shape ``(n_texts, dimension)``.

        A text without a known word has the vector of ``<UNK>``; :meth:`look_up` says which words
        are unknown.

        Raises
        ------
        ModelError
            If the model has no vocabulary, or the word vectors of a text cancel out.
        """
        words = self.look_up(texts)
        vectors = self.encode_words(words.ids, words.lengths)
        lost = (vectors.norm(dim=-1) < 0.5).nonzero().flatten().tolist()
        if lost:
            raise ModelError(
                f"text {lost[0]} {texts[lost[0]][:60]!r}: its word vectors add up to 0, so that "
                "it has no direction; the table of word vectors holds rows of zeros"
            )
        return vectors

    def encode_words(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return unit vectors from word ids ``(n_texts, n_words)`` and lengths ``(n_texts,)``."""
        means = self.text_enc(ids.to(self.device), lengths.to(self.device))
        return F.normalize(means, dim=-1)

    @torch.no_grad()
    def clamp_temperature(self) -> None:
        """Keep the learned scale at 100 or below; to be called after each step."""
        if self.logit_scale is not None:
            self.logit_scale.clamp_(max=math.log(MAXIMUM_SCALE))
