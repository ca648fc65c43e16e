"""MuQ-MuLan through the package ``muq``: music and English or Chinese text in one space.

Clips and texts go to the model one at a time: its text tower takes the mean over padding as well,
so that in a batch a text's vector would depend on its neighbours.

The package fetches a tokeniser and two configurations, ``xlm-roberta-base`` and
``OpenMuQ/MuQ-large-msd-iter``, from the hub or its cache while it loads the weights.

References
----------
.. [1] H. Zhu et al., "MuQ: Self-supervised music representation learning with mel residual vector
       quantization", 2025.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earmark.datasets.registry import naming_file
from earmark.models.base import Floats, ModelCard, ModelError
from earmark.models.support.adapter import (
    RESAMPLER,
    JointAdapter,
    pick_device,
    require,
    unit_vectors,
)
from earmark.models.support.crops import CropPolicy
from earmark.models.support.pretrained import (
    muq_explained,
    pretrained_folder,
    quiet_loading,
    settings_digest,
    weights_digest,
)

CITATION = """@misc{zhu2025muq,
  author = {Zhu, Haina and Zhou, Yizhi and Chen, Hangting and Yu, Jianwei and Ma, Ziyang and
            Gu, Rongzhi and Luo, Yi and Tan, Wei and Chen, Xie},
  title = {MuQ: Self-Supervised Music Representation Learning with Mel Residual Vector
           Quantization},
  year = {2025},
  eprint = {2501.01108},
  archivePrefix = {arXiv}
}"""
LICENCE = "CC BY-NC 4.0 (weights), MIT (code)"
MAX_TOKENS = 512
"""Of XLM-RoBERTa, with start and end."""
_TOWERS = {
    "audio_model": re.compile(r"OpenMuQ/MuQ-[\w.-]+"),
    "text_model": re.compile(r"(FacebookAI/)?xlm-roberta-(base|large)"),
}
"""Names of the hub that a release's ``config.json`` gives its towers."""


class MuQMuLanModel(JointAdapter):
    """MuQ-MuLan: :class:`AudioEmbedder` and :class:`TextEmbedder`."""

    crops_at_once, texts_at_once = 1, 1
    max_tokens = MAX_TOKENS

    def __init__(
        self, model: Any, *, crop: CropPolicy, card: ModelCard, device: torch.device
    ) -> None:
        self.model = model.eval().to(device)
        dimension = int(model.config.mulan.dim_latent)
        super().__init__(
            sample_rate=int(model.sr), dimension=dimension, crop=crop, card=card, device=device
        )

    def _encode_audio(self, crops: Floats) -> Floats:
        with muq_explained():
            found = self.model(wavs=torch.from_numpy(crops).to(self.device))
        return unit_vectors(found.float().cpu().numpy(), dimension=self.dimension, of="window")

    def _encode_text(self, texts: list[str]) -> Floats:
        found = self.model(texts=[self._fit(text)[0] for text in texts])
        return np.asarray(found.float().cpu().numpy())

    def _tokens_lost(self, texts: list[str]) -> list[int]:
        return [self._fit(text)[1] for text in texts]

    def _fit(self, text: str) -> tuple[str, int]:
        """Return the text as far as the text tower can read it, and the tokens lost."""
        tokenizer = self.model.mulan_module.text.tokenizer
        tokens = tokenizer(text, return_offsets_mapping=True, verbose=False)
        lost = len(tokens["input_ids"]) - MAX_TOKENS
        if lost <= 0:
            return text, 0
        # The last token kept is the end's, whose place in the text is taken by another.
        return text[: tokens["offset_mapping"][MAX_TOKENS - 2][1]], lost


def muq_mulan(
    *,
    weights: str,
    revision: str | None = None,
    crop: str = "windows(10 s, 10 s)",
    device: str = "auto",
    training_datasets: Sequence[str] = ("msd",),
    towers: str = "registered",
) -> MuQMuLanModel:
    """Return MuQ-MuLan.

    Parameters
    ----------
    weights
        A folder, or a name of the hub: ``OpenMuQ/MuQ-MuLan-large``.
    revision
        Commit, tag or branch on the hub.
    crop
        A policy of :mod:`earmark.models.support.crops` with crops of the 10 s that the model was
        trained on. The package's own windows differ in the last one, which it fills up with the
        clip's beginning. Shorter clips are repeated, as the package does.
    device
        ``cpu``, ``cuda`` or ``auto``.
    training_datasets
        For the card.
    towers
        ``trust`` opens whatever models the folder's ``config.json`` names as its towers, and the
        package runs their code; by default only those of the release.

    Raises
    ------
    ModelError
        If the package is not installed, the weights are not found or are not MuQ-MuLan's, or name
        other towers than the release.
    """
    library = require("muq", extra="muq", of="muq-mulan")
    folder = pretrained_folder(weights, revision=revision, extra="muq", of="muq-mulan")
    _check_towers(folder, towers)
    chosen = pick_device(device)
    try:
        with quiet_loading():
            model = library.MuQMuLan.from_pretrained(str(folder)).float()
    except Exception as error:  # what damaged folders raise is the libraries' affair
        raise ModelError(
            f"muq-mulan: {folder} cannot be loaded as MuQ-MuLan: {type(error).__name__}: "
            f"{str(error)[:300]}"
        ) from error
    policy = CropPolicy.parse(crop, seconds=model.clip_secs, short="repeated")
    if policy.seconds != model.clip_secs or policy.short == "left short":
        raise ModelError(
            f"muq-mulan: crop {str(policy)!r}, expected crops of the {model.clip_secs:g} s that "
            f"the model hears, e.g. 'windows({model.clip_secs:g} s, {model.clip_secs:g} s)'"
        )
    card = ModelCard(
        id="muq-mulan",
        version="1",
        weights_digest=weights_digest(folder),
        licence=LICENCE,
        citation=CITATION,
        training_datasets=tuple(training_datasets),
        crop_policy=str(policy),
        preprocessing={
            "sample_rate": int(model.sr),
            "resampler": RESAMPLER,
            "settings_sha256": settings_digest(folder),
            "max_tokens": MAX_TOKENS,
            "longer_texts": "truncated to max_tokens",
            "batches": "one clip or text at a time",
            "precision": "float32",
        },
        notes=(
            "The pairs of music and text that it learned from are not published: contamination "
            "cannot be excluded.",
        ),
    )
    return MuQMuLanModel(model, crop=policy, card=card, device=chosen)


def _check_towers(folder: Path, towers: str) -> None:
    """Refuse towers of others: the package runs the code that comes with whatever is named."""
    if towers not in ("registered", "trust"):
        raise ModelError(f"muq-mulan: towers = {towers!r}, expected 'registered' or 'trust'")
    path = folder / "config.json"
    try:
        config = json.loads(path.read_bytes()) if path.is_file() else {}
        named = {side: config[side]["name"] for side in _TOWERS if side in config}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"muq-mulan: {path} is damaged: {error!r}") from error
    trusted = towers == "trust" and naming_file() is None
    for side, name in named.items():
        # A folder of that name where one works would be taken before the hub's.
        released = isinstance(name, str) and _TOWERS[side].fullmatch(name)
        if not trusted and (not released or Path(name).exists()):
            raise ModelError(
                f"muq-mulan: {path} names the {side} {name!r}, which is not the release's; it was "
                f'not opened, since its code would run. If you know it, give towers = "trust"'
            )
