"""MusCALL (Manco et al., ISMIR 2022) as a joint model: weights, tokeniser, crop and card."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from earmark.datasets.audio import file_digest
from earmark.datasets.base import DataError, fingerprint
from earmark.datasets.files.data_paths import candidates, resolve
from earmark.models.base import UNTRAINED, Floats, ModelCard, ModelError, Plain
from earmark.models.muscall import MusCALL, MusCALLConfig
from earmark.models.muscall.checkpoint import load as load_muscall
from earmark.models.muscall.config import preset as named_preset
from earmark.models.support.adapter import (
    RESAMPLER,
    JointAdapter,
    pick_device,
)
from earmark.models.support.crops import CropPolicy
from earmark.models.support.exported import (
    TOKENIZER,
    WEIGHTS,
    TrainingLog,
    read_card,
    read_log,
    with_origin,
)
from earmark.models.support.tokenizers import CONTEXT_LENGTH, BPETokenizer

CITATION = """@inproceedings{manco2022contrastive,
  author = {Manco, Ilaria and Benetos, Emmanouil and Quinton, Elio and Fazekas, Gy{\\"o}rgy},
  title = {Contrastive Audio-Language Learning for Music},
  booktitle = {International Society for Music Information Retrieval Conference (ISMIR)},
  year = {2022}
}"""
CLIP_VOCABULARY = "{data}/clip_bpe/bpe_simple_vocab_16e6.txt.gz"
"""Where CLIP's vocabulary is looked for if no tokeniser is given."""


class JointMusCALL(JointAdapter):
    """A MusCALL model with its tokeniser: :class:`AudioEmbedder` and :class:`TextEmbedder`."""

    crops_at_once, texts_at_once = 16, 64

    def __init__(
        self,
        model: MusCALL,
        tokenizer: BPETokenizer,
        *,
        crop: CropPolicy,
        card: ModelCard,
        device: torch.device,
        training_log: TrainingLog | None = None,
    ) -> None:
        _check_fit(tokenizer, model.config)
        self.model = model.to(device).for_inference()
        self.tokenizer = tokenizer
        self.max_tokens = tokenizer.context_length
        super().__init__(
            sample_rate=model.config.audio.sample_rate,
            dimension=model.config.dimension,
            crop=crop,
            card=card,
            device=device,
            training_log=training_log,
        )

    def _encode_audio(self, crops: Floats) -> Floats:
        waveforms = torch.from_numpy(crops).to(self.device)
        return np.asarray(self.model.encode_audio(waveforms).cpu().numpy())

    def _encode_text(self, texts: list[str]) -> Floats:
        ids = torch.from_numpy(self.tokenizer.encode(texts).ids).to(self.device)
        return np.asarray(self.model.encode_text(ids).cpu().numpy())

    def _tokens_lost(self, texts: list[str]) -> list[int]:
        lost: list[int] = self.tokenizer.encode(texts).truncated.tolist()
        return lost


def muscall(
    *,
    weights: str,
    preset: str = "paper",
    seed: int = 0,
    tokenizer: str | None = None,
    crop: str = "centre",
    device: str = "auto",
    licence: str | None = None,
    training_datasets: Sequence[str] = (),
) -> JointMusCALL:
    """Return a MusCALL model.

    Parameters
    ----------
    weights
        A checkpoint (the released code's ``.pth.tar``, or safetensors), a folder that ``earmark
        export`` wrote, or ``random``: untrained.
    preset, seed
        Of untrained weights: ``paper`` or ``released``, and what they are drawn with. The text
        encoder's vocabulary is then the tokeniser's.
    tokenizer
        CLIP's ``bpe_simple_vocab_16e6.txt.gz``, a folder with a tokeniser, or ``owner/name`` of the
        hub; by default that of an exported folder, else CLIP's file in ``clip_bpe`` of a data
        folder.
    crop
        A policy of :mod:`earmark.models.support.crops`; ``centre`` is as long as the model was
        trained on, 20 s in the paper, whose protocol it is.
    device
        ``cpu``, ``cuda`` or ``auto``.
    licence, training_datasets
        Of a checkpoint, for the card; by default those of an exported folder.

    Raises
    ------
    ModelError
        If weights or tokeniser are not found, damaged, or do not fit each other.
    """
    log = None
    if weights == "random":
        bpe = open_tokenizer(tokenizer, context_length=None)
        config = named_preset(preset)
        text = replace(
            config.text,
            vocabulary=bpe.vocabulary_size,
            end_token=bpe.end,
            max_tokens=bpe.context_length,
        )
        model = _untrained(replace(config, text=text), seed)
        name, digest = f"muscall-{preset}-untrained-seed{seed}", UNTRAINED
    else:
        path = Path(weights).expanduser()
        exported = read_card(path) if path.is_dir() else None
        if exported is not None:
            log = read_log(path)
            path = path / WEIGHTS
            tokenizer = tokenizer or str(path.parent / TOKENIZER)
        model = load_muscall(path)
        bpe = open_tokenizer(tokenizer, context_length=model.config.text.max_tokens)
        name = f"muscall-{exported.name if exported else _stem(path)}"
        digest = file_digest(path)
    policy = CropPolicy.parse(crop, seconds=model.config.audio.clip_seconds)
    card = _card(model, bpe, policy, id=name, weights_digest=digest)
    if weights == "random":
        card = replace(
            card,
            licence="Apache-2.0",
            preprocessing={**card.preprocessing, "weights": f"random, seed {seed}"},
            notes=("Untrained: weights drawn at random, to try the pipeline with.", *card.notes),
        )
    else:
        card = with_origin(card, exported, licence=licence, training_datasets=training_datasets)
    return JointMusCALL(
        model, bpe, crop=policy, card=card, device=pick_device(device), training_log=log
    )


def _untrained(config: MusCALLConfig, seed: int) -> MusCALL:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MusCALL(config).eval()


def open_tokenizer(source: str | None, *, context_length: int | None) -> BPETokenizer:
    """Return CLIP's tokeniser (``source`` None), or that of a file, a folder or the hub.

    Raises
    ------
    ModelError
        If it is not found or damaged.
    """
    tokens = context_length or CONTEXT_LENGTH
    if source is None:
        try:
            return BPETokenizer.from_clip_file(resolve(CLIP_VOCABULARY), context_length=tokens)
        except DataError as error:
            raise ModelError(
                f"muscall: no tokenizer was given, and CLIP's vocabulary was not found: run "
                f"`earmark fetch clip-bpe` (1.4 MB, MIT), or give the path of a "
                f"bpe_simple_vocab_16e6.txt.gz. Looked for in "
                f"{'; '.join(map(str, candidates(CLIP_VOCABULARY)))}"
            ) from error
    path = Path(source).expanduser()
    if path.is_dir():
        return BPETokenizer.from_folder(path, context_length=context_length)
    if path.is_file() or source.count("/") != 1 or path.suffix in (".gz", ".txt"):
        return BPETokenizer.from_clip_file(path, context_length=tokens)
    return BPETokenizer.from_hub(source)


def _check_fit(tokenizer: BPETokenizer, config: MusCALLConfig) -> None:
    text = config.text
    found = (tokenizer.vocabulary_size, tokenizer.end, tokenizer.context_length)
    expected = (text.vocabulary, text.end_token, text.max_tokens)
    if found[:2] != expected[:2] or found[2] > expected[2]:
        raise ModelError(
            f"muscall: the tokenizer has {found[0]} ids, end token {found[1]} and texts of "
            f"{found[2]} tokens; the weights were trained with {expected[0]}, {expected[1]} and at "
            f"most {expected[2]}: give the tokenizer of their training"
        )


def _card(
    model: MusCALL, tokenizer: BPETokenizer, crop: CropPolicy, *, id: str, weights_digest: str
) -> ModelCard:
    audio = model.config.audio
    positions = _positions(model, crop)
    preprocessing: dict[str, Plain] = {
        "sample_rate": audio.sample_rate,
        "resampler": RESAMPLER,
        "n_fft": audio.n_fft,
        "hop_length": audio.hop_length,
        "n_mels": audio.n_mels,
        "f_min": audio.f_min,
        "f_max": audio.f_max,
        "top_db": audio.top_db,
        "pooling": audio.pooling,
        "positions": positions,
        "trained_on_seconds": audio.clip_seconds,
        "config_sha256": fingerprint([json.dumps(asdict(model.config), sort_keys=True)]),
        "tokenizer_sha256": tokenizer.digest,
        "max_tokens": tokenizer.context_length,
        "longer_texts": "truncated to max_tokens, end token kept",
        "precision": "float32",
    }
    notes: tuple[str, ...] = ()
    if "interpolated" in positions:
        notes = (
            f"Crops differ in length from the {audio.clip_seconds:g} s of training: the positions "
            f"of attention pooling are {positions}.",
        )
    return ModelCard(
        id=id,
        version="1",
        weights_digest=weights_digest,
        licence="not stated",
        citation=CITATION,
        training_datasets=(),
        crop_policy=str(crop),
        preprocessing=preprocessing,
        notes=notes,
    )


def _positions(model: MusCALL, crop: CropPolicy) -> str:
    audio = model.config.audio
    if audio.pooling != "attention":
        return "none: average pooling"
    length = crop.n_samples(audio.sample_rate)
    if length is None:
        return f"interpolated where a clip is not of {audio.clip_seconds:g} s"
    if crop.short == "left short":
        return "interpolated where a clip is shorter than its crop"
    return "interpolated" if model.interpolates_positions(length) else "as trained"


def _stem(path: Path) -> str:
    return path.name.removesuffix(".tar").rsplit(".", 1)[0]
