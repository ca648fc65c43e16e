"""LAION's CLAP in transformers: audio and text in one space, windows averaged, nothing at random.

The extractor of transformers crops audio of more than 10 s at random, and in models with feature
fusion marks one clip of each batch, drawn by lot, as "longer". Here a clip is cut into windows that
fit before the extractor sees it, and no window is ever marked: it is not longer than 10 s.

References
----------
.. [1] Y. Wu et al., "Large-scale contrastive language-audio pretraining with feature fusion and
       keyword-to-caption augmentation", ICASSP 2023.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earmark.datasets.base import first_ten
from earmark.models.base import UNKNOWN_TRAINING, Floats, ModelCard, ModelError
from earmark.models.support.adapter import (
    RESAMPLER,
    JointAdapter,
    pick_device,
    require,
    unit_vectors,
)
from earmark.models.support.crops import CropPolicy
from earmark.models.support.pretrained import (
    pretrained_folder,
    quiet_loading,
    settings_digest,
    weights_digest,
)

CITATION = """@inproceedings{wu2023laionclap,
  author = {Wu, Yusong and Chen, Ke and Zhang, Tianyu and Hui, Yuchen and Berg-Kirkpatrick, Taylor
            and Dubnov, Shlomo},
  title = {Large-Scale Contrastive Language-Audio Pretraining with Feature Fusion and
           Keyword-to-Caption Augmentation},
  booktitle = {IEEE International Conference on Acoustics, Speech and Signal Processing (ICASSP)},
  year = {2023}
}"""
REFUSED = {
    "larger_clap_music": "its text tower is collapsed: unlike texts have a mean pairwise cosine of "
    "0.9993 and every published score is at chance (embeddings-benchmark/mteb #5069); "
    "laion/larger_clap_music_and_speech is not",
}
# From the paper; the audio of MusicCaps is a part of AudioSet.
_LAION = ("laion-audio-630k", "audioset", "audiocaps", "clotho")
TRAINED_ON = {
    "clap-htsat-unfused": _LAION,
    "clap-htsat-fused": _LAION,
    "larger_clap_general": _LAION,
    "larger_clap_music_and_speech": _LAION,
}
_COMPUTED = ("position_ids", "relative_position_index", "token_type_ids")


class CLAP(JointAdapter):
    """A CLAP model with its processor: :class:`AudioEmbedder` and :class:`TextEmbedder`."""

    texts_at_once = 32

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        crop: CropPolicy,
        max_tokens: int,
        card: ModelCard,
        device: torch.device,
    ) -> None:
        self.model = model.eval().to(device)
        self.extractor = processor.feature_extractor
        self.tokenizer = processor.tokenizer
        self.max_tokens: int = max_tokens
        super().__init__(
            sample_rate=int(self.extractor.sampling_rate),
            dimension=int(model.config.projection_dim),
            crop=crop,
            card=card,
            device=device,
        )

    def _encode_audio(self, crops: Floats) -> Floats:
        with _kept_numpy_rng():
            features = self.extractor(
                list(crops), sampling_rate=self.sample_rate, return_tensors="pt"
            )["input_features"]
        longer = torch.zeros(len(crops), 1, dtype=torch.bool)
        found = self.model.get_audio_features(
            input_features=features.float().to(self.device), is_longer=longer.to(self.device)
        )
        return unit_vectors(_plain(found), dimension=self.dimension, of="window")

    def _tokens_lost(self, texts: list[str]) -> list[int]:
        counts = [len(self.tokenizer(text, verbose=False)["input_ids"]) for text in texts]
        return [max(0, number - self.max_tokens) for number in counts]

    def _encode_text(self, texts: list[str]) -> Floats:
        tokens = self.tokenizer(
            texts, padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt"
        ).to(self.device)
        return _plain(
            self.model.get_text_features(
                input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
            )
        )


def _check_fusion(model: Any, extractor: Any, folder: Path) -> None:
    """Hold the extractor's channels (4 with feature fusion, else 1) against the model's."""
    wanted = bool(model.config.audio_config.enable_fusion)
    if wanted != (extractor.truncation == "fusion"):
        raise ModelError(
            f"clap: {folder}: the model's enable_fusion is {wanted}, but its "
            f"preprocessor_config.json says truncation {extractor.truncation!r}; expected "
            f"{'fusion' if wanted else 'rand_trunc'!r}: take both files of one checkpoint"
        )


def clap(
    *,
    weights: str,
    revision: str | None = None,
    crop: str = "windows(10 s, 10 s)",
    max_tokens: int = 77,
    device: str = "auto",
    licence: str | None = None,
    training_datasets: Sequence[str] | None = None,
) -> CLAP:
    """Return a CLAP model.

    Parameters
    ----------
    weights
        A folder, or a name of the hub such as ``laion/clap-htsat-unfused``.
    revision
        Commit, tag or branch on the hub.
    crop
        A policy of :mod:`earmark.models.support.crops` with crops of at most the 10 s that the
        model hears. Shorter clips are filled up by the model's own extractor.
    max_tokens
        What a text is truncated to; LAION trained with 77.
    device
        ``cpu``, ``cuda`` or ``auto``.
    licence, training_datasets
        For the card, where Earmark does not know them.

    Raises
    ------
    ModelError
        If the weights are not found, are not CLAP's, or are known to be broken.
    """
    name = _name(weights)
    if name in REFUSED:
        raise ModelError(f"clap: {weights} is refused: {REFUSED[name]}")
    folder = pretrained_folder(weights, revision=revision, extra="clap", of="clap")
    chosen = pick_device(device)
    model, processor = _load(folder)
    extractor = processor.feature_extractor
    policy = CropPolicy.parse(crop, seconds=extractor.max_length_s, short="left short")
    _check_fits(policy, extractor)
    _check_fusion(model, extractor, folder)
    limit = min(max_tokens, _longest_text(model, processor.tokenizer))
    if limit < 3:
        raise ModelError(f"clap: max_tokens is {max_tokens}, expected at least 3")
    trained_on = tuple(training_datasets) if training_datasets else TRAINED_ON.get(name, ())
    card = ModelCard(
        id=f"clap-{name}",
        version="1",
        weights_digest=weights_digest(folder),
        licence=licence or ("Apache-2.0" if name in TRAINED_ON else "not stated"),
        citation=CITATION,
        training_datasets=trained_on,
        crop_policy=str(policy),
        preprocessing={
            "sample_rate": extractor.sampling_rate,
            "resampler": RESAMPLER,
            "features": f"ClapFeatureExtractor, filters of truncation {extractor.truncation!r}",
            "short_crops": f"{extractor.padding}, to {extractor.max_length_s:g} s",
            "feature_fusion": "no window is marked longer",
            "settings_sha256": settings_digest(folder),
            "max_tokens": limit,
            "longer_texts": "truncated to max_tokens",
            "precision": "float32",
        },
        notes=() if trained_on else (UNKNOWN_TRAINING,),
    )
    return CLAP(model, processor, crop=policy, max_tokens=limit, card=card, device=chosen)


def _name(weights: str) -> str:
    """Return ``larger_clap_music`` of ``laion/larger_clap_music``, a folder, or the hub's cache."""
    parts = [part for part in Path(weights).expanduser().parts if part not in ("/", ".")]
    cached = next((part for part in parts if part.startswith("models--")), None)
    return (cached.split("--")[-1] if cached else parts[-1]) if parts else weights


