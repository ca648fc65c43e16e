"""Microsoft's CLAP of 2022 and 2023 through the package ``msclap``: audio and English text.

The package (MIT) cuts what is longer than its 7 s (5 s in 2022) at random; here a clip is cut into
windows of that length. Its own tokenising call is gone from transformers 5, so that texts are
tokenised here, the same way. It asks for NumPy below 2 and transformers below 5: it needs an
environment of its own.

While it is made, the package opens its text tower, ``gpt2`` or ``bert-base-uncased``, from the hub
or its cache.

References
----------
.. [1] B. Elizalde, S. Deshmukh, M. Al Ismail, H. Wang, "CLAP: Learning audio concepts from natural
       language supervision", ICASSP 2023.
.. [2] B. Elizalde, S. Deshmukh, H. Wang, "Natural language supervision for general-purpose audio
       representations", ICASSP 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earmark.datasets.audio import file_digest
from earmark.datasets.registry import naming_file
from earmark.models.base import Floats, ModelCard, ModelError
from earmark.models.encoders.windowed import kept_generators, windows_of
from earmark.models.support.adapter import (
    RESAMPLER,
    JointAdapter,
    pick_device,
    require,
    unit_vectors,
)
from earmark.models.support.crops import CropPolicy

_OF = "ms-clap"
_REPOSITORY = "microsoft/msclap"
FILES = {"2022": "CLAP_weights_2022.pth", "2023": "CLAP_weights_2023.pth"}
LICENCE = "Ms-PL (weights, as the hub says), MIT (code)"
CITATION = """@inproceedings{elizalde2024msclap,
  author = {Elizalde, Benjamin and Deshmukh, Soham and Wang, Huaming},
  title = {Natural Language Supervision for General-Purpose Audio Representations},
  booktitle = {IEEE International Conference on Acoustics, Speech and Signal Processing (ICASSP)},
  year = {2024}
}"""
# Of [1], section 3: of [2] the pairs are more, not all of them named.
TRAINED_ON = ("fsd50k", "clotho", "audiocaps", "macs")


class MSCLAP(JointAdapter):
    """Microsoft's CLAP: :class:`AudioEmbedder` and :class:`TextEmbedder`."""

    texts_at_once = 32

    def __init__(
        self,
        wrapper: Any,
        *,
        dimension: int,
        crop: CropPolicy,
        card: ModelCard,
        device: torch.device,
    ) -> None:
        self.model = wrapper.clap.eval().to(device)
        self.tokenizer = wrapper.tokenizer
        self.token_keys: list[str] = list(wrapper.token_keys)
        self.ends_text = "gpt" in wrapper.args.text_model
        self.max_tokens = int(wrapper.args.text_len)
        super().__init__(
            sample_rate=int(wrapper.args.sampling_rate),
            dimension=dimension,
            crop=crop,
            card=card,
            device=device,
        )

    def _encode_audio(self, crops: Floats) -> Floats:
        with kept_generators():
            found = self.model.audio_encoder(torch.from_numpy(crops).to(self.device))[0]
        return unit_vectors(found.float().cpu().numpy(), dimension=self.dimension, of="window")

    def _encode_text(self, texts: list[str]) -> Floats:
        # All are filled up to one length, so that no vector depends on its neighbours.
        tokens = self.tokenizer(
            [self._ended(text) for text in texts],
            padding="max_length",
            truncation=True,
            max_length=self.max_tokens,
            return_tensors="pt",
        )
        given = {name: tokens[name].to(self.device) for name in self.token_keys}
        return np.asarray(self.model.caption_encoder(given).float().cpu().numpy())

    def _tokens_lost(self, texts: list[str]) -> list[int]:
        limit = self.max_tokens or 0
        counts = [len(self.tokenizer(self._ended(t), verbose=False)["input_ids"]) for t in texts]
        return [max(0, number - limit) for number in counts]

    def _ended(self, text: str) -> str:
        return f"{text} <|endoftext|>" if self.ends_text else text


def ms_clap(
    *,
    weights: str | None = None,
    version: str = "2023",
    window: float | None = None,
    hop: float | None = None,
    device: str = "auto",
    licence: str = LICENCE,
    training_datasets: Sequence[str] = TRAINED_ON,
) -> MSCLAP:
    """Return Microsoft's CLAP.

    Parameters
    ----------
    weights
        A file ``CLAP_weights_2023.pth``; None: the release's, from the hub or its cache.
    version
        ``2023`` or ``2022``.
    window, hop
        In s; by default the 7 s (2022: 5 s) that it was trained on, without overlap. Shorter clips
        are repeated, as the package does.
    device
        ``cpu``, ``cuda`` or ``auto``.
    licence, training_datasets
        For the card.

    Raises
    ------
    ModelError
        If the package is not installed, or the weights are not found.
    """
    version = str(version)
    if version not in FILES:
        raise ModelError(f"{_OF}: version = {version!r}, expected '2022' or '2023'")
    library = require("msclap", extra="ms-clap", of=_OF)
    path, chosen = _weights(weights, version), pick_device(device)
    try:
        with kept_generators():
            wrapper = library.CLAP(model_fp=str(path), version=version, use_cuda=False)
    except Exception as error:  # what damaged files or a missing text tower raise
        raise ModelError(
            f"{_OF}: {path} cannot be loaded: {type(error).__name__}: {str(error)[:300]}"
        ) from error
    trained = float(wrapper.args.duration)
    crop = windows_of(window, hop, default=trained, longest=trained, short="repeated", of=_OF)
    dimension = int(wrapper.args.d_proj)
    card = ModelCard(
        id=f"ms-clap-{version}",
        version="1",
        weights_digest=file_digest(path),
        licence=licence,
        citation=CITATION,
        training_datasets=tuple(training_datasets),
        crop_policy=str(crop),
        preprocessing={
            "sample_rate": int(wrapper.args.sampling_rate),
            "resampler": RESAMPLER,
            "max_tokens": int(wrapper.args.text_len),
            "longer_texts": "truncated to max_tokens",
            "precision": "float32",
        },
        notes=("The pairs that the release of 2023 learned from are not all named.",),
    )
    return MSCLAP(wrapper, dimension=dimension, crop=crop, card=card, device=chosen)


def _weights(weights: str | None, version: str) -> Path:
    name = FILES[version]
    if weights is not None:
        path = Path(weights).expanduser()
        path = path / name if path.is_dir() else path
        if not path.is_file():
            raise ModelError(f"{_OF}: {path} is no file; run: hf download {_REPOSITORY} {name}")
        return path
    hub = require("huggingface_hub", extra="text", of=_OF)
    try:
        local = naming_file() is not None
        return Path(hub.hf_hub_download(_REPOSITORY, name, local_files_only=local))
    except Exception as error:  # the hub's client raises errors of many libraries
        raise ModelError(
            f"{_OF}: {name} could not be had from the hub nor from its cache "
            f"({type(error).__name__}: {str(error)[:200]}). Where there is a network, run: hf "
            f"download {_REPOSITORY} {name}; offline, give that file as weights"
        ) from error