def _load(folder: Path) -> tuple[Any, Any]:
    library = require("transformers", extra="clap", of="clap")
    try:
        with quiet_loading():
            model, info = library.ClapModel.from_pretrained(
                folder, local_files_only=True, output_loading_info=True, trust_remote_code=False
            )
            processor = library.ClapProcessor.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
    except Exception as error:  # what damaged folders raise is the libraries' affair
        raise ModelError(
            f"clap: {folder} cannot be loaded as a ClapModel with its processor: "
            f"{type(error).__name__}: {str(error)[:300]}"
        ) from error
    # transformers draws what is missing at random and only logs it.
    wrong = {
        kind: [str(n) for n in sorted(info.get(kind) or ()) if not str(n).endswith(_COMPUTED)]
        for kind in ("missing_keys", "mismatched_keys", "unexpected_keys")
    }
    if any(wrong.values()):
        found = "; ".join(f"{kind}: {first_ten(names)}" for kind, names in wrong.items() if names)
        raise ModelError(f"clap: {folder} does not hold the weights of its config: {found}")
    return model.float(), processor


def _check_fits(policy: CropPolicy, extractor: Any) -> None:
    length = policy.n_samples(extractor.sampling_rate)
    if length is None or length > extractor.nb_max_samples:
        raise ModelError(
            f"clap: crop {str(policy)!r} would be cropped again, at random: the model hears "
            f"{extractor.max_length_s:g} s; choose e.g. 'windows({extractor.max_length_s:g} s, "
            f"{extractor.max_length_s:g} s)'"
        )


def _longest_text(model: Any, tokenizer: Any) -> int:
    text = model.config.text_config
    # RoBERTa's positions begin behind the id of the padding token.
    positions = int(text.max_position_embeddings) - int(text.pad_token_id) - 1
    return min(int(tokenizer.model_max_length), positions)


def _plain(found: Any) -> Floats:
    # A tensor until transformers 4, an output object with it since 5.
    tensor = found if isinstance(found, torch.Tensor) else found.pooler_output
    return np.asarray(tensor.float().cpu().numpy())


@contextmanager
def _kept_numpy_rng() -> Iterator[None]:
    """Keep NumPy's global generator: the extractor draws which window to mark, in vain here."""
    state = np.random.get_state()
    try:
        yield
    finally:
        np.random.set_state(state)
